"""``sweetspot verify``, ``report`` and ``demo``."""

from __future__ import annotations

import shlex
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sweetspot.calibrate import design as designs
from sweetspot.calibrate import run
from sweetspot.calibrate import verify as verification
from sweetspot.calibrate.verify import OWN, THROUGH
from sweetspot.measure import folder
from sweetspot.measure.cli import DelayOpt, JsonOpt, MeasuredRun, RunsOpt, UnitOpt, YesOpt, capture_set, operator
from sweetspot.measure.plan import sets_of
from sweetspot.measure.session import Session
from sweetspot.processor.run_folder import limited_by_rig
from sweetspot.rigs.cli import FaultsOpt
from sweetspot.rigs.errors import BadInput, HardwareTrouble, command
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.progress import result, say, tracked
from sweetspot.rigs.protocol import Operator
from sweetspot.rigs.rig_file import read, with_faults
from sweetspot.rigs.storage import alone, hash_ahead

RunArg = MeasuredRun

FAILED = 1
"""Exit code of a verdict that is no pass."""


def mount(app: typer.Typer) -> None:
    """Add the commands to the roof."""
    app.command("verify")(verify)
    app.command("report")(report)
    app.command("demo")(demo)


def verify(
    run_folder: RunArg,
    limits_file: Annotated[Path | None, typer.Option("--limits", help="Limits of the verdict: a limits.toml.")] = None,
    kept: Annotated[Path | None, typer.Option("--records", help="Folder of records: JSON Lines, CSV, JUnit.")] = None,
    serial: Annotated[str | None, typer.Option("--serial", help="Serial number; '-' prompts for it.")] = None,
    pattern: Annotated[
        str | None, typer.Option("--serial-pattern", help="Regular expression for serial numbers.")
    ] = None,
    through: Annotated[
        str, typer.Option("--through", metavar="NAME", help=f"Deployed processor: {', '.join(THROUGH)}.")
    ] = OWN,
    upmixes: Annotated[bool, typer.Option("--upmix", help="The device has the upmix of the built-in engine.")] = False,
    exported: Annotated[
        Path | None, typer.Option("--exported", help="Play the export in this folder: c, lv2, pipewire.")
    ] = None,
    runs: Annotated[
        str, typer.Option("--runs", metavar="ENGINE", help="Engine whose export the device runs (sets its level).")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Verify a unit again that has already passed.")] = False,
    is_golden: Annotated[bool, typer.Option("--golden", help="Reference-unit check against stored results.")] = False,
    shift: Annotated[
        float, typer.Option("--shift", help="Hours for which a golden-unit check is valid.", min=0.0, max=8760.0)
    ] = 8.0,
    plain: Annotated[bool, typer.Option("--operator", help="One big verdict and one next action.")] = False,
    stimuli: Annotated[
        Path | None, typer.Option("--stimuli", help="Only write the sweeps here, for playback elsewhere.")
    ] = None,
    recordings: Annotated[
        Path | None, typer.Option("--recorded", help="Folder with recordings of these sweeps; needs no rig.")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--places", min=1, max=200, help="Verify the bank at N places far from measured ones."),
    ] = None,
    yes: YesOpt = False,
    delay: DelayOpt = 10.0,
    fault: FaultsOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Play sweeps through the processor, verify at held-out positions, and give a verdict."""
    if count is not None:
        if kept or is_golden or stimuli or recordings or through != OWN:
            raise BadInput("--places verifies the bank alone: omit --records, --golden, --stimuli, --through")
        _verify_places(run_folder, count, operator(yes, delay), fault, as_json)
    limits = designs.read_limits(limits_file)
    with Session.read(folder.session_file(run_folder)) as session:
        unit, rig = session.serial, session.rig().name
    if serial is not None:
        run.records.check_serial(typer.prompt("Serial number") if serial == "-" else serial, pattern, unit, run_folder)
    if is_golden and not kept:
        raise BadInput("--golden needs --records DIR: the folder of the golden unit's record")
    known = run.golden.read(kept) if kept else None
    if is_golden:
        run.golden.check_same(known, unit, rig, through)
    elif kept:
        run.golden.check_shift(kept, known, shift, datetime.now(UTC), unit)
    if kept and not (again or is_golden):
        run.records.check_new(kept, unit)
    if (stimuli or recordings) and through != OWN:
        raise BadInput(f"--stimuli and --recorded are for the built-in engine; --through {through} needs the rig")
    if stimuli:
        files = run.write_stimuli(run_folder, run.fitted_of(run_folder), stimuli)
        where = (
            f"{stimuli}: {len(files) - 1} files to play and {files[-1].name}: the list of positions and file names to "
            f"record"
        )
        then = f"then: sweetspot verify {run_folder} --recorded DIR"
        result({"stimuli": [str(f) for f in files]}, f"{where}\n{then}", as_json=as_json)
        return
    if recordings:
        verdict = _verified_from(run_folder, recordings, limits)
    else:
        verdict = _verified(run_folder, yes, delay, limits, fault, (through, upmixes, runs), exported=exported)
    data, passed = run.summary(verdict) | {"changed_since": _changes(run_folder)}, verdict.passed
    lines = run.records.operator(verdict, unit) if plain else verification.verdict_text.lines(verdict)
    if kept and is_golden:
        new, drifts = run.golden.compared(known, verdict, unit, rig, datetime.now(UTC))
        if new:
            run.golden.write(kept, new)
        passed = new is not None and not new.drifted
        data["golden"] = {"kept": new is not None, "drifted": list(new.drifted) if new else []}
        lines = f"{lines}\n{run.golden.text(known, new, drifts, kept)}"
    if kept:
        about = {"verified_utc": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "unit": unit, "rig": rig}
        written = run.records.keep(kept, run.records.record(verdict, about | {"run": str(run_folder)}))
        data["records"] = [str(p) for p in written]
    result(data, lines, as_json=as_json)
    raise typer.Exit(0 if passed else FAILED)


def _verify_places(here: Path, count: int, ask: Operator, faults: list[str] | None, as_json: bool) -> None:
    """Verify a bank, print the result and exit with its verdict."""
    from sweetspot.calibrate.report import bank_map  # matplotlib is slow to import

    with Session.read(folder.session_file(here)) as session:
        description, serial = with_faults(session.rig(), faults), session.serial
    with open_rig(description, serial=serial) as rig:
        found = run.verify_places(here, rig, count, datetime.now(UTC), ask=ask, track=tracked)
    bank = run.bank_figures(here)
    assert bank is not None
    picture = bank_map(*bank, found.places, here / "places.png")
    result({**found.to_dict(), "picture": str(picture)}, f"{found.text}\n{picture}", as_json=as_json)
    raise typer.Exit(0 if found.passed else FAILED)


def report(
    run_folder: RunArg,
    music: Annotated[Path | None, typer.Option("--listen", help="Stereo file for a before/after comparison.")] = None,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="Folder for the page's pictures as separate PNG files.")
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """Write a self-contained report page of a run: report.html."""
    page, changed = _reported(run_folder, music, pictures)
    result({"report": str(page), "changed_since": _named(changed)}, str(page), as_json=as_json)


def demo(
    unit: UnitOpt = "DEMO-0001",
    rig: Annotated[str, typer.Option("--rig", help="A rig file, or the name of a ready-made rig.")] = "desk",
    runs: RunsOpt = Path("runs"),
    fault: FaultsOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Run the whole loop for one unit on the virtual lab: measure, calibrate, verify, report."""
    description = read(find(rig))
    here = folder.new(runs, unit, description, datetime.now(UTC))
    say(f"Rig {description.name!r}, unit {unit}, run {here}")
    with folder.removed_if_refused(here), open_rig(with_faults(description, fault), serial=unit) as lab:
        for name in sets_of(description):
            capture_set(lab, name, here, operator(True, 0.0))
    with tracked("Calibrating", run.parts_of_calibration()) as step:
        fitted = run.calibrate(here, designs.Design(), "", with_zone=True, drop_bank=True, step=step)
    say(run.prediction_text(here, fitted))
    verdict = _verified(here, True, 0.0, designs.Limits())
    page, _ = _reported(here)
    data = run.summary(verdict) | {"run": str(here), "report": str(page)}
    result(data, f"{verification.verdict_text.lines(verdict)}\nReport: {page}", as_json=as_json)
    raise typer.Exit(0 if verdict.passed else FAILED)


def _changes(here: Path) -> list[str]:
    """Print a note on files that changed since a later step used them."""
    return _named(run.changes(here))


def _named(changes: tuple[str, ...]) -> list[str]:
    for change in changes:
        say(f"Changed since: {change}")
    return list(changes)


def _verified(
    here: Path,
    yes: bool,
    delay: float,
    limits: designs.Limits,
    faults: list[str] | None = None,
    through: tuple[str, bool, str] = (OWN, False, ""),
    exported: Path | None = None,
) -> verification.Verification:
    fitted = run.fitted_of(here)
    with Session.read(folder.session_file(here)) as session:
        description = with_faults(session.rig(), faults)
    name, upmixes, runs = through
    filters = limited_by_rig(here, fitted.filters)[0]
    processor = verification.processor.choose(name, filters, description, upmixes=upmixes, exported=exported, runs=runs)
    with (
        run.ListenerAhead(here, fitted) if processor.timed else nullcontext() as listener,
        alone(here),
        open_rig(description, serial=fitted.filters.unit_serial) as rig,
    ):
        _hash_ahead(here)
        for left in reversed(range(1 + int(limits.repeats))):
            try:
                now, ask = datetime.now(UTC), operator(yes, delay)
                run.measure_verification(
                    here, rig, fitted, now, ask=ask, track=tracked, processor=processor, listener=listener
                )
            except (KeyboardInterrupt, HardwareTrouble):
                say(
                    f"A verification is one session and starts over; an earlier one is kept. To repeat it: "
                    f"{_again(here)}"
                )
                raise
            verdict = run.judge(here, fitted, limits, listener)
            if verdict.verdict != "grey" or not left:
                break
            say("Inconclusive, measuring again: " + "; ".join(verdict.reasons))
    return verdict


def _hash_ahead(here: Path) -> None:
    """Hash beside the captures what is read after them: the session for the note on changes, and the verification whose
    figures are kept aside."""
    hash_ahead(folder.session_file(here))
    hash_ahead(here / run.VERIFIED, whole=False, content=True)


def _again(here: Path) -> str:
    """The command line of a verification, to be typed as it stands."""
    typed = sys.argv[1:]
    return f"sweetspot {shlex.join(typed)}" if typed[:1] == ["verify"] else command("verify", here)


def _verified_from(here: Path, recordings: Path, limits: designs.Limits) -> verification.Verification:
    """A verification by recordings of its sweeps."""
    fitted = run.fitted_of(here)
    with run.ListenerAhead(here, fitted) as listener, run.recorded_rig(here, fitted, recordings) as rig:
        _hash_ahead(here)
        try:
            run.measure_verification(
                here, rig, fitted, datetime.now(UTC), ask=operator(True, 0.0), track=tracked, listener=listener
            )
        except HardwareTrouble as fault:
            reason = run.refused_recording(here)
            raise BadInput(f"{fault}{f': {reason}' if reason else ''}; record it again") from fault
        return run.judge(here, fitted, limits, listener)


def _reported(here: Path, music: Path | None = None, pictures: Path | None = None) -> tuple[Path, tuple[str, ...]]:
    if (beam := run.beam_of(here)) is not None:
        from sweetspot.calibrate.report import BEAM_STEPS, write_beam  # matplotlib is slow to import

        if music is not None:
            raise BadInput(f"--listen: {here} has no ears set for it; omit it, or measure the ears")
        with tracked("Reporting", BEAM_STEPS) as step:
            return write_beam(here, beam, step=step, pictures=pictures), run.changes(here)
    from sweetspot.calibrate.report import STEPS, write_noting_changes

    with tracked("Reporting", STEPS) as step:
        return write_noting_changes(here, music, step=step, pictures=pictures)
