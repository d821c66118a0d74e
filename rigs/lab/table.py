"""The ``[lab]`` table of the rig file: what the virtual lab is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from rigs.table import Positive, Table

Share = Annotated[float, Field(ge=0, le=1)]
Absorption = Annotated[tuple[Share, ...], BeforeValidator(lambda v: (v,) if isinstance(v, int | float) else v)]
"""One number for all bands, or one for each."""
Place = tuple[Positive, Positive, Positive]


class BodyTable(Table):
    """The device's body: one rigid sphere, or pistons on a line or ring, each in a round baffle of its own."""

    shape: Literal["sphere", "line", "ring"] = "sphere"
    driver_diameter_m: float = Field(default=0.0, ge=0)
    baffle_m: Positive = 0.09


class WallsTable(Table):
    """Absorption of single walls of the room, where it differs from the others'."""

    back: Absorption | None = None
    front: Absorption | None = None
    right: Absorption | None = None
    left: Absorption | None = None
    floor: Absorption | None = None
    ceiling: Absorption | None = None


class RoomTable(Table):
    """A shoebox around the lab: its size, where in it the device stands and faces, and what its walls absorb.

    ``back`` and ``front`` are the walls at x = 0 and x = size, ``right`` and ``left`` those at y = 0 and y = size.
    ``absorption`` is one number, or one for each of ``bands_hz``.
    """

    size_m: Place
    device_m: Place
    facing_deg: float = Field(default=0.0, ge=-360, le=360)
    bands_hz: tuple[Positive, ...] = Field(default=(125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0), min_length=1)
    absorption: Absorption = (0.25,)
    walls: WallsTable = WallsTable()
    image_order: int = Field(default=12, ge=1, le=40, strict=True)
    decay_db: float = Field(default=75.0, ge=20, le=120)


class CalibratorTable(Table):
    """A calibrator pressed on one microphone of the lab: it hears its tone, its own noise, and nothing else."""

    mic: str
    level_db_spl: float = Field(default=94.0, ge=60, le=140)
    frequency_hz: Positive = 1000.0
    distortion_percent: float = Field(default=0.5, ge=0, le=50)
    leak_db_per_s: float = Field(default=0.0, ge=0, le=20)


class Lab(Table):
    """The virtual lab: a body, a head (``"sphere"`` or a SOFA file), a room or none, noise, latency, tolerances."""

    seed: int = Field(default=1, ge=0, strict=True)
    body_diameter_m: Positive = 0.175
    body: BodyTable = BodyTable()
    room: RoomTable | None = None
    head: str = "sphere"
    head_diameter_m: Positive = 0.175
    ears_deg: float = Field(default=100.0, gt=0, lt=180)
    sensitivity_db_spl: float = 94.0
    tolerance_db: float = Field(default=0.5, ge=0, le=10)
    tolerance_percent: float = Field(default=3.0, ge=0, le=30)
    mic_noise_db_spl: float = 15.0
    converter_noise_dbfs: float = Field(default=-110.0, le=-20)
    latency_samples: int = Field(default=437, ge=0, le=48000, strict=True)
    calibrator: CalibratorTable | None = None
