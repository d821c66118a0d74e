"""Standard errors of exported responses, in a file beside them, so that an import need not estimate them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweetspot.measure.plan import SETS, SetName
from sweetspot.measure.session import Session
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import replacing
from sweetspot.rigs.units import Float

FILE = "errors.npz"
"""Beside exported WAV files: for each set its standard errors and the taps ahead of time zero."""

ERRORS, BEFORE = "SweetspotStandardErrors", "SweetspotTapsBefore"
"""Variables of our SOFA files: standard errors ``(M, R, E, bin)``, and taps ahead of time zero, not in them."""

MOST_BYTES = 4 << 30


@dataclass(frozen=True, slots=True, eq=False)
class StandardErrors:
    """Standard errors of one set of a session.

    Parameters
    ----------
    stderr
        Standard error ``(position, mic, driver, bin)`` of the ``rfft`` of each whole response.
    before
        Taps of those responses ahead of time zero.
    """

    stderr: Float
    before: int


def of(session: Session) -> dict[SetName, StandardErrors]:
    """The errors of every set of a session.

    Raises
    ------
    BadInput
        A set was not measured to its end.
    """
    names = session.sets
    return {n: StandardErrors(session.per_bin(n, "stderr", whole=True), session.responses(n).zero) for n in names}


def write(path: Path, found: Mapping[SetName, StandardErrors]) -> None:
    """Write the errors of some sets, single precision.

    Raises
    ------
    BadInput
        The folder cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, one in found.items():
        arrays[name] = one.stderr.astype(np.float32)
        arrays[f"{name}_before"] = np.array(one.before)
    with replacing(path, ".npz") as part:
        np.savez_compressed(part, allow_pickle=False, **arrays)


def read(path: Path) -> dict[SetName, StandardErrors]:
    """The errors of the sets that a file holds; none where there is no such file.

    Raises
    ------
    BadInput
        The file is damaged, or larger than it can be.
    """
    if not path.is_file():
        return {}
    found: dict[SetName, StandardErrors] = {}
    try:
        with zipfile.ZipFile(path) as parts:
            if sum(p.file_size for p in parts.infolist()) > MOST_BYTES:
                raise BadInput(f"{path}: more than {MOST_BYTES / 1e9:.1f} GB; remove it to have errors estimated")
        with np.load(path, allow_pickle=False) as file:
            for name in SETS:
                if name in file and f"{name}_before" in file:
                    found[name] = StandardErrors(file[name].astype(float), int(file[f"{name}_before"]))
    except (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zipfile.LargeZipFile) as fault:
        raise BadInput(f"{path}: is damaged ({fault}); remove it to have errors estimated") from fault
    return found
