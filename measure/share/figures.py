"""Pictures of a session as files: their list, how they are drawn, and where they are written."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweetspot.measure.distortion import Distortion
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.share import decay, directivity, forked, plots
from sweetspot.measure.share.axes import PlainFigure
from sweetspot.measure.share.shown import DistortionTable, Shown, distortion_table, distortions, named
from sweetspot.measure.smooth import smoothed
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import replacing
from sweetspot.rigs.units import P_REF, Float, db, power_db

COLUMNS = 4
LONGEST_FIRST = ("cta2034", "decay", "polar", "distortion", "responses", "directivity", "impulse")
"""Pictures in the order in which cores take them."""

MARGINS = {"left": 0.75, "right": 0.15, "top": 0.7, "bottom": 0.5, "below": 0.35, "beside": 0.15}
"""Around and between the axes of a picture, inches."""

DECAY_S = 0.005
"""Length of a spectrum's decay in pictures, s."""


def pictures(shown: Shown) -> dict[str, Callable[[], Figure]]:
    """All possible pictures by name, in reading order."""
    found: dict[str, Callable[[], Figure]] = {}
    if shown.ears is not None:
        ears = shown.ears
        found["responses"] = lambda: _responses(shown, ears)
        found["impulse"] = lambda: _impulses(shown, ears)
        found["decay"] = lambda: _decays(shown, ears)
    if shown.has_raw:
        found["distortion"] = lambda: _distortion(shown, *distortions(shown))
    if shown.polar is not None:
        polar = shown.polar
        found["polar"] = lambda: _polar(shown, polar)
        found["directivity"] = lambda: _directivity(shown, polar)
        if shown.vertical is not None:
            vertical = shown.vertical
            found["cta2034"] = lambda: _cta2034(shown, polar, vertical)
    return found


def chosen(found: dict[str, Callable[[], Figure]], only: str | None) -> dict[str, Callable[[], Figure]]:
    """The pictures that ``only`` (names with commas) selects; all if it is None.

    Raises
    ------
    BadInput
        A name fits none; lists those there are.
    """
    if only is None:
        return found
    names = [n.strip() for n in only.split(",") if n.strip()]
    unknown = [n for n in names if n not in found]
    if unknown or not names:
        more = "" if "cta2034" in found else " (cta2034 needs --vertical and a polar set)"
        raise BadInput(f"--only: no picture {', '.join(unknown) or only!r}; there are: {', '.join(found)}{more}")
    return {n: found[n] for n in names}


QUICK: dict[str, Any] = {"pil_kwargs": {"compress_level": 3, "compress_type": zlib.Z_RLE}}
"""How PNG files are packed: repeats of single bytes alone take 0.85 of the time, and files are a fiftieth larger."""

NO_CLOCK: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""Metadata omitted from pictures, so that the same session gives the same bytes."""


def save(draw: Callable[[], Figure], path: Path) -> None:
    """Draw one picture and write it; its kind is the path's ending.

    Raises
    ------
    BadInput
        The folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise BadInput(f"{path.parent}: cannot be made: {fault.strerror}; choose another folder with --out") from fault
    style = {**plots.STYLE, "figure.facecolor": plots.PAPER, "svg.hashsalt": path.stem}
    with matplotlib.rc_context(style), replacing(path, path.suffix, synced=False) as part:
        kind = path.suffix.lower()
        draw().savefig(part, dpi=130, metadata=NO_CLOCK.get(kind, {}), **(QUICK if kind == ".png" else {}))


def save_all(shown: Shown, paths: Mapping[str, Path]) -> DistortionTable | None:
    """Draw the pictures of these names on all cores, and write each to its path.

    Returns
    -------
    The distortion as rows and as text, if it is drawn.

    Raises
    ------
    BadInput
        The folder cannot be written, or there is no data for one of them.
    """
    drawn = pictures(shown)
    names = sorted(paths, key=LONGEST_FIRST.index)

    def saved(name: str) -> DistortionTable | None:
        if name == "distortion":
            return _save_distortion(shown, paths[name])
        save(drawn[name], paths[name])
        return None

    return next((table for table in forked.shared([partial(saved, name) for name in names]) if table), None)


def _save_distortion(shown: Shown, path: Path) -> DistortionTable:
    row, made = distortions(shown)
    save(lambda: _distortion(shown, row, made), path)
    return distortion_table(shown, made)


def _figure(title: str, size: tuple[float, float], rows: int = 1, columns: int = 1, **inches: float) -> Figure:
    """An empty figure with a title and fixed margins: a solver for them would draw everything twice.

    ``inches`` are those of ``left``, ``right``, ``top``, ``bottom``, and what is left between ``rows`` and ``columns``
    of axes (``below`` and ``beside``).
    """
    (width, height), gap = size, MARGINS | inches
    figure = PlainFigure(figsize=size)
    figure.suptitle(title, x=0.1 / width, y=1.0 - 0.1 / height, ha="left", va="top", fontsize=12.5, color=plots.INK)
    each = (
        (width - gap["left"] - gap["right"] - (columns - 1) * gap["beside"]) / columns,
        (height - gap["top"] - gap["bottom"] - (rows - 1) * gap["below"]) / rows,
    )
    figure.subplots_adjust(
        left=gap["left"] / width,
        right=1.0 - gap["right"] / width,
        bottom=gap["bottom"] / height,
        top=1.0 - gap["top"] / height,
        wspace=gap["beside"] / each[0],
        hspace=gap["below"] / each[1],
    )
    return figure


def _place(ears: ImpulseResponse, row: int) -> str:
    p = ears.positions[row]
    return f"head {p['x']:.2f} m ahead, {100 * p['y']:z.0f} cm to the left, turned {p['yaw_deg']:z.0f}°"


def _spl(magnitude: Float) -> Float:
    """Level in dB re 20 uPa of a full-scale sine with this response in Pa/FS."""
    return db(magnitude / np.sqrt(2.0) / P_REF)


def _responses(shown: Shown, ears: ImpulseResponse) -> Figure:
    h, error = ears.h[shown.position], shown.stderr
    assert error is not None
    f = np.asarray(np.fft.rfftfreq(h.shape[-1], 1.0 / ears.fs), dtype=float)
    power = np.abs(np.fft.rfft(h, axis=-1)) ** 2
    if shown.smoothing > 0:
        power = smoothed(power, f, shown.smoothing)
    level = power_db(power / 2.0 / P_REF**2)
    count = len(ears.mics)
    figure = _figure(f"{shown.unit}: responses, {_place(ears, shown.position)}", (9.0, 3.4 * count), count, below=0.6)
    top = 10.0 * np.ceil((float(level.max()) + 2.0) / 10.0)
    for mic, ax in enumerate(np.atleast_1d(figure.subplots(len(ears.mics), 1, sharex=True))):
        plots.levels(ax, f, level[mic], ears.drivers, top - 90.0, top)
        plots.floors(ax, f, _spl(np.asarray(error[mic], dtype=float)))
        plots.frequencies(ax, *ears.band)
        unit = "dB SPL at full scale" if ears.unit == "Pa/FS" else "dB, not calibrated"
        ax.set_ylabel(f"{named(ears.mics[mic])}, {unit}")
        plots.key(ax)
    return figure


def _impulses(shown: Shown, ears: ImpulseResponse) -> Figure:
    start = decay.arrival(ears.h[shown.position], ears.zero)
    window = slice(max(start - ears.fs // 2000, 0), min(start + ears.fs // 200, ears.h.shape[-1]))
    t = (np.arange(ears.h.shape[-1])[window] - ears.zero) / ears.fs
    count = len(ears.mics)
    title = f"{shown.unit}: impulse responses, {_place(ears, shown.position)}"
    figure = _figure(title, (9.0, 3.6 * count), count, below=0.8, left=0.2)
    for mic, ax in enumerate(np.atleast_1d(figure.subplots(len(ears.mics), 1, sharex=True))):
        plots.traces(ax, t, ears.h[shown.position, mic][:, window], ears.drivers)
        ax.set_title(named(ears.mics[mic]), loc="left")
        ax.set_xlabel("time after the sound left the interface, ms")
    return figure


def _decays(shown: Shown, ears: ImpulseResponse) -> Figure:
    mic = 0
    h = ears.h[shown.position, mic]
    start = decay.arrival(h, ears.zero)
    late = decay.in_band(h, ears.fs, ears.band)[:, start:]
    f = np.geomspace(max(ears.band[0], 200.0), ears.band[1], 200)
    columns = min(len(ears.drivers), COLUMNS)
    rows = 1 + -(-len(ears.drivers) // columns)
    title = f"{shown.unit}: decay of the measured band at the {named(ears.mics[mic])}, {_place(ears, shown.position)}"
    width, height = 3.2 * max(columns, 3) + 0.8, 3.0 * rows
    figure = _figure(title, (width, height), rows, columns, below=0.85, beside=0.75, right=0.95)
    grid = figure.add_gridspec(rows, columns)
    t = np.arange(late.shape[-1]) / ears.fs
    plots.energy_decays(figure.add_subplot(grid[0, :]), t, decay.energy_decay_db(late), ears.drivers)
    for i, name in enumerate(ears.drivers):
        ax = figure.add_subplot(grid[1 + i // columns, i % columns])
        level, times = decay.spectral_decay(h[i], ears.fs, start, DECAY_S, f)
        plots.spectral_decay(ax, times, f, level)
        ax.set_title(named(name), loc="left")
    beside = figure.add_axes((1.0 - 0.8 / width, 0.5 / height, 0.12 / width, ax.get_position().height))
    plots.colour_scale(beside, "magma", plots.DECAYED_DB, "dB re the highest level")
    return figure


def _grid(figure: Figure, count: int) -> list[Axes]:
    rows, columns = _laid(count)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for spare in axes[count:]:
        spare.set_visible(False)
    return list(axes[:count])


def _laid(count: int) -> tuple[int, int]:
    """Rows and columns of :func:`_grid`."""
    columns = min(count, COLUMNS) if count > 2 else count
    return -(-count // columns), columns


def _sized(count: int, width: float, height: float) -> tuple[float, float]:
    rows, columns = _laid(count)
    return width * max(columns, 2), height * rows + 0.5


def _polar(shown: Shown, polar: ImpulseResponse) -> Figure:
    around = directivity.orbit(polar, 0)
    degrees, level = directivity.circle(around.degrees, around.re_axis_db())
    title = f"{shown.unit}: polar responses, dB re straight ahead, 1/12 octave"
    width, height = _sized(len(polar.drivers), 3.6, 3.2)
    figure = _figure(title, (width, height), *_laid(len(polar.drivers)), right=1.0)
    axes = _grid(figure, len(polar.drivers))
    for i, ax in enumerate(axes):
        plots.polar_map(ax, around.f, degrees, level[:, i])
        ax.set_title(named(polar.drivers[i]), loc="left")
        ax.label_outer(remove_inner_ticks=False)
    beside = figure.add_axes((1.0 - 0.85 / width, 0.5 / height, 0.12 / width, 1.0 - 1.2 / height))
    plots.colour_scale(beside, "viridis", plots.PICTURED_DB, "dB re straight ahead")
    return figure


def _directivity(shown: Shown, polar: ImpulseResponse) -> Figure:
    around = directivity.orbit(polar, 0, smoothing=1.0 / 3.0)
    figure = _figure(
        f"{shown.unit}: directivity, 1/3 octave, radiation taken as symmetric about the axis", (9.0, 6.6), 2, below=0.6
    )
    above, below = figure.subplots(2, 1, sharex=True)
    plots.over_frequency(above, around.f, directivity.index_db(around), polar.drivers, "directivity index, dB")
    width = directivity.beam_width_deg(around)
    plots.over_frequency(below, around.f, width, polar.drivers, "width at \N{MINUS SIGN}6 dB, degrees")
    below.set_ylim(0.0, 370.0)
    below.set_yticks([0, 90, 180, 270, 360])
    return figure


def _distortion(shown: Shown, row: int, made: list[Distortion]) -> Figure:
    measured = shown.ears or shown.polar
    assert measured is not None
    azimuth = float(measured.positions["azimuth_deg"][row])
    where = _place(measured, row) if shown.ears is not None else f"at {azimuth:.0f}°"
    title = f"{shown.unit}: distortion at the {named(measured.mics[0])}, {where}"
    figure = _figure(title, _sized(len(made), 4.4, 3.4), *_laid(len(made)), left=0.9, bottom=0.85)
    axes = _grid(figure, len(made))
    for name, one, ax in zip(measured.drivers, made, axes, strict=True):
        plots.distortion(ax, one, 0)
        ax.set_title(named(name), loc="left")
        ax.label_outer(remove_inner_ticks=False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower left", ncols=6, frameon=False)
    return figure


def _cta2034(shown: Shown, polar: ImpulseResponse, vertical: ImpulseResponse) -> Figure:
    if vertical.drivers != polar.drivers or vertical.band != polar.band:
        raise BadInput(
            f"--vertical: drivers {', '.join(vertical.drivers)} over {vertical.band} Hz were measured there, "
            f"{', '.join(polar.drivers)} over {polar.band} Hz here; both orbits need the same drivers and band"
        )
    flat, upright = directivity.orbit(polar, 0), directivity.orbit(vertical, 0)
    count = len(polar.drivers)
    rows, columns = -(-count // 2), min(count, 2)
    gaps = {"right": 0.7, "bottom": 1.05, "below": 0.85, "beside": 1.4}
    figure = _figure(f"{shown.unit}: CTA-2034, 1/12 octave", (5.6 * columns, 4.0 * rows + 0.8), rows, columns, **gaps)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in axes[count:]:
        spare.set_visible(False)
    for i, ax in enumerate(axes[:count]):
        plots.spinorama(ax, directivity.cta2034(flat, upright, i))
        ax.set_title(named(polar.drivers[i]), loc="left")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower left", ncols=4, frameon=False)
    return figure
