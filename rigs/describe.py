"""rig.toml -> Description: the whole file is checked, every fault is listed at once, and nothing is opened."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from rigs.errors import BadInput
from rigs.layout import Pose
from rigs.units import Float, from_db

EARS = ("ear_left", "ear_right")
"""Names of the dummy head's microphones."""

Positive = Annotated[float, Field(gt=0)]
Channel = Annotated[int, Field(ge=1, le=1024, strict=True)]
Band = tuple[Positive, Positive]


class _Table(BaseModel):
    """A table of the rig file: unknown keys are refused, values stay as they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class Loopback(_Table):
    """The timing reference: an output wired straight to an input (channels as printed on the box)."""

    out: Channel
    in_: Channel = Field(alias="in")


class Program(_Table):
    """Outputs that feed the stereo inputs of a device with its own processor."""

    left: Channel
    right: Channel


class InterfaceTable(_Table):
    """The audio interface; ``full_scale_v`` is the peak voltage of a full-scale sample at the inputs."""

    driver: Literal["portaudio", "lab"]
    device: str | None = None
    hostapi: str | None = None
    blocksize: int = Field(default=256, ge=16, le=65536)
    loopback: Loopback
    program: Program | None = None
    full_scale_v: Positive = 1.0


class StageTable(_Table):
    """What turns and moves; ``axes`` maps fields of a pose (turn, x, y, yaw) to the controller's axis letters."""

    driver: Literal["grbl", "manual", "fixed", "lab"] = "fixed"
    turns: Literal["device", "head"] = "device"
    port: str | None = None
    limits_deg: tuple[float, float] = (-360.0, 360.0)
    axes: dict[Literal["turn", "x", "y", "yaw"], Literal["X", "Y", "Z", "A", "B", "C"]] | None = None
    tolerance_deg: Positive = 0.2
    settle_s: float = Field(default=0.0, ge=0)
    timeout_s: Positive = 60.0


class Limits(_Table):
    """What the unit can take."""

    ceiling_dbfs: float = Field(default=-6.0, le=0.0)
    loudest_db_spl: Positive = 95.0

    @property
    def ceiling(self) -> float:
        """Largest sample that may be played, linear, full scale = 1."""
        return float(from_db(self.ceiling_dbfs))


class Environment(_Table):
    """Where the rig stands."""

    temperature_c: float = Field(default=20.0, ge=-20, le=50)


class Driver(_Table):
    """A driver of the device: ``at`` in metres (x ahead, y left, z up), the band that it can play in hertz."""

    name: str = Field(min_length=1)
    channel: Channel
    at: tuple[float, float, float]
    band_hz: Band = (20.0, 20000.0)


class Mic(_Table):
    """A microphone; ``ear_left`` and ``ear_right`` belong to the dummy head."""

    name: str = Field(min_length=1)
    channel: Channel
    sensitivity_mv_per_pa: Positive = 12.5
    calibration: str | None = None


class HeadPosition(_Table):
    """A place of the dummy head: metres from its nominal place, degrees of yaw, and what it is used for."""

    x: float = 0.0
    y: float = 0.0
    yaw_deg: float = 0.0
    use: Literal["design", "score"] = "design"

    @property
    def pose(self) -> Pose:
        """The same in SI, the device facing the listener."""
        return Pose(x=self.x, y=self.y, yaw=float(np.radians(self.yaw_deg)))


class Ears(_Table):
    """The head's nominal distance from the middle of the device, and its places."""

    distance_m: Positive = 2.0
    positions: tuple[HeadPosition, ...] = Field(min_length=1)


class Polar(_Table):
    """The polar set: a microphone at azimuth 0 while the device turns."""

    distance_m: Positive = 2.0
    step_deg: float = Field(default=5.0, gt=0, le=90)

    @property
    def angles(self) -> Float:
        """Directions seen from the device, rad, counter-clockwise, from -180 degrees in equal steps over the circle."""
        return np.asarray(np.radians(np.arange(-180.0, 180.0 - 1e-9, self.step_deg)))


class SweepTable(_Table):
    """The stimulus: judged band, length, level and repeats; how much of each response is kept."""

    band_hz: Band = (60.0, 20000.0)
    seconds: float = Field(default=2.0, gt=0.05, le=120)
    level_dbfs: float = Field(default=-12.0, le=0.0)
    repeats: int = Field(default=1, ge=1, le=64, strict=True)
    before_ms: float = Field(default=20.0, ge=1, le=1000)
    after_ms: float = Field(default=150.0, ge=5, le=10000)


class Lab(_Table):
    """The virtual lab: a rigid-sphere body, a head (``"sphere"`` or a SOFA file), noise, latency, tolerances."""

    seed: int = Field(default=1, ge=0, strict=True)
    body_diameter_m: Positive = 0.175
    head: str = "sphere"
    head_diameter_m: Positive = 0.175
    ears_deg: float = Field(default=100.0, gt=0, lt=180)
    sensitivity_db_spl: float = 94.0
    tolerance_db: float = Field(default=0.5, ge=0, le=10)
    tolerance_percent: float = Field(default=3.0, ge=0, le=30)
    mic_noise_db_spl: float = 15.0
    converter_noise_dbfs: float = Field(default=-110.0, le=-20)
    latency_samples: int = Field(default=437, ge=0, le=48000, strict=True)


class _RigTable(_Table):
    """The whole file."""

    schema_: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    fs: int = Field(ge=8000, le=768000, strict=True)
    interface: InterfaceTable
    stage: StageTable = StageTable()
    limits: Limits = Limits()
    environment: Environment = Environment()
    driver: tuple[Driver, ...] = Field(min_length=1)
    mic: tuple[Mic, ...] = Field(min_length=1)
    ears: Ears | None = None
    polar: Polar | None = None
    sweep: SweepTable = SweepTable()
    lab: Lab = Lab()


class Description(_RigTable):
    """A checked rig file.

    Parameters
    ----------
    text
        The file, verbatim; it is copied into every run.
    folder
        Where its relative paths start.
    """

    text: str
    folder: Path

    @property
    def sha256(self) -> str:
        """SHA-256 of the file's text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def driver_names(self) -> tuple[str, ...]:
        """Names of the drivers in the order of the file."""
        return tuple(d.name for d in self.driver)

    @property
    def ear_mics(self) -> tuple[Mic, ...]:
        """The dummy head's microphones, left first."""
        return tuple(m for name in EARS for m in self.mic if m.name == name)

    @property
    def polar_mics(self) -> tuple[Mic, ...]:
        """The measurement microphones: all that are no ears."""
        return tuple(m for m in self.mic if m.name not in EARS)

    @property
    def outputs(self) -> int:
        """How many output channels the rig uses, counted from 1."""
        program = [self.interface.program.left, self.interface.program.right] if self.interface.program else []
        return max([d.channel for d in self.driver] + [self.interface.loopback.out, *program])

    @property
    def inputs(self) -> int:
        """How many input channels the rig uses, counted from 1."""
        return max([m.channel for m in self.mic] + [self.interface.loopback.in_])

    def path(self, name: str) -> Path:
        """A path of the file made absolute."""
        return (self.folder / name).expanduser()


def read(path: Path) -> Description:
    """Read and check a rig file.

    Raises
    ------
    BadInput
        The file is missing, is not TOML, or holds faults: one line each.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such rig file. {_neighbours(path)}") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise BadInput(f"{path}: the rig file cannot be read: {fault}") from fault
    return parse(text, folder=path.resolve().parent, where=str(path))


def parse(text: str, folder: Path, where: str = "rig.toml") -> Description:
    """Check the text of a rig file; ``folder`` is where its relative paths start.

    Raises
    ------
    BadInput
        Every fault of the text, one line each, with the key's path and the nearest known key.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise BadInput(f"{where}: not valid TOML: {fault}") from fault
    faults: list[str] = []
    try:
        _RigTable.model_validate(table)
    except ValidationError as invalid:
        faults += faults_said(invalid, _RigTable)
    faults += list(_cross_faults(table, folder))
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise BadInput(f"{where}: {count}\n" + "\n".join(f"  {f}" for f in faults))
    return Description.model_validate({**table, "text": text, "folder": folder})


def _neighbours(path: Path) -> str:
    """The rig files beside a missing one, nearest name first."""
    folder = path.parent
    names = sorted(p.name for p in folder.glob("*.toml")) if folder.is_dir() else []
    if not names:
        return f"There is no .toml file in {folder}"
    near = difflib.get_close_matches(path.name, names, n=len(names), cutoff=0.0)
    return "Found there: " + ", ".join(near[:5])


def _key(location: Sequence[int | str]) -> str:
    """``("driver", 1, "at")`` -> ``driver[2].at`` (counted from 1, as a reader counts tables)."""
    out = ""
    for part in location:
        out += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out


def faults_said(invalid: ValidationError, root: type[BaseModel]) -> list[str]:
    """One line for each fault that a schema found, with the key's path and the nearest known key."""
    return [_said(e, root) for e in invalid.errors()]


def _table_at(location: Sequence[int | str], root: type[BaseModel]) -> type[BaseModel] | None:
    """The model of the table in which a key stands."""
    model: Any = root
    for part in location:
        if isinstance(part, int):
            continue
        found = [f for name, f in model.model_fields.items() if part in (name, f.alias)]
        if not found:
            return None
        model = _model_in(found[0].annotation)
        if model is None:
            return None
    return model  # type: ignore[no-any-return]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The table type inside an annotation such as ``tuple[Driver, ...]`` or ``Ears | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in getattr(annotation, "__args__", ()) if (m := _model_in(a)) is not None), None)


def _said(error: ErrorDetails, root: type[BaseModel]) -> str:
    """One line for one fault that the schema found."""
    location = error["loc"]
    key, value = _key(location), error.get("input")
    if error["type"] == "extra_forbidden":
        model = _table_at(location[:-1], root)
        known = [f.alias or name for name, f in model.model_fields.items()] if model else []
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "known here: " + ", ".join(known)
        return f"{key}: unknown key; {hint}"
    if error["type"] == "missing":
        return f"{key}: missing; {_WANTED.get(str(location[-1]), 'it is required')}"
    shown = repr(value) if not isinstance(value, dict | list) or len(repr(value)) < 60 else type(value).__name__
    return f"{key}: {shown} is not valid: {error['msg'][0].lower()}{error['msg'][1:]}"


_WANTED = {
    "at": "where the driver stands, [x, y, z] in metres from the middle of the device",
    "channel": "the channel as printed on the box, from 1",
    "loopback": "the timing reference, for example { out = 9, in = 4 }",
    "fs": "the sampling rate in Hz, for example 48000",
    "schema": "write schema = 1",
}


def _tables(table: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The tables of an array of tables, as far as they are tables."""
    found = table.get(key, [])
    return [t for t in found if isinstance(t, dict)] if isinstance(found, list) else []


def _sub(table: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """A nested table, empty when absent or of another kind."""
    for key in keys:
        inner = table.get(key)
        if not isinstance(inner, dict):
            return {}
        table = inner
    return table


def _cross_faults(table: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Faults between keys, looked for in the raw table so that they are told beside the schema's."""
    drivers, mics = _tables(table, "driver"), _tables(table, "mic")
    interface, stage = _sub(table, "interface"), _sub(table, "stage")
    loop, program = _sub(interface, "loopback"), _sub(interface, "program")
    outs = [(f"driver[{i + 1}].channel", d.get("channel")) for i, d in enumerate(drivers)]
    outs += [("interface.loopback.out", loop.get("out"))]
    outs += [(f"interface.program.{side}", program.get(side)) for side in ("left", "right")]
    ins = [(f"mic[{i + 1}].channel", m.get("channel")) for i, m in enumerate(mics)]
    ins += [("interface.loopback.in", loop.get("in"))]
    yield from _taken_twice(outs, "output channel")
    yield from _taken_twice(ins, "input channel")
    yield from _taken_twice([(f"driver[{i + 1}].name", d.get("name")) for i, d in enumerate(drivers)], "name")
    yield from _taken_twice([(f"mic[{i + 1}].name", m.get("name")) for i, m in enumerate(mics)], "name")
    yield from _missing_files(table, mics, folder)
    yield from _needs(table, interface, stage, [m.get("name") for m in mics])
    yield from _bands(table, drivers)


def _taken_twice(uses: list[tuple[str, Any]], what: str) -> Iterator[str]:
    """A value used by two keys, told at the second."""
    counts = Counter(v for _, v in uses if isinstance(v, int | str))
    seen: dict[Any, str] = {}
    for key, value in uses:
        if not isinstance(value, int | str) or counts[value] < 2:
            continue
        if value in seen:
            yield f"{key}: {what} {value!r} is already used by {seen[value]}"
        else:
            seen[value] = key


def _missing_files(table: Mapping[str, Any], mics: list[Mapping[str, Any]], folder: Path) -> Iterator[str]:
    named = [(f"mic[{i + 1}].calibration", m.get("calibration")) for i, m in enumerate(mics)]
    head = _sub(table, "lab").get("head", "sphere")
    named += [("lab.head", head)] if head != "sphere" else []
    for key, name in named:
        if isinstance(name, str) and not (folder / name).expanduser().is_file():
            yield f"{key}: no file {name!r} in {folder}"


def _needs(
    table: Mapping[str, Any], interface: Mapping[str, Any], stage: Mapping[str, Any], mic_names: list[Any]
) -> Iterator[str]:
    """Keys that other keys call for."""
    if interface.get("driver") == "portaudio" and not interface.get("device"):
        yield "interface.device: missing; driver 'portaudio' needs a unique part of the device's name"
    if stage.get("driver") == "grbl" and not stage.get("port"):
        yield "stage.port: missing; driver 'grbl' needs the serial port, for example '/dev/ttyUSB0'"
    if stage.get("driver") == "lab" and interface.get("driver") != "lab":
        yield "stage.driver: 'lab' turns the virtual lab in process; it needs interface.driver = 'lab'"
    limits = stage.get("limits_deg")
    if isinstance(limits, list) and len(limits) == 2 and not limits[0] < limits[1]:
        yield f"stage.limits_deg: {limits} leaves no room to turn: the first must be below the second"
    if "ears" in table:
        for name in EARS:
            if name not in mic_names:
                yield f"ears: needs a [[mic]] named {name!r}; there are: {', '.join(map(str, mic_names)) or 'none'}"
    if "polar" in table and all(name in EARS for name in mic_names):
        yield "polar: needs a [[mic]] that is no ear of the dummy head"
    level, ceiling = _sub(table, "sweep").get("level_dbfs"), _sub(table, "limits").get("ceiling_dbfs", -6.0)
    if isinstance(level, int | float) and isinstance(ceiling, int | float) and level > ceiling:
        yield f"sweep.level_dbfs: {level} is above limits.ceiling_dbfs = {ceiling}"


def _bands(table: Mapping[str, Any], drivers: list[Mapping[str, Any]]) -> Iterator[str]:
    """Bands that are upside down or pass half of the sampling rate."""
    fs = table.get("fs")
    named = [(f"driver[{i + 1}].band_hz", d.get("band_hz")) for i, d in enumerate(drivers)]
    named += [("sweep.band_hz", _sub(table, "sweep").get("band_hz"))]
    for key, band in named:
        if not (isinstance(band, list) and len(band) == 2 and all(isinstance(f, int | float) for f in band)):
            continue
        if not band[0] < band[1]:
            yield f"{key}: {band} is upside down: the lower edge comes first"
        if isinstance(fs, int) and band[1] >= fs / 2:
            yield f"{key}: the upper edge {band[1]} Hz is not below half of fs ({fs / 2:g} Hz)"
