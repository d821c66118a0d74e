"""Plots of the listener's metrics: listening zone, pan curve, cancellation of direct sound and whole response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.auditory import PANS
from sweetspot.calibrate.report.plots import BEFORE, HEARD, PREDICTED, TARGET
from sweetspot.calibrate.study import FrontPoint
from sweetspot.measure.share import frequencies
from sweetspot.measure.smooth import THIRD_OCTAVES
from sweetspot.rigs.drawing import DRIVERS, GRID, Axes
from sweetspot.rigs.units import Float

ARMS = {"plain": BEFORE, "matrix": DRIVERS[3], "calibrated": HEARD, "reference": TARGET}
"""Colour of each arm."""

NAMES = {
    "plain": "plain stereo",
    "matrix": "matrix mixing",
    "calibrated": "calibrated",
    "reference": "±30° pair",
}

LARGEST_DEG = 30.0
"""Azimuth errors from which on a map is as dark as it gets."""

AZIMUTH_ENDS, AZIMUTH_COLOURS = (0.0, LARGEST_DEG), "viridis_r"
"""Scale of the maps."""


def zone(
    ax: Axes, x: Float, y: Float, *, error_deg: Float, trusted: NDArray[np.bool_], within_deg: float, listener_m: float
) -> None:
    """Azimuth error ``(x, y)`` over listener places from above, x upwards; grey where it is not trusted.

    The line encloses places with an error of at most ``within_deg``.
    """
    error = np.minimum(np.abs(error_deg), LARGEST_DEG)
    half_x, half_y = (0.5 * (v[-1] - v[0]) / max(len(v) - 1, 1) for v in (x, y))
    extent = (float(y[0] - half_y), float(y[-1] + half_y), float(x[0] - half_x), float(x[-1] + half_x))
    ax.axvspan(*extent[:2], color=GRID)
    ax.map(np.where(trusted, error, np.nan), AZIMUTH_ENDS, AZIMUTH_COLOURS, smooth=False, extent=extent)
    shown = error[trusted]
    if min(error.shape) > 1 and shown.size and shown.min() < within_deg < shown.max():
        line = np.where(trusted, error, LARGEST_DEG)
        ax.contour(y, x, line, [within_deg], color=HEARD, linewidth=1.6)
    ax.marks(0.0, listener_m, "+", color=HEARD, size=9.0, width=2.0)
    ax.set_xlim(extent[1], extent[0])
    ax.set_ylim(extent[2], extent[3])
    ax.set_equal()
    ax.tick = 2.0


def pan_curve(ax: Axes, azimuth_deg: Mapping[str, Float]) -> None:
    """Azimuth of five pans, one line an arm; left is positive."""
    for name, values in azimuth_deg.items():
        wide = 2.8 if name == "calibrated" else 1.6
        dash = (4, 2.5) if name == "reference" else ()
        ax.plot(PANS, values, color=ARMS[name], dash=dash, linewidth=wide, label=NAMES[name])
        ax.marks(PANS, values, "o", color=ARMS[name], size=5.0)
    ax.axhline(0.0)
    ax.set_xticks(PANS, ["hard left", "half", "centre", "half", "hard right"])
    ax.set_ylabel("azimuth, degrees (left +)")
    top = max(35.0, 1.1 * max(float(np.abs(v).max()) for v in azimuth_deg.values()))
    ax.set_ylim(-top, top)
    ax.grid("y")
    ax.set_legend()


def front(ax: Axes, points: Sequence[FrontPoint], own: FrontPoint) -> None:
    """Width, degrees, over the sides' direct-to-reverberant ratio re plain stereo, dB, with each point's preference."""
    ax.plot([p.drr_re_plain_db for p in points], [p.width_deg for p in points], color=PREDICTED, linewidth=1.6)
    for p in points:
        face = PREDICTED if p is own else ""
        ax.marks(p.drr_re_plain_db, p.width_deg, "o", color=PREDICTED, face=face, size=9.0)
        ax.text(p.drr_re_plain_db, p.width_deg, f"{p.prefer:g}", shift=(8.0, 6.0))
    ax.set_xlabel("direct to reverberant, sides re plain stereo, dB")
    ax.set_ylabel("width, degrees")
    ax.set_ylim(0.0, max(65.0, 1.1 * max(p.width_deg for p in points)))
    ax.x.margin = 0.12
    ax.grid()


def direct_and_room(ax: Axes, direct: Float, room: Float, plain: Float, resolved: NDArray[np.bool_]) -> None:
    """Cancellation in third octaves, dB: direct sound (above the gate's limit), whole response, plain stereo."""
    ax.plot(THIRD_OCTAVES[resolved], direct[resolved], color=PREDICTED, linewidth=2.6, label="direct")
    ax.plot(THIRD_OCTAVES, room, color=HEARD, linewidth=2.6, label="in the room")
    ax.plot(THIRD_OCTAVES, plain, color=BEFORE, linewidth=1.6, label="plain, in the room")
    ax.axhline(0.0)
    frequencies(ax, 180.0, 9000.0)
    ax.set_ylabel("near over far ear, dB")
    ax.set_legend()


def bars(ax: Axes, each_db: Mapping[str, Mapping[str, float]], label: str) -> None:
    """A level of every arm in dB, one group of bars a programme or source, one bar an arm."""
    groups = list(next(iter(each_db.values())))
    for i, (arm, values) in enumerate(each_db.items()):
        at = np.arange(len(groups)) + (i - 0.5 * (len(each_db) - 1)) * 0.2
        ax.bar(at, [values[g] for g in groups], width=0.18, color=ARMS[arm], label=NAMES[arm])
    ax.axhline(0.0)
    ax.set_xticks(np.arange(len(groups)), groups)
    ax.set_ylabel(label)
    ax.grid("y")
    ax.set_legend()


def differences(ax: Axes, f: Float, measured_db: Float, predicted_db: Float) -> None:
    """Measured minus predicted, dB, on a scale of its own: the curves themselves would lie on each other."""
    gap = measured_db - predicted_db
    ax.plot(f, gap, color=HEARD, linewidth=1.6)
    ax.axhline(0.0)
    reach = max(float(np.abs(gap).max()) * 1.2, 0.05)
    ax.set_ylim(-reach, reach)
    ax.set_ylabel("difference,\ndB", size=8.0)
    ax.grid("y", 0.6)
