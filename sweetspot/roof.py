"""The command line as typer shows and reads it: mounts the rooms' commands."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from copy import copy
from functools import partial
from importlib import import_module
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperGroup
from typer.main import get_command

from sweetspot.commands import COMMANDS, rooms_of
from sweetspot.plain_values import PlainFirst
from sweetspot.rigs.progress import failed

WrongUse: type[Any] = typer.BadParameter.__mro__[1]
"""The base of every complaint about arguments; typer exports only its children."""

ROOMS = (
    "rigs",
    "measure",
    "processor",
    "processor.export.command",
    "calibrate.command",
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
        rooms = rooms_of(args)
        mounted: Any = get_command(narrowed(build(*rooms), args))
        gc.freeze()  # what was loaded stays until the end: no collection need look at it
        gc.enable()
        return name, bare_flags(getattr(mounted, "commands", {name: mounted})[name], ctx), rest

    def get_params(self, ctx: Any) -> list[Any]:
        """Options of the top level: see :func:`bare_flags`."""
        return [plain_first(without_type(option)) for option in super().get_params(ctx)]


def bare_flags(command: Any, ctx: Any) -> Any:
    """The command, whose help shows no type beside a flag: after ``--json <bool>`` one would type a value."""
    for option in (*command.params, command.get_help_option(ctx)):
        single_type(plain_first(without_type(option)))
    for inner in getattr(command, "commands", {}).values():
        bare_flags(inner, ctx)
    return command


def plain_first(option: Any) -> Any:
    """The option, whose plain values are converted without pydantic, which takes 0.1 s to load.

    Of a typer that converts them by another method it stays as it is.
    """
    if (usual := getattr(option, "get_runtime_param", None)) and "get_runtime_param" not in vars(option):
        option.get_runtime_param = partial(PlainFirst, usual)
    return option


def without_type(option: Any) -> Any:
    """The option, without a type in the help if it is a flag."""
    if getattr(option, "is_flag", False):
        option.metavar = ""
    return option


def single_type(option: Any) -> None:
    """Show the type of one value in the help of what takes several: ``<path>``, not ``<list[Path]>``."""
    described: Any = getattr(option, "type_descriptor", None)  # not a public name of typer: it may be gone
    if getattr(described, "is_list", False):
        (each,) = get_args(described.annotation)
        option.bare_type = each.__name__.lower


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


LONGEST_SHOWN = 60
"""Characters of a wrong argument that are shown."""


def explained(wrong: Any) -> str:
    """Message of a complaint about arguments, with the value, without words of the library that checks them."""
    message = str(wrong.message).removeprefix("Value error, ")
    checked: Any = getattr(wrong.__cause__, "errors", None)
    if not (checked and message.startswith("Input")):
        return message
    return f"{str(checked()[0]['input'])[:LONGEST_SHOWN]!r}: {message[0].lower()}{message[1:]}"


def typed(*, as_json: bool) -> int:
    """Do what was typed; returns the exit code, after a message where words cannot be understood.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C, by a signal or at a question.
    """
    try:
        return int(roof()(standalone_mode=False, prog_name="sweetspot") or 0)
    except WrongUse as wrong:
        wrong.message = explained(wrong)
        wrong.show()
        failed(wrong.format_message(), 2, as_json=as_json, quiet=True)
        return 2
    except typer.Abort as ended:
        raise KeyboardInterrupt from ended
