"""Command lines in plain words call a function with the arguments that the library gives it; others are left to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from typer.main import get_command

from sweetspot.command_line import ROOMS, build
from sweetspot.commands import COMMANDS
from sweetspot.plain_words import bound, parameters_of

MEANT = {
    "process": ["set.h5", "a/in.wav", "--upmix", "off", "a/out.wav", "--gain=-3.5", "--subtype", "FLOAT", "--json"],
    "play": ["--channels", "-1", "set.h5", "--amount", "+0.25", "a/in.wav", "--block=128", "--listener", "2,0.3"],
    "verify": ["a/run", "--fault", "one", "-y", "--fault=two=three", "--places", "7"],
    "fleet fit": ["a/b", "--workers", "2", "c/d"],
}

WRONG = {
    "process": [
        *(["--help"], [], ["set.h5", "in.wav", "out.wav", "more"], ["set.h5", "--unknown"], ["set.h5", "--gai", "3"]),
        *(
            ["set.h5", "--gain", "x"],
            ["set.h5", "--gain", "99"],
            ["set.h5", "--subtype", "float"],
            ["set.h5", "--gain"],
        ),
        *(["set.h5", "--json=1"], ["--", "set.h5"], ["set.h5", "--gain", "1", "--gain", "2"], ["set.h5", ""]),
    ],
    "play": [["set.h5", "--block", "16.0"], ["set.h5", "--block", "8"], ["set.h5", "-h"]],
    "measure ears": [["rig.toml"], ["rig.toml", "--unit", "T", "--overlap", "maybe"]],
    "fleet fit": [[]],
}
"""What only the library answers to."""


@pytest.fixture(scope="module")
def commands() -> dict[str, tuple[typer.Typer, list[Any]]]:
    """The command line of each first word as it is loaded, with a list for the arguments of the last call."""
    return {name: recorded(build(*command.rooms)) for name, command in COMMANDS.items()}


def recorded(app: typer.Typer) -> tuple[typer.Typer, list[Any]]:
    calls: list[Any] = []

    def recorder(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def record(**values: Any) -> None:
            calls[:] = [(function.__qualname__, sorted(values.items()))]

        return record

    replace(app, recorder)
    return app, calls


def replace(app: typer.Typer, recorder: Callable[..., Any]) -> None:
    for command in app.registered_commands:
        command.callback = recorder(command.callback)
    for group in app.registered_groups:
        assert group.typer_instance
        replace(group.typer_instance, recorder)


def every(app: typer.Typer, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    """First words and function of all commands."""
    for command in app.registered_commands:
        yield [*path, str(command.name)], command.callback
    for group in app.registered_groups:
        assert group.typer_instance
        yield from every(group.typer_instance, [*path, str(group.name)])


def every_word(function: Callable[..., Any], among: range) -> list[str]:
    """Words for what has to be given, and for each of ``among`` of the others."""
    words: list[str] = []
    for i, parameter in enumerate(parameters_of(function)):
        if parameter.default is Parameter.empty or i in among:
            value = [] if parameter.kind is bool else [sample(parameter, i)]
            words += [*parameter.options[-1:], *value, *(value if parameter.many and not parameter.options else [])]
    return [word for word in words if word != "--keys"]  # which prints


def sample(parameter: Any, i: int) -> str:
    kind, low = parameter.kind, parameter.info.min
    if kind in (str, Path):
        return "some words" if kind is str else f"a/b{i}.c"
    if kind in (int, float):
        return str(kind(3 if low is None else low))
    choices = get_args(kind) or [each.value for each in kind]
    return str(choices[i % len(choices)])


def same_to_both(app: typer.Typer, calls: list[Any], words: list[str]) -> None:
    calls.clear()
    get_command(app)(words, standalone_mode=False)
    theirs = list(calls)
    assert len(theirs) == 1
    calls.clear()
    plain = bound(app, words)
    assert plain, f"{words}: not bound"
    plain()
    assert calls == theirs
    assert repr(calls) == repr(theirs), "types are the same, too"


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("among", [range(0), range(99), range(0, 99, 2), range(1, 99, 2)])
def test_all_that_a_command_takes_means_what_it_means_to_the_library(
    commands: dict[str, tuple[typer.Typer, list[Any]]], name: str, among: range
) -> None:
    app, calls = commands[name]
    for path, function in every(app, []):
        same_to_both(app, calls, [*path, *every_word(function, among)])


@pytest.mark.parametrize("name", MEANT)
def test_plain_words_mean_what_they_mean_to_the_library(
    commands: dict[str, tuple[typer.Typer, list[Any]]], name: str
) -> None:
    same_to_both(*commands[name.split()[0]], [*name.split(), *MEANT[name]])


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, each in WRONG.items() for words in each])
def test_what_is_not_plain_is_left_to_the_library(
    commands: dict[str, tuple[typer.Typer, list[Any]]], name: str, words: list[str]
) -> None:
    assert bound(commands[name.split()[0]][0], [*name.split(), *words]) is None


def test_every_room_is_asked_about() -> None:
    assert {room for command in COMMANDS.values() for room in command.rooms} == set(ROOMS)


def test_a_plain_command_line_loads_nothing_that_checks_words() -> None:
    code = (
        "import sys; sys.argv = ['sweetspot', 'process', 'none.h5', 'in.wav', 'out.wav']\n"
        "from sweetspot.command_line import _left_with\n"
        "print(_left_with(False), 'pydantic' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n", done.stderr


def test_what_a_function_finds_wrong_is_shown_with_the_usage() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sweetspot", "rig", "check", "desk", "--set", "nose"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Usage: sweetspot rig check" in done.stderr
    assert "'nose': there are ears and polar" in done.stderr
