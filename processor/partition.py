"""Convolution with a matrix of FIR filters: uniform partitions, one transform per input and one inverse per output."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Real


class PartitionedMatrix:
    """``y[o] = sum_i h[i, o] * x[i]`` on a stream, without delay, for pieces of any size.

    Overlap-save with a frequency-domain delay line: the filters are cut into partitions of one block; the spectrum
    of each input's frame is computed once and kept, the products are summed in frequency, and each output is
    transformed back once (Wefers, *Partitioned convolution algorithms*, 2014, ch. 5). A piece that ends within a
    block is answered at once from the frame as filled so far, so that pieces of unequal length cost work but no delay.

    Parameters
    ----------
    taps
        ``(input, output, tap)``, linear gain.
    block
        Samples per block; best when the stream comes in pieces of this size.
    frame
        Samples per transform, at least two blocks. A frame that holds a block and all taps makes one partition of
        them, which is the fast way through long pieces.
    dtype
        ``float32`` or ``float64``.

    Raises
    ------
    ValueError
        Taps that are not finite or not of rank 3, or a block or frame out of range.
    """

    def __init__(self, taps: ArrayLike, block: int, *, frame: int | None = None, dtype: DTypeLike = np.float64) -> None:
        h = frozen("taps", taps, ndim=3)
        if block < 1:
            raise ValueError(f"block is {block}: at least 1 sample is needed")
        self.inputs, self.outputs, self.taps = (int(n) for n in h.shape)
        self.block, self.frame = block, frame or 2 * block
        if self.frame < 2 * block and self.frame < block + self.taps - 1:
            raise ValueError(f"frame is {self.frame}: two blocks ({2 * block}) or a block and all taps are needed")
        self.dtype = np.dtype(dtype)
        self._spectra, self._parts = self._transformed(h)
        self.reset()

    @property
    def latency(self) -> int:
        """Delay added to the filters' own, samples: none."""
        return 0

    def reset(self) -> None:
        """Clear all past input."""
        bins, order = self._spectra.shape[0], self._parts * self.inputs
        self._line = np.zeros((bins, 2 * order), dtype=self._spectra.dtype)
        self._at = order
        self._frame = np.zeros((self.inputs, self.frame), dtype=self.dtype)
        self._tail: Real | None = None
        self._filled = 0

    def process(self, x: Real) -> Real:
        """Filter the next samples.

        Parameters
        ----------
        x
            ``(inputs, n)``, any ``n``.

        Returns
        -------
        ``(outputs, n)``.

        Raises
        ------
        ValueError
            Another number of inputs.
        """
        if x.ndim != 2 or x.shape[0] != self.inputs:
            raise ValueError(f"the piece has shape {x.shape}: ({self.inputs}, n) is needed")
        y = np.empty((self.outputs, x.shape[1]), dtype=self.dtype)
        done = 0
        while done < x.shape[1]:
            n = min(self.block - self._filled, x.shape[1] - done)
            y[:, done : done + n] = self._piece(x[:, done : done + n])
            done += n
        return y

    def _transformed(self, h: Real) -> tuple[Real, int]:
        """Spectra ``(bin, output, partition x input)`` of the partitions, newest first, and their number."""
        length = max(self.frame - self.block + 1, 1) if self._holds_all() else self.block
        parts = -(-self.taps // length)
        padded = np.zeros((self.inputs, self.outputs, parts * length))
        padded[:, :, : self.taps] = h
        spectra = fft.rfft(padded.reshape(self.inputs, self.outputs, parts, length), self.frame)
        order = spectra.transpose(3, 1, 2, 0).reshape(spectra.shape[3], self.outputs, parts * self.inputs)
        kind = np.complex64 if self.dtype == np.float32 else np.complex128
        return np.ascontiguousarray(order, dtype=kind), parts

    def _holds_all(self) -> bool:
        return self.frame >= self.block + self.taps - 1

    def _piece(self, x: Real) -> Real:
        """Answer ``n`` samples that stay within the current block."""
        n, at = x.shape[1], self._filled
        start = self.frame - self.block + at
        self._frame[:, start : start + n] = x
        spectrum = fft.rfft(self._frame).T
        if at + n == self.block and self._tail is None:
            self._push(spectrum)
            y = self._sum(self._spectra, self._line[:, self._at : self._at + self._parts * self.inputs])
            self._slide()
        else:
            y = self._partial(spectrum)
            if at + n == self.block:
                self._push(spectrum)
                self._slide()
            else:
                self._filled = at + n
        return np.asarray(fft.irfft(y.T, self.frame)[:, start : start + n])

    def _partial(self, spectrum: Real) -> Real:
        """The current frame through the first partition, and the frames before it through the others."""
        if self._tail is None:
            older = self._line[:, self._at : self._at + (self._parts - 1) * self.inputs]
            self._tail = self._sum(self._spectra[:, :, self.inputs :], older)
        return np.asarray(self._tail + self._sum(self._spectra[:, :, : self.inputs], spectrum))

    def _sum(self, spectra: Real, line: Real) -> Real:
        return np.asarray(np.matmul(spectra, line[:, :, None])[:, :, 0])

    def _push(self, spectrum: Real) -> None:
        """Put a frame's spectrum before the older ones; the line is twice as long as needed, so nothing wraps."""
        order = self._parts * self.inputs
        if self._at < self.inputs:
            self._line[:, order:] = self._line[:, :order].copy()
            self._at = order
        self._at -= self.inputs
        self._line[:, self._at : self._at + self.inputs] = spectrum

    def _slide(self) -> None:
        self._frame[:, : -self.block] = self._frame[:, self.block :].copy()
        self._frame[:, self.frame - self.block :] = 0.0
        self._filled, self._tail = 0, None
