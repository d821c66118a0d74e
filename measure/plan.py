"""What a session will capture, as pure data: a list made from the rig alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from measure.impulse import POSITION
from measure.sweep import Sweep, stimulus, synchronised
from rigs.describe import Description, Mic
from rigs.errors import BadInput
from rigs.layout import Pose
from rigs.protocol import check_ceiling
from rigs.units import from_db

SetName = Literal["ears", "polar"]
SETS: tuple[SetName, ...] = ("ears", "polar")


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture of a plan: where everything stands, and which driver plays."""

    position: int
    pose: Pose
    driver: int
    repeat: int

    @property
    def key(self) -> str:
        """Its name in a session file."""
        return f"p{self.position:03d}_d{self.driver:02d}_r{self.repeat:02d}"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One set of a session.

    Parameters
    ----------
    name
        ``"ears"`` or ``"polar"``.
    captures
        In the order in which they will be made.
    positions
        Table of dtype :data:`measure.impulse.POSITION`.
    mics
        The microphones that are recorded, besides the loopback.
    sweep
        What is played.
    played
        ``(samples,)`` as sent to the driver and to the loopback, silence at the end included.
    before, after
        Samples kept of each response ahead of time zero and from it on.
    """

    name: SetName
    captures: tuple[Capture, ...]
    positions: NDArray[np.void]
    mics: tuple[Mic, ...]
    sweep: Sweep
    played: NDArray[np.float32]
    before: int
    after: int

    @property
    def seconds(self) -> float:
        """Length of all its captures, s."""
        return len(self.captures) * len(self.played) / self.sweep.fs

    @property
    def bytes(self) -> int:
        """Size of its raw captures, with the loopback."""
        return len(self.captures) * self.capture_bytes

    @property
    def capture_bytes(self) -> int:
        """Size of one raw capture."""
        return (len(self.mics) + 1) * len(self.played) * 4


def make(rig: Description, name: SetName) -> Plan:
    """The plan of one set.

    Raises
    ------
    BadInput
        The rig has no such set, or the stimulus would pass its ceiling.
    """
    places = tuple(_places(rig, name))
    table = np.array([row for _, row in places], dtype=POSITION)
    sweep = synchronised(rig.sweep.band_hz, rig.sweep.seconds, rig.fs)
    before, after = (round(ms * rig.fs / 1000.0) for ms in (rig.sweep.before_ms, rig.sweep.after_ms))
    played = stimulus(sweep, float(from_db(rig.sweep.level_dbfs)), after + round(0.05 * rig.fs))
    check_ceiling(played, rig.limits.ceiling, "sweep.level_dbfs")
    captures = tuple(
        Capture(i, pose, driver, repeat)
        for i, (pose, _) in enumerate(places)
        for driver in range(len(rig.driver))
        for repeat in range(rig.sweep.repeats)
    )
    mics = rig.ear_mics if name == "ears" else rig.polar_mics
    return Plan(name, captures, table, mics, sweep, played, before, after)


def outputs_for(rig: Description, channels: list[int], played: NDArray[np.float32]) -> NDArray[np.float32]:
    """The signal of every output ``(outputs, samples)``: ``played (channel, samples)`` on ``channels``, from 1."""
    y = np.zeros((rig.outputs, played.shape[-1]), dtype=np.float32)
    y[[c - 1 for c in channels]] = played
    return y


def _places(rig: Description, name: SetName) -> Iterator[tuple[Pose, tuple[object, ...]]]:
    """Poses with their rows of the position table."""
    if name == "ears":
        if rig.ears is None:
            raise BadInput(f"rig {rig.name!r} has no [ears]: add distance_m and positions to measure at a dummy head")
        for place in rig.ears.positions:
            ahead = rig.ears.distance_m + place.x
            bearing = float(np.degrees(np.arctan2(place.y, ahead)))
            yield place.pose, (bearing, ahead, place.y, 0.0, place.yaw_deg, place.use)
        return
    if rig.polar is None:
        raise BadInput(f"rig {rig.name!r} has no [polar]: add distance_m and step_deg to measure polar responses")
    for angle in rig.polar.angles:
        r = rig.polar.distance_m
        row = (round(float(np.degrees(angle)), 9), r * np.cos(angle), r * np.sin(angle), 0.0, 0.0, "polar")
        yield Pose(turn=-float(angle)), row
