"""Plain stereo on two drivers for the bypass, within the drivers' bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import Real, db, from_db

if TYPE_CHECKING:
    from sweetspot.rigs.protection import Protection


def plain_taps(filters: FilterSet, pair: tuple[int, int], limits: Mapping[int, Protection] | None = None) -> Real:
    """Taps ``(2, tap)`` of two drivers (from 0), at the level and with the delay of the filters.

    Where ``limits`` know a driver's band, its protection filter stays, and where they know its excursion, both sides
    are turned down until any programme stays within it. A delay longer than the filters becomes theirs.
    """
    taps, known = np.zeros((2, filters.length)), limits or {}
    for side, driver in enumerate(pair):
        taps[side, min(filters.delay_samples, filters.length - 1)] = from_db(-filters.headroom_db)
        if driver in known:
            taps[side] = known[driver].shaped(taps[side])
    return np.asarray(taps * min(1.0, _room(taps, filters.fs, pair, known)))


def _room(taps: Real, fs: int, pair: tuple[int, int], known: Mapping[int, Protection]) -> float:
    """Gain up to which :func:`plain_taps` keep within the drivers' excursions, linear."""
    both = [np.stack([row, np.zeros_like(row), row]) for row in taps]
    found = [known[d].room_to_move(row, fs) for d, row in zip(pair, both, strict=True) if d in known]
    return min([np.inf, *map(float, found)])


def bypass(filters: FilterSet, pair: tuple[int, int], limits: Mapping[int, Protection] | None = None) -> FilterSet:
    """Plain stereo as a filter set: each side on its own driver, the centre on both; see :func:`plain_taps`."""
    taps, plain = np.zeros_like(filters.taps), plain_taps(filters, pair, limits)
    for side, driver in enumerate(pair):
        taps[[side, 2], driver] = plain[side]
    room = _room(plain, filters.fs, pair, limits or {})
    return replace(filters, taps=taps, most_db=min(filters.most_db, float(db(room))))
