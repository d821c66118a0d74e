"""Found and falsely refused captures over many seeded trials of each disturbance, in reverberation, with noise.

Run it as ``python tests/bench/disturbances.py [--trials 500] [--clean 1000]``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy import fft

from measure import disturbance
from measure.sweep import Sweep, stimulus, synchronised

FS = 48000
Array = np.ndarray


def room(rng: np.random.Generator, rt60: float = 0.4) -> Array:
    """A direct sound and a diffuse tail, ``(taps,)``."""
    n = round(1.2 * rt60 * FS)
    h = 0.02 * rng.standard_normal(n) * 10.0 ** (-3.0 * np.arange(n) / (rt60 * FS))
    h[:200] = 0.0
    h[200] = 1.0
    return h


def distorted(played: Array) -> Array:
    """Polynomial distortion at four times the rate, so that nothing folds back, as in a loudspeaker."""
    n = len(played)
    fine = 4.0 * fft.irfft(fft.rfft(played.astype(float) / 0.5), 4 * n)
    fine = fine + 0.02 * fine**2 + 0.012 * fine**3
    return np.asarray(fft.irfft(fft.rfft(fine)[: n // 2 + 1], n) / 4.0)


def clean(rng: np.random.Generator, sweep: Sweep, played: Array, snr_db: float) -> Array:
    """A capture ``(samples,)`` in a room, 1 % and 0.3 % of second and third order distortion, white noise."""
    x = distorted(played)
    h = room(rng)
    size = int(fft.next_fast_len(len(x) + len(h)))
    y = 0.1 * fft.irfft(fft.rfft(x, size) * fft.rfft(h, size), size)[: len(x)]
    rms = np.sqrt(np.mean(y[: len(sweep.x)] ** 2))
    return np.asarray(y + 10.0 ** (-snr_db / 20.0) * rms * rng.standard_normal(len(y)))


def burst(rng: np.random.Generator, y: Array, level_db: float, octaves: float = 12.0) -> Array:
    """80 ms of noise, of this many octaves about a random frequency (white with 12)."""
    n = round(0.08 * FS)
    centre = 2.0 ** rng.uniform(np.log2(200.0), np.log2(8000.0))
    spectrum = fft.rfft(rng.standard_normal(n))
    f = fft.rfftfreq(n, 1.0 / FS)
    spectrum[(f < centre / 2.0 ** (octaves / 2)) | (f > centre * 2.0 ** (octaves / 2))] = 0.0
    b = fft.irfft(spectrum, n) * np.hanning(n)
    at = int(rng.integers(round(0.1 * FS), len(y) - round(0.3 * FS)))
    out = y.copy()
    out[at : at + n] += b / np.sqrt(np.mean(b**2)) * 10.0 ** (level_db / 20.0) * np.sqrt(np.mean(y**2))
    return out


def hum(rng: np.random.Generator, y: Array, level_db: float) -> Array:
    """50 or 60 Hz and three multiples."""
    f = rng.choice([50.0, 60.0])
    t = np.arange(len(y)) / FS
    wave = sum(np.sin(2 * np.pi * k * f * t + rng.uniform(0, 6.28)) / k for k in (1, 2, 3, 5))
    return np.asarray(y + wave / np.sqrt(np.mean(wave**2)) * 10.0 ** (level_db / 20.0) * np.sqrt(np.mean(y**2)))


def clip(rng: np.random.Generator, y: Array) -> Array:
    """A stage before the converter that cuts the three largest samples in a row to one value."""
    out = y.copy()
    top = int(np.argmax(np.abs(out[1:-1]))) + 1
    out[top - 1 : top + 2] = out[top]
    return out


def judged(y: Array, sweep: Sweep, where: disturbance.Map, latency: float) -> str:
    """What is found in a capture: ``burst``, ``clipping``, ``hum`` or nothing."""
    x = y.astype(np.float32)
    if disturbance.stuck(x) is not None:
        return "clipping"
    if disturbance.hum(x, sweep, latency, 0.15):
        return "hum"
    return "burst" if disturbance.burst(x, where) else ""


def world(seconds: float) -> tuple[Sweep, Array, disturbance.Map, float]:
    """Sweep, what was played, where it leaves room, latency."""
    sweep = synchronised((60.0, 20000.0), seconds, FS)
    played = stimulus(sweep, 0.5, round(0.6 * FS))
    latency = 200 / FS
    return sweep, played, disturbance.mapped(sweep, len(played), latency), latency


def found(trials: int, seconds: float, snr_db: float, spoil: Callable[[np.random.Generator, Array], Array]) -> float:
    """Share of spoilt captures in which something is found."""
    sweep, played, where, latency = world(seconds)
    hits = 0
    for trial in range(trials):
        rng = np.random.default_rng([trial, round(snr_db)])
        hits += bool(judged(spoil(rng, clean(rng, sweep, played, snr_db)), sweep, where, latency))
    return hits / trials


KINDS: dict[str, Callable[[np.random.Generator, Array], Array]] = {
    "burst, -30 dB": lambda rng, y: burst(rng, y, -30.0),
    "burst, -20 dB": lambda rng, y: burst(rng, y, -20.0),
    "burst, -10 dB": lambda rng, y: burst(rng, y, -10.0),
    "burst of two octaves, -20 dB": lambda rng, y: burst(rng, y, -20.0, octaves=2.0),
    "hum, -30 dB": lambda rng, y: hum(rng, y, -30.0),
    "clipping, 3 samples": clip,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--clean", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args()
    for snr in (40.0, 60.0):
        print(f"clean, {snr:.0f} dB: refused {100 * found(asked.clean, asked.seconds, snr, lambda rng, y: y):.2f} %")
        for name, spoil in KINDS.items():
            print(f"{name}, {snr:.0f} dB: found {100 * found(asked.trials, asked.seconds, snr, spoil):.1f} %")


if __name__ == "__main__":
    main()
