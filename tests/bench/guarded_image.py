"""Whether images stay where they are while the guard works; exit code 1 if one moves by more than 2 degrees.

``python tests/bench/guarded_image.py DIR [--rigs desk,puck] [--music FILE]`` takes the newest run below
``DIR/<rig>/runs/SN-1`` for each rig and fits it with the default design. One source, music at full scale and more, is
panned to five places; what the ears hear of it is computed through upmix, filters and room, once with the guard and
once without. The ear model places both: over the whole programme, and in each stretch of :data:`STRETCH_S` in which the
guard takes at least :data:`WORKS_DB`. ``--music`` prints beside it what the guard takes of a dense recording.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from image_goals import RIGS, run_of
from scipy import fft, signal

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.auditory import PANS, EarModel, erb_bands, interaural_cues
from sweetspot.calibrate.auditory import arms as ways
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.auditory.levels import at_ears
from sweetspot.calibrate.auditory.localise import localise
from sweetspot.calibrate.design import Design
from sweetspot.calibrate.plant import corrected, programme_of
from sweetspot.measure.session import Session
from sweetspot.processor import render
from sweetspot.processor.dynamics import limited
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import Float, db, from_db

STRETCH_S, WORKS_DB, MOVES_DEG = 0.1, 3.0, 2.0
"""Length of a stretch, what the guard takes in it at least (mean), and by how much an image may move."""

SETTLED_S = 0.5
"""The upmix has found the source."""

LEVELS_DB = (0.0, 6.0)
"""Level of the source: full scale, and as far above as an equaliser ahead of the unit may bring it."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What the guard takes of a panned source, dB, and by how much its image moves, degrees."""

    pan: float
    level_db: float
    mean_db: float
    most_db: float
    whole_deg: float
    worst_deg: float
    stretches: int


def through_guard(filters: FilterSet, arm: ways.Arm, x: Float, position: int) -> tuple[Float, Float, Float]:
    """Ears without and with the guard ``(2, samples)``, and the guard's gain ``(samples,)``, of stereo ``x``."""
    made = render.upmixed(filters.upmix, filters.fs, x)
    size = fft.next_fast_len(made.shape[1] + filters.length - 1, real=True)
    W, X = fft.rfft(np.asarray(filters.taps, dtype=np.float64), size), fft.rfft(made, size)
    drivers = fft.irfft(np.einsum("cdf,cf->df", W, X), size)
    flight = max(round(float(arm.arrival[position]) * arm.fs) - filters.delay_samples, 0)
    heard = at_ears(arm, made, position)[:, flight:]
    n = min(heard.shape[1], drivers.shape[1])
    beside = np.concatenate([drivers[:, :n], heard[:, :n], np.ones((1, n))])
    held = limited(beside, np.array([filters.ceiling] * len(drivers) + [np.inf] * 3), filters.fs)
    assert np.max(np.abs(held[: len(drivers)])) <= filters.ceiling
    return heard[:, :n], held[-3:-1], held[-1]


def azimuth(model: EarModel, ears: Float, fs: int) -> float:
    """Where the ear model places signals ``(2, samples)``, degrees."""
    f = np.fft.rfftfreq(ears.shape[1], 1.0 / fs)
    used = f <= model.templates.f[-1]
    bands = erb_bands(f[used])
    spectra = np.fft.rfft(ears, axis=-1)[:, used]
    return float(np.degrees(localise(interaural_cues(spectra, bands, 1600.0), model.known, bands).azimuth))


def panned(filters: FilterSet, arm: ways.Arm, model: EarModel, position: int, level_db: float) -> list[Moved]:
    """Figures of every pan."""
    fs, found = filters.fs, []
    source = programme_of("music", fs).sum(axis=0)
    source = source / np.max(np.abs(source)) * from_db(level_db)
    piece, begin = round(STRETCH_S * fs), round(SETTLED_S * fs)
    window = signal.windows.hann(piece)
    for pan, gains in zip(PANS, ways.pan_gains(), strict=True):
        free, held, gain = (v[..., begin:] for v in through_guard(filters, arm, gains[:, None] * source, position))
        taken = -db(np.maximum(gain, 1e-9))
        moves = []
        for start in range(0, free.shape[1] - piece, piece):
            part = slice(start, start + piece)
            if taken[part].mean() >= WORKS_DB:
                moves.append(
                    abs(azimuth(model, held[:, part] * window, fs) - azimuth(model, free[:, part] * window, fs))
                )
        whole = abs(azimuth(model, held, fs) - azimuth(model, free, fs))
        worst = max(moves, default=0.0)
        found.append(Moved(pan, level_db, taken.mean(), taken.max(), whole, worst, len(moves)))
    return found


def recording(filters: FilterSet, arm: ways.Arm, path: Path, position: int) -> str:
    """What the guard takes of a file."""
    x, rate = soundfile.read(path, always_2d=True)
    x = signal.resample_poly(x[:, :2].T, filters.fs, rate, axis=-1)
    taken = -db(np.maximum(through_guard(filters, arm, x / np.max(np.abs(x)), position)[2], 1e-9))
    over = 100.0 * np.mean(taken > 6.0)
    return (
        f"    {path.name}: the guard takes {taken.mean():.1f} dB (mean), {taken.max():.1f} dB (most), over 6 dB "
        f"{over:.1f} % of the time"
    )


def main() -> int:
    """Print a line for each rig, pan and level; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder with <rig>/runs/SN-1/<run>")
    parser.add_argument("--rigs", default=",".join(RIGS))
    parser.add_argument("--music", type=Path)
    args = parser.parse_args()
    most = 0.0
    for name in args.rigs.split(","):
        run = run_of(name, args.runs)
        made = steps.fitted(run, Design())
        with Session.read(run / "session.h5") as session:
            rig, ears = session.rig(), session.responses("ears")
        scored = auditory.scored(corrected(ears, made.ears.gains) if made.ears else ears)
        arm, model = ways.calibrated(scored, made.filters), auditory.model_of(rig)
        position = int(
            np.argmin(np.hypot(scored.positions["x"] - np.median(scored.positions["x"]), scored.positions["y"]))
        )
        print(f"{name}: pan, level; taken mean / most, dB; image moves over the whole / in the worst stretch, degrees")
        for level_db in LEVELS_DB:
            for m in panned(made.filters, arm, model, position, level_db):
                most = max(most, m.whole_deg, m.worst_deg)
                print(
                    f"    {m.pan:+4.1f} {m.level_db:+3.0f} dB   {m.mean_db:4.1f} / {m.most_db:4.1f}   "
                    f"{m.whole_deg:4.1f} / {m.worst_deg:4.1f} (of {m.stretches})",
                    flush=True,
                )
        if args.music:
            print(recording(made.filters, arm, args.music, position), flush=True)
    print(f"Images move by at most {most:.1f} degrees; {MOVES_DEG:g} are allowed.")
    return 1 if most > MOVES_DEG else 0


if __name__ == "__main__":
    sys.exit(main())
