"""TOML and JSON of unknown origin: read, or refused as one kind of error, however deep or long they are."""

from __future__ import annotations

import json
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
        raise BadInput(f"{where}: not valid TOML: {fault}") from fault
    except RecursionError as fault:
        raise BadInput(f"{where}: not valid TOML: {DEEP}") from fault


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
