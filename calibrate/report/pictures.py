"""A drawing prepared for the page: SVG in the page's colours, a caption, a text for screen readers, values."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from sweetspot.calibrate.report import svg
from sweetspot.measure.share import STYLE, Names, PlainFigure, colour_scale
from sweetspot.rigs.plots import PAPER
from sweetspot.rigs.storage import alone_in, replacing

ROW_IN = 0.2
"""Height of each further row of names above the axes, inches."""

IMAGE_DPI = 80
"""Of images in pictures: about one point for each of a page, which take a third of a map's time."""

BESIDE_IN = 0.86
"""Width of a scale of colours with its margins, inches."""

PIXELS_PER_INCH = 76
"""Of pictures saved as files: small enough for a page on the web."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure ready for the page.

    Parameters
    ----------
    title, help
        Its caption, and a sentence on how to read it.
    wide
        Whether it takes the page's whole width.
    hover
        JSON of the values shown under the pointer; empty for none.
    name
        Its file's, without ending.
    figure
        The same, to be saved as a file of its own.
    """

    title: str
    help: str
    svg: Markup
    wide: bool = False
    hover: str = ""
    name: str = ""
    figure: Figure | None = None


def _drawn(name: str, size: tuple[float, float], draw: Callable[[Figure], None]) -> tuple[str, Figure]:
    """A figure as an SVG file's text; the figure too. Margins are fixed: a solver for them takes most of the time."""
    figure = PlainFigure(figsize=size)
    FigureCanvasSVG(figure)
    width, height = size
    figure.subplots_adjust(left=0.66 / width, right=1 - 0.12 / width, bottom=0.52 / height, top=1 - 0.33 / height)
    draw(figure)
    rows = max((above.rows for ax in figure.axes for above in ax.artists if isinstance(above, Names)), default=1)
    if rows > 1:
        figure.subplots_adjust(top=1 - (0.33 + ROW_IN * (rows - 1)) / height)
    out = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    matplotlib.rcParams["svg.hashsalt"] = name  # restored with the style: a context takes 0.5 ms
    figure.savefig(out, format="svg", dpi=IMAGE_DPI, transparent=True, metadata=nothing)
    return out.getvalue(), figure


def beside(figure: Figure, label: str, colours: str, ends: tuple[float, float]) -> Axes:
    """Add a scale of colours at the right of a figure, whose other axes end before it."""
    width, _ = figure.get_size_inches()
    edges = figure.subplotpars
    figure.subplots_adjust(right=1.0 - BESIDE_IN / width)
    ax = figure.add_axes((1.0 - (BESIDE_IN - 0.16) / width, edges.bottom, 0.12 / width, edges.top - edges.bottom))
    colour_scale(ax, colours, ends, label)
    return ax


def picture(
    name: str,
    title: str,
    alt: str,
    reading: str,
    draw: Callable[[Figure], None],
    *,
    size: tuple[float, float] = (5.9, 3.7),
    wide: bool = False,
    values: dict[str, Any] | None = None,
) -> Picture:
    """Draw one figure; ``values`` (keys ``x``, ``unit``, ``series``) are shown under the pointer in its first axes."""
    drawing, figure = _drawn(name, size, draw)
    hover = ""
    if values is not None:
        box = figure.axes[0].get_position()
        low, high = figure.axes[0].get_xlim()
        hover = json.dumps(values | {"box": [box.x0, box.x1], "span": [low, high]})
    return Picture(
        title,
        help=reading,
        svg=Markup(svg.inline(drawing, name, alt)),
        wide=wide,
        hover=hover,
        name=name,
        figure=figure,
    )


def save(drawn: dict[str, list[Picture]], folder: Path) -> None:
    """Every picture as a PNG file.

    Raises
    ------
    BadInput
        The folder cannot be made or written, or another command writes into it.
    """
    with alone_in(folder), matplotlib.rc_context(STYLE):
        for one in (p for group in drawn.values() for p in group):
            if one.figure is None:
                continue
            one.figure.set_facecolor(PAPER)
            with replacing(folder / f"{one.name}.png") as part:
                one.figure.savefig(
                    part, format="png", dpi=PIXELS_PER_INCH, bbox_inches="tight", pad_inches=0.06,
                    facecolor=PAPER, metadata={"Software": None},
                )  # fmt: skip


def styled() -> AbstractContextManager[None]:
    """The style in which a page's pictures are drawn."""
    return matplotlib.rc_context(STYLE)
