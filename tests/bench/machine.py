"""The machine's own limits on one core: how fast it reads from each cache, and how fast it multiplies and adds.

Run it as ``python tests/bench/machine.py``. The loops are written with the vectors of the processor's own kernel, and
do nothing else; :func:`limit_us` computes from them the lowest possible cost of a block of filters.
"""

from __future__ import annotations

import ctypes
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir

from sweetspot.processor.compiled import vectors as vectorcode
from sweetspot.processor.compiled.machine_code import copied, machine_code
from sweetspot.processor.compiled.vectors import FLOATS, I64, Writer

LANES = vectorcode.lanes_of_host(4096)
SUMS = 16
"""Vectors that are summed side by side: enough to hide how long an addition takes."""


def _code(name: str, step: Any) -> Any:
    """A function of the address of ``(floats, how many rounds, how many vectors a round)``; ``step`` writes a round."""

    def written() -> str:
        module = ir.Module(name=name)
        w = Writer(module, "run", [I64.as_pointer()], LANES)
        values = [w.b.load(w.b.gep(w.function.args[0], [I64(i)])) for i in range(3)]
        floats = w.b.inttoptr(values[0], FLOATS)
        start = [w.load(floats, i * LANES) for i in range(SUMS)]
        with w.loop(values[1], *start) as (_, sums, following):
            following += step(w, floats, values[2], sums)
        for i, total in enumerate(following):
            w.store(total, floats, i * LANES)
        w.b.ret_void()
        return str(module)

    library, address = machine_code(f"bench {name} {SUMS}", written, LANES, (Path(__file__), vectorcode.HERE))
    return library, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)


def _read(w: Writer, floats: Any, vectors: Any, sums: list[Any]) -> list[Any]:
    """Add all vectors of the memory."""
    with w.loop(w.b.sdiv(vectors, I64(SUMS)), *sums) as (i, held, following):
        place = w.b.mul(i, I64(SUMS * LANES))
        following += [w.add(s, w.load(floats, w.b.add(place, I64(k * LANES)))) for k, s in enumerate(held)]
    return following


def _multiply(w: Writer, floats: Any, vectors: Any, sums: list[Any]) -> list[Any]:
    """``s = s a + b`` in registers."""
    factor, term = w.constant(0.999), w.constant(0.001)
    with w.loop(vectors, *sums) as (_, held, following):
        following += [w.add(w.mul(s, factor), term) for s in held]
    return following


def _seconds(run: Any, floats: Any, rounds: int, vectors: int) -> float:
    """Shortest of some runs: what disturbs only makes them longer."""
    done = np.array([floats.ctypes.data, rounds, vectors], dtype=np.int64)
    best = np.inf
    for _ in range(7):
        begin = time.process_time()
        run(done.ctypes.data)
        best = min(best, time.process_time() - begin)
    return float(best)


@cache
def bandwidth(size: int) -> float:
    """Bytes per second read again and again from as much memory."""
    vectors = max(size // (4 * LANES * SUMS), 1) * SUMS
    library, run = _code("read", _read)
    rounds = max(int(2e8 // (vectors * LANES * 4)), 1)
    found = (
        4.0 * LANES * vectors * rounds / _seconds(run, copied(np.ones(vectors * LANES, np.float32)), rounds, vectors)
    )
    del library
    return found


@cache
def peak() -> float:
    """Operations per second: a multiplication and an addition at once count as two."""
    library, run = _code("multiply", _multiply)
    found = 2.0 * LANES * SUMS * 20 * 100_000 / _seconds(run, copied(np.ones(LANES * SUMS, np.float32)), 20, 100_000)
    del library
    return found


def work(inputs: int, outputs: int, taps: int, block: int, ratio: int = 1) -> tuple[float, float, float]:
    """Bytes of filters read per block, near and far, and operations of the transforms.

    A byte that is read comes with one operation (8 of them for a complex product and sum), far less than the machine
    does in that time: reading and transforms are what counts.
    """

    def transforms(size: float) -> float:
        return (inputs + outputs) * (5 * size * np.log2(size) + 6 * size)

    near = min(2 * ratio * block, taps) if ratio > 1 else taps
    pairs = 8.0 * inputs * outputs
    return (
        pairs * near,
        pairs * (taps - near) / ratio,
        transforms(block) + (transforms(block * ratio) / ratio if near < taps else 0.0),
    )


def limit_us(inputs: int, outputs: int, taps: int, block: int, ratio: int = 1) -> float:
    """Microseconds that a block costs at best: filters as fast as they can be read, transforms at half the peak.

    Half, since additions and multiplications of a transform seldom pair. Near partitions, read in every block, lie in
    the cache that holds them; far ones in the cache that holds all. Sets a little larger than a cache stay in it in
    part, and can be read faster than this.
    """
    near, far, turned = work(inputs, outputs, taps, block, ratio)
    reading = near / bandwidth(int(near)) + far / bandwidth(8 * inputs * outputs * taps)
    return float(1e6 * (reading + turned / (0.5 * peak())))


def main() -> None:
    """Print the limits."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"one core, {LANES} floats a vector: {peak() / 1e9:.0f} GFLOP/s; it reads")
    for size in (1 << 15, 1 << 18, 1 << 20, 3 << 20, 1 << 24, 1 << 28):
        print(f"  {bandwidth(size) / 1e9:6.1f} GB/s from {size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
