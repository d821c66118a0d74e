"""The lab's device with its own processor: stereo from the rig's program outputs to its drivers.

A black box: its filters are raw float files, one for each side and driver, as ``sweetspot export --to brutefir`` writes
them, read when it is first played to; so a rig can name them before they are made.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import from_db

SIDES = ("left", "right")


class DspDevice:
    """Adds a device's driver signals to those of the outputs.

    Parameters
    ----------
    rig
        Its ``[lab.device]`` table describes the device; without it, nothing is added.
    """

    def __init__(self, rig: Description) -> None:
        self._table, self._rig = rig.lab.device, rig
        self._drivers = [d.channel - 1 for d in rig.driver]
        program = rig.interface.program
        self._program = [program.left - 1, program.right - 1] if program else []
        self._taps: NDArray[np.float64] | None = None

    def whole(self, y: NDArray[np.float32]) -> NDArray[np.float32]:
        """All outputs ``(output, samples)`` with the device's drivers driven, over a whole signal."""
        if self._table is None or not np.any(y[self._program]):
            return y
        taps, samples = self._loaded(), y.shape[1]
        size = fft.next_fast_len(samples + taps.shape[-1], real=True)
        late = np.exp(-2j * np.pi * fft.rfftfreq(size) * self._table.latency_samples)
        played = np.einsum("sf,sdf->df", fft.rfft(y[self._program], size), fft.rfft(taps, size)) * late
        top = float(from_db(self._table.clips_dbfs))
        out = y.copy()
        out[self._drivers] += np.clip(fft.irfft(played, size)[:, :samples], -top, top).astype(np.float32)
        return out

    def _loaded(self) -> NDArray[np.float64]:
        """Filters ``(side, driver, tap)``, gain included."""
        if self._taps is None and self._table is not None:
            folder = self._rig.path(self._table.filters)
            read = [[_filter(folder, side, c + 1) for c in self._drivers] for side in SIDES]
            longest = max(len(h) for side in read for h in side)
            padded = [[np.pad(h, (0, longest - len(h))) for h in side] for side in read]
            self._taps = float(from_db(self._table.gain_db)) * np.array(padded)
        assert self._taps is not None
        return self._taps


def _filter(folder: Path, side: str, channel: int) -> NDArray[np.float64]:
    """One filter of the folder, by the output channel of its driver.

    Raises
    ------
    BadInput
        There is none, or several, or it is empty or holds what is no number.
    """
    found = sorted(folder.glob(f"{side}_{channel}_*.f32"))
    if len(found) != 1:
        raise BadInput(
            f"lab.device.filters: {len(found)} files {side}_{channel}_*.f32 in {folder}, one is needed; "
            f"write them with: sweetspot export FILTERSET --to brutefir --out {folder}"
        )
    h = np.fromfile(found[0], dtype="<f4").astype(np.float64)
    if not len(h) or not np.isfinite(h).all():
        raise BadInput(f"lab.device.filters: {found[0]} holds no filter")
    return h
