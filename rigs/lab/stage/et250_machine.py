"""A simulated Outline ET250-3D: the device fed with datagrams, and on a UDP socket in a thread of its own."""

from __future__ import annotations

import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from operator import xor

import numpy as np

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.rig_file import StageTable
from sweetspot.rigs.turntable import BACKWARD, DONE, FORWARD, MOVES, READ, REFUSED, STANDS, STOP, ZERO

STEP_DEG = 0.5
POLL_S = 0.02


class Et250Machine:
    """The device without its socket.

    Parameters
    ----------
    on_move
        Called with the angle (degrees, every turn counted) whenever it has come to stand somewhere new.
    speed
        Degrees per second; ``None`` is as good as at once.
    befalling
        Asked as each turn begins: whether the motor stalls in it, for good, and for how many seconds no datagram
        reaches anyone.
    """

    def __init__(
        self,
        on_move: Callable[[float], None],
        speed: float | None = None,
        befalling: Callable[[], tuple[bool, float]] = lambda: (False, 0.0),
    ) -> None:
        self.on_move, self.speed, self.befalling = on_move, speed, befalling
        self.jammed = False
        self._silent_until = -math.inf
        self.lose = 0
        self._stands = self._reported = self._zero = 0.0
        self._leg: tuple[float, float, float] | None = None  # where from, where to, since when
        self._backward = False

    def feed(self, data: bytes, now: float) -> bytes | None:
        """Take a datagram; returns the answer, or ``None`` for a lost one (``lose`` counts those still to lose)."""
        self.run(now)
        if now < self._silent_until:
            return None
        if self.lose > 0:
            self.lose -= 1
            return None
        if len(data) != 4 or reduce(xor, data) != 0:
            return bytes([REFUSED, 0])
        command, argument, _ = struct.unpack(">BHB", data)
        if command == READ:
            return self._report(now)
        if command in (FORWARD, BACKWARD):
            answer = self._turn(argument / 10.0, command == BACKWARD, now)
            return None if now < self._silent_until else answer
        if command == STOP:
            self._arrive(STEP_DEG * round(self._at(now) / STEP_DEG))  # it has no place between two steps
        elif command == ZERO and self._leg is None:
            self._zero = self._stands
        else:
            return bytes([REFUSED, 0])
        return bytes([DONE, 0])

    def run(self, now: float) -> None:
        """Advance the time; a move whose time is over ends."""
        if self._leg is not None and self._at(now) == self._leg[1]:
            self._arrive(self._leg[1])

    @property
    def busy(self) -> bool:
        """Whether it turns."""
        return self._leg is not None

    def _turn(self, by: float, backward: bool, now: float) -> bytes:
        if self._leg is not None:
            return bytes([REFUSED, 0])
        stalls, silent = self.befalling()
        self.jammed = self.jammed or stalls
        self._silent_until = now + silent if silent > 0.0 else self._silent_until
        way = STEP_DEG * round(by / STEP_DEG) * (0.0 if self.jammed else 1.0)
        self._backward = backward
        self._leg = (self._stands, self._stands + (-way if backward else way), now)
        self.run(now)
        return bytes([DONE, 0])

    def _at(self, now: float) -> float:
        if self._leg is None:
            return self._stands
        start, end, since = self._leg
        gone = abs(end - start) if self.speed is None else self.speed * (now - since)
        return end if gone >= abs(end - start) else start + gone * (1.0 if end > start else -1.0)

    def _arrive(self, at: float) -> None:
        self._leg, self._stands = None, at
        if at != self._reported:
            self._reported = at
            self.on_move(at)

    def _report(self, now: float) -> bytes:
        tenths = round(10.0 * ((self._at(now) - self._zero) % 360.0)) % 3600
        head = struct.pack(">BIB", MOVES if self._leg else STANDS, tenths, 1 if self._backward else 2)
        return head + bytes([reduce(xor, head)])


class Et250Simulator:
    """The device on a UDP port of this machine, in a thread, while the ``with`` lasts.

    Parameters
    ----------
    machine
        Its ``on_move`` is called in the simulator's thread.
    port
        0 for one that is free; it is then in :attr:`port`.
    """

    def __init__(
        self,
        machine: Et250Machine,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.machine, self._clock = machine, clock
        self._ended = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._socket.settimeout(POLL_S)
        self.host, self.port = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve, name="turntable", daemon=True)

    def __enter__(self) -> Et250Simulator:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                data, sender = self._socket.recvfrom(64)
            except TimeoutError:
                self.machine.run(self._clock())
                continue
            answer = self.machine.feed(data, self._clock())
            if answer is not None:
                self._socket.sendto(answer, sender)


@contextmanager
def served(
    stage: StageTable,
    move: Callable[[Pose], None],
    befalling: Callable[[], tuple[bool, float]],
) -> Iterator[str]:
    """The device for a rig's ``[stage]``, at its address, while it runs; it turns the rig's turning part.

    Raises
    ------
    BadInput
        The address is none of this machine's, or its port is taken.
    """
    sign = -1.0 if stage.reversed else 1.0

    def turned(degrees: float) -> None:
        angle = float(np.radians(sign * degrees))
        move(Pose(turn=angle) if stage.turns == "device" else Pose(yaw=angle))

    try:
        simulator = Et250Simulator(Et250Machine(turned, befalling=befalling), str(stage.host), stage.udp_port)
    except OSError as fault:
        raise BadInput(
            f"stage.host {stage.host}, UDP port {stage.udp_port}: the virtual turntable cannot listen there: "
            f"{fault.strerror}. Use host = '127.0.0.1' and a free udp_port for the lab"
        ) from fault
    with simulator:
        yield f"{simulator.host}, UDP port {simulator.port}"
