"""Programme material for loudness: music and speech made from a seed, full scale at their peaks."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from sweetspot.processor import convolver
from sweetspot.processor.convolver import OFFLINE_BLOCK, compilable
from sweetspot.processor.filterset import UpmixSettings
from sweetspot.rigs.storage import kept_array
from sweetspot.rigs.units import Float

PROCESSOR = tuple(
    path for part in (".", "live", "compiled") for path in sorted((Path(convolver.__file__).parent / part).glob("*.py"))
)
"""Files that the result of an upmix follows from."""

SECONDS = 4.0
PROGRAMMES = ("music", "speech")

MUSIC_OCTAVES = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
MUSIC_DB = (-1.0, -0.5, 0.0, -1.5, -2.0, -4.0, -6.0, -10.0, -16.0)
"""Octave levels of music: between the simulated programme of IEC 60268-1 and today's popular music."""

LIMITED_AT = 3.9
"""Music is limited softly from about this many times its effective value on, as masters are."""

SPEECH_DB = (-30.0, -3.0, -0.5, 0.0, -8.0, -14.0, -18.0, -22.0, -30.0)
"""Long-term average spectrum of speech in octaves (after Byrne et al. 1994)."""


@lru_cache(maxsize=4)
def programme_of(name: str, fs: int) -> Float:
    """A stereo programme ``(2, samples)``, peak 1.

    ``"music"`` has a beat, decaying notes over its whole spectrum, most of it in the middle and a third of its power on
    the sides, crest factor about 12 dB; ``"speech"`` is one voice in the middle with syllables and pauses.

    Raises
    ------
    KeyError
        An unknown name.
    """
    make = {"music": _music, "speech": _speech}[name]

    def made() -> Float:
        x = make(np.random.default_rng(1770), fs)
        return np.asarray(x / np.max(np.abs(x)))

    # kept on disk, for it takes 20 ms
    return kept_array(f"programme-{name}-{fs}", f"{np.__version__} {platform.machine()}", (Path(__file__),), made)


@lru_cache(maxsize=8)
def upmixed_programme(settings: UpmixSettings, fs: int, name: str, seconds: float = SECONDS) -> Float:
    """Left, right and centre ``(3, samples)`` that an upmix makes of the first ``seconds`` of a programme."""

    def made() -> Float:
        from sweetspot.processor import render  # only where nothing is kept: 7 ms

        return render.upmixed(settings, fs, programme_of(name, fs)[:, : round(seconds * fs)])

    return kept_upmixed(f"{name}-{seconds:g}s", settings, fs, made, Path(__file__))


def kept_upmixed(name: str, settings: UpmixSettings, fs: int, make: Callable[[], Float], maker: Path) -> Float:
    """What an upmix makes of signals that never change, as kept on disk: units do not differ in it, and it takes 0.1 s.

    Parameters
    ----------
    maker
        File in which this is written.
    """
    by = f"{np.__version__} {platform.machine()} {compilable(OFFLINE_BLOCK, np.dtype(np.float32))}"
    what = f"{name} {settings} {fs} {by}"
    return kept_array(f"upmixed-{name}-{fs}-{settings.method}", what, (maker, *PROCESSOR), make)


def _music(rng: np.random.Generator, fs: int) -> Float:
    samples = round(SECONDS * fs)
    middle, sides = rng.standard_normal((1, samples)), rng.standard_normal((2, samples))
    t = np.arange(samples) / fs
    beat = 0.35 + np.exp(-np.mod(t, 0.5) / 0.12)
    off = 0.35 + np.exp(-np.mod(t + 0.25, 0.5) / 0.15)
    x = middle * beat + 0.6 * sides * off
    x = _shaped(x, fs, MUSIC_DB)
    loud = LIMITED_AT * np.sqrt(np.mean(x**2))
    return np.asarray(loud * np.tanh(x / loud))


def _speech(rng: np.random.Generator, fs: int) -> Float:
    samples = round(SECONDS * fs)
    t = np.arange(samples) / fs
    syllables = np.maximum(np.sin(2.0 * np.pi * 4.0 * t + np.sin(2.0 * np.pi * 0.7 * t)), 0.0) ** 1.5
    pauses = np.where(np.mod(t, 2.0) < 1.6, 1.0, 0.0)
    voice = _shaped(rng.standard_normal((1, samples)) * syllables * pauses, fs, SPEECH_DB)
    return np.repeat(voice, 2, axis=0)


def _shaped(x: Float, fs: int, octaves_db: tuple[float, ...]) -> Float:
    """White noise given the octave levels of a programme."""
    f = np.fft.rfftfreq(x.shape[-1], 1.0 / fs)
    middle = np.array(MUSIC_OCTAVES)
    per_hz = np.array(octaves_db) - 10.0 * np.log10(middle)
    gain = 10.0 ** (np.interp(np.log(np.maximum(f, 1.0)), np.log(middle), per_hz) / 20.0)
    gain = gain * np.clip((f / 40.0) ** 2, 0.0, 1.0)
    return np.asarray(np.fft.irfft(np.fft.rfft(x) * gain, x.shape[-1]))
