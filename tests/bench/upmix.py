"""The forms of the upmix side by side: what they find and what leaks, what they add in time, and what they cost.

Run it as ``python tests/bench/upmix.py``. The scene is that of ``tests/processor/test_upmix_scene.py``: a voice in the
middle, two hard-panned, ambience; the correlation is taken on real music where it is to be had. Exit code 1 when a
form that promises them misses 6 dB of signal to distortion, -20 dB of leak, a correlation of 0.01 (projection), or a
sum that is exact to -120 dB.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from sweetspot.processor.filterset import UpmixSettings
from sweetspot.processor.upmix import METHODS, chosen

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


def main() -> int:
    """Print one row per method."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    its = scene()
    parts = its.parts()
    x, music = sum(parts.values()), its.DATA / "audio" / "slow_motion_dream_excerpt.flac"
    played = soundfile.read(music, always_2d=True)[0].T if music.is_file() else x
    print(f"{'method':<15} delay ms   SDR dB  leak dB  middle  correlation  sum dB  CPU at block {BLOCK}")
    reached = True
    for method in (m for m in METHODS if m != "off"):
        gains, sdr = its.shares(its.programs(x, method)[2], parts)
        leak = 20 * np.log10(max(abs(gains["left"]), abs(gains["right"])))
        left, right, centre = its.programs(played, method)
        found = its.correlation(centre[FS:], (played[0] - played[1])[FS:])
        error = np.stack([left, right]) + centre - played
        rebuilt = 10 * np.log10(max(np.sum(error**2), 1e-40) / np.sum(played**2))
        delay = 1e3 * chosen(UpmixSettings(method=method), FS).latency / FS
        print(
            f"{method:<15} {delay:8.2f} {sdr:8.1f} {leak:8.1f} {gains['middle']:7.2f} {found:12.4f} {rebuilt:7.0f} "
            f"{100 * cost(method):6.2f} %"
        )
        reached &= rebuilt < -120 and (method != "projection" or found <= 0.01)
        reached &= method not in PROMISED or (sdr >= 6 and leak <= -20)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
