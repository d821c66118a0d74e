"""The roof: mounts the rooms' commands as one, ``sweetspot``."""

from __future__ import annotations

from importlib import import_module

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command line."""
    for room in ("rigs", "measure", "processor", "calibrate"):
        import_module(f"{room}.cli").mount(app)
    app()
