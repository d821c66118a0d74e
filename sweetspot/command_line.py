"""The command ``sweetspot``: mounts the rooms' commands, and turns errors into one message and an exit code."""

from __future__ import annotations

import _thread
import atexit
import gc
import os
import platform
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from sweetspot.commands import COMMANDS, WHOLE_FIRST, rooms_of
from sweetspot.rigs.errors import OutputTrouble, SweetspotError
from sweetspot.rigs.progress import failed, say, speakable
from sweetspot.rigs.storage import hash_ahead
from sweetspot.streams import guard
from sweetspot.trace import UNEXPECTED, kept, refused_by_system

INTERRUPTED = 130

SESSION, FILTERS = "session.h5", "filterset.h5"
"""Files of a run folder that most commands on a run read first."""

AGAIN_S = 0.02
"""Delay of an interrupt that is raised again, s: by then the code that swallowed the first one has returned."""

ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Set to 1, unless they are set, before NumPy loads: the matrices here are small and many, and threads wait for each
other; on a busy machine two of them took twice the time of one."""

WrongUse: type[Any] = typer.BadParameter.__mro__[1]
"""The base of every complaint about arguments; typer exports only its children."""

ROOMS = (
    "rigs",
    "measure",
    "processor",
    "processor.export.command",
    "calibrate",
    "calibrate.quick",
    "calibrate.line",
    "calibrate.fleet",
)


class Lazy(TyperGroup):
    """The top level: shows help and completes from a table, and loads a command's rooms when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of work."""
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself, and the words that are left for it."""
        name, _, rest = super().resolve_command(ctx, args)
        mounted: Any = get_command(narrowed(build(*rooms_of(args)), args))
        gc.freeze()  # what was loaded stays until the end: no collection need look at it
        gc.enable()
        return name, getattr(mounted, "commands", {name: mounted})[name], rest


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


def narrowed(app: typer.Typer, words: Sequence[str]) -> typer.Typer:
    """The same without the commands that other words would call: typer prepares all with their options, 14 ms of
    ``measure show``. Where no command is named, as for help, all stay.
    """
    name, *rest = words or ("",)
    commands = [copy(c) for c in app.registered_commands if c.name == name]
    groups = [copy(g) for g in app.registered_groups if g.name == name]
    if not (commands or groups):
        return app
    one = copy(app)
    one.registered_commands, one.registered_groups = commands, groups
    for group in groups:
        if group.typer_instance is not None:
            group.typer_instance = narrowed(group.typer_instance, rest)
    return one


def roof() -> typer.Typer:
    """The command line without any room: help, version and completion; commands are loaded when they are called."""
    app = typer.Typer(
        cls=Lazy,
        name="sweetspot",
        help="Measure and calibrate loudspeakers with several drivers, per unit.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_whole)
    for name, command in COMMANDS.items():
        app.command(name, help=command.help, rich_help_panel=command.group)(lambda: None)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # slow to import

        sys.stdout.write(f"sweetspot {version('sweetspot')}\n")
        raise typer.Exit


def _whole(
    shown: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    del shown


def start() -> None:
    """The program: :func:`main`, and the end of the process without taking loaded modules apart, which costs 30 ms.

    All else ends in order before: threads, what modules registered for the end, and the output.
    """
    ended: list[int] = []
    atexit.register(_leave, ended)  # registered first, called last
    try:
        main()
    except SystemExit as end:
        ended += [end.code] if isinstance(end.code, int) else []
        raise


def _leave(ended: list[int]) -> None:
    """End the process with the one code in ``ended``; without one, or where output is lost, Python ends it."""
    with suppress(OSError, ValueError, AttributeError):  # full disk, closed stream, no stream
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if ended:
            os._exit(ended[0])


def main() -> None:
    """Run the command line and leave with its exit code; nothing unexpected leaves as a verdict (0 or 1)."""
    for threads in ONE_THREAD:
        os.environ.setdefault(threads, "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # none is used; the search costs 5 ms
    vars(platform.uname())["processor"] = ""  # h5py reads the whole record, and this field starts a program: 6 ms
    gc.disable()  # until the command's rooms are loaded: a tenth of their time
    speakable()
    guard()
    repeat_lost_interrupts()
    _hash_ahead(sys.argv[1:])
    as_json = "--json" in sys.argv
    try:
        code = _left_with(as_json)
        sys.stdout.flush()
    except OutputTrouble as trouble:
        say(f"sweetspot: {trouble}")
        code = trouble.exit_code
    except Exception as fault:
        code = UNEXPECTED
        failed(kept(fault, datetime.now(UTC)), code, as_json=as_json)
    gc.enable()
    gc.freeze()  # the interpreter's last collection would look at all that was loaded: 15 ms
    sys.exit(code)


def _hash_ahead(words: Sequence[str]) -> None:
    """Begin to hash the files of the runs that a command line names, while modules load: 0.1 s."""
    if rooms := rooms_of([*words]):
        whole, content = words[0] in WHOLE_FIRST, "processor" not in rooms
        for word in words[1:]:
            hash_ahead(Path(word) / FILTERS, whole=False, content=True)
            hash_ahead(Path(word) / SESSION, whole=whole, content=content)


def repeat_lost_interrupts() -> None:
    """Raise Ctrl-C again where Python could only report it.

    A ``KeyboardInterrupt`` that reaches a finalizer or a weak reference's callback is printed as "Exception ignored in"
    and lost, and the command would go on as if nothing had been pressed.
    """
    usual = sys.unraisablehook

    def hook(lost: Any) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            usual(lost)
            return
        timer = threading.Timer(AGAIN_S, _thread.interrupt_main)
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook


def _left_with(as_json: bool) -> int:
    """Exit code of the command that was typed."""
    try:
        code = roof()(standalone_mode=False, prog_name="sweetspot") or 0
    except OutputTrouble:
        raise
    except SweetspotError as trouble:
        failed(str(trouble), trouble.exit_code, as_json=as_json)
        return trouble.exit_code
    except WrongUse as wrong:
        wrong.message = str(wrong.message).removeprefix("Value error, ")  # words of the library that checks choices
        wrong.show()
        failed(wrong.format_message(), 2, as_json=as_json, quiet=True)
        return 2
    except OSError as fault:
        if not (words := refused_by_system(fault)):
            raise
        failed(words, 2, as_json=as_json)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # typer turns Ctrl-C into this code by itself
        say("sweetspot: interrupted; results so far are kept")
    return int(code)
