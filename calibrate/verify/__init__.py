"""Verification: sweeps through the processor in use, compared with prediction, limits and verdict."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.verify import chain_figures as chain_figures
    from sweetspot.calibrate.verify import comparison as comparison
    from sweetspot.calibrate.verify import figures as figures
    from sweetspot.calibrate.verify import insert as insert
    from sweetspot.calibrate.verify import listener_metrics as listener_metrics
    from sweetspot.calibrate.verify import loudness as loudness
    from sweetspot.calibrate.verify import processor as processor
    from sweetspot.calibrate.verify import recorded as recorded
    from sweetspot.calibrate.verify import verdict_text as verdict_text
    from sweetspot.calibrate.verify import verification as verification
    from sweetspot.calibrate.verify import whole_response as whole_response
    from sweetspot.calibrate.verify.figures import Confident as Confident
    from sweetspot.calibrate.verify.insert import CentreMissing as CentreMissing
    from sweetspot.calibrate.verify.metric import Metric as Metric
    from sweetspot.calibrate.verify.metric_kinds import KEYS as KEYS
    from sweetspot.calibrate.verify.metric_kinds import KINDS as KINDS
    from sweetspot.calibrate.verify.metric_kinds import limit_of as limit_of
    from sweetspot.calibrate.verify.processor import Deployed as Deployed
    from sweetspot.calibrate.verify.processor import ReadVerification as ReadVerification
    from sweetspot.calibrate.verify.through import OWN as OWN
    from sweetspot.calibrate.verify.through import THROUGH as THROUGH
    from sweetspot.calibrate.verify.verification import Verification as Verification
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
