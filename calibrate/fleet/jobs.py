"""What there is to do for a fleet: which runs, which of them are due, and what one worker does with one run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sweetspot.calibrate.fleet.ledger import Figure
from sweetspot.calibrate.verify import Limits
from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.processor import store
from sweetspot.rigs.errors import BadInput

DEPTH = ("", "*/", "*/*/")
"""How deep below a given folder runs are looked for: the run itself, those of a unit, those of a folder of units."""

MADE_BY = ("session_size", "session_mtime_ns", "design_sha256", "version", "steps")
"""Columns that say whether a run was done with the same input."""


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
        The design file, verbatim; empty for the defaults.
    limits
        Of the verdict.
    identity
        What its result depends on, see :data:`MADE_BY`.
    """

    run: str
    steps: tuple[str, ...]
    design_text: str
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
            raise BadInput(f"{folder}: no such folder; name the folder that holds the units' runs, for example runs/")
        here = sorted(p.parent.resolve() for depth in DEPTH for p in folder.glob(f"{depth}session.h5"))
        if not here:
            raise BadInput(f"{folder}: holds no run (session.h5, */session.h5 or */*/session.h5)")
        found.update(dict.fromkeys(here))
    return list(found)


def job(run: Path, steps: tuple[str, ...], design_text: str, limits: Limits, design_sha256: str) -> Job:
    """What one run needs, with what its result depends on."""
    stat = (run / "session.h5").stat()
    identity = {
        "session_size": stat.st_size,
        "session_mtime_ns": stat.st_mtime_ns,
        "design_sha256": design_sha256,
        "version": version("sweetspot"),
        "steps": "+".join(steps),
    }
    return Job(str(run), steps, design_text, limits, identity)


def due(jobs: Iterable[Job], known: Mapping[str, Mapping[str, Any]], *, retry: bool) -> Iterator[Job]:
    """The jobs whose result is not in the table yet, or was made from something else.

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


def about(run: Path) -> dict[str, Any]:
    """Unit, rig and time of a run, as its session says."""
    with Session.read(run / "session.h5") as session:
        facts = session.attributes
        return {"unit": session.serial, "rig": session.rig().name, "created_utc": str(facts["created_utc"])}


def is_fresh(run: Path, session_sha256: str, design_text: str) -> bool:
    """Whether the run's filters were fitted from this very session with this design."""
    try:
        return store.read(run).source == session_sha256 and store.read_design(run) == design_text
    except BadInput:
        return False


def verified(run: Path) -> tuple[Figure, ...]:
    """The figures of the run's verification, if it was verified."""
    path = run / "verify.h5"
    if not path.is_file():
        return ()
    with Session.read(path, VERIFICATION) as heard:
        text = heard.annotation("verdict")
    verdict = json.loads(text) if text else {"metrics": []}
    return tuple(
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
