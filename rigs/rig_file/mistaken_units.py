"""Values that are right in another unit: places in millimetres, sensitivities in volts, bands in kilohertz."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

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


def units_mistaken(table: Mapping[str, Any]) -> Iterator[str]:
    """Faults of a rig file's raw table, each with the value as it would be right."""
    for i, driver in enumerate(_tables(table.get("driver"))):
        at = driver.get("at")
        if isinstance(at, list) and (far := _largest(at)) > FARTHEST_DRIVER_M:
            yield _places(f"driver[{i + 1}].at", at, far, FARTHEST_DRIVER_M, "from the middle of the device")
        band = driver.get("band_hz")
        if isinstance(band, list) and 0.0 < _largest(band) < LOWEST_TOP_HZ:
            yield f"driver[{i + 1}].band_hz: {band} ends at {_largest(band):g} Hz; bands are in Hz: are these kHz?"
    for i, mic in enumerate(_tables(table.get("mic"))):
        value = mic.get("sensitivity_mv_per_pa")
        if _is_number(value) and value > 0 and not MV_PER_PA[0] <= value <= MV_PER_PA[1]:
            right = f"is it in V/Pa? Then write {1000.0 * value:g}" if value < MV_PER_PA[0] else "is it in uV/Pa?"
            yield (
                f"mic[{i + 1}].sensitivity_mv_per_pa: {value:g} mV/Pa is no sensitivity of a measuring microphone "
                f"({MV_PER_PA[0]:g} to {MV_PER_PA[1]:g}): {right}"
            )
    interface = table.get("interface")
    for key in ("full_scale_v", "output_full_scale_v"):
        value = interface.get(key) if isinstance(interface, dict) else None
        if _is_number(value) and value > HIGHEST_V:
            yield f"interface.{key}: {value:g} V is beyond any interface (limit {HIGHEST_V:g} V): is it in mV?"
    for name in ("ears", "polar"):
        inner = table.get(name)
        if not isinstance(inner, dict):
            continue
        away = inner.get("distance_m")
        if _is_number(away) and away > LONGEST_M:
            yield f"{name}.distance_m: {away:g} m is farther than {LONGEST_M:g} m: is it in cm or mm?"
        for i, place in enumerate(_tables(inner.get("positions"))):
            at = [place.get(axis, 0.0) for axis in ("x", "y", "z")]
            if (far := _largest(at)) > FARTHEST_HEAD_M:
                yield _places(f"{name}.positions[{i + 1}]", at, far, FARTHEST_HEAD_M, "from the head's nominal place")


def _places(key: str, at: list[Any], far: float, limit: float, whence: str) -> str:
    """One line for a place that lies too far out."""
    step = 1000.0 if far > 10.0 * limit else 100.0
    right = "[" + ", ".join(f"{float(v) / step:g}" for v in at if _is_number(v)) + "]"
    unit = "mm" if step == 1000.0 else "cm"
    return (
        f"{key}: {at} lies {far:g} m {whence} (limit {limit:g} m); places are in m: if these are {unit}, write {right}"
    )


def _tables(found: Any) -> list[Mapping[str, Any]]:
    return [t for t in found if isinstance(t, dict)] if isinstance(found, list) else []


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _largest(values: list[Any]) -> float:
    return max((abs(float(v)) for v in values if _is_number(v)), default=0.0)
