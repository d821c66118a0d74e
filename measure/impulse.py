"""Impulse responses with their metadata: positions, names, time zero, unit, noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Float, power_db

POSITION = np.dtype(
    [("azimuth_deg", "f8"), ("x", "f8"), ("y", "f8"), ("z", "f8"), ("yaw_deg", "f8"), ("use", "S8")],
)
"""A place: azimuth seen from the device, metres from its middle, the head's yaw, and what it is used for."""


@dataclass(frozen=True, slots=True, eq=False)
class ImpulseResponse:
    """Responses of one set.

    Parameters
    ----------
    h
        ``(position, mic, driver, tap)`` in :attr:`unit`.
    fs
        Sampling rate, Hz.
    positions
        Table of dtype :data:`POSITION`, one row a position.
    mics, drivers
        Names in the order of the axes.
    zero
        Tap at which the sound leaves the interface.
    unit
        ``"Pa/FS"``: pascal for a full-scale sample.
    snr_db
        ``(position, mic, driver)``: signal to noise within the kept window, dB.
    band
        Judged band, Hz.
    """

    h: Float
    fs: int
    positions: NDArray[np.void]
    mics: tuple[str, ...]
    drivers: tuple[str, ...]
    zero: int
    unit: str
    snr_db: Float
    band: tuple[float, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "h", frozen("impulse responses", self.h, ndim=4))
        wanted = (len(self.positions), len(self.mics), len(self.drivers))
        if self.h.shape[:3] != wanted:
            raise ValueError(
                f"impulse responses have shape {self.h.shape}: {wanted} positions, mics, drivers are named"
            )

    def ring(self) -> ImpulseResponse:
        """Only the ring of directions nearest to the device's plane, see :func:`ring_rows`."""
        rows = ring_rows(self.positions)
        return self if len(rows) == len(self.positions) else self.at(rows)

    def used_for(self, use: str) -> ImpulseResponse:
        """Only the positions with this ``use``; the same object again, so that what was made of it is found."""
        return _used_for(self, use)

    def at(self, rows: NDArray[np.intp]) -> ImpulseResponse:
        """Only these positions."""
        h = self.h[rows]
        h.setflags(write=False)  # not to be copied again
        return ImpulseResponse(
            h,
            self.fs,
            positions=self.positions[rows],
            mics=self.mics,
            drivers=self.drivers,
            zero=self.zero,
            unit=self.unit,
            snr_db=self.snr_db[rows],
            band=self.band,
        )


@lru_cache(maxsize=4)
def _used_for(ir: ImpulseResponse, use: str) -> ImpulseResponse:
    return ir.at(np.flatnonzero(ir.positions["use"] == use.encode()))


RING_DEG = 1.0
"""Directions of a ring differ in elevation by less, degrees."""


def elevations_deg(positions: NDArray[np.void]) -> Float:
    """Elevation of places of dtype :data:`POSITION` seen from the device, degrees."""
    return np.asarray(np.degrees(np.arctan2(positions["z"], np.hypot(positions["x"], positions["y"]))))


def ring_rows(positions: NDArray[np.void]) -> NDArray[np.intp]:
    """Rows of a polar set's ring: the directions of the elevation nearest to 0, in their order."""
    if not len(positions):
        return np.arange(0)
    up = elevations_deg(positions)
    nearest = up[int(np.argmin(np.abs(up)))]
    return np.flatnonzero(np.abs(up - nearest) < RING_DEG)


@dataclass(frozen=True, slots=True, eq=False)
class SourceResponse:
    """The derived response of one place and source.

    Parameters
    ----------
    h
        Response ``(mic, tap)``, Pa/FS.
    snr_db
        ``(mic,)``, see :func:`snr_db`.
    stderr
        Standard error ``(mic, bin)`` of the response's ``rfft``, Pa/FS.
    coherence
        ``(mic, bin)`` between repeats; 1 for a single one.
    clock_ppm
        By how much the inputs' clock ran faster than the outputs', taken out of the response; 0 for one clock.
    """

    h: Float
    snr_db: Float
    stderr: Float
    coherence: Float
    clock_ppm: float = 0.0


def snr_db(h: Float, stderr: Float, fs: int, band: tuple[float, float]) -> Float:
    """Signal to noise ``(...,)`` of responses within a band, dB: their energy over that of their standard error.

    Parameters
    ----------
    h
        ``(..., tap)``.
    stderr
        Standard error of every bin of its spectrum, ``(..., bin)``.
    fs
        Sampling rate, Hz.
    band
        Judged band, Hz: what lies outside counts neither as signal nor as noise.
    """
    f = np.fft.rfftfreq(h.shape[-1], 1.0 / fs)
    inside = (f >= band[0]) & (f <= band[1])
    total = np.sum(np.abs(np.fft.rfft(h, axis=-1)[..., inside]) ** 2, axis=-1)
    noise = np.maximum(np.sum(np.asarray(stderr, dtype=float)[..., inside] ** 2, axis=-1), 1e-300)
    return np.asarray(power_db(np.maximum(total - noise, 0.0) / noise))
