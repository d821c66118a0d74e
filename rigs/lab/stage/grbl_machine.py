"""A GRBL 1.1 controller on a pseudo-terminal: the turntable and gantry of the virtual lab.

:class:`GrblMachine` is the controller, fed with bytes and a clock's readings; :class:`GrblSimulator` puts it on a
pseudo-terminal in a thread of its own.
"""

from __future__ import annotations

import math
import os
import re
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sweetspot.rigs.turntable import LETTERS

BANNER = "\r\nGrbl 1.1h ['$' for help]"
Axes = dict[str, float]
"""Place of each axis by its letter, mm or degrees."""

_WORD = re.compile(r"([A-Z])([-+]?(?:\d+\.?\d*|\.\d+))")
_QUIET = {
    "G4",
    "G17",
    "G18",
    "G19",
    "G20",
    "G21",
    "G40",
    "G49",
    "G53",
    "G54",
    "G80",
    "G90",
    "G91",
    "G94",
    "M2",
    "M5",
    "M9",
}
_JOG_CANCEL = 0x85


@dataclass(frozen=True, slots=True)
class _Leg:
    """One straight move."""

    start: Axes
    end: Axes
    began: float
    ends: float

    def at(self, now: float) -> Axes:
        """Position of the axes at a time; exactly the target after the end."""
        if now >= self.ends:
            return dict(self.end)
        part = (now - self.began) / (self.ends - self.began)
        return {a: self.start[a] + part * (self.end[a] - self.start[a]) for a in self.start}


class GrblMachine:
    """The controller without its serial port.

    Parameters
    ----------
    on_move
        Called with the place of every axis whenever it has come to stand somewhere new.
    speed
        Millimetres or degrees per second of the axis that travels farthest; ``None`` is as good as at once.
    locked
        Whether it wakes up in alarm, as a machine with limit switches does.
    befalling
        Asked as each move begins: whether the motors stall in it, for good, and for how many seconds the controller
        says nothing.
    settings
        Of ``$$`` that differ: ``$13`` reports inches, ``$22`` has limit switches and can be homed.
    """

    def __init__(
        self,
        on_move: Callable[[Axes], None],
        speed: float | None = None,
        locked: bool = False,
        befalling: Callable[[], tuple[bool, float]] = lambda: (False, 0.0),
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        homing = {"$22": "1" if locked else "0"}
        self.settings = {"$10": "1", "$13": "0", **homing, "$100": "100.000", "$110": "3600.000", **settings}
        self.on_move, self.speed, self._wakes_locked, self.befalling = on_move, speed, locked, befalling
        self._stalled = False
        self._silent_until = -math.inf
        self._unsaid: list[str] = []
        self.stands: Axes = dict.fromkeys(LETTERS, 0.0)
        self.jammed: str | None = None
        self._reported: Axes = dict(self.stands)
        self._state = "Alarm" if locked else "Idle"
        self._text = bytearray()
        self._lines: deque[str] = deque()
        self._leg: _Leg | None = None
        self._dwell_until: float | None = None
        self._relative = False

    def feed(self, data: bytes, now: float) -> list[str]:
        """Take bytes from the port; returns the lines that go back."""
        out: list[str] = []
        for byte in data:
            if byte == 0x18:
                out += self._reset(now)
            elif byte == ord("?"):
                out.append(self._report(now))
            elif byte == ord("!"):
                self._hold(now)
            elif byte == ord("~"):
                self._state = "Idle" if self._state == "Hold:0" else self._state
            elif byte == _JOG_CANCEL:
                self._leg = None
            elif byte in b"\r\n":
                self._end_of_line()
            elif byte < 0x80:
                self._text.append(byte)
        return self._aloud(out + self._work(now), now)

    def run(self, now: float) -> list[str]:
        """Process pending commands up to the time; returns the reply lines."""
        return self._aloud(self._work(now), now)

    def _aloud(self, lines: list[str], now: float) -> list[str]:
        """Replies sent now: none while silent, all pending ones afterwards."""
        self._unsaid += lines
        if now < self._silent_until:
            return []
        out, self._unsaid = self._unsaid, []
        return out

    def _work(self, now: float) -> list[str]:
        out: list[str] = []
        self._arrive(now)
        while self._lines and not self._busy(now):
            out += self._line(self._lines.popleft(), now)
            self._arrive(now)
        return out

    def busy(self) -> bool:
        """Whether the machine waits for time to pass."""
        return self._leg is not None or self._dwell_until is not None or bool(self._unsaid)

    def _end_of_line(self) -> None:
        text = self._text.decode("ascii", errors="replace").upper().strip()
        self._text.clear()
        self._lines.append(text)

    def _busy(self, now: float) -> bool:
        """A line waits for a dwell, for a hold, and for the move before it: the planner holds one move."""
        if self._dwell_until is not None and now < self._dwell_until:
            return True
        self._dwell_until = None
        line = self._lines[0]
        waits = not line.startswith("$") or line.startswith("$J=")
        return self._state == "Hold:0" or (waits and self._leg is not None)

    def _arrive(self, now: float) -> None:
        if self._leg is not None and now >= self._leg.ends:
            self._stand(self._leg.end)
            self._state = "Idle"

    def _stand(self, axes: Axes) -> None:
        self._leg, self.stands = None, dict(axes)
        if self.stands != self._reported:
            self._reported = dict(self.stands)
            self.on_move(dict(self.stands))

    def _hold(self, now: float) -> None:
        if self._leg is not None:
            self._stand(self._leg.at(now))
            self._state = "Hold:0"

    def _reset(self, now: float) -> list[str]:
        moving = self._leg is not None
        if self._leg is not None:
            self._stand(self._leg.at(now))
        self._lines.clear()
        self._text.clear()
        self._dwell_until, self._relative = None, False
        alarm = moving or self._wakes_locked or self._state == "Alarm"
        self._state = "Alarm" if alarm else "Idle"
        return (["ALARM:3"] if moving else []) + [BANNER] + (["[MSG:'$H'|'$X' to unlock]"] if alarm else [])

    def _report(self, now: float) -> str:
        places = self._leg.at(now) if self._leg else self.stands
        unit = 25.4 if self.settings["$13"] == "1" else 1.0
        listed = ",".join(f"{places[a] / unit:.3f}" for a in LETTERS)
        zeros = ",".join("0.000" for _ in LETTERS)
        return f"<{self._state}|MPos:{listed}|FS:0,0|WCO:{zeros}>"

    def _line(self, line: str, now: float) -> list[str]:
        if not line:
            return ["ok"]
        if line.startswith("$J="):
            return self._code(line[3:], now, jog=True)
        if line.startswith("$"):
            return self._system(line)
        if self._state == "Alarm":
            return ["error:9"]
        return self._code(line, now)

    def _system(self, line: str) -> list[str]:
        if line == "$H" and self.settings["$22"] == "0":
            return ["error:5"]
        if line == "$X" or line == "$H":
            self._state = "Idle"
            if line == "$H":
                self._stand(dict.fromkeys(LETTERS, 0.0))
            return (["[MSG:Caution: Unlocked]"] if line == "$X" else []) + ["ok"]
        answers = {
            "$": ["[HLP:$$ $# $G $I $N $x=val $Nx=line $J=line $SLP $C $X $H ~ ! ? ctrl-x]"],
            "$$": [f"{key}={value}" for key, value in self.settings.items()],
            "$I": ["[VER:1.1h.20190825:sweetspot lab]", "[OPT:VL,15,128]"],
            "$G": [f"[GC:G0 G54 G17 G21 {'G91' if self._relative else 'G90'} G94 M5 M9 T0 F0 S0]"],
            "$#": ["[G54:0.000,0.000,0.000]"],
        }
        return [*answers[line], "ok"] if line in answers else ["error:3"]

    def _code(self, line: str, now: float, jog: bool = False) -> list[str]:
        """A block of G-code: modes, a move, a dwell."""
        squeezed = line.replace(" ", "")
        words = _WORD.findall(squeezed)
        if "".join(a + b for a, b in words) != squeezed:
            return ["error:2"]
        codes = {f"{a}{float(n):g}" for a, n in words if a in "GM"}
        if codes - _QUIET - {"G0", "G1"}:
            return ["error:20"]
        values = {a: float(n) for a, n in words if a not in "GM"}
        relative = "G91" in codes or (self._relative and "G90" not in codes)
        self._relative = self._relative if jog else relative
        if "G4" in codes:
            if "P" not in values:
                return ["error:28"]
            self._dwell_until = now + values["P"]
            return ["ok"]
        targets = {a: v for a, v in values.items() if a in LETTERS}
        if targets:
            self._go(targets, relative, now)
        return ["ok"]

    def _go(self, targets: Axes, relative: bool, now: float) -> None:
        end = dict(self.stands)
        for axis, value in targets.items():
            if axis != self.jammed:
                end[axis] = value + (self.stands[axis] if relative else 0.0)
        stalls, silent = self.befalling()
        self._stalled = self._stalled or stalls
        self._silent_until = now + silent if silent > 0.0 else self._silent_until
        farthest = max(abs(end[a] - self.stands[a]) for a in end)
        takes = math.inf if self._stalled else farthest / self.speed if self.speed else 0.0
        self._leg = _Leg(dict(self.stands), end, now, now + takes)
        self._state = "Run"


class GrblSimulator:
    """The controller on a pseudo-terminal, in a thread, while the ``with`` lasts.

    Parameters
    ----------
    machine
        Its ``on_move`` is called in the simulator's thread: the move is reported as done only when it has returned.
    """

    def __init__(self, machine: GrblMachine, clock: Callable[[], float] = time.monotonic) -> None:
        import tty  # of POSIX systems alone, as pseudo-terminals are

        self.machine, self._clock = machine, clock
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._ours)
        tty.setraw(self._theirs)
        self.port = os.ttyname(self._theirs)
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="turntable", daemon=True)

    @property
    def lasting(self) -> str:
        """A path to the port that leads nowhere once this process has ended, however it ended.

        The number of a pseudo-terminal is reused by the next program; each process keeps its own.
        """
        own = f"/proc/{os.getpid()}/fd/{self._theirs}"
        return own if os.path.exists(own) else self.port

    def __enter__(self) -> GrblSimulator:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        os.write(self._wake_write, b"x")
        self._thread.join()
        for descriptor in (self._ours, self._theirs, self._wake_read, self._wake_write):
            os.close(descriptor)

    def _serve(self) -> None:
        while True:
            wait = 0.002 if self.machine.busy() else None
            ready, _, _ = select.select([self._ours, self._wake_read], [], [], wait)
            if self._wake_read in ready:
                return
            data = os.read(self._ours, 1024) if ready else b""
            for line in self.machine.feed(data, self._clock()):
                os.write(self._ours, line.encode("ascii") + b"\r\n")
