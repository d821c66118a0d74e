"""A TOML file that people write, read and checked whole by the schema of its tables: rig, design, bank, limits."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file.schema_faults import schema_faults
from sweetspot.rigs.storage import toml_table

Model = TypeVar("Model", bound=BaseModel)


def read_text(path: Path, what: str) -> str:
    """Text of a file, without the byte-order mark that some editors write; ``what`` is the file's name for people.

    Raises
    ------
    BadInput
        It cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise BadInput(f"{path}: the {what} cannot be read: {fault}") from fault


def parse_as(model: type[Model], text: str, where: str) -> Model:
    """What a text describes, by the schema of the whole file; an empty text gives the defaults.

    Raises
    ------
    BadInput
        It is no TOML, or holds faults: one line each.
    """
    try:
        return model.model_validate(toml_table(text, where))
    except ValidationError as invalid:
        raise BadInput(f"{where}:\n" + "\n".join(f"  {f}" for f in schema_faults(invalid, model))) from invalid
