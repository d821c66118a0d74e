"""A rig file for imported measurements: drivers, positions and band; no device."""

from __future__ import annotations

import json

import numpy as np

from sweetspot.measure.impulse import elevations_deg, ring_rows
from sweetspot.measure.incoming.imported_set import ImportedSet, judged_band
from sweetspot.rigs.layout import wrapped_deg
from sweetspot.rigs.units import Float

GRID_DEG = (
    1.0,
    1.25,
    2.0,
    2.5,
    3.0,
    4.0,
    5.0,
    6.0,
    7.5,
    9.0,
    10.0,
    12.0,
    15.0,
    18.0,
    20.0,
    22.5,
    30.0,
    45.0,
    60.0,
    90.0,
)
"""Steps that a polar set over the whole circle may have, degrees."""


MOST_DEG = 80.0
"""Highest elevation of a polar microphone that a rig file states."""


def of(sets: list[ImportedSet], source: str) -> str:
    """The text of a rig file that describes imported sets.

    Parameters
    ----------
    source
        What was imported, for the comment.
    """
    first = sets[0]
    low, high = (
        f(edges) for f, edges in zip((max, min), zip(*(judged_band(s) for s in sets), strict=True), strict=True)
    )
    lines = [
        f"# Written by `sweetspot measure import` from {source}: imported measurements, no device to play on.",
        *(f"# {note}" for s in sets for note in s.notes),
        "schema = 1",
        'name = "imported"',
        f"fs = {first.fs}",
        "[interface]",
        'driver = "none"             # verify with: sweetspot verify RUN --stimuli DIR, then --recorded DIR',
        f"loopback = {{ out = {len(first.drivers) + 1}, in = 9 }}",
        "[environment]",
        "temperature_c = 20",
    ]
    at = _places(first)
    for i, driver in enumerate(first.drivers):
        unknown = "" if first.at is not None else "              # unknown: drivers are placed side by side"
        lines += [
            "[[driver]]",
            f"name = {json.dumps(driver)}",
            f"channel = {i + 1}",
            f"at = [{', '.join(f'{v:.6g}' for v in at[i])}]{unknown}",
            f"band_hz = [{low:g}, {high:g}]",
        ]
    channel = 1
    for found in sets:
        for mic in found.mics:
            lines += ["[[mic]]", f"name = {json.dumps(mic)}", f"channel = {channel}"]
            channel += 1
    for found in sets:
        lines += _ears(found) if found.kind == "ears" else _polar(found)
    lines += ["[sweep]", f"band_hz = [{low:g}, {high:g}]"]
    return "\n".join(lines).replace("in = 9", f"in = {channel}") + "\n"


def _places(found: ImportedSet) -> Float:
    if found.at is not None:
        return found.at
    y = 0.05 * (0.5 * (len(found.drivers) - 1) - np.arange(len(found.drivers)))
    return np.stack([np.zeros_like(y), y, np.zeros_like(y)], axis=1)


def _ears(found: ImportedSet) -> list[str]:
    rows = [
        f"    {{ x = {p['x'] - found.distance_m:.6g}, y = {p['y']:.6g}, "
        + (f"z = {p['z']:.6g}, " if p["z"] else "")
        + f"yaw_deg = {p['yaw_deg']:.6g}, "
        f'use = "{p["use"].decode()}" }},'
        for p in found.positions
    ]
    return ["[ears]", f"distance_m = {found.distance_m:.6g}", "positions = [", *rows, "]"]


def _polar(found: ImportedSet) -> list[str]:
    ring = found.positions[ring_rows(found.positions)]
    step = step_deg(ring["azimuth_deg"])
    if step is None:
        return [f"# The polar set's ring has {len(ring)} directions, not evenly spaced around the circle."]
    up = sorted({round(float(e), 3) + 0.0 for e in elevations_deg(found.positions)})
    own = round(float(np.mean(elevations_deg(ring))), 3) + 0.0
    lines = ["[polar]", f"distance_m = {found.distance_m:.6g}", f"step_deg = {step:g}"]
    if abs(own) <= MOST_DEG and own:
        lines.append(f"elevation_deg = {own:g}")
    if len(up) > 1 and len(found.positions) == len(up) * len(ring):
        lines.append(f"elevations_deg = [{', '.join(f'{e:g}' for e in up)}]")
    return lines


def step_deg(azimuths: Float) -> float | None:
    """The step of directions that are spread evenly from -180 degrees on, or ``None``."""
    for step in GRID_DEG:
        grid = np.arange(-180.0, 180.0 - 1e-9, step)
        if len(grid) == len(azimuths):
            turned = np.sort(wrapped_deg(np.asarray(azimuths) + 1e-6))
            return step if np.abs(turned - grid).max() < 1e-3 else None
    return None
