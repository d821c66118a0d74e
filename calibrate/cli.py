"""``sweetspot verify``, ``report`` and ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweetspot.calibrate import design as designs
from sweetspot.calibrate import run
from sweetspot.calibrate import verify as verification
from sweetspot.calibrate.reporting import reported
from sweetspot.calibrate.verify import OWN, THROUGH
from sweetspot.calibrate.verifying import FAILED, verified
from sweetspot.measure import folder
from sweetspot.measure.cli import DelayOpt, JsonOpt, MeasuredRun, RunsOpt, UnitOpt, YesOpt, capture_set
from sweetspot.measure.plan import sets_of
from sweetspot.rigs.cli import FaultsOpt
from sweetspot.rigs.faces import work
from sweetspot.rigs.load import find, open_rig, utc_now
from sweetspot.rigs.progress import operator, result, say, tracked
from sweetspot.rigs.rig_file import read, with_faults

RunArg = MeasuredRun


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
    serial = typer.prompt("Serial number") if serial == "-" else serial
    code = work("sweetspot.calibrate.verifying", "verify", **locals())
    raise typer.Exit(code or 0)


def report(
    run_folder: RunArg,
    music: Annotated[Path | None, typer.Option("--listen", help="Stereo file for a before/after comparison.")] = None,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="Folder for the page's pictures as separate PNG files.")
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """Write a self-contained report page of a run: report.html."""
    work("sweetspot.calibrate.reporting", "report", **locals())


def demo(
    unit: UnitOpt = "DEMO-0001",
    rig: Annotated[str, typer.Option("--rig", help="A rig file, or the name of a ready-made rig.")] = "desk",
    runs: RunsOpt = Path("runs"),
    fault: FaultsOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Run the whole loop for one unit on the virtual lab: measure, calibrate, verify, report."""
    description = read(find(rig))
    here = folder.new(runs, unit, description, utc_now())
    say(f"Rig {description.name!r}, unit {unit}, run {here}")
    with folder.removed_if_refused(here), open_rig(with_faults(description, fault), serial=unit) as lab:
        for name in sets_of(description):
            capture_set(lab, name, here, operator(True, 0.0))
    with tracked("Calibrating", run.parts_of_calibration()) as step:
        fitted = run.calibrate(here, designs.Design(), "", with_zone=True, drop_bank=True, step=step)
    say(run.prediction_text(here, fitted))
    verdict = verified(here, True, 0.0, designs.Limits())
    page, _ = reported(here)
    data = run.summary(verdict) | {"run": str(here), "report": str(page)}
    result(data, f"{verification.verdict_text.lines(verdict)}\nReport: {page}", as_json=as_json)
    raise typer.Exit(0 if verdict.passed else FAILED)
