"""The C library refuses a bad blob, and the export names what the library cannot take."""

from __future__ import annotations

import ctypes
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweetspot.processor.export import Options, Places, c_library
from sweetspot.processor.export.c_library import blob_of
from sweetspot.processor.filterset import UpmixSettings
from sweetspot.rigs.errors import BadInput
from tests.processor.library.loaded import CODES, checked, crooked, detectors


def patched(data: bytes, at: int, form: str, value: float) -> bytes:
    """A field changed and the checksum made right again."""
    new = bytearray(data)
    struct.pack_into(form, new, at, value)
    struct.pack_into("<I", new, 16, zlib.crc32(new[20:]))
    return bytes(new)


def bypassed(data: bytes, rows: int) -> bytes:
    """The bypass as so many filters, the first one again and again; sizes and checksum are right."""
    drivers, taps, sets = struct.unpack_from("<3I", data, 24)
    (count,) = struct.unpack_from("<I", data, 72)
    at = 132 + 4 * (2 * drivers + 3 * sets)
    first, filters = data[at : at + 8], data[at + 8 * count :][: 4 * taps]
    new = bytearray(data[:at] + rows * first + rows * filters + data[at + (8 + 4 * taps) * count :])
    struct.pack_into("<I", new, 12, len(new))
    return patched(bytes(new), 72, "<I", rows)


DETECTING = replace(crooked(), detectors=detectors(20.0, 90))


def detected(data: bytes, at: int, value: float) -> bytes:
    """A number of the blob's end changed: six largest magnitudes, then six detectors of 92 taps."""
    assert struct.unpack_from("<I", data, 128) == (92,)
    return patched(data, len(data) - 4 * 6 * (92 + 1) + 4 * at, "<f", value)


def lengthened(data: bytes, taps: int) -> bytes:
    """Detectors of so many taps, with zeros behind; sizes and checksum are right."""
    new = bytearray(data[: len(data) - 4 * 6 * 92]) + bytes(4 * 6 * taps)
    struct.pack_into("<I", new, 12, len(new))
    return patched(bytes(new), 128, "<I", taps)


DAMAGES: dict[str, tuple[Any, str]] = {
    "cut": (lambda d: d[:-4], "TOO_SHORT"),
    "empty": (lambda d: b"", "TOO_SHORT"),
    "other file": (lambda d: b"RIFF" + d[4:], "NOT_A_BLOB"),
    "old": (lambda d: patched(d, 8, "<I", 0), "OTHER_FORMAT"),
    "one bit": (lambda d: d[:999] + bytes([d[999] ^ 1]) + d[1000:], "DAMAGED"),
    "no drivers": (lambda d: patched(d, 24, "<I", 0), "BAD_SIZE"),
    "more drivers than data": (lambda d: patched(d, 24, "<I", 6), "BAD_SIZE"),
    "huge": (lambda d: patched(d, 28, "<I", 2**31), "BAD_SIZE"),
    "ceiling above full scale": (lambda d: patched(d, 64, "<f", 1.5), "BAD_SIZE"),
    "no number": (lambda d: patched(d, 56, "<f", float("nan")), "BAD_SIZE"),
    "window": (lambda d: patched(d, 44, "<I", 1000), "BAD_SIZE"),
    "a driver's ceiling above the unit's": (lambda d: patched(d, 132 + 4 * 5, "<f", 0.6), "BAD_SIZE"),
    "a driver without a ceiling": (lambda d: patched(d, 132 + 4 * 9, "<f", 0.0), "BAD_SIZE"),
    "a place that is none": (lambda d: patched(d, 132 + 4 * 10, "<f", float("inf")), "BAD_SIZE"),
    "a default place that is not there": (lambda d: patched(d, 76, "<I", 1), "BAD_SIZE"),
    "written for an earlier library": (lambda d: patched(d, 8, "<I", 1), "OTHER_FORMAT"),
    "no bypass": (lambda d: bypassed(d, 0), "BAD_SIZE"),
    "more of a bypass than drivers": (lambda d: bypassed(d, 11), "BAD_SIZE"),
    "bypass of a side that is not there": (lambda d: patched(d, 132 + 4 * 13, "<I", 2), "BAD_SIZE"),
    "bypass on a driver that is not there": (lambda d: patched(d, 132 + 4 * 14, "<I", 5), "BAD_SIZE"),
    "detectors too long": (lambda d: lengthened(d, 65540), "BAD_SIZE"),
    "detectors of a length between": (lambda d: lengthened(d, 94), "BAD_SIZE"),
    "more detectors than data": (lambda d: patched(d, 128, "<I", 96), "BAD_SIZE"),
    "data of detectors that are not there": (lambda d: patched(d, 128, "<I", 0), "BAD_SIZE"),
    "a detector that is no number": (lambda d: detected(d, 6 + 6 * 92 - 1, float("nan")), "BAD_SIZE"),
    "a detector that is infinite": (lambda d: detected(d, 6, float("-inf")), "BAD_SIZE"),
    "a detector too large": (lambda d: detected(detected(d, 1, 1e12), 6 + 92, 1.1e9), "BAD_SIZE"),
    "largest magnitude that is no number": (lambda d: detected(d, 5, float("nan")), "BAD_SIZE"),
    "largest magnitude too small for its detector": (lambda d: detected(d, 0, 0.9), "BAD_SIZE"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_blob_is_refused(shared: ctypes.CDLL, damage: str) -> None:
    change, code = DAMAGES[damage]
    data = change(blob_of(DETECTING))
    assert checked(shared, data)[0] == code


def test_detectors_of_the_longest_and_largest_are_taken(shared: ctypes.CDLL) -> None:
    assert checked(shared, blob_of(DETECTING))[0] == "OK"
    assert checked(shared, lengthened(blob_of(DETECTING), 65536))[0] == "OK"
    assert checked(shared, detected(detected(blob_of(DETECTING), 1, 1e12), 6 + 92, 1e9))[0] == "OK"


def test_a_bypass_may_have_every_driver_on_both_sides(shared: ctypes.CDLL) -> None:
    assert checked(shared, bypassed(blob_of(crooked()), 10))[0] == "OK"


def test_another_rate_a_bad_block_and_too_little_memory_are_refused(shared: ctypes.CDLL) -> None:
    data, info, code = blob_of(crooked()), ctypes.create_string_buffer(8192), ctypes.c_int()
    assert shared.sweetspot_check(data, ctypes.c_size_t(len(data)), 48000, info) == CODES.index("OTHER_RATE")
    assert shared.sweetspot_check(data, ctypes.c_size_t(len(data)), 47872, info) == 0
    assert shared.sweetspot_memory(info, 100) == 0
    size = shared.sweetspot_memory(info, 64)
    room = ctypes.create_string_buffer(size + 64)
    at = (ctypes.addressof(room) + 63) & ~63
    for where, bytes_, block, wanted in (
        (at, size, 100, "BAD_BLOCK"),
        (at, size - 1, 64, "NO_MEMORY"),
        (at + 4, size, 64, "NO_MEMORY"),
        (0, size, 64, "NO_MEMORY"),
    ):
        made = shared.sweetspot_init(ctypes.c_void_p(where), ctypes.c_size_t(bytes_), info, block, ctypes.byref(code))
        assert made is None
        assert code.value == CODES.index(wanted)


def test_what_the_library_cannot_take_is_named() -> None:
    with pytest.raises(BadInput, match="65 drivers: the C library takes at most 64"):
        blob_of(crooked(65, 4))
    with pytest.raises(BadInput, match="a power of two"):
        blob_of(replace(crooked(), upmix=UpmixSettings(window=960, hop=240)))
    with pytest.raises(BadInput, match="they must be the same"):
        blob_of(crooked(), Options(places=Places(np.zeros((1, 3)), crooked(taps=299).taps[None])))
    few = crooked(1, 2)
    many = Options(places=Places(np.zeros((257, 3)), np.repeat(few.taps[None], 257, axis=0)))
    with pytest.raises(BadInput, match="257 places: the C library takes at most 256"):
        blob_of(few, many)


def test_the_header_holds_the_blob(folder: Path) -> None:
    text = (folder / c_library.HEADER).read_text()
    body = text[text.index("{") + 1 : text.index("}")]
    assert bytes(int(v) for v in body.split(",")) == (folder / c_library.BLOB).read_bytes()
