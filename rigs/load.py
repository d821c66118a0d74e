"""Description -> Rig: the only place that chooses real or virtual parts."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protocol import Interface, Rig, Stage, all_read, unprepared
from sweetspot.rigs.rig_file import Description, Fault

if TYPE_CHECKING:
    from sweetspot.rigs.lab import World

READY_MADE = Path(__file__).parent
"""Folder of the ready-made rigs."""


def utc_now() -> datetime:
    """The clock that rigs are opened with."""
    return datetime.now(UTC)


def find(name: str) -> Path:
    """A rig file by its path, or a ready-made one by its bare name.

    Raises
    ------
    BadInput
        There is neither; lists the ready-made rigs.
    """
    path = Path(name)
    if path.is_file():
        return path
    ready = {p.stem: p for p in sorted(READY_MADE.glob("*.toml"))}
    if name in ready:
        return ready[name]
    if path.suffix or path.parent != Path():
        return path  # reported as a missing file when it is read
    near = difflib.get_close_matches(name, ready, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise BadInput(f"{name}: no such rig file, and no ready-made rig; {hint}ready-made: {', '.join(ready)}")


def check_files(description: Description) -> None:
    """Check every file that a rig's parts read when opened, without opening devices.

    Raises
    ------
    BadInput
        A file is missing or damaged.
    """
    if description.interface.driver == "lab":
        from sweetspot.rigs.lab import made_head  # slow to import

        made_head(description)


def open_rig(
    description: Description,
    *,
    serial: str,
    now: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> Rig:
    """Open the devices of a rig.

    Raises
    ------
    BadInput
        A device's name fits none or several.
    HardwareTrouble
        A device does not open.
    """
    interface: Interface
    stage: Stage
    world: World | None = None
    befalling: Callable[[], list[Fault]] = list
    expect: Callable[[Sequence[Pose]], None] = unprepared
    read: Callable[[Sequence[int] | None], None] = all_read
    match description.interface.driver:
        case "lab":
            from sweetspot.rigs.lab import LabInterface, World  # slow to import

            world = World(description, serial)
            interface = lab = LabInterface(world, now)
            befalling, expect, read = lab.before_move, lab.expect, lab.read
        case "portaudio":
            from sweetspot.rigs.portaudio import PortAudioInterface

            interface = PortAudioInterface.open(description, now=now)
        case "none":
            raise BadInput(
                f'rig {description.name!r} has interface.driver = "none": its measurements were imported, so '
                "nothing can be played. Verify with: sweetspot verify RUN --stimuli DIR, then --recorded DIR"
            )
    match description.stage.driver:
        case "lab":
            from sweetspot.rigs.lab import LabStage, World

            stage = LabStage(world or World(description, serial), befalling, sleep)
        case "grbl":
            from sweetspot.rigs.turntable import GrblStage

            stage = GrblStage.open(description, sleep=sleep)
        case "et250":
            from sweetspot.rigs.turntable import et250

            stage = et250.opened(description, sleep=sleep)
        case "scpi":
            from sweetspot.rigs.turntable import scpi

            stage = scpi.opened(description, sleep=sleep)
        case "manual" | "fixed":
            from sweetspot.rigs.turntable import ManualStage

            stage = ManualStage()
    return Rig(description, interface, stage, expect, read, meanwhile=expect is not unprepared)
