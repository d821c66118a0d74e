"""Stored results of a calibration in a run folder: fit, bank, zone and front; and changes since."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sweetspot.calibrate import bank as banks
from sweetspot.calibrate import study
from sweetspot.calibrate.auditory import Assessment, ZoneMap
from sweetspot.calibrate.design import BankDesign, parse_bank
from sweetspot.calibrate.plant import BeamFit, FarEar, Fitted, Matched, Prediction
from sweetspot.calibrate.plant import errors as loading
from sweetspot.measure.folder import session_file
from sweetspot.measure.session import Session
from sweetspot.processor import store
from sweetspot.processor.bank import FilterBank
from sweetspot.processor.run_folder import changed_since
from sweetspot.rigs.errors import BadInput, command
from sweetspot.rigs.storage import as_stored, file_sha256, root_text
from sweetspot.rigs.units import Float

Made = TypeVar("Made")

VERIFIED, MEASURED, MEASURING = "verify.h5", ".verify.h5.measured", ".verify.h5.measuring"
"""A verification in a run folder: with its verdict; measured to its end; while it is measured."""


def to_keep(fitted: Fitted, plain: Float) -> dict[str, Any]:
    """The part of a fit that verification and report read again, and plain stereo of the unit, for the bypass."""
    return {
        **fitted.prediction.to_dict(),
        "limits": [",".join(side) for side in fitted.limits],
        "reference": np.array(fitted.reference),
        "plain": plain.astype(np.float32),
        "virtual": asdict(fitted.far_ear),
        "loading": json.dumps(loading.to_dict(fitted.loading)),
        "ears": asdict(fitted.ears) if fitted.ears else {},
    }


def fitted_of(run: Path) -> Fitted:
    """A stored calibration, read again.

    Raises
    ------
    BadInput
        There is no filterset, or it holds no prediction.
    """
    filters = store.read(run)
    kept = store.read_prediction(run)
    if kept.get("without") == "ears":
        raise BadInput(_no_ears(run, filters.unit_serial))
    if "score" not in kept:
        raise BadInput(f"{run / store.NAME}: has no prediction; run: sweetspot calibrate {run}")
    reference = store.reference_of(run, filters)
    with _stored(run):
        return Fitted(
            filters,
            Prediction.of_dict(kept),
            limits=np.array([side.split(",") for side in kept["limits"]]),
            reference=reference,
            far_ear=FarEar(**{name: float(value) for name, value in kept["virtual"].items()}),
            ears=Matched(float(e["left_db"]), float(e["right_db"]), str(e["text"])) if (e := kept["ears"]) else None,
            loading=tuple(loading.ErrorBand(**b) for b in json.loads(kept["loading"])),
        )


def _stored(run: Path) -> AbstractContextManager[None]:
    """Around what makes records of a run's stored prediction."""
    return as_stored(f"{run / store.NAME}: /prediction", f"Calibrate again: {command('calibrate', run)}")


def _no_ears(run: Path, serial: str) -> str:
    """Error for the verification of filters from a polar set only, with the remedy."""
    made = f"{run}: was calibrated from a polar set only"
    with Session.read(session_file(run)) as session:
        if "ears" in session.sets:
            return f"{made}, before its ears were measured; calibrate again: {command('calibrate', run)}"
        rig = session.rig()
    least = f"{made}: there is no ears set, and cancellation, image and levels are verified at the ears. "
    if rig.ears is None:
        return f"{least}Its rig has no [ears] table; add one (sweetspot rig keys), measure and calibrate again"
    return (
        f"{least}Measure it: sweetspot measure ears {run / 'rig.toml'} --unit {serial} --run {run}, and calibrate "
        f"again; for the beam as predicted: {command('report', run)}"
    )


def beam_of(run: Path) -> BeamFit | None:
    """The beam of a run that was calibrated from a polar set only; ``None`` where ears were measured too.

    Raises
    ------
    BadInput
        There is no filterset, or it holds no prediction.
    """
    filters, kept = store.read(run), store.read_prediction(run)
    if kept.get("without") != "ears":
        return None
    reference = store.reference_of(run, filters)
    with _stored(run):
        return BeamFit.of(filters, kept, reference)


def kept_bank(run: Path) -> tuple[BankDesign, str] | None:
    """The bank.toml of the bank that a run has; ``None`` where it has none, or a file that cannot be read."""
    try:
        if not (run / store.NAME).is_file() or not store.has_bank(run):
            return None
        text = store.read_bank(run).design_text
    except BadInput:
        return None
    return parse_bank(text, f"{run / store.NAME}: the bank.toml of /bank"), text


def bank_figures(run: Path) -> tuple[FilterBank, banks.BankFigures] | None:
    """The bank of a calibrated run with its predicted figures; ``None`` where there is none."""
    if not store.has_bank(run):
        return None
    kept = store.read_bank(run)
    with _stored(run):
        return kept.bank, banks.BankFigures.of(kept.prediction)


def zone(run: Path) -> ZoneMap | None:
    """The listening zone that was mapped when a run was calibrated; ``None`` where it was not."""
    return _predicted(run, "zone", lambda text: ZoneMap.of_dict(json.loads(text)))


def kept_image(run: Path) -> Assessment | None:
    """The listener's metrics that were predicted when a run was calibrated; ``None`` where they were not."""
    return _predicted(run, "image", Assessment.of)


def kept_front(run: Path) -> list[study.FrontPoint]:
    """The front that was computed with a run's calibration; else empty."""
    return _predicted(run, "pareto", lambda text: [study.FrontPoint(**row) for row in json.loads(text)]) or []


def _predicted(run: Path, name: str, made: Callable[[str], Made]) -> Made | None:
    """What a text of ``/prediction`` holds; ``None`` where there is none."""
    text = store.predicted_text(run, name)
    with _stored(run):
        return made(text) if text else None


def changes(run: Path) -> tuple[str, ...]:
    """Files changed since a later step used them: rig, session, filter set, verification; one line each.

    A rig file that changed is refused when the session is read.
    """
    path, filters = run / store.NAME, store.read(run)
    found = list(changed_since(path, filters))
    if (run / VERIFIED).is_file() and root_text(run / VERIFIED, "filterset_sha256") != file_sha256(path):
        found.append(f"{path} was changed after {VERIFIED} was measured through it (SHA-256 differs): verify again")
    return tuple(found)
