"""Load of the lab's drivers: energy below their bands, power and peaks; and drivers that burnt out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import Excursion
from sweetspot.rigs.protection import LEAK_DB, Protection, protections
from sweetspot.rigs.rig_file import Description, Driver

BURNS = 2.0
"""Ratio to the rated power (below the band, to a hundredth of it) at which a voice coil burns out."""

BELOW_SHARE = 0.01
"""Part of ``power_w`` that a driver bears below its band: it moves far there, and is hardly cooled."""

TEARS = 1.2
"""Ratio to the rig's excursion limit at which a driver's suspension fails."""

HARMLESS = 10.0 ** (-60.0 / 20.0)
"""Peak, re full scale, below which a driver without rated power never burns out."""


@dataclass(frozen=True, slots=True)
class DriverWear:
    """One driver.

    Parameters
    ----------
    worst_leak_db
        Energy below its band over the total, of the capture where that was most, dB; -300 if it never played.
    below, total
        Sum of squared samples below its band and in all, full scale = 1.
    loudest_rms
        Largest root mean square over a second, full scale = 1.
    peak
        Largest sample.
    moved_m
        Largest excursion, m; 0 where neither the rig's limit nor its level is known.
    burnt
        Why it burnt; empty while it is well.
    """

    name: str
    worst_leak_db: float = -300.0
    below: float = 0.0
    total: float = 0.0
    loudest_rms: float = 0.0
    peak: float = 0.0
    moved_m: float = 0.0
    burnt: str = ""


class Wear:
    """The ledger of all drivers of a lab; a driver that burnt is silent from the next capture on.

    Parameters
    ----------
    rig
        Its drivers' bands, powers and excursions.
    levels_pa
        What each driver makes of a full-scale sine in its band, peak at 1 m in free field, Pa: how far one moves whose
        data sheet the rig does not give.
    """

    def __init__(self, rig: Description, levels_pa: Sequence[float]) -> None:
        known = zip(protections(rig), rig.driver, levels_pa, strict=True)
        self._limits = tuple(_moving(limits, driver, level) for limits, driver, level in known)
        self.drivers = tuple(DriverWear(p.name) for p in self._limits)

    @property
    def burnt(self) -> tuple[str, ...]:
        """Names of the drivers that burnt."""
        return tuple(d.name for d in self.drivers if d.burnt)

    def survived(self, y: NDArray[np.float32]) -> NDArray[np.float32]:
        """Voltages ``(output, samples)`` of a capture that reach drivers which still work; keeps the ledger."""
        out = y
        for number, limits in enumerate(self._limits):
            if self.drivers[number].burnt:
                out = out.copy() if out is y else out
                out[limits.output] = 0.0
        self.drivers = tuple(
            _after(wear, limits, y[limits.output]) for wear, limits in zip(self.drivers, self._limits, strict=True)
        )
        return out


def _moving(limits: Protection, driver: Driver, level_pa: float) -> Protection:
    """The limits of a driver, with excursion from its level if there is no data sheet."""
    if limits.excursion is not None or driver.excursion_m is None:
        return limits
    farthest, area = driver.excursion_m
    return replace(limits, excursion=Excursion.of_level(farthest, area, driver.band_hz[0], level_pa))


def _after(wear: DriverWear, limits: Protection, x: NDArray[np.float32]) -> DriverWear:
    """The entry of a driver after one more capture ``(samples,)``."""
    peak = float(np.max(np.abs(x), initial=0.0))
    if peak == 0.0 or wear.burnt:
        return wear
    leak, rms, total = limits.leak_db(x), limits.loudest_rms(x), float(np.sum(np.square(x, dtype=np.float64)))
    share = 10.0 ** (leak / 10.0)
    moved = limits.excursion.peak(x, limits.fs) if limits.excursion else 0.0
    return replace(
        wear,
        worst_leak_db=max(wear.worst_leak_db, leak),
        below=wear.below + share * total,
        total=wear.total + total,
        loudest_rms=max(wear.loudest_rms, rms),
        peak=max(wear.peak, peak),
        moved_m=max(wear.moved_m, moved),
        burnt=_torn(limits, moved) or _why(limits, rms, share, leak, peak),
    )


def _torn(limits: Protection, moved: float) -> str:
    """Reason of a suspension's failure, or ``None``."""
    if limits.excursion is None or moved <= limits.excursion.limit * TEARS:
        return ""
    return f"moved {1e3 * moved:.2f} mm; its limit is {1e3 * limits.excursion.limit:g} mm"


def _why(limits: Protection, rms: float, share: float, leak: float, peak: float) -> str:
    """Reason of a burnt voice coil, or ``None``."""
    if np.isfinite(limits.rms):
        if rms > limits.rms * BURNS**0.5:
            return f"{(rms / limits.rms) ** 2:.1f} times its rated power"
        if rms * share**0.5 > limits.rms * (BURNS * BELOW_SHARE) ** 0.5:
            return f"{100.0 * share * (rms / limits.rms) ** 2:.0f} % of its power below {limits.low_hz:g} Hz"
        return ""
    if leak > LEAK_DB and peak > HARMLESS:
        return f"{leak:.1f} dB of the energy below {limits.low_hz:g} Hz"
    return ""
