"""The virtual calibrator: a tone of known pressure in a small cavity on one microphone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import from_db, pressure


def tone(rig: Description, start: int, samples: int) -> tuple[int, NDArray[np.float32]] | None:
    """The calibrator's signal at the input of its microphone, full scale = 1.

    Parameters
    ----------
    rig
        With ``[lab.calibrator]``, or without.
    start
        Samples since the calibrator was switched on; a leak lets its level fall from then.

    Returns
    -------
    The input (from 0) and ``(samples,)``, or ``None`` without a calibrator.
    """
    table = rig.lab.calibrator
    if table is None:
        return None
    mic = next(m for m in rig.mic if m.name == table.mic)
    t = (start + np.arange(samples)) / rig.fs
    turn = 2.0 * np.pi * table.frequency_hz * t
    wave = np.sin(turn) + table.distortion_percent / 100.0 * np.sin(2.0 * turn)
    peak = 2.0**0.5 * pressure(table.level_db_spl) * mic.per_pascal(rig.interface)
    leaked = from_db(-table.leak_db_per_s * t)
    return mic.channel - 1, np.asarray(peak * leaked * wave, dtype=np.float32)
