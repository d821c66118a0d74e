"""The ``[lab]`` table of the rig file: the parts of the virtual lab."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from sweetspot.rigs.rig_file.lab_faults import parse_fault
from sweetspot.rigs.rig_file.table import Positive, Table

Share = Annotated[float, Field(ge=0, le=1)]
Absorption = Annotated[tuple[Share, ...], BeforeValidator(lambda v: (v,) if isinstance(v, int | float) else v)]
"""One number for all bands, or one for each."""
Side = Annotated[float, Field(gt=0, le=100)]
Place = tuple[Side, Side, Side]


SMALLEST_PISTON_M = 0.001


def _point_or_piston(diameter: float) -> float:
    if 0.0 < diameter < SMALLEST_PISTON_M:
        raise ValueError(f"a piston has at least {SMALLEST_PISTON_M:g} m; 0 makes points")
    return diameter


class BodyTable(Table):
    """The device's body: one rigid sphere, or pistons on a line or ring, each in its own round baffle."""

    shape: Literal["sphere", "line", "ring"] = "sphere"
    driver_diameter_m: Annotated[float, AfterValidator(_point_or_piston)] = Field(default=0.0, ge=0, le=2)
    baffle_m: float = Field(default=0.09, gt=0, le=5)


class WallsTable(Table):
    """Absorption of single walls of the room, if it differs from the others'."""

    back: Absorption | None = None
    front: Absorption | None = None
    right: Absorption | None = None
    left: Absorption | None = None
    floor: Absorption | None = None
    ceiling: Absorption | None = None


class RoomTable(Table):
    """A shoebox room: its size, the device's position and orientation in it, and the absorption of its walls.

    ``back`` and ``front`` are the walls at x = 0 and x = size, ``right`` and ``left`` those at y = 0 and y = size.
    ``absorption`` is one number, or one per band of ``bands_hz``.
    """

    size_m: Place
    device_m: Place
    facing_deg: float = Field(default=0.0, ge=-360, le=360)
    bands_hz: tuple[Positive, ...] = Field(default=(125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0), min_length=1)
    absorption: Absorption = (0.25,)
    walls: WallsTable = Field(default_factory=WallsTable)
    image_order: int = Field(default=9, ge=1, le=40, strict=True)
    decay_db: float = Field(default=75.0, ge=20, le=120)


class CalibratorTable(Table):
    """A calibrator on one microphone of the lab, which then picks up only the tone and its own noise."""

    mic: str
    level_db_spl: float = Field(default=94.0, ge=60, le=140)
    frequency_hz: Positive = 1000.0
    distortion_percent: float = Field(default=0.5, ge=0, le=50)
    leak_db_per_s: float = Field(default=0.0, ge=0, le=20)


class LowEndTable(Table):
    """The drivers' low end: a sealed box, or a vented one (Small 1973) tuned to the lower edge of each driver's band.

    ``q`` is the Q of the sealed box, or of the driver in the vented one, whose compliance is ``alpha`` times the box's.
    """

    box: Literal["sealed", "vented"] = "sealed"
    q: float | None = Field(default=None, ge=0.1, le=5)
    alpha: Positive = 2.0**0.5
    leakage_q: float = Field(default=1e9, ge=1)


class BreakupTable(Table):
    """A resonance of the cone; its frequency and height spread with the serial number."""

    frequency_hz: Positive
    height_db: float = Field(default=6.0, ge=-20, le=30)
    q: float = Field(default=6.0, ge=0.5, le=100)


class SpreadTable(Table):
    """Unit-to-unit spread beyond ``tolerance_*``: direction, seal, age and temperature.

    Standard deviations, drawn for every driver of every serial number. ``tilt_deg`` and ``mount_mm`` are assembly;
    ``edge_db`` is the secondary radiation of a grille or edge ``edge_mm`` beside the driver; ``pattern`` the cone's
    dipole mode at its breakup, whose frequency spreads by ``breakup_percent``; ``leak`` a leaking seal: a first-order
    high-pass filter at this fraction of the band's lower edge; ``resonance_percent`` the suspension. No published
    statistics were found: the values are assumptions about a careful maker, to be replaced by a product's own. After
    ``age_hours`` of play the resonance has fallen by ``age_percent`` (1 - exp(-age_hours / 100)), and the level has
    changed by the same share of ``age_db``, with a spread of a third between drivers (stiffness falls exponentially: W.
    Klippel, "Mechanical fatigue and load-induced aging of loudspeaker suspension"). The resonance changes by
    ``kelvin_percent`` and the level by ``kelvin_db`` per kelvin over 20 °C (copper: 0.39 % of resistance, 0.03 dB, per
    kelvin). ``seat_mm`` and ``seat_deg`` are the displacement and rotation of a unit in the test box, as the monitors
    see it, against its position at the ears.
    """

    tilt_deg: float = Field(default=1.0, ge=0, le=20)
    mount_mm: float = Field(default=0.5, ge=0, le=20)
    edge_db: float | None = Field(default=-34.0, ge=-80, le=-6)
    edge_mm: float = Field(default=8.0, gt=0, le=50)
    pattern: float = Field(default=0.04, ge=0, le=0.5)
    breakup_percent: float = Field(default=4.0, ge=0, le=30)
    leak: float = Field(default=0.1, ge=0, le=2)
    resonance_percent: float = Field(default=5.0, ge=0, le=30)
    age_hours: float = Field(default=0.0, ge=0, le=1e6)
    age_percent: float = Field(default=12.0, ge=0, le=50)
    age_db: float = Field(default=-0.3, ge=-6, le=6)
    kelvin_percent: float = Field(default=-0.5, ge=-5, le=5)
    kelvin_db: float = Field(default=-0.03, ge=-0.5, le=0.5)
    seat_mm: float = Field(default=0.2, ge=0, le=20)
    seat_deg: float = Field(default=0.1, ge=0, le=20)


class DistortionTable(Table):
    """Harmonics of a sine of peak ``at_dbfs``, before the driver's linear response; only of the signal below
    ``knee_hz``."""

    h2_percent: float = Field(default=0.0, ge=0, le=30)
    h3_percent: float = Field(default=0.0, ge=0, le=30)
    at_dbfs: float = Field(default=-12.0, ge=-60, le=0)
    knee_hz: Positive | None = None


class ThermalTable(Table):
    """Power compression: final loss of level for a steady sine of peak ``at_dbfs``, and its time constant."""

    drop_db: float = Field(ge=0, le=12)
    at_dbfs: float = Field(default=-12.0, ge=-60, le=0)
    seconds: Positive = 60.0


class HumTable(Table):
    """Mains hum in every microphone's cable: total level, and levels of the harmonics from the second on, dB re the
    first."""

    level_dbfs: float = Field(le=0)
    frequency_hz: Positive = 50.0
    harmonics_db: tuple[float, ...] = Field(default=(-10.0, -6.0, -20.0, -14.0), max_length=20)


class CrosstalkTable(Table):
    """Crosstalk of each channel into its neighbours, dB."""

    outputs_db: float | None = Field(default=None, le=0)
    inputs_db: float | None = Field(default=None, le=0)


class DeviceTable(Table):
    """A device with its own processor, fed by the rig's program outputs.

    ``filters`` is a folder with a raw float file for each side and driver. Its output is late by ``latency_samples``
    (fractions allowed) and clips at ``clips_dbfs``.
    """

    filters: str
    latency_samples: float = Field(default=0.0, ge=0, le=192000)
    gain_db: float = Field(default=0.0, ge=-80, le=40)
    clips_dbfs: float = Field(default=0.0, ge=-80, le=0)


def _a_fault(text: str) -> str:
    parse_fault(text)
    return text


class FaultsTable(Table):
    """Scheduled faults, in the notation of :mod:`sweetspot.rigs.rig_file.lab_faults`."""

    schedule: tuple[Annotated[str, AfterValidator(_a_fault)], ...] = ()


class Lab(Table):
    """The virtual lab: body, head (``"sphere"`` or a SOFA file), room if any, noise, latency, tolerances.

    With ``burn``, a driver that gets too much power, or power below its band, falls silent.
    """

    seed: int = Field(default=1, ge=0, strict=True)
    body_diameter_m: float = Field(default=0.175, ge=0.01, le=5)
    body: BodyTable = Field(default_factory=BodyTable)
    room: RoomTable | None = None
    head: str = "sphere"
    head_diameter_m: float = Field(default=0.175, ge=0.05, le=0.5)
    ears_deg: float = Field(default=100.0, gt=0, lt=180)
    range_correction: bool = Field(default=False, strict=True)
    sensitivity_db_spl: float = Field(default=94.0, ge=0, le=200)
    tolerance_db: float = Field(default=0.5, ge=0, le=10)
    tolerance_percent: float = Field(default=3.0, ge=0, le=30)
    mic_noise_db_spl: float = Field(default=15.0, ge=-400, le=150)
    converter_noise_dbfs: float = Field(default=-110.0, ge=-400, le=-20)
    converter_bits: int = Field(default=24, ge=8, le=32, strict=True)
    latency_samples: int = Field(default=437, ge=0, le=48000, strict=True)
    latency_spread_samples: int = Field(default=0, ge=0, le=48000, strict=True)
    clock_ppm: float = Field(default=0.0, ge=-1000, le=1000)
    tolerance_deg: float = Field(default=0.0, ge=0, le=90)
    low_end: LowEndTable = Field(default_factory=LowEndTable)
    breakup: BreakupTable | None = None
    spread: SpreadTable | None = None
    distortion: DistortionTable | None = None
    thermal: ThermalTable | None = None
    hum: HumTable | None = None
    crosstalk: CrosstalkTable = Field(default_factory=CrosstalkTable)
    faults: FaultsTable = Field(default_factory=FaultsTable)
    burn: bool = Field(default=False, strict=True)
    calibrator: CalibratorTable | None = None
    device: DeviceTable | None = None
