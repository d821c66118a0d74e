"""Long signals through short responses: block by block, in transforms that fit the cache (overlap-save)."""

from __future__ import annotations

import numpy as np

from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Float


class SignalBlocks:
    """Signals as spectra of overlapping blocks, to be filtered any number of times.

    Parameters
    ----------
    x
        ``(channel, samples)``.
    taps
        Length of the longest response.
    """

    def __init__(self, x: Float, taps: int) -> None:
        self.samples, self.taps = x.shape[-1], taps
        self.size = 1 << (2 * taps).bit_length()
        self.step = self.size - taps + 1
        count = -(-(self.samples + taps - 1) // self.step)
        padded = np.zeros((len(x), taps - 1 + count * self.step))
        padded[:, taps - 1 : taps - 1 + self.samples] = x
        blocks = np.lib.stride_tricks.sliding_window_view(padded, self.size, axis=-1)[:, :: self.step]
        self.spectra = fft.rfft(blocks, axis=-1)

    def filtered(self, h: Float) -> Float:
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
        if h.shape[-1] > self.taps:
            raise ValueError(f"a response of {h.shape[-1]} taps is longer than {self.taps}")
        H = fft.rfft(np.asarray(h, dtype=np.float64), self.size, axis=-1)
        y = fft.irfft(np.einsum("ocf,cbf->obf", H, self.spectra), self.size, axis=-1)[..., self.taps - 1 :]
        return np.asarray(y.reshape(len(h), -1)[:, : self.samples + h.shape[-1] - 1])
