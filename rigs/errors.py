"""Errors for users, each with one message and an exit code, and the command lines that messages give."""

from __future__ import annotations

import shlex
from pathlib import Path


class SweetspotError(Exception):
    """Base of every error with one message for the user."""

    exit_code = 1


class BadInput(SweetspotError):
    """Wrong use or wrong input: a file, a value, a name."""

    exit_code = 2


class Unfinished(BadInput):
    """A session whose measurement was interrupted: it is to be finished, or made anew."""


class OutputTrouble(SweetspotError):
    """The result could not be written to stdout: neither a verdict nor wrong use."""

    exit_code = 70


class MissingDevice(BadInput):
    """A named device is missing: it may be switched off, or the name is wrong."""

    exit_code = 3


class HardwareTrouble(SweetspotError):
    """A device failed, vanished or answered wrongly; captures so far are kept."""

    exit_code = 3


class TooLoud(HardwareTrouble):
    """A signal above the rig's ceiling or its SPL limit was refused.

    A level that was asked for and is too high is wrong input (exit code 2): it is not played. Where a capture passed
    the limit although its level was known to keep it, the rig has changed, as when an amplifier is turned up (3).

    Parameters
    ----------
    text
        The signal and the excess.
    remedy
        What to do; left out where the program lowers the level by itself.
    over_db
        Excess over the SPL limit, dB, where a trial found it.
    played
        Whether it was found in a capture.
    """

    exit_code = BadInput.exit_code

    def __init__(self, text: str = "", over_db: float | None = None, *, played: bool = False, remedy: str = "") -> None:
        super().__init__(f"{text}. {remedy}" if remedy else text)
        self.over_db, self.played, self.excess = over_db, played, text
        if played:
            self.exit_code = HardwareTrouble.exit_code


class Held(HardwareTrouble):
    """Captures stayed bad after every repeat: the session waits and can be resumed.

    Parameters
    ----------
    text
        What went wrong.
    remedy
        How to go on; a line leaves it out, where the unit is repeated.
    """

    def __init__(self, text: str = "", remedy: str = "") -> None:
        super().__init__(f"{text}. {remedy}" if remedy else text)
        self.trouble = text


class DiskFull(Held):
    """The disk has no room for a file of a run.

    Parameters
    ----------
    path
        The file.
    text
        What is full.
    """

    def __init__(self, path: Path = Path(), text: str = "") -> None:
        free = f"ree some space, then: {again(path)}"
        super().__init__(text, f"F{free}" if "verify" in path.name else f"Captures so far are kept; f{free}")


def again(path: Path) -> str:
    """The command line that continues the writing of a run's file, as a message gives it to be typed."""
    return command("verify" if "verify" in path.name else "measure resume", path.parent)


def command(words: str, run: Path) -> str:
    """A command line on a run, to be typed as it stands."""
    return f"sweetspot {words} {shlex.quote(str(run))}"
