"""The standard streams of a command: a closed stdout is an error, a closed stderr is ignored."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from sweetspot.rigs.errors import OutputTrouble


class Stream:
    """A text stream; everything but writing is the stream's own.

    Parameters
    ----------
    stream
        What is written to; ``None`` where the shell closed it.
    number
        Its file descriptor, which goes nowhere after a failed write, so that the end of the program does not try again.
    strict
        Whether a failed write raises :class:`sweetspot.rigs.errors.OutputTrouble`, or nothing.
    """

    def __init__(self, stream: Any, number: int, *, strict: bool) -> None:
        self._stream, self._number, self._strict = stream, number, strict

    def write(self, text: str) -> int:
        """Write text."""
        try:
            if self._stream is None:
                raise OSError(0, "it is closed")
            return int(self._stream.write(text))
        except (OSError, ValueError) as fault:
            self._failed(fault)
        return len(text)

    def flush(self) -> None:
        """Bring what was written to where it belongs."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except (OSError, ValueError) as fault:
            self._failed(fault)

    def __getattr__(self, name: str) -> Any:
        if self._stream is None and name in ("isatty", "encoding", "errors", "fileno"):
            closed = {"isatty": lambda: False, "encoding": "utf-8", "errors": "replace"}
            return closed.get(name, lambda: self._number)
        return getattr(self._stream, name)

    def _failed(self, fault: Exception) -> None:
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._number)
            os.close(nowhere)
        if self._strict:
            words = getattr(fault, "strerror", None) or str(fault)
            raise OutputTrouble(
                f"the result could not be written to stdout: {words.lower()}; the command's files are complete"
            ) from fault


def guard() -> None:
    """Put both streams under guard, and open what the shell closed, so that no file takes its number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
    sys.stdout = Stream(sys.stdout, 1, strict=True)
    sys.stderr = Stream(sys.stderr, 2, strict=False)
