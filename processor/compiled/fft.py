"""The transform of the compiled kernels, as vector code: frames of two blocks to one block of complex bins, and back.

1. *Forward*. The frame of two blocks ``x`` is folded into one complex block,
   ``u[n] = (x[n] + j x[n+B]) exp(j pi n / 2B)``, whose ``B``-point transform is the frame's polynomial at the roots
   of ``z^B = j``. All ``B`` bins are plain complex numbers: there is no Nyquist bin and nothing to unpack.
2. *Inverse*. Modulo ``z^B = j`` a product's imaginary part is the second half of the linear convolution:
   ``y[n] = Im(exp(-j pi n / 2B) u[n])``; its real part is the first half.

The transform splits ``n = W a + l``: lanes ``l`` lie side by side in a vector, so the transform over ``a`` needs no
shuffles; then ``W x W`` squares are transposed in registers and the transform over ``l`` is done the same way. Bins
stay in the order of the algorithm, which products do not depend on; :meth:`TransformPlan.order` gives that order.
"""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.compiled.vectors import FLOATS, I64, Pair, Writer

HERE = Path(__file__)
BLOCKS = tuple(16 << i for i in range(9))
"""Block sizes that can be done."""

FACTORS = {4: (4,), 8: (8,), 16: (16,), 32: (8, 4), 64: (8, 8), 128: (16, 8), 256: (16, 16), 512: (8, 8, 8)}
"""Radices of the transform over the ``B/W`` rows."""


class TransformPlan:
    """Order and constants of the transform of ``B = A W`` points: ``A`` rows of ``W`` lanes."""

    def __init__(self, block: int, lanes: int) -> None:
        self.block, self.lanes, self.rows = block, lanes, block // lanes
        self.factors = FACTORS[self.rows]
        self.lengths = [self.rows // p for p in accumulate((1, *self.factors[:-1]), lambda a, b: a * b)]
        sizes = [2 * block, *(2 * (n // r) * (r - 1) for n, r in self._turning()), 2 * block]
        self.offsets = list(accumulate([0, *sizes]))[:-1]

    def _turning(self) -> list[tuple[int, int]]:
        """Length and radix of the passes that are followed by a turn: all but the last."""
        return list(zip(self.lengths, self.factors, strict=True))[:-1]

    def row_bins(self) -> NDArray[np.int64]:
        """Which bin of the transform over rows ends in each row."""
        bins = np.zeros(1, dtype=np.int64)
        step = 1
        for radix in self.factors:
            bins = (bins[:, None] + step * np.arange(radix)).reshape(-1)
            step *= radix
        return bins

    def order(self) -> NDArray[np.int64]:
        """Bin at each place: tile ``(square, l)``, lane ``i`` holds ``row_bins[W square + i] + A l``."""
        squares = self.row_bins().reshape(-1, 1, self.lanes)
        return np.asarray(squares + self.rows * np.arange(self.lanes)[:, None]).reshape(-1)

    def tables(self) -> NDArray[np.float32]:
        """Fold factors, turns between passes, turns between rows and lanes, one after the other."""
        fold = np.exp(0.5j * np.pi * np.arange(self.block) / self.block).reshape(self.rows, self.lanes)
        cross = np.exp(2j * np.pi * np.outer(self.row_bins(), np.arange(self.lanes)) / self.block)
        turns = [
            np.exp(2j * np.pi * np.outer(np.arange(n // r), np.arange(1, r)) / n).reshape(-1)
            for n, r in self._turning()
        ]
        between = [np.stack([t.real, t.imag], axis=-1).reshape(-1) for t in turns]
        paired = [np.stack([v.real, v.imag], axis=1).reshape(-1) for v in (fold, cross)]
        return np.concatenate([paired[0], *between, paired[1]]).astype(np.float32)


def forward(module: Any, plan: TransformPlan) -> Any:
    """``(old, new, line, tile_stride, second, scratch, tables)``: the spectrum, written at two places of the line."""
    w = Writer(module, "forward", [FLOATS, FLOATS, FLOATS, I64, I64, FLOATS, FLOATS], plan.lanes)
    old, new, line, stride, second, scratch, tables = w.function.args
    pair, size = 2 * plan.lanes, plan.lanes
    for number, (n, radix) in enumerate(zip(plan.lengths, plan.factors, strict=True)):
        m = n // radix
        with w.loop(plan.rows // n) as (part, _, _), w.loop(m) as (j, _, _):
            first = w.b.add(w.b.mul(part, I64(n)), j)
            rows = [w.b.add(first, I64(q * m)) for q in range(radix)]
            if number == 0:
                heard = [(w.load(old, w.b.mul(r, I64(size))), w.load(new, w.b.mul(r, I64(size)))) for r in rows]
                v = [w.times(x, w.load_pair(tables, w.b.mul(r, I64(pair)))) for x, r in zip(heard, rows, strict=True)]
            else:
                v = [w.load_pair(scratch, w.b.mul(r, I64(pair))) for r in rows]
            v = _turned(w, plan, number, j, w.dft(v, 1), 1)
            for value, r in zip(v, rows, strict=True):
                w.store_pair(value, scratch, w.b.mul(r, I64(pair)))
    with w.loop(plan.rows // plan.lanes) as (square, _, _):
        first = w.b.mul(square, I64(plan.lanes * pair))
        v = []
        for i in range(plan.lanes):
            place = w.b.add(first, I64(i * pair))
            v.append(w.times(w.load_pair(scratch, place), w.load_pair(w.at(tables, plan.offsets[-1]), place)))
        v = w.dft(_transposed(w, v), 1)
        for i, value in enumerate(v):
            place = w.b.mul(w.b.add(w.b.mul(square, I64(plan.lanes)), I64(i)), stride)
            w.store_pair(value, line, place)
            w.store_pair(value, line, w.b.add(place, second))
    w.b.ret_void()
    return w.function


def inverse(module: Any, plan: TransformPlan, *, whole: bool = False) -> Any:
    """``(spectrum, out, scratch, tables)``: the forward steps backwards, then the second half, or the whole frame."""
    w = Writer(module, "inverse_whole" if whole else "inverse", [FLOATS, FLOATS, FLOATS, FLOATS], plan.lanes)
    spectrum, out, scratch, tables = w.function.args
    pair = 2 * plan.lanes
    with w.loop(plan.rows // plan.lanes) as (square, _, _):
        first = w.b.mul(square, I64(plan.lanes * pair))
        places = [w.b.add(first, I64(i * pair)) for i in range(plan.lanes)]
        v = _transposed(w, w.dft([w.load_pair(spectrum, p) for p in places], -1))
        for value, p in zip(v, places, strict=True):
            w.store_pair(w.times(value, w.load_pair(w.at(tables, plan.offsets[-1]), p), -1), scratch, p)
    for number in reversed(range(len(plan.factors))):
        n, radix = plan.lengths[number], plan.factors[number]
        m = n // radix
        with w.loop(plan.rows // n) as (part, _, _), w.loop(m) as (j, _, _):
            first = w.b.add(w.b.mul(part, I64(n)), j)
            rows = [w.b.add(first, I64(q * m)) for q in range(radix)]
            v = [w.load_pair(scratch, w.b.mul(r, I64(pair))) for r in rows]
            v = w.dft(_turned(w, plan, number, j, v, -1), -1)
            for value, r in zip(v, rows, strict=True):
                if number:
                    w.store_pair(value, scratch, w.b.mul(r, I64(pair)))
                else:
                    fold = w.load_pair(tables, w.b.mul(r, I64(pair)))
                    place = w.b.mul(r, I64(plan.lanes))
                    unfolded = w.times(value, fold, -1)
                    if whole:
                        w.store(unfolded[0], out, place)
                        place = w.b.add(place, I64(plan.block))
                    w.store(unfolded[1], out, place)
    w.b.ret_void()
    return w.function


def _turned(w: Writer, plan: TransformPlan, number: int, j: Any, v: list[Pair], sign: int) -> list[Pair]:
    """The factors between one pass over the rows and the next; none at the last."""
    if number == len(plan.factors) - 1:
        return v
    tables = w.at(w.function.args[-1], plan.offsets[1 + number])
    first = w.b.mul(j, I64(2 * (len(v) - 1)))
    turns = [[w.scalar(tables, w.b.add(first, I64(2 * k + part))) for part in (0, 1)] for k in range(len(v) - 1)]
    return [v[0], *(w.times(value, (t[0], t[1]), sign) for value, t in zip(v[1:], turns, strict=True))]


def _transposed(w: Writer, v: list[Pair]) -> list[Pair]:
    return list(zip(w.transposed([p[0] for p in v]), w.transposed([p[1] for p in v]), strict=True))
