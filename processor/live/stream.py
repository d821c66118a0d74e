"""Live playing from the console process: starts the player process, feeds it, and reads its meters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor import files
from sweetspot.processor.bank import Follower
from sweetspot.processor.files import resampled
from sweetspot.processor.filterset import within_full_scale
from sweetspot.processor.live import memory
from sweetspot.processor.live.memory import PlayerMemory, Shared
from sweetspot.processor.live.player import PlayedProgram, play
from sweetspot.rigs.errors import BadInput, HardwareTrouble

RING_S = 2.0
"""Length of a file decoded ahead, s."""

START_S = 90.0
"""How long the other process may take to import, compile (once on a machine), warm up and open the device."""

PATIENT_S = 2.5
"""Time after which a message explains the silence, s."""

GLANCE_S = 0.05
"""Update interval of meters and ring buffer, s."""


@dataclass(frozen=True, slots=True, eq=False)
class Meters:
    """Meters of the player process.

    Parameters
    ----------
    seconds
        Played so far.
    peaks
        Largest sample of each driver since the last look, linear.
    load, worst
        99.9th percentile and largest time of a block, as shares of its duration.
    xruns
        Counted by the device, whatever the cause.
    late
        Blocks that took longer than they last, but for those that the machine held up: the xruns that are ours.
    held
        Blocks that were held up: their work was short, but the processor was with others.
    starved
        Samples that the file did not deliver in time.
    least_gain
        Of guard and SPL limiter, linear.
    guard, spl
        Least gain of each, linear, and the number of samples that it reduced.
    over
        The driver whose signal passed its ceiling most, ahead of the guard; empty where none did.
    """

    seconds: float
    peaks: NDArray[np.float64]
    load: float
    worst: float
    xruns: int
    late: int
    held: int
    starved: int
    least_gain: float
    guard: tuple[float, int]
    spl: tuple[float, int]
    over: str


class LivePlayer:
    """A program that plays in a separate process; made by :func:`playing`."""

    follower: Follower | None = None
    """The listener's follower, for a bank."""

    def __init__(self, program: PlayedProgram, shared: Shared, process: Any) -> None:
        self.program, self._process = program, process
        self.board = PlayerMemory(shared)
        self.latency_s = 0.0
        self.feeder: Feeder | None = None

    def feed(self) -> None:
        """Decode as much of the file as there is room for."""
        if self.feeder is not None:
            self.feeder.fill()

    @property
    def glance_s(self) -> float:
        """Call interval of :meth:`feed` and :meth:`meters`, s."""
        return GLANCE_S

    def set(self, which: int, value: float) -> None:
        """Set one of the controls of :mod:`sweetspot.processor.live.memory`; the volume within the drivers' limits."""
        if which == memory.VOLUME:
            value = min(value, self.program.most_db)
        self.board.controls[which] = value

    def step(self, x: float, y: float) -> None:
        """Move the listener by a step in m, or with ``0, 0`` to the default place."""
        if self.follower is not None:
            self.follower.walk(x, y) if x or y else self.follower.go_home()
            self.set(memory.PLACE, self.follower.place)

    def get(self, which: int) -> float:
        """One of the controls."""
        return float(self.board.controls[which])

    @property
    def finished(self) -> bool:
        """Whether everything was played."""
        return bool(self.board.meters[memory.FINISHED])

    def meters(self) -> Meters:
        """Present meters; the peaks are reset."""
        m = self.board.meters
        peaks = m[memory.PEAKS :].copy()
        m[memory.PEAKS :] = 0.0
        wanted = self.program.wanted
        return Meters(
            seconds=float(m[memory.BLOCKS]) * wanted.block / wanted.fs,
            peaks=peaks,
            load=min(self.board.percentile(0.999), float(m[memory.WORST])),
            worst=float(m[memory.WORST]),
            xruns=int(m[memory.XRUNS]),
            late=int(self.board.loads[int(1.0 / memory.STEP) :].sum() - m[memory.HELD]),
            held=int(m[memory.HELD]),
            starved=int(m[memory.STARVED]),
            least_gain=float(m[memory.GAIN]) if m[memory.BLOCKS] else 1.0,
            guard=(float(m[memory.GUARD]), int(m[memory.GUARDED])) if m[memory.BLOCKS] else (1.0, 0),
            spl=(float(m[memory.SPL]), int(m[memory.SPL_LIMITED])) if m[memory.BLOCKS] else (1.0, 0),
            over=self.program.forms[0].drivers[int(m[memory.DRIVER])] if m[memory.OVER] else "",
        )

    def check(self) -> None:
        """Raise an error of the player process.

        Raises
        ------
        BadInput, HardwareTrouble
            The player's own error, or it ended without a message.
        """
        code, reason = self.board.text
        if code:
            raise (HardwareTrouble if code == HardwareTrouble.exit_code else BadInput)(reason)
        if not self._process.is_alive() and not self.finished and not self.get(memory.QUIT):
            raise HardwareTrouble(f"the player process ended without a message (exit code {self._process.exitcode})")


@contextmanager
def playing(
    program: PlayedProgram,
    source: files.SoundSource | None = None,
    *,
    loop: bool = False,
    gain_db: float = 0.0,
    now: Callable[[], float] = time.monotonic,
    waiting: Callable[[str], None] = lambda note: None,
) -> Iterator[LivePlayer]:
    """Start to play, and end softly; a file is decoded ahead by :meth:`LivePlayer.feed`.

    ``waiting`` is called once when the start takes longer than usual.

    Raises
    ------
    BadInput, HardwareTrouble
        The device cannot be opened.
    """
    if gain_db > program.most_db + 0.05:
        raise BadInput(
            f"gain is {gain_db:g} dB; up to {program.most_db:.1f} dB filters and bypass keep the drivers within "
            "excursion_mm of the rig file"
        )
    context = get_context("spawn")
    shared = Shared.make(context, RING_S, program.wanted.fs, len(program.forms[0].drivers))
    process = context.Process(target=play, args=(program, shared), daemon=True)
    live = LivePlayer(program, shared, process)
    if source is not None:
        live.feeder = Feeder(source, program.wanted.fs, live, loop=loop)
        live.feed()
    live.set(memory.AMOUNT, program.forms[0].upmix.amount)
    live.set(memory.PLACE, program.place)
    live.set(memory.VOLUME, gain_db)
    process.start()
    try:
        began, announced = now(), False
        while not live.board.meters[memory.STARTED]:
            live.check()
            if now() > began + PATIENT_S and not announced:
                waiting("Preparing the filters; the first start on a computer compiles for some ten seconds ...")
                announced = True
            if now() > began + START_S:
                raise HardwareTrouble(f"the player process did not start within {START_S:g} s")
            time.sleep(GLANCE_S)
        live.latency_s = float(live.board.meters[memory.LATENCY])
        yield live
    finally:
        live.set(memory.QUIT, 1.0)
        process.join(5.0)
        if process.is_alive():
            process.kill()


class Feeder:
    """Decodes a file ahead of the process that plays, at the filters' rate."""

    def __init__(self, source: files.SoundSource, fs: int, into: LivePlayer, *, loop: bool = False) -> None:
        self._source, self._fs, self._live, self._loop = source, fs, into, loop
        self._pieces = self._endless()
        self._rest: NDArray[np.float32] = np.zeros((2, 0), dtype=np.float32)
        self._done = False

    def _endless(self) -> Iterator[Any]:
        while True:
            pieces = within_full_scale(self._live.program.forms[0], self._source.pieces())
            yield from resampled(pieces, self._source.fs, self._fs)
            if not self._loop:
                return
            self._source.rewind()

    def fill(self) -> None:
        """Write as much as fits; returns whether the file has ended."""
        ring = self._live.board
        while not self._done:
            if self._rest.shape[1] == 0:
                piece = next(self._pieces, None)
                if piece is None:
                    self._done = True
                    self._live.set(memory.ENDED, 1.0)
                    return
                self._rest = np.ascontiguousarray(piece, dtype=np.float32)
            n = min(ring.free, self._rest.shape[1])
            if n == 0 and self._rest.shape[1]:
                return
            ring.write(self._rest[:, :n])
            self._rest = self._rest[:, n:]
