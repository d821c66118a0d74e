"""An SVG file embedded in a page: unique ids, colours of the page, no external references."""

from __future__ import annotations

import html
import re

from sweetspot.calibrate.report import plots
from sweetspot.rigs import plots as style

VARIABLES = {
    style.INK: "--ink",
    style.SOFT: "--soft",
    style.GRID: "--grid",
    style.PAPER: "--paper",
    plots.BEFORE: "--before",
    plots.PREDICTED: "--predicted",
    plots.HEARD: "--heard",
    plots.TARGET: "--target",
    **{colour: f"--d{i}" for i, colour in enumerate(style.DRIVERS)},
}
"""The colours of the pictures as variables of the page, which knows light from dark."""


def inline(svg: str, name: str, alt: str) -> str:
    """The drawing as an element of a page, named for screen readers.

    Parameters
    ----------
    svg
        A file as matplotlib writes it.
    name
        Goes before every id, so that drawings on one page do not mix.
    alt
        What the drawing shows, in a sentence.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    for mark in (' id="', "url(#", 'href="#'):
        svg = svg.replace(mark, f"{mark}{name}-")
    svg = re.sub("|".join(VARIABLES), lambda m: f"var({VARIABLES[m[0]]})", svg)
    parts = re.split(r"(matrix\([^)]*\)|base64,[^\"]*)", svg)  # images and their scales keep all their digits
    svg = "".join(part if i % 2 else re.sub(r"(?<=\.\d\d)\d+", "", part) for i, part in enumerate(parts))
    opening, rest = svg.split(">", 1)
    opening = re.sub(r' (width|height|version)="[^"]*"', "", opening)
    title = f'<title id="{name}-title">{html.escape(alt)}</title>'
    return f'{opening} role="img" aria-labelledby="{name}-title">{title}{rest}'
