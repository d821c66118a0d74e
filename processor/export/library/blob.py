"""The unit's data for the C library: one blob of little-endian words with sizes, rate and checksum."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor import upmix
from sweetspot.processor.dynamics import not_above, prepared
from sweetspot.processor.filterset import PROGRAMS, FilterSet
from sweetspot.processor.plain import on_pair, plain_taps
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float, Real

if TYPE_CHECKING:
    from sweetspot.rigs.protection import Protection

MAGIC, FORMAT = b"SWEETSPT", 4
HEADER_WORDS = 33
METHODS = {"off": 0, "projection": 1, "similarity": 2, "pca": 3, "low-latency": 4, "linear": 5}
METHODS |= {"soft-projection": 6}
MOST = {"drivers": 64, "taps": 65536, "places": 256, "window": 16384}
"""Largest sizes that the library takes."""

SESSION = 16
"""First bytes of the SHA-256 of the session that a blob names as its source."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Filters for many places of the listener, which one processor holds.

    Parameters
    ----------
    at
        ``(place, 3)``: x and y, m from the middle of the device, and the head's yaw, rad.
    taps
        ``(place, program, driver, tap)``, like those of the filter set beside them.
    default
        Row of the default place.
    nearest_m
        Nearest that a listener may come to the middle of the device, m.
    """

    at: Float
    taps: Real
    default: int = 0
    nearest_m: float = 0.0


def unit_blob(
    filterset: FilterSet,
    plain: Float | None = None,
    limits: Mapping[int, Protection] | None = None,
    places: Places | None = None,
) -> bytes:
    """The blob for ``sweetspot_check`` of the C library.

    Parameters
    ----------
    filterset
        Upmix, ceilings, delay and detectors are its; its filters too, where there is no bank.
    plain
        Plain stereo of the bypass, see :func:`store.plain_of`; by default the first two drivers.
    limits
        What drivers may be sent, by their row: the bands that the bypass keeps to.
    places
        Of a bank.

    Raises
    ------
    BadInput
        More than the library takes, a window that is no power of two, or filters of different shapes.
    """
    places = places or Places(np.zeros((1, 3)), filterset.taps[None])
    _check(filterset, places)
    u, fs, drivers = filterset.upmix, filterset.fs, len(filterset.drivers)
    window, hop, span, decay = _frames(filterset)
    sides = on_pair((0, min(1, drivers - 1)), drivers) if plain is None else plain
    bypass = plain_taps(filterset, sides, limits)
    rows = np.argwhere(sides.any(axis=-1))
    ceilings = _ceilings(filterset)
    body = struct.pack(
        "<5I4I4f2I",
        *(fs, drivers, filterset.length, len(places.at), filterset.delay_samples),
        *(METHODS[u.method], window, hop, span),
        *(u.amount, decay, float(not_above(filterset.ceiling, np.float32)), places.nearest_m),
        *(len(rows), places.default),
    )
    body += filterset.unit_serial.encode("ascii", "replace")[:32].ljust(32, b"\0")
    detectors, largest = zip(*(prepared(form) for form in filterset.detectors), strict=True)
    body += struct.pack(f"<{SESSION}sI", _session(filterset), detectors[0].shape[1])
    assert len(body) == 4 * HEADER_WORDS - 20
    at = np.array(places.at, dtype=np.float64)
    at[:, 2] = np.degrees(at[:, 2])
    body += np.array(filterset.channels, dtype="<u4").tobytes() + ceilings.astype("<f4").tobytes()
    body += at.astype("<f4").tobytes()
    body += rows.astype("<u4").tobytes() + bypass[rows[:, 0], rows[:, 1]].astype("<f4").tobytes()
    body += b"".join(_programs(filterset, taps).astype("<f4").tobytes() for taps in places.taps)
    if detectors[0].size:
        body += np.array(largest, dtype="<f4").tobytes() + np.array(detectors, dtype="<f4")[..., ::-1].tobytes()
    return struct.pack("<8sIII", MAGIC, FORMAT, 20 + len(body), zlib.crc32(body)) + body


def _ceilings(filterset: FilterSet) -> NDArray[np.float32]:
    """Of each driver, in single precision and rounded towards zero, as our own guard has them."""
    return np.array([not_above(most, np.float32) for most in filterset.limits], dtype=np.float32)


def _session(filterset: FilterSet) -> bytes:
    try:
        return bytes.fromhex(filterset.source)[:SESSION]
    except ValueError:
        return b""


def _programs(filterset: FilterSet, taps: NDArray[Any]) -> NDArray[Any]:
    """Taps of left, right and centre; of a program that is not there, zeros."""
    found = np.zeros((len(PROGRAMS), *filterset.taps.shape[1:]))
    for row, program in enumerate(filterset.programs):
        found[PROGRAMS.index(program)] = taps[row]
    return found


def _frames(filterset: FilterSet) -> tuple[int, int, int, float]:
    """Window, hop, span and decay of the upmix, as our own engine has them."""
    made = upmix.chosen(filterset.upmix, filterset.fs)
    if not isinstance(made, upmix.StftUpmix):
        return 0, 0, 0, 0.0
    if made.window & (made.window - 1) or made.span % made.hop:
        raise BadInput(
            f"upmix window {made.window}, hop {made.hop}: the C library takes windows that are a power of two and "
            "whole hops, as calibrate makes them (1024 and 256); calibrate again"
        )
    return made.window, made.hop, made.span, made.decay


def _check(filterset: FilterSet, places: Places) -> None:
    unknown = [p for p in filterset.programs if p not in PROGRAMS]
    if unknown:
        raise BadInput(f"program {unknown[0]!r} is not known; the C library plays {', '.join(PROGRAMS)}")
    sizes = {"drivers": len(filterset.drivers), "taps": filterset.length, "places": len(places.at)}
    for what, size in sizes.items():
        if size > MOST[what]:
            raise BadInput(f"{size} {what}: the C library takes at most {MOST[what]}")
    if places.taps.shape[1:] != filterset.taps.shape:
        raise BadInput(
            f"the bank's filters have shape {places.taps.shape[1:]}, the filter set's {filterset.taps.shape} (program, "
            "driver, tap): they must be the same"
        )
