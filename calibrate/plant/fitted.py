"""A unit's filters with their prediction, which verification compares with, and the limits that shaped them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant.errors import ErrorBand
from sweetspot.calibrate.plant.matched_ears import Matched
from sweetspot.calibrate.plant.prediction import Prediction
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import Float


@dataclass(frozen=True, slots=True)
class FarEar:
    """The far ear relative to the near one: ``(1 + A j f/fc) / (1 + j f/fc) * exp(-2 pi j f delay)``.

    Parameters
    ----------
    corner_hz
        ``fc``.
    shelf
        ``A``: gain far above the corner, linear; 1 at 0 Hz.
    delay_s
        Delay besides the shelf's own, s.
    error_db
        Root-mean-square misfit of the level over the fitted band, dB.
    """

    corner_hz: float
    shelf: float
    delay_s: float
    error_db: float

    def response(self, f: Float) -> NDArray[np.complex128]:
        """Complex response at ``f`` Hz."""
        x = 1j * f / self.corner_hz
        return np.asarray((1.0 + self.shelf * x) / (1.0 + x) * np.exp(-2j * np.pi * f * self.delay_s))


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Result of a calibration.

    Parameters
    ----------
    prediction
        What verification will compare with.
    limits
        What decided each bin of the left and right design: ``(2, frequency)`` of "shadow", "target", "effort".
    reference
        Reference driver of the left and the right program, counted from 0.
    far_ear
        The virtual stereo's far ear.
    ears
        What was done to make the ears agree.
    loading
        Error loading by third octaves.
    expected_db
        Cancellation of the filters as they are, errors counted: what the target is compared with, ``(2, frequency)``.
    """

    filters: FilterSet
    prediction: Prediction
    limits: NDArray[np.str_]
    reference: tuple[int, int]
    far_ear: FarEar
    ears: Matched | None = None
    loading: tuple[ErrorBand, ...] = ()
    expected_db: Float | None = None
