"""The content of an export: files by name with notes, and plain stereo for engines without an upmix."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import asdict, dataclass

import numpy as np

from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import Real, db

SIDES = ("left", "right")
NO_UPMIX = (
    "This engine has no upmix: it plays plain stereo, left and right through their own filters; what is common to "
    "both stays a phantom centre, and the centre program is not used."
)
LINEAR = (
    "This engine has no upmix: it runs three programs by a fixed share, C = {a:g} (L + R), left and right keep L - C "
    "and R - C; all of it is baked into the filters of left and right."
)
NO_GUARD = (
    "This engine has no guard and no SPL limiter: levels above the ceiling of {ceiling:.1f} dBFS are not held back."
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """An export.

    Parameters
    ----------
    files
        Contents by name; written side by side into one folder.
    notes
        What its user must know.
    use
        The command that runs it, in that folder.
    """

    files: dict[str, bytes]
    notes: tuple[str, ...]
    use: str

    def everything(self) -> dict[str, bytes]:
        """The files, and the notes as one more."""
        text = "\n\n".join([*self.notes, f"Use: {self.use}"]) + "\n"
        return self.files | {"README.txt": text.encode()}


def stereo(filterset: FilterSet) -> Real:
    """Filters of plain stereo, ``(2, driver, tap)``: left and right."""
    return np.asarray(filterset.taps[[filterset.programs.index(side) for side in SIDES]])


def notes(filterset: FilterSet) -> tuple[str, ...]:
    """Notes for every engine that plays stereo."""
    order = ", ".join(f"{c} {name}" for c, name in zip(filterset.channels, filterset.drivers, strict=True))
    unheld = f" Note: {filterset.unheld_text}." if filterset.unheld_text else ""
    return (
        f"sweetspot filters of unit {filterset.unit_serial} at {filterset.fs} Hz, {filterset.length} taps; "
        f"the sampling rate of the engine must be {filterset.fs} Hz. Output channels, as on the rig: {order}.{unheld}",
        NO_UPMIX,
        NO_GUARD.format(ceiling=float(db(filterset.ceiling))),
    )


def outputs(filterset: FilterSet) -> int:
    """Required output channels of a device: up to the highest one of a driver; unused ones stay silent."""
    return max(filterset.channels)


def pair_name(filterset: FilterSet, program: int, driver: int, suffix: str) -> str:
    """A file name for one filter: plain letters, and the output channel of its driver, from 1."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", filterset.drivers[driver])
    return f"{filterset.programs[program]}_{filterset.channels[driver]}_{plain}.{suffix}"


def pairs(filterset: FilterSet, suffix: str) -> list[tuple[int, int, str, Real]]:
    """Side, driver, file name and filter of plain stereo, side after side."""
    rows = [filterset.programs.index(side) for side in SIDES]
    return [
        (i, o, pair_name(filterset, row, o, suffix), filterset.taps[row, o])
        for i, row in enumerate(rows)
        for o in range(len(filterset.drivers))
    ]


def wave(x: Real, fs: int) -> bytes:
    """A float32 WAV of ``x (channels, samples)``: the same bytes each time, without a time stamp."""
    channels, samples = x.shape
    data = np.ascontiguousarray(x.T, dtype="<f4").tobytes()
    form = struct.pack("<HHIIHHH", *(3, channels, fs, fs * channels * 4, channels * 4, 32, 0))
    chunks = [(b"fmt ", form), (b"fact", struct.pack("<I", samples)), (b"data", data)]
    body = b"WAVE" + b"".join(name + struct.pack("<I", len(c)) + c for name, c in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def description(filterset: FilterSet) -> bytes:
    """Everything about a filter set but its taps, as JSON."""
    facts = {
        "unit": filterset.unit_serial,
        "fs": filterset.fs,
        "programs": filterset.programs,
        "drivers": filterset.drivers,
        "channels": filterset.channels,
        "taps": filterset.length,
        "delay_samples": filterset.delay_samples,
        "ceiling": filterset.ceiling,
        "limits": filterset.limits,
        "headroom_db": filterset.headroom_db,
        "session_sha256": filterset.source,
        "upmix": asdict(filterset.upmix),
    }
    return (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()
