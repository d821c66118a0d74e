"""Extrapolation of responses at the ears from measured positions to other places.

``H(there) = C M(there)``: the model ``M`` is the device's field from its polar set at the place of the head, times the
head's response from the direction of arrival; the correction ``C`` of each ear and driver is the ratio of measured to
modelled responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant.places.field import DeviceField
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Complex, Float

STEEPEST = 0.95
"""Largest sine of the angle beside the line of sight from which a harmonic is taken to arrive."""

FLOOR = 1e-3
"""Power, re the mean over drivers, below which the model is unreliable and the correction fades."""

WEAK = 1e-4
"""Share of a driver's power below which harmonics are omitted at each place."""


AT_ONCE = 32
"""Heads whose responses are modelled at a time: what is in between fits the cache."""


class HeadResponse(Protocol):
    """A head as it answers to single sources."""

    def at(self, azimuths: Float) -> Complex:
        """Ears re the free field ``(2, *azimuths.shape)`` for directions ``(..., frequency)`` of arrival, rad."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """Where heads stand.

    Parameters
    ----------
    places
        ``(place, 2)``, m re the middle of the device.
    yaw
        ``(place,)``, rad; a head of yaw 0 faces -x.
    """

    places: Float
    yaw: Float

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", frozen("places", self.places, ndim=2))
        object.__setattr__(self, "yaw", frozen("yaw", self.yaw, ndim=1))

    @property
    def facing(self) -> Float:
        """Azimuth of the device from each head's front ``(place,)``, rad."""
        return np.asarray(np.arctan2(self.places[:, 1], self.places[:, 0]) - self.yaw)

    @classmethod
    def of(cls, ears: ImpulseResponse) -> Heads:
        """Poses of the head at each position of a set."""
        p = ears.positions
        return cls(np.stack([p["x"], p["y"]], axis=1), np.radians(p["yaw_deg"]))

    @classmethod
    def towards_device(cls, places: Float) -> Heads:
        """Heads that all face the device."""
        return cls(places, np.arctan2(places[:, 1], places[:, 0]))


def model(field: DeviceField, head: HeadResponse, heads: Heads) -> Complex:
    """Modelled responses at the ears ``(place, ear, driver, frequency)``, Pa/FS.

    Harmonic ``m`` of a driver reaches a head at distance ``r`` as a wave with the tangential wavenumber ``m / r``, so
    from the direction ``asin(m / (k r))`` beside the driver's centre; the head answers with its response from there.
    """
    out = np.empty((len(heads.places), 2, len(field.b), len(field.f)), dtype=np.complex128)
    near = np.argsort(np.linalg.norm(heads.places, axis=1), kind="stable")  # those at one distance come together
    for first in range(0, len(out), AT_ONCE):
        some = near[first : first + AT_ONCE]
        out[some] = _model(field, head, Heads(heads.places[some], heads.yaw[some]))
    return out


def _model(field: DeviceField, head: HeadResponse, heads: Heads) -> Complex:
    """:func:`model` of a few heads; those that see a driver's centre alike share the head's response."""
    out = np.empty((len(heads.places), 2, len(field.b), len(field.f)), dtype=np.complex128)
    answered: dict[tuple[float, float], tuple[Complex, NDArray[np.intp]]] = {}
    for driver in range(len(field.b)):
        strong = _strong(field.b[driver])
        key = (float(field.centres[driver, 0]), float(field.centres[driver, 1]))
        if key not in answered or not np.isin(strong, answered[key][1]).all():
            kept = np.union1d(strong, answered[key][1]) if key in answered else strong
            reach, bearing, r = field.modes(driver, heads.places, kept)
            seen, row = np.unique(r + 1j * (bearing - heads.yaw), return_inverse=True)
            sine = np.clip(field.m[kept][None, :, None] / (field.k * seen.real[:, None, None]), -STEEPEST, STEEPEST)
            arriving = head.at(seen.imag[:, None, None] - np.arcsin(sine))[:, row]
            answered[key] = (np.multiply(arriving, reach, out=arriving), kept)
        ears, kept = answered[key]
        out[:, :, driver] = np.einsum("mf,epmf->pef", field.b[driver, kept], ears)
    return out


def _strong(b: Complex) -> NDArray[np.intp]:
    """Harmonics of a driver that carry more than a negligible share of its power at any frequency."""
    power = np.abs(b) ** 2
    share = power / np.maximum(power.sum(axis=0), 1e-30)
    return np.flatnonzero(np.any(share > WEAK, axis=1))


def correction(measured: Complex, modelled: Complex) -> Complex:
    """``C = sum H M* / sum |M|^2`` over positions, ``(ear, driver, frequency)``; 1 where the model is near silent."""
    return np.asarray(weighed(measured, modelled, np.ones((1, len(measured))))[0])


def weighed(measured: Complex, modelled: Complex, weight: Float) -> Complex:
    """The correction with positions weighed by ``weight (head, position)``: ``(head, ear, driver, frequency)``."""
    shape, share = (len(weight), *measured.shape[1:]), weight / weight.sum(axis=1, keepdims=True)
    cross = (share @ (measured * modelled.conj()).reshape(len(measured), -1)).reshape(shape)
    power = (share @ (np.abs(modelled) ** 2).reshape(len(measured), -1)).reshape(shape)
    floor = FLOOR * power.mean(axis=2, keepdims=True) + 1e-30
    return np.asarray((cross + floor) / (power + floor))
