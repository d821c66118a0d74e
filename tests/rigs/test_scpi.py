"""The template-driven stage: its templates, its conversation word by word, and another maker's controller on a pty."""

from __future__ import annotations

import os
import re
import select
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.rig_file.description import StageTable, parse
from sweetspot.rigs.turntable.scpi import ScpiAxis, decode_angle, encode
from sweetspot.rigs.turntable.turning import TurningStage
from tests.rigs.conversation import Conversation

COMMANDS = {
    "move": "ROT:ABS {angle:.2f}",
    "position": "ROT:POS?",
    "moving": "ROT:MOV?",
    "stop": "ROT:STOP",
    "identify": "*IDN?",
    "expect": "ACME",
    "init": ["SYST:REM"],
}
HELLO = [(b"SYST:REM\n", []), (b"*IDN?\n", ["ACME turntable 2"])]


def asked(place: float, moving: int = 0) -> list[tuple[bytes, list[str]]]:
    return [(b"ROT:MOV?\n", [str(moving)]), (b"ROT:POS?\n", [f"{place:+.2f}"])]


def stage(line: Conversation, commands: dict[str, object] | None = None, **table: object) -> TurningStage:
    described = StageTable.model_validate(
        {"driver": "scpi", "port": "x", "commands": commands or COMMANDS, "tolerance_deg": 0.1, **table}
    )
    return TurningStage(ScpiAxis(line, described, line.clock), described, sleep=line.sleep, clock=line.clock)


def test_a_move_word_by_word() -> None:
    line = Conversation(
        *HELLO,
        *asked(0.0),
        *asked(0.0),
        (b"ROT:ABS -85.25\n", []),
        *asked(0.0, moving=1),
        *asked(-85.2, moving=1),
        *asked(-85.27),
    )
    made = stage(line, settle_s=2.0)
    moved = made.move(Pose(turn=np.radians(-85.25), yaw=0.3))
    line.over()
    assert np.degrees(moved.turn) == pytest.approx(-85.27)
    assert moved.yaw == 0.3
    assert line.now == pytest.approx(0.1 + 2.0)
    assert made.axes == {"turn"}


def test_another_make_of_controller() -> None:
    """No question for motion, a reply to each move, three digits, modulo 360, ends with CR, echoes commands."""
    commands = {
        "move": "Turn_abs {angle:03.0f}",
        "moved": "OK",
        "position": "Angle?",
        "position_reply": r"DEG=(\S+)",
        "end": "cr",
        "modulo": True,
        "resolution_deg": 1.0,
    }
    line = Conversation(
        (b"Angle?\r", ["Angle?", "X=77 DEG=350"]),
        (b"Angle?\r", ["X=77 DEG=350"]),
        (b"Turn_abs 040\r", ["Turn_abs 040", "OK"]),
        (b"Angle?\r", ["X=77 DEG=040"]),
        (b"Angle?\r", ["X=77 DEG=040"]),
        (b"Turn_abs 315\r", ["OK"]),
        (b"Angle?\r", ["X=77 DEG=315"]),
    )
    made = stage(line, commands, turns="head", reversed=True)
    assert np.degrees(made.move(Pose(yaw=np.radians(-40.0))).yaw) == pytest.approx(-40.0)
    assert np.degrees(made.move(Pose(yaw=np.radians(45.0))).yaw) == pytest.approx(45.0)
    line.over()
    with pytest.raises(BadInput, match="no multiple of its step of 1 degrees"):
        made.move(Pose(yaw=np.radians(10.5)))


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([(b"SYST:REM\n", []), (b"*IDN?\n", ["OTHER Inc."])], r"answered by 'OTHER Inc\.'; stage\.commands\.expect"),
        ([(b"SYST:REM\n", []), (b"*IDN?\n", [])], r"no answer to '\*IDN\?' in 5 s"),
        ([*HELLO, (b"ROT:MOV?\n", ["0"]), (b"ROT:POS?\n", ["none"])], "'none', which holds no angle"),
        ([*HELLO, (b"ROT:MOV?\n", ["ERR -113"])], "answered by 'ERR -113'; see the controller's manual"),
    ],
)
def test_trouble_when_it_opens(turns: list[tuple[bytes, list[str]]], message: str) -> None:
    with pytest.raises(HardwareTrouble, match=message):
        stage(Conversation(*turns))


def test_trouble_on_the_way() -> None:
    jammed = Conversation(*HELLO, *asked(0), *asked(0), (b"ROT:ABS 30.00\n", []), *(asked(3) * 43))
    with pytest.raises(HardwareTrouble, match=r"sent to 30 degrees and stands at 3; the tolerance is 0\.1"):
        stage(jammed).move(Pose(turn=np.radians(30.0)))
    slow = Conversation(
        *HELLO, *asked(0), *asked(0), (b"ROT:ABS 30.00\n", []), *(asked(3, 1) * 21), (b"ROT:STOP\n", [])
    )
    with pytest.raises(HardwareTrouble, match="is still at 3 after 1 s"):
        stage(slow, timeout_s=1).move(Pose(turn=np.radians(30.0)))
    assert slow.turns == []
    outside = Conversation(*HELLO, *asked(0))
    with pytest.raises(BadInput, match=r"-91 degrees lies outside stage\.limits_deg = \[-90, 90\]"):
        stage(outside, limits_deg=(-90, 90)).move(Pose(turn=np.radians(-91.0)))
    outside.over()


def test_ctrl_c_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Conversation(*HELLO, *asked(0), *asked(0), (b"ROT:ABS 30.00\n", []), *asked(3, 1), (b"ROT:STOP\n", []))
    made = stage(line)

    def interrupt(_s: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(made, "_sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        made.move(Pose(turn=np.radians(30.0)))
    line.over()


def test_templates() -> None:
    assert encode("G {angle:05.1f}", -0.0) == "G 000.0"
    assert encode("{angle}", 12.5) == "12.5"
    assert decode_angle("POS +012.50 deg", None) == 12.5
    assert decode_angle("A1 -3e1", r"\s(\S+)") == -30.0
    assert decode_angle("A1 -3e1", r"-.*") == -30.0
    assert decode_angle("nothing", None) is None
    assert decode_angle("x=y", r"x=(\S)") is None


@pytest.mark.parametrize(
    ("stage_text", "fault"),
    [
        ('driver = "scpi"\n', r"stage\.port: missing; driver 'scpi'"),
        ('driver = "scpi"\nport = "x"\n', r"stage\.commands: missing; driver 'scpi'"),
        ('driver = "scpi"\nport = "x"\ncommands = { move = "GO" , position = "P?" }\n', r"has no \{angle\}"),
        ('driver = "scpi"\nport = "x"\ncommands = { move = "GO {ang}" , position = "P?" }\n', r"is no template"),
        (
            'driver = "scpi"\nport = "x"\ncommands = { move = "{angle}", position = "P?", position_reply = "(" }\n',
            "is no regular expression",
        ),
        (
            'driver = "scpi"\nport = "x"\ncommands = { move = "{angle}", positon = "P?" }\n',
            r"stage\.commands\.positon: unknown key; did you mean 'position'\?",
        ),
    ],
)
def test_faults_of_the_rig_file(stage_text: str, fault: str, crooked_text: str, tmp_path: Path) -> None:
    text = crooked_text.replace('[stage]\ndriver = "lab"\n', f"[stage]\n{stage_text}")
    with pytest.raises(BadInput, match=fault):
        parse(text, folder=tmp_path)


# a controller on a pseudo-terminal


@pytest.fixture
def table(tmp_path: Path) -> Iterator[tuple[Path, list[float]]]:
    """A controller that answers at once, on a pseudo-terminal."""
    ours, theirs = os.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    places = [0.0]
    over, done = os.pipe()

    def served() -> None:
        text = b""
        while over not in (ready := select.select([ours, over], [], [])[0]):
            assert ours in ready
            *lines, text = (text + os.read(ours, 1024)).split(b"\r\n")
            for line in lines:
                for answer in answered(line.decode()):
                    os.write(ours, answer.encode() + b"\r\n")

    def answered(line: str) -> list[str]:
        if match := re.fullmatch(r"MOVE ([-+.\d]+)", line):
            places.append(float(match.group(1)))
            return []
        return {"WHERE": [f"AT {places[-1]:.3f}"]}.get(line, ["ERROR 1"])

    thread = threading.Thread(target=served, daemon=True)
    thread.start()
    port = tmp_path / "controller"
    port.symlink_to(os.ttyname(theirs))
    yield port, places
    os.write(done, b"x")
    thread.join()
    for descriptor in (ours, theirs, over, done):
        os.close(descriptor)


def on_port(text: str, port: Path) -> str:
    commands = 'commands = { move = "MOVE {angle:.3f}", position = "WHERE", error = "ERROR", end = "crlf" }'
    return text.replace(
        '[stage]\ndriver = "lab"\n', f'[stage]\ndriver = "scpi"\nport = "{port}"\nbaud = 9600\n{commands}\n'
    )


def test_on_a_pty(table: tuple[Path, list[float]], crooked_text: str, tmp_path: Path) -> None:
    port, places = table
    with open_rig(parse(on_port(crooked_text, port), folder=tmp_path), serial="T") as rig:
        for degrees in (90.0, -180.0, 0.125):
            asked = Pose(turn=np.radians(degrees), y=0.02)
            assert not rig.stage.move(asked).differing(asked)
            assert places[-1] == degrees
    rig.stage.close()


def test_over_tcp(crooked_text: str, tmp_path: Path) -> None:
    """The same lines through pyserial's ``socket://``."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        heard: list[str] = []

        def served() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rwb", buffering=0) as line:
                for text in line:
                    heard.append(text.decode().strip())
                    if heard[-1] == "WHERE":
                        line.write(b"AT 12.500\r\n")

        thread = threading.Thread(target=served, daemon=True)
        thread.start()
        described = parse(on_port(crooked_text, Path("PORT")), folder=tmp_path)
        text = described.text.replace("PORT", f"socket://127.0.0.1:{server.getsockname()[1]}")
        with open_rig(parse(text, folder=tmp_path), serial="T") as rig:
            rig.stage.move(Pose(turn=np.radians(12.5)))
        thread.join(timeout=5)
    assert heard[:2] == ["WHERE", "WHERE"]
