"""What every stage promises, over the virtual one and over GRBL on a pseudo-terminal, each moving a world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from rigs.describe import Description, parse
from rigs.errors import BadInput
from rigs.lab.interface import LabStage
from rigs.lab.turntable import GrblSimulator
from rigs.lab.world import World
from rigs.layout import AXES, Pose
from rigs.protocol import Stage
from rigs.turntable.grbl import GrblStage, axis_letters, pose_at
from rigs.turntable.manual import ManualStage

LIMITS = "limits_deg = [-120, 100]\n"


@dataclass
class Made:
    """A stage and what it moves."""

    stage: Stage
    pose: Callable[[], Pose]


def on_grbl(text: str, folder: Path, axes: str) -> Iterator[Made]:
    """GRBL on a pseudo-terminal; moves a world as the sound card's turntable does."""
    with GrblSimulator(lambda places: setattr(world, "pose", pose_at(places, letters, Pose())), locked=True) as table:
        stage = f'[stage]\ndriver = "grbl"\nport = "{table.port}"\n{axes}{LIMITS}'
        described = parse(text.replace('[stage]\ndriver = "lab"\n', stage), folder=folder)
        world, letters = World(described, "T"), axis_letters(described.stage)
        opened = GrblStage.open(described)
        try:
            yield Made(opened, lambda: world.pose)
        finally:
            opened.close()


@pytest.fixture(params=["lab", "manual", "grbl turntable", "grbl gantry"])
def made(request: pytest.FixtureRequest, crooked_text: str, tmp_path: Path) -> Iterator[Made]:
    """A stage of each kind."""
    limited = crooked_text.replace('[stage]\ndriver = "lab"\n', f'[stage]\ndriver = "lab"\n{LIMITS}')
    described: Description = parse(limited, folder=tmp_path)
    match request.param:
        case "lab":
            world = World(described, "T")
            yield Made(LabStage(world), lambda: world.pose)
        case "manual":
            yield Made(ManualStage(), Pose)
        case "grbl turntable":
            yield from on_grbl(crooked_text, tmp_path, "")
        case "grbl gantry":
            yield from on_grbl(crooked_text, tmp_path, 'axes = { turn = "B", x = "Z", y = "X", yaw = "A" }\n')


ASKED = Pose(turn=np.radians(-85.0), x=0.03, y=-0.021, yaw=np.radians(7.5))


class TestStage:
    """The contract of :class:`rigs.protocol.Stage`."""

    def test_its_axes_are_fields_of_a_pose(self, made: Made) -> None:
        assert made.stage.axes <= set(AXES)

    def test_a_move_moves_its_axes_and_no_others(self, made: Made) -> None:
        stands = made.stage.move(ASKED)
        assert not stands.differing(ASKED, tolerance=1e-4)
        for field in AXES:
            wanted = getattr(ASKED if field in made.stage.axes else Pose(), field)
            assert getattr(made.pose(), field) == pytest.approx(wanted, abs=1e-9)

    def test_moves_are_absolute(self, made: Made) -> None:
        for pose in (ASKED, Pose(), Pose(turn=1.0), ASKED):
            made.stage.move(pose)
        again = made.pose()
        made.stage.move(ASKED)
        assert made.pose() == again

    def test_it_stays_within_its_limits(self, made: Made) -> None:
        made.stage.move(ASKED)
        before = made.pose()
        for degrees in (-120.1, 100.1):
            if "turn" in made.stage.axes:
                with pytest.raises(BadInput, match=rf"{degrees} degrees lies outside .* \[-120, 100\]"):
                    made.stage.move(replace(ASKED, turn=np.radians(degrees)))
        assert made.pose() == before
        for degrees in (-120.0, 100.0):
            made.stage.move(replace(ASKED, turn=np.radians(degrees)))

    def test_it_moves_again_after_a_stop(self, made: Made) -> None:
        made.stage.stop()
        made.stage.move(ASKED)
        made.stage.stop()
        made.stage.stop()
        assert not made.stage.move(Pose(turn=0.5)).differing(Pose(turn=0.5), tolerance=1e-4)

    def test_it_closes_twice(self, made: Made) -> None:
        made.stage.close()
        made.stage.close()
