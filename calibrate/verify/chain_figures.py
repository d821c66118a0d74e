"""Judged metrics of the chain from stereo input to ear: latency, distortion, rub and buzz, and treble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.plant import PLAYED_DB
from sweetspot.calibrate.verify.diagnose import causes as diagnosis
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.through import OWN
from sweetspot.calibrate.verify.verification import STIMULI, ProcessorUsed, Verification
from sweetspot.measure.distortion import Distortion
from sweetspot.measure.judge import RubAndBuzz
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means, thirds_within
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.names import listed
from sweetspot.rigs.units import Complex, Float, db, power_db

CAUSES = {
    "guard": (
        diagnosis.GUARD_OFF,
        "the guard is off or has another ceiling: a loud programme exceeds it by {heard:.1f} dB",
    ),
    "snr": (
        diagnosis.NOISE,
        "the weakest response is {heard:.0f} dB over the noise, {limit:.3g} dB are needed: measure in quiet, or with a "
        "louder or longer sweep (sweep.level_dbfs, sweep.seconds)",
    ),
    "distortion": (
        diagnosis.DISTORTION,
        "a driver or an amplifier is overloaded or damaged: harmonics of {heard:.1f} dB, {limit:.3g} dB are allowed",
    ),
    "rub_and_buzz": (
        diagnosis.BUZZ,
        "something in the unit rubs, rattles or is loose: it buzzes by {heard:.1f} dB re the sweep's mean, "
        "{limit:.3g} dB are allowed, with {stimuli}",
    ),
    "treble": (
        diagnosis.TREBLE,
        "the treble is {heard:.1f} dB low, {limit:.3g} dB are allowed: a low-pass or a resampler in the chain, "
        "tweeters, or a microphone",
    ),
    "latency": (
        diagnosis.LATENCY,
        "the processor is late: {heard:.1f} ms in all, {predicted:.1f} ms of it the filters': smaller buffers",
    ),
}
"""Cause of each metric that is no difference from the prediction: its name, and what it says."""

TREBLE_HZ = 8900.0
"""Third octaves from here on lie above those of all other metrics: their phase depends on millimetres."""

OCTAVES_HZ = (250.0, 4000.0)
"""Centres of the octaves in which distortion is judged: harmonics of higher ones leave the band."""

MIDDLE_HZ = 1000.0
"""Third octaves from here on show how loud a unit is where it plays."""

ALIKE_DB = 6.0
"""Stimuli within this of the one that buzzes most buzz too."""

NEAR = {"left": (0,), "right": (1,), "both": (0, 1)}
"""Ears at which each stimulus is measured."""


def latency(filters: FilterSet, through: ProcessorUsed | None, limits: Limits) -> Metric:
    """Stereo input to loudspeaker, the filters' common delay included."""
    own = 1000.0 * filters.delay_samples / filters.fs
    late = own + (1000.0 * through.latency_samples / through.fs if through else 0.0)
    what = "From stereo input to loudspeaker: the filters' common delay plus the processor's."
    if through is None or through.name == OWN:
        what = (
            "The filters' common delay; the built-in engine adds that of its upmix and guard, which sweetspot process "
            "and play state."
        )
    return Metric.of(
        "latency",
        f"{what} Sound more than 125 ms late is noticed with a picture (ITU-R BT.1359).",
        limits, predicted=own, heard=late,
    )  # fmt: skip


def treble(found: Verification, top_hz: float, limits: Limits) -> list[Metric]:
    """Level lost in the worst third octave from :data:`TREBLE_HZ` and stimulus, beyond what each lost below; nothing
    where none of them plays.

    Parameters
    ----------
    found
        With the responses that were predicted and heard, ``(position, ear, stimulus, frequency)``.
    top_hz
        Where the session's band ends.
    """
    centres = thirds_within(TREBLE_HZ, min(top_hz, float(found.f[-1])))
    middle = THIRD_OCTAVES[THIRD_OCTAVES >= MIDDLE_HZ]

    def level_db(x: Complex, at: Float) -> Float:
        return np.asarray(power_db(band_means((np.abs(x) ** 2).mean(axis=(0, 1)), found.f, at)))

    if not len(centres):
        return []
    want, got = level_db(found.predicted, centres), level_db(found.heard, centres)
    below = level_db(found.predicted, middle)
    usual = np.median(below, axis=-1, keepdims=True)
    everywhere = np.median(below - level_db(found.heard, middle), axis=-1, keepdims=True)
    lost = np.where(want > usual - PLAYED_DB, want - got - everywhere, -np.inf)
    stimulus, worst = np.unravel_index(int(np.argmax(lost)), lost.shape)
    if not np.isfinite(lost[stimulus, worst]):
        return []
    names = list(STIMULI)
    explanation = (
        f"Loss of level re the prediction, beyond that from {middle[0]:g} Hz on, mean over positions and ears, worst "
        f"third octave from {centres[0]:g} to {centres[-1]:g} Hz of {', '.join(names)}; here {names[stimulus]}, "
        f"{centres[worst]:g} Hz."
    )
    return [Metric.of("treble", explanation, limits, predicted=None, heard=float(lost[stimulus, worst]))]


def guard(excess_db: float, limits: Limits) -> Metric:
    """Peak of a processor's outputs for a programme that its filters would take above the ceiling."""
    return Metric.of(
        "guard",
        "Largest sample at the processor's outputs, drivers disconnected, for a programme that would exceed the "
        "ceiling without a guard.",
        limits,
        predicted=None,
        heard=excess_db,
    )


def causes(metrics: Sequence[Metric], buzzes: Sequence[Mapping[str, Any]]) -> tuple[diagnosis.Cause, ...]:
    """Causes of failed metrics of :data:`CAUSES`, one by the rows of :func:`rows_of`: no difference from the prediction
    would explain them."""

    def values(m: Metric) -> dict[str, Any]:
        return {"heard": m.heard, "limit": m.limit, "predicted": m.predicted or 0.0, "stimuli": _buzzing(buzzes)}

    return tuple(
        diagnosis.Cause(name, text.format(**values(m)), 1.0, 0)
        for m in metrics
        if m.verdict == "fail" and m.key in CAUSES
        for name, text in [CAUSES[m.key]]
    )


def rows_of(found: Mapping[str, RubAndBuzz | None]) -> list[dict[str, Any]]:
    """Stored rub and buzz of each stimulus: the sweep's frequency, Hz, and level, dB, of the loudest moment, or none
    where nothing is above the noise; and what that may hide, dB."""
    return [
        {"stimulus": name, "hz": one.worst and one.worst[0], "level_db": one.worst and one.worst[1],
         "floor_db": one.hidden_db}
        for name, one in found.items()
        if one is not None
    ]  # fmt: skip


def rub_and_buzz(rows: Sequence[Mapping[str, Any]], limits: Limits) -> Metric:
    """Rub and buzz: the loudest moment of any stimulus; an upper bound if it is below the noise.

    Noise that hides more than the limit leaves a given limit grey; the default one only warns.
    """
    worst, hidden = _loudest(rows), max(float(r["floor_db"]) for r in rows)
    found = -np.inf if worst is None else float(worst["level_db"])
    grey = found <= limits.rub_and_buzz < hidden
    where = "here nothing is above the noise" if worst is None else f"here {worst['stimulus']} at {worst['hz']:.0f} Hz"
    if grey:
        where = "noise hides more than the limit"
    made = Metric.of(
        "rub_and_buzz",
        "Power of harmonics 10 and above within 21 ms re the mean of the sweep at the near ears, the loudest moment of "
        f"{', '.join(STIMULI)}, median over positions; {where}.",
        limits,
        predicted=None,
        heard=hidden if grey or worst is None else found,
        uncertainty=hidden - limits.rub_and_buzz if grey and "rub_and_buzz" in limits.given else None,
    )
    return replace(made, coverage=2.0, warns=grey and "rub_and_buzz" not in limits.given)


def _buzzing(rows: Sequence[Mapping[str, Any]]) -> str:
    """The stimuli that buzz most, and from and to which frequency of the sweep."""
    there = [r for r in rows if r["level_db"] is not None]
    most = max((float(r["level_db"]) for r in there), default=0.0)
    loud = [r for r in there if r["level_db"] > most - ALIKE_DB]
    at = sorted({f"{r['hz']:.0f}" for r in loud}, key=float)
    return f"{listed([r['stimulus'] for r in loud])} at {' to '.join(at[:1] + at[1:][-1:])} Hz" if loud else ""


def _loudest(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The row of the stimulus that buzzes most; ``None`` where none does."""
    return max((r for r in rows if r["level_db"] is not None), key=lambda r: float(r["level_db"]), default=None)


def to_dict(found: Mapping[str, Distortion], lowest_hz: float) -> list[dict[str, Any]]:
    """Stored distortion of each stimulus: octaves at its near ears, percent, with the noise limit.

    Parameters
    ----------
    found
        Of each stimulus at its ears of :data:`NEAR`, in their order.
    lowest_hz
        What the stimuli hold begins there.
    """
    rows = []
    for stimulus, one in found.items():
        for row, ear in enumerate(NEAR[stimulus]):
            for octave in one.in_octaves(row, lowest_hz):
                if OCTAVES_HZ[0] <= octave["hz"] <= OCTAVES_HZ[1]:
                    thd = octave["thd"] if np.isfinite(octave["thd"]) else None
                    rows.append({"stimulus": stimulus, "ear": ear, "hz": octave["hz"], "thd_percent": thd,
                                 "floor_percent": octave["floor"]})  # fmt: skip
    return rows


def distortion(rows: Sequence[Mapping[str, Any]], limits: Limits) -> Metric:
    """Total harmonic distortion: the worst octave; an upper bound if it is below the noise.

    Noise that hides more than the limit leaves the figure grey.
    """
    there = [r for r in rows if r["thd_percent"] is not None]
    worst = max(there, key=lambda r: float(r["thd_percent"]), default=None)
    found = _level(worst["thd_percent"]) if worst else -np.inf
    hidden = max((_level(r["floor_percent"]) for r in rows if r["thd_percent"] is None), default=-np.inf)
    grey = found <= limits.distortion < hidden
    heard = hidden if grey or worst is None else found
    where = f"here {worst['stimulus']}, octave of {worst['hz']:g} Hz" if worst else "here nothing is above the noise"
    made = Metric.of(
        "distortion",
        "Total of harmonics 2 to 5 over the fundamental at the near ears, the worst octave from "
        f"{OCTAVES_HZ[0]:g} Hz to {OCTAVES_HZ[1] / 1000:g} kHz of {', '.join(STIMULI)} at the sweep's level; {where}.",
        limits,
        predicted=None,
        heard=heard,
        uncertainty=hidden - limits.distortion if grey else None,
    )
    return replace(made, coverage=2.0)  # whatever the policy near limits: what noise hides is not known


def _level(percent: float) -> float:
    return float(db(max(float(percent), 1e-9) / 100.0))
