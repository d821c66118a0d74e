"""The dummy head: a rigid sphere with two ears, or a measured set from a SOFA file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from rigs.errors import BadInput
from rigs.lab.sphere import Complex, field_at
from rigs.units import Float, db, from_db


class Head(Protocol):
    """Anything with two ears."""

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


class SphereHead:
    """A rigid sphere (Duda and Martens 1998); ears at ``+-ears`` rad from the front."""

    def __init__(self, diameter: float, ears: float) -> None:
        self.radius = diameter / 2.0
        self.ears = (ears, -ears)

    def response(self, directions: Float, k: Float, r: float, c: float) -> Complex:
        """See :class:`Head`; exact for a point source at distance ``r``."""
        del c
        free = np.exp(-1j * k * r) / r
        heard = [field_at(np.cos(directions - ear), k, self.radius, r) / free for ear in self.ears]
        return np.stack(heard)


class MeasuredHead:
    """A dummy head measured in the horizontal plane, interpolated over azimuth with its delays apart.

    The ear that hears a source at azimuth 90 degrees first is the left one, whatever the file calls it (published
    files disagree with themselves). The level is set so that the mean over all directions is 0 dB from 250 to 500 Hz;
    below :data:`LOWEST_HZ` the response there is held. No correction is made for the distance of the measurement.

    Parameters
    ----------
    ir
        ``(direction, 2, tap)``.
    azimuths
        Of the directions, rad, counter-clockwise.
    fs
        Sampling rate, Hz.
    """

    LOWEST_HZ = 150.0

    def __init__(self, ir: Float, azimuths: Float, fs: float) -> None:
        ring = np.argsort(np.mod(azimuths, 2.0 * np.pi))
        self.fs = fs
        self.azimuths = np.mod(azimuths, 2.0 * np.pi)[ring]
        self.delays = _onsets(ir[ring], fs)
        side = int(np.argmin(np.abs(self.azimuths - np.pi / 2.0)))
        ears = (0, 1) if self.delays[side, 0] <= self.delays[side, 1] else (1, 0)
        self.ir, self.delays = ir[ring][:, ears], self.delays[:, ears]
        self.middle = float(np.median(self.delays))
        band = np.linspace(250.0, 500.0, 26)
        self.gain = float(from_db(-float(np.mean(db(self._spectrum(band))))))

    def _spectrum(self, f: Float) -> Complex:
        """Spectra ``(direction, ear, f)`` with each direction's own delay taken out."""
        taps = np.arange(self.ir.shape[2]) / self.fs
        raw = self.ir @ np.exp(-2j * np.pi * np.outer(taps, f))
        return np.asarray(raw * np.exp(2j * np.pi * self.delays[:, :, None] * f))

    def response(self, directions: Float, k: Float, r: float, c: float) -> Complex:
        """See :class:`Head`; ``r`` has no influence."""
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
    import sofar  # slow to import, and needed for measured heads only

    try:
        sofa = sofar.read_sofa(str(path), verify=False, verbose=False)
        ir = np.asarray(sofa.Data_IR, dtype=float)
        fs = float(np.ravel(sofa.Data_SamplingRate)[0])
        places = np.asarray(sofa.SourcePosition, dtype=float)
    except (OSError, ValueError, AttributeError, KeyError, RuntimeError, IndexError) as fault:
        raise BadInput(f"{path}: not a SOFA file with impulse responses: {fault}") from fault
    if ir.ndim != 3 or ir.shape[1] != 2 or not np.isfinite(ir).all():
        raise BadInput(f"{path}: Data.IR has shape {ir.shape}; (directions, 2 ears, taps) of finite values is needed")
    level = np.abs(places[:, 1]) < 0.5
    if level.sum() < 12:
        raise BadInput(f"{path}: only {int(level.sum())} directions in the horizontal plane; at least 12 are needed")
    around, index = np.unique(np.mod(places[level, 0], 360.0), return_index=True)
    return MeasuredHead(ir[level][index], np.radians(around), fs)
