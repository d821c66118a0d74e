"""The pictures of a report: each function draws one value into given axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sweetspot.calibrate.plant import OCTAVES, interval
from sweetspot.calibrate.report.evidence import CellSpread
from sweetspot.calibrate.study import DesignRow
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.share import frequencies
from sweetspot.rigs.drawing import DRIVERS, GRID, PAPER, SOFT, Axes, PolarAxes
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Float

BEFORE, PREDICTED, HEARD, TARGET = "#7d8590", "#0b6cb5", "#d1570a", "#0a8066"
"""Colours of before, predicted, measured and target; a page maps them to variables."""

COLOURS = {"before": BEFORE, "predicted": PREDICTED, "heard": HEARD, "target": TARGET}
LABELS = {"heard": "measured"}
DECIDED = {"shadow": (GRID, ""), "target": (TARGET, ""), "effort": (HEARD, "/"), "spread": (DRIVERS[3], ".")}
"""Colour and hatching of a band's active limit."""


def spreads(ax: Axes, found: Mapping[str, CellSpread]) -> None:
    """Means as lines with 90 % of confidence as bars, 10th to 90th percentile of places shaded; predicted is dashed."""
    for name in ("before", "heard", "predicted"):
        if name not in found:
            continue
        s, colour = found[name], COLOURS[name]
        width, dash, order = (1.6, (4, 2.5), 2.2) if name == "predicted" else (2.6, (), 2.1)
        if name != "predicted" or "heard" not in found:
            ax.fill_between(s.f, s.low, s.high, color=colour, alpha=0.17)
        ax.plot(s.f, s.mean, color=colour, label=LABELS.get(name, name), linewidth=width, dash=dash, zorder=order)
        if s.u is not None:
            low, high = interval(s.mean, s.u)
            ax.vlines(s.f, low, high, color=colour, linewidth=1.0, zorder=2.3)
            for end in (low, high):
                ax.marks(s.f, end, "_", color=colour, size=7.0, zorder=2.3)


def cancellation(ax: Axes, found: Mapping[str, CellSpread], f: Float, target_db: Float, lowest: float = 0.0) -> None:
    """Cancellation over frequency against the target curve ``(frequency,)``, dB; ``lowest`` is where the gate ends."""
    spreads(ax, found)
    inside = (f >= 150.0) & (f <= 10000.0)
    ax.plot(f[inside], target_db[inside], color=TARGET, linewidth=1.6, dash=(1, 1.4), label="target")
    ax.axhline(0.0)
    begin = max(800.0 * 0.891, lowest)
    ax.axvspan(begin, 6300.0 * 1.122, color=GRID, alpha=0.3)
    if lowest > 180.0:
        ax.axvline(lowest, dash=(2, 2))
    ax.text(1.03 * begin, 0.02, "judged band", color=SOFT, va="bottom", share="y")
    frequencies(ax, 180.0, 9000.0)
    ax.set_ylabel("near over far ear, dB")
    ax.set_legend()


def decided(ax: Axes, edges: Float, rows: Sequence[Sequence[str]]) -> None:
    """Strips of each band's active limit, left above right."""
    for row, kinds in enumerate(rows):
        for kind in dict.fromkeys(k for k in kinds if k):
            colour, hatch = DECIDED.get(kind, (SOFT, "x"))
            at = np.array([i for i, k in enumerate(kinds) if k == kind])
            low, tall = np.full(len(at), 0.55 - row), np.full(len(at), 0.9)
            ax.boxes(edges[at], low, edges[at + 1] - edges[at], tall, color=colour, hatch=hatch, edge=PAPER)
    ax.set_yticks([1.0, 0.0], ["left", "right"])
    ax.set_ylim(-0.5, 1.5)
    ax.frameless()


def polar_cut(ax: PolarAxes, found: Mapping[str, tuple[Float, Float]]) -> None:
    """Level over azimuth (deg, dB re on-axis) around the device, on polar axes with 0 degrees upwards."""
    for name in ("before", "heard", "predicted"):
        if name in found:
            width, dash = (1.3, (4, 2.5)) if name == "predicted" else (2.0, ())
            ax.plot(*found[name], color=COLOURS[name], linewidth=width, dash=dash, label=LABELS.get(name, name))
    ax.set_rings([-24.0, -12.0, 0.0], ["", "\N{MINUS SIGN}12", "0 dB"])


def designs(ax: Axes, rows: Sequence[DesignRow]) -> None:
    """Designs side by side in each band: mean cancellation with its 10th percentile hanging from it."""
    for i, (row, at) in enumerate(zip(rows, _beside(len(rows)), strict=True)):
        colour, size = DRIVERS[i % len(DRIVERS)], 9 if i == 0 else 6
        ax.vlines(at, row.p10, row.mean, color=colour, linewidth=3.2 if i == 0 else 2.0)
        ax.marks(at, row.mean, "o", color=colour, size=size, label=row.name)
        ax.marks(at, row.p10, "_", color=colour, size=size)
    _banded(ax)
    ax.set_ylabel("near over far ear, dB")
    ax.set_legend()


def efforts(ax: Axes, rows: Sequence[DesignRow]) -> None:
    """Effort of designs side by side in each band, in the order and colours of :func:`designs`."""
    for i, (row, at) in enumerate(zip(rows, _beside(len(rows)), strict=True)):
        ax.bar(at, row.effort, width=0.64 / len(rows), color=DRIVERS[i % len(DRIVERS)])
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
    ax.grid("y")
    ax.axhline(0.0)


def device(ax: Axes, rig: Description, mics_m: float | None) -> None:
    """Plan view in metres: the device with its named drivers, x up and y to the left as the listener faces it."""
    for i, driver in enumerate(rig.driver):
        x, y = 100.0 * driver.at[0], 100.0 * driver.at[1]
        ax.marks(y, x, "o", color=DRIVERS[i % len(DRIVERS)], size=8.0)
        ax.text(y, x, driver.name.replace("_", " "), shift=(0.0, 8.0), ha="middle")
    ax.marks(0.0, 0.0, "+", color=SOFT, size=9.0)
    reach = 100.0 * max(float(np.hypot(*d.at[:2])) for d in rig.driver)
    ax.circle(0.0, 0.0, reach, color=SOFT, dash=(3, 3))
    away = f"{mics_m:g} m" if mics_m else "the listener"
    ax.text(0.0, 1.5 * reach, f"to the head, {away}", ha="middle", va="top", color=SOFT)
    ax.arrow((0.0, 1.52 * reach), (0.0, 1.85 * reach), color=SOFT)
    _plan(ax, 1.9 * reach, 0.0)


def heads(ax: Axes, ears: ImpulseResponse) -> None:
    """Plan view of the head positions: design filled, score hollow, a short line in the direction of the nose."""
    p = ears.positions
    for use, marker, face, colour in (("design", "o", PREDICTED, PREDICTED), ("score", "s", "", HEARD)):
        rows = p[p["use"] == use.encode()]
        yaw = np.radians(rows["yaw_deg"])
        x, y = 100.0 * rows["x"], 100.0 * rows["y"]
        ax.marks(y, x, marker, color=colour, face=face, size=7.0, width=1.6, label=f"{use} ({len(rows)})")
        nose = 1.1
        for a, b, turned in zip(x, y, yaw, strict=True):
            ax.plot([b, b - nose * np.sin(turned)], [a, a - nose * np.cos(turned)], color=colour, linewidth=1.4)
    middle = 50.0 * (p["x"].max() + p["x"].min())
    reach = 100.0 * max(np.ptp(p["x"]), 2.0 * np.abs(p["y"]).max(), 0.02) / 2.0
    _plan(ax, 1.35 * float(reach), float(middle))
    ax.set_legend()


def _plan(ax: Axes, reach: float, middle: float) -> None:
    """Equal scales in centimetres; y grows to the left, as seen from above with x upwards."""
    ax.set_equal()
    ax.set_xlim(reach, -reach)
    ax.set_ylim(middle - reach, middle + reach)
    ax.set_xlabel("y (to the left), cm")
    ax.set_ylabel("x (ahead), cm")
    ax.grid("xy", 0.6)


def snr_map(ax: Axes, snr_db: Float, columns: Sequence[str], ends: tuple[float, float], *, numbered: bool) -> None:
    """Signal to noise ``(position, path)`` in dB as shaded cells from ``ends``, with its value when ``numbered``."""
    low, high = ends
    rows, count = snr_db.shape
    ax.map(snr_db, (low, high), "cividis", smooth=False, extent=(0.0, count, 0.0, rows))
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns)
    ax.set_xlim(0.0, count)
    ax.set_ylim(rows, 0.0)
    ax.frameless()
    if numbered:
        for (row, column), value in np.ndenumerate(snr_db):
            tone = "#000001" if value > 0.5 * (low + high) else "#ffffff"
            ax.text(column + 0.5, row + 0.5, f"{value:.0f}", ha="middle", va="middle", color=tone, size=8.0)
