"""Long signals through short responses: block by block, in transforms that fit the cache (overlap-save)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import fft


class SignalBlocks:
    """Signals as spectra of overlapping blocks, to be filtered any number of times.

    Parameters
    ----------
    x
        ``(channel, samples)``; in single precision, all is computed in it.
    taps
        Length of the longest response.
    """

    def __init__(self, x: NDArray[np.floating], taps: int) -> None:
        self.samples, self.taps = x.shape[-1], taps
        self.size = 1 << (2 * taps).bit_length()
        self.step = self.size - taps + 1
        count = -(-(self.samples + taps - 1) // self.step)
        padded = np.zeros((len(x), taps - 1 + count * self.step), np.float32 if x.dtype == np.float32 else np.float64)
        padded[:, taps - 1 : taps - 1 + self.samples] = x
        blocks = np.lib.stride_tricks.sliding_window_view(padded, self.size, axis=-1)[:, :: self.step]
        self.spectra = fft.rfft(blocks, axis=-1)

    def filtered(self, h: NDArray[np.floating]) -> NDArray[np.floating]:
        """What responses make of the signals, ``(output, samples + tap - 1)``.

        Parameters
        ----------
        h
            ``(output, channel, tap)``, at most :attr:`taps` long.

        Raises
        ------
        ValueError
            They are longer.
        """
        return self.through(self.response(h), h.shape[-1])

    def response(self, h: NDArray[np.floating]) -> NDArray[np.complexfloating]:
        """Spectra ``(output, channel, frequency)`` of responses for :meth:`through`, here and with others as long."""
        if h.shape[-1] > self.taps:
            raise ValueError(f"a response of {h.shape[-1]} taps is longer than {self.taps}")
        return np.asarray(fft.rfft(h.astype(self.spectra.real.dtype, copy=False), self.size, axis=-1))

    def through(self, response: NDArray[np.complexfloating], taps: int) -> NDArray[np.floating]:
        """What responses of so many taps make of the signals, from their spectra."""
        y = fft.irfft(self._played(response), self.size, axis=-1)[..., self.taps - 1 :]
        return np.asarray(y.reshape(len(response), -1)[:, : self.samples + taps - 1])

    def _played(self, response: NDArray[np.complexfloating]) -> NDArray[np.complexfloating]:
        """Spectra ``(output, block, frequency)``: channels one by one, which takes a third of the time of einsum."""
        played = response[:, 0, None] * self.spectra[0]
        one = np.empty_like(played[0])
        for channel in range(1, len(self.spectra)):
            for total, gain in zip(played, response[:, channel], strict=True):
                total += np.multiply(gain, self.spectra[channel], out=one)
        return np.asarray(played)
