"""Units measured and verified with a burst, a voice or a slam in every capture, beside the same units in silence.

    python tests/bench/splice.py [--units 200] [--first 0] [--workers 2] [--sweep 4] [--small]

Every unit goes through the whole loop of the virtual lab twice: measured, fitted, verified and judged in silence, and
once more with a disturbance of its own in every single capture (20 to 40 dB below the sweep while it lasts, at a random
time, of random length). Whole repeats never end there: all their attempts are spent, and the session holds. Every
fourth unit is verified with a driver 4 dB low, so that there are verdicts of both kinds. Exit code 1 when a figure of a
verdict differs by more than 0.1 dB, a verdict is wrong (pass for fail or fail for pass; what is to be measured again is
counted beside), or more than half of the captures are spent that whole repeats spend before they give up. That half is
two captures a place: places whose first capture is kept as it is make up for those that take a third. ``--small`` is a
rig of a lower rate without a polar set, a quarter of the work. ``--results FILE`` keeps a line a unit, and continues
where an earlier run of the same ``--sweep`` and rig ended; ``--minutes`` ends it early.

Three figures are the noise of the captures itself on these units, whose drivers hardly distort: signal to noise rises
where two captures share the weight, distortion is stated beside what a splice's noise may be, and the difference from
the prediction may rise to what that is allowed to be (-40 dB re the response). They stay 20 dB within their limits, and
the largest change is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import Design, Limits
from sweetspot.calibrate.verify import Verification
from sweetspot.measure import folder, plan
from sweetspot.measure.run import ATTEMPTS, measure
from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.rigs.errors import Held
from sweetspot.rigs.lab.interface import LabInterface, LabStage
from sweetspot.rigs.lab.trouble import noises
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.protocol import Interface, Recording, Rig
from sweetspot.rigs.rig_file import Description, parse, parse_fault
from sweetspot.rigs.units import from_db

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
SMALL = Path(__file__).resolve().parents[1] / "faults" / "small.toml"
FIGURE_DB = 0.1
LOW = "level driver=front db=-4"
SNR_DB = (20.0, 40.0)
KINDS = ("burst", "speech", "slam")


LOWER = (
    ("fs = 47872", "fs = 19957"), ("20000]", "9000]"), ("19000]", "8800]"), ("18000]", "8600]"),
    ("[polar]\ndistance_m = 1.5\nstep_deg = 90.0\n", ""),
    ('[[mic]]\nname = "polar"\nchannel = 3\nsensitivity_mv_per_pa = 14.0\n', ""),
)  # fmt: skip
"""What the small rig's file loses for a smaller one still."""

OF_NOISE = ("signal to noise", "distortion", "difference from the prediction")
"""Figures whose value on these units is the noise of the captures."""
CLEAR_DB = 20.0
"""How far within their limits these must stay where they differ by more than :data:`FIGURE_DB`."""


class Disturbed:
    """A lab interface in a room that is never quiet: one disturbance in every capture in which something plays."""

    def __init__(self, inner: Interface, rig: Description, rng: np.random.Generator) -> None:
        self.inner, self.rig, self.rng = inner, rig, rng
        self.mics = [m.channel - 1 for m in rig.mic]

    def capture(self, y: np.ndarray) -> Recording:
        """A capture with a disturbance in it."""
        recording = self.inner.capture(y)
        loop = y[self.rig.interface.loopback.out - 1]
        if not loop.any():
            return recording
        x = np.array(recording.x)
        sounding = np.flatnonzero(loop)
        wave, loud = self._wave()
        ends = sounding[0], max(sounding[-1] - loud, sounding[0] + 1)
        at = int(self.rng.integers(*ends))
        level = np.sqrt(np.mean(x[self.mics, sounding[0] : sounding[-1]] ** 2, axis=1)).max()
        level *= from_db(-self.rng.uniform(*SNR_DB)) / np.sqrt(np.mean(wave[:, :loud] ** 2))
        wave = wave[:, : x.shape[1] - at]
        x[self.mics, at : at + wave.shape[1]] += (level * wave).astype(np.float32)
        return Recording(x, recording.fs, recording.xruns, recording.started)

    def _wave(self) -> tuple[np.ndarray, int]:
        """What the microphones hear ``(mic, samples)``, and over how many samples its level counts."""
        kind, fs = str(self.rng.choice(KINDS)), self.rig.fs
        if kind == "burst":
            n = round(self.rng.uniform(0.05, 0.2) * fs)
            return np.tile(self.rng.standard_normal(n) * np.hanning(n), (len(self.mics), 1)), n
        lasts, band = (self.rng.uniform(0.2, 0.5), "20-4000") if kind == "slam" else (self.rng.uniform(0.3, 0.8), "")
        fault = parse_fault(f"{kind} at=1 s=0 for={lasts:.3f} {f'band={band}' if band else ''}")
        n = round((0.25 if kind == "slam" else 1.0) * lasts * fs)  # a slam is as loud as its first quarter
        return noises.burst(fault, len(self.mics), fs, int(self.rng.integers(1 << 40))), n

    def close(self) -> None:
        """Nothing to let go."""


@dataclass(frozen=True)
class Result:
    """One unit: verdicts in silence and in noise, the largest difference of a figure and which, captures."""

    serial: str
    quiet: str
    noisy: str
    apart_db: float
    figure: str
    places: int
    captures: int
    stderr_ratio: float
    unsure: tuple[str, ...]
    of_noise: dict[str, float]
    unclear: tuple[str, ...]


def description(seconds: float, small: bool) -> Description:
    """The small rig with a sweep of this length and two positions of the head; four polar angles, or a lower rate."""
    text = SMALL.read_text(encoding="utf-8").replace("seconds = 0.8", f"seconds = {seconds}")
    second = '    { x = 0.02, y = 0.03, yaw_deg = 4, use = "design" },\n'
    assert second in text
    text = text.replace(second, "").replace("step_deg = 45.0", "step_deg = 90.0")
    for there, instead in LOWER if small else ():
        assert there in text
        text = text.replace(there, instead)
    return parse(text, folder=SMALL.parent)


def loop(place: Path, rig: Description, serial: str, rng: np.random.Generator | None) -> tuple[Path, Verification]:
    """Measure, fit and verify one unit; with ``rng``, where it is never quiet."""
    run = folder.new(place, serial, rig, NOON)
    with Session.resume(run / "session.h5") as session:
        for name in plan.SETS if rig.polar else plan.SETS[:1]:
            measure(lab(rig, serial, rng), session, plan.make(rig, name), ask=nobody, step=nobody)
    fitted = steps.calibrate(run, Design(), "")
    low = rig.lab.faults.model_copy(update={"schedule": (LOW,)})
    bad = rig.model_copy(update={"lab": rig.lab.model_copy(update={"faults": low})})
    through = lab(bad if int(serial[-4:]) % 4 == 3 else rig, serial, rng)
    steps.measure_verification(run, through, fitted, NOON, ask=nobody, track=lambda title, total: nullcontext(nobody))
    return run, steps.judge(run, fitted, Limits())


def lab(rig: Description, serial: str, rng: np.random.Generator | None) -> Rig:
    """An open rig of the virtual lab."""
    world = World(rig, serial)
    inner = LabInterface(world, now=lambda: NOON)
    return Rig(rig, inner if rng is None else Disturbed(inner, rig, rng), LabStage(world))


def nobody(note: str) -> None:
    """A callback that does nothing."""


def unit(job: tuple[int, float, bool]) -> Result:
    """One unit in silence and in noise."""
    number, seconds, small = job
    rig, serial = description(seconds, small), f"S-{number:04d}"
    with tempfile.TemporaryDirectory() as place:
        quiet, first = loop(Path(place) / "quiet", rig, serial, None)
        try:
            noisy, second = loop(Path(place) / "noisy", rig, serial, np.random.default_rng([11, number]))
        except Held as why:
            return Result(serial, first.verdict, "held", 0.0, "", 0, 0, 1.0, (str(why),), {}, ())
        apart = {
            m.name: abs(m.heard - other.heard)
            for m, other in zip(first.metrics, second.metrics, strict=True)
            if m.unit == "dB" and m.name not in OF_NOISE
        }
        spent = places = 0
        for path, schema in ((noisy / "session.h5", "sweetspot-session"), (noisy / "verify.h5", VERIFICATION)):
            with Session.read(path, schema) as session:
                summaries = [a for name in session.sets for a in session.attempt_summaries(name)]
                spent, places = spent + sum(a.made for a in summaries), places + len(summaries)
        ratio = _stderr(noisy) / _stderr(quiet)
    of_noise = {
        m.name: o.heard - m.heard for m, o in zip(first.metrics, second.metrics, strict=True) if m.name in OF_NOISE
    }
    unclear = tuple(
        f"{serial}: {o.name} {o.heard:.2f} dB, limit {o.limit:g} dB"
        for o in second.metrics
        if abs(of_noise.get(o.name, 0.0)) > FIGURE_DB and abs(o.heard - o.limit) < CLEAR_DB
    )
    unsure = tuple(
        f"{m.name} {m.heard:.2f} / {o.heard:.2f} (limit {m.limit:g}), {m.verdict} / {o.verdict}, "
        f"uncertain by {m.uncertainty} / {o.uncertainty}"
        for m, o in zip(first.metrics, second.metrics, strict=True)
        if m.verdict != o.verdict or (m.unit == "dB" and abs(m.heard - o.heard) > FIGURE_DB)
    )
    worst = max(apart, key=lambda name: apart[name])
    return Result(
        serial, first.verdict, second.verdict, apart[worst], worst, places, spent, ratio, unsure, of_noise, unclear
    )


def _stderr(run: Path) -> float:
    with Session.read(run / "session.h5") as session:
        return float(np.median(session.per_bin("ears", "stderr")))


def main() -> int:
    """Print the table; 1 if a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first unit")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sweep", type=float, default=4.0, help="seconds")
    parser.add_argument("--results", type=Path, help="file of lines, to continue")
    parser.add_argument("--minutes", type=float, help="after which no further unit is begun")
    parser.add_argument("--small", action="store_true", help="a rig of a lower rate, without a polar set")
    asked = parser.parse_args()
    began = time.monotonic()
    numbers = range(asked.first, asked.first + asked.units)
    kept = [] if asked.results is None or not asked.results.exists() else asked.results.read_text().splitlines()
    results = [r for r in (Result(**json.loads(line)) for line in kept) if int(r.serial[2:]) in numbers]
    there = {r.serial for r in results}
    jobs = [(i, asked.sweep, asked.small) for i in numbers if f"S-{i:04d}" not in there]
    chunk = max(asked.workers, 1) * 4
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
        for start in range(0, len(jobs), chunk):
            if asked.minutes is not None and time.monotonic() - began > 60.0 * asked.minutes:
                print(f"after {asked.minutes:g} minutes: {len(jobs) - start} units left")
                break
            for one in pool.map(unit, jobs[start : start + chunk]):
                results.append(one)
                if asked.results is not None:
                    with asked.results.open("a") as file:
                        file.write(json.dumps(asdict(one)) + "\n")
                print(
                    f"{one.serial}: {one.quiet:>5} / {one.noisy:>5}, {one.apart_db:.3f} dB ({one.figure}), "
                    f"{one.captures} captures at {one.places} places, standard error x {one.stderr_ratio:.2f}",
                    *(f"    {line}" for line in one.unsure),
                    sep="\n",
                    flush=True,
                )
    return reported(results, time.monotonic() - began)


def reported(results: list[Result], seconds: float) -> int:
    """Print what the units came to; 1 if a figure is missed."""
    apart = np.array([r.apart_db for r in results])
    wrong = [r for r in results if {r.quiet, r.noisy} == {"pass", "fail"}]
    again = [r for r in results if r.quiet != r.noisy and r not in wrong]
    unclear = [line for r in results for line in r.unclear]
    largest = sorted(results, key=lambda r: -r.apart_db)[:5]
    spent, places = sum(r.captures for r in results), sum(r.places for r in results)
    share = spent / (ATTEMPTS * places)
    print(f"\n{len(results)} units in {seconds:.0f} s, a disturbance in every capture")
    print(f"verdicts in silence {dict(Counter(r.quiet for r in results))}; in noise wrong: {len(wrong)}")
    print(f"in noise to be measured again: {len(again)}, of these held: {sum(r.noisy == 'held' for r in results)}")
    print(f"figures: median {np.median(apart):.3f} dB, largest {apart.max():.3f} dB (limit {FIGURE_DB} dB)")
    for name in OF_NOISE:
        print(f"{name}: changes by up to {max(abs(r.of_noise.get(name, 0.0)) for r in results):.2f} dB, of noise")
    print(f"of these within {CLEAR_DB:g} dB of their limits: {len(unclear)}", *unclear, sep="\n    ")
    print(
        f"captures: {spent} at {places} places ({spent / places:.2f} each), {100 * share:.0f} % of the {ATTEMPTS} that "
        "whole repeats spend without success (limit 50 %)"
    )
    print(f"largest: {', '.join(f'{r.serial} {r.apart_db:.3f} dB ({r.figure})' for r in largest)}")
    return int(bool(wrong or unclear) or apart.max() > FIGURE_DB or share > 0.5)


if __name__ == "__main__":
    sys.exit(main())
