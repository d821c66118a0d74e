"""Filters that follow a listener: the block path, files, poses as they come in, and what is not to be followed."""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sweetspot.processor import store
from sweetspot.processor.bank import (
    FilterBank,
    Follower,
    ListenerPath,
    ListenerPose,
    StoredBank,
    WalkingEngine,
    osc,
    read_path,
)
from sweetspot.processor.bank.osc import MalformedPacketError
from sweetspot.processor.engine import Engine
from sweetspot.processor.live import memory
from sweetspot.processor.live.block import CompiledBlock
from sweetspot.processor.live.memory import PlayerMemory, Shared
from sweetspot.processor.live.player import PlayedProgram, prepared
from sweetspot.processor.live.poses import PoseStream
from sweetspot.processor.plain import bypass, on_pair
from sweetspot.processor.render import aligned
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.live_stream import Wanted
from tests.filter_sets import FS, filter_set
from tests.processor.osc_message import packed

BLOCK = 256


def made(places: list[tuple[float, float]], method: str = "off", taps: int = 300) -> FilterBank:
    """Three programs to three drivers; filters of neighbouring places are alike."""
    rng = np.random.default_rng(4)
    base, more = (0.02 * rng.standard_normal((3, 3, taps)) for _ in range(2))
    each = np.array([base + y * more for _, y in places])
    home = filter_set(each[0].astype(np.float32).astype(np.float64), method)
    rows = np.array([(x, y, np.arctan2(y, x)) for x, y in places])
    return FilterBank(home, rows, each.astype(np.float32), 0, 0.4)


ROW = [(2.0, 0.0), (2.0, 0.1), (2.0, 0.2), (2.0, 0.3), (1.5, 0.0)]


class Live:
    """The compiled block path of a bank, fed by hand."""

    def __init__(self, bank: FilterBank, block: int = BLOCK) -> None:
        self.memory = PlayerMemory(Shared.make(get_context("spawn"), 1.0, FS, 3))
        self.memory.controls[memory.AMOUNT] = bank.home.upmix.amount
        wanted = Wanted("x", None, None, 6, 0, FS, block)
        forms = (bank.home, bank.home, bypass(bank.home, on_pair((2, 0), len(bank.home.drivers))))
        self.block, self.made = block, prepared(PlayedProgram(forms, wanted, None, bank), self.memory)

    def walk(self, place: int) -> None:
        """Ask for a place from now on."""
        self.memory.controls[memory.PLACE] = float(place)

    def play(self, x: np.ndarray, places: dict[int, int] | None = None, bypassed: range = range(0)) -> np.ndarray:
        """The drivers' channels for ``x``; ``places`` are requested ahead of blocks."""
        out = []
        for i in range(x.shape[1] // self.block):
            self.memory.controls[memory.PLACE] = (places or {}).get(i, self.memory.controls[memory.PLACE])
            self.memory.controls[memory.BYPASS] = float(i in bypassed)
            self.memory.write(x[:, i * self.block : (i + 1) * self.block])
            played = np.zeros((self.block, 6), dtype=np.float32)
            self.made.apply_controls()
            self.made.step(None, played, self.block, False)
            self.made.apply_controls()
            out.append(played.T[[4, 0, 1]])
        return np.concatenate(out, axis=1)


@pytest.fixture
def x() -> np.ndarray:
    return (0.1 * np.random.default_rng(2).standard_normal((2, 60 * BLOCK))).astype(np.float32)


def static(bank: FilterBank, place: int, x: np.ndarray) -> np.ndarray:
    engine = Engine(bank.at(place), BLOCK)
    return engine.process(x.astype(float))


@pytest.mark.parametrize("method", ["off", "projection"])
def test_live_and_files_walk_by_one_rule(x: np.ndarray, method: str) -> None:
    bank = made(ROW, method)
    live = Live(bank)
    y = live.play(x, {20: 2, 40: 4})
    latency = Engine(bank.home, BLOCK).upmix_latency
    times = tuple((b * BLOCK - latency) / FS for b in (0, 20, 40))
    path = ListenerPath(times, (ListenerPose(2.0, 0.0), ListenerPose(2.0, 0.2), ListenerPose(1.5, 0.0)))
    engine = WalkingEngine(bank, path)
    offline = engine.process(x)
    settled = slice(3000, None)  # behind the soft start
    assert y[:, settled] == pytest.approx(offline[:, settled], abs=2e-6)
    assert engine.changes == 2


def test_between_changes_only_the_filters_of_the_place_are_heard(x: np.ndarray) -> None:
    """Behind the crossfade it is the static engine's output to the bit depth, as if it had played all along."""
    bank = made(ROW)
    y = Live(bank).play(x, {20: 3})
    fade = 21 * BLOCK + round(0.03 * FS) + Engine(bank.home, BLOCK).latency
    before, after = static(bank, 0, x), static(bank, 3, x)
    assert y[:, 3000 : 20 * BLOCK] == pytest.approx(before[:, 3000 : 20 * BLOCK], abs=2e-6)
    assert y[:, fade:] == pytest.approx(after[:, fade:], abs=2e-6)
    assert np.abs(before - after)[:, fade:].max() > 0.01


def test_a_crossfade_stays_between_both_places(x: np.ndarray) -> None:
    bank = made(ROW)
    y = Live(bank).play(x, {20: 3})
    a, b = static(bank, 0, x), static(bank, 3, x)
    low, high = np.minimum(a, b) - 1e-5, np.maximum(a, b) + 1e-5
    inside = slice(3000, None)
    assert np.all((y >= low)[:, inside] & (y <= high)[:, inside])


@pytest.mark.parametrize(
    ("poses", "bypassed", "settled"),
    [
        ({20: 3, 21: 1, 22: 2, 23: 4}, range(0), 40),
        ({12: 3}, range(8, 30), 48),
        ({8: 1, 31: 2, 33: 4}, range(7, 29), 52),
    ],
    ids=["poses-during-a-crossfade-wait", "changed-behind-the-bypass", "while-the-bypass-fades-out-and-in"],
)
def test_the_last_pose_counts(x: np.ndarray, poses: dict[int, int], bypassed: range, settled: int) -> None:
    bank = made(ROW)
    y = Live(bank).play(x, poses, bypassed=bypassed)
    end = static(bank, list(poses.values())[-1], x)
    assert y[:, settled * BLOCK :] == pytest.approx(end[:, settled * BLOCK :], abs=2e-6)


def test_a_walk_along_a_tone_has_no_click() -> None:
    """Spectral flux of a steady tone, walking through all places and back, against the same standing still."""
    bank = made([(2.0, round(0.1 * i - 0.3, 3)) for i in range(7)])
    t = np.arange(3 * FS // 4 // BLOCK * BLOCK) / FS
    x = (0.05 * np.sin(2 * np.pi * 997.0 * t) * np.ones((2, 1))).astype(np.float32)
    steps = {20 + 9 * i: i if i < 7 else 12 - i for i in range(13)}
    walked, still = Live(bank).play(x, steps), Live(bank).play(x, {0: 3})

    def flux(y: np.ndarray) -> float:
        """Largest energy outside the tone's own half octaves in any 256 samples, re the tone, dB."""
        frames = y[0, 4096:][: (y.shape[1] - 4096) // 256 * 256].reshape(-1, 256) * np.hanning(256)
        power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
        f = np.fft.rfftfreq(256, 1 / FS)
        off = power[:, f > 3000.0].sum(axis=1).max() / power.sum(axis=1).mean()
        return float(10 * np.log10(off + 1e-30))

    assert flux(walked) < max(flux(still), -90.0) + 6.0


@pytest.fixture
def bank() -> FilterBank:
    return made(ROW)


def test_a_lost_stream_holds_and_then_returns(bank: FilterBank) -> None:
    follower = Follower(bank)
    assert follower.tick(0.0) == 0
    assert follower.offer(1.0, ListenerPose(2.0, 0.3))
    assert follower.tick(1.1) == 3
    assert follower.tick(4.0) == 3
    assert follower.is_lost(4.0)
    assert follower.tick(7.0) == 0
    assert not follower.is_lost(7.0)


def test_poses_that_are_none_change_nothing(bank: FilterBank) -> None:
    follower = Follower(bank)
    follower.offer(0.0, ListenerPose(2.0, 0.2))
    for pose in (ListenerPose(float("nan"), 0.0), ListenerPose(0.1, 0.0), ListenerPose(9.0, 0.0)):
        assert not follower.offer(0.01, pose)
    assert follower.tick(0.02) == 2
    assert follower.refused == 3
    assert "outside" in follower.why


def test_one_outlier_is_not_believed_but_a_new_seat_is(bank: FilterBank) -> None:
    follower = Follower(bank)
    follower.offer(0.0, ListenerPose(2.0, 0.2))
    assert not follower.offer(0.016, ListenerPose(1.4, -0.1))
    assert follower.offer(0.032, ListenerPose(2.0, 0.2))
    assert follower.tick(0.04) == 2
    assert not follower.offer(0.048, ListenerPose(1.5, 0.0))
    assert follower.offer(0.064, ListenerPose(1.51, 0.0))
    assert follower.tick(0.07) == 4


def test_a_second_sender_waits_until_the_first_is_silent(bank: FilterBank) -> None:
    follower = Follower(bank)
    assert follower.offer(0.0, ListenerPose(2.0, 0.2), "a")
    assert not follower.offer(0.5, ListenerPose(2.0, 0.0), "b")
    assert follower.foreign == 1
    assert follower.tick(0.5) == 2
    assert follower.offer(1.6, ListenerPose(2.0, 0.0), "b")
    assert follower.tick(1.6) == 0


def test_messages_are_open_sound_control() -> None:
    """Bytes by hand from the specification: padded address, types, big-endian numbers."""
    wanted = b"/listener\0\0\0,fff\0\0\0\0" + struct.pack(">fff", 2.0, -0.25, 10.0)
    pose = ListenerPose(2.0, -0.25, np.radians(10.0))
    assert packed(pose) == wanted
    found = osc.pose_in(wanted)
    assert (found.x, found.y, found.turned) == pytest.approx((2.0, -0.25, np.radians(10.0)))
    bundle = b"#bundle\0" + bytes(8) + b"".join(struct.pack(">i", len(m)) + m for m in (packed(found), wanted))
    assert osc.pose_in(bundle) == found
    assert osc.pose_in(b"/listener\0\0\0,if\0" + struct.pack(">if", 2, 0.5)).yaw is None


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"/listener",
        b"/listener\0\0\0",
        b"/listener\0\0\0,fff\0\0\0\0" + bytes(8),
        b"/listener\0\0\0,sss\0\0\0\0" + bytes(12),
        b"/other\0\0,ff\0" + bytes(8),
        b"/listener\0\0\0,ff\0" + struct.pack(">ff", float("nan"), 1.0),
        b"#bundle\0" + bytes(8) + struct.pack(">i", 1 << 30),
        b"#bundle\0" + bytes(8),
        b"\xff" * 64,
        bytes(4096),
    ],
)
def test_malformed_packets_are_distinguished(packet: bytes) -> None:
    with pytest.raises(MalformedPacketError):
        osc.pose_in(packet)


def sent(port: int, packets: Iterator[bytes] | list[bytes], sender: socket.socket | None = None) -> socket.socket:
    sender = sender or socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for packet in packets:
        sender.sendto(packet, ("127.0.0.1", port))
    return sender


def until(done: object, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():  # type: ignore[operator]
            return True
        time.sleep(0.005)
    return False


def test_a_stream_of_poses_with_rubbish_a_flood_and_a_second_sender(bank: FilterBank) -> None:
    places: list[int] = []
    with PoseStream(Follower(bank), 0).to(places.append) as stream:
        first = sent(stream.port, [packed(ListenerPose(2.0, 0.0))])
        assert until(lambda: stream.poses == 1)
        sent(stream.port, [b"rubbish!", packed(ListenerPose(float("nan"), 0.0))], first)
        assert until(lambda: stream.malformed == 2)
        other = sent(stream.port, [packed(ListenerPose(2.0, 0.3))])
        assert until(lambda: stream.follower.foreign == 1)
        sent(stream.port, (packed(ListenerPose(2.0, 0.2)) for _ in range(5000)), first)
        assert until(lambda: places[-1] == 2)
        assert "2 malformed" in stream.text
        assert "1 from another sender" in stream.text
        with pytest.raises(BadInput, match="give another port"):
            PoseStream(Follower(bank), stream.port)
        first.close()
        other.close()


def pose_at(x: float, y: float) -> bytes:
    return packed(ListenerPose(x, y))


BAD = {
    "a value that is no number": ("malformed", [b"/listener\0\0\0,ff\0" + struct.pack(">ff", float("nan"), 0.0)]),
    "an infinite value": ("malformed", [b"/listener\0\0\0,ff\0" + struct.pack(">ff", 2.0, float("inf"))]),
    "half a message": ("malformed", [b"/listener\0\0\0,fff\0\0\0\0" + bytes(8)]),
    "an endless bundle": ("malformed", [b"#bundle\0" + bytes(8) + struct.pack(">i", 1 << 30)]),
    "a packet that is too large": ("malformed", [bytes(4096)]),
    "an empty packet": ("malformed", [b""]),
    "a flood of rubbish": ("malformed", [b"\xff" * 64] * 1000),
    "inside the device": ("refused", [pose_at(0.1, 0.0)]),
    "far outside the bank": ("refused", [pose_at(1e6, -1e6)]),
    "a jump": ("refused", [pose_at(1.4, 0.0)]),
}


def settled(stream: PoseStream, counted: str) -> int:
    """A count that no longer grows, or 0: while a flood waits, the system has no room for a good pose."""
    count = stream.to_dict()[counted]
    time.sleep(0.05)
    return count if stream.to_dict()[counted] == count else 0


def test_bad_poses_at_the_door_change_nothing_that_plays(bank: FilterBank, x: np.ndarray) -> None:
    """Counted, their cause shown; the drivers' channels are those of the last good pose to the bit depth."""
    live, y, part = Live(bank), [], 6 * BLOCK
    good = pose_at(2.0, 0.2)
    with PoseStream(Follower(bank), 0).to(live.walk) as stream:
        sender = sent(stream.port, [good])
        assert until(lambda: stream.poses == 1)
        early = live.play(x[:, : 24 * BLOCK])
        for i, (what, (counted, packets)) in enumerate(BAD.items()):
            before, taken = stream.to_dict()[counted], stream.poses
            sent(stream.port, [good, *packets], sender)
            assert until(lambda: before < settled(stream, counted)), what  # noqa: B023 (called before the next round)
            y.append(live.play(x[:, i * part : (i + 1) * part]))
            sent(stream.port, [good], sender)
            assert until(lambda: stream.poses == taken + 2), f"{what}: a good pose is taken again"  # noqa: B023
            assert stream.follower.why in stream.text
            assert stream.follower.why
        stream.check()
        sender.close()
    played = [x[:, : 24 * BLOCK], x[:, : len(BAD) * part]]
    end = static(bank, 2, np.concatenate(played, axis=1))[:, early.shape[1] :]
    assert np.concatenate(y, axis=1) == pytest.approx(end, abs=2e-6)


def test_two_senders_in_turn_play_one_place(bank: FilterBank, x: np.ndarray) -> None:
    live = Live(bank)
    with PoseStream(Follower(bank), 0).to(live.walk) as stream:
        first = sent(stream.port, [pose_at(2.0, 0.0)])
        assert until(lambda: stream.poses == 1)
        early = live.play(x)
        other = sent(stream.port, [])
        for i in range(50):
            sent(stream.port, [pose_at(2.0, 0.0)], first)
            sent(stream.port, [pose_at(2.0, 0.3)], other)
            assert until(lambda: stream.poses == i + 2)  # noqa: B023 (called before the next round)
        assert until(lambda: stream.follower.foreign == 50)
        y = live.play(x)
        first.close()
        other.close()
    end = static(bank, 0, np.concatenate([x, x], axis=1))[:, early.shape[1] :]
    assert y == pytest.approx(end, abs=2e-6)


def test_a_path_is_read_and_a_file_processed_along_it(tmp_path: Path, bank: FilterBank, x: np.ndarray) -> None:
    file = tmp_path / "walk.csv"
    file.write_text("t,x,y,yaw_deg\n0, 2.0, 0.0\n# to the left\n0.1, 2.0, 0.2, 5\n")
    path = read_path(file, bank)
    assert path.at(0.05) == ListenerPose(2.0, 0.0)
    assert path.at(7.0) == ListenerPose(2.0, 0.2, np.radians(5.0))
    engine = WalkingEngine(bank, path)
    y = np.concatenate(list(aligned(engine, [x[:, i : i + 1000] for i in range(0, x.shape[1], 1000)])), axis=1)
    assert engine.changes == 1
    late = round(0.2 * FS)
    wanted = np.concatenate(list(aligned(Engine(bank.at(2), BLOCK), [x.astype(float)])), axis=1)
    assert y[:, late : x.shape[1]] == pytest.approx(wanted[:, late : x.shape[1]], abs=2e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no pose"),
        ("0 2\n", "walk.csv:1"),
        ("0 2 0\n0.1 nan 0\n", "walk.csv:2"),
        ("0.2 2 0\n0.1 2 0\n", "must increase"),
        ("0 9 9\n", "outside the bank"),
        ("0 0.1 0\n", "nearer"),
        ("a b c\n", "seconds, metres and degrees"),
    ],
)
def test_a_path_that_is_none_is_refused(tmp_path: Path, bank: FilterBank, text: str, message: str) -> None:
    file = tmp_path / "walk.csv"
    file.write_text(text)
    with pytest.raises(BadInput, match=message):
        read_path(file, bank)


def test_a_bank_is_exported_place_by_place_with_an_index(
    tmp_path: Path, bank: FilterBank, sweetspot: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    file, out = tmp_path / "filterset.h5", tmp_path / "out"
    store.write(file, bank.home, bank=StoredBank(bank, {"mean_db": np.zeros(5, dtype=np.float32)}))
    done = sweetspot("export", file, "--to", "wav", "--bank", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    listing = json.loads((out / "index.json").read_text())
    assert [(p["x"], p["y"]) for p in listing["places"]] == ROW
    assert listing["default"] == 0
    for i, place in enumerate(listing["places"]):
        assert all((out / place["folder"] / name).is_file() for name in place["files"])
        waves = [n for n in place["files"] if n.startswith("left_5_") and n.endswith(".wav")]
        x, fs = soundfile.read(out / place["folder"] / waves[0])
        assert fs == FS
        assert x == pytest.approx(bank.taps[i, 0, 0], abs=1e-7)
    camilla = sweetspot("export", file, "--to", "camilladsp", "--bank", "--out", tmp_path / "camilla")
    assert "SetConfigFilePath" in camilla.stdout
    brutefir = sweetspot("export", file, "--to", "brutefir", "--bank", "--out", tmp_path / "brutefir")
    assert "bank-jack.conf" in brutefir.stdout
    noted = (tmp_path / "brutefir" / "place-001" / "README.txt").read_text()
    assert "lowered by" in noted
    assert "lowered by" in brutefir.stdout
    text = (tmp_path / "brutefir" / "bank-jack.conf").read_text()
    for place in ("place-001", "place-004"):
        names = re.findall(r'cfc "(\S+)" "(\S+)";', (tmp_path / "brutefir" / f"{place}.cli").read_text())
        assert len(names) == 2 * len(bank.home.drivers)
        for filt, coefficients in names:
            assert f'coeff "{coefficients}" {{ filename: "{coefficients}"' in text
            assert f'filter "{filt}"' in text
            assert (tmp_path / "brutefir" / coefficients).is_file()
    assert 'logic: "cli" { port: 3333; };' in text
    assert "crossfade: false" not in text
    plain = tmp_path / "plain.h5"
    store.write(plain, bank.home)
    refused = sweetspot("export", plain, "--to", "wav", "--bank", "--out", out)
    assert refused.returncode == 2
    assert "no bank" in refused.stderr


def test_engines_that_do_not_walk_refuse_to(bank: FilterBank) -> None:
    engine = Engine(bank.home, BLOCK)
    with pytest.raises(ValueError, match="walks=True"):
        engine.walk(replace(bank.home), None)  # type: ignore[arg-type]


def test_long_filters_of_a_bank_have_one_level(x: np.ndarray) -> None:
    bank = made(ROW[:2], taps=4000)
    live = Live(bank, 64)
    assert isinstance(live.made, CompiledBlock)
    y = live.play(x, {40: 1})
    end = static(bank, 1, x)
    assert y[:, 100 * 64 :] == pytest.approx(end[:, 100 * 64 :], abs=5e-6)
