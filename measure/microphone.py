"""Correction files of microphones: read, checked, and turned into a magnitude to divide by."""

from __future__ import annotations

import re

import numpy as np

from rigs.errors import BadInput
from rigs.units import Float, from_db

_COMMENT = re.compile(r"""^\s*(["*#;]|//|[A-Za-z])""")


def parse(text: str, where: str) -> Float:
    """Frequencies and levels of a correction file.

    Lines that begin with a quote, ``*``, ``#``, ``;``, ``//`` or a letter are comments. Columns are frequency in Hz,
    level in dB, and optionally a phase, which is not used. Separators are tabs, spaces, semicolons or commas; decimal
    commas are understood where commas do not separate.

    Returns
    -------
    ``(points, 2)``: frequency in Hz, rising, and the microphone's level in dB.

    Raises
    ------
    BadInput
        Names the line that holds no numbers or a frequency that does not rise, or says that fewer than two are left.
    """
    points: list[tuple[float, float]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or _COMMENT.match(line):
            continue
        try:
            f, level = (float(c) for c in _columns(line)[:2])
        except ValueError:
            raise BadInput(f"{where}, line {number}: {line.strip()[:60]!r} holds no frequency and level") from None
        if f == 0 and not points:
            continue  # some makers begin at 0 Hz, which a logarithmic axis does not have
        if not (np.isfinite(f) and np.isfinite(level) and f > 0):
            raise BadInput(f"{where}, line {number}: {f:g} Hz, {level:g} dB is no point of a response")
        if points and f <= points[-1][0]:
            raise BadInput(f"{where}, line {number}: {f:g} Hz does not rise after {points[-1][0]:g} Hz")
        points.append((f, level))
    if len(points) < 2:
        raise BadInput(f"{where}: holds {len(points)} points; a correction needs at least 2")
    return np.array(points)


def _columns(line: str) -> list[str]:
    """Split a line at its separators; commas are decimal when something else separates."""
    if re.search(r"[\t; ]", line.strip()):
        separated = re.split(r"[\t; ]+", line.strip())
        if all(part.count(",") <= 1 and not part.endswith(",") for part in separated):
            return [part.replace(",", ".") for part in separated]
        return re.split(r"[,\s;]+", line.strip())
    return re.split(r",", line.strip())


def magnitude(points: Float, f: Float) -> Float:
    """The microphone's magnitude at ``f`` Hz, linear: levels interpolated on log frequency, held beyond the ends."""
    return np.asarray(from_db(np.interp(np.log(np.maximum(f, 1e-3)), np.log(points[:, 0]), points[:, 1])))
