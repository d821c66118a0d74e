"""Check of deployed filters at the monitors: measured against the unit's responses through these filters. They check
level, polarity, delay and response of the deployed processor, whether the filters are this unit's, and each driver's
gain. They are not at the ears: cancellation, width and beam are predicted, not measured; a sample of units is verified
fully.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
from sweetspot.rigs.units import Complex, Float, from_db

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
    """

    passed: bool
    error_db: float
    gains_db: Mapping[str, float]
    causes: tuple[str, ...]

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
    heard: ImpulseResponse, unit: ImpulseResponse, filters: FilterSet, others: Mapping[str, FilterSet]
) -> MonitorVerdict:
    """The verdict.

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
    """
    f = frequencies(heard.fs)
    inside = (f >= BAND_HZ[0]) & (f <= BAND_HZ[1])
    got = transform(heard.h, grid(heard.fs), heard.zero)[0][..., inside]
    h = transform(unit.h, grid(unit.fs), unit.zero)[0][..., inside]
    want, w = _through(h, filters, f[inside])
    error = _error_db(got, want)
    gains = _gains(got, h, w)
    named = {} if gains is None else dict(zip(filters.drivers, _decibels(gains), strict=True))
    if error <= ERROR_DB:
        return MonitorVerdict(True, error, named, ())
    swapped = _error_db(got[:, ::-1], want)
    found = []
    if swapped < error - BETTER_DB:
        found.append("left and right are swapped")
    for name, other in others.items():
        if _error_db(got, _through(h, other, f[inside])[0]) < min(error - BETTER_DB, ERROR_DB):
            found.append(f"these are the filters of {name}")
    if not found and gains is not None:
        found += [t for n, g in zip(filters.drivers, gains, strict=True) if (t := _of_gain(n, g))]
    return MonitorVerdict(False, error, named, tuple(found) or (f"differs from its prediction by {error:.0f} dB",))


def _through(h: Complex, filters: FilterSet, f: Float) -> tuple[Complex, Complex]:
    """Expected responses ``(mic, stimulus, f)``, and the filters ``(stimulus, driver, f)``."""
    w = np.asarray(filters.response(f), dtype=np.complex128)[: len(STIMULI)]
    return np.einsum("mdf,sdf->msf", h, w), w


def _error_db(got: Complex, want: Complex) -> float:
    power = float(np.sum(np.abs(want) ** 2))
    return 10.0 * float(np.log10(max(float(np.sum(np.abs(got - want) ** 2)) / max(power, 1e-300), 1e-12)))


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
