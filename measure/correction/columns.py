"""Columns of a correction file, identified by header line and units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sweetspot.rigs.errors import BadInput

Role = Literal[
    "frequency", "kilohertz", "level", "absolute", "linear", "millivolt", "volt", "phase", "radians", "other"
]
"""Content of a column: Hz; kHz; dB; dB re 1 V/Pa; a ratio; mV/Pa; V/Pa; degrees; radians; nothing that is used."""

FREQUENCIES = ("frequency", "kilohertz")
LEVELS = ("level", "absolute", "linear", "millivolt", "volt")

_KINDS: tuple[tuple[Role, str], ...] = (
    (
        "other",
        r"u\s*\d\d|\bunc|uncert|coher|std|sigma|toler|error|delay|\bgd\b|\bsnr\b|noise|count|\bthd\b|unsicher|"
        r"incert|\+\s*/\s*-|±|\bk\s*=|\bu\s*\(|^u$|expanded",
    ),
    ("radians", r"phas.*\brad|^rad(ians?)?$|winkel.*\brad"),
    ("phase", r"phas|^deg(rees?)?$|^grad$"),
    ("kilohertz", r"(?<!\d )\bkhz\b"),
    ("frequency", r"fr[eé]q|(?<!\d )\bhz\b|^f$"),
    ("millivolt", r"\bmv\s*(/|per)\s*pa"),
    ("absolute", r"db\s*\(?(re\.?:?\s*)?(1\s*)?v\s*/\s*pa|dbv\s*/?\s*(pa)?"),
    ("volt", r"(?<![µμu])\bv\s*(/|per)\s*pa"),
    ("linear", r"\blin(ear)?\b|ratio|\babs\b|gain\s*\(?\s*x\b"),
    ("level", r"db|spl|level|niveau|mag|gain|ampl|resp|pegel|sens|betrag|\bfr\b|^on[\s-]*axis"),
)
_ANGLE = re.compile(r"^(?:[A-Za-z_ ]*?[\s_(@]?)([-+]?\d{1,3})\s*(?:°|deg\b|degrees\b|º)", re.IGNORECASE)
_AXIS = re.compile(r"\bon[\s-]*axis\b", re.IGNORECASE)
_PER_LINE = re.compile(r"^\W*col(?:umn)?[\s_-]*(\d+)\s*[:=]\s*(.+)$", re.IGNORECASE)
_INVERSE = re.compile(
    r"(?<!\bnot )\binver(?:se|ted)\b|\bcompensation\b|\bto be added\b|\badd (?:this|these)\b", re.IGNORECASE
)
_AMBIGUOUS = re.compile(r"\bcorrection\b|\bkorrektur\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a file.

    Parameters
    ----------
    frequency, level
        Their places, from 0.
    phase
        Its place, or ``None``.
    radians
        Whether it is in radians.
    kilohertz
        Whether frequencies are in kHz.
    inverse
        Whether the levels are what has to be added to a measurement.
    decibels
        Whether a headline states that levels are in dB.
    fullscale
        Whether a headline states that levels are relative to full scale or those of a sound.
    note
        What a reader should know of the choice.
    """

    frequency: int = 0
    level: int = 1
    kind: Role = "level"
    phase: int | None = None
    radians: bool = False
    kilohertz: bool = False
    inverse: bool = False
    decibels: bool = False
    fullscale: bool = False
    note: str = ""


def columns(notes: Sequence[str], width: int, where: str) -> Columns:
    """The columns of a file with ``width`` of them, by its headlines and comments ahead of the data, last one first.

    Raises
    ------
    BadInput
        A headline names no level, several angles but not 0 degrees, or a "correction" that may be either sign.
    """
    inverse = any(_INVERSE.search(n) for n in notes)
    for note in reversed(notes):
        names = _names(note, width)
        if names is not None:
            return _by_names(names, inverse, where)
    listed = {int(m.group(1)) - 1: m.group(2) for n in notes if (m := _PER_LINE.match(n))}
    if set(range(width)) <= set(listed):
        return _by_names([listed[i] for i in range(width)], inverse, where)
    if width > 3:
        raise BadInput(
            f"{where}: {width} columns without a header line; write one above the data, such as: Hz dB degrees"
        )
    return Columns(phase=2 if width == 3 else None, inverse=inverse)


def _names(note: str, width: int) -> list[str] | None:
    """A headline's fields if it names as many columns as there are, the first or another a frequency."""
    line = note.strip().strip("*#;!%/\"' ")
    for separator in (r"\t+", r"\s*;\s*", r"\s*,\s*", r"\s*\|\s*", r"\s{2,}", r"\s+"):
        fields = [f.strip("\"' ") for f in re.split(separator, line)]
        if separator == r"\s+":
            fields = _joined(fields)
        roles = [role(f) for f in fields]
        known = len([r for r in roles if r])
        enough = known >= 2 if separator != r"\s+" else known == width
        if len(fields) == width and len([r for r in roles if r in FREQUENCIES]) == 1 and enough:
            return fields
    return None


def _joined(fields: list[str]) -> list[str]:
    """Words with the units in brackets that follow them."""
    out: list[str] = []
    for field in fields:
        if out and re.match(r"[\[(]", field):
            out[-1] += f" {field}"
        else:
            out.append(field)
    return out


def role(name: str) -> Role | None:
    """Role of a column by its name; ``None`` if it has none."""
    name = name.replace("_", " ")
    if _ANGLE.match(name) and not re.search(r"phas", name, re.IGNORECASE):
        return "level"
    return next((kind for kind, pattern in _KINDS if re.search(pattern, name, re.IGNORECASE)), None)


def angle_of(name: str) -> int | None:
    """The angle of incidence that a name states, degrees."""
    match = _ANGLE.match(name)
    return int(match.group(1)) if match else 0 if _AXIS.search(name) else None


def _by_names(names: list[str], inverse: bool, where: str) -> Columns:
    """Columns by their names."""
    roles = [role(n) for n in names]
    levels = [i for i, r in enumerate(roles) if r in LEVELS]
    listed = ", ".join(repr(n) for n in names)
    if not levels and any(_AMBIGUOUS.search(n) for n in names):
        levels = [next(i for i, n in enumerate(names) if _AMBIGUOUS.search(n))]
    frequencies = [i for i, r in enumerate(roles) if r in FREQUENCIES]
    if not levels or not frequencies:
        raise BadInput(f"{where}: no column of {listed} is a level; name it, such as: Hz dB degrees")
    level, note = _on_axis(names, levels, where)
    if _AMBIGUOUS.search(names[level]) and not inverse:
        raise BadInput(
            f"{where}: the column {names[level]!r} may be the microphone's response or its inverse: name it 'response "
            f"(dB)' or 'inverse (dB)'"
        )
    phases = [i for i, r in enumerate(roles) if r in ("phase", "radians")]
    return Columns(
        frequencies[0],
        level,
        kind=roles[level] or "level",
        phase=phases[0] if phases else None,
        radians=bool(phases) and roles[phases[0]] == "radians",
        kilohertz=roles[frequencies[0]] == "kilohertz",
        inverse=inverse or bool(_INVERSE.search(names[level])),
        decibels="db" in names[level].lower(),
        fullscale=bool(re.search(r"spl|fs", names[level], re.IGNORECASE)),
        note=note,
    )


def _on_axis(names: list[str], levels: list[int], where: str) -> tuple[int, str]:
    """The on-axis level column of a file with several angles."""
    angles = {i: angle for i in levels if (angle := angle_of(names[i])) is not None}
    if len(levels) == 1:
        return levels[0], ""
    straight = [i for i in levels if angles.get(i, 1) == 0]
    if straight:
        return straight[0], f"column {names[straight[0]]!r} of {len(levels)} levels is used"
    listed = ", ".join(repr(names[i]) for i in levels)
    raise BadInput(f"{where}: {listed} are {len(levels)} levels, none of them at 0 degrees; keep one")
