"""The transforms of the upmix's centre as vector code: frames of mid and side to their spectra, and one back.

They are those of :mod:`compiled.fft` in single precision; the rule between is :func:`sweetspot.processor.upmix.weigh`.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]

from sweetspot.processor.compiled import fft, vectors
from sweetspot.processor.compiled.fft import BLOCKS, TransformPlan
from sweetspot.processor.compiled.machine_code import address_of, aligned, copied, machine_code
from sweetspot.processor.compiled.vectors import FLOATS, I64, Writer, lanes_of_host

SOURCES = (Path(__file__), fft.HERE, vectors.HERE)
CENTRE_POINTERS = ("frames", "out", "spectra", "scratch", "tables")
CENTRE_NUMBERS = ("inputs", "outputs")


class CompiledCentre:
    """As :class:`sweetspot.processor.upmix.Centre`, in single precision, for windows of a power of two."""

    def __init__(self, window: int) -> None:
        plan, self._run, self._library = centre_kernel(window // 2)
        self.spectra = aligned((2, plan.rows, 2, plan.lanes))
        self.averages = np.zeros((plan.rows, 5, plan.lanes))
        self.frames, self.out, self._scratch = aligned((2, window)), aligned((window,)), aligned((window,))
        self._tables = copied(plan.tables())
        held = (self.frames, self.out, self.spectra, self._scratch, self._tables)
        addresses = [array.ctypes.data for array in held]
        self.forward_arguments = np.array([*addresses, 2, 0], dtype=np.int64)
        self.inverse_arguments = np.array([*addresses, 0, 1], dtype=np.int64)

    @property
    def function(self) -> int:
        """Address of the kernel's function, which takes the address of one of the two lists of arguments."""
        return address_of(self._run)

    def forward(self) -> None:
        """From windowed ``frames (2, window)`` to ``spectra (2, tile, 2, lane)`` of mid and side."""
        self._run(self.forward_arguments.ctypes.data)

    def inverse(self) -> None:
        """From the first of the spectra to ``out (window,)``."""
        self._run(self.inverse_arguments.ctypes.data)


@cache
def centre_kernel(block: int) -> tuple[TransformPlan, Any, Any]:
    """Transforms of frames of ``2 block`` samples: plan, function, and owner of its memory.

    The function takes the address of the 64-bit values of :data:`CENTRE_POINTERS` and :data:`CENTRE_NUMBERS`: how many
    of the ``frames (2, 2B)`` it transforms into ``spectra (2, tile, 2, W)``, and of these back to ``out (2B,)`` times
    ``B``.
    """
    if block not in BLOCKS:
        raise ValueError(f"block is {block}: the compiled kernel needs a power of two from 16 to 4096")
    plan = TransformPlan(block, lanes_of_host(block))

    def written() -> str:
        module = ir.Module(name=f"centre{block}")
        _transforms(module, plan, fft.forward(module, plan), fft.inverse(module, plan, whole=True))
        return str(module)

    library, address = machine_code(f"centre {block}", written, plan.lanes, SOURCES)
    return plan, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address), library


def _transforms(module: Any, plan: TransformPlan, forward: Any, inverse: Any) -> Any:
    """``(values)``: some frames to spectra, some spectra to frames."""
    w = Writer(module, "run", [I64.as_pointer()], plan.lanes)
    b, pair, frame = w.b, 2 * plan.lanes, 2 * plan.block
    names = (*CENTRE_POINTERS, *CENTRE_NUMBERS)
    values = {n: b.load(b.gep(w.function.args[0], [I64(i)])) for i, n in enumerate(names)}
    p = {n: b.inttoptr(values[n], FLOATS) for n in CENTRE_POINTERS}
    with w.flushing():
        with w.loop(values["inputs"]) as (k, _, _):
            x, spectrum = (w.at(p[n], b.mul(k, I64(frame))) for n in ("frames", "spectra"))
            b.call(forward, [x, w.at(x, plan.block), spectrum, I64(pair), I64(0), p["scratch"], p["tables"]])
        with w.loop(values["outputs"]) as (k, _, _):
            spectrum, out = (w.at(p[n], b.mul(k, I64(frame))) for n in ("spectra", "out"))
            b.call(inverse, [spectrum, out, p["scratch"], p["tables"]])
    b.ret_void()
    return w.function
