"""A capture spliced from the valid parts of disturbed ones: read like any other, kept if its noise is low enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.deconvolve import edges
from sweetspot.measure.distortion import ORDERS, windows
from sweetspot.measure.impulse import SourceResponse
from sweetspot.measure.smooth import running_mean
from sweetspot.measure.splice.lone import bands, lone
from sweetspot.measure.splice.note import SpliceNote
from sweetspot.measure.splice.weighting import Cut, Passed, Splice, spliced
from sweetspot.measure.sweep import Sweep
from sweetspot.rigs.protocol import Recording
from sweetspot.rigs.units import Float

RESPONSE_DB, HARMONIC_DB = (-50.0, -40.0), (-48.0, -42.0)
"""How far below a response its standard error may be at most, and that of its harmonics below its fundamental: where it
is known whose noise a difference between captures is, and at worst. Distortion is read beside it as beside any noise
floor, so that a harmonic's need only lie well below a verdict's limit."""

LITTLE = 0.01, 1.0
"""Share of a response's median power that errors count against at least, for the response and for its harmonics."""


@dataclass(frozen=True, slots=True, eq=False)
class Disturbed:
    """A capture rejected for a burst: its number at its position, its recording, its latency in s."""

    run: int
    recording: Recording
    delay: float


@dataclass(frozen=True, slots=True, eq=False)
class SplicedCapture:
    """A splice that will do: its samples, the responses of its sources, and how it passes into their responses."""

    splice: Splice
    recording: Recording
    heard: Sequence[SourceResponse]
    passed: Passed

    def kept(self, runs: Sequence[int]) -> tuple[SpliceNote, NDArray[np.float32]]:
        """Record in the session beside the samples: origin, and the map of weights."""
        return self.splice.note(runs, self.passed), self.splice.map()


def of_disturbed(
    bad: Sequence[Disturbed],
    sweep: Sweep,
    before: int,
    after: int,
    *,
    passed: Callable[[Float, float], tuple[Float, Float]],
    read: Callable[[Recording, SpliceNote], tuple[Sequence[SourceResponse], object]],
) -> SplicedCapture | None:
    """A splice of disturbed captures of one place and source; ``None`` if it takes another capture.

    A single capture is kept as it is if its disturbance lies aside of what is read (:func:`.lone.lone`).

    Parameters
    ----------
    bad
        At least one, the loopback in their last channel.
    before, after
        What is kept of a response, samples.
    passed
        How recordings pass into responses at frequencies, for a latency in s: gains ``(source, mic, band)`` and
        arrivals of the sweep, samples ``(source, band)``.
    read
        Responses of a splice's sources, and why not to keep it.
    """
    how = Passed(*passed(bands(sweep.fs), bad[0].delay), *_cuts(sweep, before, after))
    if len(bad) == 1:
        made: Splice | None = lone(bad[0].recording.x, sweep, how.arrivals)
    else:
        made = spliced([one.recording.x for one in bad], [one.delay for one in bad], sweep.fs)
    if made is None:
        return None
    recording = replace(bad[-1].recording, x=made.x)
    heard, reason = read(recording, made.note(range(1, len(bad) + 1), how))
    if reason:
        return None
    for one, gain, arrival in zip(heard, how.gains, how.arrivals, strict=True):
        for order, cut in enumerate((how.response, *how.harmonics), 1):
            level = _counts(one.h, made.f, gain, sweep, order)
            if made.needs_more(arrival, cut, level, RESPONSE_DB if order == 1 else HARMONIC_DB):
                return None
    return SplicedCapture(made, recording, heard, how)


def _cuts(sweep: Sweep, before: int, after: int) -> tuple[Cut, tuple[Cut, ...]]:
    """Windows of a response, and of its harmonics."""
    each = windows(sweep, before, after)
    harmonics = (
        Cut(w.before, edges(w.before, w.after), sweep.rate * float(np.log(n)) * sweep.fs)
        for n, w in ((n, each[n]) for n in ORDERS)
    )
    return Cut(before, edges(before, after)), tuple(harmonics)


def _counts(h: Float, f: Float, gain: Float, sweep: Sweep, order: int) -> Float:
    """Reference of a recording's spectral errors, ``(mic, band)``; infinite where nothing is judged.

    The response ``(mic, tap)`` at ``f`` Hz, or for a harmonic at its fundamental, over the ``gain (mic, band)`` with
    which recordings pass into it; but where a driver plays little, a share of its usual level.
    """
    power = running_mean(np.abs(np.fft.rfft(h, axis=-1)) ** 2, 5)
    at = np.fft.rfftfreq(h.shape[-1], 1.0 / sweep.fs)
    judged = (f >= order * sweep.band[0]) & (f <= sweep.band[1])
    usual = np.median(power[:, (at >= sweep.band[0]) & (at <= sweep.band[1])], axis=1)
    least = LITTLE[0 if order == 1 else 1] * usual
    level = np.array([np.sqrt(np.maximum(np.interp(f / order, at, p), m)) for p, m in zip(power, least, strict=True)])
    played = judged & (gain > 0.0)
    return np.where(played, level / np.where(played, gain, 1.0), np.inf)
