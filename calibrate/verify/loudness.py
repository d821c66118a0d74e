"""Level of a verification: the unit's own responses predict the SPL of its sweeps at the ears."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.judge import loudest_db, uncalibrated
from sweetspot.measure.plan import Plan
from sweetspot.rigs.acoustics import SignalBlocks
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import from_db

UNDER_LIMIT_DB = 1.0
"""Margin of a verification below the rig's SPL limit, dB, as other positions may be louder."""

ROUGH_DB = 0.01
"""What single precision may miss of a level, dB; a thousand times as much as it does."""


def within(rig: Description, heard: Plan, measured: ImpulseResponse) -> float:
    """Share of a plan's level, linear, at which no stimulus passes the rig's loudest level at any measured place.

    Parameters
    ----------
    heard
        Plays on the drivers' outputs.
    measured
        Responses of the drivers at the ears; 1 where their levels are not known.
    """
    if measured.unit != "Pa/FS" or uncalibrated(rig, rig.ear_mics):
        return 1.0
    outputs, taps = [d.channel - 1 for d in rig.driver], measured.h.shape[-1]
    signals = [signal[outputs] for signal in heard.sources.signals]
    rough = [SignalBlocks(x.astype(np.float32), taps) for x in signals]  # half the time, and one place fits the cache
    near = []
    for h in measured.h:
        response = rough[0].response(h)
        near.append([_loudest(played.through(response, taps), rig.fs) for played in rough])
    loudest = np.argwhere(np.array(near) > np.max(near) - ROUGH_DB)
    exact = (SignalBlocks(signals[s].astype(np.float64), taps).filtered(measured.h[place]) for place, s in loudest)
    level = max(_loudest(x, rig.fs) for x in exact)
    return min(1.0, float(from_db(rig.limits.loudest_db_spl - UNDER_LIMIT_DB - level)))


def _loudest(x: NDArray[np.floating], fs: int) -> float:
    """Highest level of signals ``(ear, samples)`` in pascal, dB SPL."""
    return loudest_db(x, np.ones(len(x)), fs)[0]
