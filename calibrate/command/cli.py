"""``sweetspot calibrate``, ``verify`` and ``report``: their options; what they do is loaded when it is done."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sweetspot.calibrate.verify import OWN, THROUGH
from sweetspot.rigs.cli import DelayOpt, FaultsOpt, YesOpt
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
    """Add the commands to the roof."""
    app.command("calibrate")(calibrate)
    app.command("verify")(verify)
    app.command("report")(report)


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
    work(
        "sweetspot.calibrate.reporting",
        "report",
        run_folder=run_folder,
        music=music,
        pictures=pictures,
        as_json=as_json,
    )
