"""Correction files of microphones as makers write them: read, checked line by line, turned into a response.

What is understood: miniDSP (UMIK-1, UMIK-2), Dayton, OmniMic, REW and FRD files, and plain tables.
Sign: a file states what the microphone does, so a measurement is divided by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float, db, from_db

MARK = re.compile(r"""^\s*(["'*#;!%]|//|REM\b)""", re.IGNORECASE)
"""What begins a comment, anywhere in a file."""

WORDS = re.compile(r"^\s*[A-Za-z]")
"""What begins a headline, ahead of the data."""

NUMBER = re.compile(r"^[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?$")
LOUDEST_DB = 60.0
"""No measuring microphone deviates more: such a level is one of sound, or of another column."""

JUMP_DB = 25.0
"""Nor does it change more from one point to the next."""

HIGHEST_HZ = 200e3
WIDEST_TURN_DEG = 1e5
MOST_POINTS = 200_000
KILO, TO_HZ = 30.0, 2000.0
"""A file that ends below the first is not in hertz; one that begins above the second is of no use."""

UMIK_DBFS = -18.0
"""Level of 94 dB SPL in a miniDSP microphone whose factor is 0 dB, dBFS; a sine of full scale is 0 dBFS."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What a file says of the absolute level.

    Parameters
    ----------
    kind
        ``"factor"`` (miniDSP, dB), ``"volt"`` (dB re 1 V/Pa: Dayton, OmniMic), ``"dbfs"`` (of 94 dB SPL).
    value
        As in the file.
    gain_db
        Gain of the built-in amplifier that it holds for, if the file says so.
    line
        Where it stands.
    """

    kind: str
    value: float
    gain_db: float | None
    line: int

    @property
    def mv_per_pa(self) -> float:
        """Sensitivity in mV/Pa; of a microphone with converters of its own, with ``interface.full_scale_v = 1``."""
        if self.kind == "volt":
            return 1000.0 * float(from_db(self.value))
        dbfs = self.value + UMIK_DBFS if self.kind == "factor" else self.value
        return float(1000.0 * from_db(dbfs) / 2.0**0.5)

    def text(self) -> str:
        """One clause for a reader."""
        if self.kind == "volt":
            return f"{self.value:g} dB re 1 V/Pa, so {self.mv_per_pa:.3g} mV/Pa"
        gain = f" at a gain of {self.gain_db:g} dB" if self.gain_db is not None else ""
        what = f"factor {self.value:g} dB{gain}" if self.kind == "factor" else f"{self.value:g} dBFS at 94 dB SPL"
        return f"{what}, so {self.mv_per_pa:.3g} mV/Pa where interface.full_scale_v = 1"


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """A correction file.

    Parameters
    ----------
    points
        ``(points, 2)``: frequency in Hz, rising, and the microphone's level in dB.
    phase
        ``(points,)`` degrees, or ``None`` if the file has none.
    sensitivity
        What it says of the absolute level, if it does.
    maker, serial
        As far as the file tells.
    notes
        Its comments and headlines.
    """

    points: Float
    phase: Float | None
    sensitivity: Sensitivity | None
    maker: str
    serial: str
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", frozen("correction", self.points, ndim=2))


class _Row(NamedTuple):
    """A line of data: its number in the file and its columns."""

    line: int
    values: tuple[float, ...]


def parse(text: str, where: str) -> Float:
    """Only the points ``(points, 2)`` of a correction file: Hz and dB; see :func:`read`."""
    return read(text, where).points


def read(text: str, where: str) -> Correction:
    """Read a correction file.

    Lines that begin with a quote, ``*``, ``#``, ``;``, ``!``, ``%`` or ``//`` are comments anywhere, lines of words
    only ahead of the data. Columns are frequency in Hz, level in dB, and optionally a phase in degrees. Separators are
    tabs, spaces, semicolons or commas; decimal commas are understood wherever something else separates. A first line
    at 0 Hz is left out, and points that are repeated with the same level are merged.

    Parameters
    ----------
    text
        The whole file.
    where
        Its name, for messages.

    Raises
    ------
    BadInput
        Names the line and what is wrong with it.
    """
    _refuse_other_kinds(text, where)
    rows: list[_Row] = []
    notes: list[str] = []
    found: list[Sensitivity] = []
    separator: str | None = None
    marks: set[str] = set()
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        line = raw.strip()
        if not line:
            continue
        said = _sensitivity(line, number, where)
        found += [said] if said else []
        if said or MARK.match(line) or (WORDS.match(line) and not rows and not re.match(r"(?i)nan|inf", line)):
            notes.append(line.strip("\"' "))
            continue
        separator = separator or _separator(line, number, where)
        rows.append(_row(line, separator, marks, number, where))
    points, phase = _checked(rows, where)
    maker, serial = _made_by(notes, found)
    return Correction(points, phase, found[0] if found else None, maker, serial, tuple(notes))


def _refuse_other_kinds(text: str, where: str) -> None:
    """Refuse what is no text table at all."""
    if "\x00" in text:
        line = text[: text.index("\x00")].count("\n") + 1
        raise BadInput(f"{where}, line {line}: holds a zero byte: a binary file, or UTF-16; save it as plain text")
    head = text.lstrip("\ufeff \t\r\n")[:200].lower()
    for start, kind in (("<", "a web page or XML"), ("{", "JSON"), ("%pdf", "a PDF"), ("pk\x03", "an archive")):
        if head.startswith(start):
            raise BadInput(f"{where}, line 1: this is {kind}, no table of frequencies and levels; download it again")


_FACTOR = re.compile(r"sens(?:itivity)?\s*factor\s*[=:]?\s*([^,\s\"]*?)\s*dB", re.IGNORECASE)
_GAIN = re.compile(r"again\s*[=:]\s*([-+]?[\d.]+)\s*dB", re.IGNORECASE)
_SERIAL = re.compile(r"(?:serno|serial(?:\s*(?:no|number))?|s/n)\s*[.:=]*\s*([A-Za-z0-9][A-Za-z0-9-]*)", re.IGNORECASE)
_VOLT = re.compile(r"^\*?\s*1000(?:\.0+)?\s*Hz\s*[:=]?\s*(\S+)", re.IGNORECASE)
_SENSITIVITY = re.compile(r"sensitivity\D*?([-+]?[\d.,]+)\s*(mV/Pa|dBFS|dB\s*re\s*1\s*V/Pa|dBV)", re.IGNORECASE)


def _sensitivity(line: str, number: int, where: str) -> Sensitivity | None:
    """What a line says of the absolute level."""
    gain = _GAIN.search(line)
    gain_db = float(gain.group(1)) if gain else None
    if re.search(r"sens(?:itivity)?\s*factor", line, re.IGNORECASE):
        match = _FACTOR.search(line)
        return Sensitivity("factor", _number(match.group(1) if match else "", line, number, where), gain_db, number)
    if match := _VOLT.match(line):
        return Sensitivity("volt", _number(match.group(1), line, number, where), None, number)
    if MARK.match(line) and (match := _SENSITIVITY.search(line)):
        value, unit = _number(match.group(1), line, number, where), match.group(2).lower().replace(" ", "")
        if unit == "mv/pa":
            if value <= 0:
                raise BadInput(f"{where}, line {number}: a sensitivity of {value:g} mV/Pa is none")
            return Sensitivity("volt", float(db(value / 1000.0)), gain_db, number)
        return Sensitivity("dbfs" if unit == "dbfs" else "volt", value, gain_db, number)
    return None


def _number(text: str, line: str, number: int, where: str) -> float:
    """A number of a headline, decimal comma or point."""
    if not NUMBER.match(text.removesuffix("dB").strip()):
        raise BadInput(f"{where}, line {number}: {line[:60]!r} states a sensitivity, but {text!r} is no number")
    value = float(text.removesuffix("dB").strip().replace(",", "."))
    if abs(value) > 150.0:
        raise BadInput(f"{where}, line {number}: a sensitivity of {value:g} dB is beyond any microphone's")
    return value


def _separator(line: str, number: int, where: str) -> str:
    """What separates the columns, told by the first line of data."""
    if ";" in line:
        return r"\s*;\s*"
    if re.search(r",\s|\s,", line):
        return r"\s*,\s*"
    if re.search(r"\s", line):
        return r"\s+"
    if "," not in line:
        raise BadInput(f"{where}, line {number}: {line[:60]!r} holds one column; frequency and level are needed")
    if "." not in line and line.count(",") in (3, 5):
        raise BadInput(
            f"{where}, line {number}: in {line[:60]!r} commas may separate or be decimal; save it with tabs between"
        )
    return r","


def _row(line: str, separator: str, marks: set[str], number: int, where: str) -> _Row:
    """A line of data as numbers; ``marks`` collects the decimal marks met so far."""
    fields = [f for f in re.split(separator, line.strip()) if f != ""]
    if len(fields) < 2:
        raise BadInput(f"{where}, line {number}: {line[:60]!r} holds no frequency and level")
    values = []
    for field in fields[:3]:
        if re.search(r"\d[.,]\d{3}[.,]\d", field):
            raise BadInput(f"{where}, line {number}: {field!r} has a mark between thousands; take it out")
        if re.fullmatch(r"[-+]?(nan|inf(inity)?)", field, re.IGNORECASE):
            raise BadInput(f"{where}, line {number}: {field} is no value of a response")
        if not NUMBER.match(field):
            raise BadInput(f"{where}, line {number}: {line[:60]!r} holds no frequency and level: {field!r}")
        marks |= {m for m in ".," if m in field}
        values.append(float(field.replace(",", ".")))
    if len(marks) == 2:
        raise BadInput(f"{where}, line {number}: {line[:60]!r} writes decimals otherwise than the lines before")
    return _Row(number, tuple(values))


def _checked(rows: list[_Row], where: str) -> tuple[Float, Float | None]:
    """Points and phases, after every check between lines."""
    if len(rows) > MOST_POINTS:
        raise BadInput(f"{where}, line {rows[MOST_POINTS].line}: more than {MOST_POINTS} points; is it a response?")
    if rows and rows[0].values[0] == 0.0:
        rows = rows[1:]  # some makers begin at 0 Hz, which a logarithmic axis does not have
    kept = list(_merged(rows, where))
    if len(kept) < 2:
        raise BadInput(f"{where}: holds {len(kept)} points; a correction needs at least 2")
    columns = {min(len(r.values), 3) for r in kept}
    if len(columns) > 1:
        odd = next(r for r in kept if len(r.values) != len(kept[0].values))
        raise BadInput(f"{where}, line {odd.line}: {len(odd.values)} columns, the lines before {len(kept[0].values)}")
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
            raise BadInput(f"{at}: {level:g} dB is beyond any microphone (limit {LOUDEST_DB:g} dB): the wrong column?")
        if len(row.values) > 2 and abs(row.values[2]) > WIDEST_TURN_DEG:
            raise BadInput(f"{at}: a phase of {row.values[2]:g} degrees is none")
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
                    f"(limit {JUMP_DB:g} dB): a slip of the decimal mark?"
                )
        before = row
        yield row


def _made_by(notes: list[str], found: list[Sensitivity]) -> tuple[str, str]:
    """Maker and serial number, as far as headlines tell."""
    everything = " ".join(notes)
    match = _SERIAL.search(everything)
    serial = match.group(1) if match else ""
    for word, maker in (("rew", "REW"), ("omnimic", "OmniMic"), ("dayton", "Dayton"), ("umik", "miniDSP")):
        if re.search(rf"\b{word}", everything, re.IGNORECASE):
            return maker, serial
    if found and found[0].kind == "factor":
        model = {"7": " UMIK-1", "8": " UMIK-2"}.get(serial[:1], "")
        return f"miniDSP{model}", serial
    return ("Dayton or OmniMic" if found and found[0].kind == "volt" else "", serial)


def magnitude(points: Float, f: Float) -> Float:
    """The microphone's magnitude at ``f`` Hz, linear: levels interpolated on log frequency, held beyond the ends."""
    return np.asarray(from_db(np.interp(np.log(np.maximum(f, 1e-3)), np.log(points[:, 0]), points[:, 1])))


def level(correction: Correction, f: Float) -> Float:
    """The microphone's magnitude at ``f`` Hz, linear, whatever its phase."""
    return magnitude(correction.points, f)


def response(correction: Correction, f: Float) -> NDArray[np.complex128]:
    """The microphone's response at ``f`` Hz: its magnitude, and its phase if the file has one.

    Phases are unwrapped along the file, interpolated on log frequency, and held beyond the ends.
    """
    level = magnitude(correction.points, f)
    if correction.phase is None:
        return np.asarray(level, dtype=np.complex128)
    turned = np.unwrap(np.radians(correction.phase))
    phase = np.interp(np.log(np.maximum(f, 1e-3)), np.log(correction.points[:, 0]), turned)
    return np.asarray(level * np.exp(1j * phase))


def facts(found: Correction) -> dict[str, Any]:
    """What is in a file, for a program."""
    s = found.sensitivity
    return {
        "maker": found.maker,
        "serial": found.serial,
        "points": len(found.points),
        "band_hz": [float(found.points[0, 0]), float(found.points[-1, 0])],
        "level_db": [float(found.points[:, 1].min()), float(found.points[:, 1].max())],
        "at_1_khz_db": float(db(magnitude(found.points, np.array([1000.0]))[0])),
        "phase": found.phase is not None,
        "sensitivity": None if s is None else {"kind": s.kind, "value": s.value, "gain_db": s.gain_db},
        "sensitivity_mv_per_pa": None if s is None else s.mv_per_pa,
        "notes": list(found.notes),
    }


def told(found: Correction) -> str:
    """The same for a reader."""
    low, high = found.points[[0, -1], 0]
    name = " ".join(filter(None, (found.maker or "maker not named", found.serial and f"number {found.serial}")))
    lines = [
        f"{name}: {len(found.points)} points from {low:g} Hz to {high:g} Hz, "
        f"{'with' if found.phase is not None else 'no'} phase",
        f"level {found.points[:, 1].min():+.2f} to {found.points[:, 1].max():+.2f} dB, "
        f"{float(db(magnitude(found.points, np.array([1000.0]))[0])):+.2f} dB at 1 kHz",
    ]
    if found.sensitivity is None:
        lines.append("states no sensitivity: calibrate it with: sweetspot rig calibrate")
    else:
        lines.append(f"sensitivity {found.sensitivity.text()}")
        lines.append(f"    sensitivity_mv_per_pa = {found.sensitivity.mv_per_pa:.4g}")
    return "\n".join(lines)
