"""What it costs to drive each driver: its usable band, as a cost matrix over frequency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rigs.describe import Driver
from rigs.units import Float

ORDER = 2
"""Outside its band a driver's cost rises as the inverse of a Butterworth magnitude of this order, squared."""


def driver_cost(drivers: Sequence[Driver], f: Float) -> Float:
    """Cost ``(frequency, driver)`` of a unit of power: 1 within each driver's band, rising 12 dB an octave outside."""
    x = np.maximum(f, 1.0)[:, None]
    low = np.array([d.band_hz[0] for d in drivers])
    high = np.array([d.band_hz[1] for d in drivers])
    return np.asarray(1.0 + (0.5 * low / x) ** (2 * ORDER) + (x / (1.5 * high)) ** (2 * ORDER))
