"""The only door to HDF5 files: read only if complete and of sweetspot, written with checksums."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from sweetspot.rigs.errors import BadInput, SweetspotError
from sweetspot.rigs.storage import journal, seal
from sweetspot.rigs.storage.atomic import discard, write
from sweetspot.rigs.storage.journal import JournaledFile
from sweetspot.rigs.storage.objects import Group
from sweetspot.rigs.storage.seal import Seal
from sweetspot.rigs.storage.structure import DataCheck, check_links, check_structure, data_check
from sweetspot.rigs.storage.translation import guarded, in_use

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

CHECKSUMS = "checksums"
"""Root attribute of files that have a checksum in their user block."""

_sound: set[seal.Identity] = set()
"""Large sealed files whose tables this process checked already."""

_whole: dict[str, set[str]] = {}
"""SHA-256 of sealed contents whose links this process checked already, and the data sets that it checked since."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Properties of a kind of file.

    Parameters
    ----------
    schema, version
        Root attributes ``schema`` and ``schema_version``.
    remedy
        What to do about a file that is damaged or missing: how one is made.
    check
        Reads everything in the file and raises ``BadInput`` at the first thing that is not as it must be.
    """

    schema: str
    version: int
    remedy: str
    check: Callable[[Group], None]


def built(kind: Kind, build: Callable[[Group], None]) -> bytes:
    """A whole file of a kind in memory, with its checksums; the same input gives the same bytes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=False, userblock_size=seal.BLOCK) as file:
        root = Group(file, Path("a new file"), True, kind.remedy)
        root.attrs.update(schema=kind.schema, schema_version=kind.version, **{CHECKSUMS: 1})
        build(root)
    with buffer.getbuffer() as file_bytes:  # in place: two copies less of a file
        file_bytes[: seal.BLOCK] = seal.block(seal.content_of(file_bytes))
    return buffer.getvalue()


@contextlib.contextmanager
def foreign(path: Path, remedy: str) -> Iterator[Group]:
    """Open an HDF5 file of another program (such as SOFA) for reading: same checks of its structure and
    its chunks, no schema of ours.

    Raises
    ------
    BadInput
        It is missing, damaged, or refers to something outside it.
    """
    _check_there(path, remedy)
    with guarded(path, "the file"):
        _check_free(path)
        file = h5py.File(path, "r")
    try:
        check_structure(file, path, path.stat().st_size)
        yield Group(file, path, False, remedy)
    finally:
        _closed(file)


def root_text(path: Path, name: str) -> str:
    """A text among a file's root attributes, unchecked, for a note; empty where it cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            value = Group(file, path, True, "").attrs.get(name)
            return value[:4096] if isinstance(value, str) else ""
    except (OSError, RuntimeError, ValueError, KeyError, SweetspotError):
        return ""


def names_in(path: Path, group: str) -> tuple[str, ...]:
    """The names in a group of a file, unchecked; empty where it cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            return tuple(file[group]) if isinstance(file.get(group), h5py.Group) else ()
    except (OSError, RuntimeError, ValueError, KeyError):
        return ()


def unit_in(path: Path) -> str:
    """The serial number of the unit that a file names, unchecked; empty where it cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            return str(Group(file, path, True, "").attrs.get("unit_serial") or "")[:80]
    except (OSError, RuntimeError, ValueError, KeyError, SweetspotError):
        return ""


def schema_of(path: Path) -> str:
    """The schema of an HDF5 file, ``SOFA`` for AES69 files; empty if it cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            schema = Group(file, path, True, "").attrs.get("schema")
            return str(schema)[:80] if schema else "SOFA" if "SOFAConventions" in file.attrs else ""
    except (OSError, RuntimeError, ValueError, KeyError, SweetspotError):
        return ""


class File:
    """An open file; a context manager. Use :meth:`read`, :meth:`create` or :meth:`resume`.

    Attributes
    ----------
    kind
        What it is.
    root
        Its root group.
    seal
        Result of its checksum when it was opened.
    state
        Identifies the version of a large sealed file; ``None`` for others.
    known
        Whether this process checked this state already (:meth:`remember`).
    """

    def __init__(
        self,
        path: Path,
        file: Any,
        found: Seal,
        kind: Kind,
        *,
        trusted: bool,
        writes: JournaledFile | None = None,
        check: DataCheck | None = None,
    ) -> None:
        self.path, self.kind, self.seal, self._file, self._writes = path, kind, found, file, writes
        self.root = Group(file, path, trusted, kind.remedy, check=check)
        self.state: seal.Identity | None = None
        self.known = False

    def remember(self) -> None:
        """This state of the file was checked: within this process it need not be again."""
        if self.state:
            _sound.add(self.state)

    def check_all(self) -> None:
        """Check the structure of every data set now, not when it is opened; see :meth:`read`."""
        check_structure(self._file, self.path, self.path.stat().st_size)

    @classmethod
    def read(cls, path: Path, kind: Kind) -> File:
        """Open a file for reading: it must be of this kind, self-contained, and unchanged.

        Raises
        ------
        BadInput
            What is wrong, with file and data set.
        """
        found = _compared(path, kind)
        with guarded(path, "the file"):
            file = h5py.File(path, "r")
        try:
            opened = cls(path, file, found, kind, trusted=found.state == "sealed", check=_checked(file, path, found))
            opened.state = seal.state_of(path) if found.state == "sealed" else None
            opened.known = opened.state in _sound
            _check_schema(opened.root, path, kind)
            if found.state == "changed" or (found.state == "none" and CHECKSUMS in opened.root.attrs):
                raise _difference(Group(file, path, True, kind.remedy), path, kind)
        except BaseException:
            _closed(file)
            raise
        return opened

    @classmethod
    def create(cls, path: Path, kind: Kind) -> File:
        """A new file, which must not exist; it has no checksum until it is closed."""
        empty = io.BytesIO()
        with h5py.File(empty, "w", track_order=False, userblock_size=seal.BLOCK) as file:
            Group(file, path, True, kind.remedy).attrs.update(
                schema=kind.schema, schema_version=kind.version, **{CHECKSUMS: 1}
            )
        with guarded(path, "the file"):
            if path.exists():
                raise FileExistsError
            discard(journal.beside(path))
            write(path, seal.block() + empty.getvalue()[seal.BLOCK :])
        return cls._writing(path, kind, Seal("open"), trusted=True)

    @classmethod
    def resume(cls, path: Path, kind: Kind) -> File:
        """Open a file to continue writing; it must be readable, see :meth:`read`."""
        with cls.read(path, kind) as there:
            found = there.seal
            there.check_all()
        trusted = found.state == "sealed"
        if found.state != "none":
            with guarded(path, "the file"):
                seal.mark_open(path)
            found = Seal("open")
        return cls._writing(path, kind, found, trusted=trusted)

    @classmethod
    def _writing(cls, path: Path, kind: Kind, found: Seal, *, trusted: bool) -> File:
        """A file that is there, opened for writing."""
        with guarded(path, "the file"):
            writes = JournaledFile(path)
            try:
                file = h5py.File(writes, "r+", track_order=False)
            except BaseException:
                writes.close()
                raise
        return cls(path, file, found, kind, trusted=trusted, writes=writes)

    @property
    def handle(self) -> int:
        """The system's handle of a file that is open for writing."""
        if self._writes is None:
            raise ValueError(f"{self.path}: is open for reading only")
        return self._writes.fileno()

    def __enter__(self) -> File:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        self.close(quiet=kind is not None)

    def close(self, *, quiet: bool = False) -> None:
        """Close it, a written one with its checksums.

        Parameters
        ----------
        quiet
            Raise nothing: an error is on its way already. The file then stays without checksum if that fails.
        """
        try:
            if self._is_new:
                self.root.stamp_all()
            with guarded(self.path, "the file"):
                if self._writes is not None:
                    self._file.flush()
                self._file.close()
                if self._writes is not None:
                    self._writes.close()
                if self._is_new:
                    seal.close(self.path)
        except (SweetspotError, OSError):
            self._give_up()
            if not quiet:
                raise

    @property
    def is_writable(self) -> bool:
        """Whether it is open for writing."""
        return self._writes is not None

    @property
    def _is_new(self) -> bool:
        """Whether it gets a checksum when it is closed."""
        return self._writes is not None and not self._writes.failed and self.seal.state == "open"

    def _give_up(self) -> None:
        """Close it with what was complete before."""
        if self._writes is not None:
            self._writes.give_up()
        _closed(self._file)
        if self._writes is not None:
            _closed(self._writes)


def _checked(file: Any, path: Path, found: Seal) -> DataCheck | None:
    """Check the structure of an open file, and of a sealed one how each data set is checked that is opened."""
    size = path.stat().st_size
    if found.state != "sealed":
        check_structure(file, path, size)
        return None
    if found.sha256 not in _whole:
        check_links(file, path)
    return data_check(path, size, _whole.setdefault(found.sha256, set()))


def _compared(path: Path, kind: Kind) -> Seal:
    """The file's checksum compared with its content, for a complete file."""
    _check_there(path, kind.remedy)
    with guarded(path, "the file"):
        _check_free(path)
        journal.recover(path)
        found = seal.compared(path)
    if found.state == "damaged":
        raise BadInput(
            f"{path}: is no HDF5 file, or is damaged: its first {seal.BLOCK} bytes are not ours; {kind.remedy}"
        )
    return found


def _check_there(path: Path, remedy: str) -> None:
    if path.is_dir() or not path.exists():
        raise BadInput(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; {remedy}")
    if not path.is_file():
        raise BadInput(f"{path}: is not a regular file; {remedy}")
    if not os.access(path, os.R_OK):
        raise BadInput(f"{path}: no read permission")
    if path.stat().st_size <= seal.BLOCK:
        raise BadInput(f"{path}: is no HDF5 file ({path.stat().st_size} bytes); {remedy}")


def _check_free(path: Path) -> None:
    """Refuse a file that another program has open for writing, as the library would, in words."""
    if fcntl is None:
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as fault:
        raise in_use(path) from fault
    except OSError:
        pass  # a file system without locks
    finally:
        os.close(handle)


def _check_schema(root: Group, path: Path, kind: Kind) -> None:
    schema, version = root.attrs.get("schema"), root.attrs.get("schema_version")
    if (str(schema), str(version)) != (kind.schema, str(kind.version)):
        raise BadInput(
            f"{path}: schema is {schema!r:.80} version {version!r:.20}; {kind.schema!r} version {kind.version} is "
            f"needed. {kind.remedy[0].upper()}{kind.remedy[1:]}"
        )


def _difference(root: Group, path: Path, kind: Kind) -> BadInput:
    """The changed part, as precisely as possible."""
    try:
        kind.check(root)
        changed = [data.name for data in root.every() if not data.is_intact()]
    except BadInput as fault:
        return fault
    place = f"{changed[0]}: its values are" if changed else "its attributes or structure are"
    return BadInput(f"{path}: {place} not those that were written (SHA-256 differs); {kind.remedy}")


def _closed(file: Any) -> None:
    with contextlib.suppress(Exception):
        file.close()
