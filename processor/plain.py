"""Plain stereo for the bypass, within the drivers' bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import Float, Real, db, from_db

if TYPE_CHECKING:
    from sweetspot.rigs.protection import Protection


def on_pair(pair: tuple[int, int], drivers: int) -> Float:
    """Plain stereo ``(side, driver, 1)`` of one driver a side, counted from 0."""
    sides = np.zeros((2, drivers, 1))
    sides[[0, 1], pair] = 1.0
    return sides


def plain_taps(filters: FilterSet, sides: Float, limits: Mapping[int, Protection] | None = None) -> Real:
    """Taps ``(side, driver, tap)`` of plain stereo at the level and with the delay of the filters.

    Where ``limits`` know a driver's band, its protection filter stays, and where they know its excursion, all are
    turned down until any programme stays within it. A delay longer than the filters becomes theirs.

    Parameters
    ----------
    sides
        ``(side, driver, odd number of taps)``, time zero in their middle; what lies beyond the filters is cut off.
    """
    half, at = sides.shape[-1] // 2, min(filters.delay_samples, filters.length - 1)
    before, after = min(half, at), min(half, filters.length - 1 - at)
    taps, known = np.zeros((*sides.shape[:2], filters.length)), limits or {}
    taps[..., at - before : at + after + 1] = sides[..., half - before : half + after + 1]
    taps *= from_db(-filters.headroom_db)
    for side, driver in zip(*np.nonzero(sides.any(axis=-1)), strict=True):
        if driver in known:
            taps[side, driver] = known[int(driver)].shaped(taps[side, driver])
    return np.asarray(taps * min(1.0, _room(taps, filters.fs, known)))


def _room(taps: Real, fs: int, known: Mapping[int, Protection]) -> float:
    """Gain up to which :func:`plain_taps` keep within the drivers' excursions, linear."""
    each = np.concatenate([taps, taps.sum(axis=0, keepdims=True)])
    moved = [d for d in known if each[:, d].any()]
    return min([np.inf, *(float(known[d].room_to_move(each[:, d], fs)) for d in moved)])


def bypass(filters: FilterSet, sides: Float, limits: Mapping[int, Protection] | None = None) -> FilterSet:
    """Plain stereo as a filter set, the centre on both sides; see :func:`plain_taps`."""
    plain = plain_taps(filters, sides, limits)
    taps = np.concatenate([plain, plain.sum(axis=0, keepdims=True)])[: len(filters.programs)]
    room = _room(plain, filters.fs, limits or {})
    most_db, detectors = min(filters.most_db, float(db(room))), filters.detectors[[1, 1]]
    return replace(filters, taps=taps, most_db=most_db, detectors=detectors)
