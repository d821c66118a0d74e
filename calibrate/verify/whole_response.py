"""Cancellation of the direct sound and of the whole response at the ears, each with its spread over heads."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant import Prediction, gate, metrics
from sweetspot.calibrate.verify.comparison import Comparison
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means, third_octaves
from sweetspot.rigs.units import Complex, Float, hertz, power_db

WIDE, SCORED = (300.0, 6300.0), metrics.SCORED
"""Bands between nominal third-octave centres, Hz: where the width of the image is decided too, and the judged one."""


@dataclass(frozen=True, slots=True)
class OverHeads:
    """A level over head positions, sides and third octaves, dB.

    Parameters
    ----------
    mean, p10
        Over all cells.
    spread
        Standard deviation over head positions of each position's own mean; 0 for a single position.
    band_hz
        Nominal centres of the first and the last third octave.
    """

    mean: float
    p10: float
    spread: float
    heads: int
    band_hz: tuple[float, float]

    @property
    def text(self) -> str:
        """The mean with its spread."""
        if self.heads < 2:
            return f"{self.mean:z.1f} dB at one head position"
        return f"{self.mean:z.1f} ± {self.spread:z.1f} dB over {self.heads} head positions"

    @classmethod
    def of(cls, db: Float, inside: NDArray[np.bool_]) -> OverHeads:
        """From cells ``(position, side, third octave)`` and the third octaves that count."""
        cells = db[..., inside]
        each = cells.mean(axis=(1, 2))
        return cls(
            float(cells.mean()),
            float(np.percentile(cells, 10)),
            float(each.std(ddof=1)) if len(each) > 1 else 0.0,
            len(each),
            (float(THIRD_OCTAVES[inside][0]), float(THIRD_OCTAVES[inside][-1])),
        )


@dataclass(frozen=True, slots=True)
class CancellationFigures:
    """Near-ear over far-ear power in one band.

    Parameters
    ----------
    band_hz
        Its nominal ends.
    direct
        Of the direct sound, in the third octaves that the gate resolves; ``None`` where it resolves none.
    room
        Of the whole response at the ears, room included, in all of the band.
    """

    band_hz: tuple[float, float]
    direct: OverHeads | None
    room: OverHeads

    def ends_of(self, level: OverHeads) -> tuple[float, float]:
        """The nominal ends; where the gate does not resolve the lower one, those of the third octaves that it does."""
        return self.band_hz if level.band_hz[0] <= 1.1 * self.band_hz[0] else level.band_hz

    @property
    def text(self) -> str:
        """One line for people."""
        low, high = (hertz(f) for f in self.band_hz)
        direct = self.direct.text if self.direct else "not resolved by the gate"
        if self.direct and self.ends_of(self.direct) != self.band_hz:
            direct = f"(gated, from {hertz(self.direct.band_hz[0])}) {direct}"
        return f"{low} to {high}: direct sound {direct}; whole response in the room {self.room.text}"


def cancellations(c: Comparison, prediction: Prediction) -> tuple[CancellationFigures, ...]:
    """Measured cancellation in :data:`WIDE` and in :data:`SCORED`: direct sound and whole response."""
    got = c.cancellation.heard
    room = energy_cells(metrics.unvirtualized(c.heard_whole, prediction.far_ear), c.f)
    found = []
    for band in (WIDE, SCORED):
        inside = third_octaves(*band)
        resolved = inside & gate.resolved(prediction.lowest)
        direct = OverHeads.of(got.db, resolved) if resolved.any() else None
        found.append(CancellationFigures(band, direct, OverHeads.of(room, inside)))
    return tuple(found)


def energy_cells(pair: Complex, f: Float) -> Float:
    """Near-ear over far-ear energy of each third octave ``(position, side, third octave)``, dB.

    Energies, not the mean of ratios bin by bin: in a room single bins at the near ear may be next to nothing.
    """
    near, far = (band_means(np.abs(x) ** 2, f) for x in metrics.near_and_far(pair))
    return power_db(np.maximum(near, 1e-30) / np.maximum(far, 1e-30))


def to_dict(found: tuple[CancellationFigures, ...]) -> dict[str, object]:
    """For JSON: the wide band at the top, the judged one beside it as ``scored``."""

    def one(c: CancellationFigures) -> dict[str, object]:
        def level(x: OverHeads | None) -> dict[str, object] | None:
            return None if x is None else asdict(x)

        return {"band_hz": [*c.band_hz], "direct_db": level(c.direct), "room_db": level(c.room)}

    wide, scored = found
    return one(wide) | {"scored": one(scored)}
