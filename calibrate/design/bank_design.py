"""bank.toml -> BankDesign: the places of a bank of filters, checked whole; every key has a default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from sweetspot.processor.bank import MOST_PLACES
from sweetspot.rigs.rig_file import Table, parse_as, read_text
from sweetspot.rigs.units import Float

Metres = Annotated[float, Field(ge=-20, le=20)]
Degrees = Annotated[float, Field(ge=-90, le=90)]
Step = Annotated[float, Field(ge=0.02, le=2)]


class BankDesign(Table):
    """Places of a bank, m from the middle of the device: ``x`` ahead of it, ``y`` to its left.

    A grid ``x_m`` by ``y_m`` (from, to) in steps ``step_m`` with the heads' ``yaw_deg`` re facing the device, or
    instead ``places``, each ``[x, y]`` or ``[x, y, yaw]``. Filters are fitted to heads displaced by ``spread_m`` and
    turned by ``spread_deg`` around each place. ``home`` is the place that is played while no listener is known; by
    default the nominal position of the session. ``beam_step_deg`` is the resolution of the centre's beam: places with
    the same rounded bearing share it. ``effort_db`` is effort of the sides above the limit of the unit's design, which
    is made for the nominal position: off axis and farther away the array subtends a smaller angle. In a live room,
    where effort costs depth, nothing is added. ``second`` is the place of a second listener, who stays there: the
    filters of every place then serve both, with a near and a far ear each.
    """

    x_m: tuple[Metres, Metres] = (1.0, 3.0)
    y_m: tuple[Metres, Metres] = (-1.0, 1.0)
    step_m: tuple[Step, Step] = (0.25, 0.1)
    yaw_deg: tuple[Degrees, ...] = Field(default=(0.0,), min_length=1, max_length=9)
    places: tuple[tuple[Metres, Metres] | tuple[Metres, Metres, Degrees], ...] = ()
    home: tuple[Metres, Metres] | None = None
    second: tuple[Metres, Metres] | None = None
    spread_m: float = Field(default=0.04, ge=0, le=0.2)
    spread_deg: float = Field(default=8.0, ge=0, le=45)
    beam_step_deg: float = Field(default=7.5, ge=1, le=45)
    effort_db: float = Field(default=6.0, ge=-10, le=20)

    @model_validator(mode="after")
    def _a_grid(self) -> BankDesign:
        for name in ("x_m", "y_m"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} needs two places [from, to] with the first not above the second")
        if not self.places and len(self.grid) > MOST_PLACES:
            raise ValueError(f"the grid has {len(self.grid)} places; at most {MOST_PLACES}: make step_m larger")
        return self

    @property
    def second_place(self) -> Float:
        """``(1, 3)``, or ``(0, 3)``: the second listener, who faces the device."""
        rows = [] if self.second is None else [(*self.second, float(np.arctan2(self.second[1], self.second[0])))]
        return np.reshape(rows, (-1, 3)).astype(np.float64)

    @property
    def grid(self) -> Float:
        """``(place, 3)``: x, y in m and yaw in rad; a place without yaw faces the device."""
        if self.places:
            rows = [(p[0], p[1], np.radians(p[2]) if len(p) == 3 else 0.0) for p in self.places]
        else:
            x, y = (
                np.linspace(low, high, max(round((high - low) / step), 1) + 1 if high > low else 1)
                for (low, high), step in zip((self.x_m, self.y_m), self.step_m, strict=True)
            )
            rows = [(a, b, np.radians(t)) for a in x for b in y for t in self.yaw_deg]
        out = np.array(rows, dtype=np.float64)
        out[:, 2] += np.arctan2(out[:, 1], out[:, 0])
        return np.round(out, 9)


def read_bank(path: Path) -> tuple[BankDesign, str]:
    """A bank's design and its text.

    Raises
    ------
    BadInput
        The file is missing, no TOML, or holds faults: one line each.
    """
    text = read_text(path, "bank's design")
    return parse_bank(text, str(path)), text


def parse_bank(text: str, where: str) -> BankDesign:
    """The bank that a text describes; an empty one gives the defaults.

    Raises
    ------
    BadInput
        No TOML, or faults: one line each.
    """
    return parse_as(BankDesign, text, where)
