"""Curves on paper: no more points than can be seen, no gaps bridged; and hatching of rectangles."""

from __future__ import annotations

import numpy as np

from sweetspot.rigs.drawing.canvas import Rect, circle
from sweetspot.rigs.units import Float

COLUMN = 0.25
"""Width of the columns of which a curve keeps first, lowest, highest and last point, points: less than a pixel of an
enlarged picture."""

HATCH = {"/": 4.5, "x": 4.5, ".": 3.0}
"""Distance of the lines or dots of hatching, points."""


def drawable(x: Float, y: Float) -> list[Float]:
    """Polylines ``(point, 2)`` of a curve: its finite stretches, thinned to what can be seen."""
    there = np.isfinite(x) & np.isfinite(y)
    if there.all():
        return [_thinned(x, y)] if len(x) else []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    return [_thinned(x[a:b], y[a:b]) for a, b in edges.reshape(-1, 2)]


def _thinned(x: Float, y: Float) -> Float:
    """First, lowest, highest and last point of each column; level stretches without what lies between their ends."""
    if len(x) > 8 and len(x) * COLUMN > 2.0 * np.ptp(x) and (np.diff(x) >= 0.0).all():
        column = np.floor(x / COLUMN)
        starts = np.flatnonzero(np.diff(column, prepend=column[0] - 1.0))
        ends = np.append(starts[1:], len(x)) - 1
        number = np.cumsum(np.diff(column, prepend=column[0]) != 0.0)
        order = np.lexsort((y, number))
        kept = np.unique(np.concatenate([starts, ends, order[starts], order[ends]]))
        x, y = x[kept], y[kept]
    line = np.stack([x, y], axis=1)
    if len(line) > 2:
        level, on = np.diff(np.round(y, 2)) == 0.0, np.diff(x)
        between = level[:-1] & level[1:] & (on[:-1] * on[1:] >= 0.0)
        line = line[~np.concatenate([[False], between, [False]])]
    return line


def hatching(rect: Rect, kind: str) -> list[Float]:
    """Lines (``/``), crossing lines (``x``) or dots (``.``) within a rectangle."""
    (left, top, width, height), step = rect, HATCH[kind]
    if kind == ".":
        across = np.arange(np.ceil(left / step), np.floor((left + width) / step) + 1.0) * step
        along = np.arange(np.ceil(top / step), np.floor((top + height) / step) + 1.0) * step
        return [circle(x, y, 0.35, 6)[[0, 1, 2, 3, 4, 5, 0]] for y in along for x in across]
    # x + y is the same along a line that rises to the right
    sums = np.arange(np.ceil((left + top) / step), np.floor((left + width + top + height) / step) + 1.0) * step
    first = np.maximum(left, sums - top - height)
    last = np.minimum(left + width, sums - top)
    rising = [np.array([[a, s - a], [b, s - b]]) for a, b, s in zip(first, last, sums, strict=True) if b > a]
    if kind == "/":
        return rising
    return rising + [np.stack([2.0 * left + width - line[:, 0], line[:, 1]], axis=1) for line in rising]
