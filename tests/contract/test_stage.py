"""What every stage promises: the virtual one, GRBL on a pseudo-terminal, ET250-3D on a socket, each moving a world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.interface import LabStage
from sweetspot.rigs.lab.stage.et250_machine import Et250Machine, Et250Simulator
from sweetspot.rigs.lab.stage.grbl_machine import GrblMachine, GrblSimulator
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import AXES, Pose
from sweetspot.rigs.protocol import Stage
from sweetspot.rigs.rig_file.description import Description, parse
from sweetspot.rigs.turntable import et250
from sweetspot.rigs.turntable.grbl import GrblStage, axis_letters, pose_at
from sweetspot.rigs.turntable.manual import ManualStage
from sweetspot.rigs.turntable.scpi import ScpiAxis
from sweetspot.rigs.turntable.turning import TurningStage

LIMITS = "limits_deg = [-120, 100]\n"


@dataclass
class Made:
    """A stage and what it moves."""

    stage: Stage
    pose: Callable[[], Pose]


def on_grbl(text: str, folder: Path, axes: str) -> Iterator[Made]:
    """GRBL on a pseudo-terminal; moves a world as the sound card's turntable does."""
    machine = GrblMachine(lambda places: setattr(world, "pose", pose_at(places, letters, Pose())), locked=True)
    with GrblSimulator(machine) as table:
        stage = f'[stage]\ndriver = "grbl"\nport = "{table.port}"\n{axes}{LIMITS}'
        described = parse(text.replace('[stage]\ndriver = "lab"\n', stage), folder=folder)
        world, letters = World(described, "T"), axis_letters(described.stage)
        opened = GrblStage.open(described)
        try:
            yield Made(opened, lambda: world.pose)
        finally:
            opened.close()


def on_et250(text: str, folder: Path, more: str) -> Iterator[Made]:
    """An ET250-3D on a loopback socket; its angle turns the device, counted the other way if ``more`` is set."""
    sign = -1.0 if "reversed" in more else 1.0
    machine = Et250Machine(lambda at: setattr(world, "pose", Pose(turn=np.radians(sign * at))))
    with Et250Simulator(machine) as table:
        stage = f'[stage]\ndriver = "et250"\nhost = "{table.host}"\nudp_port = {table.port}\nlocal_port = 0\n{more}'
        described = parse(text.replace('[stage]\ndriver = "lab"\n', stage + LIMITS), folder=folder)
        world = World(described, "T")
        opened = et250.opened(described)
        try:
            yield Made(opened, lambda: world.pose)
        finally:
            opened.close()


class Scripted:
    """An ASCII controller without a wire, that turns a world at once."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.at = 0.0
        self.answers: list[str] = []

    def send(self, data: bytes) -> None:
        word, _, rest = data.decode().strip().partition(" ")
        if word == "GO":
            self.at = float(rest)
            assert self.world is not None
            self.world.pose = Pose(turn=np.radians(self.at))
        elif word == "AT?":
            self.answers.append(f"{self.at:.4f}")

    def receive(self, wait_s: float) -> str | None:
        return self.answers.pop(0) if self.answers else None

    def close(self) -> None:
        """Nothing to let go of."""


def on_scpi(text: str, folder: Path) -> Iterator[Made]:
    """A template-driven stage with a controller that follows its templates."""
    commands = 'commands = { move = "GO {angle:.6f}", position = "AT?", stop = "HALT" }\n'
    stage = f'[stage]\ndriver = "scpi"\nport = "x"\n{commands}{LIMITS}'
    described = parse(text.replace('[stage]\ndriver = "lab"\n', stage), folder=folder)
    line = Scripted()
    line.world = world = World(described, "T")
    yield Made(TurningStage(ScpiAxis(line, described.stage), described.stage), lambda: world.pose)


@pytest.fixture(params=["lab", "manual", "grbl turntable", "grbl gantry", "et250", "et250 reversed", "scpi"])
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
        case "et250":
            yield from on_et250(crooked_text, tmp_path, "")
        case "et250 reversed":
            yield from on_et250(crooked_text, tmp_path, "reversed = true\n")
        case "scpi":
            yield from on_scpi(crooked_text, tmp_path)
        case "grbl turntable":
            yield from on_grbl(crooked_text, tmp_path, "")
        case "grbl gantry":
            yield from on_grbl(crooked_text, tmp_path, 'axes = { turn = "B", x = "Z", y = "X", yaw = "A" }\n')


ASKED = Pose(turn=np.radians(-85.0), x=0.03, y=-0.021, yaw=np.radians(7.5))


class TestStage:
    """The contract of :class:`sweetspot.rigs.protocol.Stage`."""

    def test_its_axes_are_fields_of_a_pose(self, made: Made) -> None:
        assert made.stage.axes <= set(AXES)

    def test_a_move_moves_its_axes_and_no_others(self, made: Made) -> None:
        stands = made.stage.move(ASKED)
        assert not stands.differing(ASKED, tolerance=1e-4)
        for field in AXES:
            wanted = getattr(ASKED if field in made.stage.axes else Pose(), field)
            assert getattr(made.pose(), field) == pytest.approx(wanted, abs=1e-9)

    def test_moves_are_absolute(self, made: Made) -> None:
        for pose in (ASKED, Pose(), Pose(turn=np.radians(57.5)), ASKED):
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
        asked = Pose(turn=np.radians(28.5))
        assert not made.stage.move(asked).differing(asked, tolerance=1e-4)

    def test_it_closes_twice(self, made: Made) -> None:
        made.stage.close()
        made.stage.close()
