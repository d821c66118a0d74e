"""Verification of a bank on the rig: sweeps through its filters at N places, one file for each, and figures."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.bank import SideFigures, VerifiedBank, VerifiedPlace, chosen, figures_of, verified
from sweetspot.calibrate.plant import corrected
from sweetspot.calibrate.run.kept import bank_figures, fitted_of, kept_bank
from sweetspot.calibrate.run.verification import Tracker, engine_of, new_file
from sweetspot.calibrate.verify import verification
from sweetspot.measure import run as hardware
from sweetspot.measure.folder import session_file
from sweetspot.measure.plan import Plan, Sources, excitation, plan_of
from sweetspot.measure.session import Session
from sweetspot.processor import store
from sweetspot.processor.bank import FilterBank
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.protocol import Operator, Rig
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import alone, discard
from sweetspot.rigs.units import Float, from_db

FOLDER = "places"
"""Folder in a run with one file for each verified place."""


def verify_places(run: Path, rig: Rig, count: int, now: datetime, *, ask: Operator, track: Tracker) -> VerifiedBank:
    """Play the bank's sweeps at places far from all measured ones, beside the filters of the default place.

    Of a bank for two listeners, each place has the heads of both: their figures together are compared with the
    prediction, which is for both, and each listener's own are stated beside it.

    Raises
    ------
    BadInput
        The run has no bank, or the rig no head.
    HardwareTrouble
        The interface, the stage or the disk failed.
    """
    found = bank_figures(run)
    if found is None:
        raise BadInput(f"{run / store.NAME}: has no bank: sweetspot calibrate {run} --bank bank.toml")
    bank, figures = found
    if rig.description.ears is None:
        raise BadInput(f"rig {rig.description.name!r} has no [ears]: a bank is verified with the dummy head")
    fitted = fitted_of(run)
    how, far = fitted.prediction.whole.gate, fitted.prediction.far_ear[:: verified.EVERY]
    rows, second = chosen(bank, figures, count), _second(run)
    ear, places = auditory.model_of(_description(run)), []
    (run / FOLDER).mkdir(exist_ok=True)
    with alone(run):
        for number, row in enumerate(rows, start=1):
            plan = plan_at(rig.description, bank, row, second)
            path = run / FOLDER / f"place-{number:02d}.h5"
            discard(path)
            with (
                new_file(path, run, rig, bank.home, now) as session,
                track(f"Place {number}", len(plan.captures)) as step,
            ):
                hardware.measure(rig, session, plan, ask=ask, step=step)
                responses = session.responses("ears")
            if fitted.ears:
                responses = corrected(responses, fitted.ears.gains)
            late = bank.home.delay_samples / bank.home.fs
            own, static = figures_of(responses, how, far, ear, late)
            heads = np.arange(len(responses.positions)).reshape(1 + len(second), -1)
            each = [figures_of(responses.at(some), how, far, ear, late)[0] for some in heads] if len(second) else []
            predicted = SideFigures(*(float(getattr(figures, n)[row]) for n in ("mean_db", "p10_db", "width_deg")))
            x, y = (float(v) for v in np.round(bank.places[row, :2], 4))
            interval = float(figures.low_db[row]), float(figures.high_db[row])
            away = float(figures.distance_m[row])
            places.append(
                VerifiedPlace(x, y, away, predicted, own, static=static, interval=interval, listeners=tuple(each))
            )
    return VerifiedBank(tuple(places))


def _description(run: Path) -> Description:
    with Session.read(session_file(run)) as session:
        return session.rig()


def _second(run: Path) -> Float:
    """Place of the second listener of a run's bank ``(1, 3)``, or nothing ``(0, 3)``."""
    kept = kept_bank(run)
    return np.zeros((0, 3)) if kept is None else kept[0].second_place


def plan_at(rig: Description, bank: FilterBank, row: int, second: Float) -> Plan:
    """Plan at one place, and at that of a second listener: both sides through its filters, then through those of the
    default place.

    As far below the ceiling as the session's sweeps, and softer where the head is nearer than the nominal one.
    """
    assert rig.ears is not None
    sweep, played = excitation(rig, tail=bank.home.length)
    seats = np.concatenate([bank.places[row : row + 1], second])
    nearest, limit = float(np.hypot(*seats[:, :2].T).min()), rig.sweep.level_dbfs - rig.limits.ceiling_dbfs
    share = float(from_db(min(limit, 0.0))) * min(1.0, nearest / rig.ears.distance_m)
    each = [
        verification.sources_of(rig, filters, engine_of(filters), played, ("left", "right"), share=share)
        for filters in (bank.at(row).without_upmix(), bank.home.without_upmix())
    ]
    sources = Sources(
        "program",
        verified.NAMES,
        each[0].signals + each[1].signals,
        each[0].levels + each[1].levels,
        each[0].shapes + each[1].shapes,
    )
    at = [pose for seat in seats for pose in verified.poses_around(seat, rig.ears.distance_m)]
    return plan_of(rig, "ears", sources, sweep, played, at, extra_after=bank.home.length)
