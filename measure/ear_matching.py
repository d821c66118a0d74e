"""Differences of the two ears and of mirrored drivers, from mirrored positions and mirrored drivers.

A head that is moved from one place to its mirror image, and a device whose drivers are in mirror pairs, give the left
ear exactly what the other pair gave the right one. Over each pair of drivers the sum

``L(p, d) - R(p', d') + L(p, d') - R(p', d)``    (dB, primes for mirror images)

is twice the difference of the two microphones: places, directions and the drivers' own tolerances all cancel. With the
last two terms subtracted instead it is twice the difference of the two drivers, and the microphones cancel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.arrays import frozen, median
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import EARS, Description
from sweetspot.rigs.units import Float, power_db

NEAR_M, NEAR_DEG = 0.005, 0.5
"""Largest distance of a position from the mirror image of another."""

GATE_S = 0.004
FADE_S = 0.001
TOGETHER = 128
"""Step of the length in taps that is transformed: units of a kind have the same one."""

APART_DB = 4.0
"""Level difference of a driver from its mirror image that is stated: more than units of a kind differ by, dB."""

FROM_HZ, TO_HZ = 200.0, 4000.0
"""Band of the overall difference: below it rooms are not symmetric, above it heads and set-ups are not."""


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Level difference of the left ear's microphone re the right one's.

    Parameters
    ----------
    f
        Third-octave centres, Hz, ``(band,)``.
    left_louder_db
        ``(band,)`` mean over all pairs of paths.
    error_db
        ``(band,)`` standard error of that mean; NaN with a single pair.
    overall_db
        Median of the bands from 200 Hz to 4 kHz.
    overall_error_db
        Standard error of the overall difference, from the differences between pairs.
    pairs
        How many pairs of paths were compared.
    """

    f: Float
    left_louder_db: Float
    error_db: Float
    overall_db: float
    overall_error_db: float
    pairs: int

    def __post_init__(self) -> None:
        for name in ("f", "left_louder_db"):
            object.__setattr__(self, name, frozen(name, getattr(self, name), ndim=1))

    @property
    def ragged_db(self) -> float:
        """Standard deviation of the bands that the overall difference is the median of: near 0 for a microphone's gain,
        which is the same in all of them."""
        inside = self.left_louder_db[(self.f >= FROM_HZ) & (self.f <= TO_HZ)]
        return float(np.std(inside, ddof=1)) if len(inside) > 1 else 0.0

    def sensitivities(self, left_mv: float, right_mv: float) -> tuple[float, float]:
        """Sensitivities (mV/Pa) under which the ears agree, each changed by half, so that their mean level stays."""
        half = 10.0 ** (self.overall_db / 40.0)
        return left_mv * half, right_mv / half


def match(found: ImpulseResponse, rig: Description) -> Match:
    """Compare the ears of a session.

    Raises
    ------
    BadInput
        The session has no ears, no two places that mirror each other, or drivers without mirror images.
    """
    if not set(EARS) <= set(found.mics):
        raise BadInput(
            f"the set has no {' and '.join(EARS)}; measure one with: sweetspot measure ears RIG --unit SERIAL"
        )
    drivers = _mirrored_drivers(found, rig)
    places = list(_mirrored_places(found))
    if not drivers or not places:
        what = "drivers are in mirror pairs (y and -y)" if places else "head positions mirror each other (y, yaw)"
        raise BadInput(
            f"no {what}: the ears cannot be matched by symmetry; calibrate each of them: sweetspot rig calibrate"
        )
    centres = _centres(found)
    rows = _differences(found, rig, centres, [(*p, *d) for p in places for d in drivers])
    inside = (centres >= FROM_HZ) & (centres <= TO_HZ)
    rows = rows[~np.isnan(rows[:, inside]).all(axis=1)]
    if not len(rows):
        raise BadInput(
            f"mirrored drivers have no third octave from {FROM_HZ:g} Hz to {TO_HZ:g} Hz in common: the ears cannot be "
            "matched by symmetry; calibrate each of them: sweetspot rig calibrate"
        )
    known = ~np.isnan(rows).all(axis=0)
    centres, rows, inside = centres[known], rows[:, known], inside[known]
    count = (~np.isnan(rows)).sum(axis=0)
    mean = np.nanmean(rows, axis=0)
    many = len(rows) > 1
    squares = np.nansum((rows - mean) ** 2, axis=0)
    error = np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1) / count), np.nan)
    each = np.array([median(row[~np.isnan(row)]) for row in rows[:, inside]])
    overall_error = float(each.std(ddof=1) / np.sqrt(len(each))) if many else float("nan")
    return Match(centres, mean, error, median(mean[inside]), overall_error, len(rows))


def _differences(
    found: ImpulseResponse,
    rig: Description,
    centres: Float,
    pairs: list[tuple[int, int, int, int]],
    *,
    of_drivers: bool = False,
) -> Float:
    """Left ear over right, or driver ``d`` over ``e``, dB ``(pair, band)``, for places ``p, q``; NaN out of band."""
    left, right = (_levels(found, found.mics.index(ear)) for ear in EARS)
    sign = -1.0 if of_drivers else 1.0
    rows = [(left[p, d] - right[q, e] + sign * (left[p, e] - right[q, d])) / 2.0 for p, q, d, e in pairs]
    played = _played(found, rig, centres)
    both = [played[d] & played[e] for _, _, d, e in pairs]
    return np.where(np.array(both), np.array(rows), np.nan)


def driver_faults(found: ImpulseResponse, rig: Description) -> tuple[str, ...]:
    """A sentence for each driver whose level or polarity differs from that of its mirror image.

    Filters compensate for both, so that no figure of the calibrated unit shows them but its loudness. Empty where
    nothing mirrors (:func:`match`).
    """
    places = list(_mirrored_places(found)) if set(EARS) <= set(found.mics) else []
    centres = _centres(found)
    inside = (centres >= FROM_HZ) & (centres <= TO_HZ)
    out = []
    for d, e in _mirrored_drivers(found, rig) if places else []:
        rows = _differences(found, rig, centres, [(*p, d, e) for p in places], of_drivers=True)[:, inside]
        if d == e or np.isnan(rows).all():
            continue
        apart = median(rows[~np.isnan(rows)])
        weak, other = (found.drivers[i] for i in ((d, e) if apart < 0.0 else (e, d)))
        if abs(apart) > APART_DB:
            out.append(
                f"driver {weak} is {abs(apart):.1f} dB below its mirror image {other}: check its gain and wiring; "
                "the filters compensate for it and lose loudness"
            )
        if _inverted(found, places[0], (d, e)):
            out.append(
                f"drivers {found.drivers[d]} and {found.drivers[e]}, mirror images, play in opposite polarity: check "
                "their wiring; the filters compensate for it"
            )
    return tuple(out)


def _inverted(found: ImpulseResponse, places: tuple[int, int], drivers: tuple[int, int]) -> bool:
    """Whether mirrored responses are most alike with opposite signs."""
    (p, q), (d, e), (left, right) = places, drivers, (found.mics.index(ear) for ear in EARS)
    h = found.h[[p, p, q, q], [left, right, left, right], [d, d, e, e]]
    stop = int(np.argmax(np.abs(h), axis=-1).max()) + round(GATE_S * found.fs)
    spectra = fft.rfft(h[:, :stop], fft.next_fast_len(2 * stop, real=True), axis=-1)
    alike = fft.irfft(spectra[0] * spectra[3].conj() + spectra[1] * spectra[2].conj(), axis=-1)
    return bool(alike[np.argmax(np.abs(alike))] < 0.0)


def _mirrored_drivers(found: ImpulseResponse, rig: Description) -> list[tuple[int, int]]:
    """Drivers with their mirror images, each pair once; a driver in the middle is its own."""
    at = {d.name: np.array(d.at) for d in rig.driver}
    pairs = []
    for d, name in enumerate(found.drivers):
        for e, other in enumerate(found.drivers[d:], start=d):
            if name in at and other in at and np.linalg.norm(at[name] * (1, -1, 1) - at[other]) < NEAR_M:
                pairs.append((d, e))
    return pairs


def _played(found: ImpulseResponse, rig: Description, centres: Float) -> NDArray[np.bool_]:
    """Third octaves that lie in each driver's band ``(driver, band)``: outside it a response is noise and leakage."""
    bands = {d.name: d.band_hz for d in rig.driver}
    third = 2.0 ** (1.0 / 6.0)
    edges = [bands.get(name) or found.band for name in found.drivers]
    return np.array([(centres / third >= low) & (centres * third <= high) for low, high in edges])


def _mirrored_places(found: ImpulseResponse) -> Iterator[tuple[int, int]]:
    """Places with their mirror images, both ways round; a place in the middle is its own."""
    p = found.positions
    for i in range(len(p)):
        for j in range(len(p)):
            away = np.hypot(p["x"][i] - p["x"][j], p["y"][i] + p["y"][j])
            if away < NEAR_M and abs(p["yaw_deg"][i] + p["yaw_deg"][j]) < NEAR_DEG:
                yield i, j


def _centres(found: ImpulseResponse) -> Float:
    """Third-octave centres within the judged band."""
    k = np.arange(-20, 20)
    f = 1000.0 * 2.0 ** (k / 3.0)
    low = max(found.band[0], 2.0 / GATE_S / 4.0)
    return np.asarray(f[(f >= low) & (f <= found.band[1] / 1.2)])


@lru_cache(maxsize=4)
def _levels(found: ImpulseResponse, ear: int) -> Float:
    """Levels of the direct sound ``(position, driver, band)``, dB; those of the last sets are kept."""
    h = found.h[:, ear]
    peak = np.argmax(np.abs(h), axis=-1)
    kept = int(peak.max()) + int(np.ceil(GATE_S * found.fs)) + 1
    kept = min(-(-kept // TOGETHER) * TOGETHER, h.shape[-1])
    after = np.arange(-int(peak.max()), kept)  # taps after the peak
    gate = np.sin(0.5 * np.pi * np.clip((GATE_S - after / found.fs) / FADE_S, 0.0, 1.0)) ** 2
    size = fft.next_fast_len(2 * kept, real=True)
    spectrum = fft.rfft(h[..., :kept] * gate[np.arange(kept) - peak[..., None] + int(peak.max())], size, axis=-1)
    correlation = fft.irfft(spectrum.real**2 + spectrum.imag**2, size, axis=-1)[..., :kept]
    return power_db(correlation @ _band_means(kept, 4 * h.shape[-1], found.fs, tuple(_centres(found).tolist())))


@lru_cache(maxsize=4)
def _band_means(lags: int, n: int, fs: int, thirds: tuple[float, ...]) -> Float:
    """Weights ``(lag, band)`` of an autocorrelation that make the mean power of third octaves over the bins of ``n``.

    The power at bin ``k`` is ``sum_l r_l cos(2 pi k l / n)``, and the cosines of neighbouring bins have a closed sum:
    a transform of twice the response does for one of four times its whole length, and no bin is looked at.
    """
    third, step, centres = 2.0 ** (1.0 / 6.0), fs / n, np.array(thirds)
    first, end = np.ceil(centres / third / step), np.ceil(centres * third / step)
    half = np.pi * np.arange(1, lags)[:, None] / n
    sums = np.sin((end - first) * half) / np.sin(half) * np.cos((first + end - 1.0) * half)
    return np.concatenate([np.ones((1, len(centres))), 2.0 * sums / (end - first)])


def to_dict(found: Match, sensitivities: tuple[float, float]) -> dict[str, Any]:
    """A match, for a program."""
    return {
        "left_louder_db": found.overall_db,
        "standard_error_db": None if np.isnan(found.overall_error_db) else found.overall_error_db,
        "pairs": found.pairs,
        "bands_hz": found.f.tolist(),
        "bands_db": found.left_louder_db.tolist(),
        "sensitivity_mv_per_pa": dict(zip(EARS, sensitivities, strict=True)),
    }


def to_text(found: Match, sensitivities: tuple[float, float]) -> str:
    """The same for a reader."""
    sure = "" if np.isnan(found.overall_error_db) else f" ± {found.overall_error_db:.2f}"
    worst = int(np.argmax(np.abs(found.left_louder_db - found.overall_db)))
    return "\n".join(
        [
            f"the left ear's microphone is {round(found.overall_db, 2) + 0.0:+.2f}{sure} dB re the right one "
            f"({found.pairs} pairs of mirrored paths, {FROM_HZ:g} Hz to {TO_HZ:g} Hz)",
            f"largest deviation: {found.left_louder_db[worst]:+.2f} dB at {found.f[worst]:.0f} Hz",
            *(f"    {ear}: sensitivity_mv_per_pa = {mv:.4g}" for ear, mv in zip(EARS, sensitivities, strict=True)),
        ]
    )
