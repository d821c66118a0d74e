"""Arrays in records (``frozen()``), and search for many unknowns at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sweetspot.rigs.units import Float


def frozen(
    name: str, value: ArrayLike, *, ndim: int, dtype: DTypeLike | None = np.float64, finite: bool = True
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
        Type of the copy; ``None`` keeps that of the value.
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


def median(values: ArrayLike) -> float:
    """Median of all values, of which there is at least one; NaN if one of them is.

    The same as NumPy's, which loads its masked arrays for it: 20 ms.
    """
    row = np.sort(np.ravel(np.asarray(values, dtype=np.float64)))
    return float(row[-1] if np.isnan(row[-1]) else 0.5 * (row[(len(row) - 1) // 2] + row[len(row) // 2]))


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


COARSE, FINE = 8, 4
"""Halvings and secant steps of :func:`crossing`."""

Rows = NDArray[np.intp]


def crossing(
    over: Callable[[Rows], Callable[[Float], Float]],
    ends: tuple[Float, Float],
    bounds: tuple[float, float],
    halvings: int,
) -> Float:
    """What :func:`bisected` finds where the condition is ``over >= 0``, of functions that rise: in a tenth of the time.

    Only numbers that lie between the bounds are looked for: by halvings to a few thousandths of the interval, then by
    secant steps within it, which gain digits by powers. The result is the next point that bisection would reach.

    Parameters
    ----------
    over
        For some rows, the function that gives of their numbers by how much each is larger than necessary, in any unit,
        best nearly linear over their logarithm.
    ends
        Its values ``(size,)`` at both bounds.
    bounds, halvings
        As of :func:`bisected`; where the lower one is large enough it is the result.
    """
    start, end = (float(np.log(b)) for b in bounds)
    under, above = ends
    result = np.where(under >= 0.0, *bounds)
    rows = np.flatnonzero((under < 0.0) & (above >= 0.0))
    if not len(rows):
        return result
    of = over(rows)
    low, high = np.full(len(rows), start), np.full(len(rows), end)
    under, above = under[rows], above[rows]
    for _ in range(min(COARSE, halvings)):
        x = 0.5 * (low + high)
        found = of(np.exp(x))
        there = found >= 0.0
        low, high = np.where(there, low, x), np.where(there, x, high)
        under, above = np.where(there, under, found), np.where(there, found, above)
    last, before = (high, above), (low, under)
    root = _secant(last, before, low, high)
    for _ in range(FINE):
        found = of(np.exp(root))
        there = found >= 0.0
        low, high = np.where(there, low, root), np.where(there, root, high)
        last, before = (root, found), last
        root = _secant(last, before, low, high)
    step = (end - start) / 2.0**halvings
    result[rows] = np.exp(start + step * np.clip(np.ceil((root - start) / step), 1.0, 2.0**halvings))
    return result


def _secant(last: tuple[Float, Float], before: tuple[Float, Float], low: Float, high: Float) -> Float:
    """Zero of the line through two points ``(x, value)``, within bounds; where it is level the last point."""
    slope = (last[1] - before[1]) / np.where(last[0] == before[0], np.inf, last[0] - before[0])
    return np.clip(last[0] - np.where(slope > 0.0, last[1] / np.where(slope > 0.0, slope, 1.0), 0.0), low, high)
