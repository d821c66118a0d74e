"""Plain words become the values that typer makes of them, without the library that it loads for that."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command

from sweetspot.plain_values import PlainFirst, plain
from sweetspot.roof import build

WORDS = (
    "",
    "0",
    "-0",
    "007",
    "1",
    "-3",
    "0.5",
    "-12.25",
    "1e3",
    "1_0",
    " 1",
    "nan",
    "inf",
    "99999",
    "-99999",
    "1.",
    ".5",
)
WORDS += ("123456789012345678901234567890", "\u0661", "true", "pca", "PCA", "PCM_16", "pcm_16", "off", "a,b", "/", ".")
WORDS += ("/nowhere/at all", "a" * 300, "no\u00e9l.wav", "-")


class Colour(Enum):
    RED, ONE = "red", 1


def of_every_kind(
    path: Path,
    there: Annotated[Path, typer.Option(exists=True)] = Path("/"),
    folder: Annotated[Path, typer.Option(file_okay=False)] = Path("/"),
    real: Annotated[float | None, typer.Option(min=-12.0, max=1.0)] = None,
    held: Annotated[int, typer.Option(min=0, max=5, clamp=True)] = 1,
    whole: int = 5,
    colour: Colour = Colour.RED,
    any_case: Annotated[Colour, typer.Option(case_sensitive=False)] = Colour.RED,
    several: list[int] | None = None,
    pair: tuple[float, str] = (0.0, ""),
    parsed: Annotated[str, typer.Option(parser=repr)] = "1",
    text: str = "",
    *,
    truth: bool = False,
) -> None:
    """Parameters whose kinds, limits or checks no command may have yet."""


def parameters(command: Any) -> Iterator[Any]:
    for inner in getattr(command, "commands", {}).values():
        yield from parameters(inner)
    yield from command.params


def both(option: Any, value: Any) -> tuple[Any, Any]:
    """What plain rules and typer make of a value; a message for what cannot be used."""
    found: list[Any] = []
    for make in (
        lambda: plain(value, option.type_descriptor.annotation, option.type_descriptor.parameter_info),
        lambda: option.get_runtime_param().coerce(value, param=option, ctx=None),
    ):
        try:
            found.append(make())
        except (ValueError, typer.BadParameter) as wrong:
            found.append(wrong)
    return found[0], found[1]


def test_plain_values_are_typers(tmp_path: Path) -> None:
    one = typer.Typer()
    one.command()(of_every_kind)
    (tmp_path / "file").touch()
    known = 0
    for option in (*parameters(get_command(build())), *parameters(get_command(one))):
        several = (["1", "2"], ("0.5", "a"), [], option.default)
        for value in (*WORDS, str(tmp_path), str(tmp_path / "file"), *several):
            ours, usual = both(option, value)
            if not isinstance(ours, ValueError) and value is not None:
                assert (type(ours), repr(ours)) == (type(usual), repr(usual)), (option.name, value)
                known += 1
    assert known > 1000


@pytest.mark.parametrize("value", ["99", "loud", "1e3"])
def test_other_values_are_left_to_typer(value: str) -> None:
    one = typer.Typer()
    one.command()(of_every_kind)
    (option,) = (o for o in get_command(one).params if o.name == "real")
    given = PlainFirst(option.get_runtime_param)
    with pytest.raises(typer.BadParameter) as wrong:
        given.coerce(value, option, None)
    with pytest.raises(typer.BadParameter) as usual:
        option.get_runtime_param().coerce(value, param=option, ctx=None)
    assert str(wrong.value) == str(usual.value)


@pytest.mark.parametrize("line", ["--version", "process . in.wav out.wav --gain -3 --upmix pca --split"])
def test_commands_of_plain_words_load_no_pydantic(line: str) -> None:
    asked = (
        "import sys; from sweetspot.roof import typed; from sweetspot.rigs.faces import handed_to\n"
        f"sys.argv = ['sweetspot', *{line!r}.split()]\n"
        "with handed_to([]): typed(as_json=False)\n"
        "assert 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", asked], check=True)


@pytest.mark.parametrize("module", ["rigs.portaudio", "processor.processing", "processor.export.command.cli"])
def test_modules_of_commands_that_read_no_rig_file_load_no_pydantic(module: str) -> None:
    asked = f"import sys, sweetspot.{module}; assert 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", asked], check=True)
