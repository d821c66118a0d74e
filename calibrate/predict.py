"""What we expect to hear: measured responses times filters, at places the fit saw and at places it never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.plant import grid, transform
from measure.impulse import ImpulseResponse
from processor.filterset import FilterSet
from rigs.arrays import frozen
from rigs.units import Float

Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Expected responses of the programs, Pa for a full-scale program.

    Parameters
    ----------
    f
        Frequencies, Hz.
    score, design
        At the scoring and at the design positions: ``(position, ear, program, frequency)``.
    polar
        ``(direction, frequency)`` of the centre program; no rows without a polar set.
    azimuths
        Of the directions, rad.
    far_ear
        Virtual far ear over near ear ``(frequency,)``.
    target_db
        Wanted cancellation ``(frequency,)``, dB.
    """

    f: Float
    score: Complex
    design: Complex
    polar: Complex
    azimuths: Float
    far_ear: Complex
    target_db: Float

    def __post_init__(self) -> None:
        for name, ndim in (("score", 4), ("design", 4), ("polar", 2), ("far_ear", 1)):
            object.__setattr__(self, name, frozen(name, getattr(self, name), ndim=ndim, dtype=np.complex128))


def spectra(ir: ImpulseResponse) -> tuple[Complex, Float]:
    """Whole measured responses ``(position, mic, driver, frequency)``, not gated, and their frequencies, Hz."""
    n = grid(ir.fs)
    return transform(ir.h, n, ir.zero), np.asarray(np.fft.rfftfreq(n, 1.0 / ir.fs))


def programs(ir: ImpulseResponse, filters: FilterSet) -> Complex:
    """Expected response of every program ``(position, mic, program, frequency)`` from a measured set."""
    h, f = spectra(ir)
    return np.asarray(np.einsum("pmdf,cdf->pmcf", h, filters.response(f)))
