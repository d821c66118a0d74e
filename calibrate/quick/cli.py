"""``sweetspot measure quick``: one capture at the monitor microphones, and a session estimated from it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sweetspot.calibrate.quick import run
from sweetspot.measure import folder
from sweetspot.measure.cli import JsonOpt, RigArg, RunsOpt, UnitOpt, capture_set, operator
from sweetspot.rigs.cli import FaultsOpt
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.progress import result, say
from sweetspot.rigs.rig_file import read, with_faults

REFUSED = 1
"""Exit code of a unit that is not estimated."""

ModelOpt = Annotated[Path, typer.Option("--model", help="A model of measured units, by sweetspot fleet learn.")]


def mount(app: typer.Typer) -> None:
    """Add the command to the group that ``measure`` has mounted."""
    group = next(g.typer_instance for g in app.registered_groups if g.name == "measure")
    assert group is not None
    group.command("quick")(quick)


def quick(
    rig: RigArg,
    unit: UnitOpt,
    model: ModelOpt,
    runs: RunsOpt = Path("runs"),
    fault: FaultsOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Hear a unit once at the monitor microphones, and estimate its responses by a model of measured units."""
    described = read(find(rig))
    known, sha256 = run.read_model(model)
    run.check_fits(known, described)
    with open_rig(with_faults(described, fault), serial=unit) as lab:
        here = folder.new(runs, unit, described, datetime.now(UTC))
        say(f"Run {here}")
        capture_set(lab, "monitor", here, operator(True, 0.0))
    found = run.complete(here, known, sha256)
    then = (
        f"Estimated; fit its filters with: sweetspot calibrate {here}"
        if found.accepted
        else f"Refused: not calibrated from this capture. Put the fault right, or measure the unit fully: "
        f"sweetspot measure ears {rig} --unit {unit}"
    )
    result({"run": str(here), **found.to_dict()}, f"{found.text}\n{then}", as_json=as_json)
    raise typer.Exit(0 if found.accepted else REFUSED)
