"""Pictures of a fleet: each metric over the units in the order of the runs, with its distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.drawing import DRIVERS, PAPER, Axes
from sweetspot.rigs.units import Float

Mask = NDArray[np.bool_]

BAD = DRIVERS[1]

MOST_MARKS = 3000
"""Runs up to which each has a mark of its own that can be scaled."""


def strip(ax: Axes, x: Float, failed: Mask, outlying: Mask, limit: float | None) -> None:
    """Values ``(run,)`` in the order of the runs; ``failed`` and ``outlying`` are masks, ``limit`` a line."""
    order = np.arange(1.0, len(x) + 1.0)
    good = ~(failed | outlying)
    size = float(np.sqrt(np.clip(900.0 / max(len(x), 1), 4.0, 26.0)))
    for mask, name, marker, colour, face, wide in (
        (good, "unit", "o", "", DRIVERS[0], size),
        (outlying & ~failed, "outlier", "D", DRIVERS[3], None, 1.4 * size + 2.0),
        (failed.astype(bool), "failed", "x", BAD, None, 1.4 * size + 2.0),
    ):
        if mask.sum() > MOST_MARKS:  # as pixels: a page with a shape a mark could not be opened
            ax.dots(order[mask], x[mask], color=face or colour, label=name)
        elif mask.any():
            ax.marks(order[mask], x[mask], marker, color=colour, face=face, size=wide, width=1.5, alpha=0.85,
                     label=name)  # fmt: skip
    if limit is not None:
        ax.axhline(limit, color=BAD, linewidth=1.3, dash=(4, 2.5))
        ax.text(0.995, limit, "limit", color=BAD, ha="end", va="bottom", share="x")
    ax.set_xlim(0.3, len(x) + 0.7)
    ax.set_xlabel("run, oldest first")
    ax.grid("y")
    if not good.all():
        ax.set_legend(3)


def spread(ax: Axes, x: Float, limit: float | None) -> None:
    """Histogram of values ``(run,)`` lying on its side, to share a vertical axis with :func:`strip`."""
    counts, edges = np.histogram(x, bins=min(max(int(np.sqrt(len(x)) * 1.5), 5), 60))
    low, tall = edges[:-1], np.diff(edges)
    ax.boxes(np.zeros(len(counts)), low, counts.astype(float), tall, color=DRIVERS[0], edge=PAPER)
    ax.x.see(0.0, held=True)
    ax.axhline(float(x.mean()), linewidth=1.0)
    if limit is not None:
        ax.axhline(limit, color=BAD, linewidth=1.3, dash=(4, 2.5))
    ax.set_xlabel("runs")
    ax.grid("y")
