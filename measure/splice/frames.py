"""Short-time spectra of captures, and their powers in bands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Float

FRAME_S = 0.04
"""Length of a frame, s, to the nearest power of two of samples; frames overlap by three quarters."""

PER_OCTAVE = 6
FINER = 2
BLACKMAN_HARRIS = (0.35875, -0.48829, 0.14128, -0.01168)
NEAR_FRAMES, NEAR_BANDS = 17, 13
"""Frames and bands over which the disturbed capture is identified."""


def frame_size(fs: int) -> int:
    """Samples of a frame."""
    return 1 << round(float(np.log2(FRAME_S * fs)))


def frame_times(count: int, size: int, fs: int) -> Float:
    """Middle of each frame, s ``(frame,)``."""
    return (np.arange(count) - 1) * (size // 4) / fs


def band_centres(edges: NDArray[np.intp], size: int, fs: int) -> Float:
    """Centres of bands between bins, Hz ``(band,)``."""
    return np.asarray(np.sqrt(edges[:-1] * (edges[1:] - 1.0)) * fs / size)


def band_edges(size: int, fs: int) -> NDArray[np.intp]:
    """First bins of bands of a sixth of an octave, at least two bins each, and the end of the last."""
    edges = [1]
    while edges[-1] < size // 2 + 1:
        edges.append(max(edges[-1] + 2, round(edges[-1] * 2.0 ** (1.0 / PER_OCTAVE))))
    edges[-1] = size // 2 + 1
    return np.array(edges)


def band_blend(centres: Float, f: Float) -> NDArray[np.float32]:
    """``(band, bin)``: values of bands carried to bins, linear over log frequency."""
    at = np.interp(np.log(np.maximum(f, centres[0])), np.log(centres), np.arange(len(centres)))
    low = np.minimum(at.astype(int), len(centres) - 2)
    out = np.zeros((len(centres), len(f)), dtype=np.float32)
    bins = np.arange(len(f))
    out[low, bins] = 1.0 - (at - low)
    out[low + 1, bins] = at - low
    return out


def shifted(x: NDArray[np.float32], by: float) -> NDArray[np.floating]:
    """Channels ``(channel, samples)`` later by a fraction of samples."""
    if abs(by) < 1e-4:
        return x
    samples = x.shape[-1]
    size = int(fft.next_fast_len(samples + 2 * int(abs(by)) + 64, real=True))
    return fft.delayed(x, by, size)[:, :samples]


def short_frames(x: NDArray[np.floating], window: Float) -> NDArray[np.complex64]:
    """Short-time spectra ``(frame, bin)``; the first frame ends with the first quarter of a frame of sound."""
    size = len(window)
    step = size // 4
    count = -(-len(x) // step) + 3
    padded = np.zeros((count + 3) * step, dtype=np.float32)
    padded[3 * step : 3 * step + len(x)] = x
    rows = np.lib.stride_tricks.sliding_window_view(padded, size)[::step]
    return np.asarray(fft.rfft(rows * window.astype(np.float32), axis=-1), dtype=np.complex64)


def fine_window(size: int) -> Float:
    """Window ``(FINER size,)`` of :func:`fine_frames`, of little leakage (Blackman and Harris)."""
    n = 2.0 * np.pi * (np.arange(FINER * size) + 0.5) / (FINER * size)
    return np.asarray(sum(a * np.cos(k * n) for k, a in enumerate(BLACKMAN_HARRIS)))


def fine_frames(x: NDArray[np.floating], size: int) -> NDArray[np.complex64]:
    """Spectra ``(frame, bin)`` at the same times over twice the length, under :func:`fine_window`."""
    window = fine_window(size)
    step = size // 4
    count = -(-len(x) // step) + 3
    ahead = 3 * step + (FINER - 1) * size // 2
    padded = np.zeros((count - 1) * step + FINER * size, dtype=np.float32)
    padded[ahead : ahead + len(x)] = x[: len(padded) - ahead]
    rows = np.lib.stride_tricks.sliding_window_view(padded, FINER * size)[::step]
    return np.asarray(fft.rfft(rows * window.astype(np.float32), axis=-1), dtype=np.complex64)


def joined(spectra: NDArray[np.complexfloating], window: Float, samples: int) -> NDArray[np.float32]:
    """The signal ``(samples,)`` of short-time spectra."""
    size = len(window)
    step = size // 4
    rows = fft.irfft(spectra, size, axis=-1) * window
    out = np.zeros((len(rows) + 3) * step)
    for part in range(4):
        tail = rows[:, part * step : (part + 1) * step].reshape(-1)
        out[part * step : part * step + len(tail)] += tail
    return np.asarray(out[3 * step : 3 * step + samples] / 2.0, dtype=np.float32)


def evened(banded: Float) -> Float:
    """Mean over three frames and three bands."""
    from scipy import ndimage  # slow to import

    return np.asarray(ndimage.uniform_filter(banded, 3, mode="nearest"))


def banded(cells: NDArray[np.floating], edges: NDArray[np.intp]) -> Float:
    """Mean over the bins of each band, ``(frame, band)``."""
    sums = np.add.reduceat(cells[:, : edges[-1]], edges[:-1], axis=1)
    return np.asarray(sums / np.diff(edges), dtype=float)


def averaged_around(banded: Float) -> Float:
    """Mean over the neighbourhood, ``(frame, band)``."""
    from scipy import ndimage  # slow to import

    return np.asarray(ndimage.uniform_filter(banded, (NEAR_FRAMES, NEAR_BANDS), mode="nearest"))
