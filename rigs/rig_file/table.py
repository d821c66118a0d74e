"""Base of every table of a file that people write: strict, frozen, unknown keys refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Positive = Annotated[float, Field(gt=0)]
Metres = Annotated[float, Field(ge=-100, le=100)]
"""A coordinate of a place in or around the rig, m."""

Reach = Annotated[float, Field(ge=-10, le=10)]
"""A coordinate of a driver, m from the middle of the device."""

Distance = Annotated[float, Field(ge=0.05, le=100)]
"""From the middle of the device to a microphone or head, m."""

Channel = Annotated[int, Field(ge=1, le=1024, strict=True)]
Band = tuple[Positive, Positive]


class Table(BaseModel):
    """A table of a file: unknown keys are refused, values stay as they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_as_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """``true`` is no number, though the schema's library would take it for 1."""
        inner = value if isinstance(value, list) else [value]
        if any(isinstance(v, bool) for v in inner):
            wanted = str(cls.model_fields[str(info.field_name)].annotation)  # of few values: 14 ms for all of a rig
            if "bool" not in wanted and "Any" not in wanted:
                raise ValueError("true and false are no values of this key")
        return value


def tables_in(found: Any) -> list[Mapping[str, Any]]:
    """The tables of a raw value that should be an array of tables."""
    return [t for t in found if isinstance(t, dict)] if isinstance(found, list) else []


def sub_table(table: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """A nested raw table, empty when absent or of another kind."""
    for key in keys:
        inner = table.get(key)
        if not isinstance(inner, dict):
            return {}
        table = inner
    return table


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a raw value is a number, which ``true`` is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def are_numbers(value: Any, count: int) -> TypeGuard[list[float]]:
    """Whether a raw value is a list of this many numbers; other faults are the schema's."""
    return isinstance(value, list) and len(value) == count and all(map(is_number, value))


def read_or_default(raw: Mapping[str, Any], table: type[Table], key: str) -> Any:
    """A key's raw value, or the schema's default if it is missing or no finite number, which the schema refuses."""
    value = raw.get(key)
    unusable = isinstance(value, float) and not math.isfinite(value)
    return table.model_fields[key].get_default(call_default_factory=True) if key not in raw or unusable else value
