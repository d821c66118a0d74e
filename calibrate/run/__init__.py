"""Steps on a run folder: calibration, studies, verification, verdict, and stored results and records."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.run import golden as golden
    from sweetspot.calibrate.run import records as records
    from sweetspot.calibrate.run.fit import calibrate as calibrate
    from sweetspot.calibrate.run.fit import calibrate_beam as calibrate_beam
    from sweetspot.calibrate.run.fit import fitted as fitted
    from sweetspot.calibrate.run.fit import forms_of as forms_of
    from sweetspot.calibrate.run.fit import image as image
    from sweetspot.calibrate.run.fit import parts_of_calibration as parts_of_calibration
    from sweetspot.calibrate.run.kept import MEASURED as MEASURED
    from sweetspot.calibrate.run.kept import VERIFIED as VERIFIED
    from sweetspot.calibrate.run.kept import bank_figures as bank_figures
    from sweetspot.calibrate.run.kept import beam_of as beam_of
    from sweetspot.calibrate.run.kept import changes as changes
    from sweetspot.calibrate.run.kept import fitted_of as fitted_of
    from sweetspot.calibrate.run.kept import kept_bank as kept_bank
    from sweetspot.calibrate.run.kept import kept_front as kept_front
    from sweetspot.calibrate.run.kept import kept_image as kept_image
    from sweetspot.calibrate.run.kept import zone as zone
    from sweetspot.calibrate.run.listening import ListenerAhead as ListenerAhead
    from sweetspot.calibrate.run.parts import compared_part as compared_part
    from sweetspot.calibrate.run.parts import explained_part as explained_part
    from sweetspot.calibrate.run.parts import fitted_parts as fitted_parts
    from sweetspot.calibrate.run.parts import next_step as next_step
    from sweetspot.calibrate.run.parts import prediction_text as prediction_text
    from sweetspot.calibrate.run.parts import written as written
    from sweetspot.calibrate.run.places import verify_places as verify_places
    from sweetspot.calibrate.run.sets import measured_sets as measured_sets
    from sweetspot.calibrate.run.sets import without_ears as without_ears
    from sweetspot.calibrate.run.studies import compared as compared
    from sweetspot.calibrate.run.verdict import judge as judge
    from sweetspot.calibrate.run.verdict import summary as summary
    from sweetspot.calibrate.run.verdict import verdict_of as verdict_of
    from sweetspot.calibrate.run.verification import engine_of as engine_of
    from sweetspot.calibrate.run.verification import measure_verification as measure_verification
    from sweetspot.calibrate.run.verification import planned as planned
    from sweetspot.calibrate.run.verification import recorded_rig as recorded_rig
    from sweetspot.calibrate.run.verification import refused_recording as refused_recording
    from sweetspot.calibrate.run.verification import write_stimuli as write_stimuli
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
