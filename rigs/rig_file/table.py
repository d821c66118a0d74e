"""What every table of the rig file is made of: strict, frozen, unknown keys refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Channel = Annotated[int, Field(ge=1, le=1024, strict=True)]
Band = tuple[Positive, Positive]


class Table(BaseModel):
    """A table of the rig file: unknown keys are refused, values stay as they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)
