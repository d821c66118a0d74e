"""Performance metrics of one unit: those by which the literature compares such systems, in one table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant import (
    NULLS,
    OCTAVES,
    Fitted,
    bare,
    corrected,
    expected,
    metrics,
    nearest_ahead,
    one_direction,
    spectra,
)
from sweetspot.calibrate.plant import gate as gates
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.smooth import band_means
from sweetspot.rigs.layout import nearest
from sweetspot.rigs.units import Complex, Float, power_db

NOTHING_DB = -150.0
"""Level below which nothing is there, dB."""

SILENT_DB = 30.0
"""A third octave this far below the loudest is outside the band of the one driver that tone is compared with, dB, and
the one above it is the edge of that band."""

MEANINGS = {
    "cancellation": "Near-ear over far-ear power of the direct sound, without the virtual loudspeakers' far ear; mean "
    "over scoring positions in dB.",
    "array effort": "Sum of squared weights re one mean driver at the same near-ear level.",
    "white-noise gain": "Near-ear power over that of uncorrelated driver errors (white noise gain; Cox and others, "
    "1987); re a driver of mean power it is the inverse of effort.",
    "condition number": "Largest over smallest singular value of the nominal head's paths (Ward and Elko, 1999).",
    "colouration, side image": "Deviation of third-octave levels at the near ear from those of one driver alone, rms "
    "over 200 Hz to 8 kHz and positions, where that driver plays (after Choueiri, 2008).",
    "colouration, phantom centre": "The same at both ears when both sides play, from a pair of drivers, one per side.",
    "centre contrast": "On-axis over the mean power at ±90 degrees (Choi and Kim, 2002).",
    "directivity index": "On-axis power over the mean around the horizontal ring.",
    "pre-ringing energy": "Energy more than 1 ms before a filter's peak, over its total energy; the worst filter.",
    "pre-ringing peak": "Largest tap more than 5 ms before a filter's peak, over that peak; the worst filter.",
    "direct to reverberant, one driver": "Direct over remaining energy at the near ear, unfiltered.",
    "direct to reverberant, filtered": "The same through the filters.",
    "direct to reverberant, change": "Loss by cancellation: effort radiates into the room.",
    "cancellation with the room": "Near-ear over far-ear energy of whole responses.",
    "left by a diffuse room": "Direct-sound cancellation that remains in a diffuse room at that direct-to-reverberant "
    "ratio (Ward, 2001).",
}
"""Meaning of each metric."""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One figure.

    Parameters
    ----------
    bands
        In :data:`metrics.OCTAVES`, ``None`` where the gate does not reach; empty for a figure without bands.
    value
        The figure without bands; ``None`` for one with them.
    meaning
        Its definition in a sentence, with its source where the field has one.
    """

    name: str
    unit: str
    bands: tuple[float | None, ...]
    value: float | None
    meaning: str


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """Common data of all metrics."""

    fitted: Fitted
    f: Float
    w: Complex  # cancellation alone (side, frequency, driver)
    near: Complex  # gated paths at the nominal head (ear, frequency, driver)
    direct: Complex  # gated paths at the scoring positions (position, ear, driver, frequency)
    whole: Complex  # the same with the room
    polar: Complex  # the centre's direct sound (direction, frequency)

    def inside(self, band: tuple[float, float]) -> NDArray[np.bool_]:
        return np.asarray((self.f >= band[0]) & (self.f < band[1]))

    def banded(self, figure: Float) -> tuple[float, ...]:
        """Mean of a figure ``(frequency,)`` in dB over each band."""
        return tuple(float(figure[self.inside(b)].mean()) for b in OCTAVES)

    def reached(self, values: tuple[float | None, ...]) -> tuple[float | None, ...]:
        """Values of bands of which the gate resolves at least the upper half."""
        lowest = self.fitted.prediction.lowest
        return tuple(v if np.sqrt(a * b) >= lowest else None for v, (a, b) in zip(values, OCTAVES, strict=True))


def rows(fitted: Fitted, ears: ImpulseResponse, polar: ImpulseResponse) -> tuple[MetricRow, ...]:
    """All figures of a fitted unit.

    Parameters
    ----------
    ears, polar
        The measured sets that it was fitted from.
    """
    p = fitted.prediction
    ears = corrected(ears, p.whole.ear_gains)
    design, score = ears.used_for("design"), ears.used_for("score")
    nominal = design.at(np.array([nearest_ahead(design)]))
    s = _Scene(
        fitted,
        p.f,
        w=np.moveaxis(bare(fitted.filters, p.f, p.far_ear), 1, 2),
        near=np.moveaxis(gates.spectra(nominal, p.whole.gate)[0], 1, 2),
        direct=gates.spectra(score, p.whole.gate),
        whole=spectra(score)[0],
        polar=p.polar,
    )
    return (*_cancelled(s), *_cost(s), *_tonal(s), *_beam(s), *_in_time(s), *_in_the_room(s), _spot(s, ears))


def _cancelled(s: _Scene) -> list[MetricRow]:
    pair = metrics.unvirtualized(s.fitted.prediction.score, s.fitted.prediction.far_ear)
    left, right = metrics.banded_db(pair, s.f).mean(axis=0)
    message = MEANINGS["cancellation"]
    names = {"cancellation, left program": left, "cancellation, right program": right}
    return [MetricRow(name, "dB", s.reached(tuple(x.tolist())), None, message) for name, x in names.items()]


def _cost(s: _Scene) -> list[MetricRow]:
    sides = range(2)
    alone = [np.sqrt(np.mean(np.abs(s.near[i]) ** 2, axis=1)) for i in sides]
    effort = np.mean([metrics.effort_db(s.w[i], s.near[i], alone[i]) for i in sides], axis=0)
    gain = np.mean([metrics.white_noise_gain_db(s.w[i], s.near[i]) for i in sides], axis=0)
    condition = metrics.condition_db(np.moveaxis(s.near, 0, 1))
    each = {"array effort": effort, "white-noise gain": gain, "condition number": condition}
    return [_banded(s, name, s.banded(x)) for name, x in each.items()]


def _tonal(s: _Scene) -> list[MetricRow]:
    heard = expected(s.fitted.prediction.score, s.fitted.filters)
    left, right = s.fitted.reference
    sides = np.stack([heard[:, 0, 0], heard[:, 1, 1]], axis=1)
    alone = np.stack([s.direct[:, 0, left], s.direct[:, 1, right]], axis=1)
    pair = s.direct[:, :, left] + s.direct[:, :, right]

    def deviation(x: Complex, wanted: Complex) -> float:
        off, level = metrics.colouration_db(x, wanted, s.f), power_db(band_means(np.abs(wanted) ** 2, s.f))
        silent = np.flatnonzero(
            (level < level.max(axis=-1, keepdims=True) - SILENT_DB).reshape(-1, level.shape[-1]).any(0)
        )
        if silent.size:
            off = np.delete(off, np.unique([silent, silent + 1]).clip(max=level.shape[-1] - 1), axis=-1)
            off = off - off.mean(axis=-1, keepdims=True)
        return float(np.sqrt(np.mean(off**2)))

    return [
        _single("colouration, side image", "dB", deviation(sides, alone)),
        _single("colouration, phantom centre", "dB", deviation(heard[:, :, 2], pair)),
    ]


def _beam(s: _Scene) -> list[MetricRow]:
    p = s.fitted.prediction
    if len(p.azimuths) < one_direction.FEWEST:
        return []
    on = np.abs(p.polar[nearest(p.azimuths)]) ** 2
    away = [nearest(p.azimuths, n) for n in NULLS]
    leak = np.mean(np.abs(p.polar[away]) ** 2, axis=0) / np.maximum(on, 1e-30)
    contrast = tuple(float(-power_db(np.mean(leak[s.inside(b)]))) for b in OCTAVES)
    index = metrics.directivity_index_db(p.polar, p.azimuths)
    return [_banded(s, "centre contrast", contrast), _banded(s, "directivity index", s.banded(index))]


def _in_time(s: _Scene) -> list[MetricRow]:
    filters = s.fitted.filters
    return [
        _single("pre-ringing energy", "dB", metrics.pre_ringing_db(filters.taps, filters.fs)),
        _single("pre-ringing peak", "dB", metrics.ringing_db(filters.taps, filters.fs)),
    ]


def _in_the_room(s: _Scene) -> list[MetricRow]:
    if s.fitted.prediction.whole.gate.reflection_s is None:
        return []
    found = _Room.of(s)
    return [
        _banded(s, "direct to reverberant, one driver", found.before),
        _banded(s, "direct to reverberant, filtered", found.after),
        _banded(s, "direct to reverberant, change", found.change),
        _banded(s, "cancellation with the room", found.heard),
        _banded(s, "left by a diffuse room", found.limit),
    ]


@dataclass(frozen=True, slots=True)
class _Room:
    """Figures with the room, by bands, dB; those of the one driver only where it plays."""

    before: tuple[float | None, ...]
    after: tuple[float, ...]
    change: tuple[float | None, ...]
    heard: tuple[float, ...]
    limit: tuple[float, ...]

    @classmethod
    def of(cls, s: _Scene) -> _Room:
        direct, whole = (np.einsum("pedf,sfd->pesf", h, s.w) for h in (s.direct, s.whole))
        near, near_whole = (metrics.near_and_far(x)[0] for x in (direct, whole))
        alone, alone_whole = (
            metrics.near_and_far(metrics.one_driver(h, s.fitted.reference))[0] for h in (s.direct, s.whole)
        )
        level = s.banded(power_db(np.mean(np.abs(alone) ** 2, axis=(0, 1))))
        plays = [x > max(level) - SILENT_DB for x in level]
        before: tuple[float | None, ...] = tuple(
            x if there else None for x, there in zip(_ratios(alone, alone_whole, s), plays, strict=True)
        )
        after = _ratios(near, near_whole, s)
        cancelled, heard = (_energies(x, s) for x in (direct, whole))
        limit = tuple(metrics.room_limit_db(x, d) for x, d in zip(cancelled, after, strict=True))
        change = tuple(None if b is None else a - b for a, b in zip(after, before, strict=True))
        return cls(before, after, change, heard, limit)


def _ratios(direct: Complex, whole: Complex, s: _Scene) -> tuple[float, ...]:
    return tuple(metrics.direct_to_reverberant_db(direct, whole, s.inside(b)) for b in OCTAVES)


def _energies(pair: Complex, s: _Scene) -> tuple[float, ...]:
    return tuple(metrics.energy_db(pair, s.inside(b)) for b in OCTAVES)


def _spot(s: _Scene, ears: ImpulseResponse) -> MetricRow:
    p = s.fitted.prediction
    inside = s.inside((max(metrics.SCORED[0], p.lowest), metrics.SCORED[1]))
    leak, moved = [], []
    for use, heard in (("design", p.design), ("score", p.score)):
        near, far = metrics.near_and_far(metrics.unvirtualized(heard, p.far_ear))
        leak.append(np.mean((np.abs(far) ** 2 / np.maximum(np.abs(near) ** 2, 1e-30))[..., inside], axis=(1, 2)))
        t = ears.used_for(use).positions
        moved.append(np.column_stack([t["x"], t["y"], np.radians(t["yaw_deg"])]))
    places = np.concatenate(moved)
    places = places - places[nearest_ahead(ears.used_for("design"))]
    reach = 100.0 * metrics.sweet_spot_m(np.concatenate(leak), places)
    message = (
        "Lateral head displacement at which mean cancellation falls below 12 dB (Bai and Lee, 2006), fitted to "
        f"all positions; resolved up to {200.0 * np.abs(places[:, 1]).max():.0f} cm."
    )
    if np.isnan(reach):
        message += " Unknown here: fewer than four positions, or none displaced laterally."
    elif reach == 0.0:
        message += " The nominal position does not reach it."
    return MetricRow("sweet spot, to either side", "cm", (), reach, message)


def _banded(s: _Scene, name: str, values: tuple[float | None, ...]) -> MetricRow:
    return MetricRow(name, "dB", s.reached(values), None, MEANINGS[name])


def _single(name: str, unit: str, value: float) -> MetricRow:
    return MetricRow(name, unit, (), value, MEANINGS[name])


def table(found: tuple[MetricRow, ...]) -> str:
    """The rows as text."""
    if not found:
        return ""
    head = f"{'':<34}" + "".join(f"{f'{a:g}-{b:g}':>13}" for a, b in OCTAVES)
    lines = [f"Performance metrics, predicted at held-out positions; Hz\n{head}"]
    for r in found:
        lines.append(f"{r.name + ', ' + r.unit:<34}" + "".join(f"{text(v):>13}" for v in r.bands or (r.value,)))
    return "\n".join(lines)


def text(value: float | None) -> str:
    """A value for people: a dash where the gate does not reach or the driver does not play, ``unknown``, ``none`` where
    there is none.
    """
    if value is None:
        return "-"
    if np.isnan(value):
        return "unknown"
    return "none" if value < NOTHING_DB else f"{value:z.1f}"


def to_dict(found: tuple[MetricRow, ...]) -> list[dict[str, Any]]:
    """The rows as plain data."""
    return [asdict(r) | ({"value": None} if r.value is not None and np.isnan(r.value) else {}) for r in found]
