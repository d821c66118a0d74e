"""Overview of a virtual lab: positions, driver responses, room response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sweetspot.rigs.acoustics import half_cosine
from sweetspot.rigs.lab.threads import one_core
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose, turned
from sweetspot.rigs.units import P_REF, Complex, Float, db, power_db

OCTAVES = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
"""Bands of the reverberation time, Hz."""

POLAR_HZ = (500.0, 2000.0, 8000.0)
"""Frequencies of the polar patterns."""

JUDGED_HZ = (100.0, 10000.0)
"""Band in which direct and reverberant energy are compared."""

PER_OCTAVE = 24


@dataclass(frozen=True, slots=True, eq=False)
class Reverberation:
    """How the room answers.

    Parameters
    ----------
    size, device, heads, boom
        Size ``(3,)``, places of the device ``(3,)``, of the head ``(position, 3)`` and of the microphone ``(3,)``, m.
    facing
        Direction that the device faces, rad.
    absorption
        Of the six walls at 1 kHz.
    eyring, heard
        Reverberation time of each octave, s: after Eyring, and from the decay at the measurement microphone.
    direct_db
        Direct over reverberant energy ``(ear, driver)``, dB.
    """

    size: Float
    device: Float
    facing: float
    absorption: Float
    eyring: Float
    heard: Float
    direct_db: Float


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """A lab at a glance.

    Parameters
    ----------
    bands
        Usable band of each driver, Hz.
    channels
        As printed on the box.
    places, axes
        Of the drivers' faces and where they face, ``(driver, 3)``.
    reach
        Radius of the body, or of a baffle, m.
    around
        Whether the drivers share one sphere.
    heads
        The head's places ``(position, 2)`` m and yaw, rad, in the coordinates of the rig.
    boom
        Distance of the measurement microphone, m.
    ears
        Azimuth of the ears from the head's front, rad, and the head's radius, m.
    f, level
        Frequencies, Hz, and ``(driver, frequency)`` level of full scale on each driver's axis at 1 m, dB SPL.
    azimuths, patterns
        Directions, rad, and ``(driver, pattern, direction)`` level re the driver's loudest, dB.
    taps
        Length of the impulse responses.
    room
        What a room adds; None in free field.
    """

    name: str
    unit: str
    fs: int
    taps: int
    drivers: tuple[str, ...]
    bands: tuple[tuple[float, float], ...]
    channels: tuple[int, ...]
    places: Float
    axes: Float
    reach: float
    around: bool
    heads: Float
    boom: float | None
    ears: tuple[float, float]
    f: Float
    level: Float
    azimuths: Float
    patterns: Float
    room: Reverberation | None


def overview(world: World) -> Overview:
    """Look at a lab as it stands at first: device straight ahead, head at its nominal place."""
    rig, lab = world.description, world.description.lab
    sources = world.body.sources
    axes = np.concatenate([s.axes for s in sources])
    centres = np.concatenate([np.tile(s.centre, (len(s.drivers), 1)) for s in sources])
    radius = sources[0].radius
    azimuths = np.linspace(-np.pi, np.pi, 181)
    positions = rig.ears.positions if rig.ears else ()
    ahead = rig.ears.distance_m if rig.ears else 0.0
    f, level = _responses(world, centres + axes * radius, axes)
    return Overview(
        name=rig.name,
        unit=world.serial,
        fs=rig.fs,
        taps=world.taps,
        drivers=rig.driver_names,
        bands=tuple(d.band_hz for d in rig.driver),
        channels=tuple(d.channel for d in rig.driver),
        places=centres + axes * radius,
        axes=axes,
        reach=radius,
        around=len(sources) == 1,
        heads=np.array([(ahead + p.x, p.y, p.pose.yaw) for p in positions]).reshape(-1, 3),
        boom=rig.polar.distance_m if rig.polar else None,
        ears=(float(np.radians(lab.ears_deg)), lab.head_diameter_m / 2.0),
        f=f,
        level=level,
        azimuths=azimuths,
        patterns=_patterns(world, azimuths),
        room=_reverberation(world) if world.room else None,
    )


def _responses(world: World, faces: Float, axes: Float) -> tuple[Float, Float]:
    """Level on each driver's own axis, 1 m from its face, of a full-scale sine, dB SPL."""
    count = int(PER_OCTAVE * np.log2(20000.0 / 40.0)) + 1
    f = np.minimum(40.0 * 2.0 ** (np.arange(count) / PER_OCTAVE), 0.45 * world.fs)
    k = 2.0 * np.pi * f / world.c
    rows = np.stack([world.body.at(face + axis, k)[d] for d, (face, axis) in enumerate(zip(faces, axes, strict=True))])
    electrical = np.stack([np.interp(f, world.f, np.abs(row)) for row in world.electrical])
    return f, db(np.abs(rows) * electrical / (P_REF * np.sqrt(2.0)))


def _patterns(world: World, azimuths: Float) -> Float:
    """Levels around the device at 2 m, each driver's loudest direction 0 dB."""
    k = 2.0 * np.pi * np.array(POLAR_HZ) / world.c
    points = 2.0 * np.stack([np.cos(azimuths), np.sin(azimuths), np.zeros_like(azimuths)], axis=1)
    level = db(np.stack([world.body.at(point, k) for point in points], axis=2))
    return np.asarray(level - level.max(axis=2, keepdims=True))


def _reverberation(world: World) -> Reverberation:
    assert world.room is not None, "the rig is in free field"
    room = world.room
    pose = Pose()
    with one_core():
        reflected = np.fft.rfft(room.at_ears(pose, *world.head_place(pose)), world.taps, axis=-1)
    direct = world.direct_at_ears(pose)
    polar = np.fft.irfft(world.at_microphone(0.0), world.taps, axis=-1)
    bands = np.array(room.table.bands_hz)
    near = int(np.argmin(np.abs(np.log(bands / 1000.0))))
    eyring = np.interp(np.log(OCTAVES), np.log(bands), room.reverberation)
    return Reverberation(
        size=room.size,
        device=room.device,
        facing=room.facing,
        absorption=room.absorption[:, near],
        eyring=np.asarray(eyring),
        heard=np.array([decay_time(polar, world.fs, octave) for octave in OCTAVES]),
        direct_db=np.asarray(_energy_db(direct, world) - _energy_db(reflected, world)),
    )


def _energy_db(spectra: Complex, world: World) -> Float:
    """Energy in the judged band, dB; spectra of any length of transform."""
    f = np.linspace(0.0, world.fs / 2.0, spectra.shape[-1])
    band = (f >= JUDGED_HZ[0]) & (f <= JUDGED_HZ[1])
    weight = np.stack([np.interp(f, world.f, np.abs(row)) for row in world.electrical])
    return power_db((np.abs(spectra * weight)[..., band] ** 2).mean(axis=-1))


def decay_time(h: Float, fs: float, octave: float) -> float:
    """Reverberation time of responses ``(driver, tap)`` in an octave, s, from -5 to -25 dB of their summed decay.

    The octave is cut out with flanks of half a cosine over a sixth of an octave; the decay is Schroeder's (J. Acoust.
    Soc. Am. 37, 409, 1965).
    """
    taps = h.shape[-1]
    spectrum = np.fft.rfft(h, 2 * taps, axis=-1)  # what rings ahead of the arrival goes to the end, and is cut off
    away = np.abs(np.log2(np.maximum(np.fft.rfftfreq(2 * taps, 1.0 / fs), 1.0) / octave))
    gate = half_cosine.fall((away - 0.5) * 6.0 + 0.5)
    energy = (np.fft.irfft(spectrum * gate, axis=-1)[..., :taps] ** 2).sum(axis=0)
    left = power_db(np.cumsum(energy[::-1])[::-1] / energy.sum())
    fitted = np.flatnonzero((left <= -5.0) & (left >= -25.0))
    slope = np.polyfit(fitted / fs, left[fitted], 1)[0]
    return float(-60.0 / slope)


def data(o: Overview) -> dict[str, Any]:
    """The figures for a program."""
    rows: list[dict[str, Any]] = []
    for n, name in enumerate(o.drivers):
        rows.append(
            {
                "driver": name,
                "channel": o.channels[n],
                "at_m": o.places[n].round(4).tolist(),
                "azimuth_deg": _azimuth_deg(o.axes[n]),
                "level_1khz_db_spl": round(_at(o.f, o.level[n], 1000.0), 2),
                "band_hz": [round(x) for x in _band(o, n)[1:]],
                "direct_to_reverberant_db": o.room.direct_db[:, n].round(2).tolist() if o.room else None,
            }
        )
    room = o.room and {
        "size_m": o.room.size.tolist(),
        "device_m": o.room.device.tolist(),
        "facing_deg": float(np.degrees(o.room.facing)),
        "octaves_hz": list(OCTAVES),
        "reverberation_eyring_s": o.room.eyring.round(3).tolist(),
        "reverberation_heard_s": o.room.heard.round(3).tolist(),
    }
    return {"rig": o.name, "unit": o.unit, "fs": o.fs, "taps": o.taps, "drivers": rows, "room": room}


def text(o: Overview) -> str:
    """The figures for a reader."""
    where = "in free field"
    if o.room:
        where = "in a room of " + " x ".join(f"{x:g}" for x in o.room.size) + " m"
    body = f"on one sphere of {200 * o.reach:g} cm" if o.around else f"each in its own baffle of {200 * o.reach:g} cm"
    lines = [
        f"{o.name}: {len(o.drivers)} drivers {body}, {where}; unit {o.unit}, {o.fs} Hz, "
        f"responses of {1000 * o.taps / o.fs:.0f} ms",
        "",
        "driver               channel  azimuth  level at 1 m   -6 dB band, Hz"
        + ("     direct/reverberant L, R" if o.room else ""),
    ]
    for n, name in enumerate(o.drivers):
        at, low, high = _band(o, n)
        line = f"{name:<20} {o.channels[n]:>7}  {_azimuth_deg(o.axes[n]):>4.0f} deg  "
        line += f"{_at(o.f, o.level[n], at):>7.1f} dB SPL   {low:>5.0f} - {high:<6.0f}"
        if o.room:
            left, right = o.room.direct_db[:, n]
            line += f"      {left:>5.1f} dB {right:>6.1f} dB"
        lines.append(line.rstrip())
    if o.room:
        lines += ["", "octave, Hz           " + "".join(f"{x:>8.0f}" for x in OCTAVES)]
        lines += ["decay at mic, s      " + "".join(f"{x:>8.2f}" for x in o.room.heard)]
        lines += ["after Eyring, s      " + "".join(f"{x:>8.2f}" for x in o.room.eyring)]
    return "\n".join(lines)


def _azimuth_deg(axis: Float) -> float:
    return float(np.round(np.degrees(np.arctan2(axis[1], axis[0])), 1))


def _at(f: Float, level: Float, wanted: float) -> float:
    return float(np.interp(wanted, f, level))


def _band(o: Overview, driver: int) -> tuple[float, float, float]:
    """Where a driver's level is read, Hz, and its -6 dB band around that.

    It is re the mean from 300 Hz to 3 kHz, read at 1 kHz; for a band beside these, re its own middle.
    """
    f, level, (least, most) = o.f, o.level[driver], o.bands[driver]
    from_hz, to_hz = max(300.0, 1.5 * least), min(3000.0, most / 1.5)
    if to_hz < 2.0 * from_hz:
        from_hz, to_hz = least * (most / least) ** 0.25, most * (least / most) ** 0.25
    at = 1000.0 if from_hz <= 1000.0 <= to_hz else float(np.sqrt(from_hz * to_hz))
    mean = level[(f >= from_hz) & (f <= to_hz)].mean()
    below = np.flatnonzero(level < mean - 6.0)
    low, high = below[f[below] < at], below[f[below] > at]
    return at, float(f[low[-1] + 1] if len(low) else f[0]), float(f[high[0] - 1] if len(high) else f[-1])


def in_room(o: Overview, points: Float) -> Float:
    """Points ``(..., 2)`` of the rig's floor in the room's coordinates; unchanged in free field."""
    flat = np.concatenate([points, np.zeros((*points.shape[:-1], 1))], axis=-1)
    if o.room is None:
        return points
    return np.asarray(turned(flat, o.room.facing)[..., :2] + o.room.device[:2])
