"""Responses at the ears extrapolated to unmeasured places."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.plant.places.carry import HeadResponse as HeadResponse
    from sweetspot.calibrate.plant.places.carry import Heads as Heads
    from sweetspot.calibrate.plant.places.carry import correction as correction
    from sweetspot.calibrate.plant.places.carry import model as model
    from sweetspot.calibrate.plant.places.carry import weighed as weighed
    from sweetspot.calibrate.plant.places.field import DeviceField as DeviceField
    from sweetspot.calibrate.plant.places.field import fitted as fitted
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
