"""``sweetspot measure quick``: one capture at the monitor microphones, and a session estimated from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweetspot.calibrate.quick import drift, run
from sweetspot.measure import folder
from sweetspot.measure.cli import JsonOpt, RigArg, RunsOpt, UnitOpt, capture_set
from sweetspot.measure.monitor import FIXED
from sweetspot.rigs.cli import FaultsOpt
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.load import find, open_rig, utc_now
from sweetspot.rigs.progress import operator, result, say
from sweetspot.rigs.rig_file import read, with_faults
from sweetspot.rigs.runs import maybe_located

REFUSED = 1
"""Exit code of a unit that is not estimated."""


ModelOpt = Annotated[Path | None, typer.Option("--model", help="Model of measured units, from sweetspot fleet learn.")]
SinceOpt = Annotated[
    Path | None,
    typer.Option(
        "--since",
        metavar="RUN",
        callback=maybe_located,
        help="Instead of a model: an earlier run of this unit, updated by the microphones in the device.",
    ),
]


def mount(app: typer.Typer) -> None:
    """Add the command to the group that ``measure`` has mounted."""
    group = next(g.typer_instance for g in app.registered_groups if g.name == "measure")
    assert group is not None
    group.command("quick")(quick)


def quick(
    rig: RigArg,
    unit: UnitOpt,
    model: ModelOpt = None,
    since: SinceOpt = None,
    runs: RunsOpt = Path("runs"),
    fault: FaultsOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Estimate a unit's responses from one capture at fixed microphones and a model, or an earlier run of the unit."""
    if (model is None) == (since is None):
        raise BadInput("measure quick: give --model MODEL (a new unit) or --since RUN (one that was measured before)")
    described = read(find(rig))
    known = run.read_model(model) if model else None
    if known is not None:
        run.check_fits(known[0], described)
    if since is not None:
        drift.check_since(since, described, unit)
    with open_rig(with_faults(described, fault), serial=unit) as lab:
        here = folder.new(runs, unit, described, utc_now())
        say(f"Run {here}")
        with folder.removed_if_refused(here):
            for name in FIXED:
                if (name == "monitor" and model) or (name == "device" and described.device_mics):
                    capture_set(lab, name, here, operator(True, 0.0))
    found = run.complete(here, *known) if known is not None else drift.corrected(here, since or here)
    then = (
        f"Estimated; fit its filters with: sweetspot calibrate {here}"
        if found.accepted
        else f"Rejected: not calibrated from this capture. Correct the fault, or measure the unit fully: "
        f"sweetspot measure ears {rig} --unit {unit}"
    )
    result({"run": str(here), **found.to_dict()}, f"{found.text}\n{then}", as_json=as_json)
    raise typer.Exit(0 if found.accepted else REFUSED)
