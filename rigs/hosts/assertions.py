"""Failed assertions of a foreign library: they hold up the thread that called it, not the program."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def without_abort(work: Callable[[], T]) -> T:
    """``work()``; where a library aborts in it, the call never returns, and the program goes on.

    PortAudio asserts that JACK closes its ports and its client, which fails while the server ends: ``abort`` would
    end the interpreter, with all that is open in it. Its signal can be caught, but the handler must not return, so
    that the calling thread sleeps in there from then on. A call that returns leaves everything as it was. To be called
    in a thread of its own (:class:`.timeout.Worker`), as one that may never return.
    """
    if os.name != "posix":
        return work()
    faults = {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - faults)  # nothing wakes a sleeper
    set_handler, asleep = _handlers()
    before = set_handler(signal.SIGABRT, asleep)
    try:
        return work()
    finally:
        set_handler(signal.SIGABRT, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)


def _handlers() -> tuple[Any, Any]:
    """The system's ``signal`` and the address of its ``pause``: no code of the interpreter runs in a handler."""
    library = ctypes.CDLL(None)
    library.signal.argtypes, library.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    return library.signal, ctypes.cast(library.pause, ctypes.c_void_p)
