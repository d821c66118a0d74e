"""Data of one run for its report: read once, and converted to the scales of pictures and tables."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate import run as runs
from sweetspot.calibrate.auditory import Assessment, ZoneMap, matrix_taps
from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.plant import (
    BandLevels,
    Fitted,
    MeasuredSet,
    best_pair,
    corrected,
    expected,
    frequencies,
    metrics,
    one_direction,
    positions,
    spectra,
    uncertainty,
)
from sweetspot.calibrate.plant import gate as gates
from sweetspot.calibrate.run import fitted_of, kept_front, kept_image, measured_sets, verdict_of
from sweetspot.calibrate.run import zone as zone_of
from sweetspot.calibrate.study import FrontPoint
from sweetspot.calibrate.verify import Verification, comparison
from sweetspot.calibrate.verify.diagnose import Cause
from sweetspot.measure.delays import phase_delay_s
from sweetspot.measure.folder import session_file
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.measure.share import circle
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means, smoothed
from sweetspot.processor import store
from sweetspot.rigs.errors import command
from sweetspot.rigs.layout import wrapped
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import as_stored, file_sha256
from sweetspot.rigs.units import P_REF, Complex, Float, power_db

FINE = np.geomspace(60.0, 20000.0, 280)
"""Frequencies at which smoothed curves are drawn, Hz."""

Rejected = tuple[str, str, str]
"""A capture that was not accepted: the set, its key, the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A run, read for its report.

    Parameters
    ----------
    measured
        The set at the ears with its measurement errors.
    verdict
        The verification, or ``None``.
    why_unverified
        Why there is no verdict; empty when there is one.
    session, verification
        Root attributes of ``session.h5`` and ``verify.h5`` (empty when not verified).
    rejected
        Captures that were repeated or excluded.
    design_text
        The design file; empty when the defaults were used.
    image
        What a listener gets, measured if there is a verdict, else predicted; ``None`` where it is unknown.
    zone
        The listening zone that the calibration mapped; ``None`` where it did not.
    front
        Width against depth at several points of ``image.prefer``; empty if the calibration did not compute it.
    """

    fitted: Fitted
    rig: Description
    measured: MeasuredSet
    polar: ImpulseResponse
    verdict: Verification | None
    why_unverified: str
    session: dict[str, Any]
    verification: dict[str, Any]
    rejected: tuple[Rejected, ...]
    design_text: str
    image: Assessment | None = None
    zone: ZoneMap | None = None
    front: tuple[FrontPoint, ...] = ()

    @property
    def ears(self) -> ImpulseResponse:
        """Responses at the ears."""
        return self.measured.ir


@dataclass(frozen=True, slots=True, eq=False)
class CellSpread:
    """A level over frequency with its spread over places: each ``(frequency,)``; Hz and dB.

    ``u`` is the standard uncertainty of the mean, ``None`` where it is not known.
    """

    f: Float
    mean: Float
    low: Float
    high: Float
    u: Float | None = None


def of_session(run: Path) -> Evidence:
    """All of a run but its verification and its image, which take longer: see :func:`with_verdict`.

    Raises
    ------
    BadInput
        The session or the filterset is missing or not whole.
    """
    fitted = fitted_of(run)
    with Session.read(session_file(run)) as session:
        rig, attributes = session.rig(), session.attributes
        measured, polar = measured_sets(session)
        measured = replace(measured, ir=positions.scoring(measured.ir))
        rejected = _rejected(session, "")
    return Evidence(
        fitted,
        rig,
        measured,
        polar.ir,
        verdict=None,
        why_unverified="",
        session=attributes,
        verification={},
        rejected=rejected,
        design_text=store.read_design(run),
        zone=zone_of(run),
        front=tuple(kept_front(run)),
    )


def with_verdict(run: Path, e: Evidence) -> Evidence:
    """The same with the verification, if there is one, and the image that it or the calibration found.

    Raises
    ------
    BadInput
        A file is not whole.
    """
    fitted, verdict, why_unverified, verification, more = _verified(run, e.fitted)
    return replace(
        e,
        fitted=fitted,
        verdict=verdict,
        why_unverified=why_unverified,
        verification=verification,
        rejected=e.rejected + more,
        image=verdict.image if verdict else kept_image(run) or runs.image(run, fitted),
    )


def _rejected(session: Session, which: str) -> tuple[Rejected, ...]:
    return tuple((which + name, key, reason) for name in session.sets for key, reason in session.rejected(name))


def _verified(
    run: Path, fitted: Fitted
) -> tuple[Fitted, Verification | None, str, dict[str, Any], tuple[Rejected, ...]]:
    """The verdict on ``verify.h5``, if it is complete and belongs to these filters.

    Filters and prediction are those of the verified form.
    """
    path = run / "verify.h5"
    if not path.is_file():
        return fitted, None, "Nothing was measured through these filters yet.", {}, ()
    with Session.read(path, VERIFICATION) as session:
        attributes, rejected = session.attributes, _rejected(session, "verify ")
        if attributes["filterset_sha256"] != file_sha256(run / store.NAME):
            return fitted, None, "verify.h5 was measured through an earlier filter set than the deployed one.", {}, ()
        with as_stored(f"{path}: /limits and /verdict", f"Verify again: {command('verify', run)}"):
            limits = Limits.of_dict(json.loads(session.annotation("limits") or "{}"))
            summary = json.loads(session.annotation("verdict") or "{}")
            causes = tuple(Cause(**c) for c in summary.get("causes", []))
    found, verdict, *_ = verdict_of(run, fitted, limits, kept=summary)
    verdict = replace(verdict, causes=causes, ruled_out=tuple(summary.get("ruled_out", [])))
    return replace(fitted, prediction=found.prediction, filters=found.filters), verdict, "", attributes, rejected


def programs(e: Evidence) -> Complex:
    """Expected responses to the stimuli at the scoring positions, ``(position, ear, stimulus, frequency)``, Pa."""
    return expected(e.fitted.prediction.score, e.fitted.filters)


def spread(levels: Float, u: Float | None = None) -> CellSpread:
    """Mean and 10th to 90th percentile of levels ``(..., third octave)`` over all but the last axis."""
    cells = levels.reshape(-1, levels.shape[-1])
    low, high = np.percentile(cells, (10.0, 90.0), axis=0)
    return CellSpread(THIRD_OCTAVES, cells.mean(axis=0), low, high, u)


def with_uncertainty(cells: BandLevels) -> CellSpread:
    """The same of cells that know their uncertainty; in each band positions and sides err by themselves."""
    each = cells.u.reshape(-1, cells.u.shape[-1])
    return spread(cells.db, np.sqrt(np.sum(each**2, axis=0)) / len(each))


def scored_paths(e: Evidence) -> Complex:
    """Direct sound of the drivers at the scoring positions ``(position, ear, driver, frequency)``, Pa/FS."""
    whole, score = e.fitted.prediction.whole, e.ears.used_for("score")
    return gates.spectra(corrected(score, whole.ear_gains), whole.gate)


def cancellations(e: Evidence) -> dict[str, CellSpread]:
    """Cancellation in third octaves at the scoring positions, dB: one driver alone, predicted, measured."""
    p = e.fitted.prediction
    bare = metrics.cancellation_db(metrics.one_driver(scored_paths(e), e.fitted.reference), p.f)
    found = {"before": spread(bare)}
    if e.verdict is not None and e.verdict.compared is not None:
        cells = e.verdict.compared.cancellation._asdict()
        return found | {name: with_uncertainty(x) for name, x in cells.items()}
    known = uncertainty.bare(comparison.forecast(p, e.fitted.filters, e.measured), p.far_ear)
    return found | {"predicted": with_uncertainty(uncertainty.cancellation(known, p.f, p.whole.gate.seconds))}


def colouration(e: Evidence, ear: int, stimulus: int) -> dict[str, CellSpread]:
    """Third-octave level at an ear over its own mean, dB, at the scoring positions: predicted and measured."""
    found = {"predicted": programs(e)[:, ear, stimulus]}
    if e.verdict is not None:
        found["heard"] = e.verdict.heard[:, ear, stimulus]
    f, flat = e.fitted.prediction.f, np.ones(1, dtype=np.complex128)
    return {name: spread(metrics.colouration_db(x, flat, f)) for name, x in found.items()}


def nominal(ir: ImpulseResponse) -> int:
    """The position nearest to the median place and turned least."""
    p = ir.positions
    off = np.hypot(p["x"] - np.median(p["x"]), p["y"] - np.median(p["y"]))
    return int(np.argmin(off + 0.01 * np.abs(p["yaw_deg"])))


def on_fine_grid(power: Float, f: Float, octaves: float) -> Float:
    """Power ``(..., frequency)`` smoothed and read off at :data:`FINE`."""
    at = np.clip(np.searchsorted(f, FINE), 1, len(f) - 1)
    share = (FINE - f[at - 1]) / (f[at] - f[at - 1])
    ends = smoothed(power, f, octaves, np.stack([at - 1, at]))
    return np.asarray(ends[..., 0, :] * (1.0 - share) + ends[..., 1, :] * share)


def ear_levels(e: Evidence) -> Float:
    """Level ``(ear, driver, FINE)`` at the nominal design position, dB re 20 uPa for full scale, 1/24 octave."""
    design = e.ears.used_for("design")
    h, f = spectra(design.at(np.array([nominal(design)])))
    return power_db(on_fine_grid(np.abs(h[0]) ** 2, f, 1.0 / 24.0) / P_REF**2)


def ear_responses(e: Evidence) -> tuple[Float, Float]:
    """The first 4 ms of the nominal design position's responses: time (s), ``(ear, driver, tap)`` in Pa/FS."""
    design = e.ears.used_for("design")
    h = design.h[nominal(design)]
    first = int(np.argmax(np.abs(h).max(axis=(0, 1)) > 0.05 * np.abs(h).max()))
    start = max(first - round(0.0005 * e.ears.fs), 0)
    taps = slice(start, start + round(0.004 * e.ears.fs))
    kept = h[..., taps]
    return (start - e.ears.zero + np.arange(kept.shape[-1])) / e.ears.fs, kept


def around(radiated: Complex, azimuths: Float, f: Float) -> tuple[Float, Float]:
    """Azimuth (deg; a circle is closed) and level over on-axis ``(direction, FINE)`` of ``(direction, frequency)``."""
    order = np.argsort(wrapped(azimuths - 1e-9))
    power = on_fine_grid(np.abs(radiated[order]) ** 2, f, 1.0 / 12.0)
    degrees = np.degrees(wrapped(azimuths[order] - 1e-9)) + np.degrees(1e-9)
    ahead = power[int(np.argmin(np.abs(degrees)))]
    return circle(degrees, power_db(power / np.maximum(ahead, 1e-30)))


def beams(e: Evidence) -> dict[str, tuple[Float, Float]]:
    """Polar levels of one reference driver, and of the centre, predicted and measured; see :func:`around`."""
    p = e.fitted.prediction
    if not one_direction.has_directions(e.polar):
        return {}
    f, azimuths = frequencies(e.polar.fs), np.radians(e.polar.positions["azimuth_deg"])
    gains, before = _mid(e), e.fitted.reference[0]
    used = tuple(d for d, gain in enumerate(gains) if gain or d == before)
    h = gates.spectra(e.polar, p.whole.polar_gate, used)
    found = {
        "before": around(h[:, 0, used.index(before)], azimuths, f),
        "matrix": around(np.einsum("pdf,d->pf", h[:, 0], gains[list(used)]), azimuths, f),
        "predicted": around(p.polar, p.azimuths, p.f),
    }
    if e.verdict is not None:
        found["heard"] = around(e.verdict.heard_polar, e.verdict.azimuths, e.verdict.f)
    return found


def _mid(e: Evidence) -> Float:
    """Gains ``(driver,)`` of matrix mixing for a centred source."""
    at = np.array([d.at for d in e.rig.driver])
    taps = matrix_taps(at, best_pair(e.ears, at), 1.0, 0)
    return np.asarray(taps[0, :, 0] + taps[1, :, 0])


def deciding(e: Evidence) -> tuple[Float, list[list[str]]]:
    """Edges of sixth octaves from 100 Hz to 20 kHz, Hz, and the active limit of most bins of each, for left and
    right."""
    edges = 1000.0 * 2.0 ** (np.arange(-20, 27) / 6.0)
    f = e.fitted.prediction.f
    rows = []
    for side in e.fitted.limits:
        parts = [side[(f >= a) & (f < b)] for a, b in pairwise(edges)]
        rows.append([_commonest(part) for part in parts])
    return edges, rows


def _commonest(names: NDArray[np.str_]) -> str:
    kinds, counts = np.unique(names, return_counts=True)
    return str(kinds[int(np.argmax(counts))]) if len(kinds) else ""


def interaural(e: Evidence) -> list[dict[str, Any]]:
    """Delay (us) and level difference (dB) of the two virtual loudspeakers: target, predicted, measured."""
    p = e.fitted.prediction
    wanted_us = 1e6 * float(phase_delay_s(np.ones_like(p.far_ear), p.far_ear, p.f))
    wanted_db = float(np.mean(-power_db(band_means(np.abs(p.far_ear) ** 2, p.f))))
    found = {"predicted": programs(e)} | ({"heard": e.verdict.heard} if e.verdict else {})
    rows = []
    for side, name in enumerate(("left", "right")):
        row: dict[str, Any] = {"side": name, "wanted_us": wanted_us, "wanted_db": wanted_db}
        for kind, x in found.items():
            near, far = (part[:, side] for part in metrics.near_and_far(x[:, :, :2]))
            delay = 1e6 * phase_delay_s(near, far, p.f)
            level = metrics.cancellation_db(x[:, :, :2], p.f)[:, side]
            row[kind] = {"us": delay.mean(), "low": delay.min(), "high": delay.max(), "db": level.mean()}
        rows.append(row)
    return rows
