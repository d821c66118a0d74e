"""Rewriting of session files without dispensable data: raw samples, or all but the metrics of a verification."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from sweetspot.measure.session.layout import KINDS, PACKED, SCHEMA, VERIFICATION
from sweetspot.rigs.storage import Data, File, Group, built, replacing, write

RawKept = Literal["all", "rejected", "none"]
"""Which raw captures stay when a set is whole: all, those that were rejected, or none."""


def without_raw(path: Path, kept: RawKept) -> None:
    """Rewrite a session without dispensable raw samples; their metadata are kept.

    Parameters
    ----------
    kept
        Which samples stay. The file is replaced when the new one is whole.
    """
    if kept == "all":
        return
    with replacing(path) as part, File.read(path, KINDS[SCHEMA]) as old, File.create(part, KINDS[SCHEMA]) as new:
        _copied(old.root, new.root, lambda name, data: _goes(name, data, kept))


def figures_alone(path: Path, to: Path) -> None:
    """Write a verification's figures, its verdict and how it was made, without captures and responses."""
    kind = KINDS[VERIFICATION]

    def build(new: Group) -> None:
        new.attrs.update(**old.root.attrs.items())
        new.attrs["pruned"] = "captures and responses were dropped when a newer verification was made"
        for name in old.root:
            if not old.root.is_group(name):
                new.create_data(name, "".join(old.root.data(name).texts()))

    with File.read(path, kind) as old:
        write(to, built(kind, build))  # as a file that is written step by step it waits for the disk eight times more


def _goes(name: str, data: Data, kept: RawKept) -> bool:
    """Whether the samples of a data set go."""
    captured = name.startswith("/raw/") and not name.endswith("/played")
    return captured and not (kept == "rejected" and not data.attrs.get("accepted", False))


def _copied(old: Group, new: Group, goes: Callable[[str, Data], bool]) -> None:
    """Copy a group; dropped data sets keep their attributes and lose their samples."""
    new.attrs.update(**old.attrs.items())
    for name in old:
        if old.is_group(name):
            _copied(old.group(name), new.create_group(name), goes)
            continue
        data = old.data(name)
        if data.is_text:
            made = new.create_data(name, list(data.texts()))
        else:
            x = data[:]
            x = x[..., :0] if goes(data.name, data) else x
            made = new.create_data(name, x, chunks=data.chunks, **(PACKED[SCHEMA] if x.ndim > 1 else {}))
        made.attrs.update(**data.attrs.items())
