"""Names that are imported at first use: those of a sub-package's face, and functions that do a command's work."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_LISTED = re.compile(r"^    from (\S+) import (\w+) as (\w+)$", re.MULTILINE)


def lazy(package: str) -> Callable[[str], Any]:
    """The ``__getattr__`` (PEP 562) of a face: imports what its ``if TYPE_CHECKING:`` block lists, name by name.

    A face lists its names once, as imports that type checkers and readers understand; nothing is imported when the
    program starts, so that a command loads only what it uses.

    Parameters
    ----------
    package
        ``__name__`` of the face.

    Raises
    ------
    AttributeError
        On access of a name that the face does not list.
    """
    listed = names(package)

    def found(name: str) -> Any:
        if name not in listed:
            raise AttributeError(f"{package} has no public name {name!r}")
        module = listed[name]
        if module == package:
            return import_module(f"{package}.{name}")
        return getattr(import_module(module), name)

    return found


def names(package: str) -> dict[str, str]:
    """Public names of a face and the module that each is imported from."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    listed = _LISTED.findall(Path(spec.origin).read_text(encoding="utf-8"))  # a syntax tree takes four times as long
    return {name: module for module, _, name in listed if module.startswith(package)}


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function whose module need not be loaded yet.

    Parameters
    ----------
    values
        Its arguments, by name.
    """

    module: str
    name: str
    values: dict[str, Any]

    def made(self) -> Any:
        """What the function returns. No garbage is collected while its module loads."""
        was = gc.isenabled()
        gc.disable()
        module = import_module(self.module)
        if was:
            gc.freeze()  # what was loaded stays until the end: no collection need look at it
            gc.enable()
        return getattr(module, self.name)(**self.values)

    def made_ahead(self) -> Any:
        """What another core makes of the same call, see :func:`expect`; made here where it makes nothing."""
        found = next((_expected.pop(i)[1]() for i, (call, _) in enumerate(_expected) if call == self), None)
        if found is None:
            return self.made()
        expect(self, lambda: found)
        return found


_expected: list[tuple[Call, Callable[[], Any]]] = []


def expect(call: Call, answer: Callable[[], Any]) -> None:
    """Have :meth:`Call.made_ahead` wait for an answer, which is None where there is none."""
    _expected.append((call, answer))


_takes: ContextVar[Callable[[Call], Any]] = ContextVar("takes", default=Call.made)


def work(module: str, name: str, **values: Any) -> Any:
    """Do a command's work once its words are understood: call a function of a module that is loaded now.

    Members of enumerations become their values. Within :func:`handed_to` the call is only noted.
    """
    plain = {key: value.value if isinstance(value, Enum) else value for key, value in values.items()}
    return _takes.get()(Call(module, name, plain))


@contextmanager
def handed_to(calls: list[Call]) -> Iterator[list[Call]]:
    """Collect what :func:`work` would do."""
    before = _takes.set(calls.append)
    try:
        yield calls
    finally:
        _takes.reset(before)
