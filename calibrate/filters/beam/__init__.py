"""The centre's beam: weights of the drivers from the ring or from harmonics, and its level."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.filters.beam import beamform as beamform
    from sweetspot.calibrate.filters.beam import centre as centre
    from sweetspot.calibrate.filters.beam import handover as handover
    from sweetspot.calibrate.filters.beam import harmonics as harmonics
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
