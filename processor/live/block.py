"""The live block path in one compiled call: lays out its memory, and changes filters between blocks."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor import upmix
from sweetspot.processor.bank import FilterBank
from sweetspot.processor.compiled import CompiledMatrix, Level, ratio_for
from sweetspot.processor.convolver import LARGEST, SMALLEST, compilable
from sweetspot.processor.crossfade import WALK_S
from sweetspot.processor.dynamics import Guard, SplLimiter, memory_for, not_above, prepared, reason
from sweetspot.processor.engine import program_rows
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.live import layout
from sweetspot.processor.live.kept import BlockPath, block_path
from sweetspot.processor.live.memory import BYPASS, PLACE, WHICH, PlayerMemory
from sweetspot.rigs.errors import BadInput

CHANGE_S = 0.05
"""Of a crossfade between filters."""


class CompiledBlock:
    """Stereo from the ring or the device through upmix, SPL limiter, filters and guard to the device's channels.

    Parameters
    ----------
    forms
        Filter sets that can be changed between: A, B, and the bypass; or one alone.
    block
        Samples a block; every call does exactly one.
    channels
        Of the device: outputs.
    heard
        Of the device: inputs, and which of them are left and right, from 1; None when the sound comes from the ring.
    board
        Ring, controls, meters.
    fade_s, settle_s
        Duration of mute and start; time after which xruns count.
    bank
        Filters that the first set changes between, by the control PLACE.
    alone
        For files: no other program uses the core between two blocks, and nothing is faded in.

    Raises
    ------
    BadInput
        A block that the kernels do not do, programs that no upmix makes, or settings out of range.
    """

    def __init__(
        self,
        forms: tuple[FilterSet, ...],
        block: int,
        channels: int,
        heard: tuple[int, int, int] | None,
        board: PlayerMemory,
        *,
        fade_s: float,
        settle_s: float,
        bank: FilterBank | None = None,
        alone: bool = False,
    ) -> None:
        if not compilable(block, np.float32):
            raise BadInput(f"block is {block}: live, a power of two from {SMALLEST} to {LARGEST} samples is needed")
        first, rows = forms[0], program_rows(forms[0])
        self._board, self._forms = board, forms
        self._memory = np.zeros(1, dtype=layout.STATE)
        self._state = self._memory.view(np.recarray)[0]
        self._matrices = np.zeros(3, dtype=layout.MATRIX)
        walks = [bank is not None and i == 0 for i in range(len(forms))]
        self._filters = [_filters(f, block, walk, alone=alone) for f, walk in zip(forms, walks, strict=True)]
        self._held: list[Any] = [*self._filters]
        for place, matrix, form in zip(self._matrices, self._filters, forms, strict=False):
            _put_matrix(place, matrix, form)
        s, (inputs, left, right) = self._state, heard or (0, 1, 2)
        sizes = {"block": block, "drivers": len(first.drivers), "inputs": len(rows), "channels": channels}
        self._put(s.stream, **sizes, heard_channels=inputs, left=left - 1, right=right - 1)
        self._put(s.stream, clock=layout.clock(), time=np.zeros(2, dtype=np.int64), period=1.0 / first.fs)
        held = any(np.isfinite(form.most_db) for form in forms)
        self._put(s.stream, largest=1.0 if held else np.inf)  # a driver's excursion is held up to full scale
        self._put(s.stream, settled=settle_s * first.fs / block, gains=np.zeros(block))
        self._put(s.stream, rows=np.array(rows), outs=np.array([c - 1 for c in first.channels]))
        between = {"x": 2, "programs": 3, "y": len(first.drivers), "other": len(first.drivers)}
        self._put(s.stream, **{name: np.zeros((rows, block), dtype=np.float32) for name, rows in between.items()})
        self._put(s.shared, controls=board.controls, meters=board.meters, loads=board.loads, counters=board.counters)
        self._put(s.shared, ring=board.ring, ring_size=board.ring.shape[1])
        self._put(s.filters, matrices=self._matrices, next=-1, going=-1, fade=round(CHANGE_S * first.fs))
        if bank is not None:
            self._put_bank(bank, int(board.controls[PLACE]))
        self._put(s.mute, soft=max(round(fade_s * first.fs), 1))
        self._put_spl(forms)
        self.latency = self._put_upmix(first) + self._put_guard(forms)
        self._put(s.shared, tail=self.latency + first.length)
        self._hush(0.0 if not alone else 1.0)
        self._callback = block_path()

    @property
    def address(self) -> int:
        """Address of the callback for PortAudio."""
        return int(self._callback.address)

    @property
    def user(self) -> int:
        """Address of the state, passed to the callback."""
        return int(self._memory.ctypes.data)

    def step(self, heard: Any, play: NDArray[np.float32], frames: int, flagged: bool) -> None:
        """One block from Python: ``heard (frames, inputs)`` or None in, ``play (frames, channels)`` out."""
        floats = ctypes.POINTER(ctypes.c_float)
        ins = None if heard is None else np.ascontiguousarray(heard).ctypes.data_as(floats)
        self._callback.ctypes(ins, play.ctypes.data_as(floats), frames, None, int(flagged), self.user)

    def halves(self) -> tuple[Half, Half]:
        """The path for files as two halves, which two threads may run at once: each has a state of its own."""
        states = (self._memory.copy(), self._memory)
        for state, half in zip(states, (layout.UPMIX_HALF, layout.DRIVER_HALF), strict=True):
            state["stream"]["half"] = half
        front, back = (Half(self._callback, state, self._held) for state in states)
        return front, back

    def apply_controls(self) -> None:
        """Change filters by the controls, and report a stop; called regularly, from any thread."""
        filters, controls = self._state.filters, self._board.controls
        wanted = 2 if controls[BYPASS] else int(controls[WHICH])
        if filters.next < 0 and wanted not in (filters.playing, filters.wanted):
            self._clear(wanted)
            filters.wanted = wanted
        elif filters.next < 0 and filters.wanted != filters.playing == wanted:
            filters.wanted = wanted
        if self.stopped:
            self._board.report(2, f"the guard stopped the output: {reason(self._state.guard.stop)}")

    def warm(self, blocks: int) -> None:
        """Process some blocks of silence to warm the caches; they are not counted."""
        board, s = self._board, self._state
        counted = (board.meters, board.loads, board.counters[1:])
        kept = [held.copy() for held in counted]
        tail, play = s.shared.tail, np.zeros((int(s.stream.block), int(s.stream.channels)), dtype=np.float32)
        board.counters[1] = board.counters[0]
        heard = np.zeros((len(play), max(int(s.stream.heard_channels), 1)), dtype=np.float32)
        for _ in range(blocks):
            self.step(heard, play, len(play), False)
        for held, old in zip(counted, kept, strict=True):
            held[:] = old
        s.shared.tail = tail
        self._guard[:] = self._fresh
        self._hush()

    def _hush(self, gain: float = 0.0) -> None:
        """Begin silent, as if muted; or at once."""
        ramp = self._state.mute.ramp
        ramp.start = ramp.target = self._state.mute.gain = gain
        ramp.length = ramp.done = 1

    @property
    def stopped(self) -> bool:
        """Whether the guard stopped the output."""
        return bool(self._state.guard.stop.reason)

    @property
    def why(self) -> str:
        """Why it did; empty while it runs."""
        return reason(self._state.guard.stop)

    @property
    def limiter(self) -> tuple[float, int]:
        """Lowest gain of the limiter so far, and the number of limited samples."""
        return float(self._seen[0]), int(self._seen[1])

    @property
    def spl_limiter(self) -> tuple[float, int]:
        """The same of the SPL limiter."""
        memory = self._state.spl.memory
        return float(memory.least), int(memory.limited)

    def _clear(self, form: int) -> None:
        """Clear the past input of filters that are not played."""
        self._filters[form].reset()
        place = self._matrices[form]
        place["slot"] = place["far_slot"] = place["turn"] = 0

    def _put(self, stage: Any, **values: Any) -> None:
        """Put numbers, or addresses of arrays (which are kept alive), into a stage's state."""
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                assert value.flags.c_contiguous
                self._held.append(value)
                value = value.ctypes.data
            setattr(stage, name, value)

    def _put_bank(self, bank: FilterBank, place: int) -> None:
        """Spectra of all places, and the kernel arguments of the one that fades in: only the filters differ."""
        level, stage = self._filters[0].head, self._state.filters
        spectra, twin, (y, out) = level.spectra(bank.taps), level.arguments.copy(), level.room()
        twin[layout.Y], twin[layout.OUT], twin[layout.OUT_SKIP] = y.ctypes.data, out.ctypes.data, level.block
        self._held += [y]
        self._put(stage, spectra=spectra, stride=spectra[0].nbytes, place=place, going=-1, twin=twin, twin_out=out)
        self._put(stage, walk=round(WALK_S * bank.home.fs))
        level.arguments[layout.SPECTRA] = spectra.ctypes.data + place * spectra[0].nbytes

    def _put_upmix(self, first: FilterSet) -> int:
        """Returns the upmix's latency."""
        made = upmix.chosen(first.upmix, first.fs, np.float32)
        if isinstance(made, upmix.PassThrough):
            return 0
        assert isinstance(made, upmix.StftUpmix)
        centre, stage = made.centre, self._state.upmix
        if isinstance(centre, upmix.Centre):
            sizes = f"{2 * SMALLEST} to {2 * LARGEST}"
            raise BadInput(f"upmix window {first.upmix.window}: live, a power of two from {sizes} is needed")
        self._held.append(centre)
        stage.frame = made.memory
        self._put(stage, decay=made.decay, heard=made.heard, sums=made.sums, analysis=made.shape, frames=centre.frames)
        self._put(stage, synthesis=made.synthesis, made=centre.out, spectra=centre.spectra, averages=centre.averages)
        self._put(stage, rule=made.rule, rows=centre.spectra.shape[1], lanes=centre.spectra.shape[3])
        self._put(stage, run=centre.function, forward=centre.forward_arguments, inverse=centre.inverse_arguments)
        return made.latency

    def _put_spl(self, forms: Sequence[FilterSet]) -> None:
        """The SPL limiter, with detectors for each form."""
        most, stage = max(forms, key=lambda form: form.detectors.shape[2]), self._state.spl
        limiter = SplLimiter(most.detectors[0], most.fs)
        length = limiter.detectors[0].shape[1]
        taps, largest = zip(*(prepared(form.detectors[0], length) for form in forms), strict=True)
        past, powers, made = limiter.room
        stage.memory = limiter.memory
        self._put(stage, past=past, powers=powers, made=made, rule=limiter.rule)
        self._put(stage, taps=np.stack(taps), most=np.stack(largest), width=past.shape[1], length=length)

    def _put_guard(self, forms: Sequence[FilterSet]) -> int:
        """Returns the guard's latency; each driver's own limit is the lowest that any of the forms names."""
        first = forms[0]
        drivers, stage = len(first.drivers), self._state.guard
        caps = tuple(min(c) for c in zip(*(f.caps or (1.0,) * drivers for f in forms), strict=True))
        guard = Guard(drivers, first.ceiling, first.fs, caps)
        look = guard.rule.average.size - 1
        self._guard = memory_for(drivers, look)
        self._fresh = self._guard.copy()
        self._put(stage, look=look, width=self._guard.shape[1], speed=guard.rule.speed, memory=self._guard)
        self._put(stage, average=guard.rule.average, bands=guard.rule.bands, share=guard.dc_share)
        self._seen = np.array([1.0, 0.0])
        self._put(stage, ceilings=np.zeros(drivers), caps=guard.caps, seen=self._seen, means=np.zeros((2, drivers)))
        return guard.latency


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """One half of a path for files: its code, its state, and the arrays that the state refers to."""

    callback: BlockPath
    state: NDArray[Any]
    held: list[Any]

    def run(self, given: NDArray[np.float32], made: NDArray[np.float32], frames: int) -> None:
        """Whole blocks, in all ``frames`` samples; see :func:`sweetspot.processor.live.callback._half`."""
        floats = ctypes.POINTER(ctypes.c_float)
        ins, outs = given.ctypes.data_as(floats), made.ctypes.data_as(floats)
        self.callback.ctypes(ins, outs, frames, None, 0, int(self.state.ctypes.data))

    @property
    def why(self) -> str:
        """Why the guard stopped it; empty while it runs."""
        return reason(self.state.view(np.recarray)[0].guard.stop)


def _filters(form: FilterSet, block: int, one_level: bool, *, alone: bool) -> CompiledMatrix:
    """The filters; between two blocks of live sound others use the core's cache.

    Those of a bank have one level of partitions, whose spectra can be exchanged between two blocks.
    """
    if one_level:
        return CompiledMatrix(form.taps, block, ratio=1)
    inputs, outputs, taps = (int(n) for n in form.taps.shape)
    return CompiledMatrix(form.taps, block, ratio=ratio_for(inputs, outputs, taps, block, alone=alone))


def _put_matrix(place: Any, matrix: CompiledMatrix, form: FilterSet) -> None:
    place["ceiling"], place["warm"] = not_above(form.ceiling, np.float32), form.length
    _put_level(place, "", matrix.head)
    if matrix.far:
        far = matrix.far
        _put_level(place, "far_", far.level)
        place["ratio"], place["far_tiles"] = matrix.ratio, far.level.tiles
        place["gathered"], place["answer"] = far.gathered.ctypes.data, far.answers.ctypes.data


def _put_level(place: Any, prefix: str, level: Level) -> None:
    values = {"run": level.function, "arguments": level.arguments.ctypes.data, "order": level.order, "slot": 0}
    values |= {"x": level.x.ctypes.data, "x_skip": level.x.shape[1]}
    values |= {"out": level.out.ctypes.data, "out_skip": level.out.shape[1]}
    for name, value in values.items():
        place[prefix + name] = value
