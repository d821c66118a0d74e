"""The limits of a rig file only, for players of its filters: nothing else in the file is needed."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file.tables import Driver, InterfaceTable, LimitsTable
from sweetspot.rigs.rig_file.toml_file import read_text
from sweetspot.rigs.storage import toml_table


class OutputLimits(BaseModel):
    """Output limits of a rig file: the ceiling, and each driver with its limits.

    ``interface`` is ``None`` in a file without that table; no driver can be named then.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    fs: int = 48000
    interface: InterfaceTable | None = None
    limits: LimitsTable = Field(default_factory=LimitsTable)
    driver: tuple[Driver, ...] = ()


def limits_of(path: Path) -> OutputLimits:
    """The output limits of a rig file, with defaults.

    Raises
    ------
    BadInput
        It cannot be read, or a table that limits an output cannot be understood.
    """
    try:
        return OutputLimits.model_validate(toml_table(read_text(path, "rig file"), str(path)))
    except (BadInput, ValueError) as fault:
        words = " ".join(str(fault).split())[:160]
        raise BadInput(
            f"{path}: its [limits] and drivers cannot be read ({words}); nothing is played without a known ceiling"
        ) from fault
