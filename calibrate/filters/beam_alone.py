"""Filters of a session without an ears set: the centre is the beam, left and right are plain stereo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.design import Design
from sweetspot.calibrate.filters import align, beam_of, held_outside, leastsquares, protection, staged_filters
from sweetspot.calibrate.filters.sides import Around, costs, crossover
from sweetspot.calibrate.plant import BeamFit, MeasuredSet, Plant, one_direction
from sweetspot.calibrate.plant import prediction as predict
from sweetspot.measure.delays import group_delay_s
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.processor.plain import on_pair
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import nearest, side_pairs
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float


def fit_beam(around: MeasuredSet, rig: Description, design: Design, *, serial: str, source: str) -> BeamFit:
    """Fit the centre's beam of one unit; left and right are plain stereo, brought to the listener with the centre.

    Raises
    ------
    BadInput
        Too few directions for a beam, or a driver is silent in one.
    """
    polar = around.ir
    if not one_direction.has_directions(polar):
        raise BadInput(
            f"the polar set has {len(polar.positions)} directions and there is no ears set: a beam needs at least "
            f"{one_direction.FEWEST}; measure the ears, or a whole ring"
        )
    design = design.at_rate(polar.fs)
    around = around.gated(design.filter)
    ring = around.plant()
    f = ring.f
    own, _ = costs(rig, ring, design.crosstalk, Around.of(ring, polar))
    slopes = protection.slopes(rig, f, design.filter.taps)
    led = protection.protected(ring, slopes, rig)
    at = np.array([d.at for d in rig.driver])
    pair = _loudest_pair(at, ring)
    beam = beam_of(led, polar, protection.costed(own, slopes), design, pair, rig)
    sides = np.stack([led.h[nearest(np.radians(polar.positions["azimuth_deg"])), 0]] * 2)
    x = crossover.shares(sides, f, pair, slopes, led.top)  # a driver each, and what plays beyond its band
    W = np.stack([x[0].T, x[1].T, beam.w])
    W = np.stack([held_outside(w, f, *design.filter.band_hz) for w in W]) * slopes.T
    delays = _delays(ring, polar, W, pair)
    W = W * np.exp(-2j * np.pi * f[None, :, None] * delays[:, None, None] / polar.fs)
    even = np.tile(np.eye(len(at), dtype=complex), (len(f), 1, 1))
    A = np.stack([leastsquares.beam_weighing(a, f, design.filter, slopes) for a in (even, even, beam.weighing)])
    drawn = leastsquares.fitted(W, A, design.filter.taps, design.filter.delay)
    late = int(delays.max())
    plain = on_pair(pair, len(at))
    filters = staged_filters(drawn, polar, rig, design, plain=plain, late=late, serial=serial, source=source)
    heard = predict.programs(polar, filters, around.gate)[:, 0, 2]
    return BeamFit(filters, f, heard, np.radians(polar.positions["azimuth_deg"]), pair, around.chosen_gate)


def _loudest_pair(at: Float, ring: Plant) -> tuple[int, int]:
    """The mirror pair that is loudest around the unit, the driver on the listener's left first."""
    pairs = side_pairs(at)
    if not pairs:
        return 0, 0
    level = np.mean(np.abs(ring.h[:, 0]) ** 2, axis=(0, 2))
    return max(pairs, key=lambda p: float(level[p[0]] + level[p[1]]))


def _delays(ring: Plant, polar: ImpulseResponse, W: Complex, pair: tuple[int, int]) -> NDArray[np.intp]:
    """Samples by which each program is delayed so that all reach a listener ahead together."""
    heard = np.einsum("df,cfd->cf", ring.h[nearest(np.radians(polar.positions["azimuth_deg"])), 0], W)
    sides = 0.5 * (group_delay_s(heard[0], ring.f) + group_delay_s(heard[1], ring.f))
    return align.later_by(np.array([sides, sides, group_delay_s(heard[2], ring.f)]), polar.fs)
