"""Sweeps through the deployed processor, heard where the design never was, compared with prediction and target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate import diagnosis, metrics
from calibrate.diagnosis import Cause
from calibrate.limits import Limits, Metric
from calibrate.predict import Prediction, spectra
from measure.impulse import ImpulseResponse
from measure.plan import Plan, SetName, Sources, excitation, outputs_for, places, plan_of
from measure.smooth import THIRD_OCTAVES, band_means
from processor.filterset import FilterSet
from rigs.describe import Description
from rigs.units import Float, power_db

Complex = NDArray[np.complex128]

STIMULI = {"left": (1.0, 0.0), "right": (0.0, 1.0), "both": (1.0, 1.0)}
"""Stereo stimuli: what each side plays. ``both`` is the phantom centre."""

BELOW_CEILING = 0.95
"""How near to the ceiling the loudest driver is driven."""

NULLS = np.radians([-90.0, 90.0])
CONTRAST_BAND = (400.0, 1600.0)

_SCORED = (0.99 * metrics.SCORED[0] <= THIRD_OCTAVES) & (1.01 * metrics.SCORED[1] >= THIRD_OCTAVES)

Processor = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""A deployed processor: stereo ``(2, samples)`` in, drivers ``(driver, samples)`` out, full scale = 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """What was expected, what was heard, and the verdict.

    Parameters
    ----------
    f
        Frequencies, Hz.
    predicted, heard
        At the scoring positions: ``(position, ear, stimulus, frequency)``, Pa for a full-scale stimulus.
    predicted_polar, heard_polar
        Phantom centre around the device: ``(direction, frequency)``.
    azimuths
        Of the directions, rad.
    metrics
        All judged figures.
    causes
        What may be wrong, the most likely first; empty for a unit that passes.
    """

    f: Float
    predicted: Complex
    heard: Complex
    predicted_polar: Complex
    heard_polar: Complex
    azimuths: Float
    metrics: tuple[Metric, ...]
    causes: tuple[Cause, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every figure keeps its limit."""
        return all(m.passed for m in self.metrics)

    @property
    def reasons(self) -> tuple[str, ...]:
        """One line for each figure that fails."""
        return tuple(m.said for m in self.metrics if not m.passed)


def plan(rig: Description, name: SetName, filters: FilterSet, process: Processor) -> Plan:
    """What verification captures: stereo sweeps through ``process`` at the scoring positions, or around the device.

    Each stimulus is as loud as full scale and the ceiling allow; around the device only the phantom centre plays.
    """
    sweep, played = excitation(rig, tail=filters.length)
    shape = played.astype(np.float64) / float(np.max(np.abs(played)))
    names = tuple(STIMULI) if name == "ears" else ("both",)
    signals, levels = [], []
    for stimulus in names:
        drivers = process(np.array(STIMULI[stimulus])[:, None] * shape)
        level = min(1.0, BELOW_CEILING * filters.ceiling / float(np.max(np.abs(drivers))))
        drivers = process(level * np.array(STIMULI[stimulus])[:, None] * shape)
        signals.append(outputs_for(rig, list(filters.channels), drivers.astype(np.float32), played))
        levels.append(level / float(np.max(np.abs(played))))
    sources = Sources("program", names, tuple(signals), tuple(levels))
    at = [p for p in places(rig, name) if name == "polar" or p[1][-1] == "score"]
    return plan_of(rig, name, sources, sweep, played, at, extra_after=filters.length)


def expected(predicted: Complex, filters: FilterSet) -> Complex:
    """Responses to the stimuli from responses of the programs, along axis -2: left, right, centre to left, right, both.

    A hard-panned side stays on its program; what both sides share goes to the centre by the upmix's amount.
    """
    left, right, centre = (predicted[..., i, :] for i in range(3))
    share = share_of(filters)
    return np.stack([left, right, share * centre + (1.0 - share) * (left + right)], axis=-2)


def share_of(filters: FilterSet) -> float:
    """Part of what both sides have in common that the upmix gives to the centre."""
    return filters.upmix.amount if filters.upmix.method != "off" else 0.0


def judge(
    ears: ImpulseResponse,
    polar: ImpulseResponse,
    measured: ImpulseResponse,
    prediction: Prediction,
    filters: FilterSet,
    limits: Limits,
) -> Verification:
    """Compare what was heard with what was expected.

    Parameters
    ----------
    ears
        Heard at the scoring positions, one "driver" a stimulus.
    polar
        The phantom centre heard around the device.
    measured
        The session's ears, that the prediction was made from.
    prediction
        Made when the unit was calibrated.
    filters
        What was deployed.
    limits
        Of the verdict.
    """
    heard, f = spectra(ears)
    heard_polar = spectra(polar)[0][:, 0, 0]
    predicted = expected(prediction.score, filters)
    around = prediction.polar
    judged = (
        *_cancellation(predicted, heard, prediction, f, limits),
        *_agreement(predicted, heard, f, limits),
        _difference(ears, measured, filters, limits),
        *_centre(around, heard_polar, prediction.azimuths, f, limits),
        _noise(ears, polar, limits),
    )
    return Verification(f, predicted, heard, around, heard_polar, prediction.azimuths, judged)


def cancellation(responses: Complex, far_ear: Complex, f: Float) -> Float:
    """Bare cancellation of left and right, ``(position, side, third octave)``, dB."""
    return metrics.cancellation_db(metrics.unvirtualized(responses, far_ear), f)


def _cancellation(
    predicted: Complex, heard: Complex, prediction: Prediction, f: Float, limits: Limits
) -> tuple[Metric, ...]:
    want, got = (cancellation(x, prediction.far_ear, f) for x in (predicted, heard))
    over_target = [(c.mean(axis=(0, 1)) - band_means(prediction.target_db, f))[_SCORED] for c in (want, got)]
    expected_spread, spread = metrics.scored(want), metrics.scored(got)
    difference = np.abs(got.mean(axis=(0, 1)) - want.mean(axis=(0, 1)))
    worst = int(np.argmax(difference))
    return (
        Metric(
            "cancellation, mean",
            "Near-ear over far-ear power at the scoring positions, 800 Hz to 6.3 kHz, mean over third octaves.",
            expected_spread.mean,
            spread.mean,
            limits.cancellation_mean,
            "at least",
        ),
        Metric(
            "cancellation, 10th percentile",
            "The same figure that nine of ten third-octave cells pass.",
            expected_spread.p10,
            spread.p10,
            limits.cancellation_p10,
            "at least",
        ),
        Metric(
            "cancellation over its target curve",
            "Least of any third octave, 800 Hz to 6.3 kHz, mean over positions and sides; "
            f"here at {THIRD_OCTAVES[_SCORED][int(np.argmin(over_target[1]))]:g} Hz.",
            float(over_target[0].min()),
            float(over_target[1].min()),
            limits.target_shortfall,
            "at least",
        ),
        Metric(
            "cancellation, heard against predicted",
            f"Largest difference in a third octave, 200 Hz to 8 kHz; here at {THIRD_OCTAVES[worst]:g} Hz.",
            None,
            float(difference[worst]),
            limits.agreement,
            "at most",
        ),
    )


def _difference(ears: ImpulseResponse, measured: ImpulseResponse, filters: FilterSet, limits: Limits) -> Metric:
    scene = diagnosis.scene(measured.used_for("score"), ears, filters, share_of(filters))
    low, high = diagnosis.BAND
    return Metric(
        "difference from the prediction",
        f"Power of heard minus predicted, phase included, re the predicted; {low:g} Hz to {high / 1000:g} kHz.",
        None,
        diagnosis.disagreement_db(scene),
        limits.difference,
        "at most",
    )


def _agreement(predicted: Complex, heard: Complex, f: Float, limits: Limits) -> tuple[Metric, ...]:
    want, got = (power_db(band_means(np.abs(x) ** 2, f)) for x in (predicted, heard))
    near = ((0, 0), (1, 1), (0, 2), (1, 2))
    difference = np.stack([np.abs(got[:, e, s] - want[:, e, s]) for e, s in near])
    worst = np.unravel_index(int(np.argmax(difference)), difference.shape)
    balance = float(np.mean(got[:, 0, 0] - got[:, 1, 1]))
    expected_balance = float(np.mean(want[:, 0, 0] - want[:, 1, 1]))
    return (
        Metric(
            "near-ear level, heard against predicted",
            "Largest difference in a third octave at any scoring position, sides and phantom centre; "
            f"here at {THIRD_OCTAVES[worst[-1]]:g} Hz, position {int(worst[1]) + 1}.",
            None,
            float(difference[worst]),
            limits.agreement,
            "at most",
        ),
        Metric(
            "balance",
            "Left program at the left ear against right program at the right ear, 200 Hz to 8 kHz.",
            abs(expected_balance),
            abs(balance),
            limits.balance,
            "at most",
        ),
    )


def _centre(predicted: Complex, heard: Complex, azimuths: Float, f: Float, limits: Limits) -> tuple[Metric, ...]:
    want, got = (metrics.contrast_db(x, azimuths, f, NULLS, 0.0) for x in (predicted, heard))
    inside = (0.99 * CONTRAST_BAND[0] <= THIRD_OCTAVES) & (1.01 * CONTRAST_BAND[1] >= THIRD_OCTAVES)
    return (
        Metric(
            "centre beam, on axis over +-90 degrees",
            "Least contrast of any third octave, 400 Hz to 1.6 kHz.",
            float(want[inside].min()),
            float(got[inside].min()),
            limits.contrast,
            "at least",
        ),
    )


def _noise(ears: ImpulseResponse, polar: ImpulseResponse, limits: Limits) -> Metric:
    worst = min(float(ears.snr_db.min()), float(polar.snr_db.min()))
    return Metric("signal to noise", "Least of any response that was heard.", None, worst, limits.snr, "at least")
