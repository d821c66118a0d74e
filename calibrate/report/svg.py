"""Drawings embedded in a page: unique ids, colours of the page, no external references."""

from __future__ import annotations

from sweetspot.calibrate.report import plots
from sweetspot.rigs.drawing import DRIVERS, GRID, INK, PAPER, SOFT, Canvas
from sweetspot.rigs.drawing import svg as writer

VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    GRID: "--grid",
    PAPER: "--paper",
    plots.BEFORE: "--before",
    plots.PREDICTED: "--predicted",
    plots.HEARD: "--heard",
    plots.TARGET: "--target",
    **{colour: f"--d{i}" for i, colour in enumerate(DRIVERS)},
}
"""The colours of the pictures as variables of the page, which knows light from dark."""


def inline(canvas: Canvas, name: str, alt: str) -> str:
    """The drawing as an element of a page, named for screen readers.

    Parameters
    ----------
    name
        Goes before every id, so that drawings on one page do not mix.
    alt
        What the drawing shows, in a sentence.
    """
    return writer.element(canvas, name, alt, {colour: f"var({name})" for colour, name in VARIABLES.items()})
