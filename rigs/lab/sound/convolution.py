"""A matrix of long impulse responses, run block by block; the responses can be exchanged while it runs.

Uniformly partitioned overlap-save (Gardner 1995; Wefers 2015, ch. 5): one transform per output channel and block, kept
in a frequency-domain delay line that all paths share, and one inverse transform per input channel. The delay line holds
only what was played, so exchanging the responses leaves nothing of the old ones behind. Each output's
sum over its partitions is a product of a matrix and a vector in every bin, for those inputs alone that it reaches: a
cable costs one partition, not as many as a room.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sweetspot.rigs.units import Float


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """Responses of an output at the inputs that it reaches.

    Parameters
    ----------
    first
        Index of the first partition that ``h`` holds; those before it are empty.
    h
        ``(bin, input, partition)`` complex64.
    """

    output: int
    inputs: NDArray[np.intp]
    first: int
    h: NDArray[np.complex64]


Spectra = tuple[Reach, ...]
"""Transformed responses of the outputs that reach any input."""


class BlockConvolver:
    """Runs ``paths`` on blocks of samples.

    Parameters
    ----------
    paths
        ``(input, output, tap)`` impulse responses: from each output to each input.
    block
        Samples per block.
    """

    def __init__(self, paths: NDArray[np.float32], block: int) -> None:
        inputs, outputs, taps = paths.shape
        self.block, self.shape = block, paths.shape
        self.partitions = -(-taps // block)
        self._past = np.zeros((outputs, 2 * block), dtype=np.float32)
        self._line = np.zeros((outputs, block + 1, 2 * self.partitions), dtype=np.complex64)
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
        return tuple(self._reach(o, paths[:, o]) for o in range(paths.shape[1]) if paths[:, o].any())

    def _reach(self, output: int, paths: NDArray[np.float32]) -> Reach:
        inputs = np.flatnonzero(paths.any(axis=1))
        padded = np.zeros((len(inputs), self.partitions * self.block), dtype=np.float32)
        padded[:, : paths.shape[1]] = paths[inputs]
        parts = padded.reshape(len(inputs), self.partitions, self.block)
        used = np.flatnonzero(parts.any(axis=(0, 2)))
        first, last = int(used[0]), int(used[-1]) + 1
        h = np.asarray(fft.rfft(parts[:, first:last], 2 * self.block, axis=-1), dtype=np.complex64)
        return Reach(output, inputs, first, np.ascontiguousarray(h.transpose(2, 0, 1)))

    def exchange(self, spectra: Spectra) -> None:
        """Use other responses from the next block on, as if they had been there all the time."""
        self._spectra = spectra

    def process(self, played: NDArray[np.float32]) -> Float | NDArray[np.float32]:
        """Input signals ``(input, block)`` for the output signals ``played (output, block)``."""
        self._past[:, : self.block] = self._past[:, self.block :]
        self._past[:, self.block :] = played
        self._newest = (self._newest or self.partitions) - 1
        k = self._newest
        spectrum = fft.rfft(self._past, axis=-1)
        self._line[:, :, k] = spectrum
        self._line[:, :, k + self.partitions] = spectrum
        self._sum[:] = 0.0
        for reach in self._spectra:
            start = k + reach.first
            window = self._line[reach.output, :, start : start + reach.h.shape[2], None]
            self._sum[reach.inputs] += np.matmul(reach.h, window)[:, :, 0].T
        return np.asarray(fft.irfft(self._sum, axis=-1)[:, self.block :])
