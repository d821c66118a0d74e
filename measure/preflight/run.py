"""Runs the pre-flight check on an open rig: plays the multitones, moves the stage, checks the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure import plan
from sweetspot.measure.judge import LoudnessCheck, Sound, disturbance, quality
from sweetspot.measure.preflight import findings, levels
from sweetspot.measure.preflight.calibration import deviates
from sweetspot.measure.preflight.calibrator import changed_db
from sweetspot.measure.preflight.finding import Finding, Outcome
from sweetspot.measure.preflight.paths import (
    RESIDUAL_DB,
    LoopbackResponse,
    Observation,
    PathResponses,
    closure_db,
    disturbed,
    expectation,
    multitone,
    path_responses,
    wiring,
)
from sweetspot.measure.preflight.reference import ReferenceCheck, expected
from sweetspot.rigs.errors import BadInput, HardwareTrouble, TooLoud
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protection import check_outputs, protections
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file import EARS, Description
from sweetspot.rigs.units import db, from_db

QUIETER_DB = 12.0
"""Each comb's peak under the session's sweep: they all play at once."""

SOFTER_DB = (-10.0, -20.0, -30.0)
"""Steps by which combs that would be too loud are lowered, dB."""

LOOP_BAND = (20.0, 0.45)
"""Of the loopback's comb: Hz, and part of the sampling rate."""

LONGEST_SILENCE_S = 2.0
"""Of what is kept ahead of the combs."""

TURNS_DEG = (57.0, -57.0, 31.0, -31.0, 17.0, -17.0)
"""Test turns, the first that the limits allow: no symmetry of a device brings it onto itself."""

SENSITIVITY_DB = 1.0
"""Difference of a rig's sensitivity from the maker's file above which it is noted, dB."""

REPEATS = 1
"""Largest number of repeated captures, so that a check plays less than ten seconds."""

CLOSURE_DB = -26.0
"""Largest change of the responses straight ahead after the stage's return, dB."""

QUIET = "wait until it is quiet, then check again; a decay of more than a second does the same"
"""Advice where captures were disturbed each time."""

ROOM = 2.0
"""Required free disk space re the plan's size."""


def only(rig: Description, name: plan.SetName | None) -> Description:
    """The rig with only the microphones of one set, or with all.

    Raises
    ------
    BadInput
        The rig has no microphone of that set.
    """
    if name is None:
        return rig
    mics = rig.ear_mics if name == "ears" else rig.polar_mics
    if not mics:
        raise BadInput(
            f"--set {name}: rig {rig.name!r} has no such microphone; it has: {', '.join(m.name for m in rig.mic)}"
        )
    return rig.model_copy(update={"mic": mics})


def steps(rig: Description, move: bool, axes: frozenset[str]) -> list[Pose]:
    """Poses at which the check listens: straight ahead, and turned if the stage can."""
    field = "turn" if rig.stage.turns == "device" else "yaw"
    low, high = rig.stage.limits_deg
    turns = [t for t in TURNS_DEG if low <= t <= high]
    if not move or field not in axes or not turns:
        return [Pose()]
    return [Pose(), replace(Pose(), **{field: float(np.radians(turns[0]))})]


def captures(rig: Description, move: bool, axes: frozenset[str]) -> int:
    """Number of captures of a check without disturbances: one per pose, and one after the stage's return."""
    return {1: 1, 2: 3}[len(steps(rig, move, axes))]


def stimulus(rig: Description, peak: float) -> tuple[multitone.Comb, NDArray[np.float32]]:
    """The combs of a rig, each driver's within its limits, and all output signals ``(outputs, samples)``.

    The silence ahead of them is as long as the stretch of a capture in which hum is looked for: in a shorter one, hum
    that a session will reject would be lost in the noise.
    """
    bands = [d.band_hz for d in rig.driver] + [(LOOP_BAND[0], LOOP_BAND[1] * rig.fs)]
    sweep, played = plan.excitation(rig, tail=0)
    searched = len(played) / rig.fs - disturbance.hum_from_s(sweep, quality.DECAY_S)
    silence = min(max(searched, multitone.SILENCE_S), LONGEST_SILENCE_S)
    signal = multitone.combs(bands, rig.fs, peak, protections(rig), silence_s=silence)
    y = np.zeros((rig.outputs, signal.y.shape[1]), dtype=np.float32)
    y[[d.channel - 1 for d in rig.driver] + [rig.interface.loopback.out - 1]] = signal.y
    check_outputs(y, rig, "pre-flight check")
    return signal, y


def _quiet_enough(rig: Rig, peak: float, asked: bool) -> tuple[multitone.Comb, NDArray[np.float32]]:
    """The combs, lowered if necessary: with an SPL limit they are first played at a low level.

    Raises
    ------
    TooLoud
        The requested level, or every level, is too loud.
    """
    described = rig.description
    signal, y = stimulus(described, peak)
    if "loudest_db_spl" not in described.limits.model_fields_set:
        return signal, y
    loudness, softer = LoudnessCheck.of(rig, described.mic), iter(() if asked else SOFTER_DB)
    while True:
        try:
            loudness.permit(Sound(0, "the check", y, Pose()))
        except TooLoud:
            down = next(softer, None)
            if down is None:
                raise
            signal, y = stimulus(described, peak * float(from_db(down)))
            continue
        return signal, y


def check(
    rig: Rig,
    watched: Description,
    *,
    runs: Path,
    move: bool = True,
    level_dbfs: float | None = None,
    reference: ReferenceCheck | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> tuple[list[Finding], Observation]:
    """Check a rig.

    Parameters
    ----------
    watched
        The rig with the microphones to look at, see :func:`only`.
    runs
        Where sessions will be written.
    move
        Whether the stage may move.
    level_dbfs
        Peak of each comb; 12 dB under the session's sweep if not given.
    reference
        Results of an earlier check, which replace values from the rig's geometry.
    step
        Called after each piece of work.

    Raises
    ------
    HardwareTrouble
        The interface failed. A stage that fails is a finding.
    TooLoud
        The combs would pass the loudest level that the rig file states: they are tried softly first.
    """
    whole = rig.description
    signal, y = _quiet_enough(rig, levels.allowed_peak(whole, level_dbfs, QUIETER_DB), level_dbfs is not None)
    session = _Listening(rig, watched, signal, y, step)
    about_stage: list[Finding] = []
    poses = steps(whole, move, rig.stage.axes)
    found: list[Take] = []
    back: Take | None = None
    try:
        for pose in poses:
            trouble = _moved(rig, pose) if move else None
            about_stage += [trouble] if trouble else []
            if trouble and found:
                poses = poses[: len(found)]
                break
            found.append(session.take())
        if len(found) > 1:
            trouble = _moved(rig, Pose())
            about_stage += [trouble] if trouble else []
            back = session.take() if not trouble else None
    except KeyboardInterrupt:
        rig.stage.stop()
        raise
    observed = _observation(watched, poses, found, reference)
    about_stage += _about_stage(rig, observed, poses, move, bool(about_stage), back)
    about_stage += _reach(watched, rig.stage.axes)
    others = [*session.findings(), *_corrections(watched), *_disk(watched, runs)]
    return [*findings.all_of(observed), *about_stage, *others], observed


Take = tuple[multitone.ResponseMatrix, LoopbackResponse, PathResponses]
"""Result of one capture of the combs."""


class _Listening:
    """Captures the combs, and again if something disturbed them."""

    def __init__(
        self,
        rig: Rig,
        watched: Description,
        signal: multitone.Comb,
        y: NDArray[np.float32],
        step: Callable[[str], None],
    ) -> None:
        self._rig, self._watched, self._signal, self._y, self._step = rig, watched, signal, y, step
        self._repeats: list[str] = []
        self._kept: list[str] = []

    def take(self) -> Take:
        """One undisturbed capture; the last one if all were disturbed."""
        while True:
            take = _listened(self._signal, self._rig.interface.capture(self._y).x, self._rig.description)
            reason = disturbed(take[0], take[1], self._watched)
            if reason is None or len(self._repeats) == REPEATS:
                self._kept += [reason] if reason else []
                self._step("listened")
                return take
            self._repeats.append(reason)

    def findings(self) -> list[Finding]:
        """Findings on disturbed captures and their repeats."""
        if self._kept:
            often = f"{self._kept[0]}; seen {len(self._repeats) + len(self._kept)} times"
            advice = "see the clock" if "loopback" in often else QUIET
            return [Finding("capture", "combs", "fail", f"{often}: {advice}")]
        return [Finding("capture", "combs", "warn", f"measured again: {reason}") for reason in self._repeats]


def _moved(rig: Rig, pose: Pose) -> Finding | None:
    """Move the stage; returns a finding on failure."""
    if not rig.stage.axes:
        return None
    try:
        rig.stage.move(pose)
    except (HardwareTrouble, BadInput) as trouble:
        return Finding("stage", rig.description.stage.driver, "fail", str(trouble).removeprefix("stage: "))
    return None


def _listened(signal: multitone.Comb, recording: NDArray[np.float32], rig: Description) -> Take:
    m = multitone.matrix(signal, recording)
    drivers = len(rig.driver)
    loop = path_responses.loop(
        m, drivers, np.asarray(signal.y[-1], dtype=float), recording, rig.interface.loopback.in_ - 1
    )
    return m, loop, path_responses.responses(m, drivers, loop.latency)


def _observation(
    rig: Description,
    poses: list[Pose],
    found: list[Take],
    reference: ReferenceCheck | None,
) -> Observation:
    matrices, loops, heards = (list(part) for part in zip(*found, strict=True))
    names = [m.name for m in rig.mic]
    inputs = [m.channel - 1 for m in rig.mic]
    ears = (names.index(EARS[0]), names.index(EARS[1])) if set(EARS) <= set(names) else None
    signs = (1, -1, 0) if len(poses) > 1 else (1,)
    expectations = {
        s: expected(rig, _as_if(poses, s), reference) if reference else expectation.from_geometry(rig, _as_if(poses, s))
        for s in signs
    }
    disturbed = any(one.residual_db > RESIDUAL_DB for one in loops) or any(m.clipped[inputs].any() for m in matrices)
    enough = all(one.input is not None for one in loops) and heards[0].there[inputs].any() and not disturbed
    verdict = wiring.find(heards, inputs, ears, expectations) if enough else None
    name: plan.SetName = "ears" if rig.ears is not None and ears is not None else "polar"
    wanted = plan.make(rig, name) if (rig.ears if name == "ears" else rig.polar) is not None else None
    rate = wanted.sweep.rate if wanted else rig.sweep.seconds / np.log(rig.sweep.band_hz[1] / rig.sweep.band_hz[0])
    loudest = float(np.max(np.abs(wanted.played))) if wanted else levels.allowed_peak(rig, None, 0.0)
    window = sum(plan.kept_samples(rig)) / rig.fs
    return Observation(
        rig,
        heards,
        loops=loops,
        matrices=matrices,
        expected=expectations[1],
        patch=verdict,
        sweep_peak=loudest,
        sweep_rate=float(rate),
        window_s=window,
        from_reference=reference is not None,
    )


def _as_if(poses: list[Pose], turned: int) -> list[Pose]:
    """The poses if the stage had turned as commanded, the other way, or not at all."""
    return [replace(p, turn=turned * p.turn, yaw=turned * p.yaw) for p in poses]


def _about_stage(
    rig: Rig, observed: Observation, poses: list[Pose], move: bool, failed: bool, back: Take | None
) -> list[Finding]:
    """Whether the stage answers, moves, and turns as the arrivals show."""
    stage = rig.description.stage
    if failed:
        return []
    if not rig.stage.axes:
        return [Finding("stage", stage.driver, "pass", "does not move by itself: the operator is prompted for moves")]
    if not move:
        return [Finding("stage", stage.driver, "untold", "answers; it was not moved (--no-move)")]
    if len(poses) < 2:
        return [Finding("stage", stage.driver, "pass", "answers, and is at the commanded angle")]
    field = "turn" if stage.turns == "device" else "yaw"
    degrees = float(np.degrees(getattr(poses[1], field)))
    if observed.patch is None or not observed.patch.found:
        return [
            Finding(
                "stage",
                stage.driver,
                "pass",
                f"went {degrees:g} degrees and back (reported, not confirmed acoustically)",
            )
        ]
    turned = observed.patch.best.turned
    closure = closure_db(observed.heard[0], back[2], observed.inputs) if back is not None else np.full((1, 1), np.nan)
    closed = float(np.nanmax(closure)) if np.isfinite(closure).any() else -300.0
    values = {"turned_deg": degrees, "heard": turned, "closure_db": closed}
    if turned == 1 and closed > CLOSURE_DB:
        text = f"went {degrees:g} degrees and reports its return, but the responses changed by {closed:.0f} dB "
        text += f"(limit {CLOSURE_DB:g} dB, about 0.7 degrees): does it slip, or did something move?"
        return [Finding("stage", stage.driver, "fail", text, values)]
    text = {
        1: f"moved {degrees:g} degrees and back, confirmed acoustically (closure {closed:.0f} dB)",
        0: f"reports {degrees:g} degrees, but no rotation was detected acoustically: is it coupled?",
        -1: f"was sent {degrees:g} degrees and turned the other way: reverse its direction",
    }[turned]
    return [Finding("stage", stage.driver, "pass" if turned == 1 else "fail", text, values)]


def _corrections(rig: Description) -> list[Finding]:
    """The microphones' correction files; an unreadable one is refused as bad input."""
    found = []
    for mic in rig.mic:
        own, correction = deviates(rig, mic, 1000.0)
        if correction is None:
            continue
        low, high = correction.points[[0, -1], 0]
        text = f"{len(correction.points)} points, {low:g} to {high:g} Hz, {float(db(own)):+.1f} dB at 1 kHz"
        values = {"points": len(correction.points), "from_hz": float(low), "to_hz": float(high)}
        outcome: Outcome = "pass"
        if low > rig.sweep.band_hz[0] or high < rig.sweep.band_hz[1]:
            outcome, text = "warn", f"{text}: less than sweep.band_hz; constant beyond its ends"
        if correction.sensitivity is not None:
            full = rig.interface.full_scale_v
            off = changed_db(mic.sensitivity_mv_per_pa, correction.sensitivity.with_converter(full))
            if abs(off) > SENSITIVITY_DB:
                outcome = "warn"
                text += f"; the rig's sensitivity is {off:+.1f} dB re the file's ({correction.sensitivity.text(full)})"
        found.append(Finding("correction", mic.name, outcome, text, values))
    return found


def session_s(rig: Description) -> float:
    """How long all captures of a session last, s."""
    return sum(one.seconds for one in _plans(rig))


def _plans(rig: Description) -> list[plan.Plan]:
    """The plans of the sets that a rig has."""
    there = {"ears": rig.ears is not None and rig.ear_mics, "polar": rig.polar is not None and rig.polar_mics}
    return [plan.make(rig, name) for name in plan.SETS if there[name]]


def _reach(rig: Description, axes: frozenset[str]) -> list[Finding]:
    """A failure for each set that turns the stage beyond its limits."""
    field = "turn" if rig.stage.turns == "device" else "yaw"
    low, high = rig.stage.limits_deg
    found = []
    for one in _plans(rig) if field in axes else ():
        turns = np.degrees([getattr(c.pose, field) for c in one.captures])
        out = turns[(turns < low - 1e-9) | (turns > high + 1e-9)]
        if len(out):
            text = (
                f"{one.name} turns to {out[np.argmax(np.abs(out))]:g} degrees, outside stage.limits_deg = "
                f"[{low:g}, {high:g}]: widen the limits if the cables allow it, or take a manual stage"
            )
            found.append(Finding("stage", rig.stage.driver, "fail", text))
    return found


def _disk(rig: Description, runs: Path) -> list[Finding]:
    """Whether the plans' data fit on the disk."""
    plans = _plans(rig)
    needed = sum(one.bytes for one in plans)
    place = runs.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    values = {"needed_bytes": int(needed), "free_bytes": int(free)}
    sets = " and ".join(one.name for one in plans) or "nothing"
    text = f"{needed / 1e6:.0f} MB for {sets}, {free / 1e6:.0f} MB free at {place}"
    if free < ROOM * needed:
        return [
            Finding("disk", str(runs), "fail", f"{text}: {ROOM:g} times as much is needed; free some space", values)
        ]
    return [Finding("disk", str(runs), "pass", text, values)]
