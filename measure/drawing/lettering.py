"""Widths of texts, by which a drawing keeps room for them."""

from __future__ import annotations

_ADVANCE = (
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79,
    60, 79, 69, 63, 61, 73, 68, 99, 69, 61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63,
    63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,
)  # fmt: skip
"""Of the signs from space to tilde in DejaVu Sans, hundredths of its size."""

_OTHERS = {"°": 50, "²": 40, "\N{MINUS SIGN}": 84, "±": 84}

LINE = 1.2
"""Distance of two lines of a text, in sizes."""


def width(text: str, size: float) -> float:
    """Width of the longest line of a text, in the unit of ``size``."""
    lines = [
        sum(_ADVANCE[ord(c) - 32] if " " <= c <= "~" else _OTHERS.get(c, 64) for c in line) for line in text.split("\n")
    ]
    return 0.01 * size * max(lines)


def height(text: str, size: float) -> float:
    """Height of a text's lines, in the unit of ``size``."""
    return size * LINE * (1 + text.count("\n"))
