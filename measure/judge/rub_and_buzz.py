"""Rub and buzz: what a unit sounds at ten times the sweep's frequency and above, at that moment.

A voice coil that rubs, a loose part or a leak makes short sounds once a cycle. Their energy is spread over tens of
harmonics, which hardly add to a total of harmonics 2 to 5 but are heard: nothing masks them (S. Temme, "Are you
shipping defective loudspeakers to your customers?", 1998; IEC 60268-21:2018, impulsive distortion). A high-pass filter
that follows the sweep at ten times its frequency leaves them, and noise; decays lie below it, since the sweep has not
come to their frequencies yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.judge.noise_power import lower_quantile
from sweetspot.measure.sweep import Sweep
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Float, power_db

WINDOW_S = 0.0213
"""Length of a spectrum: within it the frequency of a sweep of 1 s rises by a seventh."""
HOPS = 4
"""Spectra that begin within the length of one."""
BETA = 14.0
"""Of the Kaiser window, whose side lobes are 110 dB down."""
ORDER = 10.0
"""Lowest harmonic that counts."""
OCTAVES = 1.0
"""Least width of what counts at a moment, octaves."""
RANK = 0.4
"""Share of the spectra below whose power the noise of a frequency is read: a unit buzzes for the smaller part."""
FEWEST = 8
"""Spectra for that."""
BREATH = 0.5
"""Of the noise's power, by which real noise changes from one moment to another."""
CHANCE = 5.0
"""Standard deviations of noise that a sound must pass."""

POSITIONS = 3
"""Positions whose captures are read: a noise in one of them does not count."""
MOST_DB = -40.0
"""A unit that buzzes more is faulty."""


@dataclass(frozen=True, slots=True, eq=False)
class RubAndBuzz:
    """Rub and buzz of one source over the sweep.

    Parameters
    ----------
    f
        Frequency of the sweep at each moment, Hz ``(moment,)``.
    level_db
        Power of harmonics 10 and above within 21 ms, without the noise's, re the mean of the sweep, dB ``(moment,)``.
    floor_db
        Below it nothing is told from noise, dB ``(moment,)``.
    """

    f: Float
    level_db: Float
    floor_db: Float

    @property
    def worst(self) -> tuple[float, float] | None:
        """Frequency, Hz, and level, dB, of the loudest moment above the noise; ``None`` where there is none."""
        heard = np.where(self.level_db > self.floor_db, self.level_db, -np.inf)
        at = int(np.argmax(heard))
        return (float(self.f[at]), float(heard[at])) if np.isfinite(heard[at]) else None

    def covers(self, hz: float) -> bool:
        """Whether the sweep passes the octave of a centre, Hz, at these moments."""
        return bool(self._inside(hz).any())

    def in_octave(self, hz: float) -> float | None:
        """Level, dB, of the loudest moment above the noise in the octave of a centre, Hz; ``None`` if there is none."""
        heard = self.level_db[self._inside(hz) & (self.level_db > self.floor_db)]
        return float(heard.max()) if heard.size else None

    def _inside(self, hz: float) -> NDArray[np.bool_]:
        return np.asarray((self.f >= hz / np.sqrt(2.0)) & (self.f < hz * np.sqrt(2.0)))

    @property
    def hidden_db(self) -> float:
        """What noise may hide, dB."""
        return float(np.max(self.floor_db))


def of_recordings(
    recordings: Sequence[tuple[NDArray[np.floating], float]], sweep: Sweep, lowest_hz: float = 0.0
) -> RubAndBuzz | None:
    """Rub and buzz of one source from recordings of it, by the median over these: a noise in one of them is none.

    Parameters
    ----------
    recordings
        Samples ``(mic, samples)``, and when the sweep begins in them, s.
    sweep
        What was played.
    lowest_hz
        Moments before the sweep comes to it are left out.

    Returns
    -------
    ``None`` where the band has no room for harmonics: it ends within an octave of ten times its lowest frequency.
    """
    size = int(2 ** round(np.log2(WINDOW_S * sweep.fs)))
    hop, step = size // HOPS, sweep.fs / size
    window = np.kaiser(size, BETA)
    window /= np.sqrt(np.sum(window**2))
    lobe = np.sqrt(1.0 + (BETA / np.pi) ** 2) * step
    last = sweep.rate * float(np.log(sweep.swept[1] / sweep.swept[0]))
    starts = np.arange(0, int(last * sweep.fs) - size, hop)
    ends = sweep.swept[0] * np.exp((starts + size) / sweep.fs / sweep.rate)
    low = ORDER * ends + lobe
    middle = ends * np.exp(-0.5 * size / sweep.fs / sweep.rate)
    used = (low <= sweep.band[1] / 2.0**OCTAVES) & (middle >= lowest_hz)
    if not used.any():
        return None
    f = np.asarray(fft.rfftfreq(size, 1.0 / sweep.fs))
    above = (f >= low[:, None]) & (f <= sweep.band[1])
    each = [_moments(x[:, max(round(at * sweep.fs), 0) :], starts, window, hop, above) for x, at in recordings]
    level, floor = (np.sort(one, axis=0)[(len(each) - 1) // 2, used] for one in zip(*each, strict=True))
    return RubAndBuzz(middle[used], np.asarray(power_db(np.maximum(level, 1e-30))), np.asarray(power_db(floor)))


def _moments(
    x: NDArray[np.floating], starts: NDArray[np.intp], window: Float, hop: int, above: NDArray[np.bool_]
) -> tuple[Float, Float]:
    """Power above the high-pass filter without noise, and the least that stands for sound, of each moment, re the mean
    of the sweep ``(moment,)``."""
    size, mics = len(window), x.shape[0]
    missing = starts[-1] + size - x.shape[1]
    if missing > 0:
        x = np.pad(x, ((0, 0), (0, missing)))
    spectra = np.lib.stride_tricks.sliding_window_view(x, size, axis=-1)[:, ::hop]
    power = np.mean(np.abs(fft.rfft(spectra * window, axis=-1)) ** 2, axis=0, dtype=float)
    played, after = power[: len(starts)], power[len(starts) + 2 * HOPS :]
    noise = np.full(played.shape[1], np.inf)
    if len(after):
        noise = after[len(after) // 2 :].mean(axis=0)
    count = np.count_nonzero(above, axis=0)
    share = _share(mics)
    for n in np.unique(count[count >= FEWEST]):  # the first moments of a frequency: the sweep rises
        alike = count == n
        rows = np.partition(played[:n, alike], int(RANK * n), axis=0)[int(RANK * n)]
        noise[alike] = np.minimum(noise[alike], rows / share)
    noise = np.where(np.isfinite(noise), noise, played.min(axis=0))
    kept = np.where(above, noise, 0.0)
    wide = float(size * np.sum(window**4))  # neighbouring frequencies of a window's spectrum are alike
    own = kept.sum(axis=1)
    spread = np.sqrt(wide / mics * (kept**2).sum(axis=1))
    mean = float(played.sum(axis=1).mean()) or 1.0
    excess = np.where(above, played - noise, 0.0).sum(axis=1)
    return excess / mean, np.maximum(BREATH * own + CHANCE * spread, 1e-30) / mean


@lru_cache(maxsize=8)
def _share(mics: int) -> float:
    """The quantile of noise at :data:`RANK` re its mean power."""
    return float(lower_quantile(np.array([float(mics)]), RANK)[0])
