"""The calibrated unit alone: its image as predicted from a session, and the uncertainty of the measured one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sweetspot.calibrate.auditory import arms as ways
from sweetspot.calibrate.auditory.arms import PANS, Arm
from sweetspot.calibrate.auditory.assessment import heads_of
from sweetspot.calibrate.auditory.figures import EarModel, direct_spectra
from sweetspot.calibrate.plant import MeasuredSet
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import Float

DRAWS, SEED = 8, 20261128
"""Draws of the measurement's noise; the same each time."""


@dataclass(frozen=True, slots=True, eq=False)
class UnitImage:
    """Azimuths of the calibrated unit at each position and pan ``(position, pan)``, degrees, to the listener's left.

    Parameters
    ----------
    predicted
        From the session and the filters.
    noise_deg
        Standard uncertainty of the mean over positions of what was measured, by noise alone ``(pan,)``.
    """

    predicted: Float
    noise_deg: Float


def unit_image(
    ears: ImpulseResponse,
    filters: FilterSet,
    model: EarModel,
    verified: MeasuredSet,
    share: float,
) -> UnitImage:
    """Predicted azimuths, and the scatter of the measured ones under draws of the measurement's noise.

    Parameters
    ----------
    ears
        The session's responses at the scoring positions.
    verified
        Responses to the stimuli left, right and both there; without errors of theirs the uncertainty is not known.
    share
        Part of what both sides have in common that the centre program plays.
    """
    facing = heads_of(ears).facing
    predicted = _azimuths(ways.calibrated(ears, filters), model, facing)
    if verified.errors is None:
        return UnitImage(predicted, np.full(len(PANS), np.nan))
    heard, stderr = verified.ir, verified.errors.stderr
    rng, n = np.random.default_rng(SEED), heard.h.shape[-1]
    draws = []
    for _ in range(DRAWS):
        noise = (rng.standard_normal(stderr.shape) + 1j * rng.standard_normal(stderr.shape)) / np.sqrt(2.0)
        noisy = replace(heard, h=heard.h + np.fft.irfft(stderr * noise, n, axis=-1))
        draws.append(_azimuths(ways.heard(noisy, ears, filters, share), model, facing).mean(axis=0))
    return UnitImage(predicted, np.std(draws, axis=0, ddof=1))


def _azimuths(arm: Arm, model: EarModel, facing: Float) -> Float:
    return np.asarray(np.degrees(model.image(direct_spectra(arm)).azimuth - facing[:, None]))
