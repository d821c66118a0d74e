"""A stage on a GRBL controller (0.9, 1.1): its lines encoded and decoded, a thin serial transport, the stage itself.

On the wire: degrees for ``turn`` and ``yaw``, millimetres for ``x`` and ``y``, in absolute work coordinates. A turn
goes through every angle between, never the short way round, so no cable winds up.
Source: GRBL v1.1 wiki, "Interface" and "Commands".
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from sweetspot.rigs.errors import HardwareTrouble
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.rig_file import Description, StageTable
from sweetspot.rigs.turntable.line import REPLY_S, Line, SerialLine

LETTERS = "XYZABC"
"""Axis letters in the order of a position report."""

RESET, HOLD, STATUS = b"\x18", b"!", b"?"
"""Real-time commands: they take effect at once, without a line end and without a reply of ``ok``."""

ROTATING = ("turn", "yaw", "elevation")
TOLERANCE_MM = 0.5
"""Largest difference of a read-back of x or y from the command, mm."""

INCH_MM = 25.4
"""Reports of a controller whose ``$13`` is set count inches, degrees of turn included."""

HOLD_S = 1.0
HELD = ("Hold:0", "Hold", "Idle", "Alarm", "Check")
"""How long a stop waits for the end of the motion, and the states in which there is none."""

RESET_TRIES = 3
RESET_WAIT_S = 2.5
"""Wait for a board that restarts when its port is opened, s: about two seconds until it answers."""


@dataclass(frozen=True, slots=True)
class Report:
    """A status report: ``<Idle|MPos:90.000,0.000,0.000|FS:0,0|WCO:0.000,0.000,0.000>``.

    Parameters
    ----------
    state
        ``Idle``, ``Run``, ``Hold:0``, ``Alarm``, ...
    position
        Axis positions in the order X, Y, Z, A, B, C, in mm or degrees.
    machine
        Whether they are machine coordinates; work coordinates are those less ``offset``.
    offset
        The work offset, when the report holds it.
    """

    state: str
    position: tuple[float, ...]
    machine: bool
    offset: tuple[float, ...] | None

    def scaled(self, unit: float) -> Report:
        """The report in mm (and degrees), from one in units of this many mm."""
        offset = None if self.offset is None else tuple(unit * n for n in self.offset)
        return replace(self, position=tuple(unit * n for n in self.position), offset=offset)


def decode_report(line: str) -> Report | None:
    """Read a status report, of GRBL 1.1 or as 0.9 writes it: ``<Idle,MPos:90.000,0.000,0.000,WPos:...>``.

    ``None`` for any other line.
    """
    if not (line.startswith("<") and line.endswith(">")):
        return None
    if "|" in line:
        state, *fields = line[1:-1].split("|")
    else:
        state, *fields = re.split(r",(?=[A-Za-z])", line[1:-1])
    named = dict(field.split(":", 1) for field in fields if ":" in field)
    if "MPos" in named and "WPos" in named:  # 0.9 reports both; moves are in work coordinates
        del named["MPos"]
    machine = "MPos" in named
    numbers = named.get("MPos") or named.get("WPos")
    if numbers is None:
        return None
    offset = named.get("WCO")
    try:
        return Report(state, _numbers(numbers), machine, None if offset is None else _numbers(offset))
    except ValueError:
        return None


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(n) for n in text.split(","))


def encode_move(targets: Mapping[str, float]) -> str:
    """A line that moves axes to absolute places: ``{"X": 90.0}`` -> ``G21 G90 G0 X90.000``."""
    return "G21 G90 G0 " + " ".join(f"{letter}{_rounded(value):.3f}" for letter, value in targets.items())


def _rounded(value: float) -> float:
    """To the wire's three decimals, without a negative zero."""
    return round(value, 3) + 0.0


def axis_letters(stage: StageTable) -> dict[str, str]:
    """Which letter moves which field of a pose; without ``stage.axes`` the one thing that turns is X."""
    if stage.axes is not None:
        return {str(field): str(letter) for field, letter in stage.axes.items()}
    return {"turn": "X"} if stage.turns == "device" else {"yaw": "X"}


def wire_targets(pose: Pose, letters: Mapping[str, str]) -> dict[str, float]:
    """A pose in the units of the wire, by axis letter."""
    return {
        letter: float(np.degrees(getattr(pose, field)) if field in ROTATING else 1000.0 * getattr(pose, field))
        for field, letter in letters.items()
    }


def pose_at(axes: Mapping[str, float], letters: Mapping[str, str], otherwise: Pose) -> Pose:
    """The pose of axes at places in the units of the wire; fields that no axis moves as in ``otherwise``."""
    moved = {
        field: float(np.radians(axes[letter]) if field in ROTATING else axes[letter] / 1000.0)
        for field, letter in letters.items()
        if letter in axes
    }
    return replace(otherwise, **moved)


class GrblStage:
    """A stage that GRBL drives.

    Parameters
    ----------
    stage
        The rig's ``[stage]`` table.
    sleep
        Waits out ``stage.settle_s`` after each move.
    clock
        Seconds that only go forward, for the time-outs.

    Raises
    ------
    HardwareTrouble
        No GRBL controller answers.
    """

    def __init__(
        self,
        line: Line,
        stage: StageTable,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line, self._stage, self._sleep, self._clock = line, stage, sleep, clock
        self._letters = axis_letters(stage)
        self._offset: tuple[float, ...] = (0.0,) * len(LETTERS)
        self._unit, self._homed = 1.0, False
        self._in_step = False
        self._reset()

    @classmethod
    def open(
        cls,
        description: Description,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> GrblStage:
        """Open the port of a rig and reset its controller; nothing moves, but for homing (``stage.home``).

        Raises
        ------
        HardwareTrouble
            The port does not open, no GRBL answers there, or it has lost its position and cannot be homed.
        """
        line = SerialLine(str(description.path(str(description.stage.port))))
        try:
            return cls(line, description.stage, sleep=sleep, clock=clock)
        except BaseException:
            line.close()
            raise

    @property
    def axes(self) -> frozenset[str]:
        """Fields of a pose that have an axis."""
        return frozenset(self._letters)

    def move(self, pose: Pose) -> Pose:
        """Move to ``pose`` and wait until it stands; see :class:`sweetspot.rigs.protocol.Stage`."""
        self._check_limits(pose)
        if not self._in_step:
            self._reset()
        self._in_step = False  # until this has succeeded, a reply may belong to an earlier command
        targets = wire_targets(pose, self._letters)
        self._command(encode_move(targets), REPLY_S)
        self._command("G4 P0.01", self._stage.timeout_s)
        stands = self._standing(self._clock() + self._stage.timeout_s)
        self._check_read_back(targets, stands)
        self._sleep(self._stage.settle_s)
        self._in_step = True
        return pose_at(stands, self._letters, pose)

    def stop(self) -> None:
        """Hold, wait until it stands (a reset in motion loses the position), then reset.

        The next move begins by greeting the controller again.
        """
        self._in_step = False
        self._line.send(HOLD)
        with suppress(HardwareTrouble):
            until = self._clock() + HOLD_S
            while self._report(until, greeting=True).state not in HELD:
                self._sleep(0.02)
        self._line.send(RESET)

    def close(self) -> None:
        """Close the port; may be called twice."""
        self._line.close()

    def _check_limits(self, pose: Pose) -> None:
        field = "turn" if self._stage.turns == "device" else "yaw"
        if field in self._letters:
            self._stage.check_turn(float(np.degrees(getattr(pose, field))))

    def _check_read_back(self, asked: Mapping[str, float], stands: Mapping[str, float]) -> None:
        for field, letter in self._letters.items():
            unit, tolerance = ("deg", self._stage.tolerance_deg) if field in ROTATING else ("mm", TOLERANCE_MM)
            if abs(stands[letter] - asked[letter]) > tolerance:
                raise HardwareTrouble(
                    f"stage: {field} (axis {letter}) was sent to {asked[letter]:g} {unit} and stands at "
                    f"{stands[letter]:g} {unit}; the tolerance is {tolerance:g} {unit}. Is something in its way?"
                )

    def _reset(self) -> None:
        """Reset, wait for the greeting, read the settings; an alarm is homed or refused, never just unlocked."""
        for _ in range(RESET_TRIES):
            self._line.send(RESET)
            if self._greeted(self._clock() + RESET_WAIT_S):
                break
        else:
            raise HardwareTrouble(
                f"stage.port {self._stage.port}: no GRBL controller answered a reset in "
                f"{RESET_TRIES * RESET_WAIT_S:g} s. Is it the right port?"
            )
        alarmed = self._report(self._clock() + REPLY_S, greeting=True).state.startswith("Alarm")
        settings = self._settings()
        self._unit = INCH_MM if settings.get("13", 0.0) else 1.0
        if alarmed or (self._stage.home == "start" and not self._homed):
            self._home(settings)
        self._in_step = True

    def _settings(self) -> dict[str, float]:
        """The controller's settings by their numbers."""
        self._line.send(b"$$\n")
        until, found = self._clock() + REPLY_S, dict[str, float]()
        while (line := self._next(until)) is not None:
            if line == "ok":
                return found
            if match := re.match(r"\$(\d+)\s*=\s*([-+\d.]+)", line):
                found[match.group(1)] = float(match.group(2))
            elif not line.startswith("["):
                _refuse_trouble(line, "$$")
        raise HardwareTrouble(f"stage: no settings ($$) in {REPLY_S:g} s; is the controller stuck?")

    def _home(self, settings: Mapping[str, float]) -> None:
        """Home the stage, if the controller can and the rig allows it."""
        if self._stage.home == "never" or not settings.get("22", 0.0):
            why = 'stage.home = "never"' if self._stage.home == "never" else "it has no homing ($22=0)"
            raise HardwareTrouble(
                f"stage: the controller is in alarm, so its position is lost and every angle may be wrong; {why}. "
                "Bring the stage to 0 degrees by hand, switch the controller off and on or unlock it ($X) in a "
                "terminal, and start again"
            )
        self._command("$H", self._stage.timeout_s)
        self._homed = True

    def _greeted(self, until: float) -> bool:
        while (line := self._next(until)) is not None:
            if re.match(r"Grbl\S* \d", line, flags=re.IGNORECASE):
                return True
        return False

    def _next(self, until: float) -> str | None:
        """The next non-empty line, or ``None`` at ``until``."""
        while (left := until - self._clock()) > 0:
            line = self._line.receive(left)
            if line:
                return line
        return None

    def _command(self, text: str, wait_s: float) -> None:
        """Send a line and wait for its ``ok``."""
        self._line.send(text.encode("ascii") + b"\n")
        until = self._clock() + wait_s
        while (line := self._next(until)) is not None:
            if line == "ok":
                return
            _refuse_trouble(line, text)
        raise HardwareTrouble(
            f"stage: no reply to {text!r} in {wait_s:g} s (stage.timeout_s); is the controller stuck?"
        )

    def _report(self, until: float, greeting: bool = False) -> Report:
        """Ask for a status report; while ``greeting``, earlier output of the reset is ignored."""
        self._line.send(STATUS)
        while (line := self._next(until)) is not None:
            report = decode_report(line)
            if report is not None:
                report = report.scaled(self._unit)
                self._offset = report.offset or self._offset
                return report
            if not greeting:
                _refuse_trouble(line, "?")
        raise HardwareTrouble("stage: no status report in time; is the controller still there?")

    def _standing(self, until: float) -> dict[str, float]:
        """Position of the axes in work coordinates, once the controller is idle."""
        report = self._report(until)
        while report.state not in {"Idle", "Check"}:
            if report.state.startswith(("Alarm", "Door")):
                raise HardwareTrouble(f"stage: the controller reports {report.state}; {ADVICE}")
            self._sleep(0.02)
            report = self._report(until)
        missing = [letter for letter in self._letters.values() if LETTERS.index(letter) >= len(report.position)]
        if missing:
            raise HardwareTrouble(f"stage: the controller reports {len(report.position)} axes; it has no {missing[0]}")
        offset = self._offset if report.machine else (0.0,) * len(LETTERS)
        return {letter: p - o for letter, p, o in zip(LETTERS, report.position, offset, strict=False)}


ADVICE = "check the stage, remove the obstacle, and start again"

ALARMS = {1: "a limit switch", 2: "a target outside its travel", 3: "a reset in motion", 9: "homing failed"}


def _refuse_trouble(line: str, sent: str) -> None:
    """Raise for a line with an error or an alarm."""
    if line.startswith("error:"):
        raise HardwareTrouble(f"stage: the controller answered {line} to {sent!r}; {ADVICE}")
    if line.startswith("ALARM:"):
        number = line.removeprefix("ALARM:")
        what = ALARMS.get(int(number), "see GRBL's list of alarms") if number.isdigit() else "unknown"
        raise HardwareTrouble(f"stage: {line} ({what}); {ADVICE}")
    if line.lower().startswith("grbl "):
        raise HardwareTrouble(f"stage: the controller restarted in the middle of {sent!r}; {ADVICE}")
