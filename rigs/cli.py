"""``sweetspot rig``: audio devices, new rig files and their keys, and the virtual lab as a sound card."""

from __future__ import annotations

import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sweetspot.rigs.names import many
from sweetspot.rigs.progress import result, say

RigArg = Annotated[str, typer.Argument(metavar="RIG", help="A rig file, or the name of a ready-made rig.")]
UnitOpt = Annotated[str, typer.Option("--unit", help="Serial number of the unit in the lab.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ShowOpt = Annotated[bool, typer.Option("--show", help="Draw the lab instead of running it.")]
OutOpt = Annotated[Path | None, typer.Option("--out", help="With --show: the picture (.png, .svg, .pdf).")]

YesOpt = Annotated[
    bool,
    typer.Option(
        "--yes", "-y", help="Start without asking; wait --delay seconds after each manual move, not for Enter."
    ),
]
DelayOpt = Annotated[float, typer.Option("--delay", help="Seconds for each manual move with --yes.", min=0.0)]


def _list_faults(texts: list[str] | None) -> list[str] | None:
    """The kinds of faults in place of the command, if ``list`` is among the texts."""
    if "list" in (texts or ()):
        from sweetspot.rigs.rig_file import listing

        data, lines = listing()
        result(data, lines, as_json="--json" in sys.argv)
        raise typer.Exit
    return texts


FaultsOpt = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="FAULT",
        is_eager=True,
        callback=_list_faults,
        help='Fault of the virtual lab, such as "slam at=3 s=1.2 db=-10" (at 1.2 s of capture 3); can be repeated. '
        "--fault list shows all faults.",
    ),
]


NO_DEVICE = (
    "no audio device was found; connect one, or try the virtual lab: as a rig (sweetspot demo), or as a sound card on "
    "a JACK server (sweetspot rig lab desk-jack)"
)


def mount(app: typer.Typer) -> None:
    """Add this room's commands to the roof."""
    purpose = "Devices, checks and calibrations, and the virtual lab as a sound card."
    commands = typer.Typer(no_args_is_help=True, help=purpose)
    commands.command("devices")(devices)
    commands.command("new")(new)
    commands.command("keys")(keys)
    commands.command("lab")(lab)
    app.add_typer(commands, name="rig")


def devices(as_json: JsonOpt = False) -> None:
    """List the audio devices: any unique part of a name will do for interface.device."""
    from sweetspot.rigs import portaudio  # the lab and what simulates it would only make this list slow

    found = portaudio.devices()
    lines = "\n".join(d.text() for d in found) or NO_DEVICE
    result({"devices": [asdict(d) for d in found]}, lines, as_json=as_json)


def keys(as_json: JsonOpt = False) -> None:
    """Print every key of the rig file: meaning, unit, default and range."""
    from sweetspot.rigs.rig_file import keys_page, rig_keys

    found = rig_keys()
    result({"tables": [t.to_dict() for t in found]}, keys_page("Keys of the rig file", found), as_json=as_json)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the rig and of its file NAME.toml.")],
    template: Annotated[
        str, typer.Option("--template", help="Shape of the device: pair | round | soundbar | line.")
    ] = "round",
    drivers: Annotated[int | None, typer.Option("--drivers", help="Number of drivers of that shape.", min=1)] = None,
    size: Annotated[float | None, typer.Option("--size", help="Width of the device, m.", min=0.01)] = None,
    driver: Annotated[
        list[str] | None,
        typer.Option("--driver", help="Instead of a shape: name,channel,x,y,z,low,high (m, Hz); can be repeated."),
    ] = None,
    band: Annotated[str | None, typer.Option("--band", help="Band of the drivers, Hz, such as 110,20000.")] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="A unique part of the audio device's name; lab for the virtual lab.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", help="Output device, where --device is only the input.")
    ] = None,
    hostapi: Annotated[str | None, typer.Option("--hostapi", help="Part of the host API's name.")] = None,
    fs: Annotated[int, typer.Option("--fs", help="Sampling rate, Hz.", min=8000)] = 48000,
    loopback: Annotated[
        str | None, typer.Option("--loopback", help="Output and input of the loopback cable, such as 9,4.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option("--stage", help="fixed | manual | grbl | et250 | scpi | lab; manual if not given.")
    ] = None,
    port: Annotated[str | None, typer.Option("--port", help="Serial port of the stage, or its address.")] = None,
    head: Annotated[
        str | None, typer.Option("--head", help="Inputs of the dummy head's left and right ear, or none.")
    ] = "1,2",
    mic: Annotated[int | None, typer.Option("--mic", help="Input of the measurement microphone; 0 if none.")] = 3,
    distance: Annotated[float, typer.Option("--distance", help="Distance from device to head, m.", min=0.1)] = 2.0,
    sensitivity: Annotated[
        float | None, typer.Option("--sensitivity", help="Sensitivity of all microphones, mV/Pa, if known.")
    ] = None,
    full_scale: Annotated[
        float | None, typer.Option("--full-scale-v", help="Peak voltage of a full-scale sample at the inputs, V.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Rig file; by default NAME.toml.")] = None,
    as_json: JsonOpt = False,
) -> None:
    """Write a commented rig file for a device, an interface, a stage and microphones, and check it.

    Without --device the audio devices are listed for a choice.
    """
    from sweetspot.rigs.rig_file import scaffold

    path = out or Path(f"{name}.toml")
    made = scaffold.planned(
        name,
        fs=fs,
        drivers=scaffold.drivers_of(driver, template, drivers, size, band),
        device=device or _asked_device(),
        output=output,
        hostapi=hostapi,
        loopback=loopback,
        stage=stage,
        port=port,
        head=head,
        mic=mic,
        distance_m=distance,
        sensitivity=sensitivity,
        full_scale_v=full_scale,
    )
    scaffold.save(scaffold.rig_text(made), path)
    outputs = ", ".join(str(d.channel) for d in made.drivers)
    lines = [f"{path}: {many(len(made.drivers), 'driver')}; wire the outputs {outputs}"]
    lines += [f"loopback: a cable from output {made.loopback[0]} to input {made.loopback[1]}"]
    lines += [] if device is None or device == "lab" else [*_missing(device), *_missing(output)]
    lines += [f"next: sweetspot rig check {path}"]
    result({"rig": str(path), "drivers": [asdict(d) for d in made.drivers]}, "\n".join(lines), as_json=as_json)


def _missing(name: str | None) -> list[str]:
    """A note if no audio device of that name is there now, or several are; a rig may be described without it."""
    from sweetspot.rigs import portaudio
    from sweetspot.rigs.errors import HardwareTrouble

    if name is None:
        return []
    try:
        found = portaudio.devices()
    except HardwareTrouble:
        return [f"note: audio devices cannot be listed here; {name!r} was not checked"]
    named = {d.name for d in found if name.lower() in d.name.lower()}
    listed = ", ".join(repr(n) for n in sorted({d.name for d in found})) or "none"
    if not named:
        return [f"note: no audio device's name holds {name!r} now; there are: {listed}"]
    return [] if len(named) == 1 else [f"note: {name!r} is a part of {len(named)} names: {', '.join(sorted(named))}"]


def _asked_device() -> str:
    """The audio device that a person chooses from the list."""
    from sweetspot.rigs import portaudio
    from sweetspot.rigs.errors import BadInput

    found = portaudio.devices()
    listed = "\n".join(f"  {n + 1}. {d.text()}" for n, d in enumerate(found)) or "  none"
    if not found or not sys.stdin.isatty():
        raise BadInput(f"--device: give a part of a device's name, or lab for the virtual lab. There are:\n{listed}")
    say(f"Audio devices:\n{listed}")
    return found[int(typer.prompt("Number", type=int)) - 1].name


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
            result(soundcard.to_dict(card, port), soundcard.ready_text(card, port), as_json=as_json)
            card.wait(ended.is_set, warn=say)
        finally:
            say(f"Lab ended after {card.counts.text(card.period_ms)}")


def _show(rig: str, unit: str, out: Path | None, *, as_json: bool) -> None:
    """Print and draw a lab."""
    from sweetspot.rigs.lab import World
    from sweetspot.rigs.lab.pictures import data, overview, show, text  # matplotlib is slow to import
    from sweetspot.rigs.load import find
    from sweetspot.rigs.rig_file import read

    description = read(find(rig))
    picture = show.checked(out or Path(f"lab-{description.name}.png"))
    seen = overview(World(description, unit))
    show.save(seen, picture)
    result({**data(seen), "picture": str(picture)}, f"{text(seen)}\n\nPicture: {picture}", as_json=as_json)
