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
from sweetspot.rigs.names import many
from sweetspot.rigs.rig_file import Description

UNKNOWN = "unknown kind (fitted by an earlier version)"


def kind_of(run: Path, design_text: str) -> str:
    """Kind of a run fitted with a design, in words: product (by its drivers and head positions), rate, design, way of
    measuring."""
    with Session.read(run / "session.h5") as session:
        rig, estimated = session.rig(), any(session.is_estimated(name) for name in session.sets)
    design = parse(design_text, str(run / store.NAME))
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
    """Rows of runs of one kind, that of the newest run of a unit; all without ``like``.

    Parameters
    ----------
    rows
        As :meth:`sweetspot.calibrate.fleet.ledger.Ledger.figures` gives them.
    folder
        Of the table, for messages.
    like
        Serial number of a unit, or a run folder.

    Raises
    ------
    BadInput
        A unit that is not there.
    """
    if like is None:
        return list(rows)
    wanted = [row for row in rows if row["unit"] == like or Path(row["run"]) == Path(like).absolute()]
    if not wanted:
        raise BadInput(f"--like {like}: no fitted run of this unit in {folder}")
    return [row for row in rows if row["kind"] == wanted[-1]["kind"]]


def pooled(rows: Sequence[Mapping[str, Any]]) -> str:
    """Note where kinds are pooled, or several rigs of which no unit was measured on two; else empty."""
    if len({row["kind"] for row in rows}) > 1:
        kinds: dict[str, dict[str, Mapping[str, Any]]] = {}
        for row in rows:
            kinds.setdefault(row["kind"] or UNKNOWN, {})[row["run"]] = row
        each = [f"  --like {next(iter(runs.values()))['unit']}: {_described(k, runs)}" for k, runs in kinds.items()]
        return f"runs of {len(kinds)} kinds are pooled, whose spread is not that of one product; choose one:\n" + (
            "\n".join(each)
        )
    pairs = {(str(row["rig"]), str(row["unit"])) for row in rows}
    names = sorted({rig for rig, _ in pairs})
    if len(names) < 2 or len({unit for _, unit in pairs}) < len(pairs):
        return ""
    return f"runs of {len(names)} rigs are pooled ({', '.join(names)}), and no unit was measured on two of them"


def _described(kind: str, runs: Mapping[str, Mapping[str, Any]]) -> str:
    rigs = sorted({str(row["rig"]) for row in runs.values()})
    return f"{many(len(runs), 'run')}, {kind}, rig {', '.join(rigs)}"
