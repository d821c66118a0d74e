"""What one capture a unit is worth: cancellation, beam and intervals of golden, quick and full filters at unseen heads.

    python tests/bench/quick.py [FLEET] [--units 4] [--learned 1,5] [--mics 4] [--snr 60] [--fresh V] [--measured]

Virtual units (``virtual_fleet.py``, two seconds each), some to learn from and some that no model saw; FLEET keeps them.
``--fresh`` names the unseen ones: another prefix gives serials that nothing was tuned on. ``--measured`` measures every
unit fully instead, half a minute each. Mean and 10th percentile of cells between 800 Hz and 6.3 kHz, mean of the units;
beam is the centre's level ahead over that at its nulls,
400 Hz to 1.6 kHz; coverage is the share of third-octave cells, from 200 Hz to 8 kHz, whose
cancellation lies within the predicted 90 %. Exit code 1 when quick filters are more than 0.5 dB (mean) or 1 dB (10th
percentile) below full ones in the median unit, more than 1 in 200 units are refused, or coverage is below 85 %.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import virtual_fleet

from sweetspot.calibrate.design import Design
from sweetspot.calibrate.filters import fit
from sweetspot.calibrate.plant import (
    CONTRAST_BAND,
    NULLS,
    Fitted,
    MeasuredSet,
    MeasurementError,
    frequencies,
    grid,
    metrics,
    transform,
    uncertainty,
)
from sweetspot.calibrate.plant import errors as errors_
from sweetspot.calibrate.plant import prediction as predict
from sweetspot.calibrate.quick import GoldenModel, MeasuredUnit, learn
from sweetspot.calibrate.quick import run as quick
from sweetspot.calibrate.verify import comparison
from sweetspot.measure import folder, plan
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.monitor import plan_at_once
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session, without_raw
from sweetspot.measure.smooth import THIRD_OCTAVES
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.rig_file import Description, read

LEAST, REFUSED = 0.85, 1.0 / 200.0
QUIET_DB = 160.0
"""SNR of what is heard: the figures themselves, without the noise of hearing them."""
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


def virtual(place: Path, rig: Description, prefix: str, count: int, snr_db: float) -> list[MeasuredUnit]:
    """Virtual units, with noise of their own."""
    names = [f"{prefix}-{i:03d}" for i in range(count)]
    seeds = [sum(map(ord, n)) * 1000 + i for i, n in enumerate(names)]
    return [
        virtual_fleet.unit(rig, n, virtual_fleet.kept(place, rig, n), snr_db, s)
        for n, s in zip(names, seeds, strict=True)
    ]


def contrast(filters: Fitted, polar: ImpulseResponse) -> float:
    """The centre's level ahead over that at the nulls, mean of third octaves, dB."""
    f = frequencies(polar.fs)
    around = transform(polar.h, grid(polar.fs), polar.zero)[:, 0]
    w = np.asarray(filters.filters.response(f), dtype=np.complex128)[2]
    heard = np.einsum("adf,df->af", around, w)
    azimuths = np.radians(polar.positions["azimuth_deg"])
    each = metrics.contrast_db(heard, azimuths, f, NULLS, 0.0)
    inside = (CONTRAST_BAND[0] <= THIRD_OCTAVES) & (CONTRAST_BAND[1] >= THIRD_OCTAVES)
    return float(np.mean(each[inside]))


def estimated(model: GoldenModel, unit: MeasuredUnit, mics: tuple[str, ...] | None) -> dict[str, Pair] | None:
    """Ears and polar set from a unit's monitor capture; nothing when it is refused."""
    found = quick.estimate(model, "0" * 64, *own(unit, "monitor"), mics)
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


def row(what: str, found: np.ndarray, beam: list[float], more: str) -> None:
    print(
        f"| {what} | {found[:, 0].mean():.1f} / {found[:, 1].mean():.1f} | {np.mean(beam):.1f} | {more} |", flush=True
    )


def main() -> int:
    ask = argparse.ArgumentParser()
    ask.add_argument("fleet", nargs="?", type=Path)
    ask.add_argument("--units", type=int, default=4)
    ask.add_argument("--learned", default="1,5")
    ask.add_argument("--mics", default="", help="numbers of monitors, such as 1,2,3,4; all if not given")
    ask.add_argument("--rig", default="line")
    ask.add_argument("--snr", type=float, default=60.0)
    ask.add_argument("--fresh", default="T", help="prefix of the unseen serials")
    ask.add_argument("--measured", action="store_true")
    given = ask.parse_args()
    counts = [int(n) for n in given.learned.split(",")]
    rig = read(find(given.rig))
    monitors = tuple(m.name for m in rig.monitor_mics)
    picked = [monitors[: int(n)] for n in given.mics.split(",") if n] or [monitors]
    with tempfile.TemporaryDirectory() as made:
        place = given.fleet or Path(made)
        if given.measured:
            taught = [quick.measured_unit(r) for r in measured(place / "learned", rig, "L", max(counts))]
            units = [quick.measured_unit(r) for r in measured(place / "unseen", rig, given.fresh, given.units)]
            truth = units
        else:
            taught = virtual(place, rig, "L", max(counts), given.snr)
            units, truth = (virtual(place, rig, given.fresh, given.units, s) for s in (given.snr, QUIET_DB))
        return compared(taught, units, truth, [(n, mics) for n in counts for mics in picked], rig)


def compared(
    taught: list[MeasuredUnit],
    units: list[MeasuredUnit],
    truth: list[MeasuredUnit],
    wanted: list[tuple[int, tuple[str, ...]]],
    rig: Description,
) -> int:
    """Print the table; what is heard comes from ``truth``."""

    def both(each: list[Fitted], which: list[int]) -> tuple[np.ndarray, list[float]]:
        cells = [heard(m, truth[i].sets["ears"]) for m, i in zip(each, which, strict=True)]
        return scores(cells), [contrast(m, truth[i].sets["polar"]) for m, i in zip(each, which, strict=True)]

    everyone = list(range(len(units)))
    golden = fitted(own(taught[0], "ears"), own(taught[0], "polar"), rig)
    print("| filters | cancellation, mean / p10, dB | beam, dB | cells in 90 % | behind full, median unit | refused |")
    print("|---|---|---|---|---|---|")
    row("golden unit's", *both([golden] * len(units), everyone), "| |")
    best, beams = both([fitted(own(u, "ears"), own(u, "polar"), rig) for u in units], everyone)
    row("full session", best, beams, "| |")
    short = False
    for n, mics in wanted:
        model = learn(taught[:n], rig)
        made, shares, kept = [], [], []
        for i, u in enumerate(units):
            if (sets := estimated(model, u, mics)) is None:
                continue
            mine = fitted(sets["ears"], sets["polar"], rig)
            made.append(mine)
            shares.append(covered(mine, sets["ears"], heard(mine, truth[i].sets["ears"])))
            kept.append(i)
        if not kept:
            print(f"every unit was refused by the model of {n}")
            return 1
        found, beam = both(made, kept)
        behind, refused = np.median(best[kept] - found, axis=0), len(units) - len(kept)
        low, high = np.percentile(shares, (10, 90))
        text = f"{100 * np.mean(shares):.0f} % ({100 * low:.0f} to {100 * high:.0f})"
        row(
            f"one capture, {n} learned, {len(mics)} monitors",
            found,
            beam,
            f"{text} | {behind[0]:+.1f} / {behind[1]:+.1f} | {refused} of {len(units)}",
        )
        short |= bool(np.mean(shares) < LEAST or behind[0] > MEAN_DB or behind[1] > P10_DB)
        short |= refused > REFUSED * len(units)
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
