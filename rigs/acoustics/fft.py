"""Discrete Fourier transforms for all rooms: NumPy's, and efficient lengths.

NumPy (from 2.0 on, which keeps single precision) and SciPy compute with the same library (pocketfft) and give the same
bytes in double precision, in the same time; but SciPy takes 0.2 s to start, which a command should not wait for. The
lab stays with SciPy's: in single precision it transforms four rows at once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.fft import fft, fftfreq, ifft, irfft, rfft, rfftfreq
from numpy.typing import ArrayLike, NDArray

__all__ = ["delayed", "fft", "fftfreq", "ifft", "irfft", "next_fast_len", "phases", "rfft", "rfftfreq"]


@lru_cache(maxsize=1024)
def next_fast_len(target: int, real: bool = False) -> int:
    """The least length of at least ``target`` whose prime factors are small.

    Parameters
    ----------
    target
        Samples.
    real
        Factors up to 5, for transforms of real signals; else up to 11.

    Raises
    ------
    ValueError
        ``target`` is below 1.
    """
    if target < 1:
        raise ValueError(f"a transform has at least one sample, not {target}")
    lengths = [1]
    for prime in (3, 5) if real else (3, 5, 7, 11):
        lengths = [n * prime**k for n in lengths for k in range(_power(prime, n, target) + 1)]
    return min(n << max(0, (-(-target // n) - 1).bit_length()) for n in lengths)


def _power(prime: int, n: int, target: int) -> int:
    """The least power of a prime with which ``n`` reaches the target."""
    found = 0
    while n < target:
        n, found = n * prime, found + 1
    return found


def phases(step: float, count: int, kind: np.dtype[Any]) -> NDArray[np.complexfloating]:
    """Phase factors ``exp(1j * step * n)`` for ``n`` up to ``count``, in a precision.

    They are products of two short rows: one exponential in hundreds.
    """
    width = int(np.sqrt(count)) + 1
    fine, coarse = np.arange(width), width * np.arange(-(-count // width))
    rows = (np.exp(1j * step * n).astype(kind) for n in (coarse, fine))
    return np.asarray(np.outer(*rows).reshape(-1)[:count])


def delayed(x: NDArray[np.floating], samples: ArrayLike, size: int) -> NDArray[Any]:
    """``x (..., tap)`` later by ``samples (...)``, fractions too: ``(..., size)``, circular."""
    turn = np.exp(-2j * np.pi * rfftfreq(size) * np.asarray(samples)[..., None])
    return np.asarray(irfft(rfft(x, size) * turn, size))
