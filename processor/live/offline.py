"""Files through the live block path: upmix in one thread, all the rest in another, beside whoever writes; samples
are interleaved.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import cycle
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.live.block import CompiledBlock
from sweetspot.processor.live.kept import block_path
from sweetspot.processor.live.memory import AMOUNT, PlayerMemory, Shared

Frames = NDArray[Any]
Item = TypeVar("Item")

BLOCK = 4096
"""Largest block of the kernels, as latency does not matter for files."""

MOST = 8 * BLOCK
"""Samples of one call into compiled code: few calls wait for Python, and what is between threads fits the cache."""

WAITING = 2
"""Stretches of :data:`MOST` samples that may wait between two threads."""

ROOMS = WAITING + 2
"""Stretches in memory: those that wait, the one that is being made, and the one that is used."""


class FileBlocks:
    """A filter set made ready for one file.

    Parameters
    ----------
    filterset
        What to run, with the upmix that is wanted.

    Raises
    ------
    BadInput
        Programs or an upmix that the compiled path does not do.
    """

    def __init__(self, filterset: FilterSet) -> None:
        self.drivers = len(filterset.drivers)
        form = replace(filterset, channels=tuple(range(1, self.drivers + 1)))
        board = PlayerMemory(Shared.private(self.drivers))
        board.controls[AMOUNT] = filterset.upmix.amount
        self._path = CompiledBlock((form,), BLOCK, self.drivers, (2, 1, 2), board, fade_s=0.0, settle_s=0.0, alone=True)
        self._front, self._back = self._path.halves()
        self._tail = filterset.length - 1

    @staticmethod
    def ready() -> None:
        """Load code that every file goes through."""
        block_path()

    @property
    def latency(self) -> int:
        """Delay of upmix and guard, samples."""
        return self._path.latency

    @property
    def stopped(self) -> str:
        """Why the guard stopped the output; empty while it runs."""
        return self._back.why or self._front.why

    @property
    def limiter(self) -> tuple[float, int]:
        """Lowest gain of the limiter so far, and the number of limited samples."""
        return self._path.limiter

    @property
    def spl_limiter(self) -> tuple[float, int]:
        """The same of the SPL limiter."""
        return self._path.spl_limiter

    def process(self, pieces: Iterable[Frames]) -> Iterator[Frames]:
        """Driver signals ``(n, driver)`` of a stream of ``(n, 2)``, without the delay and with the filters' tail.

        They lie in memory that is used again: each is valid until the next. The input is read and goes through the
        upmix in a second thread, and through SPL limiter, filters and guard in a third, ahead of what is given back.
        """
        return ahead(self._driven(pieces), WAITING)

    def _driven(self, pieces: Iterable[Frames]) -> Iterator[Frames]:
        """See :meth:`process`; each is valid until as many as :data:`ROOMS` have followed."""
        skip, rooms = self.latency, cycle(np.empty((ROOMS, MOST, self.drivers), dtype=np.float32))
        for programs, wanted in ahead(self._upmixed(pieces), WAITING):
            frames = programs.shape[0] * BLOCK
            y = next(rooms)
            self._back.run(programs, y, frames)
            yield y[skip : min(wanted, frames)]
            skip = max(skip - frames, 0)

    def _upmixed(self, pieces: Iterable[Frames]) -> Iterator[tuple[NDArray[np.float32], int]]:
        """Programs ``(block, 3, BLOCK)`` in memory that is used again, and how many of their samples are wanted."""
        rooms = cycle(np.empty((ROOMS, MOST // BLOCK, 3, BLOCK), dtype=np.float32))
        for x, wanted in self._whole_blocks(pieces):
            for first in range(0, len(x), MOST):
                part = x[first : first + MOST]
                programs = next(rooms)[: len(part) // BLOCK]
                self._front.run(part, programs, len(part))
                yield programs, wanted - first

    def _whole_blocks(self, pieces: Iterable[Frames]) -> Iterator[tuple[NDArray[np.float32], int]]:
        """The input in whole blocks, followed by the silence that drives out the delay and the tail."""
        heard, left = 0, np.zeros((0, 2), dtype=np.float32)
        for piece in pieces:
            heard += len(piece)
            x = np.concatenate([left, piece]) if len(left) else piece
            whole = len(x) // BLOCK * BLOCK
            left = x[whole:]
            yield np.ascontiguousarray(x[:whole], dtype=np.float32), whole
        if heard:
            rest = len(left) + self.latency + self._tail
            x = np.zeros((-(-rest // BLOCK) * BLOCK, 2), dtype=np.float32)
            x[: len(left)] = left
            yield x, rest


def ahead(items: Iterable[Item], waiting: int) -> Iterator[Item]:
    """Items that a second thread makes while the caller uses the one before; at most ``waiting`` of them wait."""
    made: Queue[tuple[list[Item], BaseException | None]] = Queue(waiting)
    ended = Event()

    def put(items: list[Item], fault: BaseException | None) -> None:
        while not ended.is_set():
            with suppress(Full):
                made.put((items, fault), timeout=0.1)
                return

    def run() -> None:
        try:
            for item in items:
                put([item], None)
                if ended.is_set():
                    return
            put([], None)
        except BaseException as fault:  # raised again where the items are used
            put([], fault)
        finally:
            if isinstance(items, Generator):  # which may have a thread of its own
                items.close()

    thread = Thread(target=run, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            got, fault = made.get()
            if fault:
                raise fault
            if not got:
                return
            yield got[0]
    finally:
        ended.set()
        with suppress(Empty):
            made.get_nowait()  # whoever waits for room looks again
        thread.join()
