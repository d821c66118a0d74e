"""Lines of a correction file: which are data, which comments or headlines, and what separates their fields."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sweetspot.measure.correction import sensitivity as absolute
from sweetspot.measure.correction.columns import angle_of
from sweetspot.measure.correction.sensitivity import MARK, NUMBER, Sensitivity
from sweetspot.rigs.errors import BadInput

WORDS = re.compile(r"^\s*[^\W\d_]")
"""First words of header lines."""

SECTION = re.compile(r"^\s*\[\s*([^\]]*)\]")
"""A section's headline (iSEMcon)."""


@dataclass(frozen=True, slots=True)
class DataLine:
    """A data line: its number, text and fields."""

    number: int
    text: str
    fields: tuple[str, ...]


@dataclass(slots=True)
class PartedFile:
    """A file's lines by kind.

    Parameters
    ----------
    data
        Lines of data of the section that counts.
    sensitivities
        Absolute level stated in lines.
    angles
        Angles of incidence (degrees) of the sections with data, where sections are named by them.
    used
        The angle of the section that counts, if there is one.
    """

    data: list[DataLine] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sensitivities: list[Sensitivity] = field(default_factory=list)
    angles: list[int] = field(default_factory=list)
    used: int | None = None

    def section(self, name: str) -> bool:
        """Begin a section; whether its lines count: those of the first with data, or of the one at 0 degrees."""
        angle = angle_of(name.strip())
        if angle is not None:
            self.angles.append(angle)
        if not self.data or (angle == 0 and self.used not in (None, 0)):
            self.data.clear()
            self.used = angle
            return True
        return False


def parted(text: str, where: str) -> PartedFile:
    """Separate a file into data lines and other lines.

    Raises
    ------
    BadInput
        A sensitivity that is no number, one column, commas that may be either mark, or several angles without 0.
    """
    found = PartedFile()
    separator: str | None = None
    counts = True
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        line = _unquoted(raw.strip()).translate(_SIGNS)
        if not line:
            continue
        if section := SECTION.match(line):
            counts = found.section(section.group(1))
            separator = None if counts else separator
            found.notes.append(line)
            continue
        message = absolute.of_line(line, number, where)
        found.sensitivities += [message] if message else []
        wordy = WORDS.match(line) and not found.data and not re.match(r"(?i)nan|inf", line)
        if message or not counts or MARK.match(line) or wordy:
            found.notes.append(line.strip("\"' "))
            continue
        separator = separator or _separator(line, number, where)
        found.data.append(DataLine(number, line, tuple(filter(None, re.split(separator, line.strip())))))
    if len(found.angles) > 1 and found.used != 0:
        listed = ", ".join(f"{a}" for a in found.angles)
        raise BadInput(f"{where}: sections at {listed} degrees, none of them at 0; leave one")
    return found


_SIGNS = str.maketrans({"\u2212": "-", "\u2013": "-"})
"""Minus signs of word processors."""


def _unquoted(line: str) -> str:
    """A line whose fields are numbers, some in quotes, without the quotes and with semicolons between."""
    if "'" not in line and '"' not in line:
        return line
    fields = re.findall(r"""["']([^"']*)["']|([^\s"';|]+)""", line)
    values = [(quoted or bare.strip(",")).strip() for quoted, bare in fields]
    values = [v for v in values if v]
    return ";".join(values) if len(values) > 1 and all(NUMBER.match(v) for v in values) else line


def _separator(line: str, number: int, where: str) -> str:
    """Column separator, from the first data line."""
    for mark in ";|":
        if mark in line:
            return rf"\s*{re.escape(mark)}\s*"
    if re.search(r",\s|\s,", line):
        return r"\s*,\s*"
    if re.search(r"\s", line):
        return r"\s+"
    if "," not in line:
        raise BadInput(f"{where}, line {number}: {line[:60]!r} has one column; frequency and level are needed")
    if "." not in line and line.count(",") in (3, 5):
        raise BadInput(
            f"{where}, line {number}: commas may be separators or decimal marks in {line[:60]!r}; save it with tabs"
        )
    return r","
