"""A drawing made ready for the page: SVG in the page's colours, a caption, a text for screen readers, values."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sweetspot.calibrate.report.svg import VARIABLES
from sweetspot.measure.drawing import Sheet
from sweetspot.measure.share import PAPER
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import write

COLOURS = {colour: f"var({name})" for colour, name in VARIABLES.items()}
"""The colours of the pictures as the page calls them."""

PIXELS_PER_INCH = 76
"""Of pictures saved as files: small enough for a page on the web."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure ready for the page.

    Parameters
    ----------
    title, alt, help
        Its caption, what a screen reader says, and a sentence on how to read it.
    svg
        The drawing.
    wide
        Whether it takes the page's whole width.
    hover
        JSON of the values shown under the pointer; empty for none.
    name
        Its file's, without ending.
    sheet
        The same, to be saved as a file of its own.
    """

    title: str
    alt: str
    help: str
    svg: Markup
    wide: bool = False
    hover: str = ""
    name: str = ""
    sheet: Sheet | None = None


def picture(
    name: str,
    title: str,
    alt: str,
    reading: str,
    draw: Callable[[Sheet], None],
    *,
    size: tuple[float, float] = (5.9, 3.7),
    wide: bool = False,
    values: dict[str, Any] | None = None,
) -> Picture:
    """Draw one figure; ``values`` (keys ``x``, ``unit``, ``series``) are shown under the pointer in its first axes."""
    sheet = Sheet(size)
    draw(sheet)
    hover = ""
    if values is not None:
        left, _, right, _ = sheet.boxes()[0]
        low, high = sheet.axes[0].x.ends()
        wide_pt = 72.0 * size[0]
        hover = json.dumps(values | {"box": [left / wide_pt, right / wide_pt], "span": [low, high]})
    return Picture(
        title,
        alt,
        help=reading,
        svg=Markup(sheet.element(name, alt, COLOURS)),
        wide=wide,
        hover=hover,
        name=name,
        sheet=sheet,
    )


def save(drawn: dict[str, list[Picture]], folder: Path) -> None:
    """Every picture as a PNG file.

    Raises
    ------
    BadInput
        The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise BadInput(f"{folder}: cannot be made: {fault.strerror}; name another folder with --pictures") from fault
    for one in (p for group in drawn.values() for p in group):
        if one.sheet is not None:
            write(folder / f"{one.name}.png", replace(one.sheet, paper=PAPER).file("png", PIXELS_PER_INCH))
