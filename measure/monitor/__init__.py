"""Microphones that are fixed in a test box or built into the device: all drivers in one short capture."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.measure.monitor.at_once import FIXED as FIXED
    from sweetspot.measure.monitor.at_once import LONGEST_S as LONGEST_S
    from sweetspot.measure.monitor.at_once import NEAR as NEAR
    from sweetspot.measure.monitor.at_once import FixedSet as FixedSet
    from sweetspot.measure.monitor.at_once import plan_at_once as plan_at_once
    from sweetspot.measure.monitor.at_once import plan_together as plan_together
    from sweetspot.measure.monitor.at_once import timing as timing
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
