"""Commands of this room."""

from __future__ import annotations

import typer


def mount(app: typer.Typer) -> None:
    """Add this room's commands to the roof."""
