"""Plots of the listener's metrics: listening zone, pan curve, cancellation of direct sound and whole response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sweetspot.calibrate.auditory import PANS
from sweetspot.calibrate.report.plots import BEFORE, HEARD, PREDICTED, TARGET
from sweetspot.calibrate.study import FrontPoint
from sweetspot.measure.share import plots as measured
from sweetspot.measure.smooth import THIRD_OCTAVES
from sweetspot.rigs import plots as style
from sweetspot.rigs.units import Float

ARMS = {"plain": BEFORE, "matrix": style.DRIVERS[3], "calibrated": HEARD, "reference": TARGET}
"""Colour of each arm."""

NAMES = {
    "plain": "plain stereo",
    "matrix": "matrix mixing",
    "calibrated": "calibrated",
    "reference": "±30° pair",
}

LARGEST_DEG = 30.0
"""Azimuth errors from which on a map is as dark as it gets."""

COLOURS = "viridis_r"
"""Colours of the errors, from none on."""


def zone(
    ax: Axes, x: Float, y: Float, *, error_deg: Float, trusted: NDArray[np.bool_], within_deg: float, listener_m: float
) -> None:
    """Azimuth error ``(x, y)`` over an even grid of listener places from above, x upwards; grey where not trusted.

    The line encloses places with an error of at most ``within_deg``.
    """
    shown = np.ma.masked_where(~trusted, np.minimum(np.abs(error_deg), LARGEST_DEG))
    ax.axvspan(float(y.min()), float(y.max()), facecolor=style.GRID, linewidth=0, zorder=0)
    ax.set_aspect("equal")
    measured.cells(ax, shown, (*_edges(y), *_edges(x)), COLOURS, (0.0, LARGEST_DEG))
    if min(shown.shape) > 1 and shown.count() and shown.min() < within_deg < shown.max():
        ax.contour(y, x, shown.filled(LARGEST_DEG), levels=[within_deg], colors=[HEARD], linewidths=1.6)
    ax.plot(0.0, listener_m, "+", color=HEARD, markersize=9, markeredgewidth=2.0)
    ax.set_xlim(float(y.max()), float(y.min()))
    ax.tick_params(length=2)


def _edges(at: Float) -> tuple[float, float]:
    """Outer edges of the cells around places at even distances."""
    half = 0.5 * (float(at[-1]) - float(at[0])) / max(len(at) - 1, 1)
    return float(at[0]) - half, float(at[-1]) + half


def pan_curve(ax: Axes, azimuth_deg: Mapping[str, Float]) -> None:
    """Azimuth of five pans, one line an arm; left is positive."""
    for name, values in azimuth_deg.items():
        wide = 2.8 if name == "calibrated" else 1.6
        dash = (0, (4, 2.5)) if name == "reference" else "solid"
        ax.plot(PANS, values, "o", color=ARMS[name], linestyle=dash, linewidth=wide, markersize=5, label=NAMES[name])
    ax.axhline(0.0, color=style.SOFT, linewidth=0.8)
    ax.set_xticks(PANS, ["hard left", "half", "centre", "half", "hard right"])
    ax.set_ylabel("azimuth, degrees (left +)")
    top = max(35.0, 1.1 * max(float(np.abs(v).max()) for v in azimuth_deg.values()))
    ax.set_ylim(-top, top)
    ax.grid(True, axis="y", color=style.GRID, linewidth=0.7)
    ax.set_axisbelow(True)
    measured.key(ax)


def front(ax: Axes, points: Sequence[FrontPoint], own: FrontPoint) -> None:
    """Width, degrees, over the sides' direct-to-reverberant ratio re plain stereo, dB, with each point's preference."""
    ax.plot([p.drr_re_plain_db for p in points], [p.width_deg for p in points], color=PREDICTED, linewidth=1.6)
    for p in points:
        face = PREDICTED if p is own else "none"
        ax.plot(p.drr_re_plain_db, p.width_deg, "o", color=PREDICTED, markerfacecolor=face, markersize=9)
        ax.annotate(f"{p.prefer:g}", (p.drr_re_plain_db, p.width_deg), (8, 6), textcoords="offset points")
    ax.set_xlabel("direct to reverberant, sides re plain stereo, dB")
    ax.set_ylabel("width, degrees")
    ax.set_ylim(0.0, max(65.0, 1.1 * max(p.width_deg for p in points)))
    ax.margins(x=0.12)
    ax.grid(True, color=style.GRID, linewidth=0.7)
    ax.set_axisbelow(True)


def direct_and_room(ax: Axes, direct: Float, room: Float, plain: Float, resolved: NDArray[np.bool_]) -> None:
    """Cancellation in third octaves, dB: direct sound (above the gate's limit), whole response, plain stereo."""
    ax.plot(THIRD_OCTAVES[resolved], direct[resolved], color=PREDICTED, linewidth=2.6, label="direct")
    ax.plot(THIRD_OCTAVES, room, color=HEARD, linewidth=2.6, label="in the room")
    ax.plot(THIRD_OCTAVES, plain, color=BEFORE, linewidth=1.6, label="plain, in the room")
    ax.axhline(0.0, color=style.SOFT, linewidth=0.8)
    style.frequencies(ax, 180.0, 9000.0)
    ax.set_ylabel("near over far ear, dB")
    measured.key(ax)


def bars(ax: Axes, each_db: Mapping[str, Mapping[str, float]], label: str) -> None:
    """A level of every arm in dB, one group of bars a programme or source, one bar an arm."""
    groups = list(next(iter(each_db.values())))
    for i, (arm, values) in enumerate(each_db.items()):
        at = np.arange(len(groups)) + (i - 0.5 * (len(each_db) - 1)) * 0.2
        ax.bar(at, [values[g] for g in groups], width=0.18, color=ARMS[arm], label=NAMES[arm])
    ax.axhline(0.0, color=style.SOFT, linewidth=0.8)
    ax.set_xticks(np.arange(len(groups)), groups)
    ax.tick_params(axis="x", length=0)
    ax.set_ylabel(label)
    ax.grid(True, axis="y", color=style.GRID, linewidth=0.7)
    ax.set_axisbelow(True)
    measured.key(ax)


def differences(ax: Axes, measured_db: Float, predicted_db: Float) -> None:
    """Measured minus predicted in third octaves, dB, on their own scale: the curves would lie on each other."""
    gap = measured_db - predicted_db
    ax.plot(THIRD_OCTAVES, gap, color=HEARD, linewidth=1.6)
    ax.axhline(0.0, color=style.SOFT, linewidth=0.8)
    reach = max(float(np.abs(gap).max()) * 1.2, 0.05)
    ax.set_ylim(-reach, reach)
    ax.set_ylabel("\N{GREEK CAPITAL LETTER DELTA}, dB", fontsize=8, labelpad=1)
    ax.tick_params(axis="y", labelsize=8)
    ax.grid(True, axis="y", color=style.GRID, linewidth=0.6)
    ax.set_axisbelow(True)
