"""The ``[lab]`` table of the rig file: what the virtual lab is made of."""

from __future__ import annotations

from pydantic import Field

from rigs.table import Positive, Table


class Lab(Table):
    """The virtual lab: a rigid-sphere body, a head (``"sphere"`` or a SOFA file), noise, latency, tolerances."""

    seed: int = Field(default=1, ge=0, strict=True)
    body_diameter_m: Positive = 0.175
    head: str = "sphere"
    head_diameter_m: Positive = 0.175
    ears_deg: float = Field(default=100.0, gt=0, lt=180)
    sensitivity_db_spl: float = 94.0
    tolerance_db: float = Field(default=0.5, ge=0, le=10)
    tolerance_percent: float = Field(default=3.0, ge=0, le=30)
    mic_noise_db_spl: float = 15.0
    converter_noise_dbfs: float = Field(default=-110.0, le=-20)
    latency_samples: int = Field(default=437, ge=0, le=48000, strict=True)
