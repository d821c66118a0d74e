"""Faults of microphones that are fixed in a test box or built into the device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from sweetspot.rigs.rig_file.lab_tables import BodyTable, Lab
from sweetspot.rigs.rig_file.table import are_numbers, read_or_default, sub_table

NEAREST_M = 0.02
"""Least distance of a monitor from a driver; microphones of the device may sit beside one."""

NEAREST_BUILT_IN_M = 0.005


def fixed_mics(
    table: Mapping[str, Any], drivers: list[Mapping[str, Any]], mics: list[Mapping[str, Any]]
) -> Iterator[str]:
    """One line for each fault in the raw file."""
    for i, mic in enumerate(mics):
        key, use, at = f"mic[{i + 1}]", mic.get("use"), mic.get("at")
        if use is not None and mic.get("name") in ("ear_left", "ear_right"):
            yield f"{key}.use: {mic['name']!r} belongs to the dummy head, which moves; give it another name"
        if use is not None and "at" not in mic:
            yield f"{key}.at: missing; a microphone with a use needs a position, [x, y, z] in m, re the device's middle"
        if use is None and "at" in mic:
            yield f'{key}.at: only a microphone with a use has a position: add use = "monitor" or "device"'
        if not are_numbers(at, 3) or use is None:
            continue
        yield from _too_near(key, str(use), at, drivers)
        yield from _inside(key, at, table)


def _too_near(key: str, use: str, at: list[float], drivers: list[Mapping[str, Any]]) -> Iterator[str]:
    least = NEAREST_BUILT_IN_M if use == "device" else NEAREST_M
    for d, driver in enumerate(drivers):
        if are_numbers(driver.get("at"), 3) and (gap := math.dist(at, driver["at"])) < least:
            yield f"{key}.at: {gap:.3g} m from driver[{d + 1}]; at least {least:g} m are needed"


def _inside(key: str, at: list[float], table: Mapping[str, Any]) -> Iterator[str]:
    """A microphone within the round body of the virtual lab."""
    lab = sub_table(table, "lab")
    if sub_table(table, "interface").get("driver") != "lab":
        return
    if read_or_default(sub_table(lab, "body"), BodyTable, "shape") == "sphere":
        radius = read_or_default(lab, Lab, "body_diameter_m")
        if isinstance(radius, int | float) and math.hypot(*at) < 0.5 * radius:
            yield (
                f"{key}.at: {math.hypot(*at):.3g} m from the middle lies within the body, whose radius is "
                f"{0.5 * radius:g} m (lab.body_diameter_m)"
            )
