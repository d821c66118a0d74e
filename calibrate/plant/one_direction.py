"""The substitute for a missing polar set: the nominal head position, a single direction ahead.

One direction does not define a beam: the centre becomes all drivers in phase at the listener, and metrics of other
directions (contrast, directivity) are not judged.
"""

from __future__ import annotations

import numpy as np

from sweetspot.calibrate.plant.errors import MeasurementError
from sweetspot.measure.impulse import POSITION, ImpulseResponse

FEWEST = 3
"""Smallest number of directions for a beam."""

TEXT = "no polar set: the centre plays all drivers in phase at the listener, and no beam is judged"


def stand_in(ears: ImpulseResponse, row: int) -> ImpulseResponse:
    """A polar set of one direction: the mean of both ears' responses at a position, straight ahead of the device.

    Parameters
    ----------
    ears
        Of the paths to the head, or of the processor's output there.
    """
    p = ears.positions[row]
    table = np.array([(0.0, p["x"], p["y"], p["z"], 0.0, "polar")], dtype=POSITION)
    h = ears.h[row].mean(axis=0)[None, None]
    snr = ears.snr_db[row].min(axis=0)[None, None]
    return ImpulseResponse(
        h,
        ears.fs,
        positions=table,
        mics=("head",),
        drivers=ears.drivers,
        zero=ears.zero,
        unit=ears.unit,
        snr_db=snr,
        band=ears.band,
    )


def stand_in_error(error: MeasurementError, row: int) -> MeasurementError:
    """Errors of :func:`stand_in`: both ears' noise, independent."""
    stderr = np.sqrt(np.sum(error.stderr[row] ** 2, axis=0)) / error.stderr.shape[1]
    drift = error.drift
    return MeasurementError(
        stderr[None, None], drift if isinstance(drift, float) else drift[row].mean(axis=0)[None, None]
    )


def has_directions(polar: ImpulseResponse) -> bool:
    """Whether a polar set is one, not :func:`stand_in`."""
    return len(polar.positions) >= FEWEST
