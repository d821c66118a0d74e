"""``sweetspot rig``: the audio devices there are, and the virtual lab as a sound card."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sweetspot.rigs.progress import result, say

RigArg = Annotated[str, typer.Argument(metavar="RIG", help="A rig file, or the name of a ready-made rig.")]
UnitOpt = Annotated[str, typer.Option("--unit", help="Serial number of the unit in the lab.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ShowOpt = Annotated[bool, typer.Option("--show", help="Show what the lab is, and do not run it.")]
OutOpt = Annotated[Path | None, typer.Option("--out", help="With --show: the picture (.png, .svg, .pdf).")]

FaultsOpt = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="FAULT",
        help='In the virtual lab: something goes wrong, such as "slam at=3 s=1.2 db=-10" (capture 3, 1.2 s into it); '
        "may be given again. --fault list tells which there are.",
    ),
]


def mount(app: typer.Typer) -> None:
    """Add this room's commands to the roof."""
    said = "Devices, checks and calibrations, and the virtual lab as a sound card."
    commands = typer.Typer(no_args_is_help=True, help=said)
    commands.command("devices")(devices)
    commands.command("lab")(lab)
    app.add_typer(commands, name="rig")


def devices(as_json: JsonOpt = False) -> None:
    """List the audio devices: any unique part of a name will do for interface.device."""
    from sweetspot.rigs import portaudio  # the lab and what simulates it would only make this list slow

    found = portaudio.devices()
    lines = "\n".join(d.text() for d in found) or "no audio device was found"
    result({"devices": [asdict(d) for d in found]}, lines, as_json=as_json)


def lab(
    rig: RigArg,
    unit: UnitOpt = "LAB-0001",
    as_json: JsonOpt = False,
    show: ShowOpt = False,
    out: OutOpt = None,
    fault: FaultsOpt = None,
) -> None:
    """Run the virtual lab as a sound card on the JACK server, and its turntable as a serial port, until Ctrl-C.

    With --show it is not run but shown: a table, and a picture of room, device, head, drivers and decay.
    """
    from sweetspot.rigs.lab import soundcard
    from sweetspot.rigs.load import find
    from sweetspot.rigs.rig_file import read, with_faults

    if show or out is not None:
        _show(rig, unit, out, as_json=as_json)
        return
    description = with_faults(read(find(rig)), fault, card=True)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with soundcard.running(description, unit) as (card, port):
        try:
            result(soundcard.facts(card, port), soundcard.ready_said(card, port), as_json=as_json)
            card.wait(ended.is_set, tell=say)
        finally:
            say(f"Lab ended after {card.counts.text(card.period_ms)}")


def _show(rig: str, unit: str, out: Path | None, *, as_json: bool) -> None:
    """Tell what a lab is, and draw it."""
    from sweetspot.rigs.lab import World
    from sweetspot.rigs.lab.pictures import data, overview, show, text  # matplotlib is slow to import
    from sweetspot.rigs.load import find
    from sweetspot.rigs.rig_file import read

    description = read(find(rig))
    picture = show.checked(out or Path(f"lab-{description.name}.png"))
    seen = overview(World(description, unit))
    show.save(seen, picture)
    result({**data(seen), "picture": str(picture)}, f"{text(seen)}\n\nPicture: {picture}", as_json=as_json)
