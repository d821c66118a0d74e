"""One capture of at most two seconds with all drivers, for fixed microphones. Drivers start at a constant spacing, long
enough that neither a kept response nor the harmonics before it (``L ln n``) fall into another driver's window. There
are no moves and no earlier measurements: the spacing follows from the sweep only. Hum, bursts and the noise floor are
judged in the same capture as in any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure import plan as plans
from sweetspot.measure.plan import FIXED as FIXED
from sweetspot.measure.plan import FixedSet as FixedSet
from sweetspot.measure.plan import OverlappedSignal, Plan, Sources
from sweetspot.measure.sweep import Sweep, stimulus, swept, synchronised, whole
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protection import protections
from sweetspot.rigs.rig_file import Description, Mic
from sweetspot.rigs.units import from_db

LONGEST_S = 2.0
BEFORE_S, AFTER_S = 0.010, 0.040
"""Largest kept lengths of each response, s: microphones are near, and the box absorbs."""

LATENCY_S = 0.05
SHORTEST_S = 0.25
HARMONICS = (2, 3)
HARMONIC_S = 0.004
"""Which harmonics are kept out of the windows, and how long each of them rings."""

STEP_S = 0.001

NEAR = 0.1
"""Level at microphones of the device, which sit beside the drivers, re that at monitors, linear."""


def microphones(rig: Description, name: FixedSet) -> tuple[Mic, ...]:
    """The rig's microphones of one use.

    Raises
    ------
    BadInput
        It has none.
    """
    mics = rig.monitor_mics if name == "monitor" else rig.device_mics
    if not mics:
        raise BadInput(
            f'rig {rig.name!r} has no [[mic]] with use = "{name}": give 1 to 4 microphones that use and a position, '
            "such as at = [1.0, 0.0, 0.0]"
        )
    return mics


@dataclass(frozen=True, slots=True, eq=False)
class Timing:
    """One capture of several sources, each starting a wait after the one before.

    Parameters
    ----------
    sweep, played
        Of each source; what the loopback would play with it alone ``(samples,)``.
    before, after, tail
        Samples kept of each response ahead of its arrival and from it on; silence after the last sweep.
    wait
        Samples from one source's start to the next one's.
    """

    sweep: Sweep
    played: NDArray[np.float32]
    before: int
    after: int
    tail: int
    wait: int


def timing(rig: Description, count: int, *, extra_after: int = 0, seconds: float = LONGEST_S) -> Timing:
    """How ``count`` sources share one capture, with sweeps of at most ``seconds``.

    Parameters
    ----------
    extra_after
        Samples by which responses are longer than a driver's: the filters that play.

    Raises
    ------
    BadInput
        They do not fit into :data:`LONGEST_S`.
    """
    before = round(min(BEFORE_S, rig.sweep.before_ms / 1000.0) * rig.fs)
    after = round(min(AFTER_S, rig.sweep.after_ms / 1000.0) * rig.fs) + extra_after
    tail = after + round(LATENCY_S * rig.fs)
    wait, sweep = _fitted(rig, count, before, after, tail, seconds)
    return Timing(sweep, stimulus(sweep, float(from_db(rig.sweep.level_dbfs)), tail), before, after, tail, wait)


def plan_at_once(rig: Description, name: FixedSet) -> Plan:
    """The plan of one capture of all drivers.

    Raises
    ------
    BadInput
        The rig has no such microphones, or its drivers do not fit into :data:`LONGEST_S`.
    TooLoud
        The stimulus would pass a ceiling.
    """
    microphones(rig, name)
    made, shapes = timing(rig, len(rig.driver)), protections(rig)
    own = [plans.for_driver(rig, d, s, made.played) for d, s in zip(rig.driver, shapes, strict=True)]
    singles = tuple(
        plans.outputs_for(rig, [d.channel], x, made.played) for d, (x, _) in zip(rig.driver, own, strict=True)
    )
    sources = Sources("driver", rig.driver_names, singles, tuple(g for _, g in own), shapes)
    return plan_together(rig, name, sources, made, (NEAR if name == "device" else 1.0) / float(np.sqrt(len(own))))


def plan_together(rig: Description, name: FixedSet, sources: Sources, made: Timing, level: float) -> Plan:
    """The plan of one capture of some sources at fixed microphones.

    Parameters
    ----------
    sources
        Made for ``made.played``.
    level
        Of each source over its own, linear.

    Raises
    ------
    TooLoud
        Their sum would pass a ceiling.
    """
    starts = tuple(i * made.wait for i in range(len(sources.names)))
    sweep, played = made.sweep, made.played
    long = synchronised(sweep.band, (len(sweep.x) + starts[-1]) / rig.fs, rig.fs)
    silence = max(len(sweep.x) + starts[-1] - len(long.x), 0) + made.tail
    loop = stimulus(long, float(np.max(np.abs(played))), silence)
    outputs = np.zeros((rig.outputs, len(loop)), dtype=np.float32)
    for start, one in zip(starts, sources.signals, strict=True):
        outputs[:, start : start + one.shape[1]] += np.float32(level) * one[:, : len(loop) - start]
    outputs[rig.interface.loopback.out - 1] = loop
    at = [(Pose(), (0.0, 0.0, 0.0, 0.0, 0.0, name))]
    together = OverlappedSignal(starts, outputs, loop, long, level)
    return plans.plan_of(rig, name, sources, sweep, played, at, kept=(made.before, made.after), together=together)


def _fitted(rig: Description, count: int, before: int, after: int, tail: int, seconds: float) -> tuple[int, Sweep]:
    """The shortest wait that keeps windows and harmonics apart, and the longest sweep that then fits."""
    step = max(round(STEP_S * rig.fs), 1)
    for wait in range(before + after, round(LONGEST_S * rig.fs), step):
        last = (count - 1) * wait
        length = _longest(rig, last, tail, seconds)
        if length is None:
            break
        if count == 1 or _apart(rig, length, wait, before, after):
            return wait, synchronised(rig.sweep.band_hz, length, rig.fs)
    raise BadInput(
        f"rig {rig.name!r}: {count} drivers do not fit into one capture of {LONGEST_S:g} s with "
        f"{1000.0 * (before + after) / rig.fs:.0f} ms of each response: shorten sweep.before_ms and sweep.after_ms, or "
        "raise the lower edge of sweep.band_hz"
    )


def _longest(rig: Description, last: int, tail: int, seconds: float) -> float | None:
    """The longest sweep, s, with which the last source ends in time: whole cycles make it longer or shorter."""
    left = min(LONGEST_S - (last + tail) / rig.fs, seconds)
    while left >= SHORTEST_S:
        samples = whole(rig.sweep.band_hz, left, rig.fs)[1]
        long = whole(rig.sweep.band_hz, (samples + last) / rig.fs, rig.fs)[1]
        if max(samples + last, long) + tail <= LONGEST_S * rig.fs:
            return left
        left -= 0.01
    return None


def _apart(rig: Description, seconds: float, wait: int, before: int, after: int) -> bool:
    """Whether no harmonic of a source falls into the window of another."""
    rate = whole(rig.sweep.band_hz, seconds, rig.fs)[0] / swept(rig.sweep.band_hz, rig.fs)[0]
    for n in HARMONICS:
        at = -rate * float(np.log(n)) * rig.fs % wait
        if not after < at < wait - before - HARMONIC_S * rig.fs:
            return False
    return True
