"""Table of the judged metrics: display name, limit, sense and unit of each key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Sense = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class MetricKind:
    """Common properties of all metrics of one key.

    Parameters
    ----------
    name
        For people, and in files; it never changes.
    limit
        Field of :class:`sweetspot.calibrate.design.limits.Limits` that judges it.
    sense
        Whether the measured value must be at least or at most the limit.
    """

    name: str
    limit: str
    sense: Sense
    unit: str = "dB"


KINDS: Mapping[str, MetricKind] = {
    "cancellation_mean": MetricKind("cancellation, mean", "cancellation_mean", "at least"),
    "cancellation_p10": MetricKind("cancellation, 10th percentile", "cancellation_p10", "at least"),
    "target_shortfall": MetricKind("cancellation over its target curve", "target_shortfall", "at least"),
    "cancellation_agreement": MetricKind("cancellation, heard against predicted", "agreement", "at most"),
    "near_level": MetricKind("near-ear level, heard against predicted", "agreement", "at most"),
    "balance": MetricKind("balance", "balance", "at most"),
    "interaural_level": MetricKind("virtual loudspeakers, interaural level", "interaural_level", "at most"),
    "interaural_delay": MetricKind("virtual loudspeakers, interaural delay", "interaural_delay", "at most", "µs"),
    "colouration": MetricKind("phantom centre, colouration", "colouration", "at most"),
    "difference": MetricKind("difference from the prediction", "difference", "at most"),
    "contrast": MetricKind("centre beam, on axis over +-90 degrees", "contrast", "at least"),
    "beam_shape": MetricKind("centre beam, shape", "beam_shape", "at most"),
    "polarity": MetricKind("polarity", "polarity", "at least", ""),
    "snr": MetricKind("signal to noise", "snr", "at least"),
    "latency": MetricKind("latency", "latency", "at most", "ms"),
    "distortion": MetricKind("distortion", "distortion", "at most"),
    "treble": MetricKind("treble, loss re predicted", "treble", "at most"),
    "rub_and_buzz": MetricKind("rub and buzz", "rub_and_buzz", "at most"),
    "guard": MetricKind("guard, largest output re the ceiling", "guard", "at most"),
    "left_azimuth": MetricKind("image, hard left, azimuth error", "side_azimuth", "at most", "°"),
    "right_azimuth": MetricKind("image, hard right, azimuth error", "side_azimuth", "at most", "°"),
    "centre_azimuth": MetricKind("image, centre, azimuth error", "centre_azimuth", "at most", "°"),
    "half_azimuth": MetricKind("image, half left and right, azimuth error", "side_azimuth", "at most", "°"),
    "width": MetricKind("image, width error", "width", "at most", "°"),
    "focus": MetricKind("image, blur beyond the pair's", "focus", "at most", "°"),
    "asymmetry": MetricKind("image, asymmetry", "asymmetry", "at most", "°"),
    "sides_drr_loss": MetricKind("direct to reverberant, loss of the sides", "drr_loss", "at most"),
    "centre_drr_loss": MetricKind("direct to reverberant, loss of the centre", "drr_loss", "at most"),
    "tone": MetricKind("tone across pan", "tone", "at most"),
    "loudness": MetricKind("loudness, loss against plain stereo", "loudness_loss", "at most"),
}

KEYS: Mapping[str, str] = {kind.name: key for key, kind in KINDS.items()}
"""Keys by name, for files that keep names."""


def limit_of(name: str) -> str | None:
    """The limit that judges a metric, by the metric's name in a file; ``None`` for a name that is none of a metric."""
    return KINDS[KEYS[name]].limit if name in KEYS else None
