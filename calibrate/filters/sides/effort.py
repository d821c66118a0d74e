"""Cost of driving each driver: its usable band, power and excursion limits, and the power it radiates.

A cost is a diagonal ``(frequency, driver)`` or a Hermitian matrix ``(frequency, driver, driver)``; designs limit and
minimise ``w^H Q w``. Effort that does not reach the listener goes into the room: with ``Q`` the radiated power the
direct-to-reverberant ratio is what is paid with, and weights that radiate little cost little, however large they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.design import CrosstalkDesign
from sweetspot.calibrate.filters.beam import harmonics
from sweetspot.calibrate.plant import Plant
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.acoustics import per_pascal
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import Description, Driver
from sweetspot.rigs.units import Complex, Float, speed_of_sound

Cost = NDArray[Any]
"""``(frequency, driver)`` or ``(frequency, driver, driver)``."""

ORDER = 2
"""Outside its band a driver's cost rises as the inverse of a Butterworth magnitude of this order, squared."""

FLOOR = 0.03
"""Share of a driver's own cost added to the radiated power, so that weights that radiate nothing have a cost."""


def driver_cost(drivers: Sequence[Driver], f: Float, level: Float | None = None) -> Float:
    """Cost ``(frequency, driver)`` of a unit of power.

    1 within the band of the driver that bears most power; twice as much for one that bears half of it (``power_w``); 12
    dB an octave more outside each driver's band; and the square of the excursion at a full-scale sine over
    ``excursion_mm``, so that a driver which is at its limit there costs as much again.

    Parameters
    ----------
    drivers
        As the rig describes them. One without ``power_w`` is taken to bear as much as the strongest that has it.
    f
        Frequencies, Hz.
    level
        Sound pressure of each driver at 1 m for full scale ``(frequency, driver)``, Pa; without it excursion limits are
        left out.
    """
    x = np.maximum(f, 1.0)[:, None]
    low = np.array([d.band_hz[0] for d in drivers])
    high = np.array([d.band_hz[1] for d in drivers])
    strongest = max((d.power_w for d in drivers if d.power_w), default=1.0)
    share = np.array([strongest / (d.power_w or strongest) for d in drivers])
    cost = share * (1.0 + (0.5 * low / x) ** (2 * ORDER) + (x / (1.5 * high)) ** (2 * ORDER))
    if level is not None:
        cost = cost + excursion(drivers, f, level) ** 2
    return np.asarray(cost)


def costs(rig: Description, plant: Plant, wish: CrosstalkDesign, around: Around | None) -> tuple[Float, Cost]:
    """The drivers' own cost, and the cost of the sides' designs: that, or the radiated power.

    Parameters
    ----------
    rig
        Its drivers, with their limits.
    plant
        Responses at the ears, for the level of each driver.
    wish
        ``cost`` selects the norm.
    around
        The polar set; used only for radiated power.

    Raises
    ------
    BadInput
        Radiated power is requested without a polar set.
    """
    away = rig.listening_m
    level = away * np.sqrt(np.mean(np.abs(plant.h) ** 2, axis=(0, 1))).T
    own = driver_cost(rig.driver, plant.f, level)
    if wish.cost != "radiated":
        return own, own
    if around is None:
        raise BadInput(
            'crosstalk.cost = "radiated" needs the polar set, for the drivers\' power into the room; measure it '
            '(sweetspot measure polar), or write cost = "drivers"'
        )
    k = 2.0 * np.pi * np.maximum(plant.f, 20.0) / speed_of_sound(rig.environment.temperature_c)
    radius = max(float(np.linalg.norm(d.at)) for d in rig.driver)
    return own, radiated(around.h, around.azimuths, k, radius, own)


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """Free-field responses of the drivers ``(driver, direction, frequency)`` and the directions, rad."""

    h: Complex
    azimuths: Float

    @classmethod
    def of(cls, plant: Plant, polar: ImpulseResponse) -> Around:
        """From the gated first microphone of a polar set."""
        return cls(np.moveaxis(plant.h[:, 0], 0, 1), np.radians(polar.positions["azimuth_deg"]))


def excursion(drivers: Sequence[Driver], f: Float, level: Float) -> Float:
    """Peak excursion at a full-scale sine over the driver's limit ``(frequency, driver)``; 0 for one without a limit.

    A small source of area ``S`` that moves by ``x`` gives ``p = density S w^2 x / (4 pi r)``.
    """
    area = np.array([(d.area_cm2 or 1.0) * 1e-4 for d in drivers])
    limit = np.array([d.excursion_mm * 1e-3 if d.excursion_mm and d.area_cm2 else np.inf for d in drivers])
    return np.asarray(level * per_pascal(area, f[:, None]) / limit)


def radiated(h: Complex, azimuths: Float, k: Float, radius: float, cost: Float) -> Complex:
    """Radiated power as a cost matrix ``(frequency, driver, driver)``; a driver of mean power costs 1 by itself.

    The drivers are encoded on spherical harmonics from the ring they were measured on (:mod:`beam.harmonics`), and
    the power over the whole sphere follows in closed form. What the ring leaves open is not counted: it would be power
    that no weights avoid, and hide what they can. On points on a rigid sphere of 17.5 cm the matrix is within 4 % of
    the sphere's up to 400 Hz (the ring as it is: 17 %), and within 40 % up to 2.4 kHz, no better than the ring there.
    Where the unit is too large for the harmonics' order, drivers count as incoherent.

    Parameters
    ----------
    h
        Free-field responses ``(driver, direction, frequency)``.
    azimuths
        Of the directions, rad.
    k
        Wavenumbers ``(frequency,)``, rad/m.
    radius
        Of the smallest sphere that holds the drivers, m.
    cost
        The drivers' own cost ``(frequency, driver)``: :data:`FLOOR` of it is added, and all of it above 1.
    """
    encoded = harmonics.encode(h, azimuths, np.zeros(len(azimuths)), k, max(radius, 0.02))
    power = np.einsum("fia,fja->fij", encoded.a.conj(), encoded.a)
    known = np.clip(2.0 * (1.0 - k * radius / encoded.order), 0.0, 1.0)[:, None, None]
    power = known * power + (1.0 - known) * power * np.eye(power.shape[1])
    mean = np.trace(power, axis1=1, axis2=2).real / power.shape[1]
    own = FLOOR * np.minimum(cost, 1.0) + np.maximum(cost - 1.0, 0.0)
    return np.asarray(power / np.maximum(mean, 1e-300)[:, None, None] + own[:, :, None] * np.eye(cost.shape[1]))


def matrix(cost: Cost) -> Complex:
    """A cost as a matrix ``(frequency, driver, driver)``."""
    return np.asarray(cost if cost.ndim == 3 else cost[:, :, None] * np.eye(cost.shape[1]), dtype=np.complex128)


def whitening(cost: Cost) -> Complex:
    """``B (frequency, driver, driver)`` with ``B Q B^H = 1``."""
    if cost.ndim == 2:
        return matrix(1.0 / np.sqrt(cost))
    return np.asarray(np.linalg.inv(np.linalg.cholesky(cost)))


def mean_over(R: Complex, cost: Cost) -> Float:
    """Mean of the eigenvalues of ``R`` over the cost ``(frequency,)``: ``trace(Q^-1 R) / drivers``."""
    if cost.ndim == 2:
        return np.asarray(np.mean(np.einsum("fmm->fm", R).real / cost, axis=1))
    return np.asarray(np.einsum("fmm->f", np.linalg.solve(cost, R)).real / R.shape[1])
