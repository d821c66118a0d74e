"""Listener metrics, judged re their references: the reference pair, and plain stereo on the unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sweetspot.calibrate.auditory import PANS, Assessment, ImageFigures, UnitImage
from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.metric_kinds import KINDS
from sweetspot.rigs.units import Float

LEFT, HALF_LEFT, CENTRE, HALF_RIGHT, RIGHT = range(len(PANS))
SOURCES = ("left", "right", "centre")
PAN_NAMES = ("hard left", "half left", "the centre", "half right", "hard right")

AS_PREDICTED_DEG = 3.0
"""An image this near to its prediction is as predicted."""

FAR = 2.0
"""A default limit that the design misses warns up to this multiple of it."""

BETTER = 0.9
"""Beyond that it warns only if the figure is at most this share of that of plain stereo on the same unit."""

Figure = Callable[[ImageFigures, ImageFigures], float]
"""From the unit's figures and those of plain stereo on it to one number."""


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """Makes metrics of one unit; the parameters are those of :func:`of`."""

    image: Assessment
    unit: UnitImage
    limits: Limits

    @property
    def own(self) -> ImageFigures:
        return self.image.arms["calibrated"]

    @property
    def wanted(self) -> ImageFigures:
        return self.image.arms["reference"]

    @property
    def plain(self) -> ImageFigures:
        return self.image.arms["plain"]

    def metric(self, key: str, explanation: str, figure: Figure, each: Float, *, image: bool = False) -> Metric:
        """A figure as measured and as predicted, with its uncertainty by noise and its spread over heads ``each``.

        A default limit warns, but an ``image`` that is worse than its prediction fails, and so does what is far beyond
        the limit and no better than plain stereo; a given limit fails.
        """
        made = Metric.of(
            key,
            explanation,
            self.limits,
            predicted=figure(self.unit.predicted, self.plain),
            heard=figure(self.own, self.plain),
            uncertainty=self.unit.uncertainty(lambda d: figure(d.own, d.plain)),
        )
        default = _default(key, self.limits)
        before = figure(self.plain, self.plain)
        useless = made.heard > max(FAR * made.limit, BETTER * before)
        warns = not useless and (_by_design(made, default) if image else default)
        if useless:
            made = replace(made, explanation=f"{explanation} Plain stereo on this unit has {before:z.1f} {made.unit}.")
        return replace(made, warns=warns, spread=_spread(each), heads=len(each))


def of(image: Assessment, unit: UnitImage, limits: Limits) -> tuple[Metric, ...]:
    """Azimuths, width, focus, symmetry, depth, tone and loudness of the calibrated unit.

    Parameters
    ----------
    image
        All arms, the calibrated unit as measured.
    unit
        Its figures as predicted, and under draws of the measurement's noise.
    """
    j = _Judge(image, unit, limits)
    pans = {"left_azimuth": LEFT, "right_azimuth": RIGHT, "centre_azimuth": CENTRE}
    return (
        *(_azimuth(j, key, pan) for key, pan in pans.items()),
        _half(j),
        _width(j),
        _focus(j),
        _asymmetry(j),
        _depth(j, "sides"),
        _depth(j, "centre"),
        _tone(j),
        *_loudness(j),
    )


def _azimuth(j: _Judge, key: str, pan: int) -> Metric:
    """Distance of one image from that of the reference pair."""
    target = float(j.wanted.azimuth_deg[pan])
    return j.metric(
        key,
        f"Azimuth {_signed(float(j.own.azimuth_deg[pan]))}° (left positive), mean over head positions; "
        f"reference pair {_signed(target)}°; 5 to 7° are not noticed (Blauert).",
        lambda own, _: abs(float(own.azimuth_deg[pan]) - target),
        np.degrees(j.own.azimuth[:, pan]),
        image=True,
    )


def _half(j: _Judge) -> Metric:
    """Distance of the half-panned images from those of the reference pair, the worse side."""
    rows = [HALF_LEFT, HALF_RIGHT]
    target = j.wanted.azimuth_deg[rows]
    worst = rows[int(np.argmax(np.abs(j.own.azimuth_deg[rows] - target)))]
    return j.metric(
        "half_azimuth",
        f"{PAN_NAMES[worst].capitalize()} is at {_signed(float(j.own.azimuth_deg[worst]))}°; "
        f"reference pair {_signed(float(j.wanted.azimuth_deg[worst]))}°; the worse side of the pan curve.",
        lambda own, _: float(np.abs(own.azimuth_deg[rows] - target).max()),
        np.degrees(j.own.azimuth[:, worst]),
        image=True,
    )


def _width(j: _Judge) -> Metric:
    target = j.wanted.width_deg
    return j.metric(
        "width",
        f"Hard left to hard right spans {j.own.width_deg:z.0f}°, against {target:z.0f}° of the reference pair.",
        lambda own, _: abs(own.width_deg - target),
        np.degrees(j.own.azimuth[:, LEFT] - j.own.azimuth[:, RIGHT]),
        image=True,
    )


def _focus(j: _Judge) -> Metric:
    """Spread of the bands' azimuths of the unit's images in excess of the pair's."""
    target = j.wanted.focus_deg
    return j.metric(
        "focus",
        f"The bands' azimuths scatter by {j.own.focus_deg:.0f}°, by {target:.0f}° on the pair; mean over pans.",
        lambda own, _: own.focus_deg - target,
        np.degrees(j.own.focus.mean(axis=1)),
    )


def _asymmetry(j: _Judge) -> Metric:
    target = j.wanted.balance_deg
    return j.metric(
        "asymmetry",
        "Azimuth of hard left plus that of hard right, against the reference pair; 0 for a symmetric image.",
        lambda own, _: abs(own.balance_deg - target),
        np.degrees(j.own.azimuth[:, LEFT] + j.own.azimuth[:, RIGHT]),
        image=True,
    )


def _depth(j: _Judge, which: str) -> Metric:
    """Loss of direct-to-reverberant ratio re plain stereo on the same unit, in this room."""
    sources = ("left", "right") if which == "sides" else ("centre",)
    loss, ratio, before = j.own.drr_loss_db(j.plain), j.own.drr_db.mean(axis=0), j.plain.drr_db.mean(axis=0)
    worst = max(sources, key=lambda s: loss[s])
    i = SOURCES.index(worst)
    return j.metric(
        f"{which}_drr_loss",
        f"{worst.capitalize()}: {ratio[i]:.1f} dB where plain stereo on this unit has {before[i]:.1f} dB, so it sounds "
        f"farther away; 400 Hz to 6.4 kHz, direct sound up to 5 ms, ratios above +10 dB alike (Larsen et al. "
        "2008).",
        lambda own, plain: max(own.drr_loss_db(plain)[s] for s in sources),
        j.own.drr_db[:, i],
    )


def _tone(j: _Judge) -> Metric:
    worst = int(np.argmax(np.mean(j.own.tone_db**2, axis=1)))
    each = j.own.tone_heads_db[:, worst]
    return j.metric(
        "tone",
        "Level at the near ear over ERB bands against the reference pair, without the unit's own colouration and the "
        f"mean, rms; the worst of five pans, here {PAN_NAMES[worst]}.",
        lambda own, _: own.tone_rms_db,
        each,
    )


def _loudness(j: _Judge) -> tuple[Metric, ...]:
    """Loss of loudness of the worst programme re plain stereo; none without loudness data."""
    own = j.own.loudness_db
    if not own:
        return ()
    worst = min(own, key=lambda name: own[name])
    made = j.metric(
        "loudness",
        f"BS.1770 loudness at the ears on {worst}, {own[worst]:+z.1f} dB re plain stereo on this unit at the same "
        "driver ceiling; 10 dB are half as loud.",
        lambda own, _: -min(own.loudness_db.values(), default=np.nan),
        np.zeros(0),
    )
    return (replace(made, uncertainty=j.unit.uncertainty(lambda draw: draw.level_db)),)


def _signed(degrees: float) -> str:
    """Whole degrees with their sign, none at 0."""
    return f"{round(degrees):+d}" if round(degrees) else "0"


def _default(key: str, limits: Limits) -> bool:
    """Whether the limit of a metric is the default one."""
    return KINDS[key].limit not in limits.given


def _by_design(metric: Metric, default: bool) -> bool:
    """Whether a default limit only warns: if the unit matches its prediction.

    Then the design decides, and measuring again would not. A limit from a file, and a unit that is worse than its
    prediction, fail.
    """
    expected = metric.predicted if metric.predicted is not None else np.inf
    return default and metric.heard <= expected + AS_PREDICTED_DEG


def _spread(each: Float) -> float | None:
    return float(np.std(each, ddof=1)) if len(each) > 1 else None
