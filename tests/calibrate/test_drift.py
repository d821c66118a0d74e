"""Drift for life: what the microphones in a device make of an earlier session of the same unit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sweetspot.calibrate.quick import drift
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.session import Session
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.rig_file import parse
from tests.calibrate import quick_fleet

UNIT = "D-4"


def of_pulse(arrival_s: float, fs: int, zero: int) -> ImpulseResponse:
    """A smooth pulse so long after the moment of sound."""
    t = (np.arange(400) - zero) / fs - arrival_s
    h = (np.exp(-0.5 * (t / 2.0e-4) ** 2) * np.cos(2.0 * np.pi * 900.0 * t))[None, None, None]
    return ImpulseResponse(
        h,
        fs=fs,
        positions=np.zeros(1, dtype=POSITION),
        mics=("m",),
        drivers=("d",),
        zero=zero,
        unit="Pa/FS",
        snr_db=np.zeros((1, 1, 1)),
        band=(60.0, 8000.0),
    )


@pytest.mark.parametrize("s", [0.97, 1.02])
def test_warmer_air_brings_everything_sooner_about_the_moment_of_sound(s: float) -> None:
    """Reference: the pulse written down at ``s`` times the time, its spectrum's height kept."""
    ir = of_pulse(4.0e-3, 23936, 37)
    t = (np.arange(400) - 37) / 23936 / s - 4.0e-3
    wanted = np.exp(-0.5 * (t / 2.0e-4) ** 2) * np.cos(2.0 * np.pi * 900.0 * t) / s
    assert drift.stretched(ir, s).h[0, 0, 0] == pytest.approx(wanted, abs=1e-6)
    assert drift.stretched(ir, 1.0) is ir


def ears_error_db(h: np.ndarray, truth: np.ndarray, fs: int) -> float:
    """Energy of the difference between 500 Hz and 6.3 kHz, re the truth's, dB."""
    f = np.fft.rfftfreq(h.shape[-1], 1.0 / fs)
    inside = (f >= 500.0) & (f < 6300.0)
    a, b = (np.fft.rfft(x)[..., inside] for x in (h, truth))
    return float(10.0 * np.log10(np.sum(np.abs(a - b) ** 2) / np.sum(np.abs(b) ** 2)))


def test_a_warm_aged_unit_is_brought_to_today_and_a_faulty_one_is_not(
    tmp_path: Path, sweetspot: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    rig = quick_fleet.rig(tmp_path)
    text = quick_fleet.text()
    warm = f"temperature_c = {rig.environment.temperature_c + 12.0:g}"
    lines = [warm if line.startswith("temperature_c") else line for line in text.splitlines()]
    (tmp_path / "today.toml").write_text("\n".join(lines) + "\nage_hours = 3000\n")
    today = parse((tmp_path / "today.toml").read_text(), folder=tmp_path)
    assert today.environment.temperature_c == rig.environment.temperature_c + 12.0
    first = quick_fleet.measured(tmp_path / "first", rig, UNIT)
    command = ("measure", "quick", "today.toml", "--unit", UNIT, "--since", first, "--json")
    done = sweetspot(*command)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    truth, _ = quick_fleet.known_set(World(today, UNIT), "ears")
    with Session.read(tmp_path / found["run"] / "session.h5") as session, Session.read(first / "session.h5") as then:
        mine, before = session.responses("ears"), then.responses("ears")
        assert session.is_estimated("ears")
        assert first.name in session.origin("ears")
    errors = [ears_error_db(x.h, truth.h, rig.fs) for x in (mine, before)]
    assert errors[0] < -30.0
    assert errors[0] < errors[1] - 10.0
    refused = sweetspot(*command, "--fault", "dead driver=left")
    assert refused.returncode == 1, refused.stderr
    assert [(x["name"], x["cause"]) for x in json.loads(refused.stdout)["findings"]] == [("left", "dead")]
    for wrong, why in ((("--unit", "D-5"), "D-4"), (("--model", "model.h5"), "--since")):
        bad = sweetspot(*command, *wrong)
        assert bad.returncode == 2
        assert why in bad.stderr
