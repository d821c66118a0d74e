"""The reference pair: two more outputs of a rig, loudspeakers in the lab, a set of its own in the session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sweetspot.calibrate.auditory import assessment
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.measure import folder, plan
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab import World
from sweetspot.rigs.lab.pair import places
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file import Description, parse

PAIR = "\n[reference]\nleft = 2\nright = 4\nangle_deg = 25.0\ndistance_m = 1.9\n"


@pytest.fixture
def paired(crooked_text: str, tmp_path: Path) -> Description:
    return parse(crooked_text + PAIR, folder=tmp_path)


def arrivals(world: World, pose: Pose) -> np.ndarray:
    """First arrival (s) from left and right loudspeaker at left and right ear, ``(ear, side)``."""
    assert world.pair is not None
    h = world.pair.at_ears(pose, world.taps)
    fine = np.fft.irfft(np.fft.rfft(h, axis=-1), 8 * h.shape[-1], axis=-1)
    level = np.abs(fine)
    return np.argmax(level > 0.2 * level.max(axis=-1, keepdims=True), axis=-1) / (8.0 * world.fs)


def test_the_loudspeakers_stand_where_the_rig_says(paired: Description) -> None:
    """Left is the listener's left, which is -y; at another pose of the head distances are those of the geometry."""
    at = places(paired)
    assert at[0, 1] < 0.0 < at[1, 1]
    assert np.allclose(np.linalg.norm(at - [1.4, 0.0], axis=1), 1.9)
    world, pose = World(paired, "T-1"), Pose(x=0.1, y=-0.2, yaw=0.3)
    found = arrivals(world, pose)
    middle = np.array([1.5, -0.2])
    facing = np.pi + 0.3
    for side in (0, 1):
        ears = [
            middle + 0.0875 * np.array([np.cos(facing + a), np.sin(facing + a)]) for a in np.radians([100.0, -100.0])
        ]
        r = [float(np.linalg.norm(at[side] - ear)) for ear in ears]
        assert int(np.argmin(found[:, side])) == int(np.argmin(r))
        near = int(np.argmin(r))
        assert found[near, side] == pytest.approx((min(r) - 0.11) / world.c, abs=1.5e-4), "from the front of its box"


def test_the_pair_is_on_its_own_outputs_and_rendered_only_when_it_plays(paired: Description) -> None:
    world = World(paired, "T-1")
    whole, without = world.paths(Pose()), world.paths(Pose(), pair=False)
    ears = [m.channel - 1 for m in paired.ear_mics]
    assert np.all(without[:, [1, 3]] == 0.0)
    assert np.all(np.abs(whole[ears][:, [1, 3]]).max(axis=-1) > 0.0)
    assert np.array_equal(np.delete(whole, [1, 3], axis=1), np.delete(without, [1, 3], axis=1))


def test_the_pair_is_in_the_room_of_the_device(crooked_text: str, tmp_path: Path) -> None:
    room = "[lab.room]\nsize_m = [5.0, 4.0, 2.6]\ndevice_m = [1.4, 1.7, 1.0]\nfacing_deg = 7.0\nimage_order = 2\n"
    dry, wet = (parse(crooked_text + PAIR + t, folder=tmp_path) for t in ("", room))
    energies = []
    for rig in (dry, wet):
        world = World(rig, "T-1")
        assert world.pair is not None
        energies.append(np.sum(world.pair.at_ears(Pose(), 4096)[..., 600:] ** 2))
    assert energies[1] > 20.0 * energies[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[reference]\nleft = 2\nright = 1\n", "already used by driver"),
        ("[reference]\nleft = 2\n", "reference.right: missing"),
        ("[reference]\nleft = 2\nright = 4\nangle = 30\n", "did you mean 'angle_deg'"),
        (
            "[reference]\nleft = 2\nright = 4\n[lab.room]\nsize_m = [4.0, 2.0, 2.5]\ndevice_m = [1.0, 0.5, 1.0]\n",
            "reference.left: the reference pair would be at y",
        ),
    ],
)
def test_faults_of_the_reference_are_named(crooked_text: str, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse(crooked_text + text, folder=tmp_path)


def test_a_rig_without_a_pair_has_no_such_set(crooked: Description, paired: Description) -> None:
    assert plan.sets_of(crooked) == ("ears", "polar")
    assert plan.sets_of(paired) == ("ears", "reference", "polar")
    with pytest.raises(BadInput, match=r"no \[reference\]"):
        plan.make(crooked, "reference")


def test_a_measured_pair_becomes_the_reference(
    paired: Description, measured: Path, lab_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    from datetime import UTC, datetime

    run = folder.new(tmp_path, "T-9", paired, datetime(2026, 3, 4, tzinfo=UTC))
    wanted = plan.make(paired, "reference")
    assert len(wanted.positions) == 2, "the scoring positions alone"
    with Session.resume(run / "session.h5") as session:
        measure(lab_rig(paired, "T-9"), session, wanted, ask=lambda move: None, step=lambda note: None)
        assert session.has_reference
        assert session.left(wanted) == 0
        pair = session.responses("reference")
        assert session.sets == ()
    assert pair.h.shape[1:3] == (2, 2)
    with Session.read(measured / "session.h5") as session:
        ears = session.responses("ears").used_for("score")
    from sweetspot.calibrate import run as steps
    from sweetspot.calibrate.design import Design

    filters = steps.fitted(measured, Design()).filters
    arms = assessment.predicted(paired, ears, filters, pair, auditory.model_of(paired))
    found = arms.whole(assessment.levels(paired, ears, filters))
    assert found.reference_from == "rig"
    az = found.arms["reference"].azimuth_deg
    seen = places(paired) - np.array([[1.4, 0.0]])
    wanted_deg = np.degrees(np.arctan2(seen[:, 1], seen[:, 0]) - np.pi)
    wanted_deg = (wanted_deg + 180.0) % 360.0 - 180.0
    assert np.allclose(az[[0, -1]], wanted_deg, atol=4.0)
