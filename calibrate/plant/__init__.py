"""The plant: measured responses, gated and matched, with the error of each path; predictions, metrics and uncertainty
of filters over them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.plant import errors as errors
    from sweetspot.calibrate.plant import gate as gate
    from sweetspot.calibrate.plant import metrics as metrics
    from sweetspot.calibrate.plant import one_direction as one_direction
    from sweetspot.calibrate.plant import plain as plain
    from sweetspot.calibrate.plant import positions as positions
    from sweetspot.calibrate.plant import prediction as prediction
    from sweetspot.calibrate.plant import uncertainty as uncertainty
    from sweetspot.calibrate.plant.errors import NEPER_DB as NEPER_DB
    from sweetspot.calibrate.plant.errors import MeasurementError as MeasurementError
    from sweetspot.calibrate.plant.errors import error_of as error_of
    from sweetspot.calibrate.plant.fitted import FarEar as FarEar
    from sweetspot.calibrate.plant.fitted import Fitted as Fitted
    from sweetspot.calibrate.plant.fitted_beam import BeamFit as BeamFit
    from sweetspot.calibrate.plant.gate import Gate as Gate
    from sweetspot.calibrate.plant.head import head_of as head_of
    from sweetspot.calibrate.plant.matched_ears import Matched as Matched
    from sweetspot.calibrate.plant.matched_ears import corrected as corrected
    from sweetspot.calibrate.plant.matched_ears import matched as matched
    from sweetspot.calibrate.plant.measured_set import MeasuredSet as MeasuredSet
    from sweetspot.calibrate.plant.metrics import CONTRAST_BAND as CONTRAST_BAND
    from sweetspot.calibrate.plant.metrics import NULLS as NULLS
    from sweetspot.calibrate.plant.metrics import OCTAVES as OCTAVES
    from sweetspot.calibrate.plant.plain import best_pair as best_pair
    from sweetspot.calibrate.plant.plain import plain_sides as plain_sides
    from sweetspot.calibrate.plant.positions import nearest_ahead as nearest_ahead
    from sweetspot.calibrate.plant.prediction import PLAYED_DB as PLAYED_DB
    from sweetspot.calibrate.plant.prediction import Prediction as Prediction
    from sweetspot.calibrate.plant.prediction import RoomPrediction as RoomPrediction
    from sweetspot.calibrate.plant.prediction import bare as bare
    from sweetspot.calibrate.plant.prediction import expected as expected
    from sweetspot.calibrate.plant.prediction import share_of as share_of
    from sweetspot.calibrate.plant.prediction import spectra as spectra
    from sweetspot.calibrate.plant.programme import PROGRAMMES as PROGRAMMES
    from sweetspot.calibrate.plant.programme import kept_upmixed as kept_upmixed
    from sweetspot.calibrate.plant.programme import programme_of as programme_of
    from sweetspot.calibrate.plant.programme import upmixed_programme as upmixed_programme
    from sweetspot.calibrate.plant.responses import Plant as Plant
    from sweetspot.calibrate.plant.responses import gated as gated
    from sweetspot.calibrate.plant.spectrum import frequencies as frequencies
    from sweetspot.calibrate.plant.spectrum import grid as grid
    from sweetspot.calibrate.plant.spectrum import transform as transform
    from sweetspot.calibrate.plant.uncertainty import BandLevels as BandLevels
    from sweetspot.calibrate.plant.uncertainty import UncertainResponse as UncertainResponse
    from sweetspot.calibrate.plant.uncertainty import interval as interval
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
