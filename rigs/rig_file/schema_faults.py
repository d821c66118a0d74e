"""Schema faults of a file as messages: one line each, with the key's path and the nearest known key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sweetspot.rigs.names import many


def _key(location: Sequence[int | str]) -> str:
    """``("driver", 1, "at")`` -> ``driver[2].at`` (counted from 1, as a reader counts tables)."""
    out = ""
    for part in location:
        if isinstance(part, str) and _KIND.match(part):
            continue
        out += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out


def schema_faults(invalid: ValidationError, root: type[BaseModel]) -> list[str]:
    """One line for each fault that a schema found, with the key's path and the nearest known key.

    A key that may be of several kinds gives one line: the requirement of each kind, or for a list only that of lists.
    """
    lines: dict[str, list[str]] = {}
    found = invalid.errors()
    lists = {before for e in found for before, kind in [_kind_of(e)] if kind.startswith("tuple[")}
    for error in found:
        if error["type"] == "too_short" and any(e["loc"][:-1][: len(error["loc"])] == error["loc"] for e in found):
            continue  # its entries are there, and wrong
        before, kind = _kind_of(error)
        if kind and isinstance(error.get("input"), list) and not kind.startswith("tuple[") and before in lists:
            continue
        line = _line(error, root)
        fault, _, asked = line.partition(_ASKED)
        known = lines.setdefault(fault if kind and asked else line, [])
        known += [asked] if kind and asked and asked not in known else []
    return [fault + (_ASKED + ", or ".join(asked) if asked else "") for fault, asked in lines.items()]


def _kind_of(error: ErrorDetails) -> tuple[tuple[int | str, ...], str]:
    """Location of a key that may be of several kinds, and the kind that a fault is of; empty for any other key."""
    at = next((i for i, part in enumerate(error["loc"]) if isinstance(part, str) and _KIND.match(part)), None)
    return ((), "") if at is None else (error["loc"][:at], str(error["loc"][at]))


_KIND = re.compile(r"(constrained-\w+|float|int|str|(literal|tuple|function-\w+)\[.*)$")
"""The schema library's names of alternatives in a value's type, as they occur in a fault's location."""

_ASKED = " is not valid: "

LONGEST_SHOWN = 60
"""Characters of a wrong value that are shown."""


def _table_at(location: Sequence[int | str], root: type[BaseModel]) -> type[BaseModel] | None:
    """The model of the table in which a key stands."""
    model: Any = root
    for part in location:
        if isinstance(part, int):
            continue
        found = [f for name, f in model.model_fields.items() if part in (name, f.alias)]
        if not found:
            return None
        model = _model_in(found[0].annotation)
        if model is None:
            return None
    return model  # type: ignore[no-any-return]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The table type inside an annotation such as ``tuple[Driver, ...]`` or ``Ears | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in getattr(annotation, "__args__", ()) if (m := _model_in(a)) is not None), None)


def _line(error: ErrorDetails, root: type[BaseModel]) -> str:
    """One line for one fault that the schema found."""
    location = error["loc"]
    key, value = _key(location), error.get("input")
    if error["type"] == "extra_forbidden":
        model = _table_at(location[:-1], root)
        known = [f.alias or name for name, f in model.model_fields.items()] if model else []
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "known here: " + ", ".join(known)
        return f"{key}: unknown key; {hint}"
    if error["type"] == "missing":
        return f"{key}: missing; {_WANTED.get(str(location[-1]), 'it is required')}"
    shown = repr(value)
    if len(shown) >= LONGEST_SHOWN:
        shown = type(value).__name__ if isinstance(value, dict | list) else f"{shown[:LONGEST_SHOWN]}..."
    wrong = _NEEDED.get(error["type"], error["msg"].removeprefix("Value error, "))
    for kind, words in (("max", "most"), ("min", "least")):
        if (bound := error.get("ctx", {}).get(f"{kind}_length")) is not None and isinstance(value, list):
            wrong = f"at {words} {many(bound, 'value')}, not {len(value)}"
    return f"{key}: {shown}{_ASKED}{wrong[0].lower()}{wrong[1:]}"


_LIST, _TABLE = "a list in square brackets is needed", "a table is needed"

_NEEDED = {
    "string_pattern_mismatch": "letters, digits, '_', '-' and '.' are needed, the first a letter or digit",
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _TABLE,
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
}
"""What is needed, by the schema library's kind of fault, where its own message has words of Python; patterns are those
of names, see the tables."""

_WANTED = {
    "at": "the driver's position, [x, y, z] in metres from the middle of the device",
    "channel": "the channel as printed on the interface, from 1",
    "loopback": "the timing reference, for example { out = 9, in = 4 }",
    "fs": "the sampling rate in Hz, for example 48000",
    "schema": "write schema = 1",
}
