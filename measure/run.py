"""The only loop over hardware: moves, plays, judges, repeats, stores."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure import overlap
from sweetspot.measure.impulse import SourceResponse, snr_db
from sweetspot.measure.judge import (
    ExcursionCheck,
    LoudnessCheck,
    Sound,
    clocks,
    drift,
    pascals,
    quality,
    uncalibrated,
    uncertainty,
)
from sweetspot.measure.listener import AnalysedCapture, CaptureAnalyser
from sweetspot.measure.overlap import Overlap
from sweetspot.measure.plan import FIXED, OverlapMode, Plan
from sweetspot.measure.separation import Separation
from sweetspot.measure.session import Session
from sweetspot.measure.shot import ALL, Capture, Reason, Shot
from sweetspot.measure.splice import Disturbed, SplicedCapture, SpliceNote, of_disturbed
from sweetspot.rigs.errors import Held, TooLoud, again
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protocol import Operator, Recording, Rig
from sweetspot.rigs.rig_file import Description, Mic
from sweetspot.rigs.runs import SESSION
from sweetspot.rigs.units import Float, db

ATTEMPTS, SPLICED_ATTEMPTS = 4, 8
"""How often a capture is tried before the session holds, and how often where all that is wrong are bursts: their valid
parts are spliced, and only what every one of them lacks takes another."""


TURN_S = 2e-4
"""How long a thread keeps the interpreter from others while captures are stored beside the next ones, s. With Python's
5 ms a verification on the virtual lab takes 0.3 s longer."""


def unknown(_recording: Recording) -> AnalysedCapture | None:
    """What is known of a recording before it is analysed, as a rule: nothing."""


def measure(
    rig: Rig,
    session: Session,
    plan: Plan,
    *,
    ask: Operator,
    step: Callable[[str], None],
    accept_change: bool = False,
    overlapped: OverlapMode | None = None,
    levels: Mapping[int | None, float] | None = None,
    meanwhile: bool = False,
    known: Callable[[Recording], AnalysedCapture | None] = unknown,
) -> list[tuple[str, str]]:
    """Make every capture of ``plan`` that ``session`` does not hold yet.

    Parameters
    ----------
    session
        Open for writing; each capture is in it, flushed, before the next one begins, but for ``meanwhile``.
    ask
        Asks a person for the moves that the stage cannot make.
    step
        Called after each capture that was accepted, with a few words on it.
    accept_change
        Keep captures whose level or polarity is another than at the last position.
    overlapped
        Whether all drivers of a position may play in one capture; None keeps what the set was begun with, and begins
        it without. What was settled on stays.
    levels
        dB SPL that sources are known to reach where everything stands, by their numbers (:data:`ALL` for all at once);
        what is not known is tried softly before it is played. Every capture is still checked.
    meanwhile
        Store each capture while the next one is made, where the rig lets it, and bring the set to the disk as a whole:
        a kill then loses it. For sets that start over in any case.

    Returns
    -------
    Keys and reasons of the captures that were repeated.

    Raises
    ------
    Held
        A capture stayed bad through every attempt, or drivers were to overlap (``"on"``) and cannot.
    HardwareTrouble
        The interface, the stage or the disk failed.
    TooLoud
        A stimulus would pass, or a capture passed, the rig's loudest level.
    """
    session.begin(plan, together=plan.together is not None or overlapped in ("auto", "on"))
    fixed = [m for m in rig.description.monitor_mics if m not in plan.mics]
    checks = LoudnessCheck.of(rig, (*plan.mics, *fixed), levels), ExcursionCheck.of(rig, plan.mics)
    loop = CaptureLoop(rig, session, ask, step, accept_change, checks)
    loop.meanwhile, loop.known = meanwhile and rig.meanwhile, known
    try:
        mode = session.asked_to_overlap(plan.name, overlapped)
        how = session.overlap(plan.name)
        if mode != "off" or (how is not None and how.used):
            listener = _overlapped(loop, plan, mode)
            plan = listener.plan
        else:
            listener = CaptureAnalyser.of(rig.description, plan)
        for capture in session.underived(plan):
            session.derive(plan, capture, _mean_of_landed(session, listener, capture))
        left = session.missing(plan)
        rig.read(inputs_read(rig.description, plan.mics))
        rig.expect([c.pose for c in (*left, plan.closing) if c is not None])
        with _short_turns() if loop.meanwhile else nullcontext():
            loop.take(listener, left)
            _close(loop, listener)
    except KeyboardInterrupt:
        rig.stage.stop()
        raise
    finally:
        loop.close()
        rig.read(None)
    return session.rejected(plan.name)


def inputs_read(rig: Description, mics: Sequence[Mic]) -> list[int]:
    """Rows of a recording that :func:`measure` reads for a set of ``mics``: theirs, fixed ones, and the loopback."""
    return sorted({m.channel - 1 for m in (*mics, *rig.monitor_mics)} | {rig.interface.loopback.in_ - 1})


@contextmanager
def _short_turns() -> Iterator[None]:
    """Threads take turns often, see :data:`TURN_S`."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


class _Mixed(Exception):
    """Drivers of an overlapped capture are not separated at its position."""


class CaptureLoop:
    """Makes captures one after the other, and remembers where everything stands."""

    def __init__(
        self,
        rig: Rig,
        session: Session,
        ask: Operator,
        step: Callable[[str], None],
        accept_change: bool,
        checks: tuple[LoudnessCheck, ExcursionCheck],
    ) -> None:
        self.rig, self.session, self.ask, self.step = rig, session, ask, step
        self.loudness, self.excursion = checks
        self.accept_change = accept_change
        self.stands: Pose | None = None
        self.meanwhile = False
        self.known: Callable[[Recording], AnalysedCapture | None] = unknown
        self._pool: ThreadPoolExecutor | None = None
        self._storing: Future[None] | None = None

    def place(self, pose: Pose) -> None:
        """Bring everything to a pose."""
        self.stands = place(self.rig, pose, self.stands, self.ask)

    def take(self, listener: CaptureAnalyser, captures: Iterable[Capture]) -> None:
        """Make captures until each is good, and keep the result."""
        plan = listener.plan
        alone = self.rig.description.sweep.repeats == 1
        for capture in captures:
            how = self.session.overlap(plan.name) if capture.source is ALL else None
            if how is not None and not how.at(capture.position):
                continue
            self.place(capture.pose)
            try:
                if how is not None and how.doubtful(plan.order, capture.position):
                    raise _Mixed(overlap.LIKE_BEFORE)
                heard = _until_good(self, listener, capture, self.accept_change, derived=alone)
            except (_Mixed, TooLoud) as fault:
                if how is None or (isinstance(fault, TooLoud) and fault.played):
                    raise
                self.session.keep_overlap(plan.name, how.without(capture.position, str(fault)))
                self.take(listener, overlap.sequential(plan, capture))
                continue
            if not alone:
                heard = _mean_of_landed(self.session, listener, capture)
                self.session.derive(plan, capture, heard)
            where = f"{plan.name} {capture.position + 1}/{len(plan.positions)}"
            least = min(float(np.min(one.snr_db)) for one in heard)
            self.step(f"{where}, {plan.named(capture)}, {least:.0f} dB SNR")
        self.settle()

    def keep(self, work: Callable[[], None]) -> None:
        """Store something: at once, or while the next capture is made. Nothing else may use the session before
        :meth:`settle`."""
        if not self.meanwhile:
            work()
            return
        self._pool = self._pool or ThreadPoolExecutor(1, "storing")
        self._storing = self._pool.submit(work)

    def settle(self) -> None:
        """Wait until the capture before is stored.

        Raises
        ------
        HardwareTrouble
            It could not be.
        """
        if self._storing is not None:
            storing, self._storing = self._storing, None
            storing.result()

    def close(self) -> None:
        """Wait for what is being stored, whatever became of it: an error is on its way already."""
        if self._pool is not None:
            self._pool.shutdown()


def planned(session: Session, plan: Plan) -> Plan:
    """The plan as a session goes about it: with overlapped captures where these were settled on."""
    how = session.overlap(plan.name)
    return plan if how is None or not how.used else overlap.together(session.rig(), plan, how)


def _stored(loop: CaptureLoop, listener: CaptureAnalyser, shot: Shot, heard: list[SourceResponse]) -> None:
    """A capture in the session, and its responses."""
    loop.session.store(listener.plan, shot, at_once=not loop.meanwhile)
    loop.session.derive(listener.plan, shot.capture, heard)


def _sources(plan: Plan, capture: Capture) -> range:
    """The sources that a capture is of."""
    first = capture.source
    return range(len(plan.sources.names)) if first is ALL else range(first, first + 1)


def _overlapped(loop: CaptureLoop, plan: Plan, mode: OverlapMode) -> CaptureAnalyser:
    """A listener for the plan with drivers overlapped, if that can be: settled once a set, by its first position."""
    session, rig = loop.session, loop.rig.description
    how = session.overlap(plan.name)
    if how is None:
        how = _settled(loop, plan)
        session.keep_overlap(plan.name, how)
        loop.step(f"{plan.name}: {f'overlapped, {how.gain:.1f} times shorter' if how.used else 'sequential'}")
    if how.used:
        made = overlap.together(rig, plan, how)
        wanted = any(c.source is ALL for c in session.missing(made)) and session.holds_raw(plan.name)
        first = _first(session, CaptureAnalyser.of(rig, plan))[1] if wanted else None
        return CaptureAnalyser.of(
            rig, made, None if first is None else Separation.of(rig, plan, first, how.wait, how.turns(len(first)))
        )
    if mode == "on":
        raise Held(
            f"{plan.name}: drivers cannot overlap: {how.why}. Measure with --overlap off or auto; to continue this run "
            f"sequentially: sweetspot measure resume {session.path.parent} --overlap off"
        )
    return CaptureAnalyser.of(rig, plan)


def _settled(loop: CaptureLoop, plan: Plan) -> Overlap:
    """Measure the first position sequentially, solve for the timing, and compare one overlapped capture with it."""
    why = overlap.cannot(plan)
    if why:
        return Overlap(why=why)
    session, description = loop.session, loop.rig.description
    listener = CaptureAnalyser.of(description, plan)
    for capture in session.underived(plan):
        session.derive(plan, capture, _mean_of_landed(session, listener, capture))
    loop.take(listener, [c for c in session.missing(plan) if c.position == plan.order[0]])
    if any(session.clocks(plan.name)):
        return Overlap(why="inputs and outputs run on two clocks")
    raws, wholes = _first(session, listener)
    how = overlap.solved(description, plan, wholes)
    if not how.used:
        return how
    known = None if uncalibrated(description, plan.mics) else pascals(description, plan.mics)
    level = overlap.level_for([x[:-1] for x in raws], how.starts(len(raws)), known, description)
    compression = overlap.compression(plan, [row[i] for i, row in enumerate(wholes)], level)
    return _checked(loop, plan, replace(how, level=level), compression)


def _first(
    session: Session, listener: CaptureAnalyser
) -> tuple[list[NDArray[np.float32]], list[list[NDArray[np.floating]]]]:
    """Sequential captures of every driver at the first position, and what they are as each driver is read."""
    plan = listener.plan
    alone = [c for c in plan.captures if c.position == plan.order[0] and c.repeat == 0]
    raws = [quality.padded(session.raw(plan.name, c.key)[0], len(plan.played)) for c in alone]
    return raws, [listener.as_read(x, c.single) for x, c in zip(raws, alone, strict=True)]


def _checked(loop: CaptureLoop, plan: Plan, how: Overlap, compression: Float) -> Overlap:
    """One overlapped capture at the first position beside the sequential ones there."""
    session = loop.session
    listener = CaptureAnalyser.of(loop.rig.description, overlap.together(loop.rig.description, plan, how))
    capture = overlap.checking(plan)
    loop.place(capture.pose)
    heard = _until_good(loop, listener, capture, loop.accept_change)
    other = np.stack([one.h for one in heard])
    known = [session.response(plan, capture.position, s) for s in range(len(heard))]
    one = np.stack([h for h in known if h is not None])
    error = _errors_of(session, plan, capture.position)
    both = np.sqrt(error**2 + np.stack([h.stderr for h in heard]) ** 2)
    agreed, will_do = overlap.agreement(one, other, both, compression, plan.sweep.fs, plan.sweep.band)
    found = replace(how, agreed_db=agreed, level_db=float(db(np.max(compression))))
    if not will_do:
        why = f"overlapped and sequential captures differ by {agreed:.0f} dB (limit {overlap.AGREED_DB:.0f}, or noise)"
        return replace(found, why=why)
    return found


def _errors_of(session: Session, plan: Plan, position: int) -> Float:
    """Standard errors ``(driver, mic, bin)`` at one position."""
    return np.moveaxis(session.per_bin(plan.name, "stderr", whole=True)[position], 1, 0)


def place(rig: Rig, pose: Pose, stands: Pose | None, ask: Operator) -> Pose:
    """Move to ``pose``: by the stage if possible, else by the operator; returns the pose reached."""
    moves = pose.differing(stands or Pose()) if stands is not None else pose.differing(Pose(turn=9e9, x=9e9, y=9e9))
    by_stage = rig.stage.axes
    if any(axis in by_stage for axis in moves):
        rig.stage.move(pose)
    if [axis for axis in pose.differing(stands or Pose()) if axis not in by_stage]:
        ask(f"Please place: {pose.text()}")
    return pose


def _close(loop: CaptureLoop, listener: CaptureAnalyser) -> None:
    """Measure the first position's first source again, and store the closure error of the set."""
    plan, session = listener.plan, loop.session
    if plan.closing is None or session.closure(plan.name) is not None:
        return
    first = session.response(plan, plan.closing.position, plan.closing.single)
    if first is None:
        return
    loop.place(plan.closing.pose)
    again = _until_good(loop, listener, plan.closing, accept_change=True)[0]
    mics = tuple(m.name for m in plan.mics)
    found = drift.closure(first, again.h, plan.sweep.fs, plan.sweep.band, mics)
    session.store_closure(plan.name, found)
    loop.step(f"{plan.name} closed: {found.error_db:.0f} dB")


def _changed(
    session: Session, listener: CaptureAnalyser, capture: Capture, source: int, heard: SourceResponse
) -> Reason | None:
    """Whether level or polarity of a source are other than at the last position nearby."""
    plan = listener.plan
    if plan.sources.axis != "driver":
        return None
    poses = {c.position: c.pose for c in plan.captures}
    for position in reversed(plan.order[: plan.order.index(capture.position)]):
        there, here = poses[position], capture.pose
        turned = abs(there.turn - here.turn) + abs(there.yaw - here.yaw) + abs(there.elevation - here.elevation)
        before = session.response(plan, position, source)
        if turned > drift.NEAR_RAD or np.hypot(there.x - here.x, there.y - here.y) > drift.NEAR_M or before is None:
            continue
        lowest = max(plan.sweep.band[0], listener.rig.driver[source].band_hz[0])
        r = [float(np.hypot(plan.positions[p]["x"], plan.positions[p]["y"])) for p in (position, capture.position)]
        names = tuple(m.name for m in plan.mics)
        return drift.changed(heard.h, before, plan.sweep.fs, lowest, float(db(r[0] / r[1])), names)
    return None


def _until_good(
    loop: CaptureLoop, listener: CaptureAnalyser, capture: Capture, accept_change: bool, *, derived: bool = False
) -> list[SourceResponse]:
    """Capture until one is accepted; rejected ones are stored with their reason.

    With ``derived``, the accepted one is stored with its responses, meanwhile if that may be.
    """
    rig, session, plan = loop.rig, loop.session, listener.plan
    bad: list[Disturbed] = []
    sound = Sound(capture.source, plan.named(capture), plan.signal_of(capture), capture.pose)
    made = 0
    while made < (ATTEMPTS if made > len(bad) else SPLICED_ATTEMPTS):
        made += 1
        loop.loudness.permit(sound)
        loop.excursion.permit(sound)
        everything = rig.interface.capture(sound.signal)
        recording = listener.channels(everything)
        found = loop.known(everything) or listener.analysed(recording, capture.source)
        heard, reason, ppm = list(found.responses), found.reason, found.responses[0].clock_ppm
        loop.settle()
        reason = reason or clocks.ClockDrift(ppm, 0.0, 0.0).refused(session.clocks(plan.name))
        burst = reason is not None and reason.kind == "burst" and ppm == 0.0
        splice = _spliced(listener, capture, [*bad, Disturbed(0, recording, found.delay)]) if burst else None
        own = burst and plan.sources.axis == "program" and bad and not splice
        if own and quality.repeats(bad[-1].recording.x, recording.x):
            reason = None  # noise does not come twice alike: it is the processor's own distortion, to be judged
        if not reason and not accept_change:
            reason = _other(loop, listener, capture, heard)
        shot = _shot(loop, capture, recording, heard, found.delay, reason)
        if shot.accepted and derived:
            loop.keep(partial(_stored, loop, listener, shot, heard))
        else:
            run = session.store(plan, shot)
        loop.loudness.judge(sound, everything.x)
        if shot.accepted:
            return heard
        if reason is not None and reason.kind == "overlap":
            raise _Mixed(reason)
        bad += [Disturbed(run, recording, found.delay)] if burst else []
        if splice and (accept_change or not _other(loop, listener, capture, splice.heard)):
            whole = _shot(loop, capture, splice.recording, splice.heard, bad[0].delay, None)
            session.store(plan, replace(whole, splice=splice.kept([one.run for one in bad])))
            if derived:
                session.derive(plan, capture, splice.heard)
            return list(splice.heard)
    place = "" if plan.name in FIXED else f"{capture.pose.text()}, "
    kept = f"Captures so far are kept; continue with: {again(session.path)}"
    always = (
        "; all had bursts: where the room is quiet, the unit or something near it rattles" if len(bad) == made else ""
    )
    raise Held(
        f"{plan.name}, {place}{_whose(plan, capture)}: {made} captures were rejected, the last one: {reason}{always}",
        kept if session.path.name == SESSION else "",  # a verification starts over
    )


def _whose(plan: Plan, capture: Capture) -> str:
    """Source of a capture for a message."""
    return plan.named(capture) if capture.source is ALL else f"{plan.sources.axis} {plan.named(capture)!r}"


def _other(
    loop: CaptureLoop, listener: CaptureAnalyser, capture: Capture, heard: Sequence[SourceResponse]
) -> Reason | None:
    """Reason if the responses changed since the last position nearby."""
    each = zip(_sources(listener.plan, capture), heard, strict=True)
    changes = (_changed(loop.session, listener, capture, source, one) for source, one in each)
    other = next((c for c in changes if c), None)
    return Reason(other.kind, f"{other}; if this change is intended, resume with --accept-change") if other else None


def _shot(
    loop: CaptureLoop,
    capture: Capture,
    recording: Recording,
    heard: Sequence[SourceResponse],
    delay: float,
    reason: Reason | None,
) -> Shot:
    snr = np.min([one.snr_db for one in heard], axis=0)
    return Shot(
        capture,
        recording,
        delay=delay,
        reason=reason,
        temperature_c=loop.rig.description.environment.temperature_c,
        snr_db=tuple(float(v) for v in snr),
        clock_ppm=heard[0].clock_ppm,
    )


def _spliced(listener: CaptureAnalyser, capture: Capture, bad: list[Disturbed]) -> SplicedCapture | None:
    """A capture put together from the valid parts of disturbed ones, if these will do."""

    def read(recording: Recording, note: SpliceNote) -> tuple[Sequence[SourceResponse], object]:
        found = listener.analysed(recording, capture.source, note)
        return found.responses, found.reason

    plan = listener.plan
    return of_disturbed(
        bad,
        plan.sweep,
        plan.before,
        plan.after,
        passed=lambda f, delay: listener.passed(capture.source, f, delay),
        read=read,
    )


def _mean_of_landed(session: Session, listener: CaptureAnalyser, capture: Capture) -> list[SourceResponse]:
    """Means of all accepted repeats at this position, from their raw samples, one per source."""
    repeats = range(listener.rig.sweep.repeats)
    found = []
    for key in (replace(capture, repeat=r).key for r in repeats):
        if session.has_landed(listener.plan.name, key):
            x, attrs = session.raw(listener.plan.name, key)
            recording = Recording(x, listener.inverse.fs, int(attrs["xruns"]), "")
            note = session.splice(listener.plan.name, key)
            found.append(listener.analysed(recording, capture.source, note).responses)
    return [_mean(listener, list(repeated)) for repeated in zip(*found, strict=True)]


def _mean(listener: CaptureAnalyser, heard: list[SourceResponse]) -> SourceResponse:
    if len(heard) == 1:
        return heard[0]
    mean = np.asarray(np.mean([one.h for one in heard], axis=0))
    stderr, coherence = uncertainty.of_mean([one.h for one in heard], [one.stderr for one in heard])
    snr = snr_db(mean, stderr, listener.inverse.fs, listener.inverse.band)
    return SourceResponse(mean, snr, stderr, coherence, float(np.mean([one.clock_ppm for one in heard])))
