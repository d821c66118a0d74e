"""The calibrated unit as predicted, and the uncertainty of its measured image by noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sweetspot.calibrate.auditory import arms as ways
from sweetspot.calibrate.auditory.arms import Arm
from sweetspot.calibrate.auditory.assessment import nominal, others_of
from sweetspot.calibrate.auditory.figures import EarModel, ImageFigures, depth_of, depth_weight, figures_of, judged_of
from sweetspot.calibrate.auditory.levels import levels_of
from sweetspot.calibrate.plant import MeasuredSet, plain_sides
from sweetspot.calibrate.plant.places import Heads
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float, power_db

DRAWS, SEED = 12, 20261128
"""Draws of the measurement's noise; the same each time."""


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """Unit and plain stereo as they would have been measured with other noise.

    Parameters
    ----------
    own, plain
        Figures of both: those that are judged, of plain stereo its depth alone.
    level_db
        Level of the unit's sides over those of plain stereo at the nominal listener, dB: what loudness follows.
    """

    own: ImageFigures
    plain: ImageFigures
    level_db: float


@dataclass(frozen=True, slots=True, eq=False)
class UnitImage:
    """Image data for the verdict on a measured unit.

    Parameters
    ----------
    predicted
        The unit's figures from the session and the filters.
    draws
        Of the noise and drift of session and verification; empty where a set does not know its errors.
    """

    predicted: ImageFigures
    draws: tuple[Draw, ...]

    def louder(self, loudness_db: dict[str, float]) -> UnitImage:
        """With the predicted loudness over plain stereo, see :func:`loudness_of_unit`."""
        return replace(self, predicted=replace(self.predicted, loudness_db=loudness_db))

    def uncertainty(self, figure: Callable[[Draw], float]) -> float | None:
        """Standard uncertainty of a figure by noise and drift alone; ``None`` where it is not known."""
        if len(self.draws) < 2:
            return None
        return float(np.std([figure(d) for d in self.draws], ddof=1))


def image_of_unit(
    rig: Description,
    measured: MeasuredSet,
    filters: FilterSet,
    *,
    pair: ImpulseResponse | None,
    model: EarModel,
    verified: MeasuredSet,
    share: float,
) -> UnitImage:
    """Figures as predicted, but for the loudness, and under draws of the measurement's noise.

    Parameters
    ----------
    measured
        The session's responses at the scoring positions: plain stereo is made from them.
    pair
        A measured reference pair at the same positions.
    verified
        Responses to the stimuli left, right and both there.
    share
        Part of what both sides have in common that the centre program plays.
    """
    heads, distance, listener = Heads.of(measured.ir), rig.listening_m, nominal(Heads.of(measured.ir))
    _, _, reference = others_of(rig, measured.ir, filters, pair, model)
    unit = ways.calibrated(measured.ir, filters)
    predicted, found = figures_of(unit, model, heads.facing, distance, reference), list[Draw]()
    rng, drawn = np.random.default_rng(SEED), [_Drawn.of(s) for s in (measured, verified)]
    sides, delay = plain_sides(measured.ir, rig.driver, filters.delay_samples)
    for _ in range(DRAWS):
        ears, heard = (s(rng) for s in drawn)
        own = ways.measured_arm(heard, measured.ir, filters, share)
        plain = ways.plain_on_unit(ears, sides, delay, rig, filters)
        judged = judged_of(own, model, heads.facing, distance, reference)
        level = _level_db(own, listener) - _level_db(plain, listener)
        found.append(Draw(judged, depth_of(plain, distance), level))
    return UnitImage(predicted, tuple(found))


def loudness_of_unit(rig: Description, measured: ImpulseResponse, filters: FilterSet) -> dict[str, float]:
    """Loudness of each programme over plain stereo on the unit as predicted, dB.

    Parameters
    ----------
    measured
        The session's responses at the scoring positions.
    """
    plain = ways.plain_on_unit(measured, *plain_sides(measured, rig.driver, filters.delay_samples), rig, filters)
    unit = ways.calibrated(measured, filters)
    return levels_of((plain, unit), filters, nominal(Heads.of(measured))).beside({}).re_plain_db[unit.name]


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Draws of a set with noise of its standard errors added, and each path's gain drawn from its drift.

    Parameters
    ----------
    known
        Its spectra ``(position, mic, driver, bin)``.
    stderr
        Standard deviation of real and imaginary part there.
    drift
        Of real and imaginary part of each path's gain, relative ``(position, mic, driver, 1)``.
    normal
        Memory for numbers, used again for each draw.
    """

    ir: ImpulseResponse
    known: Complex
    stderr: Float
    drift: Float
    normal: Float

    @classmethod
    def of(cls, s: MeasuredSet) -> _Drawn:
        """Those of a set."""
        drift, shape = s.errors.drift, s.errors.stderr.shape
        relative = np.asarray(drift if isinstance(drift, float) else drift.mean(axis=-1, keepdims=True))
        stderr = s.errors.stderr / np.sqrt(2.0)
        known = np.fft.rfft(s.ir.h, axis=-1)
        return cls(s.ir, known, stderr, np.broadcast_to(np.sqrt(0.5 * relative), (*shape[:-1], 1)), np.empty(shape))

    def __call__(self, rng: np.random.Generator) -> ImpulseResponse:
        """The next draw."""
        spectra = self.known.copy()
        for part in (spectra.real, spectra.imag):
            part += np.multiply(rng.standard_normal(out=self.normal), self.stderr, out=self.normal)
        gain = rng.standard_normal(self.drift.shape) + 1j * rng.standard_normal(self.drift.shape)
        spectra *= 1.0 + self.drift * gain
        h = np.fft.irfft(spectra, self.ir.h.shape[-1], axis=-1)
        h.setflags(write=False)  # not to be copied again
        return replace(self.ir, h=h)


def _level_db(arm: Arm, position: int) -> float:
    """Level of both hard-panned sides at both ears, octaves weighted alike, dB."""
    h = np.einsum("ect,nc->ent", arm.h[position], arm.shares[[0, -1]], optimize=True)
    weight = depth_weight(np.fft.rfftfreq(h.shape[-1], 1.0 / arm.fs))
    return float(power_db(((np.abs(np.fft.rfft(h, axis=-1)) ** 2) @ weight).sum()))
