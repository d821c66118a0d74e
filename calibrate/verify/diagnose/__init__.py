"""Diagnosis: the likely cause of a difference between predicted and measured responses."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.verify.diagnose import causes as causes
    from sweetspot.calibrate.verify.diagnose import clipping as clipping
    from sweetspot.calibrate.verify.diagnose import residual as residual
    from sweetspot.calibrate.verify.diagnose.causes import UNCLEAR as UNCLEAR
    from sweetspot.calibrate.verify.diagnose.causes import Cause as Cause
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
