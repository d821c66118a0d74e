"""Sound of poses to come, computed on another core while the program judges and stores what it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.layout import Pose

DEPTH = 6
"""Stands that are computed ahead, 1 MB each: with two, the thread waited while the session judged and stored."""

Paths = NDArray[np.float32]
Stand = tuple[Pose, frozenset[int] | None]
"""A pose and the inputs that are read there, None for all."""


class PathsAhead:
    """Paths of one stand after the other, the next ones ahead of time.

    One thread computes all of them, so that nothing in the world is used by two at once; NumPy computes without the
    interpreter's lock.

    Parameters
    ----------
    paths
        The paths of a stand.
    """

    def __init__(self, paths: Callable[[Stand], Paths]) -> None:
        self._paths = paths
        self._left: list[Stand] = []
        self._begun: dict[Stand, Future[Paths]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def expect(self, stands: Sequence[Stand]) -> None:
        """Stands to come, in their order; they take the place of those before, but for sound that has begun."""
        self._left = list(dict.fromkeys(stands))
        self._begun = {p: one for p, one in self._begun.items() if p in self._left}
        self._begin()

    def at(self, stand: Stand) -> Paths:
        """The paths of a stand, computed now if nobody expected it."""
        if stand not in self._left:
            return self._submitted(stand).result()
        found = self._begun.get(stand) or self._submitted(stand)
        passed = self._left[: self._left.index(stand) + 1]
        self._left = self._left[len(passed) :]
        self._begun = {p: one for p, one in self._begun.items() if p not in passed}
        self._begin()
        return found.result()

    def close(self) -> None:
        """Leave out what has not begun."""
        self._left, self._begun = [], {}
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _begin(self) -> None:
        for stand in self._left[:DEPTH]:
            if stand not in self._begun:
                self._begun[stand] = self._submitted(stand)

    def _submitted(self, stand: Stand) -> Future[Paths]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "paths of the lab")
        return self._pool.submit(self._paths, stand)
