"""A stage's line in tests: what is sent and answered is agreed on beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

Word = TypeVar("Word", str, bytes)


class Conversation(Generic[Word]):
    """A line on which every word, or datagram, is agreed on beforehand; silence moves the clock."""

    def __init__(self, *turns: tuple[bytes, Sequence[Word]]) -> None:
        self.turns, self.answers, self.now = list(turns), list[Word](), 0.0
        self.closed = 0

    def send(self, data: bytes) -> None:
        assert self.turns, f"sent {data!r}, but the conversation is over"
        wanted, answers = self.turns.pop(0)
        assert data == wanted
        self.answers += answers

    def receive(self, wait_s: float) -> Word | None:
        if self.answers:
            return self.answers.pop(0)
        self.now += wait_s
        return None

    def close(self) -> None:
        self.closed += 1

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def over(self) -> None:
        assert not self.turns, f"never sent: {self.turns}"
        assert not self.answers, f"never read: {self.answers}"
