"""The table of a fleet: one SQLite file beside the runs, written as each unit lands; the door to ``sqlite3``."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import cause, discard, file_sha256, write

NAME = "fleet.sqlite"
"""File name in the first given folder."""

DIGEST = f"{NAME}.sha256"
"""Its SHA-256 beside it, as ``sha256sum`` writes it; while the table is written there is none."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS units (
    run TEXT PRIMARY KEY, unit TEXT, rig TEXT, created_utc TEXT, finished_utc TEXT,
    session_sha256 TEXT, session_stamp TEXT, rig_sha256 TEXT, rig_stamp TEXT, filterset_sha256 TEXT,
    filterset_stamp TEXT, verification_sha256 TEXT, verification_stamp TEXT, design_sha256 TEXT, version TEXT,
    steps TEXT, status TEXT, reason TEXT, cpu_seconds REAL, attempts INTEGER, worker TEXT, kind TEXT);
CREATE TABLE IF NOT EXISTS metrics (
    run TEXT, unit TEXT, rig TEXT, created_utc TEXT, step TEXT, metric TEXT,
    value REAL, predicted REAL, limit_value REAL, sense TEXT, passed INTEGER, measured_in TEXT, uncertainty REAL,
    PRIMARY KEY (run, step, metric));
"""

ADDED = {"measured_in": "TEXT", "uncertainty": "REAL"}
"""Columns of the table of metrics that files of earlier versions lack."""

ADDED_UNITS = dict.fromkeys(
    [
        "session_stamp",
        "kind",
        *(f"{n}_{k}" for n in ("rig", "filterset", "verification") for k in ("sha256", "stamp")),
    ],
    "TEXT",
)
"""The same of the table of units."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one run.

    Parameters
    ----------
    step
        ``"fit"`` or ``"verify"``.
    value
        Predicted by the fit, or measured by the verification.
    predicted, limit, sense, passed, uncertainty
        Of a verified figure; None for one that is only predicted. The uncertainty is the standard one of what was
        measured.
    measured_in
        Unit of value, limit and uncertainty; empty for a plain number.
    """

    step: str
    metric: str
    value: float
    predicted: float | None = None
    limit: float | None = None
    sense: str | None = None
    passed: bool | None = None
    measured_in: str = "dB"
    uncertainty: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a run.

    Parameters
    ----------
    status
        ``"done"``, ``"failed"``, or ``"interrupted"``: its unit was not measured to the end.
    reason
        Why it is not done, else empty.
    about
        Columns of the table of units: unit, rig, session_sha256 and so on.
    """

    run: str
    status: str
    reason: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class UnitSummary:
    """The table of units in a few numbers, those of interrupted runs apart.

    Parameters
    ----------
    cpu_seconds
        Processor time of all.
    broken
        Rows of the runs that could not be fitted.
    interrupted
        Runs whose unit was not measured to the end.
    """

    units: int
    runs: int
    cpu_seconds: float
    broken: list[dict[str, Any]]
    interrupted: tuple[str, ...] = ()


class Ledger:
    """The open table; a context manager. Only the program that hands out the work writes it.

    Parameters
    ----------
    note
        Why the table could not be compared with its SHA-256; empty where it could.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, note: str = "") -> None:
        self.path, self.note = path, note
        self._db = connection
        connection.row_factory = sqlite3.Row

    @classmethod
    @contextmanager
    def writing(cls, folder: Path) -> Iterator[Ledger]:
        """The table of a folder, made if it is not there; a second writer is refused.

        Raises
        ------
        BadInput
            Another fleet command is at work there, the folder cannot be written, or the table is damaged.
        """
        path, digest = folder / NAME, folder / DIGEST
        with _trouble(path), _alone(folder):
            _compared(path)
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("BEGIN IMMEDIATE")  # refused if another program locked it: the digest stays
            discard(digest)
            try:
                with closing(sqlite3.connect(path)) as connection:
                    connection.executescript(SCHEMA)
                    _complete(connection)
                    _check_columns(path, connection)
                    yield cls(path, connection)
            finally:
                with suppress(BadInput):  # a full disk: without a digest the table is still readable
                    write(digest, f"{file_sha256(path)}  {NAME}\n")

    @classmethod
    @contextmanager
    def reading(cls, folder: Path) -> Iterator[Ledger]:
        """The table of a folder.

        Raises
        ------
        BadInput
            There is none, or it is damaged.
        """
        path = folder if folder.is_file() else folder / NAME
        if not path.is_file():
            raise BadInput(f"{path}: no fleet was fitted there; run: sweetspot fleet fit {folder}")
        with _trouble(path):
            compared = _compared(path)
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            try:
                _check_columns(path, connection, but=(*ADDED, *ADDED_UNITS))
                yield cls(path, connection, "" if compared else UNCOMPARED.format(path, folder))
            finally:
                connection.close()

    def known(self) -> dict[str, dict[str, Any]]:
        """Rows of the table of units by run."""
        return {row["run"]: dict(row) for row in self._db.execute("SELECT * FROM units")}

    def stamped(self) -> dict[str, dict[str, Any]]:
        """Rows, by run, of the done runs of which the state of a file is kept: those that can be found changed."""
        stamps = [row[1] for row in self._db.execute("PRAGMA table_info(units)") if row[1].endswith("_stamp")]
        if not stamps:
            return {}
        where = " OR ".join(f"{name} <> ''" for name in stamps)
        rows = self._db.execute(f"SELECT * FROM units WHERE status = 'done' AND ({where})")
        return {row["run"]: dict(row) for row in rows}

    def summary(self) -> UnitSummary:
        """The table of units in a few numbers, and the rows of those that could not be fitted."""
        units, runs, seconds = self._db.execute(
            "SELECT COUNT(DISTINCT unit), COUNT(*), TOTAL(cpu_seconds) FROM units WHERE status <> 'interrupted'"
        ).fetchone()
        rows = [dict(row) for row in self._db.execute("SELECT * FROM units WHERE status <> 'done' ORDER BY run")]
        broken = [row for row in rows if row["status"] != "interrupted"]
        cut = tuple(row["run"] for row in rows if row["status"] == "interrupted")
        return UnitSummary(int(units), int(runs), float(seconds), broken, cut)

    def figures(self) -> list[Mapping[str, Any]]:
        """Rows of the table of metrics of the runs that were done, oldest run first, copies of a run once.

        A text that many rows hold is kept once, so that a row of a large fleet takes about 300 bytes.
        """
        copies = {run for runs in self.copies().values() for run in runs}
        there = {row[1] for row in self._db.execute("PRAGMA table_info(metrics)")}
        missing = "".join(f", NULL AS {name}" for name in ADDED if name not in there)
        kinds = any(row[1] == "kind" for row in self._db.execute("PRAGMA table_info(units)"))
        missing += f", {'u.kind' if kinds else 'NULL'} AS kind"
        kept: dict[bytes, str] = {}

        def text(value: bytes) -> str:
            found = kept.get(value)
            return kept.setdefault(value, value.decode()) if found is None else found

        self._db.text_factory = text
        try:
            query = (
                f"SELECT m.*{missing} FROM metrics m JOIN units u ON u.run = m.run "
                "WHERE u.status = 'done' ORDER BY m.created_utc, m.run, m.step, m.metric"
            )
            rows = self._db.execute(query)
            return [row for row in rows if row["run"] not in copies] if copies else list(rows)
        finally:
            self._db.text_factory = str

    def copies(self) -> dict[str, list[str]]:
        """Copies of runs, by the run that counts; found among repeated sessions."""
        query = (
            "SELECT m.run, m.step, m.metric, m.value, u.session_sha256 AS session FROM metrics m "
            "JOIN units u ON u.run = m.run WHERE u.status = 'done' AND u.session_sha256 IN (SELECT session_sha256 "
            "FROM units WHERE status = 'done' GROUP BY session_sha256 HAVING COUNT(*) > 1) "
            "ORDER BY m.created_utc, m.run, m.step, m.metric"
        )
        return copied(self._db.execute(query))

    def keep(self, outcome: Outcome) -> None:
        """Write one outcome, whole or not at all; it replaces an earlier one of the run."""
        row = {"run": outcome.run, "status": outcome.status, "reason": outcome.reason, **outcome.about}
        with self._db:
            _insert(self._db, "units", [row])
            self._db.execute("DELETE FROM metrics WHERE run = ?", (outcome.run,))
            shared = {k: row.get(k) for k in ("run", "unit", "rig", "created_utc")}
            _insert(
                self._db,
                "metrics",
                [
                    shared
                    | {"step": f.step, "metric": f.metric, "value": f.value, "predicted": f.predicted}
                    | {"limit_value": f.limit, "sense": f.sense, "passed": f.passed}
                    | {"measured_in": f.measured_in, "uncertainty": f.uncertainty}
                    for f in outcome.figures
                ],
            )

    def forget(self, runs: Iterable[str]) -> None:
        """Remove runs and their metrics, all or none."""
        with self._db:
            for run in runs:
                for table in ("units", "metrics"):
                    self._db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))


def copied(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Runs that hold the same session and the same values as an earlier one, by that earlier run.

    A unit that was measured or verified again has other values, and is no copy.
    """
    values: dict[str, set[tuple[Any, ...]]] = {}
    sessions: dict[str, Any] = {}
    for row in rows:
        values.setdefault(row["run"], set()).add((row["step"], row["metric"], row["value"]))
        sessions[row["run"]] = row["session"]
    first: dict[Any, str] = {}
    found: dict[str, list[str]] = {}
    for run, cells in values.items():
        if sessions[run] is None:
            continue
        counted = first.setdefault((sessions[run], frozenset(cells)), run)
        if counted != run:
            found.setdefault(counted, []).append(run)
    return found


UNCOMPARED = (
    "{}: has no SHA-256 beside it (of an earlier version, at work, or its last fleet fit was killed), so that damage "
    "would not be seen; it gets one by: sweetspot fleet fit {}"
)


def _compared(path: Path) -> bool:
    """Whether a table has the SHA-256 that was kept when it was last written; False where none was, or it is at work.

    Raises
    ------
    BadInput
        It has another one.
    """
    digest = path.with_name(f"{path.name}.sha256")
    try:
        kept = digest.read_bytes()
        now = file_sha256(path)
        if digest.read_bytes() != kept:
            return False
    except OSError:
        return False
    if kept.split()[:1] == [now.encode()]:
        return True
    raise BadInput(
        f"{path}: it or {digest.name} is damaged, or another program wrote it: its SHA-256 is not the kept one. Move "
        f"both away and run sweetspot fleet fit again: filters and verifications are kept; or restore both from a copy"
    )


def _complete(db: sqlite3.Connection) -> None:
    """Give the table of an earlier version the columns that it lacks."""
    for table, added in (("metrics", ADDED), ("units", ADDED_UNITS)):
        there = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        for name, kind in added.items():
            if name not in there:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def _check_columns(path: Path, db: sqlite3.Connection, but: Iterable[str] = ()) -> None:
    """Refuse a table that lacks columns, or that cannot be filled: it is of another program, or of a later version."""
    with closing(sqlite3.connect(":memory:")) as ours:
        ours.executescript(SCHEMA)
        columns = {
            table: {row[1] for row in ours.execute(f"PRAGMA table_info({table})")} for table in ("units", "metrics")
        }
    for table, known in columns.items():
        found = list(db.execute(f"PRAGMA table_info({table})"))
        missing = sorted(known - {row[1] for row in found} - set(but))
        wanted = sorted(row[1] for row in found if row[3] and row[4] is None and row[1] not in known)
        if missing or wanted:
            what = f"lacks {', '.join(missing)}" if missing else f"wants {', '.join(wanted)}"
            raise BadInput(
                f"{path}: its table {table} {what}: it is not a table of this version of sweetspot. Move it away and "
                f"run sweetspot fleet fit again: filters and verifications are kept"
            )


def _insert(db: sqlite3.Connection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        names = ", ".join(row)
        db.execute(
            f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder for one writer; the hold ends with the process, however it ends."""
    hold = sqlite3.connect(folder / f".{NAME}.lock", timeout=0.0, isolation_level=None)
    try:
        hold.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError as fault:
        hold.close()
        if _code(fault) == sqlite3.SQLITE_BUSY:
            raise BadInput(f"{folder}: another fleet command is running there; wait until it has finished") from fault
        raise
    try:
        yield
    finally:
        hold.close()


@contextmanager
def _trouble(path: Path) -> Iterator[None]:
    """Convert an SQLite error into one message with its cause."""
    try:
        yield
    except sqlite3.DatabaseError as fault:
        raise BadInput(f"{path}: the table of the fleet cannot be used: {_cause(path, fault)}") from fault


LOCKED = "it is locked by another program; close that program, then run this again"
READ_ONLY = "it is read-only for this user; make it writable, or give another folder first"
UNWRITTEN = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def _code(fault: sqlite3.Error) -> int:
    """SQLite's primary result code: the low byte of the extended one."""
    return int(getattr(fault, "sqlite_errorcode", 0)) & 0xFF


def _cause(path: Path, fault: sqlite3.Error) -> str:
    """Cause of an SQLite error; of a failed write by a trial file beside the table."""
    code = _code(fault)
    if code == sqlite3.SQLITE_BUSY:
        return LOCKED
    if code in UNWRITTEN and (found := _unwritable(path)):
        return found
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full; free some space and run it again"
    return READ_ONLY if code == sqlite3.SQLITE_READONLY else str(fault)


def _unwritable(path: Path) -> str:
    """Error of a trial write of a few pages beside ``path``; empty if it works."""
    trial = path.with_name(f".{path.name}.{os.getpid()}.trial")
    try:
        trial.write_bytes(bytes(PAGES))
    except OSError as fault:
        return cause(fault, path)
    finally:
        discard(trial)
    return ""


PAGES = 1 << 16
"""Bytes of the trial: the size of one outcome in the table and its journal."""
