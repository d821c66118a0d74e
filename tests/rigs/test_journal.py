"""A file that is written step by step: killed anywhere, it holds what was complete, whole; and opens."""

import errno
import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.storage import journal, seal
from sweetspot.rigs.storage.hdf5 import File, Kind
from sweetspot.rigs.storage.objects import Group

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process made by fork")


def _check(root: Group) -> None:
    for data in root.every():
        data[...]


KIND = Kind("steps", 1, "make it again", _check)
STEPS = 3


def _one_step(root: Group, number: int) -> None:
    """One step: a new data set, a row of an old one, an attribute, a longer table."""
    rng = np.random.default_rng(number)
    root.create_data(f"step{number}", rng.standard_normal((3, 700)), chunks=(1, 700))
    root.data("rows")[number] = np.full(500, number + 1.0)
    root.attrs["steps"] = number + 1
    root.flush()


def _begun(path: Path) -> None:
    with File.create(path, KIND) as file:
        file.root.create_data("rows", np.zeros((STEPS, 500)), chunks=(1, 500))
        file.root.attrs["steps"] = 0


def _written_on(path: Path, then: Callable[[int], None] = lambda number: None) -> None:
    with File.resume(path, KIND) as file:
        for number in range(STEPS):
            _one_step(file.root, number)
            then(number)


def _steps_whole(path: Path) -> int:
    """Steps in a file, each found whole with the right values."""
    with File.read(path, KIND) as file:
        root = file.root
        steps = int(root.attrs["steps"])
        KIND.check(root)
        assert sorted(n for n in root if n != "rows") == [f"step{n}" for n in range(steps)]
        for number in range(steps):
            expected = np.random.default_rng(number).standard_normal((3, 700))
            assert np.array_equal(root.data(f"step{number}")[...], expected)
        rows = root.data("rows")[...]
        assert np.array_equal(rows[:, 0], [n + 1.0 if n < steps else 0.0 for n in range(STEPS)])
        return steps


class _Killer:
    """Ends the process at one of its calls of the system that change a disk; a write may end half-way."""

    CALLS = ("write", "ftruncate", "fsync", "unlink")

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def put_in(self) -> None:
        for name in self.CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        real = Path.unlink

        def unlink(path: Path, missing_ok: bool = False) -> None:
            self._now("unlink", lambda: None)
            real(path, missing_ok=missing_ok)

        Path.unlink = unlink  # type: ignore[method-assign, assignment]

    def _wrapped(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object) -> object:
            half = (lambda: real(args[0], bytes(args[1])[: len(bytes(args[1])) // 2])) if name == "write" else None  # type: ignore[arg-type]
            self._now(name, half or (lambda: None))
            return real(*args)

        return call

    def _now(self, name: str, before: Callable[[], object]) -> None:
        self.count += 1
        if self.count == self.at:
            before()
            os._exit(9)


def _killed(path: Path, at: int) -> int:
    """Write on a file in another process that dies at call ``at``; how many steps it had reported; -1 if it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        real_write = os.write
        _Killer(at).put_in()
        try:
            _written_on(path, lambda number: real_write(writing, b"."))  # type: ignore[func-returns-value]
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        reported = len(pipe.read())
    return reported if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9 else -1


@posix
def test_killed_at_any_write_a_file_holds_each_complete_step(tmp_path: Path) -> None:
    at, replayed = 1, 0
    while True:
        path = tmp_path / f"{at}.h5"
        _begun(path)
        if (reported := _killed(path, at)) < 0:
            break
        replayed += journal.beside(path).exists()
        assert reported <= _steps_whole(path) <= reported + 1, at
        assert not journal.beside(path).exists()
        at += 1
    assert at > 50, "kills"
    assert replayed > 10, "journals applied or thrown away"
    assert _steps_whole(path) == STEPS


@posix
def test_a_file_killed_while_its_journal_is_applied_is_mended_by_the_next_and_written_on(tmp_path: Path) -> None:
    """Killed within the mending too, as often as one likes."""
    path = tmp_path / "steps.h5"
    _begun(path)
    whole = path.read_bytes()
    seal.mark_open(path)
    changes = [(2000, b"a" * 300), (2200, b"b" * 300)]
    journal.beside(path).write_bytes(journal._journal(changes, len(whole)))
    wanted = bytearray(seal.block() + whole[seal.BLOCK :])
    for start, data in changes:
        wanted[start : start + len(data)] = data
    for at in range(1, 5):
        child = os.fork()
        if not child:
            _Killer(at).put_in()
            try:
                journal.recover(path)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    journal.recover(path)
    assert path.read_bytes() == bytes(wanted)
    assert not journal.beside(path).exists()


@pytest.mark.parametrize("applied", [True, False])
def test_a_read_only_file_is_read_if_it_has_what_its_journal_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, applied: bool
) -> None:
    """A killed program leaves its last journal, applied or not; nobody may write here."""
    path = tmp_path / "steps.h5"
    _begun(path)
    seal.mark_open(path)
    held = path.read_bytes()[2000:2300]
    change = held if applied else bytes(255 - x for x in held)
    journal.beside(path).write_bytes(journal._journal([(2000, change)], path.stat().st_size))
    real = Path.open

    def read_only(self: Path, mode: str = "r", *more: Any, **by_name: Any) -> Any:
        if "+" in mode or "w" in mode:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(self, mode, *more, **by_name)

    monkeypatch.setattr(Path, "open", read_only)
    if applied:
        assert _steps_whole(path) == 0
        assert journal.beside(path).exists()
    else:
        with pytest.raises(BadInput, match="read-only"):
            File.read(path, KIND)


def test_a_journal_of_an_earlier_file_of_that_name_is_not_applied(tmp_path: Path) -> None:
    path = tmp_path / "steps.h5"
    _begun(path)
    before = path.read_bytes()
    journal.beside(path).write_bytes(journal._journal([(600, b"\xff" * 400)], len(before)))
    assert _steps_whole(path) == 0
    assert path.read_bytes() == before
    assert not journal.beside(path).exists()


@pytest.mark.parametrize("cut", [0, 5, 30, 60, -1])
def test_a_journal_that_is_not_whole_is_thrown_away(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "steps.h5"
    _begun(path)
    seal.mark_open(path)
    before = path.read_bytes()
    journal.beside(path).write_bytes(journal._journal([(600, b"\xff" * 400)], len(before))[:cut])
    journal.recover(path)
    assert path.read_bytes() == before
    assert not journal.beside(path).exists()


@pytest.mark.parametrize(
    ("start", "count", "end"), [(1 << 50, 4, 900), (-5, 4, 900), (600, 1 << 40, 900), (600, 4, 1 << 50), (600, 4, -1)]
)
def test_a_journal_with_places_outside_the_file_changes_nothing(
    tmp_path: Path, start: int, count: int, end: int
) -> None:
    path = tmp_path / "steps.h5"
    _begun(path)
    seal.mark_open(path)
    before = path.read_bytes()
    head = b'{"end": %d, "changes": [[%d, %d]]}' % (end, start, count)
    body = len(head).to_bytes(8, "little") + head + b"xxxx"
    journal.beside(path).write_bytes(journal.HEAD + hashlib.sha256(body).digest() + body)
    with pytest.raises(BadInput, match="journal does not fit"):
        File.read(path, KIND)
    assert path.read_bytes() == before


def test_a_full_disk_leaves_the_last_complete_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full at each write in turn; and the program goes on to its end."""
    real = os.write
    for full_at in range(1, 40):
        path = tmp_path / f"{full_at}.h5"
        _begun(path)
        count = 0

        def write(handle: int, data: bytes, full_at: int = full_at) -> int:
            nonlocal count
            count += 1
            if count >= full_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(handle, data)

        done = 0

        def step_done(number: int) -> None:
            nonlocal done
            done = number + 1

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            with pytest.raises(HardwareTrouble, match="the disk is full"):
                _written_on(path, step_done)
        assert done <= _steps_whole(path) <= done + 1, full_at
        assert not journal.beside(path).exists()


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "steps.h5"
    _begun(path)
    with File.resume(path, KIND) as file:
        with pytest.raises(BadInput, match="another program has it open for writing"):
            File.resume(path, KIND)
        with pytest.raises(BadInput, match="another program has it open for writing"):
            File.read(path, KIND)
        _one_step(file.root, 0)
    assert _steps_whole(path) == 1


@pytest.fixture
def default_interrupt() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@posix
@pytest.mark.usefixtures("default_interrupt")
def test_interrupts_come_between_the_librarys_calls_and_are_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "steps.h5"
    _begun(path)
    real, within = os.write, []

    def write(handle: int, data: bytes) -> int:
        if not within:
            within.append(True)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)  # where Python sees the signal
        return real(handle, data)

    done = []
    monkeypatch.setattr(os, "write", write)

    def step_done(number: int) -> None:
        done.append(number)
        time.sleep(0.05)

    with pytest.raises(KeyboardInterrupt):
        _written_on(path, step_done)
    monkeypatch.undo()
    assert within
    assert len(done) <= _steps_whole(path) <= len(done) + 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_with_its_own_interrupt_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "steps.h5"
    _begun(path)

    def own(number: int, frame: FrameType | None) -> None: ...

    before = signal.signal(signal.SIGINT, own)
    try:
        with File.resume(path, KIND):
            assert signal.getsignal(signal.SIGINT) is own
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_thread_writes_too(tmp_path: Path) -> None:
    path = tmp_path / "steps.h5"
    _begun(path)
    other = threading.Thread(target=_written_on, args=(path,))
    other.start()
    other.join()
    assert _steps_whole(path) == STEPS
