"""The player process: engine and stream only, so that nothing else competes for the interpreter."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
from contextlib import suppress
from dataclasses import dataclass

from sweetspot.processor.bank import FilterBank
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.live.block import CompiledBlock
from sweetspot.processor.live.memory import FINISHED, LATENCY, QUIT, STARTED, PlayerMemory, Shared
from sweetspot.rigs.errors import HardwareTrouble, SweetspotError
from sweetspot.rigs.live_stream import LiveStream, Wanted, Watch

FADE_S = 0.03
"""Of mute, start and stop."""

SETTLE_S = 0.5
"""Time after start, s, in which xruns are due to the server's changed graph and not counted."""

PRIORITY = 15
"""Real-time priority: above ordinary processes, below an audio server."""

GLANCE_S = 0.02
"""Interval of tasks that a compiled stream cannot do itself, s."""

LOOK_AROUND = 25
"""Glances from one look for devices that have left to the next."""

WARM_BLOCKS = 64
"""Blocks done before the stream opens: the first ones meet cold caches."""


@dataclass(frozen=True, slots=True)
class PlayedProgram:
    """The program to play.

    Parameters
    ----------
    forms
        Filter sets that can be changed between: A, B (or A again), and the bypass.
    wanted
        The stream.
    channels
        Input channels that are left and right, from 1; None when the sound comes through the ring.
    bank
        Filters that A walks between as the listener does.
    place
        The bank's place at the start.
    """

    forms: tuple[FilterSet, FilterSet, FilterSet]
    wanted: Wanted
    channels: tuple[int, int] | None
    bank: FilterBank | None = None
    place: int = 0

    @property
    def most_db(self) -> float:
        """Largest volume, dB: none of the forms moves a driver too far; see :attr:`FilterSet.most_db`."""
        return max(0.0, min(form.most_db for form in self.forms))


def prepared(program: PlayedProgram, board: PlayerMemory) -> CompiledBlock:
    """The callback with its memory, warmed up.

    Raises
    ------
    BadInput
        A block that the kernels do not do, programs that no upmix makes, or settings out of range.
    """
    wanted = program.wanted
    heard = (wanted.inputs, *program.channels) if program.channels else None
    made = CompiledBlock(
        program.forms,
        wanted.block,
        wanted.outputs,
        heard,
        board,
        fade_s=FADE_S,
        settle_s=SETTLE_S,
        bank=program.bank,
    )
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
    """Main function of the process: runs until QUIT is set, all is played, or the device fails.

    What goes wrong is left on the board with its exit code.
    """
    import time

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that shows
    _hurry()
    board, parent = PlayerMemory(shared), os.getppid()
    try:
        made = prepared(program, board)
        with LiveStream(program.wanted) as stream:
            gc.collect()
            gc.freeze()
            gc.disable()
            _hold()
            stream.start(made.address, made.user)
            _hold()  # what the stream has brought with it, too
            board.meters[LATENCY] = stream.latency_s
            board.meters[STARTED] = 1.0
            watch, glances = Watch(), 0
            while not (board.controls[QUIT] or board.meters[FINISHED] or board.text[0]):
                time.sleep(GLANCE_S)
                made.apply_controls()
                if not stream.active or watch.stalled(int(board.meters[0])):
                    stream.lost()
                    board.report(3, f"{stream.output.name!r} stopped: is it still connected, and its server running?")
                glances += 1
                if glances % LOOK_AROUND == 0 and (who := stream.gone):
                    board.report(3, f"{who!r} has left the audio server: start it again, then play again")
                if os.getppid() != parent:  # it was killed: end as softly as if it had asked
                    board.controls[QUIT] = 1.0
            if not board.text[0]:
                time.sleep(0.1)
    except SweetspotError as trouble:
        board.report(trouble.exit_code, str(trouble))
    if board.text[0] == HardwareTrouble.exit_code:
        os._exit(HardwareTrouble.exit_code)  # a stream that was given up may call back yet, into memory freed by then
