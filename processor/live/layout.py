"""Memory layout of the compiled block path's state between blocks."""

from __future__ import annotations

import ctypes
import platform
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from sweetspot.processor.compiled import NUMBERS, POINTERS
from sweetspot.processor.crossfade import RAMP
from sweetspot.processor.dynamics import SPL, STOP
from sweetspot.processor.upmix import FRAME

_AT = {name: i for i, name in enumerate((*POINTERS, *NUMBERS))}
COUNT, SLOT, INPUTS, OUTPUTS = _AT["count"], _AT["slot"], _AT["inputs"], _AT["outputs"]
SPECTRA, Y, OUT, OUT_SKIP = _AT["h"], _AT["y"], _AT["out"], _AT["out_skip"]
TILE, TILES, ARGUMENTS = _AT["tile"], _AT["tiles"], len(_AT)

FILES = (
    "live/memory.py",
    "live/layout.py",
    "live/state.py",
    "compiled/matrix_kernel.py",
    "dynamics/guard.py",
    "dynamics/spl_limiter.py",
    "crossfade.py",
    "upmix.py",
)
"""Source files of rules and constants of the compiled code, besides its own."""

VERSION = "v" + sha256(b"".join((Path(__file__).parents[1] / name).read_bytes() for name in FILES)).hexdigest()[:12]
"""A field of this name invalidates numba's cache of code from other rules, as numba checks one file only."""


def _fields(kind: Any, *names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names]


def _stage(numbers: tuple[str, ...] = (), **more: Any) -> np.dtype[Any]:
    """Fields of a stage: named ones with their types, then 64-bit ``numbers``, which may be addresses."""
    return np.dtype([*more.items(), *_fields(np.int64, *numbers)])


MATRIX = np.dtype(
    [
        (level + name, np.int64)
        for level in ("", "far_")
        for name in ("run", "arguments", "x", "x_skip", "out", "out_skip", "order", "slot")
    ]
    + [(name, np.int64) for name in ("ratio", "turn", "far_tiles", "gathered", "answer", "warm")]
    + [("ceiling", np.float64), (VERSION, np.int64)]
)
"""One set of filters: the kernel's arguments for its levels, where their memory lies, and the ceiling, which in single
precision is not above the filter set's."""

PIECES = ("x", "programs", "y", "other", "gains")
"""Room for one block between the stages."""

STREAM = _stage(
    (
        *PIECES,
        "clock",
        "time",
        "block",
        "drivers",
        "inputs",
        "channels",
        "heard_channels",
        "left",
        "right",
        "rows",
        "outs",
        "half",
    ),
    period=np.float64,
    settled=np.float64,
    largest=np.float64,
)
"""The device's channels and block, which program feeds which input, the largest sample taken from inputs, and
:data:`PIECES`; for files, which half of the path the state is for."""

WHOLE, UPMIX_HALF, DRIVER_HALF = range(3)
"""Input to output, or for files one of two halves that run at the same time: input to programs, programs to output."""

SHARED = _stage(("controls", "meters", "loads", "counters", "ring", "ring_size", "tail"))
"""State shared with the console process (:mod:`memory`), and the samples left after the file's end."""

KERNEL = ("spectra", "rows", "lanes", "run", "forward", "inverse")
"""Of the upmix: the function of its transforms, its arguments for either, and the spectra between."""

UPMIX = _stage(
    (*KERNEL, "heard", "sums", "analysis", "synthesis", "frames", "made", "averages", "rule"),
    frame=FRAME,
    decay=np.float64,
)
"""Memory of the upmix and its transforms; no window: stereo passes."""

BANK = ("spectra", "stride", "place", "going", "twin", "twin_out", "walk")
"""Of a bank: spectra of all places and from one to the next, the place that plays, the one that fades in or -1, the
kernel arguments of that one and where its output lies, samples of the crossfade; no spectra: no bank."""

FILTERS = _stage(("matrices", "playing", "next", "wanted", "fade", *BANK), change=RAMP, walking=RAMP)
"""Sets of filters, the playing one, and the crossfade to another; the first set may be a bank."""

MUTED = _stage(("soft",), ramp=RAMP, gain=np.float64)
"""The gain of volume, start, mute and stop."""

GUARD = _stage(
    ("look", "width", "speed", "memory", "bands", "ceilings", "caps", "seen", "means", "average"),
    stop=STOP,
    share=np.float64,
)
"""Memory of the guard's rules, and why it stopped."""

LIMITER = _stage(("past", "width", "powers", "made", "taps", "length", "most", "rule"), memory=SPL)
"""Memory of the SPL limiter and its detectors; no length: none."""

STATE = _stage(
    (VERSION,), stream=STREAM, shared=SHARED, upmix=UPMIX, spl=LIMITER, filters=FILTERS, mute=MUTED, guard=GUARD
)
"""State between blocks, by stage; arrays are given by their addresses."""

CLOCK_MONOTONIC, CLOCK_THREAD = (6, 16) if platform.system() == "Darwin" else (1, 3)
"""Time that passes, and time for which the machine lets this thread run."""


def clock() -> int:
    """Address of ``clock_gettime``; 0 if the C library has none."""
    function = getattr(ctypes.CDLL(None), "clock_gettime", None) if platform.system() != "Windows" else None
    return ctypes.cast(function, ctypes.c_void_p).value or 0 if function is not None else 0
