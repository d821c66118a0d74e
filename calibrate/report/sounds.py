"""Short clips of the dummy head's ear signals before and after, for playback in a page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweetspot.calibrate.auditory import loudness_db
from sweetspot.processor import files, listening, store
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float, from_db

LONGEST_S = 15.0
"""Length used of a file, s."""

SEED = 7


@dataclass(frozen=True, slots=True)
class Clip:
    """One sound, before and after, as data URIs of MP3 files, each as loud as a file can be.

    Parameters
    ----------
    true
        Gains that match both levels at the ears, at most 1.
    matched
        Gains with which both are equally loud (BS.1770), at most 1.
    """

    title: str
    help: str
    before: str
    after: str
    true: tuple[float, float] = (1.0, 1.0)
    matched: tuple[float, float] = (1.0, 1.0)


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
    text = "Bursts of pink noise: left, centre, right. With headphones, the sides move outwards and the centre stays."
    found = [_clip("Left, centre, right", text, filters, head, walking(filters.fs))]
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


def _clip(title: str, text: str, filters: FilterSet, head: listening.DummyHead, x: Float) -> Clip:
    """Both forms, with the gains that bring them to their true and to the same loudness."""
    before = listening.at_ears(listening.unprocessed(filters, head), head, x)
    after = listening.at_ears(filters, head, x)
    peaks = [max(float(np.abs(y).max()), 1e-12) for y in (before, after)]
    top = float(from_db(listening.PEAK_DBFS))
    full = [y * top / peak for y, peak in zip((before, after), peaks, strict=True)]
    louder = loudness_db(full[0], filters.fs) - loudness_db(full[1], filters.fs)
    return Clip(
        title,
        text,
        _uri(full[0], filters.fs),
        _uri(full[1], filters.fs),
        true=(peaks[0] / max(peaks), peaks[1] / max(peaks)),
        matched=(min(float(from_db(-louder)), 1.0), min(float(from_db(louder)), 1.0)),
    )


def _uri(y: Float, fs: int) -> str:
    return "data:audio/mpeg;base64," + base64.b64encode(files.compressed(y, fs)).decode()
