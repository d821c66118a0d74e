"""``sweetspot calibrate``: its options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sweetspot.rigs.faces import work
from sweetspot.rigs.progress import result
from sweetspot.rigs.runs import located

RunArg = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="Run folder; or a unit's folder or serial number for its latest run.", callback=located
    ),
]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def mount(app: typer.Typer) -> None:
    """Add the command to the roof."""
    app.command("calibrate")(calibrate)


def _print_keys(wanted: bool) -> None:
    """The reference of design.toml, bank.toml and limits.toml, in place of a calibration."""
    if wanted:
        from sweetspot.calibrate.design import keys

        result({"tables": [t.to_dict() for t in keys.tables()]}, keys.page(), as_json="--json" in sys.argv)
        raise typer.Exit


def calibrate(
    run_folder: RunArg,
    design: Annotated[Path | None, typer.Option("--design", help="Design file: a design.toml.")] = None,
    dial: Annotated[bool, typer.Option("--pareto", help="Show the Pareto front of width and depth.")] = False,
    many: Annotated[
        Path | None, typer.Option("--bank", help="Also filters for many listener places: a bank.toml.")
    ] = None,
    drop_bank: Annotated[
        bool, typer.Option("--no-bank", help="Drop the run's bank; by default it is fitted again.")
    ] = False,
    beside: Annotated[bool, typer.Option("--compare", help="Fit the classical designs too and compare them.")] = False,
    reasons: Annotated[bool, typer.Option("--explain", help="Show which limit was active in each band.")] = False,
    beside_linear: Annotated[
        bool, typer.Option("--forms", help="Metrics of the forms for engines without an upmix.")
    ] = False,
    left_out: Annotated[
        bool, typer.Option("--cross-validate", help="Leave-one-out cross-validation over positions.")
    ] = False,
    keys: Annotated[
        bool,
        typer.Option(
            "--keys",
            is_eager=True,
            callback=_print_keys,
            help="Print every key of design.toml, bank.toml, limits.toml.",
        ),
    ] = False,
    as_json: JsonOpt = False,
) -> None:
    """Fit the filters of a unit from its session: session.h5 to filterset.h5."""
    del keys  # printed by its callback
    work("sweetspot.calibrate.calibrating", "calibrate", **locals())
