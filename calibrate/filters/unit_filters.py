"""One unit's filters from its session: cancellation, beam, virtualisation, alignment, gain staging, prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.design import Design, FilterDesign, target_power
from sweetspot.calibrate.filters import align, fitness, leastsquares, protection, room, staging, virtualize
from sweetspot.calibrate.filters.beam import beamform, centre, handover, harmonics
from sweetspot.calibrate.filters.fir import held_outside
from sweetspot.calibrate.filters.sides import Around, Cost, anchored, costs, crossover, sharing
from sweetspot.calibrate.filters.sides import pair as sides
from sweetspot.calibrate.plant import (
    Fitted,
    Matched,
    MeasuredSet,
    Plant,
    Prediction,
    RoomPrediction,
    bare,
    frequencies,
    head_of,
    matched,
    nearest_ahead,
    one_direction,
    plain_sides,
    uncertainty,
)
from sweetspot.calibrate.plant import errors as loading
from sweetspot.calibrate.plant import prediction as predict
from sweetspot.measure.delays import group_delay_s
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.layout import mirror_pairs, nearest, side_pairs
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float, from_db, power_db, speed_of_sound

IN_FRONT_DEG = 5.0
"""A driver within this angle, seen from the listener, can play the centre by itself."""

CENTRE = slice(2, 3)
"""The program that is heard around the device."""

LEAST_NOISE = 1e-3
"""Residual power of the harmonics model, re the response."""


def fit(
    ears: MeasuredSet,
    polar: MeasuredSet,
    rig: Description,
    design: Design,
    *,
    serial: str,
    source: str,
    ratio: Complex | None = None,
    ready: Callable[[FilterSet, Complex, Matched], None] = lambda filters, far_ear, matched: None,
) -> Fitted:
    """Fit all filters of one unit.

    Parameters
    ----------
    ears, polar
        Measured sets; positions used for ``design`` are fitted, those for ``score`` only predicted. Without errors of
        their own, these are estimated from the signal-to-noise ratio.
    rig, design
        What was measured with, and what is wanted.
    serial, source
        Serial number and the session's SHA-256, kept in the filterset.
    ratio
        Far over near ear at :data:`virtualize.FIT_HZ` that the virtual loudspeakers shall have; by default that of
        :func:`head_ratio`.
    ready
        Called with the filters, the virtual far ear over the near one ``(frequency,)`` and what was done to make the
        ears agree, as soon as they are known: before the prediction, which takes a fifth of the time.

    Raises
    ------
    BadInput
        What no design can be made from, see :func:`fitness.check`; a driver silent at a position.
    """
    fitness.check(ears.ir, rig)
    design = design.at_rate(ears.ir.fs)
    same = matched(ears.ir, rig, design.filter.match_ears)
    ears, polar = ears.corrected(same.gains).gated(design.filter), polar.gated(design.filter)
    fs, fitting = ears.ir.fs, ears.used_for("design")
    plant, ring = fitting.plant(), polar.plant()
    f, (cost, spent) = plant.f, costs(rig, plant, design.crosstalk, Around.of(ring, polar.ir))
    c = speed_of_sound(rig.environment.temperature_c)
    nominal = nearest_ahead(fitting.ir)
    slopes = protection.slopes(rig, f, design.filter.taps)
    led, led_ring = (protection.protected(x, slopes, rig) for x in (plant, ring))
    cost, spent = protection.costed(cost, slopes), protection.costed(spent, slopes)
    at = np.array([d.at for d in rig.driver])
    in_room = room.spent(fitting.ir, f, design, cost, spent, slopes)
    spent, allowed = in_room.cost, in_room.allowed
    wish, worst_first = room.asked(design, allowed)
    far = virtualize.fit(head_ratio(rig, design, c) if ratio is None else ratio, virtualize.FIT_HZ)
    v = far.response(f) * crossover.between_two(slopes)
    both = sharing.steer(led, nominal, spent, wish, v, pairs=side_pairs(at), effort_db=allowed, worst_first=worst_first)
    back = None if in_room.late is None else room.mirrored(in_room.late, side_pairs(at))
    beam = beam_of(led_ring, polar.ir, cost, design, both.reference, rig, late=back)
    W = np.stack([both.w[0] + v[:, None] * both.w[1], both.w[1] + v[:, None] * both.w[0], beam.w])
    if design.beam.level_db == "phantom":
        away = rig.ears.distance_m if rig.ears else design.stereo.distance_m
        power = virtualize.phantom_power(head_of(rig)[0], fitting.ir.positions, design.stereo, away, c)
        tone = centre.to_phantom(led, W[:2], W[2], np.interp(f, virtualize.GRID, power))
        W[2], beam = W[2] * tone[:, None], beam.raised(tone)
    W = np.stack([held_outside(w, f, *design.filter.band_hz) for w in W]) * slopes.T
    delays = _delays(plant, nominal, W, fs)
    W = W * np.exp(-2j * np.pi * f[None, :, None] * delays[:, None, None] / fs)
    drawn = _short(W, both, beam, f=f, cost=spent, wish=design.filter, slopes=slopes)
    late = int(delays.max())
    plain = plain_sides(ears.ir, rig.driver)[0]
    filters = staging.staged_filters(drawn, ears.ir, rig, design, plain=plain, late=late, serial=serial, source=source)
    ready(filters, v, same)
    prediction = _prediction(ears, fitting, polar, filters, (design, v, same))
    loads = loading.bands(plant.h, f, plant.noise, ears.used_for("design").drift, wish.tolerance_db)
    weights = protection.ahead(bare(filters, f, v), slopes)
    expected = np.stack([p.expected_db(w.T) for p, w in zip(both.problems, weights, strict=True)])
    return Fitted(
        filters,
        prediction,
        limits=both.limit,
        reference=both.reference,
        far_ear=far,
        ears=same,
        loading=loads,
        expected_db=expected,
    )


def head_ratio(rig: Description, design: Design, c: float) -> Complex:
    """Far over near ear at :data:`virtualize.FIT_HZ` of the head that ``stereo.head`` names, by its model."""
    if design.stereo.head == "measured":
        return virtualize.ratio_of(head_of(rig)[0], design.stereo, virtualize.FIT_HZ, c)
    return virtualize.sphere_ratio(design.stereo, virtualize.FIT_HZ, c)


def beam_of(
    plant: Plant,
    polar: ImpulseResponse,
    cost: Float,
    design: Design,
    reference: tuple[int, int],
    rig: Description,
    *,
    late: Complex | None = None,
) -> beamform.Beam:
    """The centre's beam from the gated polar set ``plant``; ``reference`` names the drivers whose level it keeps.

    ``late`` is the room's late energy, see :func:`beamform.solve`.
    """
    h = plant.h[:, 0]
    azimuths = np.radians(polar.positions["azimuth_deg"])
    ahead = h[nearest(azimuths, np.radians(design.beam.angle_deg))]
    level_db = 0.0 if design.beam.level_db == "phantom" else design.beam.level_db
    front = fronts(np.array([d.at for d in rig.driver]))
    each = np.stack([ahead, ahead])
    own = crossover.responses(each, crossover.shares(each, plant.f, reference, plant.slope, plant.top))
    level = float(from_db(level_db)) * 0.5 * np.abs(own).sum(axis=0)
    pair = own.sum(axis=0)
    wanted = level * pair / np.maximum(np.abs(pair), 1e-30)
    if not one_direction.has_directions(polar):
        return beamform.without_directions(ahead.T, wanted)
    drivers = np.moveaxis(h, 0, 1)
    bands = None if plant.slope is None or plant.top is None else (plant.slope, plant.top)
    if design.beam.form == "relative":
        regions = beamform.ring(drivers, azimuths, design.beam).within(late).limited(bands)
        return anchored.beam(regions, plant.f, cost, design.beam, wanted, front)
    if design.beam.form == "ring":
        regions = beamform.ring(drivers, azimuths, design.beam).within(late).limited(bands)
        beam = beamform.solve(regions, plant.f, cost, design.beam, wanted, front)
        return replace(beam, w=handover.in_phase(ahead.T, wanted)) if _is_wide_pair(rig) else beam
    k = 2.0 * np.pi * np.maximum(plant.f, 20.0) / speed_of_sound(rig.environment.temperature_c)
    radius = max(float(np.linalg.norm(d.at)) for d in rig.driver)
    noise = max(float(from_db(-np.median(polar.snr_db))) ** 2, LEAST_NOISE)
    flat = np.zeros(len(azimuths))
    encoded = harmonics.encode(drivers, azimuths, flat, k, max(radius, 0.02), noise)
    return beamform.steer_harmonic(encoded, plant.f, cost, design.beam, wanted, front=front, late=late, bands=bands)


def _is_wide_pair(rig: Description) -> bool:
    """Whether the unit is two drivers of which neither is in front of the listener and can be the centre alone."""
    distance = rig.listening_m
    aside = [abs(np.arctan2(d.at[1], distance - d.at[0])) for d in rig.driver]
    return len(aside) == 2 and min(aside) > np.radians(IN_FRONT_DEG)


def _delays(plant: Plant, nominal: int, W: Complex, fs: int) -> NDArray[np.intp]:
    """Samples by which each program is delayed so that centre and sides reach the listener together.

    Left and right share one delay: what is between them is part of the stereo image.
    """
    heard = np.einsum("edf,cfd->cef", plant.h[nominal], W)
    sides = 0.5 * (group_delay_s(heard[0, 0], plant.f) + group_delay_s(heard[1, 1], plant.f))
    centre = 0.5 * (group_delay_s(heard[2, 0], plant.f) + group_delay_s(heard[2, 1], plant.f))
    return align.later_by(np.array([sides, sides, centre]), fs)


def _short(
    W: Complex, both: sides.Sides, beam: beamform.Beam, *, f: Float, cost: Cost, wish: FilterDesign, slopes: Float
) -> Float:
    """Filters ``(program, driver, tap)`` by least squares, each program's errors weighted by their cost."""
    A = [leastsquares.side_weighing(both, i, f, cost, wish, slopes=slopes) for i in (0, 1)]
    A.append(leastsquares.beam_weighing(beam.weighing, f, wish, slopes))
    return leastsquares.fitted(W, np.stack(A), wish.taps, wish.delay)


def fronts(at: Float) -> list[tuple[int, ...]]:
    """Candidates for the handover of the centre: a driver in the middle, or a mirror pair; without either, any
    driver."""
    middle: list[tuple[int, ...]] = [(i,) for i in range(len(at)) if abs(at[i, 1]) <= 0.01]
    pairs = sorted(mirror_pairs(at), key=lambda p: abs(float(at[p[0], 1])))
    return [*middle, *pairs] or [(i,) for i in range(len(at))]


def _prediction(
    ears: MeasuredSet,
    fitted: MeasuredSet,
    polar: MeasuredSet,
    filters: FilterSet,
    wish: tuple[Design, Complex, Matched],
) -> Prediction:
    """Responses of the programs at every measured place: the direct sound, and with the room."""
    score, (design, far, same) = ears.used_for("score"), wish
    f = frequencies(ears.ir.fs)
    return Prediction(
        f,
        score=predict.programs(score.ir, filters, ears.gate),
        design=predict.programs(fitted.ir, filters, ears.gate),
        polar=predict.programs(polar.ir, filters, polar.gate, some=CENTRE)[:, 0, 0],
        azimuths=np.radians(polar.ir.positions["azimuth_deg"]),
        far_ear=far,
        target_db=power_db(target_power(design.crosstalk.target_db, f)),
        whole=_whole(score, polar, filters, same),
    )


def _whole(score: MeasuredSet, polar: MeasuredSet, filters: FilterSet, same: Matched) -> RoomPrediction:
    """The room's share of a prediction, and the uncertainty of its polar part."""
    w = predict.response(filters, polar.ir.fs)[CENTRE]
    h, shared = polar.spectra(), polar.drift
    own = polar.noise() if isinstance(shared, float) else polar.noise() + shared * np.abs(h) ** 2
    noise, power = uncertainty.through(w, h, own, 1.0)
    end, polar_end = (predict.until(predict.last_arrivals(one.ir), one.chosen_gate, filters) for one in (score, polar))
    return RoomPrediction(
        score.chosen_gate,
        polar.chosen_gate,
        score=predict.programs(score.ir, filters),
        polar=predict.programs(polar.ir, filters, some=CENTRE)[:, 0, 0],
        early=predict.windowed(score.ir, filters, end),
        polar_early=predict.windowed(polar.ir, filters, polar_end, some=CENTRE)[:, 0, 0],
        end=end,
        polar_end=polar_end,
        polar_noise=noise[:, 0, 0],
        polar_power=power[:, 0, 0],
        ear_gains=same.gains,
    )
