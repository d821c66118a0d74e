"""A production line of virtual units: good ones and each fault, verdicts and diagnoses as a confusion table.

    python tests/bench/production.py [--units 200] [--smallest]

Every unit has tolerances of its own (0.5 dB, 3 % in corners, 3 degrees at 1 kHz), is measured with noise in true
responses of the lab, fitted, and verified with fresh noise and a head that was put back within a millimetre and half a
degree; as in the product, a grey unit is heard once more. Then each fault is put in by itself, each verified with noise
of its own. Exit code 1 when a bad unit passes, more than one of 200 good ones fails, a cause is named wrongly in more
than 5 %, or predicted and heard agree within their stated uncertainty in fewer than 95 % of third-octave cells.
``--smallest`` also looks for the smallest fault still found.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections import Counter
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np

from sweetspot.calibrate.design import Design, Limits
from sweetspot.calibrate.filters.unit_filters import fit
from sweetspot.calibrate.plant import Fitted, share_of
from sweetspot.calibrate.plant.errors import MeasurementError
from sweetspot.calibrate.plant.measured_set import MeasuredSet
from sweetspot.calibrate.verify import figures, verification
from sweetspot.calibrate.verify.diagnose import causes as diagnosis
from sweetspot.calibrate.verify.diagnose import residual
from sweetspot.measure import plan
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.load import find
from sweetspot.rigs.rig_file.description import Description, read
from sweetspot.rigs.units import from_db

SNR_DB, TAPS, STEP_DEG = 50.0, 2048, 15.0
LIMITS = Limits(repeatability=0.04)
"""The product's own, and how well the rig meets a head again, dB: found with units 900 to 903, which are not scored, as
the least with which 95 % of cells agree."""

FAULTS = {
    "good": ("",),
    "driver 2 dB low": ("driver level",),
    "polarity inverted": ("polarity",),
    "one sample late": ("driver delay",),
    "two drivers swapped": ("drivers swapped",),
    "filters of another unit": ("other filter set",),
    "left-right swap": ("left-right swap",),
    "dead driver": ("dead driver",),
    "bypassed processor": ("bypassed",),
    "head 8 cm off": ("head moved",),
}


def rig_of() -> Description:
    """The ready-made desk with a coarser polar set: what is judged there is one figure."""
    rig = read(find("desk"))
    assert rig.polar is not None
    tolerant = rig.lab.model_copy(update={"tolerance_deg": 3.0})
    return rig.model_copy(update={"polar": rig.polar.model_copy(update={"step_deg": STEP_DEG}), "lab": tolerant})


class Unit:
    """One unit: its world, its measured sets, its filters."""

    def __init__(self, number: int, rig: Description) -> None:
        self.rig, self.world = rig, World(rig, f"P-{number:04d}")
        self.rng = np.random.default_rng([7, number])
        self.ears = self.measured("ears", self.true_ears(0.0, 0.0))
        self.around = self.true_polar()
        self.polar = self.measured("polar", self.around)
        self.fitted = fit(self.ears, self.polar, rig, Design(), serial=self.world.serial, source="0" * 64)
        self.again = self.true_ears(0.001, np.radians(0.5), use=("score",))

    def true_ears(
        self, off: float, turned: float, shift: tuple[float, float] = (0.0, 0.0), use: tuple[str, ...] = ()
    ) -> np.ndarray:
        """True paths ``(position, ear, driver, f)`` with the head within ``off`` m and ``turned`` rad of its places."""
        assert self.rig.ears is not None
        out = []
        for place in self.rig.ears.positions:
            if use and place.use not in use:
                continue
            dx, dy, dyaw = self.rng.uniform(-1.0, 1.0, 3) * (off, off, turned)
            pose = Pose(x=place.pose.x + dx + shift[0], y=place.pose.y + dy + shift[1], yaw=place.pose.yaw + dyaw)
            out.append(self.world.at_ears(pose))
        return np.array(out)

    def true_polar(self) -> np.ndarray:
        assert self.rig.polar is not None
        return np.array([[self.world.at_microphone(-float(a))] for a in self.rig.polar.angles])

    def measured(self, name: str, h: np.ndarray) -> MeasuredSet:
        """A set as a session would hold it, with what it knows of its errors."""
        assert self.rig.ears is not None
        rows = [row for _, row in plan.places(self.rig, "ears" if name == "ears" else "polar")]
        mics = ("ear_left", "ear_right") if name == "ears" else ("polar",)
        return self.noisy(h, np.array(rows, dtype=POSITION), mics, self.rig.driver_names)

    def noisy(self, h: np.ndarray, rows: np.ndarray, mics: tuple[str, ...], names: tuple[str, ...]) -> MeasuredSet:
        x = np.fft.irfft(h, self.world.taps, axis=-1)[..., :TAPS]
        noise = np.sqrt(np.mean(x**2)) * float(from_db(-SNR_DB)) * np.sqrt(TAPS / 400.0)
        x = x + noise * self.rng.standard_normal(x.shape)
        snr = np.full(x.shape[:3], SNR_DB)
        stderr = np.full((*x.shape[:3], TAPS // 2 + 1), noise * np.sqrt(TAPS))
        ir = ImpulseResponse(x, self.rig.fs, rows, mics, names, 0, "Pa/FS", snr, (60.0, 20000.0))
        return MeasuredSet(ir, MeasurementError(stderr, 0.0))

    def heard(self, h: np.ndarray, w: np.ndarray, polar: np.ndarray) -> tuple[MeasuredSet, MeasuredSet]:
        """What verification records through filters ``w (stimulus, driver, f)``."""
        score = self.ears.ir.positions["use"] == b"score"
        ears = np.einsum("pedf,sdf->pesf", h, w, optimize=True)
        around = np.einsum("pedf,df->pef", polar, w[2])[:, :, None]
        at_ears = self.noisy(ears, self.ears.ir.positions[score], ("ear_left", "ear_right"), ("left", "right", "both"))
        return at_ears, self.noisy(around, self.polar.ir.positions, ("polar",), ("both",))


def filters_on(unit: Unit, fitted: Fitted) -> np.ndarray:
    share = share_of(fitted.filters)
    return residual.stimuli(np.asarray(fitted.filters.response(unit.world.f), dtype=complex), share)


def broken(unit: Unit, other: Unit, fault: str, size: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paths at the ears, filters and polar paths of a unit with a fault; ``size`` scales those that have one."""
    w, f, rng = filters_on(unit, unit.fitted), unit.world.f, unit.rng
    driver, second = rng.choice(w.shape[1], 2, replace=False)
    shift = (0.0, 0.0)
    match fault:
        case "driver 2 dB low":
            w[:, driver] *= float(from_db(-2.0 * size))
        case "polarity inverted":
            w[:, driver] *= -1.0
        case "one sample late":
            w[:, driver] *= np.exp(-2j * np.pi * f * size / unit.rig.fs)
        case "two drivers swapped":
            w[:, [driver, second]] = w[:, [second, driver]]
        case "filters of another unit":
            w = filters_on(unit, other.fitted)
        case "left-right swap":
            w = w[[1, 0, 2]]
        case "dead driver":
            w[:, driver] = 0.0
        case "bypassed processor":
            level = np.sqrt(np.mean(np.abs(w) ** 2))
            w = np.zeros_like(w)
            w[0, 0], w[1, 1] = level, level
            w[2, 0], w[2, 1] = level, level
        case "head 8 cm off":
            angle = rng.uniform(0.0, 2.0 * np.pi)
            shift = (0.08 * size * float(np.cos(angle)), 0.08 * size * float(np.sin(angle)))
    if shift == (0.0, 0.0):
        return unit.again, w, unit.around
    return unit.true_ears(0.001, np.radians(0.5), shift, use=("score",)), w, unit.around


def verdict_of(unit: Unit, other: Unit, fault: str, size: float = 1.0) -> tuple[str, figures.Agreement]:
    """Pass, grey, or the cause that is named; and whether predicted and heard agree within their uncertainty."""
    h, w, polar = broken(unit, other, fault, size)
    for _ in range(1 + int(LIMITS.repeats)):
        ears, around = unit.heard(h, w, polar)
        judged = verification.judge(ears, around, unit.ears, unit.fitted.prediction, unit.fitted.filters, LIMITS)
        if judged.verdict != "grey":
            break
    assert judged.agreement is not None
    if judged.verdict != "fail":
        return judged.verdict, judged.agreement
    made, share = unit.fitted.filters, share_of(unit.fitted.filters)
    apart = residual.of(unit.ears.ir.used_for("score"), ears.ir, made, share, end=unit.fitted.prediction.whole.end)
    others = {"another": residual.stimuli(
        np.asarray(other.fitted.filters.response(apart.f), dtype=complex), share_of(other.fitted.filters)
    )}  # fmt: skip
    at = np.array([d.at for d in unit.rig.driver])
    assert unit.rig.ears is not None
    return diagnosis.causes(apart, made.drivers, at, unit.rig.ears.distance_m, others)[0].name, judged.agreement


@lru_cache(maxsize=2)
def made(number: int) -> Unit:
    """A unit by its number, kept for its neighbour to borrow the filters of."""
    return Unit(number, rig_of())


def one(number: int) -> list[tuple[str, str, figures.Agreement]]:
    """A unit through every fault."""
    gc.collect()  # worlds hold caches that hold them
    unit, other = made(number), made(number + 1)
    return [(fault, *verdict_of(unit, other, fault)) for fault in FAULTS]


def smallest(number: int) -> dict[str, float]:
    """Sizes at which faults of one unit are still found, from large to small."""
    unit, other = made(number), made(number + 1)
    out = {}
    for fault, unit_of in (("driver 2 dB low", 2.0), ("one sample late", 1.0), ("head 8 cm off", 8.0)):
        sizes = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08)
        found = [s for s in sizes if verdict_of(unit, other, fault, s)[0] != "pass"]
        out[fault] = min(found, default=np.inf) * unit_of
    return out


def main() -> int:
    """Print the tables; 1 when a figure is missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--units", type=int, default=20)
    arguments.add_argument("--smallest", action="store_true")
    args = arguments.parse_args()
    named: dict[str, Counter[str]] = {fault: Counter() for fault in FAULTS}
    cells: list[figures.Agreement] = []
    with get_context("spawn").Pool(2) as pool:
        for rows in pool.imap_unordered(one, range(args.units), chunksize=10):
            for fault, outcome, agreement in rows:
                named[fault][outcome] += 1
                cells += [agreement] if fault == "good" else []
        sizes = pool.map(smallest, range(min(args.units, 20))) if args.smallest else []
    outcomes = ("pass", "grey")
    columns = [*outcomes, *sorted({c for counter in named.values() for c in counter} - set(outcomes))]
    print(f"{'':26}" + " ".join(f"{c[:12]:>12}" for c in columns))
    for fault, counter in named.items():
        print(f"{fault:26}" + " ".join(f"{counter[c] or '.':>12}" for c in columns))
    agree = sum(a.share * a.cells for a in cells) / sum(a.cells for a in cells)
    print(f"good units, cells that agree within {LIMITS.coverage:g} standard uncertainties: {agree:.1%}")
    for fault in sizes[0] if sizes else ():
        found = [s[fault] for s in sizes]
        print(f"smallest not passed, {fault}: median {np.median(found):.2f}, in all units {max(found):.2f}")
    right = {f: sum(named[f][c] for c in causes) / args.units for f, causes in FAULTS.items() if f != "good"}
    grey = named["good"]["grey"]
    lost = args.units - named["good"]["pass"] - grey
    passed = {f: named[f]["pass"] for f in right if named[f]["pass"]}
    print(f"good units failed: {lost}, left grey: {grey}; bad units passed: {passed or 0}; named rightly: "
          + ", ".join(f"{f} {100 * r:.0f} %" for f, r in right.items()))  # fmt: skip
    short = lost > max(1, args.units // 200) or min(right.values()) < 0.95 or agree < 0.95
    return 1 if passed or short else 0


if __name__ == "__main__":
    sys.exit(main())
