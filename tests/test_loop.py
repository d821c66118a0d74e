"""The whole loop as a user runs it: the figures that it must show, on a unit that no code was tuned for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soundfile

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.plant import NULLS, metrics
from sweetspot.calibrate.plant.prediction import spectra
from sweetspot.measure.session import Session
from sweetspot.measure.smooth import THIRD_OCTAVES
from sweetspot.rigs.rig_file.description import read
from sweetspot.rigs.storage import file_sha256

ROOT = Path(__file__).resolve().parents[1]


def command(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "sweetspot", *map(str, args)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


def demo(folder: Path, *args: str | Path) -> dict[str, Any]:
    done = command("demo", "--json", "--runs", folder / "runs", *args, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run folder that `sweetspot demo` made, and what it printed."""
    outcome = demo(tmp_path_factory.mktemp("demo"), "--unit", "LOOP-7")
    return Path(outcome["run"]), outcome


def test_demo_ends_with_a_verdict_and_a_report(unit: tuple[Path, dict[str, Any]]) -> None:
    run, outcome = unit
    assert outcome["verdict"] == "pass"
    assert outcome["reasons"] == []
    assert {p.name for p in run.iterdir()} == {"rig.toml", "session.h5", "filterset.h5", "verify.h5", "report.html"}
    assert Path(outcome["report"]).stat().st_size > 50_000


def test_cancellation_at_positions_never_seen(unit: tuple[Path, dict[str, Any]]) -> None:
    """Heard through processor and rig: 15 dB on average, 9 dB at the 10th percentile, one driver alone under 3 dB."""
    run, _ = unit
    fitted = steps.fitted_of(run)
    verdict = steps.judge(run, fitted, Limits())
    far = fitted.prediction.far_ear
    heard = metrics.scored(metrics.cancellation_db(metrics.unvirtualized(verdict.heard, far), verdict.f))
    assert heard.mean >= 15.0
    assert heard.p10 >= 9.0
    with Session.read(run / "session.h5") as session:
        ears = session.responses("ears")
    places = {u: {tuple(p) for p in ears.used_for(u).positions[["x", "y", "yaw_deg"]]} for u in ("design", "score")}
    assert not places["design"] & places["score"]
    h, f = spectra(ears.used_for("score"))
    assert metrics.scored(metrics.cancellation_db(metrics.one_driver(h, fitted.reference), f)).mean < 3.0


def test_predicted_and_heard_agree_within_a_decibel(unit: tuple[Path, dict[str, Any]]) -> None:
    """Every position, side and third octave from 200 Hz to 8 kHz, not only their mean."""
    run, _ = unit
    fitted = steps.fitted_of(run)
    verdict = steps.judge(run, fitted, Limits())
    far = fitted.prediction.far_ear
    bare = (metrics.unvirtualized(x, far) for x in (verdict.predicted, verdict.heard))
    predicted, heard = (metrics.cancellation_db(x, verdict.f) for x in bare)
    assert (THIRD_OCTAVES[0], THIRD_OCTAVES[-1]) == (200, 8000)
    assert np.abs(predicted - heard).max() < 1.0


def test_centre_beam(unit: tuple[Path, dict[str, Any]]) -> None:
    """On axis over each of +-90 degrees, heard, in every third octave from 400 Hz to 1.6 kHz: 15 dB."""
    run, _ = unit
    verdict = steps.judge(run, steps.fitted_of(run), Limits())
    inside = (THIRD_OCTAVES >= 400) & (THIRD_OCTAVES <= 1600)
    contrast = metrics.contrast_db(verdict.heard_polar, verdict.azimuths, verdict.f, NULLS, 0.0)
    assert contrast[inside].min() >= 15.0


def test_each_file_names_the_one_before_it(unit: tuple[Path, dict[str, Any]]) -> None:
    run, _ = unit
    rig = read(run / "rig.toml")
    with h5py.File(run / "session.h5") as s, h5py.File(run / "filterset.h5") as f, h5py.File(run / "verify.h5") as v:
        assert s.attrs["rig_sha256"] == rig.sha256
        assert f["taps"].attrs["session_sha256"] == file_sha256(run / "session.h5")
        assert v.attrs["filterset_sha256"] == file_sha256(run / "filterset.h5")


def test_files_are_as_the_contract_says(unit: tuple[Path, dict[str, Any]]) -> None:
    run, _ = unit
    with h5py.File(run / "session.h5") as s:
        for attribute in ("schema", "unit_serial", "rig_sha256", "created_utc", "sweetspot_version", "temperature_c"):
            assert attribute in s.attrs
        for name, shape in (("ears", (19, 2, 4)), ("polar", (72, 1, 4))):
            ir = s[f"{name}/ir"]
            assert ir.shape[:3] == shape
            assert ir.attrs["axes"] == "position mic driver tap"
            assert ir.attrs["unit"] == "Pa/FS"
            assert ir.attrs["fs"] == 48000
            assert ir.attrs["zero"] > 0
            assert s[f"{name}/snr_db"].shape == shape
            assert {"azimuth_deg", "x", "y", "z", "yaw_deg"} <= set(s[f"{name}/positions"].dtype.names)
            assert s[f"{name}/mics"].shape == shape[1:2]
            assert s[f"{name}/drivers"].shape == shape[2:3]
    with h5py.File(run / "filterset.h5") as f:
        assert f["taps"].shape[:2] == (3, 4)
        assert f["taps"].shape[2] <= 1024
        assert {"fs", "programs", "drivers", "delay_samples", "session_sha256"} <= set(f["taps"].attrs)
        assert "upmix" in f
        assert "prediction" in f


def test_calibrating_again_gives_the_same_bytes(unit: tuple[Path, dict[str, Any]]) -> None:
    run, _ = unit
    before = (run / "filterset.h5").read_bytes()
    assert command("calibrate", run, cwd=run).returncode == 0
    assert (run / "filterset.h5").read_bytes() == before


def test_a_unit_that_cannot_reach_its_limits_fails_with_the_reason(
    unit: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """A design with almost no effort ends in FAIL, exit code 1 and the figure that fell short."""
    run, _ = unit
    design = tmp_path / "design.toml"
    design.write_text("[crosstalk]\neffort_db = 0.0\n")
    copy = tmp_path / "run"
    copy.mkdir()
    for name in ("rig.toml", "session.h5"):
        os.link(run / name, copy / name)
    assert command("calibrate", copy, "--design", design, cwd=tmp_path).returncode == 0
    done = command("verify", copy, cwd=tmp_path)
    assert done.returncode == 1
    assert "FAIL: " in done.stdout
    assert "cancellation, mean" in done.stdout.split("FAIL: ")[1]


def test_real_head_and_real_music(data: Path, tmp_path: Path) -> None:
    """A measured dummy head in the lab, then music through its filters: one channel a driver, nothing clipped."""
    rig = tmp_path / "kemar.toml"
    head = data / "hrtf" / "MIT_KEMAR_normal_pinna.sofa"
    text = (ROOT / "rigs" / "desk.toml").read_text()
    rig.write_text(text.replace('head = "sphere"', f'head = "{head}"').replace("step_deg = 5.0", "step_deg = 15.0"))
    rig.write_text(rig.read_text().replace("loudest_db_spl = 95.0", "loudest_db_spl = 110.0"))  # at the ear canals
    outcome = demo(tmp_path, "--rig", rig, "--unit", "KEMAR-1")
    assert outcome["verdict"] == "pass"
    music = data / "audio" / "slow_motion_dream_excerpt.flac"
    assert command("process", outcome["run"], music, "out.wav", cwd=tmp_path).returncode == 0
    y, fs = soundfile.read(tmp_path / "out.wav", always_2d=True)
    assert fs == 48000
    assert y.shape[1] == 4
    assert len(y) >= soundfile.info(music).duration * fs
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= 10 ** (-6.0 / 20)
    assert (np.sqrt(np.mean(y**2, axis=0)) > 1e-3).all()
