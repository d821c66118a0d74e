"""Kinds of session files and the storage of their data sets."""

from __future__ import annotations

from typing import Any

from sweetspot.measure.session import schema
from sweetspot.rigs.storage import Kind

SCHEMA = "sweetspot-session"
VERIFICATION = "sweetspot-verification"
"""The same layout for measurements through a processor: programs instead of drivers."""

SCHEMA_VERSION = 1
KINDS = {
    SCHEMA: Kind(SCHEMA, SCHEMA_VERSION, schema.REMEDY, schema.check),
    VERIFICATION: Kind(VERIFICATION, SCHEMA_VERSION, schema.VERIFY_AGAIN, schema.check),
}

_FILTERS: dict[str, Any] = {"shuffle": True, "compression": "gzip"}
PACKED: dict[str, dict[str, Any]] = {
    SCHEMA: _FILTERS | {"compression_opts": 6},
    VERIFICATION: _FILTERS | {"compression_opts": 4},
}
"""How data sets of each kind are compressed: without loss, by filters that every HDF5 library has.

The level is libdeflate's. Level 6 makes captures 0.985 of what zlib's level 4 makes of them, in 0.6 of the time; level
10 another 0.99 in five times as long. A verification is made more often than a session and its captures are dropped
with the next one: level 4 takes 0.56 of the time for 0.9 % more.
"""

LONGEST_CHUNK = 1 << 18
"""Samples of a capture in one piece: as many as HDF5 keeps in memory. Pieces of 65536 are 0.4 % larger."""


def capture_chunks(shape: tuple[int, int]) -> tuple[int, int]:
    """Chunks of a capture ``(channel, samples)``: one channel, in equal pieces."""
    pieces = max(1, -(-shape[1] // LONGEST_CHUNK))
    return 1, -(-shape[1] // pieces)
