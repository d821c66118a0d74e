"""The centre's beam: flat over the listening window, with a target of on-axis over off-axis power."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sweetspot.calibrate.design import BeamDesign, target_power
from sweetspot.calibrate.filters.beam.handover import Bands, Fronts, alone, in_phase, top_of
from sweetspot.calibrate.filters.beam.harmonics import Encoded, towards
from sweetspot.calibrate.filters.systems import Pencil, on_diagonal, packed
from sweetspot.rigs.acoustics import half_cosine
from sweetspot.rigs.arrays import Rows, crossing
from sweetspot.rigs.layout import nearest, wrapped
from sweetspot.rigs.units import Complex, Float, from_db, power_db

HALVINGS = 26
ROUNDS = 3
RANGE = (1e-7, 1e7)
TINY = 1e-300
STEERED_DB = 15.0
"""Target above which the beam is used unmixed, dB."""

LARGEST_LIFT = float(from_db(3.0))
"""Largest gain that gives a beam its level on axis instead of the mean over its lobe."""

SPLIT = float(from_db(6.0))
"""Gain at which a beam has split: its lobe is two beside a dip on axis, and all drivers in phase take its place."""

REAR_SHARE = 0.23
"""Weight of the directions behind and beside the main lobe, against 1 at the nulls."""

REAR_CONCENTRATION = 1.5
"""Of the density behind the device: half of its power lies within 60 degrees of the rear."""

RIPPLE = 10.0
"""Weight of a relative error on axis re elsewhere, in short filters."""

ROOM_SHARE = 0.6
"""Of a beam in a room, what gives least late energy, nulls kept; the rest holds the lobe flat. They agree on axis."""

ROOM_FLOOR = 0.1
"""Of a driver's mean late energy, which every driver costs beside its own: drivers whose late energies differ little
are not played against each other."""

FINE_DEG = 5.0
"""Angular step over the lobe of encoded drivers, degrees."""

EFFORT_SHARE = 0.1
"""Share of a beam's effort in the cost of an error of its weights."""


@dataclass(frozen=True, slots=True, eq=False)
class Beam:
    """A designed beam.

    Parameters
    ----------
    w
        Driver weights ``(frequency, driver)``.
    contrast
        Power at the main lobe over that at the nulls, ``(frequency,)``, as designed.
    weighing
        What an error of the weights costs, ``(frequency, driver, driver)``: its power within the lobe and in what shall
        be quiet, each over what the beam has there, a tenth of its effort, and ripple on axis; for short filters.
    """

    w: Complex
    contrast: Float
    weighing: Complex

    def raised(self, gain: Float) -> Beam:
        """The same with a gain ``(frequency,)``."""
        rows = gain[:, None]
        return Beam(self.w * rows, self.contrast, self.weighing / rows[:, :, None] ** 2)


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Data of a beam's design: the lobe by direction, everything else as power.

    Parameters
    ----------
    lobe
        Responses in the directions of the main lobe ``(frequency, driver, direction)``.
    weight
        Of those directions ``(direction,)``; they sum to one.
    ahead
        Responses where the beam points ``(frequency, driver)``.
    off
        Power in the directions to be kept quiet ``(frequency, driver, driver)``.
    late
        Energy that the room gives back at the listener ``(frequency, driver, driver)``, in any unit; ``None`` in free
        field.
    bands
        Of the drivers, see :mod:`.handover`; ``None`` where every driver plays at all frequencies.
    """

    lobe: Complex
    weight: Float
    ahead: Complex
    off: Complex
    late: Complex | None = None
    bands: Bands | None = None

    def scaled(self, level: Float) -> Regions:
        """The same with every response divided by ``level (frequency,)``."""
        rows = level[:, None, None]
        return replace(self, lobe=self.lobe / rows, ahead=self.ahead / rows[:, 0], off=self.off / rows**2)

    def within(self, late: Complex | None) -> Regions:
        """The same in a room that gives ``late`` back; ``None`` for none."""
        return self if late is None else replace(self, late=late)

    def limited(self, bands: Bands | None) -> Regions:
        """The same of drivers with bands."""
        return replace(self, bands=bands)


def ring(h: Complex, azimuths: Float, design: BeamDesign) -> Regions:
    """Data of a beam's design from responses ``h (driver, direction, frequency)`` on a ring, as they were measured."""
    x = np.moveaxis(h, 2, 0)
    lobe, off = directions(azimuths, design)
    inside = lobe > 0
    return Regions(
        x[:, :, inside],
        lobe[inside],
        x[:, :, nearest(azimuths, np.radians(design.angle_deg))],
        covariance(x[:, :, off > 0.0], off[off > 0.0]),
    )


def covariance(x: Complex, weight: Float) -> Complex:
    """Power ``sum_i weight_i x_mi* x_ni (frequency, driver, driver)`` of ``x (frequency, driver, direction)``."""
    return np.asarray((x.conj() * weight) @ np.swapaxes(x, 1, 2))


def steer_harmonic(
    drivers: Encoded,
    f: Float,
    cost: Float,
    design: BeamDesign,
    reference: Complex,
    *,
    front: Fronts | None = None,
    late: Complex | None = None,
    bands: Bands | None = None,
) -> Beam:
    """Design a beam from drivers encoded on spherical harmonics, see :mod:`sweetspot.calibrate.filters.beam.harmonics`.

    The lobe is looked at each :data:`FINE_DEG` degrees, however sparse the measured ring was. What shall be quiet is a
    density around each null and a wide one behind the device, integrated over the whole sphere in closed form; what
    the measured directions leave unknown counts as radiated there.
    """
    fine = np.radians(np.arange(-180.0, 180.0, FINE_DEG))
    lobe, _ = directions(fine, design)
    inside = lobe > 0
    regions = Regions(
        drivers.at(fine[inside]),
        lobe[inside],
        drivers.at(np.radians([design.angle_deg]))[:, :, 0],
        drivers.covariance(quiet(design, 2 * drivers.order)),
    )
    return solve(regions.within(late).limited(bands), f, cost, design, reference, front)


def quiet(design: BeamDesign, order: int) -> Complex:
    """Density of the quiet directions, as coefficients of the harmonics: the nulls, and the rear with its share."""
    width = max(np.radians(design.null_width_deg), np.radians(5.0))
    nulls = [towards(float(np.radians(n)), 1.5 / width**2, order) for n in design.nulls_deg]
    rear = towards(float(np.radians(design.angle_deg + 180.0)), REAR_CONCENTRATION, order)
    return np.asarray(sum(nulls) / max(len(nulls), 1) + REAR_SHARE * rear)


def solve(
    regions: Regions,
    f: Float,
    cost: Float,
    design: BeamDesign,
    reference: Complex,
    front: Fronts | None = None,
) -> Beam:
    """The beam of given regions.

    Magnitude least squares over the main lobe with off-axis power and effort as penalties; the two multipliers of
    every bin are bisected in turn until the contrast meets the target and the effort its limit. In a room,
    :data:`ROOM_SHARE` of it is the weights of :func:`driest` for late energy and quiet directions alike.

    Parameters
    ----------
    f
        Frequencies, Hz.
    cost
        Driver cost ``(frequency, driver)``.
    design
        Where it points, nulls, lobe, target and effort.
    reference
        Wanted response where it points ``(frequency,)``; the phase across the lobe is left to the drivers.
    front
        Groups of drivers of which the loudest on axis plays above the steered band; by default any single driver.
    """
    level = np.sqrt(np.maximum(np.mean(np.abs(regions.lobe) ** 2, axis=(1, 2)), 1e-300))
    r, wanted = regions.scaled(level), reference / level
    x, lobe = r.lobe, r.weight
    R_on = covariance(x, lobe)
    target = target_power(design.target_db, f)
    effort = allowed(r.ahead, wanted, design)
    nu = np.full(len(f), RANGE[0])
    phase = _matched_phase(x, lobe)
    w = np.zeros(x.shape[:2], dtype=np.complex128)
    on, off, own = packed(R_on), packed(r.off), on_diagonal(cost.T)
    for _ in range(ROUNDS):
        rhs = np.einsum("fmi,i,fi->mf", x.conj(), lobe, np.abs(wanted)[:, None] * phase)
        mu = _least(Pencil.of(on + nu * own, off, rhs, on), target)
        line = Pencil.of(on + mu * off + RANGE[0] * own, own, rhs, on)
        nu = _least(line, np.abs(wanted) ** 2 / effort)
        w = np.ascontiguousarray(line.solved(nu)[0].T)
        power = np.einsum("fm,fmn,fn->f", w.conj(), R_on, w).real
        w = w * np.sqrt(np.abs(wanted) ** 2 / np.maximum(power, 1e-300))[:, None]
        heard = np.einsum("fmi,fm->fi", x, w)
        phase = heard / np.maximum(np.abs(heard), 1e-300)
    w = _on_axis(w, r.ahead, wanted)
    if regions.late is not None:
        off, back = (R / np.trace(R, axis1=1, axis2=2).real[:, None, None] for R in (regions.off, regions.late))
        w = (1.0 - ROOM_SHARE) * w + ROOM_SHARE * driest(regions.ahead, back + off, reference)
    return completed(w, regions, f, cost, design, reference, front=front)


def _on_axis(w: Complex, ahead: Complex, wanted: Complex) -> Complex:
    """Weights with the wanted response on axis, raised by :data:`LARGEST_LIFT` at most; where more is needed, all
    drivers in phase take over, up to :data:`SPLIT`.

    Two drivers a wavelength apart have more power in the lobe than at the nulls in opposite phase, with nothing ahead.
    """
    lift = wanted / np.einsum("fm,fm->f", ahead, w)
    over = np.maximum(np.abs(lift) / LARGEST_LIFT, 1.0)
    kept = np.clip(1.0 - np.log(over) / np.log(SPLIT / LARGEST_LIFT), 0.0, 1.0)[:, None]
    return np.asarray(kept * w * (lift / over)[:, None] + (1.0 - kept) * in_phase(ahead, wanted))


def completed(
    w: Complex,
    regions: Regions,
    f: Float,
    cost: Float,
    design: BeamDesign,
    reference: Complex,
    *,
    front: Fronts | None,
) -> Beam:
    """The beam of weights ``w (frequency, driver)``: with handover outside the steered band, and the cost of errors."""
    R_on = covariance(regions.lobe, regions.weight)
    Q = cost[:, :, None] * np.eye(w.shape[1])
    w = _handed_over(w, regions, reference, f, design, front)
    a = regions.ahead / np.maximum(np.abs(reference), 1e-300)[:, None]
    weighing = _over(R_on, w) + _over(regions.off, w) + EFFORT_SHARE * _over(Q, w)
    weighing += RIPPLE * a.conj()[:, :, None] * a[:, None, :]
    return Beam(w, _contrast(w, R_on, regions.off), weighing)


def allowed(ahead: Complex, wanted: Complex, design: BeamDesign) -> Float:
    """Largest effort ``w^H Q w (frequency,)``: that of the loudest driver alone on axis, and the limit over it."""
    loudest = np.max(np.abs(ahead) ** 2, axis=1)
    return np.asarray(float(from_db(design.effort_db)) ** 2 * np.abs(wanted) ** 2 / np.maximum(loudest, 1e-300))


def _least(line: Pencil, wanted: Float) -> Float:
    """Least multiplier of each bin at which the power within the lobe over that of ``S`` reaches ``wanted
    (frequency,)``; the lower end of the range where it is reached without steering."""

    def over(rows: Rows) -> Callable[[Float], Float]:
        some, asked = line.at(rows), wanted[rows]
        return lambda m: _excess(some, m, asked)

    low, high = (_excess(line, np.full(len(wanted), m), wanted) for m in RANGE)
    return crossing(over, (low, high), RANGE, HALVINGS)


def _excess(line: Pencil, m: Float, wanted: Float) -> Float:
    """Power within the lobe over that of ``S``, re ``wanted (frequency,)``, in nepers."""
    on, off = np.maximum(line.solved(m)[1], TINY)
    return np.asarray(np.log(on / (off * wanted)))


def without_directions(ahead: Complex, wanted: Complex) -> Beam:
    """A centre where only the direction ahead was measured: all drivers in phase there, see :func:`in_phase`.

    Parameters
    ----------
    ahead
        Responses ``(frequency, driver)``.
    wanted
        Target response there ``(frequency,)``.
    """
    w = in_phase(ahead, wanted)
    heard = np.maximum(np.abs(np.einsum("fd,fd->f", ahead, w)) ** 2, 1e-300)
    effort = np.maximum(np.sum(np.abs(w) ** 2, axis=1), 1e-300)
    on_axis = ahead.conj()[:, :, None] * ahead[:, None, :] / heard[:, None, None]
    return Beam(w, np.ones(len(w)), on_axis + EFFORT_SHARE * np.eye(w.shape[1]) / effort[:, None, None])


def _handed_over(
    w: Complex, regions: Regions, wanted: Complex, f: Float, design: BeamDesign, front: Fronts | None
) -> Complex:
    """Weights that leave the beam where its target falls away: to all drivers below, to the front driver above.

    All three give the same response on axis, so mixing them leaves no dip there. The mix follows the target from
    :data:`STEERED_DB` to 0 dB; below the frequency of its largest value the beam hands over to all drivers in phase,
    above to the front drivers (:func:`handover.alone`); in a room, to all drivers at the least late energy that their
    response on axis allows.
    """
    level = power_db(target_power(design.target_db, f))
    share = half_cosine.rise(level / STEERED_DB)[:, None]
    together = in_phase(regions.ahead, wanted)
    if regions.late is not None:
        above = driest(regions.ahead, regions.late, wanted)
    else:
        above = alone(regions.ahead, wanted, f, design, front, regions.bands)
    return np.asarray(share * w + (1.0 - share) * np.where((f < top_of(design, f))[:, None], together, above))


def driest(ahead: Complex, late: Complex, wanted: Complex) -> Complex:
    """Weights ``w = R^-1 a* d / (a^T R^-1 a*)``: the least late energy for a response on axis (minimum variance).

    Parameters
    ----------
    ahead, wanted
        As of :func:`in_phase`.
    late
        Energy that the room gives back ``(frequency, driver, driver)``.
    """
    own = ROOM_FLOOR * np.trace(late, axis1=1, axis2=2).real / late.shape[1]
    R = late + np.maximum(own, 1e-300)[:, None, None] * np.eye(late.shape[1])
    x = np.linalg.solve(R, ahead.conj()[:, :, None])[:, :, 0]
    return np.asarray(wanted[:, None] * x / np.einsum("fm,fm->f", ahead, x)[:, None])


def directions(azimuths: Float, design: BeamDesign) -> tuple[Float, Float]:
    """Weights of the directions ``(direction,)`` for the lobe and the quiet directions; each sums to one.

    With a ``shape`` of the nulls a direction weighs the more the quieter it shall be (power over wanted power); without
    nulls all directions beyond the lobe weigh the same.
    """
    around = np.degrees(np.abs(wrapped(azimuths - np.radians(design.angle_deg))))
    lobe = np.where(around <= design.lobe_deg + 1e-6, np.cos(0.5 * np.pi * around / (design.lobe_deg * 1.5)), 0.0)
    if design.shape_db is not None:
        table = np.array(design.shape_db)
        inside = (around >= table[0, 0] - 1e-6) & (around <= table[-1, 0] + 1e-6)
        wanted = from_db(np.interp(around, table[:, 0], table[:, 1])) ** 2
        off = np.where(inside & (around > design.lobe_deg), 1.0 / wanted, 0.0)
        return lobe / lobe.sum(), off / off.sum()
    away = np.degrees(np.abs(wrapped(azimuths[:, None] - np.radians(np.array(design.nulls_deg)))))
    nulls = (away <= design.null_width_deg + 1e-6).any(axis=1).astype(float)
    beyond = ((around > design.lobe_deg + 25.0) & (nulls == 0)).astype(float)
    off = nulls / max(nulls.sum(), 1.0) + REAR_SHARE * beyond / max(beyond.sum(), 1.0)
    return lobe / lobe.sum(), off / off.sum()


def _matched_phase(x: Complex, lobe: Float) -> Complex:
    """Phase across the directions ``(frequency, direction)`` of the drivers summed in phase on axis."""
    middle = np.einsum("fmi,i->fm", x, lobe)
    heard = np.einsum("fmi,fm->fi", x, middle.conj())
    return np.asarray(heard / np.maximum(np.abs(heard), 1e-300))


def _over(R: Complex | Float, w: Complex) -> Complex:
    """A form re its value at ``w``: the relative cost of an error."""
    value = np.einsum("fm,fmn,fn->f", w.conj(), R, w).real
    return np.asarray(R / np.maximum(value, 1e-300)[:, None, None])


def _contrast(w: Complex, R_on: Complex, R_off: Complex) -> Float:
    """Weighted power within the lobe over that off axis ``(frequency,)``."""
    on = np.einsum("fm,fmn,fn->f", w.conj(), R_on, w).real
    off = np.einsum("fm,fmn,fn->f", w.conj(), R_off, w).real
    return np.asarray(on / np.maximum(off, 1e-300))
