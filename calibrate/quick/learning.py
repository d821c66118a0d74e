"""A model from fully measured units: mean, components and residual, with leave-one-out over units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant import frequencies
from sweetspot.calibrate.quick import judge, ratio, unit
from sweetspot.calibrate.quick.estimate import LEAST, UNPLAYED, Posterior, estimated
from sweetspot.calibrate.quick.far_ear import far_ear
from sweetspot.calibrate.quick.model import GoldenModel, Leftover, ModelSet
from sweetspot.calibrate.quick.unit import SETS, MeasuredUnit
from sweetspot.measure.monitor import FixedSet
from sweetspot.measure.smooth import smoothed
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.protection import protections
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float, speed_of_sound

MOST = 24
"""Components that are kept at most."""

COMMON_DB, LOCAL_DB, LOCAL_HZ, LOCAL_LEAST_DB, LOCAL_MOST_DB = 1.0, 2.2, 8000.0, 0.1, 6.0
"""What a single unit is taken to leave (one sigma): alike in all directions; and in one direction at ``LOCAL_HZ``, in
proportion to frequency, as phases turn: two units whose drivers sit 0.7 mm apart each and 1.5 mm seen from opposite
sides turn by 0.25 rad there, which is 2.2 dB. Assumptions, which measured units replace."""

SEAT_M, FLOOR_DB = 0.3e-3, 0.05
"""What a single unit's monitors are taken to miss of the ears (one sigma): three tenths of a millimetre along the path
between two seats in the test box and two places of the head, a phase that grows with frequency; and a level and phase
at all frequencies. Assumptions, read from no lab's settings, which measured units replace."""

WEIGHT = 1.0
"""Weight of these assumptions in units."""

ASSUMED_SCALE = 0.7
"""The part of a posterior's variance that is stated of a single unit: what directions have in common changes smoothly
from one to the next, so that monitors to both sides of an ear hold more information than :func:`model.alike` assumes.
An assumption, which units left out in turn replace."""

LEAST_SCALE = 0.25
"""The smallest part of a posterior's variance that is stated, however well units left out in turn were predicted."""

BAND_HZ = (300.0, 8000.0)
"""Where ways to estimate a set are compared."""

MOST_MORE = 4.0
"""By how much more, or less, than independent errors those of drivers may come to at the far ear."""

NEPER_DB = 8.686
NINETY = 1.6449
"""Standard deviations from the middle to the 95th percentile."""


def learn(units: Sequence[MeasuredUnit], rig: Description, by: FixedSet = "monitor") -> GoldenModel:
    """The model of some units, all measured with one rig, for estimates from the set ``by``.

    Raises
    ------
    BadInput
        No unit, or sets that do not agree; names the unit.
    """
    if not units:
        raise BadInput("no unit to learn from: measure one fully, with its monitor microphones")
    names = tuple(n for n in SETS if all(n in u.sets for u in units))
    for needed in ("ears", by):
        lacking = [u.serial for u in units if needed not in u.sets]
        if lacking:
            raise BadInput(
                f"unit {lacking[0]} has no {needed} set ({len(lacking)} of {len(units)} units lack it): finish its run "
                f'with sweetspot measure resume RUN, on a rig with [[mic]] use = "{by}"'
            )
    _same_shapes(units, names)
    at = ratio.grid(rig.fs)
    first = units[0]
    gates = {n: unit.chosen(first.sets[n]) for n in names}
    h = [np.concatenate([unit.spectra(u.sets[n], gates[n]) for n in names], axis=1) for u in units]
    f = frequencies(rig.fs)
    lows = {p.name: p.low_hz or 0.0 for p in protections(rig)}
    lowest = tuple(lows[n] for n in first.sets["ears"].drivers)
    plays = at >= np.array(lowest)[:, None]
    logs = np.stack([ratio.log_ratio(one, h[0], f, at, plays) for one in h])
    mean = logs.mean(axis=0)
    noise = np.stack(
        [
            np.concatenate(
                [unit.noise(u.sets[n], u.errors[n], gates[n], unit.spectra(u.sets[n], gates[n]), at) for n in names],
                axis=1,
            )
            for u in units
        ]
    )
    sets = _mean_unit(units, names, logs - mean, at, rig)
    seen = sets[by].paths
    deviations = logs - mean
    components = np.stack([principal(deviations[:, d]) for d in range(deviations.shape[1])], axis=1)
    common, local = _left(deviations, plays, _rest)
    near = Leftover(*_left(deviations, plays, lambda own, components: own))
    gauge = float(_over_playing(noise[:, :, seen], plays).mean())
    model = GoldenModel(
        tuple(u.serial for u in units),
        rig.sha256,
        temperature_c=rig.environment.temperature_c,
        f=at,
        sets=sets,
        components=components,
        common=common,
        local=local,
        near=near,
        by_nearness=frozenset(),
        scale={n: np.full_like(at, ASSUMED_SCALE) for n in sets},
        missed={n: _assumed(one, at, speed_of_sound(rig.environment.temperature_c)) for n, one in sets.items()},
        gauge=gauge,
        lowest_hz=lowest,
        by=by,
    )
    return _proved(_chosen(model, deviations, noise), deviations, noise)


def principal(x: Complex) -> Complex:
    """Principal components ``(component, path, frequency)`` of deviations ``(unit, path, frequency)`` from their mean.

    Scaled so that their coefficients have unit variance over units; coefficients are real.
    """
    n = len(x)
    if n < 2:
        return np.zeros((0, *x.shape[1:]), dtype=np.complex128)
    flat = x.reshape(n, -1)
    gram = (flat @ flat.conj().T).real
    power, mixed = np.linalg.eigh(gram)
    kept = np.argsort(power)[::-1][: min(n - 1, MOST)]
    kept = kept[power[kept] > 1e-12 * max(float(power.max()), 1e-300)]
    found = mixed[:, kept].T @ flat / np.sqrt(n - 1)
    return np.asarray(found.reshape(len(kept), *x.shape[1:]))


def _left_out(x: Complex, one: int) -> tuple[Complex, Complex]:
    """Components of the other units, and the deviation ``(path, frequency)`` of the one from their mean."""
    others = np.delete(x, one, axis=0)
    mean = others.mean(axis=0)
    return principal(others - mean), np.asarray(x[one] - mean)


def _over_playing(x: Float, plays: NDArray[np.bool_]) -> Float:
    """Mean ``(..., frequency)`` of ``x (unit, driver, ..., frequency)`` over units, and over the drivers that play.

    Where none does, the mean over all.
    """
    weight = np.where(plays.any(axis=0), plays, True).astype(float)
    weight /= weight.sum(axis=0)
    return np.asarray(np.einsum("df,d...f->...f", weight, x.mean(axis=0)))


def _left(
    deviations: Complex, plays: NDArray[np.bool_], left: Callable[[Complex, Complex], Complex]
) -> tuple[Float, Float]:
    """Residuals ``left`` of units by others' components: variances common to all directions, and of one."""
    n, drivers = deviations.shape[:2]
    prior_common = np.full(deviations.shape[-1], (COMMON_DB / NEPER_DB) ** 2)
    local_db = np.clip(LOCAL_DB * (_grid_like(deviations) / LOCAL_HZ), LOCAL_LEAST_DB, LOCAL_MOST_DB)
    prior_local = (local_db / NEPER_DB) ** 2
    if n < 2:
        return prior_common, prior_local
    common, local = [], []
    for one in range(n):
        for d in range(drivers):
            components, own = _left_out(deviations[:, d], one)
            rest = left(own, components)
            middle = rest.mean(axis=0)
            common.append(0.5 * np.abs(middle) ** 2)
            local.append(0.5 * np.mean(np.abs(rest - middle) ** 2, axis=0))
    weight = WEIGHT / (WEIGHT + n - 1)
    at = _grid_like(deviations)
    shape = (n, drivers, len(at))
    first, second = (smoothed(_over_playing(np.reshape(v, shape), plays), at, 1.0 / 3.0) for v in (common, local))
    return (
        np.asarray(weight * prior_common + (1.0 - weight) * first + LEAST),
        np.asarray(weight * prior_local + (1.0 - weight) * second + LEAST),
    )


def _assumed(known: ModelSet, f: Float, c: float) -> Float:
    """Variance ``(path, frequency)`` assumed for the part of a set that monitors miss, until units show it.

    Level and phase are stated with one variance: the mean of both. A seat turns phases alone.
    """
    shape = (len(known.directions), len(f))
    if known.ir.positions["use"][0] in unit.OBSERVED:
        return np.zeros(shape)
    seat = 0.5 * (2.0 * np.pi * f * SEAT_M / c) ** 2
    return np.broadcast_to(seat + (FLOOR_DB / NEPER_DB) ** 2, shape)


def by_few(n: int) -> float:
    """Factor on a variance from few units, so that intervals have their stated coverage.

    Student's distribution over the normal one's at 90 %, squared. Drivers of one unit, which share its seat, and paths
    of one driver, which move together, count as one; the assumptions count as :data:`WEIGHT` units.
    """
    from scipy.stats import t as student

    return float(student.ppf(0.95, n - 1 + WEIGHT) / NINETY) ** 2


def _grid_like(deviations: Complex) -> Float:
    """The grid's frequencies by their count: its lowest is the same everywhere."""
    low = np.ceil(ratio.PER_OCTAVE * np.log2(ratio.LOWEST_HZ / 1000.0))
    return np.asarray(1000.0 * 2.0 ** ((low + np.arange(deviations.shape[-1])) / ratio.PER_OCTAVE))


def _rest(own: Complex, components: Complex) -> Complex:
    """The part of a deviation that lies outside the span of components, which are orthogonal."""
    if not len(components):
        return own
    power = np.sum(np.abs(components) ** 2, axis=(1, 2))
    a = np.sum((components.conj() * own).real, axis=(1, 2)) / np.maximum(power, 1e-300)
    return np.asarray(own - np.tensordot(a, components, axes=1))


def predicted(model: GoldenModel, y: Complex, noise: Float, rows: Sequence[int], components: Complex) -> Posterior:
    """One driver's paths from some monitors: by components, or by proximity only, as in the model.

    Parameters
    ----------
    y, noise
        ``(mic, frequency)``.
    rows
        The monitors' paths in the model.
    components
        ``(component, path, frequency)``.
    """
    picked = np.asarray(rows)
    order = np.concatenate([picked, np.setdiff1d(np.arange(len(model.directions)), picked)])
    back = np.argsort(order)
    directions = model.directions[order]
    seen, rest = slice(0, len(picked)), Leftover(model.common, model.local)
    found = estimated(y, noise, components[:, order], seen, directions, rest)
    mean, variance = found.mean[back], found.variance[back]
    if model.by_nearness:
        alone = estimated(y, noise, components[:0, order], seen, directions, model.near)
        for name in model.by_nearness:
            paths = model.sets[name].paths
            mean[paths], variance[paths] = alone.mean[back][paths], alone.variance[back][paths]
    return replace(found, mean=mean, variance=variance)


def _chosen(model: GoldenModel, deviations: Complex, noise: Float) -> GoldenModel:
    """The model with its sets estimated by components or by nearness alone, as units left out in turn have it.

    Components of few units carry what happened to these, such as how each stood in the test box, to places that no
    monitor is near. So nearness is kept unless components miss less by more than one standard error of the mean over
    units (L. Breiman and others, "Classification and regression trees", 1984, ch. 3: of two that do not differ
    significantly, the simpler). Ears are compared by what is missed at the far ear, other sets by all paths alike.
    """
    n = len(deviations)
    others = [name for name in model.sets if name not in unit.OBSERVED]
    if n < 2:
        return model
    alone = replace(model, by_nearness=frozenset(model.sets))
    misses = [_missed_by_set(one, deviations, noise, others) for one in (model, alone)]

    def better(name: str) -> bool:
        gained = np.log(misses[1][name] / misses[0][name])
        return bool(gained.mean() > gained.std(ddof=1) / np.sqrt(n))

    return replace(model, by_nearness=frozenset(name for name in others if not better(name)))


def _missed_by_set(model: GoldenModel, deviations: Complex, noise: Float, names: Sequence[str]) -> dict[str, Float]:
    """Leave-one-out error power ``(unit,)`` of each unit, by set."""
    errors = np.reshape([m for m, *_ in _left_out_in_turn(model, deviations, noise)], deviations.shape)
    inside = (model.f >= BAND_HZ[0]) & (model.f <= BAND_HZ[1])
    found = {name: _power(errors[:, :, model.sets[name].paths][..., inside]).mean(axis=(1, 2, 3)) for name in names}
    at = far_ear(model.sets["ears"], model.f).powers(errors[:, :, model.sets["ears"].paths])
    return {**found, "ears": at[:, inside].mean(axis=1)}


def _power(missed: Complex) -> Float:
    """Variance of level and of phase, as the mean of both."""
    return np.asarray(0.5 * np.abs(missed) ** 2)


def _opposed(missed: Complex) -> float:
    """Ratio of the error of driver pairs ``(unit, driver, path, frequency)`` to that of independent ones, 1 to 2.

    A unit that stands turned in the test box moves its left drivers one way and its right ones the other, and behind
    filters that cancel, such errors add up. Of all pairs the one that does most.
    """
    count = missed.shape[1]
    own = _power(missed).mean(axis=(0, 2, 3))
    pairs = [(a, b) for a in range(count) for b in range(a)]
    worst = [float(_power(missed[:, a] - missed[:, b]).mean() / max(own[a] + own[b], 1e-30)) for a, b in pairs]
    return float(np.clip(max(worst, default=1.0), 1.0, 2.0))


def _together(model: GoldenModel, missed: Complex, stated: Float) -> Float:
    """By how much more ``(frequency,)`` errors of drivers come to at the far ear than is stated of independent ones.

    Parameters
    ----------
    missed, stated
        Errors of units left out in turn, and their variance of level and of phase ``(unit, driver, path, frequency)``.
    """
    far = far_ear(model.sets["ears"], model.f)
    found = smoothed(far.powers(missed).mean(axis=0), model.f, 1.0)
    wanted = smoothed(far.independent(2.0 * stated).mean(axis=0), model.f, 1.0)
    return np.asarray(np.clip(found / wanted, 1.0 / MOST_MORE, MOST_MORE))


def _left_out_in_turn(model: GoldenModel, deviations: Complex, noise: Float) -> Iterator[tuple[Complex, Float, float]]:
    """Leave-one-out errors of each driver of each unit, stated errors ``(path, frequency)``, and distances."""
    seen = np.arange(len(model.directions))[model.sets[model.by].paths]
    for one in range(len(deviations)):
        for d in range(deviations.shape[1]):
            components, own = _left_out(deviations[:, d], one)
            tells = np.where(model.plays[d], noise[one, d, seen], UNPLAYED)
            found = predicted(model, own[seen], tells, list(seen), components)
            yield np.asarray(own - found.mean), found.variance + noise[one, d], found.distance


def _proved(model: GoldenModel, deviations: Complex, noise: Float) -> GoldenModel:
    """The model with stated variances and distances as units left out in turn show them."""
    n = len(deviations)
    if n < 2:
        return model
    missed, stated, distances = zip(*_left_out_in_turn(model, deviations, noise), strict=True)
    errors = np.reshape(missed, deviations.shape)
    means = [_over_playing(v, model.plays) for v in (_power(errors), np.reshape(stated, deviations.shape))]
    scale, extra = {}, {}
    weight, few = WEIGHT / (WEIGHT + n - 1), by_few(n)
    for name, known in model.sets.items():
        over, under = (np.stack([smoothed(row, model.f) for row in m[known.paths]]) for m in means)
        scale[name] = np.clip(over.mean(axis=0) / under.mean(axis=0), LEAST_SCALE, 1.0)
        shown = np.maximum(over - under, 0.0)
        extra[name] = np.asarray(weight * model.missed[name] + (1.0 - weight) * shown)
        if name == "ears":
            states = scale[name] * np.reshape(stated, deviations.shape)[:, :, known.paths] + extra[name]
            more = few * _together(model, errors[:, :, known.paths], states)
        else:
            more = np.full(len(model.f), few * _opposed(errors[:, :, known.paths]))
        scale[name], extra[name] = more * scale[name], more * extra[name]
    begins, excess = judge.tail(np.log(np.maximum(distances, 1e-12)))
    return replace(
        model,
        scale=scale,
        missed=extra,
        distance=begins,
        distance_spread=excess,
        count=len(distances),
    )


def _mean_unit(
    units: Sequence[MeasuredUnit], names: Sequence[str], deviations: Complex, at: Float, rig: Description
) -> dict[str, ModelSet]:
    """Responses of the mean unit: every unit's brought to the mean, then averaged, so that noise averages too."""
    sets, first = {}, 0
    for name in names:
        ir = units[0].sets[name]
        count = ir.h.shape[0] * ir.h.shape[1]
        total = np.zeros(ir.h.shape)
        for u, apart in zip(units, deviations, strict=True):
            own = np.moveaxis(apart[:, first : first + count].reshape(-1, *ir.h.shape[:2], apart.shape[-1]), 0, 2)
            total += ratio.applied(u.sets[name].h, -own, at, ir.fs)
        stderr = np.sqrt(np.mean([u.errors[name].stderr ** 2 for u in units], axis=0) / len(units))
        sets[name] = ModelSet(replace(ir, h=total / len(units)), stderr, unit.directions(name, ir, rig), first)
        first += count
    return sets


def _same_shapes(units: Sequence[MeasuredUnit], names: Sequence[str]) -> None:
    first = units[0]
    for u in units[1:]:
        for n in names:
            one, other = first.sets[n], u.sets[n]
            if one.h.shape != other.h.shape or one.drivers != other.drivers or one.zero != other.zero:
                raise BadInput(
                    f"{n} of unit {u.serial} has shape {other.h.shape}, that of {first.serial} {one.h.shape}: units of "
                    "one model are measured with one rig file"
                )
