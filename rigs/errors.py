"""Errors for users: each with one message and the exit code of the command line."""

from __future__ import annotations


class SweetspotError(Exception):
    """Base of every error with one message for the user."""

    exit_code = 1


class BadInput(SweetspotError):
    """Wrong use or wrong input: a file, a value, a name."""

    exit_code = 2


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
        The signal, the excess, and the remedy.
    over_db
        Excess over the SPL limit, dB, where a trial found it.
    played
        Whether it was found in a capture.
    """

    exit_code = BadInput.exit_code

    def __init__(self, text: str = "", over_db: float | None = None, *, played: bool = False) -> None:
        super().__init__(text)
        self.over_db, self.played = over_db, played
        if played:
            self.exit_code = HardwareTrouble.exit_code


class Held(HardwareTrouble):
    """Captures stayed bad after every repeat: the session waits and can be resumed."""
