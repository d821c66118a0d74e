"""What ``sweetspot report`` does: the page of a run."""

from __future__ import annotations

from pathlib import Path

from sweetspot.calibrate import run
from sweetspot.calibrate.verifying import named
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.progress import result, tracked


def report(run_folder: Path, *, music: Path | None, pictures: Path | None, as_json: bool) -> None:
    """The command with its options, which are explained there."""
    page, changed = reported(run_folder, music, pictures)
    result({"report": str(page), "changed_since": named(changed)}, str(page), as_json=as_json)


def reported(here: Path, music: Path | None = None, pictures: Path | None = None) -> tuple[Path, tuple[str, ...]]:
    """The page of a run, and what changed since a later step used it.

    Raises
    ------
    BadInput
        Something to listen to is wanted of a run without ears.
    """
    if (beam := run.beam_of(here)) is not None:
        from sweetspot.calibrate.report import BEAM_STEPS, write_beam  # matplotlib is slow to import

        if music is not None:
            raise BadInput(f"--listen: {here} has no ears set for it; omit it, or measure the ears")
        with tracked("Reporting", BEAM_STEPS) as step:
            return write_beam(here, beam, step=step, pictures=pictures), run.changes(here)
    from sweetspot.calibrate.report import STEPS, write_noting_changes

    with tracked("Reporting", STEPS) as step:
        return write_noting_changes(here, music, step=step, pictures=pictures)
