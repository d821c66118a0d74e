"""Port latency of a JACK client: two calls of JACK's library that its Python package lacks."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable, Sequence
from typing import Any

from sweetspot.rigs.errors import HardwareTrouble

PLAYBACK = 1
"""Of ``jack_latency_callback_mode_t``; 0 is capture."""


class _Range(ctypes.Structure):
    """``jack_latency_range_t``."""

    _fields_ = (("min", ctypes.c_uint32), ("max", ctypes.c_uint32))


_Callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)


def publish(client: int, playback: Sequence[int], capture: Sequence[int], samples: Callable[[], int]) -> Any:
    """Publish the latency of a client's ports.

    Parameters
    ----------
    client
        Address of the ``jack_client_t``, not active yet.
    playback, capture
        Addresses of the ports: what is sent to the playback ports sounds ``samples()`` later, what comes from the
        capture ports arrived ``samples()`` ago.
    samples
        Asked whenever the server works latencies out.

    Returns
    -------
    An object to keep for as long as the client lives.
    """
    name = ctypes.util.find_library("jack")
    if name is None:
        raise HardwareTrouble("JACK's library is missing. Install it: apt-get install jackd2")
    library = ctypes.CDLL(name)
    library.jack_port_set_latency_range.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Range))
    library.jack_set_latency_callback.argtypes = (ctypes.c_void_p, _Callback, ctypes.c_void_p)

    def set_range(mode: int, _argument: object) -> None:
        late = _Range(samples(), samples())
        for port in playback if mode == PLAYBACK else capture:
            library.jack_port_set_latency_range(port, mode, ctypes.byref(late))

    kept = _Callback(set_range)
    library.jack_set_latency_callback(client, kept, None)
    return kept
