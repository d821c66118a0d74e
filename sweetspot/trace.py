"""Record of an unexpected error: its traceback in a file, and one line on the screen."""

from __future__ import annotations

import errno
import os
import platform
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sweetspot.rigs.errors import SweetspotError

UNEXPECTED = 70
"""Exit code of an unexpected error (EX_SOFTWARE of sysexits.h)."""

LONGEST = 200

REFUSALS = (
    *(errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENOTDIR, errno.EISDIR),
    *(errno.EEXIST, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ESTALE, errno.EIO),
)
"""What a system answers about a file that was named, whatever the program does."""


def kept(fault: BaseException, now: datetime) -> str:
    """Keep the traceback in a file; returns the line that names it.

    Parameters
    ----------
    fault
        What was raised.
    now
        The time, for the name of the file.
    """
    import traceback  # no command that ends well needs these
    from importlib.metadata import version

    from sweetspot.rigs.storage import write

    name = f"trace-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.log"
    text = "".join(
        [
            f"sweetspot {version('sweetspot')}, Python {platform.python_version()}, {platform.platform()}\n",
            f"{' '.join(sys.argv)}\n\n",
            *traceback.format_exception(fault),
        ]
    )
    words = " ".join(f"{type(fault).__name__}: {fault}".split())
    short = words if len(words) <= LONGEST else f"{words[: LONGEST - 3]}..."
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write(folder / name, text.encode("utf-8", "backslashreplace"))  # names of files need not be UTF-8
        except (OSError, SweetspotError):
            continue
        return f"unexpected error: {short}. This is a bug in sweetspot; its trace is in {folder / name}"
    frames = traceback.extract_tb(fault.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
    return f"unexpected error: {short} ({place}). This is a bug in sweetspot; its trace could not be written"


def _folders() -> Iterator[Path]:
    """Where traces are kept: the user's folder for the state of programs (XDG), else that for temporary files."""
    state = os.environ.get("XDG_STATE_HOME")
    if state or os.environ.get("HOME"):
        yield (Path(state) if state else Path(os.environ["HOME"]) / ".local" / "state") / "sweetspot"
    import tempfile

    try:
        yield Path(tempfile.gettempdir())
    except OSError:
        return


def refused_by_system(fault: OSError) -> str:
    """What the system refuses to do with a file that was named; empty for anything else, which is a fault of ours.

    Parameters
    ----------
    fault
        The exception.
    """
    if not isinstance(fault.filename, str | bytes | os.PathLike) or fault.errno not in REFUSALS:
        return ""
    name = os.fsdecode(fault.filename)
    short = name if len(name) <= 80 else f"{name[:77]}..."
    return f"{short}: {str(fault.strerror).lower()}; give another file or folder"
