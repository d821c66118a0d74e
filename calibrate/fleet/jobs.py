"""Jobs of a fleet: its runs, those that are due, and a worker's steps for one run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sweetspot.calibrate import quick
from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.fleet.ledger import Figure, Outcome
from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.processor import store
from sweetspot.rigs.errors import BadInput, Unfinished
from sweetspot.rigs.storage import as_stored, file_sha256

DEPTH = ("", "*/", "*/*/")
"""Depths below a folder at which runs are searched: the run itself, a unit's runs, a folder of units."""

VERIFIED = "verify.h5"

FILES = {"session": "session.h5", "rig": "rig.toml", "filterset": store.NAME, "verification": VERIFIED}
"""Files of a run that its figures depend on: the table keeps a SHA-256 and a stamp of each."""

MADE = ("filterset", "verification")
"""Files that the work itself makes: their hashes are taken when it ends, before the figures are read."""

MADE_BY = (*(f"{name}_sha256" for name in FILES), "design_sha256", "version", "steps")
"""Columns that show whether a run was done with the same input and is unchanged."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be worked on.

    Parameters
    ----------
    run
        Its folder, absolute.
    steps
        ``("fit",)`` or ``("fit", "verify")``.
    design_text
        The design file, verbatim, empty for the defaults; ``None`` for the one that the run's filters were fitted with.
    identity
        What its result depends on, see :data:`MADE_BY`.
    """

    run: str
    steps: tuple[str, ...]
    design_text: str | None
    limits: Limits
    identity: Mapping[str, Any]


def runs(folders: Iterable[Path]) -> list[Path]:
    """Every run folder in or below the given ones, sorted, each once.

    Raises
    ------
    BadInput
        A folder is missing, or holds no run.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise BadInput(f"{folder}: no such folder; give the folder of the units' runs, for example runs/")
        here = sorted(p.parent.resolve() for depth in DEPTH for p in folder.glob(f"{depth}session.h5"))
        if not here:
            raise BadInput(f"{folder}: holds no run (session.h5, */session.h5 or */*/session.h5)")
        found.update(dict.fromkeys(here))
    return list(found)


def job(
    run: Path,
    steps: tuple[str, ...],
    design_text: str | None,
    limits: Limits,
    design_sha256: str,
    *,
    row: Mapping[str, Any] | None = None,
) -> Job:
    """Job of one run with its inputs; ``row`` is the run's in the table, see :func:`hashes`.

    A run without a row is due whatever its files hold: the worker takes their hashes, many at once.
    """
    identity = hashes(run, row=row) if row else {f"{name}_{what}": "" for name in FILES for what in ("sha256", "stamp")}
    identity |= {"design_sha256": design_sha256, "version": _version(), "steps": "+".join(steps)}
    return Job(str(run), steps, design_text, limits, identity)


@cache
def _version() -> str:
    """Of this installation; 1 ms each time it is looked up."""
    return version("sweetspot")


def hashes(run: Path, names: Iterable[str] = FILES, row: Mapping[str, Any] = MappingProxyType({})) -> dict[str, str]:
    """SHA-256 and stamp (size, time of the last change, inode) of a run's files; empty for one that cannot be read.

    Parameters
    ----------
    names
        Which ones, see :data:`FILES`.
    row
        What the table holds of the run: a file with the same stamp is not read again.
    """
    found: dict[str, str] = {}
    for name in names:
        path, sha256, stamp = run / FILES[name], "", ""
        with contextlib.suppress(OSError):
            stat = path.stat()
            stamp = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
            same = stamp == row.get(f"{name}_stamp")
            sha256 = row[f"{name}_sha256"] if same else file_sha256(path)
        found |= {f"{name}_sha256": sha256, f"{name}_stamp": stamp if sha256 else ""}
    return found


def dead(job: Job, reason: str, **more: int) -> Outcome:
    """The outcome of a unit whose job never finished."""
    run = Path(job.run)
    known = {"unit": run.parent.name, **job.identity, **hashes(run), **more}
    return Outcome(job.run, "failed", reason, known)


def counted(outcome: Outcome, attempt: int) -> Outcome:
    """An outcome with the attempt that it took."""
    return replace(outcome, about={**outcome.about, "attempts": attempt})


def due(jobs: Iterable[Job], known: Mapping[str, Mapping[str, Any]], *, retry: bool) -> Iterator[Job]:
    """Jobs without a result in the table, or with changed inputs.

    A run that failed with the same input is not tried again unless ``retry``.
    """
    for job in jobs:
        row = known.get(job.run)
        same = row is not None and all(row.get(k) == job.identity[k] for k in MADE_BY)
        if not same or row is None:
            yield job
        elif row["status"] != "done":
            if retry:
                yield job
        elif not (Path(job.run) / store.NAME).is_file():
            yield job


def changed(known: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Runs in the table with files changed since; moved runs do not count."""
    return [run for run, row in known.items() if row["status"] == "done" and _differs(Path(run), row)]


def moved(known: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Runs in the table whose folder is gone while another one holds the same session: it was moved or renamed."""
    there = {run: Path(run).is_dir() for run in known}
    found = {row["session_sha256"] for run, row in known.items() if there[run] and row["session_sha256"]}
    return [run for run, row in known.items() if not there[run] and row["session_sha256"] in found]


def _differs(run: Path, row: Mapping[str, Any]) -> bool:
    names = [name for name in FILES if row.get(f"{name}_sha256") and row.get(f"{name}_stamp")]
    if not names or not run.is_dir():
        return False
    now = hashes(run, names, row)
    return any(now[f"{name}_sha256"] != row[f"{name}_sha256"] for name in names)


def about(run: Path) -> dict[str, Any]:
    """Unit, rig and time of a run, from its session.

    Raises
    ------
    Unfinished
        The session has neither responses nor a refusal of its unit: a line was killed, or stopped, before it had them.
    """
    with Session.read(run / "session.h5") as session:
        facts = session.attributes
        if not session.has("ears") and not session.has("polar") and not quick.run.was_refused(session):
            raise Unfinished(f"{run}: its unit was not measured to the end; measure the unit anew, or remove the run")
        return {"unit": session.serial, "rig": session.rig().name, "created_utc": str(facts["created_utc"])}


def own_design(run: Path) -> str:
    """The design that the run's filters were fitted with; that of the defaults where there are none."""
    try:
        return store.read_design(run)
    except BadInput:
        return ""


def is_fresh(run: Path, session_sha256: str, design_text: str) -> bool:
    """Whether the run's filters were fitted from this very session with this design."""
    try:
        return store.read(run).source == session_sha256 and store.read_design(run) == design_text
    except BadInput:
        return False


OUTDATED = "verified with another {}: its figures were omitted; run sweetspot verify {}"


def verified(run: Path, session_sha256: str, filterset_sha256: str) -> tuple[tuple[Figure, ...], str]:
    """The figures of the run's verification, if it was verified, and why they were left out, if they were.

    Parameters
    ----------
    session_sha256, filterset_sha256
        Of the run's files: a verification of other files does not apply.
    """
    path = run / VERIFIED
    if not path.is_file():
        return (), ""
    with Session.read(path, VERIFICATION) as heard:
        made_with, text = heard.attributes, heard.annotation("verdict")
    for name, now in (("session", session_sha256), ("filterset", filterset_sha256)):
        if str(made_with.get(f"{name}_sha256", "")) != now:
            return (), OUTDATED.format("session" if name == "session" else "filter set", run)
    with as_stored(f"{path}: /verdict", f"Verify again: sweetspot verify {run}"):
        verdict = json.loads(text) if text else {"metrics": []}
        figures = tuple(
            Figure(
                "verify",
                m["name"],
                value=m["heard"],
                predicted=m["predicted"],
                limit=m["limit"],
                sense=m["sense"],
                passed=m["passed"],
                measured_in=m.get("unit", "dB"),
                uncertainty=m.get("uncertainty"),
            )
            for m in verdict["metrics"]
        )
    return figures, ""
