"""Prediction: what filters will give at each ear, the metrics of it, and their uncertainty."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.predict import metrics as metrics
    from sweetspot.calibrate.predict import prediction as prediction
    from sweetspot.calibrate.predict import uncertainty as uncertainty
    from sweetspot.calibrate.predict.metrics import CONTRAST_BAND as CONTRAST_BAND
    from sweetspot.calibrate.predict.metrics import NULLS as NULLS
    from sweetspot.calibrate.predict.metrics import OCTAVES as OCTAVES
    from sweetspot.calibrate.predict.prediction import Prediction as Prediction
    from sweetspot.calibrate.predict.prediction import RoomPrediction as RoomPrediction
    from sweetspot.calibrate.predict.prediction import expected as expected
    from sweetspot.calibrate.predict.prediction import share_of as share_of
    from sweetspot.calibrate.predict.prediction import spectra as spectra
    from sweetspot.calibrate.predict.programme import PROGRAMMES as PROGRAMMES
    from sweetspot.calibrate.predict.programme import programme_of as programme_of
    from sweetspot.calibrate.predict.uncertainty import BandLevels as BandLevels
    from sweetspot.calibrate.predict.uncertainty import UncertainResponse as UncertainResponse
    from sweetspot.calibrate.predict.uncertainty import interval as interval
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
