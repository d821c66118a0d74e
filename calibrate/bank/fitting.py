"""From a session to a bank: responses extrapolated, sides and centre of all places fitted, levels and delays
smoothed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.auditory import EarModel, Templates
from sweetspot.calibrate.bank import figures
from sweetspot.calibrate.bank.batch import Asked, Steered, protected, short, sides
from sweetspot.calibrate.bank.carried import CarriedPlaces, Cloud, arriving, joined
from sweetspot.calibrate.bank.figures import BankFigures
from sweetspot.calibrate.design import BankDesign, Design, level_at
from sweetspot.calibrate.filters import (
    beam_of,
    held_outside,
    leastsquares,
    loudest,
    protection,
    room,
    staging,
    virtualize,
)
from sweetspot.calibrate.filters.beam import beamform, centre
from sweetspot.calibrate.filters.sides import Around, costs, sharing
from sweetspot.calibrate.plant import (
    Fitted,
    Gate,
    Plant,
    corrected,
    frequencies,
    gate,
    gated,
    head_of,
    nearest_ahead,
    one_direction,
)
from sweetspot.calibrate.plant.places import DeviceField, Heads, fitted
from sweetspot.measure.delays import group_delay_s
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.smooth import smoothed
from sweetspot.processor.bank import FilterBank
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import side_pairs, wrapped
from sweetspot.rigs.protection import Protection
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float, db, from_db, speed_of_sound

LONGEST = 512
"""Taps of a bank's filters at most."""

EVERY = 2
"""Every second bin of the designs' grid: filters of up to half of its length."""

FIELD_EVERY = 4
"""Step of these bins at which the device's field is expanded; between, it is interpolated without its delay."""

COMPACT = 0.25
"""By how many nepers of power a field about the device's middle must be the better one: it has more parts."""

CLEAR_M = 0.3
"""A listener's head is at least this far from the outermost driver."""

LEVEL_HZ = (300.0, 6000.0)
"""Where levels are made steady."""

LARGEST_LEVEL_DB = 9.0
"""Largest change of gain of a place's filters for a steady level, dB."""

AT_ONCE = 12
"""Places in one batch: their bins stay in the processor's cache."""

FOR_TWO = 4
"""Drivers without which two listeners cannot be served: a bright and a dark ear each."""

GAP_DEG = 30.0
"""Directions of the polar set that are farther apart leave places between them unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedBank:
    """A bank and its prediction.

    Parameters
    ----------
    bank
        To be stored and played.
    figures
        Predicted, place by place.
    carried
        What it was fitted to.
    """

    bank: FilterBank
    figures: BankFigures
    carried: CarriedPlaces


def fit_bank(
    ears: ImpulseResponse,
    polar: ImpulseResponse,
    rig: Description,
    wishes: tuple[Design, BankDesign],
    unit: Fitted,
    ear: EarModel,
) -> FittedBank:
    """Fit a bank.

    Parameters
    ----------
    ears, polar
        The session's sets.
    rig
        What was measured with.
    wishes
        The unit's design, which holds at every place but for longer filters than a bank has (:data:`LONGEST`), and the
        bank's.
    unit
        The filters for the nominal place: their reference drivers, gates and virtual stereo hold for the bank.
    ear
        Model of the head that measured.

    Raises
    ------
    BadInput
        No polar set, filters too long, a form of design that only exists for one place, or a place that is nearer than
        the body or in a direction that was not measured.
    """
    design, wish = _shortened(wishes[0]), wishes[1]
    places = wish.grid
    nearest = _checked(places, polar, rig, design)
    if wish.second is not None:
        _checked(wish.second_place, polar, rig, design)
        if len(rig.driver) < FOR_TWO:
            raise BadInput(
                f"second = {list(wish.second)}: two listeners have four ears, which need at least {FOR_TWO} drivers; "
                f"rig {rig.name!r} has {len(rig.driver)}"
            )
    ears = corrected(ears, unit.ears.gains) if unit.ears else ears
    gates = _gates(unit)
    carried = carried_from(ears, polar, rig, gates, ear)
    asked = _asked(ears, polar, rig, (design, wish), unit, carried.field.f)
    second = wish.second_place
    level = _Level(carried, asked, _home(ears))
    cloud = Cloud.spread(wish.spread_m, float(np.radians(wish.spread_deg)))
    beams = _Beams(polar, gates[1], asked, wish.beam_step_deg, rig)
    far = unit.prediction.far_ear[::EVERY]
    taps = np.empty((len(places), 3, len(rig.driver), design.filter.taps), dtype=np.float32)
    fields = arriving(carried.field, places[:, :2])
    for start in range(0, len(places), AT_ONCE):
        rows = places[start : start + AT_ONCE]
        h = carried.at(rows, cloud, fields.some(slice(start, start + AT_ONCE)))
        h, error = joined(carried, (h, carried.error(rows)), second, cloud)
        h = protected(h, asked.slopes)
        done = sides(h, error, asked)
        between = 0.5 * (rows + second) if len(second) else rows
        taps[start : start + AT_ONCE] = _filters(
            done, h, rows, far, beams=beams.over(between), level=level, asked=asked
        )
    home = level.home[:2] if wish.home is None else np.array(wish.home)
    default = int(np.argmin(np.hypot(*(places[:, :2] - home).T) + 1e-3 * np.abs(places[:, 2])))
    held = protection.limits(rig, ears)
    taps = protection.within_bands(taps.astype(np.float64), rig).astype(np.float32)
    bank = _staged(taps, places, default, nearest, unit=unit, held=held, design=design)
    bypass = unit.filters.detectors[1] * from_db(unit.filters.headroom_db - bank.home.headroom_db)
    detectors = np.stack([*loudest.detectors([bank.taps], ears, rig), bypass])
    bank = replace(bank, home=replace(bank.home, detectors=detectors))
    return FittedBank(
        bank,
        figures.predicted(bank, (carried, fields, second), unit.prediction.far_ear[::EVERY], ear, ears.fs),
        carried,
    )


def carried_from(
    ears: ImpulseResponse, polar: ImpulseResponse, rig: Description, gates: tuple[Gate, Gate], ear: EarModel
) -> CarriedPlaces:
    """A session made ready to be carried anywhere, on every second bin of the designs' grid."""
    f, c = frequencies(ears.fs)[::EVERY], speed_of_sound(rig.environment.temperature_c)
    measured = gate.spectra(ears, gates[0])[:, :2, :, ::EVERY]
    return CarriedPlaces.of(_field(polar, gates[1], rig, f, c), extended(ear.templates, f), Heads.of(ears), measured)


def _field(polar: ImpulseResponse, how: Gate, rig: Description, f: Float, c: float) -> DeviceField:
    """The device's field, expanded on fewer bins and interpolated behind its delay."""
    from scipy.interpolate import CubicSpline  # slow to import

    assert rig.polar is not None
    some = np.unique(np.append(np.arange(0, len(f), FIELD_EVERY), len(f) - 1))
    ring = gate.spectra(polar, how)[:, 0][..., ::EVERY][..., some]
    at, azimuths = np.array([d.at for d in rig.driver]), np.radians(polar.positions["azimuth_deg"])
    coarse = fitted(ring, f[some], azimuths, rig.polar.distance_m, at, c, more=COMPACT)
    late = rig.polar.distance_m / c
    b = coarse.b * np.exp(2j * np.pi * f[some] * late)
    fine = CubicSpline(f[some], b, axis=-1)(f) * np.exp(-2j * np.pi * f * late)
    left_out = np.stack([np.interp(f, f[some], row) for row in coarse.left_out])
    return DeviceField(fine, coarse.m, f=f, centres=coarse.centres, radius=coarse.radius, c=c, left_out=left_out)


def extended(templates: Templates, f: Float) -> Templates:
    """Templates on a grid that goes beyond theirs: there the last response stays, with its delay."""
    last = templates.response[..., -1:]
    step = templates.response[..., -40:-1] * templates.response[..., -41:-2].conj()
    slope = np.angle(step.sum(axis=-1, keepdims=True)) / (templates.f[-1] - templates.f[-2])
    above = f[f > templates.f[-1] + 1e-6]
    more = last * np.exp(1j * slope * (above - templates.f[-1]))
    at = np.searchsorted(templates.f, f[f <= templates.f[-1] + 1e-6] - 1e-6)
    response = np.concatenate([templates.response[..., at], more], axis=-1)
    return Templates(templates.azimuths, response, f, templates.name)


def _shortened(design: Design) -> Design:
    """The design with filters of a length for banks, unless given: longer ones help only below 300 Hz."""
    if "taps" in design.filter.model_fields_set:
        return design
    taps = min(design.filter.taps, max(LONGEST, design.filter.delay + 1))
    return design.model_copy(update={"filter": design.filter.model_copy(update={"taps": taps})})


def _checked(places: Float, polar: ImpulseResponse, rig: Description, design: Design) -> float:
    """Refuse sessions without what a bank needs; returns the smallest distance of a listener, m."""
    if rig.polar is None or not one_direction.has_directions(polar):
        raise BadInput(
            "a bank needs the polar set, for the drivers' radiation in other directions: sweetspot measure polar"
        )
    if design.crosstalk.form != "distortionless":
        raise BadInput(f"crosstalk.form = {design.crosstalk.form!r}: a bank is made with form = 'distortionless'")
    longest = len(frequencies(rig.fs)[::EVERY]) // 2
    if design.filter.taps > longest:
        raise BadInput(f"filter.taps = {design.filter.taps}: filters of a bank have at most {longest} taps")
    nearest = max(float(np.linalg.norm(d.at)) for d in rig.driver) + CLEAR_M
    azimuths = np.radians(polar.positions["azimuth_deg"])
    for x, y, _ in places:
        if np.hypot(x, y) < nearest:
            raise BadInput(
                f"the place x {x:g} m, y {y:+g} m is {np.hypot(x, y):.2f} m from the middle of the device; the body "
                f"and {CLEAR_M:g} m around it end at {nearest:.2f} m: omit it"
            )
        away = float(np.degrees(np.abs(wrapped(azimuths - np.arctan2(y, x))).min()))
        if away > 0.5 * GAP_DEG:
            raise BadInput(
                f"the place x {x:g} m, y {y:+g} m lies {away:.0f} degrees from the nearest direction of the polar set; "
                f"at most {0.5 * GAP_DEG:g} can be bridged: measure more directions, or omit it"
            )
    return nearest


def _gates(unit: Fitted) -> tuple[Gate, Gate]:
    return unit.prediction.whole.gate, unit.prediction.whole.polar_gate


def _home(ears: ImpulseResponse) -> Float:
    """The nominal place ``(3,)`` of a session."""
    p = ears.positions[nearest_ahead(ears)]
    return np.array([p["x"], p["y"], np.radians(p["yaw_deg"])])


def _asked(
    ears: ImpulseResponse,
    polar: ImpulseResponse,
    rig: Description,
    wishes: tuple[Design, BankDesign],
    unit: Fitted,
    f: Float,
) -> Asked:
    """Parameters common to all places: cost and its limit from the session, as in the unit's design."""
    design = wishes[0]
    how, around = _gates(unit)
    plant = _halved(gated(ears.used_for("design"), how))
    ring = _halved(gated(polar, around))
    slopes = protection.slopes(rig, f, design.filter.taps)
    cost, spent = costs(rig, plant, design.crosstalk, Around.of(ring, polar))
    cost, spent = protection.costed(cost, slopes), protection.costed(spent, slopes)
    full = frequencies(ears.fs)
    whole = protection.slopes(rig, full, design.filter.taps)
    wide = [np.repeat(x, EVERY, axis=0)[: len(full)] for x in (cost, spent)]
    in_room = room.spent(ears.used_for("design"), full, design, wide[0], wide[1], whole)
    allowed = in_room.allowed
    wish, _ = room.asked(design, allowed)
    limit = level_at(wish.effort_db, f) + wishes[1].effort_db if allowed is None else allowed[::EVERY]
    pairs = side_pairs(np.array([d.at for d in rig.driver]))
    cost, led = in_room.cost[::EVERY], protection.protected(plant, slopes, rig)
    nominal, far = nearest_ahead(ears.used_for("design")), unit.far_ear.response(f)
    return Asked(
        f,
        how.lowest,
        cost=cost,
        wish=wish,
        effort_db=limit,
        reference=unit.reference,
        slopes=slopes,
        tops=protection.tops(rig),
        design=design,
        listeners=1 if wishes[1].second is None else 2,
        weight=sharing.at(led, nominal, cost, wish, far, pairs=pairs, effort_db=limit),
        phantom=_phantom(ears.used_for("design"), rig, design, f),
        late=None if in_room.late is None else room.mirrored(in_room.late[::EVERY], pairs),
    )


def _phantom(ears: ImpulseResponse, rig: Description, design: Design, f: Float) -> Float | None:
    """A real pair's phantom over one of its speakers, in power; around every place as around the nominal one."""
    if design.beam.level_db != "phantom":
        return None
    away = rig.ears.distance_m if rig.ears else design.stereo.distance_m
    c = speed_of_sound(rig.environment.temperature_c)
    power = virtualize.phantom_power(head_of(rig)[0], ears.positions, design.stereo, away, c)
    return np.asarray(np.interp(f, virtualize.GRID, power))


def _halved(plant: Plant) -> Plant:
    return Plant(plant.h[..., ::EVERY], plant.f[::EVERY], plant.lowest, plant.noise[..., ::EVERY])


class _Level:
    """The level that filters keep at every place: that of the nominal one, with the distance as of any source."""

    def __init__(self, carried: CarriedPlaces, asked: Asked, home: Float) -> None:
        self.home, self._asked = home, asked
        still = Cloud(*(np.zeros(1) for _ in range(3)))
        h = protected(carried.at(home[None], still), asked.slopes)[0, 0]
        self._power = self._near(np.abs(h[[0, 1], list(asked.reference)]) ** 2)
        self._r = float(np.hypot(*home[:2]))

    def gain(self, near: Complex, place: Float) -> float:
        """Of a place: ``near (ear, frequency)`` are the near-ear responses of its sides."""
        wanted = self._power * (self._r / float(np.hypot(*place[:2]))) ** 2
        most = float(from_db(LARGEST_LEVEL_DB))
        return float(np.clip(np.sqrt(wanted / self._near(np.abs(near) ** 2)), 1.0 / most, most))

    def _near(self, power: Float) -> float:
        """Mean over ears and third octaves."""
        f = self._asked.f
        inside = (f >= LEVEL_HZ[0]) & (f <= LEVEL_HZ[1])
        return float(np.exp(np.average(np.log(smoothed(power, f)[:, inside]), axis=1, weights=1.0 / f[inside]).mean()))


class _Beams:
    """The centre's beams in the directions of the places, shared by places with the same rounded bearing."""

    def __init__(self, polar: ImpulseResponse, how: Gate, asked: Asked, step_deg: float, rig: Description) -> None:
        ring = _halved(gated(polar, how))
        own = costs(rig, ring, asked.design.crosstalk.model_copy(update={"cost": "drivers"}), None)[0]
        self._ring, self._cost = protection.protected(ring, asked.slopes, rig), protection.costed(own, asked.slopes)
        self._polar, self._step, self._asked, self._rig = polar, step_deg, asked, rig
        self._made: dict[float, beamform.Beam] = {}

    def over(self, places: Float) -> list[beamform.Beam]:
        """The beams of some places."""
        return [self.towards(place) for place in places]

    def towards(self, place: Float) -> beamform.Beam:
        """The beam of a place."""
        bearing = self._step * round(float(np.degrees(np.arctan2(place[1], place[0]))) / self._step)
        if bearing not in self._made:
            wish = self._asked.design.beam
            turned = {"angle_deg": wish.angle_deg + bearing, "nulls_deg": tuple(n + bearing for n in wish.nulls_deg)}
            design = self._asked.design.model_copy(update={"beam": wish.model_copy(update=turned)})
            late, reference = self._asked.late, self._asked.reference
            found = beam_of(self._ring, self._polar, self._cost, design, reference, self._rig, late=late)
            self._made[bearing] = found
        return self._made[bearing]


def _filters(
    done: Steered, h: Complex, rows: Float, far: Complex, *, beams: list[beamform.Beam], level: _Level, asked: Asked
) -> NDArray[np.float32]:
    """Taps ``(place, program, driver, tap)`` of some places; sides and centre arrive together, left and right level."""
    wish, f = asked.design.filter, asked.f
    W, weighing = [], []
    for i, place in enumerate(rows):
        w = done.w[i]
        near = np.stack([np.einsum("df,fd->f", h[i, 0, ear], w[ear]) for ear in (0, 1)])
        beam = beams[i]
        programs = np.stack([w[0] + far[:, None] * w[1], w[1] + far[:, None] * w[0], beam.w])
        if asked.design.beam.level_db == "phantom":
            plant = Plant(h[i], f, asked.lowest, np.zeros(h[i].shape[:3]))
            tone = centre.to_phantom(plant, programs[:2], beam.w, asked.phantom)
            programs[2], beam = programs[2] * tone[:, None], beam.raised(tone)
        programs = np.stack([held_outside(x, f, *wish.band_hz) for x in programs]) * asked.slopes.T
        early = _centre_early(h[i, 0], programs, f)
        programs[2] *= np.exp(-2j * np.pi * f * early)[:, None]
        W.append(programs * level.gain(near, place))
        A = leastsquares.confined(
            beam.weighing / np.maximum(f, leastsquares.LOWEST_HZ)[:, None, None], f, *wish.band_hz
        )
        weighing.append([*done.weighing[i], leastsquares.stopped(A, asked.slopes).astype(np.complex64)])
    shape = (len(rows) * 3, len(f), h.shape[3])
    taps = short(np.reshape(W, shape), np.reshape(weighing, (*shape, h.shape[3])), wish.taps, wish.delay)
    return taps.reshape(len(rows), 3, h.shape[3], wish.taps)


def _centre_early(h: Complex, programs: Complex, f: Float) -> float:
    """Lead of the centre at the head re the sides, s; responses ``(ear, driver, frequency)``."""
    at_ears = np.einsum("edf,cfd->cef", h, programs)
    sides_at = 0.5 * (group_delay_s(at_ears[0, 0], f) + group_delay_s(at_ears[1, 1], f))
    return sides_at - 0.5 * (group_delay_s(at_ears[2, 0], f) + group_delay_s(at_ears[2, 1], f))


def _staged(
    taps: NDArray[np.float32],
    places: Float,
    default: int,
    nearest: float,
    *,
    unit: Fitted,
    held: Sequence[Protection],
    design: Design,
) -> FilterBank:
    """One gain for all places, so that none is louder than the unit bears (``held``)."""
    gains = np.array([float(from_db(-protection.staged(t.astype(np.float64), held)[1])) for t in taps])
    gain = float(gains.min())
    loudest = taps[int(np.argmin(gains))].astype(np.float64) * gain
    if design.filter.staging == "programme":
        gain *= staging.beside_sines(loudest, unit.filters.fs, unit.filters.ceiling, held)
    home = replace(
        unit.filters,
        taps=taps[default].astype(np.float64) * gain,
        delay_samples=design.filter.delay,
        headroom_db=-float(db(gain)),
    )
    return FilterBank(home, places, taps * np.float32(gain), default, nearest)
