"""What a unit must reach to pass, and how a figure is judged against it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from sweetspot.calibrate.verify.metric_kinds import KINDS, Sense
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import toml_table

SNR_DB = 20.0

OTHERS = {
    "interaural_delay": (0.0, 1000.0, "µs"),
    "latency": (0.0, 10000.0, "ms"),
    "polarity": (-1.0, 1.0, ""),
    "side_azimuth": (0.0, 180.0, "degrees"),
    "centre_azimuth": (0.0, 180.0, "degrees"),
    "asymmetry": (0.0, 360.0, "degrees"),
}
"""Limits that are no levels: their ranges and units."""

POLICY = {"coarsest": (0.0, 20.0), "coverage": (0.0, 5.0), "repeats": (0, 5), "repeatability": (0.0, 3.0)}
"""Keys that are no limits, and their ranges."""

Verdict = Literal["pass", "grey", "fail"]
"""Of a unit."""

MetricVerdict = Literal["pass", "warn", "grey", "fail"]
"""Of one metric: ``warn`` is beyond a limit that warns and does not fail the unit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the verdict, in dB unless said otherwise, and the policy near them.

    Parameters
    ----------
    cancellation_mean, cancellation_p10
        Least cancellation over scoring positions, sides and third octaves from 800 Hz to 6.3 kHz.
    target_shortfall
        Least cancellation over the target curve in any third octave from 800 Hz to 6.3 kHz, mean over positions and
        sides; negative when it may fall short.
    agreement
        Largest difference between predicted and heard in any third octave from 200 Hz to 8 kHz.
    difference
        Largest power of heard minus predicted over that of the predicted, phase included, from 200 Hz to 5 kHz. It
        notices a driver that is 1 dB off or half a sample late, and a head that stands elsewhere by some millimetres.
    contrast
        Least on-axis to off-axis contrast of the centre in any third octave from 400 Hz to 1.6 kHz.
    balance
        Largest difference in level between the left program at the left ear and the right one at the right ear.
    snr
        Least signal to noise of any response heard.
    interaural_level, interaural_delay
        Largest difference between predicted and heard in level (dB, any third octave) and delay (microseconds) between
        the ears, for either virtual loudspeaker.
    colouration
        Largest rms deviation of the phantom centre's third octaves, dB.
    beam_shape
        Largest difference between predicted and heard in the centre's beam outside its nulls, dB.
    polarity
        Least cosine between heard and predicted; +1 correct, -1 inverted.
    latency
        Largest from stereo input to loudspeaker, ms.
    distortion
        Largest total harmonic distortion in any octave, dB re the fundamental.
    guard
        Largest sample at a processor's outputs while a program that needs its guard is played, dB re the ceiling.
    side_azimuth, centre_azimuth
        Largest distance of an image from that of the reference pair, degrees.
    asymmetry
        Largest azimuth of hard left plus that of hard right, against the reference pair, degrees.
    drr_loss
        Loss of direct over reverberant sound against plain stereo on the same unit from which there is a warning.
    tone
        Colouration across pan against the reference pair, rms over ERB bands, from which there is a warning.
    coarsest
        Largest uncertainty, ``coverage`` times the standard one, with which a figure of heard against predicted passes:
        what is measured more coarsely than that agrees with anything.
    coverage
        How many standard uncertainties a figure must be away from its limit before it is judged; nearer, it is grey:
        neither passed nor failed, but measured again.
    repeats
        How often an inconclusive verification is repeated before it stays so.
    repeatability
        By how much a path from driver to ear may differ when the unit, the head and the air are met again: one standard
        deviation in gain, and as much in phase. It adds to what the sets themselves tell by how well they close; a
        gauge study of one's own rig tells whether more is needed.
    given
        Names of the limits that a file gave; the others may follow the design, see ``verify/default_limits.py``.
    """

    cancellation_mean: float = 12.0
    cancellation_p10: float = 6.0
    target_shortfall: float = -3.0
    agreement: float = 1.0
    difference: float = -22.0
    contrast: float = 12.0
    balance: float = 1.0
    snr: float = SNR_DB
    interaural_level: float = 1.5
    interaural_delay: float = 40.0
    colouration: float = 6.0
    beam_shape: float = 2.0
    polarity: float = 0.5
    latency: float = 100.0
    distortion: float = -30.0
    guard: float = 0.1
    side_azimuth: float = 7.0
    centre_azimuth: float = 5.0
    asymmetry: float = 7.0
    drr_loss: float = 6.0
    tone: float = 2.0
    coarsest: float = 4.0
    coverage: float = 2.0
    repeats: float = 1
    repeatability: float = 0.0
    given: tuple[str, ...] = field(default=(), compare=False)


def from_dict(stored: Mapping[str, Any]) -> Limits:
    """Limits from what :func:`dataclasses.asdict` and JSON made of them; defaults for what an earlier version lacks."""
    values = {k: float(v) for k, v in stored.items() if k != "given"}
    return Limits(**values, given=tuple(stored.get("given", ())))


def read(path: Path | None) -> Limits:
    """A limits.toml; ``None`` gives the defaults. Every key is the name of a limit, every value is in dB.

    Raises
    ------
    BadInput
        The file cannot be read, is no TOML, or holds an unknown key or a value that is no number.
    """
    if path is None:
        return Limits()
    try:
        table = toml_table(path.read_text(encoding="utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as fault:
        raise BadInput(f"{path}: the limits file cannot be read: {fault}") from fault
    known = [f.name for f in fields(Limits) if f.name != "given"]
    faults = []
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "known here: " + ", ".join(known)
            faults.append(f"  {key}: unknown key; {hint}")
        elif key in POLICY and not _allowed(key, value):
            low, high = POLICY[key]
            whole = "a whole number" if key == "repeats" else "a number"
            faults.append(f"  {key}: {value!r} is not {whole} from {low:g} to {high:g}")
        elif key not in POLICY and key in OTHERS and not _within(value, *OTHERS[key][:2]):
            low, high, unit = OTHERS[key]
            faults.append(f"  {key}: {value!r} is not {low:g} to {high:g} {unit}".rstrip())
        elif key not in OTHERS and not _within(value, -200.0, 200.0):
            faults.append(f"  {key}: {value!r} is no level in dB (-200 to 200)")
    if faults:
        raise BadInput(f"{path}:\n" + "\n".join(faults))
    return Limits(**{key: float(value) for key, value in table.items()}, given=tuple(table))


def limit_range(name: str) -> tuple[float, float, str]:
    """Least and largest value of a limit, and its unit."""
    if name in OTHERS:
        return OTHERS[name]
    if name in POLICY:
        return (*POLICY[name], "")
    return -200.0, 200.0, "dB"


def _within(value: object, low: float, high: float) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and low <= value <= high


def _allowed(key: str, value: object) -> bool:
    low, high = POLICY[key]
    kinds = (int,) if key == "repeats" else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high


def text(values: Mapping[str, float], heading: str) -> str:
    """A limits.toml that :func:`read` takes; ``heading`` becomes its comment."""
    return f"# {heading}\n" + "".join(f"{name} = {value:.2f}\n" for name, value in values.items())


@dataclass(frozen=True, slots=True)
class Metric:
    """One judged figure.

    Parameters
    ----------
    name, explanation
        What it is, in a few words and in a sentence.
    predicted, heard
        A metric without a prediction has ``None``.
    limit
        dB.
    sense
        Whether ``heard`` must be at least or at most ``limit``.
    uncertainty, predicted_uncertainty
        Standard uncertainty of ``heard`` and of ``predicted``, dB; ``None`` where it is not known.
    coverage
        How many of them make the grey zone on either side of the limit.
    coarsest
        For a figure of how far heard is from predicted, at most which uncertainty lets it pass; ``None`` for others.
    unit
        Of all of these; dB but for some.
    warns
        Beyond its limit the metric warns and does not fail the unit.
    key
        What the metric is to programs, see :mod:`sweetspot.calibrate.verify.metric_kinds`.
    spread, heads
        Standard deviation over head positions, and how many; ``None`` where it is no mean over heads. It is no part
        of the uncertainty, which covers measurement noise and repeatability only.
    """

    name: str
    explanation: str
    predicted: float | None
    heard: float
    limit: float
    sense: Sense
    uncertainty: float | None = None
    predicted_uncertainty: float | None = None
    coverage: float = 2.0
    coarsest: float | None = None
    unit: str = "dB"
    warns: bool = False
    spread: float | None = None
    heads: int = 0
    key: str = ""

    @classmethod
    def of(
        cls,
        key: str,
        explanation: str,
        limits: Limits,
        *,
        predicted: float | None,
        heard: float,
        uncertainty: float | None = None,
    ) -> Metric:
        """A metric of :data:`KINDS`, with its own limit."""
        kind = KINDS[key]
        limit = float(getattr(limits, kind.limit))
        made = cls(kind.name, explanation, predicted, heard, limit, kind.sense)
        return replace(made, uncertainty=uncertainty, coverage=limits.coverage, unit=kind.unit, key=key)

    def keeps(self, value: float) -> bool:
        """Whether a value is on the right side of the limit."""
        return value >= self.limit if self.sense == "at least" else value <= self.limit

    @property
    def margin(self) -> float:
        """How far on the right side of the limit, dB; negative when it fails."""
        return self.heard - self.limit if self.sense == "at least" else self.limit - self.heard

    @property
    def guard(self) -> float:
        """Half of the width of the grey zone, dB."""
        return self.coverage * self.uncertainty if self.uncertainty is not None else 0.0

    @property
    def verdict(self) -> MetricVerdict:
        """Of a metric that warns ``pass`` or ``warn``; else ``grey`` where the margin is smaller than its uncertainty.

        What is not a number fails.
        A figure of heard against predicted passes within its limit as long as it is not too coarse; beyond it, it is
        grey where errors alone may explain it, and fails where they do not (as by the E_n score of ISO 13528).
        """
        if self.warns:
            return "pass" if self.margin >= -self.guard else "warn"
        if self.coarsest is not None and self.margin >= 0.0:
            return "pass" if self.guard <= self.coarsest else "grey"
        if not self.margin >= -self.guard:
            return "fail"
        return "pass" if self.margin >= self.guard else "grey"

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against it: inconclusive or not a number is no pass; a warning is."""
        return self.verdict in ("pass", "warn")

    @property
    def text(self) -> str:
        """One line with the value and the limit."""
        sure = f" ± {self.guard:.1f}" if self.uncertainty is not None else ""
        line = f"{self.name}: {self.heard:.1f}{sure} {self.unit}".rstrip()
        line += f", {self.sense} {self.limit:.4g} {self.unit}".rstrip()
        line += " is advised" if self.warns else " is needed"
        why = "nearer to its limit than its uncertainty" if self._near else "uncertainty too large"
        return line + (f": inconclusive ({why}); re-measure" if self.verdict == "grey" else "")

    @property
    def _near(self) -> bool:
        return abs(self.margin) < self.guard and self.coarsest is None

    @property
    def over_heads(self) -> str:
        """Spread over head positions, for people; empty where the metric is no mean over them."""
        return f"± {self.spread:.1f} {self.unit} over {self.heads} head positions" if self.spread is not None else ""
