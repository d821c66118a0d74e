"""The centre's beam: flat over the listening window, held to a target of on-axis over off-axis power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.design import BeamDesign, target_power
from rigs.layout import wrapped
from rigs.units import Float, from_db, power_db

Complex = NDArray[np.complex128]

HALVINGS = 26
ROUNDS = 3
RANGE = (1e-7, 1e7)
STEERED_DB = 15.0
"""Where the target is at least this high the beam is used unmixed."""

LARGEST_LIFT = float(from_db(3.0))
"""By how much a beam is raised so that its axis, and not the mean over its lobe, has the wanted level."""

REAR_SHARE = 0.3
"""Weight of the directions behind and beside the main lobe, against 1 at the nulls."""


@dataclass(frozen=True, slots=True, eq=False)
class Beam:
    """A designed beam.

    Parameters
    ----------
    w
        Driver weights ``(frequency, driver)``.
    contrast
        Power at the main lobe over that at the nulls, ``(frequency,)``, as designed.
    """

    w: Complex
    contrast: Float


def steer(h: Complex, azimuths: Float, f: Float, cost: Float, design: BeamDesign, reference: Complex) -> Beam:
    """Design a beam.

    Magnitude least squares over the main lobe with off-axis power and effort as penalties; the two multipliers of
    every bin are bisected in turn until the contrast meets the target and the effort its limit.

    Parameters
    ----------
    h
        Free-field responses ``(driver, direction, frequency)``.
    azimuths
        Of the directions, rad.
    f
        Frequencies, Hz.
    cost
        Driver cost ``(frequency, driver)``.
    design
        Nulls, lobe, target and effort.
    reference
        Wanted on-axis response ``(frequency,)``; the phase across the lobe is left to the drivers.
    """
    x = np.moveaxis(h, 2, 0)  # (frequency, driver, direction)
    level = np.mean(np.abs(x) ** 2, axis=(1, 2))[:, None, None]
    x, wanted = x / np.sqrt(level), reference / np.sqrt(level[:, 0, 0])
    lobe, off = _weights(azimuths, design)
    R_on = np.einsum("fmi,fni,i->fmn", x.conj(), x, lobe)
    R_off = np.einsum("fmi,fni,i->fmn", x.conj(), x, off)
    Q = cost[:, :, None] * np.eye(h.shape[0])
    target = target_power(design.target_db, f)
    effort = float(from_db(design.effort_db)) ** 2 * np.abs(wanted) ** 2 / _front_power(x, azimuths)
    nu = np.full(len(f), RANGE[0])
    phase = _matched_phase(x, lobe)
    w = np.zeros(x.shape[:2], dtype=np.complex128)
    for _ in range(ROUNDS):
        rhs = np.einsum("fmi,i,fi->fm", x.conj(), lobe, np.abs(wanted)[:, None] * phase)
        mu = _Path.of(R_on + nu[:, None, None] * Q, R_off, R_on, rhs).least(target)
        path = _Path.of(R_on + mu[:, None, None] * R_off + RANGE[0] * Q, Q, R_on, rhs)
        nu = path.least(np.abs(wanted) ** 2 / effort)
        w = path.weights(nu)
        power = np.einsum("fm,fmn,fn->f", w.conj(), R_on, w).real
        w = w * np.sqrt(np.abs(wanted) ** 2 / np.maximum(power, 1e-300))[:, None]
        heard = np.einsum("fmi,fm->fi", x, w)
        phase = heard / np.maximum(np.abs(heard), 1e-300)
    ahead = x[:, :, int(np.argmin(np.abs(wrapped(azimuths))))]
    lift = wanted / np.einsum("fm,fm->f", ahead, w)
    w = w * (lift / np.maximum(np.abs(lift) / LARGEST_LIFT, 1.0))[:, None]
    w = _handed_over(w, ahead, wanted, f, design)
    return Beam(w, _contrast(w, R_on, R_off))


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """The solutions ``w(m) = (B + m S)^-1 r`` of all bins, after one decomposition each.

    Parameters
    ----------
    basis
        ``(frequency, driver, driver)``: makes ``B`` the identity and ``S`` diagonal.
    values
        That diagonal ``(frequency, driver)``.
    on
        The lobe's covariance in the basis.
    y
        ``r`` in the basis ``(frequency, driver)``.
    """

    basis: Complex
    values: Float
    on: Complex
    y: Complex

    @classmethod
    def of(cls, B: Complex, S: Complex | Float, R_on: Complex, r: Complex) -> _Path:
        """Decompose ``B`` (positive) and ``S`` (not negative) together."""
        back = np.linalg.inv(np.linalg.cholesky(B))
        values, U = np.linalg.eigh(back @ S @ np.conj(np.swapaxes(back, 1, 2)))
        basis = np.conj(np.swapaxes(back, 1, 2)) @ U
        rows = np.conj(np.swapaxes(basis, 1, 2))
        return cls(basis, np.maximum(values, 0.0), rows @ R_on @ basis, np.einsum("fij,fj->fi", rows, r))

    def ratio(self, m: Float) -> Float:
        """Power within the lobe over ``w^H S w``, ``(frequency,)``."""
        x = self.y / (1.0 + m[:, None] * self.values)
        on = np.sum(x.conj() * (self.on @ x[:, :, None])[:, :, 0], axis=1).real
        return np.asarray(on / np.maximum(np.sum(self.values * np.abs(x) ** 2, axis=1), 1e-300))

    def weights(self, m: Float) -> Complex:
        """``w (frequency, driver)``."""
        return np.asarray((self.basis @ (self.y / (1.0 + m[:, None] * self.values))[:, :, None])[:, :, 0])

    def least(self, wanted: Float) -> Float:
        """Least multiplier of each bin at which the ratio reaches ``wanted``; nearly nothing where it does at once."""
        low, high = np.full(len(wanted), np.log(RANGE[0])), np.full(len(wanted), np.log(RANGE[1]))
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            met = self.ratio(np.exp(middle)) >= wanted
            low, high = np.where(met, low, middle), np.where(met, middle, high)
        return np.asarray(np.exp(high))


def _handed_over(w: Complex, ahead: Complex, wanted: Complex, f: Float, design: BeamDesign) -> Complex:
    """Weights that leave the beam where its target falls away: to all drivers below, to the front driver above.

    All three give the same response on axis, so mixing them leaves no dip there. The mix follows the target from
    :data:`STEERED_DB` to 0 dB; below the frequency of its largest value the beam hands over to all drivers in phase,
    above to the one driver that is loudest on axis over the band in question.
    """
    level = power_db(target_power(design.target_db, f))
    share = np.clip(level / STEERED_DB, 0.0, 1.0)
    share = (0.5 - 0.5 * np.cos(np.pi * share))[:, None]
    top = float(np.median(f[level >= level.max() - 0.1]))
    together = wanted[:, None] * ahead.conj() / np.sum(np.abs(ahead) ** 2, axis=1)[:, None]
    above = (f > top) & (f < 0.8 * f[-1])
    front = int(np.argmax(np.mean(np.abs(ahead[above]) ** 2, axis=0)))
    alone = np.zeros_like(w)
    alone[:, front] = wanted / ahead[:, front]
    return np.asarray(share * w + (1.0 - share) * np.where((f < top)[:, None], together, alone))


def _weights(azimuths: Float, design: BeamDesign) -> tuple[Float, Float]:
    """Weights of the directions ``(direction,)`` for the lobe and for what shall be quiet; each sums to one."""
    around = np.degrees(np.abs(wrapped(azimuths)))
    lobe = np.where(around <= design.lobe_deg + 1e-6, np.cos(0.5 * np.pi * around / (design.lobe_deg * 1.5)), 0.0)
    away = np.degrees(np.min([np.abs(wrapped(azimuths - np.radians(n))) for n in design.nulls_deg], axis=0))
    nulls = (away <= design.null_width_deg + 1e-6).astype(float)
    beyond = ((around > 70.0) & (nulls == 0)).astype(float)
    off = nulls / nulls.sum() + REAR_SHARE * beyond / max(beyond.sum(), 1.0)
    return lobe / lobe.sum(), off / off.sum()


def _front_power(x: Complex, azimuths: Float) -> Float:
    """Power on axis ``(frequency,)`` of the driver that is loudest there."""
    ahead = int(np.argmin(np.abs(wrapped(azimuths))))
    return np.asarray(np.max(np.abs(x[:, :, ahead]) ** 2, axis=1))


def _matched_phase(x: Complex, lobe: Float) -> Complex:
    """Phase across the directions ``(frequency, direction)`` of the drivers summed in phase on axis."""
    middle = np.einsum("fmi,i->fm", x, lobe)
    heard = np.einsum("fmi,fm->fi", x, middle.conj())
    return np.asarray(heard / np.maximum(np.abs(heard), 1e-300))


def _contrast(w: Complex, R_on: Complex, R_off: Complex) -> Float:
    """Weighted power within the lobe over that off axis ``(frequency,)``."""
    on = np.einsum("fm,fmn,fn->f", w.conj(), R_on, w).real
    off = np.einsum("fm,fmn,fn->f", w.conj(), R_off, w).real
    return np.asarray(on / np.maximum(off, 1e-300))
