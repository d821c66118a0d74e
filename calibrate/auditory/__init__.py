"""The ear model: azimuth, depth, coloration and loudness of sounds, for four playback conditions."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.auditory import arms as arms
    from sweetspot.calibrate.auditory import assessment as assessment
    from sweetspot.calibrate.auditory import run as run
    from sweetspot.calibrate.auditory.arms import ARMS as ARMS
    from sweetspot.calibrate.auditory.arms import PANS as PANS
    from sweetspot.calibrate.auditory.arms import Arm as Arm
    from sweetspot.calibrate.auditory.arms import matrix_taps as matrix_taps
    from sweetspot.calibrate.auditory.assessment import Arms as Arms
    from sweetspot.calibrate.auditory.assessment import Assessment as Assessment
    from sweetspot.calibrate.auditory.bands import erb_bands as erb_bands
    from sweetspot.calibrate.auditory.cues import interaural_cues as interaural_cues
    from sweetspot.calibrate.auditory.figures import EarModel as EarModel
    from sweetspot.calibrate.auditory.figures import ImageFigures as ImageFigures
    from sweetspot.calibrate.auditory.figures import figures_of as figures_of
    from sweetspot.calibrate.auditory.figures import grid_of as grid_of
    from sweetspot.calibrate.auditory.levels import UnitLevels as UnitLevels
    from sweetspot.calibrate.auditory.loudness import loudness_db as loudness_db
    from sweetspot.calibrate.auditory.mapping import Extent as Extent
    from sweetspot.calibrate.auditory.reference import Pair as Pair
    from sweetspot.calibrate.auditory.reference import modelled as modelled
    from sweetspot.calibrate.auditory.templates import Templates as Templates
    from sweetspot.calibrate.auditory.templates import of_head as of_head
    from sweetspot.calibrate.auditory.unit import Draw as Draw
    from sweetspot.calibrate.auditory.unit import UnitImage as UnitImage
    from sweetspot.calibrate.auditory.zone import ZoneMap as ZoneMap
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
