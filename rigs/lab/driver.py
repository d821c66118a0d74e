"""A driver's own response: a second-order high-pass and low-pass, with the tolerance of its serial number."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rigs.describe import Driver, Lab
from rigs.units import Float, from_db, pressure


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
    """

    gain: float
    low_hz: float
    high_hz: float
    low_q: float
    high_q: float

    @classmethod
    def of_unit(cls, driver: Driver, lab: Lab, serial: str) -> DriverModel:
        """The driver that this serial number has: level and corners spread by the lab's tolerances (one sigma)."""
        rng = drawn(lab.seed, serial, driver.name)
        level_db, low, high, low_q, high_q = rng.standard_normal(5)
        spread = lab.tolerance_percent / 100.0
        return cls(
            gain=pressure(lab.sensitivity_db_spl) * 2.0**0.5 * float(from_db(level_db * lab.tolerance_db)),
            low_hz=driver.band_hz[0] * float(np.exp(spread * low)),
            high_hz=driver.band_hz[1] * float(np.exp(spread * high)),
            low_q=0.707 * float(np.exp(spread * low_q)),
            high_q=0.707 * float(np.exp(spread * high_q)),
        )

    def response(self, f: Float) -> NDArray[np.complex128]:
        """Complex response at frequencies ``f`` Hz, Pa per full scale at 1 m in free field."""
        s_low, s_high = 1j * f / self.low_hz, 1j * f / self.high_hz
        high_pass = s_low**2 / (1.0 + s_low / self.low_q + s_low**2)
        low_pass = 1.0 / (1.0 + s_high / self.high_q + s_high**2)
        return np.asarray(self.gain * high_pass * low_pass)
