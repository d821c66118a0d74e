"""Picture of a bank: cancellation over listener places, for the static design and the bank."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sweetspot.calibrate.bank import BankFigures, VerifiedPlace
from sweetspot.processor.bank import FilterBank
from sweetspot.rigs.drawing import Axes, Drawing, save
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
    drawing = Drawing((9.5, 5.2))
    ((left, right),) = drawing.grid(1, 2, share_x=True, share_y=True)
    heard = [(p.x, p.y, p.static.mean_db, p.bank.mean_db) for p in places]
    for ax, values, column, title in (
        (left, figures.static_mean_db, 2, "Filters for one place"),
        (right, figures.mean_db, 3, "Bank"),
    ):
        _places(ax, bank, values, [(h[0], h[1], h[column]) for h in heard])
        ax.set_title(title)
    left.set_xlabel("y, m (device's left)")
    left.set_ylabel("x, m ahead of the device")
    label = "Cancellation, mean, 800 Hz to 6.3 kHz, dB; rings: measured"
    drawing.colour_bar([left, right], "viridis", (0.0, LARGEST_DB), label)
    save(drawing.canvas(), path, dpi=110)
    return path


def _places(ax: Axes, bank: FilterBank, values: Float, heard: list[tuple[float, float, float]]) -> None:
    x, y = bank.places[:, :2].T
    ends = (0.0, LARGEST_DB)
    ax.shades(y, x, "s", values, ends, "viridis", size=8.4)
    if heard:
        hx, hy, level = np.array(heard).T
        ax.shades(hy, hx, "o", level, ends, "viridis", size=13.8, edge="#000000")
        for px, py, value in heard:
            ink = "#ffffff" if value < 0.6 * LARGEST_DB else "#000000"
            ax.text(py, px, f"{value:.0f}", ha="middle", va="middle", size=7.0, color=ink)
    home = bank.places[bank.default]
    ax.marks(home[1], home[0], "+", color="#ff0000", size=10.0, width=2.0)
    ax.set_equal()
    ax.x.turned = True
