"""The calibration history beside a rig file, and the rig file's lines that a calibration or a sweep choice changes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import Description, parse
from sweetspot.rigs.storage import append as append_line
from sweetspot.rigs.storage import json_value
from sweetspot.rigs.storage import write as write_file

KEY = "sensitivity_mv_per_pa"


def history_beside(rig_file: Path) -> Path:
    """Path of the calibration history of a rig's microphones."""
    return rig_file.with_name(f"{rig_file.stem}.calibrations.jsonl")


def entries(history: Path) -> list[dict[str, Any]]:
    """Every calibration, oldest first; none if there is no history yet.

    Raises
    ------
    BadInput
        A line that is no entry; names it.
    """
    if not history.exists():
        return []
    found = []
    for number, line in enumerate(_text(history).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json_value(line)
            found.append({**entry, "mic": str(entry["mic"]), KEY: float(entry[KEY])})
        except (ValueError, KeyError, TypeError) as fault:
            raise BadInput(
                f"{history}, line {number}: is no calibration ({type(fault).__name__}: {fault}); correct or remove it"
            ) from fault
    return found


def last(found: list[dict[str, Any]], mic: str) -> dict[str, Any] | None:
    """The newest accepted calibration of a microphone."""
    return next((e for e in reversed(found) if e["mic"] == mic and e.get("accepted")), None)


def append(history: Path, entry: dict[str, Any]) -> None:
    """Add one line, and have it on the disk before this returns."""
    try:
        append_line(history, json.dumps(entry))
    except BadInput as fault:
        raise BadInput(f"{fault}; another place can be given with --history FILE") from fault


def with_sensitivity(text: str, mic: str, mv_per_pa: float) -> str:
    """A rig file's text with one microphone's sensitivity changed; comments and everything else stay as they are.

    Raises
    ------
    BadInput
        The microphone is not written as a ``[[mic]]`` table of its own.
    """
    lines = text.splitlines(keepends=True)
    for start, end in _tables(lines, r"\[\[\s*mic\s*\]\]"):
        names = [m.group(2) for line in lines[start:end] if (m := re.match(r"""\s*name\s*=\s*(["'])(.*?)\1""", line))]
        if names != [mic]:
            continue
        return "".join(_with(lines, start, end, KEY, f"{mv_per_pa:.4g}"))
    raise BadInput(f"the rig file has no [[mic]] table of its own for {mic!r}: write {KEY} = {mv_per_pa:.4g} by hand")


def with_sweep(text: str, values: Mapping[str, object]) -> str:
    """A rig file's text with values of its ``[sweep]`` changed; comments and everything else stay as they are.

    Raises
    ------
    BadInput
        A value of it runs over several lines.
    """
    lines = text.splitlines(keepends=True)
    if not _tables(lines, SWEEP):
        ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
        whole = "" if not lines or lines[-1].endswith("\n") else ending
        lines = [*lines, f"{whole}{ending}", f"[sweep]{ending}"]
    for key, value in reversed(list(values.items())):
        start, end = _tables(lines, SWEEP)[0]
        lines = _with(lines, start, end, key, json.dumps(value))
    return "".join(lines)


SWEEP = r"\[\s*sweep\s*\]"


def _with(lines: list[str], start: int, end: int, key: str, value: str) -> list[str]:
    """Lines with one key of the table that starts at ``start`` set; a new one comes first in its table."""
    for at in range(start, end):
        if not re.match(rf"\s*{key}\s*=", lines[at]):
            continue
        changed, count = re.subn(rf"^(\s*{key}\s*=\s*)(\[[^\]#]*\]|[-+0-9.eE_]+)", rf"\g<1>{value}", lines[at])
        if not count:
            raise BadInput(f"line {at + 1} of the rig file is not one value of {key}: write {key} = {value} by hand")
        return [*lines[:at], changed, *lines[at + 1 :]]
    ending = "\r\n" if lines[start].endswith("\r\n") else "\n"
    return [*lines[: start + 1], f"{key} = {value}{ending}", *lines[start + 1 :]]


def _tables(lines: list[str], head: str) -> list[tuple[int, int]]:
    """First and last line (from 0, the last left out) of each table with a head of that pattern."""
    heads = [i for i, line in enumerate(lines) if re.match(r"\s*\[", line)] + [len(lines)]
    return [(a, b) for a, b in pairwise(heads) if re.match(rf"\s*{head}", lines[a])]


def write_sensitivity(rig_file: Path, rig: Description, mic: str, mv_per_pa: float) -> None:
    """Change one microphone's sensitivity in a rig file: the new text is read back before it replaces the old one.

    Raises
    ------
    BadInput
        The file has changed meanwhile, cannot be edited, or cannot be written; it stays as it was.
    """
    new = with_sensitivity(_unchanged(rig_file, rig), mic, mv_per_pa)
    again = parse(new, folder=rig.folder, where=str(rig_file))
    wrong = [m.name for m, n in zip(rig.mic, again.mic, strict=True) if m.name != mic and m != n]
    if wrong or abs(next(m for m in again.mic if m.name == mic).sensitivity_mv_per_pa / mv_per_pa - 1.0) > 1e-3:
        raise BadInput(f"{rig_file}: {KEY} of {mic} cannot be edited; write {KEY} = {mv_per_pa:.4g} by hand")
    _replace(rig_file, new)


def write_sweep(rig_file: Path, rig: Description, values: Mapping[str, object]) -> None:
    """Change values of a rig file's ``[sweep]``: the new text is read back before it replaces the old one.

    Raises
    ------
    BadInput
        The file has changed meanwhile, cannot be edited, or cannot be written; it stays as it was.
    """
    new = with_sweep(_unchanged(rig_file, rig), values)
    again = parse(new, folder=rig.folder, where=str(rig_file))
    wanted = rig.sweep.model_copy(update={k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    if again.model_copy(update={"sweep": rig.sweep, "text": rig.text}) != rig or again.sweep != wanted:
        raise BadInput(f"{rig_file}: its [sweep] cannot be edited; write the lines into it by hand")
    _replace(rig_file, new)


def _unchanged(rig_file: Path, rig: Description) -> str:
    """The text of a rig file, unchanged since the description was read."""
    text = _text(rig_file)
    if text.replace("\r\n", "\n") != rig.text.replace("\r\n", "\n"):
        raise BadInput(f"{rig_file}: was changed in the meantime; nothing was written")
    return text


def _replace(rig_file: Path, text: str) -> None:
    """Replace a file as a whole."""
    write_file(rig_file, text)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise BadInput(f"{path}: cannot be read: {getattr(fault, 'strerror', None) or fault}") from fault
