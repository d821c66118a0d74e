"""Sharing of measurements: SOFA, FRD and WAV files, directivity, decay and pictures."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.measure.share import export as export
    from sweetspot.measure.share import figures as figures
    from sweetspot.measure.share import plots as plots
    from sweetspot.measure.share import reverberation as reverberation
    from sweetspot.measure.share import shown as shown
    from sweetspot.measure.share import sofa as sofa
    from sweetspot.measure.share import standard_errors as standard_errors
    from sweetspot.measure.share.axes import A_DIGIT as A_DIGIT
    from sweetspot.measure.share.axes import A_LINE as A_LINE
    from sweetspot.measure.share.axes import Names as Names
    from sweetspot.measure.share.axes import PlainFigure as PlainFigure
    from sweetspot.measure.share.axes import Values as Values
    from sweetspot.measure.share.axes import every as every
    from sweetspot.measure.share.axes import inches as inches
    from sweetspot.measure.share.directivity import circle as circle
    from sweetspot.measure.share.plots import PICTURED_DB as PICTURED_DB
    from sweetspot.measure.share.plots import STYLE as STYLE
    from sweetspot.measure.share.plots import cells as cells
    from sweetspot.measure.share.plots import colour_scale as colour_scale
    from sweetspot.measure.share.plots import key as key
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
