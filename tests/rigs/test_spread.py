"""Units that differ in direction: what the lab's spread does, and that without it nothing changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.rig_file.description import Description, parse

MONITORS = """
[[mic]]
name = "front"
channel = 7
use = "monitor"
at = [0.9, 0.1, 0.05]
[[mic]]
name = "built_in"
channel = 8
use = "device"
at = [0.0, 0.0, 0.12]
"""


def described(crooked_text: str, folder: Path, spread: str = "", more: str = MONITORS) -> Description:
    """The crooked rig with fixed microphones and a spread."""
    return parse(crooked_text.replace("[ears]", f"{more}[ears]") + spread, folder=folder)


def log_ratio(rig: Description, serial: str, other: str, turn: float) -> np.ndarray:
    """Log ratio of two units' responses on the polar circle up to 18 kHz, ``(driver, frequency)``."""
    worlds = [World(rig, s) for s in (serial, other)]
    inside = (worlds[0].f > 50.0) & (worlds[0].f < 18000.0)
    one, two = (w.at_microphone(turn)[:, inside] for w in worlds)
    return np.asarray(np.log(one / two))


def test_without_a_spread_units_differ_alike_in_all_directions(crooked_text: str, tmp_path: Path) -> None:
    rig = described(crooked_text, tmp_path)
    assert log_ratio(rig, "A", "B", 0.3) == pytest.approx(log_ratio(rig, "A", "B", -1.0), abs=1e-9)


@pytest.mark.parametrize(
    "alone", ["tilt_deg = 3.0", "mount_mm = 2.0", "edge_db = -20.0", "pattern = 0.2"], ids=lambda t: t.split()[0]
)
def test_each_part_of_the_spread_differs_over_direction(crooked_text: str, tmp_path: Path, alone: str) -> None:
    off = {"tilt_deg": "0.0", "mount_mm": "0.0", "edge_db": "-80.0", "pattern": "0.0", "leak": "0.0"}
    off |= {"resonance_percent": "0.0", alone.split()[0]: alone.split()[-1]}
    spread = "[lab.spread]\n" + "\n".join(f"{k} = {v}" for k, v in off.items())
    rig = described(crooked_text, tmp_path, spread)
    apart = log_ratio(rig, "A", "B", 0.3) - log_ratio(rig, "A", "B", -1.0)
    f = World(rig, "A").f
    f = f[(f > 50.0) & (f < 18000.0)]
    high = (f > 4000.0) & (f < 12000.0)
    assert np.abs(apart[:, high]).max() > 0.02
    assert np.abs(apart[:, (f > 100.0) & (f < 200.0)]).max() < 0.05


def test_leak_age_and_temperature_change_the_low_end_alone(crooked_text: str, tmp_path: Path) -> None:
    def low_end(more: str) -> np.ndarray:
        rig = described(crooked_text, tmp_path, f"[lab.spread]\ntilt_deg = 0.0\n{more}")
        world = World(rig, "A")
        level = 20.0 * np.log10(np.maximum(np.abs(world.at_microphone(0.0)), 1e-9))
        return np.asarray([level[:, np.argmin(np.abs(world.f - at))].mean() for at in (100.0, 3000.0)])

    new = low_end("leak = 0.0\nage_db = 0.0")
    leaky, old = low_end("leak = 0.8\nage_db = 0.0"), low_end("leak = 0.0\nage_db = 0.0\nage_hours = 500.0")
    assert leaky[0] < new[0] - 0.1
    assert old[0] > new[0] + 0.1  # a softer suspension resonates lower, where the band begins
    for aged in (leaky, old):
        assert aged[1] == pytest.approx(new[1], abs=0.05)


def test_monitors_stay_and_microphones_of_the_device_turn_with_it(crooked_text: str, tmp_path: Path) -> None:
    world = World(described(crooked_text, tmp_path, "[lab.spread]\n"), "A")
    front, built_in = (next(m for m in world.description.mic if m.name == n) for n in ("front", "built_in"))
    assert np.abs(world.at_fixed(built_in, 1.0)) == pytest.approx(np.abs(world.at_fixed(built_in, 0.0)))
    assert np.abs(world.at_fixed(front, 1.0)) != pytest.approx(np.abs(world.at_fixed(front, 0.0)), rel=0.05)
    paths = world.paths(Pose())
    assert np.any(paths[front.channel - 1])
    assert np.any(paths[built_in.channel - 1])


def test_a_monitor_on_axis_at_the_circle_hears_what_the_polar_microphone_hears(
    crooked_text: str, tmp_path: Path
) -> None:
    there = MONITORS.replace("[0.9, 0.1, 0.05]", "[1.7, 0.0, 0.0]")
    world = World(described(crooked_text, tmp_path, "[lab.spread]\nseat_mm = 0.0\nseat_deg = 0.0\n", there), "A")
    front = next(m for m in world.description.mic if m.name == "front")
    assert world.at_fixed(front, 0.4) == pytest.approx(world.at_microphone(0.4))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (MONITORS.replace("at = [0.9, 0.1, 0.05]\n", ""), "a microphone with a use needs a position"),
        (MONITORS.replace('use = "monitor"\n', ""), "only a microphone with a use"),
        (MONITORS.replace("[0.9, 0.1, 0.05]", "[0.01, 0.081, 0.0]"), "at least 0.02 m are needed"),
        (MONITORS.replace("[0.9, 0.1, 0.05]", "[0.01, 0.0, 0.0]"), "lies within the body"),
        (MONITORS.replace('"monitor"', '"watcher"'), "mic[4].use"),
    ],
)
def test_fixed_microphones_are_checked(crooked_text: str, tmp_path: Path, bad: str, words: str) -> None:
    with pytest.raises(BadInput, match="fault") as done:
        described(crooked_text, tmp_path, "", bad)
    assert words in str(done.value)
