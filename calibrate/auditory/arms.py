"""The four playback conditions at the same ears: plain, matrix mixing, the calibrated unit, a reference pair."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from sweetspot.calibrate.plant import gate, kept_upmixed, plain
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.processor.filterset import FilterSet, UpmixSettings
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.layout import mirror_pairs
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Float, from_db

ARMS = ("plain", "matrix", "calibrated", "reference")
"""Plain stereo and matrix mixing on the same unit, the calibrated unit, and a pair of loudspeakers."""

PANS = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Hard left, half left, centre, half right, hard right."""

SIDE_BOOST_DB = 6.0
"""Gain of the side signal in matrix mixing, dB."""

SETTLED_S, TAKEN_S = 0.7, 0.5
"""How long an upmix is given to settle on a panned source, and how long its shares are then averaged over, s."""


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """One way to play, as it arrives at the ears.

    Parameters
    ----------
    name
        One of :data:`ARMS`.
    h
        Responses ``(position, ear, program, tap)`` of the programs left, right, centre, Pa for a full-scale program.
    fs
        Sampling rate, Hz.
    zero
        Tap of time zero.
    arrival
        When the direct sound arrives at each position ``(position,)``, s.
    shares
        What each pan of a single source sends to each program ``(pan, program)``.
    """

    name: str
    h: Float
    fs: int
    zero: int
    arrival: Float
    shares: Float

    def __post_init__(self) -> None:
        object.__setattr__(self, "h", frozen("responses of an arm", self.h, ndim=4))
        object.__setattr__(self, "arrival", frozen("arrivals", self.arrival, ndim=1))
        object.__setattr__(self, "shares", frozen("shares", self.shares, ndim=2))

    @property
    def sources(self) -> Float:
        """Responses to sources hard left, hard right and in the centre ``(position, ear, source, tap)``."""
        rows = [0, len(PANS) - 1, PANS.index(0.0)]
        return np.asarray(np.einsum("pect,nc->pent", self.h, self.shares[rows], optimize=True))


def pan_gains() -> Float:
    """Constant-power gains ``(pan, 2)`` of left and right: ``cos`` and ``sin`` of ``(pan + 1) pi / 4``."""
    angle = (np.array(PANS) + 1.0) * np.pi / 4.0
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def stereo_shares() -> Float:
    """Shares ``(pan, program)`` of plain stereo, without a centre program."""
    return np.pad(pan_gains(), ((0, 0), (0, 1)))


def upmix_shares(filters: FilterSet) -> Float:
    """Shares ``(pan, program)`` that the upmix of a filter set gives a single source, once it has settled.

    The upmix is run on noise: each program's share is its projection on the source.
    """
    return _upmix_shares(filters.upmix, filters.fs)


@lru_cache(maxsize=4)
def _upmix_shares(settings: UpmixSettings, fs: int) -> Float:
    name = f"pans-{'_'.join(f'{p:g}' for p in PANS)}"
    return kept_upmixed(name, settings, fs, lambda: _played_shares(settings, fs), Path(__file__))


def _played_shares(settings: UpmixSettings, fs: int) -> Float:
    from sweetspot.processor import render  # only where nothing is kept: 7 ms
    from sweetspot.processor.upmix import chosen

    rng = np.random.default_rng(1770)
    settled, taken = (round(s * fs) for s in (SETTLED_S, TAKEN_S))
    source = rng.standard_normal(settled + taken)
    latency = chosen(settings, fs).latency
    late = slice(settled - latency, len(source) - latency)
    rows = []
    for gains in pan_gains():
        made = render.upmixed(settings, fs, gains[:, None] * source)
        rows.append(made[:, late] @ source[late] / np.sum(source[late] ** 2))
    return np.stack(rows)


def of_taps(name: str, ears: ImpulseResponse, taps: Float, delay: float, shares: Float) -> Arm:
    """An arm from measured responses and filters.

    Parameters
    ----------
    ears
        Driver-to-ear responses; ears are left first.
    taps
        Filters ``(program, driver, tap)``.
    delay
        Of the filters, samples: the direct sound comes that much later.
    """
    h = ears.h[:, :2]
    arrival = gate.first_arrival(ears) + delay / ears.fs
    at = np.flatnonzero(np.any(taps, axis=(0, 1)))
    if len(at) == 1:  # gains and a delay, which need no transform
        played = np.zeros((*h.shape[:2], len(taps), h.shape[-1]))
        late = int(at[0])
        played[..., late:] = np.einsum("pedt,cd->pect", h[..., : h.shape[-1] - late], taps[..., late], optimize=True)
        return Arm(name, played, ears.fs, ears.zero, arrival, shares)
    size = fft.next_fast_len(h.shape[-1] + taps.shape[-1] - 1, real=True)
    H, W = (fft.rfft(np.asarray(x, dtype=np.float64), size, axis=-1) for x in (h, taps))
    played = fft.irfft(np.einsum("pedf,cdf->pecf", H, W), size, axis=-1)
    return Arm(name, played[..., : h.shape[-1]], ears.fs, ears.zero, arrival, shares)


def calibrated(ears: ImpulseResponse, filters: FilterSet) -> Arm:
    """The unit with its filters, predicted from its measured responses."""
    return of_taps("calibrated", ears, filters.taps, filters.delay_samples, upmix_shares(filters))


def measured_arm(ears: ImpulseResponse, measured: ImpulseResponse, filters: FilterSet, share: float) -> Arm:
    """The unit with its filters, as measured in a verification.

    Parameters
    ----------
    ears
        Responses to the stimuli left, right and both, in the place of drivers.
    measured
        The session's responses at the same positions; they give the arrival of the direct sound.
    share
        Part of what both sides have in common that goes to the centre program: ``both = share C + (1 - share)(L + R)``.
    """
    left, right, both = (ears.h[:, :2, i] for i in range(3))
    centre = (both - (1.0 - share) * (left + right)) / share if share > 0.0 else np.zeros_like(both)
    h = np.stack([left, right, centre], axis=2)
    arrival = gate.first_arrival(measured) + filters.delay_samples / filters.fs
    shares = upmix_shares(filters) if share > 0.0 else stereo_shares()
    return Arm("calibrated", h, ears.fs, ears.zero, arrival, shares)


def stereo_taps(sides: Float, ceiling: float) -> Float:
    """Plain stereo ``(3, driver, tap)`` from filters of its sides, full scale at the ceiling, without a centre."""
    return np.concatenate([ceiling * sides, np.zeros_like(sides[:1])])


def matrix_taps(at: Float, pair: tuple[int, int], ceiling: float, delay: int) -> Float:
    """Matrix mixing: mid in phase to the front pair, the raised side in opposite phase to the widest pair.

    With ``M = (L + R) / 2`` and ``S = (L - R) / 2`` the front pair plays ``M``, the widest mirror pair ``+-g S``; a
    unit with one pair plays their sum on it. Scaled so that full-scale stereo stays within the ceiling.
    """
    pairs = mirror_pairs(at) or [pair]
    front = max(pairs, key=lambda p: (round(float(at[p[0], 0]), 3), -abs(float(at[p[0], 1]))))
    wide = max(pairs, key=lambda p: abs(float(at[p[0], 1])))
    taps = np.zeros((3, len(at), delay + 1))
    taps[:2, list(front), delay] += 0.5
    side = 0.5 * float(from_db(SIDE_BOOST_DB))
    for program, sign in enumerate((1.0, -1.0)):
        taps[program, wide[0], delay] += sign * side
        taps[program, wide[1], delay] -= sign * side
    return taps * ceiling / float(np.abs(taps[..., delay]).sum(axis=0).max())


def mixed(sides: Float, at: Float, pair: tuple[int, int], ceiling: float, delay: int) -> Float:
    """:func:`matrix_taps`; on a unit whose plain stereo has crossovers, on the sides of that."""
    if np.count_nonzero(sides) == len(sides):
        return matrix_taps(at, pair, ceiling, delay)
    side = 0.5 * float(from_db(SIDE_BOOST_DB))
    own, other = 0.5 + side, 0.5 - side
    return stereo_taps(own * sides + other * sides[::-1], ceiling / (abs(own) + abs(other)))


def on_unit(ears: ImpulseResponse, rig: Description, filters: FilterSet) -> tuple[Arm, Arm]:
    """Plain stereo and matrix mixing on the unit itself, predicted from its measured responses.

    Parameters
    ----------
    rig
        It gives places, bands and limits of the drivers.
    filters
        Their ceiling and delay are used, so that the arms can be compared.
    """
    at = np.array([d.at for d in rig.driver])
    sides, delay = plain.plain_sides(ears, rig.driver, filters.delay_samples)
    matrix = mixed(sides, at, plain.best_pair(ears, at), filters.ceiling, delay)
    matrix *= room(matrix, ears, rig, filters)
    return plain_on_unit(ears, sides, delay, rig, filters), of_taps("matrix", ears, matrix, delay, stereo_shares())


def plain_on_unit(ears: ImpulseResponse, sides: Float, delay: int, rig: Description, filters: FilterSet) -> Arm:
    """Plain stereo alone, with the filters of :func:`plain.plain_sides`; see :func:`on_unit`."""
    taps = stereo_taps(sides, filters.ceiling)
    return of_taps("plain", ears, taps * room(taps, ears, rig, filters), delay, stereo_shares())


def room(taps: Float, ears: ImpulseResponse, rig: Description, filters: FilterSet) -> float:
    """Gain, at most 1, that holds an arm within the drivers' voltage, power and excursion, as filters are staged.

    Parameters
    ----------
    taps
        At the ceiling of ``filters`` ``(program, driver, tap)``.
    """
    if all(d.max_v is None and d.power_w is None and d.excursion_m is None for d in rig.driver):
        return 1.0
    from sweetspot.calibrate.filters import protection, staging  # only where a driver has limits of its own: 20 ms

    alike = rig.limits.ceiling / filters.ceiling  # filters are lowered for the SPL limit after their staging
    return min(1.0, staging.tight_room(taps * alike, rig.limits.ceiling, protection.limits(rig, ears)))


def measured_pair(ears: ImpulseResponse, ceiling: float) -> Arm:
    """The reference: a real pair, left and right in the place of drivers."""
    h = np.concatenate([ears.h[:, :2, :2], np.zeros((*ears.h[:, :2, :1].shape[:2], 1, ears.h.shape[-1]))], axis=2)
    return Arm("reference", ceiling * h, ears.fs, ears.zero, gate.first_arrival(ears), stereo_shares())
