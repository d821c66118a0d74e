"""Two clocks in the crooked lab: measured to a fraction of a ppm, removed from the responses, or refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from sweetspot.measure import plan
from sweetspot.measure.judge import clocks
from sweetspot.measure.judge.clocks import ClockDrift
from sweetspot.measure.listener import CaptureAnalyser
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import Description, parse

QUIET = "\nconverter_noise_dbfs = -200.0\nmic_noise_db_spl = -100.0\nlatency_samples = 700\n"
LabRig = Callable[..., Rig]


def rig_of(text: str, place: Path, ppm: float) -> Description:
    return parse(text.replace("seconds = 0.6", "seconds = 1.5") + QUIET + f"clock_ppm = {ppm}\n", folder=place)


def heard(text: str, place: Path, lab_rig: LabRig, ppm: float) -> tuple[np.ndarray, float, str]:
    """Responses ``(mic, tap)`` of the second driver, the drift, and why not to keep them."""
    rig = rig_of(text, place, ppm)
    wanted = plan.make(rig, "ears")
    listener, lab = CaptureAnalyser.of(rig, wanted), lab_rig(rig, "T-9")
    found = listener.analysed(listener.channels(lab.interface.capture(wanted.sources.signals[1])), 1)
    return found.responses[0].h, found.responses[0].clock_ppm, str(found.reason or "")


@pytest.mark.parametrize("ppm", [1.0, -23.0, 140.0])
def test_a_drift_is_found_and_taken_out(ppm: float, crooked_text: str, lab_rig: LabRig, tmp_path: Path) -> None:
    one, none, _ = heard(crooked_text, tmp_path, lab_rig, 0.0)
    h, found, reason = heard(crooked_text, tmp_path, lab_rig, ppm)
    assert none == 0.0
    assert not reason
    assert found == pytest.approx(ppm, abs=max(0.01, 0.001 * abs(ppm)))
    f = np.fft.rfftfreq(h.shape[-1], 1.0 / 47872)
    inside = (f > 70) & (f < 18500)
    off = np.fft.rfft(h - one)[:, inside]
    assert (np.linalg.norm(off, axis=1) < 3e-4 * np.linalg.norm(np.fft.rfft(one)[:, inside], axis=1)).all()


def test_one_clock_is_left_alone(crooked_text: str, lab_rig: LabRig, tmp_path: Path) -> None:
    rig = parse(crooked_text, folder=tmp_path)  # with its noise
    wanted = plan.make(rig, "ears")
    listener, lab = CaptureAnalyser.of(rig, wanted), lab_rig(rig, "T-9")
    for _ in range(4):
        x = listener.channels(lab.interface.capture(wanted.sources.signals[0])).x
        timed = listener.timed(x[-1])
        assert timed.ppm == 0.0
        assert timed.inverse is listener.inverse
        assert abs(timed.drift.ppm) < clocks.SAME_PPM


def test_lost_samples_are_no_drift(crooked_text: str, lab_rig: LabRig, tmp_path: Path) -> None:
    rig = rig_of(crooked_text, tmp_path, 0.0)
    wanted = plan.make(rig, "ears")
    listener, lab = CaptureAnalyser.of(rig, wanted), lab_rig(rig, "T-9")
    recording = listener.channels(lab.interface.capture(wanted.sources.signals[1]))
    x = np.delete(recording.x, slice(40000, 40003), axis=1)
    assert listener.timed(np.concatenate([x[-1], np.zeros(3, dtype=np.float32)])).ppm == 0.0


def test_a_converter_s_filter_is_no_drift(crooked_text: str, lab_rig: LabRig, tmp_path: Path) -> None:
    rig = rig_of(crooked_text, tmp_path, 0.0)
    wanted = plan.make(rig, "ears")
    listener, lab = CaptureAnalyser.of(rig, wanted), lab_rig(rig, "T-9")
    x = listener.channels(lab.interface.capture(wanted.sources.signals[1])).x
    bent = signal.sosfilt(signal.ellip(7, 0.1, 90.0, 21000.0, fs=rig.fs, output="sos"), x[-1]).astype(np.float32)
    assert listener.timed(bent).ppm == 0.0


def test_what_cannot_be_corrected_is_refused() -> None:
    assert ClockDrift(3.0, 0.01, 0.001).refused([3.1, 2.9]) is None
    assert "the sampling rates differ" in str(ClockDrift(1200.0, 0.01, 0.001).refused())
    assert "it drifts" in str(ClockDrift(12.0, 0.01, 0.001).refused([1.0, 1.1]))
    assert not ClockDrift(3.0, 0.9, 0.001).is_there
    assert not ClockDrift(3.0, 0.01, 0.4).is_there


def test_a_session_says_what_it_corrected(
    crooked_text: str, sweetspot: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    text = crooked_text.replace("step_deg = 15.0", "step_deg = 90.0") + "latency_samples = 700\nclock_ppm = 12.5\n"
    (tmp_path / "two.toml").write_text(text)
    done = sweetspot("measure", "polar", tmp_path / "two.toml", "--unit", "C1", "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert "the inputs' clock ran +12.50 ppm off the outputs': corrected in every response" in done.stdout


def test_values_between_samples_are_those_of_the_windowed_sinc() -> None:
    """Against the naive sum, at any part of a sample, on samples and next to them."""
    rng = np.random.default_rng(2)
    x, at = rng.standard_normal(600), np.append(rng.uniform(100.0, 400.0, 40), [200.0, 201.0 - 1e-12, 202.0 + 1e-12])
    t = at[:, None] - np.arange(600)
    inside = np.maximum(1.0 - (t / clocks.HALF) ** 2, 0.0)
    window = np.where(np.abs(t) <= clocks.HALF, np.i0(clocks.BETA * np.sqrt(inside)) / np.i0(clocks.BETA), 0.0)
    assert clocks._read(x, at) == pytest.approx((np.sinc(t) * window) @ x, abs=1e-12)
