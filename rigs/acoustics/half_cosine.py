"""Half-cosine edges of windows over time, and of weights over frequency."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sweetspot.rigs.units import Float


def rise(x: ArrayLike) -> Float:
    """Half a cosine from 0 at ``x = 0`` to 1 at ``x = 1``, constant beyond."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(x, 0.0, 1.0)))


def fall(x: ArrayLike) -> Float:
    """Half a cosine from 1 at ``x = 0`` to 0 at ``x = 1``, constant beyond."""
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(x, 0.0, 1.0)))


def window(taps: int, opening: int, closing: int) -> Float:
    """A window ``(taps,)`` that is 1 but for half a cosine over its first and its last taps."""
    made = np.ones(taps)
    made[:opening] = rise((np.arange(opening) + 0.5) / opening)
    made[taps - closing :] = fall((np.arange(closing) + 0.5) / closing)
    return made
