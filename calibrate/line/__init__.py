"""The production line: reference unit and production records."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.line import golden as golden
    from sweetspot.calibrate.line import records as records
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
