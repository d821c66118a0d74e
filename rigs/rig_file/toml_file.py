"""TOML files (rig, design, bank, limits), read and checked whole by the schema of their tables."""

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

    UTF-8, or UTF-16 with its mark.

    Raises
    ------
    BadInput
        It cannot be read, or is in another encoding; names the line.
    """
    try:
        raw = path.read_bytes()
    except OSError as fault:
        raise BadInput(f"{path}: the {what} cannot be read: {fault.strerror}") from fault
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as fault:
        line = raw[: fault.start].count(b"\n") + 1
        raise BadInput(
            f"{path}: the {what} cannot be read: line {line} is not in UTF-8 (byte {raw[fault.start]:#x}); "
            "save it as UTF-8"
        ) from fault
    if "\x00" in text:
        raise BadInput(f"{path}: the {what} cannot be read: it holds zero bytes; save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_as(model: type[Model], text: str, where: str) -> Model:
    """Parse a text by the schema of the whole file; an empty text gives the defaults.

    Raises
    ------
    BadInput
        It is no TOML, or holds faults: one line each.
    """
    try:
        return model.model_validate(toml_table(text, where))
    except ValidationError as invalid:
        raise BadInput(f"{where}:\n" + "\n".join(f"  {f}" for f in schema_faults(invalid, model))) from invalid
