"""Sweeps through the deployed processor, captured at held-out positions, compared with prediction and target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.auditory import Assessment, ZoneMap
from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.plant import NULLS, MeasuredSet, Prediction, metrics, one_direction
from sweetspot.calibrate.verify import figures, image, whole_response
from sweetspot.calibrate.verify.comparison import Comparison, compare
from sweetspot.calibrate.verify.diagnose import Cause
from sweetspot.calibrate.verify.metric import Metric, Verdict
from sweetspot.measure.impulse import POSITION, ring_rows
from sweetspot.measure.plan import Plan, SetName, Sources, excitation, outputs_for, places, plan_of
from sweetspot.processor.dynamics import Guard, largest_level
from sweetspot.processor.filterset import PROGRAMS, FilterSet, UpmixSettings
from sweetspot.processor.render import refused, upmixed
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protection import Protection, protections
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float, from_db

STIMULI = {"left": (1.0, 0.0), "right": (0.0, 1.0), "both": (1.0, 1.0)}
"""Stereo stimuli: the gain of each side. ``both`` is the phantom centre."""

BELOW_CEILING = 0.95
"""How near to the ceiling the loudest driver is driven."""

LEAST_LATENCY = 0.01
"""Latencies below this are shown as zero, samples."""

Processor = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""A deployed processor: stereo ``(2, samples)`` in, drivers ``(driver, samples)`` out, full scale = 1."""


@dataclass(frozen=True, slots=True)
class ProcessorUsed:
    """The processor of a verification.

    Parameters
    ----------
    form
        ``"upmix"``, or ``"stereo"`` where left and right alone are played and what both share stays a phantom centre.
    latency_samples
        Found and taken out; 0 for our own engine, whose latency is known.
    fs
        Sampling rate, Hz.
    lowered_db
        By how much its filters are lowered, dB, as in its export; taken out of what is judged.
    """

    name: str
    form: str
    latency_samples: float
    fs: int
    lowered_db: float = 0.0

    @property
    def text(self) -> str:
        """One line for a reader."""
        name = "built-in engine" if self.name == "engine" else self.name
        form = "" if self.form == "upmix" else ", left and right without upmix"
        form += f", {self.lowered_db:.1f} dB lower, as it has no guard" if self.lowered_db > 0.0 else ""
        if abs(self.latency_samples) < LEAST_LATENCY:
            return f"processor: {name}{form}; excess latency 0 ms"
        late = f"{self.latency_samples:.2f} samples ({1000.0 * self.latency_samples / self.fs:.2f} ms)"
        return f"processor: {name}{form}; its latency of {late} was measured and removed"


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """Prediction, measurement, and verdict.

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
    causes
        What may be wrong, the most likely first; empty for a unit that passes.
    ruled_out
        Names of the causes that explain next to nothing of what differs.
    compared
        Predicted and measured with their uncertainty, and with the room.
    agreement
        Whether they agree within it; ``None`` where it is not known.
    room
        Cancellation of whole responses, reported, not judged; empty where no reflection was found.
    through
        The processor; ``None`` in a file of an earlier version, which knew our own engine alone.
    cancellation
        Direct sound beside whole response, from 300 Hz and from 800 Hz; reported, not judged.
    followed
        Metrics whose default limit gave way to the prediction, because no limits file gives one.
    default_limits
        Whether no limits file was given.
    image
        What a listener gets, beside plain stereo, matrix mixing and a pair; ``None`` where it was not looked at.
    zone
        The listening zone that the calibration predicted; ``None`` where it was not mapped.
    held
        By how much the drivers' own limits lower the level of the filters, in words; empty where they do not.
    driver_faults
        Drivers of the session that differ from their mirror images, in words; the filters compensate for them.
    """

    f: Float
    predicted: Complex
    heard: Complex
    predicted_polar: Complex
    heard_polar: Complex
    azimuths: Float
    metrics: tuple[Metric, ...]
    causes: tuple[Cause, ...] = ()
    compared: Comparison | None = None
    agreement: figures.Agreement | None = None
    room: tuple[figures.WithRoom, ...] = ()
    through: ProcessorUsed | None = None
    cancellation: tuple[whole_response.CancellationFigures, ...] = ()
    followed: tuple[str, ...] = ()
    default_limits: bool = False
    ruled_out: tuple[str, ...] = ()
    image: Assessment | None = None
    zone: ZoneMap | None = None
    held: str = ""
    driver_faults: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every figure surely keeps its limit."""
        return all(m.passed for m in self.metrics)

    @property
    def verdict(self) -> Verdict:
        """``fail`` with any metric that fails; else ``grey`` with any that is inconclusive; warnings don't count."""
        each = [m.verdict for m in self.metrics]
        return "fail" if "fail" in each else "grey" if "grey" in each else "pass"

    @property
    def by_design(self) -> tuple[Metric, ...]:
        """Metrics that fail as predicted, if nothing else fails: the unit is not the cause."""
        failed = tuple(m for m in self.metrics if m.verdict == "fail")
        expected = all(m.predicted is not None and not m.keeps(m.predicted) for m in failed)
        return failed if expected else ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """One line for each metric that does not pass."""
        return tuple(m.text for m in self.metrics if not m.passed)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each metric beyond a limit that warns, and for each driver unlike its mirror image."""
        beyond = tuple(f"{m.text} ({m.explanation.split(';')[0]})" for m in self.metrics if m.verdict == "warn")
        return beyond + self.driver_faults

    @property
    def basis(self) -> str:
        """Basis of the verdict without a limits file; else empty."""
        if not self.default_limits:
            return ""
        more = f"; default limits relaxed to the prediction: {'; '.join(self.followed)}" if self.followed else ""
        return f"no limits file: judged on agreement with its prediction and on metrics that hold for any unit{more}"


@dataclass(frozen=True, slots=True)
class Planned:
    """What a verification plays.

    Parameters
    ----------
    plans
        Of its sets.
    share
        Of the largest level that they may have, linear.
    """

    plans: Mapping[SetName, Plan]
    share: float


def plan(
    rig: Description,
    name: SetName,
    filters: FilterSet,
    process: Processor,
    feed: tuple[int, int] | None = None,
    *,
    share: float = 1.0,
    lowered_db: float = 0.0,
) -> Plan:
    """Plan of a verification: stereo sweeps through ``process`` at the scoring positions, or around the device.

    Each stimulus is as loud as full scale and the rig's ceiling allow, without help from a guard, which a deployed
    processor may lack; around the device only the phantom centre plays. What no driver's band holds is not fed: short
    filters alone cannot take it from low drivers.

    Parameters
    ----------
    process
        Our own engine, or what a deployed processor should do.
    feed
        Output channels that feed a deployed processor left and right, counted from 1; ``None`` plays what ``process``
        makes on the drivers' outputs.
    share
        Of that level, linear: what a limit of the loudness leaves, see :func:`loudness.within`.
    lowered_db
        Attenuation of ``filters``; measured levels are corrected to the filters as fitted.
    """
    names = tuple(STIMULI) if name == "ears" else ("both",)
    sweep, played = excitation(rig, tail=filters.length)
    sources = sources_of(rig, filters, process, played, names, feed, share=share, lowered_db=lowered_db)
    return plan_of(rig, name, sources, sweep, played, visited(rig, name), extra_after=filters.length)


def visited(rig: Description, name: SetName) -> list[tuple[Pose, tuple[object, ...]]]:
    """Poses of a verification with their rows of the position table: those for scoring, or the ring of directions."""
    at = list(places(rig, name))
    rows = np.array([row for _, row in at], dtype=POSITION)
    return [at[i] for i in (ring_rows(rows) if name == "polar" else np.flatnonzero(rows["use"] == b"score"))]


def sources_of(
    rig: Description,
    filters: FilterSet,
    process: Processor,
    played: NDArray[np.float32],
    names: Sequence[str],
    feed: tuple[int, int] | None = None,
    *,
    share: float = 1.0,
    lowered_db: float = 0.0,
) -> Sources:
    """Stimuli of :data:`STIMULI` through a processor, each at its largest allowed level; see :func:`plan`.

    Parameters
    ----------
    played
        What the loopback plays.
    share
        Of that level, linear.
    lowered_db
        By how much ``filters`` are lowered: as much less of the stimulus counts as played, see :func:`plan`.
    """
    protection = _widest(rig)
    shaped = protection.shaped(played).astype(np.float64)
    peak = float(np.max(np.abs(shaped)))
    shape = shaped / peak
    signals, levels, ceiling = [], [], min(filters.ceiling, rig.limits.ceiling)
    for stimulus in names:
        sides = np.array(STIMULI[stimulus])[:, None] * shape
        through = _unlimited(process, sides, filters)
        level = min(1.0, BELOW_CEILING * ceiling / float(np.max(np.abs(through))), _below_spl(filters, sides))
        for one in (p for p in protections(rig) if p.output + 1 in filters.channels):
            level = min(level, BELOW_CEILING * one.most(through[filters.channels.index(one.output + 1)]))
        if feed is not None:
            level = min(level, BELOW_CEILING * rig.limits.ceiling)
        level *= share
        plays = level * (sides if feed is not None else through)
        signals.append(outputs_for(rig, list(feed or filters.channels), plays.astype(np.float32), played))
        levels.append(float(from_db(-lowered_db)) * level / peak)
    return Sources("program", tuple(names), tuple(signals), tuple(levels), (protection,) * len(names))


def _widest(rig: Description) -> Protection:
    """The limits of the driver whose band reaches lowest; an unprotected one has none."""
    return min(protections(rig), key=lambda one: one.low_hz or 0.0)


def _below_spl(filters: FilterSet, sides: Float) -> float:
    """Level, linear, up to which the processor does not turn a stimulus ``(2, samples)`` down for the SPL limit."""
    if not filters.detectors.size:
        return np.inf
    return BELOW_CEILING / _over_spl(filters.detectors[0].tobytes(), filters.upmix, filters.fs, sides.tobytes())


@lru_cache(maxsize=len(STIMULI))
def _over_spl(detectors: bytes, upmix: UpmixSettings, fs: int, sides: bytes) -> float:
    """Level of a stimulus over the SPL limit; those of the last are kept, as every plan asks for them (25 ms)."""
    heard, played = (np.frombuffer(x).reshape(n, -1) for x, n in ((detectors, len(PROGRAMS)), (sides, 2)))
    return largest_level(heard, upmixed(upmix, fs, played), fs)


def _unlimited(process: Processor, sides: Float, filters: FilterSet) -> Float:
    """Output of the filters for a stimulus without the guard.

    The stimulus is made so quiet that neither the guard nor the SPL limiter can work (the sum of the taps' magnitudes
    bounds what comes out), and the result is scaled back: all the rest is linear in level. What would stop the guard is
    refused.

    Raises
    ------
    BadInput
        The guard would stop the output, as at a constant offset.
    """
    bound = float(np.abs(filters.taps).sum(axis=(0, 2)).max()) * max(1.0, float(np.max(np.abs(sides))))
    heard = float(np.abs(filters.detectors).sum()) * max(1.0, float(np.max(np.abs(sides))))
    quiet = min(1.0, 0.25 * float(min(filters.limits)) / bound, 0.25 / max(heard, 0.25))
    made = np.asarray(process(quiet * sides) / quiet)
    guard = Guard(len(filters.drivers), filters.ceiling, filters.fs, filters.caps)
    guard.judge_output(made)
    refused(guard.stopped)
    return made


def judge(
    ears: MeasuredSet,
    polar: MeasuredSet,
    measured: MeasuredSet,
    prediction: Prediction,
    filters: FilterSet,
    limits: Limits,
) -> Verification:
    """Compare the measurement with the prediction.

    Parameters
    ----------
    ears
        Heard at the scoring positions, one "driver" a stimulus.
    polar
        The phantom centre measured around the device.
    measured
        The session's ears, that the prediction was made from. Unless all three sets know their errors, no figure has an
        uncertainty, and none is grey.
    prediction
        Made when the unit was calibrated.
    filters
        What was deployed.
    """
    c = compare(ears, polar, measured, prediction, filters, limits.repeatability)
    beamed = len(prediction.azimuths) >= one_direction.FEWEST
    nulls = beamed and bool(metrics.at_nulls(prediction.azimuths, NULLS, 0.0).any())
    judged = (
        *figures.cancellation(c, prediction, limits),
        *figures.levels(c, prediction, limits),
        *image.of_sides(c, prediction, limits),
        image.of_phantom(c, prediction, limits),
        figures.difference(ears, measured, filters, limits),
        *([figures.centre(c, prediction, limits)] if nulls else []),
        *([image.of_beam(c, prediction, limits)] if beamed else []),
        image.polarity(c, limits),
        figures.noise(ears.ir, polar.ir, limits),
    )
    return Verification(
        c.f,
        c.predicted.x,
        heard=c.heard.x,
        predicted_polar=c.predicted_polar.x,
        heard_polar=c.heard_polar.x,
        azimuths=prediction.azimuths,
        metrics=judged,
        compared=c,
        agreement=figures.agreement(c, prediction, limits.coverage),
        room=figures.with_room(c, prediction),
        cancellation=whole_response.cancellations(c, prediction),
        held=filters.held_text,
    )
