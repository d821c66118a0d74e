"""Verification by another recorder: sweeps as files, recordings with and without a loopback, started at any time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import Design
from sweetspot.calibrate.verify import recorded, verification
from sweetspot.measure import folder, plan
from sweetspot.measure.listener import CaptureAnalyser
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.errors import HardwareTrouble, TooLoud
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file import parse
from tests import recorder

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def elsewhere(
    tmp_path_factory: pytest.TempPathFactory, crooked_text: str, lab_rig: Callable[..., Rig]
) -> tuple[Path, Path]:
    """A calibrated run with ears alone, and what a recorder of its own made of its verification's sweeps."""
    place = tmp_path_factory.mktemp("elsewhere")
    rig = parse(crooked_text, folder=place)
    run = folder.new(place / "runs", "R-1", rig, datetime(2026, 3, 4, tzinfo=UTC))
    with Session.resume(run / "session.h5") as session:
        wanted = plan.make(rig, "ears")
        measure(lab_rig(rig, "R-1"), session, wanted, ask=lambda move: None, step=lambda note: None)
    fitted = steps.calibrate(run, Design(), "")
    steps.write_stimuli(run, fitted, place / "sweeps")
    lab = lab_rig(rig, "R-1")
    (place / "with").mkdir()
    (place / "without").mkdir()
    assert recorder.record(lab, place / "sweeps", place / "with", place / "without") == 6
    return run, place


def test_the_sweeps_repeat_byte_for_byte(elsewhere: tuple[Path, Path], tmp_path: Path) -> None:
    """Seconds after those of the recorder, from the run as it was kept."""
    run, place = elsewhere
    steps.write_stimuli(run, steps.fitted_of(run), tmp_path / "again")
    again, first = ({p.name: p.read_bytes() for p in at.iterdir()} for at in (tmp_path / "again", place / "sweeps"))
    assert len(first) > 3
    assert again == first


@pytest.mark.parametrize("kind", ["with", "without"])
def test_recordings_give_the_verdict(
    kind: str, elsewhere: tuple[Path, Path], sweetspot: Command, tmp_path: Path
) -> None:
    run, place = elsewhere
    here = tmp_path / "run"
    shutil.copytree(run, here)
    done = sweetspot("verify", here, "--recorded", place / kind, "--json")
    assert done.returncode in (0, 1), done.stderr
    metrics = {m["name"]: m for m in json.loads(done.stdout)["metrics"]}
    for name in ("cancellation, mean", "cancellation, 10th percentile"):
        assert abs(metrics[name]["heard"] - metrics[name]["predicted"]) < 0.5
    assert metrics["difference from the prediction"]["heard"] < -20.0


def test_missing_and_useless_recordings_are_named(
    elsewhere: tuple[Path, Path], sweetspot: Command, tmp_path: Path
) -> None:
    run, place = elsewhere
    copy = tmp_path / "without"
    shutil.copytree(place / "without", copy)
    gone = next(copy.glob("*_both.wav"))
    gone.rename(tmp_path / "kept.wav")
    done = sweetspot("verify", run, "--recorded", copy)
    assert done.returncode == 2
    assert gone.name in done.stderr
    fs = soundfile.info(tmp_path / "kept.wav").samplerate
    noise = np.random.default_rng(1).uniform(-0.1, 0.1, (60000, 2))
    soundfile.write(gone, noise, fs, subtype="FLOAT")
    done = sweetspot("verify", run, "--recorded", copy)
    assert done.returncode == 2
    assert gone.name in done.stderr or "record it again" in done.stderr
    assert "Traceback" not in done.stderr
    x, _ = soundfile.read(tmp_path / "kept.wav")
    soundfile.write(gone, x[: len(x) // 2], fs, subtype="FLOAT")
    done = sweetspot("verify", run, "--recorded", copy)
    assert done.returncode == 2
    assert f"{gone.name}: ends after " in done.stderr
    assert "before the sweep does" in done.stderr
    x[50, 1] = np.nan
    soundfile.write(gone, x, fs, subtype="FLOAT")
    done = sweetspot("verify", run, "--recorded", copy)
    assert done.returncode == 2
    assert f"{gone.name}: sample 50 of channel 2 is not a number" in done.stderr
    for path in copy.glob("*.wav"):
        x, _ = soundfile.read(place / "without" / path.name)
        soundfile.write(path, 300.0 * x, fs, subtype="FLOAT")
    done = sweetspot("verify", run, "--recorded", copy)
    assert done.returncode == 2
    assert "dB above the limit, or their level is not that of the session" in done.stderr
    assert "starts over" not in done.stderr


def test_recordings_around_the_device_are_analysed_elsewhere_to_the_same(
    elsewhere: tuple[Path, Path], lab_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """Each once, in the order of the plan; a sweep that is softer than planned is a trial, and not analysed."""
    run, _ = elsewhere
    fitted = steps.fitted_of(run)
    with Session.read(run / "session.h5") as session:
        rig = recorded.single(session.rig())
    process = steps.engine_of(fitted.filters)
    around = verification.plan(rig, "polar", fitted.filters, process, share=0.5)
    recorded.write({"polar": around}, tmp_path / "sweeps")
    (tmp_path / "without").mkdir()
    recorder.record(lab_rig(rig, "R-1"), tmp_path / "sweeps", tmp_path, tmp_path / "without")
    stage = recorded.RecordedStage()
    planned = verification.Planned({"polar": around}, 0.5)
    interface = recorded.RecordedInterface(rig, planned, tmp_path, stage, fitted.prediction, fitted.filters)
    assert (interface._elsewhere is not None) == (len(os.sched_getaffinity(0)) > 1)
    listener = CaptureAnalyser.of(rig, around)
    stage.move(around.captures[0].pose)
    assert interface.analysed(interface.capture(np.float32(0.1) * around.signal_of(around.captures[0]))) is None
    for capture in around.captures:
        stage.move(capture.pose)
        recording = interface.capture(around.signal_of(capture))
        found = interface.analysed(recording)
        wanted = listener.analysed(listener.channels(recording), capture.source)
        if interface._elsewhere is not None:
            assert found is not None
            assert (found.reason, found.delay) == (wanted.reason, wanted.delay)
            assert np.array_equal(found.responses[0].h, wanted.responses[0].h)
        assert interface.analysed(replace(recording)) is None
    with pytest.raises(HardwareTrouble, match="cannot be used"):
        interface.capture(around.signal_of(around.captures[-1]))
    interface.close()


def test_a_verification_that_is_too_loud_somewhere_starts_over_quieter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A microphone that no prediction knows is tried softly; then all of the verification is quieter."""
    module = import_module("sweetspot.calibrate.run.verification")
    shares: list[float] = []

    def played(*_: object, share: float, **__: object) -> Path:
        shares.append(share)
        if len(shares) < refused:
            raise TooLoud("left would reach 97.5 dB SPL at m1", over, remedy="Lower by 3 dB")
        return tmp_path

    class Kept:
        def __enter__(self) -> Kept:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(module, "_played", played)
    monkeypatch.setattr(module, "measured_set", lambda *_: SimpleNamespace(ir=None))
    (tmp_path / "session.h5").touch()
    monkeypatch.setattr(module, "_sets_of", lambda *_: ("ears",))
    monkeypatch.setattr(module, "_share", lambda *_: 0.8)
    monkeypatch.setattr(module.Session, "read", lambda *_: Kept())
    rig = SimpleNamespace(description=SimpleNamespace(ears=None), interface=None)
    deployed = SimpleNamespace(filters=None)
    visit = partial(
        module.measure_verification, tmp_path, rig, None, datetime.now(UTC), ask=None, track=None, processor=deployed
    )
    refused, over = 3, 2.5
    assert visit() == tmp_path
    assert shares == pytest.approx([0.8, 0.8 * 10 ** (-3.0 / 20), 0.8 * 10 ** (-6.0 / 20)])
    assert "97.5 dB SPL at m1. The verification starts over, 3.0 dB lower" in capsys.readouterr().err
    refused, shares[:] = 9, []
    with pytest.raises(TooLoud, match=r"at m1\. Lower by 3 dB"):
        visit()
    assert len(shares) == 3
    over = 12.5
    with pytest.raises(TooLoud):
        visit()
    assert len(shares) == 4
