"""Faults of the ``[lab]`` tables that involve several keys: parts outside the room, or that do not fit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sweetspot.rigs.acoustics import WALLS, eyring
from sweetspot.rigs.layout import turned
from sweetspot.rigs.rig_file.lab_tables import BodyTable, Lab, RoomTable
from sweetspot.rigs.rig_file.table import read_or_default, sub_table, tables_in
from sweetspot.rigs.rig_file.tables import EarsTable, HeadPosition, Polar, Reference
from sweetspot.rigs.units import ROOM_SPEED, Float

MARGIN_M = 0.1
"""How near a head or microphone may come to a wall, m: about a head's radius."""

LONGEST_S = 4.0
"""Longest reverberation time that the lab computes, s."""

SIZES = 1.25
"""Within which ratio of a sphere's radius drivers still lie on it."""

COMPACT_M = 0.15
"""Up to that distance from the middle drivers that are equally far are taken to sit on one round body, m."""

FLAT = 0.25
"""Largest ratio of depth to width of drivers that count as a line."""


def lab_faults(table: Mapping[str, Any]) -> Iterator[str]:
    """One line for each fault in the raw file; faults of the schema are skipped here."""
    lab = sub_table(table, "lab")
    yield from _body(table, lab)
    room = sub_table(lab, "room")
    if not room:
        return
    yield from _walls(room)
    size, device = _numbers(room.get("size_m"), 3), _numbers(room.get("device_m"), 3)
    if size is None or device is None:
        return
    yield from _inside(size, "lab.room.device_m", device, _reach(table, lab), "the device")
    facing = read_or_default(room, RoomTable, "facing_deg")
    if isinstance(facing, int | float):
        text: dict[str, list[str]] = {}
        for key, place, what in _places(table):
            at = device + turned([*place, 0.0], math.radians(facing))
            text.setdefault(what, []).extend(_inside(size, key, at, MARGIN_M, what))
        for first, *more in filter(None, text.values()):
            yield f"{first}; so are {len(more)} more of its places" if more else first


def with_body(table: dict[str, Any]) -> dict[str, Any]:
    """The raw file with a default body that fits its drivers, if it has none.

    Drivers that lie on the sphere of 17.5 cm keep it, other compact ones get a sphere of their size; drivers farther
    out are pistons in baffles of their own, which face ahead where they stand in a line and outward else. Without this
    they would all be moved onto the sphere.
    """
    lab = table.get("lab", {})
    places = [_numbers(d.get("at"), 3) for d in tables_in(table.get("driver"))]
    if not isinstance(lab, dict) or "body_diameter_m" in lab or any(p is None for p in places):
        return table
    body = lab.get("body", {})
    at = np.array([p for p in places if p is not None and p.any()])
    if not isinstance(body, dict) or "shape" in body or not len(at):
        return table
    r = np.linalg.norm(at, axis=1)
    if _alike(r, read_or_default(lab, Lab, "body_diameter_m") / 2.0):
        return table
    if _alike(r, float(r.mean())) and r.max() <= COMPACT_M:
        return table | {"lab": lab | {"body_diameter_m": round(2.0 * float(r.mean()), 4)}}
    shape = "line" if np.ptp(at[:, 0]) <= FLAT * np.ptp(at[:, 1]) else "ring"
    return table | {"lab": lab | {"body": body | {"shape": shape}}}


def _alike(r: Float, radius: float) -> bool:
    return bool(np.all((r < radius * SIZES) & (r > radius / SIZES)))


def _numbers(value: Any, count: int | None = None) -> Float | None:
    """A list of numbers (a schema's default is a tuple) as an array; ``None`` for anything else."""
    if not isinstance(value, list | tuple) or not all(isinstance(v, int | float) for v in value):
        return None
    return np.array(value, dtype=float) if count in (None, len(value)) else None


def _body(table: Mapping[str, Any], lab: Mapping[str, Any]) -> Iterator[str]:
    """Drivers wider than their body."""
    body = sub_table(lab, "body")
    wide = read_or_default(body, BodyTable, "driver_diameter_m")
    if read_or_default(body, BodyTable, "shape") == "sphere":
        key, holds = "lab.body_diameter_m", read_or_default(lab, Lab, "body_diameter_m")
    else:
        key, holds = "lab.body.baffle_m", read_or_default(body, BodyTable, "baffle_m")
    if isinstance(wide, int | float) and isinstance(holds, int | float) and wide > 0.95 * holds:
        yield f"lab.body.driver_diameter_m: {wide} m does not fit {key} = {holds} m: at most 0.95 of it can vibrate"


def _reach(table: Mapping[str, Any], lab: Mapping[str, Any]) -> float:
    """Radius that holds the whole device, m."""
    body = sub_table(lab, "body")
    if read_or_default(body, BodyTable, "shape") == "sphere":
        diameter = read_or_default(lab, Lab, "body_diameter_m")
        return diameter / 2.0 if isinstance(diameter, int | float) else 0.0
    places = [_numbers(d.get("at"), 3) for d in tables_in(table.get("driver"))]
    return max((float(np.linalg.norm(p)) for p in places if p is not None), default=0.0)


def _places(table: Mapping[str, Any]) -> Iterator[tuple[str, tuple[float, float], str]]:
    """All receivers: key, position in the rig's plane in m, and description."""
    ears, polar = sub_table(table, "ears"), sub_table(table, "polar")
    ahead = read_or_default(ears, EarsTable, "distance_m")
    positions = ears.get("positions", [])
    for n, position in enumerate(positions if isinstance(positions, list) else []):
        if isinstance(position, dict):
            x, y = (read_or_default(position, HeadPosition, axis) for axis in ("x", "y"))
            if all(isinstance(v, int | float) for v in (ahead, x, y)):
                yield f"ears.positions[{n + 1}]", (ahead + x, y), "the head"
    pair = sub_table(table, "reference")
    angle, r = (read_or_default(pair, Reference, key) for key in ("angle_deg", "distance_m"))
    r = ahead if r is None else r
    if pair and all(isinstance(v, int | float) for v in (ahead, angle, r)):
        x, y = ahead - r * math.cos(math.radians(angle)), r * math.sin(math.radians(angle))
        yield "reference.left", (x, -y), "the reference pair"
        yield "reference.right", (x, y), "the reference pair"
    distance = read_or_default(polar, Polar, "distance_m")
    if polar and isinstance(distance, int | float):
        yield "polar.distance_m", (distance, 0.0), "the measurement microphone"


def _inside(size: Float, key: str, place: Float, margin: float, what: str) -> Iterator[str]:
    for axis, at, length in zip("xyz", place, size, strict=True):
        if not margin <= at <= length - margin:
            yield (
                f"{key}: {what} would be at {axis} = {at:.2f} m of the room, outside {margin:.2f} to "
                f"{length - margin:.2f} m (lab.room.size_m, device_m, facing_deg)"
            )
            return


def _walls(room: Mapping[str, Any]) -> Iterator[str]:
    """Absorption that does not fit the bands, bands out of order, and a decay that never ends."""
    bands = read_or_default(room, RoomTable, "bands_hz")
    listed = _numbers(bands)
    if listed is None or not len(listed):
        return
    if not (np.diff(listed) > 0).all():
        yield f"lab.room.bands_hz: {bands} must rise"
    rows, whole = [], True
    walls = sub_table(room, "walls")
    for wall in WALLS:
        key = f"lab.room.walls.{wall}" if wall in walls else "lab.room.absorption"
        value = walls.get(wall, read_or_default(room, RoomTable, "absorption"))
        row = _numbers(value if isinstance(value, list | tuple) else [value])
        if row is None or (row < 0).any() or (row > 1).any():
            whole = False
        elif len(row) not in (1, len(listed)):
            if wall in walls or wall == WALLS[0]:
                yield f"{key}: {len(row)} values for {len(listed)} bands (lab.room.bands_hz)"
            whole = False
        else:
            rows.append(np.broadcast_to(row, listed.shape))
    size = _numbers(room.get("size_m"), 3)
    if whole and size is not None and (size > 0).all():
        slowest = float(eyring(size, np.stack(rows), ROOM_SPEED).max())
        if slowest > LONGEST_S:
            yield (
                f"lab.room.absorption: the room would ring for {slowest:.3g} s; the lab computes {LONGEST_S:g} s at "
                "most. Raise the absorption or shrink the room"
            )
