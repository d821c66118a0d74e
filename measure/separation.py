"""How far apart overlapped drivers are: what each of them leaves in the others' kept windows, position by position.

At the first position the drivers' sequential captures show everything. At another one the overlapped capture itself is
looked at: the decay of each driver is seen in the time before the next one's window, wherever the harmonics of the
later ones leave it visible, and is continued into that window; harmonics are those of the first position, as much
stronger or weaker as the responses are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.deconvolve import edges
from sweetspot.measure.plan import Plan
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Float, power_db, speed_of_sound

SEPARATE_DB = -70.0
"""Largest residual of all other drivers in a kept window, re its response, at any position."""
OF_NOISE = 0.5
"""The same re the noise in that window, if that is more."""

GUARD_S = 0.0005
"""Added to the change of a driver's time of arrival from the first position to others, for ears beside the middle."""

FADE = 8
"""Steps in which the fades of a kept window are counted, each by its largest value."""

BLOCK_S = 0.01
BLOCKS = 20
FARTHER = 2
"""A decay is read from the last blocks of this length in which it is visible: this many, or the second times as many
as it is continued over. Late echoes are sparse: with 20 blocks what is continued is right to 3 dB, with 8 to 10 dB."""
LEAST_BLOCKS = 3
VISIBLE, OF_HARMONICS = 0.5, 0.1
"""A decay is visible where it has this share of the noise, and harmonics at most that share of it."""


def over_lag(whole: NDArray[np.floating], before: int) -> Float:
    """Energy ``(mic, size)`` up to each lag, from minus half the size on, of a circular response ``(mic, size)``."""
    rolled = np.roll(np.asarray(whole, dtype=float), whole.shape[-1] // 2 - before, axis=-1)
    return np.asarray(np.cumsum(rolled**2, axis=-1))


def between(energy: Float, first: NDArray[np.int64], end: NDArray[np.int64], around: bool = False) -> Float:
    """Energy ``(mic, lag)`` from the lags ``first`` to ``end`` (excluded) of :func:`over_lag`.

    There is none beyond half the size, unless the response is read ``around``.
    """
    half, size = energy.shape[-1] // 2, energy.shape[-1]

    def upto(lag: NDArray[np.int64]) -> Float:
        at = half + lag - 1
        if around:
            return np.asarray(energy[:, at % size] + (at // size) * energy[:, -1:])
        return np.asarray(energy[:, np.clip(at, 0, size - 1)])

    return np.asarray(upto(end) - upto(first))


def kept(
    energy: Float, lags: NDArray[np.int64], plan: Plan, noise: Float, more: int = 0, *, around: bool = False
) -> Float:
    """Energy ``(mic, lag)`` that a kept window passes, fades included, with time zero at each of ``lags``.

    Parameters
    ----------
    energy
        See :func:`over_lag`.
    noise
        Energy of noise in one sample ``(mic,)``, which is taken out.
    more
        Samples by which the window may lie earlier or later.
    around
        See :func:`between`.
    """
    window = edges(plan.before, plan.after) ** 2
    rise, fall = plan.before // 2, plan.before + plan.after - plan.after // 10
    cuts = np.unique([*np.linspace(0, rise, FADE + 1), *np.linspace(fall, len(window), FADE + 1)]).astype(int)
    found = np.zeros((len(energy), len(lags)))
    for first, end in pairwise(cuts):
        a, b = (edge - plan.before + (more if edge > rise else -more) for edge in (first, end))
        share = float(np.max(window[first:end]))
        found += share * (between(energy, lags + a, lags + b, around) - (b - a) * noise[:, None])
    return found


def noise_of(whole: NDArray[np.floating], plan: Plan, *, late: bool = False) -> Float:
    """Energy of noise in one sample ``(mic,)``: median of stretches with neither response nor harmonics.

    The ``late`` ones are quarters in the second half of these lags: a decay that outlasts what is kept, which others
    are disturbed by, shall not pass for noise.
    """
    taps = plan.before + plan.after
    last = whole.shape[-1] - round(plan.sweep.rate * np.log(10.0) * plan.sweep.fs)
    first, size = (max(taps + last, 2 * taps) // 2, taps // 4) if late else (taps, taps)
    starts = np.linspace(first, max(last - size, first), 8).astype(int)
    means = [np.mean(np.asarray(whole[:, s : s + size], dtype=float) ** 2, axis=-1) for s in starts]
    return np.asarray(np.median(means, axis=0))


def arrivals_differ(rig: Description, plan: Plan) -> int:
    """Samples by which a driver's sound may arrive earlier or later at another position than at the first one."""
    at = np.stack([plan.positions[axis] for axis in "xyz"], axis=-1)
    way = np.linalg.norm(at[:, None] - np.array([d.at for d in rig.driver]), axis=-1)
    change = np.max(np.abs(way - way[plan.order[0]])) / speed_of_sound(rig.environment.temperature_c)
    return round(float(change + GUARD_S) * plan.sweep.fs)


@dataclass(frozen=True, slots=True, eq=False)
class Separation:
    """What drivers leave in each other's kept windows, from the sequential captures at the first position.

    Parameters
    ----------
    wait
        Samples between the starts of two drivers' sweeps.
    own
        Energy of each driver's response ``(driver, mic)``; drivers stand in the order in which they start.
    harmonics
        Energy of later drivers' harmonics in a driver's window ``(driver, later driver, mic)``.
    ahead
        The same in each block ahead of it, its own harmonics and what rings ahead of it included ``(driver, later
        driver, mic, block)``.
    order
        Which drivers of the rig they are.
    """

    wait: int
    own: Float
    harmonics: Float
    ahead: Float
    order: tuple[int, ...]

    @classmethod
    def of(
        cls, rig: Description, plan: Plan, wholes: list[list[NDArray[np.floating]]], wait: int, order: tuple[int, ...]
    ) -> Separation:
        """From what every driver at the first position is as each driver's responses are read.

        Parameters
        ----------
        plan
            Sequential.
        wholes
            See :meth:`CaptureAnalyser.as_read`; drivers as in the rig.
        wait
            Samples between the starts of two drivers' sweeps.
        order
            Drivers in the order in which they start.
        """
        wholes = [[wholes[played][reader] for reader in order] for played in order]
        count, mics, more = len(wholes), len(plan.mics), arrivals_differ(rig, plan)
        taps, (first, end) = plan.before + plan.after, _blocks(plan, wait)
        kinds = {id(w): (over_lag(w, plan.before), noise_of(w, plan)) for row in wholes for w in row}
        own, harmonics = np.zeros((count, mics)), np.zeros((count, count, mics))
        ahead = np.zeros((count, count, mics, len(first)))
        for i in range(count):
            for j in range(i, count):
                energy, noise = kinds[id(wholes[j][i])]
                lag = (i - j) * wait
                here = kept(energy, np.array([lag]), plan, noise, 0 if i == j else more)[:, 0]
                blocks = between(energy, lag + first - more, lag + end + more)
                ahead[i, j] = np.maximum(blocks - (end - first + 2 * more) * noise[:, None], 0.0)
                if i == j:
                    own[i] = here
                else:
                    harmonics[i, j] = np.where(here > OF_NOISE * taps * noise, here, 0.0)
        return cls(wait, own, harmonics, ahead, order)

    def left(self, plan: Plan, wholes: Sequence[NDArray[np.floating]]) -> tuple[Float, Float]:
        """What all others leave in each driver's window at a position, and what they may, re its response.

        Parameters
        ----------
        plan
            With overlapped captures.
        wholes
            The overlapped capture as each driver of the rig is read: circular, time zero of the first to start at
            ``plan.before``, without what lies outside the swept band ``(mic, size)``.

        Returns
        -------
        Ratios of energy ``(driver, mic)``, drivers in the order in which they start: found, and the limit.
        """
        wholes = [wholes[driver] for driver in self.order]
        taps, last = plan.before + plan.after, (len(wholes) - 1) * self.wait
        kinds: dict[int, tuple[Float, Float]] = {}
        for whole in wholes:
            if id(whole) not in kinds:
                alone = np.roll(whole, -last, axis=-1)[:, : whole.shape[-1] - last]
                kinds[id(whole)] = over_lag(whole, plan.before), noise_of(alone, plan, late=True)
        own, found = np.zeros_like(self.own), np.zeros_like(self.own)
        noise = np.stack([kinds[id(whole)][1] for whole in wholes])
        for i, whole in enumerate(wholes):
            there = kept(kinds[id(whole)][0], np.array([i * self.wait]), plan, noise[i], around=True)[:, 0]
            own[i] = np.maximum(there, 1e-300)
        louder = own / np.maximum(self.own, 1e-300)
        first, end = _blocks(plan, self.wait)
        for i, whole in enumerate(wholes):
            found[i] = np.sum(self.harmonics[i] * louder, axis=0)
            if i == 0:
                continue
            blocks = between(kinds[id(whole)][0], i * self.wait + first, i * self.wait + end, around=True)
            others = np.sum(self.ahead[i] * louder[..., None], axis=0)
            size = float(end[0] - first[0])
            middle: Float = 0.5 * np.asarray(first + end, dtype=float) + plan.before
            for mic in range(len(own[i])):
                seen = blocks[mic] - size * noise[i, mic] - others[mic], size * noise[i, mic]
                found[i, mic] += _continued(middle, seen[0], seen[1], others[mic], (size, taps))
        limit = np.maximum(10.0 ** (SEPARATE_DB / 10.0), OF_NOISE * taps * noise / own)
        return found / own, limit

    def refused(self, plan: Plan, wholes: Sequence[NDArray[np.floating]]) -> str:
        """Why an overlapped capture cannot be used, in words; empty where it can. See :meth:`left`."""
        found, limit = self.left(plan, wholes)
        driver, mic = np.unravel_index(int(np.argmax(found / limit)), found.shape)
        if found[driver, mic] <= limit[driver, mic]:
            return ""
        name, at = plan.sources.names[self.order[driver]], plan.mics[mic].name
        return (
            f"other drivers leave {float(power_db(found[driver, mic])):.0f} dB in the response of "
            f"{name} at {at} (limit {float(power_db(limit[driver, mic])):.0f} "
            "dB): their decay or harmonics last longer here than at the first position"
        )


def _blocks(plan: Plan, wait: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last lags of the blocks from the window of the driver before to a window, re its driver's start."""
    size = max(round(BLOCK_S * plan.sweep.fs), 1)
    count = max((wait - plan.before) // size, 1)
    first = np.arange(-count, 0) * size - plan.before
    return first, first + size


def _continued(middle: Float, seen: Float, noise: float, others: Float, sizes: tuple[float, int]) -> float:
    """Energy of a decay in a window that begins at lag 0, from the energy in blocks ahead of it.

    Parameters
    ----------
    middle, seen
        Of the blocks: lags, samples, and energy beside noise and harmonics.
    noise, others
        Energy of noise and, at most, of harmonics in a block.
    sizes
        Samples of a block, and of the window.
    """
    visible = np.flatnonzero((seen > VISIBLE * noise) & (others < OF_HARMONICS * seen))
    if len(visible) < LEAST_BLOCKS:
        return 0.0
    visible = visible[-max(BLOCKS, FARTHER * (len(seen) - int(visible[-1]))) :]
    x, y = middle[visible], np.log(seen[visible] / sizes[0])
    slope = min(float(np.polyfit(x - np.mean(x), y, 1)[0]), -1e-9)
    density = float(np.exp(np.mean(y) - slope * np.mean(x)))
    return density * float(-np.expm1(slope * sizes[1])) / -slope
