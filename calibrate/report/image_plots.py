"""Plots of what a listener gets: listening zone, pan curve, cancellation of direct sound and whole response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.auditory import PANS
from sweetspot.calibrate.report.plots import BEFORE, HEARD, PREDICTED, TARGET
from sweetspot.calibrate.study import FrontPoint
from sweetspot.measure.drawing import Axes
from sweetspot.measure.share import plots as measured
from sweetspot.measure.smooth import THIRD_OCTAVES
from sweetspot.rigs.units import Float

ARMS = {"plain": BEFORE, "matrix": measured.DRIVERS[3], "calibrated": HEARD, "reference": TARGET}
"""Colour of each arm."""

NAMES = {
    "plain": "plain stereo",
    "matrix": "matrix mixing",
    "calibrated": "calibrated",
    "reference": "±30° pair",
}

SHADES = "viridis_r"
"""Colours of a map of errors."""

LARGEST_DEG = 30.0
"""Azimuth errors from which on a map is as dark as it gets."""


def zone(
    ax: Axes, x: Float, y: Float, *, error_deg: Float, trusted: NDArray[np.bool_], within_deg: float, listener_m: float
) -> None:
    """Azimuth error ``(x, y)`` over listener places from above, x upwards; where it is not trusted the map is grey.

    The line encloses places with an error of at most ``within_deg``.
    """
    shown = np.minimum(np.abs(error_deg), LARGEST_DEG)
    ax.span(-np.inf, np.inf, colour=measured.GRID, level=-1.0)
    ax.map(y, x, shown, colours=SHADES, low=0.0, high=LARGEST_DEG, known=trusted)
    known = shown[trusted]
    if min(shown.shape) > 1 and len(known) and known.min() < within_deg < known.max():
        ax.contours(y, x, np.where(trusted, shown, LARGEST_DEG), [within_deg], colour=HEARD, width=1.6)
    ax.line(0.0, listener_m, colour=HEARD, width=0.0, sign="+", size=9.0)
    (ax.x.high, ax.x.low), (ax.y.low, ax.y.high) = ax.x.seen, ax.y.seen  # the ends of the map's cells
    ax.frame.equal = ax.frame.centred = True


def pan_curve(ax: Axes, azimuth_deg: Mapping[str, Float]) -> None:
    """Azimuth of five pans, one line an arm; left is positive."""
    for name, values in azimuth_deg.items():
        width, dash = 2.8 if name == "calibrated" else 1.6, (4, 2.5) if name == "reference" else ()
        ax.line(PANS, values, colour=ARMS[name], width=width, dash=dash, sign="o", size=5.0, name=NAMES[name])
    ax.across(0.0)
    ax.x.ticks, ax.x.names = np.asarray(PANS, dtype=float), ["hard left", "half", "centre", "half", "hard right"]
    ax.y.label = "azimuth, degrees (left +)"
    top = max(35.0, 1.1 * max(float(np.abs(v).max()) for v in azimuth_deg.values()))
    ax.y.low, ax.y.high = -top, top
    ax.frame.gridded = "y"
    measured.key(ax)


def front(ax: Axes, points: Sequence[FrontPoint], own: FrontPoint) -> None:
    """Width, degrees, over the sides' direct-to-reverberant ratio re plain stereo, dB, with each point's preference."""
    ax.line([p.drr_re_plain_db for p in points], [p.width_deg for p in points], colour=PREDICTED, width=1.6)
    for p in points:
        face = PREDICTED if p is own else ""
        ax.line(p.drr_re_plain_db, p.width_deg, colour=PREDICTED, width=0.0, sign="o", face=face, size=9.0)
        ax.note(p.drr_re_plain_db, p.width_deg, f"{p.prefer:g}", anchor="start", shift=(8.0, 6.0))
    least, most = min(p.drr_re_plain_db for p in points), max(p.drr_re_plain_db for p in points)
    room = 0.12 * (most - least) or 0.5
    ax.x.low, ax.x.high = least - room, most + room
    ax.x.label, ax.y.label = "direct to reverberant, sides re plain stereo, dB", "width, degrees"
    ax.y.low, ax.y.high = 0.0, max(65.0, 1.1 * max(p.width_deg for p in points))
    ax.frame.gridded = "xy"


def direct_and_room(ax: Axes, direct: Float, room: Float, plain: Float, resolved: NDArray[np.bool_]) -> None:
    """Cancellation in third octaves, dB: direct sound (where the gate resolves it), whole response, plain stereo."""
    ax.line(THIRD_OCTAVES[resolved], direct[resolved], colour=PREDICTED, width=2.6, name="direct")
    ax.line(THIRD_OCTAVES, room, colour=HEARD, width=2.6, name="in the room")
    ax.line(THIRD_OCTAVES, plain, colour=BEFORE, width=1.6, name="plain, in the room")
    ax.across(0.0)
    measured.frequencies(ax, 180.0, 9000.0)
    ax.y.label = "near over far ear, dB"
    measured.key(ax)


def bars(ax: Axes, each_db: Mapping[str, Mapping[str, float]], label: str) -> None:
    """A level of every arm in dB, one group of bars a programme or source, one bar an arm."""
    groups = list(next(iter(each_db.values())))
    for i, (arm, values) in enumerate(each_db.items()):
        at = np.arange(len(groups)) + (i - 0.5 * (len(each_db) - 1)) * 0.2
        corners = [(a - 0.09, a + 0.09, 0.0, values[g]) for a, g in zip(at, groups, strict=True)]
        ax.bars(np.array(corners), colour=ARMS[arm], name=NAMES[arm])
    ax.across(0.0)
    ax.x.ticks, ax.x.names = np.arange(float(len(groups))), groups
    ax.frame.ticks, ax.frame.gridded = (False, True), "y"
    ax.y.label = label
    measured.key(ax)


def differences(ax: Axes, f: Float, measured_db: Float, predicted_db: Float) -> None:
    """Measured minus predicted, dB, on a scale of its own: the curves themselves would lie on each other."""
    gap = measured_db - predicted_db
    ax.line(f, gap, colour=HEARD, width=1.6)
    ax.across(0.0)
    reach = max(float(np.abs(gap).max()) * 1.2, 0.05)
    ax.y.low, ax.y.high = -reach, reach
    ax.y.label, ax.y.size = "difference,\ndB", 8.0
    ax.frame.gridded = "y"
