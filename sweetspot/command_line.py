"""The roof: mounts the rooms' commands as one, ``sweetspot``, and turns trouble into one message and an exit code."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer

from sweetspot.rigs.errors import SweetspotError
from sweetspot.rigs.progress import say

INTERRUPTED = 130

WrongUse: type[Any] = typer.BadParameter.__mro__[1]
"""The base of every complaint about arguments; typer exports only its children."""


ROOMS = ("rigs", "measure", "processor", "calibrate", "calibrate.fleet")
ALONE = {"process": ("processor",), "play": ("processor",), "export": ("processor",)}
"""Commands that need no other room than their own: they start a second sooner without the others."""


def build(*rooms: str) -> typer.Typer:
    """The command line of some rooms, by default of all."""
    app = typer.Typer(
        name="sweetspot",
        help="Measure and calibrate loudspeakers with several drivers, per unit.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for room in rooms or ROOMS:
        import_module(f"sweetspot.{room}.cli").mount(app)
    return app


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        code = build(*ALONE.get(" ".join(sys.argv[1:2]), ()))(standalone_mode=False) or 0
    except SweetspotError as trouble:
        say(f"sweetspot: {trouble}")
        sys.exit(trouble.exit_code)
    except WrongUse as wrong:
        wrong.show()
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # typer turns Ctrl-C into this code by itself
        say("sweetspot: interrupted; what had landed is kept")
    sys.exit(code)
