"""Files through the live block path: one compiled call per block, interleaved samples in and out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.live.block import CompiledBlock
from sweetspot.processor.live.memory import AMOUNT, PlayerMemory, Shared

Frames = NDArray[Any]

BLOCK = 4096
"""Largest block of the kernels, as latency does not matter for files."""


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
        self._tail = filterset.length - 1

    @property
    def latency(self) -> int:
        """Delay of upmix and guard, samples."""
        return self._path.latency

    @property
    def stopped(self) -> str:
        """Why the guard stopped the output; empty while it runs."""
        return self._path.why

    @property
    def limiter(self) -> tuple[float, int]:
        """Lowest gain of the limiter so far, and the number of limited samples."""
        return self._path.limiter

    def process(self, pieces: Iterable[Frames]) -> Iterator[Frames]:
        """Driver signals ``(n, driver)`` of a stream of ``(n, 2)``, without the delay and with the filters' tail."""
        skip, heard, left = self.latency, 0, np.zeros((0, 2), dtype=np.float32)
        for piece in pieces:
            heard += len(piece)
            x = np.concatenate([left, piece]) if len(left) else piece
            whole = len(x) // BLOCK * BLOCK
            y, left = self._played(x[:whole]), x[whole:]
            yield y[skip:]
            skip = max(skip - len(y), 0)
        if heard:
            rest = len(left) + self.latency + self._tail
            x = np.zeros((-(-rest // BLOCK) * BLOCK, 2), dtype=np.float32)
            x[: len(left)] = left
            yield self._played(x)[skip:rest]

    def _played(self, x: Frames) -> Frames:
        x, y = np.ascontiguousarray(x, dtype=np.float32), np.empty((len(x), self.drivers), dtype=np.float32)
        for first in range(0, len(x), BLOCK):
            self._path.step(x[first : first + BLOCK], y[first : first + BLOCK], BLOCK, False)
        return y
