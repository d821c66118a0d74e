"""Shared memory of player and console: controls, meters, and a stereo ring buffer, without locks.

Each value has one writer, and is a machine word: the reader sees the old one or the new one. The ring has one writer
and one reader, whose counters only grow.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.units import Real

if TYPE_CHECKING:
    from multiprocessing.context import SpawnContext


MUTE, BYPASS, AMOUNT, WHICH, QUIT, ENDED, VOLUME = range(7)
"""Controls, written by the process that shows: 0 or 1 but for the upmix's amount and the volume, dB; WHICH is 1 for B,
ENDED with the last sound."""

PLACE = 12
"""Another control: row of the listener's place in the bank."""

BLOCKS, XRUNS, STARVED, WORST, GAIN, FINISHED, STARTED, LATENCY, HELD = range(9)
GUARD, GUARDED, SPL, SPL_LIMITED, OVER, DRIVER = range(9, 15)
"""Meters, written by the process that plays: blocks done, xruns reported by the device, samples missing from the ring,
worst load, least gain of guard and SPL limiter, 1 when all was played, 1 when the stream runs, s of the device, blocks
that were too long only because the machine gave its processor to others meanwhile; then the least gain of the guard and
the samples that it reduced, the same of the SPL limiter, and the largest sample ahead of the guard re its driver's
ceiling, with the driver's row (0 while none passed it)."""

PEAKS = 16
"""Start of the drivers' peaks; the reader resets them to 0."""

STEP = 0.0005
"""Width of a class of the histogram of loads: share of a block's duration."""

CLASSES = 6000


@dataclass(frozen=True, slots=True)
class Shared:
    """The memory itself, passed to a process when it is started."""

    controls: Any
    meters: Any
    loads: Any
    counters: Any
    ring: Any
    text: Any

    @classmethod
    def make(cls, context: SpawnContext, seconds: float, fs: int, drivers: int) -> Shared:
        """Memory for ``seconds`` of stereo and the meters of a number of drivers."""
        return cls(
            context.RawArray("d", 16),
            context.RawArray("d", PEAKS + drivers),
            context.RawArray("q", CLASSES),
            context.RawArray("q", 2),
            context.RawArray("f", 2 * int(seconds * fs)),
            context.RawArray("c", 4096),
        )

    @classmethod
    def private(cls, drivers: int) -> Shared:
        """Memory of one process that plays files to files: no ring."""
        return cls(
            (ctypes.c_double * 16)(),
            (ctypes.c_double * (PEAKS + drivers))(),
            (ctypes.c_int64 * CLASSES)(),
            (ctypes.c_int64 * 2)(),
            (ctypes.c_float * 2)(),
            ctypes.create_string_buffer(4096),
        )


class PlayerMemory:
    """The shared memory as arrays."""

    def __init__(self, shared: Shared) -> None:
        self.controls: NDArray[np.float64] = np.frombuffer(shared.controls, dtype=np.float64)
        self.meters: NDArray[np.float64] = np.frombuffer(shared.meters, dtype=np.float64)
        self.loads: NDArray[np.int64] = np.frombuffer(shared.loads, dtype=np.int64)
        self.counters: NDArray[np.int64] = np.frombuffer(shared.counters, dtype=np.int64)
        ring: NDArray[np.float32] = np.frombuffer(shared.ring, dtype=np.float32)
        self.ring = ring.reshape(2, -1)
        self._text = shared.text

    @property
    def free(self) -> int:
        """Samples that can be written."""
        return self.ring.shape[1] - self.filled

    @property
    def filled(self) -> int:
        """Samples that can be read."""
        written, read = self.counters.tolist()
        filled: int = written - read
        return filled

    def write(self, x: Real) -> None:
        """Append ``(2, n)``, ``n`` at most :attr:`free`."""
        size, at, n = self.ring.shape[1], int(self.counters[0]) % self.ring.shape[1], x.shape[1]
        first = min(n, size - at)
        self.ring[:, at : at + first] = x[:, :first]
        self.ring[:, : n - first] = x[:, first:]
        self.counters[0] += n

    def percentile(self, share: float) -> float:
        """Load that this share of the blocks stays below, as a share of a block's duration; 0 before the first."""
        total = int(self.loads.sum())
        if total == 0:
            return 0.0
        return (int(np.searchsorted(np.cumsum(self.loads), share * total)) + 1) * STEP

    def report(self, code: int, text: str) -> None:
        """Leave an exit code and a reason for who shows."""
        self._text.raw = f"{code} {text}".encode()[:4095].ljust(4096, b"\0")

    @property
    def text(self) -> tuple[int, str]:
        """The text of :meth:`report`; ``(0, "")`` for nothing."""
        text = self._text.raw.split(b"\0", 1)[0].decode(errors="replace")
        code, _, reason = text.partition(" ")
        return (int(code), reason) if code else (0, "")
