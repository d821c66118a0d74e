"""Deconvolution against pyfar's regularised inversion: error over the judged band and time, on the same recordings.

Run it as ``python tests/bench/deconvolution.py [--repeats 10]``; pyfar is in the ``bench`` extra. Exits with 1 where a
figure is missed: 0.001 dB and -120 dB clean, 0.012 dB at 60 dB, 0.4 of pyfar's time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft, signal

from sweetspot.measure.deconvolve import Inverse, circular, edges, inverse
from sweetspot.measure.sweep import stimulus, synchronised

FS = 48000
SHARE = 0.4
BAND = (40.0, 18000.0)
BEFORE, AFTER = round(0.021 * FS), round(0.170 * FS)
CHANNELS = 8
Array = np.ndarray


@dataclass(frozen=True)
class Case:
    """What was played (samples,), the true responses (channel, tap), what was heard (channel, samples)."""

    sweep: object
    played: Array
    true: Array
    heard: Array


def made(snr_db: float | None, seconds: float = 5.0, tail: float = 1.0, channels: int = CHANNELS) -> Case:
    """Arrivals of their own, a decaying diffuse tail, a loudspeaker's high- and low-pass; white noise on request."""
    rng = np.random.default_rng(20)
    taps = round(0.15 * FS)
    true = np.zeros((channels, taps))
    sos = signal.butter(1, [22.0, 20500.0], "bandpass", fs=FS, output="sos")
    for k in range(channels):
        first = 100 + 37 * k
        true[k, first] = 1.0
        length = taps - first - 200
        true[k, first + 200 :] = 0.004 * rng.standard_normal(length) * np.exp(-np.arange(length) / (0.009 * FS))
    true = np.asarray(signal.sosfilt(sos, true))
    sweep = synchronised((40.0, 20000.0), seconds, FS)
    played = stimulus(sweep, 0.5, round((seconds + tail) * FS) - len(sweep.x))
    size = int(fft.next_fast_len(len(played) + taps))
    heard = fft.irfft(fft.rfft(played.astype(float), size) * fft.rfft(true, size), size)[:, : len(played)]
    if snr_db is not None:
        rms = np.sqrt(np.mean(heard[:, : len(sweep.x)] ** 2, axis=1))
        heard = heard + 10.0 ** (-snr_db / 20.0) * rms[:, None] * rng.standard_normal(heard.shape)
    return Case(sweep, played, true, heard.astype(np.float32))


def ours(case: Case, inv: Inverse) -> Array:
    """Responses ``(channel, tap)`` as a session keeps them."""
    whole = circular(inv, inv.transfer(inv.recorded(case.heard)), 0.0, BEFORE)
    return np.asarray(whole[:, : BEFORE + AFTER] * edges(BEFORE, AFTER))


def error(case: Case, h: Array) -> tuple[float, float, float]:
    """Largest and 99th percentile of the level error (dB) and complex error (dB) over the judged band, unsmoothed."""
    f = fft.rfftfreq(h.shape[1], 1.0 / FS)
    band = (f >= BAND[0]) & (f <= BAND[1])
    got = (fft.rfft(h) * np.exp(2j * np.pi * f * BEFORE / FS))[:, band]
    true = fft.rfft(case.true, h.shape[1])[:, band]
    off = np.abs(20.0 * np.log10(np.abs(got / true)))
    relative = np.linalg.norm(got - true) / np.linalg.norm(true)
    return float(off.max()), float(np.percentile(off, 99)), float(20.0 * np.log10(relative))


def pyfars(case: Case) -> Callable[[], Array]:
    """pyfar's regularised inversion, nothing within the swept band and its default outside; cut like ours."""
    import pyfar as pf

    played, heard = pf.Signal(case.played.astype(float), FS), pf.Signal(case.heard.astype(float), FS)

    def run() -> Array:
        regularised = pf.dsp.RegularizedSpectrumInversion.from_frequency_range(played, (20.0, 22000.0))
        inverted = regularised.invert
        h = (heard * (inverted() if callable(inverted) else inverted)).time
        return np.asarray(np.concatenate([h[:, -BEFORE:], h[:, :AFTER]], axis=1) * edges(BEFORE, AFTER))

    return run


def milliseconds(runs: list[Callable[[], Array]], repeats: int) -> list[float]:
    """Median processor time of each, taken in turns so that the machine's moods hit all of them."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, took in zip(runs, times, strict=True):
            start = time.process_time()
            run()
            took.append(1e3 * (time.process_time() - start))
    return [statistics.median(t) for t in times]


WANTED = {None: (0.001, -120.0), 60.0: (0.012, -70.0)}
"""Largest level error and complex error, dB, by signal-to-noise ratio."""


def main() -> int:
    """Print the table and what it missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    missed, shares = [], []
    print(f"{'':24} {'max dB':>9} {'p99 dB':>9} {'complex dB':>11} {'ms, 8 ch':>9}")
    for snr in (None, 60.0, 40.0):
        case = made(snr)
        inv = inverse(case.sweep, case.played, len(case.played))
        names, runs = ["sweetspot"], [lambda case=case, inv=inv: ours(case, inv)]
        try:
            runs.append(pyfars(case))
            names.append("pyfar, regularised")
        except ImportError:
            print("pyfar is not installed: pip install 'sweetspot[bench]'")
        took = milliseconds(runs, repeats)
        for name, run, ms in zip(names, runs, took, strict=True):
            worst, p99, relative = error(case, run())
            label = f"{name}, {'clean' if snr is None else f'{snr:.0f} dB'}"
            print(f"{label:24} {worst:9.5f} {p99:9.5f} {relative:11.1f} {ms:9.1f}")
            if name == "sweetspot" and snr in WANTED and not (worst <= WANTED[snr][0] and relative <= WANTED[snr][1]):
                missed.append(f"{label}: {worst:.5f} dB, {relative:.1f} dB")
        shares += [took[0] / took[1]] if len(took) == 2 else []
    if shares and statistics.median(shares) > SHARE:
        missed.append(f"time: {statistics.median(shares):.2f} of pyfar's")
    print("share of pyfar's time: " + ", ".join(f"{s:.2f}" for s in shares))
    print("missed: " + "; ".join(missed) if missed else "every figure reached")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
