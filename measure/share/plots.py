"""Pictures of measured responses: each function draws into given axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from sweetspot.measure.distortion import ORDERS, Distortion
from sweetspot.measure.judge import RubAndBuzz
from sweetspot.measure.share.axes import A_LINE, Names, every, inches
from sweetspot.measure.share.directivity import Cta2034
from sweetspot.rigs import plots
from sweetspot.rigs.plots import DRIVERS, GRID, INK, SOFT, frequencies
from sweetspot.rigs.units import Float, from_db

PICTURED_DB = (-30.0, 6.0)
"""Levels that the polar maps show, dB re on-axis."""

DECAYED_DB = (-48.0, 0.0)
"""Levels that the decay of a spectrum shows, dB re its highest."""

STYLE: Any = {
    **plots.STYLE,
    "font.size": 10.0,
    "axes.facecolor": "none",
    "axes.titley": 1.0,
    "figure.facecolor": "none",
    "hatch.linewidth": 0.7,
}
"""Settings of matplotlib for pictures of measurements and of the report."""

_SHADED = (240, 400)
"""Rows and columns of an image of levels."""


_DASHES: Any = (("-", (0, (5, 3))), ((0, (1.5, 1.2)), (0, (6, 2, 1.5, 2))))
"""Lines of even and of odd drivers: while each has a colour of its own, and where colours come again."""


def key(ax: Axes) -> None:
    """Rows of names above the axes."""
    Names(ax)


def levels(ax: Axes, f: Float, level: Float, names: Sequence[str], low: float, high: float) -> None:
    """Levels ``(driver, frequency)`` in dB, one line a driver, from ``low`` to ``high``."""
    for i, name in enumerate(names):
        style = {"color": DRIVERS[i % len(DRIVERS)], "linestyle": _DASHES[i // len(DRIVERS) % 2][0]}
        ax.plot(f, level[i], linewidth=1.4, label=name.replace("_", " "), **style)
    frequencies(ax, 80.0, 20000.0)
    ax.set_ylim(low, high)
    key(ax)


def traces(ax: Axes, t: Float, x: Float, names: Sequence[str]) -> None:
    """Impulse responses ``(driver, tap)`` over time in s, one above the other on one scale, each named."""
    step = 0.9 * float(np.ptp(x, axis=-1).max())
    named = every(len(names), inches(ax)[1], A_LINE)
    for i, name in enumerate(names):
        colour = DRIVERS[i % len(DRIVERS)]
        ax.axhline(-i * step, color=GRID, linewidth=0.7)
        ax.plot(1000.0 * t, x[i] - i * step, color=colour, linewidth=1.1)
        if i % named == 0:
            ax.annotate(name.replace("_", " "), (0.995, -i * step), xycoords=("axes fraction", "data"), color=colour,
                        ha="right", va="bottom", xytext=(0, 3), textcoords="offset points")  # fmt: skip
    ax.set_xlim(1000.0 * t[0], 1000.0 * t[-1])
    ax.set_yticks([])
    ax.set_xlabel("time, ms")


def polar_map(ax: Axes, f: Float, degrees: Float, level: Float) -> None:
    """Level ``(direction, frequency)`` in dB re on-axis, with a contour each 6 dB; the map is a raster image."""
    low, high = PICTURED_DB
    frequencies(ax, 100.0, 16000.0)
    ax.set_ylim(-180.0, 180.0)
    _shaded(ax, f, degrees, level, (low, high), "viridis")
    steps = np.arange(low + 6.0, high + 0.1, 6.0)
    drawn = ax.contour(
        f, degrees, np.clip(level, low, high), levels=steps, colors="#ffffff", linewidths=0.6, alpha=0.75
    )
    drawn.set_linestyle("solid")
    ax.grid(False)
    ax.set_yticks(np.arange(-180, 181, 90))
    ax.set_ylabel("azimuth, degrees")


def _shaded(ax: Axes, f: Float, y: Float, level: Float, ends: tuple[float, float], colours: str) -> None:
    """Levels ``(y, frequency)``, dB, as an image behind axes whose limits are set, linear between the values.

    An image is drawn on an even grid, so that the logarithmic axis is interpolated here: a shaded mesh of as many cells
    takes five times as long.
    """
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    columns = np.log(left) + (np.arange(_SHADED[1]) + 0.5) / _SHADED[1] * np.log(right / left)
    rows = bottom + (np.arange(_SHADED[0]) + 0.5) / _SHADED[0] * (top - bottom)
    across = np.stack([np.interp(columns, np.log(f), row, left=np.nan, right=np.nan) for row in level])
    order = np.argsort(y)
    at = np.interp(rows, y[order], np.arange(len(y)), left=np.nan, right=np.nan)
    inside = np.nan_to_num(at)
    below = np.minimum(inside.astype(int), len(y) - 2)
    part = np.where(np.isnan(at), np.nan, inside - below)[:, None]
    shown = across[order][below] * (1.0 - part) + across[order][below + 1] * part
    ax.imshow(
        np.ma.masked_invalid(shown), extent=(0.0, 1.0, 0.0, 1.0), transform=ax.transAxes, origin="lower", aspect="auto",
        interpolation="bilinear", vmin=ends[0], vmax=ends[1], cmap=colours, zorder=0,
    )  # fmt: skip


def cells(
    ax: Axes, values: Float, box: tuple[float, float, float, float], colours: str, ends: tuple[float, float]
) -> None:
    """Values ``(row, column)`` as cells of one colour each over ``box``: left, right, bottom, top in data coordinates.

    A file has one point for each cell: a mesh is drawn on a picture as large as the figure. The aspect is left.
    """
    ax.imshow(values, extent=box, origin="lower", aspect=ax.get_aspect(), interpolation="none", cmap=colours,
              vmin=ends[0], vmax=ends[1])  # fmt: skip


def colour_scale(ax: Axes, colours: str, ends: tuple[float, float], label: str) -> None:
    """Colours from the lower to the upper of ``ends`` in narrow axes, with a scale at their right."""
    cells(ax, np.linspace(*ends, 256)[:, None], (0.0, 1.0, *ends), colours, ends)
    ax.set_xticks([])
    ax.yaxis.tick_right()
    ax.yaxis.set_label_position("right")
    ax.set_ylabel(label)
    for side in ax.spines.values():
        side.set_visible(False)


def spread(ax: Axes, f: Float, level: Float, deviation: Float) -> None:
    """Standard deviations ``(driver, frequency)`` around levels in dB as shading, one colour a driver."""
    for i, (row, around) in enumerate(zip(level, np.nan_to_num(deviation), strict=True)):
        ax.fill_between(f, row - around, row + around, color=DRIVERS[i % len(DRIVERS)], alpha=0.15, linewidth=0.0)


def floors(ax: Axes, f: Float, level: Float) -> None:
    """Standard errors ``(driver, frequency)`` of responses as levels in dB: thin dashed lines, one colour a driver."""
    for i, row in enumerate(level):
        label = "standard error" if i == 0 else None
        ax.plot(f, row, color=DRIVERS[i % len(DRIVERS)], linewidth=0.8, linestyle=(0, (3, 2)), alpha=0.8, label=label)


def _line(i: int) -> Any:
    """How driver ``i`` is drawn where lines may lie on each other: every other one is dashed, and lies on top."""
    style = {"color": DRIVERS[i % len(DRIVERS)], "linewidth": 1.5}
    return {**style, "linestyle": _DASHES[i // len(DRIVERS) % 2][i % 2], "zorder": 2 + 2 * (i % 2)}


def energy_decays(ax: Axes, t: Float, level: Float, names: Sequence[str]) -> None:
    """Energy decay curves ``(driver, tap)`` in dB over time in s."""
    for i, name in enumerate(names):
        ax.plot(1000.0 * t, level[i], label=name.replace("_", " "), **_line(i))
    ax.set_xlim(1000.0 * t[0], 1000.0 * t[-1])
    ax.set_ylim(-80.0, 2.0)
    ax.set_xlabel("time after the arrival, ms")
    ax.set_ylabel("Schroeder decay, dB")
    ax.grid(True, color=GRID, linewidth=0.7)
    key(ax)


def spectral_decay(ax: Axes, t: Float, f: Float, level: Float) -> None:
    """Decay of a spectrum ``(time, frequency)`` in dB re its highest level: time downwards, a contour each 12 dB."""
    frequencies(ax, float(f[0]), float(f[-1]))
    ax.set_ylim(1000.0 * t[-1], 0.0)
    _shaded(ax, f, 1000.0 * t, level, DECAYED_DB, "magma")
    lines = ax.contour(f, 1000.0 * t, level, levels=[-36.0, -24.0, -12.0], colors="#ffffff", linewidths=0.6, alpha=0.75)
    lines.set_linestyle("solid")
    ax.grid(False)
    ax.set_ylabel("time after the arrival, ms")


def burst_decay(ax: Axes, periods: Float, f: Float, level: Float) -> None:
    """Decay of bursts ``(period, frequency)`` in dB re each frequency's highest level: periods downwards."""
    spectral_decay(ax, periods / 1000.0, f, level)
    ax.set_ylabel("periods after the arrival")


def distortion(ax: Axes, made: Distortion, mic: int, lowest_hz: float, rub: RubAndBuzz | None = None) -> None:
    """Harmonics and their total re the fundamental, over its frequency; the noise floor below them is dashed. Rub and
    buzz, re the sweep's mean, is dotted where it is above the noise.

    Nothing is drawn where the fundamental is hardly played, nor below the driver's band, which begins at ``lowest_hz``.
    """
    shown = np.where(made.played(mic, lowest_hz), 1.0, np.nan)
    for i, n in enumerate(ORDERS):
        colour, width = DRIVERS[i], 1.5 if n < 4 else 1.0
        ax.plot(made.f, shown * made.harmonics[mic, i], color=colour, linewidth=width, label=f"harmonic {n}")
    ax.plot(made.f, shown * made.thd[mic], color=INK, linewidth=1.6, label="total", zorder=1)
    floor = np.where(made.thd_floor[mic] > 0.0, made.thd_floor[mic], np.nan)
    ax.plot(made.f, shown * floor, color=SOFT, linewidth=0.9, linestyle=(0, (3, 2)), label="noise floor")
    if rub is not None:
        buzz = np.where(rub.level_db > rub.floor_db, from_db(rub.level_db), np.nan)
        ax.plot(rub.f, buzz, color=DRIVERS[len(ORDERS)], linewidth=1.2, linestyle=(0, (1, 1)), label="rub and buzz")
    frequencies(ax, float(made.f[0]), float(made.f[-1]))
    ax.set_yscale("log")
    ax.set_ylim(1e-5, 1.0)
    ax.set_yticks([1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0], ["0.001 %", "0.01 %", "0.1 %", "1 %", "10 %", "100 %"])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel("of the fundamental")


def over_frequency(ax: Axes, f: Float, values: Float, names: Sequence[str], text: str) -> None:
    """Values ``(driver, frequency)``, one line a driver; ``text`` names the vertical axis."""
    for i, name in enumerate(names):
        ax.plot(f, values[i], label=name.replace("_", " "), **_line(i))
    frequencies(ax, float(f[0]), float(f[-1]))
    ax.set_ylabel(text)
    key(ax)


def over_bands(ax: Axes, hz: Float, rows: Sequence[tuple[str, Float, Float]], text: str) -> None:
    """Means with their standard deviations ``(band,)`` as bars, one colour a name; ``text`` names the vertical axis.

    Where no decay could be evaluated, the axes state it.
    """
    for i, (name, mean, spread) in enumerate(rows):
        shift = 1.0 + 0.03 * (i - 0.5 * (len(rows) - 1))
        if np.isfinite(mean).any():  # matplotlib warns of bars without any number
            ax.errorbar(hz * shift, mean, yerr=np.nan_to_num(spread), color=DRIVERS[i % len(DRIVERS)], linewidth=1.2,
                        elinewidth=1.0, marker="o", markersize=4.0)  # fmt: skip
        ax.plot([], [], color=DRIVERS[i % len(DRIVERS)], linewidth=1.2, label=name)
    if not any(np.isfinite(mean).any() for _, mean, _ in rows):
        ax.annotate("decay range too small in every band", (0.5, 0.5), xycoords="axes fraction", ha="center")
        ax.set_yticks([])
    frequencies(ax, 0.8 * float(hz[0]), 1.25 * float(hz[-1]))
    ax.set_ylabel(text)
    key(ax)


def spinorama(ax: Axes, curves: Cta2034) -> None:
    """The curves of CTA-2034 in dB, the two directivity indices on a scale of their own at the right."""
    rows = (
        ("on axis", curves.on_axis, INK),
        ("listening window", curves.listening_window, DRIVERS[0]),
        ("early reflections", curves.early_reflections, DRIVERS[1]),
        ("sound power", curves.sound_power, DRIVERS[3]),
        ("in room", curves.in_room, DRIVERS[2]),
    )
    for name, level, colour in rows:
        ax.plot(curves.f, level, color=colour, linewidth=1.5, label=name)
    top = 10.0 * np.ceil((max(float(level.max()) for _, level, _ in rows) + 3.0) / 10.0)
    ax.set_ylim(top - 50.0, top)
    ax.set_ylabel("dB re 20 µPa, full scale")
    frequencies(ax, float(curves.f[0]), float(curves.f[-1]))
    right = ax.twinx()
    for name, level, colour in (
        ("sound power DI", curves.sound_power_di, DRIVERS[3]),
        ("early reflections DI", curves.early_reflections_di, DRIVERS[1]),
    ):
        right.plot(curves.f, level, color=colour, linewidth=1.2, linestyle=(0, (4, 2.5)))
        ax.plot([], [], color=colour, linewidth=1.2, linestyle=(0, (4, 2.5)), label=name)
    right.set_ylim(-5.0, 45.0)
    right.set_yticks([0.0, 5.0, 10.0, 15.0])
    right.set_ylabel("directivity index, dB", loc="bottom")
