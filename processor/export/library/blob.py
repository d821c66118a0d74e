"""The unit's data for the C library: one blob of little-endian words with sizes, rate and checksum."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor import upmix
from sweetspot.processor.filterset import PROGRAMS, FilterSet
from sweetspot.processor.guard import not_above
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import from_db

MAGIC, FORMAT = b"SWEETSPT", 1
HEADER_WORDS = 32
METHODS = {"off": 0, "projection": 1, "similarity": 2, "pca": 3, "low-latency": 4, "linear": 5}
METHODS |= {"soft-projection": 6}
MOST = {"drivers": 64, "taps": 65536, "sets": 64, "window": 16384}
"""Largest sizes that the library takes."""

Place = tuple[float, float, float]
"""Where a set is for: x and y in m, yaw in degrees."""


def unit_blob(
    filterset: FilterSet,
    plain: tuple[int, int] = (0, 1),
    others: Sequence[tuple[FilterSet, Place]] = (),
    place: Place = (0.0, 0.0, 0.0),
) -> bytes:
    """What ``sweetspot_check`` of the C library reads.

    Parameters
    ----------
    filterset
        The first set; upmix, ceiling and delay are its.
    plain
        Drivers of the bypass, from 0.
    others
        More sets of the same unit and shape with the places that they are for.
    place
        Of the first set.

    Raises
    ------
    BadInput
        More than the library takes, a window that is no power of two, or sets of different shapes.
    """
    sets = [filterset, *(other for other, _ in others)]
    _check(filterset, sets)
    u, fs = filterset.upmix, filterset.fs
    window, hop, span, decay = _frames(filterset)
    body = struct.pack(
        "<5I4I4f2I",
        *(fs, len(filterset.drivers), filterset.length, len(sets), filterset.delay_samples),
        *(METHODS[u.method], window, hop, span),
        *(u.amount, decay, float(not_above(filterset.ceiling, np.float32)), float(from_db(-filterset.headroom_db))),
        *(min(p, len(filterset.drivers) - 1) for p in plain),
    )
    body += filterset.unit_serial.encode("ascii", "replace")[:32].ljust(32, b"\0")
    body = body.ljust(4 * HEADER_WORDS - 20, b"\0")
    body += np.array(filterset.channels, dtype="<u4").tobytes()
    body += np.array([place, *(p for _, p in others)], dtype="<f4").tobytes()
    body += b"".join(_programs(s).astype("<f4").tobytes() for s in sets)
    return struct.pack("<8sIII", MAGIC, FORMAT, 20 + len(body), zlib.crc32(body)) + body


def _programs(filterset: FilterSet) -> NDArray[Any]:
    """Taps of left, right and centre; of a program that is not there, zeros."""
    found = np.zeros((len(PROGRAMS), *filterset.taps.shape[1:]))
    for row, program in enumerate(filterset.programs):
        found[PROGRAMS.index(program)] = filterset.taps[row]
    return found


def _frames(filterset: FilterSet) -> tuple[int, int, int, float]:
    """Window, hop, span and decay of the upmix, as our own engine has them."""
    made = upmix.chosen(filterset.upmix, filterset.fs)
    if not isinstance(made, upmix.StftUpmix):
        return 0, 0, 0, 0.0
    if made.window & (made.window - 1) or made.span % made.hop:
        raise BadInput(
            f"upmix window {made.window}, hop {made.hop}: the C library takes windows that are a power of two and "
            "whole hops; set [upmix] in design.toml, for example window = 1024, hop = 256"
        )
    return made.window, made.hop, made.span, made.decay


def _check(filterset: FilterSet, sets: Sequence[FilterSet]) -> None:
    unknown = [p for p in filterset.programs if p not in PROGRAMS]
    if unknown:
        raise BadInput(f"program {unknown[0]!r} is not known; the C library plays {', '.join(PROGRAMS)}")
    sizes = {"drivers": len(filterset.drivers), "taps": filterset.length, "sets": len(sets)}
    for what, size in sizes.items():
        if size > MOST[what]:
            raise BadInput(f"{size} {what}: the C library takes at most {MOST[what]}")
    for other in sets[1:]:
        if (other.fs, other.taps.shape, other.programs) != (filterset.fs, filterset.taps.shape, filterset.programs):
            raise BadInput(
                f"a set of the bank has {other.taps.shape} taps at {other.fs} Hz, the first one {filterset.taps.shape} "
                f"at {filterset.fs} Hz: they must be the same"
            )
