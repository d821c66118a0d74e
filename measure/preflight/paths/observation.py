"""Data of a check: responses at each pose, expected responses, and the planned session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.monitor import NEAR
from sweetspot.measure.preflight.paths.expectation import Expected
from sweetspot.measure.preflight.paths.multitone import ResponseMatrix
from sweetspot.measure.preflight.paths.path_responses import LoopbackResponse, PathResponses
from sweetspot.measure.preflight.paths.wiring import WiringVerdict
from sweetspot.rigs.rig_file import Description


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """All that a check knows.

    Parameters
    ----------
    rig
        With only the microphones that are looked at.
    heard, loops, matrices
        One a pose: as it stands, and turned if the stage turns.
    expected
        Of the requested poses.
    patch
        ``None`` with too little data.
    sweep_peak, sweep_rate, window_s
        Of the session to come: peak (linear), ``L`` in s, length of the kept response in s.
    from_reference
        Whether the expectation is an earlier measurement, not a calculation.
    """

    rig: Description
    heard: list[PathResponses]
    loops: list[LoopbackResponse]
    matrices: list[ResponseMatrix]
    expected: Expected
    patch: WiringVerdict | None
    sweep_peak: float
    sweep_rate: float
    window_s: float
    from_reference: bool = False

    @property
    def inputs(self) -> list[int]:
        """Rows of the microphones, from 0."""
        return [m.channel - 1 for m in self.rig.mic]

    @property
    def there(self) -> NDArray[np.bool_]:
        """``(mic, driver)``: whether a driver's output arrives at a microphone's input."""
        return self.heard[0].there[self.inputs]

    def pascals(self, mic: int) -> float:
        """Pa of full scale at a microphone's input."""
        return 1.0 / self.rig.mic[mic].per_pascal(self.rig.interface)

    def peak_at(self, mic: int) -> float:
        """Peak of the sweep (linear) in the captures that count for a microphone.

        One of the device has a capture of its own, at a lower level; in all others its signal is not used.
        """
        return self.sweep_peak * (NEAR if self.rig.mic[mic].use == "device" else 1.0)
