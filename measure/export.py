"""FRD and WAV files of a session, one a response, for loudspeaker design programs and editors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from measure.impulse import ImpulseResponse
from rigs.errors import BadInput
from rigs.units import P_REF, Float, db

POINTS_PER_OCTAVE = 48
"""Lines of an FRD file; finer than what design programs keep."""

Index = tuple[int, int, int]
"""Position, microphone and driver of one response."""


def indices(set_: ImpulseResponse) -> Iterator[Index]:
    """Every response of a set."""
    for position, mic, driver in np.ndindex(*set_.h.shape[:3]):
        yield position, mic, driver


def name(set_: ImpulseResponse, kind: str, index: Index) -> str:
    """A file's name without its ending: a polar response ends in ``hor`` and its angle in degrees."""
    position, mic, driver = index
    who = f"{set_.mics[mic]}_{set_.drivers[driver]}"
    if kind == "polar":
        angle = float(set_.positions["azimuth_deg"][position])
        return _plain(f"polar_{who}_hor_{angle:g}")
    return _plain(f"{kind}_p{position:03d}_{who}")


def frd(set_: ImpulseResponse, index: Index, about: str) -> str:
    """The text of an FRD file over the judged band: hertz, dB re 20 uPa of a full-scale sine, degrees.

    The phase holds the time of flight: zero is where the sound left the interface.

    Parameters
    ----------
    set_
        Of the session.
    index
        Which response.
    about
        One line on where it comes from.
    """
    low, high = set_.band
    f = low * 2.0 ** (np.arange(0.0, np.log2(high / low) * POINTS_PER_OCTAVE + 1e-9) / POINTS_PER_OCTAVE)
    level, phase = response_at(set_, index, f)
    head = f"* {about}\n* Hz, dB re 20 uPa (rms) of a full-scale sine, degrees with the time of flight\n"
    return head + "".join(f"{a:.3f}\t{b:.3f}\t{c:.3f}\n" for a, b, c in zip(f, level, phase, strict=True))


def response_at(set_: ImpulseResponse, index: Index, f: Float) -> tuple[Float, Float]:
    """Level in dB re 20 uPa of a full-scale sine, and phase in degrees, at frequencies ``f`` Hz, both ``(f,)``."""
    h = set_.h[index][set_.zero :]
    seconds = np.arange(len(h)) / set_.fs
    spectrum = np.exp(-2j * np.pi * np.outer(f, seconds)) @ h
    return db(spectrum / np.sqrt(2.0) / P_REF), np.asarray(np.degrees(np.angle(spectrum)))


def write_frd(set_: ImpulseResponse, kind: str, index: Index, about: str, out: Path) -> Path:
    """Write one FRD file into the folder ``out``.

    Raises
    ------
    BadInput
        The folder cannot be written.
    """
    path = out / f"{name(set_, kind, index)}.frd"
    try:
        path.write_text(frd(set_, index, about), encoding="ascii", errors="replace")
    except OSError as fault:
        raise BadInput(f"{path}: cannot be written: {fault.strerror}; choose another folder with --out") from fault
    return path


def write_wav(set_: ImpulseResponse, kind: str, index: Index, about: str, out: Path) -> Path:
    """Write one response as a 32-bit float WAV file, from time zero on, in pascal for a full-scale sample.

    Raises
    ------
    BadInput
        The folder cannot be written.
    """
    path = out / f"{name(set_, kind, index)}.wav"
    try:
        with soundfile.SoundFile(str(path), "w", set_.fs, channels=1, subtype="FLOAT") as file:
            file.comment = about
            file.write(set_.h[index][set_.zero :].astype(np.float32))
    except (OSError, soundfile.LibsndfileError) as fault:
        raise BadInput(f"{path}: cannot be written: {fault}; choose another folder with --out") from fault
    return path


def _plain(text: str) -> str:
    """Safe as a file's name on every system."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", text)
