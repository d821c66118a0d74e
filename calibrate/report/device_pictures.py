"""Pictures of a device without ears: polar maps and cuts, filters, plan view, SNR around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from sweetspot.calibrate.report import plots
from sweetspot.calibrate.report.evidence import FINE
from sweetspot.calibrate.report.pictures import Picture, beside, picture
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.share import plots as measured
from sweetspot.measure.share import reverberation
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Float, db

KINDS = {"decay time, s": tuple(reverberation.EVALUATED_DB), "clarity, dB": tuple(reverberation.EARLY_S)}
"""Figures of a room by the axis that they share."""

CUTS_HZ = (500.0, 1000.0, 2000.0, 4000.0)
Around = dict[str, tuple[Float, Float]]
"""By name: azimuth (deg) and level re on-axis ``(direction, FINE)``, dB; see :func:`evidence.around`."""


def polar_maps(found: Around, driver: str) -> list[Picture]:
    """Maps of a driver alone, of matrix mixing if given, and of the beam."""
    if not found:
        return []
    after = "heard" if "heard" in found else "predicted"
    titles = {
        "before": f"Before: {driver.replace('_', ' ')} alone",
        "matrix": "Matrix mixing: the mid signal, in phase",
        after: f"After: the centre's beam, {'measured' if after == 'heard' else after}",
    }

    def draw(name: str) -> Callable[[Figure], None]:
        def drawing(figure: Figure) -> None:
            ax = figure.subplots()
            measured.polar_map(ax, FINE, *found[name])
            beside(figure, "dB re on-axis", "viridis", measured.PICTURED_DB).set_yticks(np.arange(-30, 7, 6))

        return drawing

    return [
        picture(
            f"map-{name}",
            title,
            f"Map of level over frequency and azimuth, normalised to on-axis. {title}.",
            "Yellow is loud, dark is quiet; contours every 6 dB. Both maps share one scale; 1/12 octave.",
            draw(name),
            size=(5.9, 4.2),
        )
        for name, title in titles.items()
        if name in found
    ]


def polar_cuts(found: Around) -> list[Picture]:
    """Levels around the device at :data:`CUTS_HZ`."""
    if not found:
        return []

    def draw(figure: Figure) -> None:
        figure.subplots_adjust(left=0.06, right=0.94, bottom=0.11, top=0.9, wspace=0.2, hspace=0.42)
        axes = figure.subplots(2, len(CUTS_HZ) // 2).ravel()
        for ax, hz in zip(axes, CUTS_HZ, strict=True):
            at = int(np.argmin(np.abs(np.log(FINE / hz))))
            plots.polar_cut(ax, {name: (degrees, level[:, at]) for name, (degrees, level) in found.items()})
            ax.set_title(f"{hz:g} Hz", pad=20.0)
        names, labels = axes[0].get_legend_handles_labels()
        figure.legend(names, labels, loc="lower center", ncols=3, frameon=False)

    return [
        picture(
            "cuts",
            "Polar cuts",
            "Polar plots of level over azimuth at " + ", ".join(f"{f:g} Hz" for f in CUTS_HZ) + ".",
            "Seen from above with the listener at the top; rings are 12 dB apart and 0 dB is the level on axis.",
            draw,
            size=(5.9, 5.6),
        )
    ]


def filter_pictures(filters: FilterSet) -> list[Picture]:
    """Gain and impulse responses of each program's filters."""
    level = db(filters.response(FINE))
    t = np.arange(filters.length) / filters.fs
    low, high = reach(level, 50.0)
    pictures = []
    for i, program in enumerate(filters.programs):

        def magnitude(figure: Figure, i: int = i) -> None:
            ax = figure.subplots()
            measured.levels(ax, FINE, level[i], filters.drivers, low, high)
            ax.set_ylabel("gain, dB")

        pictures.append(
            picture(
                f"gain{i}",
                f"{program.capitalize()} program: gain",
                f"Gain over frequency of the {program} program's filters, one line per driver.",
                "All programs share one scale; headroom included.",
                magnitude,
                values={"x": FINE.round(1).tolist(), "unit": "dB", "series": by_name(filters.drivers, level[i])},
            )
        )
        pictures.append(
            picture(
                f"taps{i}",
                f"{program.capitalize()} program: impulse responses",
                f"Impulse responses of the {program} program's filters, one trace per driver.",
                f"{filters.length} taps at {filters.fs} Hz; traces share one scale.",
                traced(t, filters.taps[i], filters.drivers),
            )
        )
    return pictures


def device(rig: Description, mics_m: float | None) -> Picture:
    """The device from above, with microphones so far away."""
    return picture(
        "device",
        "The device from above",
        f"Plan view of the device with {len(rig.driver)} drivers.",
        "Driver positions of the rig file; the listener is at the top.",
        lambda figure: plots.device(figure.subplots(), rig, mics_m),
        size=(5.2, 4.6),
    )


def snr_around(polar: ImpulseResponse) -> Picture:
    """Signal to noise of every direction and driver."""
    names = ", ".join(f"{i + 1} {d.replace('_', ' ')}" for i, d in enumerate(polar.drivers))

    def around(figure: Figure) -> None:
        ax = figure.subplots()
        azimuths = polar.positions["azimuth_deg"]
        names = [str(d + 1) for d in range(len(polar.drivers))]
        ends = tens(polar.snr_db[:, 0])
        plots.snr_map(ax, polar.snr_db[:, 0], names, ends, numbered=False)
        rows = np.flatnonzero(np.isclose(azimuths % 90.0, 0.0))
        ax.set_yticks(rows + 0.5, [f"{azimuths[r]:g}°" for r in rows])
        ax.set_xlabel("driver")
        ax.set_ylabel("azimuth")
        beside(figure, "dB", "cividis", ends)

    return picture(
        "snr-polar",
        "SNR around the device, dB",
        f"Map of SNR in every direction; minimum {polar.snr_db.min():.0f} dB.",
        f"One row per direction, one column per driver. Drivers: {names}.",
        around,
        size=(5.6, 5.4),
    )


def reverberation_times(ears: ImpulseResponse, rig: Description, drivers: Sequence[int]) -> list[Picture]:
    """Decay times and clarity in octaves of these drivers at the scoring positions, where the decay allows it."""
    some = ears.used_for("score") if np.any(ears.positions["use"] == b"score") else ears
    part = replace(some, h=some.h[:, :, list(drivers)], drivers=tuple(some.drivers[d] for d in drivers),
                   snr_db=some.snr_db[:, :, list(drivers)])  # fmt: skip
    found = reverberation.of(part, [rig.driver[d].band_hz for d in drivers], sought="t20_s")
    rows = {
        kind: [(reverberation.SHOWN[name][0].split(",")[0], *found.mean(name)[:2]) for name in names]
        for kind, names in KINDS.items()
    }
    mean = found.mean("t20_s")[0]
    if not np.isfinite(mean).any():
        return []

    def draw(figure: Figure) -> None:
        figure.subplots_adjust(hspace=0.55)
        for ax, (kind, lines) in zip(figure.subplots(2, 1), rows.items(), strict=True):
            measured.over_bands(ax, found.hz, lines, kind)
            ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))

    names = ", ".join(d.replace("_", " ") for d in part.drivers)
    times = ", ".join(f"{t:.2f} s at {hz:g} Hz" for hz, t in zip(found.hz, mean, strict=True) if np.isfinite(t))
    return [
        picture(
            "reverberation",
            "Reverberation in octaves",
            f"EDT, T20, T30, C50 and C80 over octaves; T20 {times}.",
            f"T20: {times}. Mean and standard deviation over ears and scoring positions of {names}; a band is left out "
            "where the decay range or the bandwidth is too small (ISO 3382). More: measure show --only reverberation.",
            draw,
            size=(5.9, 5.4),
        )
    ]


def reach(level: Float, least: float) -> tuple[float, float]:
    """Ends of an axis in whole steps of 5 dB that shows at least ``least`` dB beneath the highest level, at most 50."""
    high = 5.0 * float(np.ceil((level.max() + 1.0) / 5.0))
    low = 5.0 * float(np.floor((level.min() - 1.0) / 5.0))
    return max(min(low, high - least), high - 50.0), high


def tens(level: Float) -> tuple[float, float]:
    """Ends of a scale in whole steps of 10 dB that holds every level."""
    return float(np.floor(level.min() / 10.0) * 10.0), float(np.ceil(level.max() / 10.0) * 10.0)


def by_name(names: tuple[str, ...], level: Float) -> dict[str, list[float]]:
    """Curves of drivers ``(driver, frequency)`` as values under the pointer."""
    return {n: level[i].round(1).tolist() for i, n in enumerate(names)}


def traced(t: Float, x: Float, names: tuple[str, ...]) -> Callable[[Figure], None]:
    """Draws impulse responses ``(driver, tap)``."""
    return lambda figure: measured.traces(figure.subplots(), t, x, names)
