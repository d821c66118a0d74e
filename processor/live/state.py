"""Machine functions that the compiled block path needs, for numba's compiler."""

from __future__ import annotations

import platform
from typing import Any

import numba as _numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic as _intrinsic

from sweetspot.processor.live.layout import MATRIX

numba: Any = _numba
"""Untyped, since its types describe Python and not the compiled code."""
carray: Any = numba.carray
intrinsic: Any = _intrinsic
types: Any = numba.types


def _pointer_to(kind: Any) -> Any:
    def at(context: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), code

    return intrinsic(at)


f32, f64, i64 = _pointer_to(types.float32), _pointer_to(types.float64), _pointer_to(types.int64)
matrix = _pointer_to(numba.from_dtype(MATRIX))


def _calling(context: Any, function: Any, arguments: Any) -> Any:
    """Call the kernel at an address with the address of its arguments."""

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
