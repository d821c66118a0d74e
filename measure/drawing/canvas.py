"""What a drawing comes to: lines, areas, texts and images in points, from the top left corner, in drawing order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from sweetspot.measure.drawing.colours import Bytes
from sweetspot.rigs.units import Float

Box = tuple[float, float, float, float]
"""Left, top, right, bottom; points."""

MOST_STROKES = 5000.0
"""A broken line of more than so many strokes is drawn whole."""

Dash = tuple[float, ...]
"""Lengths of strokes and gaps in widths of the line; empty for an unbroken line."""


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """Lines and areas of one look; each of ``lines`` is ``(point, 2)``."""

    lines: Sequence[Float]
    colour: str = ""
    width: float = 1.0
    dash: Dash = ()
    fill: str = ""
    alpha: float = 1.0
    closed: bool = False
    clip: Box | None = None

    @property
    def dashes(self) -> list[float]:
        """Lengths of strokes and gaps in points."""
        return [self.width * d for d in self.dash]


@dataclass(frozen=True, slots=True, eq=False)
class Dots:
    """Filled or hollow circles at ``at (point, 2)``."""

    at: Float
    radius: float
    fill: str = ""
    colour: str = ""
    width: float = 1.0
    clip: Box | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Letters:
    """A text; ``x, y`` are its anchor: start, middle or end of its first line's baseline. Upwards when ``turned``."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    anchor: str = "start"
    turned: bool = False
    kind: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Bitmap:
    """Pixels ``(row, column, 3 or 4)`` stretched over a box."""

    pixels: Bytes
    box: Box
    smooth: bool = False


Item = Stroke | Dots | Letters | Bitmap


@dataclass(slots=True, eq=False)
class Canvas:
    """A sheet of ``width`` by ``height`` points with what was drawn on it."""

    width: float
    height: float
    paper: str = ""
    items: list[Item] = field(default_factory=list)

    def draw(self, *items: Item) -> None:
        """Lay something on top of what is there."""
        self.items += items


def broken(line: Float, dashes: Sequence[float]) -> list[Float]:
    """The strokes of a broken line ``(point, 2)``, for writers that know no dashes."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    whole, period = float(along[-1]), float(sum(dashes))
    if period <= 0.0 or not whole > 0.0 or whole / period > MOST_STROKES:
        return [line]
    edges = np.concatenate([[0.0], np.cumsum(np.tile(dashes, int(whole / period) + 1))])
    edges = np.append(edges[edges < whole], whole)
    at = np.unique(np.concatenate([along, edges]))
    points = np.stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])], axis=-1)
    cuts = np.searchsorted(at, edges)
    return [points[a : b + 1] for a, b in zip(cuts[:-1:2], cuts[1::2], strict=False)]


def runs(line: Float) -> list[Float]:
    """The stretches of a line ``(point, 2)`` between points that are not finite."""
    good = np.isfinite(line).all(axis=-1)
    if good.all():
        return [line]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(int), [0]])))
    return [line[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]


def thinned(line: Float, step: float = 0.4) -> Float:
    """A line of many points with at most four left in each ``step`` of width: first, lowest, highest, last."""
    if len(line) < 400 or (np.diff(line[:, 0]) < 0.0).any():
        return line
    column = np.floor(line[:, 0] / step).astype(np.intp)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(column)) + 1, [len(line)]])
    if len(starts) * 4 > len(line):
        return line
    kept: set[int] = set()
    for a, b in pairwise(starts):
        y = line[a:b, 1]
        kept |= {int(a), int(b) - 1, int(a) + int(y.argmin()), int(a) + int(y.argmax())}
    return line[sorted(kept)]
