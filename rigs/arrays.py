"""Arrays: ``frozen()`` for arrays in records, and ``bisected()``, bisection of many unknowns at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sweetspot.rigs.units import Float


def frozen(
    name: str, value: ArrayLike, *, ndim: int, dtype: DTypeLike = np.float64, finite: bool = True
) -> NDArray[Any]:
    """Return a read-only copy of ``value`` after checking its rank and that it is finite.

    An array of this type that nobody can write is returned itself.

    Parameters
    ----------
    name
        What the array is, for the message.
    value
        Anything numpy can read.
    ndim
        The rank it must have.
    dtype
        Type of the copy.
    finite
        Whether NaN and infinity are refused.

    Raises
    ------
    ValueError
        Wrong rank, or a value that is not finite.
    """
    array = np.array(value, dtype=dtype, copy=None if _is_constant(value) else True)
    if array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}: {ndim} axes are needed, it has {array.ndim}")
    if finite and not np.isfinite(array).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} holds {array[at]} at index {at}: every value must be finite")
    array.setflags(write=False)
    return array


def _is_constant(value: ArrayLike) -> bool:
    """Whether it is an array whose memory no array can write."""
    while isinstance(value, np.ndarray) and not value.flags.writeable:
        if value.base is None:
            return True
        value = value.base
    return False


def bisected(met: Callable[[Float], NDArray[np.bool_]], size: int, bounds: tuple[float, float], halvings: int) -> Float:
    """Least positive numbers ``(size,)`` at which a condition that stays once it holds is met, each by itself.

    Parameters
    ----------
    met
        Says of numbers ``(size,)`` which are large enough.
    bounds
        Within which they are looked for, on a logarithmic scale; the upper one where nothing is.
    halvings
        Of that interval.
    """
    low, high = (np.full(size, np.log(b)) for b in bounds)
    for _ in range(halvings):
        middle = 0.5 * (low + high)
        there = met(np.exp(middle))
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    return np.asarray(np.exp(high))
