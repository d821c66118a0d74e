"""The text of a correction file, checked line by line: points, phase, sensitivity, maker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.correction import sensitivity as absolute
from sweetspot.measure.correction.columns import Columns, columns
from sweetspot.measure.correction.lines import DataLine, PartedFile, parted
from sweetspot.measure.correction.sensitivity import NUMBER, Sensitivity
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float, db

LOUDEST_DB = 60.0
"""No measuring microphone deviates more: such a level is one of sound, or of another column."""

JUMP_DB = 25.0
"""Nor does it change more from one point to the next."""

HIGHEST_HZ = 200e3
WIDEST_TURN_DEG = 1e5
MOST_POINTS = 200_000
KILO, TO_HZ = 30.0, 2000.0
"""A file that ends below the first is not in hertz; one that begins above the second is of no use."""

RELATIVE_DB = 10.0
"""A response is stated relative to 1 kHz: one that deviates more there is an absolute level, or another column."""

RATIO = 0.03
"""A curve that is positive everywhere and this near to 1 at 1 kHz is likely a ratio."""

FEW = 6
"""Points that make a curve whose shape can be judged."""

VOLTS_DB = (-75.0, -20.0)
"""Sensitivities of microphones, dB re 1 V/Pa."""

AGREE_DB = 1.0
"""Largest difference between a curve in V/Pa and the file's stated sensitivity."""


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """A correction file.

    Parameters
    ----------
    points
        ``(points, 2)``: frequency in Hz, rising, and the microphone's level in dB, relative to 1 kHz.
    phase
        ``(points,)`` degrees, or ``None`` if the file has none.
    sensitivity
        Its absolute level, if stated.
    maker, serial
        If the file states it.
    remarks
        How it was understood, where that was not plain.
    """

    points: Float
    phase: Float | None
    sensitivity: Sensitivity | None
    maker: str
    serial: str
    notes: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", frozen("correction", self.points, ndim=2))


class _Row(NamedTuple):
    """A line of data: its number in the file, its frequency, level and phase (if there is one)."""

    line: int
    values: tuple[float, ...]


def read(text: str, where: str) -> Correction:
    """Read a correction file.

    Lines that begin with a quote, ``*``, ``#``, ``;``, ``!``, ``%`` or ``//`` are comments anywhere, lines of words
    only ahead of the data, and sections in brackets are understood. A headline ahead of the data names the column that
    is what, with its unit: dB, a ratio, mV/Pa, V/Pa or dB re 1 V/Pa; degrees or radians. Without one, columns are
    frequency in Hz, level in dB, and optionally a phase in degrees. Separators are tabs, spaces, semicolons or commas;
    decimal commas are understood wherever something else separates. A first line at 0 Hz is left out, and points that
    are repeated with the same level are merged. A line ``sensitivity = 12.5 mV/Pa`` counts before one in a comment.

    Raises
    ------
    BadInput
        Names the line and what is wrong with it.
    """
    _refuse_other_kinds(text, where)
    found = parted(text, where)
    stated = absolute.chosen(found.sensitivities, where)
    stated = absolute.at_level(stated, found.notes) if stated else None
    if not found.data and stated:
        raise BadInput(
            f"{where}: holds 0 points; a correction needs at least 2. For its sensitivity write into the rig file: "
            f"sensitivity_mv_per_pa = {stated.mv_per_pa:.4g}"
        )
    return _built(found, stated, where)


def _built(found: PartedFile, stated: Sensitivity | None, where: str) -> Correction:
    """The file, from its data lines and other lines."""
    lines, notes = found.data, found.notes
    order = columns(notes, len(lines[0].fields) if lines else 2, where)
    marks: set[str] = set()
    rows = [_row(line, order, len(lines[0].fields), marks, where) for line in lines]
    points, phase = _checked(rows, where)
    points, sensitivity, remarks = _relative(points, order, stated, where)
    if order.inverse:
        points = np.stack([points[:, 0], -points[:, 1]], axis=1)
        phase = None if phase is None else -phase
        remarks.append("an inverse response (correction to add): inverted")
    remarks += [order.note] if order.note else []
    if found.used is not None:
        remarks.append(f"the section at {found.used} degrees is used")
    if sensitivity is None and (line := absolute.without_unit(notes)):
        remarks.append(f"{line[:60]!r} names no unit of a sensitivity that is known (mV/Pa, V/Pa, dB re 1 V/Pa, dBFS)")
    maker, serial = _made_by(notes, stated)
    return Correction(
        points, phase, sensitivity=sensitivity, maker=maker, serial=serial, notes=tuple(notes), remarks=tuple(remarks)
    )


def _relative(
    points: Float, order: Columns, stated: Sensitivity | None, where: str
) -> tuple[Float, Sensitivity | None, list[str]]:
    """Levels relative to 1 kHz if they are absolute, and the resulting sensitivity."""
    at_1k = float(np.interp(np.log(1000.0), np.log(points[:, 0]), points[:, 1]))
    if not order.decibels and _like_a_ratio(order, points[:, 1], at_1k):
        raise BadInput(
            f"{where}: {at_1k:g} at 1 kHz and above 0 everywhere: a ratio, or levels in dB? Name the columns in a line "
            "above them (Hz dB; or Hz linear)"
        )
    volts = {"absolute": at_1k, "volt": at_1k, "millivolt": at_1k - 60.0}.get(order.kind)
    if volts is None and abs(at_1k) <= RELATIVE_DB:
        return points, stated, []
    remark = f"levels are absolute ({at_1k:+.2f} dB at 1 kHz): taken relative to 1 kHz"
    may_be_volts = order.kind == "level" and not order.inverse and not order.fullscale
    if volts is None and may_be_volts and VOLTS_DB[0] <= at_1k <= VOLTS_DB[1]:
        volts, remark = at_1k, f"{remark}, and as dB re 1 V/Pa"
    if volts is None:
        raise BadInput(
            f"{where}: {at_1k:+.1f} dB at 1 kHz (limit {RELATIVE_DB:g} dB): an absolute level, a ratio, or not the "
            f"response column. Name the columns in a line above them (Hz dB degrees; or Hz mV/Pa)"
        )
    follows = Sensitivity("volt", volts, None, 0)
    if stated is not None and abs(db(stated.mv_per_pa / follows.mv_per_pa)) > AGREE_DB:
        raise BadInput(
            f"{where}: its levels give {follows.mv_per_pa:.4g} mV/Pa at 1 kHz, but line {stated.line} states "
            f"{stated.mv_per_pa:.4g} mV/Pa; keep the correct one"
        )
    return np.stack([points[:, 0], points[:, 1] - at_1k], axis=1), stated or follows, [remark]


def _like_a_ratio(order: Columns, levels: Float, at_1k: float) -> bool:
    """Whether levels without a unit look like ratios: a curve above 0 everywhere that passes 1 kHz at 1."""
    is_curve = len(levels) >= FEW and np.ptp(levels) > RATIO
    return bool(order.kind == "level" and is_curve and np.min(levels) > 0.0 and abs(at_1k - 1.0) < RATIO)


def _refuse_other_kinds(text: str, where: str) -> None:
    """Refuse files that are not text tables."""
    if "\x00" in text:
        line = text[: text.index("\x00")].count("\n") + 1
        raise BadInput(f"{where}, line {line}: holds a zero byte: a binary file, or UTF-16; save it as plain text")
    head = text.lstrip("\ufeff \t\r\n")[:200].lower()
    for start, kind in (("<", "a web page or XML"), ("{", "JSON"), ("%pdf", "a PDF"), ("pk\x03", "an archive")):
        if head.startswith(start):
            raise BadInput(f"{where}, line 1: this is {kind}, not a table of frequencies and levels; download it again")


def _row(line: DataLine, order: Columns, width: int, marks: set[str], where: str) -> _Row:
    """A line of data as frequency, level (dB) and phase (degrees); ``marks`` collects the decimal marks met so far."""
    at, shown = f"{where}, line {line.number}", line.text[:60]
    if len(line.fields) < 2:
        raise BadInput(f"{at}: {shown!r} holds no frequency and level")
    used = [order.frequency, order.level, *([] if order.phase is None else [order.phase])]
    values = []
    for field in (line.fields[place] for place in used if place < len(line.fields)):
        if re.search(r"\d[.,]\d{3}[.,]\d", field):
            raise BadInput(f"{at}: {field!r} has a thousands separator; remove it")
        if re.fullmatch(r"[-+]?(nan|inf(inity)?)", field, re.IGNORECASE):
            raise BadInput(f"{at}: {field} is no value of a response")
        if not NUMBER.match(field):
            raise BadInput(f"{at}: {shown!r} holds no frequency and level: {field!r}")
        marks |= {m for m in ".," if m in field}
        values.append(float(field.replace(",", ".")))
    if len(line.fields) != width:
        raise BadInput(f"{at}: {len(line.fields)} columns; the lines before have {width}")
    if len(marks) == 2:
        raise BadInput(f"{at}: {shown!r} has another decimal mark than the lines before")
    if order.kind in ("linear", "millivolt", "volt"):
        if values[1] <= 0.0:
            raise BadInput(f"{at}: {values[1]:g} is no magnitude; a linear response is above 0")
        values[1] = float(db(values[1]))
    if order.kilohertz:
        values[0] *= 1000.0
    if order.phase is not None and order.radians:
        values[2] = float(np.degrees(values[2]))
    return _Row(line.number, tuple(values))


def _checked(rows: list[_Row], where: str) -> tuple[Float, Float | None]:
    """Points and phases, after every check between lines."""
    if len(rows) > MOST_POINTS:
        raise BadInput(
            f"{where}, line {rows[MOST_POINTS].line}: more than {MOST_POINTS} points; is it a frequency response?"
        )
    if rows and rows[0].values[0] == 0.0:
        rows = rows[1:]  # some makers begin at 0 Hz, which a logarithmic axis does not have
    kept = list(_merged(rows, where))
    if len(kept) < 2:
        raise BadInput(f"{where}: holds {len(kept)} points; a correction needs at least 2")
    if kept[-1].values[0] < KILO:
        raise BadInput(
            f"{where}, line {kept[-1].line}: ends at {kept[-1].values[0]:g} Hz; are its frequencies in kHz? "
            "They must be in Hz"
        )
    if kept[0].values[0] > TO_HZ:
        raise BadInput(f"{where}, line {kept[0].line}: begins at {kept[0].values[0]:g} Hz, above {TO_HZ:g} Hz")
    table: NDArray[np.float64] = np.array([r.values for r in kept])
    return table[:, :2], table[:, 2] if table.shape[1] > 2 else None


def _merged(rows: list[_Row], where: str) -> Iterator[_Row]:
    """Rows whose frequencies rise; each value within what a microphone can do."""
    before: _Row | None = None
    for row in rows:
        f, level = row.values[:2]
        at = f"{where}, line {row.line}"
        if not 0 < f <= HIGHEST_HZ:
            raise BadInput(f"{at}: {f:g} Hz is no frequency of a response (0 to {HIGHEST_HZ:g} Hz)")
        if abs(level) > LOUDEST_DB:
            raise BadInput(
                f"{at}: {level:g} dB is implausible for a microphone (limit {LOUDEST_DB:g} dB): the wrong column?"
            )
        if len(row.values) > 2 and abs(row.values[2]) > WIDEST_TURN_DEG:
            raise BadInput(f"{at}: a phase of {row.values[2]:g} degrees is out of range")
        if before is not None:
            if f == before.values[0] and level == before.values[1]:
                continue
            if f == before.values[0]:
                raise BadInput(f"{at}: {f:g} Hz has {level:g} dB here, {before.values[1]:g} dB in line {before.line}")
            if f < before.values[0]:
                raise BadInput(f"{at}: {f:g} Hz does not rise after {before.values[0]:g} Hz")
            if abs(level - before.values[1]) > JUMP_DB:
                raise BadInput(
                    f"{at}: jumps by {level - before.values[1]:+g} dB from one point to the next "
                    f"(limit {JUMP_DB:g} dB): a misplaced decimal mark?"
                )
        before = row
        yield row


_SERIAL = re.compile(
    r"(?:micser;|serno|serial(?:\s*(?:no|number))?|s/n|\(SN)\s*[.:=]*\s*([A-Za-z0-9][A-Za-z0-9-]*)", re.IGNORECASE
)


def _made_by(notes: list[str], stated: Sensitivity | None) -> tuple[str, str]:
    """Maker and serial number from the header lines."""
    everything = " ".join(notes)
    match = _SERIAL.search(everything)
    serial = match.group(1) if match else ""
    named = re.search(r"\bMICman;\s*([^;]+)", everything)
    if named:
        return named.group(1).strip(), serial
    for word, maker in (("rew", "REW"), ("omnimic", "OmniMic"), ("dayton", "Dayton"), ("umik", "miniDSP")):
        if re.search(rf"\b{word}", everything, re.IGNORECASE):
            return maker, serial
    if stated and stated.kind == "factor":
        model = {"7": " UMIK-1", "8": " UMIK-2"}.get(serial[:1], "")
        return f"miniDSP{model}", serial
    volt = stated and stated.kind == "volt" and not stated.active and re.search(r"\*?1000(\.0+)?\s*Hz", everything)
    return ("Dayton or OmniMic" if volt else "", serial)
