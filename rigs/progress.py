"""How every command speaks: progress on stderr while it works, one result on stdout, one message on trouble."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Step = Callable[[str], None]
"""Call it once for each piece of work that is done, with a few words on it."""


def stderr() -> Console:
    """The console for everything that is not the result."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def tracked(title: str, total: int) -> Iterator[Step]:
    """Show a bar for ``total`` pieces of work on stderr; yields the function that advances it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=stderr()) as bars:
        task = bars.add_task(f"{title:<18}", total=total, note="")

        def step(note: str = "") -> None:
            bars.update(task, advance=1, note=note)

        yield step


def say(text: str, *, quiet: bool = False) -> None:
    """A line for the person at the screen, on stderr; nothing when ``quiet``."""
    if not quiet:
        stderr().print(text, markup=False)


def result(data: Mapping[str, Any], lines: str, *, as_json: bool) -> None:
    """The result of a command on stdout: ``data`` as JSON, or ``lines`` for a reader."""
    out = Console(highlight=False, soft_wrap=True)
    out.print(json.dumps(data, indent=2, default=str) if as_json else lines, markup=False)
