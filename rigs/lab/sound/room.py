"""A shoebox room with directional sources and receivers.

Every image of the source leaves the body with the drivers' responses in the direction in which its path departs, and
arrives at the head with the ears' responses to the direction from which it comes. Paths are gathered by the short frame
of time in which they arrive: within a frame short spectra add (:data:`SPAN` taps hold what body, walls and head do to a
path), and one inverse transform a frame, driver and ear makes taps of them. So the work grows with paths times
(drivers + ears) for the directional responses, and no path is ever a filter as long as the room's decay.

One direction stands for all of a head but its ears: each ear hears what left towards it. On the direct sound of a round
speaker with four cones that meets the sphere coupled in full (:mod:`lab.world`) within -32 dB from 0.8 to 20 kHz
at 3 m, -36 dB at 5 m; reflections come from farther away still.

Beyond the mixing path, up to which the images of the requested order are complete, substitutes are used: plane waves of
random directions, signs and times, the same for every driver, ear and pose, whose energy begins where that of the
images ends and decays at Eyring's rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import FAR_M, Single, eyring_rate, half_cosine
from sweetspot.rigs.lab.sound.fractional_delay import deposited, filtered
from sweetspot.rigs.lab.sound.images import Images, images, reflection, remaining
from sweetspot.rigs.units import Float

SPAN_S = 0.0107
"""Length of a frame's transform, s, before it is rounded up to a power of two."""

LEAD_S = 0.0013
"""Lead of a path's taps re its arrival, s: sound reaches spheres before their centres."""

FADE_S = 0.008
"""Over which time images make way for stand-ins, s."""

CLOSE_S = 0.08
"""Over which time the tail is closed at its end, s: a hard end would sound like a late reflection of its own."""

PER_SECOND = 6000.0
"""Stand-ins per second of the tail."""

FLAT = 1e-6
"""Largest difference over frequency of a logarithm of reflection that counts as none, Np."""

CHUNK = 256
"""Paths that are worked on at a time: their spectra stay in the processor's cache."""

MANY = 4000
"""Paths from which on their spectra are made of a few, where neither end has spectra of its own."""

SOME, ALIKE = 80, 3e-4
"""Number of spectra used for the basis, and its accuracy as singular values."""

BLOCK = 32
"""Bins in a block, see :meth:`Room._delayed`."""


class Emitter(Protocol):
    """Drivers around one centre."""

    def toward(self, directions: Float, r: Float) -> Sequence[Single | None]:
        """One response ``(path, bin)`` a driver, over that of a free source; ``None`` radiates alike everywhere.

        One that is real and the same at all frequencies may be ``(path,)``, which is faster. ``directions (path, 3)``
        are unit vectors of the room in which paths depart, ``r`` the paths' lengths in m.
        """
        ...


class Receiver(Protocol):
    """Ears or microphones around one centre."""

    @property
    def offsets(self) -> Float | None:
        """Positions of the ears re the centre, ``(ear, 3)`` m in room coordinates; None: all in the centre.

        The sound that meets an ear left the source towards that ear, not towards the middle of the head.
        """
        ...

    def toward(self, directions: Float, r: Float) -> Sequence[Single | None]:
        """The same for each ear, for unit vectors of the room that point to where paths come from."""
        ...


class Point:
    """A source or receiver that is the same in all directions."""

    offsets: Float | None = None

    def toward(self, directions: Float, r: Float) -> Sequence[Single | None]:
        """See :class:`Emitter`."""
        del directions, r
        return (None,)


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """Ways from a source to a receiver, in the order in which they arrive.

    Parameters
    ----------
    late
        Time of arrival, s.
    gain
        Amplitude, 1/m.
    losses
        ``(path, term)`` what the terms of a logarithm of the walls' reflection are multiplied with; for an image how
        often its path meets each wall.
    departs, comes
        ``(path, 3)`` unit vectors: in which direction it leaves, and where it comes from.
    r
        Distance for the curvature of the wave, m.
    mirrored
        ``(path, 3)``, -1 on the axes on which the way is mirrored; None: the waves are plane, and leave towards all
        ears alike.
    """

    late: Float
    gain: Float
    losses: Float
    departs: Float
    comes: Float
    r: Float
    mirrored: Float | None = None

    def towards(self, part: slice, offset: Float | None) -> Float:
        """Directions in which some paths leave for an ear that is off the centre by ``offset`` m."""
        if offset is None or self.mirrored is None:
            return self.departs[part]
        way = self.departs[part] * self.r[part, None] + offset * self.mirrored[part]
        return np.asarray(way / np.linalg.norm(way, axis=1, keepdims=True))


class Room:
    """A shoebox with walls that absorb.

    Parameters
    ----------
    size
        ``(3,)`` m.
    bands, absorption
        ``(band,)`` Hz and ``(6, band)``; see :func:`sweetspot.rigs.lab.sound.images.reflection`.
    c
        Speed of sound, m/s.
    fs
        Sampling rate, Hz.
    order
        Highest order of reflection.
    seconds
        Length of the responses.
    rng
        Draws the stand-ins; none: there is no tail, and all images of the order are kept.
    """

    def __init__(
        self,
        size: Float,
        bands: Float,
        absorption: Float,
        c: float,
        fs: float,
        order: int,
        *,
        seconds: float,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.size, self.c, self.fs, self.order = size, c, fs, order
        self.taps = int(np.ceil(seconds * fs))
        self.span = 1 << int(np.ceil(np.log2(SPAN_S * fs)))
        self.lead = int(LEAD_S * fs)
        self.hop = 5 * self.span // 16
        self.f: Float = np.asarray(np.fft.rfftfreq(self.span, 1.0 / fs), dtype=np.float64)
        self.k = 2.0 * np.pi * np.maximum(self.f, 1.0) / c
        self.log = reflection(self.f, bands, absorption)
        self._walls = _powers(self.log, order)
        self.mixing = order * float(size.min()) if rng is not None else np.inf
        self._draw(bands, absorption, rng)

    def impulse_responses(
        self,
        emitter: Emitter,
        source: Float,
        receiver: Receiver,
        place: Float,
        *,
        direct: bool = True,
        origin: tuple[Float, Float] | None = None,
    ) -> Float:
        """Responses ``(ear, driver, tap)``, 1 for a free-field source at 1 m.

        Parameters
        ----------
        emitter, receiver
            What radiates and what listens.
        source, place
            Where their centres are, ``(3,)`` m from the room's corner.
        direct
            Whether the direct sound is in it.
        origin
            Places of source and receiver for the stand-ins' times; by default these.
        """
        found = images(self.size, source, place, self.order, min(self.mixing, self.c * self.taps / self.fs))
        first = 0 if direct else 1
        total = self._added(self._of_images(found, first), self.log, emitter, receiver)
        if np.isfinite(self.mixing):
            paths = self._of_stand_ins(source, place, origin or (source, place))
            total = (total + self._added(paths, self._tail_log, emitter, receiver)) * self._close
        return total

    def _of_images(self, found: Images, first: int) -> Paths:
        r = found.r[first:]
        away = found.away[first:] / r[:, None]
        gain = 1.0 / r
        if np.isfinite(self.mixing):
            gain = gain * np.cos(0.5 * np.pi * self._fade(r / self.c))
        mirrored = found.mirrored[first:]
        return Paths(
            r / self.c,
            gain,
            losses=found.hits[first:].astype(float),
            departs=away * mirrored,
            comes=-away,
            r=r,
            mirrored=mirrored,
        )

    def _fade(self, t: Float) -> Float:
        """0 before the images end, 1 from the mixing path on."""
        return np.asarray(np.clip((t - self.mixing / self.c) / FADE_S + 1.0, 0.0, 1.0))

    def _draw(self, bands: Float, absorption: Float, rng: np.random.Generator | None) -> None:
        """Draw the stand-ins, and work out how their energy follows that of the images."""
        if rng is None:
            return
        begins = self.mixing / self.c - FADE_S
        seconds = self.taps / self.fs - begins
        count = max(int(seconds * PER_SECOND), 0)
        late = begins + (np.arange(count) + rng.random(count)) / PER_SECOND
        density = 4.0 * np.pi * self.c / float(np.prod(self.size)) / PER_SECOND
        self._close = half_cosine.rise((self.taps - np.arange(self.taps)) / (CLOSE_S * self.fs))
        self._late = late
        self._gain = np.sqrt(density) * rng.choice([-1.0, 1.0], count) * np.sin(0.5 * np.pi * self._fade(late))
        self._departs, self._comes = (_directions(rng, count) for _ in range(2))
        at = np.log(np.maximum(self.f, 1.0))
        dense = np.stack([np.interp(at, np.log(bands), row) for row in absorption])
        at_mixing = remaining(self.size, self.log.real, self.mixing)
        self._tail_log = np.stack([0.5 * np.log(at_mixing), -0.5 * eyring_rate(self.size, dense, self.c)]).astype(
            complex
        )

    def _of_stand_ins(self, source: Float, place: Float, origin: tuple[Float, Float]) -> Paths:
        """The stand-ins as they pass a source and a receiver that have moved from ``origin``."""
        nearer = self._departs @ (source - origin[0]) + self._comes @ (place - origin[1])
        late = self._late - nearer / self.c
        losses = np.stack([np.ones_like(late), self._late - self.mixing / self.c], axis=1)
        order = np.argsort(late, kind="stable")
        kept = order[late[order] * self.fs < self.taps - 1]
        far = np.full(len(kept), FAR_M)
        return Paths(late[kept], self._gain[kept], losses[kept], self._departs[kept], self._comes[kept], far)

    def _added(self, paths: Paths, log: NDArray[np.complex128], emitter: Emitter, receiver: Receiver) -> Float:
        """Add paths up to responses ``(ear, driver, tap)``; those without a spectrum of their own as mere pulses."""
        ends = [*emitter.toward(paths.departs[:1], paths.r[:1]), *receiver.toward(paths.comes[:1], paths.r[:1])]
        flat = np.ptp(log.real, axis=1).max() <= FLAT
        if any(end is not None and end.ndim > 1 for end in ends) or not (flat or len(paths.late) > MANY):
            return self._gathered(paths, log, emitter, receiver)
        at = paths.late * self.fs
        inside = slice(int(np.searchsorted(at, self.taps - 1)))
        at = at[inside]
        spectra = None if flat else _separated(paths.losses[inside], log)
        gain = paths.gain[inside] * (np.exp(paths.losses[inside] @ log.real[:, 0]) if spectra is None else 1.0)
        sent = emitter.toward(paths.departs[inside], paths.r[inside])
        heard = receiver.toward(paths.comes[inside], paths.r[inside])

        def added(weight: Float) -> Float:
            if spectra is None:
                return deposited(at, weight, self.taps)
            parts, shares = spectra
            taps = np.roll(np.fft.irfft(parts * taper(self.f, self.fs), self.span, axis=-1), self.lead, axis=-1)
            return filtered(at, weight * shares, taps, self.lead, self.taps)

        return np.stack([[added(gain * _gain(left) * _gain(ear)) for left in sent] for ear in heard])

    def _gathered(self, paths: Paths, log: NDArray[np.complex128], emitter: Emitter, receiver: Receiver) -> Float:
        """Add paths up by frames, and the frames to responses ``(ear, driver, tap)``."""
        at = paths.late * self.fs
        frame = (at / self.hop).astype(int)
        inside = (at - frame * self.hop + self.lead) / self.span
        frames = int(frame[-1]) + 1 if len(frame) else 0
        spectra: NDArray[np.complex64] | None = None
        apart = paths.mirrored is not None
        for low in range(0, len(at), CHUNK):
            part = slice(low, low + CHUNK)
            wave = self._delayed(inside[part])
            gain = paths.gain[part]
            if paths.mirrored is None:
                wave *= np.exp(paths.losses[part].astype(np.float32) @ log.real.astype(np.float32))
            else:
                for axis, rows in enumerate(_row(paths.losses[part])):
                    wave *= self._walls[axis][rows]
            heard = receiver.toward(paths.comes[part], paths.r[part])
            rows, starts = np.unique(frame[part], return_index=True)
            sent: Sequence[Single | None] = ()
            for e, ear in enumerate(heard):
                if e == 0 or (apart and receiver.offsets is not None):
                    offset = None if receiver.offsets is None else receiver.offsets[e]
                    sent = emitter.toward(paths.towards(part, offset), paths.r[part])
                if spectra is None:
                    spectra = np.zeros((len(heard), len(sent), frames, len(self.f)), dtype=np.complex64)
                alike = gain if ear is None or ear.ndim > 1 else gain * ear.real
                arrives = wave if ear is None or ear.ndim == 1 else wave * ear
                for d, response in enumerate(sent):
                    if response is None or response.ndim == 1:
                        weight = alike if response is None else alike * response.real
                        spectra[e, d, rows] += _weighed(arrives, weight.astype(np.float32), starts)
                    else:
                        added = arrives * response
                        spectra[e, d, rows] += _weighed(added, alike.astype(np.float32), starts)
        if spectra is None:
            ears, drivers = (len(x.toward(np.zeros((1, 3)), np.ones(1))) for x in (receiver, emitter))
            return np.zeros((ears, drivers, self.taps))
        return self._overlapped(spectra * taper(self.f, self.fs))

    def _delayed(self, late: Float) -> NDArray[np.complex64]:
        """Spectra ``(path, bin)`` of pulses that come ``late`` spans after the frame's beginning.

        Powers of one turn: those of a whole block of bins times those within one, so that few have to be worked out.
        """
        bins = len(self.f)
        fine = np.exp(-2j * np.pi * late[:, None] * np.arange(BLOCK)).astype(np.complex64)
        coarse = np.exp(-2j * np.pi * late[:, None] * (BLOCK * np.arange(-(-bins // BLOCK)))).astype(np.complex64)
        return np.asarray((coarse[:, :, None] * fine[:, None, :]).reshape(len(late), -1)[:, :bins])

    def _overlapped(self, spectra: NDArray[np.complex64]) -> Float:
        """Frames' spectra ``(ear, driver, frame, bin)`` to taps, by overlap-add."""
        pieces = np.fft.irfft(spectra, self.span, axis=-1)
        frames = pieces.shape[2]
        out = np.zeros((*pieces.shape[:2], self.lead + self.taps + frames * self.hop + self.span))
        for n in range(frames):
            out[..., n * self.hop : n * self.hop + self.span] += pieces[:, :, n]
        return out[..., self.lead : self.lead + self.taps]


def _gain(response: Single | None) -> Float | float:
    """A response that does not depend on frequency as a factor."""
    return 1.0 if response is None else np.asarray(response.real, dtype=np.float64)


def _separated(losses: Float, log: NDArray[np.complex128]) -> tuple[NDArray[np.complex128], Float]:
    """Spectra of paths as sums of a few: ``(part, frequency)`` and each path's shares in them ``(part, path)``.

    Walls differ smoothly over frequency, so that few spectra span those of all paths: singular vectors of some paths'
    that tell them apart by more than :data:`ALIKE`, each path's made equal in level first. The shares follow from as
    many single values of each path's spectrum, where pivoted QR finds the parts most different (the empirical
    interpolation of S. Chaturantabut and D. C. Sorensen, SIAM J. Sci. Comput. 32, 2737, 2010).
    """
    from scipy import linalg  # slow to import

    some = losses[np.unique(np.linspace(0, len(losses) - 1, SOME).astype(int))]
    spectra = np.exp(some @ log)
    spectra /= np.abs(spectra).max(axis=1, keepdims=True)
    both = np.concatenate([spectra.real, spectra.imag], axis=1)
    power, mixed = np.linalg.eigh(both @ both.T)
    kept = power > ALIKE**2 * power[-1]
    parts = (mixed[:, kept] / np.sqrt(power[kept])).T @ both
    picked = np.sort(linalg.qr(parts, mode="r", pivoting=True)[1][: len(parts)])
    half = log.shape[1]
    at = log[:, picked % half]
    hits = losses.astype(np.float32)
    angle = hits @ at.imag.astype(np.float32) - np.where(picked < half, 0.0, 0.5 * np.pi).astype(np.float32)
    values = np.exp(hits @ at.real.astype(np.float32)) * np.cos(angle)
    shares = np.linalg.solve(parts[:, picked].T, values.T)
    return parts[:, :half] + 1j * parts[:, half:], shares


def _weighed(spectra: NDArray[np.complex64], weight: NDArray[np.float32], starts: NDArray[np.intp]) -> Single:
    """Weighed sums ``(group, bin)`` of spectra ``(path, bin)``; a group begins at each of ``starts``."""
    real = np.ascontiguousarray(spectra).view(np.float32)
    ends = [*starts[1:].tolist(), len(weight)]
    sums = np.stack([weight[a:b] @ real[a:b] for a, b in zip(starts.tolist(), ends, strict=True)])
    found: Single = sums.view(np.complex64)
    return found


def _powers(log: NDArray[np.complex128], order: int) -> list[NDArray[np.complex64]]:
    """Reflection factors of the two walls of each axis after the reflections counted by :func:`_row`, ``(row,
    frequency)``."""
    tables = []
    for near, far in zip(np.exp(log[0::2]), np.exp(log[1::2]), strict=True):
        even = np.ones_like(near)
        rows = []
        for n in range(order + 1):
            rows += [even, even] if n % 2 == 0 else [even * far, even * near]
            even = even * near * far if n % 2 else even
        tables.append(np.array(rows, dtype=np.complex64))
    return tables


def _row(hits: Float) -> list[NDArray[np.intp]]:
    """Rows of the tables of :func:`_powers` for each axis: hits of its walls differ by one at most."""
    low, high = hits[:, 0::2], hits[:, 1::2]
    return list((2 * (low + high) + (low > high)).astype(np.intp).T)


def _directions(rng: np.random.Generator, count: int) -> Float:
    """Unit vectors ``(count, 3)``, evenly spread over the sphere at random."""
    drawn = rng.standard_normal((count, 3))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def taper(f: Float, fs: float) -> NDArray[np.float32]:
    """Half a cosine from 0.46 fs to half of fs, so that a fractional delay's taps die away soon."""
    return half_cosine.fall((f / fs - 0.46) / 0.04).astype(np.float32)
