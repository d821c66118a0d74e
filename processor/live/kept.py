"""Machine code of the live block path, cached on disk: a later start needs neither the compiler nor numba."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sweetspot.processor.compiled import loops_code
from sweetspot.processor.live import layout

ROOM = Path(__file__).parents[1]
SOURCES = tuple(ROOM / name for name in ("live/callback.py", *layout.FILES))
"""Source files of the code: a change in any of them recompiles it."""

FLOATS = ctypes.POINTER(ctypes.c_float)
FORM = ctypes.CFUNCTYPE(
    *(ctypes.c_int32, FLOATS, FLOATS, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p)
)
"""PortAudio's callback: input, output, frames, time, flags, user data (the address of :data:`layout.STATE`)."""


@dataclass(frozen=True, slots=True)
class BlockPath:
    """Code for one block.

    Parameters
    ----------
    address
        Where it begins.
    ctypes
        The same, to be called from Python.
    held
        What keeps it in memory.
    """

    address: int
    ctypes: Any
    held: Any


@cache
def block_path() -> BlockPath:
    """The code of :mod:`sweetspot.processor.live.callback` for this machine, compiled at the first start."""
    held, address = loops_code(f"block path {layout.VERSION}", _written, "cfunc.", SOURCES)
    return BlockPath(address, FORM(address), held)


def _written() -> str:
    """The module that numba makes of the callback, optimised, as text."""
    from sweetspot.processor.live import callback

    return str(callback.callback().inspect_llvm())
