"""Values of plain words: numbers, names and paths that need no library to check them, which takes 0.1 s to load."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

NUMBER = {int: re.compile(r"-?\d{1,15}", re.ASCII), float: re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)}


class PlainFirst:
    """Converts a parameter's value in the place of typer's own object, which is asked where the value is not plain.

    Parameters
    ----------
    usual
        Gives typer's own.
    """

    def __init__(self, usual: Callable[[], Any]) -> None:
        self._usual = usual

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value that the command gets; typer raises for one that cannot be used."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        described = param.type_descriptor
        try:
            return plain(value, described.annotation, described.parameter_info)
        except ValueError:
            return self._usual().coerce(value, param=param, ctx=ctx)


def plain(value: Any, kind: Any, given: Any) -> Any:
    """What typer makes of a value for a parameter of a kind, with its limits.

    Raises
    ------
    ValueError
        Only typer knows.
    """
    if get_origin(kind) is list and isinstance(value, list | tuple):
        return [plain(each, get_args(kind)[0], given) for each in value]
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        return tuple(plain(each, of, given) for each, of in zip(value, get_args(kind), strict=True))
    if not isinstance(kind, type) or not isinstance(value, str | kind) or isinstance(value, bool) or given.parser:
        raise ValueError
    if kind is str:
        return value
    if kind is Path:
        return _path(value, given)
    if issubclass(kind, Enum):
        return value if isinstance(value, kind) else _member(value, kind)
    return _number(value, kind, given)


def _member(word: Any, kind: type[Enum]) -> Enum:
    for member in kind:
        if str(member.value) == word:
            return member
    raise ValueError


def _path(word: Any, given: Any) -> Path:
    path = Path(word)
    asked = given.exists or given.writable or given.resolve_path or given.allow_dash or given.path_type
    if asked or not (given.file_okay and given.dir_okay) or (os.path.exists(path) and not os.access(path, os.R_OK)):
        raise ValueError
    return path


def _number(value: Any, kind: Any, given: Any) -> Any:
    if kind not in NUMBER or given.clamp or (isinstance(value, str) and not NUMBER[kind].fullmatch(value)):
        raise ValueError
    number = kind(value)
    if (given.min is not None and number < given.min) or (given.max is not None and number > given.max):
        raise ValueError
    return number
