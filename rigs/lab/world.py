"""The world shared by virtual interface, virtual stage and sound card.

A device on a turntable, a dummy head some way ahead of it, measurement microphones on the same circle, cables. The
sound travels in free field, or in a room (:mod:`sound.surroundings`); head and body do not scatter each other's
sound back, and the head is away while the measurement microphones listen.

Each driver's field on the circle through the head is split into circular harmonics ``exp(j m azimuth)``. Harmonic
``m`` reaches the head as a wave whose tangential wavenumber is ``m / r``, so from the direction ``asin(m / (k r))``
beside the middle of the body, and the head answers with its response from that direction. That keeps what cancellation
of crosstalk lives on: the driver's directivity between the two ears and the head's diffraction of it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache, partial
from itertools import pairwise
from typing import cast
from weakref import proxy

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import CorrectedHead, Head, SphereHead, half_cosine, load_head, order
from sweetspot.rigs.lab.pair import ReferencePair
from sweetspot.rigs.lab.sound import (
    BaffledBody,
    Body,
    DriverModel,
    SphereBody,
    Surroundings,
    drawn,
    outward,
    spread_of_unit,
    taper,
)
from sweetspot.rigs.lab.threads import one_core
from sweetspot.rigs.layout import Pose, turned
from sweetspot.rigs.rig_file import EARS, Description, Mic
from sweetspot.rigs.units import Complex, Float, from_db, pressure, speed_of_sound

DECAY_S = 0.06
"""How long after its arrival a response is kept: the drivers' low ends have died away by then."""

BRIEF_S = 0.01
"""The same for body and head without the drivers."""

PIECE = 512
"""Frequencies whose harmonics are summed at a time."""

BLOCKS = 16
"""Number of bands of the frequencies, so that low ones are not summed to the order of high ones."""


class World:
    """The objects in the lab.

    Parameters
    ----------
    description
        The rig; its ``[lab]`` table describes the lab.
    serial
        Serial number of the unit: its tolerances are drawn from it and the lab's seed.
    """

    def __init__(self, description: Description, serial: str) -> None:
        lab = description.lab
        self.description = description
        self.serial = serial
        self.pose = Pose()
        self.fs = description.fs
        self.c = speed_of_sound(description.environment.temperature_c)
        self.body = made_body(description, serial)
        warmth = description.environment.temperature_c
        self.drivers = tuple(DriverModel.of_unit(d, lab, serial, warmth) for d in description.driver)
        self.head = made_head(description)
        distances = [p.distance_m for p in (description.ears, description.polar) if p is not None]
        farthest = max(distances, default=1.0) / self.c
        self.room = Surroundings(description, self.body, self.head, self.c) if lab.room is not None else None
        self.taps = self.room.taps_with(DECAY_S) if self.room else _power_of_two((DECAY_S + 1.5 * farthest) * self.fs)
        brief = self.room is not None or lab.body.shape != "sphere"
        self.free_taps = _power_of_two((BRIEF_S + 1.5 * farthest) * self.fs) if brief else self.taps
        self.free_k = _wavenumbers(self.free_taps, self.fs, self.c)
        self.f: Float = np.asarray(np.fft.rfftfreq(self.taps, 1.0 / self.fs), dtype=np.float64)
        self.k = _wavenumbers(self.taps, self.fs, self.c)
        self.electrical = np.stack([d.response(self.f) for d in self.drivers]) * _converter(self.f, description.fs)
        count, own = len(self.body.sources), cast("World", proxy(self))  # a cache in a circle would outlive the world
        self._ear_table = lru_cache(maxsize=2 * count)(partial(World._ear_table_at, own))
        self._spectrum = lru_cache(maxsize=count)(partial(World._spectrum_at, own))
        self._ears = lru_cache(maxsize=2)(partial(World._ears_at, own))
        self._microphone = lru_cache(maxsize=2)(partial(World._microphone_at, own))
        self._fixed = lru_cache(maxsize=8)(partial(World._fixed_at, own))
        self.pair = ReferencePair(description, World) if description.reference else None

    def forget_ears(self) -> None:
        """Give back what the last poses had in common at the ears: 90 MB with `desk`, computed again when needed."""
        for cache in (self._ears, self._ear_table, self._spectrum):
            cache.cache_clear()

    def at_ears(self, pose: Pose) -> Complex:
        """Acoustic responses ``(ear, driver, frequency)`` at :attr:`f`, Pa per full scale, left ear first."""
        return np.asarray(self._ears(pose) * self.electrical)

    def at_microphone(self, turn: float, raised: float = 0.0) -> Complex:
        """Acoustic responses ``(driver, frequency)`` at the measurement microphone, Pa per full scale.

        Position: that of the polar set, ``raised`` on its circle (rad); without one, 1 m ahead.
        """
        return np.asarray(self._microphone(turn, raised) * self.electrical)

    def direct_at_ears(self, pose: Pose) -> Complex:
        """The direct sound ``(ear, driver, frequency)`` at :attr:`free_k`, 1 for a free-field source at 1 m."""
        head = self.head_place(pose)
        out = np.empty((2, self.body.drivers, len(self.free_k)), dtype=np.complex128)
        for n, source in enumerate(self.body.sources):
            r, bearing = _seen(head[0], turned(source.centre, pose.turn))
            m, b = self._spectrum(n, r)
            table = self._ear_table(n, r, bearing, head[1])
            around = np.exp(1j * m * (bearing - pose.turn))
            for low in range(0, len(self.free_k), PIECE):  # what is in between takes a quarter of the memory
                part = slice(low, low + PIECE)
                of_part = np.einsum("m,dmf,emf->edf", around, b[..., part], table[..., part], optimize=True)
                out[:, source.drivers, part] = of_part
        return out if pose.z == 0.0 else out * self._raised(pose)

    def _raised(self, pose: Pose) -> Complex:
        """Change ``(driver, frequency)`` of the field at a head's centre ``pose.z`` above the device's plane.

        The ears' own answer stays that of the horizontal plane, which it is within some degrees of elevation.
        """
        (x, y), _ = self.head_place(pose)
        level, above = (self.body.at(turned([x, y, z], -pose.turn), self.free_k) for z in (0.0, pose.z))
        there = np.abs(level) > 1e-6 * np.max(np.abs(level), axis=1, keepdims=True)
        return np.asarray(np.where(there, above / np.where(there, level, 1.0), 1.0))

    def direct_at_microphone(self, turn: float, raised: float = 0.0) -> Complex:
        """The direct sound ``(driver, frequency)`` at the measurement microphone, at :attr:`free_k`."""
        return self.body.at(turned(self._circle(raised), -turn), self.free_k)

    def _circle(self, raised: float = 0.0) -> Float:
        """Position of the polar microphone, ``raised`` on its circle (rad), ``(3,)`` m."""
        polar = self.description.polar
        return np.array(polar.towards(float(np.radians(polar.azimuth_deg)), raised) if polar else (1.0, 0.0, 0.0))

    def at_fixed(self, mic: Mic, turn: float) -> Complex:
        """Acoustic responses ``(driver, frequency)`` at a microphone of the test box or of the device, Pa/FS."""
        return np.asarray(self._fixed(mic.at or (1.0, 0.0, 0.0), mic.use == "device", turn) * self.electrical)

    def _fixed_at(self, at: tuple[float, float, float], turns: bool, turn: float) -> Complex:
        with one_core():
            here = turned(np.array(at), turn) if turns else self._from_seat(np.array(at))
            room = self.room.at_place(turn, here) if self.room else None
            return self._joined(self.body.at(turned(here, -turn), self.free_k), room)

    def _from_seat(self, at: Float) -> Float:
        """A monitor's position ``(3,)`` m re a device displaced in the test box."""
        table = self.description.lab.spread
        if table is None:
            return at
        x, y, z, angle = drawn(self.description.lab.seed, self.serial, "seat").standard_normal(4)
        moved = 1e-3 * table.seat_mm * np.array([x, y, z])
        return turned(at - moved, -float(np.radians(table.seat_deg * angle)))

    def _ears_at(self, pose: Pose) -> Complex:
        """Direct sound and room ``(ear, driver, frequency)`` at :attr:`f`."""
        with one_core():
            room = self.room.at_ears(pose, *self.head_place(pose)) if self.room else None
            return self._joined(self.direct_at_ears(pose), room)

    def _microphone_at(self, turn: float, raised: float) -> Complex:
        with one_core():
            room = None
            if self.room:
                there = self._circle(raised)
                room = self.room.at_place(turn, there) if raised else self.room.at_microphone(turn)
            return self._joined(self.direct_at_microphone(turn, raised), room)

    def _joined(self, direct: Complex, reflected: Float | None) -> Complex:
        """Spectra at :attr:`f` of a direct sound's spectra and a room's taps."""
        if self.free_taps == self.taps:
            return direct
        h = np.zeros((*direct.shape[:-1], self.taps))
        if reflected is not None:
            h[..., : reflected.shape[-1]] = reflected
        soft = taper(np.asarray(np.fft.rfftfreq(self.free_taps, 1.0 / self.fs), dtype=np.float64), self.fs)
        h[..., : self.free_taps] += np.fft.irfft(direct * soft, self.free_taps, axis=-1)
        return np.asarray(np.fft.rfft(h, axis=-1))

    def paths(self, pose: Pose, *, pair: bool = True, inputs: Collection[int] | None = None) -> NDArray[np.float32]:
        """Electrical impulse responses ``(input, output, tap)`` from every output to every input of the interface.

        Full scale to full scale, the loopback cable included, the latency of the interface not included. Without
        ``pair`` those of the reference pair, which take their time, stay empty; so do those to microphones that are
        not at any of the ``inputs``, where these are given.
        """
        rig = self.description
        out = np.zeros((rig.inputs, rig.outputs, self.taps), dtype=np.float32)
        out[rig.interface.loopback.in_ - 1, rig.interface.loopback.out - 1, 0] = 1.0
        outputs = [d.channel - 1 for d in rig.driver]
        for mic in rig.mic:
            if inputs is not None and mic.channel - 1 not in inputs:
                continue
            heard = self._at(mic, pose)
            gain = mic.per_pascal(rig.interface)
            if (
                rig.lab.calibrator is None or rig.lab.calibrator.mic != mic.name
            ):  # a calibrator's cavity lets nothing in
                out[mic.channel - 1, outputs] = np.fft.irfft(gain * heard, self.taps, axis=-1)
        if pair and self.pair is not None and rig.reference is not None:
            sides = [rig.reference.left - 1, rig.reference.right - 1]
            both = self.pair.at_ears(pose, self.taps)
            for mic in rig.ear_mics:
                gain = mic.per_pascal(rig.interface)
                out[mic.channel - 1, sides] = gain * both[EARS.index(mic.name)]
        return out

    def _at(self, mic: Mic, pose: Pose) -> Complex:
        """Acoustic responses ``(driver, frequency)`` at a microphone or ear, Pa per full scale."""
        if mic.use is not None:
            return self.at_fixed(mic, pose.turn)
        if mic.name not in EARS:
            return self.at_microphone(pose.turn, pose.elevation)
        if not self.description.ears:
            return np.zeros_like(self.electrical)
        return np.asarray(self._ears(pose)[EARS.index(mic.name)] * self.electrical)

    def noise(
        self, rng: np.random.Generator, samples: int, inputs: Collection[int] | None = None
    ) -> NDArray[np.float32]:
        """Noise of the inputs without playback: ``(input, samples)``, full scale = 1; up to the last of ``inputs``."""
        rig = self.description
        rms = np.full(rig.inputs, float(from_db(rig.lab.converter_noise_dbfs)))
        for mic in rig.mic:
            gain = mic.per_pascal(rig.interface)
            rms[mic.channel - 1] = np.hypot(rms[mic.channel - 1], gain * pressure(rig.lab.mic_noise_db_spl))
        count = rig.inputs if inputs is None else max(inputs, default=-1) + 1
        white = np.zeros((rig.inputs, samples), dtype=np.float32)
        rng.standard_normal(dtype=np.float32, out=white[:count])
        white *= rms[:, None].astype(np.float32)
        return white

    def head_place(self, pose: Pose) -> tuple[tuple[float, float], float]:
        """Place (x and y from the device's middle, m) and direction faced (rad) of the head."""
        return (self.description.listening_m + pose.x, pose.y), np.pi + pose.yaw

    def _spectrum_at(self, source: int, r: float) -> tuple[NDArray[np.intp], Complex]:
        """Circular harmonics of a source on the circle of radius ``r``; see :meth:`Source.spectrum`."""
        return self.body.sources[source].spectrum(self.free_k, r)

    def _ear_table_at(self, source: int, r: float, bearing: float, facing: float) -> Complex:
        """The head's answer ``(ear, m, frequency)`` to each circular harmonic of a source's field."""
        m, _ = self._spectrum(source, r)
        radius = self.body.sources[source].extent
        table = np.zeros((2, len(m), len(self.free_k)), dtype=np.complex128)
        edges = np.linspace(0, len(self.free_k), BLOCKS + 1).astype(int)
        for low, high in pairwise(edges):
            k = self.free_k[low:high]
            kept = np.flatnonzero(np.abs(m) <= order(float(k[-1]) * radius))
            beside = np.arcsin(np.clip(m[kept, None] / (k * r), -0.95, 0.95))
            directions = bearing + np.pi - beside - facing
            table[:, kept, low:high] = self.head.response(directions, k, r, self.c)
        return table


def made_head(description: Description) -> Head:
    """The head that a rig's ``[lab]`` table describes."""
    lab = description.lab
    sphere = SphereHead(lab.head_diameter_m, float(np.radians(lab.ears_deg)))
    if lab.head == "sphere":
        return sphere
    measured = load_head(description.path(lab.head))
    return CorrectedHead(measured, sphere, measured.measured) if lab.range_correction else measured


def made_body(description: Description, serial: str = "") -> Body:
    """The body that a rig's ``[lab]`` table describes, with the spread that a serial number has."""
    lab, places = description.lab, np.array([d.at for d in description.driver])
    size = lab.body.driver_diameter_m
    facing = np.tile([1.0, 0.0, 0.0], (len(places), 1)) if lab.body.shape == "line" else outward(places)
    spread = spread_of_unit(description, serial, facing, speed_of_sound(description.environment.temperature_c)) or ()
    if lab.body.shape == "sphere":
        return SphereBody(lab.body_diameter_m, places, size, spread)
    return BaffledBody(places, facing, lab.body.baffle_m, size, spread)


def _seen(place: tuple[float, float], centre: Float) -> tuple[float, float]:
    """Distance (m) and bearing (rad) of a place from a source's centre, both in the horizontal plane."""
    x, y = place[0] - float(centre[0]), place[1] - float(centre[1])
    return float(np.hypot(x, y)), float(np.arctan2(y, x))


def _power_of_two(samples: float) -> int:
    """The power of two at or above a number of samples."""
    return 1 << (int(samples) - 1).bit_length()


def _wavenumbers(taps: int, fs: int, c: float) -> Float:
    """Wavenumbers of a transform's bins, rad/m; that of 0 Hz is taken at 1 Hz."""
    return np.asarray(2.0 * np.pi * np.maximum(np.fft.rfftfreq(taps, 1.0 / fs), 1.0) / c)


def _converter(f: Float, fs: int) -> Float:
    """Magnitude of the converters' anti-alias filters: flat to 0.45 fs, then half a cosine down to half of fs."""
    return half_cosine.fall((f / fs - 0.45) / 0.05)
