"""Drawing: figures of axes, curves and maps, written as SVG, PNG or PDF without a layout solver."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.drawing import svg as svg
    from sweetspot.rigs.drawing.axes import Axes as Axes
    from sweetspot.rigs.drawing.canvas import Canvas as Canvas
    from sweetspot.rigs.drawing.colours import DRIVERS as DRIVERS
    from sweetspot.rigs.drawing.colours import GRID as GRID
    from sweetspot.rigs.drawing.colours import INK as INK
    from sweetspot.rigs.drawing.colours import PAPER as PAPER
    from sweetspot.rigs.drawing.colours import SOFT as SOFT
    from sweetspot.rigs.drawing.drawing import Drawing as Drawing
    from sweetspot.rigs.drawing.files import FORMATS as FORMATS
    from sweetspot.rigs.drawing.files import prepare as prepare
    from sweetspot.rigs.drawing.files import save as save
    from sweetspot.rigs.drawing.polar_axes import PolarAxes as PolarAxes
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
