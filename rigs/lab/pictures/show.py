"""A virtual lab as one picture on disk."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.pictures import plots
from sweetspot.rigs.lab.pictures.lab_overview import POLAR_HZ, Overview
from sweetspot.rigs.storage import replacing

KINDS = (".png", ".svg", ".pdf")
"""Picture formats."""


def checked(path: Path) -> Path:
    """The path of a picture.

    Raises
    ------
    BadInput
        It ends in none of :data:`KINDS`, or its folder is not there.
    """
    if path.suffix.lower() not in KINDS:
        raise BadInput(f"{path}: a picture ends in {', '.join(KINDS)}")
    if not path.parent.is_dir():
        raise BadInput(f"{path}: there is no folder {path.parent}")
    return path


def save(o: Overview, path: Path) -> None:
    """Draw the lab and save it."""
    with mpl.rc_context(plots.STYLE):
        figure = _drawn(o)
        with replacing(path, path.suffix) as part:
            figure.savefig(part, dpi=150)


def _drawn(o: Overview) -> Figure:
    figure = Figure(figsize=(14.0, 8.8 if o.room else 6.0), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    grid = figure.add_gridspec(1, 2, width_ratios=(1.15, 1.0))
    where = f"{o.room.size[0]:g} x {o.room.size[1]:g} x {o.room.size[2]:g} m" if o.room else "free field"
    figure.suptitle(f"{o.name}: {len(o.drivers)} drivers, {where}, unit {o.unit}", x=0.012, ha="left", fontsize=13,
                    fontweight="bold")  # fmt: skip
    plots.plan(figure.add_subplot(grid[0, 0]), o)
    right = grid[0, 1].subgridspec(3 if o.room else 2, 1, height_ratios=(1.25, 0.8, 0.95) if o.room else (1.0, 0.8))
    plots.responses(figure.add_subplot(right[0]), o)
    polar = right[1].subgridspec(1, len(POLAR_HZ))
    for n in range(len(POLAR_HZ)):
        plots.pattern(figure.add_subplot(polar[n], projection="polar"), o, n)
    if o.room:
        below = right[2].subgridspec(1, 2)
        plots.decay(figure.add_subplot(below[0]), o)
        plots.direct_to_reverberant(figure.add_subplot(below[1]), o)
    return figure
