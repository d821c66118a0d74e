"""A fleet on a local Dask cluster: cost per unit as it grows, throughput of two workers over one, a worker killed.

    python tests/bench/fleet.py [--units 1000]

Sessions are small (4 drivers, 5 head positions, 24 directions) and copies of a few measured ones: what is timed is
fitting, not the lab. In the large fleet one of two workers is killed half-way. Exit code 1 when a unit is missing or
twice, or the large fleet's throughput is less than 1.7 times that of one worker.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

from sweetspot.calibrate.design import Limits  # noqa: E402
from sweetspot.calibrate.fleet import cluster as clusters  # noqa: E402
from sweetspot.calibrate.fleet import jobs, run  # noqa: E402
from sweetspot.calibrate.fleet.ledger import Outcome  # noqa: E402
from sweetspot.calibrate.fleet.scheduler import Scheduler  # noqa: E402
from sweetspot.measure import folder, plan  # noqa: E402
from sweetspot.measure.run import measure  # noqa: E402
from sweetspot.measure.session import Session  # noqa: E402
from sweetspot.rigs.load import open_rig  # noqa: E402
from sweetspot.rigs.rig_file.description import parse  # noqa: E402

SEEDS = 4
RATIO = 1.7
ALONE = 200
"""Units that one worker does by itself, before and after the large fleet: the machine is not as fast at all times."""
DRIVERS = (("a", 0.076, 0.044), ("b", 0.076, -0.044), ("c", 0.0, 0.0875), ("d", 0.0, -0.0875))
RIG = """
schema = 1
name = "small"
fs = 48000
interface = { driver = "lab", loopback = { out = 5, in = 4 }, full_scale_v = 0.3 }
stage = { driver = "lab" }
mic = [ { name = "ear_left", channel = 1 }, { name = "ear_right", channel = 2 }, { name = "boom", channel = 3 } ]
polar = { distance_m = 2.0, step_deg = 15.0 }
sweep = { band_hz = [60, 20000], seconds = 0.4, level_dbfs = -6.5, before_ms = 10.0, after_ms = 40.0 }
[ears]
distance_m = 2.0
positions = [ { }, { y = 0.04, yaw_deg = 6 }, { y = -0.04, yaw_deg = -6 },
  { x = 0.02, y = 0.01, yaw_deg = 3, use = "score" }, { x = -0.02, y = -0.02, yaw_deg = -3, use = "score" } ]
""" + "\n".join(
    f'[[driver]]\nname = "{name}"\nchannel = {i + 1}\nat = [{x}, {y}, 0.0]\nband_hz = [100, 20000]'
    for i, (name, x, y) in enumerate(DRIVERS)
)


def seeds(place: Path) -> list[Path]:
    """A few measured runs."""
    rig = parse(RIG, folder=place)
    found = []
    for i in range(SEEDS):
        serial = f"SEED-{i}"
        here = folder.new(place, serial, rig, datetime(2026, 1, 1, tzinfo=UTC))
        for name in plan.SETS:
            with open_rig(rig, serial=serial) as lab, Session.resume(here / "session.h5") as session:
                measure(lab, session, plan.make(rig, name), ask=lambda move: None, step=lambda note: None)
        found.append(here)
    return found


def made(place: Path, count: int, from_: list[Path]) -> list[jobs.Job]:
    """Jobs of ``count`` fresh units; the heavy raw captures are shared by hard links."""
    shutil.rmtree(place, ignore_errors=True)
    for i in range(count):
        here = place / f"U-{i:05d}" / "run"
        here.mkdir(parents=True)
        for name in ("session.h5", "rig.toml"):
            os.link(from_[i % len(from_)] / name, here / name)
    return [jobs.job(r, ("fit",), "", Limits(), "") for r in jobs.runs([place])]


def timed(todo: list[jobs.Job], workers: int, kill: bool) -> tuple[float, Counter[str], int]:
    """Seconds from the first to the last outcome's end, outcomes by run, and how many were done."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        warm(cluster.scheduler_address)
        began = time.perf_counter()
        outcomes = clusters.on_cluster(todo, Scheduler(cluster.scheduler_address), run.work)
        landed = list(killing(outcomes, len(todo) // 2, cluster) if kill else outcomes)
        seconds = time.perf_counter() - began
    return seconds, Counter(o.run for o in landed), sum(o.status == "done" for o in landed)


def warm(address: str) -> None:
    """Let every worker import what it needs before the clock starts."""
    from distributed import Client

    with Client(address) as client:
        client.run(imported)


def imported() -> None:
    """What a worker needs, imported."""
    import sweetspot.calibrate.fleet.run  # noqa: F401


def killing(outcomes: Iterator[Outcome], after: int, cluster: object) -> Iterator[Outcome]:
    """Kill one worker's process when ``after`` units have landed; the cluster's nanny starts another."""
    for i, outcome in enumerate(outcomes, start=1):
        yield outcome
        if i == after:
            pid = next(iter(cluster.workers.values())).pid  # type: ignore[attr-defined]
            os.kill(pid, signal.SIGKILL)
            print(f"  killed worker {pid} after {i} units")


def main() -> int:
    """Print the table; 1 when something is missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--units", type=int, default=1000, help="of the largest fleet")
    units = arguments.parse_args().units
    short = False
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        place = Path(name)
        from_ = seeds(place / "seeds")
        print(f"{'units':>6} {'workers':>8} {'seconds':>9} {'s / unit':>9} {'done':>6} {'twice':>6}")
        rates: dict[int, list[float]] = {}
        few = min(units, ALONE)
        alone = (few, 1, False)
        for count, workers, kill in [(10, 2, False), (100, 2, False), alone, (units, 2, True), alone]:
            seconds, landed, done = timed(made(place / "units", count, from_), workers, kill)
            twice = sum(n > 1 for n in landed.values())
            print(f"{count:>6} {workers:>8} {seconds:>9.1f} {seconds / count:>9.3f} {done:>6} {twice:>6}")
            short |= done != count or len(landed) != count or twice > 0
            if kill or workers == 1:
                rates.setdefault(workers, []).append(count / seconds)
        ratio = rates[2][0] / statistics.mean(rates[1])
        print(f"two workers, one of them killed, over one before and after: {ratio:.2f} times (at least {RATIO})")
    return 1 if short or ratio < RATIO else 0


if __name__ == "__main__":
    sys.exit(main())
