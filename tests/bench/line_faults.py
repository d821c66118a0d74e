"""Units with faults, and good ones, before the models of few and of many units: who is refused, and for what.

    python tests/bench/line_faults.py [FLEET] [--units 200] [--learned 1,5,20] [--snr 60] [--fresh V] [--faulty 12]

Virtual units of the ready-made rig ``line``, as in ``quick.py``; FLEET keeps them. Each fault is put into the monitor
capture of the first ``--faulty`` unseen units, at driver 2. Bold faults are beyond what good units of these tolerances
do; the others lie near it: a driver 3 dB low in a unit whose tolerance had made it 1 dB loud is like one of a good
unit, is estimated as it is, and remarked on beyond a third of a limit. Exit code 1 when a bold fault is accepted, a
wrong driver is named, or more than 1 in 200 good units are refused.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import virtual_fleet

from sweetspot.calibrate.quick import GoldenModel, MeasuredUnit, learn
from sweetspot.calibrate.quick import run as quick
from sweetspot.rigs.load import find
from sweetspot.rigs.rig_file import Description, read
from sweetspot.rigs.units import Complex, Float

DRIVER, OTHER = 1, 2
REFUSED = 1.0 / 200.0
Fault = Callable[[Complex, Float], Complex]


def peak(s: Complex, gain: float, q: float) -> Complex:
    """A resonance's dip or peak."""
    return np.asarray((s**2 + gain * s / q + 1.0) / (s**2 + s / q + 1.0))


FAULTS: dict[str, Fault] = {
    "**silent**": lambda h, f: 1e-6 * h,
    "**polarity inverted**": lambda h, f: -h,
    "3 dB low": lambda h, f: 10.0 ** (-3.0 / 20.0) * h,
    "**6 dB low**": lambda h, f: 0.5 * h,
    "21 us late": lambda h, f: h * np.exp(-2j * np.pi * f / 48000.0),
    "**62 us late**": lambda h, f: h * np.exp(-6j * np.pi * f / 48000.0),
    "**seal leaks, 250 Hz**": lambda h, f: h * f / (f - 250j),
    "**dip of 6 dB at 3 kHz**": lambda h, f: h * peak(1j * f / 3000.0, 0.5, 1.7),
}
"""What is done to a driver's spectrum; two swapped drivers are the ninth."""


def captured(unit: MeasuredUnit, fault: Fault | None) -> MeasuredUnit:
    """The unit's capture with a fault; without one, with two drivers swapped."""
    ir = unit.sets["monitor"]
    h, n = np.array(ir.h), ir.h.shape[-1]
    if fault is None:
        h[:, :, [DRIVER, OTHER]] = h[:, :, [OTHER, DRIVER]]
    else:
        f = np.fft.rfftfreq(2 * n, 1.0 / ir.fs)
        h[:, :, DRIVER] = np.fft.irfft(fault(np.fft.rfft(h[:, :, DRIVER], 2 * n), f), 2 * n)[..., :n]
    return replace(unit, sets={**unit.sets, "monitor": replace(ir, h=h)})


def judged(model: GoldenModel, unit: MeasuredUnit) -> quick.Estimate:
    return quick.estimate(model, "0" * 64, unit.sets["monitor"], unit.errors["monitor"])


def table(model: GoldenModel, units: list[MeasuredUnit], faulty: int) -> bool:
    """Print one model's rows; whether every limit holds."""
    good = [judged(model, u) for u in units]
    sent = [one for one in good if not one.accepted]
    limits = ", ".join(f"{v:.3g}" for v in good[0].beside.limits * [1.0, 1.0, 1e6])
    print(f"| {len(model.units)} | good | {len(sent)} of {len(good)} | | distance {good[0].limit:.2f}; {limits} |")
    for one in sent:
        print(f"    {one.findings[0].text}")
    fine = len(sent) <= REFUSED * len(good)
    for name, fault in (*FAULTS.items(), ("**two drivers swapped**", None)):
        found = [judged(model, captured(u, fault)) for u in units[:faulty]]
        wanted = {model.drivers[d] for d in ((DRIVER,) if fault else (DRIVER, OTHER))}
        refused = [one for one in found if not one.accepted]
        right = sum({x.name for x in one.findings} == wanted for one in refused)
        quiet = sum(one.accepted and not any(model.drivers[DRIVER] in text for text in one.remarks) for one in found)
        causes = ", ".join(sorted({x.cause for one in refused for x in one.findings}))
        cells = (len(model.units), name, f"{len(refused)} of {len(found)}", quiet, f"{right} named rightly: {causes}")
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
        fine &= right == len(refused) and not (name.startswith("**") and len(refused) < len(found))
    return fine


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("fleet", nargs="?", type=Path)
    ask.add_argument("--units", type=int, default=200)
    ask.add_argument("--faulty", type=int, default=12)
    ask.add_argument("--learned", default="1,5,20")
    ask.add_argument("--snr", type=float, default=60.0)
    ask.add_argument("--fresh", default="V")
    given = ask.parse_args()
    rig: Description = read(find("line"))
    counts = [int(n) for n in given.learned.split(",")]
    with tempfile.TemporaryDirectory() as made:
        place = given.fleet or Path(made)

        def unit(name: str, i: int, sets: tuple[str, ...] = virtual_fleet.SETS) -> MeasuredUnit:
            serial = f"{name}-{i:03d}"
            h = virtual_fleet.kept(place, rig, serial, sets)
            return virtual_fleet.unit(rig, serial, h, given.snr, sum(map(ord, name)) * 1000 + i)

        taught = [unit("L", i) for i in range(max(counts))]
        units = [unit(given.fresh, i, ("monitor",)) for i in range(given.units)]
    print("| learned | unit | refused | accepted without a word | |\n|---|---|---|---|---|")
    return int(sum(not table(learn(taught[:n], rig), units, given.faulty) for n in counts) > 0)


if __name__ == "__main__":
    sys.exit(main())
