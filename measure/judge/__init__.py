"""Judging of captures: bursts, hum, rub and buzz, lost samples, clocks, drift, uncertainty; the record of attempts."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.measure.judge import burst as burst
    from sweetspot.measure.judge import clocks as clocks
    from sweetspot.measure.judge import disturbance as disturbance
    from sweetspot.measure.judge import drift as drift
    from sweetspot.measure.judge import quality as quality
    from sweetspot.measure.judge import rub_and_buzz as rub_and_buzz
    from sweetspot.measure.judge import uncertainty as uncertainty
    from sweetspot.measure.judge.attempts import Attempt as Attempt
    from sweetspot.measure.judge.attempts import AttemptSummary as AttemptSummary
    from sweetspot.measure.judge.attempts import summaries as summaries
    from sweetspot.measure.judge.drift import Closure as Closure
    from sweetspot.measure.judge.excursion import ExcursionCheck as ExcursionCheck
    from sweetspot.measure.judge.loudness import LoudnessCheck as LoudnessCheck
    from sweetspot.measure.judge.loudness import Sound as Sound
    from sweetspot.measure.judge.loudness import levels_unknown as levels_unknown
    from sweetspot.measure.judge.loudness import limit as limit
    from sweetspot.measure.judge.loudness import loudest_db as loudest_db
    from sweetspot.measure.judge.loudness import pascals as pascals
    from sweetspot.measure.judge.loudness import swept_power as swept_power
    from sweetspot.measure.judge.loudness import uncalibrated as uncalibrated
    from sweetspot.measure.judge.rub_and_buzz import RubAndBuzz as RubAndBuzz
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
