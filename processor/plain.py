"""Plain stereo on two drivers beside the filters: what the bypass plays, within the drivers' bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import Real, from_db

if TYPE_CHECKING:
    from sweetspot.rigs.protection import Protection


def plain_taps(filters: FilterSet, pair: tuple[int, int], limits: Mapping[int, Protection] | None = None) -> Real:
    """Taps ``(2, tap)`` of two drivers (from 0), at the level and with the delay of the filters.

    Where ``limits`` know a driver's band, its protection filter stays. A delay longer than the filters becomes theirs.
    """
    taps, known = np.zeros((2, filters.length)), limits or {}
    for side, driver in enumerate(pair):
        taps[side, min(filters.delay_samples, filters.length - 1)] = from_db(-filters.headroom_db)
        if driver in known:
            taps[side] = known[driver].shaped(taps[side])
    return taps


def bypass(filters: FilterSet, pair: tuple[int, int], limits: Mapping[int, Protection] | None = None) -> FilterSet:
    """Plain stereo as a filter set: each side on a driver of its own, the centre on both; see :func:`plain_taps`."""
    taps, plain = np.zeros_like(filters.taps), plain_taps(filters, pair, limits)
    for side, driver in enumerate(pair):
        taps[[side, 2], driver] = plain[side]
    return replace(filters, taps=taps)
