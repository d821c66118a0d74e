"""Output limits of a rig, without the tables of its file: what players of filters need, and a copy can hand over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sweetspot.rigs.faces import Call

if TYPE_CHECKING:
    from sweetspot.rigs.rig_file.description import Description
    from sweetspot.rigs.rig_file.output_tables import OutputTables


@dataclass(frozen=True, slots=True)
class DriverLimits:
    """What the rig file states of one driver's output; see :class:`sweetspot.rigs.rig_file.output_tables.Driver`.

    Parameters
    ----------
    channel
        Its output, counted from 1.
    low_hz
        Lower edge of its band.
    volts
        Peak voltage at its terminals for a full-scale sample; ``None`` if it is not stated.
    excursion_m
        Largest peak excursion (m) and area (m^2); ``None`` where no limit is stated.
    """

    name: str
    channel: int
    low_hz: float
    unprotected: bool
    volts: float | None
    max_v: float | None
    power_w: float | None
    impedance_ohm: float
    excursion_m: tuple[float, float] | None
    sensitivity_db_spl: float | None


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """The ceiling and the SPL limit of a rig, and each driver with its limits.

    Parameters
    ----------
    interface
        Its driver; empty in a file without that table, in which no driver can be named.
    ceiling_dbfs
        Largest sample that may be played, dB re full scale.
    loudest_db_spl
        Highest sound pressure level over 125 ms.
    """

    fs: int
    interface: str
    ceiling_dbfs: float
    loudest_db_spl: float
    driver: tuple[DriverLimits, ...]

    @property
    def ceiling(self) -> float:
        """Largest sample that may be played, linear, full scale = 1."""
        from sweetspot.rigs.units import from_db  # NumPy: not for who only reads the file

        return float(from_db(self.ceiling_dbfs))


def limits_in(rig: Description | OutputTables) -> OutputLimits:
    """The output limits in the tables of a rig."""
    played = rig.driver if rig.interface is not None else ()
    drivers = [
        DriverLimits(
            d.name,
            d.channel,
            low_hz=d.band_hz[0],
            unprotected=d.unprotected,
            volts=d.volts(rig.interface) if rig.interface else None,
            max_v=d.max_v,
            power_w=d.power_w,
            impedance_ohm=d.impedance_ohm,
            excursion_m=d.excursion_m,
            sensitivity_db_spl=d.sensitivity_db_spl,
        )
        for d in played
    ]
    interface = rig.interface.driver if rig.interface else ""
    return OutputLimits(rig.fs, interface, rig.limits.ceiling_dbfs, rig.limits.loudest_db_spl, tuple(drivers))


def limits_of(path: Path) -> OutputLimits:
    """The output limits of a rig file, with defaults; as another core has read them, if it did.

    Raises
    ------
    BadInput
        It cannot be read, or a table that limits an output cannot be understood.
    """
    limits: OutputLimits = reading_limits(path).made_ahead()
    return limits


def reading_limits(path: Path) -> Call:
    """The call that reads them: 0.1 s for the library that checks the tables."""
    return Call("sweetspot.rigs.rig_file.output_tables", "read_limits", {"path": path})
