"""Studies of one unit: comparison with classical designs, held-out positions, explanations, performance metrics."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.calibrate.study import compare as compare
    from sweetspot.calibrate.study import explain as explain
    from sweetspot.calibrate.study import forms as forms
    from sweetspot.calibrate.study import held_out as held_out
    from sweetspot.calibrate.study import overview as overview
    from sweetspot.calibrate.study import pareto as pareto
    from sweetspot.calibrate.study import reasons as reasons
    from sweetspot.calibrate.study import virtual as virtual
    from sweetspot.calibrate.study.compare import DesignRow as DesignRow
    from sweetspot.calibrate.study.explain import ExplainedBand as ExplainedBand
    from sweetspot.calibrate.study.pareto import FrontPoint as FrontPoint
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
