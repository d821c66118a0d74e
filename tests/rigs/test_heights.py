"""Heads above their nominal place, a polar microphone at a place of its own: plans, tables and the lab's physics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from sweetspot.measure import cli, folder, incoming, plan, summary
from sweetspot.measure.impulse import elevations_deg, ring_rows
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file import Description, parse
from sweetspot.rigs.turntable.grbl import pose_at, wire_targets

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)


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


def test_elevations_of_the_polar_set(crooked_text: str, tmp_path: Path) -> None:
    """Rings at 0, 30 and -25 degrees and a pole: one after the other, each where the lab hears it."""
    rig = changed(crooked_text, tmp_path, ("[polar]", "[polar]\nelevations_deg = [30.0, 0.0, 90.0, -25.0]"))
    made = plan.make(rig, "polar")
    assert rig.polar is not None
    around = len(rig.polar.angles)
    assert len(made.positions) == 3 * around + 1
    up = elevations_deg(made.positions)
    assert sorted(set(np.round(up).tolist())) == [-25.0, 0.0, 30.0, 90.0]
    assert ring_rows(made.positions).tolist() == list(range(around))
    visited = np.round(up[list(made.order)])
    assert np.count_nonzero(np.diff(visited)) == 3, "the microphone is raised three times, not at every direction"
    world = World(rig, "T-1")
    for capture in made.captures[:: len(rig.driver) * 7]:
        row = made.positions[capture.position]
        there = world.body.at(np.array([row["x"], row["y"], row["z"]]), world.free_k)
        assert np.allclose(world.direct_at_microphone(capture.pose.turn, capture.pose.elevation), there)
    assert "polar microphone raised by 30 deg" in Pose(elevation=np.radians(30.0)).text()


def test_a_stage_that_raises_the_microphone() -> None:
    """GRBL with an axis for it; one without asks the operator."""
    letters = {"turn": "X", "elevation": "A"}
    pose = Pose(turn=np.radians(90.0), elevation=np.radians(-30.0))
    assert wire_targets(pose, letters) == pytest.approx({"X": 90.0, "A": -30.0})
    assert pose_at({"X": 90.0, "A": -30.0}, letters, Pose()).differing(pose) == ()
    assert Pose().differing(pose) == ("turn", "elevation")


def test_a_session_over_a_sphere(crooked_text: str, tmp_path: Path, lab_rig: Callable[..., Rig]) -> None:
    """Measured, used as the ring that a session of the ring alone holds, exported and imported as the sphere."""
    text = crooked_text.split("[lab.room]")[0].replace("step_deg = 15.0", "step_deg = 60.0")
    assert "step_deg = 60.0" in text
    sets = {}
    for name, more in (("ring", ""), ("sphere", "elevations_deg = [-30.0, 45.0]\n")):
        rig = lab_rig(parse(text.replace("[polar]\n", f"[polar]\n{more}"), folder=tmp_path), "T-1")
        run = folder.new(tmp_path / name, "T-1", rig.description, NOON)
        with Session.resume(run / "session.h5") as session:
            measure(rig, session, plan.make(rig.description, "polar"), ask=print, step=lambda _: None)
            sets[name] = session.responses("polar")
            whole = session.responses("polar", whole=True)
            assert session.per_bin("polar", "stderr").shape[0] == len(sets[name].h)
            _, shown = summary.of_session(session)
    assert "use the ring of 6 directions at 0 degrees" in shown
    assert len(whole.h) == 18
    assert np.array_equal(sets["ring"].positions, sets["sphere"].positions)
    error = sets["ring"].h - sets["sphere"].h
    assert np.sqrt(np.mean(error**2) / np.mean(sets["ring"].h ** 2)) < 0.01, "but for noise"
    cli.export_(run, "wav", tmp_path / "wav")
    cli.sofa_(run, tmp_path)
    for source in (tmp_path / "wav", tmp_path / "polar.sofa"):
        (back,) = incoming.sets(source, incoming.Wish())
        made, _ = incoming.imported([back], str(source), "T-2", NOON, runs=tmp_path / source.stem, run=None, rig=None)
        with Session.read(made / "session.h5") as session:
            again = session.responses("polar", whole=True)
            described = session.rig()
        assert np.allclose(elevations_deg(again.positions), elevations_deg(whole.positions), atol=0.01)
        assert np.allclose(again.positions["azimuth_deg"], whole.positions["azimuth_deg"], atol=0.01)
        n = min(again.h.shape[-1] - again.zero, whole.h.shape[-1] - whole.zero)
        here, there = (s.h[..., s.zero : s.zero + n] for s in (again, whole))
        assert np.allclose(here, there, atol=1e-5 * np.abs(there).max())
        assert described.polar is not None
        assert described.polar.rings_deg == (0.0, -30.0, 45.0)
