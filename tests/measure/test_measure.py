"""Sweep, inverse, judgement and session, against the lab's true responses and hand calculations."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import cast

import h5py
import numpy as np
import pytest

from sweetspot.measure import folder, microphone, plan
from sweetspot.measure.deconvolve import inverse, loopback_delay
from sweetspot.measure.impulse import snr_db
from sweetspot.measure.judge import quality
from sweetspot.measure.run import measure, place
from sweetspot.measure.session import Session
from sweetspot.measure.shot import Reason, Shot
from sweetspot.measure.sweep import stimulus, synchronised
from sweetspot.rigs.errors import BadInput, HardwareTrouble, Held
from sweetspot.rigs.lab.interface import LabInterface
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protocol import Recording, Rig
from sweetspot.rigs.rig_file.description import Description, parse
from sweetspot.rigs.units import db

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
MakeRig = Callable[..., Rig]


def no_one(move: str) -> None:
    raise AssertionError(f"nobody should be asked: {move}")


def run_of(tmp_path: Path, rig: Description, make: MakeRig, *names: str, serial: str = "T-1") -> Path:
    run = folder.new(tmp_path / "runs", serial, rig, NOON)
    with Session.resume(run / "session.h5") as session:
        for name in names:
            measure(make(rig, serial), session, plan.make(rig, name), ask=no_one, step=lambda note: None)
    return run


def test_sweep_is_synchronised_and_keeps_its_band() -> None:
    sweep = synchronised((60.0, 19000.0), 0.6, 47872)
    cycles = sweep.rate * sweep.swept[0]
    assert cycles == pytest.approx(round(cycles))
    assert len(sweep.x) / 47872 == pytest.approx(
        0.6, abs=0.5 * np.log(sweep.swept[1] / sweep.swept[0]) / sweep.swept[0]
    )
    f = np.fft.rfftfreq(len(sweep.x), 1 / 47872)
    energy = np.abs(np.fft.rfft(sweep.x)) ** 2 * np.maximum(f, 1)
    inside = (f > 70) & (f < 18500)
    assert energy[(f < 20) | (f > 21800)].max() < 1e-3 * np.median(energy[inside])
    assert np.abs(sweep.x).max() <= 1.0


def test_sweep_that_cannot_be_is_refused() -> None:
    with pytest.raises(BadInput, match="too short"):
        synchronised((20.0, 20000.0), 0.1, 48000)
    with pytest.raises(BadInput, match="band_hz"):
        synchronised((20.0, 23900.0), 1.0, 48000)


def test_deconvolution_of_a_known_filter_without_noise() -> None:
    """-110 dB complex error over the judged band: a delay of 300.25 samples and one echo."""
    fs = 48000
    sweep = synchronised((50.0, 18000.0), 1.0, fs)
    played = stimulus(sweep, 0.5, 9000)
    inv = inverse(sweep, played, len(played))
    truth = np.exp(-2j * np.pi * inv.f * 300.25 / fs) * (1.0 + 0.3 * np.exp(-2j * np.pi * inv.f * 0.004))
    x = np.fft.irfft(np.fft.rfft(played, inv.size) * truth, inv.size)[: len(played)]
    got = inv.spectrum(x)
    band = (inv.f >= 50) & (inv.f <= 18000)
    error = np.linalg.norm((got - truth)[band]) / np.linalg.norm(truth[band])
    assert db(error) < -95.0
    outside = (inv.f < sweep.swept[0] * 0.98) | (inv.f > sweep.swept[1] * 1.02)
    assert np.abs(got[outside]).max() == 0.0


def test_loopback_delay_to_a_thousandth_of_a_sample() -> None:
    fs = 44100
    sweep = synchronised((100.0, 15000.0), 0.5, fs)
    played = stimulus(sweep, 0.4, 4000)
    inv = inverse(sweep, played, len(played))
    for wanted in (0.0, 12.5, 431.37):
        loop = 0.8 * np.exp(-2j * np.pi * inv.f * wanted / fs)
        x = np.fft.irfft(np.fft.rfft(played, inv.size) * loop, inv.size)[: len(played)]
        delay, gain = loopback_delay(inv, inv.spectrum(x))
        assert delay * fs == pytest.approx(wanted, abs=1e-3)
        assert gain == pytest.approx(0.8, rel=1e-3)


def test_measured_equals_true_to_60_db(crooked: Description, lab_rig: MakeRig, tmp_path: Path) -> None:
    """The figure of the lab in process: complex error over 100 Hz to 17 kHz, every path of both sets."""
    run = run_of(tmp_path, crooked, lab_rig, "ears", "polar")
    world = World(crooked, "T-1")
    f = world.f
    band = (f >= 100) & (f <= 17000)
    with Session.read(run / "session.h5") as session:
        for name in ("ears", "polar"):
            ir = session.responses(name)
            assert ir.unit == "Pa/FS"
            assert ir.drivers == crooked.driver_names
            assert ir.h.shape[:3] == ((5, 2, 3) if name == "ears" else (24, 1, 3))
            basis = np.exp(-2j * np.pi * np.outer(np.arange(ir.h.shape[3]) - ir.zero, f[band]) / ir.fs)
            for capture in plan.make(crooked, name).captures[::3]:
                true = world.at_ears(capture.pose) if name == "ears" else world.at_microphone(capture.pose.turn)[None]
                got = ir.h[capture.position] @ basis
                error = np.linalg.norm(got - true[..., band], axis=-1) / np.linalg.norm(true[..., band], axis=-1)
                assert db(error).max() < -60.0


def test_positions_say_where_things_were(crooked: Description, lab_rig: MakeRig, tmp_path: Path) -> None:
    run = run_of(tmp_path, crooked, lab_rig, "ears")
    with Session.read(run / "session.h5") as session:
        p = session.responses("ears").positions
    assert p["x"].tolist() == pytest.approx([1.4, 1.43, 1.38, 1.41, 1.37])
    assert p["yaw_deg"].tolist() == [1, -5, 7, -3, 4]
    assert p["use"].tolist() == [b"design"] * 3 + [b"score"] * 2
    assert (run / "rig.toml").read_text() == crooked.text


def test_polar_direction_is_the_one_the_device_radiates_to(
    crooked: Description, lab_rig: MakeRig, tmp_path: Path
) -> None:
    """`left` stands at azimuth 83: it is loudest to its left, and its sound comes first there."""
    run = run_of(tmp_path, crooked, lab_rig, "polar")
    with Session.read(run / "session.h5") as session:
        ir = session.responses("polar")
    energy = (ir.h[:, 0, 1] ** 2).sum(axis=-1)
    assert abs(ir.positions["azimuth_deg"][np.argmax(energy)] - 83) < 40
    first = [np.argmax(np.abs(h) > 0.1 * np.abs(h).max()) for h in ir.h[:, 0, 1]]
    assert abs(ir.positions["azimuth_deg"][int(np.argmin(first))] - 83) <= 30


class Faulty:
    """A lab interface that spoils chosen captures."""

    def __init__(self, inner: LabInterface, spoil: Callable[[int, np.ndarray], np.ndarray]) -> None:
        self.inner, self.spoil, self.count = inner, spoil, 0
        self.fs, self.outputs, self.inputs = inner.fs, inner.outputs, inner.inputs

    def capture(self, y: np.ndarray) -> Recording:
        if not y[5].any():
            return self.inner.capture(y)
        self.count += 1
        r = self.inner.capture(y)
        return Recording(self.spoil(self.count, np.array(r.x)), r.fs, 0, r.started)

    def close(self) -> None:
        pass


def dropped(x: np.ndarray, at: int, n: int = 1) -> np.ndarray:
    return np.concatenate([x[:, :at], x[:, at + n :], np.zeros((len(x), n), np.float32)], axis=1)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda n, x: dropped(x, 15000) if n == 2 else x, "samples lost or disturbed"),
        (lambda n, x: dropped(x, 4000, 64) if n == 2 else x, "samples lost or disturbed"),
        (lambda n, x: np.where(np.arange(x.shape[1]) == 9000, 1.0, x) if n == 2 else x, "clipped: 1 samples"),
        (lambda n, x: x * (np.arange(4) != 1)[:, None] if n == 2 else x, "the loopback is silent"),
        (lambda n, x: x * (np.arange(4) != 3)[:, None] if n == 2 else x, "no signal at ear_left"),
    ],
)
def test_a_bad_capture_is_repeated_and_kept_with_its_reason(
    crooked: Description,
    lab_rig: MakeRig,
    tmp_path: Path,
    spoil: Callable[[int, np.ndarray], np.ndarray],
    reason: str,
) -> None:
    good = lab_rig(crooked)
    rig = Rig(crooked, Faulty(good.interface, spoil), good.stage)  # type: ignore[arg-type]
    run = folder.new(tmp_path / "runs", "T-1", crooked, NOON)
    with Session.resume(run / "session.h5") as session:
        bad = measure(rig, session, plan.make(crooked, "ears"), ask=no_one, step=lambda note: None)
        assert len(bad) == 1
        assert reason in bad[0][1]
        assert np.isfinite(session.responses("ears").h).all()


def test_captures_that_stay_bad_hold_the_session(crooked: Description, lab_rig: MakeRig, tmp_path: Path) -> None:
    good = lab_rig(crooked)
    rig = Rig(crooked, Faulty(good.interface, lambda n, x: dropped(x, 9000) if n > 4 else x), good.stage)  # type: ignore[arg-type]
    run = folder.new(tmp_path / "runs", "T-1", crooked, NOON)
    wanted = plan.make(crooked, "ears")
    with (
        Session.resume(run / "session.h5") as session,
        pytest.raises(Held, match=r"driver 'left': 4 captures were rejected.*measure resume"),
    ):
        measure(rig, session, wanted, ask=no_one, step=lambda note: None)
    with Session.resume(run / "session.h5") as session:
        assert len(session.landed("ears")) == 4
        with pytest.raises(BadInput, match="11 of 15 responses of the ears set are missing"):
            session.responses("ears")
        to_come = list[list[Pose]]()
        prepared = replace(good, expect=lambda poses: to_come.append(list(poses)))
        measure(prepared, session, wanted, ask=no_one, step=lambda note: None)
        assert session.responses("ears").h.shape[0] == 5
    left = [c.pose for c in wanted.captures[4:]]
    assert wanted.closing is not None
    assert to_come == [[*left, wanted.closing.pose]], "what is left, and the return"


def test_a_lost_sample_is_seen_wherever_it_falls() -> None:
    fs = 48000
    sweep = synchronised((40.0, 20000.0), 1.0, fs)
    played = stimulus(sweep, 0.5, 5000)
    inv = inverse(sweep, played, len(played))
    rng = np.random.default_rng(1)
    clean = np.roll(played, 400) + 1e-5 * rng.standard_normal(len(played)).astype(np.float32)

    def judged(x: np.ndarray) -> Reason | None:
        loop = inv.spectrum(x)
        return quality.loopback(inv, x.astype(np.float32), loop, *loopback_delay(inv, loop))

    assert judged(clean) is None
    for at in range(8000, 47000, 1500):
        assert judged(dropped(clean[None], at)[0]), f"sample {at}"


def test_snr_of_a_known_mixture() -> None:
    """White noise of standard deviation 1 mPa beside an impulse of 5 Pa; a tone outside the band changes nothing."""
    rng = np.random.default_rng(2)
    h = 1e-3 * rng.standard_normal((3, 8000))
    h[0, 1200] = h[2, 1200] = 5.0
    h[2] += 30.0 * np.sin(2 * np.pi * 21000 / 48000 * np.arange(8000))
    stderr = np.full((3, 4001), 1e-3 * np.sqrt(8000))
    found = snr_db(h, stderr, 48000, (100.0, 20000.0))
    assert found[0] == pytest.approx(10 * np.log10(25.0 / (8000 * 1e-6)), abs=0.5)
    assert found[1] < 3.0
    assert found[2] == pytest.approx(found[0], abs=0.5)


def test_the_ceiling_is_checked_when_planned(crooked_text: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="level_dbfs"):
        parse(crooked_text.replace("level_dbfs = -6.0", "level_dbfs = -1.0"), tmp_path)


def test_correction_file_is_applied(crooked_text: str, tmp_path: Path, lab_rig: MakeRig) -> None:
    (tmp_path / "boom.txt").write_text('"Sens Factor = -1.0dB, SERNO: 1"\n20\t6.0206\n20000\t6.0206\n')
    with_file = parse(
        crooked_text.replace("sensitivity_mv_per_pa = 20.0", 'sensitivity_mv_per_pa = 20.0\ncalibration = "boom.txt"'),
        tmp_path,
    )
    plain = parse(crooked_text, tmp_path)
    h = []
    for i, rig in enumerate((plain, with_file)):
        run = run_of(tmp_path / str(i), rig, lab_rig, "polar")
        with Session.read(run / "session.h5") as session:
            h.append(session.responses("polar").h[3])
    assert h[1] == pytest.approx(0.5 * h[0], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ('"Sens Factor =-0.667dB, SERNO: 1"\n10.054\t-4.5\n20000.0\t1.25\n', (10.054, -4.5), (20000.0, 1.25)),
        ("* comment\n20,5;-1,25\n1000,0;0,5\n", (20.5, -1.25), (1000.0, 0.5)),
        ("# f dB phase\n20 1.5 -30\n40 2 -20\n", (20.0, 1.5), (40.0, 2.0)),
        ("20,1.5\n40,2\n", (20.0, 1.5), (40.0, 2.0)),
    ],
)
def test_correction_files_as_makers_write_them(text: str, first: tuple, last: tuple) -> None:
    points = microphone.read(text, "x").points
    assert tuple(points[0]) == first
    assert tuple(points[-1]) == last


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds 0 points"),
        ("20 1\n", "holds 1 points"),
        ("20 1\n10 2\n", "line 2: 10 Hz does not rise"),
        ("20 1\n30 - 4\n", "line 2"),
        ("20 1\n-30 4\n", "line 2"),
        ("20 1\n30 nan\n", "line 2"),
    ],
)
def test_malformed_correction_files_are_refused(text: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        microphone.read(text, "x")


def test_real_correction_files(data: Path) -> None:
    umik = microphone.read((data / "mic_cal" / "miniDSP_UMIK-1_SN7047870_90deg.txt").read_text(), "umik").points
    assert len(umik) > 500
    assert (np.diff(umik[:, 0]) > 0).all()
    ecm = microphone.read((data / "mic_cal" / "DRC_ecm8000.txt").read_text(), "ecm").points
    assert len(ecm) > 100


def test_full_disk_before_the_set_and_before_a_capture(
    crooked: Description, lab_rig: MakeRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = folder.new(tmp_path / "runs", "T-1", crooked, NOON)
    wanted = plan.make(crooked, "ears")
    free = iter([10**12, 10**12, 10**12, 1000])
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": next(free)}))
    with (
        Session.resume(run / "session.h5") as session,
        pytest.raises(HardwareTrouble, match=r"the disk is full: 0\.0 MB free"),
    ):
        measure(lab_rig(crooked), session, wanted, ask=no_one, step=lambda note: None)
    monkeypatch.undo()
    with Session.resume(run / "session.h5") as session:
        assert len(session.landed("ears")) == 2


def test_a_session_killed_at_any_moment_can_be_finished(crooked: Description, lab_rig: MakeRig, tmp_path: Path) -> None:
    """SIGKILL at six seeded random moments, then once not; the result equals an uninterrupted one."""
    whole = run_of(tmp_path / "whole", crooked, lab_rig, "ears")
    run = folder.new(tmp_path / "runs", "T-1", crooked, NOON)
    root = Path(__file__).resolve().parents[2]
    words = ["-m", "sweetspot", "measure", "resume", str(run)]
    rng = np.random.default_rng(7)
    kills, landed = 0, 0
    session_file = run / "session.h5"
    for _ in range(7):
        process = subprocess.Popen(
            [sys.executable, *words], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = session_file.stat().st_size
        while session_file.stat().st_size == before and process.poll() is None:
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0.0, 0.25)))
        if kills == 6:
            process.wait()
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        with Session.read(session_file) as session:
            now = len(session.landed("ears")) if session.sets else 0
        assert now >= landed, "a capture that had landed was lost"
        landed = now
    assert process.returncode == 0
    assert kills >= 3
    with Session.read(session_file) as one, Session.read(whole / "session.h5") as other:
        assert np.array_equal(one.responses("ears").h, other.responses("ears").h)


@pytest.mark.parametrize(
    ("axes", "pose", "asked"),
    [
        (("turn", "yaw"), Pose(yaw=-0.17), False),
        (("turn", "yaw"), Pose(yaw=-0.17, y=0.03), True),
        (("turn",), Pose(yaw=-0.17), True),
        ((), Pose(), False),
    ],
)
def test_the_operator_is_asked_only_for_what_the_stage_cannot_move(
    axes: tuple[str, ...], pose: Pose, asked: bool
) -> None:
    moved: list[Pose] = []
    questions: list[str] = []
    stage = SimpleNamespace(axes=axes, move=moved.append)
    rig = cast(Rig, SimpleNamespace(stage=stage))
    assert place(rig, pose, None, questions.append) == pose
    assert bool(questions) == asked
    assert bool(moved) == bool(axes)


def meanwhile(good: Rig, spoil: Callable[[int, np.ndarray], np.ndarray]) -> Rig:
    """A rig whose captures are stored while the next one plays."""
    return Rig(good.description, Faulty(good.interface, spoil), good.stage, meanwhile=True)  # type: ignore[arg-type]


def stored_meanwhile(rig: Rig, session: Session, spoil: Callable[[int, np.ndarray], np.ndarray]) -> None:
    """Measure the ears with each capture stored while the next one is made."""
    wanted = plan.make(rig.description, "ears")
    measure(meanwhile(rig, spoil), session, wanted, ask=no_one, step=no_step, meanwhile=True)


def test_a_capture_is_stored_while_the_next_one_plays(
    crooked: Description, lab_rig: MakeRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one begins before the first is stored; nothing in the file is another."""
    playing, in_time, store = Event(), list[bool](), Session.store

    def slow(self: Session, wanted: plan.Plan, shot: Shot, **how: bool) -> int:
        in_time.append(playing.wait(20.0))
        return store(self, wanted, shot, **how)

    def spoil(n: int, x: np.ndarray) -> np.ndarray:
        if n == 2:
            playing.set()
        return dropped(x, 15000) if n == 3 else x

    run, other = (folder.new(tmp_path / name, "T-1", crooked, NOON) for name in ("meanwhile", "after"))
    with Session.resume(run / "session.h5") as session, monkeypatch.context() as changed:
        changed.setattr(Session, "store", slow)
        stored_meanwhile(lab_rig(crooked), session, spoil)
    assert all(in_time)
    rig = lab_rig(crooked)
    with Session.resume(other / "session.h5") as session:
        after = Rig(crooked, Faulty(rig.interface, spoil), rig.stage)  # type: ignore[arg-type]  # as hardware
        measure(after, session, plan.make(crooked, "ears"), ask=no_one, step=no_step, meanwhile=True)
    assert content(run / "session.h5") == content(other / "session.h5")


def content(path: Path) -> list[tuple[str, str, bytes]]:
    """Every member of a session in its order, with attributes and values."""
    found = list[tuple[str, str, bytes]]()

    def add(name: str, one: h5py.Group | h5py.Dataset) -> None:
        values = one[()].tobytes() if isinstance(one, h5py.Dataset) else b""
        found.append((name, repr(sorted((key, np.asarray(one.attrs[key]).tolist()) for key in one.attrs)), values))

    with h5py.File(path) as file:
        file.visititems(add)
    return found


def test_a_capture_that_cannot_be_stored_ends_the_session_with_what_was_before(
    crooked: Description, lab_rig: MakeRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most one more was made, and nothing is derived from what is not there; the rest can follow."""
    made, store, wanted = list[int](), Session.store, plan.make(crooked, "ears")

    def full(self: Session, of: plan.Plan, shot: Shot, **how: bool) -> int:
        if len(self.landed("ears")) == 2:
            raise HardwareTrouble("the disk is full")
        return store(self, of, shot, **how)

    def counted(n: int, x: np.ndarray) -> np.ndarray:
        made.append(n)
        return x

    run = folder.new(tmp_path / "runs", "T-1", crooked, NOON)
    with Session.resume(run / "session.h5") as session:
        monkeypatch.setattr(Session, "store", full)
        with pytest.raises(HardwareTrouble, match="disk is full"):
            stored_meanwhile(lab_rig(crooked), session, counted)
        monkeypatch.undo()
        assert made[-1] <= 4
        assert len(session.landed("ears")) == 2
        third = wanted.captures[2]
        assert session.response(wanted, third.position, third.single) is None
        measure(lab_rig(crooked), session, wanted, ask=no_one, step=no_step)
        assert np.isfinite(session.responses("ears").h).all()


def test_an_interrupt_leaves_what_was_made_before_the_capture_in_flight(
    crooked: Description, lab_rig: MakeRig, tmp_path: Path
) -> None:
    def spoil(n: int, x: np.ndarray) -> np.ndarray:
        if n == 4:
            raise KeyboardInterrupt
        return x

    run = folder.new(tmp_path / "runs", "T-1", crooked, NOON)
    with Session.resume(run / "session.h5") as session, pytest.raises(KeyboardInterrupt):
        stored_meanwhile(lab_rig(crooked), session, spoil)
    with Session.read(run / "session.h5") as session:
        assert len(session.landed("ears")) == 3


def no_step(_note: str) -> None:
    """No progress is shown."""
