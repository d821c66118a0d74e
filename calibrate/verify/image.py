"""Judged metrics of the image: azimuth of the virtual loudspeakers, colouration of the phantom centre, shape of the
beam."""

from __future__ import annotations

import numpy as np

from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.plant import CONTRAST_BAND, BandLevels, Prediction, gate
from sweetspot.calibrate.verify.comparison import BOTH, FAR, NEAR, Compared, Comparison
from sweetspot.calibrate.verify.figures import MetricBuilder, band
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.measure.smooth import THIRD_OCTAVES
from sweetspot.rigs.layout import nearest
from sweetspot.rigs.units import Float, hertz

DELAY_BAND = (200.0, 1500.0)
"""Where ears follow the phase of the wave itself, Hz."""

SHAPE_DB = -15.0
"""Directions in which less than that is radiated, re the axis, belong to nulls: their depth is another figure's."""

SIDES = ("left", "right")


def of_sides(c: Comparison, prediction: Prediction, limits: Limits) -> tuple[Metric, ...]:
    """Interaural level and delay of both virtual loudspeakers, measured re predicted."""
    return _level(c, prediction, limits), _delay(c, limits)


def _level(c: Comparison, prediction: Prediction, limits: Limits) -> Metric:
    inside = gate.resolved(prediction.lowest)
    gap = c.ears.at(NEAR).minus(c.ears.at(FAR)).gap
    apart = np.abs(gap.db.mean(axis=0))[:, inside]
    side, at = np.unravel_index(int(np.argmax(apart)), apart.shape)

    def largest(db: Float) -> Float:
        return np.asarray(np.abs(db.mean(axis=-3))[..., inside].max(axis=(-2, -1)))

    return MetricBuilder(c, limits).one(
        "interaural_level",
        "Near ear over far ear, measured re predicted: largest difference in a third octave, mean over positions, "
        f"{hertz(float(THIRD_OCTAVES[inside][0]))} to 8 kHz; here {SIDES[int(side)]}, "
        f"{THIRD_OCTAVES[inside][int(at)]:g} Hz.",
        largest, gap,
    )  # fmt: skip


def _delay(c: Comparison, limits: Limits) -> Metric:
    """Residual interaural delay, from a line fit to the phase of measured over predicted.

    Weighted with the power of both ears; ``tau = -sum(w f phi) / (2 pi sum(w f^2))``. A line through zero, for a delay
    has no phase at 0 Hz, and a wrong sign is another figure's.
    """
    inside = (c.f >= DELAY_BAND[0]) & (c.f <= DELAY_BAND[1])
    f = c.f[inside]
    near, far = zip(c.predicted.near_and_far(), c.heard.near_and_far(), strict=True)
    x = [k.x[..., inside] for k in (*near, *far)]
    turned = x[3] * np.conj(x[2]) * np.conj(x[1] * np.conj(x[0]))
    weight = np.abs(x[0] * x[2]) ** 2
    scale = 2.0 * np.pi * np.sum(weight * f**2, axis=-1)
    late = -1e6 * np.sum(weight * f * np.angle(turned), axis=-1) / scale
    own, shared = (
        sum(
            getattr(k, part)[..., inside] / np.maximum(2.0 * np.abs(k.x[..., inside]) ** 2, 1e-30)
            for k in (*near, *far)
        )
        for part in ("noise", "shared")
    )
    alike = max(len(f) / ((DELAY_BAND[1] - DELAY_BAND[0]) * min(c.seconds, c.heard_seconds)), 1.0)
    u_own = 1e6 * np.sqrt(alike * np.sum((weight * f) ** 2 * own, axis=-1)) / scale
    u_shared = 1e6 * np.sum(weight * f * np.sqrt(shared), axis=-1) / scale
    gap = BandLevels(late[..., None], u_own[..., None], u_shared[..., None])

    def largest(us: Float) -> Float:
        return np.asarray(np.abs(us.mean(axis=-3)).max(axis=(-2, -1)))

    return MetricBuilder(c, limits).one(
        "interaural_delay",
        f"Far ear after near ear, measured re predicted, {DELAY_BAND[0]:g} Hz to {DELAY_BAND[1] / 1000:g} kHz, mean "
        "over positions, the worse side.",
        largest, gap,
    )  # fmt: skip


def of_phantom(c: Comparison, prediction: Prediction, limits: Limits) -> Metric:
    """Colouration of the phantom centre: both sides together re each of them alone, in third octaves."""
    inside = gate.resolved(prediction.lowest)
    want, got = c.ears.at(BOTH).minus(c.ears.at(NEAR))

    def deviation(db: Float) -> Float:
        shape = db.mean(axis=(-3, -2))[..., inside]
        return np.asarray(np.sqrt(np.mean((shape - shape.mean(axis=-1, keepdims=True)) ** 2, axis=-1)))

    return MetricBuilder(c, limits).both(
        "colouration",
        "Both sides together over each near ear's own side, deviation of third octaves from their mean, rms, "
        f"{hertz(float(THIRD_OCTAVES[inside][0]))} to 8 kHz, mean over positions and ears.",
        deviation, want, got,
    )  # fmt: skip


def of_beam(c: Comparison, prediction: Prediction, limits: Limits) -> Metric:
    """Shape of the centre's beam outside its nulls."""
    inside, over = band(CONTRAST_BAND, prediction.polar_lowest)
    on = nearest(prediction.azimuths)
    ahead = Compared(*(x.picked(lambda v: v[on]) for x in c.around))
    shape = c.around.minus(ahead)
    lobe, gap = (shape.predicted.db > SHAPE_DB) & inside, shape.gap
    row, _ = np.unravel_index(int(np.argmax(np.where(lobe, np.abs(gap.db), -1.0))), gap.db.shape)

    def largest(db: Float) -> Float:
        return np.asarray(np.abs(db)[..., lobe].max(axis=-1))

    return MetricBuilder(c, limits).one(
        "beam_shape",
        "Level re on axis, measured re predicted: largest difference in any direction and third octave, "
        f"{over}, where more than {SHAPE_DB:g} dB are radiated; here at "
        f"{np.degrees(prediction.azimuths[row]):.0f} degrees.",
        largest, gap,
    )  # fmt: skip


def polarity(c: Comparison, limits: Limits) -> Metric:
    """Whether any program is inverted: cosine between measured and predicted at the near ears."""
    found = []
    for stimulus, ears in enumerate(((0,), (1,), (0, 1))):
        want, got = (k.x[:, list(ears), stimulus] for k in (c.predicted, c.heard))
        both = np.sqrt(np.sum(np.abs(want) ** 2) * np.sum(np.abs(got) ** 2))
        found.append(float(np.sum(got * np.conj(want)).real / max(float(both), 1e-30)))
    return Metric.of(
        "polarity",
        "Cosine between measured and predicted at the near ears, minimum of left, right and both: +1 correct, -1 "
        "inverted.",
        limits, predicted=1.0, heard=min(found),
    )  # fmt: skip
