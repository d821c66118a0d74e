"""Arrivals of a unit that is turned and moved on its seat in the test box: those of one rigid body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import ROOM_SPEED, Float

NUMBERS = 3
"""Of a movement: two ways and an angle; a seat is level."""

STEP, STEPS = 1e-4, 4
"""Step of the derivatives, m and rad; number of Gauss and Newton's steps, which a few degrees need."""


@dataclass(frozen=True, slots=True, eq=False)
class SeatPlaces:
    """Where drivers and microphones are: ``(driver, 3)`` and ``(mic, 3)``, m from the device's centre."""

    drivers: Float
    mics: Float

    @classmethod
    def of(cls, rig: Description, mics: tuple[str, ...]) -> SeatPlaces | None:
        """Of a rig; ``None`` where the place of one of the microphones is not stated."""
        at = {m.name: m.at for m in rig.mic}
        known = [at[name] for name in mics if at.get(name) is not None]
        return cls(np.array([d.at for d in rig.driver]), np.array(known)) if len(known) == len(mics) else None

    def rigid(self, late: Float) -> tuple[Float, float]:
        """The movement ``(x, y, angle)`` (m, m, rad) that fits arrivals ``(driver, mic)``, s later than at the place
        that is known, by least squares; and what it leaves of their squares."""

        def left(x: Float) -> Float:
            return (late - (self._ways(x) - self._ways(np.zeros(NUMBERS))) / ROOM_SPEED).ravel()

        x = np.zeros(NUMBERS)
        for _ in range(STEPS):
            slopes = np.stack([(left(x + d) - left(x - d)) / (2.0 * STEP) for d in STEP * np.eye(NUMBERS)], axis=1)
            x = x - np.linalg.lstsq(slopes, left(x), rcond=None)[0]
        return x, float(np.sum(left(x) ** 2))

    def _ways(self, x: Float) -> Float:
        """Ways ``(driver, mic)`` from the drivers of a moved device, m."""
        cos, sin = np.cos(x[2]), np.sin(x[2])
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        moved = self.drivers @ turn.T + np.array([x[0], x[1], 0.0])
        return np.asarray(np.linalg.norm(moved[:, None] - self.mics, axis=-1))
