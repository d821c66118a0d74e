"""Location of a run: by its folder, or by a unit's folder or serial number for its latest run."""

from __future__ import annotations

import re
from pathlib import Path

from sweetspot.rigs.errors import BadInput

SESSION = "session.h5"
RUNS = Path("runs")
"""Where runs are kept by default."""


STARTED = re.compile(r"\d{8}T\d{6}Z")
"""How the name of a run folder begins."""


def runs_of(unit: Path) -> list[Path]:
    """Run folders of a unit's folder, the oldest first: their names begin with the time of their start."""
    return sorted(p.parent for p in unit.glob(f"*/{SESSION}"))


def templates_alone(run: Path) -> bool:
    """Whether a run holds localisation templates of a head, and nothing of a unit."""
    from sweetspot.rigs.storage import names_in  # slow to import: h5py

    return names_in(run / SESSION, "raw") == ("templates",)


def located(run: Path) -> Path:
    """The run folder that is meant by a path or a serial number.

    A path that is itself a run, or any other file or folder that is there, is taken as it stands. A run of templates
    alone is a unit's latest only if it has no other.

    Raises
    ------
    BadInput
        A folder that holds units, not runs: names them. A serial number that has no run.
    """
    if run.is_file() or (run / SESSION).is_file():
        return run
    unit = run if run.is_dir() else RUNS / run if len(run.parts) == 1 else run
    if found := runs_of(unit):
        _check_one_unit(unit, found)
        return next((run for run in reversed(found) if len(found) == 1 or not templates_alone(run)), found[-1])
    if units := sorted(p.parent.parent.name for p in unit.glob(f"*/*/{SESSION}")):
        names = list(dict.fromkeys(units))
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        raise BadInput(f"{run}: holds the runs of {len(names)} units; name one of them: {', '.join(names[:8])}{more}")
    if not run.exists() and len(run.parts) == 1 and not run.suffix:
        known = sorted({p.parent.parent.name for p in RUNS.glob(f"*/*/{SESSION}")})
        listed = f" (there: {', '.join(known[:8])}{', ...' if len(known) > 8 else ''})" if known else ""
        raise BadInput(
            f"{run}: no such file or folder, and no unit of that serial number has a run in {RUNS}{listed}. "
            f"Measure one: sweetspot measure ears RIG --unit {run}"
        )
    return run


def maybe_located(run: Path | None) -> Path | None:
    """:func:`located` for an option that may be left out."""
    return None if run is None else located(run)


def _check_one_unit(folder: Path, found: list[Path]) -> None:
    """Refuse a folder whose latest run cannot be known: of several units, or not named by the time of its start.

    Raises
    ------
    BadInput
        Names some of its runs.
    """
    if len(found) == 1:
        return
    from sweetspot.rigs.storage import unit_in  # slow to import: h5py

    names = ", ".join(run.name for run in found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
    if unnamed := [run.name for run in found if not STARTED.match(run.name)]:
        raise BadInput(
            f"{folder}: holds {len(found)} runs, of which the latest is not known: the name of {unnamed[0]!r} does not "
            f"begin with its time (20261231T235959Z-RIG); name one of them: {names}"
        )
    units = sorted({unit_in(run / SESSION) for run in found} - {""})
    if len(units) > 1:
        raise BadInput(
            f"{folder}: holds runs of {len(units)} units ({', '.join(units[:8])}); name one of them: {names}"
        )


def begun(run: Path) -> Path:
    """The run that a path or a serial number means where any set counts: of a unit the latest, templates included."""
    found = located(run)
    return found if found == run else runs_of(found.parent)[-1]
