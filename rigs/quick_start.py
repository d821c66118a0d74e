"""Start of matplotlib for a command's pictures, and their drawing without collections of garbage."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from typing import Any

_IN_SPACE = "mpl_toolkits.mplot3d"

_LATER = ("fontTools.agl", "PIL.ExifTags")
"""Tables that are loaded when somebody looks something up in them."""


class _Later(MetaPathFinder):
    """Finds :data:`_LATER` while it is a context."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """A module that is loaded at its first use."""
        spec = PathFinder.find_spec(name, path, target) if name in _LATER else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec

    def __enter__(self) -> None:
        sys.meta_path.insert(0, self)

    def __exit__(self, *_: object) -> None:
        sys.meta_path.remove(self)


class _Unlisted:
    """In place of what lists an artist's properties: finds none."""

    def get_setters(self) -> list[str]:
        """Names of properties."""
        return []


@contextmanager
def quick_start() -> Iterator[None]:
    """Load matplotlib in this context without the lists of properties in its docstrings and signatures, and without 3D.

    They take two fifths of its start, and no command shows or draws them; tables of names of glyphs and of photographs'
    properties, 25 ms, wait for their use. Once loaded, it is as always.
    """
    with _Later():
        from matplotlib import artist

    lists, inspector = artist.kwdoc, artist.ArtistInspector

    def listed(kind: Any) -> Any:
        return inspector(kind) if kind.__name__ == "Line2D" else _Unlisted()  # grids have the properties of lines

    artist.kwdoc, artist.ArtistInspector = lambda kind: "", listed  # type: ignore[assignment, misc]
    flat = _IN_SPACE not in sys.modules
    if flat:
        sys.modules[_IN_SPACE] = None  # type: ignore[assignment]  # its import then fails, which projections expect
    try:
        with _Later(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Unable to import Axes3D")
            yield
    finally:
        artist.kwdoc, artist.ArtistInspector = lists, inspector  # type: ignore[misc]
        if flat:
            del sys.modules[_IN_SPACE]


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage in this context, nor in copies of this process that begin in it.

    Pictures leave little. A collection would look at all that was loaded and read, and copy it in other processes: 0.15
    s of processor time of ``report``.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()  # both together make all objects old ones, which are not looked at soon
        if was:
            gc.enable()
