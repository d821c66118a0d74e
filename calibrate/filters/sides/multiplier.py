"""Steering: the design along a multiplier that meets the target within the effort limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.arrays import Rows, crossing
from sweetspot.rigs.units import Complex, Float

HALVINGS = 50
"""Of the interval of ``log mu``: to the last digit."""

OVER_DB = 0.3
"""Largest excess of smoothed multipliers over the target, dB; the filters' truncation adds to it."""

MU_RANGE = (1e-9, 1e9)
TINY = 1e-300


class DesignLine(Protocol):
    """The designs of all bins along ``mu``: far-ear power falls and effort rises with it."""

    @property
    def bins(self) -> int:
        """Number of frequencies."""

    def at(self, rows: Rows) -> DesignLine:
        """The designs of some frequencies."""

    def leak_and_effort(self, mu: Float) -> tuple[Float, Float]:
        """Far-ear power and effort ``(frequency,)`` at ``mu (frequency,)``, both over ``|d|^2``."""

    def weights(self, mu: Float) -> Complex:
        """Driver weights ``(frequency, driver)``."""


@dataclass(frozen=True, slots=True, eq=False)
class Cancellation:
    """A design of one program.

    Parameters
    ----------
    line
        The designs that it was chosen from.
    mu
        The multiplier of each bin.
    most
        The multiplier at which the target is passed by :data:`OVER_DB`: none that is used may be above.
    limit
        Which condition decided each bin: ``"shadow"`` (the natural shadow reaches the target), ``"target"``,
        ``"effort"`` (the target was not reached), or ``"spread"`` (no weights keep the far ear that quiet at
        every position within the errors).
    """

    line: DesignLine
    mu: Float
    most: Float
    limit: NDArray[np.str_]

    @property
    def w(self) -> Complex:
        """Driver weights ``(frequency, driver)``."""
        return self.line.weights(np.where(self.mu <= MU_RANGE[0], 0.0, self.mu))


def steer(line: DesignLine, target: Float, effort: Float, halvings: int = HALVINGS) -> Cancellation:
    """The design of each bin that meets the target, or goes as far towards it as the effort allows.

    Parameters
    ----------
    line
        What is chosen from.
    target
        Wanted power ratio of near ear to far ear ``(frequency,)``.
    effort
        Largest ``w^H Q w`` over ``|d|^2`` ``(frequency,)``.
    """

    quiet = -np.log(target)
    wanted = np.stack([quiet, quiet - 0.1 * OVER_DB * np.log(10.0), np.log(effort)])  # the last for the effort

    def beyond(leak: Float, spent: Float, which: Rows, rows: Rows) -> Float:
        level = _log(np.where(which < 2, leak, spent))
        return np.where(which < 2, wanted[which, rows] - level, level - wanted[which, rows])

    def over(places: Rows) -> Callable[[Float], Float]:
        which, rows = np.divmod(places, line.bins)
        some = line.at(rows)
        return lambda mu: beyond(*some.leak_and_effort(mu), which, rows)

    every = np.divmod(np.arange(wanted.size), line.bins)
    ends = (line.leak_and_effort(np.full(line.bins, mu)) for mu in MU_RANGE)
    under, above = (beyond(np.tile(leak, 3), np.tile(spent, 3), *every) for leak, spent in ends)
    # All three are searched at once: a step of few bins takes as long as one of many.
    for_target, most, for_effort = crossing(over, (under, above), MU_RANGE, halvings).reshape(wanted.shape)
    mu = np.minimum(for_target, for_effort)
    limit = np.where(for_target <= MU_RANGE[0], "shadow", np.where(for_target <= for_effort, "target", "effort"))
    limit = np.where(mu >= 0.99 * MU_RANGE[1], "spread", limit)
    return Cancellation(line, mu, most, limit)


def _log(power: Float) -> Float:
    return np.log(np.maximum(power, TINY))
