"""Overlapped sweeps: all drivers of a position in one capture, with staggered starts.

A deconvolved exponential sweep separates by lag: the linear response at its start, harmonic ``n`` at ``L ln n`` before
(P. Majdak, P. Balazs and B. Laback, J. Audio Eng. Soc. 55, 623, 2007; P. Dietrich, B. Masiero and M. Vorlaender, J.
Audio Eng. Soc. 61, 113, 2013). Sweeps with a constant spacing can be separated if no driver's decay or harmonic falls
into another's kept window. Suitable spacings are not modelled but taken from the drivers' sequential captures, whose
energy over lag holds decays and harmonics as they are.

Sweeps begin below the drivers' bands, where their protection filters leave silence. Drivers whose sound begins latest
start first, and the silence ahead of the first sound is not captured: of a capture read around the end of its
transform only lags without any response are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.plan import OverlapMode, OverlappedSignal, Plan, outputs_for
from sweetspot.measure.separation import arrivals_differ, kept, noise_of, over_lag
from sweetspot.measure.shot import ALL, Capture
from sweetspot.measure.sweep import Sweep, stimulus, synchronised
from sweetspot.rigs.names import runs_of
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import P_REF, Float, db, from_db

WANTED_DB = -74.0
"""Largest residual of all other drivers in a kept window, re its response, at the first position: -70 dB, and 4 dB for
what changes from there to others."""
OF_NOISE = 0.2
"""The same re the noise in that window, if that is more."""
AGREED_DB = -60.0
"""Required agreement of overlapped with sequential captures, or the noise."""
STEP_S = 0.001
SILENT_DB = -85.0
"""Energy of a driver's sweep before it counts as its sound, re all of it."""
HIGHEST_HARMONIC = 10
"""Harmonics up to this one stay clear of the lags that show a capture's noise: two kept windows, at least."""
LONG_S = 300.0
"""Playing time, s, above which plans are overlapped by default, if possible."""
LEAST_GAIN = 1.3
"""Smallest useful gain of overlapping, in time."""
HEADROOM = 0.8
"""Peak that the sum of all drivers may reach at an input, re full scale."""
ELSEWHERE_DB = 3.0
"""Margin of all drivers together below the rig's SPL limit at the first position, as others may be louder."""
LIKE_BEFORE = "as before"
"""Why drivers play one by one where all of them were not tried: short, as sessions keep one for each position."""
MOST_UNTRIED = 15
"""Positions in a row, at most, at which an overlapped capture is not tried because those before it were of no use."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How the drivers of a set overlap, or why they do not.

    Parameters
    ----------
    wait
        Samples between the starts of two drivers' sweeps.
    level
        Of each driver's sweep over that of a sequential capture, linear.
    predicted_db
        What the others leave in a driver's window by the sequential captures, noise not counted; worst path.
    agreed_db
        Complex difference between overlapped and sequential responses, worst path; NaN before it was measured.
    level_db
        The part of it that the drivers' compression makes at another level, estimated (:func:`compression`).
    gain
        How many times shorter one capture is than one of every driver.
    why
        Why the set is captured sequentially all the same; empty when it is not.
    sequential
        Positions (from 0) whose overlapped captures could not be used, and why: drivers play one by one there.
    order
        Drivers (from 0) in the order in which they start; empty for that of the rig.
    head
        Samples of silence at the beginning that are left out.
    """

    wait: int = 0
    level: float = 1.0
    predicted_db: float = 0.0
    agreed_db: float = float("nan")
    gain: float = 1.0
    why: str = ""
    level_db: float = float("nan")
    sequential: tuple[tuple[int, str], ...] = ()
    order: tuple[int, ...] = ()
    head: int = 0

    def __post_init__(self) -> None:
        each = tuple((int(position), str(why)) for position, why in self.sequential)
        object.__setattr__(self, "sequential", each)
        object.__setattr__(self, "order", tuple(int(driver) for driver in self.order))

    def turns(self, count: int) -> tuple[int, ...]:
        """The ``count`` drivers of a rig (from 0) in the order in which they start."""
        return self.order or tuple(range(count))

    def starts(self, count: int) -> tuple[int, ...]:
        """Samples at which the sweep of each of a rig's ``count`` drivers starts, :attr:`head` included."""
        turns = self.turns(count)
        return tuple(turns.index(driver) * self.wait for driver in range(count))

    @property
    def used(self) -> bool:
        """Whether drivers play together."""
        return not self.why

    def text(self) -> str:
        """One line for the screen."""
        if not self.used:
            return f"drivers play sequentially: {self.why}"
        lower = f", each {-float(db(self.level)):.1f} dB lower" if self.level < 1.0 else ""
        level = f" ({self.level_db:.0f} dB by the drivers' compression at the other level)" if lower else ""
        apart = runs_of([p + 1 for p, _ in self.sequential])
        where = f"; one by one at position{'s' if len(self.sequential) > 1 else ''} {apart}" if apart else ""
        return (
            f"all drivers play in one capture, {self.gain:.1f} times shorter{lower}; it agrees with sequential ones to "
            f"{self.agreed_db:.0f} dB{level}{where}"
        )

    def at(self, position: int) -> bool:
        """Whether drivers play together at a position, from 0."""
        return self.used and all(position != p for p, _ in self.sequential)

    def doubtful(self, order: Sequence[int], position: int) -> bool:
        """Whether all drivers are not tried at a position because they were of no use at those before it.

        What makes drivers ring into each other rarely changes from one position to the next: after two captures in vain
        one position is not tried, after three three, after four seven, then :data:`MOST_UNTRIED`.
        """
        found, vain, untried = dict(self.sequential), 0, 0
        for before in reversed(order[: order.index(position)]):
            if before not in found:
                break
            vain += found[before] != LIKE_BEFORE
            untried += vain == 0
        return vain > 0 and untried < min(2 ** (vain - 1) - 1, MOST_UNTRIED)

    def without(self, position: int, why: str) -> Overlap:
        """The same, with sequential captures at one more position."""
        return replace(self, sequential=(*self.sequential, (position, why)))

    def to_dict(self) -> dict[str, Any]:
        """For JSON, positions and drivers from 1."""
        known = {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in asdict(self).items()}
        each = [{"position": p + 1, "why": why} for p, why in self.sequential]
        return known | {"sequential": each, "order": [driver + 1 for driver in self.order]}


def cannot(plan: Plan) -> str | None:
    """Why a plan's captures cannot overlap at all."""
    if plan.sources.axis != "driver":
        return "programs are played one at a time"
    if len(plan.sources.names) < 2:
        return "there is one driver"
    if len(plan.positions) < 2:
        return "there is one position, and it is measured sequentially for reference"
    return None


def usual(plan: Plan) -> OverlapMode | None:
    """The default: ``"auto"`` for a plan that takes long and whose drivers can overlap at all.

    Short plans gain less than one capture more at the first position costs; repeats are compared one by one.
    """
    repeated = any(c.repeat for c in plan.captures)
    return "auto" if plan.seconds >= LONG_S and not repeated and cannot(plan) is None else None


def shortest(plan: Plan, wait: int) -> Overlap:
    """Order and silence of a capture of all drivers with ``wait`` samples between them, and what it gains.

    As much silence is left out as leaves lags free to show a capture's noise.
    """
    silent = _silent(plan)
    order = tuple(sorted(range(len(silent)), key=lambda driver: -silent[driver]))
    free = len(plan.played) - 2 * (plan.before + plan.after)
    free -= round(plan.sweep.rate * np.log(HIGHEST_HARMONIC) * plan.sweep.fs)
    head = max(min(*(turn * wait + silent[driver] for turn, driver in enumerate(order)), free), 0)
    alone = len(plan.played)
    gain = len(order) * alone / (alone + (len(order) - 1) * wait - head)
    return Overlap(wait, order=order, head=head, gain=gain)


def _silent(plan: Plan) -> list[int]:
    """Samples of silence ahead of each driver's sweep, in whole steps: sweeps begin below the drivers' bands."""
    step, found = max(round(STEP_S * plan.sweep.fs), 1), []
    for played, shape in zip(plan.sources.signals, plan.sources.shapes, strict=True):
        energy = np.cumsum(played[shape.output].astype(float) ** 2)
        first = int(np.searchsorted(energy, 10.0 ** (SILENT_DB / 10.0) * energy[-1]))
        found.append(first // step * step)
    return found


def solved(rig: Description, plan: Plan, wholes: list[list[NDArray[np.floating]]]) -> Overlap:
    """The shortest wait by which no driver disturbs another, wherever their sound arrives earlier or later.

    Parameters
    ----------
    rig
        Where drivers and microphones are.
    plan
        Sequential.
    wholes
        Of every driver at the first position, what it is as each driver's responses are read
        (:meth:`CaptureAnalyser.as_read`).
    """
    taps = plan.before + plan.after
    more = arrivals_differ(rig, plan)
    kinds = {id(w): over_lag(w, plan.before) for row in wholes for w in row}
    energy = [[kinds[id(w)] for w in row] for row in wholes]
    noise = np.stack([np.median([noise_of(row[i], plan) for row in wholes], axis=0) for i in range(len(wholes))])
    step = max(round(STEP_S * plan.sweep.fs), 1)
    waits = np.arange(taps, max(len(plan.sweep.x) // 2, taps + step), step)
    count, order = len(wholes), shortest(plan, taps).order
    own = np.stack([kept(energy[i][i], np.array([0]), plan, noise[i])[:, 0] for i in range(count)])
    others = np.zeros((*noise.shape, len(waits)))
    for i in range(count):
        for j in range(count):
            if i != j:
                turns = order.index(i) - order.index(j)
                others[i] += np.maximum(kept(energy[j][i], turns * waits, plan, noise[i], more), 0.0)
    limit = np.maximum(10.0 ** (WANTED_DB / 10.0) * own, OF_NOISE * taps * noise)
    good = np.flatnonzero(np.all(others <= limit[..., None], axis=(0, 1)))
    if not len(good):
        return Overlap(why="no spacing separates decays and harmonics of the drivers")
    best = int(good[0])
    left = float(np.max(others[..., best] / np.maximum(own, 1e-300)))
    found = replace(shortest(plan, int(waits[best])), predicted_db=10.0 * float(np.log10(max(left, 1e-20))))
    if found.gain < LEAST_GAIN:
        short = f"{found.gain:.2f} times shorter than one of each"
        return replace(found, why=f"one capture of all drivers would be only {short}")
    return found


def level_for(
    raws: list[NDArray[np.float32]], starts: tuple[int, ...], pascals: Float | None, rig: Description
) -> float:
    """Level of each driver's sweep so that all of them together stay below full scale and the rig's loudest level.

    Parameters
    ----------
    raws
        Every driver's sequential capture ``(mic, samples)``, full scale = 1: what all of them make is their sum.
    starts
        Sample at which each driver starts.
    pascals
        ``(mic,)``: Pa of full scale; ``None`` where that is not known: then all together are no louder than the
        loudest driver by itself.
    rig
        Holds ``limits.loudest_db_spl``; where a single driver is louder, all together may be that loud.
    """
    whole = np.zeros((len(raws[0]), raws[0].shape[1] + max(starts)))
    for x, start in zip(raws, starts, strict=True):
        whole[:, start : start + x.shape[1]] += x
    at_inputs = HEADROOM / np.maximum(np.max(np.abs(whole), axis=1), 1e-9)
    alone = np.max([_fast(x, rig.fs) for x in raws], axis=0)
    spl = 0.0 if pascals is None else P_REF * from_db(rig.limits.loudest_db_spl - ELSEWHERE_DB) / pascals
    limit = np.maximum(spl, alone)
    return float(min(1.0, at_inputs.min(), (limit / np.maximum(_fast(whole, rig.fs), 1e-12)).min()))


def _fast(x: NDArray[np.floating], fs: int) -> Float:
    """Largest root mean square over 125 ms, ``(mic,)``."""
    size = fs // 8
    pieces = x[:, : x.shape[1] // size * size].reshape(len(x), -1, size)
    return np.asarray(np.sqrt(np.mean(np.asarray(pieces, dtype=float) ** 2, axis=-1)).max(axis=-1))


def compression(plan: Plan, wholes: list[NDArray[np.floating]], level: float) -> Float:
    """Relative change ``(driver, mic)`` of a response from its level to ``level`` times that, by its third harmonic.

    Where pressure is ``x + a x^3``, a sine of amplitude A has a fundamental of ``A + 3/4 a A^3`` and a third harmonic
    of ``1/4 a A^3``: the response gains three times the harmonic's ratio, which falls with the level squared.

    Parameters
    ----------
    plan
        Sequential.
    wholes
        ``(mic, size)`` of every driver at the first position, as it is read for itself.
    level
        Linear.
    """
    found = []
    third = np.array([0, -round(plan.sweep.rate * np.log(3.0) * plan.sweep.fs)])
    for whole in wholes:
        within = kept(over_lag(whole, plan.before), third, plan, noise_of(whole, plan))
        found.append(3.0 * np.sqrt(np.maximum(within[:, 1], 0.0) / np.maximum(within[:, 0], 1e-300)))
    return np.array(found) * (1.0 - level**2)


def together(rig: Description, plan: Plan, how: Overlap) -> Plan:
    """The plan with every driver at once, but for the first position, which stays sequential for reference, and those
    where that could not be used.
    """
    count, first = len(plan.sources.names), plan.order[0]
    starts = how.starts(count)
    more = max(starts) - how.head
    sweep = _slow(plan.sweep, more)
    tail = len(plan.played) - len(plan.sweep.x)
    level = float(np.max(np.abs(plan.played)))
    played = stimulus(sweep, level, max(len(plan.sweep.x) + more - len(sweep.x), 0) + tail)
    signals = np.zeros((count, len(played)), dtype=np.float32)
    for row, start, driver, alone in zip(signals, starts, rig.driver, plan.sources.signals, strict=True):
        own, begins = alone[driver.channel - 1], start - how.head
        part = own[max(-begins, 0) : len(played) - begins]
        row[max(begins, 0) : max(begins, 0) + len(part)] = how.level * part
    outputs = outputs_for(rig, [d.channel for d in rig.driver], signals, played)
    captures = []
    for c in plan.captures:
        if c.position == first or not how.at(c.position):
            captures.append(c)
        elif c.source == 0:
            captures.append(replace(c, source=ALL))
    signal = OverlappedSignal(starts, outputs, played, sweep, how.level, how.head)
    return replace(plan, captures=tuple(captures), together=signal)


def _slow(sweep: Sweep, more: int) -> Sweep:
    """A sweep over the same band for the loopback, as long as all drivers' together."""
    return synchronised(sweep.band, (len(sweep.x) + more) / sweep.fs, sweep.fs)


def sequential(plan: Plan, capture: Capture) -> list[Capture]:
    """The captures of one driver each that take the place of an overlapped one."""
    repeats = sorted({c.repeat for c in plan.captures})
    return [replace(capture, source=i, repeat=r) for i in range(len(plan.sources.names)) for r in repeats]


def checking(plan: Plan) -> Capture:
    """The overlapped capture at the first position."""
    return replace(plan.captures[0], source=ALL, repeat=0, purpose="check")


def agreement(
    one: Float, other: Float, error: Float, level: Float, fs: int, band: tuple[float, float]
) -> tuple[float, bool]:
    """Complex difference of two sets of responses ``(driver, mic, tap)`` over the judged band, dB, and if that will do.

    ``error (driver, mic, bin)`` is the standard error of their difference, ``level (driver, mic)`` what is due to
    :func:`compression`.
    """
    f = np.fft.rfftfreq(one.shape[-1], 1.0 / fs)
    inside = (f >= band[0]) & (f <= band[1])
    power = np.sum(np.abs(np.fft.rfft(one)[..., inside]) ** 2, axis=-1)
    off = np.sum(np.abs(np.fft.rfft(other - one)[..., inside]) ** 2, axis=-1)
    noise = np.sum(error[..., inside] ** 2, axis=-1)
    worst = 10.0 * float(np.log10(np.max(off / power) + 1e-20))
    limit = (from_db(AGREED_DB) + level) ** 2
    return worst, bool(np.all(off <= limit * power + 2.0 * noise))
