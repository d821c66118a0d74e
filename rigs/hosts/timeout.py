"""Library calls that may block for ever: made in a separate thread, and abandoned after a timeout."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


class Overdue(Exception):
    """A call did not return in time; its thread is left to it."""


@dataclass(slots=True, eq=False)
class _Call:
    work: Callable[[], Any]
    done: threading.Event = field(default_factory=threading.Event)
    value: Any = None
    fault: Exception | None = None

    def make(self) -> None:
        """Do the work, and keep its result or exception."""
        try:
            self.value = self.work()
        except Exception as fault:
            self.fault = fault
        self.done.set()


class Worker:
    """Makes calls sequentially in a daemon thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, work: Callable[[], T], wait_s: float) -> T:
        """The value of ``work()``, or the exception that it raised.

        An interrupted call (Ctrl-C) goes on in its thread; the calls after it wait for its end.

        Raises
        ------
        Overdue
            ``work`` is still at it after ``wait_s`` seconds, or what was called before it is.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        call = _Call(work)
        self._calls.put(call)
        if not call.done.wait(wait_s):
            raise Overdue(f"no answer in {wait_s:g} s")
        if call.fault is not None:
            raise call.fault
        value: T = call.value
        return value

    def _run(self) -> None:
        while True:
            self._calls.get().make()
