"""Summary of a plan and of a session, for the screen and as JSON."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np

from sweetspot.measure.ear_matching import driver_faults
from sweetspot.measure.impulse import ImpulseResponse, elevations_deg, ring_rows
from sweetspot.measure.judge import rub_and_buzz
from sweetspot.measure.listener import CaptureAnalyser
from sweetspot.measure.overlap import cannot, shortest
from sweetspot.measure.plan import OverlapMode, Plan, make
from sweetspot.measure.session import Session
from sweetspot.rigs.errors import command
from sweetspot.rigs.names import many

SHOWN = 12
"""Positions that a dry run names on the screen; all are in its JSON."""


def of_plan(plan: Plan, left: int | None = None, overlap: OverlapMode | None = None) -> tuple[dict[str, Any], str]:
    """Captures, time, size and order of a plan of which ``left`` captures are still to be made (all if not given).

    With ``overlap``, also the shortest possible time: its timing is known after the first position only.
    """
    whole = len(plan.captures) + (plan.closing is not None)
    count = whole if left is None else left
    seconds = len(plan.played) / plan.sweep.fs
    poses = {c.position: c.pose for c in plan.captures}
    data = {
        "set": plan.name,
        "captures": count,
        "captures_of": whole,
        "capture_s": seconds,
        "audio_s": count * seconds,
        "raw_bytes": count * plan.capture_bytes,
        "positions": len(plan.positions),
        "drivers": list(plan.sources.names),
        "mics": [m.name for m in plan.mics],
        "repeats": 1 + max(c.repeat for c in plan.captures),
        "order": [{"position": p + 1, "pose": poses[p].text()} for p in plan.order],
        "closing_position": None if plan.closing is None else plan.closing.position + 1,
    }
    first = [f"  position {p + 1}: {poses[p].text()}" for p in plan.order[:SHOWN]]
    more = [f"  and {len(plan.order) - SHOWN} more"] if len(plan.order) > SHOWN else []
    again = [] if plan.closing is None else [f"  position {plan.closing.position + 1} again, for closure"]
    head = (
        f"{plan.name}: {many(count, 'capture')} of {seconds:.1f} s, {_minutes(count * seconds)} of sound, without "
        f"moves, {count * plan.capture_bytes / 1e6:.1f} MB"
    )
    return data, "\n".join([head, *_at_best(plan, data, overlap), *first, *more, *again])


def _at_best(plan: Plan, data: dict[str, Any], overlap: OverlapMode | None) -> list[str]:
    if overlap in (None, "off"):
        return []
    why = cannot(plan)
    if why:
        return [f"  --overlap {overlap}: not possible: {why}"]
    drivers, repeats = len(plan.sources.names), int(data["repeats"])
    one = drivers * data["capture_s"] / shortest(plan, plan.before + plan.after).gain
    least = (drivers * repeats + 1) * data["capture_s"] + (1 + (len(plan.positions) - 1) * repeats) * one
    data["overlapped_audio_s"] = least
    return [f"  --overlap {overlap}: at least {_minutes(least)}; determined after the first position"]


def overlapped_captures(plan: Plan) -> int | None:
    """Number of captures of a set if all drivers of a position but the first play in one; None if they cannot."""
    if cannot(plan):
        return None
    first = sum(c.position == plan.order[0] for c in plan.captures)
    others = sum(c.position != plan.order[0] and c.source == 0 for c in plan.captures)
    return first + others + 1 + int(plan.closing is not None)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def of_session(session: Session) -> tuple[dict[str, Any], str]:
    """Shapes, SNR, rejected captures with reasons, and closure of each set."""
    sets: dict[str, Any] = {}
    lines = []
    for name in session.sets:
        r = session.responses(name, whole=True)
        summaries = session.attempt_summaries(name)
        excluded = [a for a in summaries if a.excluded]
        closure = session.closure(name)
        drift = session.clocks(name)
        how, origin = session.overlap(name), session.origin(name)
        ppm = float(np.median(drift)) if any(drift) else None
        sets[name] = {
            "shape": r.h.shape,
            "snr_db_min": float(r.snr_db.min()),
            "captures_used": sum(a.used for a in summaries),
            "captures_made": sum(a.made for a in summaries),
            "excluded": [a.to_dict() for a in excluded],
            "closure": None if closure is None else closure.to_dict(),
            "clock_ppm": ppm,
            "overlap": None if how is None else how.to_dict(),
            "imported": None if session.is_estimated(name) else origin or None,
            "estimated": origin if session.is_estimated(name) else None,
        }
        lines.append(
            f"{name}: {many(r.h.shape[0], 'position')} x {many(r.h.shape[1], 'mic')} x "
            f"{many(r.h.shape[2], 'driver')}, "
            f"SNR at least {float(r.snr_db.min()):.0f} dB, "
            + (
                f"{'estimated' if session.is_estimated(name) else 'imported'} from {origin}"
                if origin
                else f"used {sets[name]['captures_used']} of {sets[name]['captures_made']} captures"
            )
        )
        rings = np.unique(np.round(elevations_deg(r.positions))) if name == "polar" else np.zeros(1)
        if len(rings) > 1:
            sets[name]["elevations_deg"] = rings.tolist()
            lines.append(_rings(r))
        lines += [f"  {a.text()}" for a in excluded]
        lines += [] if how is None else [f"  {how.text()}"]
        if ppm is not None:
            lines.append(f"  the inputs' clock ran {ppm:+.2f} ppm off the outputs': corrected in every response")
        lines += [] if closure is None else [f"  {closure.text()}"]
        faults = (*driver_faults(r, session.rig()), *_buzzing(session)) if name == "ears" else ()
        sets[name]["driver_faults"] = list(faults)
        lines += [f"  WARNING: {fault}" for fault in faults]
    return {"unit": session.serial, "sets": sets}, "\n".join(lines)


def next_step(session: Session, rig: str, run: Path) -> str:
    """The command that follows on a session that was measured, to be typed as it stands; or what to state in rig files.

    Parameters
    ----------
    rig
        Rig file or name, as typed.
    """
    if session.has_templates and not session.sets:
        return f'state templates = "{session.path.resolve().as_posix()}" under [ears] in the rig files of this head'
    wanted = ("ears", "polar") if session.sets else ("ears",)
    missing = [name for name in wanted if name not in session.sets]
    if not missing:
        return command("calibrate", run)
    known = f"--unit {shlex.quote(session.serial)} --run {shlex.quote(str(run))}"
    return f"{command(f'measure {missing[0]}', Path(rig))} {known}"


def _buzzing(session: Session) -> tuple[str, ...]:
    """A sentence for each driver that rubs or rattles, by the raw captures where they are."""
    if not session.holds_raw("ears"):
        return ()
    rig = session.rig()
    wanted = make(rig, "ears")
    listener, ears = CaptureAnalyser.of(rig, wanted), range(len(wanted.mics))
    out = []
    for d, driver in enumerate(rig.driver):
        one = listener.rub_and_buzz(session, wanted.order[: rub_and_buzz.POSITIONS], d, ears)
        if one and one.worst and one.worst[1] > rub_and_buzz.MOST_DB:
            hz, level_db = one.worst
            out.append(
                f"driver {driver.name} rubs or rattles: it buzzes by {level_db:.0f} dB at {hz:.0f} Hz re the sweep's "
                f"mean ({rub_and_buzz.MOST_DB:g} dB are allowed); look for loose parts and cables that touch its cone"
            )
    return tuple(out)


def _rings(polar: ImpulseResponse) -> str:
    """What of a polar set with several elevations is used."""
    up, rows = elevations_deg(polar.positions), ring_rows(polar.positions)
    return (
        f"  elevations {up.min():.0f} to {up.max():.0f} degrees: filters, figures and verification use the ring of "
        f"{many(len(rows), 'direction')} at {up[rows].mean():.0f} degrees; SOFA files and exports hold all"
    )
