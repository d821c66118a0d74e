"""``sweetspot fleet``: many runs at once."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from sweetspot.calibrate import design as designs
from sweetspot.calibrate import quick
from sweetspot.calibrate.design import read_limits
from sweetspot.calibrate.fleet import capability, cluster, jobs, population, run, sampling
from sweetspot.calibrate.fleet.capability import Statistics
from sweetspot.calibrate.fleet.ledger import NAME, Ledger
from sweetspot.calibrate.fleet.scheduler import Certificates, Scheduler
from sweetspot.calibrate.run import records as kept
from sweetspot.measure.cli import JsonOpt
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import many
from sweetspot.rigs.progress import result, say, tracked
from sweetspot.rigs.storage import check_place, file_sha256

FoldersArg = Annotated[
    list[Path], typer.Argument(metavar="DIR", help="Folders with runs; the fleet's table is in the first.")
]
FolderArg = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a fitted fleet.")]

LikeOpt = Annotated[
    str | None, typer.Option("--like", metavar="UNIT", help="Only runs of this unit's product, rate and design.")
]

FAILED = 1
OWN = "each run's own design"


def mount(app: typer.Typer) -> None:
    """Add the commands to the roof."""
    commands = typer.Typer(no_args_is_help=True, help="Fit and verify many units; statistics and limits over them.")
    commands.command("fit")(fit)
    commands.command("stats")(stats)
    commands.command("limits")(limits)
    commands.command("learn")(learn)
    commands.command("sample")(sample)
    app.add_typer(commands, name="fleet")


def fit(
    folders: FoldersArg,
    design: Annotated[
        Path | None, typer.Option("--design", help="A design.toml for all; each run's own if not given.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Verify too; on the virtual lab only.")] = False,
    limits_file: Annotated[Path | None, typer.Option("--limits", help="Limits of the verdict: a limits.toml.")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Worker processes; by default one per core.", min=1)
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="A Dask scheduler: tls://HOST:PORT, or tcp:// on this computer.")
    ] = None,
    tls_ca: Annotated[Path | None, typer.Option("--tls-ca", help="The cluster's certificate authority, PEM.")] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Client certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Key of the client certificate, PEM.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow plain TCP to another computer.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Retry runs that failed with the same input.")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Fit every run below DIR that is new or changed since the last time."""
    where = _scheduler(scheduler, Certificates(tls_ca, tls_cert, tls_key), insecure=insecure)
    text = None if design is None else designs.read(design)[1]
    steps = ("fit", "verify") if verify else ("fit",)
    limits_ = read_limits(limits_file)
    digest = hashlib.sha256(((OWN if text is None else text) + repr(limits_)).encode()).hexdigest()
    found = jobs.runs(folders)
    count: Counter[str] = Counter()
    with Ledger.writing(folders[0]) as ledger:
        known = ledger.known()
        wanted = [jobs.job(r, steps, text, limits_, digest, row=known.get(str(r))) for r in found]
        due = list(jobs.due(wanted, known, retry=retry))
        count["kept"] = len(wanted) - len(due)
        if due:
            at_once = workers or min(os.cpu_count() or 1, len(due))
            outcomes = cluster.on_cluster(due, where, run.work) if where else run.on_processes(due, at_once)
            with tracked("Fitting", len(due)) as step:
                for outcome in outcomes:
                    ledger.keep(outcome)
                    count[outcome.status] += 1
                    step(str(outcome.about.get("unit", "")))
                    if outcome.status != "done":
                        say(f"  {outcome.about.get('unit')}: {outcome.reason.splitlines()[0]}")
        moved = jobs.moved(ledger.known())
        ledger.forget(moved)
        known = ledger.known()
    rows = {j.run: known[j.run] for j in wanted if j.run in known}
    broken = {r: k["reason"] for r, k in rows.items() if k["status"] == "failed"}
    cut = {r: k["reason"] for r, k in rows.items() if k["status"] == "interrupted"}
    outdated = {r: k["reason"] for r, k in rows.items() if k["status"] == "done" and k["reason"]}
    data = {"table": str(folders[0] / NAME), "runs": len(wanted), **count, "reasons": broken, "outdated": outdated}
    data["interrupted"] = cut
    data["moved"] = len(moved)
    summary = f"{count['done']} fitted, {count['failed']} failed, {count['kept']} were there already"
    summary += f", {len(cut)} interrupted" if cut else ""
    more = f"; {len(broken)} failed in total; --retry tries them again" if len(broken) > count["failed"] else ""
    if moved:
        more += f"; {many(len(moved), 'row')} of runs that were moved or renamed removed"
    if text is None and count["done"]:
        more += "; each with the design of its filters, or the default if it had none"
    notes = "".join(f"\n  {rows[r]['unit']}: {reason}" for r, reason in outdated.items())
    result(data, f"{summary}{more}{notes}\n{folders[0] / NAME}", as_json=as_json)
    raise typer.Exit(FAILED if broken else 0)


def _scheduler(address: str | None, certificates: Certificates, *, insecure: bool) -> Scheduler | None:
    if address is not None:
        return Scheduler.checked(address, certificates, insecure=insecure)
    if alone := [*certificates.given, *(["--insecure"] if insecure else [])]:
        raise BadInput(f"{', '.join(alone)}: needs --scheduler")
    return None


def stats(
    folder: FolderArg,
    page: Annotated[Path | None, typer.Option("--page", help="HTML page; by default DIR/fleet.html.")] = None,
    like: LikeOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Statistics over the units of a fleet: mean, spread, capability, trend, outliers, gauge R&R; also as a page."""
    with Ledger.reading(folder) as ledger:
        summary, copies = ledger.summary(), ledger.copies()
        rows, left_out = _current(ledger, folder)
    if not rows:
        raise BadInput(left_out or f"{folder}: the table has no fitted unit; see: sweetspot fleet fit {folder} --retry")
    rows = population.alike(rows, folder, like)
    if like is not None:
        summary = replace(summary, units=len({r["unit"] for r in rows}), runs=len({r["run"] for r in rows}))
    from sweetspot.calibrate.fleet.page import NAME as PAGE
    from sweetspot.calibrate.fleet.page import write  # matplotlib is slow to import

    found = capability.of_figures(rows)
    with tracked("Drawing", 1) as step:
        written = write(page or (folder if folder.is_dir() else folder.parent) / PAGE, summary, rows, found)
        step(written.name)
    cut = f"{many(len(summary.interrupted), 'interrupted run')} left out" if summary.interrupted else ""
    notes = [capability.studied(found), population.pooled(rows), _copies(copies), cut, left_out, ledger.note]
    notes = [n for n in notes if n]
    data = {"page": str(written), "figures": [asdict(s) for s in found], "notes": notes, "copies": copies}
    result(data, "\n".join([_table(found), *notes, str(written)]), as_json=as_json)


def limits(
    folder: FolderArg,
    sigmas: Annotated[
        float, typer.Option("--sigmas", help="Allowed standard deviations over units.", min=0.5, max=100.0)
    ] = 4.0,
    guard: Annotated[
        float, typer.Option("--guard", help="Guard band in standard deviations of the gauge.", min=0.0, max=100.0)
    ] = 2.0,
    out: Annotated[Path | None, typer.Option("--out", help="Write a limits.toml.")] = None,
    like: LikeOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Derive limits from the good units of a fleet: their spread, with a guard band for the gauge."""
    with Ledger.reading(folder) as ledger:
        rows, left_out = _current(ledger, folder)
    rows = population.alike(rows, folder, like)
    good = [row for row in capability.good(rows) if row["passed"] is not None]
    found = capability.of_figures(good)
    derived = capability.limits(found, sigmas, guard)
    if not derived:
        verified = len({r["run"] for r in rows if r["passed"] is not None})
        none = (
            f"no verified unit in the table; verify each (sweetspot verify RUN; on the virtual lab also fleet fit "
            f"--verify), then: sweetspot fleet fit {folder}"
        )
        bad = f"all of the {verified} verified runs failed or are outliers; see: sweetspot fleet stats {folder}"
        raise BadInput(left_out or f"{folder}: {bad if verified else none}")
    count = len({r["run"] for r in good})
    data = {"runs": count, "limits": [asdict(d) | {"limit": d.limit} for d in derived]}
    lines = [
        f"  {d.metric.replace('+-', '±'):<42} {d.sense} {d.limit:8.2f} {d.unit:<2}  (guard band {d.guard:.2f})"
        for d in derived
    ]
    if note := capability.studied(found):
        lines.append(f"{note}; no guard band was added")
    few = "" if count > 1 else capability.ONE_RUN
    others = [n for n in (few, population.pooled(good), left_out, ledger.note) if n]
    lines += others
    if notes := [n for n in (note, *others) if n]:
        data["notes"] = notes
    summary = f"From {many(count, 'good run')}, {sigmas:g} standard deviations"
    if out is not None:
        run.write_limits(out, capability.by_limit(derived), f"{summary}, guard band {guard:g}; sweetspot fleet limits")
        data["out"] = str(out)
        lines.append(str(out))
    result(data, "\n".join([f"{summary}:", *lines]), as_json=as_json)


def learn(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with fully measured runs of one rig.")],
    out: Annotated[Path, typer.Option("--out", help="File of the model.")],
    as_json: JsonOpt = False,
) -> None:
    """Learn the spread of fully measured units for single-capture calibration: mean, components, variances."""
    check_place(out)
    runs = quick.run.runs_below(folder)
    with tracked("Learning", len(runs)) as step:
        model, rig = quick.run.learned(runs, step)
    quick.write(out, model)
    stated = quick.run.described(model)
    data = {"model": str(out), "sha256": file_sha256(out), "rig": rig.name, **stated}
    result(data, f"{model.text}\n{quick.run.description_text(model)}\n{out}", as_json=as_json)


def _current(ledger: Ledger, folder: Path) -> tuple[list[Mapping[str, Any]], str]:
    """Metrics of the runs with unchanged files, and a note on the others."""
    changed = set(jobs.changed(ledger.stamped()))
    rows = [row for row in ledger.figures() if row["run"] not in changed] if changed else ledger.figures()
    count = f"{len(changed)} {'run has' if len(changed) == 1 else 'runs have'}"
    note = f"{folder}: {count} changed since the table was filled; to include them: sweetspot fleet fit {folder}"
    return rows, note if changed else ""


def _copies(copies: dict[str, list[str]]) -> str:
    count = sum(map(len, copies.values()))
    return f"{count} {'copy' if count == 1 else 'copies'} of runs counted once" if count else ""


def _table(found: list[Statistics]) -> str:
    head = f"{'metric':<44}{'unit':>5}{'runs':>8}{'mean':>9}{'spread':>8}{'p10':>9}{'limit':>10}{'Cpk':>9}{'failed':>8}"
    lines = []
    for s in found:
        value = "own" if s.limit is None else f"{s.limit:.4g}"
        limit = "-" if s.limits is None else f"{'≥' if s.sense == 'at least' else '≤'} {value}"
        cpk = "-" if s.cpk is None else f"{s.cpk:.2f}"
        spread = f"{s.spread:.2f}" if s.count > 1 else "-"
        name = (s.metric if s.step == "verify" else f"{s.metric} (predicted)").replace("+-", "±")
        lines.append(
            f"{name:<44}{s.unit:>5}{s.count:>8}{s.mean:>z9.2f}{spread:>8}{s.p10:>z9.2f}{limit:>10}{cpk:>9}{s.failed:>8}"
        )
    why = sorted({s.why_no_cpk for s in found if s.why_no_cpk})
    return "\n".join([head, *lines, *(f"no Cpk: {w}" for w in why)])


def sample(
    records: Annotated[Path, typer.Argument(metavar="RECORDS", help="Folder of the line's records (--records).")],
    as_json: JsonOpt = False,
) -> None:
    """Show the sampling plan of a line: units for full verification, results, units due."""
    if not (records / kept.LINE).is_file():
        raise BadInput(f"{records}: no {kept.LINE} of a line there; give the folder of sweetspot line --records")
    units = sampling.plan(kept.of_line(records))
    result({"units": [u.to_dict() for u in units]}, sampling.text(units), as_json=as_json)
    raise typer.Exit(FAILED if any(u.state in ("fail", "inconclusive") for u in units) else 0)
