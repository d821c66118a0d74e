"""Metrics of what a listener gets, judged against what was wanted: the reference pair, and plain stereo on the unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sweetspot.calibrate.auditory import PANS, Assessment, ImageFigures, UnitImage
from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.metric_kinds import KINDS
from sweetspot.rigs.units import Float

LEFT, CENTRE, RIGHT = 0, PANS.index(0.0), len(PANS) - 1
SOURCES = ("left", "right", "centre")

AS_PREDICTED_DEG = 3.0
"""An image this near to its prediction is as predicted."""


def of(image: Assessment, unit: UnitImage, limits: Limits) -> tuple[Metric, ...]:
    """Azimuths, symmetry, depth and tone of the calibrated unit.

    Parameters
    ----------
    image
        All arms, the calibrated unit as measured.
    unit
        Its predicted azimuths, and what noise leaves uncertain of the measured ones.
    """
    own, wanted, plain = (image.arms[name] for name in ("calibrated", "reference", "plain"))
    pans = {"left_azimuth": LEFT, "right_azimuth": RIGHT, "centre_azimuth": CENTRE}
    return (
        *(_azimuth(key, pan, own, wanted, unit, limits) for key, pan in pans.items()),
        _asymmetry(own, wanted, unit, limits),
        _depth("sides", own, plain, limits),
        _depth("centre", own, plain, limits),
        _tone(own, limits),
    )


def _azimuth(key: str, pan: int, own: ImageFigures, wanted: ImageFigures, unit: UnitImage, limits: Limits) -> Metric:
    """Distance of one image from that of the reference pair."""
    each, target = np.degrees(own.azimuth[:, pan]), float(wanted.azimuth_deg[pan])
    measured = float(each.mean())
    made = Metric.of(
        key,
        f"Azimuth {_signed(measured)}° (left positive), mean over head positions, against {_signed(target)}° of the "
        "reference pair; 5 to 7° are not noticed (Blauert).",
        limits,
        predicted=abs(float(unit.predicted[:, pan].mean()) - target),
        heard=abs(measured - target),
        uncertainty=_known(unit.noise_deg[pan]),
    )
    return replace(made, warns=_by_design(made, limits), spread=_spread(each), heads=len(each))


def _asymmetry(own: ImageFigures, wanted: ImageFigures, unit: UnitImage, limits: Limits) -> Metric:
    predicted = unit.predicted[:, LEFT] + unit.predicted[:, RIGHT]
    each = np.degrees(own.azimuth[:, LEFT] + own.azimuth[:, RIGHT])
    expected, error = (abs(float(x.mean()) - wanted.balance_deg) for x in (predicted, each))
    made = Metric.of(
        "asymmetry",
        "Azimuth of hard left plus that of hard right, against the reference pair; 0 for a symmetric image.",
        limits,
        predicted=expected,
        heard=error,
        uncertainty=_known(float(np.hypot(unit.noise_deg[LEFT], unit.noise_deg[RIGHT]))),
    )
    return replace(made, warns=_by_design(made, limits), spread=_spread(each), heads=len(each))


def _signed(degrees: float) -> str:
    """Whole degrees with their sign, none at 0."""
    return f"{round(degrees):+d}" if round(degrees) else "0"


def _by_design(metric: Metric, limits: Limits) -> bool:
    """Whether a default limit only warns: the design was predicted to miss it, and the unit does as predicted.

    A limit from a file, and a unit that is worse than its prediction, fail.
    """
    name = KINDS[metric.key].limit
    given = name in limits.given
    expected = metric.predicted if metric.predicted is not None else np.inf
    return not given and metric.limit < expected and metric.heard <= expected + AS_PREDICTED_DEG


def _depth(which: str, own: ImageFigures, plain: ImageFigures, limits: Limits) -> Metric:
    """What direct over reverberant sound loses against plain stereo on the same unit, in this room."""
    loss, ratio, before = own.drr_loss_db(plain), own.drr_db.mean(axis=0), plain.drr_db.mean(axis=0)
    sources = ("left", "right") if which == "sides" else ("centre",)
    worst = max(sources, key=lambda s: loss[s])
    i = SOURCES.index(worst)
    made = Metric.of(
        f"{which}_drr_loss",
        f"{worst.capitalize()}: {ratio[i]:.1f} dB where plain stereo on this unit has {before[i]:.1f} dB, so that it "
        "sounds farther away; 400 Hz to 6.4 kHz, direct sound up to 5 ms, ratios above +10 dB alike (Larsen et al. "
        "2008).",
        limits,
        predicted=None,
        heard=loss[worst],
    )
    return replace(made, warns=True, spread=_spread(own.drr_db[:, i]), heads=len(own.drr_db))


def _tone(own: ImageFigures, limits: Limits) -> Metric:
    each = np.sqrt(np.mean(own.tone_db**2, axis=1))
    worst = int(np.argmax(each))
    names = ("hard left", "half left", "the centre", "half right", "hard right")
    made = Metric.of(
        "tone",
        "Level at the near ear over ERB bands against the reference pair, the unit's own colour and the mean taken "
        f"out, rms; the worst of five pans, here {names[worst]}.",
        limits,
        predicted=None,
        heard=float(each[worst]),
    )
    return replace(made, warns=True)


def _spread(each: Float) -> float | None:
    return float(np.std(each, ddof=1)) if len(each) > 1 else None


def _known(u: float) -> float | None:
    return float(u) if np.isfinite(u) else None
