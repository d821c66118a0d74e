"""Run folders: ``runs/<unit>/<UTC>-<rig>/``, made once and found again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sweetspot.measure.plan import SetName
from sweetspot.measure.session import FILES, Session
from sweetspot.rigs.errors import BadInput, SweetspotError, TooLoud
from sweetspot.rigs.names import check_serial, utc_text
from sweetspot.rigs.rig_file import Description, copy_name
from sweetspot.rigs.runs import templates_alone
from sweetspot.rigs.storage import write


def new(runs: Path, serial: str, rig: Description, now: datetime) -> Path:
    """Make a run folder with a verbatim copy of the rig file and an empty session; its name is the next free second's.

    Raises
    ------
    BadInput
        A serial number that is no file name, or a folder that cannot be written.
    """
    check_serial(serial, "--unit")
    now = now.astimezone(UTC)
    try:
        run = _next_free(runs / serial, rig.name, now)
        write(run / "rig.toml", rig.text)
        for name in rig.named_files:
            (run / FILES).mkdir(exist_ok=True)
            write(run / FILES / copy_name(name), rig.path(name).read_bytes())
    except OSError as fault:
        raise BadInput(
            f"{runs / serial}: the run folder cannot be made: {fault.strerror}; choose another with --runs"
        ) from fault
    with Session.create(run / "session.h5", rig, serial, utc_text(now)):
        return run


def _next_free(unit: Path, name: str, now: datetime) -> Path:
    """A folder of the unit that was just made: two runs may begin within a second."""
    while True:
        run = unit / f"{now:%Y%m%dT%H%M%SZ}-{name}"
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            if not run.exists():  # a link above it leads nowhere
                raise
            now += timedelta(seconds=1)
        else:
            return run


@contextmanager
def removed_if_refused(run: Path) -> Iterator[None]:
    """Within it, a refusal before the first capture removes a run folder just made; one that holds captures stays.

    Parameters
    ----------
    run
        Folder made by :func:`new`; of a run that existed before, use no such context.
    """
    try:
        yield
    except (BadInput, TooLoud):
        if not has_captures(run):
            shutil.rmtree(run, ignore_errors=True)
            with suppress(OSError):
                run.parent.rmdir()  # the unit's, if it has no other run
        raise


def has_captures(run: Path) -> bool:
    """Whether a capture of any set is stored; a session that cannot be read counts as one."""
    try:
        with Session.read(session_file(run)) as session:
            return session.has_captures
    except SweetspotError:
        return True


def changed_files(run: Path) -> tuple[str, ...]:
    """Files named in the rig file that changed since the run was made, by their names there."""
    with Session.read(session_file(run)) as session:
        rig = session.rig()
    found = []
    for name in rig.named_files:
        copy, now = run / FILES / copy_name(name), (rig.folder / name).expanduser()
        if copy.is_file() and now.is_file() and copy.read_bytes() != now.read_bytes():
            found.append(name)
    return tuple(found)


def latest_without(runs: Path, serial: str, rig: Description, name: SetName) -> Path | None:
    """The unit's newest run if it was made with the same rig file and has no such set yet."""
    found = sorted((runs / serial).glob(f"*-{rig.name}/session.h5"), reverse=True)
    for session_file in [f for f in found if not templates_alone(f.parent)][:1]:
        with Session.read(session_file) as session:
            if session.rig_sha256 == rig.sha256 and name != "templates" and name not in session.sets:
                return session_file.parent
    return None


def check_same(run: Path, serial: str, rig: Description) -> None:
    """Refuse to add to the run of another unit or another rig.

    Raises
    ------
    BadInput
        The serial number or the rig file differs; the message names both.
    """
    with Session.read(session_file(run)) as session:
        if session.serial != serial:
            raise BadInput(
                f"{run}: is a run of unit {session.serial!r}, not of {serial!r}; leave out --run for a new one"
            )
        if session.rig_sha256 != rig.sha256:
            raise BadInput(f"{run}: was measured with another rig file than this one; use {run / 'rig.toml'} with it")


def session_file(run: Path) -> Path:
    """The session of a run folder.

    Raises
    ------
    BadInput
        There is none.
    """
    file = run / "session.h5"
    if not run.is_dir() or not file.is_file():
        raise BadInput(
            f"{run}: not a run folder (no session.h5). Make one with: sweetspot measure ears RIG --unit SERIAL"
        )
    return file
