"""The axes of the pictures: the same as matplotlib's own, whatever their scales show."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sweetspot.measure.share import plots
from sweetspot.measure.share.axes import Names, PlainAxes, PlainFigure, Values
from sweetspot.rigs import plots as style


def shared(figure: Any) -> None:
    """A logarithmic scale that two axes share, one of them with a strip of words and without marks."""
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot([150.0, 3000.0], [-7.0, 31.0])
    style.frequencies(above, 180.0, 9000.0)
    above.set_ylabel("level,\ndB")
    above.tick_params(axis="x", length=0)
    below.set_yticks([1.0, 0.0], ["left", "the other side"])
    below.set_xlabel("frequency, Hz")
    below.tick_params(length=0)


def twins(figure: Any) -> None:
    """A second scale at the right; common factors of large numbers; names at the other side."""
    ax = figure.subplots()
    ax.plot([1.0, 2.0, 3.5], [2.0e9, 7.0e9, 3.0e9])
    ax.set_ylabel("count")
    right = ax.twinx()
    right.plot([1.0, 3.0], [4.0, 5.0], color="red")
    right.set_ylim(-5.0, 45.0)
    right.set_yticks([0.0, 5.0, 15.0])
    right.set_ylabel("index, dB", loc="bottom")
    ax.xaxis.set_label_position("top")
    ax.xaxis.tick_top()
    ax.set_xlabel("above")
    ax.tick_params(axis="y", labelsize=7, labelcolor="green", color="blue", width=2.0, pad=6.0, length=7.0)


def grid(figure: Any) -> None:
    """Axes that show the outer labels alone, upside down, beside a bar of colours."""
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    for ax in axes.ravel():
        mesh = ax.pcolormesh(np.arange(12.0).reshape(3, 4))
        ax.grid(True, color="#aa0000", linewidth=1.5, linestyle="--")
        ax.set_ylim(3.0, 0.0)
        ax.set_title("part", loc="left")
        ax.label_outer(remove_inner_ticks=True)
    axes[0, 0].set_visible(False)
    figure.colorbar(mesh, ax=axes.ravel().tolist(), label="dB", aspect=30)


def stacked(figure: Any) -> None:
    """Axes with names beside marks without labels."""
    for i, ax in enumerate(figure.subplots(2, 2, sharex="col", sharey=True).ravel()):
        ax.plot([0.0, 70.0], [3.0, 30.0 + i])
        ax.set_xlabel("time, ms")
        ax.set_ylabel("level, dB")


def bare(figure: Any) -> None:
    """Nothing but a line, without any ticks."""
    ax = figure.subplots()
    ax.plot([0.0, 1.0], [3.0, 3.0])
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel("time, ms")


def rendered(figure: Any, draw: Any, **kwargs: Any) -> Any:
    """Pixels of a picture."""
    FigureCanvasAgg(figure)
    draw(figure)
    out = io.BytesIO()
    figure.savefig(out, format="rgba", dpi=110, **kwargs)
    return np.frombuffer(out.getvalue(), np.uint8)


@pytest.mark.parametrize("draw", [shared, twins, grid, stacked, bare])
@pytest.mark.parametrize("cut", [{}, {"bbox_inches": "tight"}])
def test_pictures_are_those_of_the_usual_axes(draw: Any, cut: dict[str, Any]) -> None:
    with matplotlib.rc_context({**plots.STYLE, "axes.titley": 1.0}):
        ours, usual = PlainFigure(figsize=(5.0, 4.0)), Figure(figsize=(5.0, 4.0))
        found, wanted = rendered(ours, draw, **cut), rendered(usual, draw, **cut)
    assert all(isinstance(ax, PlainAxes) for ax in ours.axes)
    assert not any(isinstance(ax, PlainAxes) for ax in usual.axes)
    assert (wanted != 255).any()
    assert len(found) == len(wanted)
    assert np.abs(found.astype(int) - wanted.astype(int)).max() <= 2


@pytest.mark.parametrize("count", [1, 4, 6, 9, 14])
@pytest.mark.parametrize("kind", ["lines", "bars"])
def test_names_are_placed_as_in_a_legend(count: int, kind: str) -> None:
    """Samples with markers and dashes or bars; rows of at most six; asked for again they replace the earlier ones."""

    def draw(figure: Any, ours: bool) -> None:
        ax = figure.subplots()
        for i in range(count):
            name, colour = f"line {i} {'x' * (i % 3)}", style.DRIVERS[i % 8]
            if kind == "bars":
                ax.bar([i], [3.0], color=colour, label=name)
            else:
                ax.plot([0.0, 1.0], [i, 2.0], "o-" if i % 2 else "--", color=colour, linewidth=1.0 + i, label=name)
            if ours:
                plots.key(ax)
        if not ours:
            ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=6, frameon=False, borderaxespad=0.2,
                      handlelength=1.8, columnspacing=1.3)  # fmt: skip

    with matplotlib.rc_context(plots.STYLE):
        found, wanted = (
            rendered(Figure(figsize=(11.0, 4.0)), lambda figure, ours=ours: draw(figure, ours))
            for ours in (True, False)
        )
    assert (wanted != 255).any()
    assert np.abs(found.astype(int) - wanted.astype(int)).max() <= 2


@pytest.mark.parametrize(
    ("count", "name", "rows"), [(5, "tweeter right", 2), (4, "matrix", 1), (12, "midrange of the upper row", 6)]
)
def test_long_names_take_more_rows(count: int, name: str, rows: int) -> None:
    """The fifth of five drivers stood beyond the picture's edge, and over the names of the picture beside it."""
    figure = PlainFigure(figsize=(5.9, 3.7))
    canvas = FigureCanvasAgg(figure)
    with matplotlib.rc_context(plots.STYLE):
        figure.subplots_adjust(left=0.66 / 5.9, right=1 - 0.12 / 5.9)
        ax = figure.subplots()
        for i in range(count):
            ax.plot([0.0, 1.0], [i, 2.0], label=f"{name} {i}")
        plots.key(ax)
        canvas.draw()
        (names,) = (a for a in ax.artists if isinstance(a, Names))
        around = names.get_window_extent(canvas.get_renderer())
        assert around.x1 <= figure.bbox.x1
        assert names.rows == rows
        assert around.x1 - around.x0 > 0.4 * ax.bbox.width, "no more rows than are needed"


@pytest.mark.parametrize("draw", ["levels", "over_frequency"])
def test_lines_whose_colours_come_again_are_dashed_otherwise(draw: str) -> None:
    """The ninth driver of twelve looked as the first."""
    f, x = np.geomspace(100.0, 10e3, 5), np.zeros((12, 5))
    ax, names = Figure().subplots(), [f"d{i}" for i in range(12)]
    plots.levels(ax, f, x, names, -10.0, 10.0) if draw == "levels" else plots.over_frequency(ax, f, x, names, "dB")
    looks = {(line.get_color(), str(line._unscaled_dash_pattern)) for line in ax.lines}  # type: ignore[attr-defined]
    assert len(looks) == len(ax.lines) == 12


def test_values_are_those_of_texts() -> None:
    """Numbers of two colours in cells whose scale is upside down."""
    values = [
        (i + 0.5, row + 0.25, f"{10 * i - row}", ("red", "#000001")[row % 2]) for i in range(4) for row in range(3)
    ]

    def draw(figure: Any, ours: bool) -> None:
        ax = figure.subplots()
        ax.set_xlim(0.0, 4.0)
        ax.set_ylim(3.0, 0.0)
        if ours:
            Values(ax, values, size=8)
        else:
            for x, y, text, colour in values:
                ax.text(x, y, text, color=colour, fontsize=8, ha="center", va="center")

    for cut in ({}, {"bbox_inches": "tight"}):
        ours, usual = Figure(figsize=(4.0, 3.0)), Figure(figsize=(4.0, 3.0))
        found = rendered(ours, lambda figure: draw(figure, True), **cut)
        wanted = rendered(usual, lambda figure: draw(figure, False), **cut)
        assert np.array_equal(found, wanted)
        assert len(np.unique(found)) > 2


def test_a_quick_start_leaves_matplotlib_as_it_is() -> None:
    """Pictures are drawn with grids of any style; lists of properties and axes in space are there afterwards, and
    a table that waited for its use."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", QUICK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["drawn", "True", "True", "Axes3D", "True", "True", "True"]


QUICK = """
import io, sys
from sweetspot.rigs.quick_start import quick_start
with quick_start():
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
assert "mpl_toolkits.mplot3d" not in sys.modules
figure = Figure()
FigureCanvasSVG(figure)
figure.subplots().grid(True, color="#123456", linestyle="--", lw=0.5)
out = io.StringIO()
figure.savefig(out, format="svg")
print("drawn" if "#123456" in out.getvalue() else "no grid")
from matplotlib import artist, lines
print("linewidth" in artist.kwdoc(lines.Line2D), "linewidth" in artist.ArtistInspector(lines.Line2D).get_setters())
from mpl_toolkits.mplot3d import Axes3D
print(Axes3D.__name__)
waits = type(sys.modules["fontTools.agl"]) is not type(sys)
import fontTools.agl
print(waits, fontTools.agl.toUnicode("alpha") == "\u03b1", sys.meta_path[0].__class__.__name__ != "_Later")
"""
