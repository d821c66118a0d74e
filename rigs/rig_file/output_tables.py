"""The rig file's tables of outputs: interface, limits, drivers; they are read alone where filters are played.

That takes no NumPy, so that a copy of the process can read them while another loads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file.output_limits import OutputLimits, limits_in
from sweetspot.rigs.rig_file.table import Band, Channel, Positive, Reach, Table
from sweetspot.rigs.rig_file.toml_file import read_text
from sweetspot.rigs.storage import toml_table


class Loopback(Table):
    """The timing reference: an output wired straight to an input (channels as printed on the interface)."""

    out: Channel
    in_: Channel = Field(alias="in")


class ProgramPorts(Table):
    """Outputs that feed the stereo inputs of a device with its own processor."""

    left: Channel
    right: Channel


class InterfaceTable(Table):
    """The audio interface.

    ``full_scale_v`` is the peak voltage of a full-scale sample at the inputs, ``output_full_scale_v`` that at the
    outputs. ``output`` and ``input`` name two devices of one host API that lists them separately; the loopback then
    measures the offset of their clocks. ``driver = "none"`` is for imported measurements: nothing can be played.
    """

    driver: Literal["portaudio", "lab", "none"]
    device: str | None = None
    output: str | None = None
    input: str | None = None
    hostapi: str | None = None
    exclusive: bool = Field(default=False, strict=True)
    asio: bool = Field(default=False, strict=True)
    jack_server: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]+$")
    blocksize: int = Field(default=256, ge=16, le=65536)
    loopback: Loopback
    program: ProgramPorts | None = None
    full_scale_v: float = Field(default=1.0, ge=1e-4, le=1e3)
    output_full_scale_v: Positive | None = None

    @property
    def inputs_are_calibrated(self) -> bool:
        """Whether the rig file states the voltage of the inputs."""
        return "full_scale_v" in self.model_fields_set


class LimitsTable(Table):
    """Limits of sample value and sound pressure."""

    ceiling_dbfs: float = Field(default=-6.0, ge=-120, le=0.0)
    loudest_db_spl: float = Field(default=95.0, gt=0, le=180)

    @property
    def ceiling(self) -> float:
        """Largest sample that may be played, linear, full scale = 1."""
        from sweetspot.rigs.units import from_db

        return float(from_db(self.ceiling_dbfs))


class Driver(Table):
    """A driver of the device: position ``at`` in metres (x ahead, y left, z up), usable band in hertz, limits.

    Nothing below ``band_hz`` is sent to it, unless it is ``unprotected``. ``power_w`` is its rated power at
    ``impedance_ohm``, ``max_v`` its largest peak voltage; both are enforced where ``v_per_fs`` (peak volts at its
    terminals for a full-scale sample) is known, or ``amplifier_gain_db`` and ``interface.output_full_scale_v``.
    ``excursion_mm`` is its largest peak excursion, for a cone of ``area_cm2``. It is enforced at every output if
    ``sensitivity_db_spl`` and the voltage are known; otherwise a session first measures each driver at a low level,
    which needs calibrated microphones. Filters keep full-scale sines within it. ``level_dbfs`` is the peak of its sweep
    if it differs from ``sweep.level_dbfs``.
    """

    name: str = Field(min_length=1)
    channel: Channel
    at: tuple[Reach, Reach, Reach]
    band_hz: Band = (20.0, 20000.0)
    unprotected: bool = Field(default=False, strict=True)
    level_dbfs: float | None = Field(default=None, ge=-120, le=0.0)
    power_w: Positive | None = None
    impedance_ohm: float = Field(default=4.0, ge=0.1, le=10_000)
    max_v: float | None = Field(default=None, gt=0, le=1000)
    v_per_fs: float | None = Field(default=None, gt=0, le=1000)
    amplifier_gain_db: float | None = Field(default=None, ge=-80, le=80)
    excursion_mm: float | None = Field(default=None, gt=0, le=100)
    area_cm2: float | None = Field(default=None, gt=0, le=10_000)
    sensitivity_db_spl: float | None = Field(default=None, ge=40, le=140)

    @property
    def excursion_m(self) -> tuple[float, float] | None:
        """Largest peak excursion (m) and area (m^2); ``None`` where no limit is stated."""
        if self.excursion_mm is None or self.area_cm2 is None:
            return None
        return self.excursion_mm * 1e-3, self.area_cm2 * 1e-4

    def volts(self, interface: InterfaceTable) -> float | None:
        """Peak voltage at its terminals for a full-scale sample; ``None`` if the rig file does not state it."""
        if self.v_per_fs is not None:
            return self.v_per_fs
        if self.amplifier_gain_db is None or interface.output_full_scale_v is None:
            return None
        from sweetspot.rigs.units import from_db

        return float(interface.output_full_scale_v * from_db(self.amplifier_gain_db))


class OutputTables(BaseModel):
    """The tables of outputs in a rig file, of which nothing else is looked at.

    ``interface`` is ``None`` in a file without that table; no driver can be named then.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    fs: int = 48000
    interface: InterfaceTable | None = None
    limits: LimitsTable = Field(default_factory=LimitsTable)
    driver: tuple[Driver, ...] = ()


def read_limits(path: Path) -> OutputLimits:
    """The output limits of a rig file, with defaults.

    Raises
    ------
    BadInput
        It cannot be read, or a table that limits an output cannot be understood.
    """
    try:
        return limits_in(OutputTables.model_validate(toml_table(read_text(path, "rig file"), str(path))))
    except (BadInput, ValueError) as fault:
        words = " ".join(str(fault).split())[:160]
        raise BadInput(
            f"{path}: its [limits] and drivers cannot be read ({words}); nothing is played without a known ceiling"
        ) from fault
