"""The reference of design.toml and limits.toml, made from what checks them."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields

from sweetspot.calibrate.design import Design
from sweetspot.calibrate.verify import Limits, limit_range
from sweetspot.rigs.rig_file import Key, KeyTable, key_tables, keys_page

EXAMPLES = {"beam.shape_db": "[[60.0, -10.0], [180.0, -15.0]]"}


def tables() -> list[KeyTable]:
    """Every table of design.toml, and the keys of limits.toml."""
    return [*key_tables(Design, EXAMPLES), _limits()]


def page() -> str:
    """Both as one page."""
    return keys_page("Keys of design.toml and limits.toml", tables())


def _limits() -> KeyTable:
    """The keys of limits.toml, which stand at the top of it."""
    texts = _described(Limits.__doc__ or "")
    keys = []
    for one in fields(Limits):
        if one.name == "given":
            continue
        low, high, unit = limit_range(one.name)
        keys.append(
            Key(
                one.name,
                "number",
                unit=unit,
                default=f"{one.default:g}",
                limits=f"at least {low:g}, at most {high:g}",
                example="",
                text=texts[one.name],
            )
        )
    return KeyTable("limits.toml", "What a unit must reach to pass: given to verify with --limits.", tuple(keys))


def _described(doc: str) -> dict[str, str]:
    """What a docstring in numpydoc form says of each parameter."""
    found, names = dict[str, list[str]](), list[str]()
    for line in inspect.cleandoc(doc).split("\n----------\n", 1)[-1].splitlines():
        if line and not line.startswith(" "):
            names = [n.strip() for n in line.split(",")]
            found |= {n: [] for n in names}
        else:
            for name in names:
                found[name].append(line.strip())
    return {name: re.sub(r"``", "`", " ".join(lines).strip()) for name, lines in found.items()}
