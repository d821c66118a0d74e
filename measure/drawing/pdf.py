"""A drawing as a PDF file of one page: lines and areas as vectors, letters in Helvetica, maps as pixels."""

from __future__ import annotations

import zlib

import numpy as np

from sweetspot.measure.drawing.canvas import Bitmap, Box, Canvas, Dots, Letters, Stroke
from sweetspot.measure.drawing.colours import rgb
from sweetspot.measure.drawing.lettering import LINE, width
from sweetspot.rigs.units import Float

ROUND = 0.5523
"""Length of a curve's handle for a quarter of a circle, in radii."""

BEFORE_IMAGES = 5
"""Objects of a file ahead of its first image: catalogue, pages, page, what is drawn, font."""


def file(canvas: Canvas) -> bytes:
    """The bytes of a PDF file."""
    writer = _PdfWriter(canvas.height)
    if canvas.paper:
        w, h = canvas.width, canvas.height
        writer.stroke(Stroke([np.array([(0, 0), (w, 0), (w, h), (0, h)])], fill=canvas.paper, closed=True))
    for item in canvas.items:
        match item:
            case Stroke():
                writer.stroke(item)
            case Dots():
                writer.dots(item)
            case Letters():
                writer.letters(item)
            case Bitmap():
                writer.image(item)
    return writer.assembled(canvas.width, canvas.height)


def _stream(head: str, data: bytes) -> bytes:
    packed = zlib.compress(data, 6)
    return f"<< {head} /Filter /FlateDecode /Length {len(packed)} >>\nstream\n".encode() + packed + b"\nendstream"


def _colour(colour: str) -> str:
    return " ".join(f"{v / 255.0:.3f}" for v in rgb(colour))


class _PdfWriter:
    """Collects the operators of a page; y counts upwards there."""

    def __init__(self, height: float) -> None:
        self._height = height
        self._lines: list[str] = ["1 j"]
        self._images: list[bytes] = []
        self._alphas: set[int] = set()

    def assembled(self, wide: float, high: float) -> bytes:
        looks = " ".join(f"/A{a} << /ca {a / 100:.2f} /CA {a / 100:.2f} >>" for a in sorted(self._alphas))
        pixels = " ".join(f"/I{i} {BEFORE_IMAGES + 1 + i} 0 R" for i in range(len(self._images)))
        page = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {wide:.2f} {high:.2f}] /Contents 4 0 R /Resources "
            f"<< /Font << /F 5 0 R >> /ExtGState << {looks} >> /XObject << {pixels} >> >> >>"
        )
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            page.encode(),
            _stream("", "\n".join(self._lines).encode("cp1252", "replace")),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
            *self._images,
        ]
        body, table = b"%PDF-1.4\n", b"0000000000 65535 f \n"
        for number, one in enumerate(objects, 1):
            table += b"%010d 00000 n \n" % len(body)
            body += b"%d 0 obj\n%s\nendobj\n" % (number, one)
        count = len(objects) + 1
        end = b"xref\n0 %d\n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        return body + end % (count, table, count, len(body))

    def _inside(self, clip: Box | None, alpha: float = 1.0) -> None:
        self._lines.append("q")
        if clip is not None:
            a, b, c, d = clip
            self._lines.append(f"{a:.2f} {self._height - d:.2f} {c - a:.2f} {d - b:.2f} re W n")
        if alpha < 1.0:
            self._alphas.add(round(100 * alpha))
            self._lines.append(f"/A{round(100 * alpha)} gs")

    def _pens(self, colour: str, fill: str, width_pt: float) -> str:
        """Choose colours; the operator that paints with them."""
        if fill:
            self._lines.append(f"{_colour(fill)} rg")
        if colour:
            self._lines.append(f"{_colour(colour)} RG {width_pt:.2f} w")
        return "B" if fill and colour else "f" if fill else "S"

    def _at(self, line: Float) -> list[tuple[float, float]]:
        return [(x, self._height - y) for x, y in line.tolist()]

    def stroke(self, s: Stroke) -> None:
        lines = [line for line in s.lines if len(line)]
        if not lines:
            return
        self._inside(s.clip, s.alpha)
        paint = self._pens(s.colour, s.fill, s.width)
        if s.dash:
            self._lines.append(f"[{' '.join(f'{d:.2f}' for d in s.dashes)}] 0 d")
        for line in lines:
            (x, y), *rest = self._at(line)
            path = [f"{x:.2f} {y:.2f} m", *(f"{a:.2f} {b:.2f} l" for a, b in rest), *(["h"] if s.closed else [])]
            self._lines.append(" ".join(path))
        self._lines.append(f"{paint} Q")

    def dots(self, d: Dots) -> None:
        self._inside(d.clip)
        paint, r, k = self._pens(d.colour, d.fill, d.width), d.radius, ROUND * d.radius
        for x, y in self._at(d.at):
            quarters = (
                (x + r, y + k, x + k, y + r, x, y + r), (x - k, y + r, x - r, y + k, x - r, y),
                (x - r, y - k, x - k, y - r, x, y - r), (x + k, y - r, x + r, y - k, x + r, y),
            )  # fmt: skip
            curves = " ".join(" ".join(f"{v:.2f}" for v in q) + " c" for q in quarters)
            self._lines.append(f"{x + r:.2f} {y:.2f} m {curves} h {paint}")
        self._lines.append("Q")

    def letters(self, t: Letters) -> None:
        share = {"start": 0.0, "middle": 0.5, "end": 1.0}[t.anchor]
        for number, line in enumerate(t.text.split("\n")):
            back = 0.9 * share * width(line, t.size)  # Helvetica is so much narrower than what widths are kept of
            down = number * LINE * t.size
            x, y = (t.x + down, t.y + back) if t.turned else (t.x - back, t.y + down)
            turn = "0 1 -1 0" if t.turned else "1 0 0 1"
            safe = line.replace("\N{MINUS SIGN}", "\N{EN DASH}")
            for sign in "\\()":
                safe = safe.replace(sign, "\\" + sign)
            place = f"{turn} {x:.2f} {self._height - y:.2f} Tm"
            self._lines.append(f"BT {_colour(t.colour)} rg /F {t.size:g} Tf {place} ({safe}) Tj ET")

    def image(self, i: Bitmap) -> None:
        pixels = i.pixels[..., :3]
        if i.pixels.shape[-1] == 4:
            pixels = np.where(i.pixels[..., 3:] > 0, pixels, np.uint8(255))
        high, wide = pixels.shape[:2]
        smooth = "true" if i.smooth else "false"
        head = (
            f"/Type /XObject /Subtype /Image /Width {wide} /Height {high} /ColorSpace /DeviceRGB /BitsPerComponent 8 "
            f"/Interpolate {smooth}"
        )
        self._images.append(_stream(head, pixels.tobytes()))
        a, b, c, d = i.box
        self._lines.append(
            f"q {c - a:.2f} 0 0 {d - b:.2f} {a:.2f} {self._height - d:.2f} cm /I{len(self._images) - 1} Do Q"
        )
