"""Sets of responses of a run for design and verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant import MeasuredSet, MeasurementError, nearest_ahead, one_direction, positions
from sweetspot.calibrate.plant import errors as loading
from sweetspot.measure.folder import session_file
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.plan import SetName
from sweetspot.measure.session import Session
from sweetspot.rigs.storage import as_stored
from sweetspot.rigs.units import Float

KEPT_SETS = 2
"""Ears and polar set of one session."""


def measured_sets(session: Session) -> tuple[MeasuredSet, MeasuredSet]:
    """Ears and polar set of a session; without a polar set, its substitute ahead."""
    ears = measured_set(session, "ears")
    if "polar" in session.sets:
        return ears, measured_set(session, "polar")
    row = nearest_ahead(ears.ir)
    return ears, MeasuredSet(one_direction.stand_in(ears.ir, row), one_direction.stand_in_error(ears.errors, row))


_kept: dict[tuple[object, SetName], MeasuredSet] = {}
"""The last sets that were read from large sealed files, by the file's state."""


def measured_set(session: Session, name: SetName) -> MeasuredSet:
    """Responses of a set and their measurement errors; from a sealed file they are read once."""
    if session.state is None:
        return _read(session, name)
    key = (session.state, name)
    if key not in _kept:
        while len(_kept) >= KEPT_SETS:
            del _kept[next(iter(_kept))]
        _kept[key] = _read(session, name)
    return _kept[key]


def _read(session: Session, name: SetName) -> MeasuredSet:
    ir, stderr, closed = session.responses(name), session.per_bin(name, "stderr"), session.closure(name)
    missed = session.estimate_error(name)
    with as_stored(f"{session.path}: /{name}", "Restore it from a copy, or measure again"):
        drift: float | Float = 0.0
        if missed is not None:
            drift = loading.on_grid(missed, ir.fs, ir.h.shape[-1])
        elif closed is not None:
            drift = loading.drift_of(closed.error_db, float(ir.snr_db[0, ir.mics.index(closed.mic), 0]))
        return MeasuredSet(ir, MeasurementError(stderr, drift))


def scoring(ears: MeasuredSet) -> MeasuredSet:
    """The set with a position held out for scoring, if the rig has none."""
    return replace(ears, ir=positions.scoring(ears.ir))


def nominal(ears: ImpulseResponse) -> NDArray[np.float32]:
    """Responses ``(ear, driver, tap)`` of the nominal head from time zero on, to listen with."""
    return ears.h[nearest_ahead(ears), :, :, ears.zero :].astype(np.float32)


def level_known(run: Path) -> bool:
    """Whether a run's responses are in pascal; imported ones may only be relative."""
    with Session.read(session_file(run)) as session:
        return session.responses("ears").unit == "Pa/FS"


def scored_where_designed(run: Path) -> bool:
    """Whether every position that is scored is one that was designed from: predicted figures are better than beside."""
    with Session.read(session_file(run)) as session:
        ears = session.responses("ears")
    design, score = ears.used_for("design"), ears.used_for("score")
    return bool(len(score.h)) and all(any(np.array_equal(a, b) for b in design.h) for a in score.h)


def without_ears(run: Path) -> bool:
    """Whether a run holds a polar set and no ears: its filters are a beam beside plain stereo."""
    with Session.read(session_file(run)) as session:
        return session.sets == ("polar",)
