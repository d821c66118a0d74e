"""The pictures of a report: each function draws one value into given axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sweetspot.calibrate.plant import OCTAVES, interval
from sweetspot.calibrate.report.evidence import CellSpread
from sweetspot.calibrate.study import DesignRow
from sweetspot.measure.drawing import Axes
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.share import DRIVERS, GRID, PAPER, PICTURED_DB, SOFT, frequencies, key
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Float

BEFORE, PREDICTED, HEARD, TARGET = "#7d8590", "#0b6cb5", "#d1570a", "#0a8066"
"""Colours of what was there before, is predicted, was heard and is wanted; a page maps them to variables."""

COLOURS = {"before": BEFORE, "predicted": PREDICTED, "heard": HEARD, "target": TARGET}
LABELS = {"heard": "measured"}
DECIDED = {"shadow": (GRID, ""), "target": (TARGET, ""), "effort": (HEARD, "////"), "spread": (DRIVERS[3], "....")}
"""Colour and hatching of what decided a band."""


def spreads(ax: Axes, found: Mapping[str, CellSpread]) -> None:
    """Means as lines with 90 % of confidence as bars, 10th to 90th percentile of places shaded; predicted is dashed."""
    for name in ("before", "heard", "predicted"):
        if name not in found:
            continue
        s, colour = found[name], COLOURS[name]
        if name != "predicted" or "heard" not in found:
            ax.band(s.f, s.low, s.high, colour=colour, alpha=0.17)
        text = LABELS.get(name, name)
        if name == "predicted":
            ax.line(s.f, s.mean, colour=colour, width=1.6, dash=(4, 2.5), name=text, level=4.0)
        else:
            ax.line(s.f, s.mean, colour=colour, width=2.6, name=text, level=3.0)
        if s.u is not None:
            low, high = interval(s.mean, s.u)
            ax.uprights(s.f, low, high, colour=colour, level=5.0)
            for end in (low, high):
                ax.line(s.f, end, colour=colour, width=0.0, sign="_", size=7.0, level=5.0)


def cancellation(ax: Axes, found: Mapping[str, CellSpread], f: Float, target_db: Float, lowest: float = 0.0) -> None:
    """Cancellation over frequency against the target curve ``(frequency,)``, dB; ``lowest`` is where the gate ends."""
    spreads(ax, found)
    inside = (f >= 150.0) & (f <= 10000.0)
    ax.line(f[inside], target_db[inside], colour=TARGET, width=1.6, dash=(1, 1.4), name="target")
    ax.across(0.0)
    begin = max(800.0 * 0.891, lowest)
    ax.span(begin, 6300.0 * 1.122, colour=GRID, alpha=0.3)
    if lowest > 180.0:
        ax.upright(lowest, dash=(2, 2))
    ax.note(1.03 * begin, 0.02, "judged band", colour=SOFT, anchor="start", shares=(False, True))
    frequencies(ax, 180.0, 9000.0)
    ax.y.label = "near over far ear, dB"
    key(ax)


def decided(ax: Axes, edges: Float, rows: Sequence[Sequence[str]]) -> None:
    """Strips of what decided each band, left above right."""
    for row, kinds in enumerate(rows):
        for kind in dict.fromkeys(k for k in kinds if k):
            colour, hatch = DECIDED.get(kind, (SOFT, "xxxx"))
            runs = [(edges[i], edges[i + 1], 0.55 - row, 1.45 - row) for i, k in enumerate(kinds) if k == kind]
            ax.bars(np.array(runs), colour=colour, hatch=hatch, edge=PAPER)
    ax.y.ticks, ax.y.names = np.array([0.0, 1.0]), ["right", "left"]
    ax.y.low, ax.y.high = -0.5, 1.5
    ax.frame.ticks, ax.frame.lines = (False, False), False


def polar_cut(ax: Axes, found: Mapping[str, tuple[Float, Float]]) -> None:
    """Level over azimuth (deg, dB re on-axis) around the device, with 0 degrees upwards and left at the left."""
    low, high = PICTURED_DB[0], PICTURED_DB[1] + 0.5
    for level in (-24.0, -12.0, 0.0, high):
        ax.ring(0.0, 0.0, level - low, colour=GRID, width=0.7)
    for angle in np.radians(np.arange(0.0, 180.0, 45.0)):
        x, y = (high - low) * np.sin(angle), (high - low) * np.cos(angle)
        ax.lines([np.array([(-x, -y), (x, y)])], colour=GRID, width=0.7, level=1.0)
    for text, level in (("\N{MINUS SIGN}12", -12.0), ("0 dB", 0.0)):
        away = (level - low) * np.array([-np.sin(np.radians(22.5)), np.cos(np.radians(22.5))])
        ax.note(away[0], away[1], text, colour=SOFT, size=8.0, level="center")
    for text, x, y in (("0°", 0.0, 1.0), ("90°", -1.0, 0.0), ("180°", 0.0, -1.0)):
        anchor, level_of = ("end", "center") if x else ("middle", "bottom" if y > 0.0 else "top")
        shift = (4.0 * x, 3.0 * y)
        ax.note(x * (high - low), y * (high - low), text, size=8.5, anchor=anchor, level=level_of, shift=shift)  # type: ignore[arg-type]
    for name in ("before", "heard", "predicted"):
        if name in found:
            degrees, around = found[name]
            radius, at = np.maximum(around, low) - low, np.radians(degrees)
            dash, width = ((4, 2.5), 1.3) if name == "predicted" else ((), 2.0)
            x, y = -radius * np.sin(at), radius * np.cos(at)
            ax.line(x, y, colour=COLOURS[name], width=width, dash=dash, name=LABELS.get(name, name))
    reach = 1.16 * (high - low)
    ax.x.low, ax.x.high, ax.y.low, ax.y.high = -reach, reach, -reach, reach
    ax.x.ticks = ax.y.ticks = np.zeros(0)
    ax.frame.lines, ax.frame.equal, ax.frame.centred = False, True, True


def designs(ax: Axes, rows: Sequence[DesignRow]) -> None:
    """Designs side by side in each band: mean cancellation with its 10th percentile hanging from it."""
    for i, (row, at) in enumerate(zip(rows, _beside(len(rows)), strict=True)):
        colour, size = DRIVERS[i % len(DRIVERS)], 9.0 if i == 0 else 6.0
        ax.uprights(at, row.p10, row.mean, colour=colour, width=3.2 if i == 0 else 2.0)
        ax.line(at, row.mean, colour=colour, width=0.0, sign="o", size=size, name=row.name)
        ax.line(at, row.p10, colour=colour, width=0.0, sign="_", size=size)
    _banded(ax)
    ax.y.label = "near over far ear, dB"
    key(ax)


def efforts(ax: Axes, rows: Sequence[DesignRow]) -> None:
    """Effort of designs side by side in each band, in the order and colours of :func:`designs`."""
    half = 0.32 / len(rows)
    for i, (row, at) in enumerate(zip(rows, _beside(len(rows)), strict=True)):
        none = np.zeros(len(at))
        ax.bars(np.stack([at - half, at + half, none, row.effort], axis=-1), colour=DRIVERS[i % len(DRIVERS)])
    _banded(ax)
    ax.y.label = "effort, dB re one driver"


def _beside(count: int) -> Float:
    """Places ``(design, band)`` of so many designs."""
    shift = (np.arange(count) - 0.5 * (count - 1)) * 0.8 / count
    return np.asarray(np.arange(len(OCTAVES))[None, :] + shift[:, None])


def _banded(ax: Axes) -> None:
    """An axis of the octaves that designs are compared in."""
    ax.x.ticks, ax.x.names = np.arange(float(len(OCTAVES))), [f"{a:g} to {b:g} Hz" for a, b in OCTAVES]
    ax.x.low, ax.x.high = -0.6, len(OCTAVES) - 0.4
    ax.frame.ticks, ax.frame.gridded = (False, True), "y"
    ax.across(0.0)


def device(ax: Axes, rig: Description, mics_m: float | None) -> None:
    """Plan view in metres: the device with its named drivers, x up and y to the left as the listener faces it."""
    for i, driver in enumerate(rig.driver):
        x, y = 100.0 * driver.at[0], 100.0 * driver.at[1]
        ax.line(y, x, colour=DRIVERS[i % len(DRIVERS)], width=0.0, sign="o", size=8.0)
        ax.note(y, x, driver.name.replace("_", " "), shift=(0.0, 8.0))
    ax.line(0.0, 0.0, colour=SOFT, width=0.0, sign="+", size=9.0)
    reach = 100.0 * max(float(np.hypot(*d.at[:2])) for d in rig.driver)
    ax.ring(0.0, 0.0, reach, colour=SOFT, dash=(3, 3))
    away = f"{mics_m:g} m" if mics_m else "the listener"
    tip, half = 1.82 * reach, 0.03 * reach
    arrow = [
        np.array([(0.0, 1.55 * reach), (0.0, tip)]),
        np.array([(-half, tip - 2 * half), (0.0, tip), (half, tip - 2 * half)]),
    ]
    ax.lines(arrow, colour=SOFT, width=1.0)
    ax.note(0.0, 1.5 * reach, f"to the head, {away}", colour=SOFT, level="top")
    _plan(ax, 1.9 * reach, 0.0)


def heads(ax: Axes, ears: ImpulseResponse) -> None:
    """Plan view of the head's places: design filled, score hollow, a short line where the nose points."""
    p = ears.positions
    for use, sign, face, colour in (("design", "o", PREDICTED, PREDICTED), ("score", "s", "", HEARD)):
        rows = p[p["use"] == use.encode()]
        yaw = np.radians(rows["yaw_deg"])
        x, y = 100.0 * rows["x"], 100.0 * rows["y"]
        ax.line(y, x, colour=colour, width=0.0, sign=sign, face=face, size=7.0, name=f"{use} ({len(rows)})")
        nose = 1.1
        noses = np.stack([[y, x], [y - nose * np.sin(yaw), x - nose * np.cos(yaw)]], axis=0)
        ax.lines(list(np.moveaxis(noses, 2, 0)), colour=colour, width=1.4)
    middle = 50.0 * (p["x"].max() + p["x"].min())
    reach = 100.0 * max(np.ptp(p["x"]), 2.0 * np.abs(p["y"]).max(), 0.02) / 2.0
    _plan(ax, 1.35 * float(reach), float(middle))
    key(ax)


def _plan(ax: Axes, reach: float, middle: float) -> None:
    """Equal scales in centimetres; y grows to the left, as seen from above with x upwards."""
    ax.frame.equal, ax.frame.gridded = True, "xy"
    ax.x.low, ax.x.high = reach, -reach
    ax.y.low, ax.y.high = middle - reach, middle + reach
    ax.x.label, ax.y.label = "y (to the left), cm", "x (ahead), cm"


def snr_map(ax: Axes, snr_db: Float, columns: Sequence[str], ends: tuple[float, float], *, numbered: bool) -> None:
    """Signal to noise ``(position, path)``, dB, as cells shaded between two ``ends``, with values when ``numbered``."""
    low, high = ends
    down, across = (np.arange(0.5, n, dtype=np.float64) for n in snr_db.shape)
    ax.map(across, down, snr_db, colours="cividis", low=low, high=high)
    ax.x.ticks, ax.x.names = across, list(columns)
    ax.x.low, ax.x.high = 0.0, float(snr_db.shape[1])
    ax.y.low, ax.y.high = float(len(snr_db)), 0.0
    ax.frame.ticks = (False, False)
    if numbered:
        for (row, column), value in np.ndenumerate(snr_db):
            tone = "#000001" if value > 0.5 * (low + high) else "#ffffff"
            ax.note(column + 0.5, row + 0.5, f"{value:.0f}", colour=tone, size=8.0, level="center")
