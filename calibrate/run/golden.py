"""The golden unit: one good unit, measured again every shift, to distinguish a drifted rig from bad units. The first
time its metrics are stored; later they must agree with these. Other units are judged only if the golden unit agreed
within the shift.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sweetspot.calibrate.verify import KEYS, KINDS, OWN, Verification
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import utc_text
from sweetspot.rigs.storage import json_value
from sweetspot.rigs.storage import write as write_file

NAME = "golden.json"
DRIFT = {"dB": 0.5, "°": 1.0, "µs": 5.0, "ms": 0.1, "": 0.5}
"""Largest difference of a metric of the golden unit from the first time, by its unit, or its uncertainty if larger."""

SHOWN = 3
"""Changed metrics that a refusal lists."""

FAR_DB = {"difference": -35.0, "distortion": -45.0, "snr": 40.0}
"""Metrics that are not compared if they are far on the good side, with that value: there they are mostly noise."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Record of the golden unit.

    Parameters
    ----------
    unit, rig, through
        Serial number, the rig's name, and the processor that it was measured through.
    first_utc, checked_utc
        Times (ISO 8601) of the first and of the last unchanged measurement.
    figures
        As measured first, by key of the metric.
    drifted
        Changes found at the last measurement, one line each.
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
    """One changed metric of the golden unit."""

    name: str
    was: float
    now: float
    limit: float
    unit: str

    @property
    def text(self) -> str:
        """One line."""
        now, was, limit = (
            f"{x} {self.unit}".rstrip() for x in (f"{self.now:.2f}", f"{self.was:.2f}", f"{self.limit:.1f}")
        )
        return f"{self.name}: {now}, {was} at first (limit {limit} apart)"


def read(folder: Path) -> Golden | None:
    """The golden unit of a folder of records, if it has one.

    Raises
    ------
    BadInput
        Its file cannot be understood.
    """
    path = folder / NAME
    try:
        kept = TypeAdapter(Golden).validate_python(json_value(path.read_text(encoding="utf-8")))
        if datetime.fromisoformat(kept.checked_utc).tzinfo is None:
            raise ValueError(f"checked_utc: {kept.checked_utc!r} has no time zone")
        return replace(kept, figures={KEYS.get(name, name): value for name, value in kept.figures.items()})
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as fault:
        words = str(fault)
        if isinstance(fault, ValidationError):
            first = fault.errors()[0]
            words = f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg'].lower()}"
        raise BadInput(
            f"{path}: the golden unit's record cannot be read ({words}); restore it from a copy, or remove it and "
            f"verify the golden unit with --golden: its metrics are stored anew"
        ) from fault


def write(folder: Path, golden: Golden) -> Path:
    """Keep the golden unit; a file that is there is replaced as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    write_file(path, json.dumps(asdict(golden), indent=1) + "\n")
    return path


def check_same(known: Golden | None, unit: str, rig: str, through: str) -> None:
    """Refuse another unit as the golden one, or another rig or processor.

    Raises
    ------
    BadInput
        Names both.
    """
    if known is not None and (unit, rig, through) != (known.unit, known.rig, known.through):
        raise BadInput(
            f"the golden unit is {known.unit}, verified on rig {known.rig!r} through {known.through}; this is {unit} "
            f"on {rig!r} through {through}. Verify that one, or remove {NAME} to start with another"
        )


def compared(
    known: Golden | None, verdict: Verification, unit: str, rig: str, now: datetime
) -> tuple[Golden | None, tuple[ReferenceDrift, ...]]:
    """The golden unit's new record (``None``: none), and its changed metrics."""
    at = utc_text(now)
    through = verdict.through.name if verdict.through else OWN
    if known is None:
        figures = {m.key: m.heard for m in verdict.metrics}
        return (Golden(unit, rig, through, at, at, figures) if verdict.passed else None), ()
    found = tuple(d for d in (_drift(key, was, verdict) for key, was in known.figures.items()) if d)
    if found or not verdict.passed:
        return replace(known, drifted=[d.text for d in found] or list(verdict.reasons)), found
    return replace(known, checked_utc=at, drifted=()), ()


def _drift(key: str, was: float, verdict: Verification) -> ReferenceDrift | None:
    """Difference of a metric, if it exceeds the limit."""
    m = next((m for m in verdict.metrics if m.key == key), None)
    unit = m.unit if m else KINDS[key].unit if key in KINDS else "dB"
    now, limit = (m.heard, max(DRIFT[unit], m.guard)) if m else (float("nan"), DRIFT[unit])
    if key in FAR_DB:
        edge = FAR_DB[key]
        if (was < edge and now < edge) if edge < 0.0 else (was > edge and now > edge):
            return None
    if abs(now - was) <= limit:
        return None
    return ReferenceDrift(KINDS[key].name if key in KINDS else key, was, now, limit, unit)


def check_shift(folder: Path, known: Golden | None, hours: float, now: datetime, unit: str) -> None:
    """Refuse to judge a unit if the golden unit, if any, was not confirmed within the shift.

    Raises
    ------
    BadInput
        It is due, or the rig has drifted.
    """
    if known is None or known.unit == unit:
        return
    anew = f"sweetspot verify RUN-OF-{known.unit} --golden --records {folder}"
    if known.drifted:
        more = f"; and {len(known.drifted) - SHOWN} more, see {NAME}" if len(known.drifted) > SHOWN else ""
        raise BadInput(
            f"the golden unit {known.unit} had changed at its last check ({'; '.join(known.drifted[:SHOWN])}{more}): "
            f"the rig has drifted. Correct it, then check the golden unit: {anew}"
        )
    age = now.astimezone(UTC) - datetime.fromisoformat(known.checked_utc)
    if not timedelta(0) <= age <= timedelta(hours=hours):
        raise BadInput(
            f"the golden unit {known.unit} was last confirmed {age.total_seconds() / 3600:.1f} h ago, and a shift has "
            f"{hours:g} h: check it first, with: {anew}"
        )


def text(known: Golden | None, new: Golden | None, drifts: Sequence[ReferenceDrift], folder: Path) -> str:
    """Result of the check, for people."""
    if new is None:
        return "This unit does not pass, so it cannot be the golden unit: nothing was stored"
    if known is None:
        return f"{new.unit} is now the golden unit: {len(new.figures)} metrics stored in {folder / NAME}"
    if new.drifted:
        rows = [d.text for d in drifts] or list(new.drifted)
        head = f"The golden unit has changed since {known.first_utc}. Check the rig before any unit:"
        return "\n  ".join([head, *rows, "Find the cause with: sweetspot rig check RIG"])
    return f"The golden unit is unchanged since {known.first_utc}: other units may be judged"
