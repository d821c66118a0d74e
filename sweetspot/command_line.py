"""The program ``sweetspot``: does what was typed, and turns errors into one message and an exit code.

It loads no more than a command needs: the library that reads words is asked in a copy of the process where the work can
load meanwhile.
"""

from __future__ import annotations

import _thread
import atexit
import gc
import os
import platform
import sys
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sweetspot.ahead import hash_files, reading_ahead
from sweetspot.rigs.errors import BadInput, OutputTrouble, SweetspotError
from sweetspot.rigs.progress import failed, say, speakable
from sweetspot.streams import guard
from sweetspot.trace import UNEXPECTED, kept, refused_by_system

INTERRUPTED = 130

AGAIN_S = 0.02
"""Delay of an interrupt that is raised again, s: by then the code that swallowed the first one has returned."""

ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Set to 1, unless they are set, before NumPy loads: the matrices here are small and many, and threads wait for each
other; on a busy machine two of them took twice the time of one."""

REPORTED = Path("/sys/module/page_reporting/parameters/page_reporting_order")
"""Order of the blocks of free memory that a virtual machine gives back to its host; -1 where it gives none (Linux)."""


def start() -> None:
    """The program: :func:`main`, and the end of the process without taking loaded modules apart, which costs 30 ms.

    All else ends in order before: threads, what modules registered for the end, and the output.
    """
    ended: list[int] = []
    atexit.register(_leave, ended)  # registered first, called last
    try:
        main()
    except SystemExit as end:
        ended += [end.code] if isinstance(end.code, int) else []
        raise


def _leave(ended: list[int]) -> None:
    """End the process with the one code in ``ended``; without one, or where output is lost, Python ends it."""
    with suppress(OSError, ValueError, AttributeError):  # full disk, closed stream, no stream
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if ended:
            os._exit(ended[0])


def main() -> None:
    """Run the command line and leave with its exit code; nothing unexpected leaves as a verdict (0 or 1)."""
    for threads in ONE_THREAD:
        os.environ.setdefault(threads, "1")
    if gives_memory_back():
        os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # none is used; the search costs 5 ms
    vars(platform.uname())["processor"] = ""  # h5py reads the whole record, and this field starts a program: 6 ms
    gc.disable()  # until the command's rooms are loaded: a tenth of their time
    speakable()
    guard()
    repeat_lost_interrupts()
    as_json = "--json" in sys.argv
    try:
        code = _left_with(as_json)
        sys.stdout.flush()
    except OutputTrouble as trouble:
        say(f"sweetspot: {trouble}")
        code = trouble.exit_code
    except Exception as fault:
        code = UNEXPECTED
        failed(kept(fault, datetime.now(UTC)), code, as_json=as_json)
    gc.enable()
    gc.freeze()  # the interpreter's last collection would look at all that was loaded: 15 ms
    sys.exit(code)


def gives_memory_back() -> bool:
    """Whether huge pages, which NumPy requests for arrays of 4 MB and more, take long here: 6 ms each for 0.2.

    They do where they lie in memory that was given back and the host has to find again; small pages seldom do.
    """
    with suppress(OSError, ValueError):
        return int(REPORTED.read_text()) >= 0
    return False


def repeat_lost_interrupts() -> None:
    """Raise Ctrl-C again where Python could only report it.

    A ``KeyboardInterrupt`` that reaches a finalizer or a weak reference's callback is printed as "Exception ignored in"
    and lost, and the command would go on as if nothing had been pressed.
    """
    usual = sys.unraisablehook

    def hook(lost: Any) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            usual(lost)
            return
        timer = threading.Timer(AGAIN_S, _thread.interrupt_main)
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook


def _left_with(as_json: bool) -> int:
    """Exit code of the command that was typed."""
    try:
        code = _done(sys.argv[1:], as_json=as_json)
    except OutputTrouble:
        raise
    except SweetspotError as trouble:
        failed(str(trouble), trouble.exit_code, as_json=as_json)
        return trouble.exit_code
    except OSError as fault:
        if not (words := refused_by_system(fault)):
            raise
        failed(words, 2, as_json=as_json)
        return 2
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:  # typer turns Ctrl-C into this code by itself
        failed("interrupted; results so far are kept", code, as_json=as_json)
    return code


def check_encoding(words: Sequence[str]) -> None:
    """Refuse names whose bytes are no text here: they stand in files, pages and JSON, which are UTF-8.

    Raises
    ------
    BadInput
        Shows the first one.
    """
    for word in words:
        shown = word.encode("utf-8", "backslashreplace").decode()
        if shown != word:
            raise BadInput(f"{shown}: is not in UTF-8; rename it, or set a locale with UTF-8, such as LC_ALL=C.UTF-8")


def _done(words: list[str], *, as_json: bool) -> int:
    """Do what was typed; returns the exit code."""
    check_encoding([__file__])  # libraries beside it cannot be loaded otherwise
    with suppress(FileNotFoundError):  # the folder may be gone
        check_encoding([os.getcwd()])
    check_encoding(words)
    reading = reading_ahead(words)
    hash_files(words)
    if reading:
        with closing(reading):
            if call := reading.call_when_loaded():
                return call.made() or 0
    from sweetspot.roof import typed  # typer: 30 ms

    return typed(as_json=as_json)
