"""What was tried, what was used and what was excluded in a set of captures, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempt:
    """One capture that was made: where, which source, which one there (from 1), and why it was excluded."""

    position: int
    source: int | None
    run: int
    reason: str


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """The tries of one source at one position (from 0); ``excluded`` holds runs (from 1) and reasons."""

    position: int
    source: str
    used: int
    made: int
    excluded: tuple[tuple[int, str], ...]

    def text(self) -> str:
        """Such as ``position 3, left: used 3 of 4: run 2 burst at 3.1 s, 2.4 kHz in ear_left``."""
        why = "; ".join(f"run {run} {reason}" for run, reason in self.excluded)
        line = f"position {self.position + 1}, {self.source}: used {self.used} of {self.made}"
        return f"{line}: {why}" if why else line

    def table(self) -> dict[str, object]:
        """For JSON, positions from 1."""
        runs = [{"run": run, "reason": reason} for run, reason in self.excluded]
        return {
            "position": self.position + 1,
            "source": self.source,
            "used": self.used,
            "made": self.made,
            "excluded": runs,
        }


def accounts(tries: Iterable[Attempt], sources: Mapping[int | None, str]) -> list[AttemptSummary]:
    """One account for each position and source, in that order."""
    places: dict[tuple[int, int | None], list[Attempt]] = {}
    for one in sorted(tries, key=lambda t: (t.position, t.source is None, t.source or 0, t.run)):
        places.setdefault((one.position, one.source), []).append(one)
    return [
        AttemptSummary(
            position,
            sources[source],
            sum(not one.reason for one in here),
            len(here),
            tuple((one.run, one.reason) for one in here if one.reason),
        )
        for (position, source), here in places.items()
    ]
