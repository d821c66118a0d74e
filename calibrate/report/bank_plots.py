"""Picture of a bank: cancellation over listener places, for the static design and the bank."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from sweetspot.calibrate.bank import BankFigures, VerifiedPlace
from sweetspot.measure.share import plots as measured
from sweetspot.processor.bank import FilterBank
from sweetspot.rigs import plots as style
from sweetspot.rigs.storage import replacing
from sweetspot.rigs.units import Float

LARGEST_DB = 25.0
"""Cancellation from which on the map is as light as it gets."""


def bank_map(bank: FilterBank, figures: BankFigures, places: Sequence[VerifiedPlace], path: Path) -> Path:
    """Draw predicted cancellation of both, with measured values as rings, into a PNG file.

    Raises
    ------
    BadInput
        The file cannot be written.
    """
    with matplotlib.rc_context(measured.STYLE):
        figure = Figure(figsize=(9.5, 5.2), layout="constrained", facecolor=style.PAPER)
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        heard = [(p.x, p.y, p.static.mean_db, p.bank.mean_db) for p in places]
        for ax, values, column, title in (
            (left, figures.static_mean_db, 2, "Filters for one place"),
            (right, figures.mean_db, 3, "Bank"),
        ):
            drawn = _places(ax, bank, values, [(h[0], h[1], h[column]) for h in heard])
            ax.set_title(title)
            ax.set_xlabel("y, m (device's left)")
        left.set_ylabel("x, m ahead of the device")
        left.invert_xaxis()  # for both, which share it: y grows to the left, as in all plans
        bar = figure.colorbar(drawn, ax=[left, right], shrink=0.9)
        bar.set_label("Cancellation, mean, 800 Hz to 6.3 kHz, dB; rings: measured")
        with replacing(path) as part:
            figure.savefig(part, format="png", dpi=110, metadata={"Software": None})
    return path


def _places(ax: Axes, bank: FilterBank, values: Float, heard: list[tuple[float, float, float]]) -> PathCollection:
    shown, (x, y) = np.clip(values, 0.0, LARGEST_DB), bank.places[:, :2].T
    drawn = ax.scatter(y, x, c=shown, s=70, marker="s", cmap="viridis", vmin=0.0, vmax=LARGEST_DB)
    for px, py, level in heard:
        ink = "white" if level < 0.6 * LARGEST_DB else "black"
        inside = drawn.to_rgba(np.clip(level, 0.0, LARGEST_DB))
        ax.scatter([py], [px], color=[inside], s=190, edgecolors="black", linewidths=1.2)
        ax.annotate(f"{level:.0f}", (py, px), ha="center", va="center", fontsize=7, color=ink)
    home = bank.places[bank.default]
    ax.plot(home[1], home[0], "+", color="red", markersize=10, markeredgewidth=2.0)
    ax.set_aspect("equal")
    return drawn
