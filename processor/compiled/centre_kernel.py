"""The compiled kernel of the upmix: frames of mid and side to frames of the centre, as vector code.

It does what :class:`sweetspot.processor.upmix.Centre` does in numpy, in single precision, with the transforms of
:mod:`compiled.fft`: both spectra, their recursive averages, the rule of a method bin by bin, one inverse.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numpy.typing import NDArray

from sweetspot.processor.compiled import fft, vectors
from sweetspot.processor.compiled.fft import BLOCKS, TransformPlan
from sweetspot.processor.compiled.machine_code import address_of, aligned, copied, machine_code
from sweetspot.processor.compiled.vectors import FLOATS, I64, Pair, Writer, declared, lanes_of_host

Real = NDArray[Any]
SOURCES = (Path(__file__), fft.HERE, vectors.HERE)
CENTRE_POINTERS = ("frames", "out", "averages", "spectra", "scratch", "tables", "decays")
MONO, STEREO = 1e-8, 1e-6
"""Ratio of side to mid power under which a bin counts as mono, and above which its projection is taken whole."""
NEAR_MIDDLE, LEAST_SIDE = 2.5, 1e-12
"""Of the soft projection, as in :mod:`processor.upmix`."""


class CompiledCentre:
    """Frames of mid and side to frames of the centre, as :class:`sweetspot.processor.upmix.Centre` does it in numpy."""

    def __init__(self, window: int, method: str = "soft-projection") -> None:
        self._plan, self._run, self._library = centre_kernel(window // 2, method)
        self.averages = aligned((self._plan.rows, 4, self._plan.lanes))
        self._spectra, self._scratch = aligned((2, window)), aligned((window,))
        self._tables = copied(self._plan.tables())
        self.frames, self.out, self.decays = aligned((2, window)), aligned((window,)), aligned((1,))
        held = (self.frames, self.out, self.averages, self._spectra, self._scratch, self._tables, self.decays)
        self.told = np.array([*(array.ctypes.data for array in held), 1], dtype=np.int64)
        self._address = int(self.told.ctypes.data)

    @property
    def function(self) -> int:
        """Address of the kernel's function, which takes the address of :attr:`told`."""
        return address_of(self._run)

    def reset(self) -> None:
        """Forget the averages."""
        self.averages[:] = 0.0

    def run(self, decay: float) -> None:
        """From windowed ``frames (2, window)`` to ``out (window,)``; the averages are multiplied by ``decay`` first."""
        self.decays[0] = decay
        self._run(self._address)


@cache
def centre_kernel(block: int, rule: str = "soft-projection") -> tuple[TransformPlan, Any, Any]:
    """The centre of an upmix with frames of ``2 block`` samples: its plan, its function, and what keeps it alive.

    The function takes the address of the 64-bit values of :data:`CENTRE_POINTERS` and the number of frames: windowed
    ``frames (count, 2, 2B)`` of mid and side, ``out (count, 2B)`` times ``B``, ``averages (tile, 4, W)``, room for two
    spectra and one more, ``decays (count,)`` of the averages before each frame.
    """
    if block not in BLOCKS:
        raise ValueError(f"block is {block}: the compiled kernel needs a power of two from 16 to 4096")
    plan = TransformPlan(block, lanes_of_host(block))

    def written() -> str:
        module = ir.Module(name=f"centre{block}")
        _centre(module, plan, fft.forward(module, plan), fft.inverse(module, plan, whole=True), WEIGHTS[rule])
        return str(module)

    library, address = machine_code(f"centre {block} {rule}", written, plan.lanes, SOURCES)
    return plan, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address), library


def _centre(module: Any, plan: TransformPlan, forward: Any, inverse: Any, weights: Any) -> Any:
    """``(values)``: ``count`` frames of mid and side to frames of the centre; see :mod:`sweetspot.processor.upmix`."""
    w = Writer(module, "run", [I64.as_pointer()], plan.lanes)
    b, pair, frame, size = w.b, 2 * plan.lanes, 2 * plan.block, plan.lanes
    values = {n: b.load(b.gep(w.function.args[0], [I64(i)])) for i, n in enumerate((*CENTRE_POINTERS, "count"))}
    p = {n: b.inttoptr(values[n], FLOATS) for n in CENTRE_POINTERS}
    spectra = [p["spectra"], w.at(p["spectra"], frame)]
    with w.flushing(), w.loop(values["count"]) as (k, _, _):
        for part, spectrum in enumerate(spectra):
            x = w.at(p["frames"], b.add(b.mul(k, I64(2 * frame)), I64(part * frame)))
            b.call(forward, [x, w.at(x, plan.block), spectrum, I64(pair), I64(0), p["scratch"], p["tables"]])
        decay = w.scalar(p["decays"], k)
        with w.loop(plan.rows) as (tile, _, _):
            place = b.mul(tile, I64(pair))
            mid, side = (w.load_pair(s, place) for s in spectra)
            averages = b.mul(tile, I64(4 * size))
            gain, turn = weights(w, *_averaged(w, mid, side, decay, w.at(p["averages"], averages)))
            mid, away = (w.mul(gain, mid[0]), w.mul(gain, mid[1])), w.times(side, turn)
            w.store_pair((w.sub(mid[0], away[0]), w.sub(mid[1], away[1])), spectra[0], place)
        out = w.at(p["out"], b.mul(k, I64(frame)))
        b.call(inverse, [spectra[0], out, p["scratch"], p["tables"]])
    b.ret_void()
    return w.function


def _averaged(w: Writer, mid: Pair, side: Pair, decay: Any, averages: Any) -> list[Any]:
    """``<M S*>`` (real, imaginary), ``<S S*>``, ``<M M*>`` of one tile, after they have taken the frame in.

    Products and sums stay apart here, so that equal numbers give a ratio of exactly 1 and nothing imaginary.
    """
    b = w.b

    def product(p: Pair, q: Pair) -> Any:
        return b.fadd(b.fmul(p[0], q[0]), b.fmul(p[1], q[1]))

    crossed = b.fsub(b.fmul(mid[1], side[0]), b.fmul(mid[0], side[1]))
    new = (product(mid, side), crossed, product(side, side), product(mid, mid))
    held = []
    for i, value in enumerate(new):
        held.append(b.fadd(b.fmul(w.load(averages, i * w.lanes), decay), value))
        w.store(held[-1], averages, i * w.lanes)
    return held


def _projected(w: Writer, real: Any, imag: Any, ss: Any, mm: Any) -> tuple[Any, Pair]:
    """``C = M - rho S`` with ``rho = <M S*>/<S S*>``: gain of mid, and what is taken from side."""
    b = w.b
    floor, zero, one = w.constant(1e-30), w.constant(0.0), w.constant(1.0)
    span = b.fmul(mm, w.constant(STEREO - MONO))
    trust = b.fdiv(b.fsub(ss, b.fmul(mm, w.constant(MONO))), _larger(w, span, floor))
    trust = _larger(w, _smaller(w, trust, one), zero)
    below = b.select(b.fcmp_ordered(">", ss, zero), ss, one)
    return one, (b.fmul(b.fdiv(real, below), trust), b.fmul(b.fdiv(imag, below), trust))


def _alike(w: Writer, ss: Any, mm: Any) -> Any:
    """``psi = (<M M*> - <S S*>)/(<M M*> + <S S*>)``, not below 0."""
    share = w.b.fdiv(w.b.fsub(mm, ss), _larger(w, w.b.fadd(mm, ss), w.constant(1e-30)))
    return _larger(w, share, w.constant(0.0))


def _soft(w: Writer, real: Any, imag: Any, ss: Any, mm: Any) -> tuple[Any, Pair]:
    """``C = psi (M - k rho S)``, see :func:`processor.upmix.soft_projection`."""
    b, one = w.b, w.constant(1.0)
    below = _larger(w, _larger(w, ss, b.fmul(mm, w.constant(LEAST_SIDE))), w.constant(1e-30))
    rho = b.fdiv(real, below), b.fdiv(imag, below)
    size = _root(w, b.fadd(b.fmul(rho[0], rho[0]), b.fmul(rho[1], rho[1])))
    u = b.fdiv(_larger(w, b.fsub(size, one), w.constant(0.0)), w.constant(NEAR_MIDDLE))
    square, psi = b.fmul(u, u), _alike(w, ss, mm)
    gain = b.fdiv(psi, b.fadd(one, b.fmul(square, square)))
    return psi, (b.fmul(gain, rho[0]), b.fmul(gain, rho[1]))


def _similar(w: Writer, real: Any, imag: Any, ss: Any, mm: Any) -> tuple[Any, Pair]:
    """``C = psi^4 M``."""
    psi = _alike(w, ss, mm)
    square = w.b.fmul(psi, psi)
    return w.b.fmul(square, square), (w.constant(0.0), w.constant(0.0))


def _principal(w: Writer, real: Any, imag: Any, ss: Any, mm: Any) -> tuple[Any, Pair]:
    """``C = g cos(phi) (cos(phi) M + sin(phi) S)``, see :func:`sweetspot.processor.upmix.principal`."""
    b, half, floor = w.b, w.constant(0.5), w.constant(1e-30)
    twice, apart = b.fadd(real, real), b.fsub(mm, ss)
    spread = _root(w, b.fadd(b.fmul(apart, apart), b.fmul(twice, twice)))
    below = _larger(w, spread, floor)
    cosine, sine = b.fdiv(apart, below), b.fdiv(twice, below)
    share = _larger(w, cosine, w.constant(0.0))
    gain = b.fdiv(b.fmul(b.fmul(share, share), spread), _larger(w, b.fadd(mm, ss), floor))
    gain = b.fmul(gain, half)
    return b.fadd(gain, b.fmul(gain, cosine)), (b.fneg(b.fmul(gain, sine)), w.constant(0.0))


WEIGHTS = {
    "soft-projection": _soft,
    "low-latency": _soft,
    "projection": _projected,
    "similarity": _similar,
    "pca": _principal,
}
"""Rules of the centre, as in :data:`sweetspot.processor.upmix.RULES`."""


def _root(w: Writer, x: Any) -> Any:
    root = declared(w.function.module, f"llvm.sqrt.v{w.lanes}f32", ir.FunctionType(w.vector, [w.vector]))
    return w.b.call(root, [x])


def _larger(w: Writer, p: Any, q: Any) -> Any:
    return w.b.select(w.b.fcmp_ordered(">", p, q), p, q)


def _smaller(w: Writer, p: Any, q: Any) -> Any:
    return w.b.select(w.b.fcmp_ordered("<", p, q), p, q)
