"""Files beside a filter set in its run folder: the rig's current limits, and the session of the fit."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.store import located, read, read_bank
from sweetspot.rigs.acoustics import Excursion
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.progress import say
from sweetspot.rigs.rig_file import limits_of
from sweetspot.rigs.storage import file_sha256, hash_ahead, is_newer, root_text, stated
from sweetspot.rigs.units import Real, db

SLACK_DB = 0.1
"""Filters are kept in single precision, and a rig's limits in decimals."""

if TYPE_CHECKING:
    from sweetspot.processor.bank import FilterBank
    from sweetspot.rigs.protection import Protection
    from sweetspot.rigs.rig_file import DriverLimits


def within_rig(path: Path, filters: FilterSet, places: NDArray[Any] | None = None) -> tuple[FilterSet, tuple[str, ...]]:
    """Filters under the limits of the rig file beside them, and notes on changes since they were made.

    Parameters
    ----------
    path
        The filterset, or the run folder that holds it; one that was taken elsewhere has nothing beside it.
    filters
        What it holds.
    places
        Taps ``(place, program, driver, tap)`` of a bank, which are looked at as well.

    Returns
    -------
    FilterSet
        With the lower of both ceilings and SPL limits, and for each driver what its ``max_v`` and ``power_w`` leave.
    tuple of str
        One line for each change; empty where everything is as it was.

    Raises
    ------
    BadInput
        The rig file cannot be understood, or filters play below the ``band_hz`` that it gives their driver.
    """
    limited, changes = limited_by_rig(path, filters, places)
    return limited, (*changed_since(located(path), limited), *changes)


def limited_by_rig(
    path: Path, filters: FilterSet, places: NDArray[Any] | None = None
) -> tuple[FilterSet, tuple[str, ...]]:
    """The same with notes on the rig file alone: without the session's SHA-256, which takes 0.1 s."""
    beside = located(path)
    rig, changes = beside.with_name("rig.toml"), list[str]()
    if rig.is_file():
        changes += _changed_rig(rig, beside.with_name("session.h5"))
        ceiling = limits_of(rig).ceiling
        if ceiling < filters.ceiling * (1.0 - 1e-9):
            changes.append(
                f"{rig}: the ceiling is {float(db(ceiling)):.2f} dBFS now, {float(db(filters.ceiling)):.2f} dBFS in "
                f"{beside.name}; the lower one applies. Calibrate again for its headroom"
            )
            filters = replace(filters, ceiling=ceiling)
        loudest = limits_of(rig).loudest_db_spl
        if loudest < filters.loudest_db_spl < np.inf and filters.detectors.size:
            changes.append(
                f"{rig}: the SPL limit is {loudest:g} dB now, {filters.loudest_db_spl:g} dB in {beside.name}; the "
                "lower one applies. Calibrate again for filters that are limited less"
            )
            filters = filters.limited_to(loudest)
        filters = _within_drivers(beside, rig, filters, filters.taps[None] if places is None else places)
    return filters, tuple(changes)


def driver_limits(path: Path, filters: FilterSet) -> dict[int, Protection]:
    """Limits of each driver in the rig file beside filters, by row; matched by output channels.

    Raises
    ------
    BadInput
        The rig file cannot be understood.
    """
    rig = located(path).with_name("rig.toml")
    if not rig.is_file():
        return {}
    from sweetspot.rigs.protection import Protection

    rig_limits = limits_of(rig)
    there = {filters.channels.index(d.channel): d for d in rig_limits.driver if d.channel in filters.channels}
    found = {row: Protection.of(rig_limits, d) for row, d in there.items()}
    for row, driver in there.items():
        if driver.excursion_m is not None and found[row].excursion is None:
            found[row] = replace(found[row], excursion=_as_filters_do(filters.taps[:, row], filters.fs, driver))
    return found


def _as_filters_do(taps: Real, fs: int, driver: DriverLimits) -> Excursion:
    """Excursion of a driver without data sheet, in relative units: the filters' own reach is allowed.

    They were made to keep to its limit by its measured level, which no rig file has.
    """
    low, relative = driver.low_hz, Excursion(1.0, driver.low_hz, 1.0)
    left, right, centre = relative.worst(taps, fs)
    return Excursion(float(max(left + right, centre, 1e-12)), low, 1.0)


def _within_drivers(path: Path, rig: Path, filters: FilterSet, places: NDArray[Any]) -> FilterSet:
    """Filters with each driver's limit in their guard, refused if they exceed its band."""
    known = driver_limits(path, filters)
    reasons = {row: one.filter_refused(places[:, :, row], filters.fs) for row, one in known.items()}
    refused = [f"driver {known[row].name!r} (output {filters.channels[row]}): {r}" for row, r in reasons.items() if r]
    if refused:
        raise BadInput(
            f"{rig}: these filters exceed their drivers' bands: {'; '.join(refused)}. Nothing was played. "
            f"Calibrate again: sweetspot calibrate {rig.parent}"
        )
    room = {row: float(np.min(one.room_to_move(places[:, :, row], filters.fs))) for row, one in known.items()}
    tightest = min(room, key=lambda row: room[row], default=0)
    most_db = float(db(room.get(tightest, np.inf)))
    if most_db < -SLACK_DB:
        raise BadInput(
            f"{rig}: driver {known[tightest].name!r} (output {filters.channels[tightest]}): full-scale programme could "
            f"exceed its excursion_mm by {-most_db:.1f} dB. Nothing was played. Calibrate again: "
            f"sweetspot calibrate {rig.parent}"
        )
    filters = replace(filters, most_db=most_db)
    caps = tuple(min(1.0, known[row].sine) if row in known else 1.0 for row in range(len(filters.drivers)))
    return replace(filters, caps=caps) if min(caps) < filters.ceiling * (1.0 - 1e-9) else filters


def _changed_rig(rig: Path, session: Path) -> list[str]:
    """A note if the rig file differs from the session's, by SHA-256."""
    measured = root_text(session, "rig_sha256") if session.is_file() else ""
    text = rig.read_text(encoding="utf-8", errors="replace").removeprefix("\ufeff")
    if not measured or measured == hashlib.sha256(text.encode()).hexdigest():
        return []
    return [f"{rig} was changed after {session.name} was measured (SHA-256 differs): its present limits apply"]


def changed_since(filterset: Path, filters: FilterSet) -> tuple[str, ...]:
    """A note if the session beside the filters differs from their source, by SHA-256.

    One that states the checksum of their source, and is not newer than they are, is not hashed again.
    """
    session = filterset.with_name("session.h5")
    if not session.is_file() or len(filters.source) != 64:
        return ()
    if not is_newer(session, filterset) and stated(session).sha256 == filters.source_content != "":
        return ()
    if file_sha256(session) == filters.source:  # 0.1 s for 120 MB
        return ()
    return (
        f"{session} was changed after {filterset.name} was fitted to it (SHA-256 differs): "
        f"sweetspot calibrate {session.parent}",
    )


def bank_within_rig(filterset: Path) -> FilterBank:
    """The bank of a file under the rig's limits as they stand now."""
    bank = read_bank(filterset).bank
    return replace(bank, home=limited_by_rig(filterset, bank.home, bank.taps)[0])


def noted_within_rig(filterset: Path) -> tuple[FilterSet, tuple[str, ...]]:
    """A filter set under the rig's current limits, with a note on changes since it was made."""
    beside = located(filterset)
    if is_newer(session := beside.with_name("session.h5"), beside):
        hash_ahead(session)
    filters, changes = within_rig(filterset, read(filterset))
    for change in changes:
        say(f"Changed since: {change}")
    return filters, changes
