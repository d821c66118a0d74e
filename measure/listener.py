"""From a recording to judged responses: latency and clocks from the loopback, levels from the microphones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure import delays, microphone
from sweetspot.measure import distortion as harmonics
from sweetspot.measure.correction import load
from sweetspot.measure.deconvolve import Inverse, Spectra, circular, edges, inverse, loopback_delay
from sweetspot.measure.distortion import Distortion
from sweetspot.measure.impulse import SourceResponse, snr_db
from sweetspot.measure.judge import RubAndBuzz, burst, clocks, quality, rub_and_buzz, uncertainty
from sweetspot.measure.plan import FIXED, OverlappedSignal, Plan
from sweetspot.measure.separation import Separation
from sweetspot.measure.session import Session
from sweetspot.measure.shot import ALL, Capture, CaptureKey, Reason
from sweetspot.measure.splice import SpliceNote
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protocol import Recording
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Float

STRETCHED_KEPT = 3
"""Inverses of stimuli stretched for two clocks that are kept at hand."""


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """Timing from a capture's loopback: latency and clocks, and the matching inverse.

    Parameters
    ----------
    inverse
        Of the stimulus as the inputs' clock would write it.
    loop
        Transfer function of the loopback.
    drift
        Between the clocks, as estimated.
    delay, gain
        Of the loopback, s and linear.
    left_ppm
        What the stretched stimulus leaves of the drift.
    """

    inverse: Inverse
    loop: NDArray[np.complex128]
    drift: clocks.ClockDrift
    delay: float
    gain: float
    left_ppm: float = 0.0

    @property
    def ppm(self) -> float:
        """Corrected clock offset of the inputs; 0 for one clock."""
        return self.drift.ppm if self.drift.is_there and not self.drift.refused() else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class CaptureAnalyser:
    """Turns recordings of a plan into judged responses; reads the microphones' correction files once."""

    rig: Description
    plan: Plan
    inverse: Inverse
    corrections: NDArray[np.inexact[Any]]
    lags: burst.LagBands
    overlapped: OverlapAnalyser | None = None
    stretched: dict[float, Inverse] = field(default_factory=dict)
    equalisers: dict[tuple[int, int], NDArray[np.float32] | None] = field(default_factory=dict)

    @classmethod
    def of(cls, rig: Description, plan: Plan, separation: Separation | None = None) -> CaptureAnalyser:
        """A listener for one plan; reads correction files.

        Parameters
        ----------
        separation
            By which overlapped captures are judged, where they are.
        """
        inv = inverse(plan.sweep, plan.played, len(plan.played))
        overlapped = None if plan.together is None else OverlapAnalyser.of(rig, plan, plan.together, separation)
        return cls(rig, plan, inv, _corrections(rig, plan, inv.f), burst.lags(plan.sweep, inv.size), overlapped)

    def channels(self, recording: Recording) -> Recording:
        """Only the plan's microphones and, last, the loopback."""
        rows = [m.channel - 1 for m in self.plan.mics] + [self.rig.interface.loopback.in_ - 1]
        return replace(recording, x=recording.x[rows])

    def timed(self, recorded: NDArray[np.float32]) -> Timed:
        """Latency and clocks from a recorded loopback ``(samples,)``, and the inverse for it."""
        loop = self.inverse.spectrum(recorded)
        coarse = delays.peak_s(loop, self.inverse.size, self.inverse.fs)
        drift = clocks.of_loopback(self.inverse, self.plan.sweep, loop, coarse)
        if not drift.is_there or abs(drift.ppm) > clocks.HIGHEST_PPM:
            return Timed(self.inverse, loop, drift, *loopback_delay(self.inverse, loop, coarse))
        step = clocks.stepped(drift.ppm)
        if step not in self.stretched:
            played = clocks.stretched(self.plan.played, step).astype(np.float32)
            self.stretched[step] = inverse(self.plan.sweep, played, len(played))
            for old in list(self.stretched)[:-STRETCHED_KEPT]:
                del self.stretched[old]
        inv = self.stretched[step]
        loop = inv.spectrum(recorded)
        left = clocks.of_loopback(inv, self.plan.sweep, loop)
        loop = clocks.unbent(loop, inv, self.plan.sweep, left.ppm)
        return Timed(inv, loop, replace(drift, ppm=step + left.ppm), *loopback_delay(inv, loop), left.ppm)

    def transfer(
        self, x: NDArray[np.float32], source: int, timed: Timed, mics: slice = slice(None)
    ) -> NDArray[np.complexfloating]:
        """Transfer functions ``(mic, frequency)`` of :meth:`channels`' samples at ``mics``, Pa/FS, latency included.

        A driver's protection filter is in them; :meth:`equalised` takes it out.
        """
        exact = np.complex64 if np.iscomplexobj(self.corrections) else np.float32
        scale = (self.corrections[mics] * self.plan.sources.levels[source]).astype(exact)
        out = timed.inverse.transfer(timed.inverse.recorded(x[:-1][mics])) / scale
        return clocks.unbent(out, timed.inverse, self.plan.sweep, timed.left_ppm) if timed.ppm else np.asarray(out)

    def equalised(
        self, transfer: NDArray[np.complexfloating], source: int, inv: Inverse
    ) -> NDArray[np.complexfloating]:
        """Transfer functions ``(mic, frequency)`` without the protection filter of the source's driver."""
        key = source, inv.size
        if key not in self.equalisers:
            own = self.plan.sources.equaliser(source, inv.f)
            self.equalisers[key] = None if own is None else own.astype(np.float32)
        gain = self.equalisers[key]
        return transfer if gain is None else np.asarray(transfer * gain)

    def as_read(self, x: NDArray[np.float32], source: int) -> list[NDArray[np.floating]]:
        """One source's recording as read for each driver's responses ``(mic, size)``, one per driver.

        Drivers that overlap are read with each other's equalisers, whose ringing is part of what they disturb.
        Circular, time zero at ``plan.before``, without what lies outside the swept band, re the reader's own level.
        """
        timed, levels, found = self.timed(x[-1]), self.plan.sources.levels, dict[tuple[float | None, float], Any]()
        inside = timed.inverse.within(self.transfer(x, source, timed))
        for reader in range(len(levels)):
            if (key := self._alike(reader)) not in found:
                own = self.equalised(inside, reader, timed.inverse) * np.float32(levels[source] / key[1])
                found[key] = circular(timed.inverse, own, timed.delay, self.plan.before)
        return [found[self._alike(reader)] for reader in range(len(levels))]

    def distortion(self, session: Session, position: int, source: int, mics: slice = slice(None)) -> Distortion | None:
        """Harmonic distortion of one source at some microphones, of the mean of the raw captures of one place.

        None when none of them landed, or none was kept.
        """
        if not session.holds_raw(self.plan.name):
            return None
        place = Capture(position, Pose(), source, 0).place
        keys = sorted({c.key for c in self.plan.captures if c.key.startswith(place)})
        turned: list[NDArray[np.complexfloating]] = []
        notes: list[SpliceNote] = []
        for key in (k for k in keys if session.has_landed(self.plan.name, k)):
            x = quality.padded(session.raw(self.plan.name, key)[0], len(self.plan.played))
            timed = self.timed(x[-1])
            back = np.exp(2j * np.pi * self.inverse.f * timed.delay).astype(np.complex64)
            own = self.equalised(self.transfer(x, source, timed, mics), source, timed.inverse)
            turned.append(own * back)
            note = session.splice(self.plan.name, key)
            notes += [note] if note else []
        if not turned:
            return None
        mean, many = np.asarray(np.mean(turned, axis=0)), len(turned)

        def local(f: Float) -> Float:
            return np.asarray(sum(note.under_harmonics(f)[:, mics] for note in notes)) / many**2

        how = self.inverse, self.plan.sweep, mean, 0.0, self.plan.before, self.plan.after
        return harmonics.of_transfer(*how, local=local if notes else None)

    def rub_and_buzz(
        self, session: Session, positions: Sequence[int], source: int, mics: Sequence[int]
    ) -> RubAndBuzz | None:
        """Rub and buzz of one source at some microphones, by the raw captures of some positions.

        Of what was spliced the captures count: a buzz is a burst, and a splice leaves it out. ``None`` when no capture
        landed or none was kept.
        """
        if not session.holds_raw(self.plan.name):
            return None
        kept = []
        for position in positions:
            key = Capture(position, Pose(), source, 0).key
            if session.has_landed(self.plan.name, key):
                note = session.splice(self.plan.name, key)
                runs = [CaptureKey(position, source, rejected=run).name for run in note.runs] if note else [key]
                each = [session.raw(self.plan.name, run) for run in runs]
                kept += [(np.asarray(x)[list(mics)], float(attrs["delay_s"])) for x, attrs in each]
        lowest = max((shape.half_hz(0.0) for shape in self.plan.sources.shapes), default=0.0)
        return rub_and_buzz.of_recordings(kept, self.plan.sweep, lowest) if kept else None

    def analysed(self, recording: Recording, source: int | None, note: SpliceNote | None = None) -> AnalysedCapture:
        """Responses of each source of a capture: one ``source``, or :data:`ALL` of them overlapped.

        With the ``note`` of a splice, its standard errors are those of the parts that were used.
        """
        how = self._overlapped(recording) if source is ALL else self._sequential(recording, source)
        x, names, timed, last = how.x, (*(m.name for m in self.plan.mics), "loopback"), how.timed, max(how.starts)
        inv, before, after = timed.inverse, self.plan.before, self.plan.after
        wholes = self._wholes(how)
        errors = {
            key: uncertainty.of_one(
                np.roll(w, -last, axis=-1) if last else w, before, after, self.plan.sweep.rate, inv.fs, last
            )
            for key, w in wholes.items()
        }
        found: list[SourceResponse] = []
        for own, start in zip(how.sources, how.starts, strict=True):
            kept = self._kept(wholes[self._alike(own)], start, how)
            stderr = errors[self._alike(own)]
            stderr = stderr if note is None else note.over(len(found), stderr, inv.fs, inv.band)
            snr = snr_db(kept, stderr, inv.fs, inv.band)
            found.append(SourceResponse(kept, snr, stderr, np.ones_like(stderr), how.ppm))
        reason = (
            quality.short(recording.x, x.shape[-1])
            or quality.clipped(x, names)
            or how.clocks
            or quality.loopback(how.loop, x[-1], timed.loop, timed.delay, timed.gain)
            or self._silent(how.sources, [one.snr_db for one in found])
            or quality.disturbed(
                x[:-1],
                how.transfer,
                names[:-1],
                self.plan.sweep,
                how.lags,
                timed.delay,
                last_start=last / inv.fs - how.lags.head,
                spliced=note is not None,
            )
            or self._mixed(how)
        )
        return AnalysedCapture(tuple(found), timed.delay, reason)

    def passed(self, source: int | None, f: Float, delay: float) -> tuple[Float, Float]:
        """How a recording passes into the responses of one source, or of every driver where all play.

        Returns
        -------
        Gains ``(source, mic, band)`` at ``f`` Hz from the recording's spectrum to the response's, Pa/FS; and when the
        sweep arrives there, samples ``(source, band)``.
        """
        if source is not ALL:
            inv, corrections, starts, level = self.inverse, self.corrections, {source: 0}, 1.0
        else:
            overlapped, together = self.overlapped, self.plan.together
            assert overlapped is not None
            assert together is not None
            inv, corrections, level = overlapped.inverse, overlapped.corrections, together.level
            starts = {one: start - together.head for one, start in enumerate(together.starts)}
        gains, arrivals = [], []
        for one, start in starts.items():
            gain = np.abs(inv.exact / (corrections * level * self.plan.sources.levels[one]))
            own = self.plan.sources.equaliser(one, inv.f)
            gain = gain if own is None else gain * np.abs(own)
            gains.append([np.interp(f, inv.f, row) for row in gain])
            after = self.plan.sweep.rate * np.log(f / self.plan.sweep.swept[0])
            arrivals.append((delay + after) * inv.fs + start)
        return np.array(gains), np.array(arrivals)

    def _sequential(self, recording: Recording, source: int) -> _Reading:
        """Analysis of a capture of one source; two clocks are corrected."""
        x = quality.padded(recording.x, len(self.plan.played))
        timed = self.timed(x[-1])
        return _Reading(
            x,
            (source,),
            (0,),
            timed=timed,
            loop=timed.inverse,
            transfer=self.transfer(x, source, timed),
            lags=self.lags,
            clocks=timed.drift.refused(),
            ppm=timed.ppm,
        )

    def _overlapped(self, recording: Recording) -> _Reading:
        """How a capture of all drivers is read, each a little later than the one before."""
        overlapped, together = self.overlapped, self.plan.together
        assert overlapped is not None
        assert together is not None
        x = quality.padded(recording.x, len(together.played))
        loop = overlapped.loop.spectrum(x[-1])
        coarse = delays.peak_s(loop, overlapped.loop.size, overlapped.loop.fs)
        drift = clocks.of_loopback(overlapped.loop, together.sweep, loop, coarse)
        inv = overlapped.inverse
        exact = np.complex64 if np.iscomplexobj(overlapped.corrections) else np.float32
        two = "two clocks: overlapped sweeps need one; measure with --overlap off"
        return _Reading(
            x,
            range(len(together.starts)),
            together.starts,
            timed=Timed(inv, loop, drift, *loopback_delay(overlapped.loop, loop, coarse)),
            loop=overlapped.loop,
            transfer=inv.transfer(inv.recorded(x[:-1]))
            / (overlapped.corrections * together.level).astype(exact)
            * overlapped.late,
            lags=overlapped.lags,
            clocks=Reason("clocks", two) if drift.is_there else None,
        )

    def _kept(self, whole: NDArray[np.floating], start: int, how: _Reading) -> Float:
        """The kept part ``(mic, tap)`` of a circular response whose source started at ``start``."""
        before, length = self.plan.before, self.plan.before + self.plan.after
        part = clocks.at_one_rate(whole, before, length, how.ppm) if how.ppm else whole[..., start : start + length]
        return np.asarray(part * edges(before, self.plan.after))

    def _silent(self, sources: Sequence[int], snr: Sequence[Float]) -> Reason | None:
        """A microphone without signal of a source; if several play, of which one.

        At fixed microphones a driver that is silent while others play is a fault of the unit, which is judged there.
        """
        names = tuple(m.name for m in self.plan.mics)
        if self.plan.name in FIXED and len(sources) > 1 and self.plan.sources.axis == "driver":
            return quality.silent_to_all(np.array(snr), names)
        for source, own in zip(sources, snr, strict=True):
            found = quality.silent(own, names)
            if found is not None:
                which = f"{self.plan.sources.names[source]}: " if len(sources) > 1 else ""
                return Reason(found.kind, f"{which}{found.text}")
        return None

    def _mixed(self, how: _Reading) -> Reason | None:
        """Drivers of an overlapped capture that others disturb, by their decay or harmonics at this position."""
        separation = self.overlapped.separation if self.overlapped is not None and len(how.sources) > 1 else None
        if separation is None:
            return None
        inside = self._wholes(replace(how, transfer=how.timed.inverse.within(how.transfer)))
        why = separation.refused(self.plan, [inside[self._alike(source)] for source in how.sources])
        return Reason("overlap", why) if why else None

    def _alike(self, source: int) -> tuple[float | None, float]:
        """Key of drivers whose responses are read alike: lower band edge, and level."""
        shape = self.plan.sources.shapes[source] if self.plan.sources.shapes else None
        return shape.low_hz if shape else None, self.plan.sources.levels[source]

    def _wholes(self, how: _Reading) -> dict[tuple[float | None, float], NDArray[np.floating]]:
        """Circular responses ``(mic, size)`` to all that plays, as each kind of source is read."""
        found: dict[tuple[float | None, float], NDArray[np.floating]] = {}
        inv = how.timed.inverse
        for source in how.sources:
            key = self._alike(source)
            if key not in found:
                own = self.equalised(how.transfer, source, inv)
                own = own / np.float32(key[1]) if len(how.sources) > 1 else own
                found[key] = circular(inv, own, how.timed.delay, self.plan.before)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class AnalysedCapture:
    """Result of a capture.

    Parameters
    ----------
    responses
        One a source, in the plan's order.
    delay
        Latency of the interface, s.
    reason
        Why not to keep it.
    """

    responses: tuple[SourceResponse, ...]
    delay: float
    reason: Reason | None


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """How a capture is read.

    Parameters
    ----------
    x
        Microphones and loopback ``(channel, samples)``, as long as what was played.
    sources, starts
        What plays, and at which sample each begins.
    timed
        Timing by the loopback; its inverse is that of a source's sweep.
    loop
        Inverse of what the loopback plays.
    transfer
        Transfer functions ``(mic, frequency)``, latency included; of one source at its own level, of several at the
        level of all.
    lags
        Where each source's response begins.
    clocks
        Why the clocks forbid it.
    ppm
        By how much the inputs run faster, to be taken out.
    """

    x: NDArray[np.float32]
    sources: Sequence[int]
    starts: Sequence[int]
    timed: Timed
    loop: Inverse
    transfer: NDArray[np.complexfloating]
    lags: burst.LagBands
    clocks: Reason | None
    ppm: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class OverlapAnalyser:
    """Analyser of overlapped captures.

    Parameters
    ----------
    inverse
        Of a driver's sweep, at the length of such a capture.
    loop
        Of what the loopback plays.
    corrections
        As those of :class:`CaptureAnalyser`.
    lags
        Where each driver's response begins.
    late
        Phase factors ``(frequency,)`` by which captures come later by the silence that they leave out.
    separation
        By which captures are judged, where they are.
    """

    inverse: Inverse
    loop: Inverse
    corrections: NDArray[np.inexact[Any]]
    lags: burst.LagBands
    late: Spectra
    separation: Separation | None = None

    @classmethod
    def of(
        cls, rig: Description, plan: Plan, together: OverlappedSignal, separation: Separation | None
    ) -> OverlapAnalyser:
        """For one plan; reads correction files."""
        samples = len(together.played)
        size = int(fft.next_fast_len(samples, real=True))
        around = -(-len(plan.played) // size) * size  # a sweep may be longer than a capture that leaves its head out
        alone = np.pad(plan.played, (0, around - len(plan.played))).reshape(-1, size).sum(axis=0)
        inv = inverse(plan.sweep, alone, size)
        arrivals = tuple(s / plan.sweep.fs for s in sorted(together.starts)[1:])
        return cls(
            inv,
            inverse(together.sweep, together.played, samples),
            _corrections(rig, plan, inv.f),
            burst.lags(plan.sweep, size, arrivals, together.head / plan.sweep.fs),
            fft.phases(-2.0 * np.pi * together.head / size, len(inv.f), np.dtype(np.complex64)),
            separation,
        )


def _corrections(rig: Description, plan: Plan, f: Float) -> NDArray[np.inexact[Any]]:
    """Recorded amplitude of one pascal at each microphone, ``(mic, frequency)``; reads correction files."""
    rows = []
    for mic in plan.mics:
        row = np.full(len(f), mic.per_pascal(rig.interface))
        if mic.calibration is not None:
            correction = load(rig.path(mic.calibration))
            phased = correction.phase is not None
            row = row * (microphone.response if phased else microphone.level)(correction, f)
        rows.append(row)
    return np.array(rows)
