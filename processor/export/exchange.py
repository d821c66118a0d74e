"""Filters for other tools: REW text, MATLAB, and SOFA (GeneralFIR), each with all programs."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sweetspot.processor.export.bundles import Bundle, description, notes, pair_name
from sweetspot.processor.export.options import Options
from sweetspot.processor.export.unguarded import bare_note
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.storage import sofa_library
from sweetspot.rigs.units import db

MAT, SOFA = "filters.mat", "filters.sofa"
BORN = "2000-01-01 00:00:00"
"""Constant date for files that need one, so that the same filters give the same bytes."""

MAT_HEADER = 116
"""Length of the free text at the start of a MATLAB 5 file, which usually has a date."""


def rew(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """Each filter as an impulse response and as a frequency response in text, in the layout that REW exports."""
    files = {"filterset.json": description(filterset)}
    for p in range(len(filterset.programs)):
        for d in range(len(filterset.drivers)):
            h = filterset.taps[p, d]
            files[pair_name(filterset, p, d, "txt")] = _impulse(h, filterset.fs).encode()
            files[pair_name(filterset, p, d, "frd")] = _response(h, filterset.fs).encode()
    lines = (
        notes(filterset)[0],
        bare_note(filterset),
        "*.txt are impulse responses (File > Import impulse response), *.frd frequency responses (File > Import "
        "measurement) in dB re full scale and degrees; the filters' own delay is in both.",
    )
    return Bundle(files, lines, "import the files in REW")


def mat(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """One file of MATLAB 5 format, which Octave and scipy read as well."""
    from scipy.io import savemat  # brings what a start does not wait for

    content = {
        "taps": filterset.taps,
        "fs": float(filterset.fs),
        "programs": np.array(filterset.programs, dtype=object),
        "drivers": np.array(filterset.drivers, dtype=object),
        "channels": np.array(filterset.channels, dtype=float),
        "delay_samples": float(filterset.delay_samples),
        "ceiling": filterset.ceiling,
        "headroom_db": filterset.headroom_db,
        "unit": filterset.unit_serial,
        "session_sha256": filterset.source,
        "upmix": asdict(filterset.upmix),
    }
    with tempfile.TemporaryDirectory() as folder:
        savemat(str(Path(folder) / MAT), content, do_compression=True)
        data = b"MATLAB 5.0 MAT-file, sweetspot".ljust(MAT_HEADER) + (Path(folder) / MAT).read_bytes()[MAT_HEADER:]
    lines = (
        notes(filterset)[0],
        bare_note(filterset),
        "taps(program, driver, tap), linear gain; upmix is a structure of the settings.",
    )
    return Bundle({MAT: data}, lines, f"load {MAT}")


def sofa(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """One file of the convention GeneralFIR: a measurement for each program, a receiver for each driver."""
    sofar = sofa_library()

    programs, drivers = filterset.taps.shape[:2]
    made: Any = sofar.Sofa("GeneralFIR")
    made.Data_IR, made.Data_SamplingRate = np.array(filterset.taps), float(filterset.fs)
    made.Data_Delay = np.zeros((1, drivers))
    made.SourcePosition, made.ReceiverPosition = np.zeros((programs, 3)), np.zeros((drivers, 3))
    made.GLOBAL_Title = f"sweetspot filters of unit {filterset.unit_serial}"
    made.GLOBAL_Comment = f"Measurements: {', '.join(filterset.programs)}. Receivers: {', '.join(filterset.drivers)}"
    made.GLOBAL_History = f"fitted to the session {filterset.source}"
    made.GLOBAL_DateCreated = made.GLOBAL_DateModified = BORN
    with tempfile.TemporaryDirectory() as folder:
        sofar.write_sofa(str(Path(folder) / SOFA), made)
        data = (Path(folder) / SOFA).read_bytes()
    lines = (
        notes(filterset)[0],
        bare_note(filterset),
        "Data.IR is (program, driver, tap); positions are zero: filters have none.",
    )
    return Bundle({SOFA: data}, lines, f"read {SOFA} with any AES69 reader")


def _impulse(h: Any, fs: int) -> str:
    peak = int(np.argmax(np.abs(h)))
    lines = [
        "* Impulse response data",
        f"{abs(float(h[peak])):.9g} // Peak value before normalisation",
        f"{peak} // Peak index",
        f"{len(h)} // Response length",
        f"{1.0 / fs:.16g} // Sample interval (seconds)",
        "0.0 // Start time (seconds)",
        "* Data start",
        *(f"{v:.9g}" for v in h),
    ]
    return "\n".join(lines) + "\n"


def _response(h: Any, fs: int) -> str:
    size = max(1024, 1 << (len(h) - 1).bit_length())
    spectrum = np.fft.rfft(h, size)[1:]
    f = np.arange(1, len(spectrum) + 1) * fs / size
    rows = zip(f, db(np.maximum(np.abs(spectrum), 1e-15)), np.degrees(np.angle(spectrum)), strict=True)
    return "\n".join(["* Freq(Hz) SPL(dB) Phase(degrees)", *(f"{a:.6f} {b:.4f} {c:.4f}" for a, b, c in rows)]) + "\n"
