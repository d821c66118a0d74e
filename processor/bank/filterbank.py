"""A bank of filters, one set per place, from which the processor chooses for a moving listener."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.filterset import LARGEST_TAP, FilterSet
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float, from_db

YAW_M = 0.2
"""Metres that a radian of yaw counts as, where places differ in yaw too."""

STICKS_M = 0.015
"""Hysteresis of a change of place, m: a head that sways between two places changes nothing."""

OUTSIDE_M = 0.3
"""Beyond the outermost places by this much, a listener is outside the bank."""

MOST_PLACES = 4000
"""Of one bank."""


@dataclass(frozen=True, slots=True)
class ListenerPose:
    """Pose of a listener.

    Parameters
    ----------
    x, y
        Middle of the head, m from the middle of the device: ahead of it, and to its left.
    yaw
        By how much the head is turned, rad, counter-clockwise; at 0 it faces against the device's axis. ``None``: it
        faces the device.
    """

    x: float
    y: float
    yaw: float | None = None

    @property
    def turned(self) -> float:
        """The yaw, or that of a head which faces the device, rad."""
        return float(np.arctan2(self.y, self.x)) if self.yaw is None else self.yaw

    @property
    def is_finite(self) -> bool:
        """Whether all of it are numbers."""
        return bool(np.isfinite([self.x, self.y, self.turned]).all())

    @property
    def text(self) -> str:
        """For people."""
        turned = "" if self.yaw is None else f", yaw {np.degrees(self.yaw):g} deg"
        return f"x {self.x:g} m, y {self.y:+g} m{turned}"


@dataclass(frozen=True, slots=True, eq=False)
class FilterBank:
    """Filters for many places of one listener, or of two at once; alike in rate, length, delay and gain staging.

    Parameters
    ----------
    home
        The filter set of the default place; its ``taps`` are those of that place.
    places
        ``(place, 3)``: x and y, m from the middle of the device, and the head's yaw, rad.
    taps
        ``(place, program, driver, tap)``, single precision.
    default
        Row of the default place.
    nearest_m
        Nearest that a listener may come to the middle of the device, m: the device's body and its near field.
    """

    home: FilterSet
    places: Float
    taps: NDArray[np.float32]
    default: int
    nearest_m: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", frozen("places", self.places, ndim=2))
        taps = np.ascontiguousarray(self.taps, dtype=np.float32)
        taps.flags.writeable = False
        object.__setattr__(self, "taps", taps)
        wanted = (len(self.places), *self.home.taps.shape)
        for wrong, text in (
            (self.places.shape[1] != 3, f"places have shape {self.places.shape}; (place, 3) is needed"),
            (taps.shape != wanted, f"the bank's taps have shape {taps.shape}; {wanted} is needed"),
            (not 1 <= len(self.places) <= MOST_PLACES, f"{len(self.places)} places; 1 to {MOST_PLACES} are needed"),
            (not 0 <= self.default < len(self.places), f"default place {self.default} is none of {len(self.places)}"),
            (not np.isfinite(taps).all(), "the bank's taps hold a value that is not finite"),
            (not np.isfinite(self.nearest_m) or self.nearest_m < 0, f"nearest_m is {self.nearest_m}; 0 or more"),
        ):
            if wrong:
                raise ValueError(text)
        if float(np.abs(taps).max(initial=0.0)) > LARGEST_TAP:
            raise ValueError(f"the bank's taps hold {float(np.abs(taps).max()):g}; at most {LARGEST_TAP:g} is needed")

    def at(self, place: int) -> FilterSet:
        """The filter set of one place."""
        return replace(self.home, taps=self.taps[place].astype(np.float64))

    def louder(self, gain_db: float) -> FilterBank:
        """The same bank with a gain at all places; the ceiling stays."""
        if gain_db == 0.0:
            return self
        gain = float(from_db(gain_db))
        return replace(self, home=self.home.scaled(gain), taps=self.taps * np.float32(gain))

    def distances(self, pose: ListenerPose) -> Float:
        """Of all places from a pose, m; yaw counts as :data:`YAW_M` a radian ``(place,)``."""
        apart = self.places - np.array([pose.x, pose.y, pose.turned])
        turn = np.mod(apart[:, 2] + np.pi, 2.0 * np.pi) - np.pi
        return np.asarray(np.sqrt(apart[:, 0] ** 2 + apart[:, 1] ** 2 + (YAW_M * turn) ** 2))

    def nearest(self, pose: ListenerPose, now: int | None = None) -> int:
        """The place to play for a pose; stays at ``now`` unless another is nearer by :data:`STICKS_M`."""
        away = self.distances(pose)
        best = int(np.argmin(away))
        return now if now is not None and away[now] <= away[best] + STICKS_M else best

    def fault(self, pose: ListenerPose) -> str:
        """Reason why a pose cannot be followed; else empty."""
        if not pose.is_finite:
            return "it holds a value that is not a number"
        if np.hypot(pose.x, pose.y) < self.nearest_m:
            return f"it is nearer to the middle of the device than {self.nearest_m:.2f} m"
        low, high = self.places[:, :2].min(axis=0) - OUTSIDE_M, self.places[:, :2].max(axis=0) + OUTSIDE_M
        if not (low[0] <= pose.x <= high[0] and low[1] <= pose.y <= high[1]):
            inner = f"x {low[0] + OUTSIDE_M:g} to {high[0] - OUTSIDE_M:g} m, y {low[1] + OUTSIDE_M:+g} to "
            return f"it is outside the bank's places ({inner}{high[1] - OUTSIDE_M:+g} m) by more than {OUTSIDE_M:g} m"
        return ""

    def checked(self, pose: ListenerPose, what: str) -> ListenerPose:
        """A pose that can be followed.

        Raises
        ------
        BadInput
            It cannot; the message has ``what``, the value and the limit.
        """
        if fault := self.fault(pose):
            raise BadInput(f"{what}: {pose.text} cannot be played: {fault}")
        return pose


def pose_of(text: str) -> ListenerPose:
    """A pose as ``x,y`` or ``x,y,yaw``: metres and degrees.

    Raises
    ------
    BadInput
        No two or three numbers.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not np.isfinite(numbers).all():
        raise BadInput(
            f"{text!r} is not a listener's place; write x,y or x,y,yaw: metres and degrees, for example 2,0.3"
        )
    return ListenerPose(numbers[0], numbers[1], float(np.radians(numbers[2])) if len(numbers) == 3 else None)
