"""Reverberation in bands: decay times and clarity of responses, or why there are none (ISO 3382-1 and 3382-2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sweetspot.measure.delays import onset
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.smooth import NOMINAL_HZ
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.units import Complex, Float, power_db

BandWidth = Literal["octave", "third"]

EVALUATED_DB = {"edt_s": (0.0, 10.0), "t20_s": (5.0, 25.0), "t30_s": (5.0, 35.0)}
"""Parts of the decay curve to which lines are fitted, dB below its start."""

ABOVE_NOISE_DB = 10.0
"""Least distance of an evaluated level from the noise, dB: T30 needs a decay range of 45 dB, T20 35 dB, EDT 20 dB."""

LEAST_BT = 4.0
"""Least product of bandwidth and decay time for a filter that runs backwards (Jacobsen and Rindel 1987)."""

CURVED = 10.0
"""Deviation from a straight line, permille, from which a decay time is in doubt (ISO 3382-2, annex B)."""

EARLY_S = {"c50_db": 0.05, "c80_db": 0.08}
"""Ends of what counts as early, s."""

FIGURES = (*EVALUATED_DB, *EARLY_S, "d50")

SHOWN = {"edt_s": ("EDT, s", 1.0, 2), "t20_s": ("T20, s", 1.0, 2), "t30_s": ("T30, s", 1.0, 2),
         "c50_db": ("C50, dB", 1.0, 1), "c80_db": ("C80, dB", 1.0, 1), "d50": ("D50, %", 100.0, 0)}  # fmt: skip
"""Names, scales and digits of figures as text."""

NOTE = (
    "mean ± standard deviation over places, microphones and drivers; -: at most paths the decay range (EDT needs 20 dB,"
    f"\nT20 35, T30 45 dB; C50 and C80 10 dB at 50 and 80 ms) or B T (at least {LEAST_BT:g}) is too small, or the "
    f"driver does not play the band;\n~: the decay is not straight (over {CURVED:g} permille)"
)

FINE_S = 0.00025
"""Steps of decay curves, s."""

FADED = 0.1
"""Part of a response at its end that the window of a measurement fades: it is not read."""


@dataclass(frozen=True, slots=True, eq=False)
class RoomFigures:
    """Figures of every path and band, NaN where they are not to be had.

    Parameters
    ----------
    hz
        Nominal centres of the bands, ``(band,)``.
    values
        By name of :data:`FIGURES`, ``(position, mic, driver, band)``: decay times in s, clarity in dB.
    range_db
        Decay range from the start of the curve to the noise.
    curved
        Deviations of T20 from a straight line, permille: 1000 (1 - r^2).
    """

    hz: Float
    drivers: tuple[str, ...]
    values: dict[str, Float]
    range_db: Float
    curved: Float

    def mean(self, name: str, driver: int | slice = slice(None)) -> tuple[Float, Float, Float]:
        """Mean over places, microphones and these drivers, standard deviation, and share of valid paths, ``(band,)``.

        Fewer than half of the paths give no mean, one no deviation.
        """
        x = self.values[name][:, :, driver].reshape(-1, len(self.hz))
        count = np.sum(np.isfinite(x), axis=0)
        total = np.nansum(x, axis=0)
        mean = np.where(2 * count >= len(x), total / np.maximum(count, 1), np.nan)
        spread = np.sqrt(np.nansum((x - mean) ** 2, axis=0) / np.maximum(count - 1, 1))
        return mean, np.where(count > 1, spread, np.nan) + 0.0 * mean, count / len(x)

    def rows(self) -> list[dict[str, object]]:
        """Mean, standard deviation and validity of every driver and band, for JSON; ``None`` where there is none."""
        found: list[dict[str, object]] = []
        for i, driver in enumerate(self.drivers):
            means = {name: self.mean(name, slice(i, i + 1)) for name in FIGURES}
            for k, hz in enumerate(self.hz):
                row: dict[str, object] = {"driver": driver, "hz": float(hz)}
                for name, (mean, spread, share) in means.items():
                    row[name] = {"mean": _known(mean[k]), "sd": _known(spread[k]), "valid": round(float(share[k]), 3)}
                row["decay_range_db"] = round(float(np.median(self.range_db[:, :, i, k])), 1)
                row["nonlinearity_permille"] = _known(_middle(self.curved[:, :, i, k]))
                found.append(row)
        return found

    def text(self) -> str:
        """A table with a line for each band: means over all paths with their standard deviations."""
        columns = [[str(f"{hz:g}") for hz in self.hz]]
        for name, (_, scale, digits) in SHOWN.items():
            mean, spread, _ = self.mean(name)
            bent = [name == "t20_s" and _middle(c) > CURVED for c in np.moveaxis(self.curved, -1, 0)]
            columns.append([_cell(*x, digits) for x in zip(scale * mean, scale * spread, bent, strict=True)])
        columns.append([f"{np.median(r):.0f}" for r in np.moveaxis(self.range_db, -1, 0)])
        heads = ["band, Hz", *(words for words, _, _ in SHOWN.values()), "decay range, dB"]
        lines = ["".join(f"{cell:>16}" for cell in row) for row in [heads, *zip(*columns, strict=True)]]
        return "\n".join([*lines, NOTE])


def of(
    ir: ImpulseResponse, played: Sequence[tuple[float, float]], width: BandWidth = "octave", *, sought: str = ""
) -> RoomFigures:
    """Figures of all paths of a set, in the bands that lie within the one in which a driver is ``played``, Hz.

    Filters run backwards, so that their ringing lies ahead of the decay; noise is found and the decay cut by Lundeby's
    method, the energy beyond is that of the late slope (ISO 3382-1, 5.3.3), and lines are fitted to the decay curve.

    Where one figure is ``sought``, the last places are left out if no band can have a mean of it any more.
    """
    hz = _centres(ir.band, ir.fs, width)
    shape = (*ir.h.shape[:3], len(hz))
    made = {name: np.full(shape, 0.0 if name == "range_db" else np.nan) for name in (*FIGURES, "range_db", "curved")}
    start = ir.zero + onset(ir.h[..., ir.zero :])
    end = ir.h.shape[-1] - int(FADED * (ir.h.shape[-1] - ir.zero))
    size = int(fft.next_fast_len(ir.h.shape[-1] + int(12.0 * ir.fs / (hz.min(initial=ir.fs) * 0.2)), real=True))
    edges = [_edges(nominal, width) for nominal in hz]
    filters = [backwards(size, ir.fs, low, high) for low, high in edges]
    for place in range(shape[0]):
        if sought and 2 * place > shape[0] and np.isnan(made[sought]).all():
            break
        spectrum = fft.rfft(ir.h[place], size, axis=-1)
        for band, (low, high) in enumerate(edges):
            drivers = [d for d, (least, most) in enumerate(played) if least <= low and high <= most]
            power = fft.irfft(spectrum[:, drivers] * filters[band], size, axis=-1)[..., :end] ** 2
            for mic, nth in np.ndindex(*power.shape[:2]):
                path = (place, mic, drivers[nth])
                for name, value in figures(power[mic, nth], ir.fs, int(start[path]), high - low).items():
                    made[name][*path, band] = value
    return RoomFigures(hz, ir.drivers, {n: made[n] for n in FIGURES}, made["range_db"], made["curved"])


def figures(power: Float, fs: float, start: int, width_hz: float) -> dict[str, float]:
    """Figures of one response in one band.

    Parameters
    ----------
    power
        Squared response ``(tap,)`` of the band.
    start
        Tap of the arrival.
    width_hz
        Bandwidth, Hz.

    Returns
    -------
    :data:`FIGURES`, ``range_db`` and ``curved``; those not to be had are left out.
    """
    step = max(round(FINE_S * fs), 1)
    ahead = power[max(start - int(4.0 * fs / width_hz), 0) : start].sum()  # the filter's ringing
    count = (len(power) - start) // step
    late, fs = power[start : start + count * step].reshape(count, step).sum(axis=1), fs / step
    interval = max(0.005, 2.0 / width_hz)
    found = _truncated(late, fs, interval)
    if found is None:
        level = _averaged(late, fs, interval)[1]
        return {"range_db": float(level.max() - level[-1]) if len(level) else 0.0}
    knee, noise, seen, rate = found
    cut = late[:knee] - (noise if seen else 0.0)
    beyond = noise * fs * 10.0 / (rate * np.log(10.0))
    left = np.cumsum(cut[::-1])[::-1] + beyond
    level = power_db(np.maximum(left, 0.0) / (left[0] + ahead))
    safe = max(knee - max(int(ABOVE_NOISE_DB / rate * fs), 1), 0)
    made = {"range_db": float(ABOVE_NOISE_DB - level[safe])}
    for name, (top, bottom) in EVALUATED_DB.items():
        if made["range_db"] >= bottom + ABOVE_NOISE_DB:
            seconds, curved = _decay_time(level, fs, -top, -bottom)
            if seconds * width_hz >= LEAST_BT and (name != "t30_s" or "t20_s" in made):
                made |= {name: seconds} | ({"curved": curved} if name == "t20_s" else {})
    for name, seconds in EARLY_S.items():
        if (at := round(seconds * fs)) <= safe:
            made[name] = float(power_db((left[0] + ahead - left[at]) / left[at]))
    if "c50_db" in made:
        made["d50"] = 1.0 / (1.0 + 10.0 ** (-made["c50_db"] / 10.0))
    return made


def _truncated(power: Float, fs: float, interval: float) -> tuple[int, float, bool, float] | None:
    """Where a decay meets its noise (Lundeby et al. 1995): tap, noise per tap, whether it is seen, decay rate in dB/s.

    None if no decay stands out. A response that ends before its noise meets its own end; the noise is then no more than
    what is left there.
    """
    last = len(power) - max(len(power) // 10, 1)
    noise = float(power[last:].mean())
    found = _line(*_averaged(power, fs, interval), float("inf"), float(power_db(noise)) + ABOVE_NOISE_DB)
    knee = 0
    for _ in range(6):
        if found is None:
            return None
        first, rate = found
        before, knee = knee, int((first - power_db(noise)) / rate * fs)
        if not knee > 0:
            return None
        knee = min(knee, len(power))
        if abs(knee - before) < 0.002 * len(power):
            break
        after = int(knee + 7.0 / rate * fs)
        noise = float(power[min(after, last) :].mean())
        floor = float(power_db(noise))
        fine = _averaged(power, fs, float(np.clip(2.0 / rate, interval, 0.05)))
        found = _line(*fine, floor + 25.0, floor + 7.0) or found
    return knee, noise, knee + 5.0 / rate * fs < last, rate


def _averaged(power: Float, fs: float, seconds: float) -> tuple[Float, Float]:
    """Middles of intervals, s, and mean levels in them, dB."""
    size = max(round(seconds * fs), 1)
    count = len(power) // size
    level = power_db(power[: count * size].reshape(count, size).mean(axis=1))
    return np.asarray((np.arange(count) + 0.5) * size / fs), level


def _line(t: Float, level: Float, top: float, bottom: float) -> tuple[float, float] | None:
    """Level at 0 s and decay rate in dB/s of the line between two levels behind the peak; None if there is none."""
    peak = int(np.argmax(level)) if len(level) else 0
    first = peak + int(np.argmax(level[peak:] <= top)) if len(level) else 0
    below = level[first:] <= bottom
    stop = first + int(np.argmax(below)) if below.any() else len(level)
    if stop - first < 3:
        return None
    slope, at, _ = _straight(t[first:stop], level[first:stop])
    return (at, -slope) if slope < 0.0 else None


def _straight(t: Float, y: Float) -> tuple[float, float, float]:
    """Slope of the regression line, its value at 0, and the square of the correlation; ``polyfit`` takes ten times."""
    middle, mean = t.mean(), y.mean()
    apart, high = t - middle, y - mean
    across, both = float(apart @ apart), float(apart @ high)
    slope = both / across
    return slope, float(mean - slope * middle), both * slope / max(float(high @ high), 1e-30)


def _decay_time(level: Float, fs: float, top: float, bottom: float) -> tuple[float, float]:
    """Decay time, s, of the line between two levels of a decay curve, and its deviation from it, permille."""
    first, stop = int(np.argmax(level <= top)), int(np.argmax(level <= bottom))
    if stop - first < 3:
        return 0.0, np.nan
    slope, _, straight = _straight(np.arange(stop - first) / fs, level[first:stop])
    return -60.0 / slope, 1000.0 * (1.0 - straight)


def _centres(band: tuple[float, float], fs: int, width: BandWidth) -> Float:
    """Nominal centres of the bands that lie within a measured band as a whole."""
    every = NOMINAL_HZ if width == "third" else NOMINAL_HZ[1::3]
    ends = {f: _edges(f, width) for f in every}
    return np.array([f for f, (low, high) in ends.items() if band[0] <= low and high <= min(band[1], fs / 2)], float)


def _edges(nominal: float, width: BandWidth) -> tuple[float, float]:
    """Edges of the band with this nominal centre, Hz (IEC 61260-1, base ten)."""
    exact, half = (
        1000.0 * 10.0 ** (round(10.0 * np.log10(nominal / 1000.0)) / 10.0),
        0.15 if width == "octave" else 0.05,
    )
    return exact * 10.0**-half, exact * 10.0**half


def backwards(size: int, fs: int, low: float, high: float) -> Complex:
    """Transfer function of a Butterworth band filter of third order that runs backwards in time, ``(bin,)`` of a size.

    With these edges, -3 dB: 1 / ((p + 1) (p^2 + p + 1)). Loading SciPy's filters takes longer than all pictures of a
    session.
    """
    f = np.maximum(np.fft.rfftfreq(size, 1.0 / fs), 1e-3)
    p = 1j * (f**2 - low * high) / (f * (high - low))
    return np.asarray(1.0 / ((p + 1.0) * (p * p + p + 1.0))).conj()


def _known(value: Any) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _middle(x: Float) -> float:
    known = x[np.isfinite(x)]
    return float(np.median(known)) if known.size else float("nan")


def _cell(mean: float, spread: float, doubt: bool, digits: int) -> str:
    if not np.isfinite(mean):
        return "-"
    more = f" ± {spread:.{digits}f}" if np.isfinite(spread) else ""
    return f"{'~' if doubt else ''}{mean:z.{digits}f}{more}"
