"""Pictures of a virtual lab: each function draws into given axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Polygon, Rectangle

from sweetspot.rigs import plots
from sweetspot.rigs.lab.pictures.lab_overview import OCTAVES, POLAR_HZ, Overview, in_room
from sweetspot.rigs.plots import DRIVERS, GRID, INK, PAPER, SOFT, frequencies
from sweetspot.rigs.units import Float, hertz, tick

STYLE: Any = {
    **plots.STYLE,
    "font.size": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9.0,
    "axes.axisbelow": True,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
}
"""Settings of matplotlib for these pictures."""


def plan(ax: Axes, o: Overview) -> None:
    """The lab from above: walls as thick as they absorb, device, drivers and their axes, head, microphone."""
    ax.set_aspect("equal")
    ax.set_title("Plan")
    if o.room is not None:
        _walls(ax, o.room.size, o.room.absorption)
    origin = in_room(o, np.zeros(2))
    heads = in_room(o, o.heads[:, :2])
    facing = o.room.facing if o.room else 0.0
    if len(heads):
        ax.plot(*np.stack([origin, heads[0]]).T, color=SOFT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=2)
        middle = 0.5 * (origin + heads[0])
        words = f"{np.hypot(*o.heads[0, :2]):.2f} m"
        ax.annotate(words, _xy(middle), color=SOFT, ha="center", va="center", fontsize=8.5,
                    bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5})  # fmt: skip
        ax.plot(*heads.T, linestyle="", marker=".", markersize=3.0, color=INK, alpha=0.55, zorder=6)
        _head(ax, heads[0], facing + np.pi + float(o.heads[0, 2]), o.ears)
    if o.boom is not None:
        place = in_room(o, np.array([o.boom, 0.0]))
        ax.plot(*place, marker="D", markersize=4.5, color=PAPER, markeredgecolor=INK, zorder=7)
    _named(ax, o)
    _device(ax, o, 0.38 if o.room is not None else 0.3)
    if o.room is not None and o.around:
        _enlarged(ax, o)
    if o.room is None:
        wide = max(0.55, float(np.abs(o.places[:, 1]).max()) + 0.15)
        ax.set_xlim(-0.5, max(float(o.heads[:, 0].max(initial=0.5)), o.boom or 0.0) + 0.45)
        ax.set_ylim(-wide, wide)
    ax.set_xlabel("x, m")
    ax.set_ylabel("y, m")
    ax.grid(True, color=GRID, linewidth=0.6)


def _walls(ax: Axes, size: Float, absorption: Float) -> None:
    """The outline of the floor; each wall as wide as it absorbs, with its coefficient at 1 kHz."""
    x, y = float(size[0]), float(size[1])
    ax.add_patch(Rectangle((0, 0), x, y, facecolor="#f3f6f8", edgecolor="none", zorder=0))
    thick = 0.03 + 0.22 * absorption
    bars = (
        (-thick[0], 0.0, thick[0], y, -thick[0] - 0.06, y / 2, 90, "right"),
        (x, 0.0, thick[1], y, x + thick[1] + 0.06, y / 2, 90, "left"),
        (0.0, -thick[2], x, thick[2], x / 2, -thick[2] - 0.06, 0, "top"),
        (0.0, y, x, thick[3], x / 2, y + thick[3] + 0.06, 0, "bottom"),
    )
    for n, (left, low, wide, high, at_x, at_y, turn, side) in enumerate(bars):
        ax.add_patch(Rectangle((left, low), wide, high, facecolor="#b7c2cc", edgecolor="none", zorder=1))
        ha, va = ("center", side) if n > 1 else (side, "center")
        ax.text(at_x, at_y, f"absorbs {absorption[n]:.2f}", rotation=turn, ha=ha, va=va, color=SOFT, fontsize=8.5)
    ax.text(0.1, 0.1, f"floor {absorption[4]:.2f}, ceiling {absorption[5]:.2f} (at 1 kHz), height {size[2]:g} m",
            color=SOFT, fontsize=8.5, va="bottom")  # fmt: skip
    ax.set_xlim(-0.55, x + 0.55)
    ax.set_ylim(-0.45, y + 0.45)


def _named(ax: Axes, o: Overview) -> None:
    """Labels of the dots and the diamond at the listener."""
    words = [f"head, {len(o.heads)} places (dots)"] if len(o.heads) else []
    words += ["measurement microphone (diamond)"] if o.boom is not None else []
    places = [o.heads[0, :2]] if len(o.heads) else []
    places += [np.array([o.boom, 0.0])] if o.boom is not None else []
    if places:
        at, origin = in_room(o, places[0]), in_room(o, np.zeros(2))
        above = at[1] - origin[1] > 0.3 * np.hypot(*(at - origin))  # the device lies below: keep out of its way
        off, side = (40, "bottom") if above else (-36 if o.room else -62, "top")
        ax.annotate("\n".join(words), _xy(at), color=SOFT, fontsize=8.5, ha="center", va=side, xytext=(0, off),
                    textcoords="offset points", zorder=8)  # fmt: skip


def _device(ax: Axes, o: Overview, arrow: float) -> None:
    """The body and its drivers, each with an arrow of some length in m in the direction in which it faces."""
    origin = in_room(o, np.zeros(2))
    if o.around:
        ax.add_patch(Circle(_xy(origin), o.reach, facecolor="#e3e8ec", edgecolor=INK, linewidth=1.1, zorder=4))
    for n, (place, axis) in enumerate(zip(o.places, o.axes, strict=True)):
        colour = DRIVERS[n % len(DRIVERS)]
        at, tip = (in_room(o, place[:2] + far * axis[:2]) for far in (0.0, arrow))
        if not o.around:
            behind = in_room(o, (place - o.reach * axis)[:2])
            ax.add_patch(Circle(_xy(behind), o.reach, facecolor="#e3e8ec", edgecolor=SOFT, linewidth=0.8, zorder=4))
        style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.6, "shrinkA": 0.0, "shrinkB": 0.0}
        ax.annotate("", _xy(tip), _xy(at), arrowprops=style, zorder=5)
        ax.plot(*at, marker="o", markersize=5.0, color=colour, markeredgecolor=PAPER, markeredgewidth=0.6, zorder=6)
        x, y = _xy(in_room(o, place[:2] + 1.25 * arrow * axis[:2]))
        ax.text(
            x, y, str(o.channels[n]), color=colour, ha="center", va="center", fontsize=9, fontweight="bold", zorder=6
        )


def _enlarged(ax: Axes, o: Overview) -> None:
    """The device enlarged in an empty corner."""
    assert o.room is not None, "free field shows the device large enough"
    wide = o.reach
    x, y = float(o.room.size[0]), float(o.room.size[1])
    side = 0.3 * min(x, y)
    corners = [np.array([left, low]) for left in (0.12, x - side - 0.12) for low in (0.4, y - side - 0.35)]
    taken = np.vstack([in_room(o, np.zeros((1, 2))), in_room(o, o.heads[:1, :2])])
    free = [np.linalg.norm(taken - (corner + 0.5 * side), axis=1).min() for corner in corners]
    corner = corners[int(np.argmax(free))]
    inset = ax.inset_axes((float(corner[0]), float(corner[1]), side, side), transform=ax.transData)
    inset.set_aspect("equal")
    _device(inset, o, 0.45 * wide)
    x, y = _xy(in_room(o, np.zeros(2)))
    inset.set_xlim(x - 1.75 * wide, x + 1.75 * wide)
    inset.set_ylim(y - 1.75 * wide, y + 1.75 * wide)
    inset.set_xticks([])
    inset.set_yticks([])
    for spine in inset.spines.values():
        spine.set_visible(True)
        spine.set_color(GRID)
    inset.set_title("device, enlarged", fontsize=8.5, fontweight="normal", color=SOFT, loc="center", pad=3)


def _xy(point: Float) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _head(ax: Axes, at: Float, facing: float, ears: tuple[float, float]) -> None:
    """A head from above: circle, nose, ears."""
    angle, radius = ears
    nose = [facing - 0.28, facing, facing + 0.28]
    out = np.array([1.0, 1.35, 1.0]) * radius
    points = at + np.stack([out * np.cos(nose), out * np.sin(nose)], axis=1)
    ax.add_patch(Polygon(points, facecolor="#f0d9c8", edgecolor=INK, linewidth=1.0, zorder=4))
    ax.add_patch(Circle(_xy(at), radius, facecolor="#f0d9c8", edgecolor=INK, linewidth=1.1, zorder=5))
    for ear, name in ((angle, "L"), (-angle, "R")):
        away = np.array([np.cos(facing + ear), np.sin(facing + ear)])
        ax.plot(*(at + radius * away), marker="o", markersize=4.0, color=INK, zorder=6)
        x, y = _xy(at + 1.9 * radius * away)
        ax.text(x, y, name, ha="center", va="center", fontsize=8.5, color=INK, zorder=6)


def responses(ax: Axes, o: Overview) -> None:
    """Level of each driver on its axis over frequency."""
    ax.set_title("Drivers, each on its axis")
    for n, name in enumerate(o.drivers):
        ax.plot(
            o.f,
            o.level[n],
            color=DRIVERS[n % len(DRIVERS)],
            linewidth=1.5,
            label=f"{o.channels[n]} {name.replace('_', ' ')}",
        )
    top = 5.0 * np.ceil(o.level.max() / 5.0) + 2.0
    ax.set_ylim(top - 47.0, top)
    frequencies(ax, float(o.f[0]), float(o.f[-1]))
    ax.set_ylabel("dB SPL at 1 m, full scale")
    ax.legend(loc="lower center", ncols=2, frameon=False, fontsize=8.5, handlelength=1.4, columnspacing=1.2)


def pattern(ax: Axes, o: Overview, which: int) -> None:
    """Polar patterns of all drivers at one frequency, on polar axes; ahead is up."""
    polar: Any = ax
    polar.set_theta_zero_location("N")
    for n in range(len(o.drivers)):
        ax.plot(o.azimuths, np.maximum(o.patterns[n, which], -30.0), color=DRIVERS[n % len(DRIVERS)], linewidth=1.3)
    polar.set_rlim(-30.0, 1.0)
    polar.set_rgrids([-24.0, -12.0, 0.0], labels=["-24 dB", "-12", "0"], fontsize=7, color=SOFT)
    polar.set_rlabel_position(157.5)
    polar.set_thetagrids([0, 90, 180, 270], labels=["", "", "", ""])
    ax.grid(True, color=GRID, linewidth=0.7)
    polar.spines["polar"].set_color(GRID)
    ax.set_title(hertz(POLAR_HZ[which]), fontsize=9, loc="center", fontweight="normal", pad=5)


def decay(ax: Axes, o: Overview) -> None:
    """Reverberation time of each octave: simulated as bars, Eyring's as marks."""
    assert o.room is not None, "there is no room to draw"
    ax.set_title("Reverberation time")
    at = np.arange(len(OCTAVES))
    ax.bar(at, o.room.heard, width=0.62, color="#8fb8d8", label="at the microphone")
    ax.plot(at, o.room.eyring, linestyle="", marker="_", markersize=22, markeredgewidth=2.0, color=INK, label="Eyring")
    ax.set_xticks(at, list(map(tick, OCTAVES)))
    ax.set_xlabel("octave, Hz")
    ax.set_ylabel("s")
    ax.set_ylim(0.0, 1.5 * float(max(o.room.heard.max(), o.room.eyring.max())))
    ax.grid(True, axis="y", color=GRID, linewidth=0.7)
    ax.legend(loc="upper right", frameon=False, fontsize=8.5, markerscale=0.5)


def direct_to_reverberant(ax: Axes, o: Overview) -> None:
    """Direct over reverberant energy of each driver at both ears."""
    assert o.room is not None, "there is no room to draw"
    ax.set_title("Direct over reverberant")
    at = np.arange(len(o.drivers))
    for n in at:
        colour = DRIVERS[n % len(DRIVERS)]
        left, right = o.room.direct_db[:, n]
        ax.plot([n, n], [left, right], color=colour, linewidth=1.4, alpha=0.6)
        for value, name, side in ((left, "L", -1), (right, "R", 1)):
            ax.plot(n, value, marker="o", color=colour, markersize=6.5)
            ax.annotate(name, (n, value), xytext=(8 * side, 0), textcoords="offset points", ha="center", va="center",
                        fontsize=8.5)  # fmt: skip
    ax.axhline(0.0, color=SOFT, linewidth=0.9)
    ax.set_xlim(-0.6, len(o.drivers) - 0.4)
    ax.set_xticks(at, [str(c) for c in o.channels])
    ax.set_xlabel("driver (channel)")
    ax.set_ylabel("dB at the ears")
    ax.margins(y=0.18)
    ax.grid(True, axis="y", color=GRID, linewidth=0.7)
