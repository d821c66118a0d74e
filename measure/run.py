"""The only loop over hardware: moves, plays, judges, repeats, stores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure import burst, change, clocks, harmonics, microphone, quality, uncertainty
from measure.deconvolve import Inverse, circular, edges, inverse, loopback_delay
from measure.harmonics import Distortion
from measure.impulse import Heard, snr_db
from measure.plan import Capture, Plan
from measure.session import Session
from measure.shot import Shot
from rigs.describe import Description
from rigs.errors import BadInput, Held
from rigs.layout import Pose
from rigs.protocol import Operator, Recording, Rig
from rigs.units import db

ATTEMPTS = 4
"""How often a capture is tried before the session holds."""


STRETCHED_KEPT = 3
"""Inverses of stimuli stretched for two clocks that are kept at hand."""


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """What the loopback of a capture says: latency and clocks, and the inverse that fits them.

    Parameters
    ----------
    inverse, played
        Of the stimulus as the inputs' clock would write it.
    loop
        Transfer function of the loopback.
    drift
        Between the clocks, as estimated.
    delay, gain
        Of the loopback, s and linear.
    left_ppm
        What the stretched stimulus leaves of the drift.
    """

    inverse: Inverse
    played: NDArray[np.float32]
    loop: NDArray[np.complex128]
    drift: clocks.Drift
    delay: float
    gain: float
    left_ppm: float = 0.0

    @property
    def ppm(self) -> float:
        """By how much the inputs run faster, as far as it is corrected; 0 for one clock."""
        return self.drift.ppm if self.drift.is_there and not self.drift.refused() else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """Turns recordings of a plan into judged responses; reads the microphones' correction files once."""

    rig: Description
    plan: Plan
    inverse: Inverse
    corrections: NDArray[np.inexact[Any]]
    lags: burst.Lags
    stretched: dict[float, tuple[Inverse, NDArray[np.float32]]] = field(default_factory=dict)

    @classmethod
    def of(cls, rig: Description, plan: Plan) -> Listener:
        """A listener for one plan; reads correction files."""
        inv = inverse(plan.sweep, plan.played, len(plan.played))
        rows = []
        for mic in plan.mics:
            row = np.full(len(inv.f), mic.sensitivity_mv_per_pa / 1000.0 / rig.interface.full_scale_v)
            if mic.calibration is not None:
                path = rig.path(mic.calibration)
                try:
                    text = path.read_text(encoding="utf-8", errors="replace")
                except OSError as fault:
                    raise BadInput(f"{path}: correction file of {mic.name} cannot be read: {fault}") from fault
                correction = microphone.read(text, str(path))
                phased = correction.phase is not None
                row = row * (microphone.response if phased else microphone.level)(correction, inv.f)
            rows.append(row)
        return cls(rig, plan, inv, np.array(rows), burst.lags(plan.sweep, inv.size))

    def channels(self, recording: Recording) -> Recording:
        """Only the plan's microphones and, last, the loopback."""
        rows = [m.channel - 1 for m in self.plan.mics] + [self.rig.interface.loopback.in_ - 1]
        return replace(recording, x=recording.x[rows])

    def timed(self, recorded: NDArray[np.float32]) -> Timed:
        """What a recorded loopback ``(samples,)`` says of latency and clocks, and the inverse to use with it."""
        loop = self.inverse.spectrum(recorded)
        drift = clocks.of_loopback(self.inverse, self.plan.sweep, loop)
        if not drift.is_there or abs(drift.ppm) > clocks.HIGHEST_PPM:
            return Timed(self.inverse, self.plan.played, loop, drift, *loopback_delay(self.inverse, loop))
        step = clocks.stepped(drift.ppm)
        if step not in self.stretched:
            played = clocks.stretched(self.plan.played, step).astype(np.float32)
            self.stretched[step] = (inverse(self.plan.sweep, played, len(played)), played)
            for old in list(self.stretched)[:-STRETCHED_KEPT]:
                del self.stretched[old]
        inv, played = self.stretched[step]
        loop = inv.spectrum(recorded)
        left = clocks.of_loopback(inv, self.plan.sweep, loop)
        loop = clocks.unbent(loop, inv, self.plan.sweep, left.ppm)
        return Timed(inv, played, loop, replace(drift, ppm=step + left.ppm), *loopback_delay(inv, loop), left.ppm)

    def transfer(self, x: NDArray[np.float32], source: int, timed: Timed) -> NDArray[np.complexfloating]:
        """Transfer functions ``(mic, frequency)`` of :meth:`channels`' samples, Pa/FS, latency included."""
        exact = np.complex64 if np.iscomplexobj(self.corrections) else np.float32
        scale = (self.corrections * self.plan.sources.levels[source]).astype(exact)
        out = timed.inverse.transfer(timed.inverse.recorded(x[:-1])) / scale
        return clocks.unbent(out, timed.inverse, self.plan.sweep, timed.left_ppm) if timed.ppm else np.asarray(out)

    def distortion(self, session: Session, position: int, source: int) -> Distortion | None:
        """What one source makes that it was not given, of the mean of the raw captures of one place.

        None when none of them landed.
        """
        keys = sorted(session.landed(self.plan.name) & {c.key for c in self.plan.captures})
        place = Capture(position, Pose(), source, 0).place
        turned = []
        for key in (k for k in keys if k.startswith(place)):
            x = quality.padded(session.raw(self.plan.name, key)[0], len(self.plan.played))
            timed = self.timed(x[-1])
            back = np.exp(2j * np.pi * self.inverse.f * timed.delay).astype(np.complex64)
            turned.append(self.transfer(x, source, timed) * back)
        if not turned:
            return None
        mean = np.asarray(np.mean(turned, axis=0))
        return harmonics.of_transfer(self.inverse, self.plan.sweep, mean, 0.0, self.plan.before, self.plan.after)

    def heard(self, recording: Recording, source: int) -> tuple[Heard, float, str]:
        """What was heard, the latency in s, and why not to keep it."""
        x = quality.padded(recording.x, len(self.plan.played))
        names = (*(m.name for m in self.plan.mics), "loopback")
        timed = self.timed(x[-1])
        inv, delay = timed.inverse, timed.delay
        transfer = self.transfer(x, source, timed)
        before, after = self.plan.before, self.plan.after
        whole = circular(inv, transfer, delay, before)
        kept = (
            clocks.at_one_rate(whole, before, before + after, timed.ppm) if timed.ppm else whole[..., : before + after]
        )
        h = np.asarray(kept * edges(before, after))
        stderr = uncertainty.of_one(whole, before, after, self.plan.sweep.rate, inv.fs)
        snr = snr_db(h, stderr, inv.fs, inv.band)
        reason = (
            quality.short(recording.x, len(self.plan.played))
            or quality.clipped(x, names)
            or timed.drift.refused()
            or quality.loopback(inv, x[-1], timed.played, timed.loop, delay, timed.gain)
            or quality.silent(snr, names[:-1])
            or quality.disturbed(x[:-1], transfer, names[:-1], self.plan.sweep, self.lags, delay)
        )
        return Heard(h, snr, stderr, np.ones_like(stderr), timed.ppm), delay, reason or ""


def measure(
    rig: Rig,
    session: Session,
    plan: Plan,
    *,
    ask: Operator,
    step: Callable[[str], None],
    accept_change: bool = False,
) -> list[tuple[str, str]]:
    """Make every capture of ``plan`` that ``session`` does not hold yet.

    Parameters
    ----------
    rig
        Open devices.
    session
        Open for writing; each capture is in it, flushed, before the next one begins.
    plan
        What to capture.
    ask
        Asks a person for the moves that the stage cannot make.
    step
        Called after each capture that landed, with a few words on it.
    accept_change
        Keep captures whose level or polarity is another than at the last position.

    Returns
    -------
    Keys and reasons of the captures that were repeated.

    Raises
    ------
    Held
        A capture stayed bad through every attempt.
    HardwareTrouble
        The interface, the stage or the disk failed.
    """
    session.begin(plan)
    listener = Listener.of(rig.description, plan)
    for capture in session.underived(plan):
        session.derive(plan, capture, _mean_of_landed(session, listener, capture))
    stands: Pose | None = None
    try:
        for capture in session.missing(plan):
            stands = place(rig, capture.pose, stands, ask)
            heard = _until_good(rig, session, listener, capture, accept_change)
            if rig.description.sweep.repeats > 1:
                heard = _mean_of_landed(session, listener, capture)
            session.derive(plan, capture, heard)
            where = f"{plan.name} {capture.position + 1}/{len(plan.positions)}"
            step(f"{where}, {plan.sources.names[capture.source]}, {float(np.min(heard.snr_db)):.0f} dB SNR")
        _close(rig, session, listener, ask, step, stands)
    except KeyboardInterrupt:
        rig.stage.stop()
        raise
    return session.rejected(plan.name)


def place(rig: Rig, pose: Pose, stands: Pose | None, ask: Operator) -> Pose:
    """Bring everything to ``pose``: the stage what it can, the operator the rest; returns where it stands."""
    moves = pose.differing(stands or Pose()) if stands is not None else pose.differing(Pose(turn=9e9, x=9e9, y=9e9))
    by_stage = rig.stage.axes
    if any(axis in by_stage for axis in moves):
        rig.stage.move(pose)
    by_hand = [axis for axis in moves if axis not in by_stage]
    if by_hand and (stands is not None or pose != Pose()):
        ask(f"Please place: {pose.said()}")
    return pose


def _close(
    rig: Rig, session: Session, listener: Listener, ask: Operator, step: Callable[[str], None], stands: Pose | None
) -> None:
    """Measure the first position's first source once more, and keep how well the set closes on itself."""
    plan = listener.plan
    if plan.closing is None or session.closure(plan.name) is not None:
        return
    first = session.response(plan, plan.closing.position, plan.closing.source)
    if first is None:
        return
    place(rig, plan.closing.pose, stands, ask)
    again = _until_good(rig, session, listener, plan.closing, accept_change=True)
    mics = tuple(m.name for m in plan.mics)
    found = change.closure(first, again.h, plan.sweep.fs, plan.sweep.band, mics)
    session.close_set(plan.name, found)
    step(f"{plan.name} closed: {found.error_db:.0f} dB")


def _changed(session: Session, listener: Listener, capture: Capture, heard: Heard) -> str | None:
    """Whether level or polarity are other than at the last position nearby."""
    plan = listener.plan
    if plan.sources.axis != "driver":
        return None
    poses = {c.position: c.pose for c in plan.captures}
    for position in reversed(plan.order[: plan.order.index(capture.position)]):
        there, here = poses[position], capture.pose
        turned = abs(there.turn - here.turn) + abs(there.yaw - here.yaw)
        before = session.response(plan, position, capture.source)
        if turned > change.NEAR_RAD or np.hypot(there.x - here.x, there.y - here.y) > change.NEAR_M or before is None:
            continue
        lowest = max(plan.sweep.band[0], listener.rig.driver[capture.source].band_hz[0])
        r = [float(np.hypot(plan.positions[p]["x"], plan.positions[p]["y"])) for p in (position, capture.position)]
        names = tuple(m.name for m in plan.mics)
        return change.changed(heard.h, before, plan.sweep.fs, lowest, float(db(r[0] / r[1])), names)
    return None


def _until_good(rig: Rig, session: Session, listener: Listener, capture: Capture, accept_change: bool) -> Heard:
    """Capture until it is good; what was not is stored with its reason."""
    sources = listener.plan.sources
    for _ in range(ATTEMPTS):
        recording = listener.channels(rig.interface.capture(sources.signals[capture.source]))
        heard, delay, reason = listener.heard(recording, capture.source)
        reason = reason or clocks.Drift(heard.clock_ppm, 0.0, 0.0).refused(session.clocks(listener.plan.name)) or ""
        other = None if reason or accept_change else _changed(session, listener, capture, heard)
        if other:
            reason = f"{other}; if that is as it should be, resume with --accept-change"
        air = rig.description.environment.temperature_c
        shot = Shot(capture, recording, delay, reason, air, tuple(float(v) for v in heard.snr_db), heard.clock_ppm)
        session.store(listener.plan, shot)
        if shot.accepted:
            return heard
    what = f"{sources.axis} {sources.names[capture.source]!r}"
    raise Held(
        f"{listener.plan.name}, {capture.pose.said()}, {what}: {ATTEMPTS} captures were bad, the last "
        f"because {reason}. What landed is kept; go on with: "
        f"sweetspot measure resume {session.path.parent}"
    )


def _mean_of_landed(session: Session, listener: Listener, capture: Capture) -> Heard:
    """Mean of all repeats that landed at this place, from their raw samples."""
    repeats = range(listener.rig.sweep.repeats)
    landed = session.landed(listener.plan.name)
    heard = []
    for key in (replace(capture, repeat=r).key for r in repeats):
        if key in landed:
            x, attrs = session.raw(listener.plan.name, key)
            recording = Recording(x, listener.inverse.fs, int(attrs["xruns"]), "")
            heard.append(listener.heard(recording, capture.source)[0])
    if len(heard) == 1:
        return heard[0]
    mean = np.asarray(np.mean([one.h for one in heard], axis=0))
    stderr, coherence = uncertainty.of_mean([one.h for one in heard], [one.stderr for one in heard])
    snr = snr_db(mean, stderr, listener.inverse.fs, listener.inverse.band)
    return Heard(mean, snr, stderr, coherence, float(np.mean([one.clock_ppm for one in heard])))
