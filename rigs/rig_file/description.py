"""rig.toml -> Description: the whole file is checked, every fault is listed at once, and nothing is opened."""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import many
from sweetspot.rigs.rig_file.faults import cross_faults
from sweetspot.rigs.rig_file.key_texts import EXAMPLES, TEXTS, UNITS
from sweetspot.rigs.rig_file.keys import KeyTable, Wording, key_tables
from sweetspot.rigs.rig_file.lab_places import with_body
from sweetspot.rigs.rig_file.lab_tables import Lab
from sweetspot.rigs.rig_file.output_tables import Driver, InterfaceTable, LimitsTable, Loopback, ProgramPorts
from sweetspot.rigs.rig_file.schema_faults import schema_faults
from sweetspot.rigs.rig_file.table import Table
from sweetspot.rigs.rig_file.tables import (
    EARS,
    EarsTable,
    Environment,
    HeadPosition,
    Mic,
    Polar,
    Reference,
    StageTable,
    SweepTable,
)
from sweetspot.rigs.rig_file.toml_file import read_text
from sweetspot.rigs.storage import toml_table

__all__ = [
    "EARS",
    "Description",
    "Driver",
    "EarsTable",
    "Environment",
    "HeadPosition",
    "InterfaceTable",
    "Lab",
    "LimitsTable",
    "Loopback",
    "Mic",
    "Polar",
    "ProgramPorts",
    "StageTable",
    "SweepTable",
    "parse",
    "read",
]


LONGEST = 600
"""Characters of a line of a message."""

LISTENING_M = 2.0
"""Default distance of the listener, m."""


class _RigTable(Table):
    """The whole file."""

    schema_: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    fs: int = Field(ge=8000, le=768000, strict=True)
    interface: InterfaceTable
    stage: StageTable = Field(default_factory=StageTable)
    limits: LimitsTable = Field(default_factory=LimitsTable)
    environment: Environment = Field(default_factory=Environment)
    driver: tuple[Driver, ...] = Field(min_length=1)
    mic: tuple[Mic, ...] = Field(min_length=1)
    ears: EarsTable | None = None
    polar: Polar | None = None
    reference: Reference | None = None
    sweep: SweepTable = Field(default_factory=SweepTable)
    lab: Lab = Field(default_factory=Lab)


class Description(_RigTable):
    """A checked rig file.

    Parameters
    ----------
    text
        The file, verbatim; it is copied into every run.
    folder
        Where its relative paths start.
    kept
        Folder of copies of the files that it names, see :func:`copy_name`; they go before the files themselves.
    """

    text: str
    folder: Path
    kept: Path | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the file's text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def driver_names(self) -> tuple[str, ...]:
        """Names of the drivers in the order of the file."""
        return tuple(d.name for d in self.driver)

    @property
    def ear_mics(self) -> tuple[Mic, ...]:
        """The dummy head's microphones, left first."""
        return tuple(m for name in EARS for m in self.mic if m.name == name)

    @property
    def listening_m(self) -> float:
        """Distance from the middle of the device to the nominal head, m; by default :data:`LISTENING_M`."""
        return self.ears.distance_m if self.ears else LISTENING_M

    @property
    def polar_mics(self) -> tuple[Mic, ...]:
        """The measurement microphones on the polar circle: all that are no ears and have no use of their own."""
        return tuple(m for m in self.mic if m.name not in EARS and m.use is None)

    @property
    def monitor_mics(self) -> tuple[Mic, ...]:
        """Microphones that are fixed in the test box."""
        return tuple(m for m in self.mic if m.use == "monitor")

    @property
    def device_mics(self) -> tuple[Mic, ...]:
        """Microphones that are built into the device."""
        return tuple(m for m in self.mic if m.use == "device")

    @property
    def outputs(self) -> int:
        """Number of output channels that the rig uses, from 1."""
        program = [self.interface.program.left, self.interface.program.right] if self.interface.program else []
        pair = [self.reference.left, self.reference.right] if self.reference else []
        return max([d.channel for d in self.driver] + [self.interface.loopback.out, *program, *pair])

    @property
    def inputs(self) -> int:
        """Number of input channels that the rig uses, from 1."""
        return max([m.channel for m in self.mic] + [self.interface.loopback.in_])

    def path(self, name: str) -> Path:
        """A path of the file made absolute."""
        return _found(name, self.folder, self.kept)

    @property
    def named_files(self) -> tuple[str, ...]:
        """Correction files and heads, as the file calls them."""
        names = [m.calibration for m in self.mic if m.calibration is not None]
        return tuple(dict.fromkeys([*names, *([self.lab.head] if self.lab.head != "sphere" else [])]))


KEPT_TEXTS = 8

_alone: dict[str, Description] = {}
"""Rig files without other files that this process checked last, by their text: those of a fleet's units are alike."""


def rig_keys() -> list[KeyTable]:
    """Every table and key of the rig file, from its schema."""
    return key_tables(_RigTable, Wording(TEXTS, EXAMPLES, UNITS))


def read(path: Path) -> Description:
    """Read and check a rig file.

    Raises
    ------
    BadInput
        The file is missing, is not TOML, or holds faults: one line each.
    """
    if not path.exists():
        raise BadInput(f"{path}: no such rig file. {_neighbours(path)}")
    return parse(read_text(path, "rig file"), folder=path.resolve().parent, where=str(path))


def copy_name(name: str) -> str:
    """Name of a run's copy of the file ``name`` of a rig file."""
    return f"{hashlib.sha256(name.encode()).hexdigest()[:8]}-{Path(name).name}"


def parse(text: str, folder: Path, where: str = "rig.toml", kept: Path | None = None) -> Description:
    """Check the text of a rig file; ``folder`` is where its relative paths start, ``kept`` holds copies of its files.

    Raises
    ------
    BadInput
        Every fault of the text, one line each, with the key's path and the nearest known key.
    """
    text = text.removeprefix("\ufeff")
    if (known := _alone.get(text)) is not None:
        return known.model_copy(update={"folder": folder, "kept": kept})
    asked: list[str] = []

    def found(name: str) -> Path:
        asked.append(name)
        return _found(name, folder, kept)

    table = with_body(toml_table(text, where))
    faults: list[str] = []
    checked = None
    try:
        checked = _RigTable.model_validate(table)
    except ValidationError as invalid:
        faults += schema_faults(invalid, _RigTable)
    faults += list(cross_faults(table, folder, found))
    if faults or checked is None:
        raise BadInput(f"{where}: {many(len(faults), 'fault')}\n" + "\n".join(f"  {_clipped(f)}" for f in faults))
    more: dict[str, Any] = {"text": text, "folder": folder, "kept": kept}
    made = {*checked.model_fields_set, *more}
    described = Description.model_construct(made, **vars(checked), **more)  # a second schema takes 10 ms to build
    if not asked and not described.named_files:
        while len(_alone) >= KEPT_TEXTS:
            del _alone[next(iter(_alone))]
        _alone[text] = described
    return described


def _clipped(fault: str) -> str:
    """A fault without the middle of a name that fills a page."""
    return "\n".join(t if len(t) <= LONGEST else f"{t[: LONGEST - 103]}...{t[-100:]}" for t in fault.split("\n"))


def _found(name: str, folder: Path, kept: Path | None) -> Path:
    copy = kept / copy_name(name) if kept is not None else None
    return copy if copy is not None and copy.is_file() else (folder / name).expanduser()


def _neighbours(path: Path) -> str:
    """The rig files beside a missing one, nearest name first."""
    folder = path.parent
    names = sorted(p.name for p in folder.glob("*.toml")) if folder.is_dir() else []
    if not names:
        return f"There is no .toml file in {folder}"
    near = difflib.get_close_matches(path.name, names, n=len(names), cutoff=0.0)
    return "Found there: " + ", ".join(near[:5])
