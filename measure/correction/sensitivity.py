"""Absolute sensitivity in a correction file, in the makers' notations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import db, from_db

MARK = re.compile(r"""^\s*(["'*#;!%]|//|REM\b)""", re.IGNORECASE)
"""Comment marks."""

NUMBER = re.compile(r"^[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?$")

UMIK_DBFS = -18.0
"""Level of 94 dB SPL in a miniDSP microphone whose factor is 0 dB, dBFS; a sine of full scale is 0 dBFS."""

SAME_DB = 0.1
"""Statements that differ by less count as equal."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Absolute sensitivity stated in a file.

    Parameters
    ----------
    kind
        ``"factor"`` (miniDSP, dB), ``"volt"`` (dB re 1 V/Pa: Dayton, OmniMic), ``"dbfs"`` (of 94 dB SPL).
    value
        As in the file.
    gain_db
        Gain of the built-in amplifier that it holds for, if the file states it.
    active
        Whether the line is a setting of the file (``sensitivity = ...``) and no comment.
    """

    kind: str
    value: float
    gain_db: float | None
    line: int
    active: bool = False

    @property
    def mv_per_pa(self) -> float:
        """Sensitivity in mV/Pa; of a microphone with built-in converters, with ``interface.full_scale_v = 1``."""
        return self.with_converter(1.0)

    def with_converter(self, full_scale_v: float) -> float:
        """Sensitivity in mV/Pa on an interface of this ``full_scale_v``, which scales all but volts per pascal."""
        if self.kind == "volt":
            return 1000.0 * float(from_db(self.value))
        dbfs = self.value + UMIK_DBFS if self.kind == "factor" else self.value
        return float(1000.0 * full_scale_v * from_db(dbfs) / 2.0**0.5)

    def text(self, full_scale_v: float = 1.0) -> str:
        """One clause for a reader."""
        if self.kind == "volt":
            return f"{self.value:g} dB re 1 V/Pa, so {self.mv_per_pa:.3g} mV/Pa"
        gain = f" at a gain of {self.gain_db:g} dB" if self.gain_db is not None else ""
        what = f"factor {self.value:g} dB{gain}" if self.kind == "factor" else f"{self.value:g} dBFS at 94 dB SPL"
        own = self.with_converter(full_scale_v)
        return f"{what}, so {own:.3g} mV/Pa for interface.full_scale_v = {full_scale_v:g}"


_FACTOR = re.compile(r"sens(?:itivity)?\s*factor\s*[=:]?\s*((?:[^,\s\"]|,(?=\d))*?)\s*dB", re.IGNORECASE)
_GAIN = re.compile(r"again\s*[=:]\s*([-+]?[\d.]+)\s*dB", re.IGNORECASE)
_VOLT = re.compile(r"^\*?\s*1000(?:\.0+)?\s*Hz\s*[:=]?\s*(\S+)", re.IGNORECASE)
_XCF = re.compile(r"^\s*MICmV\s*[;=]\s*([^;\s]+)", re.IGNORECASE)
_XCF_LEVEL = re.compile(r"^\s*CALspl\s*[;=]\s*([\d.]+)", re.IGNORECASE)
_NAME = re.compile(r"\bsens|\bempfindlichkeit|\bübertragungs(?:faktor|maß)|\bsensibilit|^\W*[sm]0?\s*=", re.IGNORECASE)
_VALUE = r"(?<![\w.,])([-+]?\d[\d.,]*(?:e[-+]?\d+)?)"
_SPREAD = r"(?:\s*(?:±|\+\s*/\s*-)\s*[\d.,]+)?"
_UNIT = (
    r"((?:[mµμu]|micro)?v\s*(?:(?:/|per)\s*pa(?:scal)?\b|(?:@|at)\s*94\s*db\b)|dbfs\b|"
    r"db\s*[(;,]?\s*(?:re\.?:?\s*|0\s*db\s*=\s*)?1?\s*v\s*/\s*pa|dbv(?:\s*/\s*pa)?\b)"
)
_WITH_UNIT = re.compile(rf"{_VALUE}{_SPREAD}[\s;\t]*[\[(]?\s*{_UNIT}", re.IGNORECASE)
_UNIT_FIRST = re.compile(rf"[\[(]\s*{_UNIT}\s*[\])]\s*[:=;,\t]\s*{_VALUE}", re.IGNORECASE)


def of_line(line: str, number: int, where: str) -> Sensitivity | None:
    """Sensitivity stated in a line.

    Raises
    ------
    BadInput
        It states one that is no number, or none.
    """
    gain = _GAIN.search(line)
    gain_db = float(gain.group(1)) if gain else None
    if re.search(r"sens(?:itivity)?\s*factor", line, re.IGNORECASE):
        match = _FACTOR.search(line)
        return Sensitivity("factor", _number(match.group(1) if match else "", line, number, where), gain_db, number)
    if match := _VOLT.match(line):
        return Sensitivity("volt", _number(match.group(1), line, number, where), None, number)
    if match := _XCF.match(line):
        return _of_unit(_number(match.group(1), line, number, where), "mv/pa", gain_db, number, where, True)
    if not _NAME.search(line):
        return None
    first = _UNIT_FIRST.search(line)
    match = first or _WITH_UNIT.search(line)
    if not match:
        return None
    unit, text = match.groups() if first else reversed(match.groups())
    return _of_unit(_number(text.rstrip(".,"), line, number, where), unit, gain_db, number, where, not MARK.match(line))


def without_unit(lines: Sequence[str]) -> str:
    """The first line that names a sensitivity with a number, but no unit that is known; or nothing."""
    return next((n for n in lines if _NAME.search(n) and re.search(r"[:=;]\s*[-+]?\d", n)), "")


def _of_unit(value: float, unit: str, gain_db: float | None, number: int, where: str, active: bool) -> Sensitivity:
    """A value with the maker's unit."""
    short = re.sub(r"[\s(;,]", "", unit.lower())
    if short.startswith("db"):
        return Sensitivity("dbfs" if "dbfs" in short else "volt", value, gain_db, number, active)
    scale = {"v": 1.0, "m": 1e-3}.get(short[0], 1e-6) if not short.startswith("micro") else 1e-6
    if value <= 0:
        raise BadInput(f"{where}, line {number}: a sensitivity of {value:g} {unit} is none")
    return Sensitivity("volt", float(db(value * scale)), gain_db, number, active)


def at_level(found: Sensitivity, lines: Sequence[str]) -> Sensitivity:
    """An iSEMcon file's voltage is that at its calibration level: the same at 94 dB SPL, which is 1 Pa."""
    levels = [float(m.group(1)) for line in lines if (m := _XCF_LEVEL.match(line))]
    if not levels or found.kind != "volt" or not any(_XCF.match(line) for line in lines):
        return found
    return Sensitivity("volt", found.value - (levels[0] - 94.0), found.gain_db, found.line, found.active)


def chosen(found: Sequence[Sensitivity], where: str) -> Sensitivity | None:
    """The one sensitivity of a file: settings count before comments.

    Raises
    ------
    BadInput
        Two lines of the same rank state different ones.
    """
    active = [s for s in found if s.active]
    listed = active or list(found)
    if not listed:
        return None
    first = listed[0]
    for other in listed[1:]:
        if other.kind != first.kind or abs(other.value - first.value) > SAME_DB:
            raise BadInput(
                f"{where}: line {first.line} states a sensitivity of {first.mv_per_pa:.4g} mV/Pa, line {other.line} "
                f"one of {other.mv_per_pa:.4g} mV/Pa; keep the correct one"
            )
    return first


def _number(text: str, line: str, number: int, where: str) -> float:
    """A number of a headline, decimal comma or point."""
    if not NUMBER.match(text.removesuffix("dB").strip()):
        raise BadInput(f"{where}, line {number}: {line[:60]!r} states a sensitivity, but {text!r} is no number")
    value = float(text.removesuffix("dB").strip().replace(",", "."))
    if abs(value) > 150.0 and "pa" not in line.lower():
        raise BadInput(f"{where}, line {number}: a sensitivity of {value:g} dB is implausible for a microphone")
    return value
