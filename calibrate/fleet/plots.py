"""Pictures of a fleet: each metric over the units in the order of the runs, with its distribution."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sweetspot.rigs.plots import DRIVERS, GRID, PAPER, SOFT
from sweetspot.rigs.units import Float

Mask = NDArray[np.bool_]

BAD = DRIVERS[1]

MOST_MARKS = 3000
"""Runs up to which each has a mark of its own that can be scaled."""


def strip(ax: Axes, x: Float, failed: Mask, outlying: Mask, limit: float | None) -> None:
    """Values ``(run,)`` in the order of the runs; ``failed`` and ``outlying`` are masks, ``limit`` a line."""
    order = np.arange(1, len(x) + 1)
    good = ~(failed | outlying)
    picture = len(x) > MOST_MARKS  # as pixels: a page with an element a mark could not be opened
    size = float(np.clip(900.0 / max(len(x), 1), 4.0, 26.0))
    ax.scatter(
        order[good], x[good], s=size, color=DRIVERS[0], alpha=0.75, linewidth=0, label="unit", rasterized=picture
    )
    for mask, name, marker, colour in (
        (outlying & ~failed, "outlier", "D", DRIVERS[3]),
        (failed.astype(bool), "failed", "X", BAD),
    ):
        if mask.any():
            ax.scatter(order[mask], x[mask], s=2.0 * size + 14, color=colour, marker=marker, linewidth=0, label=name,
                       rasterized=picture)  # fmt: skip
    if limit is not None:
        ax.axhline(limit, color=BAD, linewidth=1.3, linestyle=(0, (4, 2.5)))
        ax.annotate("limit", (0.995, limit), xycoords=("axes fraction", "data"), color=BAD, ha="right", va="bottom")
    ax.set_xlim(0.3, len(x) + 0.7)
    ax.set_xlabel("run, oldest first")
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.grid(True, axis="y", color=GRID, linewidth=0.7)
    ax.set_axisbelow(True)
    if not good.all():
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False, borderaxespad=0.2)


def spread(ax: Axes, x: Float, limit: float | None) -> None:
    """Histogram of values ``(run,)`` lying on its side, to share a vertical axis with :func:`strip`."""
    ax.hist(x, bins=min(max(int(np.sqrt(len(x)) * 1.5), 5), 60), orientation="horizontal", color=DRIVERS[0],
            edgecolor=PAPER, linewidth=0.6)  # fmt: skip
    ax.axhline(float(x.mean()), color=SOFT, linewidth=1.0)
    if limit is not None:
        ax.axhline(limit, color=BAD, linewidth=1.3, linestyle=(0, (4, 2.5)))
    ax.set_xlabel("runs")
    ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    ax.tick_params(labelleft=False)
    ax.grid(True, axis="y", color=GRID, linewidth=0.7)
    ax.set_axisbelow(True)
