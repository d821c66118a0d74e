"""Distortion of a known polynomial from one sweep, beside measpy's: error of harmonics 2 and 3 over the judged band.

    python tests/bench/distortion.py

The system is ``u + 0.01 u^2 + 0.003 u^3`` computed at four times the sampling rate, so that nothing folds back; its
total distortion at full scale is 0.5045 %. Each program gets its own sweep of 5 s through the same system, 24 judged
frequencies in each octave from 40 Hz up to where the harmonic reaches 18 kHz. Exit code 1 where the 95th percentile
passes 0.01 dB (harmonic 2) or 0.02 dB (harmonic 3) without noise; with noise 60 dB below the sweep the figures are
printed beside those of single bins. measpy is in the ``bench`` extra.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
from scipy import fft

from sweetspot.measure import distortion
from sweetspot.measure.deconvolve import inverse
from sweetspot.measure.sweep import stimulus, synchronised

FS, SECONDS = 48000, 5.0
BEFORE, AFTER = round(0.021 * FS), round(0.170 * FS)
SECOND, THIRD = 0.01, 0.003
LINEAR = 1.0 + 0.75 * THIRD
KNOWN = {2: SECOND / 2 / LINEAR, 3: THIRD / 4 / LINEAR}
WANTED = {2: 0.01, 3: 0.02}
Array = np.ndarray


def through(x: Array) -> Array:
    """The system at four times the sampling rate."""
    size = len(x)
    wide = np.zeros(2 * size + 1, dtype=complex)
    wide[: size // 2 + 1] = fft.rfft(x.astype(float))
    u = 4.0 * fft.irfft(wide, 4 * size)
    return np.asarray(fft.irfft(fft.rfft(u + SECOND * u**2 + THIRD * u**3)[: size // 2 + 1] / 4.0, size))


def noisy(y: Array, samples: int, snr_db: float | None) -> Array:
    """White noise below the sweep's root mean square."""
    if snr_db is None:
        return y
    rms = np.sqrt(np.mean(y[:samples] ** 2))
    return np.asarray(y + rms * 10.0 ** (-snr_db / 20.0) * np.random.default_rng(3).standard_normal(len(y)))


def ours(snr_db: float | None, clear_db: float | None = None) -> tuple[Array, dict[int, Array], Array]:
    """Fundamentals, harmonics re the fundamental, and the total, from sweetspot's own sweep."""
    sweep = synchronised((40.0, 20000.0), SECONDS, FS)
    played = stimulus(sweep, 1.0, FS + len(sweep.x) % 2)
    inv = inverse(sweep, played, len(played))
    heard = noisy(through(played), len(sweep.x), snr_db)
    kept, distortion.CLEAR_DB = distortion.CLEAR_DB, distortion.CLEAR_DB if clear_db is None else clear_db
    made = distortion.of_transfer(inv, sweep, inv.transfer(inv.recorded(heard[None])), 0.0, BEFORE, AFTER)
    distortion.CLEAR_DB = kept
    return made.f, {n: made.harmonics[0, n - 2] for n in KNOWN}, made.thd[0]


def measpys(snr_db: float | None) -> tuple[Array, dict[int, Array], Array]:
    """The same from measpy's own sweep, its own smoothing of 1/24 octave."""
    from measpy import Signal

    sent = Signal.log_sweep(fs=FS, dur=SECONDS, freq_min=20.0, freq_max=22000.0)
    x = np.asarray(sent.values, dtype=float)
    heard = noisy(through(np.concatenate([x, np.zeros(FS + len(x) % 2)])), len(x), snr_db)[: len(x)]
    _, smooth, thd, _ = sent.similar(values=heard).harmonic_disto(nh=5, freq_min=20.0, freq_max=22000.0, delay=0.0)
    f = ours(None)[0]
    level = np.interp(f, smooth[0].freqs, np.abs(smooth[0].values))
    each = {n: np.interp(f, smooth[n - 1].freqs, np.abs(smooth[n - 1].values)) / level for n in KNOWN}
    return f, each, np.interp(f, thd.freqs, np.abs(thd.values)) / 100.0


def main() -> int:
    """Print the table and what it missed."""
    warnings.simplefilter("ignore")
    runs = [("sweetspot, clean", lambda: ours(None)), ("sweetspot, 60 dB", lambda: ours(60.0)),
            ("sweetspot, 60 dB, bins", lambda: ours(60.0, -300.0))]  # fmt: skip
    try:
        import measpy  # noqa: F401

        runs += [("measpy, clean", lambda: measpys(None)), ("measpy, 60 dB", lambda: measpys(60.0))]
    except ImportError:
        print("measpy is not installed: pip install 'sweetspot[bench]'")
    print(f"{'':24}{'H2 p95 dB':>11}{'H2 max dB':>11}{'H3 p95 dB':>11}{'H3 max dB':>11}{'THD, %':>9}")
    missed = []
    for name, run in runs:
        f, each, thd = run()
        row = []
        for n, known in KNOWN.items():
            judged = n * f <= 18000.0
            off = np.abs(20.0 * np.log10(each[n][judged] / known))
            lost = int(np.count_nonzero(~np.isfinite(off)))
            p95 = float(np.percentile(off[np.isfinite(off)], 95)) if lost < len(off) // 2 else float("inf")
            row += [p95, float(np.nanmax(off))]
            if name == "sweetspot, clean" and (p95 > WANTED[n] or lost):
                missed.append(f"H{n}: {p95:.4f} dB, {lost} frequencies lost")
        middle = (f > 100.0) & (f < 5000.0)
        print(f"{name:24}" + "".join(f"{v:11.4f}" for v in row) + f"{100.0 * float(np.nanmedian(thd[middle])):9.4f}")
    print("missed: " + "; ".join(missed) if missed else "every figure reached")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
