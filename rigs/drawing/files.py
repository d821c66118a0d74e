"""Canvases as files: SVG by our own writer, PNG and PDF by matplotlib's renderers, for fonts and smooth lines."""

from __future__ import annotations

import io
from pathlib import Path

from sweetspot.rigs.drawing import svg
from sweetspot.rigs.drawing.canvas import Canvas
from sweetspot.rigs.drawing.colours import PAPER
from sweetspot.rigs.drawing.png import rgb
from sweetspot.rigs.storage import replacing

DPI = 130.0
FORMATS = (".png", ".svg", ".pdf")


def save(canvas: Canvas, path: Path, *, dpi: float = DPI, synced: bool = True) -> None:
    """Write a file whose kind, one of :data:`FORMATS`, is the path's ending; see :func:`encoded`.

    Raises
    ------
    BadInput
        It cannot be written.
    """
    content = encoded(canvas, path.suffix.lower(), dpi)
    with replacing(path, path.suffix, synced=synced) as part:
        part.write_bytes(content)


def encoded(canvas: Canvas, kind: str, dpi: float = DPI) -> bytes:
    """A file's content.

    Parameters
    ----------
    kind
        One of :data:`FORMATS`.
    dpi
        Pixels per inch of a PNG file.
    """
    if kind == ".svg":
        return svg.document(canvas, PAPER).encode()
    return _pdf(canvas) if kind == ".pdf" else _png(canvas, dpi)


def prepare(kind: str) -> None:
    """Load what a format needs, so that copies of this process have it already."""
    if kind == ".png":
        from sweetspot.rigs.drawing import painter

        painter.agg(1.0, 1.0, DPI)
    elif kind == ".pdf":
        _pdf(Canvas(1.0, 1.0))


def _png(canvas: Canvas, dpi: float) -> bytes:
    from sweetspot.rigs.drawing import painter  # a fifth of a second, which no other format needs

    renderer = painter.agg(canvas.width, canvas.height, dpi)
    painter.paint(canvas, renderer, dpi / 72.0)
    return rgb(painter.pixels(renderer), dpi)


def _pdf(canvas: Canvas) -> bytes:
    from matplotlib.figure import Figure

    from sweetspot.rigs.drawing import painter

    figure = Figure(figsize=(canvas.width / 72.0, canvas.height / 72.0))
    figure.add_artist(painter.Painted(canvas))
    out = io.BytesIO()
    figure.savefig(out, format="pdf", dpi=72, facecolor=PAPER, metadata={"CreationDate": None})
    return out.getvalue()
