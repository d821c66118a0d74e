"""A fleet on a real Dask cluster of this computer: poison, killed workers and commands, a scheduler that goes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORK = '''
"""What the workers of these tests do with a unit, by its name."""
import os, time
from pathlib import Path
from sweetspot.calibrate.fleet.ledger import Outcome

def work(job):
    run = Path(job.run)
    with open(run.parent / "log", "a") as log:
        log.write(run.name + "\\n")
    if run.name == "deadly" or (run.name == "once" and not (run.parent / "died").exists()):
        (run.parent / "died").touch()
        time.sleep(2.0)  # Dask's nanny does not restart a worker that dies before its start was noted
        os._exit(9)
    if run.name == "unsendable":
        return Outcome(job.run, "done", "", {"f": (i for i in range(3))})
    if run.name == "out-of-memory":
        raise MemoryError("of the worker")
    while run.name.startswith("held") and not (run.parent / "released").exists():
        time.sleep(0.01)
    time.sleep(0.4 if run.name.startswith("slow") else 0.02)
    return Outcome(job.run, "done", job.design_text or "", {"worker": str(os.getpid())})
'''

COMMON = """
import contextlib, json, os, signal, subprocess, sys, threading, time
from pathlib import Path
from fleet_work import work
from sweetspot.calibrate.fleet.cluster import Patience, on_cluster
from sweetspot.calibrate.fleet.jobs import Job
from sweetspot.calibrate.fleet.scheduler import Certificates, Scheduler
from sweetspot.rigs.errors import HardwareTrouble

place = Path(sys.argv[1])

def todo(*names, design=""):
    return [Job(str(place / n), ("fit",), design, None, {}) for n in names]

def rows(found):
    return [[Path(o.run).name, o.status, o.reason, o.about.get("attempts")] for o in found]
"""

SHARED = (
    COMMON
    + """
COORDINATOR = '''
import sys
from pathlib import Path
from fleet_work import work
from sweetspot.calibrate.fleet.cluster import on_cluster
from sweetspot.calibrate.fleet.jobs import Job
from sweetspot.calibrate.fleet.scheduler import Certificates, Scheduler
place = Path(sys.argv[2])
cert, key = place / "tls.crt", place / "tls.key"
where = Scheduler.checked(sys.argv[1], Certificates(cert, cert, key), insecure=False)
names = ("held-1", "held-2", "kept-1", "kept-2", "kept-3")
list(on_cluster([Job(str(place / n), ("fit",), "", None, {}) for n in names], where, work))
'''

def until(true):
    end = time.monotonic() + 60.0
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()

def killed(cluster):
    \"\"\"What its units begin to do after a command was killed outright with two of them at work.\"\"\"
    scheduler, log = cluster.scheduler, place / "log"
    def begun():
        return sorted(n for n in log.read_text().split() if n.startswith(("held", "kept")))
    with subprocess.Popen([sys.executable, "-c", COORDINATOR, cluster.scheduler_address, str(place)]) as coordinator:
        at_work = until(lambda: len(begun()) == 2) and len(scheduler.tasks) == 2
        coordinator.kill()
    left = until(lambda: not scheduler.tasks)  # the scheduler noticed, and the two are still held
    (place / "released").touch()
    idle = until(lambda: not any(w.processing or w.executing for w in scheduler.workers.values()))
    return {"at work": at_work, "left": left, "idle": idle, "begun": begun(), "workers": len(scheduler.workers)}

def main():
    from distributed import LocalCluster, Security
    cert, key = (str(place / name) for name in ("tls.crt", "tls.key"))
    roles = {f"tls_{r}_{k}": p for r in ("scheduler", "worker", "client") for k, p in (("cert", cert), ("key", key))}
    security = Security(tls_ca_file=cert, require_encryption=True, **roles)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True, host="127.0.0.1", protocol="tls",
        security=security,
    ) as cluster:
        where = Scheduler.checked(
            cluster.scheduler_address, Certificates(Path(cert), Path(cert), Path(key)), insecure=False
        )
        found = {"encrypted": where.encrypted}
        found["killed once"] = rows(on_cluster(todo("a", "b", "once", "c", "d"), where, work))
        found["poison"] = rows(on_cluster(todo("e", "deadly", "unsendable", "out-of-memory", "f", "g"), where, work))
        both = {}
        def other(design):
            both[design] = rows(on_cluster(todo("slow-1", "slow-2", "slow-3", design=design), where, work))
        threads = [threading.Thread(target=other, args=(d,)) for d in ("one", "two")]
        [t.start() for t in threads]
        [t.join() for t in threads]
        found["both"] = both
        found["command killed"] = killed(cluster)
        found["next command"] = rows(on_cluster(todo("kept-1", "kept-2", "kept-3"), where, work))
    print(json.dumps(found))

if __name__ == "__main__":
    main()
"""
)

RESTARTED = (
    COMMON
    + """
PORT = int(sys.argv[2])
SCHEDULER = '''
import asyncio, sys
from distributed import Scheduler, Worker
async def main():
    async with Scheduler(host="127.0.0.1", port=int(sys.argv[1]), dashboard_address=None) as s:
        async with Worker(s.address, nthreads=1, dashboard_address=None) as w:
            print("up", flush=True)
            await (w.finished() if sys.argv[2] == "stay" else asyncio.sleep(0.1))
        await s.finished()
asyncio.run(main())
'''

def scheduler(workers="stay"):
    one = subprocess.Popen([sys.executable, "-c", SCHEDULER, str(PORT), workers], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
    assert one.stdout.readline() == b"up\\n"
    return one

def main():
    where, landed, running = Scheduler.checked(f"127.0.0.1:{PORT}", Certificates(), insecure=False), [], [scheduler()]
    try:
        for outcome in on_cluster(todo(*(f"slow-{i}" for i in range(5))), where, work, Patience(30.0, 30.0)):
            landed.append(outcome)
            if len(landed) == 2:
                running[0].kill()
                running[0].wait()
                threading.Timer(0.5, lambda: running.append(scheduler())).start()
        found = {"restarted": rows(landed)}
        running[-1].kill()
        running[-1].wait()
        running.append(scheduler("leave"))
        try:
            list(on_cluster(todo("h"), where, work, Patience(1.0, 1.0)))
        except HardwareTrouble as trouble:
            found["no worker"] = str(trouble)
        running[-1].kill()
        running[-1].wait()
        running.append(scheduler())
        threading.Timer(0.6, running[-1].kill).start()
        try:
            list(on_cluster(todo(*(f"slow-{i}" for i in range(5))), where, work, Patience(1.0, 1.0)))
        except HardwareTrouble as trouble:
            found["gone"] = str(trouble)
    finally:
        for one in running:
            one.kill()
    print(json.dumps(found))

if __name__ == "__main__":
    main()
"""
)


def ran(script: str, place: Path, root: Path, *words: str) -> dict[str, Any]:
    (place / "fleet_work.py").write_text(WORK)
    (place / "script.py").write_text(script)
    path = f"{root}{os.pathsep}{place}"
    done = subprocess.run(
        [sys.executable, place / "script.py", place, *words],
        env={"PYTHONPATH": path, "PATH": ""}, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, root: Path) -> dict[str, Any]:
    """Outcomes of the jobs of :data:`SHARED` on one cluster with TLS."""
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificates with openssl")
    place = tmp_path_factory.mktemp("cluster")
    name = ["-subj", "/CN=fleet", "-keyout", place / "tls.key", "-out", place / "tls.crt", "-days", "1"]
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *name]
    subprocess.run(list(map(str, made)), check=True, capture_output=True)
    return ran(SHARED, place, root) | {"log": (place / "log").read_text().split()}


def test_a_killed_worker_costs_nothing_but_what_it_had(shared: dict[str, Any]) -> None:
    assert shared["encrypted"]
    found = {name: status for name, status, *_ in shared["killed once"]}
    assert found == dict.fromkeys(["a", "b", "c", "d", "once"], "done")
    assert shared["log"].count("once") == 2


def test_a_poison_unit_fails_alone(shared: dict[str, Any]) -> None:
    """Its neighbour on the worker that it killed is done; what cannot be sent back and what runs out of memory too."""
    found = {name: (status, reason) for name, status, reason, _ in shared["poison"]}
    assert found.pop("deadly") == ("failed", "its worker died repeatedly")
    for name, why in (("unsendable", "TypeError"), ("out-of-memory", "MemoryError: of the worker")):
        status, reason = found.pop(name)
        assert status == "failed"
        assert reason.startswith(why)
    assert {name: status for name, (status, _) in found.items()} == dict.fromkeys("efg", "done")


def test_two_commands_on_one_cluster_keep_apart(shared: dict[str, Any]) -> None:
    """The same runs with two designs at once, in one process: each command gets its own results."""
    assert set(shared["both"]) == {"one", "two"}
    for design, found in shared["both"].items():
        assert sorted(found) == [[f"slow-{i}", "done", design, 1] for i in (1, 2, 3)]


def test_a_killed_command_leaves_nothing_on_the_cluster_but_what_is_at_work(shared: dict[str, Any]) -> None:
    """Killed outright: what waited is never begun, and the workers, which are the cluster's, serve the next command."""
    found = shared["command killed"]
    assert found == {"at work": True, "left": True, "idle": True, "begun": ["held-1", "held-2"], "workers": 2}
    assert sorted(shared["next command"]) == [[f"kept-{i}", "done", "", 1] for i in (1, 2, 3)]


def test_a_scheduler_that_restarts_or_stays_away(tmp_path: Path, root: Path, free_port: int) -> None:
    """Restarted: every unit lands once. Without workers, or gone for good: hardware trouble, not a hang."""
    found = ran(RESTARTED, tmp_path, root, str(free_port))
    assert sorted(name for name, status, *_ in found["restarted"] if status == "done") == [
        f"slow-{i}" for i in range(5)
    ]
    assert "no worker on the cluster for 1 s; results so far are kept" in found["no worker"]
    assert "no Dask scheduler answers" in found["gone"]


@pytest.fixture
def free_port() -> int:
    """A closed port of this computer."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


FAULTS = """
import resource
import numpy as np
from sweetspot.rigs.parallel import forked
from sweetspot.rigs.parallel import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(1 << 17)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def after():
    faults()
    return faults()

first = faults()
"""
"""Counts page faults of 50 arrays of 1 MB."""


@pytest.mark.parametrize(
    "then",
    [
        "keep_freed_memory()\nprint(first, after())",
        "with forked.begun([after]) as copy:\n    print(faults(), *copy())",
    ],
    ids=["worker", "copy"],
)
def test_memory_of_a_unit_is_kept_for_the_next(then: str) -> None:
    """As Dask starts workers, arrays of 1 MB cost 256 page faults each time; not in a worker that has its first unit,
    nor in a copy of a process."""
    env = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run([sys.executable, "-c", FAULTS + then], env=env, capture_output=True, text=True, check=True)
    usual, kept = map(int, done.stdout.split())
    assert usual > 10_000
    assert kept < 1000
