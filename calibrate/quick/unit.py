"""A unit measured fully or at fixed microphones only: its sets as gated spectra of each path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sweetspot.calibrate.design import FilterDesign
from sweetspot.calibrate.plant import MeasurementError, frequencies, gate
from sweetspot.calibrate.quick.ratio import nearest_bins
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float

SETS = ("ears", "polar", "monitor", "device")
"""Sets that a model may hold, in the order of its paths."""

OBSERVED = ("monitor", "device")
"""Sets of fixed microphones."""


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredUnit:
    """Measurements of one unit.

    Parameters
    ----------
    errors
        Measurement errors of each set.
    """

    serial: str
    sets: Mapping[str, ImpulseResponse]
    errors: Mapping[str, MeasurementError]


def spectra(ir: ImpulseResponse, how: gate.Gate | None = None) -> Complex:
    """Gated spectra ``(driver, path, frequency)``; paths are positions times microphones."""
    h = gate.spectra(ir, how or chosen(ir))
    return np.moveaxis(h, 2, 0).reshape(h.shape[2], -1, h.shape[-1])


def chosen(ir: ImpulseResponse) -> gate.Gate:
    """The gate that a design takes by default."""
    return gate.chosen(ir, FilterDesign())


def noise(ir: ImpulseResponse, error: MeasurementError, how: gate.Gate, h: Complex, at: Float) -> Float:
    """Variance ``(driver, path, at)`` of level (nepers) and of phase (radians) by the capture's noise."""
    own = error.gated(ir, how)
    own = np.moveaxis(own, 2, 0).reshape(own.shape[2], -1, own.shape[-1])
    f = frequencies(ir.fs)
    nearest = nearest_bins(f, at)
    return np.asarray(0.5 * (own / np.maximum(np.abs(h) ** 2, 1e-30))[..., nearest])


def directions(name: str, ir: ImpulseResponse, rig: Description) -> Float:
    """Unit vectors ``(path, 3)`` from the middle of the device to the ends of a set's paths."""
    if name in OBSERVED:
        at = {m.name: m.at for m in rig.mic}
        places = np.array([at[m] for m in ir.mics], dtype=float)
    else:
        p = ir.positions
        places = np.repeat(np.stack([p["x"], p["y"], p["z"]], axis=1), len(ir.mics), axis=0)
    return np.asarray(places / np.maximum(np.linalg.norm(places, axis=1, keepdims=True), 1e-9))
