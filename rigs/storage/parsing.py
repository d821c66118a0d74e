"""TOML and JSON of unknown origin: read, or refused with one kind of error, at any depth or length."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

from sweetspot.rigs.errors import BadInput

DEEP = "nested too deeply"


def toml_table(text: str, where: str) -> dict[str, Any]:
    """The table of a TOML text.

    Parameters
    ----------
    where
        What the message calls it.

    Raises
    ------
    BadInput
        No TOML; nested too deeply; a number with thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except ValueError as fault:
        raise BadInput(f"{where}: not valid TOML: {fault}{_line_of(fault, text)}") from fault
    except RecursionError as fault:
        raise BadInput(f"{where}: not valid TOML: {DEEP}") from fault


def _line_of(fault: ValueError, text: str) -> str:
    """The line of a fault, with its most likely cause."""
    found = re.search(r"at line (\d+)", str(fault))
    lines = text.splitlines()
    if not found or not 0 < int(found[1]) <= len(lines):
        return ""
    line = lines[int(found[1]) - 1].strip()
    hint = ""
    if re.search(r"=\s*[-+]?\d+,\d", line):
        hint = "; decimals are written with a point"
    elif re.search(r"=\s*[-+]?\d[\d.]*\s*[A-Za-z%°]", line):
        hint = "; values have no unit, as it is in the key's name"
    elif re.search(r"[\u201c\u201d\u2018\u2019]", line):
        hint = '; quotes must be plain: "'
    elif re.match(r"\[+(driver|mic)\]", line):
        hint = "; each driver and microphone begins with double brackets: [[driver]], [[mic]]"
    return f": {line[:80]}{hint}"


def json_value(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises
    ------
    ValueError
        No JSON; nested too deeply; a number with thousands of digits.
    """
    try:
        return json.loads(text)
    except RecursionError as fault:
        raise ValueError(DEEP) from fault
