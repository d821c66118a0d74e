"""What begins before a command's modules are loaded: the reading of its words, and hashes of its run's files."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweetspot.commands import COMMANDS, LIMITED, WHOLE_ALWAYS, WHOLE_IF_NEWER, rooms_of
from sweetspot.rigs.faces import Call, expect, handed_to
from sweetspot.rigs.storage import hash_ahead, is_newer

SESSION, FILTERS = "session.h5", "filterset.h5"
"""Files of a run folder that most commands on a run read first."""


def hash_files(words: Sequence[str]) -> None:
    """Begin to hash the files of the runs that a command line names, while modules load: 0.1 s."""
    if rooms := rooms_of([*words]):
        for word in words[1:]:
            filters, session = Path(word) / FILTERS, Path(word) / SESSION
            whole = words[0] in WHOLE_ALWAYS or (words[0] in WHOLE_IF_NEWER and is_newer(session, filters))
            hash_ahead(filters, whole=False, content=True)
            hash_ahead(session, whole=whole, content="processor" not in rooms)


def reading_ahead(words: Sequence[str]) -> ReadingAhead | None:
    """A copy of this process that reads the words of a command; None where that would gain nothing.

    It does where a command has its work in modules of its own (:attr:`sweetspot.commands.Command.work`), and a second
    core can read while this one loads them: typer takes 30 ms, and pydantic, for words that are not plain, 0.1 s.
    """
    work = COMMANDS[words[0]].work if words and words[0] in COMMANDS else ""
    linux = hasattr(os, "fork") and hasattr(os, "sched_getaffinity")  # where a copy is safe
    cores = len(os.sched_getaffinity(0)) if linux else 1
    loaded = work in sys.modules or threading.active_count() > 1
    if not work or cores < 2 or loaded or "--help" in words:
        return None
    return ReadingAhead(words, work)


class ReadingAhead:
    """Words of a command line that a copy of this process reads, silently, and without doing what they ask for.

    Parameters
    ----------
    words
        Of the command line.
    work
        Module of the command's work.
    """

    def __init__(self, words: Sequence[str], work: str) -> None:
        self._work = work
        answer, given = os.pipe()
        self._copy = os.fork()
        if not self._copy:
            _read(words, given)
        os.close(given)
        self._answer = os.fdopen(answer, "rb")

    def call_when_loaded(self) -> Call | None:
        """Load the work; returns the call that was asked for.

        None where the words ask for no work, or cannot be understood: whoever reads them again says so.
        """
        Call(self._work, "ready", {}).made()
        gc.freeze()  # what was loaded stays until the end: no collection need look at it
        gc.enable()
        call, also = self._next() or (None, None)
        if also:
            expect(also, self._next)
        return call

    def _next(self) -> Any:
        """What the copy says next; None where it says no more."""
        with suppress(EOFError, pickle.UnpicklingError):
            return pickle.load(self._answer)
        return None

    def close(self) -> None:
        """End the copy, whose answers nobody waits for any more."""
        self._answer.close()
        with suppress(ProcessLookupError):
            os.kill(self._copy, signal.SIGKILL)
        os.waitpid(self._copy, 0)


def _read(words: Sequence[str], given: int) -> None:
    """In the copy: read what was typed, hand over the one call that it leads to, then the rig's limits, and end."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it; the process itself reports that
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        from sweetspot.roof import typed

        with handed_to(list[Call]()) as calls:
            typed(as_json=False)
        with os.fdopen(given, "wb") as answer:
            also = _limits(calls[0]) if words[0] in LIMITED else None
            answer.write(pickle.dumps((calls[0], also)))
            answer.flush()
            if also:
                answer.write(pickle.dumps(also.made()))
    finally:
        os._exit(0)


def _limits(call: Call) -> Call | None:
    """The call that reads the limits of the rig beside a command's filters; None without a rig file."""
    from sweetspot.rigs.rig_file import reading_limits

    filters: Path = call.values["filterset"]
    rig = (filters if filters.is_dir() else filters.parent) / "rig.toml"
    return reading_limits(rig) if rig.is_file() else None
