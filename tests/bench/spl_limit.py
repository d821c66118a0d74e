"""Largest levels at the measured places of a run, with the SPL limiter and without: ``spl_limit.py RUN ...``.

Through the processor for files and the session's own responses, over 125 ms, at volumes of 0 and 20 dB: a sweep on the
left side and on both, the tones at which left and centre are loudest at any place, music, and speech.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from sweetspot.calibrate.plant import programme_of
from sweetspot.measure.folder import session_file
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.session import Session
from sweetspot.processor import store
from sweetspot.processor.filterset import NO_DETECTORS, FilterSet, louder
from sweetspot.processor.render import render
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import P_REF, Float, db

GAINS_DB, SECONDS, FINE = (0.0, 20.0), 3.0, 1 << 15


def sounds_of(filters: FilterSet, ears: ImpulseResponse) -> dict[str, Float]:
    """Stereo signals ``(2, samples)`` of full scale, by name."""
    fs, t = filters.fs, np.arange(round(SECONDS * filters.fs)) / filters.fs
    octaves = np.log2(16000.0 / 50.0)
    sweep = np.sin(2.0 * np.pi * 50.0 * SECONDS / octaves / np.log(2.0) * (2.0 ** (octaves * t / SECONDS) - 1.0))
    sounds = {"sweep, left": np.stack([sweep, 0.0 * sweep]), "sweep, both": np.stack([sweep, sweep])}
    heard = fft.rfft(ears.h.reshape(-1, *ears.h.shape[2:]), FINE)
    for name, program in (("left", 0), ("centre", 2)):
        level = np.abs(np.einsum("mdf,df->mf", heard, fft.rfft(filters.taps[program], FINE))).max(axis=0)
        hz = float(np.argmax(level)) * fs / FINE
        tone = np.sin(2.0 * np.pi * hz * t) * (t > 0.2)
        sounds[f"tone, {name}, {hz:.0f} Hz"] = np.stack([tone, tone * program / 2.0])
    return sounds | {name: programme_of(name, fs) for name in ("music", "speech")}


def loudest_db(filters: FilterSet, x: Float, ears: ImpulseResponse) -> float:
    """Largest level over 125 ms at any place, dB SPL."""
    y = np.asarray(render(filters, x, filters.fs, dtype=np.float32), dtype=np.float64)
    n, size, most = fft.next_fast_len(y.shape[1] + ears.h.shape[-1], real=True), filters.fs // 8, 0.0
    played = fft.rfft(y, n)
    for h in ears.h.reshape(-1, *ears.h.shape[2:]):
        total = np.cumsum(np.pad(fft.irfft((played * fft.rfft(h, n)).sum(axis=0), n) ** 2, (1, 0)))
        most = max(most, float(np.max(total[size:] - total[:-size])) / size)
    return float(db(np.sqrt(most) / P_REF))


def main() -> None:
    """Print a table for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="+", help="a run folder with a session and filters")
    for run in parser.parse_args().run:
        filters = store.read(run)
        with Session.read(session_file(run)) as session:
            ears, limit = session.responses("ears"), session.rig().limits.loudest_db_spl
        print(f"{run.name}: limit {limit:g} dB SPL; level at {GAINS_DB[0]:g} and {GAINS_DB[1]:g} dB, without -> with")
        for name, x in sounds_of(filters, ears).items():
            row = []
            for gain in GAINS_DB:
                forms = (replace(filters, detectors=NO_DETECTORS), filters)
                row.append([loudest_db(louder(form, gain), x, ears) for form in forms])
            print(f"  {name:<24}" + "".join(f"   {without:6.1f} -> {held:5.1f}" for without, held in row), flush=True)


if __name__ == "__main__":
    main()
