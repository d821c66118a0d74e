"""Clients that call back in Python end, whatever else Python does at that moment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sweetspot.rigs.errors import HardwareTrouble
from sweetspot.rigs.hosts import jack_client, patchbay
from sweetspot.rigs.hosts.jack_client import ProcessCallback

TOOLS = ("pipewire", "wireplumber", "pw-cli", "dbus-run-session")
MISSING = [t for t in TOOLS if shutil.which(t) is None]
ENDS = """
import os, threading, time
from sweetspot.rigs.hosts import patchbay

def busy():
    while True:
        pass

for _ in range(2):
    threading.Thread(target=busy, daemon=True).start()
for _ in range(12):
    with patchbay.recording(2):
        time.sleep(0.05)
os.write(1, b"ended")
os._exit(0)
"""


@pytest.mark.server
@pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} absent: `make test` installs them")
def test_a_client_of_pipewire_ends_while_other_threads_want_the_interpreter(
    pipewire_server: Callable[..., AbstractContextManager[Any]], tmp_path: Path
) -> None:
    """PipeWire cancels the thread that calls back; where that hit a wait for the interpreter, the program hung."""
    with pipewire_server(tmp_path / "server", 48000) as server:
        ended = subprocess.run([sys.executable, "-c", ENDS], env=server.env, capture_output=True, timeout=90)
    assert ended.stdout == b"ended", ended.stderr.decode()[-500:]


class Client:
    """A client of a server that calls back every millisecond until it stands still."""

    blocksize, samplerate = 48, 48000

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.stands = threading.Event()

    def set_process_callback(self, callback: Callable[[int], None]) -> None:
        self.callback = callback

    def activate(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.stands.wait(0.001):
            self.callback(self.blocksize)

    def deactivate(self) -> None:
        self.calls.append("deactivate")

    def close(self) -> None:
        self.calls.append("close")
        self.stands.set()


@pytest.fixture
def on_pipewire(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """States of cancellation that threads were given, on a server that says it is PipeWire."""
    states: list[int] = []
    version = SimpleNamespace(version_string=lambda: "3.0.0.0 (using PipeWire 0.3.65)")
    monkeypatch.setattr(jack_client, "library", lambda: version)
    monkeypatch.setattr(jack_client, "_set_cancel_state", states.append)
    monkeypatch.setattr(jack_client, "PATIENCE_S", 0.2)
    return states


def test_no_block_is_processed_once_the_end_began(on_pipewire: list[int]) -> None:
    client, blocks = Client(), list[int]()
    callback = ProcessCallback(client, blocks.append)
    client.activate()
    time.sleep(0.05)
    callback.close()
    processed = len(blocks)
    callback.close()
    assert client.calls == ["deactivate", "close"]
    assert processed > 1
    assert set(on_pipewire) == {1}, "its thread could be cancelled although the server had not been asked"


def test_a_client_whose_server_stands_still_is_left_open(on_pipewire: list[int]) -> None:
    """Its thread cannot be cancelled before its next block, so its end would wait for ever."""
    client = Client()
    callback = ProcessCallback(client, lambda _frames: None)
    client.activate()
    time.sleep(0.05)
    client.stands.set()
    client.thread.join()
    callback.close()
    assert client.calls == []
    client.close()
    assert client.calls == [], "the library would close it at the program's end"
    assert on_pipewire[0] == 1


def test_a_thread_can_be_cancelled_soon_after_its_client_is_deactivated(
    on_pipewire: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    callback = ProcessCallback(client, lambda _frames: None)
    monkeypatch.setattr(client, "deactivate", lambda: time.sleep(2.0 * jack_client.CANCEL_S))
    client.activate()
    callback.close()
    assert on_pipewire[0] == 1
    assert on_pipewire[-1] == 0


class Registry:
    """A client that hears of a new port only when it has asked some times, as on PipeWire."""

    def __init__(self, late: int) -> None:
        self.asked, self.late = 0, late
        self.cables: list[tuple[str, str]] = []

    def get_ports(self, **_: bool) -> list[SimpleNamespace]:
        self.asked += 1
        return [SimpleNamespace(name=n) for n in ("card:out_1", "new:in_1")[: 1 + (self.asked > self.late)]]

    def get_port_by_name(self, name: str) -> str:
        return name

    def get_all_connections(self, port: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=a) for a, b in self.cables if b == port]

    def connect(self, source: str, sink: str) -> None:
        self.cables.append((source, sink))


def test_a_port_that_the_server_does_not_tell_of_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patchbay, "POLL_S", 0.001)
    client = Registry(late=3)
    patchbay.Patchbay(client).connect([("card:out_1", "new:in_1")] * 2)
    assert client.cables == [("card:out_1", "new:in_1")]


def test_a_port_that_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patchbay, "PATIENCE_S", 0.05)
    with pytest.raises(HardwareTrouble, match=r"'new:in_1' is not on the audio server after 0\.05 s"):
        patchbay.Patchbay(Registry(late=10**6)).connect([("card:out_1", "new:in_1")])


class Going(Registry):
    """A client that fails to look a port up which goes while it lists them, ``times`` in a row."""

    def __init__(self, times: int) -> None:
        super().__init__(late=0)
        self.times = times

    def get_ports(self, **_: bool) -> list[SimpleNamespace]:
        found = super().get_ports()
        if self.asked <= self.times:
            raise jack_client.library().JackError("Port 'old:in_1' not available")
        return found


def test_a_port_that_goes_while_they_are_listed_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patchbay, "POLL_S", 0.001)
    client = Going(times=3)
    patchbay.Patchbay(client).connect([("card:out_1", "new:in_1")])
    assert client.cables == [("card:out_1", "new:in_1")]
    monkeypatch.setattr(patchbay, "PATIENCE_S", 0.05)
    with pytest.raises(HardwareTrouble, match="ports cannot be listed: Port 'old:in_1' not available"):
        patchbay.Patchbay(Going(times=10**6)).ports_of("card")
