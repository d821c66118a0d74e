"""Faults of a rig file that involve several keys, as messages."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import check_name
from sweetspot.rigs.rig_file import lab_faults as faults
from sweetspot.rigs.rig_file.fixed_mics import fixed_mics
from sweetspot.rigs.rig_file.lab_places import lab_faults
from sweetspot.rigs.rig_file.lab_tables import Lab
from sweetspot.rigs.rig_file.mistaken_units import units_mistaken
from sweetspot.rigs.rig_file.output_tables import LimitsTable
from sweetspot.rigs.rig_file.table import are_numbers, read_or_default, sub_table, tables_in
from sweetspot.rigs.rig_file.tables import EARS, EarsTable, HeadPosition, Polar

CLOCK_SAMPLES, MOTOR_SAMPLES = 64, 64
"""Latency that the lab's two clocks and its distortion need, samples."""


NEAREST_HEAD_M, NEAREST_MIC_M = 0.15, 0.02
"""Least distance of the middle of a head, and of a microphone, from a driver, m."""


def cross_faults(table: Mapping[str, Any], folder: Path, found: Callable[[str], Path]) -> Iterator[str]:
    """Faults between keys, found in the raw table so that they are reported with the schema's."""
    drivers, mics = tables_in(table.get("driver")), tables_in(table.get("mic"))
    interface, stage = sub_table(table, "interface"), sub_table(table, "stage")
    loop, program = sub_table(interface, "loopback"), sub_table(interface, "program")
    outs = [(f"driver[{i + 1}].channel", d.get("channel")) for i, d in enumerate(drivers)]
    outs += [("interface.loopback.out", loop.get("out"))]
    outs += [(f"interface.program.{side}", program.get(side)) for side in ("left", "right")]
    pair = sub_table(table, "reference")
    outs += [(f"reference.{side}", pair.get(side)) for side in ("left", "right")]
    ins = [(f"mic[{i + 1}].channel", m.get("channel")) for i, m in enumerate(mics)]
    ins += [("interface.loopback.in", loop.get("in"))]
    yield from _taken_twice(outs, "output channel")
    yield from _taken_twice(ins, "input channel")
    for kind, rows in (("driver", drivers), ("mic", mics)):
        names = [(f"{kind}[{i + 1}].name", row.get("name")) for i, row in enumerate(rows)]
        yield from _taken_twice(names, "name")
        yield from _no_names(names)
    yield from _missing_files(table, mics, folder, found)
    yield from _needs(table, interface, stage, [m.get("name") for m in mics])
    yield from _too_near(table, drivers)
    yield from _bands(table, drivers)
    yield from fixed_mics(table, drivers, mics)
    yield from (
        f"driver[{i + 1}].excursion_mm: needs area_cm2, the radiating area, to compute the excursion"
        for i, d in enumerate(drivers)
        if "excursion_mm" in d and "area_cm2" not in d
    )
    yield from _driver_limits(drivers, interface)
    yield from units_mistaken(table)
    yield from lab_faults(table)
    yield from _scheduled(table, [d.get("name") for d in drivers], [m.get("name") for m in mics])


def _driver_limits(drivers: list[Mapping[str, Any]], interface: Mapping[str, Any]) -> Iterator[str]:
    """Drivers whose limits are missing or cannot be enforced."""
    for i, d in enumerate(drivers):
        key = f"driver[{i + 1}]"
        if "band_hz" not in d and d.get("unprotected") is not True and interface.get("driver") != "none":
            yield (
                f"{key}.band_hz: missing; signal below its band can destroy a driver: write for example band_hz = "
                f"[2500, 20000], or unprotected = true if it can take the whole sweep"
            )
        if "amplifier_gain_db" in d and "v_per_fs" in d:
            yield f"{key}.amplifier_gain_db: v_per_fs already gives this; remove one of them"
        elif "amplifier_gain_db" in d and "output_full_scale_v" not in interface:
            yield (
                f"{key}.amplifier_gain_db: needs interface.output_full_scale_v, the peak voltage of a full-scale "
                "sample at the interface's outputs"
            )
        elif "max_v" in d and not {"v_per_fs", "amplifier_gain_db"} & set(d):
            yield (
                f"{key}.max_v: needs v_per_fs (peak volts at its terminals for a full-scale sample), or "
                "amplifier_gain_db and interface.output_full_scale_v"
            )


def _taken_twice(uses: list[tuple[str, Any]], what: str) -> Iterator[str]:
    """A value used by two keys, reported at the second."""
    counts = Counter(v for _, v in uses if isinstance(v, int | str))
    seen: dict[Any, str] = {}
    for key, value in uses:
        if not isinstance(value, int | str) or counts[value] < 2:
            continue
        if value in seen:
            yield f"{key}: {what} {value!r} is already used by {seen[value]}"
        else:
            seen[value] = key


def _no_names(given: list[tuple[str, Any]]) -> Iterator[str]:
    """Names that a session could not be read with."""
    for key, name in given:
        try:
            check_name(name if isinstance(name, str) and name else "-", key)
        except BadInput as fault:
            yield str(fault)


def _missing_files(
    table: Mapping[str, Any], mics: list[Mapping[str, Any]], folder: Path, found: Callable[[str], Path]
) -> Iterator[str]:
    named = [(f"mic[{i + 1}].calibration", m.get("calibration")) for i, m in enumerate(mics)]
    head = sub_table(table, "lab").get("head", "sphere")
    named += [("lab.head", head)] if head != "sphere" else []
    own = sub_table(table, "ears").get("head", "sphere")
    named += [("ears.head", own)] if own != "sphere" else []
    named += [("ears.templates", sub_table(table, "ears").get("templates"))]
    for key, name in named:
        if isinstance(name, str) and not _there(found, name):
            shown = name if len(name) < 200 else f"{name[:200]}..."
            yield f"{key}: no file {shown!r} in {folder}"


def _there(found: Callable[[str], Path], name: str) -> bool:
    """Whether a file of this name is there; one that no file can have is not."""
    try:
        return found(name).is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a zero byte, an unknown user's home folder
        return False


def _needs(
    table: Mapping[str, Any], interface: Mapping[str, Any], stage: Mapping[str, Any], mic_names: list[Any]
) -> Iterator[str]:
    """Keys that other keys call for."""
    named = [key for key in ("device", "output", "input") if interface.get(key)]
    if interface.get("driver") == "portaudio" and named not in (["device"], ["output", "input"]):
        there = f"there is {' and '.join(named)}" if named else "missing"
        yield (
            f"interface.device: {there}; driver 'portaudio' needs a unique part of the device's name, or output and "
            "input for two devices"
        )
    if stage.get("driver") == "grbl" and not stage.get("port"):
        yield "stage.port: missing; driver 'grbl' needs the serial port, for example '/dev/ttyUSB0'"
    if stage.get("driver") == "et250" and not stage.get("host"):
        yield "stage.host: missing; driver 'et250' needs the address of the turntable, for example '192.168.1.34'"
    if stage.get("driver") == "scpi":
        if not stage.get("port"):
            yield "stage.port: missing; driver 'scpi' needs a serial port, or 'socket://host:5025'"
        if not isinstance(stage.get("commands"), dict):
            yield "stage.commands: missing; driver 'scpi' needs at least move = \"... {angle} ...\" and position"
    if stage.get("driver") == "grbl" and stage.get("reversed"):
        yield "stage.reversed: not for GRBL, which inverts axes itself: set its $3 instead"
    if stage.get("driver") == "lab" and interface.get("driver") != "lab":
        yield "stage.driver: 'lab' turns the virtual lab in process; it needs interface.driver = 'lab'"
    if sub_table(table, "lab", "device"):
        if not isinstance(interface.get("program"), dict):
            yield "lab.device: is fed by program outputs; add to [interface]: program = { left = 11, right = 12 }"
        if interface.get("driver") != "lab":
            yield (
                "lab.device: works in process only (interface.driver = 'lab'); as a sound card, the lab's program "
                "outputs are ports of the audio server, for an engine that runs there"
            )
    pressed = sub_table(table, "lab", "calibrator").get("mic")
    if pressed is not None and pressed not in mic_names:
        yield f"lab.calibrator.mic: no [[mic]] is named {pressed!r}; there are: {', '.join(map(str, mic_names))}"
    limits = stage.get("limits_deg")
    if are_numbers(limits, 2) and not limits[0] < limits[1]:
        yield f"stage.limits_deg: {limits} is empty: the first must be below the second"
    if "ears" in table:
        for name in EARS:
            if name not in mic_names:
                yield f"ears: needs a [[mic]] named {name!r}; there are: {', '.join(map(str, mic_names)) or 'none'}"
    if "reference" in table and "ears" not in table:
        yield "reference: is measured at the ears; add [ears] with distance_m and positions"
    if "polar" in table and all(name in EARS for name in mic_names):
        yield "polar: needs a [[mic]] that is not an ear of the dummy head"
    level = sub_table(table, "sweep").get("level_dbfs")
    ceiling = read_or_default(sub_table(table, "limits"), LimitsTable, "ceiling_dbfs")
    if isinstance(level, int | float) and isinstance(ceiling, int | float) and level > ceiling:
        yield f"sweep.level_dbfs: {level} is above limits.ceiling_dbfs = {ceiling}"


def _too_near(table: Mapping[str, Any], drivers: list[Mapping[str, Any]]) -> Iterator[str]:
    """Heads and microphones that would stand in a driver."""
    places = {f"driver[{i + 1}].at": d["at"] for i, d in enumerate(drivers) if are_numbers(d.get("at"), 3)}
    ears, polar = sub_table(table, "ears"), sub_table(table, "polar")
    away, positions = read_or_default(ears, EarsTable, "distance_m"), ears.get("positions", [])
    if isinstance(away, int | float) and isinstance(positions, list):
        for n, p in enumerate(p for p in positions if isinstance(p, Mapping)):
            offset = [read_or_default(p, HeadPosition, axis) for axis in ("x", "y")]
            if not are_numbers(offset, 2):
                continue
            for key, at in places.items():
                gap = math.dist((away + offset[0], offset[1], 0.0), at)
                if gap < NEAREST_HEAD_M:
                    yield (
                        f"ears.positions[{n + 1}]: the middle of the head is {gap:.3g} m from {key}; at least "
                        f"{NEAREST_HEAD_M:g} m are needed"
                    )
    ring = read_or_default(polar, Polar, "distance_m")
    if "polar" in table and isinstance(ring, int | float):
        for key, at in places.items():
            if ring < math.hypot(*at) + NEAREST_MIC_M:
                yield (
                    f"polar.distance_m: {ring:g} m is within {NEAREST_MIC_M:g} m of {key}, {math.hypot(*at):.3g} m "
                    "from the middle: the microphone would meet the driver"
                )


def _scheduled(table: Mapping[str, Any], drivers: list[Any], mics: list[Any]) -> Iterator[str]:
    """Scheduled faults of parts that the rig lacks, and too little latency for clock drift."""
    lab = sub_table(table, "lab")
    latency = read_or_default(lab, Lab, "latency_samples")
    schedule = sub_table(lab, "faults").get("schedule", [])
    for n, text in enumerate(schedule if isinstance(schedule, list) else []):
        try:
            found = (
                list(faults.misfits(faults.parse_fault(text), drivers, mics, latency)) if isinstance(text, str) else []
            )
        except ValueError:  # reported by the schema
            continue
        yield from (f"lab.faults.schedule[{n + 1}]: {message}" for message in found)
    needed = CLOCK_SAMPLES * bool(lab.get("clock_ppm")) + MOTOR_SAMPLES * ("distortion" in lab)
    if isinstance(latency, int) and latency < needed:
        yield f"lab.latency_samples: {latency} is too few for lab.clock_ppm and lab.distortion: at least {needed}"


def _bands(table: Mapping[str, Any], drivers: list[Mapping[str, Any]]) -> Iterator[str]:
    """Bands that are upside down or pass half of the sampling rate."""
    fs = table.get("fs")
    named = [(f"driver[{i + 1}].band_hz", d.get("band_hz")) for i, d in enumerate(drivers)]
    named += [("sweep.band_hz", sub_table(table, "sweep").get("band_hz"))]
    for key, band in named:
        if not (isinstance(band, list) and len(band) == 2 and all(isinstance(f, int | float) for f in band)):
            continue
        if not band[0] < band[1]:
            yield f"{key}: {band} is reversed: the lower edge comes first"
        if isinstance(fs, int) and band[1] >= fs / 2:
            yield f"{key}: the upper edge {band[1]} Hz is not below half of fs ({fs / 2:g} Hz)"
