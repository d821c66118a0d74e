"""Bursts, hum and clipping are found in reverberation and noise, and clean captures pass: seeded trials."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench" / "disturbances.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The benchmark's world: a room, distortion, noise, and the disturbances."""
    spec = importlib.util.spec_from_file_location("bench_disturbances", BENCH)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("snr", [40.0, 60.0])
def test_clean_captures_pass(bench: ModuleType, snr: float) -> None:
    assert bench.found(12, 2.0, snr, lambda rng, y: y) == 0.0


@pytest.mark.parametrize("kind", ["burst, -30 dB", "burst, -10 dB", "hum, -30 dB", "clipping, 3 samples"])
@pytest.mark.parametrize("snr", [40.0, 60.0])
def test_disturbances_are_found(bench: ModuleType, kind: str, snr: float) -> None:
    assert bench.found(6, 2.0, snr, bench.KINDS[kind]) == 1.0


def test_a_burst_is_found_where_it_was(bench: ModuleType) -> None:
    sweep, played, where, _ = bench.world(2.0)
    rng = np.random.default_rng(3)
    y = bench.clean(rng, sweep, played, 50.0)
    y[24000:27840] += 0.003 * np.sin(2 * np.pi * 9000.0 * np.arange(3840) / 48000) * np.hanning(3840)
    when, f, level = bench.disturbance.burst(y.astype(np.float32), where)
    assert when == pytest.approx(0.54, abs=0.04)
    assert f == pytest.approx(9000.0, abs=100.0)
    assert level > 6.0
