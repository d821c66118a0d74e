"""A drawing: axes in rows and columns on paper, with a title, legends and colour bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from sweetspot.rigs.drawing.axes import Axes
from sweetspot.rigs.drawing.canvas import Canvas, Rect
from sweetspot.rigs.drawing.legend import draw as draw_legend
from sweetspot.rigs.drawing.polar_axes import PolarAxes
from sweetspot.rigs.drawing.scale import Scale

INCH = 72.0
MARGINS = {"left": 0.66, "right": 0.12, "bottom": 0.52, "top": 0.33}
"""Around the axes, inches."""

_BAR, _BESIDE, _NAMES = 8.0, 9.0, 42.0
"""Width of a colour bar, and what is free at its left and at its right, points."""


class Drawing:
    """Paper with axes.

    Parameters
    ----------
    size
        Width and height, inches.
    margins
        Inches, see :data:`MARGINS`.
    """

    def __init__(self, size: tuple[float, float], **margins: float) -> None:
        self.width, self.height = INCH * size[0], INCH * size[1]
        self.axes: list[Axes | PolarAxes] = []
        self._margins = {name: INCH * value for name, value in (MARGINS | margins).items()}
        self._titles: list[tuple[str, float]] = []
        self._bars: list[tuple[Axes, Sequence[Axes]]] = []
        self._legends: list[tuple[Axes | PolarAxes, int, bool]] = []

    def set_margins(self, **margins: float) -> None:
        """Change some margins, inches; before axes are made."""
        self._margins |= {name: INCH * value for name, value in margins.items()}

    def set_title(self, text: str, size: float = 12.5) -> None:
        """A title at the top left."""
        self._titles.append((text, size))

    def single(self) -> Axes:
        """Axes that fill the paper within its margins."""
        return self.grid(1, 1)[0][0]

    def grid(
        self,
        rows: int,
        columns: int,
        *,
        heights: Sequence[float] | None = None,
        widths: Sequence[float] | None = None,
        below: float = 0.35,
        beside: float = 0.15,
        share_x: bool = False,
        share_y: bool = False,
    ) -> list[list[Axes]]:
        """Axes in rows and columns.

        Parameters
        ----------
        heights, widths
            Of the rows and columns relative to one another.
        below, beside
            Free between them, inches.
        share_x, share_y
            All have one scale; its labels stand at the last row or the first column.
        """
        x, y = (Scale() if share else None for share in (share_x, share_y))
        rects = self.rects(rows, columns, heights=heights, widths=widths, below=below, beside=beside)
        made = [[self.add(rect, x, y) for rect in row] for row in rects]
        for number, row in enumerate(made):
            for column, ax in enumerate(row):
                ax.labelled_x = not share_x or number == rows - 1
                ax.labelled_y = not share_y or column == 0
        return made

    def rects(
        self,
        rows: int,
        columns: int,
        *,
        heights: Sequence[float] | None = None,
        widths: Sequence[float] | None = None,
        below: float = 0.35,
        beside: float = 0.15,
    ) -> list[list[Rect]]:
        """Places of axes; see :meth:`grid`."""
        m = self._margins
        across = _divided(m["left"], self.width - m["right"], INCH * beside, widths or [1.0] * columns)
        down = _divided(m["top"], self.height - m["bottom"], INCH * below, heights or [1.0] * rows)
        return [[(left, top, wide, tall) for left, wide in across] for top, tall in down]

    def add(self, rect: Rect, x: Scale | None = None, y: Scale | None = None) -> Axes:
        """Axes at a place in points; with scales of others to share them."""
        ax = Axes(rect, x, y)
        self.axes.append(ax)
        return ax

    def over(self, ax: Axes) -> Axes:
        """Axes at the same place with a vertical scale of their own at the right."""
        more = ax.beside()
        self.axes.append(more)
        return more

    def polar(self, rect: Rect, ends: tuple[float, float]) -> PolarAxes:
        """Polar axes at a place in points, from the first level in the middle to the last at the edge."""
        ax = PolarAxes(rect, ends)
        self.axes.append(ax)
        return ax

    def colour_bar(
        self, beside: Sequence[Axes], colors: str, ends: tuple[float, float], label: str, ticks: ArrayLike = ()
    ) -> None:
        """The scale of maps at the right of axes, which make room for it."""
        left = min(ax.rect[0] for ax in beside)
        right = max(ax.rect[0] + ax.rect[2] for ax in beside)
        share = (right - left - _BAR - _BESIDE - _NAMES) / (right - left)
        for ax in beside:
            x, y, wide, tall = ax.rect
            ax.rect = (left + share * (x - left), y, share * wide, tall)
        bar = self.bar((right - _BAR - _NAMES, 0.0, _BAR, 0.0), colors, ends, label, ticks=ticks)
        self._bars.append((bar, beside))

    def bar(self, rect: Rect, colors: str, ends: tuple[float, float], label: str, *, ticks: ArrayLike = ()) -> Axes:
        """A scale of maps at a place in points."""
        bar = Axes(rect).beside()
        self.axes.append(bar)
        bar.frameless()
        bar.set_ylim(*ends)
        bar.map(np.linspace(*ends, 255)[:, None], ends, colors, smooth=True)
        if np.size(ticks):
            bar.set_yticks(ticks)
        bar.set_ylabel(label)
        return bar

    def legend(self, ax: Axes | PolarAxes, columns: int, *, middle: bool = False) -> None:
        """Names of what is drawn in some axes, in rows at the bottom of the paper."""
        self._legends.append((ax, columns, middle))

    def canvas(self) -> Canvas:
        """All of it on paper."""
        canvas = Canvas(self.width, self.height)
        for ax in self.axes:
            ax.ready()
        for bar, beside in self._bars:
            top = min(ax.rect[1] for ax in beside)
            tall = max(ax.rect[1] + ax.rect[3] for ax in beside) - top
            bar.rect = (bar.rect[0], top, bar.rect[2], tall)
        for ax in self.axes:
            ax.draw(canvas)
        for text, size in self._titles:
            canvas.text(0.1 * INCH, 0.1 * INCH, text, size=size, va="top")
        for ax, columns, middle in self._legends:
            left = None if middle else 0.1 * INCH
            draw_legend(canvas, ax.entries, columns, bottom=self.height - 6.0, left=left)
        return canvas


def _divided(start: float, end: float, gap: float, shares: Sequence[float]) -> list[tuple[float, float]]:
    """Starts and lengths of parts with gaps between them."""
    each = (end - start - gap * (len(shares) - 1)) / sum(shares)
    found, at = [], start
    for share in shares:
        found.append((at, each * share))
        at += each * share + gap
    return found
