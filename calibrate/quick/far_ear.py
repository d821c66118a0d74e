"""What errors of paths come to at the far ear, behind filters that cancel there: weights of a model's mean unit.

Filters make the far ear's sum of all drivers small, so that an error that all drivers share goes with it, and one that
turns left drivers against right ones adds up. Neither shows in the error of a single path. With
``g_d = w_d h_d / h_near`` of the mean unit, an error ``e_d`` of each path's log ratio comes to
``|sum_d g_d e_d|^2`` re the near ear; independent errors would come to ``sum_d |g_d|^2 |e_d|^2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant import frequencies
from sweetspot.calibrate.quick import unit
from sweetspot.calibrate.quick.model import ModelSet
from sweetspot.calibrate.quick.ratio import nearest_bins
from sweetspot.rigs.units import Complex, Float

Number = TypeVar("Number", np.float64, np.complex128)

LOADING = 1e-3
"""Regularisation of the filters, re the drivers' mean power at the design's positions."""


@dataclass(frozen=True, slots=True, eq=False)
class FarEarWeights:
    """Weights ``(side, driver, position, frequency)`` of the far ear's drivers, re the near ear."""

    weights: Complex

    def powers(self, errors: Complex) -> Float:
        """What errors ``(..., driver, path, frequency)`` come to ``(..., frequency)``, mean of places and sides."""
        at = self._at(errors)
        return np.asarray(np.mean(np.abs(np.einsum("sdpf,...sdpf->...spf", self.weights, at)) ** 2, axis=(-3, -2)))

    def independent(self, variance: Float) -> Float:
        """The same of independent errors whose squares are expected to be ``(..., driver, path, frequency)``."""
        at = self._at(variance)
        power = np.abs(self.weights) ** 2
        return np.asarray(np.mean(np.einsum("sdpf,...sdpf->...spf", power, at), axis=(-3, -2)))

    def _at(self, values: NDArray[Number]) -> NDArray[Number]:
        """Values of the paths to each side's far ear ``(..., side, driver, position, frequency)``."""
        by_ear = values.reshape(*values.shape[:-2], -1, 2, values.shape[-1])
        return np.asarray(np.stack([by_ear[..., 1, :], by_ear[..., 0, :]], axis=-4))


def far_ear(ears: ModelSet, at: Float) -> FarEarWeights:
    """Weights of the mean unit at frequencies ``at``, by filters of least squares over its design positions.

    Left and right in turn are 1 at their own ear and 0 at the other one.
    """
    ir = ears.ir
    spectra = unit.spectra(ir)  # (driver, path, f)
    f = frequencies(ir.fs)
    nearest = nearest_bins(f, at)
    h = spectra[..., nearest].reshape(len(spectra), -1, 2, len(at))  # (driver, position, ear, f)
    design = ir.positions["use"] == b"design"
    known = h[:, design] if design.any() else h
    a = np.moveaxis(known, (3, 0), (0, 3)).reshape(len(at), -1, len(spectra))  # (f, position and ear, driver)
    gram = np.einsum("fnd,fne->fde", a.conj(), a)
    load = LOADING * np.trace(gram, axis1=1, axis2=2).real / len(spectra)
    gram += load[:, None, None] * np.eye(len(spectra))
    sides = []
    for side in range(2):
        wanted = np.zeros((len(a[0]) // 2, 2))
        wanted[:, side] = 1.0
        w = np.linalg.solve(gram, np.einsum("fnd,n->fd", a.conj(), wanted.ravel())[..., None])[..., 0]
        own, other = (h[:, :, ear] * w.T[:, None] for ear in (side, 1 - side))
        sides.append(other / np.maximum(np.abs(own.sum(axis=0)), 1e-12))
    return FarEarWeights(np.stack(sides))
