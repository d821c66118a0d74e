"""Short clips of what the dummy head hears before and after, ready to be played from a page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweetspot.processor import files, listening, store
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float, from_db

LONGEST_S = 15.0
"""How much of a file is taken."""

SEED = 7


@dataclass(frozen=True, slots=True)
class Clip:
    """One sound, before and after, as data URIs of MP3 files."""

    title: str
    help: str
    before: str
    after: str


def clips(run: Path, music: Path | None) -> tuple[Clip, ...]:
    """Noise that walks from left over the centre to right, and the beginning of ``music`` if it is given.

    None for filters that were fitted before responses at the ears were kept with them.

    Raises
    ------
    BadInput
        The music cannot be read as stereo.
    """
    filters = store.read(run)
    try:
        head = listening.dummy_head(run)
    except BadInput:
        if music is not None:
            raise
        return ()
    said = "Bursts of pink noise: left, centre, right. With headphones, the sides move outwards and the centre stays."
    found = [_clip("Left, centre, right", said, filters, head, walking(filters.fs))]
    if music is not None:
        found.append(
            _clip(music.name, f"The first {LONGEST_S:g} s at most.", filters, head, _excerpt(music, filters.fs))
        )
    return tuple(found)


def walking(fs: int) -> Float:
    """Pink noise ``(2, samples)``: 0.8 s left, centre, right with pauses, the same burst each time."""
    n = int(0.8 * fs)
    rng = np.random.default_rng(SEED)
    f = np.fft.rfftfreq(n, 1.0 / fs)
    shape = np.where((f > 150.0) & (f < 12000.0), 1.0 / np.sqrt(np.maximum(f, 1.0)), 0.0)
    burst = np.fft.irfft(shape * np.fft.rfft(rng.standard_normal(n)), n)
    fade = np.minimum(1.0, np.minimum(np.arange(n), np.arange(n)[::-1]) / (0.02 * fs))
    burst = 0.35 * fade * burst / np.abs(burst).max()
    quiet = np.zeros(int(0.25 * fs))
    left = np.concatenate([burst, quiet, burst, quiet, 0.0 * burst, quiet])
    right = np.concatenate([0.0 * burst, quiet, burst, quiet, burst, quiet])
    return np.stack([left, right])


def _excerpt(path: Path, fs: int) -> Float:
    with files.SoundSource(path) as source:
        pieces, wanted = [], int(LONGEST_S * source.fs)
        for piece in source.pieces():
            pieces.append(piece)
            if sum(p.shape[1] for p in pieces) >= wanted:
                break
        x = np.concatenate(pieces, axis=1)[:, :wanted]
        return files.at_rate(x, source.fs, fs)


def _clip(title: str, said: str, filters: FilterSet, head: listening.DummyHead, x: Float) -> Clip:
    """Both forms at one gain."""
    before = listening.at_ears(listening.unprocessed(filters, head), head, x)
    after = listening.at_ears(filters, head, x)
    gain = float(from_db(listening.PEAK_DBFS)) / max(float(np.abs(before).max()), float(np.abs(after).max()), 1e-12)
    return Clip(title, said, *(_uri(gain * y, filters.fs) for y in (before, after)))


def _uri(y: Float, fs: int) -> str:
    return "data:audio/mpeg;base64," + base64.b64encode(files.compressed(y, fs)).decode()
