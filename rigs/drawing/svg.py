"""A canvas as SVG: an element for a page, or a file of its own."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape

from sweetspot.rigs.drawing.canvas import Canvas, Path, RasterImage, Rect, Text
from sweetspot.rigs.drawing.png import indexed
from sweetspot.rigs.units import Float

FONT = "'DejaVu Sans', sans-serif"


def document(canvas: Canvas, background: str) -> str:
    """The text of a file."""
    size = f'width="{canvas.width:g}pt" height="{canvas.height:g}pt" xmlns="http://www.w3.org/2000/svg"'
    paper = f'<rect width="100%" height="100%" style="fill: {background}"/>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{_element(canvas, "", {}, size, paper)}\n'


def element(canvas: Canvas, name: str, title: str, colours: Mapping[str, str]) -> str:
    """An element of a page.

    Parameters
    ----------
    name
        Goes before every id, so that drawings on one page do not mix.
    title
        What the drawing shows, for screen readers.
    colours
        Names in the page's style sheet of colours ``#rrggbb``.
    """
    about = f'role="img" aria-labelledby="{name}-title"'
    return _element(canvas, f"{name}-", colours, about, f'<title id="{name}-title">{escape(title)}</title>')


def _element(canvas: Canvas, name: str, colours: Mapping[str, str], about: str, first: str) -> str:
    clips: dict[Rect, str] = {}
    body: list[str] = []
    for item in canvas.items:
        if isinstance(item, Path):
            body.append(_path(item, name, colours, clips))
        elif isinstance(item, Text):
            body.append(_text(item, colours))
        else:
            body.append(_image(item))
    defined = "".join(f'<clipPath id="{clip}">{_rect(rect)}</clipPath>' for rect, clip in clips.items())
    return (
        f'<svg viewBox="0 0 {canvas.width:g} {canvas.height:g}" {about} font-family="{FONT}">{first}'
        f"{f'<defs>{defined}</defs>' if defined else ''}{''.join(body)}</svg>"
    )


def _path(path: Path, name: str, colours: Mapping[str, str], clips: dict[Rect, str]) -> str:
    style = [f"fill: {colours.get(path.fill, path.fill) or 'none'}"]
    if path.stroke:
        style.append(f"stroke: {colours.get(path.stroke, path.stroke)}; stroke-width: {path.width:g}")
        if path.dash:
            style.append(f"stroke-dasharray: {' '.join(f'{d * path.width:g}' for d in path.dash)}")
        style.append("stroke-linejoin: round")
    if path.opacity < 1.0:
        style.append(f"opacity: {path.opacity:g}")
    inside = ""
    if path.clip is not None:
        inside = f' clip-path="url(#{clips.setdefault(path.clip, f"{name}clip{len(clips)}")})"'
    end = "z" if path.closed else ""
    shape = "".join(_line(line) + end for line in path.lines)
    return f'<path d="{shape}" style="{"; ".join(style)}"{inside}/>'


def _line(points: Float) -> str:
    """Points to the hundredth, in one formatting: point by point it takes eight times as long."""
    text = "%.2f %.2f " * len(points) % tuple(points.ravel().tolist())
    return "M" + text[:-1]


def _text(t: Text, colours: Mapping[str, str]) -> str:
    kind = f' class="{t.kind}"' if t.kind else ""
    turn = f' transform="rotate(-90 {t.x:.2f} {t.y:.2f})"' if t.turned else ""
    anchor = f"; text-anchor: {t.anchor}" if t.anchor != "start" else ""
    weight = "; font-weight: bold" if t.bold else ""
    style = f"font-size: {t.size:g}px; fill: {colours.get(t.colour, t.colour)}{anchor}{weight}"
    return f'<text{kind} x="{t.x:.2f}" y="{t.y:.2f}"{turn} style="{style}">{escape(t.text)}</text>'


def _rect(rect: Rect) -> str:
    left, top, width, height = rect
    return f'<rect x="{left:.2f}" y="{top:.2f}" width="{width:.2f}" height="{height:.2f}"/>'


def _image(image: RasterImage) -> str:
    left, top, width, height = image.rect
    look = "" if image.smooth else ' style="image-rendering: pixelated"'
    data = base64.b64encode(indexed(image.cells, image.palette)).decode()
    return (
        f'<image x="{left:.2f}" y="{top:.2f}" width="{width:.2f}" height="{height:.2f}" '
        f'preserveAspectRatio="none"{look} href="data:image/png;base64,{data}"/>'
    )
