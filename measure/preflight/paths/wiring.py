"""Wiring: the assignment of drivers to outputs and microphones to inputs that explains the responses best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.preflight.paths.expectation import Expected
from sweetspot.measure.preflight.paths.path_responses import PathResponses, apart
from sweetspot.rigs.units import Float

SURE = 16.0
"""Advantage (in squared sigmas) of another patch over the rig's above which the wiring is a fault."""

DISTINCT = 9.0
"""Advantage of the rig's patch over any single swap above which the wiring is confirmed."""

EACH = 4.0
"""Cost of each swap, so that the simpler of two explanations wins."""

PLACE_S = 0.25e-3
"""One sigma of the error of a microphone's distance, as time: about 9 cm."""

NOTHING_DB = -200.0
"""Levels below were never played."""

WORST = 16.0
"""Largest penalty of one arrival or octave, so that one outlier does not decide."""

EXPLAINED = 0.5
"""Share of the arrivals that the best patch must explain, each within four sigmas: with less they are not those of
the direct sound, and no patch follows from them."""


@dataclass(frozen=True, slots=True)
class Patch:
    """How things are wired, by places in the rig's lists.

    Parameters
    ----------
    driver_at
        For each output (in the order of the drivers that belong there), the driver connected to it.
    mic_at
        For each input (in the order of the microphones that belong there), the microphone connected to it.
    turned
        1 if the turntable turned as requested, -1 the other way, 0 not at all.
    """

    driver_at: tuple[int, ...]
    mic_at: tuple[int, ...]
    turned: int = 1

    @property
    def exchanged(self) -> int:
        """Number of wrong assignments, with a swapped pair counted once."""
        return _exchanges(self.driver_at) + _exchanges(self.mic_at) + (self.turned != 1)


def _exchanges(order: tuple[int, ...]) -> int:
    """Number of swaps that restore the order."""
    left, count = list(order), 0
    for i in range(len(left)):
        while left[i] != i:
            j = left[i]
            left[i], left[j] = left[j], left[i]
            count += 1
    return count


@dataclass(frozen=True, slots=True)
class WiringVerdict:
    """The patch that explains the responses best.

    Parameters
    ----------
    best
        The patch; the rig's own unless another one is better for sure and explains the arrivals.
    others
        Patches that explain it nearly as well as the best one, with as few exchanges.
    ambiguous_drivers, ambiguous_mics
        Pairs that could be exchanged without the check noticing.
    late
        ``(mic,)`` s by which sound comes later than expected at the best patch: a distance that is not the rig's.
    explained
        Share of the arrivals that the patch of least cost explains, each microphone's up to its delay.
    """

    best: Patch
    others: tuple[Patch, ...]
    ambiguous_drivers: tuple[tuple[int, int], ...]
    ambiguous_mics: tuple[tuple[int, int], ...]
    late: tuple[float, ...]
    explained: float = 1.0

    @property
    def found(self) -> bool:
        """Whether the arrivals are those of the direct sound, so that the patch follows from them."""
        return self.explained >= EXPLAINED


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """Responses at the microphones' inputs, poses first.

    Parameters
    ----------
    arrival
        ``(pose, input, output)`` s, NaN where nothing was received.
    apart
        ``(pose, output)`` s between the inputs of the left and the right ear.
    level_db
        ``(input, output, octave)``, NaN where there are no tones.
    ears
        Places of the left and the right ear among the microphones, if there are both.
    """

    arrival: Float
    apart: Float
    level_db: Float
    ears: tuple[int, int] | None


def _evidence(heard: list[PathResponses], inputs: list[int], ears: tuple[int, int] | None) -> _Evidence:
    outputs = range(heard[0].arrival.shape[1])
    differences = np.full((len(heard), len(outputs)), np.nan)
    if ears is not None:
        left, right = inputs[ears[0]], inputs[ears[1]]
        for p, one in enumerate(heard):
            for o in outputs:
                if one.there[left, o] and one.there[right, o]:
                    differences[p, o] = apart(one.gated[o][left], one.gated[o][right], one.frequencies[o])
    level = np.where(heard[0].snr_db > 0.0, heard[0].level_db, np.nan)
    return _Evidence(np.stack([h.arrival[inputs] for h in heard]), differences, level[inputs], ears)


def find(
    heard: list[PathResponses],
    inputs: list[int],
    ears: tuple[int, int] | None,
    expectations: dict[int, Expected],
) -> WiringVerdict:
    """Find the patch.

    Parameters
    ----------
    heard
        One a pose: as the stage stands, and if it turns, turned.
    inputs
        Where each microphone of the rig should be, from 0.
    ears
        Places of the left and the right ear among the microphones, if there are both.
    expectations
        What is expected if the turntable turned as requested (1), the other way (-1), not at all (0).
    """
    evidence = _evidence(heard, inputs, ears)
    drivers = evidence.arrival.shape[2]
    alive_out = np.asarray(np.isfinite(evidence.arrival).any(axis=(0, 1)))
    alive_in = np.asarray(np.isfinite(evidence.arrival).any(axis=(0, 2)))
    straight = Patch(tuple(range(drivers)), tuple(range(len(inputs))))
    found: list[tuple[float, Patch]] = []
    for turn, expected in expectations.items():
        for mics in _mic_orders(len(inputs), alive_in):
            table = _costs(evidence, expected, mics, alive_out)
            rows = np.flatnonzero(alive_out)
            for order in _driver_orders(table[np.ix_(rows, rows)]):
                at = list(range(drivers))
                for row, column in zip(rows, order, strict=True):
                    at[row] = int(rows[column])
                patch = Patch(tuple(at), mics, turn)
                cost = float(sum(table[o, at[o]] for o in rows)) + _place_cost(evidence, expected, mics)
                found.append((cost + EACH * patch.exchanged, patch))
    costs: dict[Patch, float] = {}
    for cost, patch in found:
        costs[patch] = min(cost, costs.get(patch, np.inf))
    return _judged(costs, straight, evidence, expectations)


def _judged(
    costs: dict[Patch, float], straight: Patch, evidence: _Evidence, expectations: dict[int, Expected]
) -> WiringVerdict:
    best = min(costs, key=lambda p: costs[p])
    best = best if costs[straight] - costs[best] > SURE else straight
    others = tuple(
        p
        for p in costs
        if best not in (straight, p) and costs[p] - costs[best] < DISTINCT and p.exchanged <= best.exchanged
    )
    unclear_drivers, unclear_mics = [], []
    if best == straight:
        for patch, cost in costs.items():
            moved = [i for i, d in enumerate(patch.driver_at) if d != i]
            mics = [i for i, m in enumerate(patch.mic_at) if m != i]
            near = cost - EACH * patch.exchanged - costs[straight] < DISTINCT and patch.turned == 1
            if near and len(moved) == 2 and not mics:
                unclear_drivers.append((moved[0], moved[1]))
            if near and len(mics) == 2 and not moved:
                unclear_mics.append((mics[0], mics[1]))
    explained = _explained(evidence, expectations[best.turned], best)
    if explained < EXPLAINED:
        best, others = straight, ()
    late = _late(evidence, expectations[best.turned], best.mic_at)
    return WiringVerdict(best, others, tuple(unclear_drivers), tuple(unclear_mics), tuple(late.tolist()), explained)


def _mic_orders(count: int, alive: NDArray[np.bool_]) -> Iterator[tuple[int, ...]]:
    """Permutations of the working microphones: all of up to four, else single swaps."""
    which = [int(i) for i in np.flatnonzero(alive)]
    if len(which) <= 4:
        for order in permutations(which):
            yield tuple(order[which.index(i)] if i in which else i for i in range(count))
        return
    yield tuple(range(count))
    for a, b in combinations(which, 2):
        yield tuple(b if i == a else a if i == b else i for i in range(count))


def _driver_orders(table: Float) -> Iterator[list[int]]:
    """Orders worth a look: the rig's, the cheapest one, and each single swap."""
    from scipy.optimize import linear_sum_assignment  # slow to import

    size = len(table)
    yield list(range(size))
    if size:
        yield [int(j) for j in linear_sum_assignment(table)[1]]
    for a, b in combinations(range(size), 2):
        yield [b if i == a else a if i == b else i for i in range(size)]


def _costs(evidence: _Evidence, expected: Expected, mics: tuple[int, ...], alive: NDArray[np.bool_]) -> Float:
    """What it costs ``(output, driver)`` in squared sigmas of a driver at an output, for a given order of
    microphones."""
    arrival = expected.arrival[:, list(mics), :]
    late = _late(evidence, expected, mics)
    table = _squared(
        (evidence.arrival - late[:, None])[..., :, None] - arrival[..., None, :],
        expected.arrival_sigma[:, None, None, None],
    )
    cost = np.sum(table, axis=(0, 1))
    if evidence.ears is not None and len(expected.apart):
        cost += _apart_cost(evidence, expected, mics, alive)
    return np.asarray(cost + _level_cost(evidence, expected, mics))


def _explained(evidence: _Evidence, expected: Expected, patch: Patch) -> float:
    """Share of the arrivals that a patch explains; 1 without any."""
    late = _late(evidence, expected, patch.mic_at)
    wanted = expected.arrival[:, list(patch.mic_at)][:, :, list(patch.driver_at)]
    sigmas = (evidence.arrival - late[:, None] - wanted) / expected.arrival_sigma[:, None, None]
    there = np.isfinite(sigmas)
    return float(np.mean(sigmas[there] ** 2 < WORST)) if there.any() else 1.0


def _squared(difference: Float, sigma: Float | float) -> Float:
    """Squared sigmas, limited; zero without a signal."""
    return np.asarray(np.minimum(np.nan_to_num((difference / sigma) ** 2, nan=0.0), WORST))


def _apart_cost(evidence: _Evidence, expected: Expected, mics: tuple[int, ...], alive: NDArray[np.bool_]) -> Float:
    """Cost ``(output, driver)`` of the interaural differences; their common part is the head's turn."""
    assert evidence.ears is not None
    here = (mics[evidence.ears[0]], mics[evidence.ears[1]])
    if set(here) == set(evidence.ears):
        wanted = expected.apart if here == evidence.ears else -expected.apart
    else:
        wanted = expected.arrival[:, here[0]] - expected.arrival[:, here[1]]
    heard = evidence.apart
    heard = heard - (np.nanmedian(heard[:, alive]) if np.isfinite(heard[:, alive]).any() else 0.0)
    wanted = wanted - np.median(wanted[:, alive])
    table = _squared(heard[:, :, None] - wanted[:, None, :], expected.apart_sigma[:, None, :])
    return np.asarray(np.sum(table, axis=0))


def _level_cost(evidence: _Evidence, expected: Expected, mics: tuple[int, ...]) -> Float:
    """Cost ``(output, driver)`` of the spectra, each up to its level; averaged over the microphones."""
    wanted = np.where(expected.level_db > NOTHING_DB, expected.level_db, np.nan)[list(mics)]
    rest = evidence.level_db[:, :, None, :] - wanted[:, None, :, :]
    weight = np.isfinite(rest) / expected.level_sigma**2
    mean = np.sum(np.nan_to_num(rest) * weight, axis=-1) / np.maximum(np.sum(weight, axis=-1), 1e-12)
    table = _squared(rest - mean[..., None], expected.level_sigma)
    counted = np.isfinite(evidence.level_db).any(axis=-1).sum(axis=0)
    return np.asarray(np.sum(table, axis=(0, 3)) / np.maximum(counted, 1)[:, None])


def _late(evidence: _Evidence, expected: Expected, mics: tuple[int, ...]) -> Float:
    """Delay ``(mic,)`` re expectation, over all drivers detected there; 0 if none.

    By medians, whatever the order of the drivers: in a live room an arrival or two may be lost in the reverberation.
    """
    wanted = np.where(np.isfinite(evidence.arrival), expected.arrival[:, list(mics), :], np.nan)
    out = np.zeros(wanted.shape[1])
    for i in range(wanted.shape[1]):
        both = evidence.arrival[:, i], wanted[:, i]
        if np.isfinite(both[0]).any():
            out[i] = float(np.nanmedian(both[0]) - np.nanmedian(both[1]))
    return out


def _place_cost(evidence: _Evidence, expected: Expected, mics: tuple[int, ...]) -> float:
    """Cost of microphones nearer or farther than in the rig file."""
    return float(np.sum((_late(evidence, expected, mics) / PLACE_S) ** 2))
