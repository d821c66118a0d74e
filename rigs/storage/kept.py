"""What takes long to make and follows from its sources: kept on disk, beside the source or in the user's cache."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage.atomic import discard, write


class Kept:
    """Bytes on disk, in the ``__pycache__`` of their first source or else in the user's cache.

    They are taken only with their own checksum, and only for the same wish and text of the sources.

    Parameters
    ----------
    what
        What is wanted, with everything that it depends on besides the sources.
    sources
        The files that make it: another text of one of them makes other bytes.
    name
        Of the file, with ``{}`` in the place of the key.
    """

    def __init__(self, what: str, sources: tuple[Path, ...], name: str = "kernel-{}.o") -> None:
        key = hashlib.sha256(_text(sources) + what.encode()).hexdigest()[:40]
        cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
        self._paths = [folder / name.format(key) for folder in (sources[0].parent / "__pycache__", cache / "sweetspot")]

    def read(self) -> bytes | None:
        """The bytes, if they were kept and are whole."""
        for path in self._paths:
            with suppress(OSError):
                with path.open("rb", buffering=0) as file:
                    checksum, data = file.read(32), file.read()
                if hashlib.sha256(data).digest() == checksum:
                    return data
        return None

    def write(self, made: bytes) -> bytes:
        """Keep the bytes in the first place that can be written, or nowhere; returns them."""
        for path in self._paths:
            with suppress(OSError, BadInput):
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, hashlib.sha256(made).digest() + made)
                break
        return made

    def drop_others(self, pattern: str) -> None:
        """Remove files of other keys: what earlier texts of the sources made."""
        for path in self._paths:
            with suppress(OSError):
                for other in path.parent.glob(pattern):
                    if other != path:
                        discard(other)


@lru_cache(maxsize=4)
def _text(sources: tuple[Path, ...]) -> bytes:
    """The files one after the other; the last are kept, since much follows from the same."""
    return b"".join(path.read_bytes() for path in sources)


def kept_array(name: str, what: str, sources: tuple[Path, ...], make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """A read-only array as kept on disk, or else made now; the one that earlier sources made is removed.

    Parameters
    ----------
    name
        Of the file, without its ending: one for each array.
    what, sources
        See :class:`Kept`.
    """
    kept = Kept(what, sources, f"{name}-{{}}.npy")
    if (data := kept.read()) is None:
        out = io.BytesIO()
        np.save(out, np.ascontiguousarray(make()), allow_pickle=False)
        data = kept.write(out.getvalue())
        kept.drop_others(f"{name}-*.npy")
    head = io.BytesIO(data)
    np.lib.format.read_magic(head)
    shape, _, kind = np.lib.format.read_array_header_1_0(head)
    return np.frombuffer(data, kind, offset=head.tell()).reshape(shape)  # a third of the time of another copy
