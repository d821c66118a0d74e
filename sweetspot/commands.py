"""Commands of the top level with group and help line, to show help without loading a room."""

from __future__ import annotations

from dataclasses import dataclass

SETTING_UP, MEASURING, CALIBRATING, LISTENING, MANY = (
    "Begin",
    "Measure",
    "Calibrate and verify",
    "Process and deploy",
    "Many units",
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the top level.

    Parameters
    ----------
    rooms
        Modules with the ``mount`` that adds it, in the order in which they are mounted.
    group
        Heading of the help that it stands under.
    help
        The first line of its help.
    work
        Module that does it, apart from its options, and loads what that takes by its function ``ready``; empty where
        both are one.
    """

    rooms: tuple[str, ...]
    group: str
    help: str
    work: str = ""


COMMANDS = {
    "demo": Command(
        ("calibrate",),
        SETTING_UP,
        "Run the whole loop for one unit on the virtual lab: measure, calibrate, verify, report.",
    ),
    "rig": Command(
        ("rigs", "measure"), SETTING_UP, "Devices, checks and calibrations, and the virtual lab as a sound card."
    ),
    "measure": Command(("rigs", "measure", "calibrate.quick"), MEASURING, "Measure driver-to-ear and polar responses."),
    "sofa": Command(
        ("rigs", "measure"),
        MEASURING,
        "Write AES69 files: ears.sofa (SingleRoomMIMOSRIR), polar.sofa (GeneralFIR-E), directivity.sofa (directivity).",
    ),
    "calibrate": Command(
        ("calibrate.command",),
        CALIBRATING,
        "Fit the filters of a unit from its session: session.h5 to filterset.h5.",
        "sweetspot.calibrate.calibrating",
    ),
    "verify": Command(
        ("calibrate.command",),
        CALIBRATING,
        "Play sweeps through the processor, verify at held-out positions, and give a verdict.",
        "sweetspot.calibrate.verifying",
    ),
    "report": Command(("calibrate.command",), CALIBRATING, "Write a self-contained report page of a run: report.html."),
    "process": Command(
        ("processor",),
        LISTENING,
        "Process a stereo file: upmix, SPL limiter, filter matrix, guard; one channel per driver.",
        "sweetspot.processor.processing",
    ),
    "play": Command(
        ("processor",),
        LISTENING,
        "Play live through the filters: a file, an input, or another program; keys for volume, bypass, A/B, walk.",
    ),
    "export": Command(
        ("processor", "processor.export.command"), LISTENING, "Write the filters as files that another engine can load."
    ),
    "line": Command(
        ("calibrate", "calibrate.line"),
        MANY,
        "Calibrate units on a line: scan, capture, fit, export, verify at the monitors, record, next.",
    ),
    "fleet": Command(("calibrate.fleet",), MANY, "Fit and verify many units; statistics and limits over them."),
}
"""In the order of work."""

ALONE: dict[tuple[str, ...], tuple[str, ...]] = {
    ("rig", "devices"): ("rigs",),
    ("rig", "lab"): ("rigs",),
    ("measure", "show"): ("rigs", "measure"),
    ("measure", "export"): ("rigs", "measure"),
}
"""Commands of two words that need fewer rooms than their group."""

WHOLE_ALWAYS, WHOLE_IF_NEWER = ("calibrate",), ("report", "process", "play", "export")
"""Commands that ask for the session's SHA-256 as a whole soon after their modules are loaded; and those that ask for it
if the session is newer than the filters."""

LIMITED = ("process",)
"""Commands that need the limits of the rig beside their filters, which the copy that reads their words reads too."""


def rooms_of(words: list[str]) -> tuple[str, ...]:
    """The rooms that a command line needs; none where its first word is not known here."""
    if rooms := ALONE.get(tuple(words[:2])):
        return rooms
    return COMMANDS[words[0]].rooms if words and words[0] in COMMANDS else ()
