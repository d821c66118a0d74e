"""A unit's cycle on the line: capture, estimate, fit, export, verify, record; each step timed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import Design
from sweetspot.calibrate.line import monitoring
from sweetspot.calibrate.line.state import LineState
from sweetspot.calibrate.plant import Fitted
from sweetspot.calibrate.quick import GoldenModel
from sweetspot.calibrate.quick import run as quick
from sweetspot.calibrate.run import records
from sweetspot.measure import folder
from sweetspot.measure import run as hardware
from sweetspot.measure.judge import loudest_db, pascals
from sweetspot.measure.monitor import plan_at_once
from sweetspot.measure.plan import Plan
from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.measure.shot import ALL
from sweetspot.processor import store
from sweetspot.processor.export import bundle
from sweetspot.processor.files import write_all
from sweetspot.rigs.errors import BadInput, DiskFull, HardwareTrouble, Held, SweetspotError
from sweetspot.rigs.load import open_rig, utc_now
from sweetspot.rigs.names import check_serial, utc_text
from sweetspot.rigs.protocol import Rig, unattended
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import APPEND_S, alone, alone_in, append, file_sha256

HEARD = "monitor.h5"
"""Responses of the deployed filters at the monitors, in a run's folder."""

UNIT_DB = 3.0
"""Largest rise of level between units, dB; a low-level trial is made only if the limit could be exceeded."""

OTHERS = 20
"""Number of other runs compared if a unit may have another's filters."""

NOBODY = unattended('there are no moves on a line; give the rig stage.driver = "fixed"')


@dataclass(frozen=True, slots=True, eq=False)
class LineSetup:
    """Setup of a line.

    Parameters
    ----------
    model, model_sha256
        The golden model and its file's digest.
    runs, records
        Folders of runs and of records.
    engine
        To which filters are exported.
    every
        Every so many units, one is verified fully; 0 for none.
    design, design_text
        What is wanted of the filters.
    again
        Whether a unit that has passed may come again.
    """

    rig: Description
    model: GoldenModel
    model_sha256: str
    runs: Path
    records: Path
    engine: str = "firmware"
    every: int = 0
    design: Design = field(default_factory=Design)
    design_text: str = ""
    again: bool = False


def state_of(line: LineSetup) -> LineState:
    """The line's state including earlier records.

    Raises
    ------
    BadInput
        The folder of records cannot be written.
    """
    records.check_folder(line.records)
    state = LineState(line.rig.name, f"{line.model.text}, SHA-256 {line.model_sha256[:12]}", line.every)
    state.resumed(records.of_line(line.records))
    return state


def check_unit(line: LineSetup, serial: str) -> None:
    """Refuse an invalid serial number, and a unit that has already passed.

    Raises
    ------
    BadInput
        Says when it passed.
    """
    check_serial(serial, "serial number")
    if not line.again and (passed := records.passed(records.of_line(line.records, serial))):
        raise BadInput(f"unit {serial} passed on {passed} already; start with --again to repeat units")


class Stopped(Exception):
    """The operator stopped the cycle between two steps."""


def cycle(line: LineSetup, state: LineState, serial: str) -> dict[str, Any]:
    """Run the cycle of one unit; an error becomes its record, also that the record could not be written.

    Call :func:`check_unit`, and :meth:`LineState.begins` of the state, first.
    """
    record: dict[str, Any] = {
        "utc": utc_text(utc_now()),
        "unit": serial,
        "rig": line.rig.name,
        "model_sha256": line.model_sha256,
        "verdict": "error",
        "reasons": [],
        "cause": "",
        "seconds": {},
    }
    try:
        _carried(line, state, serial, record)
    except Stopped:
        record |= {"verdict": "error", "cause": "stopped", "reasons": ["stopped by the operator"]}
    except SweetspotError as trouble:
        cause = "rig" if isinstance(trouble, HardwareTrouble) else "input"
        cause = "disk" if isinstance(trouble, DiskFull) else cause
        record |= {"verdict": "error", "cause": cause, "reasons": [_reason(trouble)]}
        if "run" in record and not Path(record["run"]).is_dir():  # refused before the first capture
            del record["run"]
    except Exception as fault:  # one unit's trouble must not end the line
        record |= {"verdict": "error", "cause": "program", "reasons": [f"{type(fault).__name__}: {fault}"]}
    try:
        with _timed(state, record, "record"), alone_in(line.records, APPEND_S):
            record |= _doubled(line, record)
            record["sample_due"] = record["verdict"] == "pass" and _due(line, state)
            append(line.records / records.LINE, json.dumps(record))
    except (OSError, SweetspotError) as trouble:
        lost = f"{record['verdict']}, but not recorded: {trouble}"
        record |= {"verdict": "error", "cause": "records", "reasons": [lost], "sample_due": False}
    finally:
        state.ends(record)
    return record


def _doubled(line: LineSetup, record: Mapping[str, Any]) -> dict[str, Any]:
    """Changes of a record: a unit whose number passed elsewhere since it was scanned does not pass a second time."""
    if record["verdict"] != "pass" or line.again:
        return {}
    reason = records.doubled(record["unit"], records.passed(records.of_line(line.records, record["unit"])))
    return {"verdict": "error", "cause": "doubled", "reasons": [reason]} if reason else {}


def _reason(trouble: SweetspotError) -> str:
    """An error in one line, without the advice to resume the run: on a line the unit is repeated."""
    return (trouble.trouble if isinstance(trouble, Held) else str(trouble)).splitlines()[0]


def _due(line: LineSetup, state: LineState) -> bool:
    """Whether this good unit is one of those that are verified fully."""
    return line.every > 0 and state.to_dict()["counts"].get("pass", 0) % line.every == 0


@contextmanager
def _timed(state: LineState, record: dict[str, Any], name: str) -> Iterator[None]:
    if state.stopping and name != "record":
        raise Stopped
    state.at(name)
    began = time.perf_counter()
    try:
        yield
    finally:
        record["seconds"][name] = round(time.perf_counter() - began, 3)


def _carried(line: LineSetup, state: LineState, serial: str, record: dict[str, Any]) -> None:
    with _timed(state, record, "capture"):
        rig = open_rig(line.rig, serial=serial)
    with rig:
        with _timed(state, record, "capture"):
            run = folder.new(line.runs, serial, line.rig, utc_now())
            record["run"] = str(run)
            with folder.removed_if_refused(run), alone(run), Session.resume(run / "session.h5") as session:
                wanted = plan_at_once(line.rig, "monitor")
                hardware.measure(
                    rig, session, wanted, ask=NOBODY, step=lambda note: None, levels=_levels_of_line(line, state)
                )
                state.level_db = _loudest(session, wanted)
        with _timed(state, record, "estimate"):
            found = quick.complete(run, line.model, line.model_sha256)
        record |= {"estimate": found.to_dict(), "remarks": list(found.remarks)}
        if not found.accepted:
            first = found.findings[0]
            box = any(x.what != "driver" for x in found.findings)
            record |= {
                "verdict": "error" if box else "refused",
                "cause": first.label,
                "reasons": [x.text for x in found.findings],
            }
            return
        with _timed(state, record, "fit"):
            fitted = steps.calibrate(run, line.design, line.design_text)
        with _timed(state, record, "export"):
            out = run / "export"
            write_all(out, bundle(fitted.filters, line.engine).everything())
            record |= {"export": str(out), "filterset_sha256": file_sha256(run / store.NAME)}
        with _timed(state, record, "verify"):
            verdict = _measured_at_monitors(run, rig, fitted)
        record["monitors"] = verdict.to_dict()
        judged = "pass" if verdict.passed else "error" if verdict.box else "fail"
        record |= {"verdict": judged, "cause": verdict.fault, "reasons": list(verdict.causes)}


def _levels_of_line(line: LineSetup, state: LineState) -> dict[int | None, float]:
    """Expected levels of a unit, from the one before; the first is measured at a low level."""
    return {} if state.level_db is None else {ALL: state.level_db + UNIT_DB}


def _loudest(session: Session, wanted: Plan) -> float:
    """Level of a monitor capture, dB SPL."""
    rig = session.rig()
    x = session.raw("monitor", min(session.landed("monitor")))[0][:-1]
    return loudest_db(x, pascals(rig, wanted.mics), rig.fs)[0]


def _measured_at_monitors(run: Path, rig: Rig, fitted: Fitted) -> monitoring.MonitorVerdict:
    """Measure the deployed filters at the monitors, and judge them."""
    filters = fitted.filters
    now = utc_text(utc_now())
    file = run / HEARD
    file.unlink(missing_ok=True)
    about = {"filterset_sha256": file_sha256(run / store.NAME), "session_sha256": filters.source}
    with Session.read(run / "session.h5") as session:
        unit, before = session.responses("monitor"), session.per_bin("monitor", "stderr")
    wanted, levels = monitoring.within_limit(rig.description, filters, steps.engine_of(filters), unit)
    with Session.create(file, rig.description, filters.unit_serial, now, schema=VERIFICATION, **about) as heard:
        hardware.measure(rig, heard, wanted, ask=NOBODY, step=lambda note: None, levels=levels)
        got, noise = heard.responses("monitor"), heard.per_bin("monitor", "stderr")
    return monitoring.judged(got, unit, filters, _others(run), (noise, before))


def _others(run: Path) -> Mapping[str, Any]:
    """Filters of the newest other units, which may be deployed by mistake."""
    found = {}
    paths = sorted(run.resolve().parent.parent.glob(f"*/*/{store.NAME}"), key=lambda p: -p.stat().st_mtime)
    for path in [p for p in paths if p.parent.parent != run.resolve().parent][:OTHERS]:
        try:
            other = store.read(path)
        except BadInput:
            continue
        found[f"unit {other.unit_serial}"] = other
    return found
