"""The process that plays: engine and stream, and nothing else that could want the interpreter at the same time."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.convolver import convolver
from sweetspot.processor.engine import Engine
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.live.memory import (
    AMOUNT,
    BLOCKS,
    BYPASS,
    ENDED,
    FINISHED,
    GAIN,
    LATENCY,
    MUTE,
    PEAKS,
    QUIT,
    STARTED,
    STARVED,
    WHICH,
    XRUNS,
    PlayerMemory,
    Shared,
)
from sweetspot.rigs.errors import SweetspotError
from sweetspot.rigs.live_stream import LiveStream, Wanted, Watch

if TYPE_CHECKING:
    from sweetspot.processor.live.block import CompiledBlock

Real = NDArray[Any]

FADE_S = 0.03
"""Of mute, start and stop."""

SETTLE_S = 0.5
"""Xruns within it are the server's, whose graph has just changed, and are not counted."""

PRIORITY = 15
"""Of the real-time class: above everything ordinary, below an audio server that asks for more."""

GLANCE_S = 0.02
"""How often a stream of compiled code is asked for what it cannot do itself."""

LOOK_AROUND = 25
"""Glances from one look for devices that have left to the next."""

WARM_BLOCKS = 64
"""Blocks done before the stream opens: the first ones meet cold caches."""


@dataclass(frozen=True, slots=True)
class PlayedProgram:
    """What is played.

    Parameters
    ----------
    forms
        Filter sets that can be changed between: A, B (or A again), and the bypass.
    wanted
        The stream.
    channels
        Input channels that are left and right, from 1; None when the sound comes through the ring.
    """

    forms: tuple[FilterSet, FilterSet, FilterSet]
    wanted: Wanted
    channels: tuple[int, int] | None


class Player:
    """The stream's callback in Python: a block of stereo through the engine to the drivers' channels.

    Used where the block path cannot be compiled (:func:`compiled_player`), and what that one is tested against.
    """

    def __init__(self, program: PlayedProgram, board: PlayerMemory, clock: Callable[[], float]) -> None:
        self._board, self._clock = board, clock
        self._forms, self._channels = program.forms, program.channels
        first, block = program.forms[0], program.wanted.block
        self._engine = Engine(first, block, settings=first.upmix, dtype=np.float32)
        self._matrices = [convolver(f.taps, block) for f in program.forms]
        self._playing, self._muted, self._amount = 0, True, first.upmix.amount
        self._out = np.array([c - 1 for c in first.channels])
        self._x = np.zeros((2, block), dtype=np.float32)
        self._duration = 1.0 / program.wanted.fs
        self.latency = self._engine.latency
        self._tail = self.latency + first.length
        self._settled = SETTLE_S * program.wanted.fs / block
        for _ in range(WARM_BLOCKS):
            self._engine.process(self._x)
        self._engine.reset()
        self._engine.fade(0.0, 1e-4)

    def step(self, heard: Any, play: Any, frames: int, flagged: bool) -> None:
        """One block; see :data:`sweetspot.rigs.live_stream.Callback`."""
        began = self._clock()
        board, controls = self._board, self._board.controls
        board.meters[XRUNS] += flagged and board.meters[BLOCKS] > self._settled
        x = self._x if frames == self._x.shape[1] else np.zeros((2, frames), dtype=np.float32)
        if self._channels is None:
            self._from_ring(x)
        else:
            x[0], x[1] = heard[:, self._channels[0] - 1], heard[:, self._channels[1] - 1]
        self._obey(controls)
        y = self._engine.process(x)
        play.fill(0.0)
        play[:, self._out] = y.T
        peaks = board.meters[PEAKS:]
        np.maximum(peaks, np.abs(y).max(axis=1), out=peaks)
        board.meters[GAIN] = self._engine.guard.least_gain
        board.timed((self._clock() - began) / (frames * self._duration))

    def _from_ring(self, x: Real) -> None:
        got = self._board.read(x)
        if got == x.shape[1]:
            return
        if self._board.controls[ENDED]:
            self._tail -= x.shape[1] - got
            if self._tail <= 0:
                self._board.meters[FINISHED] = 1.0
        else:
            self._board.meters[STARVED] += x.shape[1] - got

    def _obey(self, controls: NDArray[np.float64]) -> None:
        """Follow the controls, each change softly."""
        muted = bool(controls[MUTE]) or bool(controls[QUIT])
        if muted != self._muted:
            self._muted = muted
            self._engine.fade(0.0 if muted else 1.0, FADE_S)
        form = 2 if controls[BYPASS] else int(controls[WHICH])
        if form != self._playing and not self._engine.changing:
            self._playing = form
            self._matrices[form].reset()
            self._engine.change(self._forms[form], self._matrices[form])
        if controls[AMOUNT] != self._amount:
            self._amount = float(controls[AMOUNT])
            self._engine.amount = self._amount
        if self._engine.stopped:
            self._board.say(2, f"the guard stopped the output: {self._engine.stopped}")


def bypass(filters: FilterSet, pair: tuple[int, int]) -> FilterSet:
    """Plain stereo on two drivers (from 0), at the level and with the delay of the filters; the centre to both."""
    taps = np.zeros_like(filters.taps)
    gain = 10.0 ** (-filters.headroom_db / 20.0)
    for side, driver in enumerate(pair):
        taps[side, driver, filters.delay_samples] = gain
        taps[2, driver, filters.delay_samples] = gain
    return replace(filters, taps=taps)


def compiled_player(program: PlayedProgram, board: PlayerMemory) -> CompiledBlock | None:
    """The same in compiled code, warmed up; None where numba is not installed or the block does not suit it."""
    if find_spec("numba") is None or find_spec("llvmlite") is None:
        return None
    from sweetspot.processor.live.block import CompiledBlock, fusible

    first, wanted = program.forms[0], program.wanted
    if not fusible(first, wanted.block):
        return None
    heard = (wanted.inputs, *program.channels) if program.channels else None
    times = {"fade_s": FADE_S, "settle_s": SETTLE_S}
    made = CompiledBlock(program.forms, wanted.block, wanted.outputs, heard, board, **times)
    made.warm(WARM_BLOCKS)
    return made


def _hold() -> None:
    """Keep the memory that is there now from being moved out, where that is allowed."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mlockall(1)  # MCL_CURRENT


def _hurry() -> None:
    """Ask for real-time priority, or else a high one; the stream's thread inherits it. Many users may have neither."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except (AttributeError, OSError):
        with suppress(OSError):
            os.nice(-11)


def play(program: PlayedProgram, shared: Shared) -> None:
    """The process: runs until it is told to quit, everything is played, or the device dies.

    What goes wrong is left on the board with its exit code.
    """
    import time

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that shows
    _hurry()
    board, parent = PlayerMemory(shared), os.getppid()
    try:
        quick = compiled_player(program, board)
        player = None if quick else Player(program, board, time.perf_counter)
        with LiveStream(program.wanted) as stream:
            gc.collect()
            gc.freeze()
            gc.disable()
            _hold()
            if quick:
                stream.start_compiled(quick.address, quick.user)
            elif player:
                stream.start(player.step)
            _hold()  # what the stream has brought with it, too
            board.meters[LATENCY] = stream.latency_s
            board.meters[STARTED] = 1.0
            watch, glances = Watch(), 0
            while not (board.controls[QUIT] or board.meters[FINISHED] or board.text[0]):
                time.sleep(GLANCE_S)
                if quick:
                    quick.obey()
                if not stream.active or watch.stalled(int(board.meters[0])):
                    stream.lost()
                    board.say(3, f"{stream.output.name!r} stopped: is it still connected, and its server running?")
                glances += 1
                if glances % LOOK_AROUND == 0 and (who := stream.gone):
                    board.say(3, f"{who!r} has left the audio server: start it again, then play again")
                if os.getppid() != parent:
                    return
            if not board.text[0]:
                time.sleep(0.1)
    except SweetspotError as trouble:
        board.say(trouble.exit_code, str(trouble))
