"""Command lines on a run, as a message gives them to be typed."""

from __future__ import annotations

import shlex
from pathlib import Path


def again(path: Path) -> str:
    """The command that continues the writing of a run's file."""
    return command("verify" if "verify" in path.name else "measure resume", path.parent)


def command(words: str, run: Path) -> str:
    """A command line on a run, to be typed as it stands."""
    return f"sweetspot {words} {shlex.quote(str(run))}"
