"""Single-capture calibration: a model of measured units, and all responses of a unit estimated from its monitor
capture."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.quick import drift as drift
    from sweetspot.calibrate.quick import run as run
    from sweetspot.calibrate.quick.learning import learn as learn
    from sweetspot.calibrate.quick.model import GoldenModel as GoldenModel
    from sweetspot.calibrate.quick.model_file import read as read
    from sweetspot.calibrate.quick.model_file import write as write
    from sweetspot.calibrate.quick.unit import MeasuredUnit as MeasuredUnit
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
