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
    """A signal above the rig's ceiling or its SPL limit was refused; it was not played at that level.

    Parameters
    ----------
    text
        What, by how much, and what to do.
    over_db
        Excess over the SPL limit, dB, where a trial found it.
    """

    def __init__(self, text: str = "", over_db: float | None = None) -> None:
        super().__init__(text)
        self.over_db = over_db


class Held(HardwareTrouble):
    """Captures stayed bad after every repeat: the session waits and can be resumed."""
