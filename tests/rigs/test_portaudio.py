"""The PortAudio door: which device is meant, what is refused, and what happens when a device dies or Ctrl-C comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweetspot.rigs.errors import BadInput, HardwareTrouble, TooLoud
from sweetspot.rigs.portaudio import REST_S, AudioDevice, PortAudioInterface, choose, devices, rest_after
from sweetspot.rigs.rig_file.description import parse

Starts = Callable[..., AbstractContextManager[Any]]
ROOT = Path(__file__).resolve().parents[2]

FOUND = [
    AudioDevice(0, "Fireface UCX: USB Audio (hw:1,0)", "ALSA", 18, 18, 44100.0),
    AudioDevice(1, "HDA Intel PCH", "ALSA", 2, 2, 48000.0),
    AudioDevice(2, "Fireface", "JACK Audio Connection Kit", 18, 18, 48000.0),
    AudioDevice(3, "Fireface II", "JACK Audio Connection Kit", 4, 3, 48000.0),
]


@pytest.mark.parametrize(
    ("name", "hostapi", "index"),
    [("hda", None, 1), ("UCX", None, 0), ("Fireface", "JACK Audio Connection Kit", 2), ("fireface", "alsa", 0)],
)
def test_a_unique_part_of_the_name_will_do(name: str, hostapi: str | None, index: int) -> None:
    assert choose(FOUND, name, hostapi, 2, 2).index == index


def test_an_unknown_device_lists_all() -> None:
    with pytest.raises(BadInput) as trouble:
        choose(FOUND, "Scarlett", None, 2, 2)
    assert "no audio device's name holds 'Scarlett'" in str(trouble.value)
    assert all(d.text() in str(trouble.value) for d in FOUND)


def test_an_unknown_hostapi_lists_all() -> None:
    with pytest.raises(BadInput, match=r"(?s)holds 'UCX' on 'ASIO'.*On other host APIs.*HDA"):
        choose(FOUND, "UCX", "ASIO", 2, 2)


def test_no_device_at_all() -> None:
    with pytest.raises(BadInput, match="is it switched on"):
        choose([], "Scarlett", None, 2, 2)


def test_an_ambiguous_name_lists_those_that_fit() -> None:
    with pytest.raises(BadInput) as trouble:
        choose(FOUND, "fireface", None, 2, 2)
    message = str(trouble.value)
    assert "matches 3 audio devices" in message
    assert "UCX" in message
    assert "Fireface II" in message
    assert "HDA" not in message


@pytest.mark.parametrize(("outputs", "inputs", "what"), [(4, 4, "output"), (3, 5, "input")])
def test_too_few_channels(outputs: int, inputs: int, what: str) -> None:
    needed, has = (4, 3) if what == "output" else (5, 4)
    with pytest.raises(
        BadInput, match=rf"uses {what} channel {needed}, but 'Fireface II' .* has {has} {what} channels"
    ):
        choose(FOUND, "Fireface II", None, outputs, inputs)
    assert choose(FOUND, "Fireface II", None, 3, 4).index == 3


def run(program: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**(env or os.environ), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_without_portaudio_everything_else_works(tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text('raise OSError("PortAudio library not found")')
    program = f"""
        import sys; sys.path.insert(0, {str(tmp_path)!r})
        from sweetspot import command_line, roof
        from sweetspot.rigs import load, portaudio, rig_file
        from pathlib import Path
        app = roof.build()
        load.open_rig(rig_file.read(load.find("desk")), serial="A").close()
        sys.argv = ["sweetspot", "rig", "devices"]
        command_line.main()
    """
    done = run(program)
    assert done.returncode == 3, done.stderr
    assert "apt-get install libportaudio2" in done.stderr


def test_no_server_and_no_noise_from_its_library() -> None:
    done = run(
        'import sys; sys.argv += ["rig", "devices", "--json"]; from sweetspot.command_line import main; main()',
        os.environ | {"JACK_DEFAULT_SERVER": "nobody-started-this"},
    )
    assert done.returncode == 0
    assert '"devices"' in done.stdout
    assert done.stderr == ""


def test_an_assertion_in_a_library_is_a_call_that_does_not_return() -> None:
    """No signal wakes its thread, and an abort elsewhere is one afterwards."""
    done = run("""
        import ctypes, os, signal, time
        from sweetspot.rigs.portaudio import library, HardwareTrouble
        assert library.call(lambda: 3, "a device") == 3
        assert signal.getsignal(signal.SIGABRT) is signal.SIG_DFL
        try:
            library.call(ctypes.CDLL(None).abort, "a device", 0.3)
        except HardwareTrouble as trouble:
            print(trouble)
        signal.signal(signal.SIGUSR1, lambda *_: print("heard"))
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.2)
        raise SystemExit(3)
    """)
    assert done.returncode == 3, done.stderr
    assert "a device: no answer in 0.3 s. Is the device connected" in done.stdout
    assert done.stdout.endswith("heard\n")
    after = run("import os; from sweetspot.rigs.portaudio import library; library.call(int, 'it'); os.abort()")
    assert after.returncode == -signal.SIGABRT


def test_a_device_rests_after_a_capture_unless_it_ends_in_noise() -> None:
    """In noise 0.1 s after the last sound: no longer; else until 0.34 s after it, or for 0.2 s. Rumble is no sound."""
    fs, rng = 50000, np.random.default_rng(1)
    y = np.zeros((2, 40000), dtype=np.float32)
    rumble = 0.1 * np.sin(np.arange(40000) / 10000.0)
    noise = (1e-4 * rng.normal(size=(3, 40000)) + rumble).astype(np.float32)
    ringing = noise.copy()
    ringing[1, -10000:] += (2e-4 * rng.normal(size=10000)).astype(np.float32)
    for last, usual in ((40000, 10000), (35001, 10000), (33000, 10000), (30000, 7000), (23000, 0)):
        y[:] = 0.0
        y[0, 5000:last] = 0.1
        y[1, 2500], y[1, last:] = 0.1, 1e-6
        assert rest_after(y, ringing, fs) == usual
        assert rest_after(y, noise, fs) == (usual if last > 35000 else 0)
    assert rest_after(y, np.zeros_like(noise), fs) == 0, "a converter without noise"
    assert rest_after(y[:, :900], noise[:, :900], fs) == 10000, "too short to judge"


# on a server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("portaudio")


@pytest.fixture(scope="module")
def text(place: Path, crooked_card_text: Callable[[Path, str], str]) -> str:
    return crooked_card_text(place / "turntable", "")


@pytest.fixture(scope="module")
def running(jack_server: Starts, jack_lab: Starts, place: Path, text: str) -> Iterator[Any]:
    """A server with two labs, ``crooked-card`` and ``crooked-card-2``."""
    (place / "rig.toml").write_text(text)
    (place / "two.toml").write_text(text.replace("/turntable", "/two").replace("crooked-card", "crooked-card-2"))
    with (
        jack_server(47872) as server,
        jack_lab(server, place / "rig.toml"),
        jack_lab(server, place / "two.toml"),
    ):
        yield server


@pytest.mark.server
def test_devices_are_listed(running: Any, in_server: Callable[[Any], None]) -> None:
    in_server(running)
    listed = {d.name: d for d in devices()}
    assert set(listed) == {"crooked-card", "crooked-card-2"}
    card = listed["crooked-card"]
    assert (card.outputs, card.inputs, card.fs) == (6, 4, 47872.0)


@pytest.mark.server
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"crooked-card"', '"Fireface"', r"(?s)no audio device's name holds 'Fireface'.*'crooked-card-2'"),
        ('"crooked-card"', '"crooked"', r"(?s)'crooked' matches 2 audio devices.*'crooked-card'.*'crooked-card-2'"),
        ("fs = 47872", "fs = 44100", r"refuses fs = 44100 Hz \(it runs at 47872 Hz\)"),
        ("channel = 5", "channel = 8", r"uses output channel 8, but 'crooked-card' .* has 6 output channels"),
        ("channel = 4", "channel = 7", r"uses input channel 7, but 'crooked-card' .* has 4 input channels"),
    ],
)
def test_a_rig_that_does_not_fit_is_wrong_input(
    running: Any, in_server: Callable[[Any], None], text: str, place: Path, old: str, new: str, message: str
) -> None:
    in_server(running)
    assert old in text
    with pytest.raises(BadInput, match=message):
        PortAudioInterface.open(parse(text.replace(old, new), folder=place))


@pytest.mark.server
def test_a_rig_names_its_server(running: Any, place: Path, text: str, tmp_path: Path) -> None:
    """Without anything in the environment."""
    named = text.replace('device = "crooked-card"', f'device = "crooked-card"\njack_server = "{running.name}"', 1)
    (tmp_path / "rig.toml").write_text(named)
    program = f"""
        from pathlib import Path
        from sweetspot.rigs.portaudio import PortAudioInterface
        from sweetspot.rigs.rig_file.description import read
        interface = PortAudioInterface.open(read(Path({str(tmp_path / "rig.toml")!r})))
        print(interface.device.name)
        interface.close()
    """
    environment = {k: v for k, v in running.env.items() if k != "JACK_DEFAULT_SERVER"}
    done = run(program, environment)
    assert done.stdout.strip() == "crooked-card", done.stderr


@pytest.mark.server
def test_an_ambiguous_device_on_the_command_line(running: Any, place: Path, text: str, tmp_path: Path) -> None:
    (tmp_path / "rig.toml").write_text(text.replace('"crooked-card"', '"crooked"'))
    done = run(measure_ears(tmp_path), running.env)
    assert done.returncode == 2
    assert "matches 2 audio devices" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.server
def test_the_last_door_checks_the_level(running: Any, in_server: Callable[[Any], None], text: str, place: Path) -> None:
    in_server(running)
    interface = PortAudioInterface.open(parse(text, folder=place))
    loud = np.zeros((6, 1000), dtype=np.float32)
    loud[4, 7] = 0.6
    with pytest.raises(TooLoud, match=r"'woofer' .output 5.: peak -4\.44 dBFS is above its limit of -5\.00 dBFS"):
        interface.capture(loud)
    interface.close()
    with pytest.raises(HardwareTrouble, match="closed"):
        interface.capture(np.zeros((6, 1000), dtype=np.float32))


@pytest.mark.server
def test_a_device_rests_until_what_it_recorded_has_decayed(
    running: Any, in_server: Callable[[Any], None], text: str, place: Path
) -> None:
    """Captures that end in noise follow each other 0.2 s faster than those that end in sound, with the same latency;
    who plays nothing at the loopback waits in any case."""
    in_server(running)
    rig = parse(text, folder=place)
    loop = rig.interface.loopback
    interface, took, lags = PortAudioInterface.open(rig), [], set()
    for begins, level in ((0, 0.1), (rig.fs // 2 - 100, 0.1), (0, 0.0)):
        y = np.zeros((6, rig.fs // 2), dtype=np.float32)
        y[loop.out - 1, :100] = level
        y[4, begins : begins + 100] = 0.01 * np.sin(np.arange(100))
        interface.capture(y)
        start = time.monotonic()
        for _ in range(4):
            x = interface.capture(y).x[loop.in_ - 1]
            lags |= {int(np.argmax(np.abs(x) > 0.01))} if level else set()
        took.append(time.monotonic() - start)
    interface.close()
    assert len(lags) == 1
    assert [t - took[0] for t in took[1:]] == pytest.approx([4 * REST_S, 4 * REST_S], abs=0.3)


def measure_ears(folder: Path) -> str:
    rig, runs = str(folder / "rig.toml"), str(folder / "runs")
    arguments = ["measure", "ears", rig, "--unit", "A", "--runs", runs]
    return f"import sys; sys.argv += {arguments!r}; from sweetspot.command_line import main; main()"


def measuring(folder: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    """``sweetspot measure ears`` in the middle of a long capture."""
    process = subprocess.Popen(
        [sys.executable, "-c", measure_ears(folder)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 30
    while not list(folder.glob("runs/**/session.h5")) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(4.0)
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.server
def test_ctrl_c_stops_a_capture_at_once(running: Any, text: str, tmp_path: Path) -> None:
    (tmp_path / "rig.toml").write_text(text.replace("seconds = 0.6", "seconds = 30"))
    process = measuring(tmp_path, running.env)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    message = process.communicate(timeout=20)[1]
    assert process.returncode == 130, message
    assert time.monotonic() - began < 3.0
    assert "interrupted" in message
    assert "Traceback" not in message


@pytest.mark.server
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
def test_a_server_that_dies_or_hangs_is_hardware_trouble(
    jack_server: Starts, tmp_path: Path, crooked_card_text: Callable[[Path, str], str], jack_lab: Starts, how: int
) -> None:
    text = crooked_card_text(tmp_path / "turntable", "")
    (tmp_path / "rig.toml").write_text(text.replace("seconds = 0.6", "seconds = 30"))
    with jack_server(47872) as server, jack_lab(server, tmp_path / "rig.toml"):
        process = measuring(tmp_path, server.env)
        server.process.send_signal(how)
        try:
            message = process.communicate(timeout=30)[1]
        finally:
            server.process.send_signal(signal.SIGCONT)
    assert process.returncode == 3, message
    assert "'crooked-card' stopped at sample" in message
    assert "Traceback" not in message


@pytest.mark.server
def test_a_server_that_is_gone_before_a_capture(
    jack_server: Starts, tmp_path: Path, crooked_card_text: Callable[[Path, str], str], jack_lab: Starts
) -> None:
    (tmp_path / "rig.toml").write_text(crooked_card_text(tmp_path / "turntable", ""))
    program = f"""
        import sys
        import numpy as np
        from pathlib import Path
        from sweetspot.rigs.rig_file import read
        from sweetspot.rigs.errors import HardwareTrouble
        from sweetspot.rigs.portaudio import PortAudioInterface
        interface = PortAudioInterface.open(read(Path({str(tmp_path / "rig.toml")!r})))
        print("open", flush=True)
        sys.stdin.readline()
        try:
            interface.capture(np.zeros((6, 1000), dtype=np.float32))
        except HardwareTrouble as trouble:
            print(trouble)
        interface.close()
    """
    with jack_server(47872) as server, jack_lab(server, tmp_path / "rig.toml"):
        command = [sys.executable, "-c", textwrap.dedent(program)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=server.env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        server.process.kill()
        time.sleep(0.5)
        message, _ = process.communicate("go\n", timeout=30)
    assert "'crooked-card' does not open" in message
    assert process.returncode == 0


@pytest.mark.server
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ends_while_a_stream_is_closed_does_not_abort_the_program(
    jack_server: Starts, tmp_path: Path, crooked_card_text: Callable[[Path, str], str], jack_lab: Starts, how: int
) -> None:
    """PortAudio asserts that JACK closes its ports."""
    (tmp_path / "rig.toml").write_text(crooked_card_text(tmp_path / "turntable", ""))
    program = f"""
        import sys
        import numpy as np
        from pathlib import Path
        from sweetspot.rigs.rig_file import read
        from sweetspot.rigs.portaudio import PortAudioInterface
        interface = PortAudioInterface.open(read(Path({str(tmp_path / "rig.toml")!r})))
        interface.capture(np.zeros((6, 1000), dtype=np.float32))
        print("open", flush=True)
        sys.stdin.readline()
        interface.close()
        print("goes on", flush=True)
        raise SystemExit(3)
    """
    with jack_server(47872) as server, jack_lab(server, tmp_path / "rig.toml"):
        command = [sys.executable, "-c", textwrap.dedent(program)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=server.env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        server.process.send_signal(how)
        message, _ = process.communicate("go\n", timeout=30)
    assert (process.returncode, message) == (3, "goes on\n")
