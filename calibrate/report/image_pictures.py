"""Pictures and table of the listener's metrics, for the unit, plain stereo, matrix mixing and a reference pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sweetspot.calibrate.auditory import Assessment, ZoneMap
from sweetspot.calibrate.design import parse
from sweetspot.calibrate.plant import gate, metrics, spectra
from sweetspot.calibrate.report import evidence, image_plots
from sweetspot.calibrate.report.evidence import Evidence
from sweetspot.calibrate.report.pictures import Picture, beside, picture
from sweetspot.calibrate.study import FrontPoint, pareto
from sweetspot.calibrate.verify import figures as judged
from sweetspot.calibrate.verify import whole_response
from sweetspot.measure.smooth import THIRD_OCTAVES, third_octaves
from sweetspot.rigs.units import Float, hertz

NONE = "\N{EN DASH}"
"""Where there is no value."""

UNKNOWN = "unknown"
"""Text for a map that is grey everywhere."""

SIDES_DEG, CENTRE_DEG = 7.0, 5.0
"""Azimuth errors that are not noticed, of the sides and of the centre."""


def zones(e: Evidence) -> list[Picture]:
    """The map of the listening zone for sides and centre, if the run has one."""
    return [_zone(e, e.zone, what) for what in ("sides", "centre")] if e.zone else []


def pictures(e: Evidence) -> list[Picture]:
    """Pan curve, direct and whole cancellation, loudness, depth or its trade-off, if the run has an image."""
    if e.image is None:
        return []
    last = _front(e.front, parse(e.design_text, "design").image.share) if e.front else _depth(e.image)
    return [_pan_curve(e.image), _direct_and_room(e), _levels(e.image), last]


def _front(points: Sequence[FrontPoint], share: float) -> Picture:
    """Width against depth of the unit in its room, with the design's own point."""
    own = pareto.nearest(points, share)
    each = "; ".join(f"prefer {p.prefer:g}: {p.width_deg:.0f} degrees at {p.drr_re_plain_db:+.1f} dB" for p in points)
    return picture(
        "front",
        "Width against depth",
        f"Width of the image over the direct-to-reverberant ratio of the sides re plain stereo. {each}. This design: "
        f"{own.width_deg:.0f} degrees.",
        "The unit designed at five points of image.prefer, from depth (0) to width (1); width costs reverberant sound "
        "of the sides. Filled: this design.",
        lambda figure: image_plots.front(figure.subplots(), points, own),
        values={
            "x": [round(p.drr_re_plain_db, 2) for p in points],
            "unit": "degrees",
            "series": {"width": [round(p.width_deg, 2) for p in points]},
        },
    )


def _zone(e: Evidence, zone: ZoneMap, what: str) -> Picture:
    """Azimuth error of ``what``, ``sides`` or ``centre``, of every arm."""
    away = e.rig.listening_m
    arms = [a for a in image_plots.NAMES if a in zone.azimuth_deg]
    sides = what == "sides"
    trusted, limit = (zone.trusted, SIDES_DEG) if sides else (zone.trusted_centre, CENTRE_DEG)

    def draw(figure: Figure) -> None:
        figure.subplots_adjust(left=0.11, right=0.97, bottom=0.08, top=0.93, wspace=0.06, hspace=0.24)
        axes = figure.subplots(-(-len(arms) // 2), 2, sharex=True, sharey=True, squeeze=False)
        for ax in axes.ravel()[len(arms) :]:
            ax.set_axis_off()
        for ax, arm in zip(axes.ravel(), arms, strict=False):
            error = np.abs(zone.error_deg(arm))
            image_plots.zone(
                ax,
                zone.x,
                zone.y,
                error_deg=error[..., :2].max(axis=-1) if sides else error[..., 2],
                trusted=trusted,
                within_deg=limit,
                listener_m=away,
            )
            ax.set_title(f"{image_plots.NAMES[arm]}\n{area(zone, arm, what, ' m²')}", fontsize=10)
        for row in axes:
            row[0].set_ylabel("ahead of the device, m")
        for ax in axes[-1]:
            ax.set_xlabel("to its left, m")
        beside(figure, "azimuth error, degrees", image_plots.COLOURS, (0.0, image_plots.LARGEST_DEG))

    text = "; ".join(f"{image_plots.NAMES[arm]} {area(zone, arm, what, ' m²')}" for arm in arms)
    worst = "The worse one of hard left and hard right" if sides else "The phantom centre"
    known = 100.0 * zone.area_m2(trusted) / zone.area_m2(np.ones_like(trusted))
    return picture(
        f"zone-{what}",
        f"Listening zone of the {what}: azimuth error",
        f"Maps of azimuth error of the {what} over listener places, area within {limit:g} degrees: {text}.",
        f"From above, the device at the bottom, the cross at the measured head. {worst}; the line encloses errors of "
        f"at most {limit:g}°. Grey: not trusted and not counted; the map is valid for {known:.0f} % of its "
        f"places. Extrapolated from the measured positions by the polar set and the head; its error at left-out "
        f"positions is {zone.own.left_out_deg:.1f}°." + (f" Not trusted: {zone.doubt}." if zone.doubt else ""),
        draw,
        size=(5.9, 6.9),
    )


def area(zone: ZoneMap, arm: str, what: str, unit: str = "") -> str:
    """The good area of ``sides`` or ``centre`` as text: at least that if part of the map is grey, unknown if all is."""
    trusted = zone.trusted if what == "sides" else zone.trusted_centre
    bound = "" if trusted.all() else "≥ "
    return f"{bound}{zone.areas[arm][what]:.1f}{unit}" if trusted.any() else UNKNOWN


def _pan_curve(image: Assessment) -> Picture:
    each = {name: a.azimuth_deg for name, a in image.arms.items()}
    width = "; ".join(f"{image_plots.NAMES[n]} {a.width_deg:.0f}°" for n, a in image.arms.items())
    pair = "measured on the rig" if image.reference_from == "rig" else f"computed from the same head ({image.head})"
    return picture(
        "pan",
        "Width and pan curve",
        f"Azimuth of five pans. Width from hard left to hard right: {width}.",
        "Perceived azimuth of a source with constant-power panning, mean over head positions, by an ear model with "
        f"templates of the dummy head. The pair was {pair}.",
        lambda figure: image_plots.pan_curve(figure.subplots(), each),
    )


def _direct_and_room(e: Evidence) -> Picture:
    direct, room, plain = _cancellations(e)
    p = e.fitted.prediction
    resolved = gate.resolved(p.lowest)
    in_room = float(room[third_octaves(*whole_response.WIDE)].mean())
    return picture(
        "room",
        "Cancellation: direct sound and whole response",
        f"Cancellation in third octaves of the direct sound and of the whole response; mean of the latter "
        f"{in_room:.1f} dB from 300 Hz to 6.3 kHz.",
        "The direct sound determines localisation (precedence); the whole response includes the room. Means over "
        "scoring positions and sides.",
        lambda figure: image_plots.direct_and_room(figure.subplots(), direct, room, plain, resolved),
        values={
            "x": THIRD_OCTAVES.tolist(),
            "unit": "dB",
            "series": {"direct": direct.round(2).tolist(), "room": room.round(2).tolist()},
        },
    )


def _cancellations(e: Evidence) -> tuple[Float, Float, Float]:
    """Direct sound and whole response of the unit, whole response of plain stereo ``(third octave,)``, dB."""
    p = e.fitted.prediction
    direct = evidence.cancellations(e)
    mine = direct.get("heard", direct["predicted"]).mean
    c = e.verdict.compared if e.verdict else None
    whole = p.whole.score if c is None else c.heard_whole
    room = whole_response.energy_cells(metrics.unvirtualized(whole, p.far_ear), p.f)
    alone = metrics.one_driver(spectra(e.ears.used_for("score"))[0], e.fitted.reference)
    plain = whole_response.energy_cells(alone, p.f)
    return mine, room.mean(axis=(0, 1)), plain.mean(axis=(0, 1))


def _levels(image: Assessment) -> Picture:
    own = image.loudness.re_plain_db["calibrated"]
    text = ", ".join(f"{k} {v:+.1f} dB" for k, v in own.items())
    return picture(
        "loudness",
        "Level: loudness at the same driver ceiling",
        f"Loudness of the arms over plain stereo; calibrated: {text}.",
        "BS.1770 loudness at the ears, all arms at the same ceiling of the drivers: plain stereo peaks there, the "
        f"guard holds the calibrated unit; {image.loudness.largest}; "
        f"headroom of music {image.loudness.headroom_db:.1f} dB.",
        lambda figure: image_plots.bars(figure.subplots(), image.loudness.re_plain_db, "loudness re plain stereo, dB"),
    )


def _depth(image: Assessment) -> Picture:
    """Direct-to-reverberant ratio of the arms."""
    each = {
        name: dict(zip(("left", "right", "centre"), map(float, arm.drr_db.mean(axis=0)), strict=True))
        for name, arm in image.arms.items()
    }
    text = "; ".join(
        f"{image_plots.NAMES[arm]} " + ", ".join(f"{k} {v:.1f} dB" for k, v in drr.items()) for arm, drr in each.items()
    )
    return picture(
        "depth",
        "Depth: direct over reverberant sound",
        f"Direct-to-reverberant ratio at the listener: {text}.",
        "A lower ratio makes an image more distant and more reverberant. Hard left, hard right and phantom centre, "
        "mean over head positions.",
        lambda figure: image_plots.bars(figure.subplots(), each, "direct to reverberant, dB"),
    )


def table(e: Evidence) -> list[dict[str, Any]]:
    """One row an arm, as text."""
    if e.image is None:
        return []
    rows = []
    for name, arm in e.image.arms.items():
        drr = arm.drr_db.mean(axis=0)
        music = arm.loudness_db.get("music")
        rows.append(
            {
                "name": image_plots.NAMES[name],
                "width": f"{arm.width_deg:.0f}",
                "focus": f"{arm.focus_deg:.0f}",
                "sides": f"{min(drr[0], drr[1]):.1f}",
                "centre": f"{drr[2]:.1f}",
                "tone": f"{arm.tone_rms_db:.1f}",
                "loudness": NONE if music is None else f"{music:+.1f}",
                **{
                    f"zone_{what}": area(e.zone, name, what) if e.zone and name in e.zone.azimuth_deg else NONE
                    for what in ("sides", "centre")
                },
            }
        )
    return rows


def header(e: Evidence) -> list[dict[str, str]]:
    """Key figures: width, direct and whole cancellation, depth, loudness; with their ranges."""
    found = []
    if e.image:
        own, plain, pair = (e.image.arms[n] for n in ("calibrated", "plain", "reference"))
        drr, before = own.drr_db.mean(axis=0), plain.drr_db.mean(axis=0)
        found.append(_tile("Width", f"{own.width_deg:.0f}", "°", f"pair {pair.width_deg:.0f}°, plain "
                           f"{plain.width_deg:.0f}°"))  # fmt: skip
    if e.verdict and e.verdict.cancellation:
        wide, _ = e.verdict.cancellation
        for name, level in (("direct sound", wide.direct), ("in the room", wide.room)):
            value, more = NONE, ""
            if level is not None:
                value = f"{level.mean:.1f}"
                ends = " to ".join(map(hertz, wide.ends_of(level)))
                more = f"{ends}, ±\N{NO-BREAK SPACE}{level.spread:.1f} over {level.heads} head positions"
            found.append(_tile(f"Cancellation, {name}", value, " dB", more))
    else:
        inside, over = judged.band(whole_response.WIDE, e.fitted.prediction.lowest)
        direct_db = evidence.cancellations(e)["predicted"].mean[inside].mean()
        found.append(_tile("Cancellation, direct sound", f"{direct_db:.1f}", " dB", f"predicted, {over}"))
    if e.image:
        found.append(_tile("Direct to reverberant, sides", f"{min(drr[0], drr[1]):.1f}", " dB",
                           f"plain stereo {min(before[0], before[1]):.1f}"))  # fmt: skip
        found.append(_tile("Direct to reverberant, centre", f"{drr[2]:.1f}", " dB", f"plain stereo {before[2]:.1f}"))
        music = e.image.loudness.re_plain_db["calibrated"]["music"]
        found.append(_tile("Loudness of music", f"{music:+.1f}", " dB", "re plain stereo, same driver ceiling"))
    return found


def _tile(name: str, value: str, unit: str, more: str) -> dict[str, str]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "more": more.replace(" -", " \N{MINUS SIGN}"),
    }
