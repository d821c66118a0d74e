"""The dummy head: a rigid sphere with two ears, or a measured set from a SOFA file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics.encoding import Encoding, Single
from sweetspot.rigs.acoustics.harmonics import fitting, harmonics
from sweetspot.rigs.acoustics.sofa_head import read_head
from sweetspot.rigs.acoustics.sphere import field, field_at
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Complex, Float, db, from_db

BESIDE: Float = np.array([[0.0, 0.08, 0.0], [0.0, -0.08, 0.0]])
"""Assumed positions of a measured head's ears, m from its middle."""


class Head(Protocol):
    """Protocol of heads: two ears."""

    def encoded(self, k: Float, nearest: float, c: float) -> EncodedHead:
        """The same head for any direction at few wavenumbers ``k``, sources ``nearest`` m away or farther."""
        ...

    def response(self, directions: Float, k: Float, r: float, c: float) -> Complex:
        """Pressure at the ears over that at the head's place without it, ``(ear, *directions.shape)``; left first.

        Parameters
        ----------
        directions
            Azimuth of arrival seen from the head's front, rad, counter-clockwise, ``(..., frequency)``.
        k
            Wavenumbers, rad/m.
        r
            Distance of the source, m.
        c
            Speed of sound, m/s.
        """
        ...

    def __hash__(self) -> int:
        """What is computed for a head is kept for it."""
        ...


class EncodedHead(Protocol):
    """A head made ready for very many directions at once, anywhere on the sphere."""

    offsets: Float
    """Positions of the ears, ``(ear, 3)`` m in head coordinates."""

    def toward(self, directions: Float, r: Float) -> tuple[Single, Single]:
        """Response of each ear ``(direction, bin)``, left first, as in :meth:`Head.response`.

        ``directions (direction, 3)`` are unit vectors of the head's own coordinates (x ahead, y left, z up) that point
        to the sources, ``r`` their distances in m.
        """
        ...


class SphereHead:
    """A rigid sphere (Duda and Martens 1998); ears at ``+-ears`` rad from the front."""

    def __init__(self, diameter: float, ears: float) -> None:
        self.radius = diameter / 2.0
        self.ears = (ears, -ears)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SphereHead) and (self.radius, self.ears) == (other.radius, other.ears)

    def __hash__(self) -> int:
        return hash((self.radius, self.ears))

    def response(self, directions: Float, k: Float, r: float, c: float) -> Complex:
        """See :class:`Head`; exact for a point source at distance ``r``."""
        del c
        free = np.exp(-1j * k * r) / r
        ears = np.array(self.ears).reshape(2, *[1] * np.ndim(directions))
        if directions.strides[-1] == 0:  # the same for all frequencies: one product of matrices, a tenth of the time
            return np.asarray(field(np.cos(directions[..., 0] - ears[..., 0]), k, self.radius, r) / free)
        return np.asarray(field_at(np.cos(directions - ears), k, self.radius, r) / free)

    def encoded(self, k: Float, nearest: float, c: float) -> EncodedHead:
        """The head at wavenumbers ``k`` for sources at ``nearest`` m or farther."""
        del c
        return _EncodedSphere(Encoding(self.radius, k, nearest), self.ears, self.radius)


class _EncodedSphere:
    """Both ears of a sphere, one encoding."""

    def __init__(self, encoding: Encoding, ears: tuple[float, float], radius: float) -> None:
        self.encoding = encoding
        self.axes = [np.array([np.cos(ear), np.sin(ear), 0.0]) for ear in ears]
        self.offsets = radius * np.stack(self.axes)

    def toward(self, directions: Float, r: Float) -> tuple[Single, Single]:
        """See :class:`EncodedHead`."""
        left, right = (self.encoding.toward(np.clip(directions @ axis, -1.0, 1.0), r) for axis in self.axes)
        return left, right


class MeasuredHead:
    """A dummy head measured in the horizontal plane, interpolated over azimuth with its delays apart.

    The ear that hears a source at azimuth 90 degrees first is the left one, whatever the file calls it (published
    files disagree with themselves). The level is set so that the mean over all directions is 0 dB from 250 to 500 Hz;
    below :data:`LOWEST_HZ` the response there is held. The distance of the measurement is corrected on request only
    (:class:`CorrectedHead`).

    For reflections, which come from everywhere, spherical harmonics are fitted to the whole set, spectra and delays
    apart (order :data:`HIGHEST_ORDER` or as many as the directions bear). On KEMAR's 710 directions, with every seventh
    left out, they meet those left out within 0.1 dB below 2 kHz, 0.9 dB to 5 kHz, 2.6 dB to 10 kHz and 3 us (rms). A
    set of horizontal directions alone answers with its direction on the same cone around the ears' axis.

    Parameters
    ----------
    ir
        ``(direction, 2, tap)``.
    azimuths
        Of the directions, rad, counter-clockwise.
    fs
        Sampling rate, Hz.
    whole
        Impulse responses ``(direction, 2, tap)`` in all directions and their unit vectors ``(direction, 3)``.
    measured
        Distance of the sources, m.
    """

    LOWEST_HZ = 150.0
    HIGHEST_ORDER = 18
    SMOOTHING = 1e-4

    def __init__(
        self, ir: Float, azimuths: Float, fs: float, whole: tuple[Float, Float] | None = None, measured: float = 1.0
    ) -> None:
        ring = np.argsort(np.mod(azimuths, 2.0 * np.pi))
        self.fs, self.measured = fs, measured
        self.azimuths = np.mod(azimuths, 2.0 * np.pi)[ring]
        self.delays = _onsets(ir[ring], fs)
        side = int(np.argmin(np.abs(self.azimuths - np.pi / 2.0)))
        ears = (0, 1) if self.delays[side, 0] <= self.delays[side, 1] else (1, 0)
        self.ir, self.delays = ir[ring][:, ears], self.delays[:, ears]
        self.whole = (whole[0][:, ears], whole[1]) if whole is not None else None
        self.middle = float(np.median(self.delays))
        band = np.linspace(250.0, 500.0, 26)
        self.gain = float(from_db(-float(np.mean(db(self._spectrum(band))))))

    def _spectrum(self, f: Float) -> Complex:
        """Spectra ``(direction, ear, f)`` without each direction's delay."""
        return _aligned(self.ir, self.delays, f, self.fs)

    def encoded(self, k: Float, nearest: float, c: float) -> EncodedHead:
        """The head at wavenumbers ``k`` in all directions; ``nearest`` has no influence."""
        f = k * c / (2.0 * np.pi)
        if self.whole is None:
            return _OnCones(self, k, nearest, c)
        ir, directions = self.whole
        delays = _onsets(ir, self.fs)
        order = min(self.HIGHEST_ORDER, int(np.sqrt(0.6 * len(directions))) - 1)
        fit = fitting(directions, order, self.SMOOTHING)
        spectra = _aligned(ir, delays, np.clip(f, self.LOWEST_HZ, 0.49 * self.fs), self.fs) * self.gain
        coefficients = np.einsum("cd,def->ecf", fit, spectra)
        return _Harmonics(order, coefficients, fit @ (delays - self.middle), f)

    def response(self, directions: Float, k: Float, r: float, c: float) -> Complex:
        """See :class:`Head`; ``r`` has no influence."""
        from scipy.interpolate import CubicSpline  # slow to import

        del r
        f = k * c / (2.0 * np.pi)
        aligned = self._spectrum(np.clip(f, self.LOWEST_HZ, 0.49 * self.fs)) * self.gain
        closed = np.append(self.azimuths, self.azimuths[0] + 2.0 * np.pi)
        shapes = CubicSpline(closed, np.concatenate([aligned, aligned[:1]]), axis=0, bc_type="periodic")
        delays = CubicSpline(closed, np.concatenate([self.delays, self.delays[:1]]), axis=0, bc_type="periodic")
        around = np.mod(directions, 2.0 * np.pi)
        piece = np.clip(np.searchsorted(closed, around, side="right") - 1, 0, len(closed) - 2)
        step = around - closed[piece]
        at = np.broadcast_to(np.arange(len(f)), around.shape)
        heard = []
        for ear in (0, 1):
            cubic = shapes.c[:, piece, ear, at]
            shape = ((cubic[0] * step + cubic[1]) * step + cubic[2]) * step + cubic[3]
            late = delays(around)[..., ear] - self.middle
            heard.append(shape * np.exp(-2j * np.pi * f * late))
        return np.stack(heard)


class CorrectedHead:
    """A measured head with direct sound corrected from the distance of its measurement to that of the source.

    The correction is what a sphere does between the two distances (the distance variation function of A. Kan et al.,
    J. Acoust. Soc. Am. 125, 2233, 2009): right for the head's size, blind to the pinna, which a near source meets from
    another angle. Reflections come from too far away to need it.

    Parameters
    ----------
    head
        As measured.
    sphere
        A sphere of about its size.
    measured
        Distance of its measurement, m.
    """

    def __init__(self, head: MeasuredHead, sphere: SphereHead, measured: float) -> None:
        self.head, self.sphere, self.measured = head, sphere, measured

    def response(self, directions: Float, k: Float, r: float, c: float) -> Complex:
        """See :class:`Head`."""
        near, then = (self.sphere.response(directions, k, d, c) for d in (r, self.measured))
        return self.head.response(directions, k, r, c) * near / then

    def encoded(self, k: Float, nearest: float, c: float) -> EncodedHead:
        """See :class:`Head`; as measured."""
        return self.head.encoded(k, nearest, c)


class _Harmonics:
    """A measured head in spherical harmonics.

    Parameters
    ----------
    order
        Highest order.
    coefficients
        Of the spectra, ``(ear, term, bin)``.
    delays
        Of the delays, s, ``(term, ear)``.
    f
        Frequencies, Hz.
    """

    def __init__(self, order: int, coefficients: Complex, delays: Float, f: Float) -> None:
        self.order, self.delays, self.offsets = order, delays, BESIDE
        self.tables = [np.ascontiguousarray(c, dtype=np.complex64).view(np.float32) for c in coefficients]
        self.turn = (-2.0 * np.pi * f).astype(np.float32)

    def toward(self, directions: Float, r: Float) -> tuple[Single, Single]:
        """See :class:`EncodedHead`; ``r`` has no influence."""
        del r
        basis = harmonics(directions, self.order)
        late = (basis @ self.delays).astype(np.float32)
        single = basis.astype(np.float32)
        left, right = (
            (single @ table).view(np.complex64) * _unit(late[:, ear, None] * self.turn)
            for ear, table in enumerate(self.tables)
        )
        return left, right


class _OnCones:
    """A head measured in the horizontal plane alone: each direction is answered by one on its cone around the ears."""

    STEPS = 720

    def __init__(self, head: MeasuredHead, k: Float, nearest: float, c: float) -> None:
        self.offsets = BESIDE
        around = 2.0 * np.pi * np.arange(self.STEPS) / self.STEPS
        self.table = head.response(np.broadcast_to(around[:, None], (self.STEPS, len(k))), k, nearest, c)
        self.table = self.table.astype(np.complex64)

    def toward(self, directions: Float, r: Float) -> tuple[Single, Single]:
        """See :class:`EncodedHead`; ``r`` has no influence."""
        del r
        x, y, _ = directions.T
        ahead = np.sqrt(np.maximum(1.0 - y * y, 0.0)) * np.where(x < 0.0, -1.0, 1.0)
        at = np.rint(np.arctan2(y, ahead) * self.STEPS / (2.0 * np.pi)).astype(int) % self.STEPS
        return self.table[0, at], self.table[1, at]


def _unit(angle: NDArray[np.float32]) -> Single:
    """``exp(j angle)`` in single precision."""
    out = np.empty((*angle.shape, 2), dtype=np.float32)
    np.cos(angle, out=out[..., 0])
    np.sin(angle, out=out[..., 1])
    return np.asarray(out.view(np.complex64)[..., 0])


def _aligned(ir: Float, delays: Float, f: Float, fs: float) -> Complex:
    """Spectra ``(direction, ear, f)`` of ``ir (direction, ear, tap)`` without the ``delays`` in s."""
    taps = np.arange(ir.shape[2]) / fs
    raw = ir @ np.exp(-2j * np.pi * np.outer(taps, f))
    return np.asarray(raw * np.exp(2j * np.pi * delays[:, :, None] * f))


def _onsets(ir: Float, fs: float) -> NDArray[np.float64]:
    """Arrival ``(direction, ear)`` in s: where the response first passes a tenth of its peak, on a fine time grid."""
    fine = 8
    n = ir.shape[2]
    dense = np.abs(np.fft.irfft(np.fft.rfft(ir, axis=2), n * fine, axis=2))
    first = np.argmax(dense >= 0.1 * dense.max(axis=2, keepdims=True), axis=2)
    return np.asarray(first / (fine * fs))


def load_head(path: Path) -> MeasuredHead:
    """Read a head from a SOFA file (AES69): the measured directions nearest to the horizontal plane.

    Raises
    ------
    BadInput
        The file is no SOFA file with impulse responses to two receivers, or has too few horizontal directions.
    """
    found = read_head(path)
    ir, fs, places = found.ir, found.fs, found.places
    level = np.abs(places[:, 1]) < 0.5
    if level.sum() < 12:
        raise BadInput(f"{path}: only {int(level.sum())} directions in the horizontal plane; at least 12 are needed")
    around, index = np.unique(np.mod(places[level, 0], 360.0), return_index=True)
    azimuths, elevations = np.radians(places[:, 0]), np.radians(places[:, 1])
    flat = np.cos(elevations)
    directions = np.stack([flat * np.cos(azimuths), flat * np.sin(azimuths), np.sin(elevations)], axis=1)
    round_about = (ir, directions) if not level.all() else None
    return MeasuredHead(ir[level][index], np.radians(around), fs, round_about, float(np.median(places[:, 2])))
