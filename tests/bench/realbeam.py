"""A real loudspeaker's polar set drives a beam of four cabinets; scored at angles that were not fitted.

    python tests/bench/realbeam.py [--data FOLDER]

The set (one loudspeaker, 14 angles over half a circle, in a room, gated) allows a beam of several such cabinets at low
frequencies, where they can be placed densely enough; not a head, and not a unit whose drivers share one body. Exit code
1 where contrast maximisation without limit, the front row in phase or one cabinet beats ours at the sides by more than
0.3 dB over 100 to 400 Hz, in the mean or in the 10th percentile over drifts; 2 where FOLDER is not there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from sweetspot.calibrate.design import BeamDesign
from sweetspot.calibrate.filters.beam import beamform
from sweetspot.rigs.units import power_db

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TIE_DB = 0.3
OURS = "sweetspot"
POLAR_GATE_S = 0.015
MEASURED = (0, 5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 120, 150, 180)
"""Angles of the loudspeaker's set, degrees."""
CABINETS = ((0.2, 0.0, True), (0.2, 0.42, True), (0.2, -0.42, True), (-0.2, 0.0, False))
"""Where the fronts of the cabinets are, m ahead and to the left, and whether they face ahead."""
DEGREES = np.array([0, 30, -30, 60, -60, 80, -80, 100, -100, 120, -120, 150, -150, 180])
"""Directions that both kinds of cabinets were measured in."""
FOLDS = (((0, 30, 80, 120, 180), 100, (150,)), ((0, 30, 60, 100, 150), 80, (120, 180)))
"""Angles that are fitted; angle of the sides and angles of the rear that are scored."""
BEAM = BeamDesign(target_db=((40.0, 0.0), (70.0, 35.0), (400.0, 35.0), (600.0, 0.0)))
BEAM_BANDS, STEERED = ((100.0, 200.0), (200.0, 400.0), (400.0, 800.0)), 2
"""The array steers in the first two; above, the front cabinet takes over."""


def beams(path: Path) -> list[str]:
    """Print both folds; what was missed.

    With cabinets that face ahead or straight back every direction of each is a measured one; nothing is interpolated.
    The set has one half of the circle, the other is taken to be its mirror. Half of the angles are fitted and the
    others scored, then the other way round.
    """
    f, h = cabinets(path)
    print(
        "\nNS15, four cabinets as a beam: on axis over one angle a side, and over the rear, that were not fitted; mean"
    )
    print("and 10th percentile over 40 drifts of 0.5 dB (level and phase) of each cabinet; E effort re one cabinet; dB")
    found: dict[str, list[np.ndarray]] = {}
    for fitted, side, rear in FOLDS:
        print(f"fitted at {fitted}, scored at +-{side} and {rear} degrees")
        print(f"{'':20}" + "".join(f"{f'{a:g}-{b:g} Hz':<32}" for a, b in BEAM_BANDS))
        for name, w in beam_designs(h, f, np.isin(np.abs(DEGREES), fitted)).items():
            cells = scored_beam(w, h, f, np.isin(np.abs(DEGREES), side), np.isin(np.abs(DEGREES), rear))
            print(f"{name:20}" + "".join("{:5.1f}/{:5.1f}  {:5.1f}/{:5.1f} E{:+4.0f}     ".format(*c) for c in cells))
            found.setdefault(name, []).append(np.mean(cells[:STEERED], axis=0)[:2])
    mean = {name: np.mean(v, axis=0) for name, v in found.items()}
    best = max((n for n in mean if n != OURS), key=lambda n: mean[n][1])
    lead = mean[OURS] - mean[best]
    print(f"   {OURS} at the sides, 100 to 400 Hz: mean {lead[0]:+.1f}, p10 {lead[1]:+.1f} dB re {best}")
    return [f"NS15: {best} is {-v:.1f} dB above ours" for v in lead if v < -TIE_DB]


def cabinets(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies, and responses ``(cabinet, direction, frequency)`` gated before the room's first reflection."""
    rows = np.loadtxt(path, delimiter=";")
    t = rows[:, 0] / 44100.0
    window = np.where(t < 0, 1.0, np.sin(0.5 * np.pi * np.clip((POLAR_GATE_S - t) / (0.5 * POLAR_GATE_S), 0, 1)) ** 2)
    f = np.fft.rfftfreq(8192, 1.0 / 44100.0)
    at = dict(zip(MEASURED, np.fft.rfft(rows[:, 1:].T * window, 8192), strict=True))
    k, around = 2.0 * np.pi * f / 343.0, np.radians(DEGREES)
    h = [
        [at[abs(a) if ahead else 180 - abs(a)] * np.exp(1j * k * (x * np.cos(r) + y * np.sin(r)))
         for a, r in zip(DEGREES, around, strict=True)]
        for x, y, ahead in CABINETS
    ]  # fmt: skip
    return f, np.array(h)


def beam_designs(h: np.ndarray, f: np.ndarray, fitted: np.ndarray) -> dict[str, np.ndarray]:
    """Weights ``(frequency, cabinet)`` of every design; contrast maximisation has the same weights of directions."""
    some, around, count = h[:, fitted], np.radians(DEGREES[fitted]), len(h)
    ahead = np.moveaxis(h[:, 0], 1, 0)
    wanted = h[:3, 0].sum(axis=0)
    ours = beamform.solve(beamform.ring(some, around, BEAM), f, np.ones((len(f), count)), BEAM, wanted).w
    x, (_, off) = np.moveaxis(some, 2, 0), beamform.directions(around, BEAM)
    quiet = np.einsum("fmi,fni,i->fmn", x.conj(), x, off)
    quiet += 1e-9 * np.trace(quiet, axis1=1, axis2=2).real[:, None, None] * np.eye(count)
    contrast = np.linalg.solve(quiet, ahead.conj()[:, :, None])[:, :, 0]
    contrast *= (wanted / np.einsum("fm,fm->f", ahead, contrast))[:, None]
    alone, front = np.zeros((2, len(f), count), dtype=complex)
    alone[:, 0], front[:, :3] = 1.0, 1.0
    return {OURS: ours, "contrast, no limit": contrast, "front row": front, "one cabinet": alone}


def scored_beam(w: np.ndarray, h: np.ndarray, f: np.ndarray, side: np.ndarray, rear: np.ndarray) -> np.ndarray:
    """``(band, 5)``: mean and 10th percentile over the sides, the same over the rear, effort; dB."""
    rng = np.random.default_rng(4)
    drift = 10 ** (rng.normal(0, 0.5, (40, len(h))) / 20) * np.exp(1j * rng.normal(0, 0.5 / 8.686, (40, len(h))))
    power = np.abs(np.einsum("sd,dif,fd->sif", drift, h, w)) ** 2
    spent = np.sum(np.abs(w) ** 2, axis=1) * np.abs(h[0, 0]) ** 2 / np.abs(np.einsum("df,fd->f", h[:, 0], w)) ** 2
    cells = []
    for low, high in BEAM_BANDS:
        m = (f >= low) & (f < high)
        on = power[:, 0, m].mean(axis=1)
        over = [power_db(on / power[:, a][..., m].mean(axis=(1, 2))) for a in (side, rear)]
        cells.append([*(v for o in over for v in (o.mean(), np.percentile(o, 10))), power_db(spent[m].mean())])
    return np.array(cells)


def main() -> int:
    """Print the table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of measured data (polar)")
    path = parser.parse_args().data / "polar/NS15_02a.txt"
    if not path.is_file():
        print(f"{path}: no such polar set; give the folder of measured data with --data")
        return 2
    short = beams(path)
    print("\n" + ("\n".join(short) or "Ours is not beaten at angles that were not fitted."))
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
