"""Search of many unknowns at once, beside plain bisection, and medians beside NumPy's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sweetspot.rigs.arrays import Rows, bisected, crossing, median
from sweetspot.rigs.units import Float

BOUNDS = (1e-6, 1e8)


@pytest.mark.parametrize("halvings", [17, 26, 50])
def test_a_crossing_is_where_bisection_ends(halvings: int) -> None:
    """Steps between two levels as those of a target over a multiplier, of which some are never or always met."""
    rng = np.random.default_rng(5)
    size = 400
    corner, width = 10.0 ** rng.uniform(-8.0, 10.0, size), rng.uniform(0.5, 2.0, size)
    low, high = -rng.uniform(0.5, 9.0, size), rng.uniform(0.5, 9.0, size)
    evaluated: list[int] = []

    def over(rows: Rows) -> Callable[[Float], Float]:
        def of(x: Float) -> Float:
            evaluated.append(len(x))
            rise = (x / corner[rows]) ** width[rows]
            return np.asarray((low[rows] + high[rows] * rise) / (1.0 + rise))

        return of

    every = over(np.arange(size))
    low_end, high_end = (every(np.full(size, bound)) for bound in BOUNDS)
    found = crossing(over, (low_end, high_end), BOUNDS, halvings)
    steps = sum(evaluated)
    slow = bisected(lambda x: every(x) >= 0.0, size, BOUNDS, halvings)
    outside = (low_end >= 0.0) | (high_end < 0.0)
    assert 50 < np.count_nonzero(outside) < 200
    step = np.log(BOUNDS[1] / BOUNDS[0]) / 2.0**halvings
    gap = np.abs(np.log(found / slow))
    assert gap.max() <= step * (1.0 + 1e-6) + 2e-11
    assert np.mean(gap[~outside] <= 2e-13 + 1e-3 * step) > 0.95
    assert set(found[outside]) == set(BOUNDS)
    assert steps < 13 * size


def test_a_condition_that_no_number_or_every_number_meets_is_not_searched() -> None:
    asked: list[int] = []

    def over(rows: Rows) -> Callable[[Float], Float]:
        def of(x: Float) -> Float:
            asked.append(len(x))
            return np.array([-1.0, 1.0, 0.0])[rows]

        return of

    ends = np.array([-1.0, 1.0, 0.0])
    assert list(crossing(over, (ends, ends), BOUNDS, 30)) == [BOUNDS[1], BOUNDS[0], BOUNDS[0]]
    assert asked == []


def test_a_median_is_that_of_numpy_to_the_last_bit() -> None:
    rng = np.random.default_rng(7)
    for size in (1, 2, 3, 8, 101):
        values = 10.0 ** rng.uniform(-9.0, 9.0, size) * rng.choice([-1.0, 1.0], size)
        assert median(values) == float(np.median(values)), size
    assert np.isnan(median([1.0, np.nan, 2.0]))
