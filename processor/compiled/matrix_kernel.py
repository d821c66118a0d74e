"""The compiled kernel of the filter matrix: transforms and spectral products as vector code, made at first use.

It does for whole blocks what :class:`partition.Matrix` does in numpy, in single precision, in three steps
that are written for the vectors of the machine at hand (``W`` lanes: 16 with AVX-512, else 8):

1. *Forward*, once per input: :mod:`sweetspot.processor.compiled.fft`.
2. *Products*, once per output and bin: ``Y[o] = sum_q H[o, q] X[q]`` over partitions and inputs, in registers.
   Filters lie in memory in the order in which they are read.
3. *Inverse*, once per output.

Denormal numbers count as zero inside (x86), so that silence after music costs no more than music.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numpy.typing import NDArray

from sweetspot.processor.compiled import fft, vectors
from sweetspot.processor.compiled.fft import BLOCKS, TransformPlan
from sweetspot.processor.compiled.machine_code import machine_code
from sweetspot.processor.compiled.vectors import FLOATS, I64, Writer, lanes_of_host

SOURCES = (Path(__file__), fft.HERE, vectors.HERE)
"""Source files of the code: a change of any of them changes the code."""

POINTERS = ("x", "line", "h", "y", "out", "scratch", "tables")
NUMBERS = ("count", "x_skip", "out_skip", "inputs", "outputs", "order", "slot", "first", "last", "add", "tile", "tiles")


@dataclass(frozen=True, slots=True)
class Kernel:
    """Compiled code for one block size.

    Parameters
    ----------
    block, lanes
        ``B`` and ``W``. A spectrum is stored as ``B/W`` tiles, each of ``W`` real and ``W`` imaginary parts.
    order
        ``(B,)``: the bin at each place of a spectrum.
    tables
        Constants that every run needs.
    groups
        How many outputs are done at once, group after group; filters lie in groups of these sizes.
    run
        Takes the address of the 64-bit values of :data:`POINTERS`, :data:`NUMBERS` and, for each size of group, how
        many there are.
    library
        Keeps the code alive.
    """

    block: int
    lanes: int
    order: NDArray[np.int64]
    tables: NDArray[np.float32]
    groups: tuple[int, ...]
    run: Any
    library: Any

    def spectrum(self, h: NDArray[Any]) -> NDArray[np.float32]:
        """Spectra ``(..., tile, 2, lane)`` of filters ``(..., B)``, scaled so that the inverse needs no factor."""
        bins = np.fft.ifft(h * _fold(self.block), axis=-1)[..., self.order]
        tiles = bins.reshape(*h.shape[:-1], self.block // self.lanes, self.lanes)
        return np.stack([tiles.real, tiles.imag], axis=-2).astype(np.float32)


@cache
def _fold(block: int) -> NDArray[np.complex128]:
    """What a frame of real samples is multiplied by, so that its spectrum has no bin of its own kind."""
    return np.asarray(np.exp(0.5j * np.pi * np.arange(block) / block))


def grouped(outputs: int, lanes: int) -> tuple[int, ...]:
    """Sizes of the groups that outputs are done in, most first: as many sums as the machine has registers for."""
    sizes: list[int] = []
    for size in (8, 4, 2, 1) if lanes == 16 else (4, 2, 1):
        sizes += [size] * ((outputs - sum(sizes)) // size)
    return tuple(sizes)


@cache
def compiled(block: int, outputs: int, lanes: int | None = None) -> Kernel:
    """The kernel for a block size and a number of outputs; compiled once per process, in some 0.2 s.

    Raises
    ------
    ValueError
        The block is no power of two from 16 to 4096.
    """
    if block not in BLOCKS:
        raise ValueError(f"block is {block}: the compiled kernel needs a power of two from 16 to 4096")
    lanes = lanes or lanes_of_host(block)
    groups = grouped(outputs, lanes)
    plan, sizes = TransformPlan(block, lanes), sorted(set(groups), reverse=True)

    def written() -> str:
        module = ir.Module(name=f"matrix{block}x{lanes}")
        forward, inverse = fft.forward(module, plan), fft.inverse(module, plan)
        _run(module, plan, forward, inverse, {g: _products(module, plan, g) for g in sizes})
        return str(module)

    library, address = machine_code(f"matrix {block} {sizes}", written, lanes, SOURCES)
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
    return Kernel(block, lanes, order=plan.order(), tables=plan.tables(), groups=groups, run=run, library=library)


def _products(module: Any, plan: TransformPlan, group: int) -> Any:
    """``(y, h, x, steps, h_stride, x_stride, tiles, add)``: ``Y = [Y +] sum H X`` for ``group`` outputs."""
    w = Writer(module, f"products{group}", [FLOATS, FLOATS, FLOATS, I64, I64, I64, I64, I64], plan.lanes)
    y, h, x, steps, h_stride, x_stride, tiles, add = w.function.args
    pair, zero = 2 * plan.lanes, ir.Constant(w.vector, None)
    adds = w.b.icmp_signed("!=", add, I64(0))
    with w.loop(tiles) as (tile, _, _):
        places = [w.b.add(w.b.mul(tile, I64(pair)), I64(g * 2 * plan.block)) for g in range(group)]
        start = [w.b.select(adds, part, zero) for p in places for part in w.load_pair(y, p)]
        filters, heard = w.at(h, w.b.mul(tile, h_stride)), w.at(x, w.b.mul(tile, x_stride))
        with w.loop(steps, *start) as (q, sums, following):
            xr, xi = w.load_pair(heard, w.b.mul(q, I64(pair)))
            for g in range(group):
                hr, hi = w.load_pair(filters, w.b.add(w.b.mul(q, I64(group * pair)), I64(g * pair)))
                real, imag = sums[2 * g], sums[2 * g + 1]
                following.append(w.sub(w.add(real, w.mul(hr, xr)), w.mul(hi, xi)))
                following.append(w.add(w.add(imag, w.mul(hr, xi)), w.mul(hi, xr)))
        for g, p in enumerate(places):
            w.store_pair((following[2 * g], following[2 * g + 1]), y, p)
    w.b.ret_void()
    return w.function


def _run(module: Any, plan: TransformPlan, forward: Any, inverse: Any, products: dict[int, Any]) -> Any:
    """``(values)``: ``count`` blocks, each through forward, products and inverse, according to the values."""
    w = Writer(module, "run", [I64.as_pointer()], plan.lanes)
    names = (*POINTERS, *NUMBERS, *(f"groups{g}" for g in products))
    values = {n: w.b.load(w.b.gep(w.function.args[0], [I64(i)])) for i, n in enumerate(names)}
    p = {n: w.b.inttoptr(values[n], FLOATS) for n in POINTERS}
    pair, block, b = 2 * plan.lanes, plan.block, w.b
    order, inputs = values["order"], values["inputs"]
    stride = b.mul(order, I64(2 * pair))
    with w.flushing(), w.loop(values["count"], values["slot"]) as (k, (slot,), following):
        lagging = b.mul(k, I64(block))
        line = w.at(p["line"], b.mul(slot, I64(pair)))
        with w.loop(inputs) as (i, _, _):
            old = w.at(p["x"], b.add(b.mul(i, values["x_skip"]), lagging))
            place = w.at(line, b.mul(i, I64(pair)))
            second = b.mul(order, I64(pair))
            b.call(forward, [old, w.at(old, block), place, stride, second, p["scratch"], p["tables"]])
        _all_products(w, plan, products, v=values, p=p, line=line, stride=stride)
        with w.loop(values["outputs"]) as (o, _, _):
            out = w.at(p["out"], b.add(b.mul(o, values["out_skip"]), lagging))
            b.call(inverse, [w.at(p["y"], b.mul(o, I64(2 * block))), out, p["scratch"], p["tables"]])
        back = b.sub(slot, inputs)
        following.append(b.select(b.icmp_signed("<", back, I64(0)), b.add(back, order), back))
    w.b.ret_void()
    return w.function


def _all_products(
    w: Writer, plan: TransformPlan, products: dict[int, Any], *, v: dict[str, Any], p: Any, line: Any, stride: Any
) -> None:
    """Group after group of outputs, largest groups first; filters and sums lie in that order."""
    pair, block, b = 2 * plan.lanes, plan.block, w.b
    steps = b.sub(v["last"], v["first"])
    heard = w.at(line, b.add(b.mul(v["first"], I64(pair)), b.mul(v["tile"], stride)))
    h, y = p["h"], w.at(p["y"], b.mul(v["tile"], I64(pair)))
    for group, function in products.items():
        h_stride = b.mul(v["order"], I64(group * pair))
        with w.loop(v[f"groups{group}"], h, y) as (_, (here, sums), following):
            start = b.add(b.mul(v["tile"], h_stride), b.mul(v["first"], I64(group * pair)))
            b.call(function, [sums, w.at(here, start), heard, steps, h_stride, stride, v["tiles"], v["add"]])
            following += [w.at(here, b.mul(h_stride, I64(plan.block // plan.lanes))), w.at(sums, group * 2 * block)]
        h, y = following
