"""Before a session: the pre-flight check of a rig, and the calibration of its microphones."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.measure.preflight import cli as cli
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
