"""``sweetspot rig check``: looks at a set-up before a session is measured with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from measure.plan import SetName
from measure.preflight import run
from measure.preflight.finding import table, verdict
from measure.preflight.reference import of_check
from measure.preflight.reference import read as read_reference
from rigs.describe import read
from rigs.load import find, open_rig
from rigs.progress import result, tracked

RigArg = Annotated[str, typer.Argument(metavar="RIG", help="A rig file, or the name of a ready-made rig.")]
UnitOpt = Annotated[str, typer.Option("--unit", help="Serial number of the unit.")]
RunsOpt = Annotated[Path, typer.Option("--runs", help="Where run folders are kept.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def mount(app: typer.Typer) -> None:
    """Add the commands to the group that ``rigs`` has mounted."""
    group = next(g.typer_instance for g in app.registered_groups if g.name == "rig")
    assert group is not None
    group.command("check")(check)


def check(
    rig: RigArg,
    unit: UnitOpt = "LAB-0001",
    only: Annotated[str | None, typer.Option("--set", help="Only the microphones of this set: ears | polar.")] = None,
    level: Annotated[
        float | None, typer.Option("--level-dbfs", help="Peak of each comb [default: 12 dB under the sweep].")
    ] = None,
    no_move: Annotated[bool, typer.Option("--no-move", help="Leave the stage where it is.")] = False,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="What to compare with: the --json of a good check, or a run folder."),
    ] = None,
    runs: RunsOpt = Path("runs"),
    as_json: JsonOpt = False,
) -> None:
    """Check a set-up in some seconds: patch, polarity, microphones, amplifier, levels, noise, clocks, stage, disk.

    Every output plays a comb of its own tones, all at once. Leaves with 1 if anything is wrong with the set-up.
    """
    description = read(find(rig))
    watched = run.only(description, _set(only))
    before = read_reference(reference, watched) if reference else None
    with open_rig(description, serial=unit) as opened:
        wanted = len(run.steps(description, not no_move, opened.stage.axes))
        with tracked("Checking", wanted) as step:
            findings, told = run.check(
                opened, watched, runs=runs, move=not no_move, level_dbfs=level, reference=before, step=step
            )
    ready = all(f.outcome != "fail" for f in findings)
    data: dict[str, Any] = {"rig": description.name, "ready": ready, "findings": [f.as_dict() for f in findings]}
    data["heard"] = of_check(told.rig, told.heard[0]).as_dict()
    result(data, f"{table(findings)}\n{verdict(findings)}", as_json=as_json)
    if not ready:
        raise typer.Exit(1)


def _set(name: str | None) -> SetName | None:
    if name is None or name in ("ears", "polar"):
        return name  # type: ignore[return-value]
    raise typer.BadParameter(f"{name!r}: there are ears and polar", param_hint="--set")
