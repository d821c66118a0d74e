"""TOML, JSON and records of unknown origin: read, or refused with one kind of error, at any depth or length."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sweetspot.rigs.errors import BadInput

DEEP = "nested too deeply"

NOT_OURS = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)
"""Errors of code that makes a record of data that lack a member, or have one of another type or shape."""


@contextmanager
def as_stored(where: str, remedy: str) -> Iterator[None]:
    """Around code that makes records of what a file holds, and does nothing else.

    Parameters
    ----------
    where, remedy
        What the message begins and ends with: the file and its part, and what to do.

    Raises
    ------
    BadInput
        The data are not of our form: edited, or written by another version.
    """
    try:
        yield
    except NOT_OURS as fault:
        missing = f"{fault} is missing" if isinstance(fault, KeyError) else str(fault)
        raise BadInput(
            f"{where}: cannot be understood ({missing}); it was edited or written by another version. {remedy}"
        ) from fault


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
    import tomllib  # most commands read no TOML: 2 ms

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
