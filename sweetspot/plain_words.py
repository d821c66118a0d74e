"""Command lines in plain words, bound to their function without the library that checks words: 60 ms of a start.

What is not plain is not bound: help, completion, a word that is missing, unknown or wrong. The library parses it then,
and writes the message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from inspect import Parameter, signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from typer import Typer
from typer.models import ArgumentInfo, OptionInfo

KNOWN = {"default", "param_decls", "callback", "min", "max", "is_eager", "help", "metavar", "hidden"}
"""Properties of a parameter that are understood here or only shown; the others have to be the library's own."""

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


class NotPlain(Exception):
    """A command line that this file leaves to the library."""


@dataclass(frozen=True, slots=True)
class Word:
    """One parameter of a command.

    Parameters
    ----------
    name
        Of the function's argument.
    kind
        Type of the value, or of each of them.
    many
        Whether it is a list.
    options
        Its names on the command line; none for what is known by its place.
    default
        Without it; ``Parameter.empty`` if it has to be given.
    info
        What the library is told of it.
    """

    name: str
    kind: Any
    many: bool
    options: tuple[str, ...]
    default: Any
    info: Any

    def value(self, given: list[str]) -> Any:
        """Of the words that were given for it."""
        if not given:
            if self.default is Parameter.empty:
                raise NotPlain
            return self._checked(self.default)
        if len(given) > 1 and not self.many:
            raise NotPlain
        values = [True if self.kind is bool else self._read(word) for word in given]
        return self._checked(values if self.many else values[0])

    def _checked(self, value: Any) -> Any:
        callback = self.info.callback
        if callback is None:
            return value
        if len(signature(callback).parameters) != 1:
            raise NotPlain
        return callback(value)

    def _read(self, word: str) -> Any:
        if self.kind is str:
            return word
        if self.kind is Path:
            return _path(word)
        if self.kind in (int, float):
            return self._number(word)
        choices = get_args(self.kind) if get_origin(self.kind) is Literal else [each.value for each in self.kind]
        if word not in choices:
            raise NotPlain
        return word if get_origin(self.kind) is Literal else self.kind(word)

    def _number(self, word: str) -> Any:
        if not NUMBER.fullmatch(word) or (self.kind is int and "." in word):
            raise NotPlain
        value, low, high = self.kind(word), self.info.min, self.info.max
        if (low is not None and value < low) or (high is not None and value > high):
            raise NotPlain
        return value


def bound(app: Typer, words: list[str]) -> Callable[[], Any] | None:
    """The function that a plain command line calls, with its arguments; ``None`` for any other command line.

    Callbacks of arguments, which may raise errors of their own, are called here.
    """
    if os.name == "nt" or any(name.endswith("_COMPLETE") for name in os.environ):  # where words are expanded, completed
        return None
    try:
        function, rest = _command(app, words)
        parameters = list(parameters_of(function))
        given = _sorted(parameters, rest)
        eager_first = sorted(parameters, key=lambda p: not p.info.is_eager)
        return partial(function, **{p.name: p.value(given[p.name]) for p in eager_first})
    except NotPlain:
        return None


def _command(app: Typer, words: list[str]) -> tuple[Callable[..., Any], list[str]]:
    """The function that a command line names, and the words that are left for it."""
    if not words or app.registered_callback:
        raise NotPlain
    for command in reversed(app.registered_commands):
        if command.name == words[0] and command.callback and not command.context_settings:
            return command.callback, words[1:]
    for group in reversed(app.registered_groups):
        if group.name == words[0] and group.typer_instance:
            return _command(group.typer_instance, words[1:])
    raise NotPlain


def parameters_of(function: Callable[..., Any]) -> Iterator[Word]:
    """Of a command, as far as all of them are plain."""
    for name, parameter in signature(function, eval_str=True).parameters.items():
        if get_origin(parameter.annotation) is not Annotated:
            raise NotPlain
        kind, *notes = get_args(parameter.annotation)
        if len(notes) != 1 or type(notes[0]) not in (OptionInfo, ArgumentInfo):
            raise NotPlain
        info, usual = notes[0], vars(type(notes[0])())
        if any(value != usual[key] for key, value in vars(info).items() if key not in KNOWN):
            raise NotPlain
        options = tuple(str(o) for o in (info.default, *(info.param_decls or ()))) if type(info) is OptionInfo else ()
        kind, many = _kind(kind)
        word = Word(name, kind, many, options, parameter.default, info)
        if not all(re.fullmatch("--?[a-z0-9-]+", o) for o in options) or not _fits(word):
            raise NotPlain
        yield word


def _kind(annotation: Any) -> tuple[Any, bool]:
    """Type of each value, and whether there is a list of them."""
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        if len(kinds) != 1:
            raise NotPlain
        annotation = kinds[0]
    return (get_args(annotation)[0], True) if get_origin(annotation) is list else (annotation, False)


def _fits(word: Word) -> bool:
    """Whether the type is known here; a switch is off without one of its names."""
    if word.kind is bool:
        return bool(word.options) and word.default is False
    if isinstance(word.info, OptionInfo) and not word.options:
        return False
    chosen = get_origin(word.kind) is Literal or (isinstance(word.kind, type) and issubclass(word.kind, Enum))
    return word.kind in (str, Path, int, float) or chosen


def _sorted(parameters: list[Word], words: list[str]) -> dict[str, list[str]]:
    """The words of each parameter, by its name or place."""
    given: dict[str, list[str]] = {p.name: [] for p in parameters}
    named, placed = {option: p for p in parameters for option in p.options}, list[str]()
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            placed.append(word)
            continue
        option, sign, value = word.partition("=")
        parameter = named.get(option)
        if parameter is None or (sign and (parameter.kind is bool or not option.startswith("--"))):
            raise NotPlain
        if parameter.kind is not bool and not sign and (value := next(rest, "")) == "":
            raise NotPlain
        given[parameter.name].append(value)
    places = [p for p in parameters if not p.options]
    for i, parameter in enumerate(places):
        last = len(placed) if parameter.many and i == len(places) - 1 else i + 1
        given[parameter.name] += placed[i:last]
        placed[i:last] = [""] * len(placed[i:last])
    if any(placed) or "" in words:
        raise NotPlain
    return given


def _path(word: str) -> Path:
    """A path; one that is there and cannot be read is the library's to refuse."""
    if os.path.exists(word) and not os.access(word, os.R_OK):
        raise NotPlain
    return Path(word)
