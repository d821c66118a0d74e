"""Axes: curves, areas, bars and maps over two scales, with ticks, names and a key; drawn into a box of a canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sweetspot.measure.drawing import marks
from sweetspot.measure.drawing.canvas import Box, Canvas, Dash
from sweetspot.measure.drawing.colours import shades
from sweetspot.measure.drawing.frame import Frame
from sweetspot.measure.drawing.marks import Mark, Place
from sweetspot.measure.drawing.scale import Scale
from sweetspot.rigs.units import Float

INK, SOFT, GRID = "#20262d", "#5b6570", "#d5dbe1"
"""Colours of letters, of axes and of grids."""

TEXT = 10.0
"""Size of letters, points."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How something is shown in a key: a line or a patch with its name."""

    name: str
    colour: str
    width: float
    dash: Dash = ()
    sign: str = ""
    face: str = ""
    patch: bool = False


@dataclass(slots=True, eq=False)
class Axes:
    """Two scales and what is drawn over them.

    Marks lie on one another by ``level``: maps 0, areas 1, lines 2, texts 3 if nothing else is asked for.
    """

    x: Scale = field(default_factory=Scale)
    y: Scale = field(default_factory=Scale)
    frame: Frame = field(default_factory=Frame)
    samples: list[Sample] = field(default_factory=list)
    twin: Axes | None = None
    _marks: list[tuple[float, Mark]] = field(default_factory=list)

    def line(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        colour: str,
        width: float = 1.5,
        dash: Dash = (),
        alpha: float = 1.0,
        sign: str = "",
        size: float = 6.0,
        face: str | None = None,
        name: str = "",
        level: float = 2.0,
    ) -> None:
        """A curve; ``width`` 0 with a ``sign`` (``o``, ``s``, ``_``, ``+``) draws the signs alone."""
        x, y = np.atleast_1d(np.asarray(x, dtype=float)), np.atleast_1d(np.asarray(y, dtype=float))
        self.x.see(x)
        self.y.see(y)
        fill = colour if face is None else face
        curve = marks.Curve(x, y, colour, width, dash=dash, alpha=alpha, sign=sign, size=size, face=fill)
        self._marks.append((level, curve))
        if name:
            self.samples.append(Sample(name, colour, width, dash, sign, fill))

    def lines(
        self, each: Sequence[Float], *, colour: str, width: float, alpha: float = 1.0, level: float = 2.0
    ) -> None:
        """Separate lines ``(point, 2)`` of one look."""
        for line in each:
            self.x.see(line[:, 0])
            self.y.see(line[:, 1])
        self._marks.append((level, marks.Lines(each, colour, width, alpha)))

    def uprights(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, *, colour: str, width: float = 1.0,
                 level: float = 2.0) -> None:  # fmt: skip
        """Upright lines from ``low`` to ``high``."""
        each = [np.array([(a, b), (a, c)]) for a, b, c in np.broadcast(x, low, high)]
        self.lines(each, colour=colour, width=width, level=level)

    def across(self, y: float, *, colour: str = SOFT, width: float = 0.8, dash: Dash = (), level: float = 2.0) -> None:
        """A line across the whole width at ``y``."""
        self.y.see(y)
        self._marks.append((level, marks.Curve(np.array([-np.inf, np.inf]), np.full(2, y), colour, width, dash)))

    def upright(self, x: float, *, colour: str = SOFT, width: float = 0.8, dash: Dash = (), level: float = 2.0) -> None:
        """A line over the whole height at ``x``."""
        self.x.see(x)
        self._marks.append((level, marks.Curve(np.full(2, x), np.array([-np.inf, np.inf]), colour, width, dash)))

    def band(self, x: Float, low: Float, high: Float, *, colour: str, alpha: float, level: float = 1.0) -> None:
        """The area between two curves."""
        self.x.see(x)
        self.y.see([low, high])
        self._marks.append((level, marks.Band(x, low, high, colour, alpha)))

    def span(self, low: float, high: float, *, colour: str, alpha: float = 1.0, level: float = 0.0) -> None:
        """An area over the whole height."""
        corners = np.array([(low, high, -np.inf, np.inf)])
        self._marks.append((level, marks.Rectangles(corners, colour, alpha)))

    def bars(
        self, corners: Float, *, colour: str, name: str = "", hatch: str = "", edge: str = "", level: float = 1.0
    ) -> None:
        """Rectangles ``(number, 4)``: from x, to x, from y, to y."""
        corners = np.atleast_2d(corners)
        self.x.see(corners[:, :2])
        self.y.see(corners[:, 2:])
        self._marks.append((level, marks.Rectangles(corners, colour, hatch=hatch, edge=edge)))
        if name:
            self.samples.append(Sample(name, colour, 0.0, patch=True))

    def ring(self, x: float, y: float, radius: float, *, colour: str, width: float = 1.0, dash: Dash = ()) -> None:
        """A circle."""
        self._marks.append((1.0, marks.Ring(x, y, radius, colour, width, dash)))

    def note(
        self,
        x: float,
        y: float,
        text: str,
        *,
        colour: str = INK,
        size: float = TEXT,
        anchor: Literal["start", "middle", "end"] = "middle",
        level: Literal["bottom", "center", "top"] = "bottom",
        shift: tuple[float, float] = (0.0, 0.0),
        shares: tuple[bool, bool] = (False, False),
    ) -> None:
        """A text at a place, ``shift`` points away; ``shares`` tells which of x and y count in shares of the box."""
        note = marks.Note(x, y, text, colour, size, anchor=anchor, level=level, shift=shift, across=shares)
        self._marks.append((3.0, note))

    def map(
        self,
        x: Float,
        y: Float,
        values: Float,
        *,
        colours: str,
        low: float,
        high: float,
        known: NDArray[np.bool_] | None = None,
    ) -> None:
        """Cells ``(y, x)`` around evenly spaced centres, in shades; those not ``known`` stay clear."""
        pixels = shades(values, low, high, colours)
        if known is not None:
            pixels = np.concatenate([pixels, np.where(known, 255, 0).astype(np.uint8)[..., None]], axis=-1)
        ends = [(1.5 * v[0] - 0.5 * v[1], 1.5 * v[-1] - 0.5 * v[-2]) if len(v) > 1 else (v[0] - 0.5, v[0] + 0.5)
                for v in (x, y)]  # fmt: skip
        self.x.see(ends[0])
        self.y.see(ends[1])
        self._marks.append((0.0, marks.Pixels(pixels, ends[0], ends[1], smooth=False)))

    def surface(self, x: Float, y: Float, values: Float, *, colours: str, low: float, high: float) -> None:
        """Values ``(y, x)`` between places in shades, interpolated; scales must have their ends by now."""
        a, b = self.x.ends()
        across = np.clip(_between(a, b, 360, self.x.log), x.min(), x.max())
        up = _between(y.min(), y.max(), 240, self.y.log)
        at = np.interp(across, x, np.arange(len(x)))
        i = np.clip(at.astype(np.intp), 0, len(x) - 2)
        rows = values[:, i] + (at - i) * (values[:, i + 1] - values[:, i])
        order = np.argsort(y)
        level = np.interp(up, y[order], np.arange(len(y)))
        j = np.clip(level.astype(np.intp), 0, len(y) - 2)
        rows = rows[order]
        grid = rows[j] + (level - j)[:, None] * (rows[j + 1] - rows[j])
        self._marks.append((0.0, marks.Pixels(shades(grid, low, high, colours), (a, b), (up[0], up[-1]), smooth=True)))

    def contours(
        self, x: Float, y: Float, values: Float, at: Sequence[float], *, colour: str, width: float, alpha: float = 1.0
    ) -> None:
        """Lines of equal values ``(y, x)``."""
        from contourpy import contour_generator  # only where there are any

        found = contour_generator(x, y, values)
        each = [np.asarray(line, dtype=float) for level in at for line in found.lines(level)]
        self._marks.append((1.0, marks.Lines(each, colour, width, alpha)))

    def right(self) -> Axes:
        """Axes over the same x with a scale of their own at the right."""
        self.twin = Axes(x=self.x, frame=Frame(bottom=False, right=True, ticks=(False, True)))
        return self.twin

    @property
    def marks(self) -> list[Mark]:
        """What is drawn over the two scales, in the order in which it was given."""
        return [mark for _, mark in self._marks]

    def draw(self, canvas: Canvas, box: Box) -> None:
        """Draw everything into a box."""
        if self.frame.equal:
            box = self._square(box)
        place = self._placing(box)
        first = [m for level, m in self._marks if level <= 0.0]
        for mark in first:
            canvas.draw(*mark.items(place, box))
        self.frame.grid(canvas, box, self.x, self.y)
        for mark in (m for level, m in sorted(self._marks, key=lambda m: m[0]) if level > 0.0):
            canvas.draw(*mark.items(place, box))
        self.frame.draw(canvas, box, self.x, self.y)
        self.frame.key(canvas, box, self.samples)
        if self.twin is not None:
            self.twin.draw(canvas, box)

    def _placing(self, box: Box) -> Place:
        left, top, right, bottom = box

        def place(x: object, y: object) -> Float:
            across, up = np.broadcast_arrays(self._share(self.x, x), self._share(self.y, y))
            return np.stack([left + across * (right - left), bottom - up * (bottom - top)], axis=-1)

        return place

    @staticmethod
    def _share(scale: Scale, values: object) -> Float:
        """Shares of a scale; minus and plus infinity are its ends."""
        v = np.atleast_1d(np.asarray(values, dtype=float))
        return np.where(np.isinf(v), (v > 0.0).astype(float), scale.share(np.where(np.isinf(v), 1.0, v)))

    def _square(self, box: Box) -> Box:
        """The box made narrower or lower, so that a unit is as long across as upwards."""
        left, top, right, bottom = box
        (a, b), (c, d) = self.x.ends(), self.y.ends()
        unit = min((right - left) / abs(b - a), (bottom - top) / abs(d - c))
        width, height = unit * abs(b - a), unit * abs(d - c)
        x, y = 0.5 * (left + right - width), 0.5 * (top + bottom - height)
        return x, y, x + width, y + height


def _between(low: float, high: float, count: int, log: bool) -> Float:
    """Middles of so many equal steps of a scale."""
    share = (np.arange(count) + 0.5) / count
    return np.asarray(low * (high / low) ** share if log else low + share * (high - low))
