"""The common style of all pictures: colours, settings of matplotlib, and the frequency axis."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from sweetspot.rigs.units import tick

INK, SOFT, GRID, PAPER = "#20262d", "#5b6570", "#d5dbe1", "#fefefe"
DRIVERS = ("#0b6cb6", "#d1570b", "#0a8067", "#a8468c", "#8a6d00", "#3c8fc9", "#5d5fb8", "#7d8591")
"""Colours, each a colour-blind safe hue; the report maps them to variables, so that they follow light and dark."""

STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
"""Settings of matplotlib for every picture."""

TICKS = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
"""Of a frequency axis, Hz."""


def frequencies(ax: Axes, low: float, high: float) -> None:
    """A logarithmic frequency axis from ``low`` to ``high`` Hz."""
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(FixedLocator([t for t in TICKS if 0.99 * low <= t <= 1.01 * high]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda f, _: tick(f)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("frequency, Hz")
    ax.grid(True, color=GRID, linewidth=0.7)
