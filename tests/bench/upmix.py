"""The forms of the upmix side by side: what they find and what leaks, what they add in time, and what they cost.

Run it as ``python tests/bench/upmix.py [--stems DIR] [--run RUN]``. The scene is that of
``tests/processor/test_upmix_scene.py``: a voice in the middle, two hard-panned, ambience; the correlation is taken on
real music where it is at hand. Exit code 1 when a form that promises them misses 6 dB of signal to distortion, -20 dB
of leak (beside a voice 1 dB off the middle too, but for the plain projection), a correlation of 0.01 (projection), or a
sum that is exact to -120 dB. The kurtosis is that of ambience alone in the centre: how much of it is musical noise.

``--stems`` mixes recordings of that folder: speech near the middle, castanets hard left, a spoken word hard right,
ambience 20 dB beneath; voice and leak are gains of the parts in the centre by least squares. ``--run`` prints what the
centre amount changes for the listener of a calibrated unit.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy.signal import resample_poly

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.design import Design
from sweetspot.processor.choices import METHODS
from sweetspot.processor.filterset import UpmixSettings
from sweetspot.processor.upmix import chosen

FS, BLOCK = 48000, 128
PROMISED = {"soft-projection", "projection", "low-latency"}


def scene() -> Any:
    """The test's module."""
    path = Path(__file__).parents[1] / "processor" / "test_upmix_scene.py"
    spec = importlib.util.spec_from_file_location("scene", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cost(method: str) -> float:
    """CPU time of one block in single precision, called from Python, as a share of its duration."""
    up = chosen(UpmixSettings(method=method), FS, np.float32)
    x = np.random.default_rng(0).standard_normal((2, BLOCK)).astype(np.float32)
    begin, count = time.process_time(), 4000
    for _ in range(count):
        up.process(x)
    return (time.process_time() - begin) / count * FS / BLOCK


def kurtosis(centre: Any) -> float:
    """Of powers in frames of 5 ms from 0.8 to 19 kHz, mean over bins; noise has 2, and isolated chirps raise it."""
    frames = centre[: centre.size // 256 * 256].reshape(-1, 256) * np.hanning(256)
    power = np.abs(np.fft.rfft(frames))[:, 4:100] ** 2
    return float(np.mean(np.mean(power**2, axis=0) / np.mean(power, axis=0) ** 2))


STEMS = ("speech_xmas48k.wav", "castanets_dry.wav", "Front_Right.wav")
IMBALANCES_DB, AMOUNTS = (0.0, 0.5, 1.5), (0.0, 0.25, 0.5, 0.75, 1.0)


def stems(folder: Path) -> None:
    """Print what the forms find in a mix of recordings, and what leaks."""
    tracks = []
    for name in STEMS:
        x, rate = soundfile.read(folder / name, always_2d=True)
        tracks.append(resample_poly(x[:, 0], FS, rate))
    samples = min(len(tracks[0]), len(tracks[1]))
    parts = np.zeros((3, samples))
    for part, x, start in zip(parts, tracks, (0, 0, FS // 2), strict=True):
        part[start : start + len(x)] = x[: samples - start]
    parts *= 0.1 / np.sqrt(np.mean(parts**2, axis=1, keepdims=True))
    ambience = 0.01 * np.random.default_rng(0).standard_normal((2, samples))
    print(f"{'method':<15} imbalance dB  amount  voice  leak left, right dB  SDR dB")
    for method in sorted(PROMISED):
        for off_db in IMBALANCES_DB:
            tilt = 10.0 ** (off_db / 40.0)
            x = np.stack([tilt * parts[0] + parts[1], parts[0] / tilt + parts[2]]) + ambience
            for amount in (1.0, 0.7) if off_db == 0.5 else (1.0,):
                up = chosen(UpmixSettings(method=method, amount=amount), FS)
                padded = np.concatenate([x, np.zeros((2, up.latency))], axis=1)
                centre = up.process(padded)[2, up.latency :]
                gains = np.linalg.lstsq(parts.T, centre, rcond=None)[0]
                rest = centre - gains[0] * parts[0]
                sdr = 10.0 * np.log10(np.sum((centre - rest) ** 2) / np.sum(rest**2))
                left, right = 20.0 * np.log10(np.abs(gains[1:]))
                print(f"{method:<15} {off_db:12.2f} {amount:7.2f} {gains[0]:6.2f} {left:10.1f} {right:7.1f} {sdr:9.1f}")


def amounts(run: Path) -> None:
    """Print what the centre amount changes for a listener."""
    made = steps.fitted(run, Design())
    print("amount  width  centre off the pair's, rms  tone dB  DRR centre dB  music, speech re plain dB")
    for amount in AMOUNTS:
        filters = replace(made.filters, upmix=replace(made.filters.upmix, amount=amount))
        found = auditory.predicted(run, filters, made.ears)
        own, pair, loud = found.arms["calibrated"], found.arms["reference"], found.loudness.re_plain_db["calibrated"]
        off = np.degrees(np.sqrt(np.mean((own.azimuth - pair.azimuth)[:, 2] ** 2)))
        print(
            f"{amount:6.2f} {own.width_deg:6.1f} {off:27.1f} {own.tone_rms_db:8.2f} {own.drr_db.mean(axis=0)[2]:14.1f} "
            f"{loud['music']:10.2f} {loud['speech']:6.2f}"
        )


def main() -> int:
    """Print one row per method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stems", type=Path)
    parser.add_argument("--run", type=Path)
    args = parser.parse_args()
    if args.stems:
        stems(args.stems)
    if args.run:
        amounts(args.run)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    its = scene()
    parts = its.parts()
    x, music = sum(parts.values()), its.DATA / "audio" / "slow_motion_dream_excerpt.flac"
    played = soundfile.read(music, always_2d=True)[0].T if music.is_file() else x
    leaning = x + (np.array([[10.0**0.025], [10.0**-0.025]]) - 1.0) * parts["middle"]
    print(
        f"{'method':<15} delay ms   SDR dB  leak dB  1 dB off  kurtosis  middle  correlation  sum dB  "
        f"CPU at block {BLOCK}"
    )
    reached = True
    for method in (m for m in METHODS if m != "off"):
        gains, sdr = its.shares(its.programs(x, method)[2], parts)
        leak = 20 * np.log10(max(abs(gains["left"]), abs(gains["right"])))
        off = its.shares(its.programs(leaning, method)[2], parts)[0]
        leak_off = 20 * np.log10(max(abs(off["left"]), abs(off["right"])))
        musical = kurtosis(its.programs(parts["ambience"], method)[2])
        left, right, centre = its.programs(played, method)
        found = its.correlation(centre[FS:], (played[0] - played[1])[FS:])
        error = np.stack([left, right]) + centre - played
        rebuilt = 10 * np.log10(max(np.sum(error**2), 1e-40) / np.sum(played**2))
        delay = 1e3 * chosen(UpmixSettings(method=method), FS).latency / FS
        print(
            f"{method:<15} {delay:8.2f} {sdr:8.1f} {leak:8.1f} {leak_off:9.1f} {musical:9.1f} {gains['middle']:7.2f} "
            f"{found:12.4f} {rebuilt:7.0f} {100 * cost(method):6.2f} %"
        )
        reached &= rebuilt < -120 and (method != "projection" or found <= 0.01)
        reached &= method not in PROMISED or (sdr >= 6 and leak <= -20)
        reached &= not method.startswith(("soft", "low")) or leak_off <= -20
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
