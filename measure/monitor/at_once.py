"""One capture of at most two seconds in which every driver plays, for microphones that stay where they are.

Drivers start one constant wait apart, so long that neither a kept response nor the harmonics that come before it
(``L ln n``) fall into another driver's window. Nothing moves, nothing is asked, and nothing was measured before: the
wait follows from the sweep alone. Hum, bursts and the noise floor are judged in the same capture as in any other.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from sweetspot.measure import plan as plans
from sweetspot.measure.impulse import POSITION
from sweetspot.measure.plan import OverlappedSignal, Plan, Sources
from sweetspot.measure.shot import ALL, Capture
from sweetspot.measure.sweep import Sweep, stimulus, synchronised, whole
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protection import check_outputs, protections
from sweetspot.rigs.rig_file import Description, Mic
from sweetspot.rigs.units import from_db

FixedSet = Literal["monitor", "device"]
FIXED: tuple[FixedSet, ...] = ("monitor", "device")
"""Sets of such microphones, by their ``use``."""

LONGEST_S = 2.0
BEFORE_S, AFTER_S = 0.010, 0.040
"""What is kept of each response at most: microphones are near, and the box absorbs."""

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
            f'rig {rig.name!r} has no [[mic]] with use = "{name}": give 1 to 4 microphones that use and a place, such '
            "as at = [1.0, 0.0, 0.0]"
        )
    return mics


def plan_at_once(rig: Description, name: FixedSet) -> Plan:
    """The plan of one capture of all drivers.

    Raises
    ------
    BadInput
        The rig has no such microphones, or its drivers do not fit into :data:`LONGEST_S`.
    TooLoud
        The stimulus would pass a ceiling.
    """
    mics, count = microphones(rig, name), len(rig.driver)
    before = round(min(BEFORE_S, rig.sweep.before_ms / 1000.0) * rig.fs)
    after = round(min(AFTER_S, rig.sweep.after_ms / 1000.0) * rig.fs)
    tail = after + round(LATENCY_S * rig.fs)
    wait, sweep = _fitted(rig, before, after, tail)
    played = stimulus(sweep, float(from_db(rig.sweep.level_dbfs)), tail)
    shapes = protections(rig)
    own = [plans.for_driver(rig, d, s, played) for d, s in zip(rig.driver, shapes, strict=True)]
    level = (NEAR if name == "device" else 1.0) / np.sqrt(count)
    starts = tuple(i * wait for i in range(count))
    long = synchronised(sweep.band, (len(sweep.x) + starts[-1]) / rig.fs, rig.fs)
    loop = stimulus(long, float(np.max(np.abs(played))), max(len(sweep.x) + starts[-1] - len(long.x), 0) + tail)
    signals = np.zeros((count, len(loop)), dtype=np.float32)
    for row, start, (x, _) in zip(signals, starts, own, strict=True):
        row[start : start + x.shape[1]] = level * x[0, : len(loop) - start]
    outputs = plans.outputs_for(rig, [d.channel for d in rig.driver], signals, loop)
    check_outputs(outputs, rig, f"plan of {name}")
    singles = tuple(plans.outputs_for(rig, [d.channel], x, played) for d, (x, _) in zip(rig.driver, own, strict=True))
    sources = Sources("driver", rig.driver_names, singles, tuple(g for _, g in own), shapes)
    table = np.array([(0.0, 0.0, 0.0, 0.0, 0.0, name)], dtype=POSITION)
    captures = (Capture(0, Pose(), ALL, 0),)
    together = OverlappedSignal(starts, outputs, loop, long, float(level))
    return Plan(
        name,
        captures,
        positions=table,
        mics=mics,
        sources=sources,
        sweep=sweep,
        played=played,
        before=before,
        after=after,
        together=together,
    )


def _fitted(rig: Description, before: int, after: int, tail: int) -> tuple[int, Sweep]:
    """The shortest wait that keeps windows and harmonics apart, and the longest sweep that then fits."""
    count, step = len(rig.driver), max(round(STEP_S * rig.fs), 1)
    for wait in range(before + after, round(LONGEST_S * rig.fs), step):
        last = (count - 1) * wait
        sweep = _longest(rig, last, tail)
        if sweep is None:
            break
        if count == 1 or _apart(sweep, wait, before, after):
            return wait, sweep
    raise BadInput(
        f"rig {rig.name!r}: {count} drivers do not fit into one capture of {LONGEST_S:g} s with "
        f"{1000.0 * (before + after) / rig.fs:.0f} ms of each response: shorten sweep.before_ms and sweep.after_ms, or "
        "raise the lower edge of sweep.band_hz"
    )


def _longest(rig: Description, last: int, tail: int) -> Sweep | None:
    """The longest sweep with which the last driver ends in time: whole cycles make it longer or shorter than asked."""
    left = LONGEST_S - (last + tail) / rig.fs
    while left >= SHORTEST_S:
        samples = whole(rig.sweep.band_hz, left, rig.fs)[1]
        long = whole(rig.sweep.band_hz, (samples + last) / rig.fs, rig.fs)[1]
        if max(samples + last, long) + tail <= LONGEST_S * rig.fs:
            return synchronised(rig.sweep.band_hz, left, rig.fs)
        left -= 0.01
    return None


def _apart(sweep: Sweep, wait: int, before: int, after: int) -> bool:
    """Whether no harmonic of a driver falls into the window of another."""
    for n in HARMONICS:
        at = -sweep.rate * float(np.log(n)) * sweep.fs % wait
        if not after < at < wait - before - HARMONIC_S * sweep.fs:
            return False
    return True
