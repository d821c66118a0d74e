"""Output of every command: progress on stderr while it works, one result on stdout, one message on trouble; and what it
asks a person to move."""

from __future__ import annotations

import codecs
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from sweetspot.rigs.errors import HardwareTrouble

if TYPE_CHECKING:
    from rich.console import Console

SPELT = {
    "\u00b1": "+-",
    "\u2265": ">=",
    "\u2264": "<=",
    "\u00b5": "u",
    "\u03bc": "u",
    "\u00b0": " deg",
    "\u00d7": "x",
    "\u2192": "->",
    "\u2013": "-",
    "\u2026": "...",
}
"""Replacements of characters that the terminal or the file cannot encode."""

COLOURS = {
    r"(?m)^PASS\b.*|^ +ok\b": "green",
    r"(?m)^FAIL\b.*|^ +FAIL\b": "bold red",
    r"(?m)^GREY\b.*|^ +grey\b": "yellow",
}
"""Of verdicts on a terminal; NO_COLOR takes them away."""

Step = Callable[[str], None]
"""Call it once for each piece of work that is done, with a few words on it."""


def stderr() -> Console:
    """The console for everything that is not the result."""
    from rich.console import Console  # slow to import

    return Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def tracked(title: str, total: int) -> Iterator[Step]:
    """Show a bar for ``total`` pieces of work on stderr; yields the function that advances it.

    Work that turns out longer, such as a set whose drivers cannot overlap after all, moves the end. Where nobody looks
    on, as in a log, one line says in the end what was done.
    """
    if not _is_terminal(sys.stderr):
        with _logged(title, total) as step:
            yield step
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
            done = bars.tasks[0].completed + 1
            bars.update(task, advance=1, total=max(total, done), note=note)

        yield step


@contextmanager
def _logged(title: str, total: int) -> Iterator[Step]:
    """The last line of the bar alone."""
    began, done, last = time.monotonic(), 0, ""

    def step(note: str = "") -> None:
        nonlocal done, last
        done, last = done + 1, note

    try:
        yield step
    finally:
        minutes, seconds = divmod(round(time.monotonic() - began), 60)
        line = "\u2501" if (sys.stderr.encoding or "").lower().startswith("utf") else "-"
        bar = line * (16 * done // max(total, done, 1))
        say(f"{title:<18} {bar:<16} {done}/{max(total, done)} {minutes:02d}:{seconds:02d} {last}")


def _is_terminal(stream: TextIO) -> bool:
    """Whether colours and moving bars are seen; elsewhere rich, which takes 50 ms to load, is not asked."""
    return stream.isatty() or bool(os.environ.get("FORCE_COLOR"))


def say(text: str, *, quiet: bool = False) -> None:
    """Print a line for the user on stderr, unless ``quiet``."""
    if quiet:
        return
    if _is_terminal(sys.stderr):
        stderr().print(text, markup=False)
    else:
        sys.stderr.write(f"{text}\n")


def result(data: Mapping[str, Any], lines: str, *, as_json: bool) -> None:
    """The result of a command on stdout: ``data`` as JSON, or ``lines`` for a reader, verdicts in colour."""
    if as_json or not _is_terminal(sys.stdout):  # a console takes 60 ms for a thousand lines that it does not change
        sys.stdout.write(f"{json.dumps(data, indent=2, default=str) if as_json else lines}\n")
        return
    from rich.console import Console  # slow to import
    from rich.text import Text

    out, text = Console(highlight=False, soft_wrap=True), Text(lines)
    for pattern, colour in COLOURS.items():
        text.highlight_regex(pattern, colour)
    out.print(text)


def failed(message: str, code: int, *, as_json: bool, quiet: bool = False) -> None:
    """Report an error: a line on stderr, and with ``--json`` an object ``error`` on stdout."""
    say(f"sweetspot: {message}", quiet=quiet)
    if as_json:
        result({"error": {"message": message, "exit_code": code}}, "", as_json=True)


def speakable() -> None:
    """Make stdout and stderr replace characters that their encoding lacks, and stdin bytes that are no characters."""
    codecs.register_error("spelt", _spelt)
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="backslashreplace")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="spelt")


def _spelt(fault: UnicodeError) -> tuple[str, int]:
    if not isinstance(fault, UnicodeEncodeError):
        raise fault
    return "".join(SPELT.get(c, "?") for c in fault.object[fault.start : fault.end]), fault.end


def operator(yes: bool, delay: float) -> Callable[[str], None]:
    """Asks for a move on the terminal, and waits for Enter, or for a while with ``--yes``."""

    def ask(move: str) -> None:
        if yes:
            say(f"{move} (continuing in {delay:g} s)")
            time.sleep(delay)
            return
        if not sys.stdin.isatty():
            raise HardwareTrouble(f"{move}: a manual stage needs a terminal; run it in one, or give --yes and --delay")
        say(f"{move}, then press Enter")
        sys.stdin.readline()

    return ask
