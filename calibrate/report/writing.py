"""One self-contained page on a run: read on one core while another makes its sounds; then all draw its pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sweetspot.calibrate.report import standing
from sweetspot.calibrate.run import VERIFIED, changes
from sweetspot.processor import store
from sweetspot.rigs.parallel import forked
from sweetspot.rigs.quick_start import quick_start, uncollected
from sweetspot.rigs.storage import alone, hash_ahead
from sweetspot.rigs.storage import write as write_file

if TYPE_CHECKING:
    from sweetspot.calibrate.report.sounds import Clip

NAME = "report.html"

LISTED = ("rig.toml", "session.h5", store.NAME, VERIFIED)
"""Files whose SHA-256 the page shows."""

STEPS = 4
"""Progress steps of :func:`write`."""


def write(run: Path, music: Path | None = None) -> Path:
    """Build ``report.html`` of a run; see :func:`write_noting_changes`."""
    return write_noting_changes(run, music, step=lambda note: None)[0]


def write_noting_changes(
    run: Path, music: Path | None = None, *, step: Callable[[str], None], pictures: Path | None = None
) -> tuple[Path, tuple[str, ...]]:
    """Build ``report.html`` of a run; the old page stays until the new one is whole, or if it would be the same.

    Parameters
    ----------
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
    path = run / NAME
    with alone(run):
        if pictures is None and standing.stands(run, path, music):
            for _ in range(STEPS):
                step("as it stands")
            return path, changes(run)
    before = standing.state(run)
    with uncollected(), forked.begun([partial(_beside, run, music)]) as beside:
        for name in ("session.h5", VERIFIED, store.NAME):
            hash_ahead(run / name, content=True)  # both of its hashes in one reading
        with quick_start():
            from sweetspot.calibrate.report import evidence, page, templates  # the other core is at work already
            from sweetspot.calibrate.report import pictures as separate

        known = evidence.of_session(run)
        step("measurements")
        with page.begin(known, with_figures=pictures is not None) as begun:
            gathered = evidence.with_verdict(run, known)
            values = page.values(gathered, run.name)
            step("verification")
            changed = changes(run)
            drawn = page.draw(gathered, begun, with_figures=pictures is not None)
        step("pictures")
        ((clips, program),) = beside()
        made_from = standing.sources(run, music, program)
        shown = {name: made_from["files"][name] for name in LISTED if name in made_from["files"]}
        content = templates.rendered(
            "page.html.j2", {"pictures": page.grouped(drawn), "clips": clips, "hashes": shown, **values}
        )
        step("sounds")
    if standing.state(run) == before:  # else it may be made from two states
        content = standing.stated(content, made_from)
    with alone(run):
        write_file(path, content)
    if pictures is not None:
        separate.save(drawn, pictures)
    return path, changed


def _beside(run: Path, music: Path | None) -> tuple[tuple[Clip, ...], str]:
    """What needs nothing of the evidence: sounds, and the program that the page is made by."""
    from sweetspot.calibrate.report import sounds  # while the other core reads

    return sounds.clips(run, music), standing.program()
