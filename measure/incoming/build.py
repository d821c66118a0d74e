"""A run from imported sets: a rig file and a session, with unknown properties marked as unknown."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from sweetspot.measure import folder, plan
from sweetspot.measure.impulse import POSITION, ImpulseResponse, elevations_deg, snr_db
from sweetspot.measure.incoming import rig_text
from sweetspot.measure.incoming.imported_set import ImportedSet, estimated_errors, judged_band, timed
from sweetspot.measure.judge import Closure
from sweetspot.measure.session import Session
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import many
from sweetspot.rigs.rig_file import Description, parse
from sweetspot.rigs.units import Float, speed_of_sound


def imported(
    sets: list[ImportedSet],
    origin: str,
    serial: str,
    now: datetime,
    *,
    runs: Path,
    run: Path | None = None,
    rig: Description | None = None,
) -> tuple[Path, tuple[str, ...]]:
    """Write imported sets into a run.

    Parameters
    ----------
    origin
        Where they come from, in words.
    run
        Add to this one; ``None`` makes a new one.
    rig
        The rig that they belong to; ``None`` takes the run's, or writes one from what is known.

    Returns
    -------
    The run's folder, and a sentence for each thing that is unknown or was assumed.

    Raises
    ------
    BadInput
        The sets do not fit each other, the rig or the run.
    """
    _agree(sets)
    where = Path(origin).name
    if run is not None:
        with Session.read(folder.session_file(run)) as session:
            rig = rig or session.rig()
    rig = rig or _came_along(sets)
    sets = [_scored(_as_in_rig(s, rig), rig) for s in sets]
    if rig is None:
        text = rig_text.of([_sorted(s) for s in sets], where)
        rig = parse(text, folder=Path.cwd(), where="the rig file of the import")
    ready = [_ready(s, rig) for s in sets]
    if run is not None:
        folder.check_same(run, serial, rig)
    chosen = run or folder.new(runs, serial, rig, now)
    with Session.resume(folder.session_file(chosen)) as session:
        for found, ir, stderr in ready:
            session.put(found.kind, ir, stderr, where, found.closure if _is_closure(found.closure) else "")
    estimated = tuple(
        f"{found.kind}: no repeats; the noise was estimated from the ends of the responses"
        for found, _, _ in ready
        if found.errors is None
    )
    silent = tuple(f"{s.kind}: {one}, which calibrate refuses" for s, _, _ in ready for one in s.silent[:1])
    level = tuple(f"{s.kind}: the level is not known in pascal" for s, _, _ in ready if s.unit != "Pa/FS")
    return chosen, (*(n for s, _, _ in ready for n in s.notes), *estimated, *silent, *level)


SAME_M, SAME_DEG = 0.005, 0.5
"""Largest differences, m and degrees, of a position from the one in the rig file that it is taken for."""

CORRECTED = re.compile(r"^\s*calibration\s*=.*$", re.MULTILINE)
"""Comment for a microphone without file: imported responses are already corrected."""


def _came_along(sets: list[ImportedSet]) -> Description | None:
    """The rig that the sets were measured with, if its text came with them and fits them."""
    texts = {s.rig_text for s in sets if s.rig_text}
    if len(texts) != 1:
        return None
    text = CORRECTED.sub("# calibration: already applied to the measurements", texts.pop())
    try:
        rig = parse(text, folder=Path.cwd(), where="the imported rig file")
    except BadInput:
        return None
    return rig if all(set(s.drivers) == set(rig.driver_names) and s.fs == rig.fs for s in sets) else None


def _as_in_rig(found: ImportedSet, rig: Description | None) -> ImportedSet:
    """An ears set at the positions of a rig file in its order, in which a verification visits them; of positions whose
    use the files do not state, it is the rig's. Other sets stay as they are."""
    if found.kind == "ears" and rig is not None and rig.ears is not None:
        known = np.array([row for _, row in plan.places(rig, "ears")], dtype=POSITION)
        at, there = (np.stack([p[k] for k in ("x", "y", "z", "yaw_deg")], axis=1) for p in (found.positions, known))
        apart = np.abs(at[None] - there[:, None]) / np.array([SAME_M, SAME_M, SAME_M, SAME_DEG])  # (rig's, found)
        order = np.argmin(apart.max(axis=2), axis=1)
        if sorted(order) == list(range(len(at))) and apart.max(axis=2).min(axis=1).max() < 1.0:
            positions = found.positions[order]
            positions["use"] = known["use"] if found.chosen else positions["use"]
            errors = None if found.errors is None else found.errors[order]
            notes = tuple(note for note in found.notes if note != found.chosen)
            return replace(found, h=found.h[order], positions=positions, errors=errors, notes=notes)
    return found


def _scored(found: ImportedSet, rig: Description | None) -> ImportedSet:
    """An ears set with scoring positions: if it has none, its positions are repeated as such.

    Filters are then predicted where they were fitted, which makes them look too good; a note states it. A rig that has
    as many positions as the set decides by itself.
    """
    uses = found.positions["use"]
    if found.kind != "ears" or (uses == b"score").any() or not (uses == b"design").any():
        return found
    if rig is not None and rig.ears is not None and len(rig.ears.positions) == len(found.positions):
        return found
    again = np.flatnonzero(uses == b"design")
    rows = np.concatenate([np.arange(len(uses)), again])
    positions = found.positions[rows]
    positions["use"][len(uses) :] = b"score"
    places = "the only head position" if len(again) == 1 else f"all {len(again)} head positions"
    note = (
        f"{places}: used for both design and scoring; predicted metrics are those of the fitted position, so they are "
        f"optimistic; import a second position, or verify"
    )
    errors = None if found.errors is None else found.errors[rows]
    return replace(found, h=found.h[rows], positions=positions, errors=errors, notes=(*found.notes, note))


def _is_closure(text: str) -> bool:
    try:
        return bool(text) and isinstance(Closure(**json.loads(text)).error_db, float)
    except (TypeError, ValueError):
        return False


def _agree(sets: list[ImportedSet]) -> None:
    first = sets[0]
    for other in sets[1:]:
        if other.fs != first.fs:
            raise BadInput(f"{first.kind} at {first.fs} Hz and {other.kind} at {other.fs} Hz: one rate is needed")
        if set(other.drivers) != set(first.drivers):
            raise BadInput(
                f"{first.kind} has drivers {', '.join(first.drivers)}, {other.kind} {', '.join(other.drivers)}: the "
                f"names must match"
            )


def _ready(found: ImportedSet, rig: Description) -> tuple[ImportedSet, ImpulseResponse, Float]:
    """A set in the order of its rig, timed, with its standard errors."""
    found = _sorted(found)
    if found.fs != rig.fs:
        raise BadInput(f"{found.kind} at {found.fs} Hz, rig {rig.name!r} at {rig.fs} Hz: resample one of them")
    if set(found.drivers) != set(rig.driver_names):
        raise BadInput(
            f"{found.kind} has drivers {', '.join(found.drivers)}; rig {rig.name!r} {', '.join(rig.driver_names)}"
        )
    order = [found.drivers.index(d) for d in rig.driver_names]
    errors = None if found.errors is None else found.errors[:, :, order]
    found = replace(found, h=found.h[:, :, order], drivers=rig.driver_names, errors=errors)
    if found.kind == "ears" and rig.ears and len(rig.ears.positions) != len(found.positions):
        raise BadInput(
            f"{many(len(found.positions), 'head position')} in the import; rig {rig.name!r} has "
            f"{len(rig.ears.positions)}: leave those in ears.positions that were measured, in their order, or import "
            "without --rig (one is made from the files)"
        )
    found = timed(found, speed_of_sound(rig.environment.temperature_c))
    band = judged_band(found)
    stderr = estimated_errors(found.h, found.zero or 0, found.step) if found.errors is None else found.errors
    snr = snr_db(found.h, stderr, found.fs, band)
    ir = ImpulseResponse(
        found.h,
        found.fs,
        positions=found.positions,
        mics=found.mics,
        drivers=found.drivers,
        zero=found.zero or 0,
        unit=found.unit,
        snr_db=snr,
        band=band,
    )
    return found, ir, stderr


def _sorted(found: ImportedSet) -> ImportedSet:
    """A polar set as a rig measures it: rings from the device's plane on, each in the order of its angles."""
    if found.kind != "polar":
        return found
    around = (found.positions["azimuth_deg"] + 180.0 + 1e-6) % 360.0
    up = np.round(elevations_deg(found.positions))
    rows = np.lexsort((around, up, np.abs(up)))
    errors = None if found.errors is None else found.errors[rows]
    return replace(found, h=found.h[rows], positions=found.positions[rows], errors=errors)
