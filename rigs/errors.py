"""The errors that a user sees: each carries one message and the exit code of the command line."""

from __future__ import annotations


class SweetspotError(Exception):
    """Base of every error that is told in one message."""

    exit_code = 1


class BadInput(SweetspotError):
    """Wrong use or wrong input: a file, a value, a name."""

    exit_code = 2


class OutputTrouble(SweetspotError):
    """The result could not be written to stdout: neither a verdict nor wrong use."""

    exit_code = 70


class MissingDevice(BadInput):
    """A device that is named is not there: it may be switched off, and the name may be right."""

    exit_code = 3


class HardwareTrouble(SweetspotError):
    """A device failed, vanished or answered wrongly; what landed is kept."""

    exit_code = 3


class TooLoud(HardwareTrouble):
    """Something was about to be played above the rig's ceiling; nothing was."""


class Held(HardwareTrouble):
    """Captures stayed bad after every repeat: the session waits and can be resumed."""
