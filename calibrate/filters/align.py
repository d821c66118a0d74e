"""Delays that bring the programs to the listener at the same time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.units import Float


def later_by(arrivals: Float, fs: int) -> NDArray[np.intp]:
    """Delay of each program, in whole samples, to arrive with the last one."""
    return np.asarray(np.round((np.max(arrivals) - arrivals) * fs), dtype=np.intp)
