"""Runs the pre-flight check on an open rig: plays the combs, moves the stage, looks at the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from measure import plan
from measure.preflight import comb, expect, findings, heard, patch
from measure.preflight.calibration import deviates
from measure.preflight.calibrator import changed_db
from measure.preflight.finding import Finding, Outcome
from measure.preflight.findings import Told
from measure.preflight.heard import Heard, Loop
from measure.preflight.reference import Reference, expected
from rigs.describe import EARS, Description
from rigs.errors import BadInput, HardwareTrouble
from rigs.layout import Pose
from rigs.protocol import Rig, check_ceiling
from rigs.units import db

QUIETER_DB = 12.0
"""Each comb's peak under the session's sweep: they all play at once."""

LOOP_BAND = (20.0, 0.45)
"""Of the loopback's comb: Hz, and part of the sampling rate."""

TURNS_DEG = (57.0, -57.0, 31.0, -31.0, 17.0, -17.0)
"""Test turns, the first that the limits allow: no symmetry of a device brings it onto itself."""

SENSITIVITY_DB = 1.0
"""By how much a rig's sensitivity may differ from the maker's file without a note."""

ROOM = 2.0
"""Room on the disk, over what the plan will write."""


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


def check(
    rig: Rig,
    watched: Description,
    *,
    runs: Path,
    move: bool = True,
    level_dbfs: float | None = None,
    reference: Reference | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> tuple[list[Finding], Told]:
    """Check a rig.

    Parameters
    ----------
    rig
        Open devices.
    watched
        The rig with the microphones to look at, see :func:`only`.
    runs
        Where sessions will be written.
    move
        Whether the stage may move.
    level_dbfs
        Peak of each comb; 12 dB under the session's sweep if not given.
    reference
        What was heard at an earlier check, in place of what the rig's geometry says.
    step
        Called after each piece of work.

    Raises
    ------
    HardwareTrouble
        The interface failed. A stage that fails is a finding.
    """
    whole = rig.description
    bands = [d.band_hz for d in whole.driver] + [(LOOP_BAND[0], LOOP_BAND[1] * whole.fs)]
    peak = findings.allowed_peak(whole, level_dbfs, QUIETER_DB)
    signal = comb.combs(bands, whole.fs, peak)
    y = np.zeros((rig.interface.outputs, signal.y.shape[1]), dtype=np.float32)
    y[[d.channel - 1 for d in whole.driver] + [whole.interface.loopback.out - 1]] = signal.y
    check_ceiling(y, whole.limits.ceiling, "pre-flight check")
    about_stage: list[Finding] = []
    found: list[tuple[comb.Matrix, Loop, Heard]] = []
    poses: list[Pose] = []
    try:
        for pose in steps(whole, move, rig.stage.axes):
            trouble = _moved(rig, pose) if move else None
            if trouble is not None:
                about_stage.append(trouble)
                step("the stage")
                if poses:
                    continue
            recording = rig.interface.capture(y).x
            poses.append(pose)
            found.append(_listened(signal, recording, whole))
            step("listened")
        if move and len(poses) > 1 and (trouble := _moved(rig, Pose())) is not None:
            about_stage.append(trouble)
    except KeyboardInterrupt:
        rig.stage.stop()
        raise
    told = _told(watched, poses, found, reference)
    about_stage += _about_stage(rig, told, poses, move, bool(about_stage))
    return [*findings.all_of(told), *about_stage, *_corrections(watched), *_disk(watched, runs)], told


def _moved(rig: Rig, pose: Pose) -> Finding | None:
    """Move what the stage can move; what went wrong, if anything did."""
    if not rig.stage.axes:
        return None
    try:
        rig.stage.move(pose)
    except (HardwareTrouble, BadInput) as trouble:
        return Finding("stage", rig.description.stage.driver, "fail", str(trouble).removeprefix("stage: "))
    return None


def _listened(
    signal: comb.Comb, recording: np.typing.NDArray[np.float32], rig: Description
) -> tuple[comb.Matrix, Loop, Heard]:
    m = comb.matrix(signal, recording)
    drivers = len(rig.driver)
    loop = heard.loop(m, drivers, np.asarray(signal.y[-1], dtype=float), recording, rig.interface.loopback.in_ - 1)
    return m, loop, heard.heard(m, drivers, loop.latency)


def _told(
    rig: Description,
    poses: list[Pose],
    found: list[tuple[comb.Matrix, Loop, Heard]],
    reference: Reference | None,
) -> Told:
    matrices, loops, heards = (list(part) for part in zip(*found, strict=True))
    names = [m.name for m in rig.mic]
    inputs = [m.channel - 1 for m in rig.mic]
    ears = (names.index(EARS[0]), names.index(EARS[1])) if set(EARS) <= set(names) else None
    signs = (1, -1, 0) if len(poses) > 1 else (1,)
    expectations = {
        s: expected(rig, _as_if(poses, s), reference) if reference else expect.from_geometry(rig, _as_if(poses, s))
        for s in signs
    }
    enough = all(one.input is not None for one in loops) and heards[0].there[inputs].any()
    verdict = patch.find(heards, inputs, ears, expectations) if enough else None
    name: plan.SetName = "ears" if rig.ears is not None and ears is not None else "polar"
    wanted = plan.make(rig, name) if (rig.ears if name == "ears" else rig.polar) is not None else None
    rate = wanted.sweep.rate if wanted else rig.sweep.seconds / np.log(rig.sweep.band_hz[1] / rig.sweep.band_hz[0])
    loudest = float(np.max(np.abs(wanted.played))) if wanted else findings.allowed_peak(rig, None, 0.0)
    window = (rig.sweep.before_ms + rig.sweep.after_ms) / 1000.0
    return Told(
        rig, heards, loops, matrices, expectations[1], verdict, loudest, float(rate), window, reference is not None
    )


def _as_if(poses: list[Pose], turned: int) -> list[Pose]:
    """The poses as they would be if the stage had turned as asked, the other way, or not at all."""
    return [replace(p, turn=turned * p.turn, yaw=turned * p.yaw) for p in poses]


def _about_stage(rig: Rig, told: Told, poses: list[Pose], move: bool, failed: bool) -> list[Finding]:
    """Whether the stage answers, moves, and turns the way that the arrivals tell."""
    stage = rig.description.stage
    if failed:
        return []
    if not rig.stage.axes:
        return [Finding("stage", stage.driver, "pass", "moves nothing by itself: moves are asked of the operator")]
    if not move:
        return [Finding("stage", stage.driver, "untold", "answers; it was not moved (--no-move)")]
    if len(poses) < 2:
        return [Finding("stage", stage.driver, "pass", "answers, and stands where it was sent")]
    field = "turn" if stage.turns == "device" else "yaw"
    degrees = float(np.degrees(getattr(poses[1], field)))
    if told.patch is None:
        return [Finding("stage", stage.driver, "pass", f"went {degrees:g} degrees and back by its own account")]
    values = {"turned_deg": degrees, "heard": told.patch.best.turned}
    said = {
        1: f"went {degrees:g} degrees and back, and is heard to",
        0: f"says that it went {degrees:g} degrees, but nothing is heard to have turned: is it coupled?",
        -1: f"was sent {degrees:g} degrees and is heard to turn the other way: turn its direction round",
    }[told.patch.best.turned]
    return [Finding("stage", stage.driver, "pass" if told.patch.best.turned == 1 else "fail", said, values)]


def _corrections(rig: Description) -> list[Finding]:
    """What the microphones' correction files hold; one that cannot be read is refused like any other bad input."""
    found = []
    for mic in rig.mic:
        own, correction = deviates(rig, mic, 1000.0)
        if correction is None:
            continue
        low, high = correction.points[[0, -1], 0]
        said = f"{len(correction.points)} points, {low:g} to {high:g} Hz, {float(db(own)):+.1f} dB at 1 kHz"
        values = {"points": len(correction.points), "from_hz": float(low), "to_hz": float(high)}
        outcome: Outcome = "pass"
        if low > rig.sweep.band_hz[0] or high < rig.sweep.band_hz[1]:
            outcome, said = "warn", f"{said}: less than sweep.band_hz; beyond its ends it is held"
        if correction.sensitivity is not None:
            off = changed_db(mic.sensitivity_mv_per_pa, correction.sensitivity.mv_per_pa)
            if abs(off) > SENSITIVITY_DB:
                outcome = "warn"
                said += f"; the rig's sensitivity is {off:+.1f} dB against the file's ({correction.sensitivity.said()})"
        found.append(Finding("correction", mic.name, outcome, said, values))
    return found


def _disk(rig: Description, runs: Path) -> list[Finding]:
    """Whether what the plans will write fits on the disk."""
    there = {"ears": rig.ears is not None and rig.ear_mics, "polar": rig.polar is not None and rig.polar_mics}
    sets = [name for name in plan.SETS if there[name]]
    needed = sum(plan.make(rig, name).bytes for name in sets)
    place = runs.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    values = {"needed_bytes": int(needed), "free_bytes": int(free)}
    said = f"{needed / 1e6:.0f} MB for {' and '.join(sets) or 'nothing'}, {free / 1e6:.0f} MB free at {place}"
    if free < ROOM * needed:
        return [Finding("disk", str(runs), "fail", f"{said}: {ROOM:g} times as much is needed; make room", values)]
    return [Finding("disk", str(runs), "pass", said, values)]
