"""``sweetspot measure import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sweetspot.rigs.errors import BadInput, command
from sweetspot.rigs.progress import result, tracked
from sweetspot.rigs.runs import maybe_located

PathArg = Annotated[
    Path, typer.Argument(metavar="PATH", help="SOFA file, or folder of SOFA, WAV, REW or FRD files or recordings.")
]


def import_(
    path: PathArg,
    unit: Annotated[str, typer.Option("--unit", help="Serial number of the unit.")],
    rig: Annotated[
        str | None, typer.Option("--rig", help="Rig of the measurements; by default one is made from the files.")
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of all runs.")] = Path("runs"),
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Add to this run, such as a polar set to an ears set.", callback=maybe_located),
    ] = None,
    kind: Annotated[
        Literal["ears", "polar"] | None, typer.Option("--as", help="Kind of set, if the files do not state it.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--pattern",
            help='File names without extension, such as "{driver}_hor_{azimuth_deg}"; fields: set, position, mic, '
            "driver, azimuth_deg, elevation_deg, x, y, z, yaw_deg, use.",
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            "--manifest", help="CSV with the columns file, driver and any field; by default PATH/manifest.csv."
        ),
    ] = None,
    stimulus: Annotated[
        Path | None, typer.Option("--stimulus", help="The files are recordings of this exponential sweep.")
    ] = None,
    loopback: Annotated[
        int | None, typer.Option("--loopback", help="Loopback channel of the recordings.", min=1)
    ] = None,
    after_ms: Annotated[
        float, typer.Option("--after-ms", help="Length kept of responses after time zero, ms.", min=5, max=10000)
    ] = 150.0,
    distance: Annotated[
        float,
        typer.Option("--distance", help="Distance to head or microphone, m, if the files do not state it.", min=0.1),
    ] = 2.0,
    speakers: Annotated[
        str | None,
        typer.Option("--speakers", help="Azimuths of an HRTF set to use as loudspeakers, such as 30,-30; left > 0."),
    ] = None,
    clockwise: Annotated[bool, typer.Option("--clockwise", help="The SOFA file counts azimuth clockwise.")] = False,
    swap: Annotated[bool, typer.Option("--swap-ears", help="The first receiver of the file is the right ear.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Import measurements from SOFA, from folders of WAV, REW or FRD responses, or from recorded sweeps."""
    from sweetspot.measure import folder, summary
    from sweetspot.measure.incoming import HeadWish, Wish, imported, sets
    from sweetspot.measure.session import Session
    from sweetspot.rigs.load import find, utc_now
    from sweetspot.rigs.rig_file import read

    known = described = read(find(rig)) if rig else None
    if run is not None and known is None:
        with Session.read(folder.session_file(run)) as session:
            known = session.rig()
    head = HeadWish(_azimuths(speakers), clockwise, swap)
    wish = Wish(
        kind,
        pattern,
        manifest=manifest,
        stimulus=stimulus,
        loopback=loopback,
        after_ms=after_ms,
        distance_m=distance,
        head=head,
        fs=known.fs if known else 48000,
    )
    with tracked("Importing", 2) as step:
        found = sets(path, wish)
        step(", ".join(s.kind for s in found))
        made, notes = imported(found, str(path), unit, utc_now(), runs=runs, run=run, rig=described)
        step(str(made))
    with Session.read(folder.session_file(made)) as session:
        data, lines = summary.of_session(session)
    more, then = "".join(f"\n  unknown: {n}" for n in notes), f"next: {command('calibrate', made)}"
    result({"run": str(made), **data, "unknown": list(notes)}, f"{lines}{more}\n{made}\n{then}", as_json=as_json)


def _azimuths(text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    try:
        found = tuple(float(a) for a in text.split(","))
    except ValueError as fault:
        raise BadInput(f"--speakers: {text!r}: azimuths in degrees with commas, such as 30,-30") from fault
    if len(found) < 2 or len(set(found)) != len(found) or not all(-180 <= a <= 180 for a in found):
        raise BadInput(f"--speakers: {text!r}: two or more different azimuths from -180 to 180 degrees")
    return found
