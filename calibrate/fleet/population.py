"""Kinds of runs: only runs of one product, sampling rate, design and way of measuring have statistics in common. Rigs
of the same kind may be pooled: the gauge's reproducibility is what they differ by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweetspot.calibrate.design import Design, parse
from sweetspot.measure.session import Session
from sweetspot.processor import store
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import Description

UNKNOWN = "fitted by an earlier version, which kept no kind (sweetspot fleet fit adds it)"


def kind_of(run: Path) -> str:
    """Kind of a fitted run, in words: product (by its drivers and head positions), rate, design, way of measuring."""
    with Session.read(run / "session.h5") as session:
        rig, estimated = session.rig(), any(session.is_estimated(name) for name in session.sets)
    design = parse(store.read_design(run), str(run / store.NAME))
    wish = "default design" if design == Design() else f"design {_short(repr(design))}"
    way = "one capture" if estimated else "full sessions"
    product = f"product {_short(repr(_product(rig)))} ({len(rig.driver)} drivers)"
    return f"{product}, {rig.fs} Hz, {wish}, {way}"


def _product(rig: Description) -> tuple[Any, ...]:
    drivers = tuple((d.name, d.at, d.band_hz) for d in rig.driver)
    return drivers, rig.ears.model_dump(include={"distance_m", "positions"}) if rig.ears else None


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def alike(rows: Sequence[Mapping[str, Any]], folder: Path, like: str | None) -> list[Mapping[str, Any]]:
    """Rows of runs of one kind: the only one, or that of the newest run of a unit.

    Parameters
    ----------
    rows
        As :meth:`sweetspot.calibrate.fleet.ledger.Ledger.figures` gives them.
    folder
        Of the table, for messages.
    like
        Serial number of a unit, or a run folder; None if all are of one kind.

    Raises
    ------
    BadInput
        Runs of several kinds without ``like``, or a unit that is not there; names the kinds.
    """
    kinds: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(row["kind"] or UNKNOWN, {})[row["run"]] = row
    if like is not None:
        wanted = [row for row in rows if row["unit"] == like or Path(row["run"]) == Path(like).absolute()]
        if not wanted:
            raise BadInput(f"--like {like}: no fitted run of this unit in {folder}")
        kind = wanted[-1]["kind"]
        return [row for row in rows if row["kind"] == kind]
    if len(kinds) < 2:
        return list(rows)
    lines = [f"  --like {next(iter(runs.values()))['unit']}: {_described(kind, runs)}" for kind, runs in kinds.items()]
    raise BadInput(
        f"{folder}: has runs of {len(kinds)} kinds, which have no statistics in common. Choose one:\n"
        + "\n".join(lines)
    )


def _described(kind: str, runs: Mapping[str, Mapping[str, Any]]) -> str:
    rigs = sorted({str(row["rig"]) for row in runs.values()})
    return f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}, {kind}, rig {', '.join(rigs)}"


def pooled(rows: Sequence[Mapping[str, Any]]) -> str:
    """Note if several rigs are pooled and no unit was measured on two of them; else empty."""
    rigs: dict[str, set[str]] = {}
    for row in rows:
        rigs.setdefault(str(row["unit"]), set()).add(str(row["rig"]))
    names = sorted(set().union(*rigs.values()))
    if len(names) < 2 or any(len(r) > 1 for r in rigs.values()):
        return ""
    return f"runs of {len(names)} rigs are pooled ({', '.join(names)}), and no unit was measured on two of them"
