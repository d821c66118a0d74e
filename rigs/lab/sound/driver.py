"""A driver's linear response: box, cone resonance, high-frequency roll-off, with the unit's tolerances."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.rig_file import Driver, Lab, SpreadTable
from sweetspot.rigs.units import Float, from_db, pressure

B4_Q = 0.383
"""Q of a driver for the Butterworth alignment of a vented box."""

AGES_H = 100.0
"""Time constant of the suspension's loss of stiffness, hours of play."""

PHASE_HZ = 1000.0
"""Frequency of the stated phase tolerance, Hz."""


def drawn(*key: object) -> np.random.Generator:
    """A random generator that depends on ``key`` alone: the same key draws the same numbers everywhere."""
    digest = hashlib.sha256("/".join(map(repr, key)).encode()).digest()
    return np.random.default_rng(list(digest))


@dataclass(frozen=True, slots=True)
class DriverModel:
    """One driver of one unit.

    Parameters
    ----------
    gain
        Peak pressure at 1 m in free field of a full-scale sine in the middle of the band, Pa.
    low_hz, high_hz
        Corner frequencies, Hz.
    low_q, high_q
        Quality factors at the corners.
    vent
        Compliance ratio and leakage Q of a vented box, whose driver has ``low_q``; ``None`` for a sealed box.
    breakup
        Frequency (Hz), height (dB) and Q of the cone's resonance; ``None`` without one.
    late
        Delay of its acoustic centre, s.
    leak_hz
        Corner of a seal that leaks, Hz; 0 for a tight one.
    """

    gain: float
    low_hz: float
    high_hz: float
    low_q: float
    high_q: float
    vent: tuple[float, float] | None = None
    breakup: tuple[float, float, float] | None = None
    late: float = 0.0
    leak_hz: float = 0.0

    @classmethod
    def of_unit(cls, driver: Driver, lab: Lab, serial: str, temperature_c: float = 20.0) -> DriverModel:
        """The driver that this serial number has: level, corners, phase spread by the lab's tolerances (one sigma)."""
        rng = drawn(lab.seed, serial, driver.name)
        level_db, low, high, low_q, high_q = rng.standard_normal(5)
        spread = lab.tolerance_percent / 100.0
        vented, q = lab.low_end.box == "vented", lab.low_end.q
        more = drawn(lab.seed, serial, driver.name, "more").standard_normal(3)
        peak = lab.breakup
        breakup = None
        if peak is not None:
            height_db = peak.height_db + lab.tolerance_db * float(more[1])
            breakup = (peak.frequency_hz * float(np.exp(spread * more[0])), height_db, peak.q)
        found = cls(
            gain=pressure(lab.sensitivity_db_spl) * 2.0**0.5 * float(from_db(level_db * lab.tolerance_db)),
            low_hz=driver.band_hz[0] * float(np.exp(spread * low)),
            high_hz=driver.band_hz[1] * float(np.exp(spread * high)),
            low_q=(q or (B4_Q if vented else 0.707)) * float(np.exp(spread * low_q)),
            high_q=0.707 * float(np.exp(spread * high_q)),
            vent=(lab.low_end.alpha, lab.low_end.leakage_q) if vented else None,
            breakup=breakup,
            late=lab.tolerance_deg / 360.0 / PHASE_HZ * float(more[2]),
        )
        return found._as_it_is(lab.spread, drawn(lab.seed, serial, driver.name, "age"), temperature_c)

    def _as_it_is(self, table: SpreadTable | None, rng: np.random.Generator, temperature_c: float) -> DriverModel:
        """The same with the spread of seal and suspension, at its age and temperature."""
        if table is None:
            return self
        leak, suspension, ages = rng.standard_normal(3)
        aged = (1.0 - float(np.exp(-table.age_hours / AGES_H))) * max(1.0 + float(ages) / 3.0, 0.0)
        warmer = temperature_c - 20.0
        resonance = 0.01 * (table.resonance_percent * float(suspension) - table.age_percent * aged)
        low = self.low_hz * float(np.exp(resonance + 0.01 * table.kelvin_percent * warmer))
        return replace(
            self,
            gain=self.gain * float(from_db(table.age_db * aged + table.kelvin_db * warmer)),
            low_hz=low,
            leak_hz=low * table.leak * abs(float(leak)),
        )

    def response(self, f: Float) -> NDArray[np.complex128]:
        """Complex response at frequencies ``f`` Hz, Pa per full scale at 1 m in free field."""
        s_high = 1j * f / self.high_hz
        low_pass = 1.0 / (1.0 + s_high / self.high_q + s_high**2)
        tight = f / (f - 1j * self.leak_hz) if self.leak_hz > 0.0 else 1.0
        low_end = self._low_end(np.asarray(1j * f / self.low_hz)) * tight
        return np.asarray(self.gain * low_end * low_pass * self._cone(f))

    def _low_end(self, s: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """The box at complex frequencies re its corner: second order sealed, fourth order vented.

        Small, "Vented-box loudspeaker systems", J. Audio Eng. Soc. 21 (1973), eq. 20 with the box tuned to the
        driver's resonance; a driver of Q 0.383 with a compliance ratio of 1.414 is the Butterworth alignment.
        """
        if self.vent is None:
            return np.asarray(s**2 / (1.0 + s / self.low_q + s**2))
        alpha, leak = self.vent
        outer = (leak + self.low_q) / (leak * self.low_q)
        inner = 2.0 + alpha + 1.0 / (leak * self.low_q)
        return np.asarray(s**4 / (1.0 + outer * s + inner * s**2 + outer * s**3 + s**4))

    def _cone(self, f: Float) -> NDArray[np.complex128]:
        """The breakup resonance (a minimum-phase peak) and the delay of the acoustic centre."""
        shift = np.exp(-2j * np.pi * f * self.late)
        if self.breakup is None:
            return np.asarray(shift)
        at, height_db, q = self.breakup
        s = 1j * f / at
        return np.asarray(shift * (1.0 + from_db(height_db) * s / q + s**2) / (1.0 + s / q + s**2))
