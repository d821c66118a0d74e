"""Sound in the virtual lab: body, drivers, rooms and the resulting responses."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.lab.sound.body import BaffledBody as BaffledBody
    from sweetspot.rigs.lab.sound.body import Body as Body
    from sweetspot.rigs.lab.sound.body import SphereBody as SphereBody
    from sweetspot.rigs.lab.sound.body import outward as outward
    from sweetspot.rigs.lab.sound.convolution import BlockConvolver as BlockConvolver
    from sweetspot.rigs.lab.sound.driver import DriverModel as DriverModel
    from sweetspot.rigs.lab.sound.driver import drawn as drawn
    from sweetspot.rigs.lab.sound.motor import MotorDistortion as MotorDistortion
    from sweetspot.rigs.lab.sound.motor import Rub as Rub
    from sweetspot.rigs.lab.sound.motor import Thermal as Thermal
    from sweetspot.rigs.lab.sound.room import taper as taper
    from sweetspot.rigs.lab.sound.spread import spread_of_unit as spread_of_unit
    from sweetspot.rigs.lab.sound.surroundings import Surroundings as Surroundings
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
