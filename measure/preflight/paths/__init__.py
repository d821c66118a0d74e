"""Paths of a rig in the pre-flight check: multitone, expected responses, wiring and stability."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.measure.preflight.paths import expectation as expectation
    from sweetspot.measure.preflight.paths import multitone as multitone
    from sweetspot.measure.preflight.paths import path_responses as path_responses
    from sweetspot.measure.preflight.paths import wiring as wiring
    from sweetspot.measure.preflight.paths.expectation import Expected as Expected
    from sweetspot.measure.preflight.paths.expectation import from_geometry as from_geometry
    from sweetspot.measure.preflight.paths.observation import Observation as Observation
    from sweetspot.measure.preflight.paths.path_responses import OCTAVES as OCTAVES
    from sweetspot.measure.preflight.paths.path_responses import LoopbackResponse as LoopbackResponse
    from sweetspot.measure.preflight.paths.path_responses import PathResponses as PathResponses
    from sweetspot.measure.preflight.paths.path_responses import in_sign_band as in_sign_band
    from sweetspot.measure.preflight.paths.stability import RESIDUAL_DB as RESIDUAL_DB
    from sweetspot.measure.preflight.paths.stability import closure_db as closure_db
    from sweetspot.measure.preflight.paths.stability import disturbed as disturbed
    from sweetspot.measure.preflight.paths.wiring import Patch as Patch
    from sweetspot.measure.preflight.paths.wiring import WiringVerdict as WiringVerdict
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
