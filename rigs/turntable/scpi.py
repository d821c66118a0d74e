"""A turntable whose controller takes text commands, given in the rig file's ``[stage.commands]``.

SCPI or any other ASCII protocol with a command that moves to an angle and one that reads it. In a template,
``{angle}`` is the angle in degrees; it may carry a format, such as ``{angle:05.1f}``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from sweetspot.rigs.errors import HardwareTrouble
from sweetspot.rigs.rig_file import CommandTable, Description, StageTable
from sweetspot.rigs.turntable.line import REPLY_S, Line, SerialLine
from sweetspot.rigs.turntable.turning import TurningStage

ENDS = {"lf": b"\n", "cr": b"\r", "crlf": b"\r\n", "nul": b"\x00"}
"""Line terminators by their names in the rig file."""

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def encode(template: str, angle: float) -> str:
    """A template with the angle put in, without a negative zero."""
    return template.format(angle=angle if abs(angle) > 1e-9 else 0.0)


def decode_angle(reply: str, pattern: str | None) -> float | None:
    """The angle in a reply: the first group of ``pattern``, or the first number; ``None`` if there is none."""
    match = re.search(pattern, reply) if pattern else NUMBER.search(reply)
    if match is None:
        return None
    try:
        return float(match.group(1) if match.re.groups else match.group(0))
    except (TypeError, ValueError):
        return None


class ScpiAxis:
    """The axis; see :class:`sweetspot.rigs.turntable.turning.Axis`.

    Parameters
    ----------
    line
        To and from the controller.
    stage
        The rig's ``[stage]`` table with its ``commands``.
    clock
        Seconds that only go forward.

    Raises
    ------
    HardwareTrouble
        The controller does not answer, or is another one than ``commands.expect``.
    """

    def __init__(self, line: Line, stage: StageTable, clock: Callable[[], float] = time.monotonic) -> None:
        assert stage.commands is not None
        self._line, self._clock = line, clock
        self._wait_s = stage.timeout_s
        self._do: CommandTable = stage.commands
        self.modulo = self._do.modulo
        self.resolution_deg = self._do.resolution_deg
        self._begin()

    def _begin(self) -> None:
        for text in self._do.init:
            self._send(text)
        if self._do.identify is None:
            return
        name = self._ask(self._do.identify)
        if self._do.expect is not None and self._do.expect not in name:
            raise HardwareTrouble(
                f"stage: {self._do.identify!r} is answered by {name!r}; stage.commands.expect = {self._do.expect!r}. "
                "Is it the right controller?"
            )

    def read(self) -> tuple[float, bool]:
        """Angle, degrees, and whether it moves, if the controller has a query for it."""
        moving = self._do.moving is not None and self._do.standing not in self._ask(self._do.moving)
        reply = self._ask(self._do.position)
        angle = decode_angle(reply, self._do.position_reply)
        if angle is None:
            raise HardwareTrouble(f"stage: {self._do.position!r} is answered by {reply!r}, which holds no angle")
        return angle, moving

    def go(self, start_deg: float, to_deg: float) -> None:
        """Send it there; waits for ``commands.moved`` if the controller answers a move."""
        text = encode(self._do.move, to_deg % 360.0 if self.modulo else to_deg)
        self._send(text)
        if self._do.moved is not None:
            reply = self._reply(text, self._wait_s)
            if self._do.moved not in reply:
                raise HardwareTrouble(f"stage: {text!r} is answered by {reply!r}; {self._do.moved!r} was expected")

    def halt(self) -> None:
        """Stop at once, if the controller has a command for it."""
        if self._do.stop is not None:
            self._send(self._do.stop)

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._line.close()

    def _send(self, text: str) -> None:
        self._line.send(text.encode("ascii", errors="replace") + ENDS[self._do.end])

    def _ask(self, text: str) -> str:
        self._send(text)
        return self._reply(text, REPLY_S)

    def _reply(self, text: str, wait_s: float) -> str:
        """The next non-empty line; an error reply raises."""
        until = self._clock() + wait_s
        while (left := until - self._clock()) > 0:
            line = self._line.receive(left)
            if line is None or line == "" or line == text:  # some echo commands
                continue
            if self._do.error is not None and self._do.error in line:
                raise HardwareTrouble(f"stage: {text!r} is answered by {line!r}; see the controller's manual")
            return line
        raise HardwareTrouble(
            f"stage: no answer to {text!r} in {wait_s:g} s. Is stage.port right, and the controller on?"
        )


def opened(
    description: Description,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> TurningStage:
    """The stage of a rig; nothing moves.

    Raises
    ------
    HardwareTrouble
        The port does not open, or the controller does not answer as the rig file specifies.
    """
    stage = description.stage
    assert stage.commands is not None
    port = str(stage.port)
    port = port if "://" in port else str(description.path(port))
    line = SerialLine(port, stage.baud, ENDS[stage.commands.end])
    try:
        return TurningStage(ScpiAxis(line, stage, clock), stage, sleep=sleep, clock=clock)
    except BaseException:
        line.close()
        raise
