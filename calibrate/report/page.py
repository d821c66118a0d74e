"""Parts of a run's page: the verdict first, then the pictures, then how to reproduce it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sweetspot.calibrate.plant import errors, metrics, one_direction
from sweetspot.calibrate.report import device_pictures, evidence, image_pictures, image_plots, plots, tables
from sweetspot.calibrate.report.device_pictures import by_name, reach, tens, traced
from sweetspot.calibrate.report.evidence import FINE, CellSpread, Evidence
from sweetspot.calibrate.report.pictures import Picture, picture
from sweetspot.calibrate.verify import figures as judged
from sweetspot.measure.share import A_LINE, every, inches
from sweetspot.measure.share import plots as measured
from sweetspot.measure.smooth import THIRD_OCTAVES
from sweetspot.rigs import plots as style
from sweetspot.rigs.names import many
from sweetspot.rigs.parallel import forked
from sweetspot.rigs.storage import replacing
from sweetspot.rigs.units import Float

if TYPE_CHECKING:
    from sweetspot.calibrate.study import DesignRow

SIDES = (("Left program at the left ear", 0, 0), ("Right program at the right ear", 1, 1),
         ("Phantom centre at the left ear", 0, 2), ("Phantom centre at the right ear", 1, 2))  # fmt: skip


def comparison(rows: tuple[DesignRow, ...], path: Path) -> Path:
    """Draw designs beside one another into a PNG file.

    Raises
    ------
    BadInput
        The file cannot be written.
    """
    with matplotlib.rc_context(measured.STYLE):
        figure = Figure(figsize=(9.5, 6.0), layout="constrained", facecolor=style.PAPER)
        FigureCanvasAgg(figure)
        above, beneath = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
        plots.designs(above, rows)
        plots.efforts(beneath, rows)
        with replacing(path) as part:
            figure.savefig(part, format="png", dpi=110, metadata={"Software": None})
    return path


def begin(e: Evidence, *, with_figures: bool) -> forked.Begun[list[Picture]]:
    """Draw :data:`EARLY` on another core; with their figures, which only files need, later in this process."""
    return forked.begun([partial(_drawn, e, name, with_figures) for name in EARLY], here=with_figures)


def draw(e: Evidence, begun: forked.Begun[list[Picture]], *, with_figures: bool) -> dict[str, list[Picture]]:
    """Draw the other parts of the page on all cores, or in this process, and add those begun."""
    names = [name for name in PARTS if name not in EARLY]
    work = [partial(_drawn, e, name, with_figures) for name in names]
    found = [piece() for piece in work] if with_figures else forked.shared(work)
    return dict(zip((*names, *EARLY), (*found, *begun()), strict=True))


def _drawn(e: Evidence, name: str, with_figures: bool) -> list[Picture]:
    with matplotlib.rc_context(measured.STYLE):
        return [p if with_figures else replace(p, figure=None) for p in PARTS[name](e)]


def values(e: Evidence, name: str) -> dict[str, Any]:
    """What the page's template shows besides pictures, sounds and the hashes of files; ``name`` is the run folder's."""
    return {
        "e": e,
        "run": name,
        "groups": tables.groups(e),
        "total": len(tables.rows(e)),
        "within": sum(m.verdict == "pass" for m in e.verdict.metrics) if e.verdict else 0,
        "tiles": image_pictures.header(e),
        "arms": image_pictures.table(e),
        "virtual": evidence.interaural(e),
        "versions": tables.versions(e),
        "counted": _counted(e),
        "verdict": None if e.verdict is None else e.verdict.verdict,
        "conditions": tables.conditions(e),
        "field": tables.field_rows(e),
        "octaves": [f"{a:g} to {b:g} Hz" for a, b in metrics.OCTAVES],
        "loading": e.fitted.loading,
        "level": errors.level,
        "margin": lambda value: f"{value:+.1f}",
    }


def _counted(e: Evidence) -> str:
    """Places and drivers that were measured; a run without a polar set has none around the device."""
    around = len(e.polar.positions) if one_direction.has_directions(e.polar) else 0
    each = ((len(e.ears.positions), "head position"), (around, "direction"), (len(e.ears.drivers), "driver"))
    return ", ".join(many(n, what) for n, what in each if n)


def grouped(drawn: dict[str, list[Picture]]) -> dict[str, list[Picture]]:
    """Pictures by their place in the page."""
    return {group: [one for part in parts for one in drawn[part]] for group, parts in GROUPS.items()}


def _hover(found: dict[str, CellSpread], target: tuple[Float, Float] | None = None) -> dict[str, Any]:
    series = {name: [round(float(v), 2) for v in s.mean] for name, s in found.items()}
    if target is not None:
        series["target"] = [round(float(v), 2) for v in np.interp(THIRD_OCTAVES, *target)]
    return {"x": THIRD_OCTAVES.tolist(), "unit": "dB", "series": series}


def _cancellation(e: Evidence) -> Picture:
    found, p = evidence.cancellations(e), e.fitted.prediction
    edges, rows = evidence.deciding(e)
    before = " for left, ".join(e.ears.drivers[i].replace("_", " ") for i in e.fitted.reference) + " for right"

    def draw(figure: Figure) -> None:
        rows_of = [10, 1] if "heard" not in found else [10, 2.4, 1]
        main, *more, strip = figure.subplots(
            len(rows_of), 1, sharex=True, height_ratios=rows_of, gridspec_kw={"hspace": 0.12}
        )
        plots.cancellation(main, found, p.f, p.target_db, p.lowest)
        for ax in (main, *more):
            ax.set_xlabel("")
            ax.tick_params(axis="x", length=0)
        if more:
            image_plots.differences(more[0], found["heard"].mean, found["predicted"].mean)
        plots.decided(strip, edges, rows)
        strip.set_xlabel("frequency, Hz")

    inside, over = judged.band(metrics.SCORED, p.lowest)
    text = ", ".join(f"{n} {float(np.mean(s.mean[inside])):.1f} dB" for n, s in found.items())
    return picture(
        "cancellation",
        "Cancellation over frequency, before and after",
        f"Cancellation of the direct sound in third octaves at the scoring positions; mean over {over}: {text}.",
        "Near-ear over far-ear level of the crosstalk cancellation alone: higher is better. What the virtual "
        "loudspeakers play to the far ear on purpose is taken out; a program as it plays has the ratio of such a "
        "loudspeaker. Lines are means over scoring positions and both sides, shading is the 10th to the 90th "
        "percentile, and bars are 90 % confidence intervals of each mean (measurement noise only). Below, if measured: "
        "measured minus predicted on its own scale. The strips show the active limit of each band: grey, the head's "
        "shadow is enough; green, the target was reached; orange hatched, the effort limit; purple dotted, no weights "
        "do better at all positions. "
        f"Before: {before} alone.",
        draw,
        size=(9.4, 4.9),
        wide=True,
        values=_hover(found, (p.f, p.target_db)),
    )


def _ear_levels(e: Evidence) -> list[Picture]:
    level, names = evidence.ear_levels(e), e.ears.drivers
    low, high = reach(level[..., FINE >= 100.0], 30.0)

    def draw(ear: int) -> Callable[[Figure], None]:
        def drawing(figure: Figure) -> None:
            ax = figure.subplots()
            measured.levels(ax, FINE, level[ear], names, low, high)
            ax.set_ylabel("level, dB re 20 µPa/FS" if e.ears.unit == "Pa/FS" else "level, dB, not calibrated")

        return drawing

    return [
        picture(
            f"level{ear}",
            f"Drivers at the {side} ear: level",
            f"Level over frequency of {len(names)} drivers at the {side} ear, nominal position.",
            "Each driver alone at the nominal design position, 1/24 octave.",
            draw(ear),
            values={"x": FINE.round(1).tolist(), "unit": "dB", "series": by_name(names, level[ear])},
        )
        for ear, side in enumerate(("left", "right"))
    ]


def _ear_responses(e: Evidence) -> list[Picture]:
    t, h = evidence.ear_responses(e)
    return [
        picture(
            f"impulse{ear}",
            f"Drivers at the {side} ear: impulse responses",
            f"First {1000 * (t[-1] - t[0]):.1f} ms of the responses at the {side} ear, one trace per driver.",
            "Traces share one scale; time zero is when the sound leaves the interface.",
            traced(t, h[ear], e.ears.drivers),
            size=(5.9, 3.3),
        )
        for ear, side in enumerate(("left", "right"))
    ]


def _colours(e: Evidence) -> list[Picture]:
    pictures = []
    for number, (title, ear, stimulus) in enumerate(SIDES):
        found = evidence.colouration(e, ear, stimulus)

        def draw(figure: Figure, found: dict[str, CellSpread] = found) -> None:
            both = "heard" in found
            ax, *more = figure.subplots(
                1 + both,
                1,
                sharex=True,
                height_ratios=[3.4, 1][: 1 + both],
                gridspec_kw={"hspace": 0.14},
                squeeze=False,
            )[:, 0]
            plots.spreads(ax, found)
            if more:
                image_plots.differences(more[0], found["heard"].mean, found["predicted"].mean)
            style.frequencies(more[-1] if more else ax, 180.0, 9000.0)
            ax.set_ylim(-18.0, 18.0)
            ax.set_ylabel("level over its mean, dB")
            measured.key(ax)

        pictures.append(
            picture(
                f"colour{number}",
                title,
                f"Third-octave level relative to its own mean. {title}, at the scoring positions.",
                "A flat line means no colouration by speaker, head and filters together."
                + (" Below: measured minus predicted." if "heard" in found else ""),
                draw,
                size=(5.9, 3.2),
                values=_hover(found),
            )
        )
    return pictures


def _beams(e: Evidence) -> list[Picture]:
    found = evidence.beams(e)
    maps = device_pictures.polar_maps(found, e.ears.drivers[e.fitted.reference[0]])
    return [*maps, *device_pictures.polar_cuts(found)]


def _plans(e: Evidence) -> list[Picture]:
    return [device_pictures.device(e.rig, e.rig.ears.distance_m if e.rig.ears else None), _heads(e)]


def _heads(e: Evidence) -> Picture:
    return picture(
        "heads",
        "Head positions",
        "Plan view of the head's positions; design positions are filled circles, scoring positions hollow squares.",
        "Filters were fitted at the filled circles and judged at the squares; the line shows the direction of the "
        "nose.",
        lambda figure: plots.heads(figure.subplots(), e.ears),
        size=(5.2, 4.6),
    )


def _noise(e: Evidence) -> list[Picture]:
    n = len(e.ears.drivers)

    def ears(figure: Figure) -> None:
        ax = figure.subplots()
        snr = e.ears.snr_db.reshape(len(e.ears.positions), -1)
        paths = [f"{m[4:5].upper()} {d + 1}" for m in e.ears.mics for d in range(n)]
        plots.snr_map(ax, snr, paths, tens(snr), numbered=True)
        rows = range(0, len(snr), every(len(snr), inches(ax)[1], A_LINE))
        ax.set_yticks([i + 0.5 for i in rows], [str(i + 1) for i in rows])
        ax.set_xlabel("ear and driver")
        ax.set_ylabel("head position")

    names = ", ".join(f"{i + 1} {d.replace('_', ' ')}" for i, d in enumerate(e.ears.drivers))
    low = e.ears.snr_db.min()
    found = [
        picture(
            "snr-ears",
            "SNR at the ears, dB",
            f"Table of SNR at every head position; minimum {low:.0f} dB.",
            f"One row per head position, one cell per path; brighter is better. L, R: the ear. Drivers: {names}.",
            ears,
            size=(5.6, 5.4),
        ),
    ]
    return [*found, device_pictures.snr_around(e.polar)] if one_direction.has_directions(e.polar) else found


PARTS: dict[str, Callable[[Evidence], list[Picture]]] = {
    "beams": _beams,
    "filters": lambda e: device_pictures.filter_pictures(e.fitted.filters),
    "cancellation": lambda e: [_cancellation(e)],
    "image": image_pictures.pictures,
    "colour": _colours,
    "levels": _ear_levels,
    "zones": image_pictures.zones,
    "noise": _noise,
    "responses": _ear_responses,
    "plans": _plans,
    "reverberation": lambda e: device_pictures.reverberation_times(e.ears, e.rig, e.fitted.reference),
}
"""Parts of the page, each drawn from the run's evidence; long ones first."""

EARLY = ("zones", "noise", "levels", "plans", "responses", "reverberation")
"""Parts that need nothing of the verification: they are drawn while it is read."""

GROUPS = {
    "image": ("zones", "image"),
    "cancellation": ("cancellation",),
    "ears": ("levels", "responses"),
    "beam": ("beams",),
    "colour": ("colour",),
    "filters": ("filters",),
    "layout": ("plans", "noise", "reverberation"),
}
"""Parts of each group of pictures in the page."""
