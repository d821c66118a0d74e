"""Protocols of interfaces and stages, and the tree of errors.

The classes of trouble live in :mod:`sweetspot.rigs.errors` (so that the rig file can be read without this module):

::

    SweetspotError                 one clear message; the command line prints it and leaves with `exit_code`
    |- BadInput            (2)     wrong use or wrong input: a file, a value, a name
    |- HardwareTrouble     (3)     a device failed, vanished or answered wrongly; what landed is kept
    |  |- TooLoud          (2)     a level above the rig's ceiling or SPL limit was asked for; 3 once a capture had it
    |  `- Held             (3)     captures stayed bad: the session waits and can be resumed
    |     `- DiskFull      (3)     no room for a file of the run
    `- OutputTrouble      (70)     stdout did not take the result
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.errors import BadInput, HardwareTrouble, Held, SweetspotError, TooLoud
from sweetspot.rigs.layout import Pose

if TYPE_CHECKING:
    from sweetspot.rigs.rig_file import Description

__all__ = [
    "BadInput",
    "HardwareTrouble",
    "Held",
    "Interface",
    "Operator",
    "Recording",
    "Rig",
    "Stage",
    "SweetspotError",
    "TooLoud",
]

Operator = Callable[[str], None]
"""Prompts the operator for a move that no stage can make, and returns when it is done."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Input signals of an interface while it played.

    Parameters
    ----------
    x
        ``(inputs, samples)`` float32, full scale = 1, in the order of the channels on the box.
    fs
        Sampling rate, Hz.
    xruns
        How many times the device reported lost samples. A hint only: the samples are judged by themselves.
    started
        UTC time of the start, ISO 8601.
    """

    x: NDArray[np.float32]
    fs: int
    xruns: int
    started: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", frozen("recording", self.x, ndim=2, dtype=np.float32))


class Interface(Protocol):
    """A multichannel interface: plays and records on one clock, in one full-duplex stream."""

    @property
    def fs(self) -> int:
        """Sampling rate, Hz."""
        ...

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        ...

    @property
    def inputs(self) -> int:
        """Number of input channels."""
        ...

    def capture(self, y: NDArray[np.float32]) -> Recording:
        """Play ``y (outputs, samples)`` and record as many samples of every input.

        Raises
        ------
        TooLoud
            A sample passes the rig's ceiling; nothing is played.
        HardwareTrouble
            The device failed; nothing is kept of the capture in flight.
        """
        ...

    def close(self) -> None:
        """Close the device; may be called twice."""
        ...


class Stage(Protocol):
    """A stage: a turntable, a gantry, or nothing."""

    @property
    def axes(self) -> frozenset[str]:
        """Which fields of :class:`sweetspot.rigs.layout.Pose` this stage moves by itself."""
        ...

    def move(self, pose: Pose) -> Pose:
        """Move its axes to ``pose``, wait until they stand still, return the pose as read back.

        Fields outside :attr:`axes` are returned as requested.

        Raises
        ------
        BadInput
            The pose lies outside the soft limits.
        HardwareTrouble
            No answer in time, an alarm, or a read-back outside the tolerance.
        """
        ...

    def stop(self) -> None:
        """Stop at once; may be called at any time."""
        ...

    def close(self) -> None:
        """Close the device; may be called twice."""
        ...


def unprepared(_poses: Sequence[Pose]) -> None:
    """What hardware does about poses to come: nothing."""


def all_read(_inputs: Sequence[int] | None) -> None:
    """What hardware does about inputs that nobody reads: it records them too."""


def unattended(why: str) -> Operator:
    """The operator of a measurement without a person: any move is refused (:class:`HardwareTrouble`)."""

    def ask(move: str) -> None:
        raise HardwareTrouble(f"{move}: {why}")

    return ask


@dataclass(frozen=True, slots=True, eq=False)
class Rig:
    """A described rig with its devices open.

    Parameters
    ----------
    expect
        Takes the poses to come, in their order: what takes time at each of them may be prepared.
    read
        Takes the inputs, rows of a recording's ``x``, that are read from now on, None for all: others may be silent.
    meanwhile
        Whether a capture may be stored while the next one plays. A device's callback waits for the interpreter, so that
        it could lose samples.
    """

    description: Description
    interface: Interface
    stage: Stage
    expect: Callable[[Sequence[Pose]], None] = unprepared
    read: Callable[[Sequence[int] | None], None] = all_read
    meanwhile: bool = False

    def close(self) -> None:
        """Close both devices."""
        self.interface.close()
        self.stage.close()

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
