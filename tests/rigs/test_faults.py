"""Every fault of the lab is in the samples that were recorded, in process and as a sound card."""

from __future__ import annotations

import copy
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sweetspot.measure.session import Session
from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.lab import soundcard, stage_server
from sweetspot.rigs.lab.interface import LabInterface, LabStage
from sweetspot.rigs.lab.sound.motor import Rub
from sweetspot.rigs.lab.soundcard import SoundCard
from sweetspot.rigs.lab.stage.et250_machine import Et250Machine
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file import lab_faults
from sweetspot.rigs.rig_file.added_faults import with_faults
from sweetspot.rigs.rig_file.description import Description, parse
from sweetspot.rigs.turntable.grbl import GrblStage
from sweetspot.rigs.units import db
from tests.patchbay import Unserved

QUIET = "mic_noise_db_spl = -200\nconverter_noise_dbfs = -250\nlatency_samples = 311\n"
BLOCK, LONG, GAP = 256, 47 * 256, 47 * 256
FS, LATE = 47872, 311
EAR_RIGHT, LOOP, BOOM, EAR_LEFT = range(4)
DRIVERS = {"left": 0, "right": 2, "woofer": 4}
Run = Callable[..., list[NDArray[np.float32]]]


@pytest.fixture(scope="module")
def world(crooked_text: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(parse(crooked_text + QUIET, tmp_path_factory.mktemp("rig")), "T-1")


@pytest.fixture(scope="module")
def y() -> NDArray[np.float32]:
    """Noise on every driver, another on the loopback, from the first sample on; then silence."""
    out = np.zeros((6, LONG), dtype=np.float32)
    rng = np.random.default_rng(8)
    out[[0, 2, 4, 5], : LONG // 2] = rng.uniform(-0.3, 0.3, (4, LONG // 2))
    return out


def faulty(world: World, texts: list[str], **changed: Any) -> World:
    """The same lab with faults; nothing is computed again."""
    out = copy.copy(world)
    rig = world.description
    if changed:
        rig = rig.model_copy(update={"lab": rig.lab.model_copy(update=changed)})
    out.description, out.pose = with_faults(rig, texts), Pose()
    return out


def open_lab(world: World) -> LabInterface:
    return LabInterface(world, lambda: datetime(2026, 3, 4, tzinfo=UTC))


def as_card(world: World, monkeypatch: pytest.MonkeyPatch) -> SoundCard:
    monkeypatch.setattr(soundcard, "_client", lambda *_: Unserved(BLOCK))
    monkeypatch.setattr(soundcard, "publish", lambda *_: None)
    monkeypatch.setattr(soundcard, "_address", lambda _: 0)
    return SoundCard(world)


def through(card: SoundCard, y: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a card gives while ``y`` plays."""
    out = []
    for block in np.split(y, y.shape[1] // BLOCK, axis=1):
        for port, samples in zip(card._outputs_of_programs, block, strict=True):
            port.get_array()[:] = samples
        card._process(BLOCK)
        card.tend()
        out.append(np.stack([p.get_array() for p in card._inputs_of_programs]))
    return np.concatenate(out, axis=1)


@pytest.fixture(params=["process", "card"])
def run(request: pytest.FixtureRequest, world: World, y: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Records ``captures`` times what ``y`` becomes in a lab with faults, in one form or the other."""

    def captured(*texts: str, captures: int = 1, **changed: Any) -> list[NDArray[np.float32]]:
        lab = faulty(world, list(texts), **changed)
        if request.param == "process":
            interface = open_lab(lab)
            return [interface.capture(y).x for _ in range(captures)]
        card, rest = as_card(lab, monkeypatch), np.zeros((6, GAP), dtype=np.float32)
        out = []
        for _ in range(captures):
            out.append(through(card, y))
            through(card, rest)
        return out

    return captured


@pytest.fixture
def period(request: pytest.FixtureRequest) -> int:
    """Samples from one capture to the next."""
    return LONG if request.node.callspec.params["run"] == "process" else LONG + GAP


@pytest.fixture
def clean(run: Run) -> NDArray[np.float32]:
    return run()[0]


def level(x: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.sqrt(np.mean(np.square(x.astype(float)), axis=-1))


def same(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    return bool(np.abs(a - b).max() <= 2e-6 * np.abs(b).max() + 1e-9)


def test_the_two_forms_hear_the_same(world: World, y: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["slam at=1 s=0.05 db=-20", "drop at=1 s=0.1", "invert driver=left", "swap mics=boom,ear_left at=1 s=0.08"]
    card = through(as_card(faulty(world, texts), monkeypatch), y)
    process = open_lab(faulty(world, texts))
    assert np.abs(card - process.capture(y).x).max() < 1e-5


def test_a_card_gives_the_same_bytes_again(
    world: World, y: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {"mic_noise_db_spl": 30.0, "clock_ppm": 40.0, "latency_spread_samples": 30}
    texts = ["speech at=1 for=0.1", "repeat at=1 s=0.1"]
    first, again = (through(as_card(faulty(world, texts, **changed), monkeypatch), y) for _ in range(2))
    other = through(as_card(faulty(world, texts, **changed, seed=6), monkeypatch), y)
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize(("kind", "low", "high"), [("slam", 60.0, 300.0), ("speech", 400.0, 3000.0)])
def test_a_sound_from_outside(run: Run, clean: NDArray[np.float32], kind: str, low: float, high: float) -> None:
    """Only in its capture, from its time on, at its level, in its band, at the microphones and not in the loopback."""
    fault = f"{kind} at=2 s=0.05 db=-20 band={low:g}-{high:g} for=0.15"
    first, second, third = run(fault, captures=3)
    assert same(first, clean)
    assert same(third, clean)
    added = second - clean
    start = LATE + round(0.05 * FS)
    assert same(second[LOOP], clean[LOOP])
    assert np.abs(added[:, :start]).max() < 1e-6
    assert db(np.abs(added).max()) == pytest.approx(-20.0, abs=0.1)
    power = np.abs(np.fft.rfft(added[EAR_LEFT])) ** 2
    f = np.fft.rfftfreq(LONG, 1 / FS)
    assert power[(f > 0.8 * low) & (f < 1.25 * high)].sum() > 0.97 * power.sum()


def test_a_sound_at_a_time_of_the_session(run: Run, clean: NDArray[np.float32], period: int) -> None:
    """Seconds of the session are seconds of the interface: rests count on a card, which runs on."""
    first, second = run(f"slam t={period / FS + 0.03}", captures=2)
    assert same(first, clean)
    began = int(np.argmax(np.abs(second - clean).max(axis=0) > 1e-4))
    assert began == pytest.approx(LATE + round(0.03 * FS), abs=25)


@pytest.mark.parametrize(("kind", "sign"), [("drop", 1), ("repeat", -1)])
def test_lost_and_repeated_samples(run: Run, clean: NDArray[np.float32], kind: str, sign: int) -> None:
    heard = run(f"{kind} at=1 s=0.06 samples=37")[0]
    at = round(0.06 * FS)
    assert same(heard[:, :at], clean[:, :at])
    if sign > 0:
        assert same(heard[:, at : LONG - 37], clean[:, at + 37 :])
    else:
        assert same(heard[:, at:], clean[:, at - 37 : LONG - 37])
    assert not same(heard[:, at:], clean[:, at:])


def test_a_flag_is_counted_when_it_is_asked_for(world: World, y: NDArray[np.float32]) -> None:
    for flag, counted in (("", 0), (" flag=yes", 1)):
        interface = open_lab(faulty(world, [f"drop at=1 s=0.1{flag}"]))
        assert interface.capture(y).xruns == counted


def test_a_preamplifier_too_high_clips(run: Run, clean: NDArray[np.float32]) -> None:
    heard = run("preamp mic=ear_left gain=50")[0]
    wanted = np.clip(clean[EAR_LEFT] * 10**2.5, -1.0, 1.0)
    assert np.count_nonzero(np.abs(heard[EAR_LEFT]) >= 1.0) > 100
    assert np.abs(heard[EAR_LEFT] - wanted).max() < 1e-2
    assert same(heard[[EAR_RIGHT, LOOP, BOOM]], clean[[EAR_RIGHT, LOOP, BOOM]])


def test_a_dead_driver_and_the_amplifier(world: World, run: Run, y: NDArray[np.float32]) -> None:
    """What is heard is what the other drivers alone play: the convolution sum."""
    paths = world.paths(Pose()).astype(float)
    for text, left in (("dead driver=woofer", (0, 2)), ("amp-off", ())):
        heard = run(text)[0]
        wanted = np.zeros(LONG - LATE)
        for o in left:
            wanted += np.convolve(y[o].astype(float), paths[EAR_LEFT, o])[: LONG - LATE]
        assert np.abs(heard[EAR_LEFT, LATE:] - wanted).max() < 1e-6
        assert np.abs(heard[LOOP, LATE:] - y[5, : LONG - LATE]).max() < 1e-6


def test_a_state_ends(run: Run, clean: NDArray[np.float32]) -> None:
    heard = run("dead mic=boom at=2 s=0.05 for=0.04", captures=2)
    low = round(0.05 * FS) + LATE
    high = low + round(0.04 * FS)
    assert same(heard[0], clean)
    assert np.abs(heard[1][BOOM, low:high]).max() == 0.0 or db(np.abs(heard[1][BOOM, low:high]).max()) < -150.0
    assert same(heard[1][BOOM, :low], clean[BOOM, :low])
    assert same(heard[1][BOOM, high:], clean[BOOM, high:])


def test_reversed_and_swapped_microphones(run: Run, clean: NDArray[np.float32]) -> None:
    heard = run("invert mic=boom", "swap mics=ear_left,ear_right")[0]
    assert same(heard[BOOM], -clean[BOOM])
    assert same(heard[[EAR_LEFT, EAR_RIGHT]], clean[[EAR_RIGHT, EAR_LEFT]])


def test_reversed_swapped_and_louder_drivers(world: World, run: Run, y: NDArray[np.float32]) -> None:
    heard = run("invert driver=left", "level driver=woofer db=-6", "swap drivers=left,right at=2", captures=2)
    played = y.astype(float) * np.array([-1, 1, 1, 1, 10 ** (-6 / 20), 1])[:, None]
    paths = world.paths(Pose()).astype(float)
    for x, o_left, o_right in ((heard[0], 0, 2), (heard[1], 2, 0)):
        wires = {0: o_left, 2: o_right, 4: 4}
        sent = y.astype(float).copy()
        if o_left == 2:  # first the polarity of what is meant for the left one, then the swap
            sent[[0, 2]] = np.stack([y[2], -y[0]])
            sent[4] = played[4]
        else:
            sent = played
        wanted = sum(np.convolve(sent[o], paths[BOOM, o])[: LONG - LATE] for o in wires)
        assert np.abs(x[BOOM, LATE:] - wanted).max() < 1e-6


def test_a_voice_coil_rubs_once_a_cycle_while_its_excursion_is_large(run: Run, clean: NDArray[np.float32]) -> None:
    t = np.arange(FS) / FS
    low = (0.2 * np.sin(2.0 * np.pi * 40.0 * t)).astype(np.float32)
    rub = Rub(0.01, 0.1, FS)
    clicks = np.concatenate([rub.process(block) for block in np.array_split(low, 47)]) - low
    assert np.abs(clicks).max() == pytest.approx(0.01, rel=1e-3)
    assert np.count_nonzero(np.diff((np.abs(clicks) > 0.005).nonzero()[0]) > FS // 100) == 39
    for quiet in (0.3 * low, (0.2 * np.sin(2.0 * np.pi * 2000.0 * t)).astype(np.float32)):
        assert np.array_equal(Rub(0.01, 0.1, FS).process(quiet), quiet)
    assert same(run("rub driver=left over=0")[0], clean)


def test_an_unplugged_ear_keeps_only_the_converters_noise(run: Run) -> None:
    noisy = {"mic_noise_db_spl": 30.0, "converter_noise_dbfs": -100.0}
    unplugged = run("unplug mic=ear_left", **noisy)[0]
    deaf = run("dead mic=ear_left", **noisy)[0]
    assert db(level(unplugged[EAR_LEFT, 1000:])) == pytest.approx(-100.0, abs=0.3)
    gain = 0.014 / 0.1
    floor = np.hypot(10 ** (-100 / 20), gain * 20e-6 * 10 ** (30 / 20))
    assert level(deaf[EAR_LEFT, 1000:]) == pytest.approx(floor, rel=0.05)
    assert level(unplugged[EAR_RIGHT]) > 100 * level(unplugged[EAR_LEFT])


def test_a_step_of_temperature_changes_the_speed_of_sound(world: World, run: Run, y: NDArray[np.float32]) -> None:
    """10 K more: everything arrives earlier by 1 - sqrt(T / (T + 10)) of its way."""
    before, after = run("temperature by=10 at=2", captures=2)
    delay = []
    for x in (before, after):
        correlation = np.fft.irfft(np.fft.rfft(x[BOOM], 4 * LONG) * np.conj(np.fft.rfft(y[2], 4 * LONG)))
        k = int(np.argmax(np.abs(correlation[:3000])))
        a, b, c = np.abs(correlation[k - 1 : k + 2])
        delay.append(k + 0.5 * (a - c) / (a - 2 * b + c))
    way = 1.7 / 341.45 * FS
    assert delay[0] - delay[1] == pytest.approx(way * (1 - np.sqrt(290.15 / 300.15)), abs=0.6)


def test_a_turntable_that_slips_and_does_not_know(world: World) -> None:
    lab = faulty(world, ["slip at=1 deg=4", "slip at=3 deg=-1"])
    interface = open_lab(lab)
    stage = LabStage(lab, interface.before_move)
    click = np.zeros((6, 4096), dtype=np.float32)
    click[:, 0] = 0.1
    for asked, off in ((0.2, 4.0), (0.3, 4.0), (0.4, 3.0)):
        assert stage.move(Pose(turn=asked)) == Pose(turn=asked)
        heard = interface.capture(click).x
        paths = world.paths(Pose(turn=asked + np.radians(off))).sum(axis=1)
        wanted = np.pad(0.1 * paths, ((0, 0), (LATE, 0)))[:, :4096]
        assert np.abs(heard - wanted).max() < 1e-6


def test_a_turntable_that_stalls_or_answers_late(world: World, y: NDArray[np.float32]) -> None:
    slept: list[float] = []
    lab = faulty(world, ["late at=1 by=2.5", "stall at=2"])
    interface = open_lab(lab)
    stage = LabStage(lab, interface.before_move, slept.append)
    stage.move(Pose(turn=0.1))
    interface.capture(y)
    assert slept == [2.5]
    for _ in range(2):
        with pytest.raises(HardwareTrouble, match="stands still"):
            stage.move(Pose(turn=0.2))
    assert lab.pose == Pose(turn=0.1)


def test_the_cards_turntable_slips_stalls_and_answers_late(
    crooked_text: str, tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = as_card(faulty(world, ["slip t=0 deg=5", "late t=0 by=0.4", "stall at=3"]), monkeypatch)
    with stage_server.turntable(card) as simulator:
        table = f'driver = "grbl"\nport = "{simulator.port}"\ntimeout_s = 1.0\n[limits]'
        stage = GrblStage.open(
            parse(crooked_text.replace('driver = "lab"\n[limits]', table), tmp_path), sleep=time.sleep
        )
        began = time.monotonic()
        assert np.degrees(stage.move(Pose(turn=np.radians(20.0))).turn) == pytest.approx(20.0)
        assert time.monotonic() - began > 0.4
        assert np.degrees(card.world.pose.turn) == pytest.approx(25.0)
        card._span = soundcard.Span(2, 0, 0, 0)
        with pytest.raises(HardwareTrouble):
            stage.move(Pose(turn=np.radians(30.0)))
        assert np.degrees(card.world.pose.turn) == pytest.approx(25.0)
        stage.close()


def test_an_et250_stalls_and_falls_silent() -> None:
    answers = iter([(False, 0.5), (True, 0.0)])
    stood: list[float] = []
    machine = Et250Machine(stood.append, befalling=lambda: next(answers))
    assert machine._turn(10.0, False, 1.0) is not None
    assert machine.feed(b"????", 1.4) is None
    assert machine.feed(b"????", 1.6) is not None
    machine._turn(10.0, False, 2.0)
    assert stood == [10.0]


@pytest.fixture
def one_place(crooked_text: str, tmp_path: Path) -> Path:
    """A rig file with one place of the head: three captures."""
    lines = [line for line in crooked_text.splitlines() if not (line.startswith("    {") and "y = 0.01," not in line)]
    path = tmp_path / "rig.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_crash_leaves_what_landed(sweetspot: Callable[..., Any], one_place: Path) -> None:
    """A fault in the rig's own file holds for whoever opens it, so the session that goes on is killed as well."""
    one_place.write_text(one_place.read_text() + '[lab.faults]\nschedule = ["crash at=2"]\n')
    assert sweetspot("measure", "ears", "rig.toml", "--unit", "C").returncode == -signal.SIGKILL
    assert landed(one_place.parent) == 1
    done = sweetspot("measure", "resume", next(one_place.parent.glob("runs/C/*")))
    assert done.returncode == -signal.SIGKILL
    assert landed(one_place.parent) == 2


def landed(place: Path) -> int:
    with Session.read(next(place.glob("runs/*/*/session.h5"))) as session:
        return len(session.landed("ears"))


def test_a_full_disk_leaves_what_landed(sweetspot: Callable[..., Any], one_place: Path) -> None:
    done = sweetspot("measure", "ears", "rig.toml", "--unit", "D", "--fault", "disk-full at=2")
    assert done.returncode == 3
    assert "the disk is full" in done.stderr
    assert landed(one_place.parent) == 1
    done = sweetspot("measure", "resume", next(one_place.parent.glob("runs/D/*")))
    assert done.returncode == 0, done.stderr
    assert landed(one_place.parent) == 3


def test_a_card_that_crashes_is_gone(world: World, y: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch) -> None:
    card = as_card(faulty(world, ["crash at=1 s=0.1"]), monkeypatch)
    child = os.fork()
    if child == 0:
        through(card, y)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slamm at=3", "did you mean 'slam'"),
        ("slam at=3 lvl=2", "there are: db, band, for, at, s, t"),
        ("slam", "say when: at=CAPTURE"),
        ("crash s=3", "say which, at=CAPTURE"),
        ("slam at=3 t=2", "goes with neither"),
        ("slam at=0", "at=0 is not captures from 1"),
        ("slam at=5-3", "at=5-3 is not captures"),
        ("preamp mic=boom gain=900", "gain=900 is not dB from -60 to 80"),
        ("preamp gain=9", "preamp needs mic="),
        ("dead", "dead needs one of driver= and mic="),
        ("slip at=2 deg", "'deg' is not key=value"),
        ("dead driver=nix", "no driver named 'nix'; there are: woofer, left, right"),
        ("swap mics=boom,bam", "no mic named 'bam'; there are: ear_right, boom, ear_left"),
        ("drop at=1 samples=400", "more than the 311 of lab.latency_samples"),
    ],
)
def test_wrong_words_are_reported_with_the_candidates(
    world: World, crooked_text: str, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(BadInput) as outcome:
        with_faults(world.description, [text])
    assert message in str(outcome.value)
    with pytest.raises(BadInput) as outcome:
        parse(f'{crooked_text}{QUIET}[lab.faults]\nschedule = ["amp-off", "{text}"]\n', tmp_path)
    assert "lab.faults.schedule[2]" in str(outcome.value)
    assert message in str(outcome.value)


def test_faults_of_a_real_device_are_refused(crooked_text: str, crooked_card_text: Any, tmp_path: Path) -> None:
    described = parse(crooked_card_text(tmp_path / "port"), tmp_path)
    with pytest.raises(BadInput, match="plays through a device"):
        with_faults(described, ["amp-off"])
    with pytest.raises(BadInput, match="writes no files"):
        with_faults(described, ["disk-full at=2"], card=True)
    assert with_faults(described, ["amp-off"], card=True).lab.faults.schedule == ("amp-off",)


def test_every_kind_is_listed() -> None:
    data, lines = lab_faults.listing()
    assert [kind["name"] for kind in data["kinds"]] == list(lab_faults.KINDS)
    assert all(f"\n{name} " in lines for name in lab_faults.KINDS)


@pytest.mark.server
def test_faults_through_a_server(
    jack_server: Callable[..., AbstractContextManager[Any]],
    jack_lab: Callable[..., AbstractContextManager[Any]],
    in_server: Callable[[Any], None],
    crooked_card_text: Callable[[Path, str], str],
    tmp_path: Path,
    y: NDArray[np.float32],
) -> None:
    """The second capture has a deaf microphone and lost samples, flagged: PortAudio reports an xrun."""
    text = crooked_card_text(tmp_path / "turntable", QUIET)
    (tmp_path / "rig.toml").write_text(text)
    options = ["--unit", "T-1", "--fault", "drop at=2 s=0.1 samples=50 flag=yes", "--fault", "dead mic=boom at=2"]
    described: Description = parse(text, tmp_path)
    rig: Rig
    with jack_server(FS, 512) as server, jack_lab(server, tmp_path / "rig.toml", *options):
        in_server(server)
        with open_rig(described, serial="T-1") as rig:
            first, second = rig.interface.capture(y), rig.interface.capture(y)
    late = int(np.argmax(np.correlate(first.x[LOOP].astype(float), y[5, :2000].astype(float))))
    at = round(0.1 * FS) + late - LATE
    assert np.abs(first.x[BOOM]).max() > 1e-3
    assert np.abs(second.x[BOOM]).max() < 1e-6
    assert second.xruns >= 1
    lag = [
        int(np.argmax(np.correlate(x[LOOP, at + 100 :].astype(float), y[5, at - late + 500 : at - late + 1500])))
        for x in (first.x, second.x)
    ]
    assert lag[0] - lag[1] == 50
