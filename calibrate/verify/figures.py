"""All judged metrics of a verification: predicted, measured, uncertainty and limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.plant import (
    CONTRAST_BAND,
    PLAYED_DB,
    BandLevels,
    MeasuredSet,
    Prediction,
    gate,
    metrics,
    share_of,
)
from sweetspot.calibrate.plant import uncertainty as confidence
from sweetspot.calibrate.verify import comparison as heard
from sweetspot.calibrate.verify.comparison import Comparison
from sweetspot.calibrate.verify.diagnose import residual
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means, third_octaves
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import Float, hertz, power_db

Figure = Callable[[Float], Float]
"""From cells ``(draw, ..., third octave)`` to one number each, ``(draw,)``; from cells of one draw to a number."""

CELLS = (-3, -2, -1)
"""Axes of cells: position, side (or ear and stimulus), third octave."""

NEAR_AND_BOTH = (*heard.NEAR, *heard.BOTH)
"""Compared ears and stimuli: each side at its own ear, the phantom centre at both."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of measured and predicted within the uncertainty of both.

    Parameters
    ----------
    cells
        Third-octave cells that were compared: levels at the near ears and cancellation, every position.
    share
        Of them that differ by no more than ``coverage`` standard uncertainties of the difference.
    coverage
        2 for 95 % of cells, if the uncertainties are right.
    """

    cells: int
    share: float
    coverage: float

    @property
    def text(self) -> str:
        """One line for a reader."""
        return (
            f"predicted and measured agree within {self.coverage:g} standard uncertainties of both in "
            f"{100 * self.share:.1f} % of {self.cells} third-octave cells"
        )


def band(nominal: tuple[float, float], lowest: float) -> tuple[NDArray[np.bool_], str]:
    """Third octaves between two nominal centres that the gate resolves ``(band,)``, and their range in words."""
    inside = third_octaves(*nominal) & gate.resolved(lowest)
    if not inside.any():
        inside = (1.01 * nominal[1] >= THIRD_OCTAVES) & (0.8 * nominal[1] <= THIRD_OCTAVES)
    first, last = (hertz(float(THIRD_OCTAVES[inside][i])) for i in (0, -1))
    return inside, f"{first} to {last}" if first != last else f"{first} alone"


def over(lowest: float) -> str:
    """Range in words over which cancellation is judged."""
    return band(metrics.SCORED, lowest)[1]


def cancellation(c: Comparison, prediction: Prediction, limits: Limits) -> tuple[Metric, ...]:
    """Mean, 10th percentile, minimum re the target, and difference from the prediction."""
    want, got = c.cancellation
    inside, over = band(metrics.SCORED, prediction.lowest)
    target = band_means(prediction.target_db, c.f)
    below = (got.db.mean(axis=(0, 1)) - target)[inside]

    def mean(db: Float) -> Float:
        return np.asarray(db[..., inside].mean(axis=CELLS))

    def tenth(db: Float) -> Float:
        return np.asarray(np.percentile(db[..., inside], 10, axis=CELLS))

    def over_target(db: Float) -> Float:
        return np.asarray((db.mean(axis=CELLS[:2]) - target)[..., inside].min(axis=-1))

    make = MetricBuilder(c, limits)
    return (
        make.both(
            "cancellation_mean",
            f"Near-ear over far-ear power of the direct sound at scoring positions, {over}, mean over third octaves; "
            "of the cancellation alone, without the virtual loudspeakers' far ear.",
            mean, want, got,
        ),
        make.both(
            "cancellation_p10",
            "10th percentile over head positions, sides and third octaves.",
            tenth, want, got,
        ),
        make.both(
            "target_shortfall",
            f"Worst-case third octave, {over}, mean over positions and sides; "
            f"here at {THIRD_OCTAVES[inside][int(np.argmin(below))]:g} Hz.",
            over_target, want, got,
        ),
        _apart(make, prediction.lowest),
    )  # fmt: skip


def _apart(make: MetricBuilder, lowest: float) -> Metric:
    inside, gap = gate.resolved(lowest), make.c.cancellation.gap

    def largest(db: Float) -> Float:
        return np.asarray(np.abs(db.mean(axis=CELLS[:2]))[..., inside].max(axis=-1))

    worst = THIRD_OCTAVES[inside][int(np.argmax(np.abs(gap.db.mean(axis=(0, 1)))[inside]))]
    return make.one(
        "cancellation_agreement",
        f"Largest difference in a third octave, {hertz(float(THIRD_OCTAVES[inside][0]))} to 8 kHz; "
        f"here at {worst:g} Hz.",
        largest, gap,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Confident:
    """A predicted figure with its standard uncertainty and its 5th and 95th percentile, dB."""

    value: float
    uncertainty: float
    low: float
    high: float


def predicted(prediction: Prediction, filters: FilterSet, measured: MeasuredSet) -> dict[str, Confident]:
    """Mean and 10th percentile of the predicted cancellation, as they will be judged, with their uncertainty."""
    known = confidence.bare(heard.forecast(prediction, filters, measured), prediction.far_ear)
    cells = confidence.cancellation(known, prediction.f, prediction.whole.gate.seconds)
    inside, _ = band(metrics.SCORED, prediction.lowest)
    each: dict[str, Figure] = {
        "mean": lambda db: np.asarray(db[..., inside].mean(axis=CELLS)),
        "p10": lambda db: np.asarray(np.percentile(db[..., inside], 10, axis=CELLS)),
    }
    out = {}
    for name, figure in each.items():
        value, u = float(figure(cells.db)), confidence.spread(figure, cells)
        low, high = (float(x) for x in confidence.interval(np.asarray(value), np.asarray(u)))
        out[name] = Confident(value, u, low, high)
    return out


def reached(prediction: Prediction) -> dict[str, float]:
    """Predicted judged cancellation, by name of its limit, dB."""
    db = metrics.cancellation_db(metrics.unvirtualized(prediction.score, prediction.far_ear), prediction.f)
    inside, _ = band(metrics.SCORED, prediction.lowest)
    target = band_means(prediction.target_db, prediction.f)
    return {
        "cancellation_mean": float(np.mean(db[..., inside])),
        "cancellation_p10": float(np.percentile(db[..., inside], 10)),
        "target_shortfall": float((db.mean(axis=(0, 1)) - target)[inside].min()),
    }


def levels(c: Comparison, prediction: Prediction, limits: Limits) -> tuple[Metric, ...]:
    """Near-ear levels and balance.

    Levels more than 30 dB below the median third octave of their stimulus, or 18 dB below the unit's band, count as
    that: there it does not play, and ringing that the measured windows cut off is all there is, unless something plays
    that should not.
    """
    want, got = near = c.ears.at(NEAR_AND_BOTH)
    inside, played = gate.resolved(prediction.resolved), gate.resolved(prediction.lowest)
    deep = np.where(played, float(power_db(residual.SILENT)), -PLAYED_DB)
    floor = np.median(want.db[..., played], axis=-1, keepdims=True) + deep
    silent = np.maximum(got.db, want.db) <= floor
    gap = near.gap
    gap = BandLevels(
        np.maximum(got.db, floor) - np.maximum(want.db, floor),
        np.where(silent, 0.0, gap.own),
        np.where(silent, 0.0, gap.shared),
    )
    worst = np.unravel_index(int(np.argmax(np.abs(gap.db) * inside)), gap.db.shape)

    def largest(db: Float) -> Float:
        return np.asarray(np.abs(db)[..., inside].max(axis=CELLS))

    def balance(db: Float) -> Float:
        return np.asarray(np.abs((db[..., 0, :] - db[..., 1, :])[..., played].mean(axis=(-2, -1))))

    make, low = MetricBuilder(c, limits), hertz(float(THIRD_OCTAVES[played][0]))
    return (
        make.one(
            "near_level",
            "Largest difference in a third octave at any scoring position, sides and phantom centre; "
            f"here at {THIRD_OCTAVES[worst[-1]]:g} Hz, position {int(worst[0]) + 1}.",
            largest, gap,
        ),
        make.both(
            "balance",
            f"Left program at the left ear against right program at the right ear, {low} to 8 kHz.",
            balance, want, got,
        ),
    )  # fmt: skip


def centre(c: Comparison, prediction: Prediction, limits: Limits) -> Metric:
    """The centre's beam."""
    want, got = c.contrast
    inside, over = band(CONTRAST_BAND, prediction.polar_lowest)

    def least(db: Float) -> Float:
        return np.asarray(db[..., inside].min(axis=-1))

    return MetricBuilder(c, limits).both(
        "contrast",
        f"Minimum contrast of any third octave, {over}.",
        least, want, got,
    )  # fmt: skip


def difference(ears: MeasuredSet, measured: MeasuredSet, filters: FilterSet, limits: Limits) -> Metric:
    """Total difference from the prediction, including the room, which no other metric covers."""
    score = measured.used_for("score")
    apart = residual.of(score.ir, ears.ir, filters, share_of(filters), errors=(score.errors, ears.errors))
    low, high = residual.BAND
    return Metric.of(
        "difference",
        f"Power of measured minus predicted, phase included, re predicted, without that of noise; {low:g} Hz to "
        f"{high / 1000:g} kHz.",
        limits,
        predicted=None,
        heard=residual.disagreement_db(apart),
        uncertainty=residual.uncertainty_db(apart, max(limits.coverage, 1e-3), limits.difference),
    )


def noise(ears: ImpulseResponse, polar: ImpulseResponse, limits: Limits) -> Metric:
    """The weakest measured response."""
    worst = min(float(ears.snr_db.min()), float(polar.snr_db.min()))
    return Metric.of("snr", "Worst-case SNR of all measured responses.", limits, predicted=None, heard=worst)


def agreement(c: Comparison, prediction: Prediction, coverage: float) -> Agreement:
    """Share of third-octave cells in which measured and predicted agree."""
    inside = gate.resolved(prediction.lowest)
    pairs = c.cancellation, c.ears.at(NEAR_AND_BOTH)
    agree = np.concatenate([confidence.within(a, b, coverage)[..., inside].ravel() for a, b in pairs])
    return Agreement(len(agree), float(np.mean(agree)), coverage)


@dataclass(frozen=True, slots=True)
class WithRoom:
    """Cancellation of whole responses in one band, dB: reported, not judged.

    Parameters
    ----------
    low, high
        Of the band, Hz.
    predicted, heard
        Near-ear over far-ear energy of all scoring positions and both sides.
    diffuse
        What a diffuse room would leave of the direct sound's cancellation, see :func:`metrics.room_limit_db`.
    """

    low: float
    high: float
    predicted: float
    heard: float
    diffuse: float

    @property
    def text(self) -> str:
        """One line for a reader."""
        return (
            f"{self.low:g} to {self.high:g} Hz {self.heard:.1f} dB "
            f"(predicted {self.predicted:.1f}, a diffuse room leaves {self.diffuse:.1f})"
        )


def with_room(c: Comparison, prediction: Prediction) -> tuple[WithRoom, ...]:
    """Cancellation with the room in octaves that the gate resolves; empty where no reflection was found."""
    if prediction.whole.gate.reflection_s is None:
        return ()
    far = prediction.far_ear
    direct, predicted, got = (metrics.unvirtualized(x, far) for x in (c.heard.x, c.whole, c.heard_whole))
    near, near_whole = metrics.near_and_far(direct)[0], metrics.near_and_far(got)[0]
    found = []
    for low, high in metrics.OCTAVES:
        inside = np.asarray((c.f >= low) & (c.f < high))
        if np.sqrt(low * high) < prediction.lowest:
            continue
        ratio = metrics.direct_to_reverberant_db(near, near_whole, inside)
        limit = metrics.room_limit_db(metrics.energy_db(direct, inside), ratio)
        found.append(WithRoom(low, high, metrics.energy_db(predicted, inside), metrics.energy_db(got, inside), limit))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class MetricBuilder:
    """Makes metrics of figures of cells."""

    c: Comparison
    limits: Limits

    def both(self, key: str, explanation: str, figure: Figure, want: BandLevels, got: BandLevels) -> Metric:
        """A figure that was predicted too."""
        made = Metric.of(key, explanation, self.limits, predicted=float(figure(want.db)), heard=float(figure(got.db)))
        own, predicted = (confidence.spread(figure, x) for x in (got, want))
        return replace(made, uncertainty=own, predicted_uncertainty=predicted)

    def one(self, key: str, explanation: str, figure: Figure, gap: BandLevels) -> Metric:
        """A metric of the difference between measured and predicted; fails only if errors do not explain it."""
        made = Metric.of(key, explanation, self.limits, predicted=None, heard=float(figure(gap.db)))
        made = replace(made, coarsest=self.limits.coarsest if made.unit == "dB" else 3.0 * made.limit)
        sure = max(self.limits.coverage, 1e-3)
        return replace(
            made, uncertainty=max(confidence.spread(figure, gap), confidence.by_noise_alone(figure, gap, sure) / sure)
        )
