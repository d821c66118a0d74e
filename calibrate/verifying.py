"""What ``sweetspot verify`` does: a verdict on a unit, measured through a processor or from recordings."""

from __future__ import annotations

import shlex
import sys
from contextlib import nullcontext
from pathlib import Path

from sweetspot.calibrate import design as designs
from sweetspot.calibrate import run
from sweetspot.calibrate import verify as verification
from sweetspot.calibrate.verify import OWN
from sweetspot.measure import folder
from sweetspot.measure.session import Session
from sweetspot.processor.run_folder import limited_by_rig
from sweetspot.rigs.errors import BadInput, HardwareTrouble, command
from sweetspot.rigs.load import open_rig, utc_now
from sweetspot.rigs.names import utc_text
from sweetspot.rigs.progress import operator, result, say, tracked
from sweetspot.rigs.protocol import Operator
from sweetspot.rigs.rig_file import with_faults
from sweetspot.rigs.storage import alone, hash_ahead

FAILED = 1
"""Exit code of a verdict that is no pass."""


def ready() -> None:
    """Load what every verification needs, while its words are read."""
    for step in ("fitted_of", "ListenerAhead", "measure_verification", "judge"):
        getattr(run, step)


def verify(
    run_folder: Path,
    *,
    limits_file: Path | None,
    kept: Path | None,
    serial: str | None,
    pattern: str | None,
    through: str,
    upmixes: bool,
    exported: Path | None,
    runs: str,
    again: bool,
    is_golden: bool,
    shift: float,
    plain: bool,
    stimuli: Path | None,
    recordings: Path | None,
    count: int | None,
    yes: bool,
    delay: float,
    fault: list[str] | None,
    as_json: bool,
) -> int:
    """The command with its options, which are explained there; returns the exit code.

    Raises
    ------
    BadInput
        Files or options that do not go together, or cannot be used.
    HardwareTrouble
        A device failed.
    """
    if count is not None:
        if kept or is_golden or stimuli or recordings or through != OWN:
            raise BadInput("--places verifies the bank alone: omit --records, --golden, --stimuli, --through")
        return _verify_places(run_folder, count, operator(yes, delay), fault, as_json)
    limits = designs.read_limits(limits_file)
    with Session.read(folder.session_file(run_folder)) as session:
        unit, rig = session.serial, session.rig().name
    if serial is not None:
        run.records.check_serial(serial, pattern, unit, run_folder)
    if is_golden and not kept:
        raise BadInput("--golden needs --records DIR: the folder of the golden unit's record")
    if kept:
        run.records.check_folder(kept)
    known = run.golden.read(kept) if kept else None
    if is_golden:
        run.golden.check_same(known, unit, rig, through)
    elif kept:
        run.golden.check_shift(kept, known, shift, utc_now(), unit)
    if kept and not (again or is_golden):
        run.records.check_new(kept, unit)
    if (stimuli or recordings) and through != OWN:
        raise BadInput(f"--stimuli and --recorded are for the built-in engine; --through {through} needs the rig")
    if stimuli:
        files = run.write_stimuli(run_folder, run.fitted_of(run_folder), stimuli)
        where = (
            f"{stimuli}: {len(files) - 1} files to play and {files[-1].name}: the list of positions and file names to "
            f"record"
        )
        then = f"then: sweetspot verify {run_folder} --recorded DIR"
        result({"stimuli": [str(f) for f in files]}, f"{where}\n{then}", as_json=as_json)
        return 0
    if recordings:
        verdict = _from_recordings(run_folder, recordings, limits)
    else:
        verdict = verified(run_folder, yes, delay, limits, fault, through=(through, upmixes, runs), exported=exported)
    data, passed = run.summary(verdict) | {"changed_since": named(run.changes(run_folder))}, verdict.passed
    lines = run.records.operator(verdict, unit, golden=is_golden) if plain else verification.verdict_text.lines(verdict)
    if kept and is_golden:
        new, drifts = run.golden.compared(known, verdict, unit, rig, utc_now())
        if new:
            run.golden.write(kept, new)
        passed = new is not None and not new.drifted
        data["golden"] = {"kept": new is not None, "drifted": list(new.drifted) if new else []}
        lines = f"{lines}\n{run.golden.text(known, new, drifts, kept)}"
    if kept:
        about = {"verified_utc": utc_text(utc_now()), "unit": unit, "rig": rig}
        row = run.records.record(verdict, about | {"run": str(run_folder)})
        written = run.records.keep(kept, row, again=again or is_golden)
        data["records"] = [str(p) for p in written]
    result(data, lines, as_json=as_json)
    return 0 if passed else FAILED


def _verify_places(here: Path, count: int, ask: Operator, faults: list[str] | None, as_json: bool) -> int:
    """Verify a bank, print the result and return the exit code."""
    from sweetspot.calibrate.report import bank_map  # matplotlib is slow to import

    with Session.read(folder.session_file(here)) as session:
        description, serial = with_faults(session.rig(), faults), session.serial
    with open_rig(description, serial=serial) as rig:
        found = run.verify_places(here, rig, count, utc_now(), ask=ask, track=tracked)
    bank = run.bank_figures(here)
    assert bank is not None
    picture = bank_map(*bank, found.places, here / "places.png")
    result({**found.to_dict(), "picture": str(picture)}, f"{found.text}\n{picture}", as_json=as_json)
    return 0 if found.passed else FAILED


def named(changes: tuple[str, ...]) -> list[str]:
    """Print a note on each change; returns them."""
    for change in changes:
        say(f"Changed since: {change}")
    return list(changes)


def verified(
    here: Path,
    yes: bool,
    delay: float,
    limits: designs.Limits,
    faults: list[str] | None = None,
    *,
    through: tuple[str, bool, str] = (OWN, False, ""),
    exported: Path | None = None,
) -> verification.Verification:
    """A verification of a run on its rig, measured again where the verdict is grey and the limits say so.

    Parameters
    ----------
    here
        Run folder.
    yes, delay
        Whether moves are not waited for, and how many seconds are left for each.
    limits
        Of the verdict.
    faults
        What goes wrong on the virtual lab.
    through
        Name of the deployed processor, whether it upmixes, and whose export a device runs.
    exported
        Folder of an export to be played.

    Raises
    ------
    HardwareTrouble
        A device failed; an earlier verification still stands.
    """
    fitted = run.fitted_of(here)
    with Session.read(folder.session_file(here)) as session:
        description = with_faults(session.rig(), faults)
    name, upmixes, runs = through
    filters = limited_by_rig(here, fitted.filters)[0]
    processor = verification.processor.choose(name, filters, description, upmixes=upmixes, exported=exported, runs=runs)
    with (
        run.ListenerAhead(here, fitted) if processor.timed else nullcontext() as listener,
        alone(here),
        open_rig(description, serial=fitted.filters.unit_serial) as rig,
    ):
        _hash_ahead(here)
        for left in reversed(range(1 + int(limits.repeats))):
            try:
                now, ask = utc_now(), operator(yes, delay)
                run.measure_verification(
                    here, rig, fitted, now, ask=ask, track=tracked, processor=processor, listener=listener
                )
            except (KeyboardInterrupt, HardwareTrouble):
                if fitted.filters.held_by:
                    say(f"The filters are {fitted.filters.held_text}")
                say(
                    f"A verification is one session and starts over; an earlier one is kept. To repeat it: "
                    f"{_again(here)}"
                )
                raise
            verdict = run.judge(here, fitted, limits, listener)
            if verdict.verdict != "grey" or not left:
                break
            say("Inconclusive, measuring again: " + "; ".join(verdict.reasons))
    return verdict


def _hash_ahead(here: Path) -> None:
    """Hash beside the captures what is read after them: the session for the note on changes, and the verification whose
    figures are kept aside."""
    hash_ahead(folder.session_file(here))
    hash_ahead(here / run.VERIFIED, whole=False, content=True)


def _again(here: Path) -> str:
    """The command line of a verification, to be typed as it stands."""
    typed = sys.argv[1:]
    return f"sweetspot {shlex.join(typed)}" if typed[:1] == ["verify"] else command("verify", here)


def _from_recordings(here: Path, recordings: Path, limits: designs.Limits) -> verification.Verification:
    """A verification by recordings of its sweeps."""
    fitted = run.fitted_of(here)
    with run.ListenerAhead(here, fitted) as listener, run.recorded_rig(here, fitted, recordings) as rig:
        _hash_ahead(here)
        try:
            run.measure_verification(
                here, rig, fitted, utc_now(), ask=operator(True, 0.0), track=tracked, listener=listener
            )
        except HardwareTrouble as fault:
            reason = run.refused_recording(here)
            raise BadInput(f"{fault}{f': {reason}' if reason else ''}; record it again") from fault
        return run.judge(here, fitted, limits, listener)
