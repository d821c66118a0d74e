"""A new rig file: shapes of devices, stages and microphones as commented text that passes the check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file.description import parse
from sweetspot.rigs.storage import write

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class NewDriver:
    """A driver of a new rig.

    Parameters
    ----------
    channel
        Output, from 1.
    at
        Place, m.
    band_hz
        What it plays, Hz.
    """

    name: str
    channel: int
    at: tuple[float, float, float]
    band_hz: tuple[float, float]


@dataclass(frozen=True, slots=True)
class NewRig:
    """Data of a new rig file.

    Parameters
    ----------
    fs
        Sampling rate, Hz.
    interface
        Lines of ``[interface]`` that choose the device.
    loopback
        Output and input of the loopback cable.
    stage
        Lines of ``[stage]``.
    head
        Inputs of the dummy head's left and right ear; ``None`` without one.
    polar
        Input of the measurement microphone; ``None`` without one.
    distance_m
        From the device to head and microphone.
    full_scale_v, sensitivity
        Of the inputs and the microphones, where they are known.
    """

    name: str
    fs: int
    drivers: tuple[NewDriver, ...]
    interface: tuple[str, ...]
    loopback: tuple[int, int]
    stage: tuple[str, ...]
    head: tuple[int, int] | None
    polar: int | None
    distance_m: float = 2.0
    full_scale_v: float | None = None
    sensitivity: float | None = None


def _pair(count: int, size_m: float) -> list[tuple[str, float, float]]:
    return [("left", 0.0, size_m / 2.0), ("right", 0.0, -size_m / 2.0)]


def _round(count: int, size_m: float) -> list[tuple[str, float, float]]:
    """Drivers around a cylinder or sphere, the first pair 30 degrees from straight ahead as on a four-driver desk."""
    if count % 2:
        raise BadInput(f"--drivers {count}: a round device has an even number, half of them on each side")
    half = count // 2
    angles = [30.0 + (150.0 - 30.0) * n / max(half - 1, 1) if half > 2 else (30.0, 90.0)[n] for n in range(half)]
    names = ["front", "side", "back"] if half <= 3 else [f"ring{n + 1}" for n in range(half)]
    out = []
    for name, angle in zip(names, angles, strict=False):
        x, y = 0.5 * size_m * float(np.cos(np.radians(angle))), 0.5 * size_m * float(np.sin(np.radians(angle)))
        out += [(f"{name}_left", x, y), (f"{name}_right", x, -y)]
    return out


def _bar(count: int, size_m: float) -> list[tuple[str, float, float]]:
    places = np.linspace(size_m / 2.0, -size_m / 2.0, count)
    return [(f"bar_{n + 1}", 0.0, float(y)) for n, y in enumerate(places)]


SHAPES: dict[str, tuple[Callable[[int, float], list[tuple[str, float, float]]], int, float, tuple[float, float]]] = {
    "pair": (_pair, 2, 0.14, (180.0, 18000.0)),
    "round": (_round, 4, 0.175, (110.0, 20000.0)),
    "soundbar": (_bar, 8, 0.84, (140.0, 20000.0)),
    "line": (_bar, 4, 0.3, (140.0, 20000.0)),
}
"""Shapes by name: function of the driver positions, number of drivers, width of the device (m), band (Hz)."""


def shaped(
    shape: str, count: int | None, size_m: float | None, band_hz: tuple[float, float] | None
) -> tuple[NewDriver, ...]:
    """Drivers of a common shape of device.

    Raises
    ------
    BadInput
        No such shape, or not so many drivers in it.
    """
    if shape not in SHAPES:
        raise BadInput(f"--template {shape}: there are {', '.join(SHAPES)}")
    place, usual, width, band = SHAPES[shape]
    if shape == "pair" and count not in (None, 2):
        raise BadInput(f"--drivers {count}: a pair has 2; take --template line")
    places = place(count or usual, size_m or width)
    return tuple(
        NewDriver(name, n + 1, (round(x, 4), round(y, 4), 0.0), band_hz or band)
        for n, (name, x, y) in enumerate(places)
    )


def written_out(text: str) -> NewDriver:
    """A driver from ``name,channel,x,y,z,low,high``.

    Raises
    ------
    BadInput
        It is not of that form.
    """
    parts = [p.strip() for p in text.split(",")]
    try:
        name, channel, *numbers = parts
        x, y, z, low, high = (float(n) for n in numbers)
        return NewDriver(name, int(channel), (x, y, z), (low, high))
    except ValueError as fault:
        raise BadInput(
            f"--driver {text!r}: give name,channel,x,y,z,low,high in m and Hz, such as "
            "tweeter_left,3,0,0.09,0,2500,20000"
        ) from fault


def drivers_of(
    written: list[str] | None, shape: str, count: int | None, size_m: float | None, band: str | None
) -> tuple[NewDriver, ...]:
    """The drivers as they are written out, else those of a shape; ``band`` is ``low,high`` in Hz.

    Raises
    ------
    BadInput
        They are not of their forms.
    """
    if written:
        return tuple(written_out(text) for text in written)
    return shaped(shape, count, size_m, None if band is None else band_of(band))


def planned(
    name: str,
    *,
    fs: int,
    drivers: tuple[NewDriver, ...],
    device: str,
    output: str | None,
    hostapi: str | None,
    loopback: str | None,
    stage: str | None,
    port: str | None,
    head: str | None,
    mic: int | None,
    distance_m: float,
    sensitivity: float | None,
    full_scale_v: float | None,
) -> NewRig:
    """A new rig from the options of the command; see :class:`NewRig`.

    ``device`` is a part of an audio device's name, or ``"lab"``; the virtual lab's inputs are calibrated.

    Raises
    ------
    BadInput
        An option is not of its form.
    """
    virtual = device.lower() == "lab"
    if virtual:
        interface: tuple[str, ...] = ('driver = "lab"                  # the virtual lab; "portaudio" for a device',)
        full_scale_v = 0.3 if full_scale_v is None else full_scale_v
        sensitivity = 12.5 if sensitivity is None else sensitivity
    else:
        interface = ('driver = "portaudio"',)
        if output:
            interface += (f'output = "{output}"', f'input = "{device}"')
        else:
            interface += (f'device = "{device}"             # a unique part of its name',)
        interface += (f'hostapi = "{hostapi}"',) if hostapi else ()
    ears = pair_of(head, "--head") if head and head != "none" else None
    if ears is None and not mic:
        raise BadInput("--head none and --mic 0: no microphone is left; give the inputs of a head, or of a microphone")
    outs = [d.channel for d in drivers]
    ins = [*(ears or ()), *([mic] if mic else [])]
    cable = pair_of(loopback, "--loopback") if loopback else (free_channel(outs), free_channel(ins))
    lines = stage_lines(stage or ("lab" if virtual else "manual"), port)
    return NewRig(
        name,
        fs,
        drivers=drivers,
        interface=interface,
        loopback=cable,
        stage=lines,
        head=ears,
        polar=mic or None,
        distance_m=distance_m,
        full_scale_v=full_scale_v,
        sensitivity=sensitivity,
    )


STAGES = {
    "fixed": ('driver = "fixed"                # nothing moves: one position only',),
    "manual": ('driver = "manual"               # you are prompted for every move',),
    "grbl": (
        'driver = "grbl"                 # a GRBL controller; its $100 counts steps per degree',
        'turns = "device"                # what stands on it: "device" or "head"',
        'port = "{port}"',
        "limits_deg = [-180, 180]        # the cables' limits",
    ),
    "et250": (
        'driver = "et250"                # Outline ET250-3D',
        'turns = "device"',
        'host = "{port}"                 # its address',
        "limits_deg = [-180, 180]",
    ),
    "scpi": (
        'driver = "scpi"                 # any controller that takes lines of text',
        'turns = "device"',
        'port = "{port}"                 # or of a network adapter: "socket://192.168.1.50:5025"',
        "baud = 9600",
        "limits_deg = [-180, 180]",
        "",
        "[stage.commands]                # from the controller's manual; {angle} stands for degrees",
        'move = "TURN {angle}"',
        'position = "POS?"',
        '# moving = "BUSY?"              # repeated until the reply is "standing"',
        '# standing = "0"',
        '# stop = "STOP"',
        '# identify = "*IDN?"            # sent once; the reply must contain "expect"',
        '# expect = "Turntable"',
        'end = "lf"                      # line terminator: lf, cr, crlf, nul',
    ),
    "lab": ('driver = "lab"', 'turns = "device"', "limits_deg = [-180, 180]"),
}
"""Lines of ``[stage]`` by its driver."""

PORTS = {"grbl": "/dev/ttyUSB0", "scpi": "/dev/ttyUSB0", "et250": "192.168.1.34"}


def stage_lines(driver: str, port: str | None) -> tuple[str, ...]:
    """Lines of ``[stage]``.

    Raises
    ------
    BadInput
        There is no template of that stage.
    """
    if driver not in STAGES:
        raise BadInput(f"--stage {driver}: there are {', '.join(STAGES)}")
    return tuple(line.replace("{port}", port or PORTS.get(driver, "")) for line in STAGES[driver])


def rig_text(new: NewRig) -> str:
    """The file."""
    low, high = min(d.band_hz[0] for d in new.drivers), max(d.band_hz[1] for d in new.drivers)
    blocks = [
        [
            f"# Rig {new.name}: every key is explained by `sweetspot rig keys`; check it with `sweetspot rig check`.",
            "schema = 1",
            f'name = "{new.name}"',
            f"fs = {new.fs}",
        ],
        ["[interface]", *new.interface, _loopback(new), _full_scale(new)],
        ["[stage]", *new.stage],
        [
            "[limits]",
            "ceiling_dbfs = -6.0             # largest sample at any driver",
            *_loudest(new),
        ],
        ["[environment]", "temperature_c = 21.0"],
        *[_driver(d) for d in new.drivers],
        *_mics(new),
        *_places(new),
        [
            "[sweep]                         # `sweetspot rig sweep --write` chooses level and length for your room",
            f"band_hz = [{max(low / 2.0, 20.0):g}, {min(high, 0.44 * new.fs):g}]",
            "seconds = 2.0",
            "level_dbfs = -20.0              # low to start with",
        ],
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _loopback(new: NewRig) -> str:
    out, into = new.loopback
    return f"loopback = {{ out = {out}, in = {into} }}   # a cable from this output to this input: the timing reference"


def _full_scale(new: NewRig) -> str:
    if new.full_scale_v is None:
        return "# full_scale_v = 1.0            # peak voltage of a full-scale sample at the inputs: see rigs/README.md"
    return f"full_scale_v = {new.full_scale_v:g}              # peak voltage of a full-scale sample at the inputs"


def _loudest(new: NewRig) -> list[str]:
    known = new.full_scale_v is not None and new.sensitivity is not None
    mark = "" if known else "# "
    line = f"{mark}loudest_db_spl = 90.0"
    return [f"{line:<32}# at any microphone; needs calibrated microphones"]


def _driver(d: NewDriver) -> list[str]:
    return [
        "[[driver]]",
        f'name = "{d.name}"',
        f"channel = {d.channel}                     # as printed on the interface",
        f"at = [{d.at[0]:g}, {d.at[1]:g}, {d.at[2]:g}]         # m from the middle of the device: ahead, left, up",
        f"band_hz = [{d.band_hz[0]:g}, {d.band_hz[1]:g}]         # nothing below it is ever sent to this driver",
        "# power_w = 10.0                # rated power; enforced where v_per_fs (volts at full scale) is given",
    ]


def _mics(new: NewRig) -> list[list[str]]:
    value = (
        f"sensitivity_mv_per_pa = {new.sensitivity:g}"
        if new.sensitivity is not None
        else ("# sensitivity_mv_per_pa = 12.5  # measure it: sweetspot rig calibrate RIG --mic NAME --write")
    )
    found: list[tuple[str, int]] = []
    if new.head is not None:
        found += [("ear_left", new.head[0]), ("ear_right", new.head[1])]
    if new.polar is not None:
        found.append(("polar", new.polar))
    return [
        [
            "[[mic]]",
            f'name = "{name}"',
            f"channel = {channel}",
            value,
            '# calibration = "mic.txt"       # its correction file',
        ]
        for name, channel in found
    ]


def _places(new: NewRig) -> list[list[str]]:
    blocks = []
    if new.head is not None:
        blocks.append(
            [
                "[ears]                          # positions of the dummy head: m from the nominal position, degrees "
                "of yaw",
                f"distance_m = {new.distance_m:g}",
                "positions = [",
                '    { x =  0.00, y =  0.00, yaw_deg =  0, use = "design" },',
                '    { x =  0.00, y =  0.04, yaw_deg =  0, use = "design" },',
                '    { x =  0.00, y = -0.04, yaw_deg =  0, use = "design" },',
                '    { x =  0.03, y =  0.02, yaw_deg =  5, use = "score" },',
                '    { x = -0.03, y = -0.02, yaw_deg = -5, use = "score" },',
                "]",
            ]
        )
    if new.polar is not None:
        blocks.append(["[polar]", f"distance_m = {new.distance_m:g}", "step_deg = 10.0"])
    return blocks


def pair_of(text: str, option: str) -> tuple[int, int]:
    """Two channels from ``9,4``; anything else is refused (:class:`BadInput`)."""
    return _two(int, text, f"{option} {text!r}: give two channels, such as 9,4")


def band_of(text: str) -> tuple[float, float]:
    """A band from ``110,20000``; anything else is refused (:class:`BadInput`)."""
    return _two(float, text, f"--band {text!r}: give its lower and upper edge in Hz, such as 110,20000")


def _two(kind: Callable[[str], Number], text: str, refusal: str) -> tuple[Number, Number]:
    try:
        one, other = (kind(part) for part in text.split(","))
    except ValueError as fault:
        raise BadInput(refusal) from fault
    return one, other


def free_channel(taken: Sequence[int]) -> int:
    """The lowest unused channel."""
    return next(c for c in range(1, len(taken) + 2) if c not in taken)


def save(text: str, path: Path) -> None:
    """Write a new rig file that passes its own check.

    Raises
    ------
    BadInput
        There is a file of that name already, or the options make no valid rig.
    """
    if path.exists():
        raise BadInput(f"{path}: is there already; give another NAME, or --out FILE")
    parse(text, path.resolve().parent, str(path))
    write(path, text.encode())
