"""The room around a rig: positions of device, head and microphones in it, and its responses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import fft

from sweetspot.rigs.acoustics import WALLS, EncodedHead, Encoding, Head, Single, eyring, eyring_rate
from sweetspot.rigs.lab.sound.body import Body, DriverSource
from sweetspot.rigs.lab.sound.driver import drawn
from sweetspot.rigs.lab.sound.room import Point, Room
from sweetspot.rigs.layout import Pose, turned
from sweetspot.rigs.rig_file import Absorption, Description, RoomTable
from sweetspot.rigs.units import Float


class Drivers:
    """The drivers of one source in the room (an :class:`sweetspot.rigs.lab.sound.room.Emitter`)."""

    def __init__(self, encoding: Encoding, axes: Float) -> None:
        self.encoding, self.axes = encoding, axes

    def toward(self, directions: Float, r: Float) -> Sequence[Single | None]:
        """See :class:`sweetspot.rigs.lab.sound.room.Emitter`."""
        return [self.encoding.toward(np.clip(directions @ axis, -1.0, 1.0), r) for axis in self.axes]


class LabEars:
    """A head as the room meets it (an :class:`room.Receiver`); it faces ``facing`` rad of the room."""

    def __init__(self, head: EncodedHead, facing: float) -> None:
        self.head, self.facing = head, facing
        self.offsets: Float | None = turned(head.offsets, facing)

    def toward(self, directions: Float, r: Float) -> Sequence[Single | None]:
        """See :class:`sweetspot.rigs.lab.sound.room.Receiver`."""
        return self.head.toward(turned(directions, -self.facing), r)


class Surroundings:
    """The rig's room.

    Parameters
    ----------
    description
        The rig; ``[lab.room]`` must be there.
    body, head
        What radiates and what listens.
    c
        Speed of sound, m/s.
    """

    def __init__(self, description: Description, body: Body, head: Head, c: float) -> None:
        table = description.lab.room
        assert table is not None, "Surroundings are made for rigs with a room"
        self.table, self.body, self.fs = table, body, description.fs
        self.size, self.device = np.array(table.size_m), np.array(table.device_m)
        self.facing = float(np.radians(table.facing_deg))
        self.bands, self.absorption = np.array(table.bands_hz), absorption(table)
        self.c = c
        ears, polar = description.ears, description.polar
        self.nominal = self.place(description.listening_m, 0.0)
        self.boom = self.place(*(polar.microphone if polar else (1.0, 0.0)))
        self.room = Room(
            self.size,
            self.bands,
            self.absorption,
            c,
            description.fs,
            table.image_order,
            seconds=self._seconds(description),
            rng=drawn(description.lab.seed, "room"),
        )
        nearest = 0.5 * min(p.distance_m for p in (ears, polar) if p is not None) if ears or polar else 0.5
        source = body.sources[0]
        self._encoding = Encoding(source.radius, self.room.k, max(nearest, 2.0 * source.radius), source.cap)
        self._head = head.encoded(self.room.k, nearest, c)

    def place(self, x: float, y: float, z: float = 0.0) -> Float:
        """A point of the rig in room coordinates, ``(3,)`` m; given ahead of the device, to its left, up."""
        return self.device + turned([x, y, z], self.facing)

    @property
    def reverberation(self) -> Float:
        """Reverberation time of each band after Eyring, s."""
        return eyring(self.size, self.absorption, self.c)

    def taps_with(self, more: float) -> int:
        """Taps of the room's responses and ``more`` seconds, rounded up to a length that transforms fast."""
        return int(fft.next_fast_len(2 * ((self.room.taps + int(more * self.fs) + 1) // 2), real=True))

    def at_ears(self, pose: Pose, place: tuple[float, float], facing: float) -> Float:
        """All but the direct sound at the ears, ``(ear, driver, tap)``, for a head of the rig's coordinates."""
        ears = LabEars(self._head, self.facing + facing)
        return self._room_responses(pose.turn, ears, self.place(*place, pose.z), 2)

    def at_microphone(self, turn: float) -> Float:
        """All but the direct sound at the measurement microphone, ``(driver, tap)``."""
        return np.asarray(self._room_responses(turn, Point(), self.boom, 1)[0])

    def at_place(self, turn: float, at: Float) -> Float:
        """The same at a microphone elsewhere, ``at (3,)`` m in the rig's coordinates."""
        return np.asarray(self._room_responses(turn, Point(), self.device + turned(at, self.facing), 1)[0])

    def _room_responses(self, turn: float, receiver: LabEars | Point, place: Float, count: int) -> Float:
        out = np.empty((count, self.body.drivers, self.room.taps))
        for source in self.body.sources:
            centre, drivers = self._emitter(source, turn)
            out[:, source.drivers] = self.room.impulse_responses(
                drivers, centre, receiver, place, direct=False, origin=(self.device, self.nominal)
            )
        return out

    def _emitter(self, source: DriverSource, turn: float) -> tuple[Float, Drivers]:
        """A source's place in the room and its drivers, the device turned by ``turn`` rad."""
        angle = self.facing + turn
        return self.device + turned(source.centre, angle), Drivers(self._encoding, turned(source.axes, angle))

    def _seconds(self, description: Description) -> float:
        """Time after the direct sound in which the slowest band decays as far as the table states."""
        rate = float(eyring_rate(self.size, self.absorption, self.c).min())
        distances = [p.distance_m for p in (description.ears, description.polar) if p is not None]
        return self.table.decay_db / 10.0 * float(np.log(10.0)) / rate + max(distances, default=1.0) / self.c


def absorption(table: RoomTable) -> Float:
    """Absorption ``(6, band)`` of the walls in the order of :data:`sweetspot.rigs.acoustics.walls.WALLS`."""
    bands = len(table.bands_hz)

    def row(value: Absorption) -> Float:
        return np.broadcast_to(np.asarray(value, dtype=float), (bands,))

    single = [getattr(table.walls, wall) for wall in WALLS]
    return np.stack([row(table.absorption if value is None else value) for value in single])
