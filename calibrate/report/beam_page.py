"""Report page of a run calibrated from a polar set only: beam, polar cuts, directivity and filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sweetspot.calibrate.plant import CONTRAST_BAND, BeamFit, gate, metrics
from sweetspot.calibrate.report import device_pictures, evidence, standing, templates
from sweetspot.calibrate.report.evidence import FINE, Rejected
from sweetspot.calibrate.report.pictures import Picture, picture, save, styled
from sweetspot.measure.folder import session_file
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.session import Session
from sweetspot.measure.share import plots as measured
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means
from sweetspot.processor import store
from sweetspot.rigs.layout import nearest
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import alone, file_sha256
from sweetspot.rigs.storage import write as write_file
from sweetspot.rigs.units import P_REF, Complex, Float, power_db

NAME = "report.html"
BEAM_STEPS = 6
"""Progress steps of :func:`write_beam`: reading, four groups of pictures, the page."""


@dataclass(frozen=True, slots=True, eq=False)
class BeamEvidence:
    """Data of a run without ears for its report.

    Parameters
    ----------
    rig, polar
        The rig as it was measured, and the responses around the device.
    direct
        Their gated spectra ``(direction, driver, frequency)``, Pa/FS.
    session
        Root attributes of ``session.h5``.
    has_ears
        Whether ears were measured since.
    rejected
        Captures that were repeated or excluded.
    hashes
        SHA-256 by file name.
    design_text
        The design file; empty when the defaults were used.
    """

    beam: BeamFit
    rig: Description
    polar: ImpulseResponse
    direct: Complex
    session: dict[str, Any]
    has_ears: bool
    rejected: tuple[Rejected, ...]
    hashes: dict[str, str]
    design_text: str


def write_beam(
    run: Path, beam: BeamFit, *, step: Callable[[str], None] = lambda note: None, pictures: Path | None = None
) -> Path:
    """Build ``report.html`` of a run that has a polar set alone.

    Parameters
    ----------
    step
        Called after each of :data:`BEAM_STEPS`, with its name.
    pictures
        Folder for the page's pictures as PNG files of their own; ``None`` for none.

    Raises
    ------
    BadInput
        The session is missing, or the page cannot be written.
    """
    e = _gathered(run, beam)
    step("measurements and filters")
    groups: dict[str, Callable[[BeamEvidence], list[Picture]]] = {
        "beam": _beam,
        "directivity": lambda e: [_directivity(e), _on_axis(e)],
        "filters": lambda e: device_pictures.filter_pictures(e.beam.filters),
        "layout": _layout,
    }
    drawn = {}
    for name, make in groups.items():
        with styled():
            drawn[name] = make(e)
        step(f"pictures: {name}")
    with alone(run):
        write_file(run / NAME, _text(e, run.name, drawn))
    if pictures is not None:
        save(drawn, pictures)
    step(NAME)
    return run / NAME


def _gathered(run: Path, beam: BeamFit) -> BeamEvidence:
    with Session.read(session_file(run)) as session:
        polar = session.responses("polar")
        return BeamEvidence(
            beam,
            session.rig(),
            polar,
            gate.spectra(polar, beam.gate)[:, 0],
            session.attributes,
            has_ears="ears" in session.sets,
            rejected=tuple(("polar", key, reason) for key, reason in session.rejected("polar")),
            hashes={n: file_sha256(run / n) for n in ("rig.toml", "session.h5", store.NAME) if (run / n).is_file()},
            design_text=store.read_design(run),
        )


def _text(e: BeamEvidence, run: str, pictures: dict[str, list[Picture]]) -> str:
    degrees = np.sort(e.polar.positions["azimuth_deg"])
    values = {
        "e": e,
        "run": run,
        "pictures": pictures,
        "tiles": _tiles(e.beam),
        "lines": e.beam.text.split("\n"),
        "bands": _bands(e.beam),
        "directions": f"{len(degrees)} directions, {degrees[0]:g} to {degrees[-1]:g}°",
        "versions": {n: standing.version(n) for n in ("sweetspot", "numpy", "scipy", "matplotlib")},
    }
    return templates.rendered("beam_page.html.j2", values)


def _bands(beam: BeamFit) -> list[tuple[str, str, str]]:
    """A row a third octave: frequency, contrast, directivity index."""
    f, contrast = beam.contrast_db()
    levels = [f"{v:.1f}" for v in contrast] if len(contrast) else ["\N{EN DASH}"] * len(f)
    return [(f"{a:.0f} Hz", b, f"{c:.1f}") for a, b, c in zip(f, levels, beam.directivity_db(), strict=True)]


def _tiles(beam: BeamFit) -> list[dict[str, str]]:
    """The key figures of the head of the page."""
    f, contrast = beam.contrast_db()
    low, high = (f[0], f[-1]) if len(f) else CONTRAST_BAND
    over = f"{low:.0f} Hz to {high:.0f} Hz"
    tiles = []
    if len(contrast):
        mean = f"mean {contrast.mean():.1f} dB, {over}"
        tiles.append({"name": "Centre over ±90°, least", "value": f"{contrast.min():.1f}", "unit": " dB", "more": mean})
    if len(f):
        index = f"{beam.directivity_db().mean():.1f}"
        tiles.append({"name": "Directivity index", "value": index, "unit": " dB", "more": f"on the ring, {over}"})
    lowest = f"{beam.gate.lowest:.0f}"
    tiles.append(
        {"name": "Valid from", "value": lowest, "unit": " Hz", "more": f"gate {1e3 * beam.gate.seconds:.2f} ms"}
    )
    name, value = beam.filters.insertion
    return [*tiles, {"name": name.capitalize(), "value": f"{value:.1f}", "unit": " dB", "more": "gain staging"}]


def _beam(e: BeamEvidence) -> list[Picture]:
    azimuths, f, first = np.radians(e.polar.positions["azimuth_deg"]), e.beam.f, e.beam.pair[0]
    found = {
        "before": evidence.around(e.direct[:, first], azimuths, f),
        "predicted": evidence.around(e.beam.polar, e.beam.azimuths, f),
    }
    return [*device_pictures.polar_maps(found, e.polar.drivers[first]), *device_pictures.polar_cuts(found)]


def _directivity(e: BeamEvidence) -> Picture:
    inside = (
        (e.beam.gate.lowest <= THIRD_OCTAVES) & (e.polar.band[0] <= THIRD_OCTAVES) & (e.polar.band[1] >= THIRD_OCTAVES)
    )
    f, names = THIRD_OCTAVES[inside], (*e.polar.drivers, "centre_beam")
    radiated = [*np.moveaxis(e.direct, 1, 0), e.beam.polar]
    each = [band_means(metrics.directivity_index_db(x, e.beam.azimuths), e.beam.f)[inside] for x in radiated]

    def draw(figure: Figure) -> None:
        measured.over_frequency(figure.subplots(), f, np.stack(each), names, "directivity index, dB")

    return picture(
        "directivity",
        "Directivity index on the ring",
        "Directivity index over frequency of each driver and of the centre's beam, on the measured ring.",
        "On-axis power over the mean of all measured directions, third octaves above the gate's lower limit.",
        draw,
        values={"x": f.tolist(), "unit": "dB", "series": device_pictures.by_name(names, np.stack(each))},
    )


def _on_axis(e: BeamEvidence) -> Picture:
    row = nearest(e.beam.azimuths)
    absolute = e.polar.unit == "Pa/FS"
    power: Float = np.abs(e.direct[row]) ** 2 / (P_REF**2 if absolute else 1.0)
    level = power_db(evidence.on_fine_grid(power, e.beam.f, 1.0 / 24.0))
    low, high = device_pictures.reach(level[:, max(100.0, e.beam.gate.lowest) <= FINE], 30.0)

    def draw(figure: Figure) -> None:
        ax = figure.subplots()
        measured.levels(ax, FINE, level, e.polar.drivers, low, high)
        ax.set_ylabel("level, dB re 20 µPa/FS" if absolute else "level, dB re full scale")

    return picture(
        "on-axis",
        "Drivers straight ahead: level",
        f"Level over frequency of {len(level)} drivers straight ahead.",
        f"Each driver alone, gated, 1/24 octave; not resolved below {e.beam.gate.lowest:.0f} Hz.",
        draw,
        values={"x": FINE.round(1).tolist(), "unit": "dB", "series": device_pictures.by_name(e.polar.drivers, level)},
    )


def _layout(e: BeamEvidence) -> list[Picture]:
    away = e.rig.polar.distance_m if e.rig.polar else None
    return [device_pictures.device(e.rig, away), device_pictures.snr_around(e.polar)]
