"""Polar axes: levels around a device, 0 degrees upwards and angles to the left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweetspot.rigs.drawing.canvas import Canvas, Dash, Rect, circle
from sweetspot.rigs.drawing.colours import GRID, SOFT
from sweetspot.rigs.drawing.legend import LegendEntry
from sweetspot.rigs.units import Float

RAYS_DEG = np.arange(0.0, 360.0, 45.0)
"""Angles with a line of their own."""

_LEVELS_DEG = 22.5
"""Where the levels of the rings stand."""


class PolarAxes:
    """A disc in a rectangle on paper.

    Parameters
    ----------
    rect
        Where, points.
    ends
        Levels at the middle and at the edge.
    """

    def __init__(self, rect: Rect, ends: tuple[float, float]) -> None:
        left, top, wide, tall = rect
        self._middle, self._radius = np.array([left + 0.5 * wide, top + 0.5 * tall]), 0.5 * min(wide, tall)
        self._ends = ends
        self.entries: list[LegendEntry] = []
        self._curves: list[tuple[Float, Float, str, float, Dash]] = []
        self._rings: tuple[Sequence[float], Sequence[str]] = ((), ())
        self._title = ""

    def plot(self, degrees: Float, level: Float, *, color: str, linewidth: float, dash: Dash, label: str) -> None:
        """A curve; levels beyond the ends are drawn at them."""
        self.entries.append(LegendEntry(label, color, linewidth, dash))
        self._curves.append((degrees, level, color, linewidth, dash))

    def set_rings(self, levels: Sequence[float], names: Sequence[str]) -> None:
        """Rings at these levels, with names."""
        self._rings = levels, names

    def set_title(self, text: str) -> None:
        """A title above."""
        self._title = text

    def ready(self) -> None:
        """Nothing is left to be known before it is drawn."""

    def draw(self, canvas: Canvas) -> None:
        """Draw everything on paper."""
        x, y = self._middle
        low, high = self._ends
        rays = [self._points(np.array([a, a]), np.array([low, high])) for a in RAYS_DEG]
        rings = [circle(x, y, self._radius * (level - low) / (high - low), 72) for level in self._rings[0]]
        canvas.path(rays, stroke=GRID, width=0.7)
        canvas.path([*rings, circle(x, y, self._radius, 96)], stroke=GRID, width=0.7, closed=True)
        for degrees, level, color, linewidth, dash in self._curves:
            line = self._points(degrees, np.clip(level, low, high))
            canvas.path([line], stroke=color, width=linewidth, dash=dash)
        for ring, name in zip(*self._rings, strict=True):
            at = self._points(np.array([_LEVELS_DEG]), np.array([ring]))[0]
            canvas.text(float(at[0]), float(at[1]), name, size=8.0, colour=SOFT, ha="middle", va="middle")
        for angle, ha, va in ((0.0, "middle", "bottom"), (90.0, "end", "middle"), (180.0, "middle", "top")):
            at = self._points(np.array([angle]), np.array([high]))[0]
            aside, down = {0.0: (0.0, -3.0), 90.0: (-4.0, 0.0), 180.0: (0.0, 3.0)}[angle]
            canvas.text(float(at[0]) + aside, float(at[1]) + down, f"{angle:g}°", size=8.5, ha=ha, va=va)
        canvas.text(x, y - self._radius - 15.0, self._title, size=10.5, ha="middle", va="bottom")

    def _points(self, degrees: Float, level: Float) -> Float:
        """Places on paper ``(point, 2)``."""
        radius = self._radius * (level - self._ends[0]) / (self._ends[1] - self._ends[0])
        turned = np.radians(degrees)
        return self._middle - np.stack([radius * np.sin(turned), radius * np.cos(turned)], axis=1)
