"""One self-contained page on a run: read on one core while another draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from sweetspot.calibrate.report import evidence, sounds
from sweetspot.calibrate.run import changes
from sweetspot.measure.share import forked
from sweetspot.rigs.storage import alone
from sweetspot.rigs.storage import write as write_file

NAME = "report.html"

STEPS = 4
"""Progress steps of :func:`write`."""


def write(
    run: Path,
    music: Path | None = None,
    *,
    step: Callable[[str], None] = lambda note: None,
    pictures: Path | None = None,
) -> Path:
    """Build ``report.html`` of a run; see :func:`write_noting_changes`."""
    return write_noting_changes(run, music, step=step, pictures=pictures)[0]


def write_noting_changes(
    run: Path, music: Path | None = None, *, step: Callable[[str], None], pictures: Path | None = None
) -> tuple[Path, tuple[str, ...]]:
    """Build ``report.html`` of a run; the old page stays until the new one is whole.

    Parameters
    ----------
    run
        Its folder.
    music
        A stereo file whose beginning can be listened to in the page, before and after.
    step
        Called after each of :data:`STEPS`, with its name.
    pictures
        Folder for the page's pictures as PNG files of their own; ``None`` for none.

    Returns
    -------
    The page, and which files of the run changed since a later step used them (:func:`sweetspot.calibrate.run.changes`).

    Raises
    ------
    BadInput
        The session or the filterset is missing, or the page cannot be written.
    """
    with forked.streamed(partial(_read, run, music)) as read:
        from sweetspot.calibrate.report import page  # while the files are read
        from sweetspot.calibrate.report import pictures as separate

        known = next(read)
        drawn = page.draw(known, page.OF_SESSION, alone=True)
        step("measurements")
        gathered = replace(known, **next(read))
        text = page.text(gathered, run.name)
        step("verification")
        drawn |= page.draw(gathered, page.OF_VERDICT)
        step("pictures")
        content = text(drawn, next(read))
        changed = next(read)
        step("sounds")
    path = run / NAME
    with alone(run):
        write_file(path, content)
    if pictures is not None:
        separate.save(drawn, pictures)
    return path, changed


def _read(run: Path, music: Path | None) -> Iterator[Any]:
    """The evidence of a run without its verification, what of it changes with that, the sounds, and changed files."""
    known = evidence.of_session(run)
    yield known
    whole = evidence.with_verdict(run, known)
    names = [field.name for field in fields(whole)]
    yield {name: getattr(whole, name) for name in names if getattr(whole, name) is not getattr(known, name)}
    yield sounds.clips(run, music)
    yield changes(run)
