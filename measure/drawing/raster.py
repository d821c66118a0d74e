"""A drawing as pixels: drawn at three times the size and reduced, letters set at full size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from sweetspot.measure.drawing.canvas import Bitmap, Box, Canvas, Dots, Letters, Stroke, broken
from sweetspot.measure.drawing.colours import rgb
from sweetspot.measure.drawing.lettering import LINE
from sweetspot.rigs.units import Float

FINER = 3
"""Pixels drawn for each one kept, across and upwards."""

SHARP = 0.9
"""Cosine of the turn from which on a corner of a line is rounded."""


def file(canvas: Canvas, dpi: float) -> bytes:
    """The bytes of a PNG file with so many pixels an inch."""
    unit = dpi / 72.0
    size = round(canvas.width * unit), round(canvas.height * unit)
    big = Pillow.new("RGB", (size[0] * FINER, size[1] * FINER), canvas.paper or "#ffffff")
    pen = _Pen(big, unit * FINER)
    for item in canvas.items:
        if not isinstance(item, Letters):
            pen.draw(item)
    sheet = big.reduce(FINER)
    letters = ImageDraw.Draw(sheet)
    for item in canvas.items:
        if isinstance(item, Letters):
            _letters(sheet, letters, item, unit)
    out = io.BytesIO()
    sheet.save(out, format="png", compress_level=4)
    return out.getvalue()


class _Pen:
    """Draws items onto the large sheet."""

    def __init__(self, sheet: Pillow.Image, unit: float) -> None:
        self._sheet, self._unit = sheet, unit

    def draw(self, item: Stroke | Dots | Bitmap) -> None:
        if isinstance(item, Bitmap):
            self._image(item)
            return
        clip = item.clip
        alpha = item.alpha if isinstance(item, Stroke) else 1.0
        if clip is None and alpha >= 1.0:
            self._on(self._sheet, item, 0.0, 0.0)
            return
        left, top, right, bottom = self._pixels(clip)
        part = self._sheet.crop((left, top, right, bottom))
        before = part.copy() if alpha < 1.0 else part
        self._on(part, item, left, top)
        self._sheet.paste(part if alpha >= 1.0 else Pillow.blend(before, part, alpha), (left, top))

    def _pixels(self, box: Box | None) -> tuple[int, int, int, int]:
        if box is None:
            return 0, 0, self._sheet.width, self._sheet.height
        a, b, c, d = (round(v * self._unit) for v in box)
        edge = FINER
        return max(a - edge, 0), max(b - edge, 0), min(c + edge, self._sheet.width), min(d + edge, self._sheet.height)

    def _on(self, sheet: Pillow.Image, item: Stroke | Dots, left: float, top: float) -> None:
        pen, shift = ImageDraw.Draw(sheet), np.array([left, top])
        if isinstance(item, Dots):
            radius, edge = item.radius * self._unit, round(item.width * self._unit) if item.colour else 0
            for x, y in item.at * self._unit - shift:
                box = (x - radius - edge / 2, y - radius - edge / 2, x + radius + edge / 2, y + radius + edge / 2)
                pen.ellipse(box, fill=item.fill or None, outline=item.colour or None, width=edge)
            return
        for line in item.lines:
            at = np.clip(line * self._unit - shift, -30000.0, 60000.0)
            if item.fill and len(at) > 2:
                pen.polygon(at.ravel().tolist(), fill=item.fill)
            if item.colour and len(at) > 1:
                self._line(pen, np.vstack([at, at[:1]]) if item.closed else at, item)

    def _line(self, pen: ImageDraw.ImageDraw, at: Float, item: Stroke) -> None:
        wide = max(round(item.width * self._unit), 1)
        dashes = [d * self._unit for d in item.dashes]
        for part in broken(at, dashes) if dashes else [at]:
            pen.line(part.ravel().tolist(), fill=item.colour, width=wide)
            for x, y in part[1:-1][_sharp(part)] if wide > 2 else ():
                pen.ellipse((x - wide / 2, y - wide / 2, x + wide / 2, y + wide / 2), fill=item.colour)

    def _image(self, item: Bitmap) -> None:
        a, b, c, d = (round(v * self._unit) for v in item.box)
        how = Pillow.Resampling.BILINEAR if item.smooth else Pillow.Resampling.NEAREST
        pixels = Pillow.fromarray(item.pixels).resize((max(c - a, 1), max(d - b, 1)), how)
        self._sheet.paste(pixels, (a, b), pixels if item.pixels.shape[-1] == 4 else None)


def _sharp(line: Float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which inner corners of a line turn so much that a gap would show."""
    step = np.diff(line, axis=0)
    length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)
    return np.asarray((step[1:] * step[:-1]).sum(axis=-1) < SHARP * length[1:] * length[:-1])


def _letters(sheet: Pillow.Image, pen: ImageDraw.ImageDraw, item: Letters, unit: float) -> None:
    font, ink = _font(round(item.size * unit, 1)), rgb(item.colour)
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[item.anchor]
    lines = item.text.split("\n")
    x, y, step = item.x * unit, item.y * unit, LINE * item.size * unit
    if not item.turned:
        for number, line in enumerate(lines):
            pen.text((x, y + number * step), line, fill=ink, font=font, anchor=anchor)
        return
    long, high = _extent(font, lines), int(np.ceil(step * len(lines) + step))
    mask = Pillow.new("L", (long, high))
    at = {"start": 0.0, "middle": 0.5 * long, "end": float(long)}[item.anchor]
    for number, line in enumerate(lines):
        ImageDraw.Draw(mask).text((at, step * (number + 1)), line, fill=255, font=font, anchor=anchor)
    turned = mask.transpose(Pillow.Transpose.ROTATE_90)
    sheet.paste(ink, (round(x - step), round(y - (long - at))), turned)


def _extent(font: ImageFont.FreeTypeFont, lines: Sequence[str]) -> int:
    return int(np.ceil(max(font.getlength(line) for line in lines))) + 2


@lru_cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along."""
    found = find_spec("matplotlib")
    folder = Path(next(iter(found.submodule_search_locations))) if found and found.submodule_search_locations else None
    if folder is None:
        raise RuntimeError("matplotlib is not installed: its letters are needed for PNG files")
    return ImageFont.truetype(str(folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
