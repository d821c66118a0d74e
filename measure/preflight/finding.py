"""A finding of the pre-flight check, and the text of findings: a table and one verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["pass", "warn", "fail", "untold"]
"""``untold``: this check is undecided; it does not fail, but is reported."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check.

    Parameters
    ----------
    check
        What was looked at: ``"patch"``, ``"polarity"``, ...
    subject
        Of what: a driver, a microphone, the loopback, the disk.
    text
        One sentence: the finding, the limit, the remedy.
    values
        The figures behind it, with their units in their names.
    """

    check: str
    subject: str
    outcome: Outcome
    text: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "check": self.check,
            "subject": self.subject,
            "outcome": self.outcome,
            "text": self.text,
            **({"values": dict(self.values)} if self.values else {}),
        }


MARKS: dict[Outcome, str] = {"pass": "ok", "warn": "note", "fail": "FAIL", "untold": "?"}


def table(findings: Sequence[Finding]) -> str:
    """The findings as a table for the terminal."""
    widths = [max((len(getattr(f, k)) for f in findings), default=0) for k in ("check", "subject")]
    return "\n".join(
        f"{MARKS[f.outcome]:<4}  {f.check:<{widths[0]}}  {f.subject:<{widths[1]}}  {f.text}" for f in findings
    )


def verdict(findings: Sequence[Finding]) -> str:
    """One line with the number of faults."""
    wrong = [f for f in findings if f.outcome == "fail"]
    notes = sum(f.outcome in ("warn", "untold") for f in findings)
    noted = f" ({notes} to note)" if notes else ""
    if not wrong:
        return f"Ready to measure: {len(findings)} checks, nothing wrong{noted}"
    things = "1 thing is" if len(wrong) == 1 else f"{len(wrong)} things are"
    return f"Not ready: {things} wrong{noted}"
