"""Every key of the files that people write, at values no one means: refused in one line, or run within bounds.

    python tests/faults/extremes.py [--every 1]

Each leaf of the schemas of rig, design, bank and limits files gets zeros, negatives, numbers that are none, huge and
tiny ones, huge integers, other types, empty lists and texts with line breaks, in a rig file that has its table. What is
accepted is planned, and the lab plays one capture of it, within 4 GB and 60 s. Exit code 1 for any other exception.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import time
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: threads of its own take room

from pydantic import BaseModel

from sweetspot.calibrate.design import BankDesign, Design, Limits, parse_bank, read_limits
from sweetspot.calibrate.design import parse as parse_design
from sweetspot.measure import plan
from sweetspot.rigs.errors import SweetspotError
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.rig_file import description

VALUES: tuple[Any, ...] = (
    0, -1, 10**18, -(10**30), float("nan"), float("inf"), 1e8, -1e8, 1e-9, 1e300, True, "", "a\nb", "x" * 5000, [], [0],
    [1e8, -1e8], {}, [[]], "2026-01-01",
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
ROOM_BYTES, LONGEST_S, LARGEST_CAPTURE = 4 << 30, 60, 1 << 26
Where = tuple[str | int, ...]


def leaves(model: type[BaseModel], above: Where = ()) -> Iterator[Where]:
    """Paths of all keys of a schema that hold no table; 0 stands for the first of an array of tables."""
    for name, field in model.model_fields.items():
        here = (*above, field.alias or name)
        tables = list(_tables(field.annotation))
        for inner, array in tables:
            yield from leaves(inner, (*here, 0) if array else here)
        if not tables:
            yield here


def _tables(annotation: Any, array: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, array
    origin = getattr(annotation, "__origin__", None)
    for part in get_args(annotation):
        yield from _tables(part, array or origin in (tuple, list))


def changed(table: Mapping[str, Any], where: Where, value: Any) -> dict[str, Any]:
    """A copy of a table with one value set; tables on the way are made."""
    copy = json.loads(json.dumps(table))
    at: Any = copy
    for key, following in pairwise(where):
        if isinstance(at, dict):
            at = at.setdefault(key, [{}] if following == 0 else {})
        elif at:
            at = at[0]
        else:
            at.append({})
            at = at[0]
    at[where[-1]] = value
    return dict(copy)


def toml(value: Any) -> str:
    """A value as TOML writes it, tables inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(str(value), repr(value))
    return json.dumps(value)


def text_of(table: Mapping[str, Any]) -> str:
    """A whole file."""
    return "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in table.items())


def used(text: str, folder: Path) -> None:
    """A rig file read, planned, and one capture played."""
    rig = description.parse(text, folder=folder)
    for name in plan.SETS:
        if rig.polar is None and name == "polar":
            continue
        made = plan.make(rig, name)
        if made.capture_bytes > LARGEST_CAPTURE or rig.interface.driver != "lab":
            return
        with open_rig(rig, serial="1") as lab:
            lab.interface.capture(made.signal_of(made.captures[0]))


def limits(text: str, folder: Path) -> None:
    """A limits file read."""
    path = folder / "limits.toml"
    path.write_text(text, encoding="utf-8")
    read_limits(path)


def outcome(work: Callable[[], None]) -> str:
    """``ran``, ``refused``, or what went wrong, in a process with little room and time."""
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        resource.setrlimit(resource.RLIMIT_AS, (ROOM_BYTES, ROOM_BYTES))
        signal.alarm(LONGEST_S)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        warnings.simplefilter("error", RuntimeWarning)  # users would read it beside the message
        try:
            work()
            ended = "ran"
        except SweetspotError as fault:
            long = [line for line in str(fault).splitlines() if len(line) > 1000]
            ended = "a line of a thousand characters" if long else "refused"
        except BaseException as fault:
            ended = f"{type(fault).__name__}: {fault}"[:300]
        os.write(writing, ended.encode())
        os._exit(0)
    os.close(writing)
    ended = os.read(reading, 4096).decode()
    os.close(reading)
    os.waitpid(pid, 0)
    return ended or "ended or took too long"


def cases(folder: Path) -> Iterator[tuple[str, Where, Any, Callable[[], None]]]:
    """Every case: the kind of file, the key, the value and the work."""
    files = [Path(__file__).with_name("small.toml"), *sorted((ROOT / "rigs").glob("*.toml"))]
    bases = [(path, tomllib.loads(path.read_text(encoding="utf-8"))) for path in files]
    for where in leaves(description._RigTable):
        path, base = next((b for b in bases if _has(b[1], where)), bases[0])
        for value in VALUES:
            text = text_of(changed(base, where, value))
            yield "rig", where, value, lambda text=text, path=path: used(text, path.parent)  # type: ignore[misc]
    readers: tuple[tuple[str, type[BaseModel], Callable[[str], object]], ...] = (
        ("design", Design, lambda text: parse_design(text, "design.toml")),
        ("bank", BankDesign, lambda text: parse_bank(text, "bank.toml")),
        ("limits", Limits, lambda text: limits(text, folder)),
    )
    for name, model, read in readers:
        for where in leaves(model):
            for value in VALUES:
                text = text_of(changed({}, where, value))
                yield name, where, value, lambda text=text, read=read: (read(text), None)[1]  # type: ignore[misc]


def _has(table: Any, where: Where) -> bool:
    for key in where[:-1]:
        if isinstance(table, list):
            if not table:
                return False
            table = table[0]
        elif isinstance(table, dict) and key in table:
            table = table[key]
        else:
            return False
    return True


def run(folder: Path, every: int, first: int = 0) -> tuple[Counter[str], list[str]]:
    """Counts by kind and outcome, and what went wrong, of each ``every``-th case from ``first`` on."""
    found, wrong = Counter[str](), []
    for number, (kind, where, value, work) in enumerate(cases(folder)):
        if number % every != first % every:
            continue
        ended = outcome(work)
        found[f"{kind} {ended if ended in ('ran', 'refused') else 'wrong'}"] += 1
        if ended not in ("ran", "refused"):
            wrong.append(f"{kind} {'.'.join(map(str, where))} = {str(value)[:40]}: {ended}")
    return found, wrong


def main() -> int:
    """Print the counts and what went wrong."""
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only each so-many-th case")
    asked, began = parser.parse_args(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found, wrong = run(Path(folder), asked.every)
    print(dict(sorted(found.items())), f"{time.monotonic() - began:.0f} s", *wrong, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
