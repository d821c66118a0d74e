"""Sessions: plans shown before they run, nearest moves, closure, what was excluded, killed fifty times."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import pytest

from sweetspot.measure import folder, plan, summary
from sweetspot.measure.judge.attempts import Attempt, summaries
from sweetspot.measure.listener import CaptureAnalyser
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.measure.session.layout import capture_chunks
from sweetspot.measure.shot import ALL, CaptureKey
from sweetspot.rigs.errors import BadInput, Held
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protocol import Recording, Rig
from sweetspot.rigs.rig_file.description import Description, parse

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
KILLS = 50
MakeRig = Callable[..., Rig]


class Spoilt:
    """A lab interface whose ``n``-th capture with the loopback (from 1) is changed by a function of it."""

    def __init__(self, inner: object, spoil: Callable[[int, np.ndarray], np.ndarray]) -> None:
        self.inner, self.spoil, self.count = inner, spoil, 0

    def capture(self, y: np.ndarray) -> Recording:
        if not y[5].any():
            return self.inner.capture(y)  # type: ignore[attr-defined,no-any-return]
        self.count += 1
        r = self.inner.capture(y)  # type: ignore[attr-defined]
        return Recording(self.spoil(self.count, np.array(r.x)), r.fs, r.xruns, r.started)

    def close(self) -> None:
        pass


def spoilt(rig: Rig, spoil: Callable[[int, np.ndarray], np.ndarray]) -> Rig:
    return Rig(rig.description, Spoilt(rig.interface, spoil), rig.stage)  # type: ignore[arg-type]


def no_one(move: str) -> None:
    raise AssertionError(f"nobody should be asked: {move}")


def ears(rig: Rig, tmp_path: Path, **more: bool) -> Path:
    run = folder.new(tmp_path / "runs", "T-1", rig.description, NOON)
    finish(rig, run, **more)
    return run


def finish(rig: Rig, run: Path, **more: bool) -> None:
    with Session.resume(run / "session.h5") as session:
        measure(rig, session, plan.make(rig.description, "ears"), ask=no_one, step=lambda note: None, **more)


def slam(n: int, x: np.ndarray) -> np.ndarray:
    """80 ms of noise in the left ear's channel of the second capture."""
    if n == 2:
        at = round(0.4 * 47872)
        x[3, at : at + 3830] += 0.02 * np.random.default_rng(1).standard_normal(3830) * np.hanning(3830)
    return x


def test_positions_are_visited_by_nearest_move() -> None:
    poses = [Pose(yaw=0.0), Pose(yaw=0.5), Pose(yaw=0.1), Pose(y=0.1, yaw=0.1), Pose(yaw=-0.2)]
    assert plan.nearest_first(poses) == [0, 2, 4, 1, 3]
    assert plan.nearest_first([]) == []
    assert plan.nearest_first([Pose(), Pose(yaw=0.1 + 0.2), Pose(yaw=-0.3)]) == [0, 1, 2], "alike but for rounding"


def test_a_dry_run_reports_captures_time_and_size(crooked: Description) -> None:
    wanted = plan.make(crooked, "ears")
    data, lines = summary.of_plan(wanted)
    assert data["captures"] == 5 * 3 + 1
    assert data["audio_s"] == pytest.approx(16 * len(wanted.played) / 47872)
    assert data["raw_bytes"] == 16 * 3 * 4 * len(wanted.played)
    assert [p["position"] for p in data["order"]] == [1, 4, 2, 5, 3]
    assert lines.startswith("ears: 16 captures of")
    assert "position 1 again, for closure" in lines
    assert summary.of_plan(wanted, left=4)[0]["captures"] == 4


def test_accounts_name_the_run_and_the_reason() -> None:
    tries = [
        Attempt(2, 1, 3, ""),
        Attempt(2, 1, 2, "burst at 3.1 s, 2.4 kHz in ear_left"),
        Attempt(2, 1, 1, ""),
        Attempt(0, 0, 1, ""),
    ]
    first, second = summaries(tries, {0: "woofer", 1: "left", ALL: "all drivers"})
    assert first.text() == "position 1, woofer: used 1 of 1"
    assert second.text() == "position 3, left: used 2 of 3: run 2 burst at 3.1 s, 2.4 kHz in ear_left"
    assert second.to_dict()["excluded"] == [{"run": 2, "reason": "burst at 3.1 s, 2.4 kHz in ear_left"}]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("p003_s01_r00", CaptureKey(3, 1)),
        ("p000_s97_r02", CaptureKey(0, ALL, 2)),
        ("p000_s00_r99", CaptureKey(0, 0, purpose="close")),
        ("p007_s97_r98", CaptureKey(7, ALL, purpose="check")),
        ("xp1021_s12_r63_04", CaptureKey(1021, 12, 63, rejected=4)),
    ],
)
def test_names_of_captures_are_read_as_they_are_written(name: str, key: CaptureKey) -> None:
    assert key.name == name
    assert CaptureKey.parse(name) == key


@pytest.mark.parametrize("name", ["played", "p3_s01_r00", "p003_s01_r00x", "p003_s01", "xp003_s01_r00x01"])
def test_what_is_no_name_of_a_capture_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a capture"):
        CaptureKey.parse(name)


def test_a_burst_is_excluded_shown_and_the_set_closes(crooked: Description, lab_rig: MakeRig, tmp_path: Path) -> None:
    run = ears(spoilt(lab_rig(crooked), slam), tmp_path)
    with Session.read(run / "session.h5") as session:
        data, lines = summary.of_session(session)
        key, _ = session.rejected("ears")[0]
        assert session.raw("ears", key)[1]["temperature_c"] == 17.0
    found = data["sets"]["ears"]
    assert (found["captures_used"], found["captures_made"]) == (15, 16)
    assert re.search(r"position 1, left: used 1 of 2: run 1 burst at 0\.\d s, .* in ear_left", lines)
    assert found["closure"]["error_db"] < -60.0
    assert abs(found["closure"]["shift_samples"]) < 0.02
    assert "closure -" in lines
    json.dumps(found)


def test_captures_of_a_converter_are_kept_as_its_counts(crooked: Description, lab_rig: MakeRig, tmp_path: Path) -> None:
    heard: list[np.ndarray] = []

    def converted(n: int, x: np.ndarray) -> np.ndarray:
        heard.append((np.round(x * 2.0**23).astype(int) / 2.0**23).astype(np.float32))
        return heard[-1]

    run = ears(spoilt(lab_rig(crooked), converted), tmp_path)
    with Session.read(run / "session.h5") as session:
        keys = sorted(session.landed("ears"))
        raws = [session.raw("ears", key)[0] for key in keys]
    channels = {channel.tobytes() for x in heard for channel in x}
    assert all(channel.dtype == np.float32 and channel.tobytes() in channels for x in raws for channel in x)
    with h5py.File(run / "session.h5", "r+") as file:
        data = file[f"raw/ears/{keys[0]}"]
        assert data.dtype == np.int32
        assert data.id.get_storage_size() < 0.75 * data.size * data.dtype.itemsize
        np.testing.assert_array_equal((data[:] - data.attrs["offset"]) / data.attrs["full_scale"], raws[0])
        data.attrs["full_scale"] = 1 << 15
    with pytest.raises(BadInput, match="int32 with full_scale = 32768 and offset = 8421504; int32 with 8388608"):
        Session.read(run / "session.h5")


def test_long_captures_are_kept_in_equal_pieces() -> None:
    assert capture_chunks((3, 89_583)) == (1, 89_583)
    assert capture_chunks((3, 1 << 18)) == (1, 1 << 18)
    assert capture_chunks((3, (1 << 18) + 1)) == (1, (1 << 17) + 1)


def test_a_level_that_drifts_shows_in_the_closure(crooked: Description, lab_rig: MakeRig, tmp_path: Path) -> None:
    mics = np.array([0, 2, 3])[:, None]

    def late(n: int, x: np.ndarray) -> np.ndarray:
        x[mics[:, 0]] *= 0.9 if n == 16 else 1.0
        return x

    run = ears(spoilt(lab_rig(crooked), late), tmp_path)
    with Session.read(run / "session.h5") as session:
        closure = session.closure("ears")
    assert closure is not None
    assert closure.level_db == pytest.approx(20 * np.log10(0.9), abs=0.01)
    assert closure.error_db == pytest.approx(-20.0, abs=0.1)
    assert closure.moved


@pytest.mark.parametrize(
    ("factor", "reason"),
    [(-1.0, "polarity of ear_left is the opposite"), (0.1, "level of ear_left changed by -20 dB")],
)
def test_what_changed_since_the_last_position_holds_the_session(
    crooked: Description, lab_rig: MakeRig, tmp_path: Path, factor: float, reason: str
) -> None:
    rig = lab_rig(crooked)

    def swapped(n: int, x: np.ndarray) -> np.ndarray:
        x[3] *= factor if n > 3 else 1.0
        return x

    bad = spoilt(rig, swapped)
    run = folder.new(tmp_path / "runs", "T-1", crooked, NOON)
    with pytest.raises(Held, match=reason):
        finish(bad, run)
    finish(bad, run, accept_change=True)
    with Session.read(run / "session.h5") as session:
        assert session.responses("ears").h.shape[0] == 5
        assert len(session.rejected("ears")) == 4


def test_a_set_that_was_begun_with_another_window_is_not_gone_on_with(crooked: Description, tmp_path: Path) -> None:
    run = folder.new(tmp_path / "runs", "T-1", crooked, NOON)
    made = plan.make(crooked, "ears")
    with Session.resume(run / "session.h5") as session:
        session.begin(made)
        session.begin(made)
        with pytest.raises(BadInput, match=r"begun by an earlier version .* kept 20 ms and \d+ ms .* keeps 25 ms and"):
            session.begin(replace(made, before=round(0.025 * crooked.fs)))


def test_a_short_recording_is_repeated(crooked: Description, lab_rig: MakeRig, tmp_path: Path) -> None:
    run = ears(spoilt(lab_rig(crooked), lambda n, x: x[:, :-100] if n == 5 else x), tmp_path)
    with Session.read(run / "session.h5") as session:
        assert [reason for _, reason in session.rejected("ears")] == [
            f"the recording has {len(plan.make(crooked, 'ears').played) - 100} of "
            f"{len(plan.make(crooked, 'ears').played)} samples"
        ]


CHILD = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from sweetspot.measure import plan
from sweetspot.measure.listener import CaptureAnalyser
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.measure.shot import ALL, CaptureKey
from sweetspot.rigs.lab.interface import LabInterface, LabStage
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.protocol import Rig

world = None
for line in sys.stdin:
    file = Path(line.strip()) / "session.h5"
    if world is None:
        with Session.read(file) as session:
            world = World(session.rig(), serial="T-1")
        captures = plan.make(world.description, "ears").captures
        made = {pose: world.paths(pose) for pose in {c.pose for c in captures}}
        world.paths = lambda pose, **asked: made[pose]
    child = os.fork()
    if child == 0:
        rig = Rig(world.description, LabInterface(world, lambda: datetime.now(UTC)), LabStage(world))
        with Session.resume(file) as session:
            measure(rig, session, plan.make(rig.description, "ears"), ask=print, step=lambda note: None)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Forks a session for each line it reads, the lab's paths ready; reports its process and its exit code."""


class Killed:
    """Sessions of one rig that are begun, killed and resumed; a new one whenever one is whole."""

    def __init__(self, rig: Description, folder_: Path, parent: subprocess.Popen[str]) -> None:
        self.rig, self.folder, self.parent = rig, folder_, parent
        self.runs: list[Path] = []
        self.landed: dict[str, bytes] = {}
        self.begin()

    def begin(self) -> None:
        now = NOON + timedelta(minutes=len(self.runs))
        self.runs.append(folder.new(self.folder, "T-1", self.rig, now))
        self.landed = {}

    def go(self, kill_after: float | None) -> int:
        """Run the newest session, kill it after a while if it still runs; all that landed must be there, unchanged."""
        assert self.parent.stdin
        assert self.parent.stdout
        self.parent.stdin.write(f"{self.runs[-1]}\n")
        self.parent.stdin.flush()
        child = int(self.parent.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        code = int(self.parent.stdout.readline())
        self.check()
        return code

    def check(self) -> None:
        with Session.read(self.runs[-1] / "session.h5") as session:
            now = session.landed("ears") if session.sets else frozenset()
            assert set(self.landed) <= now, "a capture that had landed was lost"
            raw = {key: session.raw("ears", key)[0].tobytes() for key in now}
        assert all(raw[key] == kept for key, kept in self.landed.items()), "a capture that had landed was changed"
        self.landed = raw


def test_sessions_killed_fifty_times_lose_nothing(crooked_text: str, lab_rig: MakeRig, tmp_path: Path) -> None:
    """SIGKILL at seeded random moments: every file opens, what landed stays as it was, resuming completes it."""
    quick = crooked_text.replace("seconds = 0.6", "seconds = 0.25").replace("band_hz = [60,", "band_hz = [150,")
    rig = parse(quick.replace("after_ms = 60.0", "after_ms = 30.0\nrepeats = 2"), tmp_path)
    rng = np.random.default_rng(7)
    kills = 0
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        sessions = Killed(rig, tmp_path / "runs", parent)
        sessions.go(0.0)
        while kills < KILLS:
            code = sessions.go(float(rng.uniform(0.0, 0.2)))
            kills += code == -signal.SIGKILL
            if code == 0:
                sessions.begin()
        assert sessions.go(None) == 0
        assert parent.stdin
        parent.stdin.close()
    whole = ears(lab_rig(rig, "T-1"), tmp_path / "whole")
    with Session.read(whole / "session.h5") as session:
        expected, keys = session.responses("ears"), session.landed("ears")
    for run in sessions.runs:
        with Session.read(run / "session.h5") as session:
            assert session.landed("ears") == keys
            assert session.closure("ears") is not None
            found = session.responses("ears").h
            assert np.abs(found - means(session, rig)).max() < 1e-6 * np.abs(found).max()
        # below the judged band, a quick sweep leaves noise, and the lab draws it by the number of captures
        assert np.abs(found - expected.h).max() < 0.02 * np.abs(expected.h).max()


def means(session: Session, rig: Description) -> np.ndarray:
    """Mean responses ``(position, mic, driver, tap)`` of all repeats, from the raw samples that a session holds."""
    wanted = plan.make(rig, "ears")
    listener = CaptureAnalyser.of(rig, wanted)
    sums: dict[tuple[int, int], list[np.ndarray]] = {}
    for capture in wanted.captures:
        x, _ = session.raw("ears", capture.key)
        found = listener.analysed(Recording(x, rig.fs, 0, ""), capture.source)
        assert found.reason is None
        sums.setdefault((capture.position, capture.single), []).append(found.responses[0].h)
    return np.moveaxis([[np.mean(sums[p, s], axis=0) for s in range(3)] for p in range(5)], 1, 2)
