"""A scale along an axis: its ends, linear or logarithmic, and its ticks with their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from sweetspot.rigs.units import Float

MARGIN = 0.05
"""Share of the data's range left free at each end, unless ends are given."""

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Distances of ticks, times a power of ten."""


class Scale:
    """The horizontal or vertical scale of axes; axes that share it have the same ends.

    Attributes
    ----------
    log
        Whether it is logarithmic.
    turned
        Whether it falls to the right or upwards, where no ends are given.
    margin
        Share of the range that is free at both ends then.
    label
        Its name.
    ends
        Values at the left or the bottom, and at the right or the top; those of the data if ``None``.
    """

    def __init__(self) -> None:
        self.log = False
        self.turned = False
        self.margin = MARGIN
        self.label = ""
        self.ends: tuple[float, float] | None = None
        self._ticks: tuple[Float, list[str] | None] | None = None
        self._low, self._high = np.inf, -np.inf
        self._held: set[float] = set()

    def see(self, values: ArrayLike, *, held: bool = False) -> None:
        """Include values in the range; without a margin beyond them if ``held``."""
        x = np.asarray(values, dtype=float)
        x = x[np.isfinite(x)]
        if x.size:
            low, high = float(x.min()), float(x.max())
            self._low, self._high = min(self._low, low), max(self._high, high)
            if held:
                self._held |= {low, high}

    def limits(self) -> tuple[float, float]:
        """Ends, the first one at the left or at the bottom."""
        if self.ends is not None:
            return self.ends
        if self._low > self._high:
            return 0.0, 1.0
        low, high = self._low, self._high
        if self.log:
            low = max(low, 1e-6 * high)
            beyond = (high / low) ** self.margin
            less, more = low / beyond, high * beyond
        else:
            free = self.margin * (high - low) or 0.5
            less, more = low - free, high + free
        low, high = low if low in self._held else less, high if high in self._held else more
        return (high, low) if self.turned else (low, high)

    def share(self, values: ArrayLike) -> Float:
        """Places between the ends, 0 to 1; not finite for what a logarithmic scale does not have."""
        low, high = self.limits()
        x = np.asarray(values, dtype=float)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray(np.log(x / low) / np.log(high / low))
        return (x - low) / (high - low)

    def set_ticks(self, at: ArrayLike, names: Sequence[str] | None = None) -> None:
        """Ticks at these values, with their numbers or with names."""
        self._ticks = np.asarray(at, dtype=float), None if names is None else list(names)

    def ticks(self, most: int) -> tuple[Float, list[str]]:
        """Ticks within the ends and their labels; ``most`` is their number if they were not given."""
        low, high = sorted(self.limits())
        at, names = self._ticks if self._ticks is not None else (_even(low, high, most), None)
        if names is None:
            names = numbers(at)
        inside = (at >= low - 1e-6 * (high - low)) & (at <= high + 1e-6 * (high - low))
        return at[inside], [name for name, shown in zip(names, inside, strict=True) if shown]


def _even(low: float, high: float, most: int) -> Float:
    """Round values from ``low`` to ``high``, in at most ``most`` steps, but at least two values."""
    rough = (high - low) / max(most, 1)
    power = 10.0 ** np.floor(np.log10(rough))
    chosen = next(i for i, s in enumerate(STEPS) if s * power >= rough * (1.0 - 1e-9))
    for step in (power * s for s in (*STEPS[chosen::-1], 0.5, 0.25, 0.1)):
        at = step * np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1.0)
        if len(at) > 1:
            break
    return np.asarray(at)


def numbers(values: Float) -> list[str]:
    """Labels with the decimals that tell them apart."""
    digits = next(d for d in range(9) if d == 8 or np.allclose(values, np.round(values, d), rtol=0.0, atol=1e-9))
    return [f"{v + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}") for v in values]
