"""What every table of the rig file is made of: strict, frozen, unknown keys refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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
    """A table of the rig file: unknown keys are refused, values stay as they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)
