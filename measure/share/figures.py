"""Pictures of a session as files: their list, how they are drawn, and where they are written."""

from __future__ import annotations

import zlib
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.share import decay, directivity, places, plots, reverberation, timing
from sweetspot.measure.share.axes import PlainFigure, rows_of
from sweetspot.measure.share.shown import Shown, distortion_table
from sweetspot.measure.share.timing import Table
from sweetspot.measure.smooth import smoothed
from sweetspot.rigs import plots as style
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import named
from sweetspot.rigs.parallel import forked
from sweetspot.rigs.storage import replacing
from sweetspot.rigs.units import P_REF, Float, db, power_db

COLUMNS = 4
LONGEST_FIRST = (
    ("reverberation",), ("burst-decay",), ("cta2034", "polar", "directivity"), ("decay",), ("group-delay",),
    ("distortion",), ("average",), ("responses",), ("step",), ("impulse",),
)  # fmt: skip
"""Pictures in the order in which cores take them; those of a group share what they are made of."""

ASKED = ("reverberation", "group-delay", "step", "burst-decay", "average")
"""Pictures that are drawn only by name or with ``--all``."""

MARGINS = {"left": 0.75, "right": 0.15, "top": 0.7, "bottom": 0.5, "below": 0.35, "beside": 0.15}
"""Around and between the axes of a picture, inches."""

NAMES_ROW = 0.22
"""Height of a row of names above axes, inches."""

LEAST_OCTAVES = 1.0 / 6.0
"""Least smoothing of group delays: in a room those of single frequencies are chaotic."""

DECAY_S = 0.005
"""Length of a spectrum's decay in pictures, s."""

PERIODS = 30.0
"""Length of the decay of bursts in pictures, periods."""


Drawing = Callable[[], tuple[Figure, Table | None]]
"""Makes a picture, and its figures if it has any."""


def pictures(shown: Shown) -> dict[str, Drawing]:
    """All possible pictures by name, in reading order."""
    found: dict[str, Drawing] = {}
    if shown.ears is not None:
        ears, whole = shown.ears, shown.whole or shown.ears
        found["responses"] = lambda: (_responses(shown, ears), None)
        found["impulse"] = lambda: (_impulses(shown, whole), None)
        found["decay"] = lambda: (_decays(shown, ears, whole), None)
        found["reverberation"] = lambda: _reverberation(shown, whole)
        found["group-delay"] = lambda: _group_delays(shown, ears)
        found["step"] = lambda: (_steps(shown, ears), None)
        found["burst-decay"] = lambda: (_burst_decay(shown, ears), None)
        found["average"] = lambda: _average(shown, ears)
    if shown.has_raw:
        found["distortion"] = lambda: _distortion(shown)
    if shown.polar is not None:
        polar = shown.polar
        found["polar"] = lambda: (_polar(shown, polar), None)
        found["directivity"] = lambda: (_directivity(shown, polar), None)
        if shown.vertical is not None:
            vertical = shown.vertical
            found["cta2034"] = lambda: (_cta2034(shown, polar, vertical), None)
    return found


def chosen(found: dict[str, Drawing], only: str | None, *, every: bool = False) -> list[str]:
    """Names of the pictures that ``only`` (names with commas) selects; if it is None, all, or all but :data:`ASKED`.

    Raises
    ------
    BadInput
        A name fits none; lists those there are.
    """
    if only is None:
        return [n for n in found if every or n not in ASKED]
    names = [n.strip() for n in only.split(",") if n.strip()]
    unknown = [n for n in names if n not in found]
    if unknown or not names:
        more = "" if "cta2034" in found else " (cta2034 needs --vertical and a polar set)"
        raise BadInput(f"--only: no picture {', '.join(unknown) or only!r}; there are: {', '.join(found)}{more}")
    return list(dict.fromkeys(names))


QUICK: dict[str, Any] = {"pil_kwargs": {"compress_level": 3, "compress_type": zlib.Z_RLE}}
"""How PNG files are packed: repeats of single bytes alone take 0.85 of the time, and files are a fiftieth larger."""

NO_CLOCK: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""Metadata omitted from pictures, so that the same session gives the same bytes."""


def save(draw: Drawing, path: Path) -> Table | None:
    """Draw one picture and write it; its kind is the path's ending. Returns its figures.

    Raises
    ------
    BadInput
        The folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise BadInput(f"{path.parent}: cannot be made: {fault.strerror}; choose another folder with --out") from fault
    settings = {**plots.STYLE, "figure.facecolor": style.PAPER, "svg.hashsalt": path.stem}
    with matplotlib.rc_context(settings), replacing(path, path.suffix, synced=False) as part:
        kind, (figure, table) = path.suffix.lower(), draw()
        figure.savefig(part, dpi=130, metadata=NO_CLOCK.get(kind, {}), **(QUICK if kind == ".png" else {}))
    return table


def save_all(shown: Shown, paths: Mapping[str, Path]) -> dict[str, Table]:
    """Draw the pictures of these names on all cores, and write each to its path.

    Returns
    -------
    Figures of those pictures that have any, by name.

    Raises
    ------
    BadInput
        The folder cannot be written, or there is no data for one of them.
    """
    drawn = pictures(shown)

    def save_group(names: list[str]) -> dict[str, Table | None]:
        return {name: save(drawn[name], paths[name]) for name in names}

    groups = [[name for name in group if name in paths] for group in LONGEST_FIRST]
    tables = ChainMap(*forked.shared([partial(save_group, names) for names in groups if names]))
    return {name: found for name in paths if (found := tables[name])}


def _figure(
    title: str,
    size: tuple[float, float],
    rows: int = 1,
    columns: int = 1,
    names: Sequence[str] = (),
    *,
    top_alone: bool = False,
    **inches: float,
) -> Figure:
    """An empty figure with a title and fixed margins: a solver for them would draw everything twice.

    ``names`` above the axes of every row, or of the top one alone, which is as wide as the figure, take rows: for more
    than one the figure is higher than ``size``.

    ``inches`` are those of ``left``, ``right``, ``top``, ``bottom``, and what is left between ``rows`` and ``columns``
    of axes (``below`` and ``beside``).
    """
    (width, height), gap = size, MARGINS | inches
    across = width - gap["left"] - gap["right"]
    wide = across if top_alone else (across - (columns - 1) * gap["beside"]) / columns
    more = NAMES_ROW * (rows_of([named(name) for name in names], wide) - 1)
    gap |= {"top": gap["top"] + more, "below": gap["below"] + (0.0 if top_alone else more)}
    height += more * (1 if top_alone else rows)
    figure = PlainFigure(figsize=(width, height))
    figure.suptitle(title, x=0.1 / width, y=1.0 - 0.1 / height, ha="left", va="top", fontsize=12.5, color=style.INK)
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
    title, names = f"{shown.title}: responses, {_place(ears, shown.position)}", (*ears.drivers, "standard error")
    figure = _figure(title, (9.0, 3.4 * count), count, names=names, below=0.85)
    top = 10.0 * np.ceil((float(level.max()) + 2.0) / 10.0)
    for mic, ax in enumerate(np.atleast_1d(figure.subplots(len(ears.mics), 1, sharex=True))):
        plots.levels(ax, f, level[mic], ears.drivers, top - 90.0, top)
        plots.floors(ax, f, _spl(np.asarray(error[mic], dtype=float)))
        style.frequencies(ax, *shown.valid(ears.band))
        ax.set_ylabel(f"{named(ears.mics[mic])}, {_unit(ears)}")
        plots.key(ax)
    return figure


def _unit(ears: ImpulseResponse) -> str:
    return "dB SPL at full scale" if ears.unit == "Pa/FS" else "dB, not calibrated"


def _average(shown: Shown, ears: ImpulseResponse) -> tuple[Figure, Table]:
    """Power averages over the places, shaded by the standard deviation of levels between them."""
    found = places.over_places(ears, shown.smoothing)
    count, top = len(ears.mics), 10.0 * np.ceil((float(found.level.max()) + 2.0) / 10.0)
    title = f"{shown.title}: mean of {len(ears.positions)} places, shaded by their standard deviation"
    figure = _figure(title, (9.0, 3.4 * count), count, names=ears.drivers, below=0.85)
    for mic, ax in enumerate(np.atleast_1d(figure.subplots(count, 1, sharex=True))):
        plots.levels(ax, found.f, found.level[mic], ears.drivers, top - 60.0, top)
        plots.spread(ax, found.f, found.level[mic], found.deviation[mic])
        style.frequencies(ax, *shown.valid(ears.band))
        ax.set_ylabel(f"{named(ears.mics[mic])}, {_unit(ears)}")
        plots.key(ax)
    return figure, places.table(ears, shown.played, shown.valid(ears.band))


def _group_delays(shown: Shown, ears: ImpulseResponse) -> tuple[Figure, Table]:
    h, start, band = ears.h[shown.position], decay.arrival(ears.h[shown.position], ears.zero), shown.valid(ears.band)
    f, *found = timing.group_delays(h, ears.fs, start, ears.band, max(shown.smoothing, LEAST_OCTAVES))
    hidden = [(f < max(low, band[0])) | (f > min(high, band[1])) for low, high in shown.played]
    count, names = len(ears.mics), ("group delay, ms", "excess group delay, ms")
    title = f"{shown.title}: group delay re the first arrival, {_place(ears, shown.position)}"
    figure = _figure(title, (13.0, 3.4 * count), count, 2, names=ears.drivers, below=0.85, beside=0.8)
    for (mic, column), ax in np.ndenumerate(figure.subplots(count, 2, squeeze=False)):
        shown_s = np.where(hidden, np.nan, found[column][mic])
        plots.over_frequency(
            ax, f[1:], 1000.0 * shown_s[:, 1:], ears.drivers, f"{named(ears.mics[mic])}, {names[column]}"
        )
        style.frequencies(ax, *band)
        ax.set_ylim(*_most_of(1000.0 * shown_s))
    return figure, timing.table(ears, shown.position, shown.played, band)


def _most_of(x: Float) -> tuple[float, float]:
    """Ends of an axis that shows all but single peaks of values, at least 1 apart."""
    low, high = np.nanpercentile(x, [1.0, 99.0])
    room = max(0.15 * (high - low), 0.5 * (1.0 - (high - low)))
    return float(low - room), float(high + room)


def _steps(shown: Shown, ears: ImpulseResponse) -> Figure:
    start, count = decay.arrival(ears.h[shown.position], ears.zero), len(ears.mics)
    window = slice(max(start - ears.fs // 2000, 0), min(start + ears.fs // 100, ears.h.shape[-1]))
    t = (np.arange(ears.h.shape[-1])[window] - start) / ears.fs
    step = timing.step_response(ears.h[shown.position], ears.fs)[..., window]
    title = f"{shown.title}: step responses of the measured band, {_place(ears, shown.position)}"
    figure = _figure(title, _traced(ears), count, below=0.8, left=0.2)
    for mic, ax in enumerate(np.atleast_1d(figure.subplots(count, 1, sharex=True))):
        plots.traces(ax, t, step[mic], ears.drivers)
        ax.set_title(named(ears.mics[mic]), loc="left")
        ax.set_xlabel("time after the first arrival, ms")
    return figure


def _burst_decay(shown: Shown, ears: ImpulseResponse) -> Figure:
    mic, count = 0, len(ears.drivers)
    h = ears.h[shown.position, mic]
    start, periods = decay.arrival(h, ears.zero), np.linspace(0.0, PERIODS, 120)
    low, high = shown.valid(ears.band)
    f = np.geomspace(max(low, min(played[0] for played in shown.played)), high, 140)
    title = f"{shown.title}: burst decay, 1/3 octave, {named(ears.mics[mic])}, {_place(ears, shown.position)}"
    width, height = _sized(count, 3.6, 3.2)
    figure = _figure(title, (width, height), *_laid(count), right=1.0, below=0.6, beside=0.35)
    axes = _grid(figure, count)
    for i, ax in enumerate(axes):
        level = decay.burst_decay(h[i], ears.fs, start, periods, f)
        level[:, (f < shown.played[i][0]) | (f > shown.played[i][1])] = np.nan
        plots.burst_decay(ax, periods, f, level)
        ax.set_title(named(ears.drivers[i]), loc="left")
    _outer(axes)
    beside = figure.add_axes((1.0 - 0.85 / width, 0.5 / height, 0.12 / width, 1.0 - 1.2 / height))
    plots.colour_scale(beside, "magma", plots.DECAYED_DB, "dB re the highest level of each frequency")
    return figure


def _impulses(shown: Shown, ears: ImpulseResponse) -> Figure:
    start = decay.arrival(ears.h[shown.position], ears.zero)
    window = slice(max(start - ears.fs // 2000, 0), min(start + ears.fs // 200, ears.h.shape[-1]))
    t = (np.arange(ears.h.shape[-1])[window] - ears.zero) / ears.fs
    title = f"{shown.unit}: impulse responses, {_place(ears, shown.position)}"
    figure = _figure(title, _traced(ears), len(ears.mics), below=0.8, left=0.2)
    for mic, ax in enumerate(np.atleast_1d(figure.subplots(len(ears.mics), 1, sharex=True))):
        plots.traces(ax, t, ears.h[shown.position, mic][:, window], ears.drivers)
        ax.set_title(named(ears.mics[mic]), loc="left")
        ax.set_xlabel("time after the sound left the interface, ms")
    return figure


def _decays(shown: Shown, ears: ImpulseResponse, whole: ImpulseResponse) -> Figure:
    mic = 0
    seen = min(2.0 * DECAY_S, shown.gate_s or np.inf)
    h = timing.gated(ears.at(np.array([shown.position])), seen).h[0, mic]
    start = decay.arrival(h, ears.zero)
    late = decay.in_band(whole.h[shown.position, mic], ears.fs, ears.band)[:, start:]
    f = np.geomspace(max(ears.band[0], 200.0), ears.band[1], 200)
    columns = min(len(ears.drivers), COLUMNS)
    rows = 1 + -(-len(ears.drivers) // columns)
    what = f"decay of the measured band, and of spectra of the first {1000.0 * seen:g} ms"
    title = f"{shown.unit}: {what}, {named(ears.mics[mic])}, {_place(ears, shown.position)}"
    width, height = 3.2 * max(columns, 3) + 0.8, 3.0 * rows
    gaps = {"below": 0.85, "beside": 0.75, "right": 0.95}
    figure = _figure(title, (width, height), rows, columns, ears.drivers, top_alone=True, **gaps)
    height = figure.get_figheight()
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


def _reverberation(shown: Shown, ears: ImpulseResponse) -> tuple[Figure, Table]:
    found = reverberation.of(ears, shown.played, shown.bands)
    kind = "octaves" if shown.bands == "octave" else "third octaves"
    title = f"{shown.unit}: reverberation in {kind}, mean and standard deviation over places, ears and drivers"
    figure = _figure(title, (9.0, 6.8), 2, below=0.85)
    above, below = figure.subplots(2, 1)
    kinds = (tuple(reverberation.EVALUATED_DB), "decay time, s"), (tuple(reverberation.EARLY_S), "clarity, dB")
    for ax, (names, text) in zip((above, below), kinds, strict=True):
        rows = [(reverberation.SHOWN[name][0].split(",")[0], *found.mean(name)[:2]) for name in names]
        plots.over_bands(ax, found.hz, rows, text)
    if above.get_ylim()[1] > 0.0:
        above.set_ylim(bottom=0.0)
    return figure, (found.rows(), found.text())


def _grid(figure: Figure, count: int) -> list[Axes]:
    rows, columns = _laid(count)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for spare in axes[count:]:
        spare.set_visible(False)
    return list(axes[:count])


def _outer(axes: Sequence[Axes]) -> None:
    """Leave the names of scales at the left and beneath, which is beneath the lowest axes of each column of a grid."""
    _, columns = _laid(len(axes))
    for i, ax in enumerate(axes):
        across = ax.get_xlabel()
        ax.label_outer(remove_inner_ticks=False)
        if i + columns >= len(axes):
            ax.set_xlabel(across)
            ax.tick_params(axis="x", labelbottom=True)


def _played(shown: Shown, f: Float) -> NDArray[np.bool_]:
    """Frequencies ``(driver, frequency)`` that each driver was sent: below its band there is only noise."""
    return np.array([f >= low for low, _ in shown.played])


def _laid(count: int) -> tuple[int, int]:
    """Rows and columns of :func:`_grid`."""
    columns = min(count, COLUMNS) if count > 2 else count
    return -(-count // columns), columns


def _traced(ears: ImpulseResponse) -> tuple[float, float]:
    """Size of a figure with a trace a driver, each with its name, for every microphone."""
    return 9.0, max(3.6, 1.0 + 0.22 * len(ears.drivers)) * len(ears.mics)


def _sized(count: int, width: float, height: float) -> tuple[float, float]:
    rows, columns = _laid(count)
    return width * max(columns, 2), height * rows + 0.5


def _polar(shown: Shown, polar: ImpulseResponse) -> Figure:
    around = directivity.orbit(polar, 0)
    degrees, level = directivity.circle(around.degrees, around.re_axis_db())
    title = f"{shown.title}: polar responses, dB re straight ahead, 1/12 octave"
    width, height = _sized(len(polar.drivers), 3.6, 3.2)
    figure = _figure(title, (width, height), *_laid(len(polar.drivers)), right=1.0)
    axes, played = _grid(figure, len(polar.drivers)), _played(shown, around.f)
    for i, ax in enumerate(axes):
        plots.polar_map(ax, around.f, degrees, np.where(played[i], level[:, i], np.nan))
        ax.set_title(named(polar.drivers[i]), loc="left")
    _outer(axes)
    beside = figure.add_axes((1.0 - 0.85 / width, 0.5 / height, 0.12 / width, 1.0 - 1.2 / height))
    plots.colour_scale(beside, "viridis", plots.PICTURED_DB, "dB re straight ahead")
    return figure


def _directivity(shown: Shown, polar: ImpulseResponse) -> Figure:
    around = directivity.orbit(polar, 0, smoothing=1.0 / 3.0)
    title = f"{shown.title}: directivity, 1/3 octave, radiation taken as symmetric about the axis"
    figure = _figure(title, (9.0, 6.6), 2, names=polar.drivers, below=0.6)
    above, below = figure.subplots(2, 1, sharex=True)
    index, width = (
        np.where(_played(shown, around.f), x, np.nan)
        for x in (directivity.index_db(around), directivity.beam_width_deg(around))
    )
    plots.over_frequency(above, around.f, index, polar.drivers, "directivity index, dB")
    plots.over_frequency(below, around.f, width, polar.drivers, "width at \N{MINUS SIGN}6 dB, degrees")
    below.set_ylim(0.0, 370.0)
    below.set_yticks([0, 90, 180, 270, 360])
    return figure


def _distortion(shown: Shown) -> tuple[Figure, Table]:
    measured = shown.ears or shown.polar
    assert measured is not None
    assert shown.distorted is not None
    row, made = shown.distorted
    azimuth = float(measured.positions["azimuth_deg"][row])
    where = _place(measured, row) if shown.ears is not None else f"at {azimuth:.0f}°"
    title = f"{shown.unit}: distortion at the {named(measured.mics[0])}, {where}"
    figure = _figure(title, _sized(len(made), 4.4, 3.4), *_laid(len(made)), left=0.9, bottom=0.85)
    axes = _grid(figure, len(made))
    rubs = shown.rubs or (None,) * len(made)
    for name, one, rub, (lowest, _), ax in zip(measured.drivers, made, rubs, shown.played, axes, strict=True):
        plots.distortion(ax, one, 0, lowest, rub)
        ax.set_title(named(name), loc="left")
    _outer(axes)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower left", ncols=7, frameon=False)
    return figure, distortion_table(shown, made)


def _cta2034(shown: Shown, polar: ImpulseResponse, vertical: ImpulseResponse) -> Figure:
    if vertical.drivers != polar.drivers or vertical.band != polar.band:
        raise BadInput(
            f"--vertical: drivers {', '.join(vertical.drivers)} over {vertical.band} Hz were measured there, "
            f"{', '.join(polar.drivers)} over {polar.band} Hz here; both orbits need the same drivers and band"
        )
    flat, upright = directivity.orbit(polar, 0), directivity.orbit(vertical, 0)
    count = len(polar.drivers)
    rows, columns = -(-count // 2), min(count, 2)
    title, size = f"{shown.title}: CTA-2034, 1/12 octave", (5.6 * columns, 4.0 * rows + 0.8)
    figure = _figure(title, size, rows, columns, right=0.7, bottom=1.05, below=0.85, beside=1.4)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in axes[count:]:
        spare.set_visible(False)
    for i, ax in enumerate(axes[:count]):
        plots.spinorama(ax, directivity.cta2034(flat, upright, i))
        ax.set_title(named(polar.drivers[i]), loc="left")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower left", ncols=4, frameon=False)
    return figure
