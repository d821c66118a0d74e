"""Expected responses in a check: arrivals, interaural differences and spectra, from the rig's geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sweetspot.measure.preflight.paths.path_responses import OCTAVES
from sweetspot.rigs.layout import Pose, turned
from sweetspot.rigs.rig_file import EARS, Description, Driver
from sweetspot.rigs.units import Float, db, speed_of_sound

EAR_SPREAD_M = 0.0875
"""From the middle of the head to each ear."""


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Expected responses of each driver, and their standard deviations.

    Parameters
    ----------
    arrival
        ``(pose, mic, driver)`` s.
    apart
        ``(pose, driver)`` s by which the left ear is later than the right; no poses if there are no two ears.
    level_db
        ``(mic, driver, octave)`` up to a constant.
    arrival_sigma, apart_sigma
        s; ``(pose,)`` and ``(pose, driver)``.
    level_sigma
        ``(octave,)`` dB.
    sign
        ``(mic, driver)`` of the arrivals' phases, -1 or 1.
    """

    arrival: Float
    apart: Float
    level_db: Float
    arrival_sigma: Float
    apart_sigma: Float
    level_sigma: Float
    sign: Float


def places(rig: Description, pose: Pose) -> Float:
    """Where each microphone of the rig stands, ``(mic, 3)`` m: the head's at its ears, others on the polar circle.

    A head that faces the device has its left ear at negative y.
    """
    ahead = rig.listening_m + pose.x
    side = turned([[0.0, EAR_SPREAD_M, 0.0]], np.pi + pose.yaw)[0]
    left = np.array([ahead, pose.y, pose.z]) + side
    at = {EARS[0]: left, EARS[1]: left - 2 * side}
    polar = np.array(rig.polar.microphone if rig.polar else (1.0, 0.0, 0.0))
    fixed = {m.name: turned(m.at, pose.turn) if m.use == "device" else np.array(m.at) for m in rig.mic if m.at}
    return np.array([(at | fixed).get(m.name, polar) for m in rig.mic])


def around(source: ArrayLike, place: ArrayLike) -> float:
    """Shortest way (m) from a point on a sphere around the origin to a point outside it, creeping along if shadowed."""
    s, p = np.asarray(source, dtype=float), np.asarray(place, dtype=float)
    radius, far = float(np.linalg.norm(s)), float(np.linalg.norm(p))
    if radius < 1e-6 or far <= radius:
        return float(np.linalg.norm(p - s))
    angle = float(np.arccos(np.clip(s @ p / (radius * far), -1.0, 1.0)))
    seen = float(np.arccos(radius / far))
    if angle <= seen:
        return float(np.linalg.norm(p - s))
    return float(np.sqrt(far**2 - radius**2)) + radius * (angle - seen)


def from_geometry(rig: Description, poses: list[Pose]) -> Expected:
    """The expectation from the rig file alone: drivers' places, the microphones', the drivers' bands."""
    c = speed_of_sound(rig.environment.temperature_c)
    mics = [m.name for m in rig.mic]
    way = np.array(
        [[[around(turned(d.at, p.turn), mic) for d in rig.driver] for mic in places(rig, p)] for p in poses]
    ).reshape(len(poses), len(mics), len(rig.driver))
    apart = way[:, 0, :][:0]
    if all(name in mics for name in EARS):
        apart = way[:, mics.index(EARS[0])] - way[:, mics.index(EARS[1])]
    spectra = np.array([_spectrum_db(d) for d in rig.driver])
    return Expected(
        arrival=way / c,
        apart=apart / c,
        level_db=np.repeat(spectra[None], len(mics), axis=0),
        arrival_sigma=np.full(len(poses), 80e-6),
        apart_sigma=5e-6 + 0.2 * np.abs(apart) / c,
        level_sigma=np.array([4.0 if f <= 1000.0 else 12.0 for f in OCTAVES]),  # above, bodies cast shadows
        sign=np.ones((len(mics), len(rig.driver))),
    )


def _spectrum_db(driver: Driver) -> Float:
    """Level ``(octave,)`` of a driver that falls by 12 dB an octave beyond each edge of its band."""
    f = np.array(OCTAVES)
    low, high = driver.band_hz
    return db((f / low) ** 2 / np.sqrt(1 + (f / low) ** 4) / np.sqrt(1 + (f / high) ** 4))
