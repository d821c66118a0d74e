"""The pre-flight check against rigs whose cables, drivers and stage differ from the rig file."""

from __future__ import annotations

import functools
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, freqs

from sweetspot.measure import plan
from sweetspot.measure.judge import disturbance, quality
from sweetspot.measure.preflight import findings as found_in
from sweetspot.measure.preflight import reference, run
from sweetspot.measure.preflight.finding import Finding, table, verdict
from sweetspot.measure.preflight.identify import identify
from sweetspot.measure.preflight.paths import (
    OCTAVES,
    LoopbackResponse,
    Observation,
    PathResponses,
    expectation,
    from_geometry,
    multitone,
    wiring,
)
from sweetspot.measure.preflight.paths import path_responses as heard
from sweetspot.rigs.errors import BadInput, HardwareTrouble, TooLoud
from sweetspot.rigs.lab.electronics.electrical import interpolated
from sweetspot.rigs.lab.interface import LabInterface, LabStage
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.protocol import Recording, Rig
from sweetspot.rigs.rig_file.added_faults import with_faults
from sweetspot.rigs.rig_file.description import Description, parse
from sweetspot.rigs.units import db
from sweetspot.roof import build
from tests.patchbay import PatchBay

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)

Check = Callable[..., list[Finding]]


class Remembered(World):
    """A world that works out each pose once: tests share it."""

    def __init__(self, description: Description, serial: str) -> None:
        super().__init__(description, serial)
        self.known: dict[Pose, NDArray[np.float32]] = {}

    def paths(self, pose: Pose) -> NDArray[np.float32]:
        if pose not in self.known:
            self.known[pose] = super().paths(pose)
        return self.known[pose]


@functools.cache
def world_of(text: str) -> Remembered:
    """The lab of a rig's text."""
    return Remembered(parse(text, folder=Path("/")), "T-2")


class Stubborn(LabStage):
    """A stage that reports the requested position and moves to another."""

    def __init__(self, world: World, gear: float) -> None:
        super().__init__(world)
        self.gear = gear

    def move(self, pose: Pose) -> Pose:
        self.world.pose = replace(pose, turn=self.gear * pose.turn)
        return pose


@pytest.fixture
def checked(crooked: Description, tmp_path: Path) -> Check:
    """Checks the crooked rig, wired and built as given."""

    def make(
        *,
        plugs: dict[int, tuple[int, float]] | None = None,
        jacks: dict[int, tuple[int, float]] | None = None,
        lose: int = 0,
        gear: float = 1.0,
        rig: Description | None = None,
        noise_db: float = -110.0,
        move: bool = True,
        only: Any = None,
        **options: Any,
    ) -> list[Finding]:
        described = rig or crooked
        world = world_of(re.sub("calibration = .*", "", described.text))
        world.pose = Pose()
        bay = PatchBay(LabInterface(world, lambda: NOON), plugs or {}, jacks or {}, lose, noise_db)
        opened = Rig(described, bay, Stubborn(world, gear))
        return run.check(opened, run.only(described, only), runs=tmp_path / "runs", move=move, **options)[0]

    return make


def failed(findings: list[Finding]) -> dict[tuple[str, str], str]:
    return {(f.check, f.subject): f.text for f in findings if f.outcome == "fail"}


def test_a_good_rig_passes_whole(checked: Check) -> None:
    findings = checked()
    assert {f.outcome for f in findings} == {"pass"}, table(findings)
    assert {f.check for f in findings} == {
        *("loopback", "clock", "microphone", "amplifier", "patch", "polarity"),
        *("level", "snr", "noise", "stage", "disk"),
    }
    assert "nothing wrong" in verdict(findings)


def test_it_takes_less_than_ten_seconds_of_audio(crooked: Description) -> None:
    many = [(100.0, 18000.0)] * 8 + [(20.0, 0.45 * crooked.fs)]
    one = multitone.combs(many, crooked.fs, 0.1)
    assert one.y.shape[1] / crooked.fs < 2.4
    assert (run.captures(crooked, True, frozenset({"turn"})) + run.REPEATS) * one.y.shape[1] / crooked.fs < 10.0


@pytest.mark.parametrize(
    ("plugs", "swapped", "move"),
    [
        ({1: (3, 1.0), 3: (1, 1.0)}, {("left", "right"), ("right", "left")}, True),
        ({1: (3, 1.0), 3: (1, 1.0)}, {("left", "right"), ("right", "left")}, False),
        ({5: (1, 1.0), 1: (5, 1.0)}, {("woofer", "left"), ("left", "woofer")}, True),
        ({1: (3, 1.0), 3: (5, 1.0), 5: (1, 1.0)}, {("left", "right"), ("right", "woofer"), ("woofer", "left")}, True),
    ],
)
def test_drivers_on_each_other_s_outputs(
    checked: Check, plugs: dict[int, tuple[int, float]], swapped: set[tuple[str, str]], move: bool
) -> None:
    findings = checked(plugs=plugs, move=move)
    wrong = failed(findings)
    assert set(wrong) == {("patch", wanted) for wanted, _ in swapped}, table(findings)
    for wanted, there in swapped:
        assert f"driver '{there}' is connected in place of '{wanted}'" in wrong["patch", wanted]


def test_a_swap_of_neighbours_that_only_turning_shows_is_not_passed_in_silence(checked: Check) -> None:
    findings = checked(plugs={5: (1, 1.0), 1: (5, 1.0)}, move=False)
    assert [f.subject for f in findings if f.check == "patch" and f.outcome == "untold"] == ["woofer, left"]


@pytest.mark.parametrize(
    ("jacks", "swapped"),
    [
        ({1: (4, 1.0), 4: (1, 1.0)}, {"ear_left", "ear_right"}),
        ({3: (4, 1.0), 4: (3, 1.0)}, {"ear_left", "boom"}),
    ],
)
def test_microphones_on_each_other_s_inputs(
    checked: Check, jacks: dict[int, tuple[int, float]], swapped: set[str]
) -> None:
    findings = checked(jacks=jacks)
    assert {k for k in failed(findings) if k[0] == "patch"} == {("patch", name) for name in swapped}, table(findings)


def test_arrivals_lost_in_reverberation_do_not_undo_the_patch(crooked_text: str) -> None:
    """One arrival in six is found milliseconds too early; the others stand 11 cm late, and the patch is right."""
    rig = parse(crooked_text, Path())
    poses = [Pose(), Pose(turn=1.0)]
    expected = from_geometry(rig, poses)
    late = expected.arrival + 320e-6 + 10e-6 * np.random.default_rng(3).standard_normal(expected.arrival.shape)
    late[0, 1, 2] -= 1.4e-3
    late[1, 2, 0] -= 6.2e-3
    one = [
        PathResponses(np.full((*a.shape, len(OCTAVES)), 60.0), expected.level_db, a, expected.sign, (), ())
        for a in late
    ]
    turns = {s: from_geometry(rig, [replace(p, turn=s * p.turn) for p in poses]) for s in (1, -1, 0)}
    found = wiring.find(one, [0, 1, 2], None, turns)
    assert found.best.exchanged == 0
    assert np.array(found.late) == pytest.approx(320e-6, abs=100e-6)


def test_late_reverberation_folded_ahead_of_the_direct_sound_is_not_its_arrival() -> None:
    """Twelve drivers leave windows of 43 ms: of a decay of 1 s, late parts fold into the time ahead of the sound."""
    fs, window_s, late_s = 48000, 2048 / 48000, 0.01173
    f = np.arange(5, 800) / window_s
    rng = np.random.default_rng(4)
    t = np.arange(4 * fs // 10) / fs
    for _ in range(20):
        decay = rng.standard_normal(len(t)) * 10.0 ** (-3.0 * t) * (t > 0.004)
        folded = np.resize(np.append(decay, np.zeros(-len(decay) % 2048)), (-(-len(decay) // 2048), 2048)).sum(axis=0)
        room = np.fft.rfft(folded)[5:800] * np.exp(-2j * np.pi * f * late_s)
        direct = np.exp(-2j * np.pi * f * late_s)
        room *= 10.0 ** (6.0 / 20.0) * np.linalg.norm(direct) / np.linalg.norm(room)
        assert heard.first_arrival(direct + room, f, window_s) == pytest.approx(late_s, abs=60e-6)


def test_arrivals_that_no_wiring_explains_accuse_none(crooked_text: str) -> None:
    """Arrivals anywhere in the window: neither another wiring nor places nor a turn follow from them."""
    rig = parse(crooked_text, Path())
    poses = [Pose(), Pose(turn=1.0)]
    expected = from_geometry(rig, poses)
    for seed in range(5):
        anywhere = np.random.default_rng(seed).uniform(0.0, 0.04, expected.arrival.shape)
        one = [
            PathResponses(np.full((*a.shape, len(OCTAVES)), 60.0), expected.level_db, a, expected.sign, (), ())
            for a in anywhere
        ]
        turns = {s: from_geometry(rig, [replace(p, turn=s * p.turn) for p in poses]) for s in (1, -1, 0)}
        found = wiring.find(one, [0, 1, 2], None, turns)
        assert not found.found
        assert (found.best.exchanged, found.others) == (0, ())


def test_a_driver_turned_over(checked: Check) -> None:
    for output, name in ((5, "woofer"), (1, "left"), (3, "right")):
        wrong = failed(checked(plugs={output: (output, -1.0)}))
        assert set(wrong) == {("polarity", name)}
        assert f"output {output}" in wrong["polarity", name]


def test_a_driver_swapped_and_turned_over_is_named_by_what_is_heard(checked: Check) -> None:
    wrong = failed(checked(plugs={1: (3, -1.0), 3: (1, 1.0)}))
    assert set(wrong) == {("patch", "left"), ("patch", "right"), ("polarity", "right")}


def test_both_ears_turned_over_may_be_the_head_s_own_phase(checked: Check) -> None:
    """A dummy head with ear canals turns the phase of every arrival, at both ears alike."""
    findings = checked(jacks={1: (1, -1.0), 4: (4, -1.0)})
    assert not failed(findings), table(findings)
    assert {f.subject for f in findings if f.check == "polarity" and f.outcome == "warn"} == {"ears"}


def test_a_microphone_turned_over(checked: Check) -> None:
    assert set(failed(checked(jacks={3: (3, -1.0)}))) == {("polarity", "boom")}
    assert set(failed(checked(jacks={4: (4, -1.0)}, plugs={5: (5, -1.0)}))) == {
        ("polarity", "ear_left"),
        ("polarity", "woofer"),
    }


@pytest.mark.parametrize("gone", [(), ("tweeter",), ("stray",)])
def test_a_head_turns_the_phase_of_tweeters_in_another_way(gone: tuple[str, ...], crooked: Description) -> None:
    """Falling pressure at both ears below 2 kHz, rising above: no fault; an inverted tweeter still is one."""
    rig, tones = crooked, np.arange(100.0, 20000.0, 50.0)
    sign = np.array([[-0.9, -0.8, 0.9], [0.9, 1.0, 0.9], [-0.9, -0.7, 0.9]])  # of ear, boom, ear
    arrival = np.full((3, 3), 5e-3)
    if "tweeter" in gone:
        sign[:, 2] *= -1.0
    if "stray" in gone:
        sign[:, 1], arrival[:, 1] = (1.0, -1.0, 1.0), (1e-3, 9e-3, 2e-3)
    inputs = [m.channel - 1 for m in rig.mic]
    full = np.full((max(inputs) + 1, 3), np.nan)
    heard = PathResponses(
        snr_db=np.full((len(full), 3, 9), 60.0),
        level_db=np.zeros((len(full), 3, 9)),
        arrival=_placed(full, inputs, arrival),
        sign=_placed(full, inputs, sign),
        gated=(),
        frequencies=(tones, tones, tones[tones > 2500.0]),
    )
    expected = from_geometry(rig, [Pose()])
    expected = replace(expected, arrival=np.full((1, 3, 3), 4.9e-3))
    seen = Observation(rig, [heard], [LoopbackResponse(1)], [], expected, None, 0.1, 1.0, 0.02)
    found = {(f.subject, f.outcome) for f in found_in.of_polarity(seen)}
    driver = [d.name for d in rig.driver]
    wanted = {"tweeter": {(driver[2], "fail")}, "stray": {(driver[1], "untold")}}
    assert found == {("ears", "warn")} | (wanted[gone[0]] if gone else set())


def _placed(full: Any, inputs: list[int], values: Any) -> Any:
    out = full.copy()
    out[inputs] = values
    return out


@pytest.mark.parametrize(
    ("fault", "found", "words"),
    [
        ({"plugs": {o: (o, 0.0) for o in (1, 3, 5)}}, ("amplifier", "all"), "is the amplifier on?"),
        ({"plugs": {3: (3, 0.0)}}, ("amplifier", "right"), "output 3"),
        ({"jacks": {4: (4, 0.0)}}, ("microphone", "ear_left"), "input 4"),
        ({"jacks": {4: (4, 0.0)}, "noise_db": -1000.0}, ("microphone", "ear_left"), "constant value"),
        ({"jacks": {3: (3, 9.0)}}, ("level", "boom"), "clip it by"),
    ],
    ids=["amplifier-off", "one-driver-silent", "microphone-dead", "input-converts-nothing", "sweep-would-clip"],
)
def test_a_fault_is_found_and_alone(checked: Check, fault: dict[str, Any], found: tuple[str, str], words: str) -> None:
    """Of these, 9 times the level is 12 dB under the sweep: nothing clips yet, and the message states by how much."""
    wrong = failed(checked(**fault))
    assert set(wrong) == {found}
    assert words in wrong[found]


@pytest.mark.parametrize(
    ("jacks", "found", "words"),
    [
        ({i: (i, 0.0) for i in (1, 3, 4)}, ("amplifier", "all"), "nothing plugged in"),
        ({3: (3, 300.0)}, ("microphone", "boom"), "lower its preamplifier"),
    ],
    ids=["no-microphone-plugged-in", "microphone-clips"],
)
def test_a_fault_is_named(
    checked: Check, jacks: dict[int, tuple[int, float]], found: tuple[str, str], words: str
) -> None:
    assert words in failed(checked(jacks=jacks))[found]


def test_headroom_and_level_are_those_of_the_sweep(checked: Check, crooked: Description, lab_rig: Any) -> None:
    from sweetspot.measure import plan
    from sweetspot.measure.judge import loudest_db, pascals

    message = {f.subject: f.values for f in checked(move=False) if f.check == "level"}
    with lab_rig(crooked, "T-2") as rig:
        peaks = [rig.interface.capture(s).x for s in plan.make(crooked, "ears").sources.signals]
    for mic in crooked.mic:
        here = [x[[mic.channel - 1]] for x in peaks]
        heard_peak = max(float(np.abs(x).max()) for x in here)
        assert message[mic.name]["headroom_db"] == pytest.approx(-float(db(heard_peak)), abs=0.7), mic.name
        loudest = max(loudest_db(x, pascals(crooked, (mic,)), crooked.fs)[0] for x in here)
        assert message[mic.name]["loudest_db_spl"] == pytest.approx(loudest, abs=0.5), "as captures are judged"


def test_levels_of_uncalibrated_microphones_are_not_given_in_decibels_of_sound_pressure(
    checked: Check, crooked_text: str, tmp_path: Path
) -> None:
    """The ears' sensitivity is known, that of ``boom`` is not."""
    rig = parse(crooked_text.replace("sensitivity_mv_per_pa = 20.0\n", ""), folder=tmp_path)
    found = [f for f in checked(rig=rig, move=False) if f.check in ("level", "noise")]
    line = next(f for f in found if f.subject == "dB SPL")
    assert (line.outcome, line.text.split(" (")[0]) == (
        "untold",
        "levels in dB SPL are unknown and no SPL limit is enforced: missing sensitivity_mv_per_pa of 'boom'",
    )
    assert len([f for f in found if f.subject == "dB SPL"]) == 1
    assert all("dBFS" in f.text and "dB SPL" not in f.text for f in found if f.subject == "boom")
    assert all("dB SPL" in f.text for f in found if f.subject == "ear_left")
    level = next(f for f in found if (f.check, f.subject) == ("level", "boom"))
    assert level.values["loudest_db_spl"] is None
    assert not any(f.subject == "dB SPL" for f in checked(move=False))


def test_measure_reports_once_that_levels_are_unknown(
    crooked_text: str, tmp_path: Path, lab_rig: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sweetspot.measure import cli, folder
    from sweetspot.measure import run as measuring

    for text, often in ((crooked_text, 0), (crooked_text.replace("full_scale_v = 0.1\n", ""), 1)):
        rig = lab_rig(parse(text, folder=tmp_path), "T-2")
        monkeypatch.setattr(measuring, "measure", lambda *_, **__: None)
        here = folder.new(tmp_path / f"runs{often}", "T-2", rig.description, NOON)
        cli.capture_set(rig, "ears", here, ask=print)
        assert (
            " ".join(capsys.readouterr().err.split()).count("no SPL limit is enforced: missing interface.full_scale_v")
            == often
        )


def test_the_loopback(checked: Check) -> None:
    silent = failed(checked(plugs={6: (6, 0.0)}))
    assert "plug its cable into input 2" in silent["loopback", "out 6, in 2"]
    elsewhere = failed(checked(jacks={2: (3, 1.0), 3: (2, 1.0)}))
    assert "arrives at input 3 instead of input 2" in elsewhere["loopback", "out 6, in 2"]
    turned = {f.check: f.outcome for f in checked(plugs={6: (6, -1.0)}) if f.check == "loopback"}
    assert turned == {"loopback": "warn"}


def test_samples_lost_every_time_are_a_matter_of_clocks(checked: Check) -> None:
    wrong = failed(checked(lose=1, move=False))
    assert set(wrong) == {("clock", "47872 Hz"), ("capture", "combs")}, wrong


def once(recording: Recording, where: slice, rows: list[int], what: NDArray[np.float64]) -> Recording:
    x = recording.x.copy()
    x[rows, where] += what.astype(np.float32)
    return replace(recording, x=x)


@pytest.mark.parametrize(
    ("at_s", "reason"),
    [(0.15, "had a burst in the silence"), (1.0, "had a disturbance near"), (1.9, "had a disturbance near")],
)
def test_a_noise_leads_to_another_capture_and_not_to_a_finding(
    checked: Check, monkeypatch: pytest.MonkeyPatch, at_s: float, reason: str
) -> None:
    """A door of 80 ms at one ear, louder than the noise and about as loud as the combs, in the first capture alone."""
    capture, count = PatchBay.capture, [0]

    def banged(self: PatchBay, y: NDArray[np.float32]) -> Recording:
        count[0] += 1
        recording = capture(self, y)
        if count[0] > 1:
            return recording
        n = round(0.08 * 47872)
        bang = 0.01 * np.hanning(n) * np.random.default_rng(1).standard_normal(n)
        return once(recording, slice(round(at_s * 47872), round(at_s * 47872) + n), [0], bang)

    monkeypatch.setattr(PatchBay, "capture", banged)
    findings = checked()
    assert count[0] == 4
    assert not failed(findings)
    (noted,) = [f for f in findings if f.outcome != "pass"]
    assert (noted.check, noted.outcome) == ("capture", "warn")
    assert f"ear_right {reason}" in noted.text


def test_a_noise_that_stays_is_no_pass(checked: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = PatchBay.capture

    def noisy(self: PatchBay, y: NDArray[np.float32]) -> Recording:
        recording = capture(self, y)
        hiss = 0.05 * np.random.default_rng(2).standard_normal(30000)
        return once(recording, slice(60000, 90000), [3], hiss)

    monkeypatch.setattr(PatchBay, "capture", noisy)
    wrong = failed(checked(move=False))
    assert "seen 2 times: wait until it is quiet, then check again" in wrong["capture", "combs"]


@pytest.mark.parametrize(("slipped_deg", "fine"), [(0.0, True), (0.2, True), (1.5, False), (-4.0, False)])
def test_a_stage_that_slips_does_not_come_back(
    checked: Check, monkeypatch: pytest.MonkeyPatch, slipped_deg: float, fine: bool
) -> None:
    def move(self: Stubborn, pose: Pose) -> Pose:
        away = getattr(self, "slipped", 0.0)
        self.slipped = np.radians(slipped_deg) if pose.turn or away else 0.0  # type: ignore[attr-defined]
        self.world.pose = replace(pose, turn=pose.turn + self.slipped)
        return pose

    monkeypatch.setattr(Stubborn, "move", move)
    wrong = failed(checked())
    assert set(wrong) == (set() if fine else {("stage", "lab")})
    assert fine or "does it slip" in wrong["stage", "lab"]


def test_a_stage_that_turns_the_other_way_or_not_at_all(checked: Check) -> None:
    assert "turned the other way" in failed(checked(gear=-1.0))["stage", "lab"]
    assert "no rotation was detected" in failed(checked(gear=0.0))["stage", "lab"]


def test_a_set_that_turns_beyond_the_stages_limits_is_named_before_it_is_measured(
    checked: Check, crooked: Description
) -> None:
    text = crooked.text.replace('[stage]\ndriver = "lab"', '[stage]\ndriver = "lab"\nlimits_deg = [-200, 170]')
    wrong = failed(checked(rig=parse(text, folder=crooked.folder), move=False))
    assert set(wrong) == {("stage", "lab")}
    assert "polar turns to 180 degrees, outside stage.limits_deg = [-200, 170]" in wrong["stage", "lab"]
    assert not failed(checked(rig=parse(text, folder=crooked.folder), move=False, only="ears"))


def test_a_stage_that_fails_is_a_finding(checked: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: object, pose: Pose) -> Pose:
        if pose.turn:
            raise HardwareTrouble("stage: no reply in 5 s")
        return pose

    monkeypatch.setattr(Stubborn, "move", broken)
    findings = checked()
    assert failed(findings) == {("stage", "lab"): "no reply in 5 s"}
    assert any(f.check == "patch" and f.outcome == "pass" for f in findings)


def test_a_full_disk(checked: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _place: type("Usage", (), {"free": 10_000_000})())
    wrong = failed(checked(move=False))
    assert [check for check, _ in wrong] == ["disk"]


def test_a_microphone_that_stands_elsewhere_is_noted(checked: Check, crooked: Description) -> None:
    nearer = crooked.model_copy(update={"polar": crooked.polar.model_copy(update={"distance_m": 2.2})})  # type: ignore[union-attr]
    world = {f.subject: f for f in checked(rig=crooked) if f.check == "place"}
    assert not world
    described, real = nearer, World(crooked, "T-2")
    findings, _ = run.check(
        Rig(described, LabInterface(real, lambda: NOON), LabStage(real)), described, runs=Path(), move=False
    )
    (place,) = [f for f in findings if f.check == "place"]
    assert (place.subject, place.outcome) == ("boom", "warn")
    assert place.values["farther_m"] == pytest.approx(-0.5, abs=0.03)


def test_what_cannot_be_decided_is_reported(checked: Check, crooked_text: str, tmp_path: Path) -> None:
    """Two drivers in the same place: they cannot be distinguished, and the check reports it."""
    text = crooked_text.replace("at = [0.05, 0.06, 0.01]", "at = [0.01, 0.08, 0.0]").replace(
        "band_hz = [80, 15000]", "band_hz = [120, 20000]"
    )
    findings = checked(rig=parse(text, folder=tmp_path))
    undecided = [f for f in findings if f.outcome == "untold"]
    assert [f.subject for f in undecided] == ["woofer, left"]
    assert not failed(findings)


@pytest.mark.parametrize(("mains", "level_dbfs", "outcome"), [(50.0, -50.0, "fail"), (60.0, -84.0, "pass")])
def test_hum_that_a_session_would_reject_is_a_fault_of_the_check(
    checked: Check, crooked_text: str, tmp_path: Path, mains: float, level_dbfs: float, outcome: str
) -> None:
    text = f"{crooked_text}\n[lab.hum]\nlevel_dbfs = {level_dbfs}\nfrequency_hz = {mains}\n"
    noises = [f for f in checked(rig=parse(text, folder=tmp_path)) if f.check == "noise"]
    assert [f.outcome for f in noises] == [outcome] * 3
    for one in noises:
        assert (f"hum of {mains:.0f} Hz and multiples at" in one.text) == (outcome != "pass")
        assert ("captures would be rejected" in one.text) == (outcome == "fail")


def test_drivers_that_respond_alike_are_named_together(checked: Check, crooked_text: str, tmp_path: Path) -> None:
    alike = crooked_text.replace("at = [0.05, 0.06, 0.01]", "at = [0.01, 0.08, 0.0]")
    alike = alike.replace("at = [0.03, -0.07, 0.0]", "at = [0.01, 0.08, 0.0]")
    for band in ("[80, 15000]", "[100, 18000]"):
        alike = alike.replace(f"band_hz = {band}", "band_hz = [120, 20000]")
    untold = [f for f in checked(rig=parse(alike, folder=tmp_path)) if f.outcome == "untold"]
    assert untold[0].subject == "woofer, left, right"
    assert "drivers 'woofer', 'left' and 'right' respond alike" in untold[0].text
    assert found_in._groups([(2, 0), (1, 2)]) == [[0, 2], [1, 2]]  # nothing is known of 0 and 1
    assert found_in._groups([(0, 1), (3, 4), (0, 2), (1, 2)]) == [[0, 1, 2], [3, 4]]


def test_arrivals_are_those_of_a_rigid_sphere(crooked: Description, lab_rig: Any) -> None:
    """The check's arrivals at the microphone, against the way around the body divided by the speed of sound."""
    signal = multitone.combs([*(d.band_hz for d in crooked.driver), (20.0, 0.45 * crooked.fs)], crooked.fs, 0.1)
    y = np.zeros((6, signal.y.shape[1]), dtype=np.float32)
    y[[4, 0, 2, 5]] = signal.y
    with lab_rig(crooked) as rig:
        x = rig.interface.capture(y).x
    m = multitone.matrix(signal, x)
    loop = heard.loop(m, 3, signal.y[-1].astype(float), x, 1)
    assert loop.latency * crooked.fs == pytest.approx(crooked.lab.latency_samples, abs=1e-4)
    got = heard.responses(m, 3, loop.latency).arrival[2]
    wanted = expectation.from_geometry(crooked, [Pose()]).arrival[0, 1]
    assert np.abs(got - wanted).max() < 0.15e-3
    assert np.abs((got - got.mean()) - (wanted - wanted.mean())).max() < 0.05e-3


@pytest.mark.parametrize("low", [90.0, 520.0, 1000.0, 1500.0, 1900.0, 2500.0, 4000.0])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_sign_of_an_arrival_is_not_that_of_its_high_pass_filter(low: float, order: int) -> None:
    """A tweeter of 1.5 kHz was called inverted, as its arrival was timed in one band and its phase read in another."""
    step = 10.0
    f = np.arange(1.15 * low, 20e3, step)
    driver = freqs(*butter(order, low, "high", analog=True), f)[1]
    for polarity in (1.0, -1.0):
        g = polarity * driver * np.exp(-2j * np.pi * f * 7e-3)
        at = heard.first_arrival(g, f, 1.0 / step)
        assert at == pytest.approx(7e-3, abs=0.2e-3)
        assert polarity * heard.sign(g, f, at) > 0.7


def two_way(text: str, folder: Path) -> Description:
    """The crooked rig with two tweeters more."""
    tweeters = "".join(
        f'[[driver]]\nname = "{name}"\nchannel = {channel}\nat = {at}\nband_hz = [1500, 20000]\nunprotected = true\n\n'
        for name, channel, at in (("tweeter_a", 4, "[0.03, 0.05, 0.03]"), ("tweeter_b", 2, "[0.03, -0.06, 0.02]"))
    )
    return parse(text.replace("[[mic]]", f"{tweeters}[[mic]]", 1), folder=folder)


@pytest.mark.parametrize("low_db", [0.0, 14.0])
def test_the_level_of_a_tweeter_is_compared_with_others_in_its_octaves(
    checked: Check, crooked_text: str, tmp_path: Path, low_db: float
) -> None:
    """It has none of the octaves below 1 kHz, in which levels are compared, and was never judged."""
    rig = two_way(crooked_text, tmp_path)
    found = checked(rig=rig, plugs={2: (2, 10.0 ** (-low_db / 20.0))}, move=False)
    weak = {f.subject: f.values["below_others_db"] for f in found if f.check == "level" and f.outcome == "warn"}
    assert weak == ({"tweeter_b": pytest.approx(low_db, abs=3.0)} if low_db else {})
    assert not [f for f in found if f.check == "polarity" and f.outcome == "fail"]


def test_the_polarity_of_a_tweeter_at_a_woofers_output_is_not_told(
    checked: Check, crooked_text: str, tmp_path: Path
) -> None:
    """Its sign is that of its filter there: what was wired wrongly was called inverted as well."""
    rig = two_way(crooked_text, tmp_path)
    woofer = next(d for d in rig.driver if d.name == "woofer").channel
    found = checked(rig=rig, plugs={2: (woofer, 1.0), woofer: (2, 1.0)}, move=False)
    assert {(f.check, f.subject) for f in found if f.outcome == "fail"} == {("patch", "tweeter_b"), ("patch", "woofer")}


def test_the_way_around_a_sphere() -> None:
    """Straight where it is seen; from behind, two tangents and half the girth less what they span."""
    assert expectation.around([0.1, 0.0, 0.0], [2.0, 0.0, 0.0]) == pytest.approx(1.9)
    behind = np.sqrt(4.0 - 0.01) + 0.1 * (np.pi - np.arccos(0.05))
    assert expectation.around([-0.1, 0.0, 0.0], [2.0, 0.0, 0.0]) == pytest.approx(behind)
    assert expectation.around([0.0, 0.0, 0.0], [2.0, 0.0, 0.0]) == pytest.approx(2.0)


def test_ears_are_at_the_sides_of_a_head_that_faces_the_device(crooked: Description) -> None:
    """The left hand of whoever looks back along x points to negative y; turned by 90 degrees, along x."""
    places = expectation.places(crooked, Pose(x=0.1, y=0.02))
    by_name = dict(zip([m.name for m in crooked.mic], places, strict=True))
    assert by_name["ear_left"] == pytest.approx([1.5, 0.02 - 0.0875, 0.0])
    assert by_name["ear_right"] == pytest.approx([1.5, 0.02 + 0.0875, 0.0])
    assert by_name["boom"] == pytest.approx([1.7, 0.0, 0.0])
    turned = expectation.places(crooked, Pose(yaw=np.pi / 2))[2]
    assert turned == pytest.approx([1.4 + 0.0875, 0.0, 0.0])


@pytest.mark.parametrize("ppm", [-200.0, -1.0, 0.0, 1.0, 60.0])
def test_clocks_that_drift_are_reported_in_ppm(crooked: Description, ppm: float) -> None:
    """A recorder that runs ``ppm`` fast takes its samples closer together: sample n is of the time n / (1 + ppm)."""
    signal = multitone.combs([(100.0, 10000.0), (20.0, 0.45 * crooked.fs)], crooked.fs, 0.2)
    played = np.concatenate([np.zeros(300), signal.y[1].astype(float)])
    fine = np.fft.irfft(np.fft.rfft(played), 16 * len(played)) * 16
    at = np.arange(signal.y.shape[1]) / (1 + ppm * 1e-6)
    x = np.interp(16 * at, np.arange(len(fine)), fine)[None].astype(np.float32)
    m = multitone.matrix(signal, x)
    loop = heard.loop(m, 1, signal.y[1].astype(float), x, 0)
    assert loop.drift_ppm == pytest.approx(ppm, abs=0.05 + 0.002 * abs(ppm))
    assert loop.latency * crooked.fs == pytest.approx(300, abs=abs(ppm) * 0.1 + 0.01)


@pytest.mark.parametrize("ppm", [0.0, 2.0, 10.0, 80.0])
def test_the_loopbacks_gain_at_192_khz_does_not_depend_on_the_clocks(ppm: float) -> None:
    """It was the mean of two periods over all tones, which turn by up to a cycle between them: up to 18 dB too low."""
    fs = 192000
    signal = multitone.combs([(100.0, 10000.0), (20.0, 0.45 * fs)], fs, 0.2)
    played = 0.25 * signal.y[1].astype(float)
    fine = np.fft.irfft(np.fft.rfft(played), 4 * len(played)) * 4
    x = interpolated(
        np.pad(fine, (0, 99)).astype(np.float32)[None], 4.0 * np.arange(len(played)) / (1 + ppm * 1e-6)
    ).astype(np.float32)
    found = heard.loop(multitone.matrix(signal, x), 1, signal.y[1].astype(float), x, 0)
    assert db(found.gain) == pytest.approx(-12.04, abs=0.1)


@pytest.mark.parametrize("seconds", [0.6, 1.5])
def test_the_check_finds_weak_hum_as_a_capture_does(crooked_text: str, seconds: float, tmp_path: Path) -> None:
    """Hum 10 dB over the noise in 20 Hz: a silence of 0.4 s showed a quarter of it."""
    rig = parse(crooked_text.replace("seconds = 0.6", f"seconds = {seconds:g}"), folder=tmp_path)
    signal, _ = run.stimulus(rig, 0.1)
    sweep, played = plan.excitation(rig, tail=0)
    searched = len(played) - round(disturbance.hum_from_s(sweep, quality.DECAY_S) * rig.fs)
    assert signal.silence == pytest.approx(max(searched, 0.4 * rig.fs), abs=1)

    def found(seconds: float) -> int:
        t = np.arange(round(seconds * rig.fs)) / rig.fs
        hum = sum(10.0 ** (-0.3 * k) * np.sin(2.0 * np.pi * 50.01 * (k + 1) * t + k) for k in range(3))
        noise = np.sqrt(np.mean(hum**2) * 0.1 * rig.fs / 40.0) * np.random.default_rng(5).standard_normal((40, len(t)))
        return sum(disturbance.mains_of((hum + n).astype(np.float32), rig.fs)[0] == 50.0 for n in noise)

    if seconds > 1.0:
        assert found(signal.silence / rig.fs) > 2 * found(0.4)


def test_combs_do_not_meet(crooked: Description) -> None:
    signal = multitone.combs([(80.0, 15000.0), (100.0, 20000.0), (20.0, 21000.0)], crooked.fs, 0.25)
    bins = [set(t.tolist()) for t in signal.tones]
    assert not any(a & b for i, a in enumerate(bins) for b in bins[:i])
    assert np.abs(signal.y).max(axis=1) == pytest.approx(0.25, rel=1e-5)
    assert not signal.y[:, : signal.silence].any()
    for output, part in ((o, p) for o in range(3) for p in signal.counted):
        spectrum = np.fft.rfft(signal.y[output, part].astype(float))
        assert np.abs(spectrum[signal.tones[output]] - signal.spectra[output]).max() < 1e-3
        others = np.delete(np.abs(spectrum), signal.tones[output])
        assert others.max() < 1e-4 * np.abs(signal.spectra[output]).max()


# the command


def test_the_command(sweetspot: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    rig = tmp_path / "deaf.toml"
    rig.write_text(find("desk").read_text().replace("full_scale_v = 0.3 ", "full_scale_v = 0.003 "))
    loud = sweetspot("rig", "check", rig, "--no-move")
    assert loud.returncode == 1, loud.stderr
    assert "FAIL" in loud.stdout
    assert "Not ready" in loud.stdout
    assert sweetspot("rig", "check", "desk", "--set", "nonsense").returncode == 2


@pytest.mark.server
def test_on_a_sound_card(
    jack_server: Callable[..., AbstractContextManager[Any]],
    jack_lab: Callable[..., AbstractContextManager[Any]],
    crooked_card_text: Callable[..., str],
    tmp_path: Path,
) -> None:
    """The whole check through PortAudio and an ET250-3D, by a rig file with two outputs exchanged."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stage = f'driver = "et250"\nhost = "127.0.0.1"\nudp_port = {port}\nlocal_port = 0\nreversed = true\n'
    text = re.sub(r'driver = "grbl".*\n.*\n', stage, crooked_card_text(tmp_path / "unused"))
    rig, other = tmp_path / "card.toml", tmp_path / "exchanged.toml"
    rig.write_text(text)
    exchanged = text.replace("channel = 1\nat", "channel = 9\nat").replace("channel = 3\nat", "channel = 1\nat")
    other.write_text(exchanged.replace("channel = 9\nat", "channel = 3\nat"))
    command = [
        sys.executable,
        "-c",
        "from sweetspot.command_line import main; main()",
        "rig",
        "check",
        str(other),
        "--json",
    ]
    with jack_server(47872) as server, jack_lab(server, rig, "--unit", "C-1") as card, server.freewheel():
        done = subprocess.run(command, cwd=tmp_path, env=server.env, capture_output=True, text=True, timeout=120)
    assert card.ready["port"] == f"127.0.0.1, UDP port {port}"
    assert done.returncode == 1, done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert {(f["check"], f["subject"]) for f in findings if f["outcome"] == "fail"} == {
        ("patch", "left"),
        ("patch", "right"),
    }
    (heard,) = [f for f in findings if f["check"] == "stage"]
    assert heard["text"].startswith("moved 57 degrees and back, confirmed acoustically (closure -")


# references


def test_an_earlier_check_is_a_reference(
    capsys: pytest.CaptureFixture[str], checked: Check, crooked: Description, tmp_path: Path
) -> None:
    (tmp_path / "rig.toml").write_text(crooked.text)
    arguments = ["rig", "check", str(tmp_path / "rig.toml"), "--json", "--unit", "T-2", "--runs", str(tmp_path)]
    assert not build()(arguments, standalone_mode=False)
    (tmp_path / "good.json").write_text(capsys.readouterr().out)
    good = reference.read(tmp_path / "good.json", crooked)
    assert {f.outcome for f in checked(reference=good)} == {"pass"}
    quiet = failed(checked(reference=good, plugs={3: (3, 0.4)}))
    assert set(quiet) == {("level", "right")}
    assert quiet["level", "right"].startswith("-8.0 dB re the reference")
    alike = checked(reference=good, plugs={5: (1, 1.0), 1: (5, 1.0)}, move=False)
    assert {k for k in failed(alike) if k[0] == "patch"} == {("patch", "woofer"), ("patch", "left")}
    assert failed(checked(reference=good, gear=-1.0)).keys() == {("stage", "lab")}


def test_a_session_is_a_reference(checked: Check, crooked_text: str, tmp_path: Path, lab_rig: Any) -> None:
    from sweetspot.measure import folder, plan
    from sweetspot.measure.run import measure
    from sweetspot.measure.session import Session

    before, _, rest = crooked_text.partition("positions = [")
    one = 'positions = [{ x = 0.0, y = 0.0, yaw_deg = 0, use = "design" }]'
    text = before + one + rest.partition("\n]")[2]
    rig = parse(text, folder=tmp_path)
    made = folder.new(tmp_path / "runs", "T-2", rig, NOON)
    with lab_rig(rig, "T-2") as opened, Session.resume(made / "session.h5") as session:
        measure(opened, session, plan.make(rig, "ears"), ask=lambda _: None, step=lambda _: None)
    ears = run.only(rig, "ears")
    good = reference.read(made, ears)
    assert {f.outcome for f in checked(rig=rig, only="ears", reference=good)} == {"pass"}
    swapped = failed(checked(rig=rig, only="ears", reference=good, plugs={5: (1, 1.0), 1: (5, 1.0)}, move=False))
    assert {k for k in swapped if k[0] == "patch"} == {("patch", "woofer"), ("patch", "left")}
    with pytest.raises(BadInput, match="has no microphone 'boom', only ear_right, ear_left"):
        reference.read(made, rig)


def test_what_is_no_reference_is_refused(crooked: Description, tmp_path: Path) -> None:
    for text in ("{}", "[1]", "nonsense", '{"heard": {"mics": ["a"], "drivers": []}}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(BadInput, match="is not what"):
            reference.read(tmp_path / "bad.json", crooked)
    with pytest.raises(BadInput, match="cannot be read"):
        reference.read(tmp_path / "none.json", crooked)


def test_correction_files_are_looked_at(checked: Check, crooked_text: str, tmp_path: Path) -> None:
    text = crooked_text.replace('name = "boom"\n', 'name = "boom"\ncalibration = "mic.txt"\n')
    (tmp_path / "mic.txt").write_text("*1000Hz -30.0\n30 2\n1000 1\n25000 0\n")
    rig = parse(text, folder=tmp_path)
    (shown_text,) = [f for f in checked(rig=rig, move=False) if f.check == "correction"]
    assert (shown_text.subject, shown_text.outcome) == ("boom", "warn")
    assert shown_text.text.startswith("3 points, 30 to 25000 Hz, +1.0 dB at 1 kHz; the rig's sensitivity is -4.0 dB re")
    # 20 mV/Pa is 0.2 of the full scale of 0.1 V at 1 Pa peak, so 94 dB SPL is -10.97 dBFS
    (tmp_path / "mic.txt").write_text('"Sens Factor =7.03dB, SERNO: 7"\n30 2\n1000 0\n25000 0\n')
    (same,) = [f for f in checked(rig=rig, move=False) if f.check == "correction"]
    assert (same.outcome, "sensitivity" in same.text) == ("pass", False)
    (tmp_path / "mic.txt").write_text('"Sens Factor =1.03dB, SERNO: 7"\n30 2\n1000 0\n25000 0\n')
    (other,) = [f for f in checked(rig=rig, move=False) if f.check == "correction"]
    assert "sensitivity is +6.0 dB re the file's (factor 1.03 dB, so 10 mV/Pa for interface.full_scale_v = 0.1)" in (
        other.text
    )
    (tmp_path / "mic.txt").write_text("30 2\n1000 x\n")
    with pytest.raises(BadInput, match=r"mic\.txt, line 2:"):
        checked(rig=rig, move=False)


@pytest.mark.parametrize("level", [-4.9, 3.0, -500.0, float("nan")])
def test_a_level_that_the_unit_cannot_take_is_refused(checked: Check, level: float) -> None:
    with pytest.raises(BadInput, match=r"--level-dbfs: .* limits\.ceiling_dbfs = -5"):
        checked(level_dbfs=level)


@pytest.mark.parametrize(
    ("faults", "wanted"),
    [
        (
            ["swap drivers=left,right", "invert driver=woofer", "unplug mic=ear_left"],
            {("patch", "left"), ("patch", "right"), ("polarity", "woofer"), ("microphone", "ear_left")},
        ),
        (["amp-off"], {("amplifier", "all")}),
        (["slip at=2 deg=4", "slam at=1 s=0.9"], {("stage", "lab")}),
    ],
    ids=["several at once", "amplifier off", "a slip and a slammed door"],
)
def test_faults_of_the_lab_are_named(crooked: Description, faults: list[str], wanted: set[tuple[str, str]]) -> None:
    with open_rig(with_faults(crooked, faults), serial="T-2") as opened:
        findings, _ = run.check(opened, opened.description, runs=Path())
    assert set(failed(findings)) == wanted, table(findings)
    assert any(f.check == "capture" for f in findings) == ("slam" in str(faults))


def test_identify_plays_one_driver_after_the_other_softly(crooked: Description, lab_rig: Callable[..., Rig]) -> None:
    rig = lab_rig(crooked)
    played: list[np.ndarray] = []
    capture = rig.interface.capture
    rig.interface.capture = lambda y: (played.append(y), capture(y))[1]  # type: ignore[method-assign]
    questions: list[str] = []
    found = identify(rig, lambda question: (questions.append(question), "left" not in question)[1])
    assert [f.outcome for f in found] == ["pass", "fail", "pass"]
    assert [int(np.flatnonzero(np.abs(y).max(axis=1))[0]) + 1 for y in played] == [d.channel for d in crooked.driver]
    assert max(np.abs(y).max() for y in played) < 0.06
    assert "Output 5 played: was that 'woofer' (80 to 15000 Hz)?" in questions


def test_a_check_stays_within_the_loudest_level(crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]) -> None:
    quiet = crooked_text.replace("ceiling_dbfs = -5.0", "ceiling_dbfs = -5.0\nloudest_db_spl = 55.0")
    rig = lab_rig(parse(quiet, folder=tmp_path))
    heard: list[float] = []
    capture, pascals = (
        rig.interface.capture,
        {m.channel - 1: 100.0 / m.sensitivity_mv_per_pa for m in rig.description.mic},
    )

    def listened(y: NDArray[np.float32]) -> Recording:
        recording = capture(y)
        for channel, pascal in pascals.items():
            power = np.convolve((pascal * recording.x[channel].astype(float)) ** 2, np.full(5984, 1 / 5984), "valid")
            heard.append(10.0 * np.log10(power.max() / 4e-10))
        return recording

    rig.interface.capture = listened  # type: ignore[method-assign]
    run.check(rig, rig.description, runs=tmp_path)
    assert 35.0 < max(heard) < 55.5
    with pytest.raises(TooLoud, match="the check would reach"):
        run.check(rig, rig.description, runs=tmp_path, level_dbfs=-6.0)
