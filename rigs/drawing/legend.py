"""Legends: samples and names in rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweetspot.rigs.drawing.canvas import FILLED, Canvas, Dash, Rect, box, mark
from sweetspot.rigs.drawing.letters import SIZE, width

ROW = 14.4
"""Height of a row of names, points."""

_SAMPLE, _GAP, _BETWEEN = 18.0, 8.0, 13.0
"""Width of a sample, and what is free between it and its name and between columns, points."""


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A name in a legend and the look of its sample."""

    label: str
    color: str
    width: float = 1.5
    dash: Dash = ()
    marker: str = ""
    size: float = 6.0
    face: str = ""
    area: bool = False


def rows_of(entries: Sequence[LegendEntry], columns: int) -> int:
    """Rows that some names take."""
    return -(-len(entries) // columns)


def draw(
    canvas: Canvas,
    entries: Sequence[LegendEntry],
    columns: int,
    *,
    bottom: float,
    left: float | None = None,
) -> None:
    """Draw names above a line, from the left or in the middle of the paper; columns are as wide as their names."""
    if not entries:
        return
    used = min(columns, len(entries))
    each = [_SAMPLE + _GAP + max(width(e.label) for e in entries[column::columns]) for column in range(used)]
    starts = np.cumsum([0.0, *(w + _BETWEEN for w in each[:-1])])
    begin = 0.5 * (canvas.width - float(starts[-1]) - each[-1]) if left is None else left
    top = bottom - ROW * rows_of(entries, columns)
    for i, entry in enumerate(entries):
        x, y = begin + float(starts[i % columns]), top + ROW * (i // columns)
        _sample(canvas, entry, (x, y + 3.7, _SAMPLE, 7.0))
        canvas.text(x + _SAMPLE + _GAP, y + 0.5 * ROW, entry.label, size=SIZE, va="middle", kind="legend")


def _sample(canvas: Canvas, entry: LegendEntry, rect: Rect) -> None:
    left, top, wide, tall = rect
    middle = top + 0.5 * tall
    if entry.area:
        canvas.path([box(rect)], fill=entry.color, closed=True)
        return
    if entry.marker:
        lines = mark(entry.marker, left + 0.5 * wide, middle, entry.size)
        canvas.path(lines, stroke=entry.color, fill=entry.face, width=entry.width, closed=entry.marker in FILLED)
        return
    line = np.array([[left, middle], [left + wide, middle]])
    canvas.path([line], stroke=entry.color, width=entry.width, dash=entry.dash)
