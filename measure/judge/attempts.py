"""Record of attempts in a set of captures: used, rejected, and the reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sweetspot.measure.splice import SpliceNote


@dataclass(frozen=True, slots=True)
class Attempt:
    """One capture that was made: where, which source, which one there (from 1), and why it was excluded.

    ``spliced`` describes the excluded captures whose parts replace this one.
    """

    position: int
    source: int | None
    run: int
    reason: str
    spliced: SpliceNote | None = None


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """The tries of one source at one position (from 0); ``excluded`` holds runs (from 1) and reasons.

    A run that was spliced with others is excluded as a whole, and its reason stays; :attr:`splices` names the part of
    it that was used.
    """

    position: int
    source: str
    used: int
    made: int
    excluded: tuple[tuple[int, str], ...]
    splices: tuple[SpliceNote, ...] = ()

    def text(self) -> str:
        """Such as ``position 3, left: used 3 of 4: run 2 burst at 3.1 s, 2.4 kHz in ear_left``."""
        spent = {run for splice in self.splices for run in splice.runs}
        whole = [f"run {run} {reason}" for run, reason in self.excluded if run not in spent]
        why = "; ".join([*(splice.text() for splice in self.splices), *whole])
        line = f"position {self.position + 1}, {self.source}: used {self.used} of {self.made}"
        return f"{line}: {why}" if why else line

    def to_dict(self) -> dict[str, object]:
        """For JSON, positions from 1."""
        runs = [{"run": run, "reason": reason} for run, reason in self.excluded]
        return {
            "position": self.position + 1,
            "source": self.source,
            "used": self.used,
            "made": self.made,
            "excluded": runs,
            "spliced": [splice.to_dict() for splice in self.splices],
        }


def summaries(tries: Iterable[Attempt], sources: Mapping[int | None, str]) -> list[AttemptSummary]:
    """One for each position and source, in that order."""
    places: dict[tuple[int, int | None], list[Attempt]] = {}
    for one in sorted(tries, key=lambda t: (t.position, t.source is None, t.source or 0, t.run)):
        places.setdefault((one.position, one.source), []).append(one)
    return [
        AttemptSummary(
            position,
            sources[source],
            sum(not one.reason and (one.spliced is None or len(one.spliced.runs) == 1) for one in here),
            sum(one.spliced is None for one in here),
            tuple((one.run, one.reason) for one in here if one.reason),
            tuple(one.spliced for one in here if one.spliced),
        )
        for (position, source), here in places.items()
    ]
