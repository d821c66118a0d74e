"""Assessments from the files of a run: its session, its filters, and its verification."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from sweetspot.calibrate.auditory import assessment
from sweetspot.calibrate.auditory.assessment import Assessment
from sweetspot.calibrate.auditory.figures import EarModel
from sweetspot.calibrate.auditory.levels import UnitLevels
from sweetspot.calibrate.auditory.mapping import Extent, Ground, ground_of, measured, zone_map
from sweetspot.calibrate.auditory.reference import facing_gain
from sweetspot.calibrate.auditory.unit import UnitImage, image_of_unit, loudness_of_unit
from sweetspot.calibrate.auditory.zone import ZoneMap
from sweetspot.calibrate.plant import Gate, Matched, MeasuredSet, best_pair, corrected, gate
from sweetspot.calibrate.plant import matched as matched_ears
from sweetspot.measure.folder import session_file
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.plan import frontmost, make
from sweetspot.measure.session import Session
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import Description, parse
from sweetspot.rigs.units import Complex, Float, speed_of_sound


@lru_cache(maxsize=2)
def _model(text: str, folder: Path, kept: Path | None) -> EarModel:
    rig = parse(text, folder, kept=kept)
    named = rig.ears.templates if rig.ears else None
    if named is None:
        return EarModel.of(assessment.templates_of(rig))
    with Session.read(rig.path(named)) as session:
        turned, measured_on = session.responses("templates"), session.rig()
    if turned.fs != rig.fs:
        raise BadInput(f"ears.templates: {named} was measured at {turned.fs} Hz, the rig runs at {rig.fs} Hz")
    at = np.array(measured_on.driver[frontmost(measured_on)].at[:2])
    return EarModel.of(assessment.measured_templates(turned, at))


def model_of(rig: Description) -> EarModel:
    """The ear model of the head that a rig measures with; kept, for it takes a second to make."""
    return _model(rig.text, rig.folder, rig.kept)


def far_ratio(rig: Description, angle_deg: float, f: Float) -> Complex:
    """Far over near ear ``(frequency,)`` of the head that a rig measures with, for a source at this angle.

    From its templates: the head that was turned against a loudspeaker, else its model. Mean of both sides.
    """
    templates = model_of(rig).templates
    sides = []
    for near, side in ((0, 1.0), (1, -1.0)):
        ears = templates.at(np.full(len(templates.f), side * np.radians(angle_deg)))
        ratio = ears[1 - near] / np.where(np.abs(ears[near]) > 0.0, ears[near], np.inf)
        level, turn = np.log(np.maximum(np.abs(ratio), 1e-6)), np.unwrap(np.angle(ratio))
        sides.append(np.interp(f, templates.f, level) + 1j * np.interp(f, templates.f, turn))
    return np.asarray(np.exp(0.5 * (sides[0] + sides[1])))


def scored(ears: ImpulseResponse) -> ImpulseResponse:
    """The positions that figures are computed at: those for scoring, or all where there are none."""
    rows = ears.used_for("score")
    return rows if len(rows.positions) else ears


def _pair(session: Session) -> ImpulseResponse | None:
    """The reference pair at the scoring positions; ``None`` where it was not measured to its end."""
    if not session.has_reference or session.left(make(session.rig(), "reference")):
        return None
    return session.responses("reference")


def _facing(session: Session, ears: ImpulseResponse) -> float:
    """Gain of plain stereo's drivers if they faced the listener; 1 without a polar set."""
    if "polar" not in session.sets:
        return 1.0
    at = np.array([d.at for d in session.rig().driver])
    return facing_gain(session.responses("polar"), best_pair(ears, at))


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    """What an assessment begins with: the rig, its ears, the pair if it was measured, and :func:`_facing`."""

    rig: Description
    ears: ImpulseResponse
    pair: ImpulseResponse | None
    facing: float

    @classmethod
    def of(cls, run: Path) -> _Begun:
        """Those of a run's session."""
        with Session.read(session_file(run)) as session:
            ears = session.responses("ears")
            return cls(session.rig(), ears, _pair(session), _facing(session, ears))

    def arms(self, filters: FilterSet, matched: Matched | None) -> assessment.Arms:
        """Figures with filters at the scoring positions."""
        ears, pair = self.ears, self.pair
        if matched:
            ears, pair = corrected(ears, matched.gains), corrected(pair, matched.gains) if pair else None
        model = model_of(self.rig)
        return assessment.predicted(self.rig, scored(ears), filters, pair, model, facing=self.facing)


def predicted(run: Path, filters: FilterSet, matched: Matched | None) -> Assessment:
    """Figures of all arms as a run's session predicts them, at the scoring positions.

    Parameters
    ----------
    matched
        What was done to make the ears agree.

    Raises
    ------
    BadInput
        The session is missing or unfinished.
    """
    return _Begun.of(run).arms(filters, matched).whole(levels(run, filters, matched))


def levels(run: Path, filters: FilterSet, matched: Matched | None) -> UnitLevels:
    """The levels of the arms on the unit alone; see :func:`predicted`."""
    with Session.read(session_file(run)) as session:
        rig, ears = session.rig(), session.responses("ears")
    return assessment.levels(rig, scored(corrected(ears, matched.gains) if matched else ears), filters)


def of_verification(
    run: Path, filters: FilterSet, matched: Matched | None, verified: ImpulseResponse, share: float
) -> Assessment:
    """The same with the calibrated unit as measured in a verification.

    Parameters
    ----------
    verified
        Responses to the stimuli left, right and both at the scoring positions.
    share
        Part of what both sides have in common that the centre program plays.
    """
    with Session.read(session_file(run)) as session:
        rig, ears, pair = session.rig(), session.responses("ears").used_for("score"), _pair(session)
        facing = _facing(session, ears)
    if matched:
        ears, verified = corrected(ears, matched.gains), corrected(verified, matched.gains)
        pair = corrected(pair, matched.gains) if pair else None
    return assessment.of_verification(
        rig, ears, filters, pair=pair, model=model_of(rig), verified=verified, share=share, facing=facing
    )


def unit(
    run: Path,
    filters: FilterSet,
    matched: Matched | None,
    *,
    measured: MeasuredSet,
    verified: MeasuredSet,
    share: float,
) -> UnitImage:
    """The calibrated unit's figures as predicted, without :func:`unit_loudness`, and how uncertain noise and drift
    leave the measured ones.

    Parameters
    ----------
    measured
        The session's ears at the scoring positions, with their errors.
    verified
        Responses measured there, with its errors; the other parameters as for :func:`of_verification`.
    """
    with Session.read(session_file(run)) as session:
        rig, pair = session.rig(), _pair(session)
    if matched:
        measured, verified = measured.corrected(matched.gains), verified.corrected(matched.gains)
        pair = corrected(pair, matched.gains) if pair else None
    model = model_of(rig)
    return image_of_unit(rig, measured, filters, pair=pair, model=model, verified=verified, share=share)


def unit_loudness(run: Path, filters: FilterSet, matched: Matched | None, ears: ImpulseResponse) -> dict[str, float]:
    """Predicted loudness of each programme over plain stereo, dB.

    Parameters
    ----------
    ears
        The session's responses at the scoring positions.
    """
    with Session.read(session_file(run)) as session:
        rig = session.rig()
    return loudness_of_unit(rig, corrected(ears, matched.gains) if matched else ears, filters)


@dataclass(frozen=True, slots=True, eq=False)
class Footing:
    """What a map of the zone and the fit of the filters both begin with.

    Parameters
    ----------
    ears, polar
        Its sets, the ears matched.
    distance
        Of the polar set's microphone, m.
    """

    rig: Description
    ears: ImpulseResponse
    polar: ImpulseResponse
    gates: tuple[Gate, Gate]
    distance: float


def footing(
    run: Path, gating: gate.GateWish, match_ears: Literal["auto", "on", "off"], beside: Callable[[], object]
) -> Footing | None:
    """Matched ears, gates and gated spectra of a run, which later steps find again, in a copy of this process too;
    ``None`` without a polar set.

    Parameters
    ----------
    beside
        Called while another thread has the polar set, once its responses were read.
    """
    with (
        Session.read(session_file(run)) as session,
        ThreadPoolExecutor(1, "reading") as pool,  # inflating and transforms do not hold Python's lock
    ):
        rig = session.rig()
        ears_read = pool.submit(_ears, run, gating, match_ears)
        polar = session.responses("polar") if "polar" in session.sets else None
        more_read = pool.submit(beside)
        _ring_ahead(polar, gating)  # here: what it frees is used again, a thread's memory is not: 23 MB
        ears, chosen = ears_read.result()
        more_read.result()
    if polar is None or rig.ears is None or rig.polar is None:
        return None
    return Footing(rig, ears, polar, (chosen, gate.chosen(polar, gating)), rig.polar.distance_m)


def _ears(run: Path, gating: gate.GateWish, match_ears: Literal["auto", "on", "off"]) -> tuple[ImpulseResponse, Gate]:
    """The matched ears of a run's session, and their gate."""
    with Session.read(session_file(run)) as session:
        rig, ears = session.rig(), session.responses("ears")
    ears = corrected(ears, matched_ears(ears, rig, match_ears).gains)
    return ears, gate.chosen(ears, gating)


def _ring_ahead(polar: ImpulseResponse | None, gating: gate.GateWish) -> None:
    """Gate and spectra of a polar set, to be found when they are requested; a fault is met again there."""
    with suppress(BadInput):
        if polar is not None:
            gate.spectra(polar, gate.chosen(polar, gating))


Filters = tuple[FilterSet, Complex, Matched]
"""Filters of a fit, the virtual far ear over the near one ``(frequency,)``, and what made the ears agree."""


def listened(
    run: Path, known: Footing | None, extent: Extent, fitted: Callable[[], Filters]
) -> tuple[assessment.Arms, ZoneMap | None]:
    """Figures of all arms but :func:`levels` as a run's session predicts them, and the map of the listening zone.

    Parameters
    ----------
    known
        What the map begins with; without it there is none.
    fitted
        Requested once all is done that does not depend on the filters.

    Raises
    ------
    BadInput
        The session is missing or unfinished.
    """
    begun = _Begun.of(run)
    carried = _ground(known, extent)
    filters, far_ear, matched = fitted()
    arms = begun.arms(filters, matched)
    if carried is None:
        return arms, None
    return arms, zone_map(carried, filters, far_ear=far_ear, figures=arms.figures, drivers=begun.rig.driver)


def _ground(known: Footing | None, extent: Extent) -> Ground | None:
    """The part of the map that does not depend on the filters; ``None`` without a polar set."""
    if known is None:
        return None
    rig = known.rig
    c, at = speed_of_sound(rig.environment.temperature_c), np.array([d.at for d in rig.driver])
    from_session = measured(known.ears, known.polar, known.gates, at, known.distance, c)
    return ground_of(from_session, model_of(rig), extent.holding(rig.listening_m), assessment.pair_of(rig))
