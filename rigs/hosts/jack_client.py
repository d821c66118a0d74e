"""Clients of a JACK server that call back in Python, and the safe end of such a callback."""

from __future__ import annotations

import ctypes
import math
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sweetspot.rigs.errors import HardwareTrouble

PATIENCE_S = 1.0
"""How long the end of a client waits for one more block, s; a server that stands still has none."""

CANCEL_S = 0.1
"""Time after which the server surely has cancelled the thread of a client that is being closed, s."""

_ENABLED, _DISABLED = 0, 1
"""PTHREAD_CANCEL_ENABLE and PTHREAD_CANCEL_DISABLE where PipeWire runs."""

_LEFT: list[Any] = []
"""Clients that could not be closed: what their threads would call must stay."""


def library() -> Any:
    """The ``jack`` library, which prints nothing.

    Raises
    ------
    HardwareTrouble
        JACK itself is not installed.
    """
    try:
        import jack
    except OSError as fault:
        raise HardwareTrouble(f"JACK's library is missing ({fault}). Install it: apt-get install jackd2") from fault
    jack.set_error_function(lambda _message: None)
    jack.set_info_function(lambda _message: None)
    return jack


class ProcessCallback:
    """What a client does with each block, until :meth:`close`.

    PipeWire ends a client by cancelling the thread that calls back. Cancelled while it waits for the interpreter's
    lock, that thread would leave the lock's mutex taken, and the program would hang. So the thread can be cancelled
    only once the client is being closed and a last block has done nothing.

    Parameters
    ----------
    client
        Of the ``jack`` library, not yet activated.
    process
        Takes the number of samples of a block; its ports hold the block.
    """

    def __init__(self, client: Any, process: Callable[[int], None]) -> None:
        self._client: Any = client
        self._process = process
        self._cancels = "PipeWire" in library().version_string()
        self._called, self._ending, self._rests, self._last = False, False, threading.Event(), math.inf
        client.set_process_callback(self._step)

    def close(self) -> None:
        """Deactivate and close the client; may be called twice. Where blocks have ceased, the client is left open."""
        if self._client is None:
            return
        client, self._client = self._client, None
        self._ending = True
        if self._cancels and not self._rests.wait(PATIENCE_S) and self._called:
            client.close = lambda: None  # the library would close it at the program's end, and wait for ever
            _LEFT.append(client)
            return
        self._last = time.perf_counter() + CANCEL_S
        client.deactivate()
        client.close()

    def _step(self, frames: int) -> None:
        self._called = True
        if self._cancels:
            _set_cancel_state(_ENABLED if time.perf_counter() > self._last else _DISABLED)
        if self._ending:
            self._rests.set()
        else:
            self._process(frames)


def _set_cancel_state(state: int) -> None:
    """Whether this thread can be cancelled."""
    _c_library().pthread_setcancelstate(state, None)


@lru_cache(maxsize=1)
def _c_library() -> ctypes.PyDLL:
    """Its functions are called without giving the interpreter's lock away."""
    return ctypes.PyDLL(None)
