"""``sweetspot rig check | sweep | calibrate | microphone | match``: commands to run before a session."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sweetspot.measure.folder import session_file
from sweetspot.measure.plan import SetName
from sweetspot.measure.session import Session
from sweetspot.rigs.cli import FaultsOpt
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.load import READY_MADE, find, open_rig, utc_now
from sweetspot.rigs.progress import result, tracked
from sweetspot.rigs.rig_file import EARS, StageTable, read, with_faults
from sweetspot.rigs.runs import located

RigArg = Annotated[str, typer.Argument(metavar="RIG", help="A rig file, or the name of a ready-made rig.")]
UnitOpt = Annotated[str, typer.Option("--unit", help="Serial number of the unit.")]
RunsOpt = Annotated[Path, typer.Option("--runs", help="Folder of all runs.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def mount(app: typer.Typer) -> None:
    """Add the commands to the group that ``rigs`` has mounted."""
    group = next(g.typer_instance for g in app.registered_groups if g.name == "rig")
    assert group is not None
    group.command("check")(check)
    group.command("sweep")(sweep)
    group.command("calibrate")(calibrate)
    group.command("microphone")(correction_file)
    group.command("match")(match)


def check(
    rig: RigArg,
    unit: UnitOpt = "LAB-0001",
    only: Annotated[str | None, typer.Option("--set", help="Only the microphones of this set: ears | polar.")] = None,
    level: Annotated[
        float | None, typer.Option("--level-dbfs", help="Peak of each multitone; by default 12 dB below the sweep.")
    ] = None,
    identify: Annotated[
        bool, typer.Option("--identify", help="First play the drivers one by one at a low level and ask which it was.")
    ] = False,
    no_move: Annotated[bool, typer.Option("--no-move", help="Do not move the stage.")] = False,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="Reference for comparison: the --json of a good check, or a run folder."),
    ] = None,
    runs: RunsOpt = Path("runs"),
    fault: FaultsOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Check a set-up in seconds: wiring, polarity, microphones, amplifier, levels, noise, clocks, stage, disk.

    All outputs play at once, each a multitone of its own frequencies. Exit code 1 if the set-up has a fault.
    """
    from sweetspot.measure.preflight import run  # what listens is what the other commands need not load
    from sweetspot.measure.preflight.finding import table, verdict
    from sweetspot.measure.preflight.identify import identify as identified
    from sweetspot.measure.preflight.reference import of_check
    from sweetspot.measure.preflight.reference import read as read_reference

    description = with_faults(read(find(rig)), fault)
    if identify and not sys.stdin.isatty():
        raise BadInput("--identify asks after each driver which one played: it needs a terminal")
    watched = run.only(description, _set(only))
    before = read_reference(reference, watched) if reference else None
    with open_rig(description, serial=unit) as opened:
        named = identified(opened, _asked) if identify else []
        wanted = run.captures(description, not no_move, opened.stage.axes)
        with tracked("Checking", wanted) as step:
            findings, observed = run.check(
                opened, watched, runs=runs, move=not no_move, level_dbfs=level, reference=before, step=step
            )
    findings = [*named, *findings]
    ready = all(f.outcome != "fail" for f in findings)
    data: dict[str, Any] = {"rig": description.name, "ready": ready, "findings": [f.to_dict() for f in findings]}
    data["heard"] = of_check(observed.rig, observed.heard[0]).to_dict()
    result(data, f"{table(findings)}\n{verdict(findings)}", as_json=as_json)
    if not ready:
        raise typer.Exit(1)


def _asked(question: str) -> bool:
    """Yes or no from the terminal."""
    return typer.confirm(question, default=True, err=True)


def sweep(
    rig: RigArg,
    snr: Annotated[
        float,
        typer.Option("--snr", help="Required minimum SNR, dB: worst octave of the worst driver.", min=10, max=110),
    ] = 60.0,
    write: Annotated[bool, typer.Option("--write", help="Write the sweep into the rig file.")] = False,
    unit: UnitOpt = "LAB-0001",
    fault: FaultsOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Choose the sweep: band from the drivers, level from the limits, length from the noise.

    Measures once, as `rig check` does, without moving the stage. Exit code 1 if the SNR cannot be reached.
    """
    from sweetspot.measure.preflight import files, run, sweep_choice

    path = find(rig)
    description = with_faults(read(path), fault)
    _refuse_ready_made(path, write)
    with open_rig(description, serial=unit) as opened, tracked("Listening", 1) as step:
        _, observed = run.check(opened, description, runs=Path("."), move=False, step=step)
    chosen = sweep_choice.choose(observed, snr)
    if write:
        files.write_sweep(path, description, chosen.table)
    now, then = (run.session_s(one) for one in (description, sweep_choice.applied(description, chosen)))
    own = path if path.parent != READY_MADE else f"a copy of {path.name}"
    where = f"written into {path}" if write else f"write it into {own}, or give --write"
    data = {"rig": description.name, "sweep": chosen.table, "limit": chosen.limit, "wanted_db": snr}
    data |= {"expected_db": chosen.expected_db, "at": chosen.at, "session_s": then, "written": write}
    lines = f"{chosen.toml}\n\n{chosen.text()}\ntime: {then / 60:.1f} min of captures, {now / 60:.1f} min before"
    result(data, f"{lines}\n{where}", as_json=as_json)
    if not chosen.reached:
        raise typer.Exit(1)


def _refuse_ready_made(path: Path, write: bool) -> None:
    if write and path.parent == READY_MADE:
        raise BadInput(f"--write: {path.name} is part of sweetspot; copy it, and give the path of your copy")


def _set(name: str | None) -> SetName | None:
    if name is None or name in ("ears", "polar"):
        return name  # type: ignore[return-value]
    raise typer.BadParameter(f"{name!r}: there are ears and polar", param_hint="--set")


def calibrate(
    rig: RigArg,
    mic: Annotated[str, typer.Option("--mic", help="Microphone in the calibrator.")],
    level: Annotated[
        float, typer.Option("--level", help="Level of the calibrator, dB SPL: 94 or 114.", min=60, max=140)
    ] = 94.0,
    frequency: Annotated[
        float,
        typer.Option(
            "--frequency", help="Frequency of the calibrator, Hz: 1000, or 250 (pistonphone).", min=20, max=20000
        ),
    ] = 1000.0,
    pressure: Annotated[
        float | None,
        typer.Option(
            "--pressure-hpa", help="Static pressure, hPa; for a pistonphone without barometric correction.", min=500
        ),
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Accept a change from earlier calibrations.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the sensitivity into the rig file.")] = False,
    history: Annotated[
        Path | None, typer.Option("--history", help="History file of calibrations; by default beside the rig file.")
    ] = None,
    unit: UnitOpt = "LAB-0001",
    as_json: JsonOpt = False,
) -> None:
    """Calibrate a microphone with a sound calibrator; keeps a history and rejects outliers.

    Nothing is played. Exit code 1 if the calibration is rejected.
    """
    from sweetspot.measure.preflight import calibration, files

    path = find(rig)
    description = read(path)
    _refuse_ready_made(path, write)
    chosen = calibration.chosen(description, mic)
    kept = history or (
        files.history_beside(path) if path.parent != READY_MADE else Path(f"{path.stem}.calibrations.jsonl")
    )
    earlier = files.entries(kept)
    standing = description.model_copy(update={"stage": StageTable()})
    with open_rig(standing, serial=unit) as opened, tracked(f"Listening to {mic}", 1) as step:
        found = calibration.calibrate(
            description,
            opened.interface,
            chosen,
            earlier,
            level_db_spl=level,
            frequency_hz=frequency,
            hpa=pressure,
            accept=accept,
        )
        step("")
    entry = found.entry(description, utc_now().isoformat(timespec="seconds"))
    files.append(kept, entry)
    if write and found.accepted:
        files.write_sensitivity(path, description, mic, found.mv_per_pa)
    where = f"written into {path}" if write else f"write it into the [[mic]] of {path}, or give --write"
    result(
        {**entry, "history": str(kept), "written": write and found.accepted},
        f"{found.text()}\n{where if found.accepted else 'calibration rejected'}; logged in {kept}",
        as_json=as_json,
    )
    if not found.accepted:
        raise typer.Exit(1)


def correction_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A microphone's correction file.")],
    as_json: JsonOpt = False,
) -> None:
    """Read a microphone's correction file as a measurement does, and show its content."""
    from sweetspot.measure import microphone
    from sweetspot.measure.correction import load

    found = load(file)
    result(microphone.to_dict(found), microphone.text(found), as_json=as_json)


def match(
    run_folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run with an ears set at mirrored positions.", callback=located)
    ],
    write: Annotated[
        Path | None, typer.Option("--write", metavar="RIG", help="Write both sensitivities into this rig file.")
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """Match the sensitivities of the two ears by the mirror symmetry of a session's positions and drivers.

    The difference between mirror images is due to the microphones: each sensitivity is changed by half of it.
    """
    from sweetspot.measure import ear_matching as levels
    from sweetspot.measure.preflight import files

    with Session.read(session_file(run_folder)) as session:
        described = session.rig()
        found = levels.match(session.responses("ears"), described)
    left, right = described.ear_mics
    new = found.sensitivities(left.sensitivity_mv_per_pa, right.sensitivity_mv_per_pa)
    if write is not None:
        for mic, value in zip(EARS, new, strict=True):
            files.write_sensitivity(write, read(write), mic, value)
    result(levels.to_dict(found, new), levels.to_text(found, new), as_json=as_json)
