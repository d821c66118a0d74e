"""Start of matplotlib for a command's pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_docstrings() -> Iterator[None]:
    """Load matplotlib in this context without the lists of properties that it writes into its docstrings.

    They take a third of its start, and no command shows them. Once loaded, it is as always.
    """
    from matplotlib import artist

    def nothing(artist: object) -> str:
        del artist
        return ""

    lists = artist.kwdoc
    artist.kwdoc = nothing
    try:
        yield
    finally:
        artist.kwdoc = lists
