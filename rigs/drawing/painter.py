"""Hands a canvas to one of matplotlib's renderers, without its figures and axes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Shape
from matplotlib.transforms import Affine2D, Bbox
from numpy.typing import NDArray

from sweetspot.rigs.drawing.canvas import Canvas, Path, RasterImage, Text, box
from sweetspot.rigs.drawing.colours import CLEAR, PAPER


class Painted(Artist):
    """A canvas as the one thing in a figure, for renderers that need a figure."""

    def __init__(self, canvas: Canvas) -> None:
        super().__init__()
        self._canvas = canvas

    def draw(self, renderer: Any) -> None:
        """Paint it, one unit a point."""
        paint(self._canvas, renderer, 1.0)


def agg(width: float, height: float, dpi: float) -> Any:
    """A renderer of pixels for a size in points."""
    renderer: Any = RendererAgg
    return renderer(round(width * dpi / 72.0), round(height * dpi / 72.0), dpi)


def pixels(renderer: Any) -> NDArray[np.uint8]:
    """What it painted ``(row, column, 3)``."""
    return np.ascontiguousarray(np.asarray(renderer.buffer_rgba())[..., :3])


def paint(canvas: Canvas, renderer: Any, scale: float) -> None:
    """Paint all of a canvas on its paper, ``scale`` units of the renderer a point."""
    painter = _Painter(renderer, scale, canvas.height)
    painter.path(Path((box((0.0, 0.0, canvas.width, canvas.height)),), fill=PAPER, closed=True))
    for item in canvas.items:
        if isinstance(item, Path):
            painter.path(item)
        elif isinstance(item, Text):
            painter.text(item)
        else:
            painter.image(item)


class _Painter:
    """A renderer with its scale; paths are counted from the bottom there, texts from the top of some."""

    def __init__(self, renderer: Any, scale: float, height: float) -> None:
        self._renderer, self._scale, self._height = renderer, scale, height * scale
        self._place = Affine2D(np.array([[scale, 0.0, 0.0], [0.0, -scale, self._height], [0.0, 0.0, 1.0]]))

    def path(self, item: Path) -> None:
        gc = self._renderer.new_gc()
        gc.set_linewidth(item.width if item.stroke else 0.0)
        gc.set_foreground(item.stroke or item.fill)
        gc.set_alpha(item.opacity)
        gc.set_joinstyle("round")
        gc.set_capstyle("butt")
        if item.dash:
            gc.set_dashes(0.0, [d * item.width for d in item.dash])
        if item.clip is not None:
            left, top, width, height = (v * self._scale for v in item.clip)
            gc.set_clip_rectangle(Bbox.from_bounds(left, self._height - top - height, width, height))
        face = to_rgb(item.fill) if item.fill else None
        self._renderer.draw_path(gc, _shape(item), self._place, face)
        gc.restore()

    def text(self, item: Text) -> None:
        gc, font = self._renderer.new_gc(), _font(item.size, item.bold)
        gc.set_foreground(item.colour)
        share = {"start": 0.0, "middle": 0.5, "end": 1.0}[item.anchor]
        back = share * self._renderer.get_text_width_height_descent(item.text, font, False)[0] if share else 0.0
        x, y = item.x * self._scale, item.y * self._scale
        x, y = (x, y + back) if item.turned else (x - back, y)
        if not self._renderer.flipy():
            y = self._height - y
        self._renderer.draw_text(gc, x, y, item.text, font, 90.0 if item.turned else 0.0)
        gc.restore()

    def image(self, item: RasterImage) -> None:
        left, top, width, height = (v * self._scale for v in item.rect)
        columns, rows = max(round(width), 1), max(round(height), 1)
        pixels = _resampled(item, rows, columns)
        gc = self._renderer.new_gc()
        self._renderer.draw_image(gc, round(left), round(self._height - top - height), pixels[::-1])
        gc.restore()


@cache
def _font(size: float, bold: bool) -> FontProperties:
    return FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")


def _shape(item: Path) -> Shape:
    """All lines of a path as one."""
    points = np.concatenate([np.vstack([line, line[:1]]) if item.closed else line for line in item.lines])
    ends = np.cumsum([len(line) + item.closed for line in item.lines])
    codes = np.full(len(points), Shape.LINETO, dtype=Shape.code_type)
    codes[[0, *ends[:-1]]] = Shape.MOVETO
    if item.closed:
        codes[ends - 1] = Shape.CLOSEPOLY
    return Shape(points, codes)


def _resampled(item: RasterImage, rows: int, columns: int) -> NDArray[np.uint8]:
    """Pixels ``(rows, columns, 4)`` of an image: the nearest cell's, or linear between cells."""
    clear = np.where(item.cells == CLEAR, 0, 255).astype(np.uint8)
    cells = np.dstack([item.palette[item.cells], clear])
    if not item.smooth:
        at = [(np.arange(n) * size) // n for n, size in ((rows, cells.shape[0]), (columns, cells.shape[1]))]
        return np.ascontiguousarray(cells[at[0]][:, at[1]])
    found = cells.astype(np.float32)
    for axis, n in ((0, rows), (1, columns)):
        size = found.shape[axis]
        at_cell = np.clip((np.arange(n) + 0.5) * size / n - 0.5, 0.0, size - 1.0)
        below = np.minimum(at_cell.astype(int), max(size - 2, 0))
        part = (at_cell - below).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        above = np.minimum(below + 1, size - 1)
        found = found.take(below, axis) * (1.0 - part) + found.take(above, axis) * part
    return np.round(found).astype(np.uint8)
