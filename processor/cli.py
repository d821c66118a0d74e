"""``sweetspot process``: stereo files to one channel per driver; ``sweetspot play``: the same, live."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sweetspot.processor.choices import GAIN_DB, METHODS, SUBTYPES
from sweetspot.rigs.faces import work
from sweetspot.rigs.runs import located

Method = StrEnum("Method", {m.upper(): m for m in METHODS})  # type: ignore[misc]
Subtype = StrEnum("Subtype", {s: s for s in SUBTYPES})  # type: ignore[misc]

FilterSetArg = Annotated[
    Path,
    typer.Argument(
        metavar="FILTERSET",
        help="A filterset.h5 or its run folder; or a unit's folder or serial number for its latest run.",
        callback=located,
    ),
]
GainOpt = Annotated[
    float,
    typer.Option(
        "--gain", metavar="DB", min=GAIN_DB[0], max=GAIN_DB[1], help="Volume, dB; SPL limiter and guard count it."
    ),
]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def mount(app: typer.Typer) -> None:
    """Add the commands to the roof."""
    app.command("process")(process)
    app.command("play")(play)


def process(
    filterset: FilterSetArg,
    source: Annotated[Path | None, typer.Argument(metavar="IN.wav", help="Stereo file, any format and rate.")] = None,
    out: Annotated[Path | None, typer.Argument(metavar="OUT.wav", help="Output file, one channel per driver.")] = None,
    upmix: Annotated[Method | None, typer.Option("--upmix", help="Centre extraction, or off.")] = None,
    amount: Annotated[
        float | None, typer.Option("--amount", min=0.0, max=1.0, help="Centre extraction amount, 0 to 1.")
    ] = None,
    gain: GainOpt = 0.0,
    subtype: Annotated[Subtype, typer.Option("--subtype", help="Sample format of the output.")] = Subtype("PCM_24"),
    mono: Annotated[bool, typer.Option("--mono", help="Play a file with one channel to both sides.")] = False,
    split: Annotated[bool, typer.Option("--split", help="One file per driver: OUT_1_name.wav ...")] = False,
    ears: Annotated[
        bool, typer.Option("--at-ears", help="Signals at the dummy head's ears, for headphones; also OUT-before.wav.")
    ] = False,
    path: Annotated[
        Path | None,
        typer.Option("--path", help="Follow a listener through a bank: file of poses."),
    ] = None,
    measure: Annotated[
        Path | None, typer.Option("--measure", help="Write the processor's transfer functions to this filter set.")
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """Process a stereo file: upmix, SPL limiter, filter matrix, guard; one channel per driver."""
    work("sweetspot.processor.processing", "process", **locals())


def play(
    filterset: FilterSetArg,
    source: Annotated[Path | None, typer.Argument(metavar="IN.wav", help="Stereo file; without it, --from.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="A unique part of the output's name.")] = None,
    heard: Annotated[
        str | None, typer.Option("--from", help="Input device, or on JACK the program, to play from.")
    ] = None,
    channels: Annotated[str, typer.Option("--channels", help="Input channels for left and right.")] = "1,2",
    hostapi: Annotated[str | None, typer.Option("--hostapi", help="Part of the host API's name.")] = None,
    other: Annotated[Path | None, typer.Option("--b", help="Second filter set for A/B, switched with key a.")] = None,
    block: Annotated[int, typer.Option("--block", help="Block size, samples.", min=16, max=4096)] = 256,
    upmix: Annotated[Method | None, typer.Option("--upmix", help="Centre extraction, or off.")] = None,
    amount: Annotated[
        float | None, typer.Option("--amount", min=0.0, max=1.0, help="Centre extraction amount, 0 to 1.")
    ] = None,
    listener: Annotated[
        str | None,
        typer.Option("--listener", help="Follow a listener through a bank, starting at x,y[,yaw]: m, degrees."),
    ] = None,
    pose_port: Annotated[
        int | None,
        typer.Option("--pose-port", min=0, max=65535, help="UDP port on this computer for OSC: /listener x y yaw."),
    ] = None,
    gain: GainOpt = 0.0,
    mono: Annotated[bool, typer.Option("--mono", help="Play a file with one channel to both sides.")] = False,
    loop: Annotated[bool, typer.Option("--loop", help="Loop playback.")] = False,
    seconds: Annotated[float | None, typer.Option("--seconds", help="Stop after N seconds.", min=0.1)] = None,
    as_json: JsonOpt = False,
) -> None:
    """Play live through the filters: a file, an input, or another program; keys for volume, bypass, A/B, walk."""
    work("sweetspot.processor.playing", "play", **locals())
