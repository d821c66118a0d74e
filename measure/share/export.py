"""FRD and WAV files of a session, one per response, for loudspeaker design programs and editors."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from sweetspot.measure.impulse import RING_DEG, ImpulseResponse, elevations_deg
from sweetspot.measure.plan import SetName
from sweetspot.measure.share import standard_errors
from sweetspot.measure.share.standard_errors import StandardErrors
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.progress import Step
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import replacing, without_clock
from sweetspot.rigs.storage import write as write_file
from sweetspot.rigs.units import P_REF, Float, db

POINTS_PER_OCTAVE = 48
"""Lines of an FRD file; finer than what design programs keep."""

Index = tuple[int, int, int]
"""Position, microphone and driver of one response."""


def indices(set_: ImpulseResponse) -> Iterator[Index]:
    """Every response of a set."""
    yield from np.ndindex(*set_.h.shape[:3])


def name(set_: ImpulseResponse, kind: str, index: Index) -> str:
    """A file's name without its ending: a polar response ends in ``hor`` and its angle in degrees; any other has the
    number of its position, from 1 as in the manifest.

    Where a set has several elevations, that of the response stands ahead of it. Drivers whose names differ only in what
    a file's name cannot have (or in capital letters, which Windows does not tell apart) get their numbers.
    """
    position, mic, driver = index
    who = _told_apart(set_.mics, set_.drivers)[mic, driver]
    if kind == "polar":
        angle = float(set_.positions["azimuth_deg"][position])
        up = elevations_deg(set_.positions)
        raised = f"elevation_{round(float(up[position]), 3) + 0.0:g}_" if np.ptp(up) > RING_DEG else ""
        return _plain(f"polar_{who}_{raised}hor_{angle:g}")
    return _plain(f"{kind}_p{position + 1:03d}_{who}")


@lru_cache(maxsize=4)
def _told_apart(mics: tuple[str, ...], drivers: tuple[str, ...]) -> dict[tuple[int, int], str]:
    """Parts of file names by microphone and driver, each another one."""
    pairs = {(m, d): _plain(f"{mic}_{driver}") for m, mic in enumerate(mics) for d, driver in enumerate(drivers)}
    counts = Counter(text.casefold() for text in pairs.values())
    return {p: text if counts[text.casefold()] == 1 else f"{text}_{p[0] + 1}.{p[1] + 1}" for p, text in pairs.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Frequencies of an FRD file, and the transform of a response to them.

    Parameters
    ----------
    f
        ``(f,)``, Hz.
    kernel
        ``exp(-2j pi f t)``, ``(tap from time zero on, f)``.
    """

    f: Float
    kernel: NDArray[np.complex128]

    @classmethod
    def of(cls, set_: ImpulseResponse) -> Grid:
        """:data:`POINTS_PER_OCTAVE` over the judged band of a set."""
        low, high = set_.band
        f = low * 2.0 ** (np.arange(0.0, np.log2(high / low) * POINTS_PER_OCTAVE + 1e-9) / POINTS_PER_OCTAVE)
        seconds = np.arange(set_.h.shape[-1] - set_.zero) / set_.fs
        return cls(f, np.exp(-2j * np.pi * np.outer(seconds, f)))


def frd(set_: ImpulseResponse, index: Index, grid: Grid, about: str) -> str:
    """The text of an FRD file: hertz, dB re 20 uPa (rms) of a full-scale sine, degrees.

    The phase holds the time of flight: zero is where the sound left the interface.

    Parameters
    ----------
    grid
        At which frequencies; made once for a set.
    about
        One line on where it comes from.
    """
    spectrum = set_.h[index][set_.zero :] @ grid.kernel
    level, phase = db(spectrum / np.sqrt(2.0) / P_REF), np.degrees(np.angle(spectrum))
    known = set_.unit == "Pa/FS"
    scale = "dB re 20 uPa (rms) of a full-scale sine" if known else "dB, relative: the level is not known in pascal"
    head = f"* {about}\n* Hz, {scale}, degrees with the time of flight\n"
    return head + "".join(f"{a:.3f}\t{b:.3f}\t{c:.3f}\n" for a, b, c in zip(grid.f, level, phase, strict=True))


def write(
    sets: Mapping[SetName, ImpulseResponse],
    to: Literal["frd", "wav"],
    about: str,
    out: Path,
    *,
    rig: Description,
    tracked: Callable[[str, int], AbstractContextManager[Step]],
    errors: Mapping[SetName, StandardErrors],
) -> list[Path]:
    """Write every response of the sets into the folder ``out``, and a manifest of them that can be imported again.

    Parameters
    ----------
    rig
        That the sets were measured with; its text is written beside them.
    tracked
        Shows how far it is.
    errors
        What is known of the sets' errors; written beside WAV files.

    Raises
    ------
    BadInput
        Nothing was measured, or the folder cannot be made or written.
    """
    if not sets:
        raise BadInput("nothing was measured yet; run: sweetspot measure ears ...")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise BadInput(f"{out}: cannot be made: {fault.strerror}; choose another folder with --out") from fault
    written: list[Path] = []
    rows: list[tuple[str, ...]] = [MANIFEST_COLUMNS]
    at = {d.name: d.at for d in rig.driver}
    with tracked(f"Writing {to}", sum(len(list(indices(s))) for s in sets.values())) as step:
        for kind, set_ in sets.items():
            grid = Grid.of(set_) if to == "frd" else None
            for index in indices(set_):
                path = out / f"{name(set_, kind, index)}.{to}"
                written.append(
                    write_frd(set_, index, grid, about, path) if grid else write_wav(set_, index, about, path)
                )
                rows.append(_row(set_, kind, index, path.name, at))
                step(path.name)
    write_file(out / "manifest.csv", _csv(rows))
    write_file(out / "rig.toml", rig.text)
    if to == "wav":
        standard_errors.write(out / standard_errors.FILE, errors)
    return written


MANIFEST_COLUMNS = (
    *("file", "set", "position", "mic", "driver", "azimuth_deg", "x", "y", "z", "yaw_deg", "use"),
    *("driver_x", "driver_y", "driver_z"),
)
"""Positions count from 1; metres and degrees."""


def _row(
    set_: ImpulseResponse, kind: str, index: Index, file: str, at: Mapping[str, tuple[float, float, float]]
) -> tuple[str, ...]:
    position, mic, driver = index
    p, who = set_.positions[position], set_.drivers[driver]
    places = (f"{float(p[k]):.9g}" for k in ("azimuth_deg", "x", "y", "z", "yaw_deg"))
    stands = (f"{v:.9g}" for v in at[who]) if who in at else ("", "", "")
    return (file, kind, str(position + 1), set_.mics[mic], who, *places, p["use"].decode(), *stands)


def _csv(rows: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write_frd(set_: ImpulseResponse, index: Index, grid: Grid, about: str, path: Path) -> Path:
    """Write one FRD file.

    Raises
    ------
    BadInput
        The folder cannot be written.
    """
    write_file(path, frd(set_, index, grid, about).encode("ascii", errors="replace"))
    return path


def write_wav(set_: ImpulseResponse, index: Index, about: str, path: Path) -> Path:
    """Write one response as a 32-bit float WAV file, from time zero on, in the unit of its set.

    The comment of a file in pascal for a full-scale sample begins with ``about``; those of others state that they are
    relative.

    Raises
    ------
    BadInput
        The folder cannot be written.
    """
    try:
        with replacing(path) as part:
            with soundfile.SoundFile(str(part), "w", set_.fs, channels=1, subtype="FLOAT", format="WAV") as file:
                file.comment = about if set_.unit == "Pa/FS" else f"level relative; {about}"
                file.write(set_.h[index][set_.zero :].astype(np.float32))
            without_clock(part)
    except soundfile.LibsndfileError as fault:
        raise BadInput(f"{path}: cannot be written: {fault}; choose another folder with --out") from fault
    return path


def _plain(text: str) -> str:
    """Safe as a file's name on every system."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", text)
