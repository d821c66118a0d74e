"""Vector code as LLVM text, in which the compiled kernels are written.

A :class:`Writer` writes one function for vectors of ``W`` lanes: complex arithmetic on pairs of vectors, small
transforms over lists of them, transposed squares, loops, and the mode in which denormal numbers count as zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np
from llvmlite import ir

Pair = tuple[Any, Any]
"""Real and imaginary vector."""

HERE = Path(__file__)
F32, I64, I32, VOID = ir.FloatType(), ir.IntType(64), ir.IntType(32), ir.VoidType()
FLOATS = F32.as_pointer()
FUSE = ("contract",)
"""A product and a sum may become one operation."""


def lanes_of_host(block: int) -> int:
    """Number of lanes for the machine and the block, which must hold a square of them."""
    wide = 16 if dict(llvm.get_host_cpu_features()).get("avx512f") else 8
    while wide * wide > block:
        wide //= 2
    return wide


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
        save, put = (declared(self.function.module, f"llvm.x86.sse.{n}mxcsr", kind) for n in ("st", "ld"))
        self.b.call(save, [self.b.bitcast(found, byte)])
        self.b.store(self.b.or_(self.b.load(found), I32(0x8040)), mode)
        self.b.call(put, [self.b.bitcast(mode, byte)])
        yield
        self.b.call(put, [self.b.bitcast(found, byte)])


def declared(module: Any, name: str, kind: Any) -> Any:
    """A function from elsewhere, declared once in a module."""
    return module.globals[name] if name in module.globals else ir.Function(module, kind, name=name)
