"""Level of a verification: the unit's own responses predict the SPL of its sweeps at the ears."""

from __future__ import annotations

import numpy as np

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.judge import loudest_db, uncalibrated
from sweetspot.measure.plan import Plan
from sweetspot.rigs.acoustics import SignalBlocks
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import from_db

UNDER_LIMIT_DB = 1.0
"""Margin of a verification below the rig's SPL limit, dB, as other positions may be louder."""


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
    outputs = [d.channel - 1 for d in rig.driver]
    taps, pa, levels = measured.h.shape[-1], np.ones(measured.h.shape[1]), []
    for signal in heard.sources.signals:
        played = SignalBlocks(np.asarray(signal[outputs], dtype=np.float64), taps)
        levels += [loudest_db(played.filtered(h), pa, rig.fs)[0] for h in measured.h]  # one place fits the cache
    return min(1.0, float(from_db(rig.limits.loudest_db_spl - UNDER_LIMIT_DB - max(levels))))
