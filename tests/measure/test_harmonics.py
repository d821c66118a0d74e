"""Distortion from a sweep: against polynomials, against the tones of a crooked lab, and where it cannot be measured."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from scipy import fft, signal

from sweetspot.measure import distortion, plan
from sweetspot.measure.deconvolve import inverse, loopback_delay
from sweetspot.measure.distortion import ORDERS, Distortion
from sweetspot.measure.listener import CaptureAnalyser
from sweetspot.measure.share import plots, shown
from sweetspot.measure.sweep import Sweep, stimulus, synchronised
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import parse

FS = 47872
BEFORE, AFTER = round(0.02 * FS), round(0.1 * FS)
Array = np.ndarray


def through(x: Array, coefficients: dict[int, float]) -> Array:
    """A polynomial of four times as many samples, so that nothing folds back."""
    size = len(x)
    wide = np.zeros(2 * size + 1, dtype=complex)
    wide[: size // 2 + 1] = fft.rfft(x.astype(float))
    u = 4.0 * fft.irfft(wide, 4 * size)
    y = u + sum(a * u**n for n, a in coefficients.items())
    return np.asarray(fft.irfft(fft.rfft(y)[: size // 2 + 1] / 4.0, size))


def found_in(sweep: Sweep, heard: Array, played: Array) -> Distortion:
    inv = inverse(sweep, played, len(played))
    transfer = inv.transfer(inv.recorded(np.atleast_2d(heard)))
    delay, _ = loopback_delay(inv, inv.spectrum(played))
    return distortion.of_transfer(inv, sweep, transfer, delay, BEFORE, AFTER)


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    return synchronised((50.0, 18000.0), 4.0, FS)


def test_a_known_polynomial_is_found(sweep: Sweep) -> None:
    played = stimulus(sweep, 0.8, FS - FS % 2 - len(sweep.x) % 2)
    a, b, c = 0.01, 0.003, 0.004
    found = found_in(sweep, through(played, {2: a, 3: b, 4: c}), played)
    level = 1.0 + 0.75 * b * 0.8**2
    known = {2: 0.8 * a / 2 + 0.8**3 * c / 2, 3: 0.8**2 * b / 4, 4: 0.8**3 * c / 8}
    for i, n in enumerate(ORDERS[:3]):
        there = (n * found.f < 17000) & (found.f > 60)
        off = 20.0 * np.log10(found.harmonics[0, i, there] / (known[n] / level))
        assert np.percentile(np.abs(off), 95) < (0.01, 0.02, 0.1)[i]
    assert np.nanmax(found.harmonics[0, 3, found.f > 100], initial=0.0) < 1e-6
    total = np.sqrt(sum(k**2 for k in known.values())) / level
    middle = (found.f > 200) & (found.f < 3000)
    assert found.thd[0, middle] == pytest.approx(total, rel=1e-3)


def test_each_microphone_has_its_own_paths(sweep: Sweep) -> None:
    """The harmonic at ``F`` is coloured by the path at ``F``, the fundamental by the path at ``F / n``."""
    played = stimulus(sweep, 0.8, FS - FS % 2 - len(sweep.x) % 2)
    distorted = through(played, {2: 0.02})
    filters = [signal.butter(1, f, "low", fs=FS) for f in (1500.0, 4000.0)]
    found = found_in(sweep, np.stack([signal.lfilter(*f, distorted) for f in filters]), played)
    for mic, (b, a) in enumerate(filters):
        at = (found.f > 100) & (found.f < 8000)
        over = np.abs(signal.freqz(b, a, 2 * found.f[at], fs=FS)[1] / signal.freqz(b, a, found.f[at], fs=FS)[1])
        assert found.harmonics[mic, 0, at] == pytest.approx(0.8 * 0.01 * over, rel=5e-3)


def test_noise_is_distinguished_from_distortion(sweep: Sweep) -> None:
    played = stimulus(sweep, 0.8, FS - FS % 2 - len(sweep.x) % 2)
    rng = np.random.default_rng(4)
    heard = through(played, {2: 0.01}) + 3e-4 * rng.standard_normal(len(played))
    found = found_in(sweep, heard, played)
    second, third = found.harmonics[0, 0], found.harmonics[0, 1]
    there = (2 * found.f < 17000) & (found.f > 60)
    off = 20.0 * np.log10(second[there] / (0.8 * 0.005))
    assert np.percentile(np.abs(off), 95) < 0.5
    assert found.smoothed[0, 0, there].mean() > 0.5
    assert np.isfinite(third).mean() < 0.05
    assert np.nanmedian(found.floor[0, 1]) < np.nanmedian(second) < 1e3 * np.nanmedian(found.floor[0, 1])
    assert [row["hz"] for row in found.in_octaves(0, 400.0)] == [500.0, 1000.0, 2000.0, 4000.0, 8000.0]


def test_octaves_that_are_hardly_played_are_left_out(sweep: Sweep) -> None:
    """Noise over a fundamental that was not played is no distortion."""
    played = stimulus(sweep, 0.8, FS - FS % 2 - len(sweep.x) % 2)
    steep = signal.butter(10, 500.0, "high", fs=FS, output="sos")
    noise = 1e-4 * np.random.default_rng(5).standard_normal(len(played))
    found = found_in(sweep, signal.sosfilt(steep, through(played, {2: 0.01})) + noise, played)
    rows = found.in_octaves(0)
    assert [row["hz"] for row in rows] == [500.0, 1000.0, 2000.0, 4000.0, 8000.0]
    assert max(row["floor"] for row in rows) < 0.5
    ax = Figure().subplots()
    plots.distortion(ax, found, 0, 0.0)
    lines = [x[np.isfinite(y)] for x, y in (np.asarray(line.get_data(), float) for line in ax.lines)]
    assert min(x.min() for x in lines if len(x)) > 300.0


def test_a_tweeter_is_read_in_its_band_alone(sweep: Sweep) -> None:
    """Of a tweeter that plays less than half of the octaves, the median was that of the noise: 200 % at 1 kHz."""
    played = stimulus(sweep, 0.8, FS - FS % 2 - len(sweep.x) % 2)
    steep = signal.butter(10, 3000.0, "high", fs=FS, output="sos")
    noise = 1e-4 * np.random.default_rng(5).standard_normal(len(played))
    tweeter = found_in(sweep, signal.sosfilt(steep, through(played, {2: 0.01})) + noise, played)
    woofer = found_in(sweep, through(played, {2: 0.01}) + noise, played)
    rows = tweeter.in_octaves(0, 3000.0)
    assert [row["hz"] for row in rows] == [4000.0, 8000.0]
    assert max(row["floor"] for row in rows) < 0.5
    seen: Any = SimpleNamespace(
        ears=SimpleNamespace(drivers=("w", "tweeter_with_a_long_name")),
        played=((50.0, 2e4), (3000.0, 2e4)),
        rubs=(),
    )
    data, text = shown.distortion_table(seen, [woofer, tweeter])
    assert [(row["driver"], row["hz"]) for row in data][-3:] == [
        ("w", 8000.0),
        *(("tweeter_with_a_long_name", hz) for hz in (4000.0, 8000.0)),
    ]
    head, _, last = (line.removesuffix(" Hz") for line in text.split("\n"))
    assert head.split()[5:] == ["125", "250", "500", "1000", "2000", "4000", "8000"]
    assert len(head) == len(last)
    assert last.split()[5:10] == 5 * ["-"]
    assert re.fullmatch(r"(< )?[0-9.]+", last[-9:].strip())


def test_the_lab_s_tones_say_the_same(crooked_text: str, lab_rig: Callable[..., Rig], tmp_path: Path) -> None:
    table = "\n[lab.distortion]\nh2_percent = 2.0\nh3_percent = 0.7\nat_dbfs = -10.0\n"
    text = crooked_text.replace("seconds = 0.6", "seconds = 3.0").replace("after_ms = 60.0", "after_ms = 90.0")
    rig = parse(text + table, folder=tmp_path)
    wanted = plan.make(rig, "polar")
    listener, lab = CaptureAnalyser.of(rig, wanted), lab_rig(rig, "T-9")
    x = listener.channels(lab.interface.capture(wanted.sources.signals[1])).x
    timed = listener.timed(x[-1])
    transfer = listener.transfer(x, 1, timed)
    found = distortion.of_transfer(listener.inverse, wanted.sweep, transfer, timed.delay, wanted.before, wanted.after)
    size = 1 << 15
    for hz in (600.0, 2500.0):
        k = round(hz * size / rig.fs)
        tone = np.tile(np.sin(2.0 * np.pi * k * np.arange(size) / size), 3) * float(np.max(np.abs(wanted.played)))
        tone = tone.astype(np.float32)
        y = plan.outputs_for(rig, [rig.driver[1].channel], tone[None], tone)
        heard = listener.channels(lab.interface.capture(y)).x[0, size : 2 * size]
        lines = np.abs(fft.rfft(heard.astype(float)))
        for i, n in enumerate((2, 3)):
            swept = np.interp(k * rig.fs / size, found.f, found.harmonics[0, i])
            assert 20.0 * np.log10(swept / (lines[n * k] / lines[k])) == pytest.approx(0.0, abs=0.2)


def test_a_session_s_distortion_is_drawn_and_reported(
    measured: Path, sweetspot: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = sweetspot("measure", "show", measured, "--only", "distortion", "--out", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    message = json.loads(done.stdout)["distortion"]
    assert imread(tmp_path / "distortion.png").shape[1] > 900
    assert {row["driver"] for row in message} == {"woofer", "left", "right"}
    assert {row["hz"] for row in message} >= {250.0, 1000.0, 4000.0}
    assert all(row["floor"] > 0.0 for row in message)
    assert all(row["thd"] is None for row in message if row["hz"] == 1000.0)  # this lab does not distort
    assert {row["rub_and_buzz_db"] for row in message} == {None}, "nor does anything rub"
    assert "< noise" in sweetspot("measure", "show", measured, "--only", "distortion", "--out", tmp_path).stdout
