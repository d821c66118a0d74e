"""The left and the right program: crosstalk cancellation with reference drivers, a target and an effort limit."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.filters.sides import anchored as anchored
    from sweetspot.calibrate.filters.sides import crossover as crossover
    from sweetspot.calibrate.filters.sides import crosstalk as crosstalk
    from sweetspot.calibrate.filters.sides import multiplier as multiplier
    from sweetspot.calibrate.filters.sides import pair as pair
    from sweetspot.calibrate.filters.sides import sharing as sharing
    from sweetspot.calibrate.filters.sides.effort import FLOOR as FLOOR
    from sweetspot.calibrate.filters.sides.effort import Around as Around
    from sweetspot.calibrate.filters.sides.effort import Cost as Cost
    from sweetspot.calibrate.filters.sides.effort import costs as costs
    from sweetspot.calibrate.filters.sides.effort import matrix as matrix
    from sweetspot.calibrate.filters.sides.effort import mean_over as mean_over
    from sweetspot.calibrate.filters.sides.pair import Problem as Problem
    from sweetspot.calibrate.filters.sides.pair import Sides as Sides
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
