"""The stage of the lab as a sound card: a turntable on a serial port or at an address, while the lab runs."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.lab.stage import GrblMachine, GrblSimulator, et250_machine
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.turntable import axis_letters, pose_at


class Movable(Protocol):
    """Interface to the parts that a stage moves, and to faults of its moves."""

    world: World

    def move(self, pose: Pose) -> None:
        """Change how things stand."""

    def befalling(self) -> tuple[bool, float]:
        """Whether the next move stalls, and the delay of its reply, s."""
        ...


@contextmanager
def turntable(card: Movable) -> Iterator[GrblSimulator]:
    """The lab's turntable: moves the sound card's world; its axes are those of the rig."""
    letters = axis_letters(card.world.description.stage)

    def moved(axes: Mapping[str, float]) -> None:
        card.move(pose_at(axes, letters, Pose()))

    with GrblSimulator(GrblMachine(moved, befalling=card.befalling)) as table:
        yield table


@contextmanager
def stage(card: Movable) -> Iterator[str]:
    """The lab's stage while it runs, with the rig's protocol; yields its address."""
    table = card.world.description.stage
    if table.driver == "et250":
        with et250_machine.served(table, card.move, card.befalling) as reached:
            yield reached
        return
    port = card.world.description.path(table.port) if table.port else None
    with turntable(card) as simulator, linked(port, simulator.lasting) as reached:
        yield reached


@contextmanager
def linked(path: Path | None, target: str) -> Iterator[str]:
    """A link at ``path`` to the pseudo-terminal ``target`` while it runs; yields the turntable's address.

    Raises
    ------
    BadInput
        Something else is at ``path``, or its folder cannot be written.
    """
    if path is None:
        yield target
        return
    _free(path)
    try:
        path.symlink_to(target)
    except OSError as fault:
        raise BadInput(f"stage.port {path}: the turntable's link cannot be made there: {fault.strerror}") from fault
    try:
        yield str(path)
    finally:
        if path.is_symlink() and str(path.readlink()) == target:
            path.unlink()


def _free(path: Path) -> None:
    """Remove a dangling link; refuse anything else."""
    if path.is_symlink() and not path.exists():
        path.unlink()
    if path.is_symlink():
        raise BadInput(
            f"stage.port {path} leads to {path.readlink()}: the turntable of a lab that is running. End that lab, "
            f"or give this rig another port"
        )
    if path.exists():
        kind = "a device" if stat.S_ISCHR(path.stat().st_mode) else "a file"
        raise BadInput(
            f"stage.port {path} is {kind}; the virtual turntable needs a free path, for example /tmp/turntable"
        )
