"""Serial numbers and names: one rule for typed, scanned and stored ones; counts, lists and times in texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sweetspot.rigs.errors import BadInput

LONGEST = 64

SERIAL = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST - 1}}}")
"""A serial number names a folder and a file, and stands in tables: ASCII, no path, no space, no newline."""

RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\..*)?", re.IGNORECASE)
"""Device names of Windows, with any extension: not allowed for folders there, nor is a final dot."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of formulas in spreadsheets."""


def check_serial(text: str, where: str) -> str:
    """The serial number itself, if it is one.

    Parameters
    ----------
    text
        As typed, scanned or read.
    where
        Where it comes from, which begins the message.

    Raises
    ------
    BadInput
        Shows it and the rule.
    """
    if not SERIAL.fullmatch(text) or ".." in text:
        shown = repr(text) if len(text) <= LONGEST else f"{text[:LONGEST]!r}... ({len(text)} characters)"
        raise BadInput(
            f"{where}: {shown} is no serial number: letters, digits, '_', '-', '.', at most {LONGEST}, "
            "the first a letter or digit"
        )
    if RESERVED.fullmatch(text) or text.endswith("."):
        raise BadInput(
            f"{where}: {text!r} is no serial number: no folder can have this name on Windows; put a letter in front, "
            "and no dot at its end"
        )
    return text


def utc_text(now: datetime) -> str:
    """A time as files and records state it."""
    return f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def many(count: int, thing: str) -> str:
    """A count with its noun: ``1 file``, ``2 files``."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def listed(things: Sequence[str]) -> str:
    """Things in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join((", ".join(things[:-1]), things[-1])) if len(things) > 1 else things[0]


def runs_of(numbers: Iterable[int]) -> str:
    """Whole numbers with those that follow each other as a run: ``1, 2, 5 to 9``."""
    runs: list[tuple[int, int]] = []
    for n in sorted(set(numbers)):
        runs, first = (runs[:-1], runs[-1][0]) if runs and n == runs[-1][1] + 1 else (runs, n)
        runs.append((first, n))
    return ", ".join(f"{a}" if a == b else f"{a}, {b}" if b == a + 1 else f"{a} to {b}" for a, b in runs)


def check_name(text: str, where: str) -> str:
    """A name of a driver, microphone or the like: printable text without line breaks.

    Raises
    ------
    BadInput
        Shows it and the rule.
    """
    if not text.strip() or len(text) > LONGEST or not text.isprintable():
        raise BadInput(f"{where}: {text[:80]!r} is no name: 1 to {LONGEST} printable characters are needed")
    return text


def cell(text: str) -> str:
    """A CSV cell that no spreadsheet reads as a formula: possible formulas get a leading apostrophe."""
    return f"'{text}" if text.startswith(FORMULA) else text


def named(name: str) -> str:
    """A driver or microphone in words."""
    return {"ear_left": "left ear", "ear_right": "right ear"}.get(name, name.replace("_", " "))
