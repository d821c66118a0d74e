"""A drawing as SVG: an element of a page, or a file of its own."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping

import numpy as np

from sweetspot.measure.drawing.canvas import Bitmap, Box, Canvas, Dots, Letters, Stroke
from sweetspot.measure.drawing.lettering import LINE
from sweetspot.rigs.units import Float


def element(canvas: Canvas, name: str, alt: str, colours: Mapping[str, str] | None = None) -> str:
    """The drawing as an element of a page, named for screen readers.

    Parameters
    ----------
    canvas
        The drawing.
    name
        Goes before every id, so that drawings on one page do not mix.
    alt
        What the drawing shows, in a sentence; empty for a file of its own.
    colours
        What the page calls some colours, such as ``var(--ink)``.
    """
    writer = _SvgWriter(name, colours or {})
    body = "".join(writer.item(i) for i in canvas.items)
    size = f'viewBox="0 0 {_n(canvas.width)} {_n(canvas.height)}"'
    about = f' role="img" aria-labelledby="{name}-title"><title id="{name}-title">{html.escape(alt)}</title>'
    return f"<svg {size}{about if alt else '>'}{writer.definitions()}{body}</svg>"


def file(canvas: Canvas) -> str:
    """The drawing as a file."""
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(canvas.width)}pt" height="{_n(canvas.height)}pt"'
    paper = f'<rect width="100%" height="100%" fill="{canvas.paper}"/>' if canvas.paper else ""
    drawn = element(canvas, "d", "").replace("<svg", opening + ' font-family="DejaVu Sans, sans-serif"', 1)
    head, rest = drawn.split(">", 1)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}>{paper}{rest}\n'


def png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    """Pixels ``(row, column, 3 or 4)`` as the bytes of a PNG file."""
    from PIL import Image as Pillow  # only where there are pixels

    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, format="png", compress_level=6)
    return out.getvalue()


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1.0 else f"{value:.0f}"


def _points(line: Float) -> str:
    """Points of a line as numbers with one or two digits."""
    return " ".join(f"{v:.2f}" for v in line.ravel().tolist())


class _SvgWriter:
    """Writes items, and collects the boxes that they are cut at."""

    def __init__(self, name: str, colours: Mapping[str, str]) -> None:
        self._name, self._colours = name, colours
        self._boxes: dict[Box, str] = {}

    def definitions(self) -> str:
        each = (
            f'<clipPath id="{i}"><rect x="{_n(a)}" y="{_n(b)}" width="{_n(c - a)}" height="{_n(d - b)}"/></clipPath>'
            for (a, b, c, d), i in self._boxes.items()
        )
        return f"<defs>{''.join(each)}</defs>" if self._boxes else ""

    def item(self, item: Stroke | Dots | Letters | Bitmap) -> str:
        match item:
            case Stroke():
                return self._stroke(item)
            case Dots():
                return self._dots(item)
            case Letters():
                return self._letters(item)
            case Bitmap():
                return self._image(item)

    def _colour(self, colour: str) -> str:
        return self._colours.get(colour, colour) or "none"

    def _cut(self, clip: Box | None) -> str:
        if clip is None:
            return ""
        return f' clip-path="url(#{self._boxes.setdefault(clip, f"{self._name}-c{len(self._boxes)}")})"'

    def _look(self, colour: str, fill: str, width: float) -> str:
        line = f"; stroke: {self._colour(colour)}; stroke-width: {_n(width)}" if colour else ""
        return f"fill: {self._colour(fill)}{line}"

    def _stroke(self, s: Stroke) -> str:
        close = "Z" if s.closed else ""
        path = "".join(f"M{_points(line)}{close}" for line in s.lines if len(line))
        if not path:
            return ""
        look = self._look(s.colour, s.fill, s.width) + ("; stroke-linejoin: round" if s.colour else "")
        look += f"; stroke-dasharray: {' '.join(_n(d) for d in s.dashes)}" if s.dash else ""
        look += f"; opacity: {_n(s.alpha)}" if s.alpha < 1.0 else ""
        return f'<path d="{path}" style="{look}"{self._cut(s.clip)}/>'

    def _dots(self, d: Dots) -> str:
        each = "".join(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(d.radius)}"/>' for x, y in d.at.tolist())
        return f'<g style="{self._look(d.colour, d.fill, d.width)}"{self._cut(d.clip)}>{each}</g>'

    def _letters(self, t: Letters) -> str:
        turn = f' transform="rotate(-90 {_n(t.x)} {_n(t.y)})"' if t.turned else ""
        look = f"font-size: {_n(t.size)}px; text-anchor: {t.anchor}; fill: {self._colour(t.colour)}"
        lines = [html.escape(line) for line in t.text.split("\n")]
        more = "".join(f'<tspan x="{_n(t.x)}" dy="{_n(LINE * t.size)}">{line}</tspan>' for line in lines[1:])
        text = f'<text x="{_n(t.x)}" y="{_n(t.y)}" style="{look}"{turn}>{lines[0]}{more}</text>'
        return f'<g class="{t.kind}">{text}</g>' if t.kind else text

    def _image(self, i: Bitmap) -> str:
        a, b, c, d = i.box
        look = "" if i.smooth else ' style="image-rendering: pixelated"'
        data = base64.b64encode(png(i.pixels)).decode()
        return (
            f'<image x="{_n(a)}" y="{_n(b)}" width="{_n(c - a)}" height="{_n(d - b)}" preserveAspectRatio="none"{look} '
            f'href="data:image/png;base64,{data}"/>'
        )
