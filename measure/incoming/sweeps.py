"""Sweeps from another recorder: deconvolved with the stimulus, timed by a loopback if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.deconvolve import Inverse, circular, edges, inverse, loopback_delay
from sweetspot.measure.incoming.imported_set import BEFORE_S, earliest
from sweetspot.measure.judge import uncertainty
from sweetspot.measure.sweep import Sweep
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float

LEAST_DB = -13.0
"""Range of energy per octave re its median within which a stimulus is used, dB."""

CLEAR = 20.0
"""Peak of a response over its root mean square: less is no response of this stimulus."""

FULL_SCALE = 0.9999


@dataclass(frozen=True, slots=True, eq=False)
class Deconvolved:
    """Responses of recordings.

    Parameters
    ----------
    h
        ``(recording, mic, tap)``.
    errors
        Standard errors ``(recording, mic, bin)`` of their ``rfft``.
    zero
        Tap of time zero; ``None`` without a loopback.
    band
        Judged band, Hz.
    """

    h: Float
    errors: Float
    zero: int | None
    band: tuple[float, float]


def understood(stimulus: Float, fs: int) -> Sweep:
    """Properties of a stimulus ``(samples,)``: its band, and its rate if it is an exponential sweep.

    An exponential sweep of amplitude ``A`` has ``|X(f)| = A / 2 sqrt(L / f)``: the same energy in every octave, and its
    rate ``L`` follows from it (Novak et al., J. Audio Eng. Soc. 63, 786, 2015).

    Raises
    ------
    BadInput
        Silent, or with energy in less than three octaves.
    """
    peak = float(np.max(np.abs(stimulus), initial=0.0))
    if peak <= 0.0:
        raise BadInput("the stimulus is silent")
    size = int(fft.next_fast_len(2 * len(stimulus), real=True))
    f = fft.rfftfreq(size, 1.0 / fs)[1:]
    energy = np.abs(fft.rfft(stimulus, size))[1:] ** 2 * f
    centres = 10.0 * 2.0 ** np.arange(0.0, np.log2(0.49 * fs / 10.0), 1.0 / 12.0)
    cells = np.searchsorted(f, centres * 2.0 ** (-1.0 / 24.0)), np.searchsorted(f, centres * 2.0 ** (1.0 / 24.0))
    octaves = np.array([np.mean(energy[a : max(b, a + 1)]) for a, b in zip(*cells, strict=True)])
    typical = float(np.median(octaves[(centres > 200.0) & (centres < min(5000.0, 0.4 * fs))]))
    good = np.flatnonzero(octaves >= 10.0 ** (LEAST_DB / 10.0) * typical)
    if len(good) < 36:
        raise BadInput(f"the stimulus has energy in {len(good) / 12:.1f} octaves; at least 3 are needed")
    first, last = float(centres[good[0]]), float(centres[good[-1]])
    rate = typical * (2.0 / (fs * peak)) ** 2
    band = max(2.0 * first, 20.0), min(last / 1.1, 20000.0, 0.45 * fs)
    return Sweep(np.asarray(stimulus / peak), fs, band, (min(first, 0.6 * band[0]), max(last, 1.05 * band[1])), rate)


def deconvolved(
    stimulus: Float,
    fs: int,
    recordings: Sequence[NDArray[np.float32]],
    loopback: int | None,
    after: int,
    *,
    names: Sequence[str] = (),
) -> Deconvolved:
    """Responses ``(recording, mic, tap)`` of recordings ``(channel, samples)`` of one stimulus.

    Parameters
    ----------
    loopback
        Channel that recorded the stimulus electrically, from 0: it gives every recording its own time zero. ``None``
        leaves the times as recorded: player and recorder must have started together every time.
    after
        Samples kept from time zero on.
    names
        Of the recordings, for messages; their numbers where there are none.

    Raises
    ------
    BadInput
        A recording that is clipped, shorter than the stimulus, or holds no response of it.
    """
    sweep = understood(stimulus, fs)
    played = np.asarray(stimulus, dtype=np.float32)
    before = round(BEFORE_S * fs)
    longest = max(x.shape[1] for x in recordings)
    inv = inverse(sweep, played, max(longest, len(played)) + before + after)
    called = names or [f"recording {i + 1}" for i in range(len(recordings))]
    wholes = [_whole(inv, x, loopback, name) for x, name in zip(recordings, called, strict=True)]
    starts = [0] * len(wholes)
    if loopback is None:
        first = min(earliest(w) for w in wholes)
        starts = [first - before] * len(wholes)
    window = edges(before, after)
    h, errors = [], []
    for whole, start in zip(wholes, starts, strict=True):
        turned = np.roll(whole, -start, axis=-1) if start else np.roll(whole, before, axis=-1)
        h.append(turned[:, : before + after] * window)
        errors.append(uncertainty.of_one(turned, before, after, sweep.rate, fs))
    return Deconvolved(np.stack(h), np.stack(errors), before if loopback is not None else None, sweep.band)


def _whole(inv: Inverse, x: NDArray[np.float32], loopback: int | None, where: str) -> Float:
    """Circular responses ``(mic, size)`` of one recording, without the loopback's delay."""
    if x.shape[1] < 0.5 * np.count_nonzero(inv.x) and not np.any(x):
        raise BadInput(f"{where}: silent")
    if np.max(np.abs(x), initial=0.0) >= FULL_SCALE:
        raise BadInput(f"{where}: reaches full scale ({np.max(np.abs(x)):.4f}): clipped; record it at a lower level")
    rows = [i for i in range(len(x)) if i != loopback]
    delay = 0.0
    if loopback is not None:
        if loopback >= len(x):
            raise BadInput(f"{where}: has {len(x)} channels; the loopback is to be channel {loopback + 1}")
        delay, gain = loopback_delay(inv, inv.spectrum(x[loopback]))
        if gain <= 1e-4:
            raise BadInput(f"{where}: channel {loopback + 1} has no loopback of the stimulus")
    whole = np.asarray(circular(inv, inv.within(inv.transfer(inv.recorded(x[rows]))), delay, 0), dtype=float)
    for i, row in enumerate(whole):
        clear = float(np.max(np.abs(row)) / np.sqrt(np.mean(row**2))) if np.any(row) else 0.0
        if clear < CLEAR:
            raise BadInput(
                f"{where}, channel {rows[i] + 1}: no response to the stimulus above the noise "
                f"({clear:.0f} times its rms; at least {CLEAR:g})"
            )
    return whole
