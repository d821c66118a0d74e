"""Limits of each driver's signal: band, peak and power as the rig file allows, and the filter that keeps its band.

Every stimulus is made for its drivers by :meth:`Protection.shaped`, filters of a processor hold the same slope, and
both doors to the world refuse what :meth:`Protection.refused` names.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics import Excursion, fft
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.errors import TooLoud
from sweetspot.rigs.units import Complex, Float, db, power_db

if TYPE_CHECKING:
    from sweetspot.rigs.rig_file import Description, DriverLimits, OutputLimits

LEAK_DB = -40.0
"""Energy that a signal may have below a driver's band, re its total."""

SLOPE = 0.36
"""Width of the protection filter's slope over the lower edge of the band: full level from 1.33 times the edge on."""

BELOW = 0.1
"""Part of the slope that lies below the edge."""

NARROWEST = 1.5
"""Narrowest slope of a filter, in steps of the sampling rate over its number of taps."""

POWER_S = 1.0
"""Averaging time of power, s: voice coils of tweeters heat up within seconds."""

EQUALISED = 0.65
"""A response's slope over that of the protection filter: steeper ones ring longer, wider ones lose more of the band."""

STEEPEST, SHORT_HZ = 0.25, 250.0
"""The least of that share, and the edge above which it falls: a tweeter's slope of the same width in Hz rings no longer
than a woofer's, and its response is known nearly down to its edge, where other drivers play too."""

BETTER_DB = 6.0
"""Margin of filters to the band limit, dB: programs may cancel each other within the band."""

JUDGED_HZ, RESOLVED = 167.0, 2.4
"""Lowest frequency of the usual gate (6 ms); and the resolution of a window above an edge, re its inverse length."""

FROM_HZ = 20.0
"""Pink programme begins here."""

EDGE_BINS = 32
"""Bins of a transform that lie below a band's edge, at least."""

MOST_DECADES = 8.0
"""Up to this power of ten energy below the band is weighed in when filters are changed."""

PAD_S = 0.1
"""Silence around a signal while it is filtered, s."""

REMEMBERED = 64
"""Checked outputs that are known again."""


@dataclass(frozen=True, slots=True)
class Protection:
    """The limits of one driver's output.

    Parameters
    ----------
    output
        Its output, counted from 0.
    fs
        Sampling rate, Hz.
    low_hz
        Lower edge of its band; ``None`` for one that is unprotected on purpose.
    peak
        Largest sample, full scale = 1: the rig's ceiling, or less by ``max_v``.
    rms
        Largest root mean square over :data:`POWER_S`, full scale = 1, by ``power_w``; infinite where that is unknown.
    excursion
        How far it moves, and may; ``None`` where the rig states no limit, or not how far full scale moves it.
    """

    name: str
    output: int
    fs: int
    low_hz: float | None
    peak: float
    rms: float = np.inf
    excursion: Excursion | None = None

    @classmethod
    def of(cls, rig: OutputLimits, driver: DriverLimits) -> Protection:
        """The limits of a driver of a rig."""
        volts = driver.volts
        peak, rms = rig.ceiling, float(np.inf)
        if volts is not None and driver.max_v is not None:
            peak = min(peak, driver.max_v / volts)
        if volts is not None and driver.power_w is not None:
            rms = float(np.sqrt(driver.power_w * driver.impedance_ohm)) / volts
        free = driver.unprotected or rig.interface == "none"  # where nothing is played, no band is known
        low = None if free else driver.low_hz
        moves = None
        if volts is not None and driver.excursion_m is not None and driver.sensitivity_db_spl is not None:
            limit, area = driver.excursion_m
            moves = Excursion.of_data_sheet(limit, area, driver.low_hz, driver.sensitivity_db_spl, volts)
        return cls(driver.name, driver.channel - 1, rig.fs, low, float(peak), rms=rms, excursion=moves)

    @property
    def sine(self) -> float:
        """Largest peak of a sine that lasts, full scale = 1."""
        return float(min(self.peak, self.rms * 2.0**0.5))

    def most(self, x: NDArray[np.floating]) -> float:
        """Largest gain of a continuous signal ``(samples,)`` for its driver."""
        gain = self.sine / max(float(np.max(np.abs(x), initial=0.0)), 1e-12)
        if self.excursion is not None:
            gain = min(gain, self.excursion.limit / max(self.excursion.peak(x, self.fs), 1e-30))
        return float(gain)

    def room_to_move(self, taps: NDArray[np.floating], fs: int) -> Float:
        """Largest gain ``(...,)`` at which filters ``(..., program, tap)`` keep within the excursion for any programme.

        Programs are left, right, centre; what both sides share may go to the centre instead. Infinite where the rig
        states no excursion, or none is known.
        """
        if self.excursion is None:
            return np.full(taps.shape[:-2], np.inf)
        left, right, centre = np.moveaxis(self.excursion.worst(taps, fs), -1, 0)
        return np.asarray(self.excursion.limit / np.maximum(np.maximum(left + right, centre), 1e-30))

    def binding(self, taps: NDArray[np.floating], fs: int) -> str:
        """Key of the rig file whose limit filters ``(program, tap)`` of left, right and centre meet first."""
        left, right, centre = np.abs(np.fft.rfft(taps, 8192, axis=-1))
        sines = self.sine / max(float(np.max(np.maximum(left + right, centre))), 1e-12)
        if float(self.room_to_move(taps, fs)) < sines:
            return "excursion_mm"
        return "power_w" if self.rms * 2.0**0.5 <= self.peak else "max_v"

    def slope(self, f: NDArray[np.floating], taps: int | None = None) -> Float:
        """The protection filter's gain (zero phase) at ``f`` Hz: zero below the band, 1 well within it.

        ``sin^2`` over linear frequency, whose response dies away within about two over its width. A filter of few
        ``taps`` gets a slope as wide as these can draw.
        """
        if self.low_hz is None:
            return np.ones_like(np.asarray(f, dtype=float))
        width = SLOPE * self.low_hz
        if taps is not None:
            width = max(width, NARROWEST * self.fs / taps)
        start = self.low_hz - BELOW * SLOPE * self.low_hz
        place = np.clip((np.abs(f) - start) / width, 0.0, 1.0)
        return np.asarray(np.sin(0.5 * np.pi * place) ** 2)

    def half_hz(self, low_hz: float) -> float:
        """The -6 dB frequency of the protection filter, Hz; ``low_hz`` for a driver without one."""
        return low_hz if self.low_hz is None else self.low_hz * (1.0 + (0.5 - BELOW) * SLOPE)

    def equaliser(self, f: Float) -> Float:
        """Factor on responses to :meth:`shaped` signals: a steeper slope over the protection filter's.

        Both begin at the same frequency, where the quotient is largest: ``1 / EQUALISED^2``, of high edges up to
        ``1 / STEEPEST^2``. Below, where nothing of the driver's own is left, it falls as slowly, so that other drivers
        which overlap with it do not ring in it.
        """
        if self.low_hz is None:
            return np.ones_like(np.asarray(f, dtype=float))
        width = SLOPE * self.low_hz
        share = min(EQUALISED, max(STEEPEST, EQUALISED * SHORT_HZ / self.low_hz))
        place = (np.abs(f) - self.low_hz + BELOW * width) / width
        above = np.clip(place, 1e-9, 1.0)
        steeper = np.sin(0.5 * np.pi * np.minimum(above / share, 1.0)) / np.sin(0.5 * np.pi * above)
        return np.asarray((steeper * np.cos(0.5 * np.pi * np.clip(place, -1.0, 0.0))) ** 2)

    @property
    def rings_s(self) -> float:
        """Ringing of an equalised response to either side, s, at judged frequencies; or 0.

        A response that is cut off is wrong by -50 dB this far above the edge of its band: ``|f - 1.1 low| T`` =
        :data:`RESOLVED`. Judged is from :data:`JUDGED_HZ` on, or from 1.6 times the edge where that is higher.
        """
        if self.low_hz is None:
            return 0.0
        return RESOLVED / (max(JUDGED_HZ, 1.6 * self.low_hz) - 1.1 * self.low_hz)

    def shaped(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """A signal ``(samples,)`` high-passed at the band's edge; of equal length."""
        if self.low_hz is None or not np.any(x):
            return np.asarray(x, dtype=np.float32)
        pad = round(PAD_S * self.fs)
        size = int(fft.next_fast_len(len(x) + 2 * pad, real=True))
        padded = np.zeros(size)
        padded[pad : pad + len(x)] = x
        spectrum = fft.rfft(padded)
        spectrum *= self.slope(np.asarray(fft.rfftfreq(size, 1.0 / self.fs)))
        return np.asarray(fft.irfft(spectrum, size)[pad : pad + len(x)], dtype=np.float32)

    def leak_db(self, x: NDArray[np.floating]) -> float:
        """Energy of a signal ``(samples,)`` below the band over its total, dB; -300 for silence."""
        if self.low_hz is None or not np.any(x):
            return -300.0
        size = int(fft.next_fast_len(len(x), real=True))
        energy = np.abs(fft.rfft(np.asarray(x, dtype=np.float64), size)) ** 2
        below = energy[: int(np.ceil(self.low_hz * size / self.fs))]
        return float(power_db(np.sum(below) / np.sum(energy)))

    def filter_leak_db(self, taps: NDArray[np.floating], fs: int) -> float:
        """Energy below the band over the total, dB, of pink or white programme behind filters ``(..., tap)``.

        The worst of all filters and of both programmes; pink noise begins at 20 Hz.
        """
        if self.low_hz is None:
            return -300.0
        return float(np.max(self._leaks_db(taps, fs)))

    def _leaks_db(self, taps: NDArray[np.floating], fs: int, slopes: tuple[float, ...] = (0.0, 1.0)) -> Float:
        """Of each filter, see :meth:`filter_leak_db`: ``(...)``, dB; of programmes of power ``f^-slope``."""
        assert self.low_hz is not None
        size, n = self._grid(taps.shape[-1], fs), taps.shape[-1]
        # Energy behind a weight over frequency is a sum over lags of the filter's autocorrelation: short transforms do.
        own = int(fft.next_fast_len(2 * n, real=True))
        lags = fft.irfft(np.abs(fft.rfft(np.asarray(taps, dtype=np.float64), own, axis=-1)) ** 2, own, axis=-1)[..., :n]
        there = lags @ _programmes_over_lags(n, size, fs, self.low_hz, slopes)
        shares = np.maximum(there[..., ::2], 0.0) / np.maximum(there[..., 1::2], 1e-300)
        return np.asarray(power_db(np.max(shares, axis=-1)))

    def _grid(self, taps: int, fs: int) -> int:
        """Length of a transform that resolves filters of this length and the band's edge."""
        return int(fft.next_fast_len(max(4 * taps, round(EDGE_BINS * fs / (self.low_hz or fs))), real=True))

    def within_band(self, taps: NDArray[np.floating], fs: int) -> Float:
        """Filters ``(..., tap)`` changed as little as lets them keep to the band by :meth:`filter_leak_db`.

        Of all filters ``g`` of the length of ``h``, the one with least ``|g - h|^2 + m g^T B g``, where ``g^T B g`` is
        the energy of pink programme below the band: ``(I + m B) g = h`` with Toeplitz ``B``. ``m`` is raised until the
        leak lies :data:`BETTER_DB` below the limit; then the same for brown programme. Filters that keep to it already
        are returned as they are.
        """
        found = np.asarray(taps, dtype=np.float64)
        if self.low_hz is None or not found.any():
            return found
        rows = found.reshape(-1, found.shape[-1])
        for slope, slopes in ((1.0, (0.0, 1.0)), (2.0, (2.0,))):
            rows = self._held(rows, fs, slope, slopes)
        return rows.reshape(found.shape)

    def _held(self, rows: Float, fs: int, slope: float, slopes: tuple[float, ...]) -> Float:
        """Filters ``(row, tap)`` within the band for programmes of power ``f^-slopes``, see :meth:`within_band`; the
        cost is the energy below the band of one of power ``f^-slope``."""
        assert self.low_hz is not None
        most_db = LEAK_DB - BETTER_DB
        n, size = rows.shape[-1], self._grid(rows.shape[-1], fs)
        leaks_db = self._leaks_db(rows, fs, slopes)
        leaking = rows[leaks_db > most_db]
        if not len(leaking):
            return rows
        multipliers, low_hz = 10.0 ** np.arange(0.0, MOST_DECADES, 0.25), self.low_hz

        def held(m: float, some: Float) -> Float:
            return _applied(_inverse(n, size, fs, low_hz, slope, m), some)

        # Each leak falls with the multiplier, about evenly: the least that does is met in three steps, halvings need
        # five.
        low, high, over, under = -1, len(multipliers) - 1, float(np.max(leaks_db)) - most_db, 0.0
        while high - low > 1:
            share = min(max(over / (over - under), 0.1), 0.9) if under < 0.0 else 0.5
            middle = min(low + math.ceil(share * (high - low)), high - 1)
            beyond = self._leaks_db(held(multipliers[middle], leaking), fs, slopes) - most_db
            if np.any(beyond > 0.0):
                low, over, leaking = middle, float(np.max(beyond)), leaking[beyond > 0.0]
            else:
                high, under = middle, float(np.max(beyond))
        return held(multipliers[high], rows)

    def filter_refused(self, taps: NDArray[np.floating], fs: int) -> str:
        """Reason to refuse filters ``(..., tap)`` for this driver, or ``None``."""
        leak = self.filter_leak_db(taps, fs)
        if leak <= LEAK_DB:
            return ""
        return (
            f"{leak:.1f} dB of its filtered signal lies below band_hz = [{self.low_hz:g}, ...] "
            f"(limit {LEAK_DB:g} dB for white and pink programme)"
        )

    def loudest_rms(self, x: NDArray[np.floating]) -> float:
        """Largest root mean square of a signal ``(samples,)`` over :data:`POWER_S`."""
        size = round(POWER_S * self.fs)
        total = np.concatenate([[0.0], np.cumsum(np.asarray(x, dtype=np.float64) ** 2)])
        if len(x) <= size:
            return float(np.sqrt(total[-1] / size))
        return float(np.sqrt(np.max(total[size:] - total[:-size]) / size))

    def refused(self, x: NDArray[np.floating]) -> str:
        """Reason to refuse a signal ``(samples,)``, or ``None``."""
        peak = float(np.max(np.abs(x), initial=0.0))
        if peak > self.peak * (1.0 + 1e-6):
            return (
                f"peak {float(db(peak)):.2f} dBFS is above its limit of {float(db(self.peak)):.2f} dBFS "
                "(limits.ceiling_dbfs, max_v)"
            )
        rms = self.loudest_rms(x) if np.isfinite(self.rms) else 0.0
        if rms > self.rms * 1.001:
            return f"{float(db(rms / self.rms)):.1f} dB more power over {POWER_S:g} s than power_w allows"
        moved = 0.0 if self.excursion is None else self.excursion.peak(x, self.fs)
        if self.excursion is not None and moved > self.excursion.limit * 1.001:
            return (
                f"it would move by {1e3 * moved:.2f} mm, and excursion_mm = {1e3 * self.excursion.limit:g}: "
                f"lower its level by {float(db(moved / self.excursion.limit)):.1f} dB"
            )
        leak = self.leak_db(x)
        if leak > LEAK_DB:
            return (
                f"{leak:.1f} dB of its energy lies below band_hz = [{self.low_hz:g}, ...] (limit {LEAK_DB:g} dB). "
                "Filter it, or write unprotected = true if the driver can take it"
            )
        return ""


@lru_cache(maxsize=64)
def _programmes_over_lags(n: int, size: int, fs: int, low_hz: float, slopes: tuple[float, ...]) -> Float:
    """Weights of :func:`_over_lags` ``(lag, 2 programmes)``: energy below the band, and all, of each programme of power
    ``f^-slope``. They depend on the band alone: drivers and units share them."""
    f = np.asarray(fft.rfftfreq(size, 1.0 / fs))
    below, floor = f < low_hz, np.maximum(f, FROM_HZ)
    weights = [np.where((f >= FROM_HZ) | (slope == 0.0), floor**-slope, 0.0) for slope in slopes]
    parts = [_over_lags(w * part, size, n) for w in weights for part in (below, 1.0)]
    return frozen("weights", np.stack(parts, axis=1), ndim=2)


def _over_lags(weight: Float, size: int, count: int) -> Float:
    """Weights of lags 0 to ``count`` - 1 so that their sum with an autocorrelation is that of ``weight`` with the power
    spectrum, over the bins ``(size // 2 + 1,)`` of a real transform."""
    halved = 0.5 * weight
    halved[0] *= 2.0
    if size % 2 == 0:
        halved[-1] *= 2.0
    over = size * np.asarray(fft.irfft(halved, size)[:count])
    over[1:] *= 2.0
    return over


@lru_cache(maxsize=256)
def _inverse(n: int, size: int, fs: int, low_hz: float, slope: float, m: float) -> tuple[Complex, Complex, float]:
    """Spectra of the two vectors that give the inverse of ``I + m B`` of ``n`` taps, and the first one's first value.

    The inverse of a symmetric Toeplitz matrix follows from its first column ``x``: ``(A A^T - C C^T) / x_0`` with lower
    triangular Toeplitz matrices of ``x`` and of ``0, x_(n-1), ..., x_1`` (I. Gohberg and A. Semencul, Mat. Issled. 7,
    201, 1972). It depends on the band alone: drivers and units share it.
    """
    from scipy.linalg import solve_toeplitz  # slow to import

    f = fft.rfftfreq(size, 1.0 / fs)
    weight = np.where(f < low_hz, (low_hz / np.maximum(f, FROM_HZ)) ** slope, 0.0)
    column = m * np.asarray(fft.irfft(weight, size)[:n])
    column[0] += 1.0
    x = solve_toeplitz(column, np.eye(1, n)[0])
    return fft.rfft(x, 2 * n), fft.rfft(np.concatenate([[0.0], x[:0:-1]]), 2 * n), float(x[0])


def _applied(inverse: tuple[Complex, Complex, float], rows: Float) -> Float:
    """An inverse of :func:`_inverse` on rows ``(row, tap)``, by transforms of twice their length."""
    *columns, first = inverse
    n = rows.shape[-1]
    spectra, whole = fft.rfft(rows, 2 * n, axis=-1), []
    for column in columns:
        turned = fft.irfft(column.conj() * spectra, 2 * n, axis=-1)[..., :n]
        whole.append(column * fft.rfft(turned, 2 * n, axis=-1))
    return np.asarray(fft.irfft((whole[0] - whole[1]) / first, 2 * n, axis=-1)[..., :n])


def protections(rig: Description) -> tuple[Protection, ...]:
    """The limits of every driver, in the order of the rig."""
    from sweetspot.rigs.rig_file import limits_in

    limits = limits_in(rig)
    return tuple(Protection.of(limits, d) for d in limits.driver)


def check_outputs(y: NDArray[np.floating], rig: Description, where: str) -> None:
    """Refuse outputs ``(outputs, samples)`` that exceed a driver's limits; the loopback only stays below full scale.

    Samples that kept to the same limits before are known by their SHA-256: a fifth of the time for captures that play
    the same sweeps again.

    Raises
    ------
    TooLoud
        Names where, the driver, the value found and the limit.
    """
    if not np.isfinite(y).all():
        raise TooLoud(f"{where}: the signal contains a value that is not finite; nothing was played")
    loopback = rig.interface.loopback.out - 1
    drivers = {p.output: p for p in protections(rig)}
    sounding = {output: np.ascontiguousarray(row) for output, row in enumerate(y) if row.any()}
    digests = tuple((output, row.dtype.str, hashlib.sha256(row.data).digest()) for output, row in sounding.items())
    played = _Checked(digests, loopback, rig.limits.ceiling, tuple(drivers.values()))
    if played in _kept_limits:
        return
    for output, row in sounding.items():
        if output in drivers:
            one = drivers[output]
            if reason := one.refused(row):
                raise TooLoud(f"{where}, driver {one.name!r} (output {output + 1}): {reason}; nothing was played")
            continue
        limit = 1.0 if output == loopback else rig.limits.ceiling
        peak = float(np.max(np.abs(row)))
        if peak > limit * (1.0 + 1e-6):
            raise TooLoud(
                f"{where}, output {output + 1}: peak {float(db(peak)):.2f} dBFS is above the rig's ceiling of "
                f"{float(db(limit)):.2f} dBFS; nothing was played"
            )
    _kept_limits.append(played)


class _Checked(NamedTuple):
    """What :func:`check_outputs` looks at: type and SHA-256 of each output that is not silent, and all limits."""

    outputs: tuple[tuple[int, str, bytes], ...]
    loopback: int
    ceiling: float
    drivers: tuple[Protection, ...]


_kept_limits: deque[_Checked] = deque(maxlen=REMEMBERED)
