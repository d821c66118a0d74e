"""The filter matrix on the compiled kernel: one level of partitions, or a second one of larger blocks behind it."""

from __future__ import annotations

import os
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sweetspot.processor.compiled.machine_code import address_of, aligned, copied
from sweetspot.processor.compiled.matrix_kernel import NUMBERS, POINTERS, Kernel, compiled
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Real

CHUNK = 16
"""Blocks that one call into the kernel can do."""
RATIOS = (2, 4, 8, 16, 32)
LARGEST = 4096
CACHE_SHARE, USUAL_CACHE = 0.8, 1 << 21
"""Share of the second-level cache for filters, and its size if the system does not state it."""
NEAR, FAR = 90e9, 22e9
"""Bytes per second at which filters are read from the second-level cache, and from beyond it."""
TRANSFORMS = 2.5e-10
"""Seconds per sample and doubling of one transform."""


class Level:
    """Uniform partitions of one block size with their memory; the kernel's arguments are in one table."""

    def __init__(self, taps: Real, block: int, chunk: int = 1, lanes: int | None = None) -> None:
        self.inputs, self.outputs, length = (int(n) for n in taps.shape)
        self.kernel, self.block = compiled(block, self.outputs, lanes), block
        self.parts = max(-(-length // block), 1)
        self.order = self.parts * self.inputs
        self.tiles = block // self.kernel.lanes
        self.x = aligned((self.inputs, (1 + chunk) * block))
        self.out = aligned((self.outputs, chunk * block))
        self.y = aligned((self.outputs, 2 * block))
        self._line = aligned((self.tiles, 2 * self.order, 2 * self.kernel.lanes))
        self._scratch, self._tables = aligned((2 * block,)), copied(self.kernel.tables)
        self._h = _filters(self.kernel, taps, self.parts)
        self.arguments = self._table()
        self._arguments_view, self._address = memoryview(self.arguments.data), int(self.arguments.ctypes.data)
        self.slot = 0

    def spectra(self, taps: Real) -> NDArray[np.float32]:
        """Other filters ``(set, input, output, tap)`` as the kernel reads them, to take the place of this level's."""
        out = aligned((len(taps), self._h.size))
        for row, h in zip(out, taps, strict=True):
            row[:] = _filters(self.kernel, h, self.parts)
        return out

    def room(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Spectra and output of another run beside this level's: new ``y`` and ``out`` of one block."""
        return aligned(self.y.shape), aligned((self.outputs, self.block))

    @property
    def function(self) -> int:
        """Address of the kernel's function, which takes the address of :attr:`arguments`."""
        return address_of(self.kernel.run)

    def reset(self) -> None:
        """Clear all past input."""
        for held in (self.x, self.out, self.y, self._line):
            held[:] = 0.0
        self.slot = 0

    def run(self, count: int = 1) -> None:
        """Let the kernel do ``count`` blocks from ``x`` to ``out``."""
        self._arguments_view[_COUNT] = count
        self._arguments_view[_SLOT] = self.next_slot
        self.kernel.run(self._address)

    def prepare(
        self,
        *,
        inputs: bool,
        outputs: bool,
        first: int = 0,
        last: int = 0,
        add: bool = False,
        tiles: range | None = None,
    ) -> tuple[memoryview, int, NDArray[np.int64]]:
        """The kernel's arguments for part of one block, reused by :meth:`run_prepared`."""
        arguments = self.arguments.copy()
        arguments[_COUNT] = 1
        arguments[_AT["inputs"]] = self.inputs if inputs else 0
        arguments[_AT["outputs"]] = self.outputs if outputs else 0
        arguments[_AT["first"]], arguments[_AT["last"]] = first, last or self.order
        arguments[_AT["add"]] = add
        if tiles is not None:
            arguments[_AT["tile"]], arguments[_AT["tiles"]] = tiles.start, len(tiles)
        return memoryview(arguments.data), int(arguments.ctypes.data), arguments

    def run_prepared(self, prepared: tuple[memoryview, int, NDArray[np.int64]]) -> None:
        """Run the kernel with the arguments of :meth:`prepare` for the current block."""
        prepared[0][_SLOT] = self.next_slot
        self.kernel.run(prepared[1])

    @property
    def next_slot(self) -> int:
        """Position of the current frames' spectra in the line; older ones follow."""
        return (self.slot - self.inputs) % self.order

    def advance(self, count: int = 1) -> None:
        """The current frames are whole: they become the past."""
        self.slot = (self.slot - count * self.inputs) % self.order
        self.x[:, : self.block] = self.x[:, count * self.block : (count + 1) * self.block]

    def _table(self) -> NDArray[np.int64]:
        held = (self.x, self._line, self._h, self.y, self.out, self._scratch, self._tables)
        sizes = sorted(set(self.kernel.groups), reverse=True)
        arguments = np.zeros(len(POINTERS) + len(NUMBERS) + len(sizes), dtype=np.int64)
        arguments[: len(POINTERS)] = [array.ctypes.data for array in held]
        arguments[_AT["x_skip"]], arguments[_AT["out_skip"]] = self.x.shape[1], self.out.shape[1]
        arguments[_AT["inputs"]], arguments[_AT["outputs"]] = self.inputs, self.outputs
        arguments[_AT["order"]] = arguments[_AT["last"]] = self.order
        arguments[_AT["tiles"]] = self.tiles
        arguments[len(POINTERS) + len(NUMBERS) :] = [self.kernel.groups.count(g) for g in sizes]
        return arguments


class CompiledMatrix:
    """Same as :class:`sweetspot.processor.partition.Matrix` in single precision, on the compiled kernel.

    Where the filters are long for the block, those beyond ``2 r`` blocks are cut into partitions of ``r`` blocks,
    whose work is spread over the ``r`` blocks in which their next input gathers (Gardner 1995; Wefers 2014, ch. 6).

    Parameters
    ----------
    taps
        ``(input, output, tap)``, linear gain.
    block
        Samples per block: a power of two from 16 to 4096.
    ratio
        ``r``; 1 for one level; by default what costs least by :func:`ratio_for`.
    lanes
        Floats per vector (4, 8 or 16, its square at most ``block``); by default what suits the machine.

    Raises
    ------
    ValueError
        Taps that are not finite or not of rank 3, or another block.
    """

    dtype = np.dtype(np.float32)
    latency = 0

    def __init__(self, taps: ArrayLike, block: int, *, ratio: int | None = None, lanes: int | None = None) -> None:
        h = frozen("taps", taps, ndim=3)
        self.block: int = block
        self.inputs, self.outputs, self.taps = (int(n) for n in h.shape)
        self.ratio = ratio or ratio_for(self.inputs, self.outputs, self.taps, block)
        near = 2 * self.ratio * block
        split = self.ratio > 1 and self.taps > near
        self.head = Level(h[:, :, :near] if split else h, block, self.ratio if split else CHUNK, lanes)
        self.far = Far(h[:, :, near:], block, self.ratio, lanes) if split else None
        self._old, self._new = self.head.x[:, :block], self.head.x[:, block : 2 * block]
        self._answered = self.head.out[:, :block]
        self._tail: Real | None = None
        self._filled = 0

    def reset(self) -> None:
        """Clear all past input."""
        self.head.reset()
        if self.far:
            self.far.reset()
        self._tail, self._filled = None, 0

    def process(self, x: Real) -> Real:
        """Filter the next samples: ``(inputs, n)`` in, ``(outputs, n)`` out, any ``n``.

        Raises
        ------
        ValueError
            Another number of inputs.
        """
        if x.ndim != 2 or x.shape[0] != self.inputs:
            raise ValueError(f"the piece has shape {x.shape}: ({self.inputs}, n) is needed")
        if x.shape[1] == self.block and not self._filled:
            return self._one(x)
        y = np.empty((self.outputs, x.shape[1]), dtype=np.float32)
        done = 0
        while done < x.shape[1]:
            n = self._step(x[:, done:], y[:, done:])
            done += n
        return y

    def _one(self, x: Real) -> Real:
        """One whole block, with as little in Python as can be."""
        head = self.head
        self._new[:] = x
        head.run()
        y = self._answered.copy()
        if self.far:
            self.far.one(self._new, y)
        self._old[:] = self._new
        head.slot = head.next_slot
        return y

    def _step(self, x: Real, y: Real) -> int:
        """Output some samples; returns their number."""
        whole = int(x.shape[1]) // self.block
        if self._filled or not whole:
            return self._partial(x, y)
        count = min(whole, self.far.left if self.far else CHUNK)
        head, n = self.head, count * self.block
        head.x[:, self.block : self.block + n] = x[:, :n]
        head.run(count)
        y[:, :n] = head.out[:, :n]
        self._advance(y[:, :n], 0, count)
        return n

    def _partial(self, x: Real, y: Real) -> int:
        """Samples within the current block, from the frame as filled so far."""
        head, at = self.head, self._filled
        n = min(self.block - at, int(x.shape[1]))
        if self._tail is None:
            head.x[:, self.block : 2 * self.block] = 0.0
            head.run_prepared(head.prepare(inputs=False, outputs=False, first=self.inputs))
            self._tail = head.y.copy()
        head.x[:, self.block + at : self.block + at + n] = x[:, :n]
        head.y[:] = self._tail
        head.run_prepared(head.prepare(inputs=True, outputs=True, last=self.inputs, add=True))
        y[:, :n] = head.out[:, at : at + n]
        self._filled += n
        if self._filled == self.block:
            self._advance(y[:, :n], at, 1)
            self._filled, self._tail = 0, None
        elif self.far:
            y[:, :n] += self.far.answer(at, n)
        return n

    def _advance(self, y: Real, at: int, count: int) -> None:
        """The current blocks are complete: add the output of the far partitions, and pass the blocks on to them."""
        if self.far:
            y += self.far.answer(at, y.shape[1])
            self.far.take(self.head.x[:, self.block : (1 + count) * self.block], count)
        self.head.advance(count)


class Far:
    """Partitions of ``ratio`` blocks for taps that begin two of them later."""

    def __init__(self, taps: Real, block: int, ratio: int, lanes: int | None = None) -> None:
        self.level = Level(taps, block * ratio, lanes=lanes)
        self._block, self._ratio = block, ratio
        shares = [range(self.level.tiles * t // ratio, self.level.tiles * (t + 1) // ratio) for t in range(ratio)]
        self._prepared = [
            self.level.prepare(inputs=t == 0, outputs=t == ratio - 1, tiles=share) for t, share in enumerate(shares)
        ]
        self.gathered = np.zeros((taps.shape[0], block * ratio), dtype=np.float32)
        self.answers = np.zeros((taps.shape[1], block * ratio), dtype=np.float32)
        cuts = [slice(t * block, (t + 1) * block) for t in range(ratio)]
        self._answer_of, self._gathered_of = ([a[:, c] for c in cuts] for a in (self.answers, self.gathered))
        self._turn = 0

    def reset(self) -> None:
        """Clear all past input."""
        self.level.reset()
        self.gathered[:] = 0.0
        self.answers[:] = 0.0
        self._turn = 0

    def answer(self, at: int, n: int) -> Real:
        """Samples ``at`` to ``at + n`` of the current block."""
        start = self._turn * self._block + at
        return self.answers[:, start : start + n]

    @property
    def left(self) -> int:
        """Blocks until the gathered inputs are whole."""
        return self._ratio - self._turn

    def take(self, x: Real, count: int) -> None:
        """Some blocks of input; does their share of the work on the inputs gathered before."""
        turn, level, after = self._turn, self.level, self._turn + count
        self.gathered[:, turn * self._block : after * self._block] = x
        share = range(level.tiles * turn // self._ratio, level.tiles * after // self._ratio)
        level.run_prepared(level.prepare(inputs=turn == 0, outputs=after == self._ratio, tiles=share))
        self._next(after)

    def one(self, x: Real, y: Real) -> None:
        """:meth:`answer` and :meth:`take` of one whole block."""
        turn = self._turn
        y += self._answer_of[turn]
        self._gathered_of[turn][:] = x
        self.level.run_prepared(self._prepared[turn])
        self._next(turn + 1)

    def _next(self, after: int) -> None:
        level = self.level
        self._turn = after % self._ratio
        if self._turn == 0:
            self.answers[:] = level.out
            level.advance()
            level.x[:, level.block :] = self.gathered


@cache
def cache_bytes() -> int:
    """Size of a core's second-level cache."""
    try:
        size = os.sysconf("SC_LEVEL2_CACHE_SIZE")
    except (AttributeError, ValueError, OSError):
        size = 0
    return size if size > 0 else USUAL_CACHE


def ratio_for(inputs: int, outputs: int, taps: int, block: int, *, alone: bool = True) -> int:
    """Block ratio of the second level that reads and transforms least per block; 1 for one level.

    ``alone`` where block follows block; else others use the core's cache in between, and it has to be filled again.
    """
    pairs = 8.0 * inputs * outputs

    def seconds(ratio: int) -> float:
        near = min(2 * ratio * block, taps) if ratio > 1 else taps
        rate = NEAR if alone and pairs * taps < CACHE_SHARE * cache_bytes() else FAR
        reading = pairs * (near + (taps - near) / ratio) / rate
        large = (inputs + outputs) * block * np.log2(2 * ratio * block) * TRANSFORMS
        return float(reading + (large + 2e-6 if near < taps else 0.0))

    return min((1, *(r for r in RATIOS if r * block <= LARGEST)), key=seconds)


_AT = {name: i for i, name in enumerate((*POINTERS, *NUMBERS))}
_COUNT, _SLOT = _AT["count"], _AT["slot"]


def _filters(kernel: Kernel, taps: Real, parts: int) -> NDArray[np.float32]:
    """Spectra in the order in which the kernel reads them: group, tile, partition and input, output of the group."""
    inputs, outputs, length = taps.shape
    tiles, pair, first = kernel.block // kernel.lanes, 2 * kernel.lanes, 0
    laid = aligned((outputs * inputs * parts * 2 * kernel.block,)).reshape(outputs, -1)
    padded = np.zeros(parts * kernel.block)
    for size in kernel.groups:
        group = laid[first : first + size].reshape(tiles, parts, inputs, size, pair)
        for i, o in np.ndindex(inputs, size):  # one by one in the same memory: all at once cost 2,000 page faults, 5 ms
            padded[:length] = taps[i, first + o]
            spectra = kernel.spectrum(padded.reshape(parts, kernel.block))
            group[:, :, i, o] = spectra.reshape(parts, tiles, pair).transpose(1, 0, 2)
        first += size
    return laid.reshape(-1)
