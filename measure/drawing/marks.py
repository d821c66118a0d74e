"""Marks of data in an axes' own values, and what each becomes on the canvas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sweetspot.measure.drawing.canvas import Bitmap, Box, Dash, Dots, Item, Letters, Stroke, runs, thinned
from sweetspot.measure.drawing.colours import Bytes
from sweetspot.rigs.units import Float

Place = Callable[[object, object], Float]
"""From values ``x, y`` to points ``(point, 2)`` on the canvas."""

HATCHES = {"////": (1.0,), "xxxx": (1.0, -1.0)}
"""Slopes of the lines of a hatching."""

SPACING = 3.0
"""Of a hatching, points."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A line through values, with or without a sign at each."""

    x: Float
    y: Float
    colour: str
    width: float
    dash: Dash = ()
    alpha: float = 1.0
    sign: str = ""
    size: float = 6.0
    face: str = ""

    def items(self, place: Place, box: Box) -> list[Item]:
        """What it becomes."""
        points = place(self.x, self.y)
        lines = [thinned(r) for r in runs(points)]
        found: list[Item] = []
        if self.width > 0.0:
            found.append(Stroke(lines, self.colour, self.width, dash=self.dash, alpha=self.alpha, clip=box))
        return found + (self._signs(points[np.isfinite(points).all(axis=-1)]) if self.sign else [])

    def _signs(self, at: Float) -> list[Item]:
        half, edge = 0.5 * self.size, 1.5
        if self.sign == "o":
            return [Dots(at, half, fill=self.face, colour=self.colour, width=edge)]
        shapes = {
            "_": [[(-half, 0.0), (half, 0.0)]],
            "+": [[(-half, 0.0), (half, 0.0)], [(0.0, -half), (0.0, half)]],
            "s": [[(-half, -half), (half, -half), (half, half), (-half, half)]],
        }
        strokes = [p + np.array(line) for p in at for line in shapes[self.sign]]
        closed = self.sign == "s"
        return [Stroke(strokes, self.colour, edge, fill=self.face if closed else "", closed=closed)]


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Lines with ends of their own, each ``(point, 2)`` in values."""

    lines: Sequence[Float]
    colour: str
    width: float
    alpha: float = 1.0

    def items(self, place: Place, box: Box) -> list[Item]:
        """What they become."""
        each = [place(line[:, 0], line[:, 1]) for line in self.lines]
        return [Stroke(each, self.colour, self.width, alpha=self.alpha, clip=box)]


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """The area between two curves."""

    x: Float
    low: Float
    high: Float
    colour: str
    alpha: float

    def items(self, place: Place, box: Box) -> list[Item]:
        """What it becomes."""
        around = np.vstack([place(self.x, self.high), place(self.x, self.low)[::-1]])
        return [Stroke([around], fill=self.colour, alpha=self.alpha, closed=True, clip=box)]


@dataclass(frozen=True, slots=True, eq=False)
class Rectangles:
    """Rectangles ``(number, 4)``: first and second ``x``, first and second ``y``; hatched or not."""

    corners: Float
    colour: str
    alpha: float = 1.0
    hatch: str = ""
    edge: str = ""

    def items(self, place: Place, box: Box) -> list[Item]:
        """What they become."""
        a, b = place(self.corners[:, 0], self.corners[:, 2]), place(self.corners[:, 1], self.corners[:, 3])
        a, b = np.minimum(a, b), np.maximum(a, b)
        shapes = [np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]) for (x0, y0), (x1, y1) in zip(a, b, strict=True)]
        found: list[Item] = [Stroke(shapes, self.edge, 0.4, fill=self.colour, alpha=self.alpha, closed=True, clip=box)]
        if self.hatch == "....":
            return [*found, Dots(np.vstack([_dotted(*s[[0, 2]].ravel()) for s in shapes]), 0.7, self.edge, clip=box)]
        if self.hatch:
            lines = [line for s in shapes for slope in HATCHES[self.hatch] for line in _slanted(s[0], s[2], slope)]
            found.append(Stroke(lines, self.edge, 0.7, clip=box))
        return found


def _slanted(first: Float, last: Float, slope: float) -> list[Float]:
    """Parallel lines of a slope inside a rectangle with these corners."""
    (x0, y0), (x1, y1) = first, last
    height, found = y1 - y0, []
    for start in np.arange(x0 - height, x1, SPACING * np.sqrt(2.0)):
        left, right = max(start, x0), min(start + height, x1)
        if right > left:
            y = y1 - (np.array([left, right]) - start)
            found.append(np.stack([[left, right], y if slope > 0.0 else y0 + y1 - y], axis=-1))
    return found


def _dotted(x0: float, y0: float, x1: float, y1: float) -> Float:
    x, y = np.meshgrid(np.arange(x0 + 1.5, x1 - 0.5, SPACING), np.arange(y0 + 1.5, y1 - 0.5, SPACING))
    return np.stack([x.ravel(), y.ravel()], axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class Ring:
    """A circle in values, drawn with dashes."""

    x: float
    y: float
    radius: float
    colour: str
    width: float
    dash: Dash = ()

    def items(self, place: Place, box: Box) -> list[Item]:
        """What it becomes."""
        angle = np.linspace(0.0, 2.0 * np.pi, 91)
        points = place(self.x + self.radius * np.cos(angle), self.y + self.radius * np.sin(angle))
        return [Stroke([points], self.colour, self.width, dash=self.dash, clip=box)]


@dataclass(frozen=True, slots=True, eq=False)
class Note:
    """A text at a place; ``shift`` is away from it in points, upwards positive. ``across`` counts x in shares."""

    x: float
    y: float
    text: str
    colour: str
    size: float
    anchor: str = "middle"
    level: str = "bottom"
    shift: tuple[float, float] = (0.0, 0.0)
    across: tuple[bool, bool] = (False, False)

    def items(self, place: Place, box: Box) -> list[Item]:
        """What it becomes."""
        x, y = place(self.x, self.y)[0]
        x = box[0] + self.x * (box[2] - box[0]) if self.across[0] else x
        y = box[3] - self.y * (box[3] - box[1]) if self.across[1] else y
        drop = {"bottom": -0.22, "center": 0.36, "top": 0.95}[self.level] * self.size
        at = (float(x) + self.shift[0], float(y) - self.shift[1] + drop)
        return [Letters(*at, self.text, self.size, self.colour, self.anchor)]


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """An image over a rectangle of values: its first row at ``y[0]``."""

    pixels: Bytes
    x: tuple[float, float]
    y: tuple[float, float]
    smooth: bool

    def items(self, place: Place, box: Box) -> list[Item]:
        """What it becomes."""
        (left, top), (right, bottom) = place(self.x, self.y)
        pixels = self.pixels
        if left > right:
            left, right, pixels = right, left, pixels[:, ::-1]
        if top > bottom:
            top, bottom, pixels = bottom, top, pixels[::-1]
        return [
            Bitmap(np.ascontiguousarray(pixels), (float(left), float(top), float(right), float(bottom)), self.smooth)
        ]


Mark = Curve | Lines | Band | Rectangles | Ring | Note | Pixels
