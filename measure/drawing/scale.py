"""A scale of an axis: from values to places between 0 and 1, with its ticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sweetspot.rigs.units import Float

MARGIN = 0.05
"""Room beyond the data on a scale whose ends were not given, as a share of their span."""

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(slots=True, eq=False)
class Scale:
    """One axis.

    Parameters
    ----------
    log
        Whether it is logarithmic.
    low, high
        Values at its two ends; ``None`` until they are given or made from the data.
    ticks, names
        Values with a tick, and their texts; ``None`` for ticks at round values.
    label
        What it shows, and its unit.
    size
        Of the label's letters, points.
    seen
        Least and largest value of the data so far.
    """

    log: bool = False
    low: float | None = None
    high: float | None = None
    ticks: Float | None = None
    names: Sequence[str] | None = None
    label: str = ""
    size: float = 10.0
    seen: list[float] = field(default_factory=list)

    def see(self, values: object) -> None:
        """Widen the range of the data."""
        x = np.asarray(values, dtype=float).ravel()
        x = x[np.isfinite(x)]
        if len(x):
            self.seen = [min([float(x.min()), *self.seen]), max([float(x.max()), *self.seen])]

    def ends(self) -> tuple[float, float]:
        """Values at its two ends."""
        least, most = self.seen if self.seen else (0.0, 1.0)
        room = MARGIN * (most - least) or 0.5
        return (least - room if self.low is None else self.low, most + room if self.high is None else self.high)

    def share(self, values: object) -> Float:
        """Where values are, from 0 at the first end to 1 at the second."""
        x, (low, high) = np.asarray(values, dtype=float), self.ends()
        if self.log:
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.asarray(np.log(x / low) / np.log(high / low))
        return np.asarray((x - low) / (high - low))

    def ticked(self, most: int = 8) -> tuple[Float, list[str]]:
        """Values with a tick and their texts; at most about ``most`` where they were not given."""
        low, high = sorted(self.ends())
        ticks = _round_values(low, high, most) if self.ticks is None else self.ticks
        names = list(self.names) if self.names is not None else _texts(ticks)
        inside = [i for i, t in enumerate(ticks) if low - 1e-9 * (high - low) <= t <= high + 1e-9 * (high - low)]
        return ticks[inside], [names[i] for i in inside]


def _round_values(low: float, high: float, most: int) -> Float:
    rough = (high - low) / max(most, 1)
    unit = 10.0 ** np.floor(np.log10(rough))
    step = unit * next(s for s in STEPS if s * unit >= rough * 0.999)
    return np.asarray(np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1.0) * step)


def _texts(ticks: Float) -> list[str]:
    """As many digits as tell the ticks apart."""
    gaps = np.diff(ticks)
    step = float(np.abs(gaps).min()) if len(gaps) else 1.0
    digits = next((d for d in range(7) if abs(step * 10**d - round(step * 10**d)) < 1e-6 * step * 10**d), 3)
    return [f"{t + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}") for t in np.where(np.abs(ticks) < 1e-9, 0.0, ticks)]
