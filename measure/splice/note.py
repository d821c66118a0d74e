"""Record of a splice beside its samples: origin of its parts, and the resulting standard error."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sweetspot.rigs.names import listed
from sweetspot.rigs.units import Float

WIDE_BINS = 5.0
"""Number of bins below which their noise is not separated from the neighbours'."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a capture that was left out: which run (from 1), from when to when (s), between which Hz."""

    run: int
    start_s: float
    end_s: float
    low_hz: float
    high_hz: float

    def text(self) -> str:
        """Such as ``run 1 without 1.20 to 1.61 s, 110 Hz to 5300 Hz``."""
        when = f"{self.start_s:.2f} to {self.end_s:.2f} s"
        return f"run {self.run} without {when}, {self.low_hz:.0f} to {self.high_hz:.0f} Hz"


@dataclass(frozen=True, slots=True, eq=False)
class SpliceNote:
    """Record of a splice beside its samples.

    Parameters
    ----------
    runs
        Captures that it was made of, in their order at this place, from 1; a single one as it is.
    f
        Frequencies ``(band,)`` of :attr:`stderr`, Hz.
    stderr
        Standard error ``(source, mic, band)`` of the ``rfft`` of the kept responses, Pa/FS, from the noise of the parts
        that were used.
    harmonics
        The same ``(source, order, mic, band)`` at most, of what stands where harmonics are read, for each of
        :data:`sweetspot.measure.distortion.ORDERS`.
    column_s
        Time between the columns of the map of weights, s.
    """

    runs: tuple[int, ...]
    parts: tuple[Part, ...]
    f: Float
    stderr: Float
    harmonics: Float
    column_s: float

    def text(self) -> str:
        """Such as ``spliced of runs 1 and 2: run 1 without ...; run 2 without ...``, or that one was kept as it is."""
        if len(self.runs) == 1:
            return f"run {self.runs[0]} kept unspliced: its disturbance is outside all that is read, or far below it"
        parts = "; ".join(p.text() for p in self.parts) or "weighted by their noise"
        return f"spliced of runs {listed([str(r) for r in self.runs])}: {parts}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: runs and parts."""
        return {"runs": list(self.runs), "parts": [asdict(p) for p in self.parts]}

    def over(self, source: int, stderr: Float, fs: int, band: tuple[float, float]) -> Float:
        """Standard errors ``(mic, bin)`` of a source's response: ours in the place of those of one capture.

        Where a bin is so wide that bands share it, and outside the judged band, no less than that of one capture.
        """
        f = np.linspace(0.0, fs / 2.0, stderr.shape[-1])
        ours = self._at(f, self.stderr[source])
        known = (f >= max(band[0], WIDE_BINS * f[1])) & (f <= band[1])
        return np.where(known, ours, np.maximum(ours, stderr))

    def under_harmonics(self, f: Float) -> Float:
        """Power ``(order, mic, frequency)`` as upper bound of the noise at the first source's harmonics."""
        return np.array([self._at(f, rows) for rows in self.harmonics[0]]) ** 2

    def _at(self, f: Float, rows: Float) -> Float:
        at = np.log(np.maximum(f, 1e-3))
        return np.array([np.interp(at, np.log(self.f), row) for row in rows])
