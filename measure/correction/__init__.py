"""Correction files of microphones: columns, sensitivity, and the whole file."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.measure.correction.files import load as load
    from sweetspot.measure.correction.reader import Correction as Correction
    from sweetspot.measure.correction.reader import read as read
    from sweetspot.measure.correction.sensitivity import Sensitivity as Sensitivity
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
