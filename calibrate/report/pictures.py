"""A drawing prepared for the page: SVG in the page's colours, a caption, a text for screen readers, values."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sweetspot.calibrate.report import svg
from sweetspot.rigs.drawing import Axes, Canvas, Drawing
from sweetspot.rigs.drawing import save as save_drawing
from sweetspot.rigs.storage import alone_in

PIXELS_PER_INCH = 76
"""Of pictures saved as files: small enough for a page on the web."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure ready for the page.

    Parameters
    ----------
    title, alt, help
        Its caption, its text for screen readers, and a sentence on how to read it.
    svg
        The drawing.
    wide
        Whether it takes the page's whole width.
    hover
        JSON of the values shown under the pointer; empty for none.
    name
        Its file's, without ending.
    canvas
        The same, to be saved as a file of its own.
    """

    title: str
    alt: str
    help: str
    svg: Markup
    wide: bool = False
    hover: str = ""
    name: str = ""
    canvas: Canvas | None = None


def picture(
    name: str,
    title: str,
    alt: str,
    reading: str,
    draw: Callable[[Drawing], None],
    *,
    size: tuple[float, float] = (5.9, 3.7),
    wide: bool = False,
    values: dict[str, Any] | None = None,
) -> Picture:
    """Draw one figure; ``values`` (keys ``x``, ``unit``, ``series``) are shown under the pointer in its first axes."""
    drawing = Drawing(size)
    draw(drawing)
    canvas = drawing.canvas()
    hover = ""
    if values is not None:
        first = drawing.axes[0]
        assert isinstance(first, Axes)
        left, _, across, _ = first.rect
        box = [left / canvas.width, (left + across) / canvas.width]
        hover = json.dumps(values | {"box": box, "span": list(first.x.limits())})
    return Picture(
        title,
        alt,
        help=reading,
        svg=Markup(svg.inline(canvas, name, alt)),
        wide=wide,
        hover=hover,
        name=name,
        canvas=canvas,
    )


def save(drawn: dict[str, list[Picture]], folder: Path) -> None:
    """Every picture as a PNG file.

    Raises
    ------
    BadInput
        The folder cannot be made or written, or another command writes into it.
    """
    with alone_in(folder):
        for one in (p for group in drawn.values() for p in group):
            if one.canvas is None:
                continue
            save_drawing(one.canvas, folder / f"{one.name}.png", dpi=PIXELS_PER_INCH)
