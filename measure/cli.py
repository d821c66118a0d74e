"""``sweetspot measure``: responses at the dummy head and around the turntable, and finishing interrupted sessions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from sweetspot.measure import folder, plan, summary
from sweetspot.measure.incoming import cli as incoming
from sweetspot.measure.overlap import usual
from sweetspot.measure.plan import OverlapMode, SetName
from sweetspot.measure.preflight import cli as preflight
from sweetspot.measure.session import RawKept, Session, without_raw
from sweetspot.rigs.cli import DelayOpt, FaultsOpt, YesOpt
from sweetspot.rigs.errors import BadInput, HardwareTrouble, TooLoud, command
from sweetspot.rigs.load import check_files, find, open_rig, utc_now
from sweetspot.rigs.names import check_serial, many
from sweetspot.rigs.progress import operator, result, say, tracked
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.quick_start import quick_start, uncollected
from sweetspot.rigs.rig_file import Description, read, with_faults
from sweetspot.rigs.runs import begun, located, maybe_located
from sweetspot.rigs.storage import alone, alone_in

RigArg = Annotated[str, typer.Argument(metavar="RIG", help="A rig file, or the name of a ready-made rig.")]
UnitOpt = Annotated[str, typer.Option("--unit", help="Serial number of the unit.")]
RunsOpt = Annotated[Path, typer.Option("--runs", help="Folder of all runs.")]
RunOpt = Annotated[
    Path | None,
    typer.Option("--run", help="Add to this run folder, or to the latest run of this unit.", callback=maybe_located),
]
LONG_S = 1800.0
"""Playing time, s, above which a plan needs confirmation."""

PLOTS = ("responses", "impulse", "decay", "distortion", "polar", "directivity", "cta2034")
MORE_PLOTS = ("reverberation", "group-delay", "step", "burst-decay", "average")
"""Names of the plots of ``measure show``, and of those that are drawn only if asked for."""

RUN_HELP = "Run folder; or a unit's folder or serial number for its latest run."
MeasuredRun = Annotated[Path, typer.Argument(metavar="RUN", help=RUN_HELP, callback=located)]
BegunRun = Annotated[Path, typer.Argument(metavar="RUN", help=RUN_HELP, callback=begun)]
RawOpt = Annotated[RawKept, typer.Option("--raw", help="Raw captures kept in a complete session (compressed).")]
DryOpt = Annotated[bool, typer.Option("--dry-run", help="Only show the plan: time, size and order.")]
AcceptOpt = Annotated[
    bool, typer.Option("--accept-change", help="Keep captures whose level or polarity changed since the last position.")
]
OverlapOpt = Annotated[
    OverlapMode | None,
    typer.Option(
        "--overlap",
        help="All drivers of a position in one capture: off, auto (where possible), on. Default: auto for more than 5 "
        "minutes of sound without repeats, else off.",
    ),
]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def mount(app: typer.Typer) -> None:
    """Add the commands to the roof."""
    commands = typer.Typer(no_args_is_help=True, help="Measure driver-to-ear and polar responses.")
    commands.command("ears", help="Measure every driver to both ears at the head positions of the rig.")(
        _command("ears")
    )
    commands.command(
        "polar",
        help="Measure every driver around the turntable; adds to the unit's latest run if that has no polar set yet.",
    )(_command("polar"))
    commands.command("templates")(templates)
    commands.command("resume")(resume)
    commands.command("import")(incoming.import_)
    commands.command("show")(pictures)
    commands.command("export")(export_)
    app.add_typer(commands, name="measure")
    preflight.mount(app)
    app.command("sofa")(sofa_)


def _command(name: SetName) -> Callable[..., None]:
    """The command that measures a set of the unit."""

    def measure_set(
        rig: RigArg,
        unit: UnitOpt,
        runs: RunsOpt = Path("runs"),
        run: RunOpt = None,
        yes: YesOpt = False,
        delay: DelayOpt = 10.0,
        fault: FaultsOpt = None,
        overlap: OverlapOpt = None,
        raw: RawOpt = "all",
        dry_run: DryOpt = False,
        as_json: JsonOpt = False,
    ) -> None:
        how = _Wish(unit, runs, run, yes, delay, rig=rig, overlap=overlap, raw=raw, dry_run=dry_run, as_json=as_json)
        _begin(name, with_faults(read(find(rig)), fault), how)

    return measure_set


def templates(
    rig: RigArg,
    unit: UnitOpt,
    runs: RunsOpt = Path("runs"),
    run: RunOpt = None,
    yes: YesOpt = False,
    delay: DelayOpt = 10.0,
    fault: FaultsOpt = None,
    dry_run: DryOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Measure the dummy head's localisation templates: yaw from -90 to 90 degrees re the front driver."""
    how = _Wish(unit, runs, run, yes, delay, rig=rig, dry_run=dry_run, as_json=as_json)
    _begin("templates", with_faults(read(find(rig)), fault), how)


def resume(
    run: BegunRun,
    yes: YesOpt = False,
    delay: DelayOpt = 10.0,
    fault: FaultsOpt = None,
    accept_change: AcceptOpt = False,
    overlap: OverlapOpt = None,
    raw: RawOpt = "all",
    dry_run: DryOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Finish an interrupted session: measure only what is missing."""
    from sweetspot.measure.monitor import FIXED
    from sweetspot.measure.run import planned

    with Session.read(folder.session_file(run)) as session:
        description, serial, sets = session.rig(), session.serial, session.sets or ("ears",)
        if all(session.origin(name) for name in sets):
            raise BadInput(f"{run}: its {' and '.join(sets)} were imported or estimated; there is nothing to measure")
        sets = ("templates",) if session.has_templates and not session.sets else sets
        pair = "templates" not in sets and description.reference is not None
        sets = (*sets, "reference") if session.has_reference or pair else sets
        sets = (*sets, *(n for n in plan.fixed_sets(description) if "templates" not in sets))
        if dry_run:
            check_files(with_faults(description, fault))
            plans = [planned(session, plan.make(description, name)) for name in sets if name not in FIXED]
            _plan_only([summary.of_plan(one, session.left(one)) for one in plans], as_json)
            return
    with open_rig(with_faults(description, fault), serial=serial) as rig:
        for name in sets:
            how = overlap if name in plan.SETS else None
            capture_set(rig, name, run, operator(yes, delay), accept_change, how)
    _report(run, str(run / "rig.toml"), raw, as_json=as_json)


def _dry_run(described: Description, name: SetName, unit: str, *, overlap: OverlapMode | None, as_json: bool) -> None:
    """The plan of a set, after a check of the serial number and of every file that the run needs."""
    from sweetspot.measure.listener import CaptureAnalyser

    check_serial(unit, "--unit")
    wanted = plan.make(described, name)
    overlap = overlap or usual(wanted)
    check_files(described)
    CaptureAnalyser.of(described, wanted)
    plans = [summary.of_plan(wanted, overlap=overlap)]
    if name == "ears" and described.reference is not None:
        plans.append(summary.of_plan(plan.make(described, "reference")))
    _plan_only(plans, as_json)


def _plan_only(plans: list[tuple[dict[str, object], str]], as_json: bool) -> None:
    result({"plans": [data for data, _ in plans]}, "\n".join(lines for _, lines in plans), as_json=as_json)


def capture_set(
    rig: Rig,
    name: SetName,
    run: Path,
    ask: Callable[[str], None],
    accept_change: bool = False,
    overlap: OverlapMode | None = None,
) -> None:
    """Make the missing captures of one set of a run, with a progress bar."""
    from sweetspot.measure.judge import levels_unknown  # what measures is what the other commands need not load
    from sweetspot.measure.monitor import FIXED, plan_at_once
    from sweetspot.measure.run import measure, planned

    wanted = plan_at_once(rig.description, name) if name in FIXED else plan.make(rig.description, name)
    file = folder.session_file(run)
    with alone(run), Session.resume(file) as session:
        if origin := session.origin(name):
            how = "estimated" if session.is_estimated(name) else "imported"
            say(f"{name}: {how} from {origin}; there is nothing to measure")
            return
        left = session.left(planned(session, wanted))
        if not left:
            say(f"{name}: all {len(wanted.captures)} captures are there already")
            return
        if unknown := levels_unknown(rig.description, wanted.mics):
            say(f"{name}: {unknown}")
        if overlap not in (None, "off") and session.overlap(name) is None:
            left = min(left, summary.overlapped_captures(wanted) or left)
        try:
            with tracked(f"Measuring {name}", left) as step:
                measure(rig, session, wanted, ask=ask, step=step, accept_change=accept_change, overlapped=overlap)
        except (KeyboardInterrupt, HardwareTrouble) as fault:
            refused = isinstance(fault, TooLoud) and not session.has_captures
            if "measure resume" not in str(fault) and not refused:
                say(f"Captures so far are kept. Continue with: {command('measure resume', run)}")
            raise


def _agreed(wanted: plan.Plan, overlap: OverlapMode | None, description: Description, yes: bool) -> None:
    """Ask for confirmation of a long plan, unless ``--yes`` is given or the rig is the virtual lab, which runs faster.

    Raises
    ------
    BadInput
        There is no terminal.
    """
    if wanted.seconds <= LONG_S:
        return
    _, lines = summary.of_plan(wanted, overlap=overlap)
    say(lines.split("\n")[0])
    if yes or description.interface.driver == "lab":
        return
    if not sys.stdin.isatty():
        raise BadInput(
            f"measure {wanted.name}: {wanted.seconds / 60:.0f} min of sound, more than {LONG_S / 60:.0f}, and no "
            f"terminal to confirm on: --yes starts without asking, --dry-run shows the plan"
        )
    if not typer.confirm(f"More than {LONG_S / 60:.0f} min of sound. Start?", err=True):
        raise typer.Abort


@dataclass(frozen=True, slots=True)
class _Wish:
    """Options of ``measure ears``, ``polar`` and ``templates``."""

    unit: str
    runs: Path
    run: Path | None
    yes: bool
    delay: float
    rig: str
    dry_run: bool
    as_json: bool
    overlap: OverlapMode | None = None
    raw: RawKept = "all"

    @property
    def ask(self) -> Callable[[str], None]:
        """Asks for a move."""
        return operator(self.yes, self.delay)


def _begin(name: SetName, description: Description, how: _Wish) -> None:
    """Measure a set, or only show its plan."""
    if how.dry_run:
        _dry_run(description, name, how.unit, overlap=how.overlap, as_json=how.as_json)
        return
    overlap = how.overlap or usual(plan.make(description, name))
    _agreed(plan.make(description, name), overlap, description, how.yes)
    if how.run is not None:
        folder.check_same(how.run, how.unit, description)
    with open_rig(description, serial=how.unit) as rig:
        known = how.run or folder.latest_without(how.runs, how.unit, description, name)
        chosen = known or folder.new(how.runs, how.unit, description, utc_now())
        with nullcontext() if known else folder.removed_if_refused(chosen):
            say(f"Run {chosen}")
            capture_set(rig, name, chosen, how.ask, overlap=overlap)
            if name == "ears" and description.reference is not None:
                capture_set(rig, "reference", chosen, how.ask)
            for fixed in plan.fixed_sets(description) if name == "ears" else ():
                capture_set(rig, fixed, chosen, how.ask)
    _report(chosen, how.rig, how.raw, as_json=how.as_json)


def _report(run: Path, rig: str, raw: RawKept, *, as_json: bool) -> None:
    """Print a session's summary, which reads its raw captures, and then drop those that are not wanted."""
    with Session.read(folder.session_file(run)) as session:
        data, lines = summary.of_session(session)
        then = summary.next_step(session, rig, run)
    without_raw(folder.session_file(run), raw)
    result({"run": str(run), **data}, f"{lines}\n{run / 'session.h5'}\nnext: {then}", as_json=as_json)


def pictures(
    run: MeasuredRun,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the pictures; by default RUN/show.")] = None,
    only: Annotated[
        str | None, typer.Option("--only", help=f"Comma-separated plot names: {', '.join((*PLOTS, *MORE_PLOTS))}.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help=f"All plots, also those drawn only by name: {', '.join(MORE_PLOTS)}.")
    ] = False,
    bands: Annotated[Literal["octave", "third"], typer.Option("--bands", help="Bands of reverberation.")] = "octave",
    kind: Annotated[Literal["png", "svg", "pdf"], typer.Option("--format", help="Image format.")] = "png",
    position: Annotated[
        int | None, typer.Option("--position", help="Head position, from 1; by default the nominal one.")
    ] = None,
    smoothing: Annotated[
        int, typer.Option("--smoothing", help="Smoothing of 1/N octave; 0 for none.", min=0, max=96)
    ] = 24,
    gate: Annotated[
        float | None,
        typer.Option(
            "--gate",
            help="Use only this many ms from each arrival on, without later reflections; valid from 1000/gate Hz.",
            min=0.5,
            max=10000.0,
        ),
    ] = None,
    vertical: Annotated[
        Path | None,
        typer.Option(
            "--vertical",
            help="Run with the unit on its side, top to the left, for CTA-2034.",
            callback=maybe_located,
        ),
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """Draw a session: responses, impulse and decay, reverberation, distortion, polar maps, directivity, CTA-2034."""
    from sweetspot.measure.share import shown
    from sweetspot.rigs.parallel import forked

    sideways = folder.session_file(vertical) if vertical else None
    how = shown.ShowOptions(
        position,
        1.0 / smoothing if smoothing else 0.0,
        bands,
        gate_s=None if gate is None else gate / 1e3,
        distortion=only is None or "distortion" in only,
    )
    with uncollected():
        with forked.begun([partial(shown.gather, folder.session_file(run), how, sideways)]) as read:
            with quick_start():
                from sweetspot.measure.share import figures  # matplotlib is slow to import
            (data,) = read()
        names = figures.chosen(figures.pictures(data), only, every=every)
        target = out or run / "show"
        paths = {name: target / f"{name}.{kind}" for name in names}
        with alone(run) if out is None else alone_in(out), tracked("Drawing", 1) as step:
            tables = figures.save_all(data, paths)
            step(str(target))
    files = [str(path) for path in paths.values()]
    found = {"run": str(run), "pictures": files} | {name.replace("-", "_"): rows for name, (rows, _) in tables.items()}
    result(found, "\n".join([*files, *(text for _, text in tables.values())]), as_json=as_json)


def export_(
    run: MeasuredRun,
    to: Annotated[Literal["frd", "wav"], typer.Option("--to", help="FRD or 32-bit float WAV, one file per response.")],
    out: Annotated[Path, typer.Option("--out", help="Output folder.")],
    as_json: JsonOpt = False,
) -> None:
    """Write each response to its own file, for other programs."""
    from sweetspot.measure.share import export, standard_errors

    with Session.read(folder.session_file(run)) as session:
        sets = {name: session.responses(name, whole=True) for name in session.sets}
        about = f"sweetspot, unit {session.serial}, run {run.resolve().name}, rig SHA-256 {session.rig_sha256[:12]}"
        rig, errors = session.rig(), standard_errors.of(session)
    with alone_in(out):
        files = export.write(sets, to, about, out, rig=rig, tracked=tracked, errors=errors)
    result({"run": str(run), "files": [str(f) for f in files]}, f"{many(len(files), 'file')} in {out}", as_json=as_json)


def sofa_(
    run: MeasuredRun,
    out: Annotated[Path | None, typer.Option("--out", help="Output folder; by default the run's.")] = None,
    as_json: JsonOpt = False,
) -> None:
    """Write AES69 files: ears.sofa (SingleRoomMIMOSRIR), polar.sofa (GeneralFIR-E), directivity.sofa (directivity)."""
    from sweetspot.measure.share import sofa, standard_errors

    with Session.read(folder.session_file(run)) as session:
        known = session.attributes | {f"closure_{n}": session.closure_text(n) for n in session.sets}
        sets, errors = {n: session.responses(n, whole=True) for n in session.sets}, standard_errors.of(session)
        files = sofa.files(session.rig(), sets, known, errors)
    target = out or run
    with alone(run) if out is None else alone_in(out), tracked("Writing SOFA", len(files)) as step:
        for name, build in files.items():
            sofa.write(build(), target / name)
            step(name)
    written = [str(target / name) for name in files]
    result({"run": str(run), "files": written}, "\n".join(written), as_json=as_json)
