"""An engine whose filters follow a listener's path in a file: the same rule as live, block by block."""

from __future__ import annotations

import numpy as np

from sweetspot.processor.bank.filterbank import FilterBank
from sweetspot.processor.bank.path_file import ListenerPath
from sweetspot.processor.convolver import convolver
from sweetspot.processor.engine import Engine
from sweetspot.processor.filterset import UpmixSettings
from sweetspot.rigs.units import Real

BLOCK = 256
"""Samples between updates of the listener's pose."""


class WalkingEngine(Engine):
    """Runs the filters of a bank for the listener's place.

    Parameters
    ----------
    path
        Where the listener is, at which time of the output.
    """

    def __init__(self, bank: FilterBank, path: ListenerPath, *, settings: UpmixSettings | None = None) -> None:
        self._bank, self._path = bank, path
        self.place = bank.nearest(path.at(0.0))
        self.changes = 0
        self._done = 0
        super().__init__(bank.at(self.place), BLOCK, settings=settings, dtype=np.float32, walks=True)

    def reset(self) -> None:
        """Clear all past input; the path starts again."""
        super().reset()
        self._done = 0

    def process(self, x: Real) -> Real:
        """See :meth:`Engine.process`."""
        pieces = [super(WalkingEngine, self).process(self._next(x[:, at : at + n])) for at, n in self._cuts(x.shape[1])]
        return np.concatenate(pieces, axis=1) if pieces else super().process(x)

    def _cuts(self, samples: int) -> list[tuple[int, int]]:
        """Pieces that end where blocks of the whole stream end: where, and how long."""
        cuts, at = [], 0
        while at < samples:
            n = min(BLOCK - (self._done + at) % BLOCK, samples - at)
            cuts.append((at, n))
            at += n
        return cuts

    def _next(self, x: Real) -> Real:
        """Update the listener's pose for these samples, then process them."""
        if self._done % BLOCK == 0 and not self.changing:
            heard = (self._done - self.upmix_latency) / self.filterset.fs
            wanted = self._bank.nearest(self._path.at(heard), self.place)
            if wanted != self.place:
                self.walk(self._bank.at(wanted), convolver(self._bank.taps[wanted], BLOCK, None, self._dtype))
                self.place, self.changes = wanted, self.changes + 1
        self._done += x.shape[1]
        return x
