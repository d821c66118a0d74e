"""The GRBL stage: its lines, its conversation word by word, and the stage against the simulator on a real pty."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.lab.stage.grbl_machine import GrblMachine, GrblSimulator
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.rig_file.description import Description, StageTable, parse
from sweetspot.rigs.turntable.grbl import (
    GrblStage,
    SerialLine,
    axis_letters,
    decode_report,
    encode_move,
    pose_at,
    wire_targets,
)
from tests.rigs.conversation import Conversation

BANNER = ["", "Grbl 1.1h ['$' for help]"]
IDLE = "<Idle|MPos:0.000,0.000,0.000|FS:0,0|WCO:0.000,0.000,0.000>"


SETTINGS = ["$10=1", "$13=0", "$22=0", "$100=100.000", "ok"]
HELLO = ((b"\x18", BANNER), (b"?", [IDLE]), (b"$$\n", SETTINGS))


def stage(line: Conversation, **table: object) -> GrblStage:
    return GrblStage(
        line, StageTable.model_validate({"driver": "grbl", **table}), sleep=lambda _s: None, clock=line.clock
    )


def test_a_move_word_by_word() -> None:
    line = Conversation(
        *HELLO,
        (b"G21 G90 G0 X-85.000\n", ["ok"]),
        (b"G4 P0.01\n", ["ok"]),
        (b"?", ["<Idle|MPos:-84.950,0.000,0.000|FS:0,0>"]),
    )
    asked = Pose(turn=np.radians(-85.0), x=0.03, yaw=0.2)
    stands = stage(line).move(asked)
    line.over()
    assert np.degrees(stands.turn) == pytest.approx(-84.95)
    assert (stands.x, stands.y, stands.yaw) == (0.03, 0.0, 0.2)


def test_a_gantry_in_the_units_of_the_wire() -> None:
    axes = {"turn": "X", "x": "Z", "y": "Y", "yaw": "B"}
    stands = "<Idle|WPos:10.000,-40.000,31.500,0.000,-7.250|FS:0,0>"
    line = Conversation(
        *HELLO,
        (b"G21 G90 G0 X10.000 Z31.500 Y-40.000 B-7.250\n", ["ok"]),
        (b"G4 P0.01\n", ["ok"]),
        (b"?", [stands]),
    )
    pose = Pose(turn=np.radians(10.0), x=0.0315, y=-0.04, yaw=np.radians(-7.25))
    moved = stage(line, axes=axes).move(pose)
    line.over()
    assert not moved.differing(pose)


ALARM = IDLE.replace("Idle", "Alarm")
LOCKED = [*BANNER, "[MSG:'$H'|'$X' to unlock]"]
HOMING = ["$10=1", "$22=1", "ok"]


def test_a_controller_in_alarm_is_homed_where_it_can_be() -> None:
    line = Conversation((b"\x18", LOCKED), (b"?", [ALARM]), (b"$$\n", HOMING), (b"$H\n", ["ok"]))
    stage(line)
    line.over()


@pytest.mark.parametrize(
    ("settings", "table", "reason"),
    [(SETTINGS, {}, r"position is lost.*no homing"), (HOMING, {"home": "never"}, r'position is lost.*home = "never"')],
)
def test_a_lost_position_is_never_just_unlocked(settings: list[str], table: dict[str, str], reason: str) -> None:
    line = Conversation((b"\x18", LOCKED), (b"?", [ALARM]), (b"$$\n", settings))
    with pytest.raises(HardwareTrouble, match=reason):
        stage(line, **table)
    line.over()


def test_a_failed_homing_is_trouble() -> None:
    line = Conversation((b"\x18", LOCKED), (b"?", [ALARM]), (b"$$\n", HOMING), (b"$H\n", ["ALARM:9"]))
    with pytest.raises(HardwareTrouble, match="homing failed"):
        stage(line)


def test_homed_at_every_start_if_the_rig_says_so() -> None:
    line = Conversation((b"\x18", BANNER), (b"?", [IDLE]), (b"$$\n", HOMING), (b"$H\n", ["ok"]))
    stage(line, home="start")
    line.over()


def test_reports_in_inches_are_read() -> None:
    """90 degrees are 3.543 of what such a controller reports."""
    line = Conversation(
        *HELLO[:2],
        (b"$$\n", ["$10=1", "$13=1 (report inches, bool)", "ok"]),
        (b"G21 G90 G0 X90.000\n", ["ok"]),
        (b"G4 P0.01\n", ["ok"]),
        (b"?", ["<Idle|MPos:3.583,0.000,0.000|FS:0,0|WCO:0.039,0.000,0.000>"]),
    )
    assert np.degrees(stage(line, tolerance_deg=0.1).move(Pose(turn=np.radians(90.0))).turn) == pytest.approx(
        90, abs=0.1
    )
    line.over()


@pytest.mark.parametrize(
    "report",
    [
        "<Idle,MPos:95.000,0.000,0.000,WPos:90.000,0.000,0.000>",
        "<Idle,MPos:90.000,0.000,0.000>",
        "<Idle,WPos:90.000,0.000,0.000,Buf:0,RX:0>",
    ],
)
def test_reports_of_grbl_0_9_are_read(report: str) -> None:
    line = Conversation(
        (b"\x18", ["Grbl 0.9j ['$' for help]"]),
        (b"?", ["<Idle,MPos:0.000,0.000,0.000,WPos:0.000,0.000,0.000>"]),
        (b"$$\n", ["$0=10 (step pulse, usec)", "$13=0 (report inches, bool)", "$22=0 (homing cycle, bool)", "ok"]),
        (b"G21 G90 G0 X90.000\n", ["ok"]),
        (b"G4 P0.01\n", ["ok"]),
        (b"?", [report]),
    )
    assert np.degrees(stage(line).move(Pose(turn=np.radians(90.0))).turn) == pytest.approx(90.0)
    line.over()


def test_a_board_that_restarts_is_greeted_again() -> None:
    line = Conversation((b"\x18", []), *HELLO)
    stage(line)
    line.over()
    assert line.now == pytest.approx(2.5)


def test_no_greeting_is_trouble() -> None:
    line = Conversation((b"\x18", []), (b"\x18", ["noise"]), (b"\x18", []))
    with pytest.raises(HardwareTrouble, match=r"/dev/x: no GRBL controller answered a reset in 7\.5 s"):
        stage(line, port="/dev/x")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (["error:15"], "error:15"),
        (["ALARM:1"], "limit switch"),
        (["Grbl 1.1h ['$' for help]"], "restarted"),
        ([], r"no reply .*'G4 P0\.01' in 7 s"),
    ],
)
def test_trouble_on_the_way(answer: list[str], message: str) -> None:
    line = Conversation(*HELLO, (b"G21 G90 G0 X1.000\n", ["ok"]), (b"G4 P0.01\n", answer))
    with pytest.raises(HardwareTrouble, match=message):
        stage(line, timeout_s=7).move(Pose(turn=np.radians(1.0)))
    line.over()


def test_read_back_beyond_the_tolerance_is_trouble() -> None:
    for stands, fine in ((30.19, True), (30.21, False)):
        report = f"<Idle|MPos:{stands},0.000,0.000|FS:0,0>"
        line = Conversation(*HELLO, (b"G21 G90 G0 X30.000\n", ["ok"]), (b"G4 P0.01\n", ["ok"]), (b"?", [report]))
        made = stage(line)
        if fine:
            made.move(Pose(turn=np.radians(30.0)))
            continue
        with pytest.raises(
            HardwareTrouble, match=r"sent to 30 deg and stands at 30\.21 deg; the tolerance is 0\.2 deg"
        ):
            made.move(Pose(turn=np.radians(30.0)))


def test_work_offset_is_taken_off_machine_coordinates() -> None:
    offset = "<Idle|MPos:100.000,0.000,0.000|FS:0,0|WCO:100.000,0.000,0.000>"
    line = Conversation(
        (b"\x18", BANNER),
        (b"?", [offset]),
        (b"$$\n", SETTINGS),
        (b"G21 G90 G0 X5.000\n", ["ok"]),
        (b"G4 P0.01\n", ["ok"]),
        (b"?", ["<Run|MPos:104.000,0.000,0.000|FS:0,0>"]),
        (b"?", ["<Idle|MPos:105.000,0.000,0.000|FS:0,0>"]),
    )
    assert np.degrees(stage(line).move(Pose(turn=np.radians(5.0))).turn) == pytest.approx(5.0)
    line.over()


def test_outside_the_soft_limits_nothing_is_sent() -> None:
    line = Conversation(*HELLO)
    with pytest.raises(BadInput, match=r"91 degrees lies outside stage\.limits_deg = \[-90, 90\]"):
        stage(line, limits_deg=(-90, 90)).move(Pose(turn=np.radians(91.0)))
    line.over()


def test_after_a_stop_the_controller_is_greeted_again() -> None:
    line = Conversation(
        *HELLO,
        (b"!", []),
        (b"?", [IDLE.replace("Idle", "Hold:1")]),
        (b"?", [IDLE.replace("Idle", "Hold:0")]),
        (b"\x18", []),
        *HELLO,
        (b"G21 G90 G0 X0.000\n", ["ok"]),
        (b"G4 P0.01\n", ["ok"]),
        (b"?", [IDLE]),
    )
    made = stage(line)
    made.stop()
    made.move(Pose())
    line.over()


def test_the_stage_settles() -> None:
    slept: list[float] = []
    line = Conversation(*HELLO, (b"G21 G90 G0 X0.000\n", ["ok"]), (b"G4 P0.01\n", ["ok"]), (b"?", [IDLE]))
    table = StageTable(driver="grbl", settle_s=1.5)
    GrblStage(line, table, sleep=slept.append, clock=line.clock).move(Pose())
    assert slept == [1.5]


def test_lines() -> None:
    assert encode_move({"X": -0.0001, "A": 12.34567}) == "G21 G90 G0 X0.000 A12.346"
    report = decode_report("<Hold:0|MPos:1.000,-2.500,0.000|Bf:15,128|FS:0,0|WCO:1.000,0.000,0.000>")
    assert report is not None
    assert (report.state, report.position, report.machine) == ("Hold:0", (1.0, -2.5, 0.0), True)
    assert report.offset == (1.0, 0.0, 0.0)
    for other in ("ok", "<Idle>", "<Idle|MPos:a,b>", "[MSG:hello]", ""):
        assert decode_report(other) is None


def test_axes_of_a_rig() -> None:
    assert axis_letters(StageTable(turns="device")) == {"turn": "X"}
    assert axis_letters(StageTable(turns="head")) == {"yaw": "X"}
    letters = {"yaw": "C", "x": "A"}
    pose = Pose(turn=1.0, x=-0.02, y=0.5, yaw=0.3)
    assert wire_targets(pose, letters) == pytest.approx({"C": np.degrees(0.3), "A": -20.0})
    assert not pose_at(wire_targets(pose, letters), letters, Pose(turn=1.0, y=0.5)).differing(pose)


# the simulator


def done(machine: GrblMachine, text: str, now: float = 0.0) -> list[str]:
    return machine.feed(text.encode() + b"\n", now)


def test_the_machine_answers_as_grbl_does() -> None:
    places: list[dict[str, float]] = []
    machine = GrblMachine(places.append, locked=True)
    assert machine.feed(b"\x18", 0.0)[0].strip() == "Grbl 1.1h ['$' for help]"
    assert done(machine, "G0 X5") == ["error:9"]
    assert done(machine, "$X")[-1] == "ok"
    assert done(machine, "g90 g0 x5 b-2.5") == ["ok"]
    assert places[-1]["X"] == 5.0
    assert places[-1]["B"] == -2.5
    assert done(machine, "G91 G1 X1.5 F600") == ["ok"]
    assert done(machine, "$J=G90 Y3 F100") == ["ok"]
    assert (places[-1]["X"], places[-1]["Y"]) == (6.5, 3.0)
    assert machine.feed(b"?", 0.0)[0].startswith("<Idle|MPos:6.500,3.000,0.000,0.000,-2.500,0.000|")
    assert done(machine, "hello") == ["error:2"]
    assert done(machine, "G77") == ["error:20"]
    assert done(machine, "$nonsense") == ["error:3"]
    assert done(machine, "$$")[-1] == "ok"
    assert done(machine, "$H") == ["ok"]
    assert set(places[-1].values()) == {0.0}


def test_the_machine_takes_its_time() -> None:
    places: list[dict[str, float]] = []
    machine = GrblMachine(places.append, speed=10.0)
    assert done(machine, "G0 X20", 0.0) == ["ok"]
    assert done(machine, "G4 P0.5", 0.1) == []
    assert machine.feed(b"?", 1.0)[0].startswith("<Run|MPos:10.000,")
    assert machine.run(1.9) == []
    assert places == []
    assert machine.run(2.0) == ["ok"]
    assert places[-1]["X"] == 20.0
    assert done(machine, "G0 X0", 2.1) == []
    assert machine.run(2.6) == ["ok"]
    machine.feed(b"!", 3.0)
    assert places[-1]["X"] == pytest.approx(16.0)
    assert "ALARM:3" not in machine.feed(b"\x18", 3.0), "it stood when it was reset"
    done(machine, "G0 X0", 4.0)
    assert machine.feed(b"\x18", 4.1)[0] == "ALARM:3"


# the stage and the simulator, over a real pty


@pytest.fixture
def table(tmp_path: Path) -> Iterator[tuple[GrblSimulator, list[dict[str, float]], Path]]:
    places: list[dict[str, float]] = []
    port = tmp_path / "turntable"
    with GrblSimulator(GrblMachine(places.append, speed=2000.0, locked=True)) as simulator:
        port.symlink_to(simulator.lasting)
        yield simulator, places, port


def described(text: str, port: Path, more: str = "") -> Description:
    return parse(
        text.replace('[stage]\ndriver = "lab"', f'[stage]\ndriver = "grbl"\nport = "{port}"\n{more}'), port.parent
    )


def test_on_a_pty(table: tuple[GrblSimulator, list[dict[str, float]], Path], crooked_text: str) -> None:
    _, places, port = table
    made = GrblStage.open(described(crooked_text, port))
    for degrees in (90.0, -180.0, 0.125):
        asked = Pose(turn=np.radians(degrees), x=0.01)
        assert not made.move(asked).differing(asked)
        assert places[-1]["X"] == degrees, "the read-back came before the move"
    made.close()
    made.close()


def test_stop_in_the_middle_of_a_move(
    table: tuple[GrblSimulator, list[dict[str, float]], Path], crooked_text: str
) -> None:
    simulator, places, port = table
    simulator.machine.speed = 100.0
    made = GrblStage.open(described(crooked_text, port, "timeout_s = 0.3"))
    with pytest.raises(HardwareTrouble, match=r"in 0\.3 s"):
        made.move(Pose(turn=np.radians(300.0)))
    made.stop()
    until = time.monotonic() + 5.0
    while not places and time.monotonic() < until:
        time.sleep(0.01)
    assert 5.0 < places[-1]["X"] < 290.0
    simulator.machine.speed = 5000.0
    made.move(Pose(turn=np.radians(-5.0)))
    assert places[-1]["X"] == -5.0
    made.close()


def test_a_jammed_axis_is_noticed(table: tuple[GrblSimulator, list[dict[str, float]], Path], crooked_text: str) -> None:
    simulator, _, port = table
    simulator.machine.jammed = "X"
    made = GrblStage.open(described(crooked_text, port))
    with pytest.raises(HardwareTrouble, match="sent to 10 deg and stands at 0 deg"):
        made.move(Pose(turn=np.radians(10.0)))
    made.close()


def test_a_port_that_is_not_there(crooked_text: str, tmp_path: Path) -> None:
    with pytest.raises(HardwareTrouble, match=r"stage\.port .*nowhere does not open"):
        GrblStage.open(described(crooked_text, tmp_path / "nowhere"))


def test_one_program_at_a_time(table: tuple[GrblSimulator, list[dict[str, float]], Path]) -> None:
    _, _, port = table
    first = SerialLine(str(port))
    with pytest.raises(HardwareTrouble, match="does not open"):
        SerialLine(str(port))
    first.close()


def test_the_lasting_path_outlives_no_process(root: Path) -> None:
    """The terminal of a lab that was killed is reused by the next program; its lasting path is not."""
    program = (
        "import sys\nfrom sweetspot.rigs.lab.stage.grbl_machine import GrblMachine, GrblSimulator\n"
        "with GrblSimulator(GrblMachine(lambda _: None)) as s:\n"
        "    print(s.port, s.lasting, flush=True)\n    sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], cwd=root, stdin=pipe, stdout=pipe, text=True) as lab:
        assert lab.stdout is not None
        port, lasting = lab.stdout.readline().split()
        assert os.path.realpath(lasting) == port
        lab.kill()
    ours, theirs = os.openpty()
    assert not os.path.exists(lasting)
    os.close(ours)
    os.close(theirs)
