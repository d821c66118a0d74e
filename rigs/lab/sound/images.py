"""Image sources of a shoebox room, reflection factors of its walls, and the resulting decay.

Allen and Berkley, J. Acoust. Soc. Am. 65, 943 (1979). Walls are counted as in ``WALLS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import SOFTEST
from sweetspot.rigs.units import Complex, Float


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Mirror images of a source as a receiver sees them.

    Parameters
    ----------
    away
        ``(image, 3)`` m, from the image to the receiver.
    mirrored
        ``(image, 3)``, -1 on the axes on which the image is mirrored, else 1.
    hits
        ``(image, 6)``, how often its sound has met each wall.
    """

    away: Float
    mirrored: Float
    hits: NDArray[np.int16]

    @property
    def r(self) -> Float:
        """Path lengths ``(image,)``, m."""
        return np.asarray(np.linalg.norm(self.away, axis=1))


def images(size: Float, source: Float, receiver: Float, order: int, longest: float = np.inf) -> Images:
    """The images up to a reflection order and a path length, nearest first; the first is the source itself.

    Parameters
    ----------
    size
        Of the room, ``(3,)`` m.
    source, receiver
        Places ``(3,)`` m, from the corner at the origin.
    order
        Most wall hits on a path.
    longest
        Longest path, m.
    """
    n, sign, chosen, hits = _orders(order)
    away = receiver[:, None] - (2.0 * n * size[:, None] + sign * source[:, None])  # (axis, candidate)
    square = away[0, chosen[:, 0]] ** 2 + away[1, chosen[:, 1]] ** 2 + away[2, chosen[:, 2]] ** 2
    if np.isfinite(longest):
        near = np.flatnonzero(square <= longest**2)
        nearest = near[np.argsort(square[near], kind="stable")]
    else:
        nearest = np.argsort(square, kind="stable")
    picked = chosen[nearest]
    return Images(away[np.arange(3), picked], sign[picked], hits[nearest])


@lru_cache(maxsize=4)
def _orders(order: int) -> tuple[NDArray[np.intp], Float, NDArray[np.intp], NDArray[np.int16]]:
    """Image orders common to all rooms: offsets and mirroring along an axis, triples up to an order, and their
    reflections."""
    n = np.arange(-((order + 1) // 2), (order + 1) // 2 + 1)
    n, flip = np.repeat(n, 2), np.tile([0, 1], len(n))
    low, high = np.abs(n - flip), np.abs(n)
    kept = low + high <= order
    n, flip, low, high = n[kept], flip[kept], low[kept], high[kept]
    count = low + high
    chosen = np.argwhere(count[:, None, None] + count[:, None] + count <= order)
    hits = np.empty((len(chosen), 6), dtype=np.int16)
    hits[:, 0::2], hits[:, 1::2] = low[chosen], high[chosen]
    return n, 1.0 - 2.0 * flip, chosen, hits


def reflection(f: Float, bands: Float, absorption: Float) -> Complex:
    """Logarithm of the walls' reflection factors ``(6, frequency)``, each of minimum phase.

    Parameters
    ----------
    f
        Equally spaced frequencies from 0 to half of the sampling rate, Hz.
    bands
        ``(band,)`` Hz, rising.
    absorption
        ``(6, band)``; between the bands it is interpolated over the logarithm of frequency, beyond them it is held.
    """
    dense = np.linspace(0.0, f[-1], 8 * (len(f) - 1) + 1)
    at = np.log(np.maximum(dense, 1.0))
    alpha = np.stack([np.interp(at, np.log(bands), row) for row in absorption])
    level = 0.5 * np.log(np.maximum(1.0 - alpha, SOFTEST**2))
    cepstrum = np.fft.irfft(level, axis=-1)
    half = cepstrum.shape[-1] // 2
    cepstrum[:, 1:half] *= 2.0
    cepstrum[:, half + 1 :] = 0.0
    return np.asarray(np.fft.rfft(cepstrum, axis=-1)[:, ::8])


def remaining(size: Float, log_reflection: Float, r: float) -> Float:
    """Energy that walls have left to sound after a path of ``r`` m, on average over its directions, ``(frequency,)``.

    ``log_reflection`` is the real part of :func:`reflection`. A path in direction ``u`` meets the pair of walls of
    axis w ``|u_w| r / size_w`` times, so flat rooms decay slower than Eyring's.
    """
    count = 2000
    z = (np.arange(count) + 0.5) / count
    around = np.pi * (1.0 + 5.0**0.5) * np.arange(count)
    flat = np.sqrt(1.0 - z * z)
    u = np.abs(np.stack([flat * np.cos(around), flat * np.sin(around), z]))
    hits = u * r / size[:, None]
    pairs = log_reflection[0::2] + log_reflection[1::2]
    return np.asarray(np.exp(hits.T @ pairs).mean(axis=0))
