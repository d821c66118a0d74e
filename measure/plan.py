"""The plan of a session as pure data: the list of captures, from the rig only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.impulse import POSITION
from sweetspot.measure.shot import ALL, Capture
from sweetspot.measure.sweep import Sweep, stimulus, synchronised
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import Pose, wrapped
from sweetspot.rigs.protection import Protection, check_outputs, protections
from sweetspot.rigs.rig_file import Description, Driver, Mic
from sweetspot.rigs.units import Float, from_db

SetName = Literal["ears", "polar", "reference", "templates", "monitor", "device"]
FixedSet = Literal["monitor", "device"]
FIXED: tuple[FixedSet, ...] = ("monitor", "device")
"""Sets of fixed microphones, by their ``use``."""
SETS: tuple[SetName, ...] = ("ears", "polar")
"""Sets that every session needs; the reference pair is measured where the rig has one."""

OverlapMode = Literal["off", "auto", "on"]
LEAST_OF_SWEEP = 0.5
"""Peak of the filtered sweep re the sweep below which a driver's band does not overlap it."""


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """Sources of a plan.

    Parameters
    ----------
    axis
        ``"driver"``, or ``"program"`` when sweeps go through a processor.
    names
        One a source.
    signals
        What the outputs play for each source: ``(outputs, samples)`` float32, the loopback included.
    levels
        Level of each source's stimulus over that of the loopback, linear: responses are divided by it.
    shapes
        The limits that each driver's stimulus was made for, its protection filter among them; none for programs.
    """

    axis: Literal["driver", "program"]
    names: tuple[str, ...]
    signals: tuple[NDArray[np.float32], ...]
    levels: tuple[float, ...]
    shapes: tuple[Protection, ...] = ()

    def equaliser(self, source: int, f: Float) -> Float | None:
        """Factor on a source's transfer function at ``f`` Hz that removes its protection filter.

        ``None`` where there is none. What lies well below the driver's band was not played, and stays nothing.
        """
        if not self.shapes or self.shapes[source].low_hz is None:
            return None
        return self.shapes[source].equaliser(f)


@dataclass(frozen=True, slots=True, eq=False)
class OverlappedSignal:
    """Signal of an overlapped capture: all drivers with staggered starts.

    Parameters
    ----------
    starts
        Samples at which each driver's sweep starts, ``head`` included.
    signal
        What the outputs play, ``(outputs, samples)``.
    played
        What the loopback plays, ``(samples,)``: a sweep of its own, as long as all of them.
    level
        Of each driver's sweep over that of a sequential capture, linear.
    head
        Samples of silence at the beginning that are left out: a sweep that starts earlier is silent there.
    """

    starts: tuple[int, ...]
    signal: NDArray[np.float32]
    played: NDArray[np.float32]
    sweep: Sweep
    level: float
    head: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One set of a session.

    Parameters
    ----------
    name
        ``"ears"`` or ``"polar"``.
    captures
        In the order in which they will be made.
    positions
        Table of dtype :data:`sweetspot.measure.impulse.POSITION`.
    mics
        The microphones that are recorded, besides the loopback.
    sources
        What plays, one at a time.
    played
        ``(samples,)`` as sent to the loopback, silence at the end included.
    before, after
        Samples kept of each response ahead of time zero and from it on.
    together
        What plays in captures of :data:`ALL` drivers, if there are any.
    """

    name: SetName
    captures: tuple[Capture, ...]
    positions: NDArray[np.void]
    mics: tuple[Mic, ...]
    sources: Sources
    sweep: Sweep
    played: NDArray[np.float32]
    before: int
    after: int
    together: OverlappedSignal | None = None

    def played_in(self, capture: Capture) -> NDArray[np.float32]:
        """Loopback signal of a capture."""
        return self.together.played if self.together is not None and capture.source is ALL else self.played

    def signal_of(self, capture: Capture) -> NDArray[np.float32]:
        """Output signals of a capture."""
        if capture.source is not ALL:
            return self.sources.signals[capture.source]
        assert self.together is not None
        return self.together.signal

    def named(self, capture: Capture) -> str:
        """Name of a capture's source."""
        if capture.source is not ALL:
            return self.sources.names[capture.source]
        return "all drivers" if self.sources.axis == "driver" else " and ".join(self.sources.names)

    @property
    def closing(self) -> Capture | None:
        """The first capture repeated after all others, for closure; none if nothing moves in between."""
        if self.sources.axis != "driver" or len(self.positions) < 2:
            return None
        return replace(self.captures[0], repeat=0, purpose="close")

    @property
    def order(self) -> tuple[int, ...]:
        """Positions in the order in which they are visited, without the return to the first."""
        return tuple(dict.fromkeys(c.position for c in self.captures))

    @property
    def seconds(self) -> float:
        """Length of all its captures, s."""
        return sum(len(self.played_in(c)) for c in self.captures) / self.sweep.fs

    @property
    def bytes(self) -> int:
        """Size of its raw captures, with the loopback."""
        return sum((len(self.mics) + 1) * len(self.played_in(c)) * 4 for c in self.captures)

    @property
    def capture_bytes(self) -> int:
        """Size of the largest raw capture."""
        longest = len(self.played) if self.together is None else len(self.together.played)
        return (len(self.mics) + 1) * longest * 4


def make(rig: Description, name: SetName) -> Plan:
    """The plan of one set of a session: every driver by itself at every place.

    Raises
    ------
    BadInput
        The rig has no such set.
    TooLoud
        The stimulus would pass its ceiling.
    """
    sweep, played = excitation(rig, tail=0)
    if name == "reference":
        return _reference(rig, sweep, played)
    shapes = protections(rig)
    if name == "templates":
        return _templates(rig, sweep, played)
    own = [for_driver(rig, driver, shape, played) for driver, shape in zip(rig.driver, shapes, strict=True)]
    signals = tuple(outputs_for(rig, [d.channel], x, played) for d, (x, _) in zip(rig.driver, own, strict=True))
    sources = Sources("driver", rig.driver_names, signals, tuple(level for _, level in own), shapes)
    return plan_of(rig, name, sources, sweep, played, list(places(rig, name)))


def for_driver(
    rig: Description, driver: Driver, shape: Protection, played: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float]:
    """A driver's stimulus ``(1, samples)`` from the loopback's, and its linear gain re that.

    Its protection filter takes what lies below its band; its level is its own ``level_dbfs``, or what it can take.

    Raises
    ------
    BadInput
        Nothing of the sweep is left in its band.
    """
    shaped, whole = shape.shaped(played), float(np.max(np.abs(played)))
    peak = float(np.max(np.abs(shaped), initial=0.0))
    if peak < LEAST_OF_SWEEP * whole:
        raise BadInput(
            f"driver {driver.name!r}: band_hz = {list(driver.band_hz)} does not overlap the sweep's band "
            f"{list(rig.sweep.band_hz)}: widen sweep.band_hz (sweetspot rig sweep chooses it)"
        )
    wanted = whole if driver.level_dbfs is None else float(from_db(driver.level_dbfs))
    level = min(wanted / peak, shape.most(shaped))
    return np.asarray(level * shaped[None, :], dtype=np.float32), level


AFTER_OVER_BEFORE = 1.3
"""Ratio of kept ringing of a protection filter after time zero to that before, as the driver decays too."""

TURNED_DEG, TURN_STEP_DEG = 90.0, 5.0
"""Range of the head's yaw to either side for its templates, and its step."""


def frontmost(rig: Description) -> int:
    """The driver against which the head is turned for its templates: the one nearest to straight ahead."""
    return min(range(len(rig.driver)), key=lambda d: (abs(rig.driver[d].at[1]), -rig.driver[d].at[0]))


def _templates(rig: Description, sweep: Sweep, played: NDArray[np.float32]) -> Plan:
    """The front driver at every yaw of the head."""
    ahead = frontmost(rig)
    driver = rig.driver[ahead]
    x, level = for_driver(rig, driver, protections(rig)[ahead], played)
    sources = Sources("program", (driver.name,), (outputs_for(rig, [driver.channel], x, played),), (level,))
    return plan_of(rig, "templates", sources, sweep, played, list(places(rig, "templates")))


def _reference(rig: Description, sweep: Sweep, played: NDArray[np.float32]) -> Plan:
    """The reference pair, one loudspeaker at a time, at the scoring positions."""
    if rig.reference is None:
        raise BadInput(f"rig {rig.name!r} has no [reference]: add the outputs of a pair of loudspeakers")
    channels = [rig.reference.left, rig.reference.right]
    signals = tuple(outputs_for(rig, [c], played[None, :], played) for c in channels)
    sources = Sources("program", ("left", "right"), signals, (1.0, 1.0))
    return plan_of(rig, "reference", sources, sweep, played, list(places(rig, "reference")))


def sets_of(rig: Description) -> tuple[SetName, ...]:
    """The sets that a rig's session is made of, in the order in which they are measured."""
    pair: tuple[SetName, ...] = ("reference",) if rig.reference is not None else ()
    return (*fixed_sets(rig), "ears", *pair, "polar")


def fixed_sets(rig: Description) -> tuple[SetName, ...]:
    """The sets of fixed microphones, see :mod:`sweetspot.measure.monitor`."""
    monitor: tuple[SetName, ...] = ("monitor",) if rig.monitor_mics else ()
    return (*monitor, "device") if rig.device_mics else monitor


def excitation(rig: Description, tail: int) -> tuple[Sweep, NDArray[np.float32]]:
    """The rig's sweep, and the loopback signal ``(samples,)``: the sweep at its level, then silence.

    The silence holds the kept response, 50 ms for the interface's latency, and ``tail`` samples more.
    """
    sweep = synchronised(rig.sweep.band_hz, rig.sweep.seconds, rig.fs)
    before, after = kept_samples(rig)
    silence = fft.next_fast_len(before + after + tail, real=True) - before + round(0.05 * rig.fs)
    return sweep, stimulus(sweep, float(from_db(rig.sweep.level_dbfs)), silence)


def plan_of(
    rig: Description,
    name: SetName,
    sources: Sources,
    sweep: Sweep,
    played: NDArray[np.float32],
    at: Sequence[tuple[Pose, tuple[object, ...]]],
    *,
    extra_after: int = 0,
    kept: tuple[int, int] | None = None,
    together: OverlappedSignal | None = None,
) -> Plan:
    """A plan in which every source plays at every place of ``at`` (poses with rows of the position table).

    Parameters
    ----------
    extra_after
        Samples that are kept longer than the rig's ``sweep.after_ms``: the filters that play.
    kept
        Samples ahead of time zero and from it on, in place of the rig's.
    together
        What plays where all sources play in one capture.

    Raises
    ------
    TooLoud
        A signal passes the rig's ceiling at an output that is not the loopback's.
    """
    for signal in (together.signal,) if together else sources.signals:
        check_outputs(signal, rig, f"plan of {name}")
    captures = tuple(
        Capture(i, at[i][0], source, repeat)
        for i in nearest_first([pose for pose, _ in at])
        for source in ((ALL,) if together else range(len(sources.names)))
        for repeat in range(1 if together else rig.sweep.repeats)
    )
    mics = {"polar": rig.polar_mics, "monitor": rig.monitor_mics, "device": rig.device_mics}.get(name, rig.ear_mics)
    ahead, rest = kept_samples(rig)
    before, after = kept or (ahead, fft.next_fast_len(ahead + rest + extra_after, real=True) - ahead)
    return Plan(
        name,
        captures,
        positions=np.array([row for _, row in at], dtype=POSITION),
        mics=mics,
        sources=sources,
        sweep=sweep,
        played=played,
        before=before,
        after=after,
        together=together,
    )


FULL_TURN = 50.0
"""What raising the polar microphone counts beside turning the device: each ring is measured to its end."""


def nearest_first(poses: Sequence[Pose]) -> list[int]:
    """An order of poses: the first one first, then always the nearest that is left, of several the first.

    A metre counts ten radians, since heads and microphones are mostly moved by hand.
    """
    angles = np.array([(p.turn, p.yaw, FULL_TURN * p.elevation) for p in poses]).reshape(-1, 3)
    at = np.array([(p.x, p.y, p.z) for p in poses]).reshape(-1, 3)
    left = np.arange(len(poses))
    order = [0] if poses else []
    while len(left) > 1:
        left = left[left != order[-1]]
        apart = np.abs(angles[left] - angles[order[-1]]).sum(axis=1)
        apart += 10.0 * np.sqrt(np.sum((at[left] - at[order[-1]]) ** 2, axis=1))
        order.append(int(left[np.argmin(apart.round(6))]))
    return order


def kept_samples(rig: Description) -> tuple[int, int]:
    """Samples kept of each response ahead of time zero and from it on.

    According to ``sweep.before_ms`` and ``sweep.after_ms``, or what a driver's protection filter needs so that the
    ends of the window cut off nothing of its response's ringing (:meth:`Protection.rings_s`); at the end up to a few
    percent more, so that responses have a length that transforms are quick at: a large prime takes five times as long.
    """
    rings = 1000.0 * max((p.rings_s for p in protections(rig)), default=0.0)
    wanted = max(rig.sweep.before_ms, rings), max(rig.sweep.after_ms, AFTER_OVER_BEFORE * rings)
    before, after = (round(ms * rig.fs / 1000.0) for ms in wanted)
    return before, fft.next_fast_len(before + after, real=True) - before


def outputs_for(
    rig: Description, channels: list[int], signals: NDArray[np.float32], played: NDArray[np.float32]
) -> NDArray[np.float32]:
    """All outputs ``(outputs, samples)``: ``signals (channel, samples)`` on ``channels`` (from 1), the loopback too."""
    y = np.zeros((rig.outputs, len(played)), dtype=np.float32)
    y[[c - 1 for c in channels]] = signals
    y[rig.interface.loopback.out - 1] = played
    return y


def places(rig: Description, name: SetName) -> Iterator[tuple[Pose, tuple[object, ...]]]:
    """Poses with their rows of the position table."""
    if name != "polar":
        if rig.ears is None:
            raise BadInput(f"rig {rig.name!r} has no [ears]: add distance_m and positions to measure at a dummy head")
        if name == "templates":
            for yaw in np.arange(-TURNED_DEG, TURNED_DEG + 0.5 * TURN_STEP_DEG, TURN_STEP_DEG):
                yield Pose(yaw=float(np.radians(yaw))), (0.0, rig.ears.distance_m, 0.0, 0.0, float(yaw), "template")
            return
        scored = [p for p in rig.ears.positions if p.use == "score"] or list(rig.ears.positions)
        for place in scored if name == "reference" else rig.ears.positions:
            x, y, yaw = place.seen_from_device(rig.ears.distance_m)
            yield place.pose, (float(np.degrees(np.arctan2(y, x))), x, y, place.z, yaw, place.use)
        return
    if rig.polar is None:
        raise BadInput(f"rig {rig.name!r} has no [polar]: add distance_m and step_deg to measure polar responses")
    stands = float(np.radians(rig.polar.azimuth_deg))
    for ring in rig.polar.rings_deg:
        raised = float(np.radians(ring - rig.polar.elevation_deg))
        for angle in rig.polar.angles if abs(ring) < 90.0 else rig.polar.angles[:1]:
            row = (round(float(np.degrees(angle)), 9), *rig.polar.towards(float(angle), raised), 0.0, "polar")
            turn = -float(angle) if not stands else float(wrapped(stands - angle))
            yield Pose(turn=turn, elevation=raised), row
