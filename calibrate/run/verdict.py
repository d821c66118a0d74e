"""Verdict on a measured verification, the causes of a failure, and all of it as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.auditory import Assessment
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.design import Design, Limits, level_at, parse, towards_width
from sweetspot.calibrate.plant import Fitted, MeasuredSet, share_of
from sweetspot.calibrate.plant.places import Heads
from sweetspot.calibrate.run.kept import MEASURED, VERIFIED, zone
from sweetspot.calibrate.run.listening import ListenerAhead
from sweetspot.calibrate.run.sets import measured_sets, scoring
from sweetspot.calibrate.verify import (
    OWN,
    Metric,
    ReadVerification,
    Verification,
    chain_figures,
    figures,
    listener_metrics,
    verification,
    whole_response,
)
from sweetspot.calibrate.verify import processor as deployed
from sweetspot.calibrate.verify.diagnose import causes as diagnosis
from sweetspot.calibrate.verify.diagnose import clipping, residual
from sweetspot.measure.ear_matching import driver_faults
from sweetspot.measure.folder import session_file
from sweetspot.measure.session import VERIFICATION, Session, figures_alone
from sweetspot.measure.smooth import THIRD_OCTAVES
from sweetspot.processor import store
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput, command
from sweetspot.rigs.parallel import forked
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import alone, as_stored, file_sha256, keep_aside, move
from sweetspot.rigs.units import Complex, Float, db, from_db

STRAIGHT, ASIDE_DEG = np.zeros(1), 3.0
"""Heads that face the device; largest mean angle from there that is no reason for a lopsided image, degrees."""

OTHERS = 40
"""Number of other runs compared if a unit may have another's filters."""


def judge(run: Path, fitted: Fitted, limits: Limits, listener: ListenerAhead | None = None) -> Verification:
    """The verdict on a new measurement, or else on ``verify.h5``; stored in the file as JSON.

    A new verification takes the place of ``verify.h5`` in one step; the earlier one is kept aside under the time when
    it was written. What a ``listener`` knows of its ears already is not computed again.
    """
    with alone(run):
        fresh = (run / MEASURED).is_file()
        verdict = _judged(run, run / (MEASURED if fresh else VERIFIED), fitted, limits, listener)
        if fresh:
            _replace(run)
    return verdict


def _replace(run: Path) -> None:
    """Put a judged verification in the place of the earlier one, which keeps a name throughout."""
    path = run / VERIFIED
    if path.exists():
        aside = run / f"verify-{datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y%m%dT%H%M%SZ}.h5"
        try:
            figures_alone(path, aside)
        except BadInput:  # cannot be read: kept as it is
            keep_aside(path, aside)
    move(run / MEASURED, path)


def _judged(
    run: Path, path: Path, fitted: Fitted, limits: Limits, listener: ListenerAhead | None = None
) -> Verification:
    found, verdict, measured, rig, used = verdict_of(run, fitted, limits, path, listener=listener)
    if verdict.verdict == "fail":
        facing = Heads.of(measured.ir.used_for("score")).facing
        causes, ruled_out = _why(verdict, facing, found.rub_and_buzz, lambda: _causes(run, found, measured, rig, used))
        verdict = replace(verdict, causes=causes, ruled_out=ruled_out)
    with Session.resume(path, VERIFICATION) as captured:
        captured.annotate("verdict", json.dumps(summary(verdict)))  # indented it takes 60 ms
        captured.annotate("limits", json.dumps(limits.to_dict()))
        if verdict.image:
            captured.annotate("image", verdict.image.kept())
    return verdict


Why = tuple[tuple[diagnosis.Cause, ...], tuple[str, ...]]
"""Possible causes, the most likely first, and those ruled out."""


def _why(verdict: Verification, facing: Float, buzzes: Sequence[Mapping[str, Any]], diagnose: Callable[[], Why]) -> Why:
    """Causes of a failure: the design, what metrics of the chain state themselves, or what explains the difference."""
    if by_design := _by_design(verdict.by_design, verdict.image, facing):
        return by_design, ()
    stated = chain_figures.causes(verdict.metrics, buzzes)
    if all(m.key in chain_figures.CAUSES for m in verdict.metrics if m.verdict == "fail"):
        return stated, ()
    causes, ruled_out = diagnose()
    unguarded = tuple(c for c in stated if c.name == diagnosis.GUARD_OFF)
    return (*unguarded, *causes, *(c for c in stated if c not in unguarded)), ruled_out


def verdict_of(
    run: Path,
    fitted: Fitted,
    limits: Limits,
    path: Path | None = None,
    kept: Mapping[str, Any] | None = None,
    *,
    listener: ListenerAhead | None = None,
) -> tuple[ReadVerification, Verification, MeasuredSet, Description, dict[str, Any]]:
    """Content of a verification and its verdict without causes; then the session's ears, the rig, the processor.

    Parameters
    ----------
    path
        The file; by default the run's ``verify.h5``.
    kept
        Its :func:`summary` from when it was judged by these limits. What a listener gets is read from the file then,
        and so are the metrics of it, whose uncertainty takes many draws.
    listener
        What was computed while the verification was measured.
    """
    path = path or run / VERIFIED
    with Session.read(session_file(run)) as session:  # first: its sets may be those that were read last
        measured, rig = measured_sets(session), session.rig()
    with Session.read(path, VERIFICATION) as captured:
        sets = measured_sets(captured)
        of_filters = str(captured.attributes["filterset_sha256"])
        with as_stored(f"{path}: /through", f"Verify again: {command('verify', run)}"):
            used = dict(json.loads(captured.annotation("through") or "{}"))
        known = captured.annotation("image") if kept else None
    if of_filters != file_sha256(run / store.NAME):
        raise BadInput(f"{path}: was measured through another filter set than {run / store.NAME}; verify again")
    found = deployed.understood(used, sets, measured, (fitted.prediction, fitted.filters))
    design = parse(store.read_design(run), str(run / store.NAME))
    share, scored = share_of(found.filters), measured[0].used_for("score")
    how = run, found.filters, fitted.ears
    ahead = listener if listener is not None and listener.knows(found.ears, found.filters) else None
    here = bool(kept) or ahead is not None
    if not here:
        auditory.model_of(rig)  # for both cores
    own = partial(auditory.unit, *how, measured=scored, verified=found.ears, share=share)
    with forked.begun([own], here=here) as beside:
        verdict = found.verdict(measured[0], limits, reachable(*measured, rig, design))
        if ahead is not None:
            image, unit = ahead()
            more = listener_metrics.of(image, unit, limits)
        else:
            image = Assessment.of(known) if known else auditory.of_verification(*how, found.ears.ir, share)
            more = _kept_metrics(kept, verdict.metrics)
        if not more:  # loudness here, as the draws over there take longer
            louder = auditory.unit_loudness(*how, scored.ir)
            more = listener_metrics.of(image, beside()[0].louder(louder), limits)
    return (
        found,
        replace(
            verdict,
            image=image,
            zone=zone(run),
            metrics=(*verdict.metrics, *more),
            driver_faults=driver_faults(measured[0].ir, rig),
        ),
        measured[0],
        rig,
        used,
    )


def _kept_metrics(kept: Mapping[str, Any] | None, others: tuple[Metric, ...]) -> tuple[Metric, ...]:
    """The metrics of a summary that follow these others; none of a summary that does not begin with them."""
    rows = kept.get("metrics", []) if kept else []
    if [r["key"] for r in rows[: len(others)]] != [m.key for m in others]:
        return ()
    named = {f.name for f in fields(Metric)}
    return tuple(Metric(**{k: v for k, v in row.items() if k in named}) for row in rows[len(others) :])


def reachable(ears: MeasuredSet, polar: MeasuredSet, rig: Description, design: Design) -> dict[str, float]:
    """Predicted metrics with the default effort, by name of the limit; empty for a design with as much effort.

    Limits that follow the prediction don't excuse a design that is held back by its own effort limit.
    """
    usual = Design().crosstalk
    spent, enough = (level_at(d.effort_db, THIRD_OCTAVES) for d in (towards_width(design), usual))
    if design.crosstalk.cost != usual.cost or np.all(spent >= enough):
        return {}
    from sweetspot.calibrate.filters import fit  # a report loads no fit: 20 ms

    freed = design.model_copy(update={"crosstalk": design.crosstalk.model_copy(update={"effort_db": usual.effort_db})})
    fitted = fit(scoring(ears), polar, rig, freed, serial="", source="")
    return figures.reached(fitted.prediction)


def _by_design(
    failed: tuple[Metric, ...], image: Assessment | None = None, facing: Float = STRAIGHT
) -> tuple[diagnosis.Cause, ...]:
    """The design as the cause of failures that were predicted; for an image also heads that do not face the device,
    whose azimuths from their fronts are ``facing (position,)``, rad, and the room, if it is louder."""
    if not failed:
        return ()
    each = "; ".join(f"{m.name}: {m.predicted:.1f} {m.unit} predicted, limit {m.sense} {m.limit:.3g}" for m in failed)
    text = (
        f"unit matches its prediction; the design misses the limit ({each}). To see what limits the design: sweetspot "
        f"calibrate RUN --explain. To set limits for this kind of device: --limits"
    )
    if image and any(m.name.startswith("image, ") for m in failed):
        aside = float(np.degrees(facing.mean()))
        if abs(aside) > ASIDE_DEG:
            text += (
                f". The heads do not face the device: the sides stand at equal angles from a head's front, the centre "
                f"at the device; turn them by {aside:+.0f} degrees (yaw_deg of ears.positions)"
            )
        left, right = np.round(image.arms["calibrated"].drr_db.mean(axis=0)[:2], 1) + 0.0
        if min(left, right) < 0.0:
            text += (
                f". In this room the direct sound is weaker than the reverberation at the ears (DRR {left:.1f} dB of "
                f"the left program, {right:.1f} dB of the right): damp the surfaces nearest to device and listener, "
                f"move the device away from them, or the listener nearer"
            )
    return (diagnosis.Cause(diagnosis.DESIGN, text, 1.0, 0),)


def _causes(run: Path, found: ReadVerification, measured: MeasuredSet, rig: Description, used: dict[str, Any]) -> Why:
    """What explains the difference from the prediction."""
    filters, score = found.filters, measured.used_for("score")
    apart = residual.of(
        score.ir,
        found.ears.ir,
        filters,
        share_of(filters),
        timed=found.timed,
        end=found.prediction.whole.end,
        window=found.prediction.whole.gate,
        clipped=_clipped(rig, filters, used),
        errors=(score.errors, found.ears.errors),
    )
    at = np.array([d.at for d in rig.driver])
    away = rig.listening_m
    found_causes = diagnosis.causes(apart, filters.drivers, at, away, _other_filters(run, filters, apart.f))
    level_db = float(db(abs(apart.gain(apart.heard, apart.aligned(apart.predicted())))))
    hint = deployed.unguarded_level(level_db, found.through, filters)
    found_causes = [replace(c, text=c.text + hint) if c.name == "level" else c for c in found_causes]
    return tuple(diagnosis.ranked(found_causes)), diagnosis.ruled_out(found_causes)


def _clipped(rig: Description, filters: FilterSet, used: dict[str, Any]) -> Callable[[float, Float], NDArray[Any]]:
    """The sweeps of a verification with clipping, see :func:`clipping.filters_of`."""
    from sweetspot.calibrate.run.verification import engine_of  # with all that measures: 25 ms of a report

    program = rig.interface.program if used.get("name", OWN) != OWN else None
    lowered_db = float(used.get("lowered_db", 0.0))
    filters = filters.scaled(float(from_db(-lowered_db)))
    plan = verification.plan(
        rig,
        "ears",
        filters,
        engine_of(filters),
        (program.left, program.right) if program else None,
        share=float(used.get("share", 1.0)),
        lowered_db=lowered_db,
    )
    played = np.stack([s[[c - 1 for c in filters.channels]] for s in plan.sources.signals])
    if program:
        fed = np.stack([s[[program.left - 1, program.right - 1]] for s in plan.sources.signals])
        played = np.stack([engine_of(filters)(np.asarray(x, dtype=np.float64)) for x in fed])
    return clipping.filters_of(plan, np.asarray(played, dtype=np.float64), plan.sources.levels, filters.length)


def _other_filters(run: Path, mine: FilterSet, f: Float) -> dict[str, Complex]:
    """Filters of the newest other runs beside this one that fit the unit's drivers, at these frequencies."""
    found = {}
    paths = sorted(run.resolve().parent.parent.glob(f"*/*/{store.NAME}"), key=lambda p: -p.stat().st_mtime)
    for path in paths[: OTHERS + 1]:
        if path.parent == run.resolve():
            continue
        try:
            other = store.read(path)
        except BadInput:
            continue
        if (other.fs, other.drivers) == (mine.fs, mine.drivers) and other.source != mine.source:
            w = residual.stimuli(np.asarray(other.response(f), dtype=np.complex128), share_of(mine))
            found[f"unit {other.unit_serial} ({path.parent.name})"] = w
    return found


def summary(verdict: Verification) -> dict[str, Any]:
    """The verdict as plain data."""
    return {
        "verdict": verdict.verdict,
        "warnings": list(verdict.warnings),
        "basis": verdict.basis,
        "cancellation": whole_response.to_dict(verdict.cancellation) if verdict.cancellation else None,
        "through": asdict(verdict.through) if verdict.through else None,
        "held": verdict.held,
        "reasons": list(verdict.reasons),
        "agreement": asdict(verdict.agreement) if verdict.agreement else None,
        "with_room": [asdict(r) for r in verdict.room],
        "metrics": [_plain(m) for m in verdict.metrics],
        "causes": [asdict(c) for c in verdict.causes],
        "ruled_out": list(verdict.ruled_out),
        **(verdict.image.to_dict() if verdict.image else {}),
        **({"zone": verdict.zone.to_dict()} if verdict.zone else {}),
    }


def _plain(metric: Metric) -> dict[str, Any]:
    return asdict(metric) | {"margin": metric.margin, "verdict": metric.verdict, "passed": metric.passed}
