"""Predicted and measured responses, both as direct sound, each with its measurement uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sweetspot.calibrate.plant import (
    NULLS,
    BandLevels,
    MeasuredSet,
    Prediction,
    RoomPrediction,
    UncertainResponse,
    error_of,
    expected,
    frequencies,
    spectra,
    uncertainty,
)
from sweetspot.calibrate.plant import prediction as predict
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import Complex, Float

NEAR, FAR = ((0, 0), (1, 1)), ((1, 0), (0, 1))
"""Ear and stimulus of both sides: at its own ear, and at the other one."""

BOTH = ((0, 2), (1, 2))
"""Either ear while both sides play: the phantom centre."""


class Compared(NamedTuple):
    """Third-octave levels, predicted and measured."""

    predicted: BandLevels
    heard: BandLevels

    def at(self, pairs: Sequence[tuple[int, int]]) -> Compared:
        """Those of :attr:`Comparison.ears` at pairs of ear and stimulus ``(position, pair, third octave)``."""
        ears, stimuli = zip(*pairs, strict=True)
        return Compared(*(x.picked(lambda v: v[:, list(ears), list(stimuli)]) for x in self))

    def minus(self, other: Compared) -> Compared:
        """Re other levels, predicted re predicted and measured re measured."""
        return Compared(self.predicted - other.predicted, self.heard - other.heard)

    @property
    def gap(self) -> BandLevels:
        """Measured re predicted."""
        return self.heard - self.predicted


@dataclass(frozen=True, eq=False)
class Comparison:
    """Predicted and measured, Pa for a full-scale stimulus; third-octave levels are computed once, at first use.

    Parameters
    ----------
    f
        Frequencies, Hz.
    predicted, heard
        Direct sound ``(position, ear, stimulus, frequency)``.
    predicted_polar, heard_polar
        Direct sound of the phantom centre ``(direction, frequency)``.
    whole, heard_whole
        The same as the first two with the room.
    seconds, heard_seconds
        Lengths of the windows behind which the errors were seen, s.
    far_ear
        Virtual far ear over near ear ``(frequency,)``.
    azimuths
        Of the directions, rad.
    """

    f: Float
    predicted: UncertainResponse
    heard: UncertainResponse
    predicted_polar: UncertainResponse
    heard_polar: UncertainResponse
    whole: Complex
    heard_whole: Complex
    seconds: float
    heard_seconds: float
    far_ear: Complex
    azimuths: Float

    @cached_property
    def ears(self) -> Compared:
        """Levels ``(position, ear, stimulus, third octave)``."""
        return Compared(
            uncertainty.levels(self.predicted, self.f, self.seconds),
            uncertainty.levels(self.heard, self.f, self.heard_seconds),
        )

    @cached_property
    def around(self) -> Compared:
        """Levels of the phantom centre ``(direction, third octave)``."""
        return Compared(
            uncertainty.levels(self.predicted_polar, self.f, self.seconds),
            uncertainty.levels(self.heard_polar, self.f, self.heard_seconds),
        )

    @cached_property
    def cancellation(self) -> Compared:
        """Bare cancellation ``(position, side, third octave)``."""
        predicted, heard = (uncertainty.bare(k, self.far_ear) for k in (self.predicted, self.heard))
        return Compared(
            uncertainty.cancellation(predicted, self.f, self.seconds),
            uncertainty.cancellation(heard, self.f, self.heard_seconds),
        )

    @cached_property
    def contrast(self) -> Compared:
        """On-axis over off-axis level of the phantom centre ``(third octave,)``."""
        around = ((self.predicted_polar, self.seconds), (self.heard_polar, self.heard_seconds))
        return Compared(*(uncertainty.contrast(k, self.azimuths, self.f, NULLS, 0.0, s) for k, s in around))


def compare(
    ears: MeasuredSet,
    polar: MeasuredSet,
    measured: MeasuredSet,
    prediction: Prediction,
    filters: FilterSet,
    repeatability_db: float,
) -> Comparison:
    """Compare predicted and measured responses on equal terms.

    Parameters
    ----------
    ears, polar
        Heard: one "driver" a stimulus.
    measured
        The session's ears.
    repeatability_db
        By how much a path may differ when the unit, the head or the air is met again, one standard deviation.
    """
    f, whole = frequencies(ears.ir.fs), prediction.whole
    sound = expected(prediction.score, filters)
    ears, measured = (x.corrected(whole.ear_gains) for x in (ears, measured))
    heard = predict.direct(ears.ir, sound, expected(whole.early, filters), whole.end)
    early = whole.polar_early[:, None, None]
    around = predict.direct(polar.ir, prediction.polar[:, None, None], early, whole.polar_end)[:, 0, 0]
    found = _errors(ears, polar, measured, whole, filters, error_of(repeatability_db))
    return Comparison(
        f,
        UncertainResponse(sound, found.own, found.shared),
        heard=UncertainResponse(heard, found.heard, found.heard_shared),
        predicted_polar=UncertainResponse(prediction.polar, found.polar_own, np.zeros(around.shape)),
        heard_polar=UncertainResponse(around, found.polar, found.polar_shared),
        whole=expected(whole.score, filters),
        heard_whole=spectra(ears.ir)[0],
        seconds=whole.gate.seconds,
        heard_seconds=float(whole.end.mean()) + ears.ir.zero / ears.ir.fs,
        far_ear=prediction.far_ear,
        azimuths=prediction.azimuths,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Errors:
    """Variances of predicted and measured responses, of their shapes."""

    own: Float
    shared: Float
    heard: Float
    heard_shared: Float
    polar_own: Float
    polar: Float
    polar_shared: Float


def _errors(
    ears: MeasuredSet,
    polar: MeasuredSet,
    measured: MeasuredSet,
    whole: RoomPrediction,
    filters: FilterSet,
    added: float,
) -> _Errors:
    """Errors of the session go through the filters; those of the verification are there as they are."""
    score, w = replace(measured, gate=whole.gate).used_for("score"), weights(filters, ears.ir.fs)
    h, known = score.spectra(), measured.errors.at(measured.ir.positions["use"] == b"score")
    repeats = known.drift + ears.drift + added
    own, shared = uncertainty.through(w, h, score.noise(), known.drift)
    early, again = uncertainty.through(w, h, known.until(score.ir, whole.end), repeats)
    heard = ears.errors.until(ears.ir, whole.end) + np.maximum(early - own, 0.0)
    around = polar.errors.until(polar.ir, whole.polar_end)[:, 0, 0]
    return _Errors(
        own,
        shared,
        heard=heard,
        heard_shared=again,
        polar_own=whole.polar_noise,
        polar=around,
        polar_shared=(polar.drift + added) * whole.polar_power,
    )


def forecast(prediction: Prediction, filters: FilterSet, measured: MeasuredSet) -> UncertainResponse:
    """Predicted direct sound of the stimuli at the scoring positions, with its variances.

    Parameters
    ----------
    measured
        The session's ears.
    """
    sound, whole = expected(prediction.score, filters), prediction.whole
    score = replace(measured.corrected(whole.ear_gains), gate=whole.gate).used_for("score")
    w = weights(filters, score.ir.fs)
    return UncertainResponse(sound, *uncertainty.through(w, score.spectra(), score.noise(), score.drift))


def weights(filters: FilterSet, fs: int) -> Complex:
    """Filters of the stimuli ``(stimulus, driver, frequency)``."""
    w = np.moveaxis(np.asarray(filters.response(frequencies(fs)), dtype=np.complex128), 0, 1)
    return np.moveaxis(expected(w, filters), 1, 0)
