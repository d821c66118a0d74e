"""The ET250-3D: its datagrams, its conversation datagram by datagram, and the stage against a simulator on a socket."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.lab.stage.et250_machine import Et250Machine, Et250Simulator
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.rig_file.description import StageTable, parse
from sweetspot.rigs.turntable import et250
from sweetspot.rigs.turntable.et250 import Et250Axis, Place, UdpDatagrams, decode, encode
from sweetspot.rigs.turntable.turning import TurningStage
from tests.rigs.conversation import Conversation

OK, NO = b"\x33\x00", b"\x66\x00"
ASK = b"\x04\x00\x00\x04"


def stands(degrees: float, moves: bool = False) -> bytes:
    """A report worked out by hand here, apart from the code under test."""
    tenths = round(10 * degrees)
    body = [4 if moves else 5, 0, 0, tenths >> 8, tenths & 0xFF, 2]
    check = 0
    for byte in body:
        check ^= byte
    return bytes([*body, check])


def stage(*turns: tuple[bytes, list[bytes]], **table: object) -> tuple[TurningStage, Conversation[bytes]]:
    wire = Conversation(*turns)
    described = StageTable.model_validate({"driver": "et250", "host": "h", **table})
    return TurningStage(Et250Axis(wire, wire.clock), described, sleep=wire.sleep, clock=wire.clock), wire


def test_datagrams() -> None:
    """Bytes as the maker's protocol and other people's programs have them."""
    assert encode(3) == bytes([0x03, 0x00, 0x00, 0x03])
    assert encode(4) == bytes([0x04, 0x00, 0x00, 0x04])
    assert encode(1, 900) == bytes([0x01, 0x03, 0x84, 0x01 ^ 0x03 ^ 0x84])
    assert decode(bytes([5, 0, 0, 3, 132, 1, 5 ^ 3 ^ 132 ^ 1])) == Place(90.0, moves=False)
    assert decode(stands(359.5, moves=True)) == Place(359.5, moves=True)
    assert decode(OK) is True
    assert decode(NO) is False
    for other in (b"", b"\x33", bytes(7), stands(10.0)[:-1] + b"\xff", b"\x44\x00"):
        assert decode(other) is None


def test_a_move_datagram_by_datagram() -> None:
    made, wire = stage(
        (ASK, [stands(10.0)]),
        (ASK, [stands(10.0)]),
        (ASK, [stands(10.0)]),
        (encode(1, 300), [OK]),
        (ASK, [stands(10.0, moves=True)]),
        (ASK, [stands(25.5, moves=True)]),
        (ASK, [stands(40.0)]),
        settle_s=1.5,
    )
    moved = made.move(Pose(turn=np.radians(40.0), x=0.1))
    assert not wire.turns
    assert np.degrees(moved.turn) == pytest.approx(40.0)
    assert moved.x == 0.1
    assert wire.now == pytest.approx(2 * 0.05 + 1.5)


def test_backward_and_reversed() -> None:
    for reverse, command in ((False, 2), (True, 1)):
        made, wire = stage(
            (ASK, [stands(0.0)]),
            (ASK, [stands(0.0)]),
            (ASK, [stands(0.0)]),
            (encode(command, 455), [OK]),
            (ASK, [stands(45.5 if reverse else 314.5)]),
            reversed=reverse,
        )
        assert np.degrees(made.move(Pose(turn=np.radians(-45.5))).turn) == pytest.approx(-45.5)
        assert not wire.turns


def test_no_short_way_round_that_winds_the_cable() -> None:
    """From 175 to -175 degrees it goes back all the way, in steps of unambiguous direction, and never past 180."""
    made, wire = stage(
        (ASK, [stands(175.0)]),
        (ASK, [stands(175.0)]),
        (ASK, [stands(175.0)]),
        (encode(2, 1170), [OK]),
        (ASK, [stands(58.0)]),
        (ASK, [stands(58.0)]),
        (encode(2, 1160), [OK]),
        (ASK, [stands(302.0)]),
        (ASK, [stands(302.0)]),
        (encode(2, 1170), [OK]),
        (ASK, [stands(185.0)]),
        limits_deg=(-180, 180),
    )
    assert np.degrees(made.move(Pose(turn=np.radians(-175.0))).turn) == pytest.approx(-175.0)
    assert made._sign * made._wound == pytest.approx(-175.0)
    assert not wire.turns


def test_an_answer_that_was_lost() -> None:
    """A query is sent again; a turn is sent again only if no motion has begun."""
    begun, wire = stage(
        (ASK, []),
        (ASK, [stands(0.0)]),
        (ASK, [stands(0.0)]),
        (ASK, [stands(0.0)]),
        (encode(1, 100), []),
        (ASK, [stands(0.5, moves=True)]),
        (ASK, [stands(10.0)]),
    )
    begun.move(Pose(turn=np.radians(10.0)))
    assert not wire.turns
    lost, wire = stage(
        (ASK, [stands(0.0)]),
        (ASK, [stands(0.0)]),
        (ASK, [stands(0.0)]),
        (encode(1, 100), []),
        (ASK, [stands(0.0)]),
        (encode(1, 100), [b"noise", OK]),
        (ASK, [stands(10.0)]),
    )
    lost.move(Pose(turn=np.radians(10.0)))
    assert not wire.turns


def test_trouble_on_the_way() -> None:
    with pytest.raises(HardwareTrouble, match=r"no angle from the ET250-3D in 1\.5 s"):
        stage((ASK, []), (ASK, []), (ASK, [OK]))
    refused, _ = stage(*[(ASK, [stands(0.0)])] * 3, (encode(1, 100), [NO]))
    with pytest.raises(HardwareTrouble, match="refuses to turn by 10 degrees"):
        refused.move(Pose(turn=np.radians(10.0)))
    jammed, wire = stage(*[(ASK, [stands(0.0)])] * 3, (encode(1, 100), [OK]), *[(ASK, [stands(0.0)])] * 42)
    with pytest.raises(HardwareTrouble, match=r"sent to 10 degrees and stands at 0; the tolerance is 0\.2"):
        jammed.move(Pose(turn=np.radians(10.0)))
    assert wire.now < 3.0
    slow, wire = stage(
        *[(ASK, [stands(0.0)])] * 3,
        (encode(1, 100), [OK]),
        *[(ASK, [stands(0.0, moves=True)])] * 21,
        (encode(3), [OK]),
        timeout_s=1,
    )
    with pytest.raises(HardwareTrouble, match=r"still at 0 after 1 s \(stage\.timeout_s\); it was stopped"):
        slow.move(Pose(turn=np.radians(10.0)))


def test_limits_and_steps_are_checked_before_anything_is_sent() -> None:
    made, wire = stage((ASK, [stands(0.0)]), limits_deg=(-90, 90))
    with pytest.raises(BadInput, match=r"91 degrees lies outside stage\.limits_deg = \[-90, 90\]"):
        made.move(Pose(turn=np.radians(91.0)))
    with pytest.raises(BadInput, match=r"10\.25 degrees is no multiple of its step of 0\.5"):
        made.move(Pose(turn=np.radians(10.25)))
    assert not wire.turns


def test_ctrl_c_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made, wire = stage(
        *[(ASK, [stands(0.0)])] * 3, (encode(1, 100), [OK]), (ASK, [stands(2.0, moves=True)]), (encode(3), [OK])
    )

    def interrupt(_s: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(made, "_sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        made.move(Pose(turn=np.radians(10.0)))
    assert not wire.turns, "it was not told to stop"


# the simulator


def test_the_machine_answers_as_the_device_does() -> None:
    places: list[float] = []
    machine = Et250Machine(places.append, speed=10.0)
    assert machine.feed(encode(1, 200), 0.0) == OK
    assert machine.feed(encode(1, 200), 0.5) == NO, "it turns already"
    assert machine.feed(ASK, 1.0) == stands(10.0, moves=True)
    assert machine.feed(ASK, 2.0) == stands(20.0)
    assert places == [20.0]
    assert machine.feed(encode(2, 303), 3.0) == OK
    report = machine.feed(ASK, 99.0)
    assert report is not None
    assert decode(report) == Place(349.5, moves=False), "30.3 degrees are 30.5 in steps of a half"
    assert report[5] == 1, "the last turn was backward"
    assert machine.feed(encode(5), 99.0) == OK
    assert decode(machine.feed(ASK, 99.0) or b"") == Place(0.0, moves=False)
    for bad in (b"", b"\x01\x00\x00\x02", b"\x09\x00\x00\x09", b"\x01\x02\x03"):
        assert machine.feed(bad, 100.0) == NO


# the stage and the simulator, over a loopback socket


@pytest.fixture
def table() -> Iterator[tuple[Et250Simulator, list[float]]]:
    places: list[float] = []
    with Et250Simulator(Et250Machine(places.append, speed=2000.0)) as simulator:
        yield simulator, places


def described(text: str, simulator: Et250Simulator, folder: Path, more: str = "") -> object:
    stage = f'[stage]\ndriver = "et250"\nhost = "127.0.0.1"\nudp_port = {simulator.port}\nlocal_port = 0\n{more}'
    return parse(text.replace('[stage]\ndriver = "lab"\n', stage), folder=folder)


def test_on_a_socket(table: tuple[Et250Simulator, list[float]], crooked_text: str, tmp_path: Path) -> None:
    simulator, places = table
    with open_rig(described(crooked_text, simulator, tmp_path), serial="T") as rig:
        for degrees in (90.0, -180.0, 0.5, 179.5, -179.5):
            asked = Pose(turn=np.radians(degrees), x=0.01)
            assert not rig.stage.move(asked).differing(asked)
            assert places[-1] == pytest.approx(degrees), "every turn of the cable counts"
    rig.stage.close()


def test_it_may_lose_datagrams(table: tuple[Et250Simulator, list[float]], crooked_text: str, tmp_path: Path) -> None:
    simulator, places = table
    made = et250.opened(described(crooked_text, simulator, tmp_path))
    for lost in (1, 2):
        simulator.machine.lose = lost
        made.move(Pose(turn=np.radians(30.0 * lost)))
        assert places[-1] == pytest.approx(30.0 * lost)
    made.close()


def test_a_stop_in_the_middle(table: tuple[Et250Simulator, list[float]], crooked_text: str, tmp_path: Path) -> None:
    simulator, places = table
    simulator.machine.speed = 50.0
    made = et250.opened(described(crooked_text, simulator, tmp_path, "timeout_s = 0.4\n"))
    with pytest.raises(HardwareTrouble, match="it was stopped"):
        made.move(Pose(turn=np.radians(150.0)))
    assert 5.0 < places[-1] < 60.0
    simulator.machine.speed = 5000.0
    made.move(Pose(turn=np.radians(-5.0)))
    assert places[-1] == pytest.approx(-5.0, abs=0.25)
    made.close()


def test_nobody_there(crooked_text: str, tmp_path: Path) -> None:
    with Et250Simulator(Et250Machine(lambda _: None)) as gone:
        pass
    began = time.monotonic()
    with pytest.raises(HardwareTrouble, match=r"nothing listens there|no angle from"):
        et250.opened(described(crooked_text, gone, tmp_path))
    assert time.monotonic() - began < 3.0


def test_a_local_port_that_is_taken(table: tuple[Et250Simulator, list[float]]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 0))
        with pytest.raises(HardwareTrouble, match="local port"):
            UdpDatagrams("127.0.0.1", table[0].port, other.getsockname()[1])


def test_a_rig_without_an_address(crooked_text: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"stage\.host: missing; driver 'et250' needs the address"):
        parse(crooked_text.replace('[stage]\ndriver = "lab"\n', '[stage]\ndriver = "et250"\n'), folder=tmp_path)
