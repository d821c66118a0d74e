"""The live block path in one compiled call: lays out its memory, and hands it its orders between blocks."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor import upmix
from sweetspot.processor.compiled import CompiledMatrix, Level, ratio_for
from sweetspot.processor.convolver import compilable
from sweetspot.processor.engine import program_rows
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.guard import DC_SHARE, Guard, memory_for, not_above
from sweetspot.processor.live import callback
from sweetspot.processor.live import state as nativestate
from sweetspot.processor.live.memory import BYPASS, WHICH, PlayerMemory

CHANGE_S = 0.05
"""Of a crossfade between filters."""


class CompiledBlock:
    """Stereo from the ring or the device to the device's channels, as :class:`player.Player` does it.

    Parameters
    ----------
    forms
        Filter sets that can be changed between: A, B, and the bypass.
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

    Raises
    ------
    BadInput
        The filter set has programs that no upmix makes, or settings out of range.
    """

    def __init__(
        self,
        forms: tuple[FilterSet, FilterSet, FilterSet],
        block: int,
        channels: int,
        heard: tuple[int, int, int] | None,
        board: PlayerMemory,
        *,
        fade_s: float,
        settle_s: float,
    ) -> None:
        first = forms[0]
        self._board, self._forms, self._held = board, forms, list[Any]()
        self._state = np.zeros(1, dtype=nativestate.STATE)
        self._matrices = np.zeros(3, dtype=nativestate.MATRIX)
        self._filters = [_filters(form, block) for form in forms]
        for place, matrix, form in zip(self._matrices, self._filters, forms, strict=True):
            self._tell_matrix(place, matrix, form)
        rows, outs = program_rows(first), [c - 1 for c in first.channels]
        inputs, left, right = heard or (0, 1, 2)
        self._tell(clock=nativestate.clock(), time=np.zeros(2, dtype=np.int64), block=block, drivers=len(first.drivers))
        self._tell(inputs=len(rows), rows=np.array(rows), outs=np.array(outs), channels=channels)
        self._tell(heard_channels=inputs, left=left - 1, right=right - 1, period=1.0 / first.fs)
        self._tell(settled=settle_s * first.fs / block, matrices=self._matrices, next=-1)
        self._tell(controls=board.controls, meters=board.meters, loads=board.loads, counters=board.counters)
        self._tell(ring=board.ring, ring_size=board.ring.shape[1], fade=round(CHANGE_S * first.fs))
        self._tell(muted=1, gain_length=1, gain_done=1, soft=round(fade_s * first.fs))
        sizes = {"x": 2, "programs": 3, "y": len(first.drivers), "other": len(first.drivers)}
        self._tell(**{name: np.zeros((rows, block), dtype=np.float32) for name, rows in sizes.items()})
        latency = self._tell_upmix(first) + self._tell_guard(first)
        self.latency = latency
        self._tell(tail=latency + first.length)
        self._callback = callback.callback()

    @property
    def address(self) -> int:
        """Of the callback, as PortAudio wants it."""
        return int(self._callback.address)

    @property
    def user(self) -> int:
        """Address that the callback is to be handed."""
        return int(self._state.ctypes.data)

    def step(self, heard: Any, play: NDArray[np.float32], frames: int, flagged: bool) -> None:
        """One block from Python; see :data:`sweetspot.rigs.live_stream.Callback`."""
        floats = ctypes.POINTER(ctypes.c_float)
        ins = None if heard is None else np.ascontiguousarray(heard).ctypes.data_as(floats)
        self._callback.ctypes(ins, play.ctypes.data_as(floats), frames, None, int(flagged), self.user)

    def obey(self) -> None:
        """Change filters as the controls ask, and tell of a stop; to be called now and then, by any thread."""
        state, controls = self._state[0], self._board.controls
        wanted = 2 if controls[BYPASS] else int(controls[WHICH])
        if state["next"] < 0 and wanted not in (state["playing"], state["wanted"]):
            self._clear(wanted)
            state["wanted"] = wanted
        elif state["next"] < 0 and state["wanted"] != state["playing"] == wanted:
            state["wanted"] = wanted
        if state["stopped"]:
            self._board.say(2, f"the guard stopped the output: {self._reason()}")

    def warm(self, blocks: int) -> None:
        """Do some blocks of silence, so that the first ones heard do not meet cold caches; they are not counted."""
        board, state = self._board, self._state[0]
        told = (board.meters, board.loads, board.counters[1:])
        kept = [held.copy() for held in told]
        tail, play = state["tail"], np.zeros((int(state["block"]), int(state["channels"])), dtype=np.float32)
        board.counters[1] = board.counters[0]
        heard = np.zeros((len(play), max(int(state["heard_channels"]), 1)), dtype=np.float32)
        for _ in range(blocks):
            self.step(heard, play, len(play), False)
        for held, old in zip(told, kept, strict=True):
            held[:] = old
        state["tail"], state["gain_from"], state["gain_to"], state["muted"] = tail, 0.0, 0.0, 1
        state["gain_done"] = state["gain_length"] = 1
        self._memory[:] = self._fresh

    @property
    def stopped(self) -> bool:
        """Whether the guard stopped the output."""
        return bool(self._state["stopped"][0])

    def _clear(self, form: int) -> None:
        """Filters that are not played forget what they heard."""
        self._filters[form].reset()
        place = self._matrices[form]
        place["slot"] = place["far_slot"] = place["turn"] = 0

    def _reason(self) -> str:
        state, ceiling = self._state[0], self._forms[0].ceiling
        driver = int(state["stopped_driver"]) + 1
        if state["stopped"] == nativestate.INPUT_BAD:
            return "the input was not finite (NaN or infinity)"
        if state["stopped"] == nativestate.OUTPUT_BAD:
            return "a driver signal was not finite (NaN or infinity)"
        limit = f"(limit {DC_SHARE * ceiling:.3f} of full scale)"
        return f"driver {driver} was sent a constant offset of {state['stopped_mean']:+.3f} {limit}"

    def _tell(self, **values: Any) -> None:
        """Put numbers, or the addresses of arrays, which are kept, into the state."""
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                assert value.flags.c_contiguous
                self._held.append(value)
                value = value.ctypes.data
            self._state[name] = value

    def _tell_matrix(self, place: Any, matrix: CompiledMatrix, form: FilterSet) -> None:
        place["ceiling"], place["limit"] = form.ceiling, not_above(form.ceiling, np.float32)
        place["warm"] = form.length
        _tell_level(place, "", matrix.head)
        if matrix.far:
            far = matrix.far
            _tell_level(place, "far_", far.level)
            place["ratio"], place["far_tiles"] = matrix.ratio, far.level.tiles
            place["gathered"], place["answer"] = far.gathered.ctypes.data, far.answers.ctypes.data

    def _tell_upmix(self, first: FilterSet) -> int:
        """Returns the upmix's latency."""
        made = upmix.chosen(first.upmix, first.fs, np.float32)
        if isinstance(made, upmix.PassThrough):
            return 0
        assert isinstance(made, upmix.StftUpmix)
        centre = made.centre
        self._held.append(centre)
        heard, sums = np.zeros((2, made.window), dtype=np.float32), np.zeros(made.span, dtype=np.float32)
        self._tell(window=made.window, span=made.span, hop=made.hop, decay=made.decay, heard=heard, open=sums)
        self._tell(shape=centre.shape, synthesis=made.full_synthesis, frames=centre.frames, centre=centre.out)
        self._tell(centre_run=centre.function, centre_told=centre.told, decays=centre.decays)
        return made.latency

    def _tell_guard(self, first: FilterSet) -> int:
        """Returns the guard's latency."""
        drivers = len(first.drivers)
        guard = Guard(drivers, first.ceiling, first.fs)
        memory = memory_for(drivers, guard.average.size - 1)
        self._fresh, self._memory = memory.copy(), memory
        self._tell(look=guard.average.size - 1, width=memory.shape[1], speed=guard.speed, guard=memory)
        self._tell(average=guard.average, bands=guard.bands, dc_share=guard.dc_share)
        self._tell(limits=np.zeros(drivers), seen=np.array([1.0, 0.0]), mean=np.zeros(drivers))
        return guard.latency


def fusible(first: FilterSet, block: int) -> bool:
    """Whether the compiled path does this: numba is installed, the block suits the kernel, a clock is to be had."""
    if find_spec("numba") is None or not compilable(block, np.dtype(np.float32)) or not nativestate.clock():
        return False
    return upmix.fusible(upmix.chosen(first.upmix, first.fs, np.float32))


def _filters(form: FilterSet, block: int) -> CompiledMatrix:
    """The filters for a core that is shared: between two blocks of live sound others use its cache."""
    inputs, outputs, taps = (int(n) for n in form.taps.shape)
    return CompiledMatrix(form.taps, block, ratio=ratio_for(inputs, outputs, taps, block, alone=False))


def _tell_level(place: Any, prefix: str, level: Level) -> None:
    values = {"run": level.function, "told": level.told.ctypes.data, "order": level.order, "slot": 0}
    values |= {"x": level.x.ctypes.data, "x_skip": level.x.shape[1]}
    values |= {"out": level.out.ctypes.data, "out_skip": level.out.shape[1]}
    for name, value in values.items():
        place[prefix + name] = value
