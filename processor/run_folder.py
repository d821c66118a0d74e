"""What lies beside a filter set in its run folder: the rig's ceiling as it stands now, and what it was fitted to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.store import located
from sweetspot.rigs.storage import file_sha256
from sweetspot.rigs.units import db


def within_rig(path: Path, filters: FilterSet) -> tuple[FilterSet, tuple[str, ...]]:
    """Filters under the ceiling of the rig file beside them, and what changed since they were made.

    Parameters
    ----------
    path
        The filterset, or the run folder that holds it; one that was taken elsewhere has nothing beside it.
    filters
        What it holds.

    Returns
    -------
    FilterSet
        With the lower of both ceilings.
    tuple of str
        One line for each change; empty where everything is as it was.

    Raises
    ------
    BadInput
        The rig file cannot be understood.
    """
    beside = located(path)
    rig, changes = beside.with_name("rig.toml"), list(changed_since(beside, filters))
    if rig.is_file():
        from sweetspot.rigs.rig_file import limits_of  # the rig's tables take longer to import than a file to find

        ceiling = limits_of(rig).ceiling
        if ceiling < filters.ceiling * (1.0 - 1e-9):
            changes.append(
                f"{rig}: the ceiling is {float(db(ceiling)):.2f} dBFS now, {float(db(filters.ceiling)):.2f} dBFS in "
                f"{beside.name}; the lower one holds. Calibrate again for its headroom"
            )
            filters = replace(filters, ceiling=ceiling)
    return filters, tuple(changes)


def changed_since(filterset: Path, filters: FilterSet) -> tuple[str, ...]:
    """What differs from what the filters name as their source: the session beside them, by SHA-256."""
    session = filterset.with_name("session.h5")
    if not session.is_file() or len(filters.source) != 64 or file_sha256(session) == filters.source:
        return ()
    return (
        f"{session} was changed after {filterset.name} was fitted to it (SHA-256 differs): "
        f"sweetspot calibrate {session.parent}",
    )
