"""What will be asked for, computed ahead on another core while the program judges and stores what it has."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

DEPTH = 6
"""How many are computed ahead, some 1 MB each: with two, the thread waited while the session judged and stored."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Ahead(Generic[Key, Value]):
    """Values of one key after the other, the next ones ahead of time.

    One thread computes all of them, so that nothing is used by two at once; NumPy computes without the interpreter's
    lock. An error is raised where its value is asked for.

    Parameters
    ----------
    value
        The value of a key.
    """

    def __init__(self, value: Callable[[Key], Value]) -> None:
        self._value = value
        self._left: list[Key] = []
        self._begun: dict[Key, Future[Value]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def expect(self, keys: Sequence[Key]) -> None:
        """Keys to come, in their order; they take the place of those before, but for values that have begun."""
        self._left = list(dict.fromkeys(keys))
        self._begun = {k: one for k, one in self._begun.items() if k in self._left}
        self._begin()

    def at(self, key: Key) -> Value:
        """The value of a key, computed now if nobody expected it."""
        if key not in self._left:
            return self._submitted(key).result()
        found = self._begun.get(key) or self._submitted(key)
        passed = self._left[: self._left.index(key) + 1]
        self._left = self._left[len(passed) :]
        self._begun = {k: one for k, one in self._begun.items() if k not in passed}
        self._begin()
        return found.result()

    def close(self) -> None:
        """Leave out what has not begun."""
        self._left, self._begun = [], {}
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _begin(self) -> None:
        for key in self._left[:DEPTH]:
            if key not in self._begun:
                self._begun[key] = self._submitted(key)

    def _submitted(self, key: Key) -> Future[Value]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "ahead")
        return self._pool.submit(self._value, key)
