"""A unit with a polar set alone: the centre's beam, beside plain stereo."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.around.beam_alone import BeamFit as BeamFit
    from sweetspot.calibrate.around.beam_alone import fit as fit
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
