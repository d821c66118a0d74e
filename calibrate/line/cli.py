"""``sweetspot line``: units one after the other, in the terminal or as a page."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from sweetspot.calibrate import design as designs
from sweetspot.calibrate.line import run as line_run
from sweetspot.calibrate.line.server import LineServer
from sweetspot.calibrate.line.state import LineState, screen
from sweetspot.calibrate.quick import run as quick
from sweetspot.measure.cli import JsonOpt, RigArg, RunsOpt
from sweetspot.processor.export import ENGINES
from sweetspot.rigs.cli import FaultsOpt
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.load import find
from sweetspot.rigs.progress import result, say
from sweetspot.rigs.rig_file import read, with_faults

FAILED = 1
"""Exit code when a unit did not pass."""


def mount(app: typer.Typer) -> None:
    """Add the command to the roof."""
    app.command("line")(line)


def line(
    rig: RigArg,
    model: Annotated[Path, typer.Option("--model", help="Model of measured units, from sweetspot fleet learn.")],
    records: Annotated[Path, typer.Option("--records", help="Folder of records; new ones are appended.")],
    web: Annotated[
        int | None,
        typer.Option("--web", metavar="PORT", help="Port of a web page on this computer.", min=0, max=65535),
    ] = None,
    engine: Annotated[str, typer.Option("--to", help="Engine for the export.")] = "firmware",
    every: Annotated[int, typer.Option("--sample", help="Every Nth good unit is verified fully.", min=0)] = 0,
    design: Annotated[Path | None, typer.Option("--design", help="Design file: a design.toml.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Accept units that have already passed.")] = False,
    runs: RunsOpt = Path("runs"),
    fault: FaultsOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Calibrate units on a line: scan, capture, fit, export, verify at the monitors, record, next."""
    if engine not in ENGINES:
        raise BadInput(f"--to {engine}: no such engine; choose one of: {', '.join(ENGINES)}")
    described = read(find(rig))
    known, sha256 = quick.read_model(model)
    quick.check_fits(known, described)
    wanted, text = designs.read(design)
    made = line_run.LineSetup(
        with_faults(described, fault),
        known,
        model_sha256=sha256,
        runs=runs,
        records=records,
        engine=engine,
        every=every,
        design=wanted,
        design_text=text,
        again=again,
    )
    state = line_run.state_of(made)
    if web is not None:
        _served(made, state, web)
        return
    failed = False
    for serial in _scanned():
        try:
            line_run.check_unit(made, serial)
        except BadInput as trouble:  # no unit of this number is on the line: nothing to record
            failed = True
            scanned = {"unit": serial, "verdict": "error", "cause": "input", "reasons": [str(trouble)]}
            result(scanned, f"STOP  {trouble}\n  Nothing recorded. Scan the next serial number", as_json=as_json)
            continue
        state.begins(serial)
        record = line_run.cycle(made, state, serial)
        failed |= record["verdict"] != "pass"
        result(record, screen(record, state), as_json=as_json)
    raise typer.Exit(FAILED if failed else 0)


def _scanned() -> Iterator[str]:
    """Serial numbers as they are typed or scanned, until an empty line or the end."""
    while True:
        if sys.stdin.isatty():
            say("Serial number (empty line to end):")
        text = sys.stdin.readline().strip()
        if not text:
            return
        yield text


def _served(made: line_run.LineSetup, state: LineState, port: int) -> None:
    """Serve until Ctrl-C."""

    def work(serial: str) -> None:
        record = line_run.cycle(made, state, serial)
        say(screen(record, state))

    with LineServer(port, state, lambda serial: line_run.check_unit(made, serial), work) as server:
        say(f"The line is at {server.address} (Ctrl-C ends it)")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            thread.join()
        finally:
            server.shutdown()
