"""Responses in text files: impulse responses and measurements of REW, tables of HOLM Acoustics, FRD."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweetspot.measure.delays import envelope_delay_s
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import many
from sweetspot.rigs.units import P_REF, Float, from_db

MOST_BYTES = 200 << 20
LABELLED = re.compile(r"^\s*([-+0-9.,eE]+)\s*//\s*(.+?)\s*$")
"""A number with its meaning, as REW writes them ahead of an impulse response."""

SPLIT = re.compile(r"[;\t ]+|,\s*(?=[-+\d])")


@dataclass(frozen=True, slots=True, eq=False)
class TextResponse:
    """Responses of one text file.

    Parameters
    ----------
    h
        ``(column, tap)``.
    fs
        Sampling rate, Hz; 0 for a transfer function, which goes with any.
    zero
        Tap of time zero.
    unit
        ``"Pa/FS"`` or ``"relative"``.
    band
        Of a transfer function, Hz: it is zero outside.
    """

    h: Float
    fs: int
    zero: int
    names: tuple[str, ...]
    unit: str = "relative"
    band: tuple[float, float] | None = None


def read(path: Path, fs: int | None, taps: int) -> TextResponse:
    """Read a text file, whatever program wrote it.

    Parameters
    ----------
    fs, taps
        Rate and length of the response that a transfer function becomes; ``None`` takes 48 kHz.

    Raises
    ------
    BadInput
        Too large, no numbers, or neither an impulse response nor a transfer function with phase.
    """
    if path.stat().st_size > MOST_BYTES:
        raise BadInput(f"{path}: {path.stat().st_size / 1e6:.0f} MB of text; at most {MOST_BYTES / 1e6:.0f}")
    raw = path.read_bytes()
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    lines = raw.decode(encoding, errors="replace").splitlines()
    labels = {m[2].lower(): float(m[1].replace(",", ".")) for m in map(LABELLED.match, lines[:40]) if m}
    if any("sample interval" in k for k in labels):
        return _rew_impulse(path, lines, labels)
    head = [line for line in lines[:60] if line.lstrip().startswith(("#", "*", '"'))]
    rows = _table(path, lines)
    if any("first sample" in line.lower() for line in head):
        return _holm(path, head, rows)
    return _transfer(path, rows, fs or 48000, taps, any("dB re 20 uPa" in line for line in head))


def _table(path: Path, lines: list[str]) -> Float:
    rows: list[list[float]] = []
    for line in lines:
        try:
            values = [float(v) for v in SPLIT.split(_dotted(line.strip())) if v]
        except ValueError:
            continue
        if values and (not rows or len(values) == len(rows[0])):
            rows.append(values)
    if len(rows) < 8:
        raise BadInput(f"{path}: {len(rows)} lines of numbers; too few for a response")
    table = np.array(rows)
    if not np.isfinite(table).all():
        raise BadInput(f"{path}: holds a value that is not a number")
    return table


def _dotted(line: str) -> str:
    """Decimal commas as points, in a line that separates with something else."""
    return line.replace(",", ".") if re.search(r"[;\t ]", line) and re.search(r"\d,\d", line) else line


def _rew_impulse(path: Path, lines: list[str], labels: dict[str, float]) -> TextResponse:
    def of(word: str, other: float) -> float:
        return next((v for k, v in labels.items() if word in k), other)

    start = next((i + 1 for i, line in enumerate(lines) if "data start" in line.lower()), None)
    if start is None:
        raise BadInput(f"{path}: an impulse response of REW without its line '* Data start'")
    h = _table(path, [line.strip().replace(",", ".") for line in lines[start:]])[:, 0]  # one number a line
    interval, begin, stated = of("sample interval", 0.0), of("start time", 0.0), round(of("response length", 0.0))
    if len(h) < stated:
        raise BadInput(
            f"{path}: is truncated: its response length is {stated}, {len(h)} samples are there; export it again"
        )
    if not 1e-6 < interval < 2e-4:
        raise BadInput(f"{path}: sample interval of {interval:g} s; the range is 1.3e-6 to 1.25e-4")
    return TextResponse(h[None], round(1.0 / interval), max(round(-begin / interval), 0), (path.stem,))


def _holm(path: Path, head: list[str], rows: Float) -> TextResponse:
    text = "\n".join(head)
    rate, first = (re.search(p, text, re.I) for p in (r"samplerate:\s*(\d+)", r"first sample[^:]*:\s*(-?\d+)"))
    if rate is None or rows.shape[1] < 2:
        raise BadInput(f"{path}: a table of responses without its sampling rate or without a column of values")
    count = rows.shape[1] - 1
    named = re.findall(r"\(([^)]*)\)", head[-1])
    names = tuple(named) if len(named) == count else tuple(str(i + 1) for i in range(count))
    return TextResponse(rows[:, 1:].T, int(rate[1]), max(-int(first[1]) if first else 0, 0), names)


def _transfer(path: Path, rows: Float, fs: int, taps: int, absolute: bool) -> TextResponse:
    """Hertz, dB, degrees: to a response through the phase without its delay, which alone can be interpolated."""
    if rows.shape[1] < 3:
        raise BadInput(
            f"{path}: {many(rows.shape[1], 'column')}; frequency, level and phase are needed (export the phase too), "
            "or an impulse response with its sampling rate: as WAV, or as REW's text"
        )
    from scipy.interpolate import CubicSpline  # slow to import

    f, level, phase = rows[:, 0], rows[:, 1], np.radians(rows[:, 2])
    if (np.diff(f) <= 0).any() or f[0] < 0 or f[-1] > 400e3:
        raise BadInput(f"{path}: the first column does not increase; frequency, level, phase are needed")
    spectrum = from_db(level) * np.exp(1j * phase) * (np.sqrt(2.0) * P_REF if absolute else 1.0)
    delay = envelope_delay_s(f, spectrum)
    smooth = CubicSpline(np.log(np.maximum(f, 1e-3)), spectrum * np.exp(2j * np.pi * f * delay))
    grid = np.fft.rfftfreq(taps, 1.0 / fs)
    inside = (grid >= f[0]) & (grid <= f[-1])
    whole = np.zeros(len(grid), dtype=complex)
    at = grid[inside]
    whole[inside] = smooth(np.log(np.maximum(at, 1e-3))) * np.exp(-2j * np.pi * at * delay)
    unit = "Pa/FS" if absolute else "relative"
    band = max(float(f[0]), 1.0), float(f[-1])
    return TextResponse(np.fft.irfft(whole, taps)[None], fs, 0, (path.stem,), unit, band)
