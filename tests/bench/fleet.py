"""A fleet on a local Dask cluster: cost per unit as it grows, throughput of two workers over one, a worker killed.

    python tests/bench/fleet.py [--units 1000]
    python tests/bench/fleet.py --sizes 10,100,1000 [--rows 9800]

Sessions are small (4 drivers, 5 head positions, 24 directions) and copies of a few measured ones: what is timed is
fitting, not the lab. In the large fleet one of two workers is killed half-way. Exit code 1 when a unit is missing or
twice, or the large fleet's throughput is less than 1.7 times that of one worker.

``--sizes`` times the command ``fleet fit`` with two workers for fleets of these sizes instead, and what the program
that hands out needs: seconds until the first unit is given out and seconds in the table, a unit, and its peak memory.
Each unit has a session of its own, with its own gains and noise. They are made, untimed, at most 400 at a time (8 GB),
and removed: a fleet of 10,000 is one of 25 calls whose table grows. With ``--rows`` the fleet has as many units more
that were fitted before (folders and rows of their own, files that are links to those of one unit): 200 new units
beside 9,800 show what a unit costs in a fleet of 10,000. Exit code 1 when a unit has no row, or another one was
fitted again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import wraps
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

from sweetspot.calibrate.design import Limits  # noqa: E402
from sweetspot.calibrate.fleet import cluster as clusters  # noqa: E402
from sweetspot.calibrate.fleet import jobs, run  # noqa: E402
from sweetspot.calibrate.fleet.ledger import Ledger, Outcome  # noqa: E402
from sweetspot.calibrate.fleet.scheduler import Scheduler  # noqa: E402
from sweetspot.measure import folder, plan  # noqa: E402
from sweetspot.measure.run import measure  # noqa: E402
from sweetspot.measure.session import Session  # noqa: E402
from sweetspot.measure.session.layout import KINDS, SCHEMA  # noqa: E402
from sweetspot.rigs.load import open_rig  # noqa: E402
from sweetspot.rigs.rig_file.description import parse  # noqa: E402
from sweetspot.rigs.storage import File  # noqa: E402

SEEDS = 4
RATIO = 1.7
ALONE = 200
"""Units that one worker does by itself, before and after the large fleet: the machine is not as fast at all times."""
WORKERS = 2
AT_ONCE = 400
"""Sessions of their own on the disk at a time, 20 MB each."""
SPREAD_DB, NOISE_DB = 0.3, -80.0
"""Of a unit's own gains of its drivers, and of its own noise re the largest sample of a set."""
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


@dataclass(frozen=True, slots=True)
class HandingOut:
    """One call of ``fleet fit``: units fitted; wall s in all, before the first unit and in the table; peak bytes."""

    units: int

    seconds: float
    ahead: float
    table: float
    peak: int


def with_own_sessions(place: Path, first: int, count: int, from_: list[Path]) -> None:
    """Runs of units that no other has: a measured session with a unit's own gains and noise."""
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        made_ = [pool.submit(with_own_session, place, i, from_[i % len(from_)]) for i in range(first, first + count)]
        for one in made_:
            one.result()


def with_own_session(place: Path, i: int, seed: Path) -> None:
    """Run of unit ``i`` from a measured one."""
    here, rng = place / f"U-{i:05d}" / "run", np.random.default_rng(i)
    here.mkdir(parents=True)
    for name in ("session.h5", "rig.toml"):
        shutil.copyfile(seed / name, here / name)
    with File.resume(here / "session.h5", KINDS[SCHEMA]) as file:
        file.root.attrs["unit_serial"] = here.parent.name
        for name in plan.SETS:
            ir = file.root.data(f"{name}/ir")
            h = ir[:]
            gains = 10.0 ** (rng.normal(0.0, SPREAD_DB, h.shape[2]) / 20.0)
            ir[:] = h * gains[:, None] + 10.0 ** (NOISE_DB / 20.0) * np.abs(h).max() * rng.standard_normal(h.shape)


def with_rows(place: Path, count: int, seed: Path) -> None:
    """Units that were fitted before: a folder and a row each, with the files of one."""
    one = place / "O-fitted" / "run"
    shutil.copytree(seed, one)
    done = run.work(jobs.job(one, ("fit",), None, Limits(), ""))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # the row as the command writes it
        pool.submit(handed_out, place).result()
    with Ledger.writing(place) as ledger:
        row = ledger.known()[str(one)]
        for i in range(count - 1):
            here = place / f"O-{i:05d}" / "run"
            here.mkdir(parents=True)
            for name in ("session.h5", "rig.toml", "filterset.h5"):
                os.link(one / name, here / name)
            about = {k: v for k, v in row.items() if k not in ("run", "status", "reason")}
            about |= {"unit": here.parent.name, "session_sha256": f"{i:064x}"}
            ledger.keep(replace(done, run=str(here), about=about))


def handed_out(place: Path) -> HandingOut:
    """Time ``fleet fit`` in this process, which does nothing else."""
    from sweetspot.calibrate.fleet import cli

    spent: list[float] = []
    given: list[float] = []

    def in_table(do: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(do)
        def timed_(*args: Any) -> Any:
            began = time.perf_counter()
            try:
                return do(*args)
            finally:
                spent.append(time.perf_counter() - began)

        return timed_

    def on_processes(*args: Any) -> Iterator[Outcome]:
        given.append(time.perf_counter())
        return run_on_processes(*args)

    run_on_processes, cli.run.on_processes = run.on_processes, on_processes
    for name in ("keep", "known"):  # one for each unit; two, before and after
        setattr(Ledger, name, in_table(getattr(Ledger, name)))
    began = time.perf_counter()
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.suppress(cli.typer.Exit),
    ):
        cli.fit([place], workers=WORKERS, as_json=True)
    ended = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return HandingOut(len(spent) - 2, ended - began, (given or [ended])[0] - began, sum(spent), peak)


def sizes(place: Path, counts: list[int], rows: int, from_: list[Path]) -> int:
    """Print what a unit costs in fleets of these sizes; 1 when a unit is missing."""
    print(
        f"{'units':>6} {'before':>7} {'s / unit':>9} {'units / min':>12} {'cpu s / unit':>13} "
        f"{'ahead ms / unit':>16} {'table ms / unit':>16} {'peak MB':>8}"
    )
    short = False
    for count in counts:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        if rows:
            with_rows(place, rows, from_[0])
        calls = []
        for first in range(0, count, AT_ONCE):
            with_own_sessions(place, first, min(AT_ONCE, count - first), from_)
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                calls.append(pool.submit(handed_out, place).result())
            for there in place.glob("U-*"):
                shutil.rmtree(there)
        with Ledger.reading(place) as ledger:
            new = [row for row in ledger.known().values() if row["unit"].startswith("U-")]
        done = sum(row["status"] == "done" for row in new)
        cpu = statistics.mean(row["cpu_seconds"] for row in new)
        each = [sum(getattr(c, name) for c in calls) / count for name in ("seconds", "ahead", "table")]
        print(
            f"{count:>6} {rows:>7} {each[0]:>9.3f} {60.0 / each[0]:>12.0f} {cpu:>13.3f} {1e3 * each[1]:>16.1f} "
            f"{1e3 * each[2]:>16.1f} {max(c.peak for c in calls) / 1e6:>8.0f}" + (f"  {done} done" * (done != count)),
            flush=True,
        )
        short |= done != count or sum(c.units for c in calls) != count
    return int(short)


def main() -> int:
    """Print the table; 1 when something is missed."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--units", type=int, default=1000, help="of the largest fleet")
    arguments.add_argument("--sizes", default="", help="time fleet fit for fleets of these sizes: 10,100,1000")
    arguments.add_argument("--rows", type=int, default=0, help="with --sizes: units that were fitted before")
    given = arguments.parse_args()
    if given.sizes:
        with tempfile.TemporaryDirectory(prefix="fleet-") as name:
            place = Path(name)
            return sizes(place / "units", [int(n) for n in given.sizes.split(",")], given.rows, seeds(place / "seeds"))
    units = given.units
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
