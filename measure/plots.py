"""Pictures of measured responses, and the look that all pictures share: each function draws into given axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from rigs.units import Float

INK, SOFT, GRID, PAPER = "#20262d", "#5b6570", "#d5dbe1", "#fefefe"
DRIVERS = ("#0b6cb6", "#d1570b", "#0a8067", "#a8468c", "#8a6d00", "#3c8fc9", "#5d5fb8", "#7d8591")
"""Colours, each a colour-blind safe hue; the report maps them to variables, so that they follow light and dark."""

PICTURED_DB = (-30.0, 6.0)
"""Levels that the polar maps show, dB re on-axis."""

STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "hatch.linewidth": 0.7,
}
"""Settings of matplotlib for every picture."""

_TICKS = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)


def frequencies(ax: Axes, low: float, high: float) -> None:
    """A logarithmic frequency axis from ``low`` to ``high`` Hz."""
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(FixedLocator([t for t in _TICKS if 0.99 * low <= t <= 1.01 * high]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda f, _: f"{f / 1000:g}k" if f >= 1000 else f"{f:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("frequency, Hz")
    ax.grid(True, color=GRID, linewidth=0.7)


def key(ax: Axes) -> None:
    """A line of names above the axes."""
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=6, frameon=False, borderaxespad=0.2,
              handlelength=1.8, columnspacing=1.3)  # fmt: skip


def levels(ax: Axes, f: Float, level: Float, names: Sequence[str], low: float, high: float) -> None:
    """Levels ``(driver, frequency)`` in dB, one line a driver, from ``low`` to ``high``."""
    for i, name in enumerate(names):
        ax.plot(f, level[i], color=DRIVERS[i % len(DRIVERS)], linewidth=1.4, label=name.replace("_", " "))
    frequencies(ax, 80.0, 20000.0)
    ax.set_ylim(low, high)
    key(ax)


def traces(ax: Axes, t: Float, x: Float, names: Sequence[str]) -> None:
    """Impulse responses ``(driver, tap)`` over time in s, one above the other on one scale, each named."""
    step = 0.9 * float(np.ptp(x, axis=-1).max())
    for i, name in enumerate(names):
        colour = DRIVERS[i % len(DRIVERS)]
        ax.axhline(-i * step, color=GRID, linewidth=0.7)
        ax.plot(1000.0 * t, x[i] - i * step, color=colour, linewidth=1.1)
        ax.annotate(name.replace("_", " "), (0.995, -i * step), xycoords=("axes fraction", "data"), color=colour,
                    ha="right", va="bottom", xytext=(0, 3), textcoords="offset points")  # fmt: skip
    ax.set_xlim(1000.0 * t[0], 1000.0 * t[-1])
    ax.set_yticks([])
    ax.set_xlabel("time, ms")


def polar_map(ax: Axes, f: Float, degrees: Float, level: Float) -> None:
    """Level ``(direction, frequency)`` in dB re on-axis, with a contour each 6 dB; the map is a raster image."""
    low, high = PICTURED_DB
    ax.pcolormesh(f, degrees, level, vmin=low, vmax=high, cmap="viridis", shading="gouraud", rasterized=True)
    steps = np.arange(low + 6.0, high + 0.1, 6.0)
    drawn = ax.contour(
        f, degrees, np.clip(level, low, high), levels=steps, colors="#ffffff", linewidths=0.6, alpha=0.75
    )
    drawn.set_linestyle("solid")
    frequencies(ax, 100.0, 16000.0)
    ax.grid(False)
    ax.set_yticks(np.arange(-180, 181, 90))
    ax.set_ylim(-180.0, 180.0)
    ax.set_ylabel("azimuth, degrees")
