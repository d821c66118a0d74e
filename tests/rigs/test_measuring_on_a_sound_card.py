"""A session on the lab as a sound card, through PortAudio and a real audio server, against the lab's true responses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweetspot.measure import plan
from sweetspot.measure.listener import CaptureAnalyser
from sweetspot.measure.session import Session
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.protocol import Recording
from sweetspot.rigs.units import db

pytestmark = pytest.mark.server


def test_thirty_captures_in_a_row_equal_the_truth(
    jack_server: Callable[..., AbstractContextManager[Any]],
    jack_lab: Callable[..., AbstractContextManager[Any]],
    crooked_card_text: Callable[..., str],
    tmp_path: Path,
) -> None:
    """-55 dB complex error in each of thirty consecutive captures, including repeats, without moves."""
    rig = tmp_path / "card.toml"
    text = crooked_card_text(tmp_path / "turntable").replace("seconds = 0.6", "seconds = 0.6\nrepeats = 2")
    rig.write_text(text)
    command = [
        sys.executable,
        "-c",
        "from sweetspot.command_line import main; main()",
        "measure",
        "ears",
        rig,
        "--unit",
        "C-1",
    ]
    with jack_server(47872) as server, jack_lab(server, rig, "--unit", "C-1"), server.freewheel():
        done = subprocess.run(command, cwd=tmp_path, env=server.env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    run = next(tmp_path.glob("runs/C-1/*"))
    with Session.read(run / "session.h5") as session:
        description = session.rig()
        wanted = plan.make(description, "ears")
        listener = CaptureAnalyser.of(description, wanted)
        assert len(wanted.captures) == len(session.landed("ears")) == 30
        kept = [(c, Recording(session.raw("ears", c.key)[0], description.fs, 0, "")) for c in wanted.captures]
    world = World(description, "C-1")
    band = (world.f >= 100) & (world.f <= 17000)
    taps = np.arange(wanted.before + wanted.after) - wanted.before
    basis = np.exp(-2j * np.pi * np.outer(taps, world.f[band]) / description.fs)
    for capture, recording in kept:
        true = world.at_ears(capture.pose)[:, capture.source][:, band]
        got = listener.analysed(recording, capture.source).responses[0].h @ basis
        error = np.linalg.norm(got - true, axis=-1) / np.linalg.norm(true, axis=-1)
        assert db(error).max() < -55.0, capture.key
