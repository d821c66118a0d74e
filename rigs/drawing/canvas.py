"""What a drawing consists of: paths, texts and images at places on paper, in points from its top left corner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.drawing.colours import INK
from sweetspot.rigs.drawing.letters import SIZE
from sweetspot.rigs.units import Float

Rect = tuple[float, float, float, float]
"""Left, top, width and height, points."""

Dash = tuple[float, ...]
"""Lengths of dashes and gaps in widths of the line; empty for a solid line."""

ASCENT, MIDDLE, DESCENT, LINE = 0.76, 0.36, 0.24, 1.2
"""Of a letter over its baseline, of its middle, beneath it, and between baselines; shares of its size."""


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Polylines of one look.

    Parameters
    ----------
    lines
        Points ``(point, 2)`` of each, points.
    stroke, fill
        Colours as ``#rrggbb``; empty for none.
    width
        Of the stroke, points.
    closed
        Whether each line returns to its start.
    clip
        What is outside is not drawn.
    """

    lines: tuple[Float, ...]
    stroke: str = ""
    fill: str = ""
    width: float = 1.0
    dash: Dash = ()
    opacity: float = 1.0
    closed: bool = False
    clip: Rect | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text whose baseline starts, has its middle or ends at ``(x, y)``; turned, it is read upwards."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    anchor: str
    turned: bool = False
    bold: bool = False
    kind: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RasterImage:
    """Cells ``(row, column)`` as numbers of a palette ``(number, 3)`` in a rectangle; the last number is clear."""

    rect: Rect
    cells: NDArray[np.uint8]
    palette: NDArray[np.uint8]
    smooth: bool


@dataclass(slots=True, eq=False)
class Canvas:
    """Paper of a size in points, and what is on it from back to front."""

    width: float
    height: float
    items: list[Path | Text | RasterImage] = field(default_factory=list)

    def path(
        self,
        lines: Iterable[Float],
        *,
        stroke: str = "",
        fill: str = "",
        width: float = 1.0,
        dash: Dash = (),
        opacity: float = 1.0,
        closed: bool = False,
        clip: Rect | None = None,
    ) -> None:
        """Add polylines ``(point, 2)``; see :class:`Path`."""
        kept = tuple(np.asarray(line, dtype=float) for line in lines if len(line))
        if kept:
            self.items.append(Path(kept, stroke, fill, width=width, dash=dash, opacity=opacity, closed=closed,
                                   clip=clip))  # fmt: skip

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = SIZE,
        colour: str = INK,
        ha: str = "start",
        va: str = "baseline",
        turned: bool = False,
        bold: bool = False,
        kind: str = "",
    ) -> None:
        """Add text, with a line for each of its lines.

        Parameters
        ----------
        ha
            Which end of a line is at the place: ``start``, ``middle`` or ``end``.
        va
            What of the text is there: its ``top``, ``middle``, ``baseline`` or ``bottom``.
        turned
            Read upwards; ``ha`` and ``va`` are those of the reader.
        """
        rows = text.split("\n")
        more = LINE * size * (len(rows) - 1)
        first = {"top": ASCENT * size, "middle": MIDDLE * size - 0.5 * more, "baseline": 0.0,
                 "bottom": -DESCENT * size - more}[va]  # fmt: skip
        for i, row in enumerate(rows):
            down = first + LINE * size * i
            at = (x + down, y) if turned else (x, y + down)
            if row:
                self.items.append(Text(*at, row, size, colour, anchor=ha, turned=turned, bold=bold, kind=kind))

    def image(self, rect: Rect, cells: NDArray[np.uint8], palette: NDArray[np.uint8], *, smooth: bool) -> None:
        """Add an image; its first row is at the top. See :class:`RasterImage`."""
        self.items.append(RasterImage(rect, cells, palette, smooth))


def box(rect: Rect) -> Float:
    """Corners ``(4, 2)`` of a rectangle."""
    left, top, width, height = rect
    return np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])


def circle(x: float, y: float, radius: float, steps: int = 48) -> Float:
    """Points ``(steps, 2)`` of a circle."""
    at = np.arange(steps) * (2.0 * np.pi / steps)
    return np.stack([x + radius * np.cos(at), y + radius * np.sin(at)], axis=1)


def mark(kind: str, x: float, y: float, size: float) -> Sequence[Float]:
    """Polylines of a mark: ``o``, ``s`` (square), ``D`` (diamond), ``+``, ``x``, ``_``."""
    half = 0.5 * size
    if kind == "o":
        return [circle(x, y, half, 24)]
    if kind == "s":
        return [box((x - half, y - half, size, size))]
    if kind == "D":
        return [np.array([[x - half, y], [x, y - half], [x + half, y], [x, y + half]])]
    across, up = np.array([[x - half, y], [x + half, y]]), np.array([[x, y - half], [x, y + half]])
    if kind == "x":
        return [np.array([[x - half, y - half], [x + half, y + half]]), np.array([[x - half, y + half],
                                                                               [x + half, y - half]])]  # fmt: skip
    return [across] if kind == "_" else [across, up]


FILLED = "osD"
"""Marks that have an inside."""
