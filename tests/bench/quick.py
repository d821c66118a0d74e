"""What one capture a unit is worth: cancellation of golden, quick and full filters at unseen heads, and the intervals.

    python tests/bench/quick.py [FLEET] [--units 4] [--learned 1,5] [--rig line]

Measures a fleet in the lab, units to learn from and units that no model saw, about half a minute each; FLEET keeps it,
as FLEET/learned and FLEET/unseen, and what is there is not measured again. Mean and 10th percentile of cells between
800 Hz and 6.3 kHz, mean of the units; coverage is the share of third-octave cells, from 200 Hz to 8 kHz, whose heard
cancellation lies within the predicted 90 %. Exit code 1 when quick filters are more than 0.5 dB (mean) or 1 dB (10th
percentile) below full ones in the median unit, a unit is refused, or coverage is below 85 % (80 % for a single unit).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sweetspot.calibrate.design import Design
from sweetspot.calibrate.filters import Fitted, fit
from sweetspot.calibrate.plant import MeasuredSet, MeasurementError
from sweetspot.calibrate.plant import errors as errors_
from sweetspot.calibrate.predict import metrics, uncertainty
from sweetspot.calibrate.predict import prediction as predict
from sweetspot.calibrate.quick import GoldenModel, MeasuredUnit
from sweetspot.calibrate.quick import run as quick
from sweetspot.calibrate.verify import comparison
from sweetspot.measure import folder, plan
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.monitor import plan_at_once
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session, without_raw
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.rig_file import Description, read

LEAST, LEAST_OF_ONE = 0.85, 0.80
MEAN_DB, P10_DB = 0.5, 1.0
Pair = tuple[ImpulseResponse, MeasurementError]


def measured(place: Path, rig: Description, prefix: str, count: int) -> list[Path]:
    """Runs of ``count`` units, measured fully where they are not there yet."""
    known = quick.runs_below(place) if list(place.glob("**/session.h5")) else []
    for i in range(len(known), count):
        serial = f"{prefix}-{i:03d}"
        run = folder.new(place, serial, rig, datetime.now(UTC))
        with open_rig(rig, serial=serial) as lab:
            for shots in (plan_at_once(rig, "monitor"), *(plan.make(rig, name) for name in plan.SETS)):
                with Session.resume(run / "session.h5") as session:
                    measure(lab, session, shots, ask=lambda move: None, step=lambda note: None)
        without_raw(run / "session.h5", "none")
        known.append(run)
        print(f"measured {serial}", flush=True)
    return known[:count]


def fitted(ears: Pair, polar: Pair, rig: Description) -> Fitted:
    """Filters of the default design."""
    return fit(MeasuredSet(*ears), MeasuredSet(*polar), rig, Design(), serial="", source="")


def own(unit: MeasuredUnit, name: str) -> Pair:
    """A set as it was measured."""
    return unit.sets[name], unit.errors[name]


def heard(filters: Fitted, ears: ImpulseResponse) -> np.ndarray:
    """Cancellation ``(position, side, third octave)`` of filters at a unit's unseen heads."""
    known = filters.prediction
    assert known.whole is not None
    programs = predict.programs(ears.used_for("score"), filters.filters, known.whole.gate)
    return metrics.cancellation_db(metrics.unvirtualized(programs, known.far_ear), known.f)


def covered(filters: Fitted, ears: Pair, cells: np.ndarray) -> float:
    """Share of heard cells within the predicted 90 %."""
    known = filters.prediction
    assert known.whole is not None
    sound = comparison.forecast(known, filters.filters, MeasuredSet(*ears))
    found = uncertainty.cancellation(uncertainty.bare(sound, known.far_ear), known.f, known.whole.gate.seconds)
    low, high = uncertainty.interval(found.db, found.u)
    return float(np.mean((cells >= low) & (cells <= high)))


def estimated(model: GoldenModel, unit: MeasuredUnit) -> dict[str, Pair] | None:
    """Ears and polar set from a unit's monitor capture; nothing when it is refused."""
    found = quick.estimate(model, "0" * 64, *own(unit, "monitor"))
    if not found.accepted:
        return None
    sets = {}
    for name in ("ears", "polar"):
        ir, stderr, relative = quick.responses(found, name)
        sets[name] = ir, MeasurementError(stderr, errors_.on_grid(relative, ir.fs, ir.h.shape[-1]))
    return sets


def scores(cells: list[np.ndarray]) -> np.ndarray:
    """Mean and 10th percentile ``(unit, 2)``."""
    return np.array([[s.mean, s.p10] for s in map(metrics.scored, cells)])


def row(what: str, found: np.ndarray, coverage: str, units: int) -> None:
    print(f"| {what} | {found[:, 0].mean():.1f} / {found[:, 1].mean():.1f} | {coverage} | {units} |", flush=True)


def main() -> int:
    ask = argparse.ArgumentParser()
    ask.add_argument("fleet", nargs="?", type=Path)
    ask.add_argument("--units", type=int, default=4)
    ask.add_argument("--learned", default="1,5")
    ask.add_argument("--rig", default="line")
    given = ask.parse_args()
    counts = [int(n) for n in given.learned.split(",")]
    rig = read(find(given.rig))
    with tempfile.TemporaryDirectory() as made:
        place = given.fleet or Path(made)
        taught = measured(place / "learned", rig, "L", max(counts))
        units = [quick.measured_unit(r) for r in measured(place / "unseen", rig, "T", given.units)]
        return compared(taught, units, counts, rig)


def compared(taught: list[Path], units: list[MeasuredUnit], counts: list[int], rig: Description) -> int:
    """Print the table."""
    first = quick.measured_unit(taught[0])
    golden = fitted(own(first, "ears"), own(first, "polar"), rig)
    print("| filters | mean / p10, dB | cells in 90 % | units |\n|---|---|---|---|")
    row("golden unit's", scores([heard(golden, u.sets["ears"]) for u in units]), "", len(units))
    full = [fitted(own(u, "ears"), own(u, "polar"), rig) for u in units]
    best = scores([heard(m, u.sets["ears"]) for m, u in zip(full, units, strict=True)])
    short = False
    for n in counts:
        model, _ = quick.learned(taught[:n])
        cells, shares, kept = [], [], []
        for i, u in enumerate(units):
            if (sets := estimated(model, u)) is None:
                continue
            mine = fitted(sets["ears"], sets["polar"], rig)
            cells.append(heard(mine, u.sets["ears"]))
            shares.append(covered(mine, sets["ears"], cells[-1]))
            kept.append(i)
        if not kept:
            print(f"every unit was refused by the model of {n}")
            return 1
        found = scores(cells)
        row(f"one capture, {n} learned", found, f"{100 * np.mean(shares):.0f} %", len(kept))
        behind = np.median(best[kept] - found, axis=0)
        least = LEAST_OF_ONE if n == 1 else LEAST
        short |= bool(np.mean(shares) < least or behind[0] > MEAN_DB or behind[1] > P10_DB or len(kept) < len(units))
    row("full session", best, "", len(units))
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
