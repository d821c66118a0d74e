"""Exported processors on a JACK server: a plug-in in jalv, and a client that plays into ports and records others."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.processor.library.loaded import error_db

LATE = 20000
"""For how long is recorded after the sound, samples: two of the longest periods and more."""


@contextmanager
def hosted(server: Any, folder: Path, *words: str) -> Iterator[Path]:
    """The plug-in in jalv, as the client ``hosted`` of a JACK server; gives the file of what jalv prints."""
    log = folder / "jalv.txt"
    env = server.env | {"LV2_PATH": str(folder)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["jalv", "-x", "-n", "hosted", *words], env=env, stdin=subprocess.PIPE, stdout=output, stderr=output
        )
    assert process.stdin is not None
    try:
        yield log
    finally:
        process.stdin.close()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Played:
    """A JACK client that plays a sound ``(channel, sample)`` into ports and records what comes out of others."""

    def __init__(self, x: np.ndarray, outs: int) -> None:
        import jack

        self.client = jack.Client("player", no_start_server=True)
        self.x, self.y = x, np.zeros((outs, x.shape[1] + LATE), dtype=np.float32)
        self.at, self.done = self.y.shape[1], threading.Event()
        self.feeds = [self.client.outports.register(f"out_{i}") for i in range(len(x))]
        self.hears = [self.client.inports.register(f"in_{i}") for i in range(outs)]
        self.client.set_process_callback(self.block)
        self.client.activate()

    def block(self, n: int) -> None:
        piece = min(n, self.y.shape[1] - self.at)
        for x, port in zip(self.x, self.feeds, strict=True):
            buffer, now = port.get_array(), x[self.at : self.at + n]
            buffer[: now.size], buffer[now.size :] = now, 0.0
        if piece <= 0:
            self.done.set()
            return
        for y, port in zip(self.y, self.hears, strict=True):
            y[self.at : self.at + piece] = port.get_array()[:piece]
        self.at += piece

    def heard(self, into: Sequence[str], out: Sequence[str]) -> np.ndarray:
        """Play and record once the ports are there and take connections."""
        for feed, port in zip(self.feeds, into, strict=True):
            self.connect(feed.name, port)
        for hear, port in zip(self.hears, out, strict=True):
            self.connect(port, hear.name)
        self.done.clear()
        self.at = 0
        assert self.done.wait(30.0)
        return self.y.copy()

    def connect(self, source: str, into: str) -> None:
        """Ports are listed before their client takes connections."""
        import jack

        until = time.monotonic() + 10.0
        while True:
            try:
                self.client.connect(source, into)
                return
            except jack.JackErrorCode as error:
                if "exists" in str(error):
                    return
                assert time.monotonic() < until, [p.name for p in self.client.get_ports()]
                time.sleep(0.05)


def aligned_error_db(heard: np.ndarray, wanted: np.ndarray) -> float:
    """Where both lie best on each other; the start, in which hosts fade, left out."""
    n = 1 << (heard.shape[1] + wanted.shape[1]).bit_length()
    fit = np.fft.irfft(np.sum(np.fft.rfft(heard, n) * np.conj(np.fft.rfft(wanted, n)), axis=0))
    lag = int(np.argmax(fit[: heard.shape[1]]))
    late = heard[:, lag : lag + wanted.shape[1]]
    return error_db(late[:, 6000:], wanted[:, 6000 : late.shape[1]])
