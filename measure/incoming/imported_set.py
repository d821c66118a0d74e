"""An imported set of responses: its metadata, time zero, and noise estimate."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.plan import SetName
from sweetspot.measure.session import LOUDEST_PA
from sweetspot.measure.smooth import SMOOTH_BINS, running_mean
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float

RELATIVE = "relative"
"""Unit of responses with unknown absolute level: figures in pascal or dB SPL are not valid for them."""

BEFORE_S = 0.02
"""Kept ahead of time zero, s, as a measured session has it."""

STRETCHES, FADED = 8, 2
"""The later half of a response is cut into these stretches to estimate its noise; the last ones are often faded out."""

FLOOR = 1e-6
"""Smallest standard error re the rms of the spectrum, for simulated responses."""

FARTHEST_M = 30.0
"""Largest distance of a polar microphone, m."""

MOST_BYTES = 4 << 30
"""Largest set that is read, bytes in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class ImportedSet:
    """Responses of one set as a file or a folder gives them.

    Parameters
    ----------
    kind
        ``"ears"`` or ``"polar"``.
    h
        ``(position, mic, driver, tap)``.
    fs
        Sampling rate, Hz.
    zero
        Tap of time zero; ``None`` if the files do not state the time of emission.
    positions
        Table of dtype :data:`measure.impulse.POSITION`.
    mics, drivers
        Names in the order of the axes.
    at
        Places of the drivers, ``(driver, 3)`` m from the middle of the device; ``None`` where they are not known.
    distance_m
        From the middle of the device to the head's nominal place, or to the polar microphone.
    unit
        ``"Pa/FS"``, or :data:`RELATIVE`.
    band
        Judged band, Hz; ``None`` to take what the rate and the length allow.
    errors
        Standard errors ``(position, mic, driver, bin)`` of the ``rfft`` of the responses; ``None`` to estimate them.
    step
        Of the samples of its files, which adds noise of ``step / sqrt(12)`` even where they are zero; 0 for floats.
    before
        Taps ahead of time zero in the session that was exported, so that errors belong to the same bins; ``None`` for
        :data:`BEFORE_S`.
    closure
        What the file kept of how the set closes on itself, as JSON; empty for none.
    rig_text
        The rig file that the set was measured with, if it came along; empty for none.
    notes
        What is unknown or was assumed, one sentence each.
    chosen
        The one of the notes that states which uses of positions (design, score) were chosen; empty if none was.
    """

    kind: SetName
    h: Float
    fs: int
    zero: int | None
    positions: NDArray[np.void]
    mics: tuple[str, ...]
    drivers: tuple[str, ...]
    at: Float | None
    distance_m: float
    unit: str = RELATIVE
    band: tuple[float, float] | None = None
    errors: Float | None = None
    step: float = 0.0
    before: int | None = None
    closure: str = ""
    rig_text: str = ""
    notes: tuple[str, ...] = ()
    chosen: str = ""

    def __post_init__(self) -> None:
        wanted = (len(self.positions), len(self.mics), len(self.drivers))
        if self.h.shape[:3] != wanted:
            raise BadInput(
                f"{self.kind}: responses of shape {self.h.shape[:3]}, but {wanted} places, microphones, "
                "drivers are named"
            )
        if not np.isfinite(self.h).all():
            where = [int(i) for i in np.argwhere(~np.isfinite(self.h))[0]]
            raise BadInput(
                f"{self.kind}: position {where[0] + 1}, {self.mics[where[1]]}, {self.drivers[where[2]]}: "
                f"sample {where[3]} is not a number"
            )
        if self.kind == "polar" and not self.distance_m <= FARTHEST_M:  # the rig file of an import checks ears
            raise BadInput(
                f"polar: the microphone is {self.distance_m:g} m from the device; at most {FARTHEST_M:g} m is "
                "possible: is it in cm or mm?"
            )
        largest = float(np.max(np.abs(self.h), initial=0.0))
        if largest <= 0.0:
            raise BadInput(f"{self.kind}: all responses are silent")
        if largest > LOUDEST_PA:
            raise BadInput(
                f"{self.kind}: the responses reach {largest:.3g}; at most {LOUDEST_PA:g} (pascal for a full-scale "
                "sample: the pressure of the air) is possible: scale all files by one factor, or export the damaged "
                "one again"
            )

    @property
    def silent(self) -> tuple[str, ...]:
        """Drivers without any sound at a microphone, in words."""
        rows = np.argwhere(np.max(np.abs(self.h), axis=-1) <= 0.0).tolist()
        return tuple(f"{self.drivers[d]!r} is silent at {self.mics[m]!r}, position {p + 1}" for p, m, d in rows)


def timed(found: ImportedSet, c: float) -> ImportedSet:
    """The set with its time zero at ``before``, or at :data:`BEFORE_S`.

    If the files do not state the time of emission, the earliest arrival of the set is put where sound at ``c`` m/s
    arrives over the stated distance: what arrives first decides, and the times between drivers stay as they are.
    """
    before = round(BEFORE_S * found.fs) if found.before is None else found.before
    zero, notes = found.zero, found.notes
    if zero is None:
        zero = earliest(found.h) - round(found.distance_m / c * found.fs)
        notes = (
            *notes,
            f"{found.kind}: time zero is unknown; the earliest arrival was set to "
            f"{1000.0 * found.distance_m / c:.2f} ms (distance {found.distance_m:.2f} m)",
        )
    shift = before - zero
    h = found.h[..., -shift:] if shift < 0 else np.pad(found.h, ((0, 0), (0, 0), (0, 0), (shift, 0)))
    return replace(found, h=h, zero=before, errors=_refitted(found, h), notes=notes)


def _refitted(found: ImportedSet, h: Float) -> Float | None:
    """Standard errors at the bins of a response of another length, to which noise per bin goes."""
    if found.errors is None or found.errors.shape[-1] == h.shape[-1] // 2 + 1:
        return found.errors
    old, new = (np.fft.rfftfreq(x.shape[-1]) for x in (found.h, h))
    near = np.clip(np.searchsorted(old, new), 0, len(old) - 1)
    return np.asarray(found.errors[..., near] * np.sqrt(h.shape[-1] / found.h.shape[-1]))


def earliest(h: Float) -> int:
    """Tap at which the first response of a set passes a tenth of its peak."""
    level = np.abs(h)
    peak = level.max(axis=-1, keepdims=True)
    loud = peak[..., 0] > 0.03 * peak.max()
    return int(np.argmax(level >= 0.1 * peak, axis=-1)[loud].min()) if loud.any() else 0


def judged_band(found: ImportedSet) -> tuple[float, float]:
    """The judged band, Hz: as stated, or from two periods in the length up to the limit of the rate."""
    if found.band is not None:
        return found.band
    seconds = max(found.h.shape[-1] - (found.zero or 0), 1) / found.fs
    return float(np.clip(round(2.0 / seconds), 20, 500)), float(min(20000.0, 0.45 * found.fs))


def estimated_errors(h: Float, zero: int, step: float = 0.0) -> Float:
    """Standard error ``(..., bin)`` of the ``rfft`` of responses ``(..., tap)``, from their own tails.

    Of the later half, without what is often faded out, the quietest stretch counts as noise; in a response that ends
    before the room has died away this is an upper limit of the noise. Smoothed over nine bins.
    Samples in steps of ``step`` have at least the noise of rounding.
    """
    n = h.shape[-1]
    support = np.flatnonzero(np.abs(h).reshape(-1, n).max(axis=0) > 0.0)
    last = int(support[-1]) + 1 if len(support) else n
    start = zero + (last - zero) // 2
    width = max((last - start) // STRETCHES, 8)
    window = np.hanning(width + 2)[1:-1]
    starts = [start + i * width for i in range(STRETCHES - FADED) if start + (i + 1) * width <= n]
    size = 1 << max(width - 1, 1).bit_length()
    power = np.stack([np.abs(np.fft.rfft(h[..., s : s + width] * window, size)) ** 2 for s in starts or [n - width]])
    quiet = np.argmin(power.sum(axis=-1), axis=0)
    least = np.take_along_axis(power, quiet[None, ..., None], axis=0)[0] / float(np.sum(window**2))
    bins = n // 2 + 1
    near = np.clip(np.round(np.arange(bins) * size / n).astype(int), 0, least.shape[-1] - 1)
    noise = running_mean(least, min(SMOOTH_BINS, least.shape[-1]))[..., near] * n
    floor = FLOOR**2 * np.mean(np.abs(np.fft.rfft(h, axis=-1)) ** 2, axis=-1, keepdims=True)
    return np.asarray(np.sqrt(np.maximum(np.maximum(noise, step**2 / 12.0 * n), floor)))
