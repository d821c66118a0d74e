"""Values in a wrong unit: positions in millimetres, sensitivities in volts, bands in kilohertz."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sweetspot.rigs.rig_file.table import is_number, sub_table, tables_in

FARTHEST_DRIVER_M = 3.0
"""From the middle of a device to any of its drivers."""

FARTHEST_HEAD_M = 2.0
"""From a head's nominal place to any other."""

LONGEST_M = 30.0
"""From a device to the head or the microphone."""

MV_PER_PA = (0.2, 2000.0)
"""Sensitivities of measuring microphones, preamplifiers of their own included."""

HIGHEST_V = 100.0
"""Peak voltage of a full-scale sample at any input or output of an interface."""

LOWEST_TOP_HZ = 100.0
"""A band that ends below is in kilohertz."""

MOST_POWER_W = 2000.0
LEAST_EXCURSION_MM = 0.02
LEAST_AREA_CM2 = 0.05
"""Power limits, excursions and areas of drivers."""

QUIETEST_DB_SPL = 40.0
"""A limit below is that of a quiet room, in which nothing can be measured."""

FULL_TURN_RAD = 6.2832
"""Limits of a stage within it, and not whole, are in radians."""


def units_mistaken(table: Mapping[str, Any]) -> Iterator[str]:
    """Faults of a rig file's raw table, each with the value as it would be right."""
    for i, driver in enumerate(tables_in(table.get("driver"))):
        at = driver.get("at")
        if isinstance(at, list) and (far := _largest(at)) > FARTHEST_DRIVER_M:
            yield _places(f"driver[{i + 1}].at", at, far, FARTHEST_DRIVER_M, "from the middle of the device")
        band = driver.get("band_hz")
        if isinstance(band, list) and 0.0 < _largest(band) < LOWEST_TOP_HZ:
            yield f"driver[{i + 1}].band_hz: {band} ends at {_largest(band):g} Hz; bands are in Hz: are these kHz?"
        yield from _of_driver(f"driver[{i + 1}]", driver)
    yield from _of_one_value(table)
    for i, mic in enumerate(tables_in(table.get("mic"))):
        value = mic.get("sensitivity_mv_per_pa")
        if is_number(value) and value > 0 and not MV_PER_PA[0] <= value <= MV_PER_PA[1]:
            right = f"is it in V/Pa? Then write {1000.0 * value:g}" if value < MV_PER_PA[0] else "is it in uV/Pa?"
            yield (
                f"mic[{i + 1}].sensitivity_mv_per_pa: {value:g} mV/Pa is not plausible for a measurement microphone "
                f"({MV_PER_PA[0]:g} to {MV_PER_PA[1]:g}): {right}"
            )
    for key in ("full_scale_v", "output_full_scale_v"):
        value = sub_table(table, "interface").get(key)
        if is_number(value) and value > HIGHEST_V:
            yield f"interface.{key}: {value:g} V is beyond any interface (limit {HIGHEST_V:g} V): is it in mV?"
    for name in ("ears", "polar"):
        inner = sub_table(table, name)
        away = inner.get("distance_m")
        if is_number(away) and away > LONGEST_M:
            yield f"{name}.distance_m: {away:g} m is farther than {LONGEST_M:g} m: is it in cm or mm?"
        for i, place in enumerate(tables_in(inner.get("positions"))):
            at = [place.get(axis, 0.0) for axis in ("x", "y", "z")]
            if (far := _largest(at)) > FARTHEST_HEAD_M:
                yield _places(f"{name}.positions[{i + 1}]", at, far, FARTHEST_HEAD_M, "from the head's nominal place")


def _of_driver(where: str, driver: Mapping[str, Any]) -> Iterator[str]:
    """Power limits in milliwatts, or excursions in metres."""
    power, excursion, area = (driver.get(k) for k in ("power_w", "excursion_mm", "area_cm2"))
    if is_number(power) and power > MOST_POWER_W:
        yield f"{where}.power_w: {power:g} W is beyond any driver (limit {MOST_POWER_W:g} W): is it in mW?"
    if is_number(excursion) and 0.0 < excursion < LEAST_EXCURSION_MM:
        yield (
            f"{where}.excursion_mm: {excursion:g} mm is no excursion of a driver (at least {LEAST_EXCURSION_MM:g} mm): "
            f"is it in m? Then write {1000.0 * excursion:g}"
        )
    if is_number(area) and 0.0 < area < LEAST_AREA_CM2:
        yield (
            f"{where}.area_cm2: {area:g} cm^2 is no driver (at least {LEAST_AREA_CM2:g} cm^2): is it in m^2? "
            f"Then write {1e4 * area:g}"
        )


def _of_one_value(table: Mapping[str, Any]) -> Iterator[str]:
    """The sweep's band, the limit of loudness and the stage's limits."""
    sweep, limits, stage = (sub_table(table, k) for k in ("sweep", "limits", "stage"))
    band = sweep.get("band_hz")
    if isinstance(band, list) and 0.0 < _largest(band) < LOWEST_TOP_HZ:
        yield f"sweep.band_hz: {band} ends at {_largest(band):g} Hz; bands are in Hz: are these kHz?"
    loudest = limits.get("loudest_db_spl")
    if is_number(loudest) and loudest < QUIETEST_DB_SPL:
        yield (
            f"limits.loudest_db_spl: {loudest:g} dB SPL is below {QUIETEST_DB_SPL:g} dB SPL, where nothing can be "
            "measured: is it in Pa or dBFS? Write dB SPL at the microphones, such as 95"
        )
    turn = stage.get("limits_deg")
    if isinstance(turn, list) and 0.0 < _largest(turn) < FULL_TURN_RAD and any(v % 1 for v in turn if is_number(v)):
        yield f"stage.limits_deg: {turn} is hardly a turn; are these radians? Write degrees, such as [-180, 180]"


def _places(key: str, at: list[Any], far: float, limit: float, whence: str) -> str:
    """One line for a place that lies too far out."""
    step = 1000.0 if far > 10.0 * limit else 100.0
    right = "[" + ", ".join(f"{float(v) / step:g}" for v in at if is_number(v)) + "]"
    unit = "mm" if step == 1000.0 else "cm"
    return (
        f"{key}: {at} lies {far:g} m {whence} (limit {limit:g} m); places are in m: if these are {unit}, write {right}"
    )


def _largest(values: list[Any]) -> float:
    return max((abs(float(v)) for v in values if is_number(v)), default=0.0)
