"""Heads above their nominal place, a polar microphone at a place of its own: plans, tables and the lab's physics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sweetspot.measure import plan
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.rig_file import Description, parse


def changed(text: str, tmp_path: Path, *pairs: tuple[str, str]) -> Description:
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    return parse(text, folder=tmp_path)


def first_arrival(spectrum: np.ndarray, f: np.ndarray) -> float:
    """Mean group delay from 500 Hz to 3 kHz, s."""
    inside = (f > 500) & (f < 3000)
    h = spectrum[inside]
    return float(-np.angle(np.sum(h[1:] * h[:-1].conj())) / (2 * np.pi * (f[1] - f[0])))


def test_positions_have_a_height(crooked_text: str, tmp_path: Path) -> None:
    rig = changed(crooked_text, tmp_path, ("x = 0.03, y = -0.02", "x = 0.03, y = -0.02, z = 0.11"))
    made = plan.make(rig, "ears")
    high = np.flatnonzero(made.positions["z"] > 0.0)
    assert made.positions["z"][high].tolist() == [0.11]
    poses = {c.position: c.pose for c in made.captures}
    assert poses[int(high[0])].z == 0.11
    assert "z 11 cm" in poses[int(high[0])].text()
    assert "z" in Pose().differing(Pose(z=0.11))


@pytest.mark.parametrize("room", [False, True])
def test_a_higher_head_hears_later_and_softer(crooked_text: str, tmp_path: Path, room: bool) -> None:
    text = crooked_text if room else crooked_text.split("[lab.room]")[0]
    rig = parse(text, folder=tmp_path)
    world = World(rig, "T-1")
    level, high = (world.direct_at_ears(Pose(z=z)) for z in (0.0, 0.3))
    f = world.free_k * world.c / (2 * np.pi)
    for d, driver in enumerate(rig.driver):
        ways = [np.linalg.norm(np.array([rig.ears.distance_m, 0.0, z]) - driver.at) for z in (0.0, 0.3)]  # type: ignore[union-attr]
        later = first_arrival(high[0, d], f) - first_arrival(level[0, d], f)
        assert later == pytest.approx((ways[1] - ways[0]) / world.c, abs=15e-6), "but for the way around the body"
    apart = np.abs(world.at_ears(Pose(z=0.3)) - world.at_ears(Pose()))
    assert apart.max() > 0.0


def test_a_polar_microphone_at_its_own_place(crooked_text: str, tmp_path: Path) -> None:
    """At 40 degrees and 25 degrees up: each direction is met by another turn, and heard where it stands."""
    moved = ("[polar]", "[polar]\nazimuth_deg = 40.0\nelevation_deg = 25.0")
    rig = changed(crooked_text, tmp_path, moved)
    made = plan.make(rig, "polar")
    assert rig.polar is not None
    r = rig.polar.distance_m
    table = made.positions
    assert np.allclose(table["z"], r * np.sin(np.radians(25.0)))
    assert np.allclose(np.sqrt(table["x"] ** 2 + table["y"] ** 2 + table["z"] ** 2), r)
    assert np.allclose(np.degrees(np.arctan2(table["y"], table["x"])), (table["azimuth_deg"] + 180) % 360 - 180)
    world = World(rig, "T-1")
    for capture in made.captures[:: len(rig.driver) * 5]:
        row = table[capture.position]
        turn = float(np.degrees(capture.pose.turn))
        assert (40.0 - turn - row["azimuth_deg"]) % 360.0 == pytest.approx(0.0, abs=1e-6)
        assert -180.0 < turn <= 180.0
        there = world.body.at(np.array([row["x"], row["y"], row["z"]]), world.free_k)
        assert np.allclose(world.direct_at_microphone(capture.pose.turn), there)
