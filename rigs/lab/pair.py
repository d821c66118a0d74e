"""The lab's reference pair: two good loudspeakers on the circle around the listener, in the device's room."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.layout import Pose, turned
from sweetspot.rigs.rig_file import Description, Driver
from sweetspot.rigs.units import Float

if TYPE_CHECKING:
    from sweetspot.rigs.lab.world import World

BAND_HZ = (45.0, 20000.0)
BOX_M, CONE_M = 0.22, 0.12
"""Diameters of each loudspeaker's round box and of its driver, m."""


class ReferencePair:
    """Both loudspeakers, each a lab of its own around it; made when they first play.

    Parameters
    ----------
    rig
        The rig; its ``[reference]`` gives their positions.
    make
        Makes a lab from a rig and a serial number.
    """

    def __init__(self, rig: Description, make: Callable[[Description, str], World]) -> None:
        self.rig, self._make = rig, make
        self._worlds: tuple[World, World] | None = None

    def at_ears(self, pose: Pose, taps: int) -> NDArray[np.float64]:
        """Impulse responses ``(ear, side, tap)``, Pa per full scale, the listener's left loudspeaker first."""
        if self._worlds is None:
            left, right = (self._make(_alone(self.rig, place), "pair") for place in places(self.rig))
            self._worlds = left, right
        out = np.zeros((2, 2, taps))
        for side, (world, place) in enumerate(zip(self._worlds, places(self.rig), strict=True)):
            h = np.fft.irfft(world.at_ears(_seen_from(self.rig, place, pose))[:, 0], world.taps, axis=-1)
            kept = min(taps, world.taps)
            out[:, side, :kept] = h[:, :kept]
        return out


def places(rig: Description) -> Float:
    """Positions of the loudspeakers ``(side, 2)``, m from the middle of the device, the listener's left (-y) first."""
    assert rig.reference is not None
    device = rig.listening_m
    angle, r = float(np.radians(rig.reference.angle_deg)), rig.reference.distance_m or device
    ahead, aside = device - r * np.cos(angle), r * np.sin(angle)
    return np.array([[ahead, -aside], [ahead, aside]])


def _bearing(rig: Description, place: Float) -> tuple[float, float]:
    """Direction (rad) and distance (m) of the nominal head seen from a loudspeaker."""
    device = rig.listening_m
    apart = np.array([device, 0.0]) - place
    return float(np.arctan2(apart[1], apart[0])), float(np.hypot(apart[0], apart[1]))


def _seen_from(rig: Description, place: Float, pose: Pose) -> Pose:
    """The head's pose in the frame of a loudspeaker that faces the nominal head."""
    bearing, distance = _bearing(rig, place)
    device = rig.listening_m
    head = turned([device + pose.x - place[0], pose.y - place[1], 0.0], -bearing)
    return Pose(x=float(head[0]) - distance, y=float(head[1]), yaw=pose.yaw - bearing, z=pose.z)


def _alone(rig: Description, place: Float) -> Description:
    """A rig of one loudspeaker in the middle, in the same room, its listener at the same place."""
    bearing, distance = _bearing(rig, place)
    lab = rig.lab
    body = lab.body.model_copy(update={"shape": "sphere", "driver_diameter_m": CONE_M})
    exact = {"tolerance_db": 0.0, "tolerance_percent": 0.0, "tolerance_deg": 0.0}
    update: dict[str, object] = {"body": body, "body_diameter_m": BOX_M, "breakup": None, **exact}
    if lab.room is not None:
        facing = float(np.radians(lab.room.facing_deg))
        at = np.array(lab.room.device_m) + turned([place[0], place[1], 0.0], facing)
        there = {"device_m": tuple(float(v) for v in at), "facing_deg": float(np.degrees(facing + bearing))}
        update["room"] = lab.room.model_copy(update=there)
    driver = Driver(name="loudspeaker", channel=1, at=(BOX_M / 2.0, 0.0, 0.0), band_hz=BAND_HZ)
    assert rig.ears is not None
    ears = rig.ears.model_copy(update={"distance_m": distance})
    changed = {"driver": (driver,), "lab": lab.model_copy(update=update), "ears": ears, "reference": None}
    return rig.model_copy(update={**changed, "polar": None})
