"""Figures whose axes draw the ticks of a scale, and the names of their lines, together: one artist for five a tick."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, Tick, XAxis, YAxis
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.markers import TICKDOWN, TICKLEFT, TICKRIGHT, TICKUP
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox, IdentityTransform, Transform

from sweetspot.rigs.units import Float

_SETTINGS = cast("Mapping[str, Any]", rcParams)

A_LINE, A_DIGIT = 0.17, 0.09
"""Height of a line and width of a digit, inches."""

LENGTH_EM, BESIDE_EM, BETWEEN_EM, MARGIN_EM = 1.8, 0.8, 1.3, 0.6
"""Samples' length, their distances to their own name and to the one before, and to the axes, in sizes of letters."""

A_ROW, BEYOND = 6, 0.11
"""Most names in a row above axes, and the width at the axes' right that they may take too, inches."""

_LAYOUTS: dict[tuple[object, ...], Any] = {}
"""Where the parts of a label are around its place, by text, size and resolution."""


class PlainFigure(Figure):
    """A figure with :class:`PlainAxes`, unless it is asked for a projection."""

    def add_subplot(self, *args: Any, **kwargs: Any) -> Any:
        """Add axes to a grid; see :meth:`matplotlib.figure.Figure.add_subplot`."""
        return super().add_subplot(*args, **_plain(kwargs))

    def add_axes(self, *args: Any, **kwargs: Any) -> Any:
        """Add axes to a place; see :meth:`matplotlib.figure.Figure.add_axes`."""
        return super().add_axes(*args, **_plain(kwargs))


def _plain(kwargs: dict[str, Any]) -> dict[str, Any]:
    return kwargs if kwargs.keys() & {"projection", "polar"} else {"axes_class": PlainAxes} | kwargs


class _Label(Text):
    """A level text that is laid out once for all pictures: that takes more than half of its drawing."""

    def _get_layout(self, renderer: RendererBase) -> Any:
        size = tuple(self.get_fontfamily()), self.get_fontsize(), self.figure.dpi, type(renderer)
        key = (self.get_text(), *size, self.get_horizontalalignment(), self.get_verticalalignment())
        if key not in _LAYOUTS:
            _LAYOUTS[key] = super()._get_layout(renderer)  # type: ignore[misc]
        return _LAYOUTS[key]


class _Scale(Axis):
    """A scale that draws its grid lines, tick marks and labels by one artist each.

    It follows locator, formatter, ``tick_params`` and ``grid`` of the major ticks. There are no minor ones, and no
    objects for single ticks.
    """

    letter: str
    sides: tuple[str, str]
    marks: tuple[Any, Any]

    def reset_ticks(self) -> None:
        """Forget ticks: there are none."""
        self.majorTicks: list[Tick] = []
        self.minorTicks: list[Tick] = []

    def get_major_ticks(self, numticks: int | None = None) -> list[Tick]:
        """No objects."""
        del numticks
        return []

    def get_minor_ticks(self, numticks: int | None = None) -> list[Tick]:
        """No objects."""
        del numticks
        return []

    def get_ticks_position(self) -> Any:
        """The side with tick marks."""
        found = self.get_tick_params()
        return self.sides[1] if found.get(self.sides[1]) else self.sides[0]

    def draw(self, renderer: RendererBase) -> None:
        """Draw grid, marks, labels and the scale's name."""
        if not self.get_visible():
            return
        at, names = self._shown()
        for lines in self._lines(at):
            lines.draw(renderer)
        boxes: tuple[list[Bbox], list[Bbox]] = ([], [])
        for side, text in self._labels(at, names):
            text.draw(renderer)
            boxes[side].append(text.get_window_extent(renderer))
        self._beside(boxes, marked=bool(at.size))
        self.label.draw(renderer)
        self.offsetText.draw(renderer)
        self.stale = False

    def get_tightbbox(self, renderer: RendererBase | None = None, *, for_layout_only: bool = False) -> Bbox | None:
        """Box around labels and the scale's name."""
        if renderer is None or not self.get_visible() or (for_layout_only and not self.get_in_layout()):
            return None
        boxes: tuple[list[Bbox], list[Bbox]] = ([], [])
        at, names = self._shown()
        for side, text in self._labels(at, names):
            boxes[side].append(text.get_window_extent(renderer))
        self._beside(boxes, marked=bool(at.size))
        more = [a.get_window_extent(renderer) for a in (self.label, self.offsetText) if a.get_text()]
        found = [*boxes[0], *boxes[1], *more]
        return Bbox.union(found) if found else None

    def _shown(self) -> tuple[Float, list[str]]:
        """Places of the ticks inside the axes, and their labels."""
        at = np.asarray(self.get_majorticklocs(), dtype=float)
        if not at.size:
            return at, []
        names = self.get_major_formatter().format_ticks(list(at))
        low, high = np.sort(self.get_transform().transform(np.asarray(self.get_view_interval())))
        inside = np.abs(self.get_transform().transform(at) - 0.5 * (low + high)) <= (0.5 + 1e-10) * (high - low)
        return at[inside], [name for name, there in zip(names, inside, strict=True) if there]

    def _lines(self, at: Float) -> Iterator[Artist]:
        """Grid lines as one line with gaps, and the marks of each side as markers."""
        style = self._style()
        through: Callable[..., Transform] = getattr(self.axes, f"get_{self.letter}axis_transform")
        if not at.size:
            return
        if style["gridOn"]:
            given = {k[5:]: v for k, v in style.items() if k.startswith("grid_")}
            usual = {name: _SETTINGS[f"grid.{name}"] for name in ("color", "linestyle", "linewidth", "alpha")}
            grid = self._line(np.repeat(at, 3), np.tile([0.0, 1.0, np.nan], len(at)), transform=through("grid"),
                              **(usual | given))  # fmt: skip
            grid.set_clip_path(self.axes.patch)
            yield grid
        for number, (side, mark) in enumerate(zip(self.sides, self.marks, strict=True)):
            if style.get(side) and style["length"] > 0.0:
                yield self._line(
                    at, np.full(len(at), float(number)), linestyle="none", marker=mark, markersize=style["length"],
                    markeredgewidth=style["width"], markeredgecolor=style["color"],
                    transform=through(f"tick{number + 1}"),
                )  # fmt: skip

    def _style(self) -> dict[str, Any]:
        """What ``tick_params`` asked for, or the settings."""
        kind = f"{self.letter}tick"
        usual = {
            "length": _SETTINGS[f"{kind}.major.size"],
            "width": _SETTINGS[f"{kind}.major.width"],
            "pad": _SETTINGS[f"{kind}.major.pad"],
            **{name: _SETTINGS[f"{kind}.{name}"] for name in ("color", "labelcolor", "labelsize")},
        }
        found: dict[str, Any] = usual | self.get_tick_params()
        return found | {"labelcolor": usual["color"]} if found["labelcolor"] == "inherit" else found

    def _line(self, along: Float, off: Float, **style: Any) -> Line2D:
        line = Line2D(*((along, off) if self.letter == "x" else (off, along)), **style)
        line.set_figure(self.axes.figure)
        return line

    def _labels(self, at: Float, names: Sequence[str]) -> Iterator[tuple[int, Text]]:
        """One text at each place in turn, with the number of its side."""
        style = self._style()
        for number, side in enumerate(self.sides):
            if not style.get(f"label{side}"):
                continue
            through = getattr(self.axes, f"get_{self.letter}axis_text{number + 1}_transform")
            place, va, ha = through(style["pad"] + style["length"])
            text = _Label(
                fontsize=style["labelsize"], color=style["labelcolor"], transform=IdentityTransform(),
                verticalalignment=va, horizontalalignment=ha,
            )  # fmt: skip
            text.set_figure(self.axes.figure)
            off = np.full(len(at), float(number))
            points = place.transform(np.column_stack((at, off) if self.letter == "x" else (off, at)))
            for point, name in zip(points, names, strict=True):
                text.set_text(name)
                text.set_position(point)
                yield number, text

    def _beside(self, boxes: tuple[list[Bbox], list[Bbox]], marked: bool) -> None:
        """Put the scale's name beside its labels and marks, and the common factor of the labels at their end."""
        number = self.sides.index(self.label_position)  # type: ignore[attr-defined]
        point, style = self.axes.figure.dpi / 72.0, self._style()
        marks = style["length"] * point if marked and style.get(self.sides[number]) else 0.0
        around = Bbox.union([self.axes.bbox.padded(marks), *boxes[number]])
        gap = self.labelpad * point
        x, y = self.label.get_position()
        if self.letter == "x":
            self.label.set_position((x, around.y1 + gap if number else around.y0 - gap))
        else:
            self.label.set_position((around.x1 + gap if number else around.x0 - gap, y))
        self._update_offset_text_position(*boxes)  # type: ignore[attr-defined]
        self.offsetText.set_text(self.get_major_formatter().get_offset())


class _Across(_Scale, XAxis):
    letter, sides, marks = "x", ("bottom", "top"), (TICKDOWN, TICKUP)


class _Upwards(_Scale, YAxis):
    letter, sides, marks = "y", ("left", "right"), (TICKLEFT, TICKRIGHT)


class PlainAxes(Axes):
    """Axes whose scales draw their major ticks together."""

    name = "plain"

    def _init_axis(self) -> None:
        self.xaxis = _Across(self, clear=False)
        self.yaxis = _Upwards(self, clear=False)
        for scale in (self.xaxis, self.yaxis):
            for side in scale.sides:
                self.spines[side].register_axis(scale)
                self.spines[side].get_position()  # sets it, which objects of ticks would do


def inches(ax: Axes) -> tuple[float, float]:
    """Width and height of axes on paper."""
    (wide, high), box = ax.get_figure(root=True).get_size_inches(), ax.get_position()  # type: ignore[union-attr]
    return float(wide * box.width), float(high * box.height)


def every(count: int, room: float, each: float) -> int:
    """Which of ``count`` names along ``room`` are written if one takes ``each``: 1 for all, 2 for every second, ..."""
    return max(int(np.ceil(count * each / room)), 1)


def rows_of(names: Sequence[str], width: float) -> int:
    """Rows of names above axes of this width (inches)."""
    return max(-(-len(names) // _columns_of(names, width)), 1)


def _columns_of(labels: Sequence[str], width: float) -> int:
    """How many columns of names, each with its sample, fit above axes of this width (inches): 1 to :data:`A_ROW`."""
    em = float(_SETTINGS["font.size"])
    font = FontProperties(size=em)
    wide = [text_to_path.get_text_width_height_descent(label, font, ismath=False)[0] / em for label in labels]
    for count in range(min(A_ROW, len(labels)), 1, -1):
        widest = [max(wide[i] for i in column) for column in np.array_split(np.arange(len(labels)), count)]
        length = MARGIN_EM + sum(LENGTH_EM + BESIDE_EM + w for w in widest) + BETWEEN_EM * (count - 1)
        if length * em / 72.0 <= width + BEYOND:
            return count
    return 1


class Names(Artist):
    """Names of what axes show beside a sample of each, in rows above the axes; a legend takes five times as long.

    Parameters
    ----------
    ax
        Axes with labelled lines and bars; earlier names are removed.
    """

    def __init__(self, ax: Axes) -> None:
        super().__init__()
        for earlier in [a for a in ax.artists if isinstance(a, Names)]:
            earlier.remove()
        self._above = ax
        self.handles, self.labels = ax.get_legend_handles_labels()
        self.set_zorder(5.0)
        self.set_clip_on(False)  # else a picture cut to its content would be cut to the axes
        ax.add_artist(self)

    @property
    def columns(self) -> int:
        """Number of columns."""
        return _columns_of(self.labels, inches(self._above)[0])

    @property
    def rows(self) -> int:
        """Number of rows."""
        return rows_of(self.labels, inches(self._above)[0])

    def draw(self, renderer: RendererBase) -> None:
        """Draw samples and names."""
        if self.get_visible():
            for handle, text in self._placed(renderer):
                self._sample(handle, *text.get_position(), self._em()).draw(renderer)
                text.draw(renderer)
        self.stale = False

    def get_window_extent(self, renderer: RendererBase | None = None) -> Bbox:
        """Box around all names with their samples, pixels."""
        if renderer is None or not self.labels:
            return Bbox.null()
        boxes = [text.get_window_extent(renderer) for _, text in self._placed(renderer)]
        around = Bbox.union(boxes)
        return Bbox.from_extents(around.x0 - (LENGTH_EM + BESIDE_EM) * self._em(), around.y0, around.x1, around.y1)

    def _em(self) -> float:
        """Size of the letters, pixels."""
        return float(_SETTINGS["font.size"]) * self._above.figure.dpi / 72.0

    def _placed(self, renderer: RendererBase) -> Iterator[tuple[Any, Text]]:
        """Each handle with its name, where it is: columns are filled one after the other."""
        em, box = self._em(), self._above.bbox
        left, columns = box.x0 + MARGIN_EM * em, self.columns
        rows = -(-len(self.labels) // columns)
        for column in np.array_split(np.arange(len(self.labels)), columns):
            left += (LENGTH_EM + BESIDE_EM) * em
            right = left
            for row, i in enumerate(column):
                text = _Label(left, 0.0, self.labels[i], verticalalignment="baseline", transform=IdentityTransform())
                text.set_figure(self._above.figure)
                extent = text.get_window_extent(renderer)
                pitch = extent.height + 0.5 * em
                text.set_y(box.y1 + MARGIN_EM * em - extent.y0 + (rows - 1 - row) * pitch)
                right = max(right, left + extent.width)
                yield self.handles[i], text
            left = right + BETWEEN_EM * em

    def _sample(self, handle: Any, x: float, y: float, em: float) -> Artist:
        """A piece of a line, or a small bar, to the left of a name's baseline."""
        left = x - (LENGTH_EM + BESIDE_EM) * em
        found: Artist
        if isinstance(handle, Line2D):
            middle = left + 0.5 * LENGTH_EM * em
            found = Line2D([left, middle, left + LENGTH_EM * em], np.full(3, y + 0.35 * em))
            found.update_from(handle)
            found.set_markevery([1])
        else:
            colour = handle.patches[0].get_facecolor()
            found = Rectangle((left, y), LENGTH_EM * em, 0.7 * em, facecolor=colour, linewidth=0.0)
        found.set_transform(IdentityTransform())
        found.set_figure(self._above.figure)
        found.set_clip_path(None)
        found.set_clip_box(None)
        return found


class Values(Artist):
    """Short texts at places of axes, each centred there; texts of their own take three times as long.

    Parameters
    ----------
    ax
        The axes, whose data coordinates the places are in.
    values
        Place across and upwards, text and colour of each.
    size
        Of the letters, points.
    """

    def __init__(self, ax: Axes, values: Sequence[tuple[float, float, str, str]], size: float) -> None:
        super().__init__()
        self._within, self.values, self.size = ax, values, size
        self.set_zorder(3.0)
        ax.add_artist(self)

    def draw(self, renderer: RendererBase) -> None:
        """Draw one after the other."""
        text = _Label(
            fontsize=self.size,
            verticalalignment="center",
            horizontalalignment="center",
            transform=self._within.transData,
        )
        text.set_figure(self._within.figure)
        for x, y, value, colour in self.values:
            text.set_text(value)
            text.set_position((x, y))
            text.set_color(colour)
            text.draw(renderer)
        self.stale = False

    def get_window_extent(self, renderer: RendererBase | None = None) -> Bbox:
        """Box of the axes, pixels."""
        del renderer
        return self._within.bbox
