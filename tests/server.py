"""A private JACK server and the lab on it: fixtures that start both, and end only what they started."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMES = 6
TOOLS = ("jackd", "jack_wait", "jack_freewheel")


@dataclass(frozen=True)
class Server:
    """A JACK server of its own name: synchronous, with the dummy driver."""

    name: str
    process: subprocess.Popen[bytes]

    @property
    def env(self) -> dict[str, str]:
        """What a program needs in its environment to find it."""
        more = {"JACK_DEFAULT_SERVER": self.name, "JACK_NO_AUDIO_RESERVATION": "1", "PYTHONPATH": str(ROOT)}
        return os.environ | more | {"COLUMNS": "200"}

    @contextmanager
    def freewheel(self) -> Iterator[None]:
        """As fast as the machine can, while it lasts: for tests that only need the samples.

        Begin it before a stream opens and end it after: a change while one runs leaves PortAudio's client for dead.
        """
        self._freewheel("y")
        try:
            yield
        finally:
            self._freewheel("n")

    def _freewheel(self, on: str) -> None:
        subprocess.run(["jack_freewheel", on], env=self.env, check=True, capture_output=True, timeout=20)


@dataclass(frozen=True)
class Card:
    """The lab, running in a process of its own; ``ready`` is its message when its ports were up."""

    process: subprocess.Popen[str]
    ready: dict[str, object]

    def end(self) -> str:
        """End it as a service manager would; returns its stderr."""
        self.process.terminate()
        return self.process.communicate(timeout=20)[1]


def _dies_with_us() -> None:
    """In a child: be ended when the tests are, however they end (``PR_SET_PDEATHSIG``)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _jackd(name: str, fs: int, period: int) -> subprocess.Popen[bytes]:
    driver = ["-d", "dummy", "-r", str(fs), "-p", str(period), "-C", "0", "-P", "0"]
    return subprocess.Popen(
        ["jackd", "-n", name, "-r", "-S", "-p", "256", *driver],
        env=os.environ | {"JACK_NO_AUDIO_RESERVATION": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_dies_with_us,
    )


@contextmanager
def _free_name() -> Iterator[str]:
    """A server's name that is this program's alone while it lasts.

    JACK knows eight servers at most, and one that was killed keeps its place until another of its name starts: so few
    names are used again and again.
    """
    until = time.monotonic() + 60.0
    while True:
        for n in range(NAMES):
            with open(Path(tempfile.gettempdir()) / f"sweetspot-test-{n}.lock", "w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield f"sweetspot-test-{n}"
                return
        assert time.monotonic() < until, f"all {NAMES} names of test servers are taken"
        time.sleep(0.2)


@contextmanager
def server(fs: int, period: int = 1024) -> Iterator[Server]:
    """A server while it lasts."""
    if missing := [t for t in TOOLS if shutil.which(t) is None]:
        pytest.fail(f"not installed: {', '.join(missing)}; `make debian` installs it")
    with _free_name() as name:
        yield from _served(name, fs, period)


def _served(name: str, fs: int, period: int) -> Iterator[Server]:
    environment = os.environ | {"JACK_DEFAULT_SERVER": name, "JACK_NO_AUDIO_RESERVATION": "1"}
    process = _jackd(name, fs, period)
    waiting = ["jack_wait", "-w", "-t", "15"]
    try:
        subprocess.run(waiting, env=environment, check=True, capture_output=True, timeout=20)
        yield Server(name, process)
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def lab(on: Server | PipeWire, rig: Path, *options: str) -> Iterator[Card]:
    """The lab on a server while it lasts."""
    program = "from sweetspot.command_line import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "rig", "lab", str(rig), "--json", *options],
        env=on.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_dies_with_us,
    )
    try:
        yield Card(process, _ready(process))
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:  # one failure, not one more in the test that meets what is left of it
            process.kill()
            process.communicate()
            raise


@dataclass(frozen=True)
class PipeWire:
    """A private PipeWire with its session manager; ``env`` leads JACK programs to it."""

    env: dict[str, str]


PIPEWIRE = """
context.properties = {{
  default.clock.rate = {fs} default.clock.allowed-rates = [ {fs} ]
  default.clock.quantum = {period} default.clock.min-quantum = {period} default.clock.max-quantum = {period}
}}
"""


@contextmanager
def pipewire(folder: Path, fs: int, period: int = 1024) -> Iterator[PipeWire]:
    """A headless PipeWire of its own while it lasts; its files are in ``folder``."""
    settings = folder / "home" / "pipewire" / "pipewire.conf.d" / "test.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(PIPEWIRE.format(fs=fs, period=period))
    (folder / "run").mkdir(mode=0o700)
    env = os.environ | {"XDG_RUNTIME_DIR": str(folder / "run"), "XDG_CONFIG_HOME": str(folder / "home")}
    env |= {"XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    libraries = next(Path("/usr/lib").glob("*/pipewire-0.3/jack"))
    with ExitStack() as stack, (folder / "log.txt").open("wb") as log:
        for words in (["pipewire"], ["dbus-run-session", "--", "wireplumber"]):
            process = subprocess.Popen(words, env=env, stdout=log, stderr=log, preexec_fn=_dies_with_us)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
        until = time.monotonic() + 20.0
        while subprocess.run(["pw-cli", "info", "0"], env=env, capture_output=True, check=False).returncode:
            assert time.monotonic() < until, "PipeWire does not start"
            time.sleep(0.1)
        yield PipeWire(env | {"LD_LIBRARY_PATH": str(libraries)})


def _ready(process: subprocess.Popen[str]) -> dict[str, object]:
    """The lab's message when its ports are up."""
    assert process.stdout is not None
    message = ""
    for line in process.stdout:
        message += line
        if line.startswith("}"):
            return dict(json.loads(message))
    raise AssertionError(f"the lab did not start: {message}{process.communicate(timeout=20)[1]}")


@pytest.fixture(scope="session")
def jack_server() -> Callable[..., object]:
    """Makes private JACK servers."""
    return server


@pytest.fixture(scope="session")
def pipewire_server() -> Callable[..., object]:
    """Makes private PipeWire servers."""
    return pipewire


@pytest.fixture(scope="session")
def jack_lab() -> Callable[..., object]:
    """Runs the lab on a private server."""
    return lab


@pytest.fixture(scope="session")
def crooked_card_text(crooked_text: str) -> Callable[[Path, str], str]:
    """Makes the crooked rig's file with the lab as a sound card: its port, and changes of its ``[lab]`` table."""

    def make(port: Path, more: str = "") -> str:
        interface = 'driver = "portaudio"\ndevice = "crooked-card"\nblocksize = 512\n'
        stage = f'driver = "grbl"\nport = "{port}"\naxes = {{ turn = "X", x = "Z", y = "Y", yaw = "B" }}\n'
        text = crooked_text.replace('driver = "lab"\n', interface, 1).replace('driver = "lab"\n', stage, 1)
        return text + more

    return make


@pytest.fixture
def in_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[Server], None]:
    """Points this process at a server; PortAudio follows when it starts."""

    def point(at: Server) -> None:
        for key in ("JACK_DEFAULT_SERVER", "JACK_NO_AUDIO_RESERVATION"):
            monkeypatch.setenv(key, at.env[key])

    return point
