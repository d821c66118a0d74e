"""Drift for life: filters of the first day on an aged and warmer unit, corrected by the microphone in it, and redone.

    python tests/bench/drift.py [FLEET] [--units 6] [--snr 60] [--cases 5000:0,0:10,5000:10,5000:-10]

Virtual units of the ready-made rig ``line``, hours of play and kelvins apart from the first day. Cancellation at
held-out heads, 800 Hz to 6.3 kHz and 200 Hz to 8 kHz, mean / 10th percentile, mean of the units: filters of the first
day on that day; the same today; filters from the session that one capture at the built-in microphone brought to today;
a full session measured today. Exit code 1 when corrected filters are more than 0.5 dB (mean) behind the full session
from 800 Hz on, or worse than the first day's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import quick as bench
import virtual_fleet

from sweetspot.calibrate.plant import Fitted, MeasurementError, metrics
from sweetspot.calibrate.plant import errors as errors_
from sweetspot.calibrate.quick import MeasuredUnit, drift
from sweetspot.calibrate.quick import run as quick
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.load import find
from sweetspot.rigs.rig_file import Description, read

BEHIND_DB = 0.5


def today(rig: Description, hours: float, kelvin: float) -> Description:
    """The rig so many hours of play and kelvins on."""
    air = rig.environment.model_copy(update={"temperature_c": rig.environment.temperature_c + kelvin})
    return virtual_fleet.with_spread(rig, age_hours=hours).model_copy(update={"environment": air})


def cancellation(filters: Fitted, ears: ImpulseResponse) -> tuple[float, float, float]:
    """Mean and 10th percentile over the usual cells; mean of all from 200 Hz to 8 kHz."""
    cells = bench.heard(filters, ears)
    spread = metrics.scored(cells)
    return spread.mean, spread.p10, float(cells.mean())


def corrected(first: MeasuredUnit, heard: MeasuredUnit, rig: Description, then_c: float) -> dict[str, bench.Pair]:
    """Ears and polar set of today from the first day's and the device's capture."""
    found = quick.estimate(drift.model_of(first, rig, then_c), "0" * 64, *bench.own(heard, "device"))
    if not found.accepted:
        raise SystemExit(f"refused: {found.findings}")
    sets = {}
    for name in ("ears", "polar"):
        ir, stderr, relative = quick.responses(found, name)
        sets[name] = ir, MeasurementError(stderr, errors_.on_grid(relative, ir.fs, ir.h.shape[-1]))
    return sets


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("fleet", nargs="?", type=Path)
    ask.add_argument("--units", type=int, default=6)
    ask.add_argument("--snr", type=float, default=60.0)
    ask.add_argument("--cases", default="5000:0,0:10,5000:10,5000:-10")
    given = ask.parse_args()
    rig, fine = read(find("line")), True
    print("| hours, kelvins | first day | today, unchanged | corrected | full session today |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as made:
        place = given.fleet or Path(made)
        for case in given.cases.split(","):
            hours, kelvin = map(float, case.split(":"))
            aged = place / f"{hours:g} h {kelvin:+g} K"
            now, rows = today(rig, hours, kelvin), []
            for i in range(given.units):
                serial = f"D-{i:03d}"
                new, old = virtual_fleet.kept(place, rig, serial), virtual_fleet.kept(aged, now, serial)
                first, again, heard = (
                    virtual_fleet.unit(one, serial, h, given.snr, 31 * i + k)
                    for k, (one, h) in enumerate(((rig, new), (now, old), (now, old)))
                )
                truth = [virtual_fleet.unit(rig, serial, h, bench.QUIET_DB, i).sets["ears"] for h in (new, old)]
                was = bench.fitted(bench.own(first, "ears"), bench.own(first, "polar"), rig)
                sets = corrected(first, heard, now, rig.environment.temperature_c)
                mine = bench.fitted(sets["ears"], sets["polar"], now)
                full = bench.fitted(bench.own(again, "ears"), bench.own(again, "polar"), now)
                rows.append([cancellation(was, truth[0]), *(cancellation(x, truth[1]) for x in (was, mine, full))])
            mean = np.mean(rows, axis=0)
            cells = [f"{m:.1f} / {p:.1f} (all {a:.1f})" for m, p, a in mean]
            print(f"| {hours:.0f} h, {kelvin:+.0f} K | {' | '.join(cells)} |", flush=True)
            fine &= bool(mean[2, 0] > mean[3, 0] - BEHIND_DB and mean[2, 0] > mean[1, 0] - 0.1)
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
