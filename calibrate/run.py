"""A run folder's later steps: fit it, verify it; what the command line and the demo share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.around import BeamFit
from sweetspot.calibrate.around import fit as fit_beam
from sweetspot.calibrate.auditory import Assessment, Extent, ZoneMap
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.bank import BankDesign, BankFigures, FittedBank, fit_bank
from sweetspot.calibrate.design import Design, ImageDesign, level_at, parse, towards_width
from sweetspot.calibrate.diagnose import causes as diagnosis
from sweetspot.calibrate.diagnose import clipping, residual
from sweetspot.calibrate.filters import FarEar, Fitted, fit, nearest_ahead
from sweetspot.calibrate.plant import Gate, Matched, MeasuredSet, MeasurementError, ahead
from sweetspot.calibrate.plant import errors as loading
from sweetspot.calibrate.predict import Prediction, RoomPrediction
from sweetspot.calibrate.study import (
    DesignRow,
    ExplainedBand,
    FormRow,
    FrontPoint,
    explain,
    forms,
    held_out,
    overview,
    pareto,
)
from sweetspot.calibrate.verify import (
    Confident,
    Deployed,
    Limits,
    Metric,
    ReadVerification,
    Verification,
    chain_figures,
    figures,
    insert,
    listener_metrics,
    recorded,
    verification,
    whole_response,
)
from sweetspot.calibrate.verify import processor as deployed
from sweetspot.measure import run as hardware
from sweetspot.measure.folder import session_file
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.listener import CaptureAnalyser
from sweetspot.measure.plan import SETS, Plan, SetName
from sweetspot.measure.session import VERIFICATION, Session, figures_alone
from sweetspot.measure.smooth import THIRD_OCTAVES
from sweetspot.processor import store
from sweetspot.processor.bank import FilterBank, StoredBank
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.render import render
from sweetspot.processor.run_folder import changed_since
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.protocol import Operator, Rig
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import alone, discard, file_sha256, keep_aside, move
from sweetspot.rigs.units import Complex, Float

OTHERS = 40
"""How many other runs are looked at when a unit may have the filters of another."""

Tracker = Callable[[str, int], Any]
"""Opens a progress bar for a title and a number of pieces; a context manager that yields the step function."""


VERIFIED, MEASURED, MEASURING = "verify.h5", ".verify.h5.measured", ".verify.h5.measuring"
"""A verification in a run folder: with its verdict; measured to its end; while it is measured."""


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return file_sha256(path)


def calibrate(
    run: Path,
    design: Design,
    design_text: str,
    *,
    left_out: bool = False,
    with_zone: bool = False,
    with_front: bool = False,
    bank: tuple[BankDesign, str] | None = None,
    step: Callable[[str], None] = lambda note: None,
) -> Fitted:
    """Fit the filters of a run and write its ``filterset.h5``.

    Parameters
    ----------
    left_out
        Where no position is used for scoring, leave one out of the design (:func:`held_out.scoring`).
    with_zone
        Map the listening zone too, and keep it with the filters.
    with_front
        Compute the front of width against depth too (:func:`front`), and keep it.
    bank
        Fit filters for these places too, and keep them with the others; the design and its text.
    step
        Called after each part of the work: responses, filters, listening zone, bank, file.

    Raises
    ------
    BadInput
        The session is missing or unfinished, or no design can be made from it.
    """
    session_file(run)
    with alone(run):
        made, ears = _fit(run, design, left_out=left_out, step=step)
        kept = _kept(made) | {"at_ears": _nominal(ears)}
        if with_zone:
            heard = image(run, made)
            mapped = _mapped(run, made, design, heard)
            kept |= {"zone": [json.dumps(mapped.to_dict())]} if mapped else {}
            kept |= {"loudness": [json.dumps(heard.loudness.re_plain_db["calibrated"])]}
            step("listening zone")
        if with_front:
            kept |= {"pareto": [json.dumps(pareto.to_dict(front(run, design, step)))]}
        many = (
            StoredBank((found := _bank(run, made, design, bank[0])).bank, found.figures.tree(), bank[1])
            if bank
            else None
        )
        if bank:
            step("bank")
        store.write(run / "filterset.h5", made.filters, kept, design_text, many)
        step("filterset.h5")
    return made


def without_ears(run: Path) -> bool:
    """Whether a run holds a polar set and no ears: its filters are a beam beside plain stereo."""
    with Session.read(session_file(run)) as session:
        return session.sets == ("polar",)


def calibrate_beam(run: Path, design: Design, design_text: str) -> BeamFit:
    """Fit the filters of a run without an ears set, and write its ``filterset.h5``.

    Raises
    ------
    BadInput
        See :func:`sweetspot.calibrate.around.fit`.
    """
    source = session_file(run)
    with alone(run):
        with Session.read(source) as session:
            rig, serial, polar = session.rig(), session.serial, _measured_set(session, "polar")
        made = fit_beam(polar, rig, design, serial=serial, source=sha256(source))
        store.write(run / "filterset.h5", made.filters, made.kept(), design_text)
    return made


def _bank(run: Path, made: Fitted, design: Design, wish: BankDesign) -> FittedBank:
    """A bank from a run's session, with the reference drivers, gates and virtual stereo of its own filters."""
    with Session.read(session_file(run)) as session:
        rig, ears = session.rig(), session.responses("ears")
        has_ring = "polar" in session.sets
        polar = session.responses("polar") if has_ring else ahead.stand_in(ears, nearest_ahead(ears))
    return fit_bank(ears, polar, rig, (design, wish), made, auditory.model_of(rig))


def bank_figures(run: Path) -> tuple[FilterBank, BankFigures] | None:
    """The bank of a calibrated run with its predicted figures; ``None`` where there is none."""
    if not store.has_bank(run):
        return None
    kept = store.read_bank(run)
    return kept.bank, BankFigures.of(kept.prediction)


def fitted(run: Path, design: Design) -> Fitted:
    """Filters of a run with their prediction; nothing is written."""
    return _fit(run, design)[0]


def _fit(
    run: Path, design: Design, *, left_out: bool = False, step: Callable[[str], None] = lambda note: None
) -> tuple[Fitted, ImpulseResponse]:
    """Filters of a run, and the responses at the ears as they were used."""
    source = session_file(run)
    with Session.read(source) as session:
        rig, serial = session.rig(), session.serial
        ears, polar = measured_sets(session)
    ears = _scoring(ears) if left_out else ears
    step("responses")
    made = fit(ears, polar, rig, design, serial=serial, source=sha256(source))
    step("left, right, centre")
    return made, ears.ir


def measured_sets(session: Session) -> tuple[MeasuredSet, MeasuredSet]:
    """Ears and polar set of a session; where no polar set was measured, what stands in for it ahead."""
    ears = _measured_set(session, "ears")
    if "polar" in session.sets:
        return ears, _measured_set(session, "polar")
    row = nearest_ahead(ears.ir)
    errors = ahead.stand_in_error(ears.errors, row) if ears.errors else None
    return ears, MeasuredSet(ahead.stand_in(ears.ir, row), errors)


def _measured_set(session: Session, name: SetName) -> MeasuredSet:
    """Responses of a set and what they know of their own errors."""
    ir, stderr, closed = session.responses(name), session.per_bin(name, "stderr"), session.closure(name)
    if (missed := session.estimate_error(name)) is not None:
        return MeasuredSet(ir, MeasurementError(stderr, loading.on_grid(missed, ir.fs, ir.h.shape[-1])))
    if closed is None:
        return MeasuredSet(ir, MeasurementError(stderr, 0.0))
    snr_db = float(ir.snr_db[0, ir.mics.index(closed.mic), 0])
    return MeasuredSet(ir, MeasurementError(stderr, loading.drift_of(closed.error_db, snr_db)))


def _scoring(ears: MeasuredSet) -> MeasuredSet:
    """The set with a position left out for scoring, where the rig has none."""
    return replace(ears, ir=held_out.scoring(ears.ir))


def level_known(run: Path) -> bool:
    """Whether a run's responses are in pascal; imported ones may only be relative."""
    with Session.read(session_file(run)) as session:
        return session.responses("ears").unit == "Pa/FS"


def _mapped(run: Path, made: Fitted, design: Design, found: Assessment) -> ZoneMap | None:
    """The listening zone of a fit."""
    wish = design.zone
    extent = Extent(wish.x_m, wish.y_m, wish.step_m)
    return auditory.zone(run, made.filters, made.ears, made.prediction, extent, found)


def zone(run: Path) -> ZoneMap | None:
    """The listening zone that was mapped when a run was calibrated; ``None`` where it was not."""
    kept = store.read_prediction(run).get("zone")
    return ZoneMap.of_dict(json.loads(kept[0])) if kept else None


def changes(run: Path) -> tuple[str, ...]:
    """What changed since the next step used it, along rig, session, filter set and verification; one line each.

    A rig file that changed is refused when the session is read.
    """
    path, filters = run / store.NAME, store.read(run)
    found = list(changed_since(path, filters))
    if (run / VERIFIED).is_file():
        with Session.read(run / VERIFIED, VERIFICATION) as heard:
            made_with = str(heard.attributes.get("filterset_sha256", ""))
        if made_with != sha256(path):
            found.append(f"{path} was changed after {VERIFIED} was measured through it (SHA-256 differs): verify again")
    return tuple(found)


def _nominal(ears: ImpulseResponse) -> NDArray[np.float32]:
    """Responses ``(ear, driver, tap)`` of the nominal head from time zero on, to listen with."""
    return ears.h[nearest_ahead(ears), :, :, ears.zero :].astype(np.float32)


def compared(run: Path, design: Design, *, left_out: bool) -> tuple[DesignRow, ...]:
    """Our design beside the classical ones, on the scoring positions or with positions ``left_out`` in turn."""
    with Session.read(session_file(run)) as session:
        rig, ears = session.rig(), session.responses("ears")
        polar = session.responses("polar") if "polar" in session.sets else None
    return (held_out.cross_validated if left_out else held_out.comparison)(ears, rig, design, polar)


def spared(run: Path) -> str:
    """What is said of a position that was left out for scoring; nothing where the rig has scoring positions."""
    with Session.read(session_file(run)) as session:
        return held_out.spared(session.responses("ears"))


def explained(run: Path, fitted: Fitted) -> tuple[ExplainedBand, ...]:
    """What decided each band of a run's design."""
    with Session.read(session_file(run)) as session:
        return explain.bands(fitted, session.rig())


def described(run: Path, fitted: Fitted) -> tuple[overview.MetricRow, ...]:
    """Every figure of the field that a run's prediction gives."""
    with Session.read(session_file(run)) as session:
        ears, polar = measured_sets(session)
    return overview.rows(fitted, _scoring(ears).ir, polar.ir)


def sureness(run: Path, fitted: Fitted) -> dict[str, Confident]:
    """Predicted mean and 10th percentile of the cancellation with their standard uncertainty."""
    with Session.read(session_file(run)) as session:
        measured = _scoring(measured_sets(session)[0])
    return figures.predicted(fitted.prediction, fitted.filters, measured)


@lru_cache(maxsize=1)
def forms_of(run: Path, fitted: Fitted) -> list[FormRow]:
    """Figures of the forms that engines without an upmix play, beside the adaptive upmix."""
    made = forms.forms(fitted.filters)
    return [forms.row(name, auditory.predicted(run, filters, fitted.ears)) for name, filters in made]


def image(run: Path, fitted: Fitted) -> Assessment:
    """What a listener will get from a run's filters, beside plain stereo, matrix mixing and a pair; predicted."""
    return auditory.predicted(run, fitted.filters, fitted.ears)


def kept_front(run: Path) -> list[FrontPoint]:
    """The front that was computed when a run was calibrated; empty where it was not."""
    kept = store.read_prediction(run).get("pareto")
    return [FrontPoint(**row) for row in json.loads(kept[0])] if kept else []


def front(run: Path, design: Design, step: Callable[[str], None] = lambda note: None) -> list[FrontPoint]:
    """Width against depth of a run's unit in its room, at several points of ``image.prefer``; nothing is written."""
    found = []
    for prefer in pareto.POINTS:
        wanted = design.model_copy(update={"image": ImageDesign(prefer=prefer)})
        found.append(pareto.point(prefer, image(run, fitted(run, wanted))))
        step("")
    return found


def _kept(fitted: Fitted) -> dict[str, Any]:
    """The part of a fit that verification and report read again."""
    p = fitted.prediction
    return {
        "f": p.f,
        "score": p.score.astype(np.complex64),
        "design": p.design.astype(np.complex64),
        "polar": p.polar.astype(np.complex64),
        "azimuths": p.azimuths,
        "far_ear": p.far_ear,
        "target_db": p.target_db,
        "limits": [",".join(side) for side in fitted.limits],
        "reference": np.array(fitted.reference),
        "virtual": asdict(fitted.far_ear),
        "loading": json.dumps(loading.plain(fitted.loading)),
        "ears": asdict(fitted.ears) if fitted.ears else {},
        "whole": _whole(p.whole) if p.whole else {},
    }


def _whole(whole: RoomPrediction) -> dict[str, Any]:
    """The room's share of a prediction, to be kept."""
    spectra = {name: getattr(whole, name).astype(np.complex64) for name in ("score", "polar", "early", "polar_early")}
    numbers = {name: np.asarray(getattr(whole, name)) for name in ("end", "polar_end", "ear_gains")}
    numbers |= {name: getattr(whole, name).astype(np.float32) for name in ("polar_noise", "polar_power")}
    return spectra | numbers | {"gate": whole.gate.plain(), "polar_gate": whole.polar_gate.plain()}


def _whole_of(kept: dict[str, Any]) -> RoomPrediction | None:
    """The same, read again; ``None`` in a file of an earlier version."""
    if not kept:
        return None
    gates = {name: Gate.of(kept[name]) for name in ("gate", "polar_gate")}
    return RoomPrediction(**{**kept, **gates})


def fitted_of(run: Path) -> Fitted:
    """What a calibration wrote, read again.

    Raises
    ------
    BadInput
        There is no filterset, or it holds no prediction.
    """
    filters = store.read(run)
    kept = store.read_prediction(run)
    if kept.get("without") == "ears":
        raise BadInput(
            f"{run}: was calibrated from a polar set alone: there are no ears to verify or report at. Measure them: "
            f"sweetspot measure ears RIG --unit {filters.unit_serial} --run {run}, and calibrate again"
        )
    if "score" not in kept:
        raise BadInput(f"{run / store.NAME}: holds no prediction; run: sweetspot calibrate {run}")
    prediction = Prediction(
        kept["f"],
        score=kept["score"],
        design=kept["design"],
        polar=kept["polar"],
        azimuths=kept["azimuths"],
        far_ear=kept["far_ear"],
        target_db=kept["target_db"],
        whole=_whole_of(kept.get("whole", {})),
    )
    limits = np.array([side.split(",") for side in kept["limits"]])
    reference = (int(kept["reference"][0]), int(kept["reference"][1]))
    named = {"said": "text"}  # what earlier versions called it
    ears = Matched(**{named.get(k, k): v for k, v in kept["ears"].items()}) if kept.get("ears") else None
    loads = tuple(loading.ErrorBand(**b) for b in json.loads(kept.get("loading", "[]")))
    return Fitted(
        filters,
        prediction,
        limits=limits,
        reference=reference,
        far_ear=FarEar(**kept["virtual"]),
        ears=ears,
        loading=loads,
    )


def engine_of(filters: FilterSet) -> verification.Processor:
    """The deployed processor in process: sweetspot's own engine."""

    def process(x: Float) -> Float:
        return np.asarray(render(filters, x, filters.fs))

    return process


def hear(
    run: Path,
    rig: Rig,
    fitted: Fitted,
    now: datetime,
    *,
    ask: Operator,
    track: Tracker,
    processor: Deployed | None = None,
) -> Path:
    """Play the verification's sweeps through processor and rig into a file beside ``verify.h5``.

    :func:`judge` puts it in the place of ``verify.h5`` once the verdict is in it; until then an earlier verification
    stands. What an interrupted one left behind is thrown away: a verification is one visit, and starts over.

    Parameters
    ----------
    processor
        What is deployed; by default our own engine.

    Raises
    ------
    BadInput
        The rig cannot play through this processor.
    HardwareTrouble
        The interface, the stage, the disk or the processor failed; an earlier verification still stands.
    """
    if rig.description.ears and all(p.use != "score" for p in rig.description.ears.positions):
        raise BadInput(
            f"rig {rig.description.name!r} has no position for scoring, and a verification listens where no filter was "
            'fitted: give some entries of ears.positions use = "score" and measure those'
        )
    through = processor or Deployed(deployed.OWN, fitted.filters, None)
    filters, path = through.filters, run / MEASURING
    process = engine_of(filters)
    with Session.read(session_file(run)) as session:
        measured = session.responses("ears")
        sets: tuple[SetName, ...] = SETS if "polar" in session.sets else ("ears",)
    plans = {n: verification.plan(rig.description, n, filters, process, through.inputs) for n in sets}
    with (
        alone(run),
        insert.ready(rig, through, plans["ears"], measured, ask) as ready,
        _heard(path, rig, filters, now) as heard,
    ):
        told = {"name": through.name, "form": _form(filters), "latency_samples": insert.latency_of(ready.interface)}
        told["guard_db"] = insert.guard_of(ready.interface)
        heard.annotate("through", json.dumps(told))
        for name, plan in plans.items():
            with track("Verifying at ears" if name == "ears" else "Verifying around", len(plan.captures)) as step:
                hardware.measure(ready, heard, plan, ask=ask, step=step)
        heard.annotate("through", json.dumps(told | {"distortion": _distortion(heard, rig.description, plans["ears"])}))
    move(path, run / MEASURED)
    return run / MEASURED


def plans_of(run: Path, rig: Description, filters: FilterSet) -> dict[SetName, Plan]:
    """What a verification through our own engine plays, by set."""
    with Session.read(session_file(run)) as session:
        sets: tuple[SetName, ...] = SETS if "polar" in session.sets else ("ears",)
    return {n: verification.plan(rig, n, filters, engine_of(filters)) for n in sets}


def write_stimuli(run: Path, fitted: Fitted, out: Path) -> list[Path]:
    """Write a verification's sweeps for another recorder, and the list of what to record."""
    with Session.read(session_file(run)) as session:
        rig = recorded.single(session.rig())
    return recorded.write(plans_of(run, rig, fitted.filters), out)


def recorded_rig(run: Path, fitted: Fitted, recordings: Path) -> Rig:
    """The run's rig with recordings in the place of its interface.

    Raises
    ------
    BadInput
        Some are missing.
    """
    with Session.read(session_file(run)) as session:
        rig = recorded.single(session.rig())
    stage = recorded.RecordedStage()
    plans = plans_of(run, rig, fitted.filters)
    made = recorded.RecordedInterface(rig, plans, recordings, stage, fitted.prediction, fitted.filters)
    return Rig(rig, made, stage)


def refused_recording(run: Path) -> str:
    """Which recording a verification could not use, and why."""
    with Session.read(run / MEASURING, VERIFICATION) as heard:
        found = [r for name in heard.sets for r in heard.rejected(name)]
    return f"{found[-1][0]}: {found[-1][1]}" if found else ""


def _distortion(heard: Session, rig: Description, plan: Plan) -> list[dict[str, Any]]:
    """What each stimulus makes that it was not given, at the first place."""
    listener = CaptureAnalyser.of(rig, plan)
    found = {name: listener.distortion(heard, plan.order[0], i) for i, name in enumerate(plan.sources.names)}
    return chain_figures.told({name: one for name, one in found.items() if one is not None})


def _heard(path: Path, rig: Rig, filters: FilterSet, now: datetime) -> Session:
    """A new file of a verification, without what an interrupted one left."""
    for old in (path, path.with_name(MEASURED)):
        discard(old)
    return Session.create(
        path,
        rig.description,
        filters.unit_serial,
        f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        schema=VERIFICATION,
        filterset_sha256=sha256(path.with_name(store.NAME)),
        session_sha256=filters.source,
    )


def _form(filters: FilterSet) -> str:
    return "upmix" if verification.share_of(filters) > 0.0 else "stereo"


def judge(run: Path, fitted: Fitted, limits: Limits) -> Verification:
    """The verdict on what was just measured, or else on ``verify.h5``; kept in the file as JSON.

    A new verification takes the place of ``verify.h5`` in one step; the earlier one is kept aside under the time when
    it was written.
    """
    with alone(run):
        fresh = (run / MEASURED).is_file()
        verdict = _judged(run, run / (MEASURED if fresh else VERIFIED), fitted, limits)
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


def _judged(run: Path, path: Path, fitted: Fitted, limits: Limits) -> Verification:
    found, verdict, measured, rig, told = verdict_of(run, fitted, limits, path)
    if verdict.verdict == "fail":
        by_design = _by_design(verdict.by_design)
        unguarded = chain_figures.guard_causes(verdict.metrics)
        alone_off = bool(unguarded) and all(m.key == "guard" for m in verdict.metrics if m.verdict == "fail")
        known = by_design or alone_off
        causes, ruled_out = (by_design, ()) if known else _causes(run, found, measured, rig, told)
        causes = (*unguarded, *causes)
        verdict = replace(verdict, causes=causes, ruled_out=ruled_out)
    with Session.resume(path, VERIFICATION) as heard:
        heard.annotate("verdict", json.dumps(summary(verdict), indent=1))
        heard.annotate("limits", json.dumps(asdict(limits)))
    return verdict


def verdict_of(
    run: Path, fitted: Fitted, limits: Limits, path: Path | None = None
) -> tuple[ReadVerification, Verification, ImpulseResponse, Description, dict[str, Any]]:
    """What a verification holds and the verdict on it, causes apart; then the session's ears, the rig, the processor.

    Parameters
    ----------
    path
        The file; by default the run's ``verify.h5``.
    """
    path = path or run / VERIFIED
    with Session.read(path, VERIFICATION) as heard:
        sets = measured_sets(heard)
        of_filters = str(heard.attributes["filterset_sha256"])
        told = json.loads(heard.annotation("through") or "{}")
    if of_filters != sha256(run / store.NAME):
        raise BadInput(f"{path}: was heard through another filterset than {run / store.NAME}; verify again")
    with Session.read(session_file(run)) as session:
        measured, rig = measured_sets(session), session.rig()
    found = deployed.understood(told, sets, measured, (fitted.prediction, fitted.filters))
    design = parse(store.read_design(run), str(run / store.NAME))
    verdict = found.verdict(measured[0], limits, reachable(*measured, rig, design))
    share = verification.share_of(found.filters)
    image = auditory.heard(run, found.filters, fitted.ears, found.ears.ir, share)
    unit = auditory.unit(run, found.filters, fitted.ears, found.ears, share)
    more = listener_metrics.of(image, unit, limits)
    return (
        found,
        replace(verdict, image=image, zone=zone(run), metrics=(*verdict.metrics, *more)),
        measured[0].ir,
        rig,
        told,
    )


def reachable(ears: MeasuredSet, polar: MeasuredSet, rig: Description, design: Design) -> dict[str, float]:
    """What the unit reaches with the default effort, by name of the limit; empty for a design that spends as much.

    Limits that follow the prediction don't excuse a design that is held back by its own effort limit.
    """
    usual = Design().crosstalk
    spent, enough = (level_at(d.effort_db, THIRD_OCTAVES) for d in (towards_width(design), usual))
    if design.crosstalk.cost != usual.cost or np.all(spent >= enough):
        return {}
    freed = design.model_copy(update={"crosstalk": design.crosstalk.model_copy(update={"effort_db": usual.effort_db})})
    fitted = fit(_scoring(ears), polar, rig, freed, serial="", source="")
    return figures.reached(fitted.prediction)


def _by_design(failed: tuple[Metric, ...]) -> tuple[diagnosis.Cause, ...]:
    """The design itself as the cause of what fails, where it was predicted to."""
    if not failed:
        return ()
    each = "; ".join(f"{m.name}: {m.predicted:.1f} {m.unit} predicted, {m.sense} {m.limit:.3g} asked" for m in failed)
    said = (
        f"unit matches its prediction; the design misses the limit ({each}). What limits the design: "
        "sweetspot calibrate RUN --explain. Limits for devices of this kind: --limits"
    )
    return (diagnosis.Cause(diagnosis.DESIGN, said, 1.0, 0),)


def _causes(
    run: Path, found: ReadVerification, measured: ImpulseResponse, rig: Description, told: dict[str, Any]
) -> tuple[tuple[diagnosis.Cause, ...], tuple[str, ...]]:
    """What may be wrong, the most likely first, and what was ruled out."""
    filters, whole = found.filters, found.prediction.whole
    apart = residual.of(
        measured.used_for("score"),
        found.ears.ir,
        filters,
        verification.share_of(filters),
        timed=found.timed,
        end=whole.end if whole else None,
        clipped=_clipped(rig, filters, told),
    )
    at = np.array([d.at for d in rig.driver])
    away = rig.ears.distance_m if rig.ears else 2.0
    found_causes = diagnosis.causes(apart, filters.drivers, at, away, _other_filters(run, filters, apart.f))
    return tuple(diagnosis.ranked(found_causes)), diagnosis.ruled_out(found_causes)


def _clipped(rig: Description, filters: FilterSet, told: dict[str, Any]) -> Callable[[float, Float], NDArray[Any]]:
    """What clipping does to the sweeps of a verification, see :func:`clipping.filters_of`."""
    program = rig.interface.program if told.get("name", deployed.OWN) != deployed.OWN else None
    plan = verification.plan(
        rig, "ears", filters, engine_of(filters), (program.left, program.right) if program else None
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
            w = residual.stimuli(np.asarray(other.response(f), dtype=np.complex128), verification.share_of(mine))
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
