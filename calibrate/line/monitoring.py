"""Check of deployed filters at the monitors: measured against the unit's responses through these filters. They check
level, polarity, delay and response of the deployed processor, whether the filters are this unit's, and each driver's
gain. They are not at the ears: cancellation, width and beam are predicted, not measured; a sample of units is verified
fully.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from sweetspot.calibrate.plant import frequencies, grid, transform
from sweetspot.calibrate.verify import verification
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.judge import limit, loudest_db
from sweetspot.measure.monitor import plan_together, timing
from sweetspot.measure.plan import Plan
from sweetspot.measure.shot import ALL
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float, db, from_db

BAND_HZ = (300.0, 6300.0)
STIMULI = ("left", "right")
ERROR_DB = -22.0
"""Largest energy of the difference from the expected response, re the expected one, dB."""

GAIN_DB, DEAD = 1.0, 0.1
SURE_DB = 1.0
"""Added to a level that is expected from responses."""
SPARE_DB = 0.1
"""Distance of that level to the SPL limit."""

BETTER_DB = 6.0
"""Another explanation is named when it leaves so much less."""

DEPLOYED, UNEXPLAINED = "deployed filters", "unexplained difference"
"""Faults of the unit in a few words, for statistics."""

NOISE_FACTOR = 2.0
"""So many times its expected energy may the noise have in a difference."""

NOT_HEARD = "not judged here: cancellation, width and beam at the listener (monitors are not at the ears)"


@dataclass(frozen=True, slots=True)
class MonitorVerdict:
    """Result of a verification at the monitors.

    Parameters
    ----------
    passed
        Whether what is deployed does what it must.
    error_db
        Energy of the difference from the prediction over the prediction's.
    gains_db
        Level of each driver re the prediction; empty if there are too few monitors.
    causes
        What is wrong, one line each.
    fault
        The same in a few words, for statistics; empty if it passed.
    box
        Whether it is the test box's: no result of the unit.
    noise_db
        Expected energy of the noise in the difference, over the prediction's.
    """

    passed: bool
    error_db: float
    gains_db: Mapping[str, float]
    causes: tuple[str, ...]
    fault: str = ""
    box: bool = False
    noise_db: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "not_judged": NOT_HEARD}


def plan(rig: Description, filters: FilterSet, process: verification.Processor, level: float = 1.0) -> Plan:
    """Left and right through a processor in one capture, measured at the monitors, without moves.

    Each at half the level that it could have alone, so that both together stay below the ceiling; times ``level``.
    """
    made = timing(rig, len(STIMULI), extra_after=filters.length, seconds=rig.sweep.seconds)
    sources = verification.sources_of(rig, filters, process, made.played, STIMULI, share=1.0 / len(STIMULI))
    return plan_together(rig, "monitor", sources, made, level)


def within_limit(
    rig: Description, filters: FilterSet, process: verification.Processor, unit: ImpulseResponse
) -> tuple[Plan, dict[int | None, float]]:
    """The plan, lowered as far as the rig's SPL limit asks for, and its :func:`expected_level`."""
    wanted = plan(rig, filters, process)
    expected, most = expected_level(wanted, rig, unit), limit(rig, wanted.mics)
    over = max(expected.values(), default=-np.inf) - (np.inf if most is None else most) + SPARE_DB
    if over <= 0.0:
        return wanted, expected
    return plan(rig, filters, process, float(from_db(-over))), {k: v - over for k, v in expected.items()}


def expected_level(wanted: Plan, rig: Description, unit: ImpulseResponse) -> dict[int | None, float]:
    """dB SPL that a plan's capture reaches at the monitors, from the unit's own responses there, by its source.

    Nothing where these are not in pascals: the capture is tried softly then.
    """
    if unit.unit != "Pa/FS" or wanted.together is None:
        return {}
    plays = wanted.together.signal[[rig.driver[rig.driver_names.index(n)].channel - 1 for n in unit.drivers]]
    size = fft.next_fast_len(plays.shape[1] + unit.h.shape[-1], real=True)
    x = np.einsum("mdf,df->mf", fft.rfft(unit.h[0], size), fft.rfft(plays.astype(np.float64), size))
    return {ALL: loudest_db(fft.irfft(x, size), np.ones(len(unit.mics)), unit.fs)[0] + SURE_DB}


def judged(
    heard: ImpulseResponse,
    unit: ImpulseResponse,
    filters: FilterSet,
    others: Mapping[str, FilterSet],
    noise: tuple[Float, Float] | None = None,
) -> MonitorVerdict:
    """The verdict.

    A difference that one gain of everything, one microphone or the noise explains is the test box's.

    Parameters
    ----------
    heard
        Responses ``(1, mic, stimulus, tap)`` to the stimuli.
    unit
        The unit's drivers ``(1, mic, driver, tap)`` at the same microphones, captured before.
    filters
        What should be deployed.
    others
        Filters that may be deployed in their place, by name.
    noise
        Standard errors ``(1, mic, source, bin)`` of the spectra of both.
    """
    f = frequencies(heard.fs)
    inside = (f >= BAND_HZ[0]) & (f <= BAND_HZ[1])
    got = transform(heard.h, grid(heard.fs), heard.zero)[0][..., inside]
    h = transform(unit.h, grid(unit.fs), unit.zero)[0][..., inside]
    want, w = _through(h, filters, f[inside])
    error = _error_db(got, want)
    gains = _gains(got, h, w)
    named = {} if gains is None else dict(zip(filters.drivers, _decibels(gains), strict=True))
    power = 0.0 if noise is None else _noise(noise, heard.fs, f[inside], w)
    noise_db = None if noise is None else _over_db(power, want)

    def verdict(fault: str, *causes: str, box: bool = False) -> MonitorVerdict:
        return MonitorVerdict(not fault, error, named, causes, fault, box=box, noise_db=noise_db)

    if error <= ERROR_DB:
        return verdict("")
    if (found := _of_box(got, want, heard.mics, _rest_db(got, h, w, gains))) is not None:
        return verdict(*found, box=True)
    if causes := _of_deployed(got, h, filters, others, f[inside], gains):
        return verdict(DEPLOYED, *causes)
    if _over_db(float(np.sum(np.abs(got - want) ** 2)) - NOISE_FACTOR * power, want) <= ERROR_DB:
        text = f"noise hides the response ({noise_db:.0f} dB re the prediction, limit {ERROR_DB:.0f})"
        return verdict("noise", f"{text}: wait until it is quiet", box=True)
    return verdict(UNEXPLAINED, f"differs from its prediction by {error:.0f} dB (limit {ERROR_DB:.0f})")


def _of_box(got: Complex, want: Complex, mics: tuple[str, ...], driver_db: float) -> tuple[str, str] | None:
    """Fault of the box that explains a difference, in a few words and in a line.

    Parameters
    ----------
    driver_db
        Error that gains of the drivers leave.
    """
    most = min(ERROR_DB, driver_db - BETTER_DB) if len(mics) > 1 else -np.inf
    g = complex(np.vdot(want, got) / max(float(np.sum(np.abs(want) ** 2)), 1e-300))
    if g.real > DEAD and _error_db(got, g * want) <= ERROR_DB:
        text = f"everything is {db(g):+.1f} dB off since the unit's capture"
        return "box level", f"{text}: check the amplifier's and the preamplifier's gain"
    for m, name in enumerate(mics):
        rest = [i for i in range(len(mics)) if i != m]
        if _error_db(got[rest], want[rest]) <= most:
            level = db(np.linalg.norm(got[m]) / max(float(np.linalg.norm(want[m])), 1e-300))
            text = f"only microphone {name!r} differs from the prediction (level {level:+.1f} dB): check it first"
            return f"microphone {name} response", text
    return None


def _of_deployed(
    got: Complex, h: Complex, filters: FilterSet, others: Mapping[str, FilterSet], f: Float, gains: Complex | None
) -> list[str]:
    """What is wrong with what is deployed, one line each; empty if nothing explains the difference."""
    want, w = _through(h, filters, f)
    error = _error_db(got, want)
    better = min(error - BETTER_DB, ERROR_DB)
    found = []
    if _error_db(got[:, ::-1], want) < error - BETTER_DB:
        found.append("left and right are swapped")
    for name, other in others.items():
        if _error_db(got, _through(h, other, f)[0]) < better:
            found.append(f"these are the filters of {name}")
    for a, b in combinations(range(h.shape[1]), 2):
        order = np.arange(h.shape[1])
        order[[a, b]] = b, a
        if _error_db(got, np.einsum("mdf,sdf->msf", h[:, order], w)) < better:
            found.append(f"drivers {filters.drivers[a]!r} and {filters.drivers[b]!r} are swapped")
    if not found and gains is not None:
        found += [t for n, g in zip(filters.drivers, gains, strict=True) if (t := _of_gain(n, g))]
    return found


def _noise(errors: tuple[Float, Float], fs: int, f: Float, w: Complex) -> float:
    """Expected energy that noise adds to the difference, on the grid of ``w (stimulus, driver, f)``."""
    heard, unit = ((e[0] ** 2) for e in errors)
    at = [np.round(f / (fs / 2.0) * (e.shape[-1] - 1)).astype(int) for e in (heard, unit)]
    through = np.einsum("mdf,sdf->msf", unit[..., at[1]], np.abs(w) ** 2)
    return float(np.sum(heard[..., at[0]]) + np.sum(through))


def _rest_db(got: Complex, h: Complex, w: Complex, gains: Complex | None) -> float:
    """Error that the drivers' gains leave."""
    return np.inf if gains is None else _error_db(got, np.einsum("mdf,sdf,d->msf", h, w, gains))


def _over_db(power: float, want: Complex) -> float:
    return 10.0 * float(np.log10(max(power / max(float(np.sum(np.abs(want) ** 2)), 1e-300), 1e-12)))


def _through(h: Complex, filters: FilterSet, f: Float) -> tuple[Complex, Complex]:
    """Expected responses ``(mic, stimulus, f)``, and the filters ``(stimulus, driver, f)``."""
    w = np.asarray(filters.response(f), dtype=np.complex128)[: len(STIMULI)]
    return np.einsum("mdf,sdf->msf", h, w), w


def _error_db(got: Complex, want: Complex) -> float:
    return _over_db(float(np.sum(np.abs(got - want) ** 2)), want)


def _gains(got: Complex, h: Complex, w: Complex) -> Complex | None:
    """Gain of each driver that fits the measurement best, over all microphones, stimuli and frequencies."""
    if h.shape[0] * w.shape[0] < h.shape[1]:
        return None
    parts = np.einsum("mdf,sdf->msfd", h, w).reshape(-1, h.shape[1])
    found, *_ = np.linalg.lstsq(parts, got.reshape(-1), rcond=1e-3)
    return np.asarray(found)


def _decibels(gains: Complex) -> list[float]:
    return [20.0 * float(np.log10(max(abs(g), 1e-6))) for g in gains]


def _of_gain(name: str, g: complex) -> str:
    if abs(g) < DEAD:
        return f"driver {name!r} is silent"
    if g.real < -0.3 * abs(g):
        return f"driver {name!r} has its polarity inverted"
    level = 20.0 * float(np.log10(abs(g)))
    return f"driver {name!r} is {level:+.1f} dB off" if abs(level) > GAIN_DB else ""
