"""``sweetspot demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweetspot.calibrate import design as designs
from sweetspot.calibrate import run
from sweetspot.calibrate import verify as verification
from sweetspot.calibrate.reporting import reported
from sweetspot.calibrate.verifying import FAILED, verified
from sweetspot.measure import folder
from sweetspot.measure.cli import JsonOpt, RunsOpt, UnitOpt, capture_set
from sweetspot.measure.plan import sets_of
from sweetspot.rigs.cli import FaultsOpt
from sweetspot.rigs.load import find, open_rig, utc_now
from sweetspot.rigs.progress import operator, result, say, tracked
from sweetspot.rigs.rig_file import read, with_faults


def mount(app: typer.Typer) -> None:
    """Add the command to the roof."""
    app.command("demo")(demo)


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
