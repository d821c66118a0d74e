"""The turntable Outline ET250-3D over UDP: its datagrams, and its axis.

A command is four bytes: command, argument (big-endian, tenths of a degree), and the exclusive or of the three. 1 turns
forward by the argument, 2 backward, 3 stops, 4 reads the angle, 5 makes the present place zero. The answer to 4 is
seven bytes: 4 (moves) or 5 (stands), the angle in tenths of a degree as four bytes, direction, and the exclusive or;
to the others two: 0x33 (done) or 0x66 (refused), and 0. It steps by half a degree, and only ever relative to where it
stands: a datagram that was lost must not be repeated blindly.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Protocol

from sweetspot.rigs.errors import HardwareTrouble
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.turntable.turning import TurningStage

FORWARD, BACKWARD, STOP, READ, ZERO = 1, 2, 3, 4, 5
DONE, REFUSED = 0x33, 0x66
MOVES, STANDS = 4, 5
TRIES = 3
ANSWER_S = 0.5
"""How long one datagram is waited for."""


def encode(command: int, argument: int = 0) -> bytes:
    """A command: ``encode(FORWARD, 905)`` turns forward by 90.5 degrees."""
    head = struct.pack(">BH", command, argument)
    return head + bytes([reduce(xor, head)])


@dataclass(frozen=True, slots=True)
class Place:
    """The answer to a question for the angle."""

    degrees: float
    moves: bool


def decode(data: bytes) -> Place | bool | None:
    """An answer: a place, whether a command was taken, or ``None`` for a datagram that is neither."""
    if len(data) == 7 and data[0] in (MOVES, STANDS) and reduce(xor, data) == 0:
        return Place(struct.unpack(">I", data[1:5])[0] / 10.0, data[0] == MOVES)
    if len(data) == 2 and data[0] in (DONE, REFUSED):
        return data[0] == DONE
    return None


class Datagrams(Protocol):
    """Datagrams to and from one device."""

    def send(self, data: bytes) -> None:
        """Send one."""
        ...

    def receive(self, wait_s: float) -> bytes | None:
        """The next one, or ``None`` when none came in ``wait_s``."""
        ...

    def close(self) -> None:
        """Close the socket; may be called twice."""
        ...


class UdpDatagrams:
    """Datagrams over UDP.

    Raises
    ------
    HardwareTrouble
        The address is not known, the local port is taken, or the network is down.
    """

    def __init__(self, host: str, port: int, local_port: int) -> None:
        import socket

        self._address_text = f"stage.host {host}, UDP port {port}"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind(("", local_port))
            self._socket.connect((host, port))
        except OSError as fault:
            self._socket.close()
            raise HardwareTrouble(
                f"{self._address_text} (local port {local_port}; stage.local_port = 0 takes any): {fault}"
            ) from fault

    def send(self, data: bytes) -> None:
        """Send one."""
        try:
            self._socket.send(data)
        except OSError as fault:
            raise HardwareTrouble(f"{self._address_text}: {fault}. Is it switched on and on this network?") from fault

    def receive(self, wait_s: float) -> bytes | None:
        """The next one, or ``None`` when none came in ``wait_s``."""
        self._socket.settimeout(max(wait_s, 1e-3))
        try:
            return self._socket.recv(64)
        except TimeoutError:
            return None
        except ConnectionRefusedError as fault:  # connection refused; the network reports it on the next call
            raise HardwareTrouble(f"{self._address_text}: nothing listens there. Is it switched on?") from fault
        except OSError as fault:
            raise HardwareTrouble(f"{self._address_text}: {fault}") from fault

    def close(self) -> None:
        """Close the socket; may be called twice."""
        self._socket.close()


class Et250Axis:
    """The axis; see :class:`sweetspot.rigs.turntable.turning.Axis`. Forward is towards larger angles.

    Parameters
    ----------
    wire
        To and from the device.
    clock
        Seconds that only go forward.
    """

    modulo = True
    resolution_deg = 0.5

    def __init__(self, wire: Datagrams, clock: Callable[[], float] = time.monotonic) -> None:
        self._wire, self._clock = wire, clock

    def read(self) -> tuple[float, bool]:
        """Angle, degrees, and whether it moves; queried up to three times."""
        for _ in range(TRIES):
            self._wire.send(encode(READ))
            answer = self._answer(Place)
            if isinstance(answer, Place):
                return answer.degrees, answer.moves
        raise HardwareTrouble(
            f"stage: no angle from the ET250-3D in {TRIES * ANSWER_S:g} s. Is it on, and are stage.host and "
            f"stage.udp_port right? Some units use port 7000"
        )

    def go(self, start_deg: float, to_deg: float) -> None:
        """Turn from one angle to another; a command without a reply is repeated only if no move has started."""
        tenths = round(10.0 * (to_deg - start_deg))
        command = encode(FORWARD if tenths > 0 else BACKWARD, abs(tenths))
        begun = self.read()[0]
        for _ in range(TRIES):
            self._wire.send(command)
            answer = self._answer(bool)
            if answer is False:
                raise HardwareTrouble(f"stage: the ET250-3D refuses to turn by {tenths / 10:g} degrees")
            if answer is True:
                return
            stands, moves = self.read()
            if moves or abs(stands - begun) > 0.05:
                return
        raise HardwareTrouble(f"stage: the ET250-3D does not answer the command to turn by {tenths / 10:g} degrees")

    def halt(self) -> None:
        """Stop at once: sent three times, for a datagram may be lost."""
        for _ in range(TRIES):
            self._wire.send(encode(STOP))
            if self._answer(bool) is True:
                return

    def close(self) -> None:
        """Close the socket; may be called twice."""
        self._wire.close()

    def _answer(self, kind: type) -> Place | bool | None:
        """The next answer of a kind; late answers to earlier questions are passed over."""
        until = self._clock() + ANSWER_S
        while (left := until - self._clock()) > 0:
            data = self._wire.receive(left)
            if data is None:
                return None
            answer = decode(data)
            if isinstance(answer, kind):
                return answer
        return None


def opened(description: Description, *, sleep: Callable[[float], None] = time.sleep) -> TurningStage:
    """The stage of a rig; nothing moves.

    Raises
    ------
    HardwareTrouble
        Nothing answers there.
    """
    stage = description.stage
    local = stage.udp_port if stage.local_port is None else stage.local_port
    axis = Et250Axis(UdpDatagrams(str(stage.host), stage.udp_port, local))
    try:
        return TurningStage(axis, stage, sleep=sleep)
    except BaseException:
        axis.close()
        raise
