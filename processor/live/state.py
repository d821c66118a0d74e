"""What the compiled block path remembers from block to block, and the few things that it asks of the machine."""

from __future__ import annotations

import ctypes
import platform
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba as _numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic as _intrinsic

from sweetspot.processor.compiled import NUMBERS, POINTERS
from sweetspot.processor.crossfade import RAMP
from sweetspot.processor.guard import STOP
from sweetspot.processor.upmix import FRAME

numba: Any = _numba
"""Without its own types, which tell what Python sees and not what the compiler makes of it."""
carray: Any = numba.carray
intrinsic: Any = _intrinsic
types: Any = numba.types

_AT = {name: i for i, name in enumerate((*POINTERS, *NUMBERS))}
COUNT, SLOT, INPUTS, OUTPUTS = _AT["count"], _AT["slot"], _AT["inputs"], _AT["outputs"]
SPECTRA, Y, OUT, OUT_SKIP = _AT["h"], _AT["y"], _AT["out"], _AT["out_skip"]
TILE, TILES, TOLD = _AT["tile"], _AT["tiles"], len(_AT)

FILES = ("live/memory.py", "live/state.py", "compiled/matrix_kernel.py", "guard.py", "crossfade.py", "upmix.py")
"""Where the compiled code takes rules and constants from, besides its own file."""

VERSION = "v" + sha256(b"".join((Path(__file__).parents[1] / name).read_bytes() for name in FILES)).hexdigest()[:12]
"""A field of this name makes code that was kept from other rules unknown to numba, which looks at one file only."""


def _fields(kind: Any, *names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names]


def _stage(numbers: tuple[str, ...] = (), **more: Any) -> np.dtype[Any]:
    """A stage's fields: those named with their kinds, 64-bit ``numbers``, which may be addresses, last."""
    return np.dtype([*more.items(), *_fields(np.int64, *numbers)])


MATRIX = np.dtype(
    [
        (level + name, np.int64)
        for level in ("", "far_")
        for name in ("run", "told", "x", "x_skip", "out", "out_skip", "order", "slot")
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
    ),
    period=np.float64,
    settled=np.float64,
)
"""The device's channels and block, which program feeds which input, and :data:`PIECES`."""

SHARED = _stage(("controls", "meters", "loads", "counters", "ring", "ring_size", "tail"))
"""What is shared with the process that shows (:mod:`memory`), and the samples left to play after the file's end."""

KERNEL = ("spectra", "rows", "lanes", "run", "forward", "inverse")
"""Of the upmix: the function of its transforms, its arguments for either, and the spectra between."""

UPMIX = _stage(
    (*KERNEL, "heard", "sums", "shape", "synthesis", "frames", "made", "averages", "rule"),
    frame=FRAME,
    decay=np.float64,
)
"""Memory of the upmix and its transforms; no window: stereo passes."""

BANK = ("spectra", "stride", "place", "going", "twin", "twin_out", "walk")
"""Of a bank: spectra of all places and from one to the next, the place that plays, the one that fades in or -1, what
the kernel is told for that one and where its output lies, samples of the crossfade; no spectra: no bank."""

FILTERS = _stage(("matrices", "playing", "next", "wanted", "fade", *BANK), change=RAMP, walking=RAMP)
"""Sets of filters, which one plays, and the change to another; the first set may be a bank."""

MUTED = _stage(("muted", "soft"), ramp=RAMP, gain=np.float64)
"""The gain of start, mute and stop."""

GUARD = _stage(
    ("look", "width", "speed", "memory", "bands", "ceilings", "seen", "means", "average"),
    stop=STOP,
    share=np.float64,
)
"""Memory of the guard's rules, and why it stopped."""

STATE = _stage((VERSION,), stream=STREAM, shared=SHARED, upmix=UPMIX, filters=FILTERS, mute=MUTED, guard=GUARD)
"""Everything that one block leaves to the next, stage by stage; addresses where a name stands for an array."""

CLOCK_MONOTONIC, CLOCK_THREAD = (6, 16) if platform.system() == "Darwin" else (1, 3)
"""Time that passes, and time for which the machine lets this thread run."""


def _pointer_to(kind: Any) -> Any:
    def at(context: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), code

    return intrinsic(at)


f32, f64, i64 = _pointer_to(types.float32), _pointer_to(types.float64), _pointer_to(types.int64)
matrix = _pointer_to(numba.from_dtype(MATRIX))


def _calling(context: Any, function: Any, told: Any) -> Any:
    """Call the kernel at an address with the address of what it is told."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)]).as_pointer()
        builder.call(builder.inttoptr(arguments[0], kind), [arguments[1]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


def _asking(context: Any, clock: Any, which: Any, time: Any) -> Any:
    """Call ``clock_gettime`` at an address."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32), ir.IntType(64)]).as_pointer()
        which = builder.trunc(arguments[1], ir.IntType(32))
        builder.call(builder.inttoptr(arguments[0], kind), [which, arguments[2]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), code


def _flushing(context: Any, mode: Any) -> Any:
    """On x86: take denormal numbers as zero from now on; or, given the mode that this returned, as before."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if platform.machine().lower() not in ("x86_64", "amd64", "i386", "i686"):
            return arguments[0]
        word, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte])
        save, put = (builder.module.declare_intrinsic(f"llvm.x86.sse.{n}mxcsr", (), kind) for n in ("st", "ld"))
        found, new = builder.alloca(word), builder.alloca(word)
        builder.call(save, [builder.bitcast(found, byte)])
        before = builder.load(found)
        asked = builder.trunc(arguments[0], word)
        first = builder.icmp_signed("<", arguments[0], ir.Constant(ir.IntType(64), 0))
        builder.store(builder.select(first, builder.or_(before, word(0x8040)), asked), new)
        builder.call(put, [builder.bitcast(new, byte)])
        return builder.zext(before, ir.IntType(64))

    return types.int64(types.int64), code


call, ask, flush = intrinsic(_calling), intrinsic(_asking), intrinsic(_flushing)


def clock() -> int:
    """Address of ``clock_gettime``; 0 where the C library has none."""
    function = getattr(ctypes.CDLL(None), "clock_gettime", None) if platform.system() != "Windows" else None
    return ctypes.cast(function, ctypes.c_void_p).value or 0 if function is not None else 0
