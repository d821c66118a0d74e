"""State and history of the line: one value for the terminal, the page and test executives."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sweetspot.calibrate.line import monitoring
from sweetspot.rigs.names import many

STEPS = ("capture", "estimate", "fit", "export", "verify", "record")
"""In the order of a unit's cycle."""

WORDS = {"pass": "PASS", "fail": "FAIL", "refused": "REFUSED", "error": "STOP"}
"""Texts for the operator."""


@dataclass(slots=True)
class LineState:
    """The state of a line; read and changed under its own lock.

    Parameters
    ----------
    every
        Every so many units, one is verified fully; 0 for none.
    fresh
        Whether no unit was finished since the line's start; :attr:`last` is not of the unit in the box then.
    counts
        How many records have each verdict.
    units
        The last verdict of each unit; an error of the test box is none.
    causes
        The units that had each cause.
    level_db
        Level of the last unit's capture, dB SPL.
    """

    rig: str
    model: str
    every: int
    step: str = "waiting"
    unit: str = ""
    done: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    units: dict[str, str] = field(default_factory=dict)
    causes: dict[str, set[str]] = field(default_factory=dict)
    last: Mapping[str, Any] | None = None
    fresh: bool = True
    stopping: bool = False
    sampled: list[str] = field(default_factory=list)
    level_db: float | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def begins(self, unit: str) -> bool:
        """Take a unit, unless one is on the line."""
        with self.lock:
            if self.step != "waiting":
                return False
            self.unit, self.step, self.done, self.stopping = unit, STEPS[0], 0, False
            return True

    def at(self, step: str) -> None:
        """A step begins."""
        with self.lock:
            self.step, self.done = step, STEPS.index(step)

    def ends(self, record: Mapping[str, Any]) -> None:
        """A unit is done with."""
        with self.lock:
            self.step, self.done, self.fresh = "waiting", 0, False
            self.takes(record)

    def takes(self, record: Mapping[str, Any]) -> None:
        """Count a record, new or kept."""
        with self.lock:
            self.last = record
            unit, verdict = str(record.get("unit")), str(record.get("verdict"))
            self.counts[verdict] += 1
            if verdict != "error":
                self.units[unit] = verdict
            if record.get("cause"):
                self.causes.setdefault(str(record["cause"]), set()).add(unit)
            if record.get("sample_due"):
                self.sampled.append(str(record.get("unit")))

    def resumed(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Count the records from before the line's restart."""
        for record in records:
            self.takes(record)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        with self.lock:
            passed = sum(verdict == "pass" for verdict in self.units.values())
            return {
                "rig": self.rig,
                "model": self.model,
                "busy": self.step != "waiting",
                "fresh": self.fresh,
                "step": self.step,
                "unit": self.unit,
                "progress": self.done / len(STEPS),
                "steps": list(STEPS),
                "stopping": self.stopping,
                "counts": dict(self.counts),
                "made": sum(self.counts.values()),
                "judged": len(self.units),
                "yield": passed / len(self.units) if self.units else None,
                "causes": dict(sorted(((c, len(u)) for c, u in self.causes.items()), key=lambda one: -one[1])),
                "verify_fully": list(self.sampled),
                "last": self.last,
                "action": self._action(),
            }

    def _action(self) -> str:
        if self.step != "waiting":
            return "Leave the unit alone"
        return "Scan a serial number" if self.fresh or self.last is None else action(self.last)


REMEDIES = {
    "stopped": "Repeat the same unit",
    "records": "Correct what keeps the record from being written, then repeat the same unit",
    "input": "Correct what is named above, then repeat the same unit",
    "disk": "Free some space on the disk, then repeat the same unit",
    "doubled": "Set both units of this number aside: one of them has a wrong label",
    "program": "Repeat the same unit; if it stops again, call the engineer",
}
"""Actions by the cause of an error; any other one is the test box's."""

MOVED = "Check that nothing moved in the test box, then repeat the same unit; if it fails again, set it aside"
FAILURES = {monitoring.UNEXPLAINED: MOVED}
"""Actions by the cause of a failure."""


def action(record: Mapping[str, Any]) -> str:
    """The one thing that the operator does next."""
    verdict = record["verdict"]
    if verdict == "pass":
        return "Take the unit out and verify it fully" if record.get("sample_due") else "Next unit"
    if verdict == "refused":
        return "Set the unit aside for repair, or measure it fully"
    if verdict == "fail":
        return FAILURES.get(
            str(record.get("cause")), "Set the unit aside: what plays is not what its filters should do"
        )
    return REMEDIES.get(str(record.get("cause")), "Correct the test box, then repeat the same unit")


def screen(record: Mapping[str, Any], state: LineState) -> str:
    """Big verdict, cause, next action and yield, for a terminal."""
    figures = state.to_dict()
    times = record.get("seconds", {})
    share = f"{100.0 * figures['yield']:.0f} %" if figures["yield"] is not None else "-"
    causes = ", ".join(f"{n} {c}" for c, n in figures["causes"].items())
    lines = [
        f"{WORDS[record['verdict']]}  {record['unit']}",
        *(f"  {t}" for t in (*record.get("reasons", ()), *record.get("remarks", ()))),
        f"  {action(record)}",
        f"  {sum(times.values()):.1f} s: " + ", ".join(f"{n} {s:.1f}" for n, s in times.items()),
        f"  yield {share} of {many(figures['judged'], 'unit')}" + (f"; {causes}" if causes else ""),
    ]
    return "\n".join(lines)
