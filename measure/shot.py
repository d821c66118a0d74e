"""One capture: its plan, its name in a session file, and its result."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.splice import SpliceNote
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protocol import Recording

ReasonKind = Literal[
    "length", "clipped", "clocks", "loopback", "silent", "stuck", "lost", "hum", "burst", "overlap", "change"
]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a capture is not kept.

    Parameters
    ----------
    kind
        Identifier for programs.
    text
        For people: what, where, the value, the limit and what to do.
    """

    kind: ReasonKind
    text: str

    def __str__(self) -> str:
        return self.text


ALL: Final = None
"""Source of a capture in which every driver plays."""

Purpose = Literal["measure", "check", "close"]
"""Purpose of a capture: the set itself, a comparison of overlapped with sequential sweeps, or closure."""

_ALL, _REPEATS = 97, {"check": 98, "close": 99}
"""Numbers that stand for them in names; a rig has at most 64 drivers and repeats."""

_NAME = re.compile(r"(x?)p(\d{3,})_s(\d{2})_r(\d{2})(?:_(\d{2,}))?")


@dataclass(frozen=True, slots=True)
class CaptureKey:
    """Name of a capture in a session file, such as ``p003_s01_r00``.

    Parameters
    ----------
    position, source, repeat
        From 0; the source is :data:`ALL` where every driver plays.
    rejected
        Counts the rejected captures of the same kind, from 1; 0 for an accepted one.
    """

    position: int
    source: int | None
    repeat: int = 0
    purpose: Purpose = "measure"
    rejected: int = 0

    @classmethod
    def parse(cls, name: str) -> CaptureKey:
        """Of a name in a session file.

        Raises
        ------
        ValueError
            It is none of a capture.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"{name!r} is not the name of a capture, such as p003_s01_r00")
        x, position, source, repeat, rejected = found.groups()
        purpose: Purpose = "measure"
        for each in ("check", "close"):
            purpose = each if int(repeat) == _REPEATS[each] else purpose
        return cls(
            int(position),
            ALL if int(source) == _ALL else int(source),
            int(repeat) if purpose == "measure" else 0,
            purpose,
            int(rejected) if x else 0,
        )

    @property
    def place(self) -> str:
        """Common prefix of the names of all captures of this position and source."""
        return f"p{self.position:03d}_s{_ALL if self.source is ALL else self.source:02d}_"

    @property
    def name(self) -> str:
        """The name, which :meth:`parse` reads."""
        repeat = _REPEATS.get(self.purpose, self.repeat)
        name = f"{self.place}r{repeat:02d}"
        return f"x{name}_{self.rejected:02d}" if self.rejected else name


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture of a plan: where everything stands, and which source plays (a driver, a program, or :data:`ALL`)."""

    position: int
    pose: Pose
    source: int | None
    repeat: int
    purpose: Purpose = "measure"

    @property
    def single(self) -> int:
        """The source, of a capture in which one plays."""
        if self.source is ALL:
            raise ValueError("every driver plays in this capture")
        return self.source

    @property
    def place(self) -> str:
        """Common prefix of the names of all captures of this position and source."""
        return CaptureKey(self.position, self.source).place

    @property
    def key(self) -> str:
        """Its name in a session file."""
        return CaptureKey(self.position, self.source, self.repeat, self.purpose).name


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A capture that was made.

    Parameters
    ----------
    recording
        The microphones in the order of the plan, then the loopback.
    delay
        Latency of the interface by the loopback, s.
    reason
        Why it was not accepted; ``None`` when it was.
    temperature_c
        Of the air when it was made.
    snr_db
        One a microphone.
    clock_ppm
        By how much the inputs' clock ran faster than the outputs'; 0 for one clock.
    splice
        For one that was put together from others: what of which, and the map of their weights
        ``(capture, mic, column, band)``.
    """

    capture: Capture
    recording: Recording
    delay: float
    reason: Reason | None = None
    temperature_c: float | None = None
    snr_db: tuple[float, ...] = ()
    clock_ppm: float = 0.0
    splice: tuple[SpliceNote, NDArray[np.float32]] | None = None

    @property
    def accepted(self) -> bool:
        """Whether it is kept as a measurement."""
        return self.reason is None
