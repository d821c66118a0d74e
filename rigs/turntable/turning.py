"""A stage with one turning axis: soft limits, cable wrap, waiting, read-back, settling, stopping, on any controller.

A controller is an :class:`Axis`: it reads its angle, moves to an angle, and stops. A move counts only if it is read
back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np

from sweetspot.rigs.errors import BadInput, HardwareTrouble
from sweetspot.rigs.layout import Pose, wrapped
from sweetspot.rigs.rig_file import StageTable

LONGEST_DEG = 170.0
"""A controller that counts modulo 360 degrees moves by at most this at a time: its direction is unambiguous."""

POLL_S = 0.05
START_S = 2.0
"""How long a controller may stand still after it was sent somewhere before it is taken to be stuck."""


class Axis(Protocol):
    """One turning axis of a controller, degrees counter-clockwise as the controller counts them."""

    @property
    def modulo(self) -> bool:
        """Whether it counts modulo 360 degrees."""
        ...

    @property
    def resolution_deg(self) -> float:
        """Its step; 0 if it has none that matters."""
        ...

    def read(self) -> tuple[float, bool]:
        """Angle, degrees, and whether it moves."""
        ...

    def go(self, start_deg: float, to_deg: float) -> None:
        """Set out from ``start_deg`` to ``to_deg``; returns at once, or when it is there."""
        ...

    def halt(self) -> None:
        """Stop at once."""
        ...

    def close(self) -> None:
        """Close the controller; may be called twice."""
        ...


class TurningStage:
    """A stage of one turning axis; see :class:`sweetspot.rigs.protocol.Stage`.

    A controller that counts modulo 360 degrees does not know how its cable is wound. It is taken to be unwound, within
    half a turn of its zero, when the stage is opened; from then on every turn is counted, and none goes the short way
    round if that leads out of the limits.

    Parameters
    ----------
    stage
        The rig's ``[stage]`` table.
    sleep, clock
        To wait, and seconds that only go forward.

    Raises
    ------
    HardwareTrouble
        The controller does not answer.
    """

    def __init__(
        self,
        axis: Axis,
        stage: StageTable,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._axis, self._stage, self._sleep, self._clock = axis, stage, sleep, clock
        self._field = "turn" if stage.turns == "device" else "yaw"
        reading = axis.read()[0]
        self._wound = float(np.degrees(wrapped(np.radians(reading)))) if axis.modulo else reading

    @property
    def axes(self) -> frozenset[str]:
        """The one that it turns."""
        return frozenset({self._field})

    def move(self, pose: Pose) -> Pose:
        """Turn to ``pose`` and wait until it stands; see :class:`sweetspot.rigs.protocol.Stage`."""
        asked = float(np.degrees(getattr(pose, self._field)))
        self._check(asked)
        target = self._sign * asked
        try:
            self._wound, _ = self._look()
            for stop in self._stops(target):
                self._leg(stop)
        except KeyboardInterrupt:
            self._axis.halt()
            raise
        if abs(self._wound - target) > self._stage.tolerance_deg:
            self._refuse(target)
        self._sleep(self._stage.settle_s)
        return replace(pose, **{self._field: float(np.radians(self._sign * self._wound))})

    def stop(self) -> None:
        """Stop at once; may be called at any time."""
        self._axis.halt()

    def close(self) -> None:
        """Close the controller; may be called twice."""
        self._axis.close()

    @property
    def _sign(self) -> float:
        return -1.0 if self._stage.reversed else 1.0

    def _check(self, asked: float) -> None:
        self._stage.check_turn(asked)
        step = self._axis.resolution_deg
        if step and abs(asked - step * round(asked / step)) > self._stage.tolerance_deg:
            raise BadInput(
                f"stage: {asked:g} degrees is no multiple of its step of {step:g} degrees within stage.tolerance_deg = "
                f"{self._stage.tolerance_deg:g}; choose polar.step_deg to suit, or a larger tolerance"
            )

    def _look(self) -> tuple[float, bool]:
        """Angle of the axis, with full turns counted from the last reading."""
        reading, moving = self._axis.read()
        if self._axis.modulo:
            reading = self._wound + float(np.degrees(wrapped(np.radians(reading - self._wound))))
        return reading, moving

    def _stops(self, target: float) -> Iterator[float]:
        """Where to go on the way to ``target``, which comes last."""
        start, away = self._wound, target - self._wound
        legs = int(np.ceil(abs(away) / LONGEST_DEG)) if self._axis.modulo else 1
        for leg in range(1, legs):
            yield float(round(start + away * leg / legs))
        yield target

    def _leg(self, to: float) -> None:
        """Go to one place and wait until the axis stands there, or stands elsewhere for too long."""
        if abs(to - self._wound) <= min(self._stage.tolerance_deg, 0.05):
            return
        self._axis.go(self._wound, to)
        until = self._clock() + self._stage.timeout_s
        still = self._clock()
        while True:
            before = self._wound
            self._wound, moving = self._look()
            if not moving and abs(self._wound - to) <= self._stage.tolerance_deg:
                return
            if moving or abs(self._wound - before) > 1e-6:
                still = self._clock()
            if self._clock() - still > START_S:
                self._refuse(to)
            if self._clock() > until:
                self._axis.halt()
                raise HardwareTrouble(
                    f"stage: it was sent to {self._sign * to:g} degrees and is still at {self._sign * self._wound:g} "
                    f"after {self._stage.timeout_s:g} s (stage.timeout_s); it was stopped"
                )
            self._sleep(POLL_S)

    def _refuse(self, to: float) -> None:
        raise HardwareTrouble(
            f"stage: it was sent to {self._sign * to:g} degrees and stands at {self._sign * self._wound:g}; the "
            f"tolerance is {self._stage.tolerance_deg:g} degrees (stage.tolerance_deg). Is something in its way?"
        )
