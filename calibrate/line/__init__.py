"""The production line: reference unit and production records."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.line import golden as golden
    from sweetspot.calibrate.line import records as records
    from sweetspot.calibrate.line import run as run
    from sweetspot.calibrate.line import sampling as sampling
    from sweetspot.calibrate.line.state import LineState as LineState
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
