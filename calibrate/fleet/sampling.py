"""The sampling plan of a line: good units selected for full verification, those done, and those due."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.rigs.errors import BadInput

State = Literal["due", "pass", "fail", "inconclusive", "gone"]
WORDS: Mapping[str, State] = {"pass": "pass", "fail": "fail"}


@dataclass(frozen=True, slots=True)
class SampledUnit:
    """A unit that the plan has chosen.

    Parameters
    ----------
    unit, run, utc
        Serial number, its run, and when it passed on the line.
    state
        ``"due"`` until its run holds a full verification, then that one's verdict; ``"gone"`` where the run is.
    text
        What to do, or what was found.
    """

    unit: str
    run: str
    utc: str
    state: State
    text: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def plan(records: Iterable[Mapping[str, Any]]) -> tuple[SampledUnit, ...]:
    """The chosen units of a line's records, oldest first; of a unit that came again, the last time alone."""
    newest = {str(r["unit"]): r for r in records if r.get("sample_due") and r.get("run")}
    return tuple(_judged(r) for r in newest.values())


def _judged(record: Mapping[str, Any]) -> SampledUnit:
    run = Path(str(record["run"]))
    file = run / "verify.h5"
    about = (str(record["unit"]), str(run), str(record.get("utc", "")))
    if not run.is_dir():
        return SampledUnit(*about, "gone", f"no folder {run}: restore the records' runs, or verify another unit")
    if not file.is_file():
        return SampledUnit(*about, "due", f"sweetspot verify {run}")
    try:
        with Session.read(file, VERIFICATION) as heard:
            found = json.loads(heard.annotation("verdict") or "{}")
    except (BadInput, json.JSONDecodeError) as fault:
        return SampledUnit(*about, "due", f"sweetspot verify {run} (its verify.h5 cannot be read: {fault})")
    if not found.get("verdict"):
        return SampledUnit(*about, "due", f"sweetspot verify {run} (not judged yet)")
    reasons = "; ".join(str(x) for x in found.get("reasons", []))
    return SampledUnit(*about, WORDS.get(str(found["verdict"]), "inconclusive"), reasons)


def text(units: Iterable[SampledUnit]) -> str:
    """A table and what is due, for a reader."""
    rows = list(units)
    if not rows:
        return "No unit was selected yet: start the line with --sample N to select every Nth good one"
    lines = [f"  {u.unit:<20} passed {u.utc:<21} {u.state:<12} {u.text}".rstrip() for u in rows]
    due = [u.unit for u in rows if u.state in ("due", "gone")]
    done = [u for u in rows if u.state not in ("due", "gone")]
    good = sum(u.state == "pass" for u in done)
    head = f"{good} of {len(done)} fully verified units pass; {len(due)} due" + (f": {', '.join(due)}" if due else "")
    return "\n".join([head, *lines])
