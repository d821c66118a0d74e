"""Templates of a head: responses to far sources at all azimuths, and their cues in front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.auditory.bands import FINE_STRUCTURE_HZ, erb_bands
from sweetspot.calibrate.auditory.cues import Cues, interaural_cues
from sweetspot.rigs.acoustics import Head
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Complex, Float

STEP_DEG = 1.0
FRONT = float(np.radians(90.0))
"""Largest azimuth of images re the front: without pinna cues front and back are ambiguous."""


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """Responses of one head.

    Parameters
    ----------
    azimuths
        Directions of the source, rad, counter-clockwise from the head's front, rising.
    response
        Ears re the free field at the head's middle ``(azimuth, ear, frequency)``, left ear first. A common factor of
        both ears may be left in: it is the source's own, and no cue depends on it.
    f
        Frequencies, Hz.
    """

    azimuths: Float
    response: Complex
    f: Float
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "azimuths", frozen("azimuths", self.azimuths, ndim=1))
        object.__setattr__(self, "f", frozen("f", self.f, ndim=1))
        object.__setattr__(self, "response", frozen("response", self.response, ndim=3, dtype=np.complex128))
        if self.response.shape != (len(self.azimuths), 2, len(self.f)):
            raise ValueError(
                f"templates have shape {self.response.shape}; ({len(self.azimuths)} azimuths, 2 ears, "
                f"{len(self.f)} frequencies) are named"
            )
        if np.any(np.diff(self.azimuths) <= 0.0):
            raise ValueError("the azimuths of templates must rise")

    @property
    def front(self) -> NDArray[np.intp]:
        """Rows of the azimuths within 90 degrees of the front."""
        return np.flatnonzero(np.abs(self.azimuths) <= FRONT + 1e-6)

    def at(self, azimuths: Float) -> Complex:
        """Responses ``(2, *azimuths.shape)`` to directions (rad) of each frequency's own: linear between templates.

        Parameters
        ----------
        azimuths
            ``(..., frequency)``; beyond the outermost templates of a head that was not turned all around, these hold.
        """
        place = self._place(self._turn(azimuths))
        first = np.minimum(place.astype(np.intp), len(self.azimuths) - 2)
        part = place - first
        flat, bins = self.response.reshape(-1), len(self.f)  # gathered from one row of values: half the time
        left = first * (2 * bins) + np.arange(bins)
        return np.stack(
            [(1.0 - part) * flat.take(left + ear * bins) + part * flat.take(left + (2 + ear) * bins) for ear in (0, 1)]
        )

    def _turn(self, azimuths: Float) -> Float:
        """Azimuths brought into the range that the templates cover."""
        middle = 0.5 * (self.azimuths[0] + self.azimuths[-1])
        turns = np.floor((azimuths - middle + np.pi) / (2.0 * np.pi))  # a fifth of the time of a remainder
        return np.asarray(azimuths - 2.0 * np.pi * turns)

    def _place(self, azimuths: Float) -> Float:
        """Rows of the templates, and how far on to the next, of azimuths within their range; outermost beyond it."""
        rows = np.arange(len(self.azimuths))
        steps = np.diff(self.azimuths)
        if np.allclose(steps, steps.mean(), rtol=1e-9, atol=0.0):  # no search among even steps
            return np.asarray(np.clip((azimuths - self.azimuths[0]) / steps.mean(), 0.0, rows[-1]))
        return np.asarray(np.interp(azimuths, self.azimuths, rows))


@dataclass(frozen=True, slots=True, eq=False)
class TemplateCues:
    """Cues of the templates in front, one row an azimuth.

    Parameters
    ----------
    azimuths
        rad, ``(azimuth,)``.
    cues
        ``(azimuth, band)``.
    """

    azimuths: Float
    cues: Cues


def of_head(head: Head, f: Float, distance: float, c: float, name: str) -> Templates:
    """Templates in 1 degree steps all around, from a head's responses.

    Parameters
    ----------
    head
        A sphere or a measured head.
    f
        Frequencies, Hz; that of 0 Hz is taken at 1 Hz.
    distance
        Of the source, m.
    c
        Speed of sound, m/s.
    """
    azimuths = np.radians(np.arange(-180.0, 180.0 + 0.5 * STEP_DEG, STEP_DEG))
    k = 2.0 * np.pi * np.maximum(f, 1.0) / c
    around = np.broadcast_to(azimuths[:, None], (len(azimuths), len(f)))
    return Templates(azimuths, np.moveaxis(head.response(around, k, distance, c), 0, 1), f, name)


def cues_of(templates: Templates) -> TemplateCues:
    """Cues of templates within 90 degrees of the front, between the measured azimuths in even steps.

    Delays run on steadily from azimuth to azimuth: a band's correlation has a maximum in every period, and which of
    them is the largest may change between two neighbours. Above the fine structure that is heard there are none (0).
    """
    front = templates.azimuths[templates.front]
    count = max(round(float(np.degrees(front[-1] - front[0])) / STEP_DEG), 1)
    azimuths = np.linspace(front[0], front[-1], count + 1)
    bands = erb_bands(templates.f)
    measured = interaural_cues(templates.response[templates.front], bands, FINE_STRUCTURE_HZ)
    steady = np.unwrap(measured.itd_s * bands.centre, period=1.0, axis=0) / bands.centre
    fine = [
        np.stack([np.interp(azimuths, front, column) for column in each.T], axis=1)
        for each in (steady, measured.ild_db, measured.iacc, measured.level_db)
    ]
    return TemplateCues(azimuths, Cues(*fine))
