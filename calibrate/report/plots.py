"""The pictures of a report: each function draws one value into given axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, PathPatch
from matplotlib.path import Path

from sweetspot.calibrate.plant import OCTAVES, interval
from sweetspot.calibrate.report.evidence import CellSpread
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.share import (
    A_DIGIT,
    A_LINE,
    PICTURED_DB,
    Values,
    cells,
    every,
    inches,
    key,
)
from sweetspot.rigs.plots import DRIVERS, GRID, PAPER, SOFT, frequencies
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Float

if TYPE_CHECKING:
    from sweetspot.calibrate.study import DesignRow

BEFORE, PREDICTED, HEARD, TARGET = "#7d8590", "#0b6cb5", "#d1570a", "#0a8066"
"""Colours of before, predicted, measured and target; a page maps them to variables."""

COLOURS = {"before": BEFORE, "predicted": PREDICTED, "heard": HEARD, "target": TARGET}
LABELS = {"heard": "measured"}
DECIDED = {"shadow": (GRID, None), "target": (TARGET, None), "effort": (HEARD, "////"), "spread": (DRIVERS[3], "...")}
"""Colour and hatching of a band's active limit."""

BEHIND_TEXT = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}
"""What keeps lines away from a text among them."""

OUTERMOST_DB = 6.5
SPOKES_DEG = (0.0, 45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0)
"""The outermost circle of a polar cut, dB re on-axis, and its rays."""


def spreads(ax: Axes, found: Mapping[str, CellSpread]) -> None:
    """Means as lines with 90 % of confidence as bars, 10th to 90th percentile of places shaded; predicted is dashed."""
    for name in ("before", "heard", "predicted"):
        if name not in found:
            continue
        s, colour = found[name], COLOURS[name]
        style: dict[str, object] = {"linewidth": 1.6, "linestyle": (0, (4, 2.5)), "zorder": 4}
        if name != "predicted":
            style = {"linewidth": 2.6, "zorder": 3}
        if name != "predicted" or "heard" not in found:
            ax.fill_between(s.f, s.low, s.high, color=colour, alpha=0.17, linewidth=0)
        ax.plot(s.f, s.mean, color=colour, label=LABELS.get(name, name), **style)  # type: ignore[arg-type]
        if s.u is not None:
            low, high = interval(s.mean, s.u)
            ax.vlines(s.f, low, high, color=colour, linewidth=1.0, zorder=5)
            ax.plot(s.f, low, "_", s.f, high, "_", color=colour, markersize=7, zorder=5)


def cancellation(ax: Axes, found: Mapping[str, CellSpread], f: Float, target_db: Float, lowest: float = 0.0) -> None:
    """Cancellation over frequency against the target curve ``(frequency,)``, dB; ``lowest`` is where the gate ends."""
    spreads(ax, found)
    inside = (f >= 150.0) & (f <= 10000.0)
    ax.plot(f[inside], target_db[inside], color=TARGET, linewidth=1.6, linestyle=(0, (1, 1.4)), label="target")
    ax.axhline(0.0, color=SOFT, linewidth=0.8)
    begin = max(800.0 * 0.891, lowest)
    ax.axvspan(begin, 6300.0 * 1.122, color=GRID, alpha=0.3, linewidth=0, zorder=0)
    if lowest > 180.0:
        ax.axvline(lowest, color=SOFT, linewidth=0.8, linestyle=(0, (2, 2)))
    ax.annotate("judged band", (1.03 * begin, 0.02), xycoords=("data", "axes fraction"), color=SOFT, va="bottom")
    frequencies(ax, 180.0, 9000.0)
    ax.set_ylabel("near over far ear, dB")
    key(ax)


def decided(ax: Axes, edges: Float, rows: Sequence[Sequence[str]]) -> None:
    """Strips of each band's active limit, left above right."""
    for row, kinds in enumerate(rows):
        for kind in dict.fromkeys(k for k in kinds if k):
            colour, hatch = DECIDED.get(kind, (SOFT, "xxxx"))
            runs = [(edges[i], edges[i + 1] - edges[i]) for i, k in enumerate(kinds) if k == kind]
            ax.broken_barh(runs, (0.55 - row, 0.9), facecolor=colour, hatch=hatch, edgecolor=PAPER, linewidth=0.4)
    ax.set_yticks([1.0, 0.0], ["left", "right"])
    ax.set_ylim(-0.5, 1.5)
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)


def polar_cut(ax: Axes, found: Mapping[str, tuple[Float, Float]]) -> None:
    """Level over azimuth (deg, dB re on-axis) around the device as a circle, 0 degrees upwards, left at the left.

    It is drawn into plain axes: polar ones take four times as long.
    """
    for name in ("before", "heard", "predicted"):
        if name in found:
            degrees, level = found[name]
            dash = (0, (4, 2.5)) if name == "predicted" else "solid"
            width = 1.3 if name == "predicted" else 2.0
            ax.plot(*_seen(degrees, level), color=COLOURS[name], linestyle=dash, linewidth=width,
                    label=LABELS.get(name, name))  # fmt: skip
    rings = [Path.circle((0.0, 0.0), float(_radius(level))) for level in (-24.0, -12.0, 0.0, OUTERMOST_DB)]
    spokes = [Path(np.transpose(_seen(np.full(2, a), np.array([PICTURED_DB[0], OUTERMOST_DB])))) for a in SPOKES_DEG]
    grid = Path.make_compound_path(*rings, *spokes)
    ax.add_patch(PathPatch(grid, fill=False, edgecolor=GRID, linewidth=0.7, zorder=1))
    for text, ring in (("\N{MINUS SIGN}12", -12.0), ("0 dB", 0.0)):
        x, y = _seen(22.5, ring)
        ax.text(float(x), float(y), text, color=SOFT, fontsize=8, ha="center", va="center", zorder=5, bbox=BEHIND_TEXT)
    for azimuth, ha, va in ((0.0, "center", "bottom"), (90.0, "right", "center"), (180.0, "center", "top")):
        x, y = _seen(azimuth, OUTERMOST_DB + 2.5)
        ax.text(float(x), float(y), f"{azimuth:g}°", fontsize=8.5, ha=ha, va=va)
    ax.set_xlim(-1.0, 1.0)
    ax.set_ylim(-1.0, 1.0)
    ax.set_aspect("equal")
    ax.set_axis_off()


def _radius(level: float | Float) -> Float:
    """Where a level is between the middle of a polar cut, 0, and its outermost circle, 1."""
    return np.maximum(np.asarray(level) - PICTURED_DB[0], 0.0) / (OUTERMOST_DB - PICTURED_DB[0])


def _seen(degrees: float | Float, level: float | Float) -> tuple[Float, Float]:
    """Places in a polar cut."""
    at, radius = np.radians(degrees), _radius(level)
    return -radius * np.sin(at), radius * np.cos(at)


def designs(ax: Axes, rows: Sequence[DesignRow]) -> None:
    """Designs side by side in each band: mean cancellation with its 10th percentile hanging from it."""
    for i, (row, at) in enumerate(zip(rows, _beside(len(rows)), strict=True)):
        colour, size = DRIVERS[i % len(DRIVERS)], 9 if i == 0 else 6
        at, mean, p10 = (x[row.plays] for x in (at, row.mean, row.p10))
        ax.vlines(at, p10, mean, color=colour, linewidth=3.2 if i == 0 else 2.0)
        ax.plot(at, mean, "o", color=colour, markersize=size, label=row.name)
        ax.plot(at, p10, "_", color=colour, markersize=size)
    _banded(ax)
    ax.set_ylabel("near over far ear, dB")
    key(ax)


def efforts(ax: Axes, rows: Sequence[DesignRow]) -> None:
    """Effort of designs side by side in each band, in the order and colours of :func:`designs`."""
    for i, (row, at) in enumerate(zip(rows, _beside(len(rows)), strict=True)):
        ax.bar(at[row.plays], row.effort[row.plays], width=0.64 / len(rows), color=DRIVERS[i % len(DRIVERS)])
    _banded(ax)
    ax.set_ylabel("effort, dB re one driver")


def _beside(count: int) -> Float:
    """Places ``(design, band)`` for a number of designs."""
    shift = (np.arange(count) - 0.5 * (count - 1)) * 0.8 / count
    return np.asarray(np.arange(len(OCTAVES))[None, :] + shift[:, None])


def _banded(ax: Axes) -> None:
    """An axis of the octaves that designs are compared in."""
    ax.set_xticks(np.arange(len(OCTAVES)), [f"{a:g} to {b:g} Hz" for a, b in OCTAVES])
    ax.set_xlim(-0.6, len(OCTAVES) - 0.4)
    ax.tick_params(axis="x", length=0)
    ax.grid(True, axis="y", color=GRID, linewidth=0.7)
    ax.set_axisbelow(True)
    ax.axhline(0.0, color=SOFT, linewidth=0.8)


def device(ax: Axes, rig: Description, mics_m: float | None) -> None:
    """Plan view in centimetres: the device with its drivers, x up and y to the left; close names stand upright."""
    at = 100.0 * np.array([d.at[:2] for d in rig.driver])
    reach = float(np.hypot(*at.T).max())
    dx, dy = np.abs(np.diff(at[np.argsort(at[:, 1])], axis=0)).T
    upright = 90.0 if np.any((dy < 0.4 * reach) & (dx < 0.15 * reach)) else 0.0
    named = every(len(at), inches(ax)[0] * float(np.ptp(at[:, 1])) / (3.8 * reach), A_LINE) if upright else 1
    for i, (driver, (x, y)) in enumerate(zip(rig.driver, at, strict=True)):
        ax.plot(y, x, "o", color=DRIVERS[i % len(DRIVERS)], markersize=8)
        if i % named == 0:
            ax.annotate(driver.name.replace("_", " "), (y, x), xytext=(0, 8), textcoords="offset points", ha="center",
                        va="bottom", rotation=upright)  # fmt: skip
    ax.plot(0.0, 0.0, "+", color=SOFT, markersize=9)
    ax.add_patch(Circle((0.0, 0.0), reach, fill=False, edgecolor=SOFT, linewidth=1.0, linestyle=(0, (3, 3))))
    away = f"{mics_m:g} m" if mics_m else "the listener"
    ax.annotate(f"to the head, {away}", (0.0, 1.85 * reach), xytext=(0.0, 1.5 * reach), ha="center", color=SOFT,
                va="top", arrowprops={"arrowstyle": "->", "color": SOFT})  # fmt: skip
    _plan(ax, 1.9 * reach, 0.0)


def heads(ax: Axes, ears: ImpulseResponse) -> None:
    """Plan view of the head positions: design filled, score hollow, a short line in the direction of the nose."""
    p = ears.positions
    for use, marker, face, colour in (("design", "o", PREDICTED, PREDICTED), ("score", "s", "none", HEARD)):
        rows = p[p["use"] == use.encode()]
        yaw = np.radians(rows["yaw_deg"])
        x, y = 100.0 * rows["x"], 100.0 * rows["y"]
        ax.plot(y, x, marker, markerfacecolor=face, markeredgecolor=colour, markersize=7, markeredgewidth=1.6,
                label=f"{use} ({len(rows)})")  # fmt: skip
        nose = 1.1
        ax.plot([y, y - nose * np.sin(yaw)], [x, x - nose * np.cos(yaw)], color=colour, linewidth=1.4)
    middle = 50.0 * (p["x"].max() + p["x"].min())
    aside = 50.0 * (p["y"].max() + p["y"].min())
    reach = 100.0 * max(np.ptp(p["x"]), np.ptp(p["y"]), 0.02) / 2.0
    _plan(ax, 1.35 * float(reach), float(middle), float(aside))
    key(ax)


def _plan(ax: Axes, reach: float, middle: float, aside: float = 0.0) -> None:
    """Equal scales in centimetres; y grows to the left, as seen from above with x upwards."""
    reach = max(reach, 1.0)  # a single driver in the middle
    ax.set_aspect("equal")
    ax.set_xlim(aside + reach, aside - reach)
    ax.set_ylim(middle - reach, middle + reach)
    ax.set_xlabel("y (to the left), cm")
    ax.set_ylabel("x (ahead), cm")
    ax.grid(True, color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)


def snr_map(ax: Axes, snr_db: Float, columns: Sequence[str], ends: tuple[float, float], numbered: bool) -> None:
    """Signal to noise ``(position, path)`` as shaded cells, between ``ends``, dB.

    Cells have their value when ``numbered`` and large enough for it; columns have a name where there is room.
    """
    cells(ax, snr_db, (0.0, float(snr_db.shape[1]), 0.0, float(len(snr_db))), "cividis", ends)
    wide, high = inches(ax)
    named = every(len(columns), wide, A_DIGIT * (max(map(len, columns)) + 0.5))
    ax.set_xticks(np.arange(len(columns))[::named] + 0.5, columns[::named], rotation=0)
    numbered &= every(snr_db.shape[1], wide, 2.0 * A_DIGIT) == every(len(snr_db), high, A_LINE) == 1
    ax.set_ylim(len(snr_db), 0)
    ax.tick_params(length=0)
    if numbered:
        places = [(row, path, float(level)) for (row, path), level in np.ndenumerate(snr_db)]
        tone = {True: "#000001", False: "#ffffff"}
        values = [(i + 0.5, row + 0.5, f"{x:.0f}", tone[x > 0.5 * sum(ends)]) for row, i, x in places]
        Values(ax, values, size=8)
