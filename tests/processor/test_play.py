"""``sweetspot play`` on a real audio server: the lab's sound card as the device, keys through a terminal of its own."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from sweetspot.processor import store
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.hosts import patchbay
from tests.filter_sets import filter_set
from tests.processor.on_jack import Played

FS = 48000
pytestmark = pytest.mark.server


def filters(drivers: int = 3) -> FilterSet:
    rng = np.random.default_rng(4)
    return filter_set(0.02 * rng.standard_normal((3, drivers, 256)), "projection", fs=FS, channels=(5, 1, 3)[:drivers])


PLAY = (sys.executable, "-c", "from sweetspot.command_line import main; main()", "play")


@pytest.fixture(scope="module")
def card(
    tmp_path_factory: pytest.TempPathFactory,
    crooked_card_text: Callable[[Path], str],
    jack_server: Callable[..., Any],
    jack_lab: Callable[..., Any],
) -> Iterator[Any]:
    """A server at 48 kHz with the crooked lab on it."""
    place = tmp_path_factory.mktemp("card")
    rig = place / "rig.toml"
    rig.write_text(crooked_card_text(place / "tty").replace("fs = 47872", f"fs = {FS}"))
    with jack_server(FS, 512) as server, jack_lab(server, rig):
        yield server


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """The live path is compiled here, once and kept: the programs that are started below need not wait for it."""
    if find_spec("numba"):
        from sweetspot.processor.live.kept import block_path

        block_path()


@pytest.fixture
def music(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    soundfile.write(tmp_path / "in.wav", 0.1 * rng.standard_normal((2 * FS, 2)), FS)
    store.write(tmp_path / "filterset.h5", filters())
    return tmp_path


def looped(music: Path, device: str) -> list[str]:
    """The command that plays the music over and over."""
    return [*PLAY, str(music / "filterset.h5"), str(music / "in.wav"), "--loop", "--device", device, "--block", "512"]


def play(card: Any, music: Path, *more: str, **how: Any) -> subprocess.CompletedProcess[str]:
    command = [*PLAY, str(music / "filterset.h5"), *more]
    return subprocess.run(command, env=card.env, capture_output=True, text=True, timeout=90, **how)


def test_a_file_is_played_to_its_end(card: Any, music: Path) -> None:
    done = play(card, music, str(music / "in.wav"), "--device", "crooked-card", "--block", "512", "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["seconds"] == pytest.approx(2.05, abs=0.35)
    assert outcome["starved_samples"] == 0
    assert outcome["engine_latency_samples"] == 1024 + 2 * 48  # upmix, and the look-ahead of two bands
    assert 0.0 < outcome["load_p999"] < 3.0


def test_another_program_on_the_server_is_listened_to(card: Any, music: Path) -> None:
    """The lab's own microphones stand for a program with outputs."""
    more = ("--from", "crooked-card", "--channels", "4,1", "--device", "crooked-card", "--block", "512")
    done = play(card, music, *more, "--seconds", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["seconds"] > 0.7


def test_keys_work_on_a_terminal(card: Any, music: Path) -> None:
    command = looped(music, "crooked-card")
    master, slave = pty.openpty()
    process = subprocess.Popen(command, env=card.env | {"TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = bytearray()

    def listen() -> None:
        try:
            while chunk := os.read(master, 4096):
                seen.extend(chunk)
        except OSError:  # the terminal is gone: the program has ended
            return

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    try:
        for text, key in ((b"[A]", b"a"), (b"[B]", b"b"), (b"[bypass] volume", b"m"), (b"[MUTED]", b"q")):
            until = time.monotonic() + 40.0
            while text not in bytes(seen) and time.monotonic() < until:
                time.sleep(0.05)
            assert text in bytes(seen), bytes(seen)[-600:]
            os.write(master, key)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        reader.join(5)
        os.close(master)
    assert b"xruns" in bytes(seen)


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (("in.wav", "--device", "nobody"), 3, "--device: no audio device's name holds 'nobody'"),
        (("--device", "crooked-card"), 2, "give either IN.wav, or --from"),
        (("in.wav", "--device", "crooked-card", "--b", "other.h5"), 2, "number of drivers"),
        (("gone.wav", "--device", "crooked-card"), 2, "no such file"),
    ],
)
def test_what_cannot_be_played_is_reported(
    card: Any, music: Path, more: tuple[str, ...], code: int, message: str
) -> None:
    store.write(music / "other.h5", filters(2))
    done = play(card, music, *more, cwd=music)
    assert done.returncode == code, done.stderr
    assert message in done.stderr


def test_a_device_that_another_program_plays_into_is_refused(
    card: Any, music: Path, in_server: Callable[..., None]
) -> None:
    """Two at the ceiling are 6 dB above it; so is a program that is played from, and connected to the device too."""
    in_server(card)
    other = Played(np.zeros((1, 1)), 0)
    with patchbay.opened() as bay:
        third = bay.playback("crooked-card")[2]
    other.connect(other.feeds[0].name, third)
    done = play(card, music, str(music / "in.wav"), "--device", "crooked-card", "--block", "512", "--seconds", "1")
    other.client.close()
    assert done.returncode == 2, done.stderr
    assert f"player:out_0 plays into {third}" in done.stderr
    assert f"jack_disconnect player:out_0 {third}" in done.stderr


def test_ctrl_c_ends_it_cleanly_and_leaves_nobody_behind(card: Any, music: Path) -> None:
    process = subprocess.Popen(
        looped(music, "crooked-card"), env=card.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(5.0)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=30)
    assert process.returncode == 130, message


def test_a_device_that_leaves_the_server_is_hardware_trouble(
    card: Any, music: Path, jack_lab: Callable[..., Any], crooked_card_text: Any, in_server: Callable[..., None]
) -> None:
    """The stream itself continues without it, and reports nothing."""
    rig = music / "rig.toml"
    text = crooked_card_text(music / "tty").replace("fs = 47872", f"fs = {FS}")
    rig.write_text(text.replace('"crooked-card"', '"leaving-card"'))
    command = looped(music, "leaving-card")
    in_server(card)
    with jack_lab(card, rig), patchbay.opened() as bay:
        process = subprocess.Popen(command, env=card.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not any(map(bay.sources, bay.playback("leaving-card"))):
            assert process.poll() is None
            time.sleep(0.05)
    _, message = process.communicate(timeout=30)
    assert process.returncode == 3, message
    assert "'leaving-card' has left the audio server" in message


def test_a_console_that_is_killed_lets_the_sound_fade(card: Any, music: Path, in_server: Callable[..., None]) -> None:
    in_server(card)
    recorder = Played(np.zeros((0, 2 * FS)), 1)
    with patchbay.opened() as bay:
        process = subprocess.Popen(looped(music, "crooked-card"), env=card.env)
        while not any(playing := [*map(bay.sources, bay.playback("crooked-card"))]):
            assert process.poll() is None
            time.sleep(0.05)
    time.sleep(0.5)
    killing = threading.Timer(0.5, process.kill)
    killing.start()
    (y,) = np.abs(recorder.heard([], next(filter(None, playing))))
    recorder.client.close()
    killing.join()
    process.wait()
    end = int(np.flatnonzero(y)[-1])
    assert end < y.size - FS // 10, "the sound ended while it was recorded"
    assert y[end - FS // 500 : end].max() < 0.03 * y.max()


def test_a_server_that_dies_is_hardware_trouble(
    music: Path, jack_server: Callable[..., Any], jack_lab: Callable[..., Any], crooked_card_text: Any
) -> None:
    rig = music / "rig.toml"
    rig.write_text(crooked_card_text(music / "tty").replace("fs = 47872", f"fs = {FS}"))
    command = looped(music, "crooked-card")
    with jack_server(FS, 512) as server, jack_lab(server, rig):
        process = subprocess.Popen(command, env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(6.0)
        assert process.poll() is None
        server.process.kill()
        _, message = process.communicate(timeout=40)
    assert process.returncode == 3, message
    assert "is it still connected" in message
