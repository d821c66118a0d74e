"""The golden unit: one good unit, measured again every shift, which tells a rig that drifted from units that are bad.

The first time its figures are kept; every later time they must be as they were. Other units are judged only while the
golden one was found so within the shift.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sweetspot.calibrate.verify import KEYS, KINDS, OWN, Verification
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import json_value
from sweetspot.rigs.storage import write as write_file

NAME = "golden.json"
DRIFT_DB = 0.5
"""By how much a figure of the golden unit may differ from the first time, dB, unless its uncertainty is larger."""

FAR_DB = {"difference": -35.0, "distortion": -45.0, "snr": 40.0}
"""Keys of metrics that are not compared where they are far on the good side, with the value from which they are: both
are made of noise there."""


@dataclass(frozen=True, slots=True)
class Golden:
    """What is kept of the golden unit.

    Parameters
    ----------
    unit, rig, through
        Serial number, the rig's name, and the processor that it was heard through.
    first_utc, checked_utc
        When it was heard first, and when it was last found as it had been; ISO 8601.
    figures
        As measured first, by key of the metric.
    drifted
        What was not as it had been when it was last heard, one line each.
    """

    unit: str
    rig: str
    through: str
    first_utc: str
    checked_utc: str
    figures: Mapping[str, float]
    drifted: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ReferenceDrift:
    """One figure of the golden unit that is not as it was, dB."""

    name: str
    was: float
    now: float
    limit: float

    @property
    def text(self) -> str:
        """One line."""
        return f"{self.name}: {self.now:.2f} dB, {self.was:.2f} dB at first (limit {self.limit:.1f} dB apart)"


def read(folder: Path) -> Golden | None:
    """The golden unit of a folder of records, if it has one.

    Raises
    ------
    BadInput
        Its file cannot be understood.
    """
    path = folder / NAME
    try:
        kept = Golden(**json_value(path.read_text(encoding="utf-8")))
        return replace(kept, figures={KEYS.get(name, name): value for name, value in kept.figures.items()})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as fault:
        raise BadInput(f"{path}: the golden unit's record cannot be read ({fault}); hear the unit anew") from fault


def write(folder: Path, golden: Golden) -> Path:
    """Keep the golden unit; a file that is there is replaced as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    write_file(path, json.dumps(asdict(golden), indent=1) + "\n")
    return path


def check_same(known: Golden | None, unit: str, rig: str, through: str) -> None:
    """Refuse to hear another unit as the golden one, or it on another rig or through another processor.

    Raises
    ------
    BadInput
        Names both.
    """
    if known is not None and (unit, rig, through) != (known.unit, known.rig, known.through):
        raise BadInput(
            f"the golden unit is {known.unit}, heard on rig {known.rig!r} through {known.through}; this is {unit} on "
            f"{rig!r} through {through}. Hear that one, or take {NAME} away to begin with another"
        )


def heard(
    known: Golden | None, verdict: Verification, unit: str, rig: str, now: datetime
) -> tuple[Golden | None, tuple[ReferenceDrift, ...]]:
    """The golden unit after it was heard, to be kept (``None``: nothing), and what of it is not as it was."""
    at = f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    through = verdict.through.name if verdict.through else OWN
    if known is None:
        figures = {m.key: m.heard for m in verdict.metrics}
        return (Golden(unit, rig, through, at, at, figures) if verdict.passed else None), ()
    found = tuple(d for d in (_drift(key, was, verdict) for key, was in known.figures.items()) if d)
    if found or not verdict.passed:
        return replace(known, drifted=[d.text for d in found] or list(verdict.reasons)), found
    return replace(known, checked_utc=at, drifted=()), ()


def _drift(key: str, was: float, verdict: Verification) -> ReferenceDrift | None:
    """What a figure differs by, if that is more than it may."""
    m = next((m for m in verdict.metrics if m.key == key), None)
    now, limit = (m.heard, max(DRIFT_DB, m.guard)) if m else (float("nan"), DRIFT_DB)
    if key in FAR_DB:
        edge = FAR_DB[key]
        if (was < edge and now < edge) if edge < 0.0 else (was > edge and now > edge):
            return None
    return (
        None if abs(now - was) <= limit else ReferenceDrift(KINDS[key].name if key in KINDS else key, was, now, limit)
    )


def check_shift(folder: Path, known: Golden | None, hours: float, now: datetime, unit: str) -> None:
    """Refuse to judge a unit when the golden one, where there is one, was not found as it was within the shift.

    Raises
    ------
    BadInput
        It is due, or the rig has drifted.
    """
    if known is None or known.unit == unit:
        return
    anew = f"sweetspot verify RUN-OF-{known.unit} --golden --records {folder}"
    if known.drifted:
        raise BadInput(
            f"the golden unit {known.unit} was not as it had been when it was last heard ({'; '.join(known.drifted)}): "
            f"the rig has drifted. Put it right, then hear the golden unit: {anew}"
        )
    age = now.astimezone(UTC) - datetime.fromisoformat(known.checked_utc)
    if not timedelta(0) <= age <= timedelta(hours=hours):
        raise BadInput(
            f"the golden unit {known.unit} was last found as it should be {age.total_seconds() / 3600:.1f} h ago, and "
            f"a shift has {hours:g} h: hear it first, with: {anew}"
        )


def text(known: Golden | None, new: Golden | None, drifts: Sequence[ReferenceDrift], folder: Path) -> str:
    """Result of the check, for people."""
    if new is None:
        return "This unit does not pass, and cannot be the golden one: nothing was kept"
    if known is None:
        return f"{new.unit} is the golden unit from now on: {len(new.figures)} figures kept in {folder / NAME}"
    if new.drifted:
        rows = [d.text for d in drifts] or list(new.drifted)
        head = f"The golden unit is not as it was on {known.first_utc}. Suspect the rig before any unit:"
        return "\n  ".join([head, *rows, "See what is wrong with: sweetspot rig check RIG"])
    return f"The golden unit is as it was on {known.first_utc}: other units may be judged"
