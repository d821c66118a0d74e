"""Axes: curves, areas, bars, maps, marks and texts in a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sweetspot.rigs.drawing import colours
from sweetspot.rigs.drawing.canvas import FILLED, Canvas, Dash, box, circle, mark
from sweetspot.rigs.drawing.colours import INK, SOFT
from sweetspot.rigs.drawing.curves import drawable, hatching
from sweetspot.rigs.drawing.frame import AREAS, IMAGES, LINES, TEXTS, Frame
from sweetspot.rigs.drawing.legend import LegendEntry
from sweetspot.rigs.drawing.letters import SIZE
from sweetspot.rigs.units import Float

DOTS = 1.5
"""Pixels in a point of :meth:`Axes.dots`."""


class Axes(Frame):
    """A frame with what is drawn in it."""

    def plot(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        color: str,
        linewidth: float = 1.5,
        dash: Dash = (),
        label: str = "",
        alpha: float = 1.0,
        zorder: float = LINES,
    ) -> None:
        """A curve ``(point,)``; it is interrupted where a value is not finite."""
        a, b = np.atleast_1d(np.asarray(x, dtype=float)), np.atleast_1d(np.asarray(y, dtype=float))
        self._see(a, b)
        if label:
            self.entries.append(LegendEntry(label, color, linewidth, dash))

        def draw(canvas: Canvas) -> None:
            lines = drawable(self.across(a), self.down(b))
            clip = self.rect if self._leaves(lines) else None
            canvas.path(lines, stroke=color, width=linewidth, dash=dash, opacity=alpha, clip=clip)

        self._add(zorder, draw)

    def marks(
        self,
        x: ArrayLike,
        y: ArrayLike,
        marker: str,
        *,
        color: str,
        size: float = 6.0,
        width: float = 1.0,
        face: str | None = None,
        label: str = "",
        alpha: float = 1.0,
        zorder: float = LINES,
    ) -> None:
        """Marks at points; ``face`` is the colour of their inside, by default that of the outline, empty for none."""
        a, b = np.broadcast_arrays(np.atleast_1d(np.asarray(x, dtype=float)), np.asarray(y, dtype=float))
        self._see(a, b)
        filled = marker in FILLED
        inside = (color if face is None else face) if filled else ""
        if label:
            self.entries.append(LegendEntry(label, color, width, marker=marker, size=size, face=inside))

        def draw(canvas: Canvas) -> None:
            lines = [line for px, py in zip(self.across(a), self.down(b), strict=True)
                     if np.isfinite(px) and np.isfinite(py) for line in mark(marker, px, py, size)]  # fmt: skip
            canvas.path(lines, stroke=color, fill=inside, width=width, closed=filled, opacity=alpha)

        self._add(zorder, draw)

    def shades(
        self,
        x: Float,
        y: Float,
        marker: str,
        values: Float,
        ends: tuple[float, float],
        colors: str,
        *,
        size: float,
        edge: str = "",
    ) -> None:
        """Marks at points in the colours of a scale from the first of the ends to the last."""
        palette = colours.palette(colors)
        for a, b, cell in zip(x, y, colours.cells(values, *ends), strict=True):
            face = "#" + palette[cell].tobytes().hex()
            self.marks(a, b, marker, color=edge or face, face=face, size=size)

    def dots(self, x: Float, y: Float, *, color: str, label: str) -> None:
        """Points as pixels of one image, for more of them than marks of their own can show."""
        self._see(x, y)
        self.entries.append(LegendEntry(label, color, marker="o", face=color))

        def draw(canvas: Canvas) -> None:
            left, top, wide, tall = self.rect
            shape = round(DOTS * tall), round(DOTS * wide)
            row, column = np.round(DOTS * (self.down(y) - top)), np.round(DOTS * (self.across(x) - left))
            seen = np.full(shape, colours.CLEAR, dtype=np.uint8)
            for down in (-1, 0, 1):
                for aside in (-1, 0, 1):
                    seen[np.clip(row + down, 0, shape[0] - 1).astype(int),
                         np.clip(column + aside, 0, shape[1] - 1).astype(int)] = 0  # fmt: skip
            one = np.frombuffer(bytes.fromhex(color[1:]), dtype=np.uint8)
            canvas.image(self.rect, seen, np.tile(one, (colours.CLEAR + 1, 1)), smooth=False)

        self._add(LINES, draw)

    def fill_between(self, x: Float, low: Float, high: Float, *, color: str, alpha: float) -> None:
        """The area between two curves."""
        self._see(x, low)
        self._see(x, high)
        there = np.concatenate([x, x[::-1]])
        edge = np.concatenate([high, low[::-1]])

        def draw(canvas: Canvas) -> None:
            line = np.stack([self.across(there), self.down(edge)], axis=1)
            clip = self.rect if self._leaves([line]) else None
            canvas.path([line], fill=color, opacity=alpha, closed=True, clip=clip)

        self._add(AREAS, draw)

    def vlines(self, x: Float, low: Float, high: Float, *, color: str, linewidth: float, zorder: float = LINES) -> None:
        """A vertical line at each ``x``."""
        self._see(x, low)
        self._see(x, high)

        def draw(canvas: Canvas) -> None:
            ends = np.stack([self.down(low), self.down(high)], axis=1)
            lines = [np.stack([[at, at], y], axis=1) for at, y in zip(self.across(x), ends, strict=True)]
            clip = self.rect if self._leaves(lines) else None
            canvas.path(lines, stroke=color, width=linewidth, clip=clip)

        self._add(zorder, draw)

    def axhline(self, y: float, *, color: str = SOFT, linewidth: float = 0.8, dash: Dash = ()) -> None:
        """A line over the whole width."""
        self.y.see(y)

        def draw(canvas: Canvas) -> None:
            left, _, wide, _ = self.rect
            at = float(self.down(y))
            canvas.path([np.array([[left, at], [left + wide, at]])], stroke=color, width=linewidth, dash=dash)

        self._add(LINES, draw)

    def axvline(self, x: float, *, color: str = SOFT, linewidth: float = 0.8, dash: Dash = ()) -> None:
        """A line over the whole height."""
        self.x.see(x)

        def draw(canvas: Canvas) -> None:
            _, top, _, high = self.rect
            at = float(self.across(x))
            canvas.path([np.array([[at, top], [at, top + high]])], stroke=color, width=linewidth, dash=dash)

        self._add(LINES, draw)

    def axvspan(self, low: float, high: float, *, color: str, alpha: float = 1.0) -> None:
        """A shaded range over the whole height."""

        def draw(canvas: Canvas) -> None:
            _, top, _, tall = self.rect
            a, b = sorted(self.across([low, high]))
            canvas.path([box((a, top, b - a, tall))], fill=color, opacity=alpha, closed=True, clip=self.rect)

        self._add(IMAGES, draw)

    def bar(self, x: ArrayLike, y: ArrayLike, *, width: float, color: str, label: str = "") -> None:
        """Bars from zero to ``y`` around each ``x``."""
        a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        self._see(np.concatenate([a - 0.5 * width, a + 0.5 * width]), np.concatenate([b, b]))
        self.y.see(0.0, held=True)
        if label:
            self.entries.append(LegendEntry(label, color, area=True))
        self.boxes(a - 0.5 * width, np.zeros_like(b), np.full_like(a, width), b, color=color)

    def boxes(
        self, left: Float, low: Float, wide: Float, tall: Float, *, color: str, edge: str = "", hatch: str = ""
    ) -> None:
        """Rectangles from ``(left, low)``; ``hatch`` (``/``, ``x``, ``.``) is drawn into them in the edge's colour."""
        self._see(np.concatenate([left, left + wide]), np.concatenate([low, low + tall]))

        def draw(canvas: Canvas) -> None:
            x = np.sort(np.stack([self.across(left), self.across(left + wide)]), axis=0)
            y = np.sort(np.stack([self.down(low), self.down(low + tall)]), axis=0)
            rects = [(x[0, i], y[0, i], x[1, i] - x[0, i], y[1, i] - y[0, i]) for i in range(len(left))]
            lines = [box(rect) for rect in rects]
            clip = self.rect if self._leaves(lines) else None
            canvas.path(lines, fill=color, closed=True, clip=clip)
            if hatch:
                inside = [line for rect in rects for line in hatching(rect, hatch)]
                canvas.path(inside, stroke=edge, width=0.7, clip=self.rect)
            if edge:
                canvas.path(lines, stroke=edge, width=0.6, closed=True, clip=clip)

        self._add(AREAS, draw)

    def circle(self, x: float, y: float, radius: float, *, color: str, linewidth: float = 1.0, dash: Dash = ()) -> None:
        """The outline of a circle with a radius of the scales."""

        def draw(canvas: Canvas) -> None:
            line = np.array([x, y]) + circle(0.0, 0.0, radius, 96)
            canvas.path([np.stack([self.across(line[:, 0]), self.down(line[:, 1])], axis=1)], stroke=color,
                        width=linewidth, dash=dash, closed=True)  # fmt: skip

        self._add(LINES, draw)

    def contour(self, x: Float, y: Float, z: Float, levels: Sequence[float] | Float, *, color: str, linewidth: float,
                alpha: float = 1.0) -> None:  # fmt: skip
        """Lines along which ``z (y, x)`` has one of the levels."""
        from contourpy import LineType, contour_generator

        found: Any = contour_generator(x, y, z, name="serial", line_type=LineType.Separate)
        lines: list[Float] = [line for level in levels for line in found.lines(float(level))]

        def draw(canvas: Canvas) -> None:
            shown = [p for a in lines for p in drawable(self.across(a[:, 0]), self.down(a[:, 1]))]
            clip = self.rect if self._leaves(shown) else None
            canvas.path(shown, stroke=color, width=linewidth, opacity=alpha, clip=clip)

        self._add(LINES, draw)

    def map(self, values: Float, ends: tuple[float, float], colors: str, *, smooth: bool,
            extent: tuple[float, float, float, float] | None = None) -> None:  # fmt: skip
        """Values ``(row, column)`` as colours of a scale, the first row at the bottom.

        Parameters
        ----------
        ends
            Values of the scale's first and last colour.
        extent
            Left, right, bottom and top on the scales; the whole axes by default.
        """
        if extent is not None:
            self.x.see(extent[:2], held=True)
            self.y.see(extent[2:], held=True)

        def draw(canvas: Canvas) -> None:
            shown, rect = colours.cells(values, *ends)[::-1], self.rect
            if extent is not None:
                (a, b), (low, high) = self.across(extent[:2]), self.down(extent[2:])
                shown = shown[:, ::-1] if a > b else shown
                shown = shown[::-1] if low < high else shown
                rect = (float(min(a, b)), float(min(low, high)), float(abs(b - a)), float(abs(high - low)))
            canvas.image(rect, np.ascontiguousarray(shown), colours.palette(colors), smooth=smooth)

        self._add(IMAGES, draw)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        color: str = INK,
        size: float = SIZE,
        ha: str = "start",
        va: str = "baseline",
        shift: tuple[float, float] = (0.0, 0.0),
        share: str = "",
    ) -> None:
        """Text at a place of the scales, or at a share of the width or height for the axes named in ``share``.

        Parameters
        ----------
        shift
            To the right and upwards, points.
        share
            ``x``, ``y`` or both.
        """

        def draw(canvas: Canvas) -> None:
            left, top, wide, tall = self.rect
            at = left + x * wide if "x" in share else float(self.across(x))
            down = top + (1.0 - y) * tall if "y" in share else float(self.down(y))
            canvas.text(at + shift[0], down - shift[1], text, size=size, colour=color, ha=ha, va=va)

        self._add(TEXTS, draw)

    def arrow(self, start: tuple[float, float], end: tuple[float, float], *, color: str) -> None:
        """An arrow from one place of the scales to another."""

        def draw(canvas: Canvas) -> None:
            a, b = (np.array([self.across(p[0]), self.down(p[1])]) for p in (start, end))
            along = (b - a) / np.hypot(*(b - a))
            aside = np.array([-along[1], along[0]])
            head = np.stack([b - 5.0 * along + 3.0 * aside, b, b - 5.0 * along - 3.0 * aside])
            canvas.path([np.stack([a, b]), head], stroke=color, width=1.0)

        self._add(LINES, draw)

    def beside(self) -> Axes:
        """Axes over these with a vertical scale of their own at the right."""
        more = Axes(self.rect, x=self.x)
        more.at_right, more.labelled_x = True, False
        return more

    def _see(self, x: ArrayLike, y: ArrayLike) -> None:
        self.x.see(x)
        self.y.see(y)

    def _leaves(self, lines: Sequence[Float]) -> bool:
        """Whether something reaches out of the axes by more than a line's width."""
        left, top, wide, tall = self.rect
        low, high = np.array([left - 1.0, top - 1.0]), np.array([left + wide + 1.0, top + tall + 1.0])
        return any(len(p) and bool((p.min(axis=0) < low).any() or (p.max(axis=0) > high).any()) for p in lines)
