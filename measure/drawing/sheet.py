"""A figure: axes in rows and columns with just the room that their texts need, a title, a key, a scale of colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sweetspot.measure.drawing import frame, svg
from sweetspot.measure.drawing.axes import INK, SOFT, Axes
from sweetspot.measure.drawing.canvas import Bitmap, Box, Canvas, Letters, Stroke
from sweetspot.measure.drawing.colours import shades
from sweetspot.measure.drawing.lettering import LINE, width
from sweetspot.measure.drawing.scale import Scale

INCH = 72.0
BAR, BAR_GAP = 10.0, 10.0
"""Width of a scale of colours and its distance from the axes, points."""
TEXT, TITLE = 10.0, 12.5


@dataclass(slots=True, eq=False)
class Sheet:
    """A sheet with axes.

    Parameters
    ----------
    size
        Width and height, inches.
    title
        Above everything.
    paper
        Colour of the sheet; empty for none.
    """

    size: tuple[float, float]
    title: str = ""
    paper: str = ""
    gap: float = 8.0
    """Between rows and columns of axes, points."""
    _cells: list[tuple[Axes, int, int, int]] = field(default_factory=list)
    _heights: Sequence[float] = (1.0,)
    _columns: int = 1
    _bar: tuple[str, Scale] | None = None
    _keyed: bool = False

    @property
    def axes(self) -> list[Axes]:
        """All axes, in reading order."""
        return [a for a, *_ in self._cells]

    def ax(self) -> Axes:
        """One axes over the whole sheet."""
        return self.grid(1, 1)[0]

    def grid(self, rows: int, columns: int, *, heights: Sequence[float] | None = None, count: int | None = None,
             shared: str = "") -> list[Axes]:  # fmt: skip
        """Axes in rows and columns, the first ``count`` of them; ``heights`` are those of rows, relative.

        Scales that are ``shared`` (``x``, ``y`` or both) have texts at the outside alone.
        """
        total = rows * columns if count is None else count
        self._heights, self._columns = heights or [1.0] * rows, columns
        self._cells = [(Axes(), i // columns, i % columns, 1) for i in range(total)]
        for i, axes in enumerate(self.axes):
            axes.frame.bottom = "x" not in shared or i + columns >= total
            axes.frame.left = "y" not in shared or i % columns == 0
        if "x" in shared:
            scale = Scale()
            for axes in self.axes:
                axes.x = scale
        if "y" in shared:
            scale = Scale()
            for axes in self.axes:
                axes.y = scale
        return self.axes

    def beneath(self, columns: int, count: int) -> tuple[Axes, list[Axes]]:
        """One axes over the whole width and ``count`` in rows of so many beneath it."""
        rows = 1 + -(-count // columns)
        self._heights, self._columns = [1.0] * rows, columns
        self._cells = [(Axes(), 0, 0, columns)]
        self._cells += [(Axes(), 1 + i // columns, i % columns, 1) for i in range(count)]
        return self.axes[0], self.axes[1:]

    def bar(self, colours: str, low: float, high: float, label: str, ticks: Sequence[float] | None = None) -> None:
        """A scale of colours at the right."""
        scale = Scale(low=low, high=high, label=label, ticks=None if ticks is None else np.asarray(ticks, dtype=float))
        self._bar = (colours, scale)

    def key(self) -> None:
        """The key of the first axes beneath all."""
        self._keyed = True

    def boxes(self) -> list[Box]:
        """Where each axes is on the sheet, points."""
        left, top, right, bottom = self._inside()
        size = 0.9 * (right - left) / self._columns, 0.85 * (bottom - top) / len(self._heights)
        first = self._placed([(size[0] * wide, size[1]) for *_, wide in self._cells])
        return self._placed([(c - a, d - b) for a, b, c, d in first])  # names may need another row there

    def _placed(self, sizes: Sequence[tuple[float, float]]) -> list[Box]:
        """Boxes with the room that axes of about these sizes need around them."""
        left, top, right, bottom = self._inside()
        rows = len(self._heights)
        share = np.asarray(self._heights) / sum(self._heights)
        lefts, rights = np.zeros(self._columns), np.zeros(self._columns)
        aboves, belows = np.zeros(rows), np.zeros(rows)
        for (axes, row, column, wide), size in zip(self._cells, sizes, strict=True):
            a, b, c, d = axes.frame.room(axes.x, axes.y, axes.samples, size)
            if axes.twin is not None:
                c = max(c, axes.twin.frame.room(axes.x, axes.twin.y, (), size)[2])
            last = column + wide - 1
            lefts[column], rights[last] = max(lefts[column], a), max(rights[last], c)
            aboves[row], belows[row] = max(aboves[row], b), max(belows[row], d)
        free = right - left - lefts.sum() - rights.sum() - self.gap * (self._columns - 1)
        high = bottom - top - aboves.sum() - belows.sum() - self.gap * (rows - 1)
        each, found = free / self._columns, []
        for _, row, column, wide in self._cells:
            x = left + lefts[: column + 1].sum() + rights[:column].sum() + column * (each + self.gap)
            end = column + wide
            x_end = left + lefts[:end].sum() + rights[: end - 1].sum() + end * each + (end - 1) * self.gap
            y = top + aboves[: row + 1].sum() + belows[:row].sum() + high * share[:row].sum() + row * self.gap
            found.append((float(x), float(y), float(x_end), float(y + high * share[row])))
        return found

    def _inside(self) -> Box:
        """The sheet without title, scale of colours and key."""
        width_pt, height_pt = INCH * self.size[0], INCH * self.size[1]
        right, bottom = width_pt - 5.0, height_pt - 5.0
        if self._bar is not None:
            right -= self._bar_room()
        if self._keyed:
            bottom -= 1.6 * TEXT * len(frame.rows(self.axes[0].samples, width_pt - 16.0))
        return 5.0, 5.0 + (1.5 * TITLE if self.title else 0.0), right, bottom

    def _bar_room(self) -> float:
        assert self._bar is not None
        names = self._bar[1].ticked(7)[1]
        return BAR_GAP + BAR + 7.0 + max(width(n, TEXT) for n in names) + LINE * TEXT + 4.0

    def canvas(self) -> Canvas:
        """Everything drawn."""
        sheet = Canvas(INCH * self.size[0], INCH * self.size[1], self.paper)
        boxes = self.boxes()
        for axes, box in zip(self.axes, boxes, strict=True):
            axes.draw(sheet, box)
        if self.title:
            sheet.draw(Letters(7.0, 5.0 + TITLE, self.title, TITLE, INK))
        if self._bar is not None:
            top, bottom = min(b[1] for b in boxes), max(b[3] for b in boxes)
            self._draw_bar(sheet, max(b[2] for b in boxes) + BAR_GAP, top, bottom)
        if self._keyed:
            self._draw_key(sheet)
        return sheet

    def _draw_bar(self, sheet: Canvas, x: float, top: float, bottom: float) -> None:
        assert self._bar is not None
        colours, scale = self._bar
        low, high = scale.ends()
        pixels = shades(np.linspace(high, low, 128)[:, None], low, high, colours)
        sheet.draw(Bitmap(pixels, (x, top, x + BAR, bottom), smooth=True))
        ticks, names = scale.ticked(7)
        at = bottom - scale.share(ticks) * (bottom - top)
        sheet.draw(Stroke([np.array([(x + BAR, a), (x + BAR + 3.5, a)]) for a in at], SOFT, 0.8))
        sheet.draw(*(Letters(x + BAR + 7.0, a + 0.36 * TEXT, n, TEXT, INK) for a, n in zip(at, names, strict=True)))
        away = x + BAR + 7.0 + max(width(n, TEXT) for n in names) + LINE * TEXT
        sheet.draw(Letters(away, 0.5 * (top + bottom), scale.label, TEXT, INK, "middle", turned=True))

    def _draw_key(self, sheet: Canvas) -> None:
        rows = frame.rows(self.axes[0].samples, sheet.width - 16.0)
        for number, row in enumerate(rows):
            base = sheet.height - 7.0 - (len(rows) - 1 - number) * 1.6 * TEXT
            frame.key_row(sheet, row, 0.5 * (sheet.width - frame.row_width(row)), base)

    def element(self, name: str, alt: str, colours: Mapping[str, str]) -> str:
        """The figure as an element of a page; see :func:`svg.element`."""
        return svg.element(self.canvas(), name, alt, colours)

    def file(self, kind: str, dpi: float = 130.0) -> bytes:
        """The figure as the bytes of a file: ``svg``, ``pdf`` or ``png`` with so many pixels an inch."""
        if kind == "svg":
            return svg.file(self.canvas()).encode()
        if kind == "pdf":
            from sweetspot.measure.drawing import pdf

            return pdf.file(self.canvas())
        from sweetspot.measure.drawing import raster  # Pillow only where there are pixels

        return raster.file(self.canvas(), dpi)
