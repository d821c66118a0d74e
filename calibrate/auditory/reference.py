"""Reference pair for rigs without one: two loudspeakers computed from the head and the unit's room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweetspot.calibrate.auditory.arms import Arm, stereo_shares
from sweetspot.calibrate.auditory.templates import Templates
from sweetspot.calibrate.plant import gate
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.acoustics import half_cosine
from sweetspot.rigs.layout import nearest, turned
from sweetspot.rigs.units import Complex, Float

ANGLE_DEG = 30.0
TAIL_S = 0.005
"""Time after plain stereo's direct sound from which its response is used as the pair's room, s."""

FRONT_S = 0.002
"""Length of the polar set's responses after the first arrival that gives a driver's axis, s."""

MATCHED_HZ = (400.0, 6400.0)
"""Band in which the pair's direct sound is matched to plain stereo's level, Hz."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two loudspeakers on the circle around the nominal listener.

    Parameters
    ----------
    angle
        Half of the angle between them, rad.
    distance
        From the nominal head, m.
    device
        From the nominal head to the device, m.
    seat
        Azimuth of the nominal head as the device sees it, rad.
    """

    angle: float
    distance: float
    device: float
    seat: float = 0.0

    @property
    def places(self) -> Float:
        """Places ``(side, 2)`` re the device, m: the listener's left (-y) first."""
        ahead = self.device - self.distance * np.cos(self.angle)
        aside = self.distance * np.sin(self.angle)
        return turned(np.array([[ahead, -aside, 0.0], [ahead, aside, 0.0]]), self.seat)[:, :2]


def seen(sources: Float, places: Float, yaw: Float) -> tuple[Float, Float]:
    """Azimuth (rad, from the head's front) and distance (m) of sources seen from heads, each ``(place, source)``.

    Parameters
    ----------
    sources
        ``(source, 2)``, m re the device.
    places
        Of the heads ``(place, 2)``, m.
    yaw
        ``(place,)``, rad; a head of yaw 0 faces -x.
    """
    apart = sources[None] - places[:, None]
    bearing = np.arctan2(apart[..., 1], apart[..., 0])
    azimuth = bearing - np.pi - yaw[:, None]
    return np.asarray(np.mod(azimuth + np.pi, 2.0 * np.pi) - np.pi), np.hypot(apart[..., 0], apart[..., 1])


def direct_spectra(pair: Pair, templates: Templates, places: Float, yaw: Float, c: float) -> Complex:
    """Direct sound of point sources at the pair ``(place, ear, side, frequency)``, 1 for a free field at 1 m."""
    azimuth, r = seen(pair.places, places, yaw)
    f = templates.f
    ears = templates.at(np.broadcast_to(azimuth[..., None], (*azimuth.shape, len(f))))
    wave = np.exp(-2j * np.pi * f * r[..., None] / c) / r[..., None]
    return np.asarray(np.moveaxis(ears * wave, 0, 1))


def facing_gain(polar: ImpulseResponse, drivers: tuple[int, int]) -> float:
    """Gain of two drivers on their axes re a listener ahead of the device, linear, at least 1.

    A loudspeaker of a pair faces its listener, where drivers of a device may face aside: with the same sound to the
    room its direct sound is louder by that.

    Parameters
    ----------
    polar
        The device's polar set.
    drivers
        Those that play plain stereo.
    """
    end = gate.first_arrival(polar) + FRONT_S
    n, stop = polar.h.shape[-1], gate.last_tap(polar.zero, polar.fs, end)
    kept = gate.until(polar.h[:, 0, list(drivers), :stop], polar.zero, polar.fs, end)
    f = np.fft.rfftfreq(n, 1.0 / polar.fs)
    inside = (f >= MATCHED_HZ[0]) & (f <= MATCHED_HZ[1])
    power = np.mean(np.abs(np.fft.rfft(kept, n, axis=-1)[..., inside]) ** 2, axis=-1)  # (direction, driver)
    ahead = nearest(np.radians(polar.positions["azimuth_deg"]))
    return float(np.sqrt(np.mean(power.max(axis=0) / power[ahead])))


def modelled(
    pair: Pair, templates: Templates, heads: tuple[Float, Float], c: float, plain: Arm, *, facing: float = 1.0
) -> Arm:
    """A pair of loudspeakers in the unit's room.

    The direct sound is that of point sources through the head's templates, as loud as plain stereo's would be from
    drivers that face the listener; what follows it after 5 ms is the room as plain stereo on the unit excites it: a
    loudspeaker that radiates like the unit's own.

    Parameters
    ----------
    heads
        Places and yaw of the heads at which ``plain`` was measured, see :func:`seen`.
    plain
        Plain stereo on the unit at these places.
    facing
        Of the unit's drivers, see :func:`facing_gain`.
    """
    places, yaw = heads
    n = plain.h.shape[-1]
    f: Float = np.asarray(np.fft.rfftfreq(n, 1.0 / plain.fs), dtype=np.float64)
    coarse = direct_spectra(pair, templates, places, yaw, c)
    late = 2.0 * np.pi * seen(pair.places, places, yaw)[1][:, None, :, None] / c
    level = coarse * np.exp(1j * late * templates.f)
    rows = level.reshape(-1, level.shape[-1])
    fine = np.stack([np.interp(f, templates.f, x.real) + 1j * np.interp(f, templates.f, x.imag) for x in rows])
    spectra = fine.reshape(*coarse.shape[:-1], len(f)) * _rolled_off(f, templates.f[-1])
    spectra = spectra * np.exp(-1j * late * f) * np.exp(-2j * np.pi * f * plain.zero / plain.fs)
    direct = np.fft.irfft(spectra, n, axis=-1)
    early = gate.until(plain.h, plain.zero, plain.fs, plain.arrival + TAIL_S)
    h = plain.h - early
    h[:, :, :2] += direct * facing * np.sqrt(_power(early[:, :, :2], f) / _power(direct, f))
    arrival = seen(pair.places, places, yaw)[1].min(axis=1) / c - 0.0003
    return Arm("reference", h, plain.fs, plain.zero, arrival, stereo_shares())


def _rolled_off(f: Float, top: float) -> Float:
    """1 up to half an octave below the end of the templates' grid, then falling to 0 there."""
    return half_cosine.fall((f - 0.8 * top) / (0.2 * top))


def _power(h: Float, f: Float) -> float:
    inside = (f >= MATCHED_HZ[0]) & (f <= MATCHED_HZ[1])
    return float(np.mean(np.abs(np.fft.rfft(h, axis=-1)[..., inside]) ** 2))
