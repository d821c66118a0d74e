"""Comparison with the classical designs: filters of equal length, scored at held-out positions.

Ours are fitted by least squares (:mod:`filters.leastsquares`), the classical ones cut by a window, as published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.design import CrosstalkDesign, FilterDesign
from sweetspot.calibrate.filters import causal, held_outside, leastsquares
from sweetspot.calibrate.filters.sides import Cost
from sweetspot.calibrate.filters.sides import pair as sides
from sweetspot.calibrate.plant import Plant, error_of, metrics, programme_of
from sweetspot.calibrate.study import classical
from sweetspot.calibrate.study.overview import NOTHING_DB
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means, smoothed
from sweetspot.rigs.units import Complex, Float, from_db, power_db

OURS = "sweetspot"
ALONE = "one driver"

AHEAD_DB = 0.05
"""Differences below it do not count: the table prints tenths of a decibel."""

CERTAIN_DB = 0.1
"""Tolerance that ours counts with when it is given another design's effort; the classical ones count less."""

UNBOUND_DB = 60.0
"""A target beyond every reach."""

SILENT_E_DB = 30.0
"""Effort from which a design does not play in a band, as one tweeter below its band: its figures there are of noise."""

DRIFT_DB = 0.25
"""Drift for the comparison of designs: every path off by this much in level, and as much in phase, dB."""


@dataclass(frozen=True, slots=True, eq=False)
class DesignRow:
    """One design's figures; bands are :data:`sweetspot.calibrate.plant.metrics.OCTAVES`.

    Parameters
    ----------
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
    drifted
        The mean as expected once every path between a driver and an ear has drifted by :data:`DRIFT_DB` ``(band,)``,
        dB.
    loudness
        Level of the ``"music"`` programme at the near ears while the loudest driver plays a given level, mean over
        scoring positions and sides, dB re one driver a side.
    matched
        Of a classical design: ours with its effort, where that was looked at (:func:`at_effort_of`).
    """

    name: str
    mean: Float
    p10: Float
    nominal: Float
    effort: Float
    colour_nominal: float
    colour_scored: float
    ringing: float
    drifted: Float
    loudness: float
    matched: DesignRow | None = None

    @property
    def plays(self) -> NDArray[np.bool_]:
        """Bands in which it plays ``(band,)``."""
        return np.asarray(self.effort < SILENT_E_DB)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain data."""
        bands = [f"{a:g}-{b:g} Hz" for a, b in metrics.OCTAVES]
        figures = {"mean_db": self.mean, "p10_db": self.p10, "nominal_db": self.nominal, "effort_db": self.effort}
        figures["drifted_db"] = self.drifted
        return {
            "name": self.name,
            **{k: dict(zip(bands, np.round(v, 2).tolist(), strict=True)) for k, v in figures.items()},
            "colour_nominal_db": round(self.colour_nominal, 2),
            "colour_scored_db": round(self.colour_scored, 2),
            "pre_ringing_db": round(self.ringing, 1),
            "loudness_db": round(self.loudness, 2),
            **({"sweetspot_with_this_effort": self.matched.to_dict()} if self.matched else {}),
        }


@dataclass(frozen=True, slots=True, eq=False)
class TestPlaces:
    """Common data of all designs: for the fit and for scoring.

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
    others
        Weights ``(side, frequency, driver)`` of further designs to compare with, by name.
    """

    plant: Plant
    nominal: int
    truth: Complex
    scored: Complex
    fs: int
    others: dict[str, Complex] = field(default_factory=dict)

    def designs(self, both: sides.Sides) -> dict[str, Complex]:
        """Weights of every design that ours is compared with."""
        return {**classical.designs(self.plant, self.nominal, both.problems), **self.others}


def rows(
    scene: TestPlaces,
    both: sides.Sides,
    cost: Cost,
    filters: FilterDesign,
    *,
    matched: tuple[CrosstalkDesign, Float] | None = None,
) -> tuple[DesignRow, ...]:
    """Figures of our design, of every classical one, and of one driver a side.

    Parameters
    ----------
    matched
        The requested design, and the drivers' own cost: then each classical design whose mean is higher in some band
        stands beside ours with its effort.
    """
    alone = np.zeros_like(both.w)
    for side, driver in enumerate(both.reference):
        alone[side, :, driver] = 1.0
    found = {**scene.designs(both), ALONE: alone}
    first, others = ours(scene, both, cost, filters), [row(n, w, scene, both, filters) for n, w in found.items()]
    if matched is not None:
        wish, own = matched
        others = [
            replace(r, matched=at_effort_of(r.name, scene, both, own, wish, filters)) if ahead(first, r) else r
            for r in others
        ]
    return first, *others


def ahead(first: DesignRow, other: DesignRow) -> tuple[int, ...]:
    """Bands where a classical design has a higher mean than the first row, sweetspot's."""
    if other.name == ALONE:
        return ()
    return tuple(int(i) for i in np.flatnonzero(other.mean - first.mean >= AHEAD_DB))


def ours(scene: TestPlaces, both: sides.Sides, cost: Cost, filters: FilterDesign) -> DesignRow:
    """Figures of our design, as short filters by least squares."""
    held = [held_outside(w, scene.plant.f, *filters.band_hz) for w in both.w]
    taps = np.stack([leastsquares.side(both, i, held[i], scene.plant.f, cost, filters) for i in (0, 1)])
    return scored(OURS, taps, scene, both)


def at_effort_of(
    name: str, scene: TestPlaces, both: sides.Sides, cost: Cost, wish: CrosstalkDesign, filters: FilterDesign
) -> DesignRow:
    """Ours without a target, with the effort that a classical design spends in each third octave; named after it.

    What is left between the two is no matter of effort.

    Parameters
    ----------
    cost
        The drivers' own.
    """
    f = scene.plant.f
    w = scene.designs(both)[name]
    spent = np.mean(
        [from_db(metrics.effort_db(w[i], p.near, p.alone)) ** 2 for i, p in enumerate(both.problems)], axis=0
    )
    spent = np.nan_to_num(spent, nan=0.0, posinf=0.0)
    target = ((f[1], UNBOUND_DB), (f[-1], UNBOUND_DB))
    asked = wish.model_copy(update={"target_db": target, "tolerance_db": min(CERTAIN_DB, wish.tolerance_db)})
    effort = power_db(np.maximum(smoothed(spent, f), 1e-30))
    found = sides.steer(scene.plant, scene.nominal, cost, asked, [both.reference], effort_db=effort)
    return replace(ours(scene, found, cost, filters), name=name)


def row(name: str, w: Complex, scene: TestPlaces, both: sides.Sides, filters: FilterDesign) -> DesignRow:
    """Truncate weights ``(side, frequency, driver)`` to filters and score those."""
    held = np.stack([held_outside(x, scene.plant.f, *filters.band_hz) for x in w])
    taps = causal(np.moveaxis(held, 1, 2), filters.taps, filters.delay)
    return scored(name, taps, scene, both)


def scored(name: str, taps: Float, scene: TestPlaces, both: sides.Sides) -> DesignRow:
    """Figures of filters ``(side, driver, tap)``."""
    f = scene.plant.f
    W = np.fft.rfft(taps, 2 * (len(f) - 1), axis=-1)
    heads = metrics.banded_db(ear_responses(scene.scored, W), f)
    nominal = ear_responses(scene.truth, W)
    cells = heads.reshape(-1, heads.shape[-1])
    return DesignRow(
        name,
        mean=cells.mean(axis=0),
        p10=np.percentile(cells, 10, axis=0),
        nominal=metrics.banded_db(nominal, f).mean(axis=(0, 1)),
        effort=_effort(W, both, f),
        colour_nominal=_colour(nominal, scene.truth, both, f),
        colour_scored=_colour(ear_responses(scene.scored, W), scene.scored, both, f),
        ringing=metrics.ringing_db(taps, scene.fs),
        drifted=metrics.banded_db(drifted(scene.scored, W), f).mean(axis=(0, 1)),
        loudness=_loudness_db(W, scene, both),
    )


def ear_responses(h: Complex, W: Complex) -> Complex:
    """Responses ``(position, ear, side, frequency)`` of filters ``W (side, driver, frequency)``."""
    return np.asarray(np.einsum("pedf,sdf->pesf", h, W))


def drifted(h: Complex, W: Complex) -> Complex:
    """Expected magnitudes of :func:`ear_responses` with independent errors of :data:`DRIFT_DB` in each path.

    ``E|sum h W (1 + e)|^2 = |sum h W|^2 + E|e|^2 sum |h W|^2``.
    """
    apart = np.einsum("pedf,sdf->pesf", np.abs(h) ** 2, np.abs(W) ** 2)
    return np.asarray(np.sqrt(np.abs(ear_responses(h, W)) ** 2 + error_of(DRIFT_DB) * apart), dtype=np.complex128)


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
        drifted=mean("drifted"),
        loudness=float(mean("loudness")),
    )


def table(found: tuple[DesignRow, ...], title: str) -> str:
    """The rows as text: mean / 10th percentile / nominal (effort) in each band; dashes where nothing plays."""
    bands = "".join(f"{a:>9g}-{b:<13g}" for a, b in metrics.OCTAVES)
    lines = [title, f"{'':<15}{bands}near ear   pre-ring"]
    for r in found:
        cells = "".join(
            f"{m:5.1f}/{p:5.1f}/{n:5.1f} E{e:+4.0f} " if there else f"{'-':>5}/{'-':>5}/{'-':>5} {'-':>5} "
            for m, p, n, e, there in zip(r.mean, r.p10, r.nominal, r.effort, r.plays, strict=True)
        )
        ringing = f"{r.ringing:.0f}" if r.ringing >= NOTHING_DB else "none"
        lines.append(f"{r.name:<15}{cells} {r.colour_nominal:4.1f}/{r.colour_scored:4.1f}  {ringing:>6}")
    return "\n".join(lines)


def _effort(W: Complex, both: sides.Sides, f: Float) -> Float:
    found = [metrics.effort_db(W[i].T, asked.near, asked.alone) for i, asked in enumerate(both.problems)]
    mean = np.mean(found, axis=0)
    return np.array([mean[(f >= a) & (f < b)].mean() for a, b in metrics.OCTAVES])


def _loudness_db(W: Complex, scene: TestPlaces, both: sides.Sides) -> float:
    """Near-ear power of music per power of the loudest driver, over the same of the reference drivers alone, dB."""
    bins = W.shape[-1]
    music = programme_of("music", scene.fs)
    pieces = music[:, : music.shape[1] // (2 * bins - 2) * (2 * bins - 2)].reshape(2, -1, 2 * bins - 2)
    power = np.mean(np.abs(np.fft.rfft(pieces, axis=-1)) ** 2, axis=(0, 1))
    alone = np.zeros_like(W)
    alone[np.arange(2), list(both.reference)] = 1.0

    def level(w: Complex) -> float:
        near, _ = metrics.near_and_far(ear_responses(scene.scored, w))
        loudest = np.max(np.sum(np.abs(w) ** 2, axis=0) @ power)
        return float(power_db(np.mean(np.abs(near) ** 2 @ power) / loudest))

    return level(W) - level(alone)


def _colour(pair: Complex, h: Complex, both: sides.Sides, f: Float) -> float:
    """Largest third-octave deviation of the near ear from the reference driver there, dB."""
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
