"""Independent tasks on other cores: functions run in copies of this process, with results in order."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from queue import Queue
from threading import Thread
from typing import Any, BinaryIO, Generic, Self, TypeVar

from sweetspot.rigs.errors import SweetspotError
from sweetspot.rigs.parallel.memory import keep_freed_memory

WAITING = 48
"""Most values that a stream makes ahead of their reader, so that it does not fill the memory: half a MB a capture."""

Made = TypeVar("Made")
Value = TypeVar("Value")


class Later(Generic[Value]):
    """A value that a function on another core waits for: made before it is begun, given when the value is known.

    One copy of this process can wait for it, by a call; in this process a call finds what was given. As a context, it
    closes its pipe where nothing was given.
    """

    def __init__(self) -> None:
        there, here = os.pipe()
        self._there, self._here = os.fdopen(there, "rb"), os.fdopen(here, "wb")
        self._given: list[Value] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._given:
            self._there.close()
            self._here.close()

    def give(self, value: Value) -> None:
        """Send the value, in a thread: a pipe holds less than a filter set until somebody reads."""
        self._given.append(value)
        self._there.close()  # so that nobody waits for a copy that has ended, or was never made
        Thread(target=self._send, args=(value,), daemon=True).start()

    def _send(self, value: Value) -> None:
        with suppress(OSError), self._here:  # nobody reads: a broken pipe, which Windows calls otherwise
            pickle.dump(value, self._here, protocol=pickle.HIGHEST_PROTOCOL)

    def __call__(self) -> Value:
        """The value, once it was given.

        Raises
        ------
        RuntimeError
            It cannot be given any more.
        """
        if self._given:
            return self._given[0]
        self._here.close()  # this process gives nothing: the pipe ends with the process that does
        try:
            value: Value = pickle.load(self._there)
        except EOFError as fault:
            raise RuntimeError("the process that should give a value has ended") from fault
        return value


class Begun(Generic[Made]):
    """Functions at work on another core: called, it waits for their results, in order.

    As a context, it ends processes at its end whose results nobody asked for.
    """

    def __init__(self, work: Sequence[Callable[[], Made]], copied: bool) -> None:
        self._work, self._is_copied = work, copied
        self._copied = [_copy(partial(_send_results, work))] if copied else []

    def __call__(self) -> list[Made]:
        """The results.

        Raises
        ------
        SweetspotError
            What one of the functions raised. Any other error of theirs comes as a ``RuntimeError`` with its trace.
        """
        if not self._is_copied:
            return [piece() for piece in self._work]
        with self:
            found: list[Made] = _answer(self._copied[0][1])
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._copied:
            _end(*self._copied.pop())


class Streamed(Generic[Made]):
    """Values that a copy of this process makes one after the other and sends as soon as they are made.

    As a context, it ends the copy at its end, whatever it is at.
    """

    def __init__(self, make: Callable[[], Iterable[Made]]) -> None:
        self._copied = [_copy(partial(_send_each, make))]

    def __iter__(self) -> Iterator[Made]:
        return self

    def __next__(self) -> Made:
        """The next value.

        Raises
        ------
        SweetspotError
            What the copy raised in the place of it; any other error of its comes as a ``RuntimeError`` with its trace.
        """
        found: list[Made] = _answer(self._copied[0][1]) if self._copied else []
        if not found:
            raise StopIteration
        return found[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._copied:
            _end(*self._copied.pop())


def streamed(make: Callable[[], Iterable[Made]]) -> Streamed[Made] | None:
    """Begin to make values in a copy of this process; None where it cannot be copied or has one core.

    ``make`` must not print or wait for a thread, as for :func:`begun`.
    """
    return Streamed(make) if _cores() > 1 and hasattr(os, "fork") else None


def begun(work: Sequence[Callable[[], Made]], *, here: bool = False) -> Begun[Made]:
    """Start functions on another core, one after the other.

    A copy of this process (``fork``) computes them, so that they see what is there now without anything being sent to
    them; results are sent back. Where a process cannot be copied or has one core, they are computed when the results
    are requested. A function must not print or wait for a thread.
    """
    return Begun(work, bool(work) and not here and _cores() > 1 and hasattr(os, "fork"))


def shared(work: Sequence[Callable[[], Made]]) -> list[Made]:
    """Results of functions that all cores compute, this one among them: each takes the next that is left.

    Put long ones first. For the rest see :func:`begun`.

    Raises
    ------
    SweetspotError
        What one of the functions raised; the others are ended.
    """
    copies = min(_cores(), len(work)) - 1
    if copies < 1 or not hasattr(os, "fork"):
        return [piece() for piece in work]
    left, numbers = os.pipe()
    try:
        os.write(numbers, bytes(range(len(work))))  # a pipe hands out each byte once
        os.close(numbers)
        with ExitStack() as until:
            others = [until.enter_context(Begun([partial(_taken, work, left)], copied=True)) for _ in range(copies)]
            found = _taken(work, left)
            for other in others:
                found |= other()[0]
    finally:
        os.close(left)
    return [found[number] for number in range(len(work))]


def _taken(work: Sequence[Callable[[], Made]], left: int) -> dict[int, Made]:
    """Results, by number, of the functions whose numbers a pipe still holds."""
    return {number[0]: work[number[0]]() for number in iter(lambda: os.read(left, 1), b"")}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _copy(send: Callable[[BinaryIO], None]) -> tuple[int, BinaryIO]:
    """A copy of this process that sends results: its number, and where its answer comes."""
    there, here = os.pipe()
    process = os.fork()
    if process:
        os.close(here)
        return process, os.fdopen(there, "rb")
    code = 1
    try:
        os.close(there)
        keep_freed_memory()
        with os.fdopen(here, "wb") as pipe:
            send(pipe)
        code = 0
    finally:
        os._exit(code)  # nothing of this process may be ended or flushed twice


def _send_results(work: Sequence[Callable[[], Any]], pipe: BinaryIO) -> None:
    """Send all results at once."""
    pickle.dump(_results(work), pipe, protocol=pickle.HIGHEST_PROTOCOL)


def _send_each(make: Callable[[], Iterable[Any]], pipe: BinaryIO) -> None:
    """Send each value as a list of one, then an empty one; a thread writes, as a pipe holds less than a capture."""
    made: Queue[bytes] = Queue(WAITING)
    writing = Thread(target=_write_all, args=(made, pipe), daemon=True)
    writing.start()
    last: list[Any] | Exception = []
    try:
        for value in make():
            made.put(pickle.dumps([value], protocol=pickle.HIGHEST_PROTOCOL))
    except SweetspotError as trouble:
        last = trouble
    except Exception:
        last = RuntimeError(traceback.format_exc())
    made.put(pickle.dumps(last))
    made.put(b"")
    writing.join()


def _write_all(made: Queue[bytes], pipe: BinaryIO) -> None:
    """Write what is made until nothing is; where nobody reads any more, this process ends."""
    try:
        while data := made.get():
            pipe.write(data)
            pipe.flush()
    except OSError:
        os._exit(1)


def _results(work: Sequence[Callable[[], Any]]) -> list[Any] | Exception:
    """Results of functions, or what one of them raised."""
    try:
        return [piece() for piece in work]
    except SweetspotError as trouble:
        return trouble
    except Exception:
        return RuntimeError(traceback.format_exc())


def _answer(pipe: BinaryIO) -> list[Any]:
    """What a copy sends."""
    try:
        found = pickle.load(pipe)
    except (EOFError, pickle.UnpicklingError) as fault:
        raise RuntimeError("a worker process ended without a result") from fault
    if isinstance(found, Exception):
        raise found
    return list(found)


def _end(process: int, pipe: BinaryIO) -> None:
    """End a copy, whether it is ready or not."""
    pipe.close()
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
