"""The rig file's tables for real hardware but its outputs: stage, microphones, head positions, sweep."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.rig_file.output_tables import InterfaceTable
from sweetspot.rigs.rig_file.table import Band, Channel, Distance, Metres, Positive, Table
from sweetspot.rigs.units import Float

EARS = ("ear_left", "ear_right")
"""Names of the dummy head's microphones."""


class CommandTable(Table):
    """Commands and replies of a ``scpi`` stage's controller; ``{angle}`` stands for degrees."""

    move: str
    position: str
    position_reply: str | None = None
    moved: str | None = None
    moving: str | None = None
    standing: str = "0"
    stop: str | None = None
    identify: str | None = None
    expect: str | None = None
    init: tuple[str, ...] = ()
    error: str | None = "ERR"
    end: Literal["lf", "cr", "crlf", "nul"] = "lf"
    modulo: bool = False
    resolution_deg: float = Field(default=0.0, ge=0)

    @field_validator("move")
    @classmethod
    def _takes_an_angle(cls, template: str) -> str:
        try:
            text = {template.format(angle=a) for a in (10.0, -123.4)}
        except (ValueError, KeyError, IndexError) as fault:
            raise ValueError(f"is no template with {{angle}}: {type(fault).__name__} {fault}") from fault
        if len(text) < 2:
            raise ValueError("has no {angle}: it would always go to the same angle")
        return template

    @field_validator("position_reply")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as fault:
            raise ValueError(f"is no regular expression: {fault}") from fault
        return pattern


class StageTable(Table):
    """The stage; ``axes`` maps coordinates of a pose (turn, x, y, yaw, z, elevation) to the controller's axes.

    ``reversed`` is for a controller that counts clockwise. ``home`` sets when a ``grbl`` stage with limit switches is
    homed: after an alarm, whenever it is opened, or never. ``host`` and the UDP ports are for ``et250``, ``baud`` and
    ``commands`` for ``scpi``.
    """

    driver: Literal["grbl", "et250", "scpi", "manual", "fixed", "lab"] = "fixed"
    turns: Literal["device", "head"] = "device"
    port: str | None = None
    limits_deg: tuple[float, float] = (-360.0, 360.0)
    axes: dict[Literal["turn", "x", "y", "yaw", "z", "elevation"], Literal["X", "Y", "Z", "A", "B", "C"]] | None = None
    tolerance_deg: float = Field(default=0.2, gt=0, le=10)
    settle_s: float = Field(default=0.0, ge=0, le=600)
    timeout_s: float = Field(default=60.0, gt=0, le=3600)
    reversed: bool = False
    home: Literal["alarm", "start", "never"] = "alarm"
    host: str | None = None
    udp_port: int = Field(default=6668, ge=1, le=65535, strict=True)
    local_port: int | None = Field(default=None, ge=0, le=65535, strict=True)
    baud: int = Field(default=115200, ge=50, le=10_000_000, strict=True)
    commands: CommandTable | None = None

    def check_turn(self, asked_deg: float) -> None:
        """Refuse an angle outside ``limits_deg`` (:class:`BadInput`)."""
        low, high = self.limits_deg
        if not low - 1e-9 <= asked_deg <= high + 1e-9:
            raise BadInput(f"stage: {asked_deg:g} degrees lies outside stage.limits_deg = [{low:g}, {high:g}]")


class Environment(Table):
    """Conditions at the rig."""

    temperature_c: float = Field(default=20.0, ge=-20, le=50)


class Mic(Table):
    """A microphone; ``ear_left`` and ``ear_right`` belong to the dummy head, others stand on the polar circle.

    With ``use = "monitor"`` it is fixed in the test box, with ``"device"`` it is built into the device and turns with
    it; both need a position ``at``, in metres from the middle of the device (x ahead, y left, z up).
    """

    name: str = Field(min_length=1)
    channel: Channel
    sensitivity_mv_per_pa: float = Field(default=12.5, ge=1e-3, le=1e5)
    calibration: str | None = None
    use: Literal["monitor", "device"] | None = None
    at: tuple[Metres, Metres, Metres] | None = None

    @property
    def is_calibrated(self) -> bool:
        """Whether the rig file states its sensitivity."""
        return "sensitivity_mv_per_pa" in self.model_fields_set

    def per_pascal(self, interface: InterfaceTable) -> float:
        """What an input shows of a pressure of 1 Pa; full scale = 1."""
        return self.sensitivity_mv_per_pa / 1000.0 / interface.full_scale_v


class HeadPosition(Table):
    """A position of the dummy head: offset from the nominal position in metres, yaw in degrees, and its use.

    With ``turn_deg`` the device is turned counter-clockwise, so that the head stands where a listener off the axis
    sits. ``use = "anchor"`` is for banks only: the position is neither fitted nor scored.
    """

    x: Metres = 0.0
    y: Metres = 0.0
    z: Metres = 0.0
    yaw_deg: float = Field(default=0.0, ge=-360, le=360)
    turn_deg: float = Field(default=0.0, ge=-180, le=180)
    use: Literal["design", "score", "anchor"] = "design"

    @property
    def pose(self) -> Pose:
        """The same in SI; without ``turn_deg`` the device faces the listener."""
        turn, yaw = np.radians([self.turn_deg, self.yaw_deg])
        return Pose(turn=float(turn), x=self.x, y=self.y, yaw=float(yaw), z=self.z)

    def seen_from_device(self, distance_m: float) -> tuple[float, float, float]:
        """Position of the head in the device's coordinates, x and y in m and yaw in degrees."""
        turn = np.radians(self.turn_deg)
        x, y = distance_m + self.x, self.y
        if self.turn_deg == 0.0:
            return x, y, self.yaw_deg
        c, s = np.cos(turn), np.sin(turn)
        return float(c * x + s * y), float(c * y - s * x), self.yaw_deg - self.turn_deg


class EarsTable(Table):
    """The dummy head: which head it is, its nominal distance from the middle of the device, and its positions.

    ``head`` is ``"sphere"`` (of the lab's diameter) or a SOFA file of the dummy head; ``templates`` is the
    ``session.h5`` of ``sweetspot measure templates`` and takes precedence. Without both it is the lab's head.
    """

    distance_m: Distance = 2.0
    positions: tuple[HeadPosition, ...] = Field(min_length=1)
    head: str | None = None
    templates: str | None = None


class Polar(Table):
    """The polar set: a fixed microphone while the device turns, at azimuth 0 and elevation 0 by default.

    ``elevations_deg`` adds rings above and below, for which the microphone is raised on its circle: by a stage with
    an axis for it (``stage.axes``: ``elevation``), else by the operator. Filters, figures and verification use the
    ring nearest to the device's plane; SOFA files and exports hold all of them.
    """

    distance_m: Distance = 2.0
    azimuth_deg: float = Field(default=0.0, ge=-180, le=180)
    elevation_deg: float = Field(default=0.0, ge=-80, le=80)
    step_deg: float = Field(default=5.0, ge=0.1, le=90)
    elevations_deg: tuple[Annotated[float, Field(ge=-90, le=90)], ...] = Field(default=(), max_length=180)

    @property
    def rings_deg(self) -> tuple[float, ...]:
        """Elevations of all rings, degrees: ``elevation_deg`` first, the others from the nearest to it."""
        own = self.elevation_deg
        others = {e for e in self.elevations_deg if e != own}
        return (own, *sorted(others, key=lambda e: (abs(e - own), e)))

    @property
    def microphone(self) -> tuple[float, float, float]:
        """Its position, m from the middle of the device."""
        return self.towards(float(np.radians(self.azimuth_deg)))

    def towards(self, azimuth: float, raised: float = 0.0) -> tuple[float, float, float]:
        """Position in that direction (rad) at the microphone's distance, ``raised`` (rad) over its elevation, m."""
        e, r = np.radians(self.elevation_deg) + raised, self.distance_m
        return float(r * np.cos(e) * np.cos(azimuth)), float(r * np.cos(e) * np.sin(azimuth)), float(r * np.sin(e))

    @property
    def angles(self) -> Float:
        """Directions seen from the device, rad, counter-clockwise, from -180 degrees in equal steps over the circle."""
        return np.asarray(np.radians(np.arange(-180.0, 180.0 - 1e-9, self.step_deg)))


class Reference(Table):
    """A real pair of loudspeakers on two more outputs, ``angle_deg`` to either side of the listener's front.

    They stand ``distance_m`` from the nominal head position, by default that of the device; ``left`` and ``right`` are
    output channels as printed on the interface, left as the listener sees it.
    """

    left: Channel
    right: Channel
    angle_deg: float = Field(default=30.0, gt=0, le=90)
    distance_m: Positive | None = None


class SweepTable(Table):
    """The stimulus: judged band, length, level and repeats; length kept of each response."""

    band_hz: Band = (60.0, 20000.0)
    seconds: float = Field(default=2.0, gt=0.05, le=120)
    level_dbfs: float = Field(default=-12.0, ge=-120, le=0.0)
    repeats: int = Field(default=1, ge=1, le=64, strict=True)
    before_ms: float = Field(default=20.0, ge=1, le=1000)
    after_ms: float = Field(default=150.0, ge=5, le=10000)
