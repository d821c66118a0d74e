"""The limits of a rig file alone, for what plays its filters: nothing else in the file has to be there."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file.tables import LimitsTable


def limits_of(path: Path) -> LimitsTable:
    """The ``[limits]`` of a rig file; the defaults where it has none.

    Raises
    ------
    BadInput
        It cannot be read, or the table cannot be understood.
    """
    try:
        return LimitsTable.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")).get("limits", {}))
    except (OSError, ValueError, ValidationError) as fault:
        words = " ".join(str(fault).split())[:160]
        raise BadInput(f"{path}: its [limits] cannot be read ({words}); nothing is played without a ceiling") from fault
