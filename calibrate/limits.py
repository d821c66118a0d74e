"""What a unit must reach to pass, and how a figure is judged against it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from rigs.errors import BadInput

SNR_DB = 20.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the verdict; all in dB.

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
    """

    cancellation_mean: float = 12.0
    cancellation_p10: float = 6.0
    target_shortfall: float = -3.0
    agreement: float = 1.0
    difference: float = -22.0
    contrast: float = 12.0
    balance: float = 1.0
    snr: float = SNR_DB


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
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as fault:
        raise BadInput(f"{path}: the limits file cannot be read: {fault}") from fault
    except tomllib.TOMLDecodeError as fault:
        raise BadInput(f"{path}: not valid TOML: {fault}") from fault
    known = [f.name for f in fields(Limits)]
    faults = []
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "known here: " + ", ".join(known)
            faults.append(f"  {key}: unknown key; {hint}")
        elif isinstance(value, bool) or not isinstance(value, int | float) or not -200.0 <= value <= 200.0:
            faults.append(f"  {key}: {value!r} is no level in dB (-200 to 200)")
    if faults:
        raise BadInput(f"{path}:\n" + "\n".join(faults))
    return Limits(**{key: float(value) for key, value in table.items()})


def text(values: Mapping[str, float], heading: str) -> str:
    """A limits.toml that :func:`read` takes; ``heading`` becomes its comment."""
    return f"# {heading}\n" + "".join(f"{name} = {value:.2f}\n" for name, value in values.items())


JUDGES = {
    "cancellation_mean": "cancellation, mean",
    "cancellation_p10": "cancellation, 10th percentile",
    "target_shortfall": "cancellation over its target curve",
    "agreement": "heard against predicted",
    "difference": "difference from the prediction",
    "contrast": "centre beam",
    "balance": "balance",
    "snr": "signal to noise",
}
"""What the names of the figures that each limit judges hold."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One judged figure.

    Parameters
    ----------
    name, explanation
        What it is, in a few words and in a sentence.
    predicted, heard
        dB; a metric without a prediction has ``None``.
    limit
        dB.
    sense
        Whether ``heard`` must be at least or at most ``limit``.
    """

    name: str
    explanation: str
    predicted: float | None
    heard: float
    limit: float
    sense: Literal["at least", "at most"]

    @property
    def margin(self) -> float:
        """How far on the right side of the limit, dB; negative when it fails."""
        return self.heard - self.limit if self.sense == "at least" else self.limit - self.heard

    @property
    def passed(self) -> bool:
        """Whether the limit is kept; a figure that is not a number never passes."""
        return self.margin >= 0.0

    @property
    def said(self) -> str:
        """One line with the value and the limit."""
        return f"{self.name}: {self.heard:.1f} dB, {self.sense} {self.limit:g} dB is needed"
