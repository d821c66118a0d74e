"""What stands around an axes' box: lines, ticks with texts, labels, title, grid and key, and the room they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from sweetspot.measure.drawing.canvas import Box, Canvas, Dots, Letters, Stroke
from sweetspot.measure.drawing.lettering import LINE, height, width
from sweetspot.measure.drawing.scale import Scale
from sweetspot.rigs.units import Float

if TYPE_CHECKING:
    from sweetspot.measure.drawing.axes import Sample

INK, SOFT, GRID = "#20262d", "#5b6570", "#d5dbe1"
TICK = 3.5
"""Length of a tick, points."""
GAP = 3.5
"""Between a tick and its text, a text and a label, points."""
TEXT, TITLE = 10.0, 10.5
DESCENT = 2.5
"""How far letters reach below their line, points."""
SAMPLE = 18.0
"""Length of a sample in a key, points."""


@dataclass(slots=True, eq=False)
class Frame:
    """How the surroundings of an axes look.

    Parameters
    ----------
    title, centred
        Its title, and whether it stands over the middle or the left end.
    bottom, left
        Whether the two axes have texts.
    lines
        Whether the two axes are drawn.
    ticks
        Whether they have ticks, across and upwards.
    gridded
        Where lines of a grid are drawn: across ``x``, ``y``, both or neither.
    keyed
        Whether names stand above the box.
    equal
        Whether a unit is as long across as upwards.
    right
        Whether the upward axis stands at the right.
    low_label
        Whether the upward label stands at the axis' lower end.
    """

    title: str = ""
    centred: bool = False
    bottom: bool = True
    left: bool = True
    lines: bool = True
    ticks: tuple[bool, bool] = (True, True)
    gridded: Literal["", "x", "y", "xy"] = ""
    grid_width: float = 0.7
    keyed: bool = False
    equal: bool = False
    right: bool = False
    low_label: bool = False

    def room(self, x: Scale, y: Scale, samples: Sequence[Sample], size: tuple[float, float]) -> Box:
        """Room that is needed left, above, right and below of a box of about this size, points."""
        across, names = x.ticked(_most(size[0])), y.ticked(_most(size[1], 22.0))[1]
        side = (TICK + GAP + max((width(n, TEXT) for n in names), default=0.0)) if self.left else 4.0
        side += height(y.label, y.size) + GAP + DESCENT - 2.0 if y.label and self.left else 0.0
        below = TICK + GAP + TEXT if self.bottom and len(across[1]) else 4.0
        below += TEXT * LINE + GAP if x.label and self.bottom else 0.0
        above = height(self.title, TITLE) + 5.0 if self.title else 6.0
        if self.keyed:
            above += len(rows(samples, size[0])) * TEXT * 1.5 + 2.0
        overhang = 0.5 * width(across[1][-1], TEXT) if self.bottom and across[1] else 0.0
        end = overhang if len(across[0]) and x.share(across[0][-1]) > 0.9 else 2.0
        return (4.0, above, side, below) if self.right else (side, above, max(end, 4.0), below)

    def grid(self, canvas: Canvas, box: Box, x: Scale, y: Scale) -> None:
        """Draw the grid."""
        left, top, right, bottom = box
        found: list[Float] = []
        if "x" in self.gridded:
            at = left + x.share(x.ticked(_most(right - left))[0]) * (right - left)
            found += [np.array([(a, top), (a, bottom)]) for a in at]
        if "y" in self.gridded:
            at = bottom - y.share(y.ticked(_most(bottom - top, 22.0))[0]) * (bottom - top)
            found += [np.array([(left, a), (right, a)]) for a in at]
        if found:
            canvas.draw(Stroke(found, GRID, self.grid_width))

    def draw(self, canvas: Canvas, box: Box, x: Scale, y: Scale) -> None:
        """Draw axes, ticks, texts, labels and title."""
        left, top, right, bottom = box
        edge = right if self.right else left
        if self.lines:
            canvas.draw(Stroke([np.array([(left, bottom), (right, bottom)]), np.array([(edge, top), (edge, bottom)])],
                               SOFT, 0.8))  # fmt: skip
        self._below(canvas, box, x)
        self._beside(canvas, box, y)
        if self.title:
            lines = self.title.split("\n")
            at = 0.5 * (left + right) if self.centred else left
            y_first = top - 5.0 - (len(lines) - 1) * TITLE * LINE
            canvas.draw(Letters(at, y_first, self.title, TITLE, INK, "middle" if self.centred else "start"))

    def _below(self, canvas: Canvas, box: Box, x: Scale) -> None:
        left, _, right, bottom = box
        ticks, names = x.ticked(_most(right - left))
        at = left + x.share(ticks) * (right - left)
        if self.ticks[0] and len(at):
            canvas.draw(Stroke([np.array([(a, bottom), (a, bottom + TICK)]) for a in at], SOFT, 0.8))
        base = bottom + TICK + GAP + 0.75 * TEXT
        if self.bottom:
            canvas.draw(*(Letters(float(a), base, n, TEXT, INK, "middle") for a, n in zip(at, names, strict=True) if n))
            if x.label:
                down = base if not names else base + GAP + TEXT * LINE
                canvas.draw(Letters(0.5 * (left + right), down, x.label, TEXT, INK, "middle"))

    def _beside(self, canvas: Canvas, box: Box, y: Scale) -> None:
        left, top, right, bottom = box
        out, edge = (1.0, right) if self.right else (-1.0, left)
        ticks, names = y.ticked(_most(bottom - top, 22.0))
        at = bottom - y.share(ticks) * (bottom - top)
        if self.ticks[1] and len(at):
            canvas.draw(Stroke([np.array([(edge, a), (edge + out * TICK, a)]) for a in at], SOFT, 0.8))
        if not self.left:
            return
        anchor, x = "start" if self.right else "end", edge + out * (TICK + GAP)
        each = zip(at, names, strict=True)
        canvas.draw(*(Letters(x, float(a) + 0.36 * TEXT, n, TEXT, INK, anchor) for a, n in each if n))
        if y.label:
            away = max((width(n, TEXT) for n in names), default=0.0) + GAP + DESCENT
            x += out * (away if not self.right else away + 0.8 * y.size)
            x -= 0.0 if self.right else (height(y.label, y.size) - y.size * LINE)
            up, anchor = (bottom, "start") if self.low_label else (0.5 * (top + bottom), "middle")
            canvas.draw(Letters(x, up, y.label, y.size, INK, anchor, turned=True))

    def key(self, canvas: Canvas, box: Box, samples: Sequence[Sample]) -> None:
        """Draw the names above the box."""
        if not self.keyed:
            return
        each = rows(samples, box[2] - box[0])
        above = box[1] - 6.0 - (height(self.title, TITLE) if self.title else 0.0)
        for number, row in enumerate(each):
            key_row(canvas, row, box[0], above - (len(each) - 1 - number) * 1.5 * TEXT)


def rows(samples: Sequence[Sample], most: float) -> list[list[Sample]]:
    """Samples of a key in rows that are at most so wide, points."""
    found: list[list[Sample]] = []
    at = np.inf
    for sample in samples:
        wide = _wide(sample)
        if at + wide > most + 10.0:
            found.append([])
            at = 0.0
        found[-1].append(sample)
        at += wide
    return found


def row_width(samples: Sequence[Sample]) -> float:
    """Width of a row of a key, points."""
    return sum(_wide(s) for s in samples) - 14.0


def key_row(canvas: Canvas, samples: Sequence[Sample], x: float, base: float) -> None:
    """Draw a row of a key from ``x`` on, its letters on ``base``."""
    for s in samples:
        middle = base - 0.36 * TEXT
        ends = np.array([(x, middle), (x + SAMPLE, middle)])
        if s.patch:
            corners = [(x, middle - 3.5), (x + SAMPLE, middle - 3.5), (x + SAMPLE, middle + 3.5), (x, middle + 3.5)]
            canvas.draw(Stroke([np.array(corners)], fill=s.colour, closed=True))
        elif s.width > 0.0:
            canvas.draw(Stroke([ends], s.colour, s.width, dash=s.dash))
        if s.sign == "o":
            canvas.draw(Dots(ends.mean(axis=0)[None], 2.8, fill=s.face, colour=s.colour))
        elif s.sign == "s":
            square = ends.mean(axis=0) + 3.0 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
            canvas.draw(Stroke([square], s.colour, 1.5, fill=s.face, closed=True))
        canvas.draw(Letters(x + SAMPLE + 6.0, base, s.name, TEXT, INK, kind="legend"))
        x += _wide(s)


def _wide(sample: Sample) -> float:
    return SAMPLE + 6.0 + width(sample.name, TEXT) + 14.0


def _most(length: float, each: float = 45.0) -> int:
    """How many ticks have room on so many points."""
    return int(np.clip(length / each, 2, 9))
