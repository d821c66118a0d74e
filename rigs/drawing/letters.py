"""Widths of letters, so that legends and labels find their places without a font."""

from __future__ import annotations

SIZE = 10.0
"""Of text in pictures, points."""

_ASCII = (
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636, 636,
    636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863,
    748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635,
    615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636,
    337, 636, 838,
)  # fmt: skip
_WIDTHS = dict(zip(map(chr, range(32, 127)), _ASCII, strict=True)) | {"°": 500, "²": 401, "\N{EN DASH}": 500}
"""Of DejaVu Sans, thousandths of its size."""
_OTHER = 838


def width(text: str, size: float = SIZE) -> float:
    """Width of the longest line of a text, points."""
    return max(sum(_WIDTHS.get(c, _OTHER) for c in line) for line in text.split("\n")) * size / 1000.0
