"""The compiled kernel of the filter matrix: transforms and spectral products as vector code, made when first needed.

It does for whole blocks what :class:`processor.partition.Matrix` does in numpy, in single precision, in three steps
that this file writes for the vectors of the machine at hand (``W`` lanes: 16 with AVX-512, else 8):

1. *Forward*, once per input. The frame of two blocks ``x`` is folded into one complex block,
   ``u[n] = (x[n] + j x[n+B]) exp(j pi n / 2B)``, whose ``B``-point transform is the frame's polynomial at the roots
   of ``z^B = j``. All ``B`` bins are plain complex numbers: there is no Nyquist bin and nothing to unpack.
2. *Products*, once per output and bin: ``Y[o] = sum_q H[o, q] X[q]`` over partitions and inputs, in registers.
   Filters lie in memory in the order in which they are read.
3. *Inverse*, once per output. Modulo ``z^B = j`` the product's imaginary part is the second half of the linear
   convolution: ``y[n] = Im(exp(-j pi n / 2B) u[n])``.

The transform splits ``n = W a + l``: lanes ``l`` lie side by side in a vector, so the transform over ``a`` needs no
shuffles; then ``W x W`` squares are transposed in registers and the transform over ``l`` is done the same way. Bins
stay in the order in which they fall out, since products do not care; :attr:`Kernel.order` tells which is which.
Denormal numbers count as zero inside (x86), so that silence after music costs no more than music.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from processor.machinecode import machine_code

Pair = tuple[Any, Any]
"""Real and imaginary vector."""

HERE = Path(__file__)
F32, I64, I32, VOID = ir.FloatType(), ir.IntType(64), ir.IntType(32), ir.VoidType()
FLOATS = F32.as_pointer()
FUSE = ("contract",)
"""A product and a sum may become one operation."""

FACTORS = {4: (4,), 8: (8,), 16: (16,), 32: (8, 4), 64: (8, 8), 128: (16, 8), 256: (16, 16), 512: (8, 8, 8)}
"""Radices of the transform over the ``B/W`` rows."""

POINTERS = ("x", "line", "h", "y", "out", "scratch", "tables")
NUMBERS = ("count", "x_skip", "out_skip", "inputs", "outputs", "order", "slot", "first", "last", "add", "tile", "tiles")


CENTRE_POINTERS = ("frames", "out", "averages", "spectra", "scratch", "tables", "decays")
MONO, STEREO = 1e-8, 1e-6
"""Ratio of side to mid power under which a bin counts as mono, and above which its projection is taken whole."""


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
        turned = h * np.exp(0.5j * np.pi * np.arange(self.block) / self.block)
        bins = np.fft.ifft(turned, axis=-1)[..., self.order]
        tiles = bins.reshape(*h.shape[:-1], self.block // self.lanes, self.lanes)
        return np.stack([tiles.real, tiles.imag], axis=-2).astype(np.float32)


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
    if block not in (16 << i for i in range(9)):
        raise ValueError(f"block is {block}: the compiled kernel needs a power of two from 16 to 4096")
    lanes = lanes or lanes_of_host(block)
    groups = grouped(outputs, lanes)
    plan, sizes = Plan(block, lanes), sorted(set(groups), reverse=True)

    def written() -> str:
        module = ir.Module(name=f"matrix{block}x{lanes}")
        forward, inverse = _forward(module, plan), _inverse(module, plan)
        _run(module, plan, forward, inverse, {g: _products(module, plan, g) for g in sizes})
        return str(module)

    library, address = machine_code(f"matrix {block} {sizes}", written, lanes, HERE)
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
    return Kernel(block, lanes, plan.order(), plan.tables(), groups, run, library)


@cache
def centre_kernel(block: int, rule: str = "projection") -> tuple[Plan, Any, Any]:
    """The centre of an upmix with frames of ``2 block`` samples: its plan, its function, and what keeps it alive.

    The function takes the address of the 64-bit values of :data:`CENTRE_POINTERS` and the number of frames: windowed
    ``frames (count, 2, 2B)`` of mid and side, ``out (count, 2B)`` times ``B``, ``averages (tile, 4, W)``, room for two
    spectra and one more, ``decays (count,)`` of the averages before each frame.
    """
    if block not in (16 << i for i in range(9)):
        raise ValueError(f"block is {block}: the compiled kernel needs a power of two from 16 to 4096")
    plan = Plan(block, lanes_of_host(block))

    def written() -> str:
        module = ir.Module(name=f"centre{block}")
        _centre(module, plan, _forward(module, plan), _inverse(module, plan, whole=True), WEIGHTS[rule])
        return str(module)

    library, address = machine_code(f"centre {block} {rule}", written, plan.lanes, HERE)
    return plan, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address), library


def lanes_of_host(block: int) -> int:
    """Lanes that suit the machine and the block: a block must hold a square of them."""
    wide = 16 if dict(llvm.get_host_cpu_features()).get("avx512f") else 8
    while wide * wide > block:
        wide //= 2
    return wide


class Plan:
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


class Writer:
    """Writes vector code into one function."""

    def __init__(self, module: Any, name: str, arguments: list[Any], lanes: int) -> None:
        self.function = ir.Function(module, ir.FunctionType(VOID, arguments), name=name)
        for argument in self.function.args:
            if argument.type == FLOATS:
                argument.add_attribute("noalias")
        self.b = ir.IRBuilder(self.function.append_basic_block())
        self.lanes, self.vector = lanes, ir.VectorType(F32, lanes)

    def at(self, pointer: Any, index: Any) -> Any:
        """Pointer to float ``index``."""
        return self.b.gep(pointer, [I64(index) if isinstance(index, int) else index])

    def load(self, pointer: Any, index: Any) -> Any:
        place = self.b.bitcast(self.at(pointer, index), self.vector.as_pointer())
        return self.b.load(place, align=4)

    def store(self, value: Any, pointer: Any, index: Any) -> None:
        place = self.b.bitcast(self.at(pointer, index), self.vector.as_pointer())
        self.b.store(value, place, align=4)

    def load_pair(self, pointer: Any, index: Any) -> Pair:
        return self.load(pointer, index), self.load(self.at(pointer, self.lanes), index)

    def store_pair(self, value: Pair, pointer: Any, index: Any) -> None:
        self.store(value[0], pointer, index)
        self.store(value[1], self.at(pointer, self.lanes), index)

    def scalar(self, pointer: Any, index: Any) -> Any:
        """One float in all lanes."""
        one = self.b.insert_element(
            ir.Constant(self.vector, ir.Undefined), self.b.load(self.at(pointer, index)), I32(0)
        )
        return self.b.shuffle_vector(one, one, ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes))

    def constant(self, value: float) -> Any:
        return ir.Constant(self.vector, [float(np.float32(value))] * self.lanes)

    def add(self, p: Any, q: Any) -> Any:
        return self.b.fadd(p, q, flags=FUSE)

    def sub(self, p: Any, q: Any) -> Any:
        return self.b.fsub(p, q, flags=FUSE)

    def mul(self, p: Any, q: Any) -> Any:
        return self.b.fmul(p, q, flags=FUSE)

    def times(self, v: Pair, w: Pair, sign: int = 1) -> Pair:
        """``v w`` or, with ``sign`` -1, ``v conj(w)``."""
        straight, crossed = (self.sub, self.add) if sign > 0 else (self.add, self.sub)
        real = straight(self.mul(v[0], w[0]), self.mul(v[1], w[1]))
        return real, crossed(self.mul(v[1], w[0]), self.mul(v[0], w[1]))

    def turned(self, v: Pair, turns: float) -> Pair:
        """``v exp(2 pi j turns)``, with the cheap angles done cheaply."""
        eighth = round(turns * 8) % 8 if abs(turns * 8 - round(turns * 8)) < 1e-9 else None
        match eighth:
            case 0:
                return v
            case 2:
                return self.b.fneg(v[1]), v[0]
            case 4:
                return self.b.fneg(v[0]), self.b.fneg(v[1])
            case 6:
                return v[1], self.b.fneg(v[0])
        angle = 2.0 * np.pi * turns
        return self.times(v, (self.constant(np.cos(angle)), self.constant(np.sin(angle))))

    def dft(self, v: list[Pair], sign: int) -> list[Pair]:
        """Transform over the vectors of a list, exponent ``sign``, natural order."""
        n = len(v)
        if n == 1:
            return v
        if n == 2:
            return [self._sum(v[0], v[1]), self._difference(v[0], v[1])]
        radix = 4 if n % 4 == 0 else 2
        parts = [self.dft(v[j::radix], sign) for j in range(radix)]
        out: list[Pair] = [v[0]] * n
        for k in range(n // radix):
            terms = [self.turned(parts[j][k], sign * j * k / n) for j in range(radix)]
            for q, value in enumerate(self._four(terms, sign) if radix == 4 else self.dft(terms, sign)):
                out[k + q * (n // radix)] = value
        return out

    def _four(self, t: list[Pair], sign: int) -> list[Pair]:
        even, odd = self._sum(t[0], t[2]), self._difference(t[0], t[2])
        plus, minus = self._sum(t[1], t[3]), self._difference(t[1], t[3])
        up = (self.sub(odd[0], minus[1]), self.add(odd[1], minus[0]))
        down = (self.add(odd[0], minus[1]), self.sub(odd[1], minus[0]))
        first, third = (up, down) if sign > 0 else (down, up)
        return [self._sum(even, plus), first, self._difference(even, plus), third]

    def _sum(self, p: Pair, q: Pair) -> Pair:
        return self.add(p[0], q[0]), self.add(p[1], q[1])

    def _difference(self, p: Pair, q: Pair) -> Pair:
        return self.sub(p[0], q[0]), self.sub(p[1], q[1])

    def transposed(self, rows: list[Any]) -> list[Any]:
        """A square of vectors, transposed: log2(W) rounds of perfect shuffles."""
        n, kind = len(rows), ir.VectorType(I32, self.lanes)
        low = ir.Constant(kind, [i // 2 + (n if i % 2 else 0) for i in range(n)])
        high = ir.Constant(kind, [n // 2 + i // 2 + (n if i % 2 else 0) for i in range(n)])
        for _ in range(n.bit_length() - 1):
            pairs = [(rows[i], rows[i + n // 2]) for i in range(n // 2)]
            rows = [self.b.shuffle_vector(p, q, mask) for p, q in pairs for mask in (low, high)]
        return rows

    @contextmanager
    def loop(self, count: Any, *carried: Any) -> Iterator[tuple[Any, list[Any], list[Any]]]:
        """Repeat the body; yields the index, the carried values, and the list that takes their next ones.

        After the block the list holds the values after the last round.
        """
        before, body, after = self.b.block, self.b.append_basic_block(), self.b.append_basic_block()
        limit = I64(count) if isinstance(count, int) else count
        self.b.cbranch(self.b.icmp_signed(">", limit, I64(0)), body, after)
        self.b.position_at_end(body)
        index, values = self.b.phi(I64), [self.b.phi(v.type) for v in carried]
        following: list[Any] = []
        yield index, values, following
        index.add_incoming(I64(0), before)
        step, end = self.b.add(index, I64(1)), self.b.block
        index.add_incoming(step, end)
        for phi, start, nxt in zip(values, carried, following, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(nxt, end)
        self.b.cbranch(self.b.icmp_signed("<", step, limit), body, after)
        self.b.position_at_end(after)
        results = [self.b.phi(v.type) for v in carried]
        for result, start, nxt in zip(results, carried, following, strict=True):
            result.add_incoming(start, before)
            result.add_incoming(nxt, end)
        following[:] = results

    @contextmanager
    def flushing(self) -> Iterator[None]:
        """Take denormal numbers as zero, on x86; the mode found is put back."""
        if not llvm.get_default_triple().startswith(("x86", "i686")):
            yield
            return
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(VOID, [byte])
        found, mode = self.b.alloca(I32), self.b.alloca(I32)
        save, put = (_declared(self.function.module, f"llvm.x86.sse.{n}mxcsr", kind) for n in ("st", "ld"))
        self.b.call(save, [self.b.bitcast(found, byte)])
        self.b.store(self.b.or_(self.b.load(found), I32(0x8040)), mode)
        self.b.call(put, [self.b.bitcast(mode, byte)])
        yield
        self.b.call(put, [self.b.bitcast(found, byte)])


def _declared(module: Any, name: str, kind: Any) -> Any:
    return module.globals[name] if name in module.globals else ir.Function(module, kind, name=name)


def _forward(module: Any, plan: Plan) -> Any:
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


def _inverse(module: Any, plan: Plan, *, whole: bool = False) -> Any:
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


def _turned(w: Writer, plan: Plan, number: int, j: Any, v: list[Pair], sign: int) -> list[Pair]:
    """The factors between one pass over the rows and the next; none at the last."""
    if number == len(plan.factors) - 1:
        return v
    tables = w.at(w.function.args[-1], plan.offsets[1 + number])
    first = w.b.mul(j, I64(2 * (len(v) - 1)))
    turns = [[w.scalar(tables, w.b.add(first, I64(2 * k + part))) for part in (0, 1)] for k in range(len(v) - 1)]
    return [v[0], *(w.times(value, (t[0], t[1]), sign) for value, t in zip(v[1:], turns, strict=True))]


def _transposed(w: Writer, v: list[Pair]) -> list[Pair]:
    return list(zip(w.transposed([p[0] for p in v]), w.transposed([p[1] for p in v]), strict=True))


def _products(module: Any, plan: Plan, group: int) -> Any:
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


def _run(module: Any, plan: Plan, forward: Any, inverse: Any, products: dict[int, Any]) -> Any:
    """``(values)``: ``count`` blocks, each through forward, products and inverse, as the values say."""
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
        _all_products(w, plan, products, values, p, line, stride)
        with w.loop(values["outputs"]) as (o, _, _):
            out = w.at(p["out"], b.add(b.mul(o, values["out_skip"]), lagging))
            b.call(inverse, [w.at(p["y"], b.mul(o, I64(2 * block))), out, p["scratch"], p["tables"]])
        back = b.sub(slot, inputs)
        following.append(b.select(b.icmp_signed("<", back, I64(0)), b.add(back, order), back))
    w.b.ret_void()
    return w.function


def _all_products(
    w: Writer, plan: Plan, products: dict[int, Any], v: dict[str, Any], p: Any, line: Any, stride: Any
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


def _centre(module: Any, plan: Plan, forward: Any, inverse: Any, weights: Any) -> Any:
    """``(values)``: ``count`` frames of mid and side to frames of the centre; see :mod:`processor.upmix`."""
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


def _gated(w: Writer, real: Any, imag: Any, ss: Any, mm: Any) -> tuple[Any, Pair]:
    """``C = psi (M - rho S)``."""
    psi, (_, rho) = _alike(w, ss, mm), _projected(w, real, imag, ss, mm)
    return psi, (w.b.fmul(psi, rho[0]), w.b.fmul(psi, rho[1]))


def _similar(w: Writer, real: Any, imag: Any, ss: Any, mm: Any) -> tuple[Any, Pair]:
    """``C = psi^4 M``."""
    psi = _alike(w, ss, mm)
    square = w.b.fmul(psi, psi)
    return w.b.fmul(square, square), (w.constant(0.0), w.constant(0.0))


def _principal(w: Writer, real: Any, imag: Any, ss: Any, mm: Any) -> tuple[Any, Pair]:
    """``C = g cos(phi) (cos(phi) M + sin(phi) S)``, see :func:`processor.upmix.principal`."""
    b, half, floor = w.b, w.constant(0.5), w.constant(1e-30)
    twice, apart = b.fadd(real, real), b.fsub(mm, ss)
    root = _declared(w.function.module, f"llvm.sqrt.v{w.lanes}f32", ir.FunctionType(w.vector, [w.vector]))
    spread = b.call(root, [b.fadd(b.fmul(apart, apart), b.fmul(twice, twice))])
    below = _larger(w, spread, floor)
    cosine, sine = b.fdiv(apart, below), b.fdiv(twice, below)
    share = _larger(w, cosine, w.constant(0.0))
    gain = b.fdiv(b.fmul(b.fmul(share, share), spread), _larger(w, b.fadd(mm, ss), floor))
    gain = b.fmul(gain, half)
    return b.fadd(gain, b.fmul(gain, cosine)), (b.fneg(b.fmul(gain, sine)), w.constant(0.0))


WEIGHTS = {"projection": _projected, "low-latency": _gated, "similarity": _similar, "pca": _principal}
"""Rules of the centre, as in :data:`processor.upmix.RULES`."""


def _larger(w: Writer, p: Any, q: Any) -> Any:
    return w.b.select(w.b.fcmp_ordered(">", p, q), p, q)


def _smaller(w: Writer, p: Any, q: Any) -> Any:
    return w.b.select(w.b.fcmp_ordered("<", p, q), p, q)
