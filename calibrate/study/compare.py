"""Ours beside the classical designs, as filters of one length, scored at positions that none of them saw.

Ours are fitted by least squares (:mod:`filters.leastsquares`), the classical ones cut by a window, as published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweetspot.calibrate.design import FilterDesign
from sweetspot.calibrate.filters import Cost, causal, held_outside, leastsquares
from sweetspot.calibrate.filters import pair as sides
from sweetspot.calibrate.plant import Plant
from sweetspot.calibrate.predict import metrics
from sweetspot.calibrate.study import classical
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means
from sweetspot.rigs.units import Complex, Float, power_db

OURS = "sweetspot"
ALONE = "one driver"


@dataclass(frozen=True, slots=True, eq=False)
class DesignRow:
    """One design's figures; bands are :data:`sweetspot.calibrate.predict.metrics.OCTAVES`.

    Parameters
    ----------
    name
        Of the design.
    mean, p10
        Cancellation over scoring positions and sides: mean and 10th percentile ``(band,)``, dB.
    nominal
        At the nominal head, mean of the sides ``(band,)``, dB.
    effort
        Mean over each band and both sides ``(band,)``, dB re one driver.
    colour_nominal, colour_scored
        Largest third-octave deviation at the near ear from the wanted response, 400 Hz to 8 kHz, dB: at the nominal
        head, and of the mean over scoring positions.
    ringing
        Pre-ringing more than 5 ms ahead of the peak, dB.
    """

    name: str
    mean: Float
    p10: Float
    nominal: Float
    effort: Float
    colour_nominal: float
    colour_scored: float
    ringing: float

    def plain(self) -> dict[str, Any]:
        """The figures as plain data."""
        bands = [f"{a:g}-{b:g} Hz" for a, b in metrics.OCTAVES]
        figures = {"mean_db": self.mean, "p10_db": self.p10, "nominal_db": self.nominal, "effort_db": self.effort}
        return {
            "name": self.name,
            **{k: dict(zip(bands, np.round(v, 2).tolist(), strict=True)) for k, v in figures.items()},
            "colour_nominal_db": round(self.colour_nominal, 2),
            "colour_scored_db": round(self.colour_scored, 2),
            "pre_ringing_db": round(self.ringing, 1),
        }


@dataclass(frozen=True, slots=True, eq=False)
class TestPlaces:
    """What all designs are made from and scored on.

    Parameters
    ----------
    plant
        Measured at the design positions.
    nominal
        The nominal head's row in it.
    truth
        Responses at the nominal head ``(1, ear, driver, frequency)``, on the plant's grid.
    scored
        Responses at the scoring positions, the same.
    fs
        Sampling rate, Hz.
    """

    plant: Plant
    nominal: int
    truth: Complex
    scored: Complex
    fs: int


def rows(scene: TestPlaces, both: sides.Sides, cost: Cost, filters: FilterDesign) -> tuple[DesignRow, ...]:
    """Figures of our design, of every classical one, and of one driver a side."""
    held = [held_outside(w, scene.plant.f, *filters.band_hz) for w in both.w]
    taps = np.stack([leastsquares.side(both, i, held[i], scene.plant.f, cost, filters) for i in (0, 1)])
    alone = np.zeros_like(both.w)
    for side, driver in enumerate(both.reference):
        alone[side, :, driver] = 1.0
    found = {**classical.designs(scene.plant, scene.nominal, both.problems), ALONE: alone}
    return scored(OURS, taps, scene, both), *(row(name, w, scene, both, filters) for name, w in found.items())


def row(name: str, w: Complex, scene: TestPlaces, both: sides.Sides, filters: FilterDesign) -> DesignRow:
    """Truncate weights ``(side, frequency, driver)`` to filters and score those."""
    held = np.stack([held_outside(x, scene.plant.f, *filters.band_hz) for x in w])
    taps = causal(np.moveaxis(held, 1, 2), filters.taps, filters.delay)
    return scored(name, taps, scene, both)


def scored(name: str, taps: Float, scene: TestPlaces, both: sides.Sides) -> DesignRow:
    """Figures of filters ``(side, driver, tap)``."""
    f = scene.plant.f
    W = np.fft.rfft(taps, 2 * (len(f) - 1), axis=-1)
    heads = metrics.banded_db(heard(scene.scored, W), f)
    nominal = heard(scene.truth, W)
    cells = heads.reshape(-1, heads.shape[-1])
    return DesignRow(
        name,
        mean=cells.mean(axis=0),
        p10=np.percentile(cells, 10, axis=0),
        nominal=metrics.banded_db(nominal, f).mean(axis=(0, 1)),
        effort=_effort(W, both, f),
        colour_nominal=_colour(nominal, scene.truth, both, f),
        colour_scored=_colour(heard(scene.scored, W), scene.scored, both, f),
        ringing=metrics.ringing_db(taps, scene.fs),
    )


def heard(h: Complex, W: Complex) -> Complex:
    """Responses ``(position, ear, side, frequency)`` of filters ``W (side, driver, frequency)``."""
    return np.asarray(np.einsum("pedf,sdf->pesf", h, W))


def averaged(same: Sequence[DesignRow]) -> DesignRow:
    """The mean of one design's figures over several measurements or splits."""

    def mean(name: str) -> Any:
        return np.mean([getattr(r, name) for r in same], axis=0)

    return DesignRow(
        same[0].name,
        mean=mean("mean"),
        p10=mean("p10"),
        nominal=mean("nominal"),
        effort=mean("effort"),
        colour_nominal=float(mean("colour_nominal")),
        colour_scored=float(mean("colour_scored")),
        ringing=float(mean("ringing")),
    )


def table(found: tuple[DesignRow, ...], title: str) -> str:
    """The rows as text: mean / 10th percentile / nominal (effort) in each band."""
    bands = "".join(f"{a:>9g}-{b:<13g}" for a, b in metrics.OCTAVES)
    lines = [title, f"{'':<15}{bands}near ear   pre-ring"]
    for r in found:
        cells = "".join(
            f"{m:5.1f}/{p:5.1f}/{n:5.1f} E{e:+4.0f} "
            for m, p, n, e in zip(r.mean, r.p10, r.nominal, r.effort, strict=True)
        )
        lines.append(f"{r.name:<15}{cells} {r.colour_nominal:4.1f}/{r.colour_scored:4.1f}  {r.ringing:6.0f}")
    return "\n".join(lines)


def _effort(W: Complex, both: sides.Sides, f: Float) -> Float:
    found = [metrics.effort_db(W[i].T, asked.near, asked.alone) for i, asked in enumerate(both.problems)]
    mean = np.mean(found, axis=0)
    return np.array([mean[(f >= a) & (f < b)].mean() for a, b in metrics.OCTAVES])


def _colour(pair: Complex, h: Complex, both: sides.Sides, f: Float) -> float:
    """Largest third-octave deviation of the near ear from the reference driver heard there, dB."""
    near, _ = metrics.near_and_far(pair)
    worst = 0.0
    inside = THIRD_OCTAVES >= 400.0
    for side, asked in enumerate(both.problems):
        driver = both.reference[side]
        gain = np.abs(asked.wanted) / np.maximum(np.abs(asked.near[:, driver]), 1e-30)
        wanted = np.abs(h[:, side, driver]) * gain
        bands = power_db(band_means(np.abs(near[:, side]) ** 2, f)) - power_db(band_means(wanted**2, f))
        level = bands[:, inside].mean(axis=0)
        worst = max(worst, float(np.abs(level - level.mean()).max()))
    return worst
