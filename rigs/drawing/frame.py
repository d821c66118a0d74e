"""The frame of axes: scales, ticks, labels, title and legend around what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from sweetspot.rigs.drawing.canvas import Canvas, Rect
from sweetspot.rigs.drawing.colours import GRID, SOFT
from sweetspot.rigs.drawing.legend import ROW, LegendEntry, rows_of
from sweetspot.rigs.drawing.legend import draw as draw_legend
from sweetspot.rigs.drawing.letters import SIZE, width
from sweetspot.rigs.drawing.scale import Scale
from sweetspot.rigs.units import Float

IMAGES, GRID_LINES, AREAS, LINES, FRAMES, TEXTS = 0.0, 0.5, 1.0, 2.0, 2.5, 3.0
"""Order of what is drawn, from the back."""

TICK, PAD = 3.5, 3.5
"""Length of ticks, and what is free between them and their labels, points."""

TITLE = 10.5
"""Size of titles, points."""

FRAME = 0.8
"""Width of the frame and the ticks, points."""


class Frame:
    """A rectangle on paper with a horizontal and a vertical scale.

    Parameters
    ----------
    rect
        Where, points.
    x, y
        Its scales; those of other axes to share them.
    """

    def __init__(self, rect: Rect, x: Scale | None = None, y: Scale | None = None) -> None:
        self.rect = rect
        self.x, self.y = x or Scale(), y or Scale()
        self.entries: list[LegendEntry] = []
        self.title, self.title_left = "", False
        self.labelled_x = self.labelled_y = True
        self.bare = False
        self.hidden = False
        self.legend = 0
        self.tick = TICK
        self.ylabel_size = SIZE
        self.at_right = False
        self._grid = ""
        self._grid_width = 0.7
        self._equal = False
        self._ylabel_low = False
        self._marks: list[tuple[float, Callable[[Canvas], None]]] = []

    def set_xlim(self, low: float, high: float) -> None:
        """Ends of the horizontal scale, left and right."""
        self.x.ends = (float(low), float(high))

    def set_ylim(self, low: float, high: float) -> None:
        """Ends of the vertical scale, bottom and top."""
        self.y.ends = (float(low), float(high))

    def set_xticks(self, at: ArrayLike, names: Sequence[str] | None = None) -> None:
        """Ticks of the horizontal scale; see :meth:`Scale.set_ticks`."""
        self.x.set_ticks(at, names)

    def set_yticks(self, at: ArrayLike, names: Sequence[str] | None = None) -> None:
        """Ticks of the vertical scale; see :meth:`Scale.set_ticks`."""
        self.y.set_ticks(at, names)

    def set_xlabel(self, text: str) -> None:
        """Name of the horizontal scale."""
        self.x.label = text

    def set_ylabel(self, text: str, *, size: float = SIZE, low: bool = False) -> None:
        """Name of the vertical scale, at its lower end if ``low``."""
        self.y.label, self.ylabel_size, self._ylabel_low = text, size, low

    def set_title(self, text: str, *, left: bool = False) -> None:
        """A title above, in the middle or at the left."""
        self.title, self.title_left = text, left

    def grid(self, which: str = "xy", width: float = 0.7) -> None:
        """Lines behind everything at the ticks of these scales; none if empty."""
        self._grid, self._grid_width = which, width

    def set_equal(self) -> None:
        """One scale in both directions: the axes become smaller in one of them."""
        self._equal = True

    def frameless(self) -> None:
        """No frame and no ticks."""
        self.bare, self.tick = True, 0.0

    def set_legend(self, columns: int = 6) -> None:
        """Names of what is drawn, in rows above the axes."""
        self.legend = columns

    def across(self, x: ArrayLike) -> Float:
        """Places on paper from the left, points."""
        return np.asarray(self.rect[0] + self.rect[2] * self.x.share(x))

    def down(self, y: ArrayLike) -> Float:
        """Places on paper from the top, points."""
        return np.asarray(self.rect[1] + self.rect[3] * (1.0 - self.y.share(y)))

    def ready(self) -> None:
        """Take the final size, once limits and names are known: each further row of names takes its height."""
        if more := rows_of(self.entries, self.legend) - 1 if self.legend else 0:
            left, top, wide, tall = self.rect
            self.rect = (left, top + ROW * more, wide, tall - ROW * more)
        if self._equal:
            left, top, wide, tall = self.rect
            each = min(wide / abs(np.diff(self.x.limits())[0]), tall / abs(np.diff(self.y.limits())[0]))
            new_w, new_h = each * abs(np.diff(self.x.limits())[0]), each * abs(np.diff(self.y.limits())[0])
            self.rect = (left + 0.5 * (wide - new_w), top + 0.5 * (tall - new_h), new_w, new_h)

    def draw(self, canvas: Canvas) -> None:
        """Draw everything on paper."""
        if self.hidden:
            return
        marks = sorted([*self._marks, (GRID_LINES, self._draw_grid), (FRAMES, self._draw_frame)], key=lambda m: m[0])
        for _, drawing in marks:
            drawing(canvas)

    def _add(self, order: float, drawing: Callable[[Canvas], None]) -> None:
        self._marks.append((order, drawing))

    def _ticks(self) -> tuple[Float, list[str], Float, list[str]]:
        _, _, wide, tall = self.rect
        across = self.x.ticks(int(np.clip(wide / (3.0 * SIZE), 1, 9)))
        return *across, *self.y.ticks(int(np.clip(tall / (2.0 * SIZE), 1, 9)))

    def _draw_grid(self, canvas: Canvas) -> None:
        left, top, wide, tall = self.rect
        x, _, y, _ = self._ticks()
        lines = [np.array([[at, top], [at, top + tall]]) for at in self.across(x)] if "x" in self._grid else []
        if "y" in self._grid:
            lines += [np.array([[left, at], [left + wide, at]]) for at in self.down(y)]
        canvas.path(lines, stroke=GRID, width=self._grid_width)

    def _draw_frame(self, canvas: Canvas) -> None:
        left, top, wide, tall = self.rect
        bottom, right = top + tall, left + wide
        x, names, y, levels = self._ticks()
        beneath = bottom + PAD + self.tick
        if not self.at_right:
            ticks = [np.array([[at, bottom], [at, bottom + self.tick]]) for at in self.across(x)]
            frame = [np.array([[left, top], [left, bottom], [right, bottom]])]
            ticks += [np.array([[left - self.tick, at], [left, at]]) for at in self.down(y)]
        else:
            frame, ticks = [], [np.array([[right, at], [right + self.tick, at]]) for at in self.down(y)]
        if not self.bare:
            canvas.path(frame, stroke=SOFT, width=FRAME)
        if self.tick and not self.bare:
            canvas.path(ticks, stroke=SOFT, width=FRAME)
        if self.labelled_x:
            for at, name in zip(self.across(x), names, strict=True):
                canvas.text(float(at), beneath, name, ha="middle", va="top")
            if self.x.label:
                canvas.text(left + 0.5 * wide, beneath + (1.2 * SIZE + 1.0) * bool(names), self.x.label, ha="middle",
                            va="top")  # fmt: skip
        self._draw_levels(canvas, y, levels)
        if self.title:
            at, ha = (left, "start") if self.title_left else (left + 0.5 * wide, "middle")
            canvas.text(at, top - 6.0, self.title, size=TITLE, ha=ha, va="bottom")
        if self.legend:
            draw_legend(canvas, self.entries, self.legend, left=left, bottom=top - 2.0)

    def _draw_levels(self, canvas: Canvas, y: Float, names: Sequence[str]) -> None:
        """Labels of the vertical scale and its name."""
        if not self.labelled_y:
            return
        left, top, wide, tall = self.rect
        away = self.tick + PAD
        at, ha = (left + wide + away, "start") if self.at_right else (left - away, "end")
        for level, name in zip(self.down(y), names, strict=True):
            canvas.text(at, float(level), name, ha=ha, va="middle")
        if self.y.label:
            more = max((width(name) for name in names), default=0.0) + 4.0
            place, va = (at + more, "top") if self.at_right else (at - more, "bottom")
            middle, how = (top + tall, "start") if self._ylabel_low else (top + 0.5 * tall, "middle")
            canvas.text(place, middle, self.y.label, size=self.ylabel_size, ha=how, va=va, turned=True)
