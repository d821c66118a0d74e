"""Map of the listening zone: responses extrapolated to every place, all arms played there, images estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.auditory import arms as ways
from sweetspot.calibrate.auditory.arms import Arm
from sweetspot.calibrate.auditory.figures import DIRECT_S, DRY_DB, EarModel, ImageFigures, depth_weight
from sweetspot.calibrate.auditory.reference import Pair, direct_spectra
from sweetspot.calibrate.auditory.templates import Templates
from sweetspot.calibrate.auditory.zone import LARGEST_DEG, OwnError, ZoneMap
from sweetspot.calibrate.plant import Gate, frequencies, gate, grid, metrics, plain, transform
from sweetspot.calibrate.plant.places import DeviceField, Heads, correction, fitted, model
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means, third_octaves
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.arrays import median
from sweetspot.rigs.rig_file import Driver
from sweetspot.rigs.units import Complex, Float, power_db

EVERY = 4
"""Every fourth bin of the designs' grid carries the map: 47 Hz apart, as a direct sound of 20 ms resolves."""

LEANING_HZ = (300.0, 1600.0)
"""Where early reflections move an image: the band of the delays."""

LEAST_MARGIN_DB = {"sides": 0.5, "centre": -3.0}
"""Margin over early reflections with which a place is trusted; a centre, alike at both ears, bears more of them."""

FADES_M = 0.5
"""Distance from the nearest measured position over which its correction fades, m."""

NEAREST_M = 0.3
"""Nearest place of a map that is widened to hold its listener, m."""

WINDOWS = 8
"""Lengths of time for which early energy is computed; between them it is interpolated."""

LOOKED_AT = 8
"""Most measured positions that are left out in turn."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Input data of the map, all on one frequency grid.

    Parameters
    ----------
    ears
        Responses of the drivers at the measured positions.
    early, direct
        Their spectra ``(position, ear, driver, frequency)``: the first 5 ms, which the image is made from, and what the
        gate lets through, from which cancellation is computed.
    field
        The device's field from its polar set.
    f
        Frequencies, Hz.
    c
        Speed of sound, m/s.
    """

    ears: ImpulseResponse
    heads: Heads
    early: Complex
    direct: Complex
    field: DeviceField
    f: Float
    c: float


def grid_bins(fs: int, top: float) -> NDArray[np.intp]:
    """Bins of the designs' grid that the map is made on."""
    f = frequencies(fs)
    bins = np.arange(0, len(f), EVERY)
    return bins[f[bins] <= min(top, 9500.0)]


def measured(
    ears: ImpulseResponse, polar: ImpulseResponse, gates: tuple[Gate, Gate], at: Float, distance: float, c: float
) -> Measured:
    """Prepare a session.

    Parameters
    ----------
    at
        Places of the drivers ``(driver, 3)``, m.
    distance
        Of the polar set's microphone, m.
    """
    bins = grid_bins(ears.fs, 0.45 * ears.fs)
    f = frequencies(ears.fs)[bins]
    end = gate.first_arrival(ears) + DIRECT_S
    first = ears.h[:, :2, :, : gate.last_tap(ears.zero, ears.fs, end)]
    early = transform(gate.until(first, ears.zero, ears.fs, end), grid(ears.fs), ears.zero)[..., bins]
    direct = gate.spectra(ears, gates[0])[:, :2][..., bins]
    ring = gate.spectra(polar, gates[1])[:, 0][..., bins]
    field = fitted(ring, f, np.radians(polar.positions["azimuth_deg"]), distance, at, c)
    return Measured(ears, Heads.of(ears), early=early, direct=direct, field=field, f=f, c=c)


@dataclass(frozen=True, slots=True, eq=False)
class Playing:
    """How one arm plays on the unit: filters ``(program, driver, tap)`` and the shares of each source.

    Parameters
    ----------
    shares
        ``(source, program)`` for hard left, hard right and centre.
    """

    taps: Float
    shares: Float

    def ear_spectra(self, h: Complex, f: Float, fs: int) -> Complex:
        """Spectra ``(place, source, ear, frequency)`` of responses ``(place, ear, driver, frequency)``."""
        return np.asarray(np.einsum("pedf,sdf->psef", h, _response(self, f.tobytes(), fs), optimize=True))


@lru_cache(maxsize=4)
def _response(way: Playing, f: bytes, fs: int) -> Complex:
    """Responses ``(source, driver, frequency)`` of the drivers to each source, as for :func:`_waves`."""
    return np.asarray(np.tensordot(way.shares, way.taps, axes=1) @ _waves(way.taps.shape[-1], f, fs))


@lru_cache(maxsize=4)
def _waves(taps: int, f: bytes, fs: int) -> Complex:
    """``exp(-2j pi f t)`` of taps and frequencies (bytes of an array, Hz) ``(tap, frequency)``; the last are kept."""
    return np.asarray(np.exp(-2j * np.pi * np.outer(np.arange(taps), np.frombuffer(f)) / fs))


ROWS = [0, len(ways.PANS) - 1, ways.PANS.index(0.0)]
"""Pans of the sources left, right, centre."""


def playing(ears: ImpulseResponse, drivers: Sequence[Driver], filters: FilterSet) -> dict[str, Playing]:
    """The three arms on the unit."""
    at = np.array([d.at for d in drivers])
    sides, delay = plain.plain_sides(ears, drivers, filters.delay_samples)
    stereo = ways.stereo_shares()[ROWS]
    return {
        "plain": Playing(ways.stereo_taps(sides, filters.ceiling), stereo),
        "matrix": Playing(ways.mixed(sides, at, plain.best_pair(ears, at), filters.ceiling, delay), stereo),
        "calibrated": Playing(np.asarray(filters.taps), ways.upmix_shares(filters)[ROWS]),
    }


@dataclass(frozen=True, slots=True)
class Extent:
    """Places of the map: from, to (m), and steps (m); ``fixed`` where the range ahead was asked for."""

    x: tuple[float, float] = (1.0, 4.0)
    y: tuple[float, float] = (-1.0, 1.0)
    step: tuple[float, float] = (0.25, 0.1)
    fixed: bool = False

    def holding(self, listening_m: float) -> Extent:
        """The same, one step beyond a listener (m ahead) who sits at its edge or outside, unless it is fixed."""
        (low, high), step = self.x, self.step[0]
        if self.fixed or low < listening_m < high:
            return self
        if listening_m <= low:
            low = max(NEAREST_M, low - step * np.ceil((low - listening_m) / step + 1.0))
        else:
            high += step * np.ceil((listening_m - high) / step + 1.0)
        return replace(self, x=(float(low), float(high)))

    @property
    def axes(self) -> tuple[Float, Float]:
        """Places along x and y, m."""
        x, y = (
            np.linspace(low, high, max(round((high - low) / step), 1) + 1)
            for (low, high), step in zip((self.x, self.y), self.step, strict=True)
        )
        return x, y


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What a map is made from, whatever the filters.

    Parameters
    ----------
    x, y
        Places along both axes, m.
    here
        The model's responses ``(place, ear, driver, frequency)`` at the measured positions.
    early, direct
        Responses at all places as carried there, by early and by direct sound: ``(place, ear, driver, frequency)``.
    ear
        The model of the ear on the map's grid.
    pair
        Where the reference pair stands.
    heard, near
        Its spectra ``(place, source, ear, frequency)`` at all places and at the measured positions.
    azimuth_deg
        Its images at all places ``(place, source)``, degrees.
    """

    measured: Measured
    x: Float
    y: Float
    places: Heads
    here: Complex
    early: Complex
    direct: Complex
    ear: EarModel
    pair: Pair
    heard: Complex
    near: Complex
    azimuth_deg: Float


def ground_of(m: Measured, ear: EarModel, extent: Extent, pair: Pair) -> Ground:
    """The session carried to every place of the map, and the reference pair there.

    Parameters
    ----------
    ear
        Of the head that measured.
    pair
        Where the reference pair stands; a hard-panned source should stand at its angle.
    """
    head = _on_grid(ear.templates, m.f)
    small = EarModel.of(head)
    x, y = extent.axes
    places = Heads.towards_device(np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2))
    there, here = model(m.field, head, places), model(m.field, head, m.heads)
    early, direct = (there * correction(s, here) for s in (m.early, m.direct))
    heard, near = (_of_pair(pair, head, heads, m.c) for heads in (places, m.heads))
    return Ground(
        m,
        x,
        y,
        places,
        here=here,
        early=early,
        direct=direct,
        ear=small,
        pair=pair,
        heard=heard,
        near=near,
        azimuth_deg=np.degrees(small.azimuth(heard)),
    )


def _of_pair(pair: Pair, head: Templates, heads: Heads, c: float) -> Complex:
    """Spectra ``(place, source, ear, frequency)`` of a pair's sound at heads."""
    ears = direct_spectra(pair, head, heads.places, heads.yaw, c)
    return np.asarray(np.einsum("pesf,ns->pnef", ears, ways.stereo_shares()[ROWS][:, :2], optimize=True))


def zone_map(
    ground: Ground,
    filters: FilterSet,
    *,
    far_ear: Complex,
    figures: dict[str, ImageFigures],
    drivers: Sequence[Driver],
) -> ZoneMap:
    """The map of one unit.

    Parameters
    ----------
    far_ear
        Virtual far ear over near ear on the designs' grid, taken out of the cancellation.
    figures
        Of all arms at the measured positions: their direct over reverberant sound is carried with the direct level.
    drivers
        The rig's, with their places and bands.
    """
    m, x, y, places, here, small = ground.measured, ground.x, ground.y, ground.places, ground.here, ground.ear
    direct = ground.direct
    ways_on_unit = playing(m.ears, drivers, filters)
    early_here = here * correction(m.early, here)
    heard = {name: way.ear_spectra(ground.early, m.f, m.ears.fs) for name, way in ways_on_unit.items()}
    near = {name: way.ear_spectra(early_here, m.f, m.ears.fs) for name, way in ways_on_unit.items()}
    azimuth = {name: np.degrees(small.azimuth(s)) for name, s in heard.items()}
    heard["reference"], near["reference"], azimuth["reference"] = ground.heard, ground.near, ground.azimuth_deg
    shape = (len(x), len(y))
    calibrated = ways_on_unit["calibrated"]
    own = _own_error(m, small, calibrated, far_ear, here)
    uncertainty = _uncertainty(own, places, m.heads)
    margin = _margin(m, calibrated, calibrated.ear_spectra(direct, m.f, m.ears.fs), places)
    sure = (uncertainty <= LARGEST_DEG) & own.polar_holds
    cancellation = _cancellation(calibrated, direct, m, far_ear)
    return ZoneMap(
        x,
        y,
        wanted_deg=float(np.degrees(ground.pair.angle)),
        azimuth_deg={name: a.reshape(*shape, 3) for name, a in azimuth.items()},
        drr_db={name: _drr(figures[name], heard[name], near[name], m.f).reshape(*shape, 3) for name in heard},
        cancellation_db=cancellation.reshape(shape),
        uncertainty_deg=uncertainty.reshape(shape),
        margin_db=margin.reshape(*shape, 2),
        trusted=(sure & (margin[:, 0] >= LEAST_MARGIN_DB["sides"])).reshape(shape),
        trusted_centre=(sure & (margin[:, 1] >= LEAST_MARGIN_DB["centre"])).reshape(shape),
        own=own,
    )


def _on_grid(templates: Templates, f: Float) -> Templates:
    """Templates on the map's grid, a subset of theirs."""
    at = np.searchsorted(templates.f, f - 1e-6)
    return Templates(templates.azimuths, templates.response[..., at], f, templates.name)


def _cancellation(way: Playing, direct: Complex, m: Measured, far_ear: Complex) -> Float:
    """Cancellation of the direct sound ``(place,)``: mean over sides and third octaves, dB."""
    sides = _sides(way).ear_spectra(direct, m.f, m.ears.fs)
    bare = metrics.unvirtualized(np.swapaxes(sides, 1, 2), far_ear[grid_bins(m.ears.fs, 0.45 * m.ears.fs)])
    near, far = metrics.near_and_far(bare)
    leak = np.abs(far) ** 2 / np.maximum(np.abs(near) ** 2, 1e-30)
    centres = THIRD_OCTAVES[third_octaves(*metrics.SCORED)]
    return np.asarray(-power_db(band_means(leak, m.f, centres)).mean(axis=(1, 2)))


@lru_cache(maxsize=1)
def _sides(way: Playing) -> Playing:
    """Left and right program alone, each by itself."""
    return Playing(way.taps, np.eye(3)[:2])


def _own_error(m: Measured, ear: EarModel, way: Playing, far_ear: Complex, here: Complex) -> OwnError:
    """Errors at measured positions, each carried from the others, and with the model alone."""
    rows = np.flatnonzero(m.ears.positions["use"] == b"score")[:LOOKED_AT]
    rows = rows if len(rows) else np.arange(min(len(here), LOOKED_AT))
    true = ear.azimuth(way.ear_spectra(m.early[rows], m.f, m.ears.fs))
    true_db = _cancellation(way, m.direct[rows], m, far_ear)
    left, direct = (_left_out(h, here, rows) for h in (m.early, m.direct))
    off = ear.azimuth(way.ear_spectra(left, m.f, m.ears.fs)) - true
    alone = ear.azimuth(way.ear_spectra(here[rows], m.f, m.ears.fs)) - true
    db = _cancellation(way, direct, m, far_ear) - true_db
    left_deg, alone_deg = (float(np.degrees(np.sqrt(np.mean(e**2)))) for e in (off, alone))
    polar_db = median(m.field.left_out_db)
    return OwnError(left_deg, alone_deg, float(np.sqrt(np.mean(db**2))), polar_db)


def _left_out(h: Complex, here: Complex, rows: NDArray[np.intp]) -> Complex:
    """Responses at each of some positions as carried from all others; with one position alone, the model's."""
    out = here[rows].copy()
    if len(here) > 1:
        for i, row in enumerate(rows):
            others = np.delete(np.arange(len(here)), row)
            out[i] *= correction(h[others], here[others])
    return out


def _uncertainty(own: OwnError, places: Heads, measured_at: Heads) -> Float:
    """Expected error of the map ``(place,)``, degrees.

    At measured positions it is that of one left out; away from them what they corrected is ever less to be relied on,
    so that the error of the model alone takes its place.
    """
    apart = np.linalg.norm(places.places[:, None] - measured_at.places[None], axis=-1).min(axis=1)
    return np.asarray(np.hypot(own.left_out_deg, own.model_deg * (1.0 - np.exp(-apart / FADES_M))))


def _margin(m: Measured, way: Playing, direct: Complex, places: Heads) -> Float:
    """Direct sound over the early reflections that may join it ``(place, 2)``, dB: the weaker side, and the centre.

    Away from the measured positions reflections come sooner or later re the direct sound, by no more than twice the way
    in between. So responses of the measured positions until 5 ms and twice that distance count as early there.
    """
    apart = np.linalg.norm(places.places[:, None] - m.heads.places[None], axis=-1).min(axis=1)
    rows = np.arange(min(len(m.ears.positions), LOOKED_AT // 2))
    some = m.ears.at(rows)
    played = ways.of_taps("calibrated", some, way.taps, 0.0, np.zeros((len(ways.PANS), 3)))
    weight = np.where((m.f >= LEANING_HZ[0]) & (m.f <= LEANING_HZ[1]), 1.0 / np.maximum(m.f, 1.0), 0.0)
    known = way.ear_spectra(m.direct[rows], m.f, m.ears.fs)
    ends = np.linspace(0.0, 2.0 * float(apart.max()) / m.c, WINDOWS)
    early = np.stack([_early(played, way, some, known, end, m) @ weight for end in ends])  # (end, place, source, ear)
    levels = power_db(np.maximum(early.mean(axis=(1, 3)), 1e-30))
    own = power_db(((np.abs(direct) ** 2) @ weight).max(axis=2))
    ratio = np.stack([own[:, s] - np.interp(2.0 * apart / m.c, ends, levels[:, s]) for s in range(3)], axis=1)
    return np.stack([ratio[:, :2].min(axis=1), ratio[:, 2]], axis=1)


def _early(played: Arm, way: Playing, some: ImpulseResponse, known: Complex, more_s: float, m: Measured) -> Float:
    """Power ``(place, source, ear, frequency)`` of reflections within 5 ms and ``more_s`` after the direct sound.

    The filters' own length counts as part of the way: their main tap comes after their delay.
    """
    delay = float(np.argmax(np.abs(way.taps).max(axis=(0, 1)))) / played.fs
    end = played.arrival + delay + DIRECT_S + more_s
    kept = gate.until(played.h[..., : gate.last_tap(played.zero, played.fs, end)], played.zero, played.fs, end)
    programs = transform(kept, grid(played.fs), played.zero)[..., grid_bins(some.fs, 0.45 * some.fs)]
    return np.asarray(np.abs(np.einsum("pecf,sc->psef", programs, way.shares, optimize=True) - known) ** 2)


def _drr(figures: ImageFigures, there: Complex, here: Complex, f: Float) -> Float:
    """Direct over reverberant sound ``(place, source)``, dB: the measured one, moved with the direct sound's level."""
    power = [(np.abs(x) ** 2) @ depth_weight(f) for x in (there, here)]
    near = [np.stack([p[:, 0, 0], p[:, 1, 1], p[:, 2].mean(axis=1)], axis=1) for p in power]
    return np.asarray(np.minimum(figures.drr_db.mean(axis=0) + power_db(near[0] / near[1].mean(axis=0)), DRY_DB))
