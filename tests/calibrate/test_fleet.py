"""Many units at once: statistics against hand calculations, workers that are killed, and the commands as typed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweetspot.calibrate import design as designs
from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.fleet import capability, jobs, page, population
from sweetspot.calibrate.fleet import run as fleet
from sweetspot.calibrate.fleet.cluster import on_cluster
from sweetspot.calibrate.fleet.ledger import DIGEST, NAME, Figure, Ledger, Outcome, UnitSummary
from sweetspot.calibrate.fleet.scheduler import Certificates, Scheduler
from sweetspot.calibrate.run import calibrate
from sweetspot.measure import folder, plan
from sweetspot.measure.session import VERIFICATION, Session
from sweetspot.processor import store
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import file_sha256

JOB = jobs.Job("r", ("fit",), "", Limits(), {})
NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
Typed = Callable[..., subprocess.CompletedProcess[str]]


def row(value: float, unit: str = "u", rig: str = "r", limit: float | None = None, passed: bool | None = None) -> Any:
    sense = None if limit is None else "at least"
    shared = {"run": f"{unit}-{value}", "unit": unit, "rig": rig, "step": "verify", "metric": "m"}
    return shared | {"value": value, "limit_value": limit, "sense": sense, "passed": passed}


def test_capability_by_hand() -> None:
    """Values 10, 12, 14 and a limit of 8: mean 12, s 2, Cpk 4/6."""
    (s,) = capability.of_figures([row(v, f"u{v}", limit=8.0, passed=True) for v in (10.0, 12.0, 14.0)])
    assert (s.count, s.mean, s.spread) == (3, 12.0, pytest.approx(2.0))
    assert s.cpk == pytest.approx(4.0 / 6.0)
    assert s.worst[0] == "u10.0"
    beyond = capability.of_figures([row(v, limit=13.0, passed=v >= 13) for v in (10.0, 12.0, 14.0)])[0]
    assert beyond.cpk == pytest.approx(-1.0 / 6.0)
    assert beyond.failed == 2


def test_no_capability_where_runs_were_judged_by_different_limits(tmp_path: Path) -> None:
    """Limits relaxed to each unit's prediction: which one was last would decide; the worst is nearest to its own."""
    rows = [
        row(v, f"u{v}", limit=v - m, passed=m > 0) for v, m in ((10.0, 1.0), (12.0, -0.5), (14.0, 0.2), (15.0, 3.0))
    ]
    (s,) = capability.of_figures(rows)
    assert (s.cpk, s.limit, s.limits, s.failed) == (None, None, (9.0, 13.8), 1)
    assert s.worst == ("u12.0", "u14.0", "u10.0", "u15.0")
    assert "different limits" in s.why_no_cpk
    written = page.write(tmp_path / "p.html", UnitSummary(4, 4, 0.0, []), rows, [s]).read_text()
    assert "≥ 9.0 to 13.8" in written
    one = capability.of_figures([r | {"limit_value": 8.0} for r in rows])[0]
    assert (one.limit, one.cpk) == (8.0, pytest.approx((12.75 - 8.0) / (3.0 * one.spread)))


def test_a_unit_that_was_repaired_says_nothing_of_the_gauge() -> None:
    """Two units repeat to 0.1; a third failed at 5 and passed at 12 after its repair."""
    rows = [row(v, u, limit=8.0, passed=v > 8) for v, u in ((10.0, "a"), (10.1, "a"), (12.0, "b"), (12.1, "b"))]
    mended = [row(v, "c", limit=8.0, passed=v > 8) for v in (5.0, 12.0)]
    (s,) = capability.of_figures([*rows, *mended])
    assert s.gauge is not None
    assert (s.gauge.repeats, s.gauge.repeatability) == (4, pytest.approx(0.1 / 2**0.5))
    assert s.failed == 1
    bad = [row(v, "d", limit=8.0, passed=False) for v in (5.0, 5.1)]
    (again,) = capability.of_figures([*rows, *bad])
    assert again.gauge is not None
    assert again.gauge.repeats == 6


def test_outliers_and_trend() -> None:
    rng = np.random.default_rng(4)
    x = 20.0 + rng.normal(0.0, 0.1, 60)
    x[17] = 18.5
    s = capability.of_figures([row(float(v), f"u{i}") for i, v in enumerate(x)])[0]
    assert s.outliers == ("u17",)
    assert s.trend_p > 0.01
    drifting = capability.of_figures([row(float(v + 0.01 * i), f"u{i}") for i, v in enumerate(x)])[0]
    assert drifting.trend == pytest.approx(1.0, abs=0.2)
    assert drifting.trend_p < 1e-6


def test_gauge_finds_the_spreads_that_were_put_in() -> None:
    """400 units with a spread of 0.8, rigs 0.3 apart, repeats with 0.2: each found within a tenth."""
    rng = np.random.default_rng(11)
    rows = [
        row(float(unit + shift + rng.normal(0.0, 0.2)), f"u{i}", rig)
        for i, unit in enumerate(rng.normal(10.0, 0.8, 400))
        for rig, shift in (("a", -0.15), ("b", 0.15))
        for _ in range(2)
    ]
    g = capability.gauge(rows)
    assert g is not None
    assert g.repeatability == pytest.approx(0.2, rel=0.1)
    assert g.reproducibility == pytest.approx(0.3 / np.sqrt(2.0), rel=0.1)
    assert g.units == pytest.approx(0.8, rel=0.1)
    assert capability.gauge([row(1.0, "a"), row(2.0, "b")]) is None


def test_the_page_shows_the_gauge_of_units_that_were_measured_twice(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    rows = [row(float(v + rng.normal(0.0, 0.1)), f"u{i}") for i, v in enumerate(rng.normal(10, 1, 40)) for _ in "ab"]
    found = capability.of_figures(rows)
    written = page.write(tmp_path / "fleet.html", UnitSummary(40, 80, 1.0, []), rows, found)
    gauge = found[0].gauge
    assert gauge is not None
    assert f'<td class="n">{gauge.categories}</td>' in written.read_text(encoding="utf-8")
    assert gauge.categories == int(1.41 * gauge.units / gauge.sigma)


def test_limits_leave_good_units_in_and_are_tightened_by_the_gauge() -> None:
    rng = np.random.default_rng(3)
    units = rng.normal(20.0, 0.5, 200)
    rows = [
        row(float(u + rng.normal(0.0, 0.1)), f"u{i}", limit=10.0, passed=True) | {"run": f"{i}/{k}"}
        for i, u in enumerate(units)
        for k in range(2)
    ]
    rows.append(row(12.0, "bad", limit=15.0, passed=False))
    rows.append(row(30.0, "odd", limit=10.0, passed=True))
    good = capability.good(rows)
    assert {r["unit"] for r in rows} - {r["unit"] for r in good} == {"bad", "odd"}
    (derived,) = capability.limits(capability.of_figures(good), sigmas=4.0, guard=2.0)
    assert derived.edge == pytest.approx(20.0 - 4.0 * 0.5, abs=0.3)
    assert derived.guard == pytest.approx(0.2, abs=0.03)
    assert derived.limit == pytest.approx(derived.edge + derived.guard)


def test_three_good_units_lead_to_limits() -> None:
    """Two of three values are always near each other, and what is no defect is no outlier in larger fleets either."""
    three = [row(v, f"u{i}", limit=10.0, passed=True) | {"run": str(i)} for i, v in enumerate((20.0, 20.001, 21.0))]
    assert capability.good(three) == three
    (derived,) = capability.limits(capability.of_figures(three), sigmas=4.0, guard=2.0)
    assert derived.edge < 19.0
    values = (20.0, 20.001, 20.002, 20.003, 20.004, 20.1, 21.0)
    alike = [row(v, f"u{i}", limit=10.0, passed=True) | {"run": str(i)} for i, v in enumerate(values)]
    assert {r["unit"] for r in alike} - {r["unit"] for r in capability.good(alike)} == {"u6"}
    assert capability.of_figures(alike)[0].outliers == ("u6",)


def test_ledger_keeps_whole_outcomes_and_lets_one_writer_in(tmp_path: Path) -> None:
    first = Outcome("r1", "done", "", {"unit": "A", "created_utc": "1"}, (Figure("fit", "x", 1.5),))
    with Ledger.writing(tmp_path) as ledger:
        ledger.keep(first)
        ledger.keep(Outcome("r2", "failed", "no", {"unit": "B"}))
        with pytest.raises(BadInput, match="running there"), Ledger.writing(tmp_path):
            pass
    with Ledger.reading(tmp_path) as ledger:
        assert [(r["metric"], r["value"]) for r in ledger.figures()] == [("x", 1.5)]
        assert ledger.known()["r2"]["reason"] == "no"
    with pytest.raises(BadInput, match="fleet fit"), Ledger.reading(tmp_path / "elsewhere"):
        pass
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / NAME).write_bytes(b"no database, but long enough to be read as one" * 40)
    with pytest.raises(BadInput, match="cannot be used"), Ledger.reading(tmp_path / "bad"):
        pass


def test_no_bit_of_the_table_changes_unseen(tmp_path: Path, sweetspot: Typed) -> None:
    """Each of 200 flips in the table, and each in its SHA-256, is refused; a table without one is read with a note."""
    with Ledger.writing(tmp_path) as ledger:
        for i in range(20):
            about = {"unit": f"U{i}", "rig": "desk", "created_utc": f"2026-01-{i + 1:02}T00:00:00Z", "kind": "k"}
            ledger.keep(
                Outcome(f"r{i}", "done", "", about, (Figure("verify", "x", 9.0 + i / 7, 9.0, 1.0, "at least", True),))
            )
    table, digest = tmp_path / NAME, tmp_path / f"{NAME}.sha256"
    assert digest.read_text().split() == [file_sha256(table), NAME]
    whole = {path: path.read_bytes() for path in (table, digest)}
    rng = np.random.default_rng(4)
    for path, last, count in ((table, table.stat().st_size, 200), (digest, 64, 20)):
        for bit in rng.integers(8 * last, size=count):
            broken = bytearray(whole[path])
            broken[bit // 8] ^= 1 << (bit % 8)
            path.write_bytes(broken)
            for door in (Ledger.reading, Ledger.writing):
                with pytest.raises(BadInput, match="is damaged, or another program wrote it"), door(tmp_path):
                    pass
        path.write_bytes(whole[path])
    done = sweetspot("fleet", "limits", tmp_path)
    assert (done.returncode, "SHA-256" in done.stdout) == (0, False), done.stdout + done.stderr
    digest.unlink()
    assert "has no SHA-256 beside it" in sweetspot("fleet", "limits", tmp_path).stdout
    with Ledger.writing(tmp_path):
        assert not digest.exists(), "a table at work has none: a killed writer leaves no wrong one"
    with Ledger.reading(tmp_path) as ledger:
        assert not ledger.note


def test_a_run_that_was_interrupted_is_no_failed_unit(measured: Path, tmp_path: Path, sweetspot: Typed) -> None:
    """Of a line that was killed: before the first capture, and before the last of the ears; a refused unit failed."""
    shutil.copytree(measured, tmp_path / "A" / "run")
    with Session.read(measured / "session.h5") as session:
        rig = session.rig()
    for unit in ("empty", "refused", "partly"):
        folder.new(tmp_path, unit, rig, datetime(2026, 1, 1, tzinfo=UTC))
    with Session.resume(next(tmp_path.glob("refused/*/session.h5"))) as session:
        session.annotate("estimate", json.dumps({"verdict": "refused"}))
    with Session.resume(next(tmp_path.glob("partly/*/session.h5"))) as session:
        session.begin(plan.make(rig, "ears"))
    done = sweetspot("fleet", "fit", tmp_path, "--json", "--workers", "1")
    found = json.loads(done.stdout)
    named = {status: {Path(run).parent.name for run in found[status]} for status in ("interrupted", "reasons")}
    assert named == {"interrupted": {"empty", "partly"}, "reasons": {"refused"}}, done.stderr
    with Ledger.reading(tmp_path) as ledger:
        summary = ledger.summary()
        assert (summary.units, summary.runs, len(summary.broken), len(summary.interrupted)) == (2, 2, 1, 2)
    assert "2 interrupted runs left out" in sweetspot("fleet", "stats", tmp_path).stdout


def test_a_new_run_is_handed_out_unread_and_its_hashes_are_the_workers(tmp_path: Path) -> None:
    run = tmp_path / "u" / "r"
    run.mkdir(parents=True)
    (run / "session.h5").write_bytes(b"x")
    job = jobs.job(run, ("fit",), "", Limits(), "hash")
    assert {job.identity[f"{name}_{what}"] for name in jobs.FILES for what in ("sha256", "stamp")} == {""}
    sha256 = hashlib.sha256(b"x").hexdigest()
    for outcome in (fleet.work(job), jobs.dead(job, "its worker died")):
        assert outcome.status == "failed"
        assert outcome.about["session_sha256"] == sha256
        known = {str(run): {**outcome.about, "status": "failed"}}
        again = jobs.job(run, ("fit",), "", Limits(), "hash", row=known[str(run)])
        assert not list(jobs.due([again], known, retry=False))  # the same file fails again
    (run / "session.h5").write_bytes(b"another")
    again = jobs.job(run, ("fit",), "", Limits(), "hash", row=known[str(run)])
    assert list(jobs.due([again], known, retry=False))


def test_what_is_due(tmp_path: Path) -> None:
    run = tmp_path / "u" / "r"
    run.mkdir(parents=True)
    (run / "session.h5").write_bytes(b"x")
    (run / "filterset.h5").write_bytes(b"x")
    job = jobs.job(run, ("fit",), "", Limits(), "hash")
    done = {job.run: {**job.identity, "status": "done"}}
    assert list(jobs.due([job], {}, retry=False)) == [job]
    assert not list(jobs.due([job], done, retry=False))
    assert list(jobs.due([jobs.job(run, ("fit",), "", Limits(), "other")], done, retry=False))
    failed = {job.run: {**job.identity, "status": "failed"}}
    assert not list(jobs.due([job], failed, retry=False))
    assert list(jobs.due([job], failed, retry=True)) == [job]
    (run / "filterset.h5").unlink()
    assert list(jobs.due([job], done, retry=False)) == [job]


WORKERS = """
import json, os, sys, time
from pathlib import Path
from sweetspot.calibrate.fleet.jobs import Job
from sweetspot.calibrate.fleet.ledger import Outcome
from sweetspot.calibrate.fleet import run

place = Path(sys.argv[1])

def work(job):
    name = Path(job.run).name
    with open(place / "log", "a") as log:
        log.write(name + "\\n")
    if name == "deadly" or (name == "once" and not (place / "died").exists()):
        (place / "died").touch()
        os._exit(9)
    if name.startswith("long"):
        (place / f"pid-{os.getpid()}").touch()
        time.sleep(60)
    time.sleep(0.02)
    return Outcome(job.run, "done", "", {"worker": str(os.getpid())})

def main():
    names = json.loads(sys.argv[2])
    todo = [Job(str(place / n), ("fit",), "", None, {}) for n in names]
    found = list(run.on_processes(todo, 2, work))
    rows = [[Path(o.run).name, o.status, o.reason, o.about.get("worker")] for o in found]
    print(json.dumps(rows))

if __name__ == "__main__":
    main()
"""


def worked(tmp_path: Path, root: Path, names: list[str]) -> list[list[str]]:
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    command = [sys.executable, script, tmp_path, json.dumps(names)]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(root), "PATH": ""}, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_a_killed_worker_costs_nothing_but_what_it_had(tmp_path: Path, root: Path) -> None:
    names = [f"u{i}" for i in range(12)]
    found = worked(tmp_path, root, [*names[:5], "once", *names[5:]])
    assert sorted(n for n, status, *_ in found if status == "done") == sorted([*names, "once"])
    begun = (tmp_path / "log").read_text().split()
    assert begun.count("once") == 2
    again = [n for n in names if begun.count(n) > 1]
    assert len(again) <= 4, f"{again} were done again"


def test_a_unit_that_kills_every_worker_does_not_stop_the_others(tmp_path: Path, root: Path) -> None:
    found = worked(tmp_path, root, ["a", "deadly", "b", "c", "d"])
    by_name = {n: (status, reason) for n, status, reason, _ in found}
    assert by_name.pop("deadly") == ("failed", "its worker died 3 times")
    assert set(by_name) == {"a", "b", "c", "d"}
    assert all(status == "done" for status, _ in by_name.values())


def test_workers_die_with_the_command_that_hands_out_the_work(tmp_path: Path, root: Path) -> None:
    """Killed outright, with two units at work and two that wait: no worker lives on, and nothing else is begun."""
    (tmp_path / "workers.py").write_text(WORKERS)
    command = [sys.executable, tmp_path / "workers.py", tmp_path, json.dumps([f"long{i}" for i in range(4)])]
    with subprocess.Popen(command, env={"PYTHONPATH": str(root), "PATH": ""}, stderr=subprocess.DEVNULL) as coordinator:
        assert soon(lambda: len(list(tmp_path.glob("pid-*"))) == 2)
        coordinator.kill()
    pids = [int(p.name[4:]) for p in tmp_path.glob("pid-*")]
    assert soon(lambda: not any(alive(pid) for pid in pids))
    assert len((tmp_path / "log").read_text().split()) == 2


def soon(true: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether it becomes true."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_runs_keep_the_design_that_they_were_fitted_with(measured: Path, tmp_path: Path) -> None:
    """Without --design a run that was calibrated by hand keeps its filters; with another one it is fitted again."""
    place = tmp_path / "u" / "r"
    shutil.copytree(measured, place)
    (design := tmp_path / "design.toml").write_text("[crosstalk]\neffort_db = 3.0\n")
    calibrate(place, designs.read(design)[0], design.read_text())
    kept = (place / store.NAME).read_bytes()
    assert fleet.work(jobs.job(place, ("fit",), None, Limits(), "")).status == "done"
    assert (place / store.NAME).read_bytes() == kept
    assert jobs.own_design(place) == design.read_text()
    assert fleet.work(jobs.job(place, ("fit",), "", Limits(), "")).status == "done"
    assert store.read_design(place) == ""
    assert jobs.own_design(tmp_path / "gone") == ""


def test_a_fleet_is_fitted_once_and_a_broken_unit_is_reported(measured: Path, tmp_path: Path, sweetspot: Typed) -> None:
    fleet = tmp_path / "fleet"
    for unit in ("A", "B", "C"):
        shutil.copytree(measured, fleet / unit / "run")
    whole = (fleet / "B" / "run" / "session.h5").read_bytes()
    (fleet / "B" / "run" / "session.h5").write_bytes(whole[: len(whole) // 3])

    first = sweetspot("fleet", "fit", fleet, "--workers", "2", "--json")
    outcome = json.loads(first.stdout)
    assert first.returncode == 1
    assert (outcome["done"], outcome["failed"], outcome["kept"]) == (2, 1, 0)
    assert "the file is damaged" in next(iter(outcome["reasons"].values()))
    stamp = (fleet / "A" / "run" / "filterset.h5").stat().st_mtime_ns

    second = json.loads(sweetspot("fleet", "fit", fleet, "--json").stdout)
    assert (second.get("done", 0), second["kept"]) == (0, 3)
    (fleet / "B" / "run" / "session.h5").write_bytes(whole)
    third = sweetspot("fleet", "fit", fleet, "--json")
    assert third.returncode == 0, third.stderr
    assert json.loads(third.stdout)["done"] == 1
    assert (fleet / "A" / "run" / "filterset.h5").stat().st_mtime_ns == stamp

    shown = sweetspot("fleet", "stats", fleet, "--json")
    figures = {f["metric"]: f for f in json.loads(shown.stdout)["figures"]}
    assert figures["cancellation, mean"]["count"] == 1, "three copies of one run are one measurement"
    page = (fleet / "fleet.html").read_text()
    assert "NOT VERIFIED" in page
    assert "<svg" in page
    assert "one run." in page
    assert "standard deviation 0.00" not in page, "one value has no spread"
    assert not re.search(r">-\d", page), "a hyphen for a minus sign"
    with closing(sqlite3.connect(fleet / NAME)) as table, table:
        assert table.execute("SELECT COUNT(*) FROM units WHERE status = 'done'").fetchone() == (3,)


def test_wrong_use_of_fleet_is_reported(tmp_path: Path, sweetspot: Typed) -> None:
    (tmp_path / "empty").mkdir()
    for command, message in (
        (("fit", tmp_path / "gone"), "no such folder"),
        (("fit", tmp_path / "empty"), "holds no run"),
        (("limits", tmp_path / "empty"), "no fleet was fitted"),
    ):
        done = sweetspot("fleet", *command)
        assert done.returncode == 2
        assert message in done.stderr


def verify(run: Path, value: float) -> None:
    """A verification through the run's filters as they are now, with one judged figure."""
    filters, judged = store.read(run), {"name": "contrast", "predicted": 15.0, "limit": 12.0, "sense": "at least"}
    with Session.read(run / "session.h5") as session:
        rig = session.rig()
    (run / jobs.VERIFIED).unlink(missing_ok=True)
    made_with = {"filterset_sha256": file_sha256(run / store.NAME), "session_sha256": filters.source}
    with Session.create(
        run / jobs.VERIFIED, rig, "T-9", "2026-03-04T12:00:00Z", schema=VERIFICATION, **made_with
    ) as file:
        file.annotate("verdict", json.dumps({"metrics": [judged | {"heard": value, "passed": value >= 12.0}]}))


def test_units_verified_after_the_fit_come_in_and_figures_of_old_filters_go(measured: Path, tmp_path: Path) -> None:
    """Fit, verify, fit again: the figure is there. Other filters: it is not, and why. Each changed file is seen."""
    place = tmp_path / "u" / "r"
    shutil.copytree(measured, place)

    def again(design: str = "") -> tuple[int, list[float], str]:
        with Ledger.writing(tmp_path) as ledger:
            known = ledger.known()
            todo = [jobs.job(place, ("fit",), design, Limits(), design, row=known.get(str(place)))]
            due = list(jobs.due(todo, known, retry=False))
            for job in due:
                ledger.keep(fleet.work(job))
            (row,) = ledger.known().values()
            assert row["status"] == "done", row["reason"]
            figures = [float(r["value"]) for r in ledger.figures() if r["step"] == "verify"]
        return len(due), figures, str(row["reason"])

    assert again() == (1, [], "")
    assert again() == (0, [], "")
    for value in (14.0, 13.0):
        verify(place, value)
        assert again() == (1, [value], "")
        assert again() == (0, [value], "")
    os.utime(place / store.NAME)
    assert again()[0] == 0, "a file that was touched has not changed"
    with Ledger.reading(tmp_path) as ledger:
        assert jobs.changed(ledger.known()) == []
    (design := tmp_path / "design.toml").write_text("[crosstalk]\neffort_db = 3.0\n")
    calibrate(place, designs.read(design)[0], design.read_text())
    with Ledger.reading(tmp_path) as ledger:
        assert jobs.changed(ledger.known()) == [str(place)], "filters that were made anew behind the table's back"
    due, figures, why = again("[crosstalk]\neffort_db = 3.0\n")
    assert (due, figures) == (1, [])
    assert "verified with another filter set" in why
    verify(place, 12.5)
    assert again("[crosstalk]\neffort_db = 3.0\n") == (1, [12.5], "")
    (place / "rig.toml").write_text((place / "rig.toml").read_text() + "\n")
    with pytest.raises(AssertionError, match=r"rig\.toml: was changed after the measurement"):
        again("[crosstalk]\neffort_db = 3.0\n")


def test_a_table_that_cannot_be_written_reports_the_true_cause(tmp_path: Path, sweetspot: Typed) -> None:
    """Locked by another program; read-only; and full, with a limit on the size of files in the disk's place."""
    with Ledger.writing(tmp_path) as ledger:
        ledger.keep(Outcome("r1", "done", "", {"unit": "A"}))
    digest = (tmp_path / DIGEST).read_text()
    lock = (
        "import sqlite3, sys; table = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "table.execute('BEGIN EXCLUSIVE'); print(flush=True); input()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    other = subprocess.Popen([sys.executable, "-c", lock, str(tmp_path / NAME)], **pipes)  # its lock is a process's
    assert other.stdout
    assert other.stdout.readline()
    with pytest.raises(BadInput, match=r"fleet\.sqlite.* locked by another program"), Ledger.writing(tmp_path):
        pass
    done = sweetspot("fleet", "stats", tmp_path)
    assert done.returncode == 2
    assert "fleet.sqlite: the table of the fleet cannot be used: it is locked by another program; close" in done.stderr
    other.communicate("\n")
    assert (tmp_path / DIGEST).read_text() == digest, "a table that was not written keeps its digest"
    with pytest.raises(BadInput, match="it is read-only"), Ledger.reading(tmp_path) as ledger:
        ledger.keep(Outcome("r2", "done", "", {"unit": "B"}))
    with pytest.raises(BadInput, match=r"folder .* does not exist"), Ledger.writing(tmp_path / "gone"):
        pass
    code = (
        "import resource, signal; from pathlib import Path\n"
        "from sweetspot.calibrate.fleet.ledger import Ledger, Outcome\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))\n"
        "try:\n"
        "    with Ledger.writing(Path('.')) as ledger:\n"
        "        for i in range(999): ledger.keep(Outcome(f'more {i}', 'failed', 'x' * 999, {'unit': 'B'}))\n"
        "except Exception as fault: print(type(fault).__name__, fault)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("BadInput fleet.sqlite: the table of the fleet cannot be used: the disk is full")
    assert done.stdout.count("\n") == 1
    with Ledger.reading(tmp_path) as ledger:
        assert "r1" in ledger.known()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f".{NAME}.lock", NAME, DIGEST]


def test_a_scheduler_that_does_not_answer_is_hardware_trouble(measured: Path, tmp_path: Path, sweetspot: Typed) -> None:
    shutil.copytree(measured, tmp_path / "fleet" / "A" / "run")
    done = sweetspot("fleet", "fit", tmp_path / "fleet", "--scheduler", "tcp://127.0.0.1:9")
    assert done.returncode == 3, done.stderr
    assert "no Dask scheduler answers" in done.stderr


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "localhost:8786", "tcp://[::1]:8786", "127.9.9.9:65535"])
def test_plain_tcp_stays_on_this_computer(address: str) -> None:
    assert Scheduler.checked(address, Certificates(), insecure=False).address.startswith("tcp://")
    with pytest.raises(BadInput, match=r"--tls-ca: .*no such file"):
        Scheduler.checked(address, Certificates(ca=Path("gone.pem")), insecure=False)


@pytest.mark.parametrize(
    "address",
    ["tcp://10.0.0.5:8786", "desk:8786", "127.0.0.1.example.org:1", "tcp://[2001:db8::1]:8786", "0.0.0.0:8786",
     "localhost.example:1", "2130706433:1"],
)  # fmt: skip
def test_plain_tcp_to_others_is_refused(address: str) -> None:
    with pytest.raises(BadInput, match="plain TCP to another computer"):
        Scheduler.checked(address, Certificates(), insecure=False)
    assert Scheduler.checked(address, Certificates(), insecure=True).address.endswith(address)


@pytest.mark.parametrize(
    "address",
    ["", "tcp://", "10.0.0.5", "tcp://h:0", "tcp://h:65536", "ucx://127.0.0.1:1", "tcp://127.0.0.1@evil:1",
     "tcp://127.0.0.1:1/x", "127.0.0.1:1\n", "TLS://h:1", "tls://tcp://h:1", "tcp://127.0.0.1:\uff11"],
)  # fmt: skip
def test_what_is_no_address_of_a_scheduler(address: str) -> None:
    with pytest.raises(BadInput, match="is not an address"):
        Scheduler.checked(address, Certificates(), insecure=True)


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    (no_pem := tmp_path / "a.pem").write_text("no certificate")
    with pytest.raises(BadInput, match=r"tcp://127\.0\.0\.1:1 is plain TCP; write tls://"):
        Scheduler.checked("tcp://127.0.0.1:1", Certificates(ca=no_pem), insecure=True)
    for given, why in (
        (Certificates(), "--tls-ca, --tls-cert, --tls-key is needed too"),
        (Certificates(no_pem, no_pem, no_pem), "cannot be used as certificates in PEM form"),
    ):
        with pytest.raises(BadInput, match=why):
            list(on_cluster([JOB], Scheduler.checked("tls://127.0.0.1:1", given, insecure=False), fleet.work))


def test_floors_are_in_each_metrics_own_unit() -> None:
    """Latencies of 3.35 ms that never change, delays of 2 ± 0.5 µs: a floor of 0.25 would fail good units."""
    rng = np.random.default_rng(9)
    for unit, values, least in (("ms", np.full(20, 3.35), 1.0), ("µs", rng.normal(2.0, 0.5, 20), 10.0)):
        rows = [
            row(float(v), f"u{i}", limit=100.0, passed=True) | {"sense": "at most", "measured_in": unit}
            for i, v in enumerate(values)
        ]
        (found,) = capability.of_figures(rows)
        assert found.unit == unit
        (derived,) = capability.limits([found], sigmas=4.0, guard=2.0)
        assert derived.unit == unit
        assert derived.limit >= float(values.mean()) + least - 1e-9


def test_no_capability_from_a_spread_that_is_not_resolved() -> None:
    """Units that differ by 5 mdB where 10 mdB is resolved: no Cpk, and why; a hundred times the spread has one."""
    rng = np.random.default_rng(2)
    for spread, there in ((0.005, False), (0.5, True)):
        rows = [
            row(float(20.0 + spread * v), f"u{i}", limit=12.0, passed=True) | {"uncertainty": 0.01}
            for i, v in enumerate(rng.standard_normal(30))
        ]
        (found,) = capability.of_figures(rows)
        assert (found.cpk is not None) == there
        assert ("resolution" in found.why_no_cpk) != there
        assert capability.studied([found]) == capability.NO_GAUGE


BEGUN = """
import sys, time
from sweetspot.calibrate.fleet import run
print("ready", flush=True)
try:
    list(run.on_processes([60, 60], 2, time.sleep))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups")
@pytest.mark.parametrize("after_s", [0.1, 0.4, 3.0])
def test_workers_end_without_a_word_at_ctrl_c(after_s: float) -> None:
    """A terminal sends it to all of them, while they load or work."""
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", BEGUN], start_new_session=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(after_s)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, "")


def test_a_run_that_was_moved_has_one_row(tmp_path: Path) -> None:
    """Its former row would count beside the new one as soon as the values differ; one whose folder is lost stays."""
    old, new, lost = (str(tmp_path / name) for name in ("old", "new", "lost"))
    Path(new).mkdir()
    with Ledger.writing(tmp_path) as ledger:
        for run, session, value in ((old, "a", 15.0), (new, "a", 16.0), (lost, "b", 17.0)):
            about = {"unit": session, "rig": "r", "created_utc": "2026", "session_sha256": session}
            ledger.keep(Outcome(run, "done", "", about, (Figure("fit", "m", value),)))
        assert len(ledger.figures()) == 3
        moved = jobs.moved(ledger.known())
        assert moved == [old]
        ledger.forget(moved)
        assert {row["run"]: row["value"] for row in ledger.figures()} == {new: 16.0, lost: 17.0}
        assert set(ledger.known()) == {new, lost}
        assert not jobs.moved(ledger.known())


def test_copies_of_a_run_count_once(tmp_path: Path) -> None:
    """Two copies of one run, the same session verified again, and another unit: three count."""
    with Ledger.writing(tmp_path) as ledger:
        for run, session, value in (
            ("a", "s", 1.0),
            ("b", "s", 1.0),
            ("c", "s", 1.1),
            ("d", "t", 1.0),
            ("e", "s", 1.0),
        ):
            about = {"unit": session, "created_utc": run, "session_sha256": session}
            ledger.keep(Outcome(run, "done", "", about, (Figure("verify", "x", value),)))
        assert [r["run"] for r in ledger.figures()] == ["a", "c", "d"]
        assert ledger.copies() == {"a": ["b", "e"]}


def test_a_table_of_an_earlier_version_gets_the_columns_that_it_lacks(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / NAME)) as db, db:
        db.execute(
            "CREATE TABLE metrics (run TEXT, unit TEXT, rig TEXT, created_utc TEXT, step TEXT, metric TEXT, "
            "value REAL, predicted REAL, limit_value REAL, sense TEXT, passed INTEGER, PRIMARY KEY (run, step, metric))"
        )
    with Ledger.writing(tmp_path) as ledger:
        ledger.keep(Outcome("a", "done", "", {"unit": "A"}, (Figure("verify", "x", 1.0, measured_in="ms"),)))
        assert ledger.figures()[0]["measured_in"] == "ms"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("ALTER TABLE metrics DROP COLUMN sense", "lacks sense"),
        ("ALTER TABLE units RENAME COLUMN status TO state", "lacks status"),
        ("ALTER TABLE units ADD COLUMN batch TEXT NOT NULL DEFAULT 'x'", ""),
        ("DROP TABLE units; CREATE TABLE units (run TEXT PRIMARY KEY, batch TEXT NOT NULL)", "lacks"),
        ("DROP TABLE metrics; DROP TABLE units; CREATE TABLE songs (name TEXT)", ""),
    ],
)
def test_a_table_of_another_schema(tmp_path: Path, change: str, why: str) -> None:
    """What is missing is named, by the command that reads and by the one that writes; more columns do no harm."""
    with Ledger.writing(tmp_path) as ledger:
        ledger.keep(Outcome("r1", "done", "", {"unit": "A"}, (Figure("fit", "m", 1.0),)))
    (tmp_path / f"{NAME}.sha256").unlink()
    with closing(sqlite3.connect(tmp_path / NAME)) as db, db:
        db.executescript(change)
    if why:
        for door in (Ledger.reading, Ledger.writing):
            with pytest.raises(BadInput, match=why), door(tmp_path):
                pass
        return
    with Ledger.writing(tmp_path) as ledger:
        ledger.keep(Outcome("r2", "done", "", {"unit": "B"}, (Figure("fit", "m", 1.0),)))
    with Ledger.reading(tmp_path) as ledger:
        assert "r2" in ledger.known()
        assert ledger.figures()


def test_runs_of_several_kinds_are_told_apart(tmp_path: Path, sweetspot: Typed) -> None:
    """A note says that kinds are pooled and how to choose one, and where rigs of one kind are."""
    kinds = {"A": ("48 kHz", "one"), "B": ("48 kHz", "two"), "C": ("44 kHz", "one")}
    with Ledger.writing(tmp_path) as ledger:
        for number, (unit, (kind, rig)) in enumerate(kinds.items()):
            about = {
                "unit": unit,
                "rig": rig,
                "kind": kind,
                "created_utc": f"2026-01-0{number + 1}",
                "session_sha256": unit,
            }
            figure = Figure("verify", "balance", 0.1 * number, 0.0, 1.0, "at most", True)
            ledger.keep(Outcome(str(tmp_path / unit), "done", "", about, (figure,)))
        fitted = {"unit": "F", "rig": "one", "kind": "96 kHz", "created_utc": "2026-01-09", "session_sha256": "F"}
        ledger.keep(Outcome(str(tmp_path / "F"), "done", "", fitted, (Figure("fit", "mean", 1.0),)))
    for words, count in (("stats", 3), ("limits", 2)):  # limits come from verified runs alone
        mixed = sweetspot("fleet", words, tmp_path)
        assert mixed.returncode == 0
        assert f"runs of {count} kinds are pooled" in mixed.stdout
        assert "--like C: 1 run, 44 kHz, rig one" in mixed.stdout
        chosen = sweetspot("fleet", words, tmp_path, "--like", "B", "--json")
        assert chosen.returncode == 0, chosen.stderr
        found = json.loads(chosen.stdout)
        assert any("2 rigs are pooled (one, two)" in note for note in found["notes"])
        assert (found["runs"] if words == "limits" else found["figures"][0]["count"]) == 2
    assert sweetspot("fleet", "stats", tmp_path, "--like", "D").returncode == 2


def test_the_kind_of_a_run_is_its_product_rate_and_design(measured: Path, tmp_path: Path) -> None:
    own = tmp_path / "A" / "run"
    shutil.copytree(measured, own)
    kinds = set()
    for text in ("", "# nothing but a remark\n", "[crosstalk]\neffort_db = 3.0\n"):
        calibrate(own, designs.parse(text, "design"), text)
        kinds.add(population.kind_of(own, text))
    assert len(kinds) == 2
    assert sum("47872 Hz, default design, full sessions" in kind for kind in kinds) == 1
