"""Measurement of a verification: a run's sweeps through processor and rig, or from recordings, into a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sweetspot.calibrate.plant import Fitted, share_of
from sweetspot.calibrate.run.kept import MEASURED, MEASURING
from sweetspot.calibrate.run.listening import ListenerAhead
from sweetspot.calibrate.run.sets import measured_set
from sweetspot.calibrate.verify import (
    OWN,
    Deployed,
    chain_figures,
    insert,
    loudness,
    recorded,
    verification,
)
from sweetspot.measure import run as hardware
from sweetspot.measure.folder import session_file
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.judge import rub_and_buzz
from sweetspot.measure.listener import CaptureAnalyser
from sweetspot.measure.plan import SETS, Plan, SetName
from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.processor import store
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.render import render
from sweetspot.rigs.errors import BadInput, TooLoud
from sweetspot.rigs.names import utc_text
from sweetspot.rigs.progress import say
from sweetspot.rigs.protocol import Operator, Rig
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import alone, discard, file_sha256, move
from sweetspot.rigs.units import Float, from_db

TRIES = 3
"""Visits of a verification, each quieter, until no microphone passes the SPL limit."""

NEARER_DB = 12.0
"""Largest excess over the SPL limit, dB, at a microphone nearer to the drivers; beyond it the processor is too loud."""

SPARE_DB = 0.5
"""Lowered by more than the excess over the SPL limit, dB: other positions may be a little louder."""

APART = {"x": 0.005, "y": 0.005, "z": 0.005, "yaw_deg": 0.5, "azimuth_deg": 0.5}
"""Largest differences of a place in the session from that in the rig file, m and degrees: an import may be rounded."""

Tracker = Callable[[str, int], Any]
"""Opens a progress bar for a title and a number of pieces; a context manager that yields the step function."""


@lru_cache(maxsize=1)
def engine_of(filters: FilterSet) -> verification.Processor:
    """The deployed processor in process: sweetspot's own engine. Each signal is rendered once, for all plans."""
    known: dict[tuple[tuple[int, ...], bytes], Float] = {}

    def process(x: Float) -> Float:
        signal = x.shape, hashlib.sha256(x.tobytes()).digest()
        if signal not in known:
            made = np.asarray(render(filters, x, filters.fs))
            made.setflags(write=False)
            known[signal] = made
        return known[signal]

    return process


def measure_verification(
    run: Path,
    rig: Rig,
    fitted: Fitted,
    now: datetime,
    *,
    ask: Operator,
    track: Tracker,
    processor: Deployed | None = None,
    listener: ListenerAhead | None = None,
) -> Path:
    """Play the verification's sweeps through processor and rig into a file beside ``verify.h5``.

    :func:`judge` puts it in the place of ``verify.h5`` once the verdict is in it; until then an earlier verification
    stands. What an interrupted one left behind is thrown away: a verification is one visit, and starts over.

    Parameters
    ----------
    processor
        What is deployed; by default our own engine.
    listener
        Gets the ears as soon as they are measured.

    Raises
    ------
    BadInput
        The rig cannot play through this processor.
    HardwareTrouble
        The interface, the stage, the disk or the processor failed; an earlier verification still stands.
    """
    if rig.description.ears and all(p.use != "score" for p in rig.description.ears.positions):
        raise BadInput(
            f"rig {rig.description.name!r} has no scoring position, which a verification needs: "
            'give some entries of ears.positions use = "score" and measure those'
        )
    if rig.description.ears:  # the first poses are prepared while the sweeps are made
        rig.read(hardware.inputs_read(rig.description, rig.description.ear_mics))
        rig.expect([pose for pose, _ in verification.visited(rig.description, "ears")])
    through = processor or Deployed(OWN, fitted.filters, None)
    filters = through.filters
    with Session.read(session_file(run)) as session:
        measured = measured_set(session, "ears").ir  # as the verdict reads it
        sets = _sets_of(session, rig.description)
    known = rig.interface.planned if isinstance(rig.interface, recorded.RecordedInterface) else None
    share = known.share if known else _share(rig.description, filters, measured)
    for _ in range(TRIES - 1):
        try:
            return _played(run, rig, through, sets, measured, now, ask=ask, track=track, share=share, listener=listener)
        except TooLoud as loud:  # at a microphone that the session does not have, as fixed ones
            if known:
                raise BadInput(
                    f"{loud.excess}: the recordings are {loud.over_db or 0.0:.1f} dB above the limit, or their level "
                    "is not that of the session: set amplifier and preamplifiers as they were, and record again"
                ) from loud
            if loud.over_db is None or loud.over_db > NEARER_DB:
                raise
            share *= float(from_db(-loud.over_db - SPARE_DB))
            say(f"{loud.excess}. The verification starts over, {loud.over_db + SPARE_DB:.1f} dB lower")
    return _played(run, rig, through, sets, measured, now, ask=ask, track=track, share=share, listener=listener)


def _played(
    run: Path,
    rig: Rig,
    through: Deployed,
    sets: Sequence[SetName],
    measured: ImpulseResponse,
    now: datetime,
    *,
    ask: Operator,
    track: Tracker,
    share: float,
    listener: ListenerAhead | None,
) -> Path:
    """One visit of :func:`measure_verification` at a share of the largest level."""
    filters, path = through.filters, run / MEASURING
    process = engine_of(filters)
    recordings = rig.interface if isinstance(rig.interface, recorded.RecordedInterface) else None
    if recordings and recordings.planned.share == share:
        plans = recordings.planned.plans
    else:
        plans = {
            n: verification.plan(
                rig.description, n, filters, process, through.inputs, share=share, lowered_db=through.lowered_db
            )
            for n in sets
        }
    known = recordings.analysed if recordings else hardware.unknown
    with (
        alone(run),
        insert.ready(rig, through, plans["ears"], measured, ask) as ready,
        _begun(path, rig, filters, now) as captured,
    ):
        used: dict[str, Any] = {
            "name": through.name,
            "form": _form(filters),
            "latency_samples": insert.latency_of(ready.interface),
        }
        used |= {"share": share, "lowered_db": through.lowered_db}
        used["guard_db"] = insert.guard_of(ready.interface)
        captured.annotate("through", json.dumps(used))
        for name, plan in plans.items():
            with track("Verifying at ears" if name == "ears" else "Verifying around", len(plan.captures)) as step:
                hardware.measure(ready, captured, plan, ask=ask, step=step, meanwhile=True, known=known)
            if name == "ears":  # what follows of them is not waited for at the end
                if listener is not None:
                    listener.give(measured_set(captured, "ears"))
                used["distortion"] = _distortion(captured, rig.description, plan)
                used["rub_and_buzz"] = _rub_and_buzz(captured, rig.description, plan)
        captured.annotate("through", json.dumps(used))
    move(path, run / MEASURED)
    return run / MEASURED


def planned(run: Path, rig: Description, filters: FilterSet) -> verification.Planned:
    """A verification through the built-in engine."""
    with Session.read(session_file(run)) as session:
        sets = _sets_of(session, rig)
        share = _share(rig, filters, session.responses("ears"))
    plans = {n: verification.plan(rig, n, filters, engine_of(filters), share=share) for n in sets}
    return verification.Planned(plans, share)


def _sets_of(session: Session, rig: Description) -> tuple[SetName, ...]:
    """The sets of a verification, which visits the places of the rig file: those that the session predicts for.

    Raises
    ------
    BadInput
        They differ, as an import's may: where, and what to do.
    """
    sets: tuple[SetName, ...] = SETS if "polar" in session.sets else ("ears",)
    for name in sets:
        visited = np.array([row for _, row in verification.visited(rig, name)], dtype=POSITION)
        known = session.positions(name)
        known = known[known["use"] == b"score"] if name == "ears" else known
        if len(visited) == len(known) and all(np.abs(visited[k] - known[k]).max() < APART[k] for k in APART):
            continue
        what = "scoring positions" if name == "ears" else "directions"
        raise BadInput(
            f"the {what} of the {name} set in {session.path} ({len(known)}) are not those of its rig file "
            f"({len(visited)}), where a verification measures: import again with a rig file that has the same "
            + ("ears.positions, each with its use" if name == "ears" else "polar.step_deg")
        )
    return sets


def _share(rig: Description, filters: FilterSet, measured: ImpulseResponse) -> float:
    """Share of a verification's level that the rig's loudest level leaves."""
    return loudness.within(rig, verification.plan(rig, "ears", filters, engine_of(filters)), measured)


def write_stimuli(run: Path, fitted: Fitted, out: Path) -> list[Path]:
    """Write a verification's sweeps for another recorder, and the list of recordings."""
    with Session.read(session_file(run)) as session:
        rig = recorded.single(session.rig())
    return recorded.write(planned(run, rig, fitted.filters).plans, out)


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
    made = recorded.RecordedInterface(
        rig, planned(run, rig, fitted.filters), recordings, stage, fitted.prediction, fitted.filters
    )
    return Rig(rig, made, stage, meanwhile=True)


def refused_recording(run: Path) -> str:
    """Why a verification could not use its last recording."""
    with Session.read(run / MEASURING, VERIFICATION) as captured:
        found = [r for name in captured.sets for r in captured.rejected(name)]
    return found[-1][1] if found else ""


def _distortion(captured: Session, rig: Description, plan: Plan) -> list[dict[str, Any]]:
    """Harmonic distortion of each stimulus at its near ears at the first position."""
    listener = CaptureAnalyser.of(rig, plan)
    near = {name: slice(ears[0], ears[-1] + 1) for name, ears in chain_figures.NEAR.items()}
    found = {
        name: listener.distortion(captured, plan.order[0], i, near[name]) for i, name in enumerate(plan.sources.names)
    }
    lowest = max((shape.half_hz(0.0) for shape in plan.sources.shapes), default=0.0)
    return chain_figures.to_dict({name: one for name, one in found.items() if one is not None}, lowest)


def _rub_and_buzz(captured: Session, rig: Description, plan: Plan) -> list[dict[str, Any]]:
    """Rub and buzz of each stimulus at its near ears, at the first positions."""
    listener = CaptureAnalyser.of(rig, plan)
    positions = plan.order[: rub_and_buzz.POSITIONS]
    found = {
        name: listener.rub_and_buzz(captured, positions, i, chain_figures.NEAR[name])
        for i, name in enumerate(plan.sources.names)
    }
    return chain_figures.rows_of(found)


def _begun(path: Path, rig: Rig, filters: FilterSet, now: datetime) -> Session:
    """A new file of a verification, without the rest of an interrupted one."""
    for old in (path, path.with_name(MEASURED)):
        discard(old)
    return new_file(path, path.parent, rig, filters, now)


def new_file(path: Path, run: Path, rig: Rig, filters: FilterSet, now: datetime) -> Session:
    """A new session file for measurements of a run through its filters."""
    return Session.create(
        path,
        rig.description,
        filters.unit_serial,
        utc_text(now),
        schema=VERIFICATION,
        filterset_sha256=file_sha256(run / store.NAME),
        session_sha256=filters.source,
    )


def _form(filters: FilterSet) -> str:
    return "upmix" if share_of(filters) > 0.0 else "stereo"
