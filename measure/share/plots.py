"""Pictures of measured responses, and the look that all pictures share: each function draws into given axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sweetspot.measure.distortion import ORDERS, Distortion
from sweetspot.measure.drawing import Axes
from sweetspot.measure.share.directivity import Cta2034
from sweetspot.rigs.units import Float

INK, SOFT, GRID, PAPER = "#20262d", "#5b6570", "#d5dbe1", "#fefefe"
DRIVERS = ("#0b6cb6", "#d1570b", "#0a8067", "#a8468c", "#8a6d00", "#3c8fc9", "#5d5fb8", "#7d8591")
"""Colours, each a colour-blind safe hue; the report maps them to variables, so that they follow light and dark."""

PICTURED_DB = (-30.0, 6.0)
"""Levels that the polar maps show, dB re on-axis."""

STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "hatch.linewidth": 0.7,
}
"""Settings of matplotlib for the pictures that it draws."""

_BESIDE = (True, False)
"""A text at a share of the width, at a value upwards."""

_TICKS = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)


def frequencies(ax: Axes, low: float, high: float) -> None:
    """A logarithmic frequency axis from ``low`` to ``high`` Hz."""
    ticks = [t for t in _TICKS if 0.99 * low <= t <= 1.01 * high]
    ax.x.log, ax.x.low, ax.x.high = True, low, high
    ax.x.ticks = np.array(ticks, dtype=float)
    ax.x.names = [f"{t / 1000:g}k" if t >= 1000 else f"{t:g}" for t in ticks]
    ax.x.label = "frequency, Hz"
    ax.frame.gridded = "xy"


def key(ax: Axes) -> None:
    """A line of names above the axes."""
    ax.frame.keyed = True


def levels(ax: Axes, f: Float, level: Float, names: Sequence[str], low: float, high: float) -> None:
    """Levels ``(driver, frequency)`` in dB, one line a driver, from ``low`` to ``high``."""
    for i, name in enumerate(names):
        ax.line(f, level[i], colour=DRIVERS[i % len(DRIVERS)], width=1.4, name=name.replace("_", " "))
    frequencies(ax, 80.0, 20000.0)
    ax.y.low, ax.y.high = low, high
    key(ax)


def traces(ax: Axes, t: Float, x: Float, names: Sequence[str]) -> None:
    """Impulse responses ``(driver, tap)`` over time in s, one above the other on one scale, each named."""
    step = 0.9 * float(np.ptp(x, axis=-1).max())
    for i, name in enumerate(names):
        colour = DRIVERS[i % len(DRIVERS)]
        ax.across(-i * step, colour=GRID, width=0.7)
        ax.line(1000.0 * t, x[i] - i * step, colour=colour, width=1.1)
        ax.note(0.995, -i * step, name.replace("_", " "), colour=colour, anchor="end", shift=(0, 3), shares=_BESIDE)
    ax.x.low, ax.x.high = 1000.0 * t[0], 1000.0 * t[-1]
    ax.y.ticks = np.zeros(0)
    ax.x.label = "time, ms"


def polar_map(ax: Axes, f: Float, degrees: Float, level: Float) -> None:
    """Level ``(direction, frequency)`` in dB re on-axis, with a contour each 6 dB; the map is a raster image."""
    low, high = PICTURED_DB
    frequencies(ax, 100.0, 16000.0)
    ax.frame.gridded = ""
    ax.surface(f, degrees, level, colours="viridis", low=low, high=high)
    steps = np.arange(low + 6.0, high + 0.1, 6.0).tolist()
    ax.contours(f, degrees, np.clip(level, low, high), steps, colour="#ffffff", width=0.6, alpha=0.75)
    ax.y.ticks = np.arange(-180.0, 181.0, 90.0)
    ax.y.low, ax.y.high = -180.0, 180.0
    ax.y.label = "azimuth, degrees"


def floors(ax: Axes, f: Float, level: Float) -> None:
    """Standard errors ``(driver, frequency)`` of responses as levels in dB: thin dashed lines, one colour a driver."""
    for i, row in enumerate(level):
        name = "standard error" if i == 0 else ""
        ax.line(f, row, colour=DRIVERS[i % len(DRIVERS)], width=0.8, dash=(3, 2), alpha=0.8, name=name)


def _line(i: int) -> Any:
    """How driver ``i`` is drawn where lines may lie on each other: every other one is dashed, and lies on top."""
    style = {"colour": DRIVERS[i % len(DRIVERS)], "width": 1.5}
    return {**style, "dash": (5, 3), "level": 4.0} if i % 2 else style


def energy_decays(ax: Axes, t: Float, level: Float, names: Sequence[str]) -> None:
    """Energy decay curves ``(driver, tap)`` in dB over time in s."""
    for i, name in enumerate(names):
        ax.line(1000.0 * t, level[i], name=name.replace("_", " "), **_line(i))
    ax.x.low, ax.x.high = 1000.0 * t[0], 1000.0 * t[-1]
    ax.y.low, ax.y.high = -80.0, 2.0
    ax.x.label, ax.y.label = "time after the arrival, ms", "Schroeder decay, dB"
    ax.frame.gridded = "xy"
    key(ax)


def spectral_decay(ax: Axes, t: Float, f: Float, level: Float) -> None:
    """Decay of a spectrum ``(time, frequency)`` in dB re its highest level: time downwards, a contour each 12 dB."""
    frequencies(ax, float(f[0]), float(f[-1]))
    ax.frame.gridded = ""
    ax.surface(f, 1000.0 * t, level, colours="magma", low=-48.0, high=0.0)
    ax.contours(f, 1000.0 * t, level, (-36.0, -24.0, -12.0), colour="#ffffff", width=0.6, alpha=0.75)
    ax.y.low, ax.y.high = 1000.0 * t[-1], 0.0
    ax.y.label = "time after the arrival, ms"


def distortion(ax: Axes, made: Distortion, mic: int) -> None:
    """Harmonics and their total re the fundamental, over its frequency; the noise floor below them is dashed."""
    for i, n in enumerate(ORDERS):
        ax.line(made.f, made.harmonics[mic, i], colour=DRIVERS[i], width=1.5 if n < 4 else 1.0, name=f"harmonic {n}")
    ax.line(made.f, made.thd[mic], colour=INK, width=1.6, name="total", level=1.0)
    floor = np.where(made.thd_floor[mic] > 0.0, made.thd_floor[mic], np.nan)
    ax.line(made.f, floor, colour=SOFT, width=0.9, dash=(3, 2), name="noise floor")
    frequencies(ax, float(made.f[0]), float(made.f[-1]))
    ax.y.log, ax.y.low, ax.y.high = True, 1e-5, 1.0
    ax.y.ticks = np.array([1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    ax.y.names = ["0.001 %", "0.01 %", "0.1 %", "1 %", "10 %", "100 %"]
    ax.y.label = "of the fundamental"


def over_frequency(ax: Axes, f: Float, values: Float, names: Sequence[str], text: str) -> None:
    """Values ``(driver, frequency)``, one line a driver; ``text`` names the vertical axis."""
    for i, name in enumerate(names):
        ax.line(f, values[i], name=name.replace("_", " "), **_line(i))
    frequencies(ax, float(f[0]), float(f[-1]))
    ax.y.label = text
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
        ax.line(curves.f, level, colour=colour, width=1.5, name=name)
    top = 10.0 * float(np.ceil((max(float(level.max()) for _, level, _ in rows) + 3.0) / 10.0))
    ax.y.low, ax.y.high = top - 50.0, top
    ax.y.label = "dB re 20 µPa, full scale"
    frequencies(ax, float(curves.f[0]), float(curves.f[-1]))
    right = ax.right()
    for name, level, colour in (
        ("sound power DI", curves.sound_power_di, DRIVERS[3]),
        ("early reflections DI", curves.early_reflections_di, DRIVERS[1]),
    ):
        right.line(curves.f, level, colour=colour, width=1.2, dash=(4, 2.5))
        ax.line([], [], colour=colour, width=1.2, dash=(4, 2.5), name=name)
    right.y.low, right.y.high = -5.0, 45.0
    right.y.ticks = np.array([0.0, 5.0, 10.0, 15.0])
    right.y.label = "directivity index, dB"
    right.frame.low_label = True
