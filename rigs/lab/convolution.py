"""A matrix of long impulse responses, run block by block; the responses can be exchanged while it runs.

Uniformly partitioned overlap-save (Gardner 1995; Wefers 2015, ch. 5): one transform per output channel and block, kept
in a frequency-domain delay line that all paths share, and one inverse transform per input channel. The delay line holds
only what was played, so exchanging the responses leaves nothing of the old ones behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from rigs.units import Float


@dataclass(frozen=True, slots=True, eq=False)
class Spectra:
    """Transformed responses: only the outputs that reach an input, only the partitions that are not empty.

    Parameters
    ----------
    h
        ``(input, active output, partition, bin)`` complex64.
    active
        Indices of the outputs that reach any input.
    first
        Index of the first partition that ``h`` holds; those before it are empty.
    scratch
        Room for the products, of the shape of ``h``.
    """

    h: NDArray[np.complex64]
    active: NDArray[np.intp]
    first: int
    scratch: NDArray[np.complex64]


class BlockConvolver:
    """Runs ``paths`` on blocks of samples.

    Parameters
    ----------
    paths
        ``(input, output, tap)`` impulse responses: what each input hears of each output.
    block
        Samples per block.
    delay
        Samples by which everything is heard later, on top of the responses.
    """

    def __init__(self, paths: NDArray[np.float32], block: int, delay: int = 0) -> None:
        inputs, outputs, taps = paths.shape
        self.block, self.delay, self.shape = block, delay, paths.shape
        self.partitions = -(-(taps + delay) // block)
        self._past = np.zeros((outputs, 2 * block), dtype=np.float32)
        self._line = np.zeros((outputs, 2 * self.partitions, block + 1), dtype=np.complex64)
        self._newest = 0
        self._sum = np.zeros((inputs, block + 1), dtype=np.complex64)
        self._spectra = self.spectra(paths)

    def spectra(self, paths: NDArray[np.float32]) -> Spectra:
        """Transform responses ahead of :meth:`exchange`; may be called from another thread.

        Raises
        ------
        ValueError
            The responses have another shape than those given at first.
        """
        if paths.shape != self.shape:
            raise ValueError(f"paths have shape {paths.shape}; this convolver was made for {self.shape}")
        active = np.flatnonzero(paths.any(axis=(0, 2)))
        inputs, _, taps = paths.shape
        padded = np.zeros((inputs, len(active), self.partitions * self.block), dtype=np.float32)
        padded[:, :, self.delay : self.delay + taps] = paths[:, active]
        parts = padded.reshape(inputs, len(active), self.partitions, self.block)
        used = np.flatnonzero(parts.any(axis=(0, 1, 3)))
        first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        h = np.ascontiguousarray(fft.rfft(parts[:, :, first:last], 2 * self.block, axis=-1), dtype=np.complex64)
        return Spectra(h, active, first, np.empty_like(h))

    def exchange(self, spectra: Spectra) -> None:
        """Use other responses from the next block on, as if they had been there all the time."""
        self._spectra = spectra

    def process(self, played: NDArray[np.float32]) -> Float | NDArray[np.float32]:
        """What the inputs hear ``(input, block)`` while the outputs play ``played (output, block)``."""
        now = self._spectra
        self._past[:, : self.block] = self._past[:, self.block :]
        self._past[:, self.block :] = played
        self._newest = (self._newest or self.partitions) - 1
        k = self._newest
        self._line[:, k] = fft.rfft(self._past, axis=-1)
        self._line[:, k + self.partitions] = self._line[:, k]
        start = k + now.first
        window = self._line[now.active, start : start + now.h.shape[2]]
        np.multiply(now.h, window, out=now.scratch)
        np.sum(now.scratch.reshape(len(now.h), -1, self.block + 1), axis=1, out=self._sum)
        return np.asarray(fft.irfft(self._sum, axis=-1)[:, self.block :])
