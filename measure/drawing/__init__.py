"""Drawings of curves and maps, written as SVG, PNG or PDF in a few milliseconds each."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.measure.drawing.axes import Axes as Axes
    from sweetspot.measure.drawing.colours import shades as shades
    from sweetspot.measure.drawing.sheet import Sheet as Sheet
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
