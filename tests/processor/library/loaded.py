"""The C library through ctypes, with distinct signals and filters: shared by its tests."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor import files
from sweetspot.processor.export import c_library
from sweetspot.processor.filterset import UpmixSettings
from tests.filter_sets import filter_set

Real = NDArray[Any]

HERE = Path(__file__).parent
FLOAT, FIXED = "sweetspot_", "sweetspot_fixed_"
"""Names of the two forms of the library."""
SOURCES = [s for s in c_library.LIBRARY if s.endswith(".c")]
CODES = (
    *("OK", "TOO_SHORT", "NOT_A_BLOB", "OTHER_FORMAT", "DAMAGED", "BAD_SIZE", "OTHER_RATE", "BAD_BLOCK", "NO_MEMORY"),
)


def two_ways(drivers: int = 5) -> Real:
    """Plain stereo ``(side, driver, tap)`` of crooked filters, with a driver that both sides share."""
    sides, rng = np.zeros((2, drivers, 31)), np.random.default_rng(8)
    for side, driver in ((0, 1), (0, drivers - 1), (1, 3), (1, drivers - 1)):
        sides[side, driver] = 0.01 * rng.standard_normal(31)
    return sides


def exported(folder: Path) -> Path:
    """The sources in a folder, as an export writes them."""
    files.write_all(folder, c_library.bundle(crooked()).everything())
    return folder


def built(folder: Path, *flags: str) -> ctypes.CDLL:
    """The sources of a folder as a library."""
    subprocess.run(["gcc", *(flags or ("-O2",)), "-shared", "-fPIC", "-o", "lib.so", *SOURCES, "-lm"], cwd=folder,
                   check=True)  # fmt: skip
    library = ctypes.CDLL(str(folder / "lib.so"))
    for name in ("memory", "fixed_memory"):
        getattr(library, f"sweetspot_{name}").restype = ctypes.c_size_t
    for name in ("init", "fixed_init"):
        getattr(library, f"sweetspot_{name}").restype = ctypes.c_void_p
    library.sweetspot_least_gain.restype = library.sweetspot_least_spl_gain.restype = ctypes.c_float
    return library


def checked(library: ctypes.CDLL, data: bytes, rate: int = 0) -> tuple[str, Any]:
    """Result of ``sweetspot_check`` for a blob, and the data that it read."""
    info = ctypes.create_string_buffer(8192)
    return CODES[library.sweetspot_check(data, ctypes.c_size_t(len(data)), rate, info)], info


class Library:
    """One processor: ``prefix`` chooses between floats and fixed point; both take and give floats here."""

    def __init__(self, library: ctypes.CDLL, data: bytes, block: int, prefix: str = FLOAT) -> None:
        self._library, self._prefix = library, prefix
        code, self.info = checked(library, data)
        assert code == "OK"
        fixed = prefix == FIXED
        self._scale, self._type = (2.0**31, np.int32) if fixed else (1.0, np.float32)
        size = getattr(library, f"{prefix}memory")(self.info, block)
        self._memory, given = ctypes.create_string_buffer(size + 64), ctypes.c_int()
        at = ctypes.c_void_p((ctypes.addressof(self._memory) + 63) & ~63)
        made = getattr(library, f"{prefix}init")(at, ctypes.c_size_t(size), self.info, block, ctypes.byref(given))
        assert given.value == 0
        self.state = ctypes.c_void_p(made)
        self.drivers = int(np.frombuffer(self.info.raw, dtype="<u4", count=2)[1])

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, f"{self._prefix}{name}")
        return lambda *given: function(self.state, *(ctypes.c_float(v) if isinstance(v, float) else v for v in given))

    def process(self, x: Real, cuts: Sequence[int] = ()) -> Real:
        """Stereo in, one row per driver out, in calls of ``cuts`` samples each."""
        given_x = np.clip(np.rint(np.asarray(x, dtype=np.float64) * self._scale), -(2.0**31), 2.0**31 - 1)
        x = np.ascontiguousarray(given_x if self._scale > 1.0 else x, dtype=self._type)
        y, at = np.zeros((self.drivers, x.shape[1]), dtype=self._type), 0
        for n in cuts or [x.shape[1]]:
            given = (ctypes.c_void_p * 2)(*(row.ctypes.data + 4 * at for row in x))
            taken = (ctypes.c_void_p * self.drivers)(*(row.ctypes.data + 4 * at for row in y))
            getattr(self._library, f"{self._prefix}process")(self.state, given, taken, n)
            at += n
        return y if self._scale == 1.0 else y / self._scale


def crooked(drivers: int = 5, taps: int = 300, fs: int = 47872, method: str = "projection", loud: float = 1.0) -> Any:
    rng = np.random.default_rng(drivers)
    h = rng.standard_normal((3, drivers, taps)) * np.exp(-np.arange(taps) / 60.0)
    return filter_set(
        loud * h / np.abs(h).sum(axis=(0, 2)).max(),
        fs=fs,
        drivers=tuple(f"d{i}" for i in range(drivers)),
        channels=tuple(range(drivers + 1, 1, -1)),
        delay_samples=7,
        headroom_db=1.0,
        unit_serial="SN-1",
        upmix=UpmixSettings(method=method, amount=0.9),
    )


def detectors(loud: float, taps: int = 90) -> Real:
    """Of filters and bypass ``(2, 3, tap)``, all different; largest magnitudes ``loud``, and 8 times so much."""
    rng = np.random.default_rng(9)
    h = rng.standard_normal((2, 3, taps)) * np.exp(-np.arange(taps) / (0.4 * taps))
    h /= np.abs(np.fft.rfft(h, 4 * taps)).max(axis=-1, keepdims=True)
    return np.asarray(loud * h * np.array([1.0, 0.8, 0.6])[:, None] * np.array([1.0, 8.0])[:, None, None])


def music(n: int, loud: float = 0.25) -> Real:
    """A part that both sides share, one that they don't, silence, one side alone, and an impulse."""
    rng = np.random.default_rng(3)
    x = rng.uniform(-0.6, 0.6, n) + rng.uniform(-0.4, 0.4, (2, n))
    x[:, n // 4 : n // 3] = 0.0
    x[1, n // 2 : 2 * n // 3] = 0.0
    x[:, -2000:] = 0.0
    x[:, -1500] = 1.0, -0.5
    return np.asarray((loud * x).astype(np.float32))


def ragged(total: int, longest: int = 700) -> list[int]:
    rng, cuts = np.random.default_rng(5), [0, 1]
    while sum(cuts) < total:
        cuts.append(min(int(rng.integers(0, longest)), total - sum(cuts)))
    return cuts


def error_db(y: Real, wanted: Real) -> float:
    return float(10.0 * np.log10(np.sum((y - wanted) ** 2) / np.sum(wanted**2)))
