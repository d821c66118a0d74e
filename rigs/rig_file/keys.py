"""The reference of a file's keys, made from the schema that checks it: tables, keys, kinds, defaults, ranges, units."""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

UNITS = {
    "hz": "Hz",
    "dbfs": "dBFS",
    "spl": "dB SPL",
    "db": "dB",
    "m": "m",
    "mm": "mm",
    "cm2": "cm²",
    "deg": "degrees",
    "s": "s",
    "ms": "ms",
    "seconds": "s",
    "w": "W",
    "v": "V, peak",
    "ohm": "ohm",
    "c": "°C",
    "percent": "%",
    "ppm": "ppm",
    "pa": "mV/Pa",
    "samples": "samples",
    "fs": "Hz",
    "at": "m",
    "distance": "m",
}
"""Units by the last part of a key's name."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Parameters
    ----------
    name
        As it is written.
    unit
        Of numbers; empty for none.
    default
        As in the file; empty if the key is required, ``-`` if omitting it has a separate meaning.
    limits
        The range, or the words that are allowed.
    example
        For a key without a default.
    """

    name: str
    kind: str
    unit: str
    default: str
    limits: str
    example: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class KeyTable:
    """One table of the file: its heading, description and keys."""

    headline: str
    text: str
    keys: tuple[Key, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Wording:
    """Texts, examples and units that a schema lacks, by the keys' full names (``driver.at``).

    Parameters
    ----------
    texts
        What each key is.
    examples
        For keys without a default.
    units
        Units of keys whose name has none.
    """

    texts: Mapping[str, str]
    examples: Mapping[str, str]
    units: Mapping[str, str]


def key_tables(root: type[BaseModel], wording: Wording) -> list[KeyTable]:
    """Every table of a file, in the order of its schema; ``root`` is the model of the whole file."""
    return list(_walked(root, "", False, wording))


def _walked(model: type[BaseModel], path: str, many: bool, wording: Wording) -> Iterator[KeyTable]:
    keys, inner = [], []
    for name, field in model.model_fields.items():
        shown = field.alias or name
        full = f"{path}.{shown}".lstrip(".")
        table, several = _table_in(field.annotation)
        if table is not None and not _inline(table, several):
            inner.append((table, full, several))
            continue
        key = _key(shown, field, table, wording.examples.get(full, ""))
        text = wording.texts.get(full, "")
        own = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        unit = wording.units.get(full, str(own.get("unit", key.unit)))
        keys.append(replace(key, text=text, unit=unit))
    if keys:
        headline = f"[[{path}]]" if many else f"[{path}]" if path else "top of the file"
        yield KeyTable(headline, _prose(model), tuple(keys))
    for table, full, several in inner:
        yield from _walked(table, full, several, wording)


def _inline(table: type[BaseModel], several: bool) -> bool:
    """Whether a table is usually written in one line, in braces."""
    return len(table.model_fields) <= 4 and not several and all(f.is_required() for f in table.model_fields.values())


def _table_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model inside an annotation, and whether there are many of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for part in get_args(annotation):
        found, _ = _table_in(part)
        if found is not None:
            return found, get_origin(annotation) is tuple
    return None, False


def _key(shown: str, field: FieldInfo, table: type[BaseModel] | None, example: str) -> Key:
    default = "" if field.is_required() else _written(field.get_default(call_default_factory=True))
    kind = _kind(field.annotation)
    if table is not None:
        inside = ", ".join(f"{f.alias or n} = {_kind(f.annotation)}" for n, f in table.model_fields.items())
        kind = f"{{ {inside} }}"
    return Key(shown, kind, _unit(shown, kind), default, _limits(field), example)


def _unit(name: str, kind: str) -> str:
    if "number" not in kind and "whole" not in kind:
        return ""
    parts = name.split("_")
    return next((UNITS[p] for p in (parts[-1], parts[0]) if p in UNITS), "")


def _kind(annotation: Any) -> str:
    """A type in words."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(args[0])
    if origin is Literal:
        return "one of " + ", ".join(json.dumps(a) for a in args)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(a) for a in args if a is not type(None))
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return f"list of {_kind(args[0])}"
        return "[" + ", ".join(_kind(a) for a in args) + "]"
    if origin is dict:
        return f"table of {_kind(args[1])} by {_kind(args[0])}"
    names = {float: "number", int: "whole number", str: "text", bool: "true or false"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _limits(field: FieldInfo) -> str:
    """Ranges that a schema states."""
    found = []
    marks = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most", "min_length": "at least (count)"}
    for mark in _metadata(field):
        for attribute, words in marks.items():
            value = getattr(mark, attribute, None)
            if value is not None and value is not PydanticUndefined:
                found.append(f"{words} {value:g}")
        pattern = getattr(mark, "pattern", None)
        found += [f"matches {pattern}"] if pattern else []
    return ", ".join(dict.fromkeys(found))


def _metadata(field: FieldInfo) -> Iterator[Any]:
    yield from field.metadata
    yield from _inside(field.annotation)


def _inside(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        if get_origin(annotation) is Annotated and not isinstance(part, type) and not get_origin(part):
            yield from getattr(part, "metadata", [part])
        yield from _inside(part)


def _written(value: Any) -> str:
    """A default as TOML."""
    if value is None:
        return "-"
    if isinstance(value, BaseModel):
        return "see its table"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_written(v) for v in value) + "]"
    if isinstance(value, float):
        return f"{value:g}" if value != int(value) else f"{value:.1f}"
    return json.dumps(value, ensure_ascii=False)


def _prose(model: type[BaseModel]) -> str:
    """A table's docstring, without markup of its own and without a list of parameters."""
    text = inspect.cleandoc(model.__doc__ or "").split("\n\nParameters\n")[0]
    text = re.sub(r":[a-z]+:`~?([^`]*)`", r"`\1`", text)
    return re.sub(r"``", "`", text)


def keys_page(title: str, found: list[KeyTable]) -> str:
    """The reference as a page in Markdown."""
    out = [f"# {title}", "", "Made from the schema that checks the file: do not edit this page by hand.", ""]
    for table in found:
        out += [f"## `{table.headline}`", "", table.text, ""]
        out += ["| key | what it is | value | unit | default | example | limits |", "|---|---|---|---|---|---|---|"]
        for key in table.keys:
            default = "required" if not key.default else "none" if key.default == "-" else f"`{key.default}`"
            example = f"`{key.example}`" if key.example else ""
            row = (f"`{key.name}`", key.text, key.kind, key.unit, default, example, key.limits)
            out.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
        out.append("")
    return "\n".join(out)
