"""Calibration of a run: from its session to its ``filterset.h5``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Thread

from sweetspot.calibrate import bank as banks
from sweetspot.calibrate import filters as fits
from sweetspot.calibrate import study
from sweetspot.calibrate.auditory import Arms, Assessment, Extent, UnitLevels, ZoneMap
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.design import BankDesign, Design, ImageDesign
from sweetspot.calibrate.plant import BeamFit, Fitted, Matched, nearest_ahead, one_direction, plain_sides
from sweetspot.calibrate.run.kept import kept_bank, to_keep
from sweetspot.calibrate.run.sets import measured_set, measured_sets, nominal, scoring
from sweetspot.measure.folder import session_file
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.session import Session
from sweetspot.processor import export, store
from sweetspot.processor.bank import StoredBank
from sweetspot.processor.compiled import ahead
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.parallel import forked, keep_freed_memory
from sweetspot.rigs.storage import alone, file_sha256, stated
from sweetspot.rigs.units import Complex, Float


def calibrate(
    run: Path,
    design: Design,
    design_text: str,
    *,
    left_out: bool = False,
    with_zone: bool = False,
    with_front: bool = False,
    with_forms: bool = False,
    bank: tuple[BankDesign, str] | None = None,
    drop_bank: bool = False,
    step: Callable[[str], None] = lambda note: None,
) -> Fitted:
    """Fit the filters of a run and write its ``filterset.h5``.

    Parameters
    ----------
    left_out
        Where no position is used for scoring, leave one out of the design (:func:`positions.scoring`).
    with_zone
        Map the listening zone too, and keep it with the filters.
    with_front
        Compute the front of width against depth too (:func:`front`), and keep it.
    with_forms
        Predict what engines without an upmix play (:func:`forms_of`), and keep it for the exports.
    bank
        Fit filters for these places too, and keep them with the others; the design and its text. By default the run's
        bank, if any, is fitted again (:func:`kept_bank`).
    drop_bank
        Leave the bank out that the run has.
    step
        Called after each part of the work: responses, filters, listening zone, bank, file.

    Raises
    ------
    BadInput
        The session is missing or unfinished, or no design can be made from it.
    """
    session_file(run)
    with alone(run):
        bank = bank or (None if drop_bank else kept_bank(run))
        extent = Extent(
            design.zone.x_m, design.zone.y_m, design.zone.step_m, fixed="x_m" in design.zone.model_fields_set
        )
        file_sha256(session_file(run))  # known before this process is copied
        gating, matching = design.filter, design.filter.match_ears
        known = auditory.footing(run, gating, matching, partial(_read, run)) if with_zone else None
        with (
            forked.Later[auditory.Filters]() as later,
            forked.begun([partial(auditory.listened, run, known, extent, later)] * with_zone) as listening,
        ):
            keep_freed_memory()  # the copy does so too
            Thread(target=ahead).start()  # 30 ms, beside what needs none; the copy needs none
            made, ears, plain = _fit(run, design, left_out=left_out, step=step, ready=lambda *it: later.give(it))
            kept = to_keep(made, plain) | {"at_ears": nominal(ears)}
            if with_zone:
                from sweetspot.calibrate.run.studies import described, uncertainty  # 30 ms, beside the other core

                levels = auditory.levels(run, made.filters, made.ears)
                for result in (uncertainty, described):  # are found again when printed; the other core takes longer
                    result(run, made)
                kept |= _listened(levels, listening)
                step("listening zone")
        if with_front:
            kept |= {"pareto": [json.dumps(study.pareto.to_dict(front(run, design, step)))]}
        if with_forms:
            kept |= {"forms": [json.dumps(study.forms.to_dict(forms_of(run, made)))]}
        many = (
            StoredBank((found := _bank(run, made, design, bank[0])).bank, found.figures.tree(), bank[1])
            if bank
            else None
        )
        if bank:
            step("bank")
        store.write(run / "filterset.h5", _with_source(made.filters, session_file(run)), kept, design_text, many)
        step("filterset.h5")
    return made


def parts_of_calibration(*, bank: bool = False, with_front: bool = False) -> int:
    """How often :func:`calibrate` calls its ``step`` when it maps the zone."""
    return 4 + bank + (len(study.pareto.POINTS) if with_front else 0)


def calibrate_beam(run: Path, design: Design, design_text: str) -> BeamFit:
    """Fit the filters of a run without an ears set, and write its ``filterset.h5``.

    Raises
    ------
    BadInput
        See :func:`sweetspot.calibrate.filters.fit_beam`.
    """
    source = session_file(run)
    with alone(run):
        with Session.read(source) as session:
            rig, serial, polar = session.rig(), session.serial, measured_set(session, "polar")
        made = fits.fit_beam(polar, rig, design, serial=serial, source=file_sha256(source))
        store.write(run / "filterset.h5", _with_source(made.filters, source), made.kept(), design_text)
    return made


def _with_source(filters: FilterSet, session: Path) -> FilterSet:
    """The filters with the checksum that their session states: while it states the same, nobody need hash it."""
    return replace(filters, source_content=stated(session).sha256)


def fitted(run: Path, design: Design) -> Fitted:
    """Filters of a run with their prediction; nothing is written."""
    return _fit(run, design)[0]


def _read(run: Path) -> None:
    """Read the sets of a run once, for a copy of this process too."""
    with Session.read(session_file(run)) as session:
        measured_sets(session)


def _fit(
    run: Path,
    design: Design,
    *,
    left_out: bool = False,
    step: Callable[[str], None] = lambda note: None,
    ready: Callable[[FilterSet, Complex, Matched], None] = lambda filters, far_ear, matched: None,
) -> tuple[Fitted, ImpulseResponse, Float]:
    """Filters of a run, the ears' responses as used, and plain stereo; for ``ready`` see :func:`filters.fit`."""
    source = session_file(run)
    with Session.read(source) as session:
        rig, serial = session.rig(), session.serial
        ears, polar = measured_sets(session)
    ears = scoring(ears) if left_out else ears
    step("responses")
    ratio = auditory.far_ratio(rig, design.stereo.angle_deg, fits.FIT_HZ) if design.stereo.head == "measured" else None
    made = fits.fit(ears, polar, rig, design, serial=serial, source=file_sha256(source), ratio=ratio, ready=ready)
    step("left, right, centre")
    return made, ears.ir, plain_sides(ears.ir, rig.driver)[0]


def _bank(run: Path, made: Fitted, design: Design, wish: BankDesign) -> banks.FittedBank:
    """A bank from a run's session, with the reference drivers, gates and virtual stereo of its own filters."""
    with Session.read(session_file(run)) as session:
        rig, ears = session.rig(), session.responses("ears")
        has_ring = "polar" in session.sets
        polar = session.responses("polar") if has_ring else one_direction.stand_in(ears, nearest_ahead(ears))
    return banks.fit_bank(ears, polar, rig, (design, wish), made, auditory.model_of(rig))


def _listened(levels: UnitLevels, listening: forked.Begun[tuple[Arms, ZoneMap | None]]) -> dict[str, list[str]]:
    """Image, loudness and listening zone of a fit, as they are kept; all but the unit's levels from another core."""
    ((arms, mapped),) = listening()
    found = arms.whole(levels)
    kept = {"zone": [json.dumps(mapped.to_dict())]} if mapped else {}
    louder = json.dumps(found.loudness.re_plain_db["calibrated"])
    return kept | {"image": [found.kept()], "loudness": [louder]}


@lru_cache(maxsize=1)
def image(run: Path, fitted: Fitted) -> Assessment:
    """Predicted listener metrics of a run's filters, plain stereo, matrix mixing and a reference pair."""
    return auditory.predicted(run, fitted.filters, fitted.ears)


def front(run: Path, design: Design, step: Callable[[str], None] = lambda note: None) -> list[study.FrontPoint]:
    """Pareto front of width and depth of a run's unit in its room, at points of ``image.prefer``; nothing is
    written."""
    found = []
    for prefer in study.pareto.POINTS:
        wanted = design.model_copy(update={"image": ImageDesign(prefer=prefer)})
        found.append(study.pareto.point(prefer, image(run, fitted(run, wanted))))
        step("")
    return found


@lru_cache(maxsize=1)
def forms_of(run: Path, fitted: Fitted) -> list[export.FormRow]:
    """Figures of the forms that engines without an upmix play, beside the adaptive upmix."""
    made = study.forms.forms(fitted.filters)
    return [study.forms.row(name, auditory.predicted(run, filters, fitted.ears)) for name, filters in made]
