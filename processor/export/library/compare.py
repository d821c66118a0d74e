"""Differences between a deployed blob and the expected filters, as text."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.export.library.blob import FORMAT, HEADER_WORDS, MAGIC, METHODS, unit_blob
from sweetspot.processor.filterset import PROGRAMS, FilterSet
from sweetspot.rigs.units import db

SAME = 1e-6
"""Largest difference of two taps that are the same, re the largest."""

DETECTED_DB = 0.1
"""Largest difference of two detectors that are the same."""


def blob_differences(data: bytes, filterset: FilterSet) -> tuple[str, ...]:
    """The differences of a deployed blob from that of a filter set; empty if they are the same processor."""
    head = 4 * HEADER_WORDS
    if len(data) < head or not data.startswith(MAGIC):
        return ("not a blob of the library",)
    version, size, checksum = struct.unpack_from("<3I", data, 8)
    if version != FORMAT:
        return (f"old blob: format {version}, this version writes {FORMAT}; export again",)
    if size != len(data) or zlib.crc32(data[20:]) != checksum:
        return ("damaged blob: its size or checksum differs",)
    return tuple(_differences(data, unit_blob(filterset)))


def _differences(data: bytes, own: bytes) -> Iterator[str]:
    """Header first: with different sizes the rest cannot be compared."""
    there, ours = struct.unpack_from("<9I4f2I", data, 20), struct.unpack_from("<9I4f2I", own, 20)
    serial, expected = (d[80:112].rstrip(b"\0").decode("ascii", "replace") for d in (data, own))
    if serial != expected:
        yield f"another unit: its filters are those of {serial!r}, not of {expected!r}"
    if there[0] != ours[0]:
        yield f"wrong rate: made for {there[0]} Hz, not for {ours[0]} Hz"
    if there[1:3] != ours[1:3]:
        yield (
            f"other sizes: {there[1]} drivers and {there[2]} taps, not {ours[1]} and {ours[2]}; an old blob, or one of "
            "another design"
        )
        return
    names = {number: name for name, number in METHODS.items()}
    if (there[5:9], there[9]) != (ours[5:9], ours[9]):
        yield (
            f"other upmix: {names.get(there[5], there[5])}, amount {there[9]:g}, "
            f"not {names[ours[5]]}, amount {ours[9]:g}"
        )
    drivers, taps = ours[1], ours[2]
    yield from _channels(_numbers(data, "<u4", 0, drivers), _numbers(own, "<u4", 0, drivers))
    yield from _ceilings(_numbers(data, "<f4", drivers, drivers), _numbers(own, "<f4", drivers, drivers))
    yield from _detectors(data, own)
    sets, home = there[3], there[14]
    shape = (sets, len(PROGRAMS), drivers, taps)
    first = 2 * drivers + 3 * sets + there[13] * (2 + taps)
    found = _numbers(data, "<f4", first, int(np.prod(shape))).reshape(shape)[home]
    wanted = _numbers(own, "<f4", 2 * drivers + 3 + ours[13] * (2 + taps), found.size).reshape(found.shape)
    yield from _filters(found, wanted, data[112:128] == own[112:128])


def _numbers(data: bytes, kind: str, first: int, count: int) -> NDArray[np.float64]:
    return np.frombuffer(data, dtype=kind, offset=4 * (HEADER_WORDS + first), count=count).astype(np.float64)


def _channels(there: NDArray[np.float64], ours: NDArray[np.float64]) -> Iterator[str]:
    if (there != ours).any():
        words = [", ".join(f"{c:.0f}" for c in one) for one in (there, ours)]
        yield f"swapped channels: drivers on outputs {words[0]}, not {words[1]}"


def _ceilings(there: NDArray[np.float64], ours: NDArray[np.float64]) -> Iterator[str]:
    if (there > ours * (1.0 + SAME)).any():
        worst = int(np.argmax(there / ours))
        yield (
            f"guard off or too high: driver {worst + 1} may reach {float(db(there[worst])):.1f} dBFS, not "
            f"{float(db(ours[worst])):.1f} dBFS"
        )


def _detectors(data: bytes, own: bytes) -> Iterator[str]:
    """Those of the SPL limiter for the filters; louder ones, as of two sets together, only limit more."""
    there, ours = _detected(data), _detected(own)
    n = 8 * max(there.shape[1], ours.shape[1], 1)
    found, wanted = (np.abs(np.fft.rfft(h, n)) for h in (there, ours))
    over = np.where(wanted > SAME * wanted.max(), wanted / np.maximum(found, 1e-30), 0.0).max(axis=1)
    if ours.size and not there.size:
        yield "SPL limiter off: it has no detectors of sound pressure"
    elif float(db(over.max())) > DETECTED_DB:
        worst = int(np.argmax(over))
        yield f"SPL limiter too high: {PROGRAMS[worst]} may pass the limit by {float(db(over[worst])):.1f} dB"


def _detected(data: bytes) -> NDArray[np.float64]:
    (taps,) = struct.unpack_from("<I", data, 128)
    count = len(PROGRAMS) * taps
    return _numbers(data, "<f4", len(data) // 4 - HEADER_WORDS - 2 * count, count).reshape(len(PROGRAMS), taps)


def _filters(there: NDArray[np.float64], ours: NDArray[np.float64], same_session: bool) -> Iterator[str]:
    def alike(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
        return bool(np.abs(a - b).max() <= SAME * np.abs(b).max())

    left, right, centre = ours
    if alike(there, ours):
        return
    if ours[2].any() and not there[2].any():
        yield "missing centre: its centre filters are all zero"
    elif alike(there, np.stack([right, left, centre])):
        yield "swapped sides: its left filters are the right ones"
    elif any(alike(there[:, list(order)], ours) for order in _orders(there, ours)):
        yield "swapped drivers: its filters are those of other drivers"
    elif alike(there / np.abs(there).max(), ours / np.abs(ours).max()):
        yield f"other level: {float(db(np.abs(there).max() / np.abs(ours).max())):+.1f} dB"
    elif named := _gained(there, ours) or _moved(there, ours) or _cut(there, ours):
        yield named
    elif same_session:
        yield "old or edited blob: other filters of the same session; calibrated again since the export, or changed"
    else:
        yield "old blob: its filters were made from another session than the run's"


def _moved(there: NDArray[np.float64], ours: NDArray[np.float64]) -> str:
    """All filters later or earlier by whole samples; empty where it is something else."""
    length = ours.shape[-1]
    n = 2 * length
    fit = np.fft.irfft((np.fft.rfft(there, n) * np.fft.rfft(ours, n).conj()).sum(axis=(0, 1)), n)
    lag = int((np.argmax(fit) + length) % n) - length
    shifted = np.zeros_like(ours)
    if not 0 < abs(lag) < length:
        return ""
    if lag > 0:
        shifted[..., lag:] = ours[..., :-lag]
    else:
        shifted[..., :lag] = ours[..., -lag:]
    same = np.abs(there - shifted)[..., max(lag, 0) : length + min(lag, 0)].max() <= SAME * np.abs(ours).max()
    return f"other delay: all filters are {abs(lag)} samples {'later' if lag > 0 else 'earlier'}" if same else ""


def _cut(there: NDArray[np.float64], ours: NDArray[np.float64]) -> str:
    """Filters that end before their last taps; empty where it is something else."""
    used = np.flatnonzero(np.abs(there).max(axis=(0, 1)) > 0.0)
    end = int(used[-1]) + 1 if used.size else 0
    if not 0 < end < ours.shape[-1] or not np.abs(ours[..., end:]).max() > SAME * np.abs(ours).max():
        return ""
    same = np.abs(there - ours)[..., :end].max() <= SAME * np.abs(ours).max()
    return f"filters cut short: they end after {end} of {ours.shape[-1]} taps" if same else ""


def _gained(there: NDArray[np.float64], ours: NDArray[np.float64]) -> str:
    """Names of programs or drivers whose filters differ only by a gain; empty for other differences."""
    power = (ours**2).sum(axis=-1)
    gains = (there * ours).sum(axis=-1) / np.where(power > 0.0, power, 1.0)
    gains = np.where(power > 0.0, gains, np.nan)
    if np.abs(there - np.nan_to_num(gains)[..., None] * ours).max() > SAME * max(
        np.abs(there).max(), np.abs(ours).max()
    ):
        return ""
    for axis, names in (
        (1, [f"{p} program" for p in PROGRAMS]),
        (0, [f"driver {d + 1}" for d in range(ours.shape[1])]),
    ):
        least, most = np.nanmin(gains, axis=axis), np.nanmax(gains, axis=axis)
        if (most - least <= 1e-4).all():
            return "wrong gain: " + ", ".join(
                f"{n} {_gain(g)}" for n, g in zip(names, most, strict=True) if abs(g - 1.0) > 1e-4
            )
    return ""


def _gain(gain: float) -> str:
    if abs(gain) < SAME:
        return "muted"
    level = f"{float(db(gain)):+.1f} dB" if abs(abs(gain) - 1.0) > 1e-3 else ""
    return " ".join(filter(None, ("inverted" if gain < 0.0 else "", level)))


def _orders(there: NDArray[np.float64], ours: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """The one order of drivers in which each is most like its own."""
    apart = np.abs(there[:, None] - ours[:, :, None]).max(axis=(0, 3))
    order = np.argmin(apart, axis=1)
    if len(set(order.tolist())) == len(order):
        yield order
