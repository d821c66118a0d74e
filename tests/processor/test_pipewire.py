"""PipeWire, headless: the exported filter-chain makes a sink, and what is played to it comes out as ours."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from sweetspot.processor import files
from sweetspot.processor.engine import Engine
from sweetspot.processor.export import Options, bundle, linear, pipewire
from sweetspot.processor.export.bundles import stereo, wave
from sweetspot.processor.export.unguarded import sines_gain
from sweetspot.processor.partition import PartitionedMatrix
from tests.processor.test_export import crooked

Real = NDArray[Any]
TOOLS = ("pipewire", "wireplumber", "pw-play", "pw-record", "pw-link", "pw-cli", "dbus-run-session", "make")
MISSING = [t for t in TOOLS if shutil.which(t) is None]
PAGE = Path(__file__).parents[2] / "processor" / "docs" / "pipewire.md"
CHANNELS, PATIENCE_S = 8, 20.0
CARD = """
context.properties = {
  default.clock.rate = 48000 default.clock.allowed-rates = [ 48000 ]
  default.clock.quantum = 1024 default.clock.min-quantum = 1024
}
context.objects = [ { factory = adapter args = {
  factory.name = support.null-audio-sink node.name = card media.class = Audio/Sink object.linger = true
  audio.channels = 8 audio.rate = 48000 audio.position = [ AUX0 AUX1 AUX2 AUX3 AUX4 AUX5 AUX6 AUX7 ]
} } ]
"""


@contextmanager
def started(*words: str, env: dict[str, str], cwd: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a group of its own, ended by its id."""
    with log.open("ab") as message:
        process = subprocess.Popen(words, env=env, cwd=cwd, stdout=message, stderr=message, start_new_session=True)
    try:
        yield process
    finally:
        for how in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, how)
                try:
                    process.wait(5.0)
                except subprocess.TimeoutExpired:
                    continue


def links(env: dict[str, str]) -> str:
    return subprocess.run(["pw-link", "-l", "-o", "-i"], env=env, capture_output=True, text=True, check=False).stdout


def awaited(env: dict[str, str], *words: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if all(word in links(env) for word in words):
            return
        time.sleep(0.2)
    raise AssertionError(f"{words} did not appear in PipeWire: {links(env)}")


@pytest.mark.server
@pytest.mark.skipif(
    bool(MISSING), reason=f"{MISSING} absent: apt-get install pipewire-bin wireplumber dbus lv2-dev gcc"
)
@pytest.mark.parametrize("configuration", [pipewire.CONVOLVER, pipewire.PLUGIN])
def test_what_is_played_to_the_sink_comes_out_on_the_rigs_channels(tmp_path: Path, configuration: str) -> None:
    """The convolvers in the linear form, within the ceiling by themselves; the plug-in with upmix and guard."""
    filters, options = crooked(5, 300, 48000), Options(form="linear", share=0.3)
    folder, home = tmp_path / "sweetspot.lv2", tmp_path / "home"
    files.write_all(folder, bundle(filters, "pipewire", options).everything())
    if configuration == pipewire.PLUGIN:
        subprocess.run(["make", "--silent", "CFLAGS=-O2", "lv2"], cwd=folder, check=True)
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.2, 0.2, (2, 48000))
    x[1] = 0.6 * x[0] + 0.4 * x[1]
    files.write_all(tmp_path, {"in.wav": wave(x, 48000)})
    x = x.astype(np.float32).astype(np.float64)
    files.write_all(home / "pipewire" / "pipewire.conf.d", {"card.conf": CARD.encode()})
    (tmp_path / "run").mkdir(mode=0o700)
    env = dict(os.environ, XDG_RUNTIME_DIR=str(tmp_path / "run"), XDG_CONFIG_HOME=str(home))
    env |= {"XDG_STATE_HOME": str(tmp_path / "state"), "LV2_PATH": str(tmp_path)}
    log = tmp_path / "log.txt"
    with (
        started("pipewire", env=env, cwd=tmp_path, log=log),
        started("dbus-run-session", "--", "wireplumber", env=env, cwd=tmp_path, log=log),
    ):
        awaited(env, "card:playback_AUX0")
        with started("pipewire", "-c", str(folder / configuration), env=env, cwd=folder, log=log):
            awaited(env, *(f"-> card:playback_AUX{c - 1}" for c in filters.channels))
            y = captured(env, tmp_path, "out.wav")
            if configuration == pipewire.PLUGIN:
                typed = re.findall(r"`(pw-cli set-param [^`]*)`", PAGE.read_text())
                assert len(typed) == 1
                words = shlex.split(" ".join(typed[0].split()).replace("NODE", pipewire.SINK))
                subprocess.run(words, env=env, check=True, timeout=30)
                time.sleep(0.5)
                quieter = captured(env, tmp_path, "quieter.wav")
    heard = y.T[[c - 1 for c in filters.channels]]
    assert not np.delete(y.T, [c - 1 for c in filters.channels], axis=0).any()
    if configuration == pipewire.PLUGIN:
        wanted = Engine(filters, 1024).process(x)
        soft = quieter.T[[c - 1 for c in filters.channels]]
        ratios = [np.median([np.sum(z**2) / np.sum(w**2) for z, w in pieces(z, wanted)]) for z in (soft, heard)]
        assert 10.0 * np.log10(ratios[0] / ratios[1]) == pytest.approx(-6.0, abs=0.1)
    else:
        lowered = replace(filters, taps=filters.taps * sines_gain(filters, options))
        wanted = PartitionedMatrix(stereo(linear(lowered, 0.3)), 1024).process(x)
    assert least_error_db(heard, wanted) < -110


def captured(env: dict[str, str], folder: Path, name: str) -> Real:
    """What the card is sent while ``in.wav`` plays on the sink, ``(sample, channel)``."""
    positions = ",".join(f"AUX{c}" for c in range(CHANNELS))
    record = ["pw-record", "--target", "card", "-P", "{ stream.capture.sink=true }", "--rate", "48000"]
    record += ["--channels", str(CHANNELS), "--channel-map", positions, "--format", "f32", name]
    recorder = subprocess.Popen(record, env=env, cwd=folder)
    awaited(env, "pw-record:input")
    play = ["pw-play", "--target", pipewire.SINK, "--volume", "1.0", "in.wav"]
    subprocess.run(play, env=env, cwd=folder, check=True, timeout=30)
    time.sleep(0.3)
    recorder.send_signal(signal.SIGINT)
    recorder.wait(10)
    y, fs = sf.read(folder / name, always_2d=True)
    assert fs == 48000
    return np.asarray(y)


def least_error_db(y: Real, wanted: Real) -> float:
    """Median over pieces: a lost period of the server spoils its pieces alone."""
    found = [10.0 * np.log10(np.sum((mine - ours) ** 2) / np.sum(ours**2)) for mine, ours in pieces(y, wanted)]
    return float(np.median(found))


def pieces(y: Real, wanted: Real, samples: int = 4000) -> Iterator[tuple[Real, Real]]:
    """Pieces of both where they lie best on each other, the start left out."""
    n = 1 << (y.shape[1] + wanted.shape[1]).bit_length()
    fit = np.fft.irfft(np.sum(np.fft.rfft(y, n) * np.conj(np.fft.rfft(wanted, n)), axis=0))
    lag = int(np.argmax(fit[: y.shape[1]]))
    late = y[:, lag : lag + wanted.shape[1]]
    for at in range(2000, late.shape[1] - samples, samples):
        yield late[:, at : at + samples], wanted[:, at : at + samples]
