"""The plant: gated responses from every driver to every position, as spectra that keep the phase between drivers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweetspot.calibrate.plant import gate as gates
from sweetspot.calibrate.plant.errors import MeasurementError
from sweetspot.calibrate.plant.gate import Gate
from sweetspot.calibrate.plant.spectrum import frequencies
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Complex, Float

"""Kept length of a response before the first arrival, s."""


@dataclass(frozen=True, slots=True, eq=False)
class Plant:
    """Gated spectra of one set.

    Parameters
    ----------
    h
        ``(position, mic, driver, frequency)``, Pa/FS.
    f
        Frequencies, Hz.
    lowest
        Lowest frequency that the gate resolves, Hz: ``1 / gate``.
    noise
        Expected squared error of each path over its own squared magnitude, from the measurement itself,
        ``(position, mic, driver, frequency)``; without the last axis it holds at all frequencies.
    slope
        Gains of the protection filters that ``h`` holds ``(driver, frequency)``; ``None`` if it holds none.
    top
        Upper edge of each driver's band ``(driver,)``, Hz; ``None`` if they are not known.
    """

    h: Complex
    f: Float
    lowest: float
    noise: Float
    slope: Float | None = None
    top: Float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "h", frozen("plant", self.h, ndim=4, dtype=np.complex128))
        noise = np.asarray(self.noise, dtype=float)
        full = np.broadcast_to(noise[..., None] if noise.ndim == 3 else noise, self.h.shape)
        object.__setattr__(self, "noise", full)


def gated(ir: ImpulseResponse, gate: Gate | float, errors: MeasurementError | None = None) -> Plant:
    """Gate a set and transform it.

    Parameters
    ----------
    gate
        See :mod:`sweetspot.calibrate.plant.gate`; a number is a gate of that many seconds at all frequencies.
    errors
        Measurement errors; without them they are estimated from the signal to noise, one figure a path.

    Raises
    ------
    BadInput
        A driver is silent at a position, by name.
    """
    if not isinstance(gate, Gate):
        gate = Gate(gate, np.inf)
    h = gates.spectra(ir, gate)
    if errors is None:
        return Plant(h, frequencies(ir.fs), gate.lowest, 10.0 ** (-ir.snr_db / 10.0))
    return Plant(h, frequencies(ir.fs), gate.lowest, errors.relative(ir, gate, h))
