"""Beams: steering, shapes, several at once; and spherical harmonics against quadrature and a ring that is sparse."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sweetspot.calibrate.design import BeamDesign, FilterDesign, parse
from sweetspot.calibrate.filters import fir, leastsquares
from sweetspot.calibrate.filters.beam import beamform, handover, harmonics
from sweetspot.rigs.acoustics.sphere import field
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import nearest, wrapped
from sweetspot.rigs.units import db, power_db
from tests.reference.beam_bound import beam_bound, steered

RADIUS, FAR = 0.0875, 2.0
F = np.geomspace(300.0, 3000.0, 24)
K = 2.0 * np.pi * F / 343.0
FIVE = np.radians([-93.0, -44.0, 1.0, 47.0, 90.0])
DENSE = np.radians(np.arange(-180.0, 180.0, 2.5))
WIDE = BeamDesign(target_db=((100.0, 20.0), (4000.0, 20.0)))


def drivers(at: NDArray[np.float64], around: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Points on a rigid sphere, ``(driver, direction, frequency)``."""
    return field(np.cos(around[None] - at[:, None]), K, RADIUS, FAR)


def loudest(h: NDArray[np.complex128], ahead: int) -> NDArray[np.complex128]:
    x = h[:, ahead]
    return np.abs(x).max(axis=0) * np.exp(1j * np.angle(x.sum(axis=0)))


def pattern(w: NDArray[np.complex128], at: NDArray[np.float64] = FIVE) -> NDArray[np.float64]:
    """Power ``(direction, frequency)`` on the dense ring, re the beam's own mean over it."""
    return np.abs(np.einsum("dif,fd->if", drivers(at, DENSE), w)) ** 2


def away(angle_deg: float) -> NDArray[np.float64]:
    return np.degrees(np.abs(wrapped(DENSE - np.radians(angle_deg))))


def ring(step: float) -> NDArray[np.float64]:
    return np.radians(np.arange(-180.0, 180.0, step))


@pytest.mark.parametrize("angle", [0.0, 35.0, -60.0])
def test_beam_points_in_its_direction(angle: float) -> None:
    around = ring(5.0)
    h = drivers(FIVE, around)
    design = WIDE.model_copy(update={"angle_deg": angle, "nulls_deg": (angle + 100.0, angle - 110.0)})
    ahead = nearest(around, np.radians(angle))
    beam = steered(h, around, F, np.ones((len(F), 5)), design, loudest(h, ahead))
    power = pattern(beam.w)
    nulls = (away(angle + 100.0) <= 10.0) | (away(angle - 110.0) <= 10.0)
    contrast = power_db(power[away(angle) <= 2.0].mean(axis=0) / power[nulls].mean(axis=0))
    assert np.median(contrast) > 16.0
    turned = power_db(
        power[away(angle) <= 2.0].mean(axis=0) / power[away(-angle if angle else 180.0) <= 2.0].mean(axis=0)
    )
    assert np.median(turned) > 6.0


def test_two_drivers_a_wavelength_apart_do_not_split_the_beam() -> None:
    """Opposite phase has more power in the lobe than at ±90°, with nothing on axis: two lobes beside the listener."""
    around, apart = ring(5.0), np.array([0.15, -0.15])
    h = np.exp(1j * K * (apart[:, None] * np.sin(around))[..., None])
    ahead = nearest(around)
    beam = steered(h, around, F, np.ones((len(F), 2)), WIDE, np.ones(len(F), dtype=np.complex128))
    power = power_db(np.abs(np.einsum("dif,fd->if", h, beam.w)) ** 2)
    assert np.min(power[ahead]) > -3.1
    aside = np.abs(np.degrees(around)) <= WIDE.lobe_deg
    assert np.max(power[aside].max(axis=0) - power[ahead]) < 1.0


@pytest.mark.parametrize("angle", [0.0, -40.0])
def test_without_nulls_all_beyond_the_lobe_is_quiet(angle: float) -> None:
    around, design = ring(5.0), WIDE.model_copy(update={"angle_deg": angle, "nulls_deg": ()})
    h = drivers(FIVE, around)
    given = (h, around, F, np.ones((len(F), 5)), design, loudest(h, nearest(around, np.radians(angle))))
    power = pattern(steered(*given).w)
    behind = power[away(angle) > design.lobe_deg + 25.0].mean(axis=0)
    assert np.median(power_db(power[away(angle) <= 2.0].mean(axis=0) / behind)) > 8.0
    density = beamform.quiet(design, 6)
    assert np.isfinite(density).all()
    assert np.abs(density).max() > 0


def test_shape_of_the_nulls_is_followed() -> None:
    """Twice as deep wanted at 90 as at 150 degrees, and the other way round: the pattern follows."""
    around = ring(5.0)
    h = drivers(FIVE, around)
    found = []
    for shape in (((70.0, -25.0), (110.0, -25.0), (111.0, -5.0), (180.0, -5.0)),
                  ((70.0, -5.0), (110.0, -5.0), (111.0, -25.0), (180.0, -25.0))):  # fmt: skip
        design = WIDE.model_copy(update={"shape_db": shape})
        beam = steered(h, around, F, np.ones((len(F), 5)), design, loudest(h, 36))
        power = pattern(beam.w)
        side, rear = power[np.abs(away(0.0) - 90.0) < 18.0], power[away(0.0) > 125.0]
        found.append(float(np.median(power_db(side.mean(axis=0) / rear.mean(axis=0)))))
    assert found[1] - found[0] > 10.0


def test_several_beams_are_each_as_loud_as_asked() -> None:
    around = ring(5.0)
    h = drivers(FIVE, around)
    angles = (-45.0, 0.0, 45.0)
    designs = [WIDE.model_copy(update={"angle_deg": a, "nulls_deg": (a + 105.0, a - 105.0)}) for a in angles]
    beams = [
        steered(
            h, around, F, np.ones((len(F), 5)), d, np.abs(h[:, nearest(around, np.radians(d.angle_deg))]).max(axis=0)
        )
        for d in designs
    ]
    for angle, beam in zip(angles, beams, strict=True):
        ahead = h[:, nearest(around, np.radians(angle))]
        heard = np.abs(np.einsum("df,fd->f", ahead, beam.w))
        assert db(heard / np.abs(ahead).max(axis=0)) == pytest.approx(0.0, abs=0.1)


def test_no_beam_passes_the_generalised_eigenvalue() -> None:
    around = ring(5.0)
    h = drivers(FIVE, around)
    x = np.moveaxis(h, 2, 0)
    lobe, off = beamform.directions(around, WIDE)
    regions = beamform.Regions(
        x[:, :, lobe > 0], lobe[lobe > 0], x[:, :, 36], np.einsum("fmi,fni,i->fmn", x.conj(), x, off)
    )
    best = beam_bound(regions)
    beam = steered(h, around, F, np.ones((len(F), 5)), WIDE, loudest(h, 36))
    assert np.all(beam.contrast <= best * 1.0001)
    rng = np.random.default_rng(0)
    w = rng.standard_normal((len(F), 5)) + 1j * rng.standard_normal((len(F), 5))
    on = np.einsum("fm,fmi,i,fni,fn->f", w.conj(), x.conj(), lobe, x, w).real
    quiet = np.einsum("fm,fmn,fn->f", w.conj(), regions.off, w).real
    assert np.all(on / quiet <= best)


def sphere_grid(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Azimuth, elevation and weights of a grid that integrates harmonics up to order ``n`` exactly."""
    x, w = np.polynomial.legendre.leggauss(n)
    azimuth = np.arange(2 * n) * np.pi / n
    a, e = np.meshgrid(azimuth, np.arcsin(x))
    return a.ravel(), e.ravel(), np.repeat(w * np.pi / n, 2 * n)


def test_harmonics_are_orthonormal_and_turn_as_they_should() -> None:
    a, e, w = sphere_grid(24)
    y = harmonics.harmonics(9, a, e)
    assert np.abs(y.conj().T @ (w[:, None] * y) - np.eye(100)).max() < 1e-12
    n, m = harmonics.indices(9)
    later = harmonics.harmonics(9, a + 0.3, e)
    assert later == pytest.approx(y * np.exp(1j * 0.3 * m), abs=1e-12)
    assert n.max() == 9


@pytest.mark.parametrize("concentration", [0.0, 1.5, 12.0])
def test_covariance_in_closed_form_is_the_integral(concentration: float) -> None:
    """Against quadrature of density times responses over the sphere, in a direction off the horizon."""
    rng = np.random.default_rng(5)
    order, a, e, w = 7, *sphere_grid(60)
    coefficients = rng.standard_normal((2, 3, 64)) + 1j * rng.standard_normal((2, 3, 64))
    encoded = harmonics.Encoded(coefficients, np.zeros((1, 64, 64)), np.zeros(2, dtype=int), np.ones((2, 3)))
    h = encoded.at(a, e)
    cosine = np.sin(e) * np.sin(-0.4) + np.cos(e) * np.cos(-0.4) * np.cos(a - 2.1)
    c = concentration
    density = c / (4 * np.pi * np.sinh(c)) * np.exp(c * cosine) if c else np.full(a.shape, 1 / (4 * np.pi))
    assert np.sum(w * density) == pytest.approx(1.0)
    quadrature = np.einsum("fip,p,fjp->fij", h.conj(), w * density, h)
    closed = encoded.covariance(harmonics.towards(2.1, c, 2 * order, -0.4))
    assert np.abs(closed - quadrature).max() < 1e-10 * np.abs(quadrature).max()


def test_encoding_a_sphere_of_directions_gives_back_the_field_between_them() -> None:
    """Measured on 200 directions, compared on others; a ring alone does the same on the horizon."""
    rng = np.random.default_rng(8)
    z = rng.uniform(-1.0, 1.0, 200)
    azimuth, elevation = rng.uniform(-np.pi, np.pi, 200), np.arcsin(z)
    at = np.array([0.4, -1.9])

    def heard(a: NDArray[np.float64], e: NDArray[np.float64]) -> NDArray[np.complex128]:
        return field(np.cos(e)[None] * np.cos(a[None] - at[:, None]), K, RADIUS, FAR)

    others, up = rng.uniform(-np.pi, np.pi, 50), np.arcsin(rng.uniform(-1.0, 1.0, 50))
    full = harmonics.encode(heard(azimuth, elevation), azimuth, elevation, K, RADIUS, 1e-6)
    truth = np.moveaxis(heard(others, up), 2, 0)
    error = np.linalg.norm(full.at(others, up) - truth, axis=2) / np.linalg.norm(truth, axis=2)
    assert db(error.max()) < -30.0
    flat = np.zeros(24)
    from_ring = harmonics.encode(heard(ring(15.0), flat), ring(15.0), flat, K, RADIUS, 1e-6)
    truth = np.moveaxis(heard(others, 0.0 * up), 2, 0)
    error = np.linalg.norm(from_ring.at(others) - truth, axis=2) / np.linalg.norm(truth, axis=2)
    assert db(error.max()) < -25.0


def test_what_is_not_measured_counts_as_heard() -> None:
    """A quarter of a ring leaves the rear unknown: the power there grows towards what the prior expects."""
    around = ring(10.0)
    h = drivers(FIVE[:2], around)
    half = np.abs(around) < np.radians(60.0)
    some = harmonics.encode(h[:, half], around[half], np.zeros(half.sum()), K, RADIUS, 1e-4)
    whole = harmonics.encode(h, around, np.zeros(len(around)), K, RADIUS, 1e-4)
    rear = harmonics.towards(np.pi, 6.0, 2 * some.order)
    g = harmonics.coupling(rear, some.order)
    lost = [float(np.einsum("ab,kba->k", g, e.unknown).real.mean()) for e in (some, whole)]
    assert lost[0] > 3.0 * lost[1]


@pytest.mark.parametrize(("step", "noise", "gain"), [(30.0, 0.0, 3.0), (15.0, 0.2, 3.0)])
def test_harmonics_hold_where_the_ring_is_sparse_or_noisy(step: float, noise: float, gain: float) -> None:
    """On axis over +-90 (+-10) degrees on a dense ring, 800 Hz to 3 kHz, mean over bins: harmonics against raw ring."""
    rng = np.random.default_rng(2)
    around = ring(step)
    h = drivers(FIVE, around)
    scale = np.sqrt(np.mean(np.abs(h) ** 2, axis=1, keepdims=True) / 2.0)
    h = h + noise * scale * (rng.standard_normal(h.shape) + 1j * rng.standard_normal(h.shape))
    wanted, cost = loudest(h, int(np.argmin(np.abs(around)))), np.ones((len(F), 5))
    encoded = harmonics.encode(h, around, np.zeros(len(around)), K, RADIUS, max(noise**2, 1e-3))
    beams = (
        steered(h, around, F, cost, WIDE, wanted),
        beamform.steer_harmonic(encoded, F, cost, WIDE, wanted),
    )
    raw, smooth = (
        float(np.mean(power_db(p[72] / p[np.abs(away(0.0) - 90.0) <= 10.0].mean(axis=0))[F > 800.0]))
        for p in (pattern(b.w) for b in beams)
    )
    assert smooth > raw + gain
    assert smooth > 20.0


@pytest.mark.parametrize("form", ["ring", "harmonics"])
def test_a_room_gives_back_less_of_a_beam_that_knows_it(form: str) -> None:
    """On axis it stays what it was, the nulls stay; no other weights have less late energy than the driest."""
    around, rng = ring(5.0), np.random.default_rng(5)
    h, cost = drivers(FIVE, around), np.ones((len(F), 5))
    paths = rng.standard_normal((len(F), 5, 8)) + 1j * rng.standard_normal((len(F), 5, 8))
    late = np.einsum("fmk,fnk->fmn", paths.conj(), paths * np.array([3.0, 1.0, 0.3, 1.0, 2.0])[:, None])
    late = 0.5 * (late + np.conj(np.swapaxes(late, 1, 2))) + 9.0 * np.eye(5)
    ahead = nearest(around)
    wanted, axis = loudest(h, ahead), h[:, ahead].T

    def beam(known: NDArray[np.complex128] | None) -> NDArray[np.complex128]:
        if form == "ring":
            return beamform.solve(beamform.ring(h, around, WIDE).within(known), F, cost, WIDE, wanted).w
        encoded = harmonics.encode(h, around, np.zeros(len(around)), K, RADIUS)
        return beamform.steer_harmonic(encoded, F, cost, WIDE, wanted, late=known).w

    def back(w: NDArray[np.complex128]) -> NDArray[np.float64]:
        return np.einsum("fm,fmn,fn->f", w.conj(), late, w).real / np.abs(np.einsum("fm,fm->f", axis, w)) ** 2

    without, with_it = beam(None), beam(late)
    assert np.median(power_db(back(without) / back(with_it))) > 1.0
    driest = beamform.driest(axis, late, wanted)
    np.testing.assert_allclose(np.einsum("fm,fm->f", axis, driest), wanted, rtol=1e-9)
    assert np.all(back(driest) < 1.01 * np.minimum(back(without), back(handover.in_phase(axis, wanted))))


def test_design_of_a_beam_is_checked() -> None:
    assert (
        parse('[beam]\nform = "harmonics"\nangle_deg = 20\nshape_db = [[60, -10], [180, -20]]', "x").beam.angle_deg
        == 20
    )
    with pytest.raises(BadInput, match=r"beam\.shape_db.*rising"):
        parse("[beam]\nshape_db = [[90, -10], [60, -20]]", "x")
    with pytest.raises(BadInput, match=r"beam\.form"):
        parse('[beam]\nform = "spherical"', "x")


def test_short_filters_of_a_beam_lose_less_by_least_squares_than_by_a_window() -> None:
    """128 taps, four drivers: nulls at +-90 degrees, 1 to 1.6 kHz, stay 2 dB deeper than a window leaves them."""
    f = np.fft.rfftfreq(4096, 1 / 48000)
    around, drivers = np.radians(np.arange(-180.0, 180.0, 5.0)), np.radians([-92.0, -31.0, 29.0, 90.0])
    h = field(np.cos(around[None] - drivers[:, None]), 2 * np.pi * np.maximum(f, 20.0) / 343.0, 0.0875, 2.0)
    wish = FilterDesign(taps=128, delay=48)
    beam = steered(h, around, f, np.ones((len(f), 4)), BeamDesign(), h[2, 36])
    W = fir.held_outside(beam.w, f, *wish.band_hz)
    assert np.linalg.eigvalsh(beam.weighing).min() > 0.0
    found = []
    for taps in (
        leastsquares.fitted(W, leastsquares.beam_weighing(beam.weighing, f, wish), 128, 48),
        fir.causal(W.T, wish.taps, wish.delay),
    ):
        power = np.abs(np.einsum("dif,df->if", h, np.fft.rfft(taps, 4096, axis=-1))) ** 2
        inside = (f > 1000) & (f < 1600)
        found.append(float(power_db(power[36, inside].mean() / power[[18, 54]][:, inside].mean())))
    assert found[0] > found[1] + 2.0


def test_front_drivers_with_bands_play_within_them_and_add_up_on_axis() -> None:
    """Tweeters that end lower than a super tweeter, and begin where woofers and a subwoofer play on."""
    f, rng = np.linspace(0.0, 24000.0, 2049), np.random.default_rng(3)
    edges, tops = np.array([2800.0, 2800.0, 80.0, 80.0, 0.0, 4000.0]), np.array([9e3, 9e3, 5e3, 5e3, 200.0, 2e4])
    slope = np.clip(np.log2(np.maximum(f, 1.0)[None] / np.maximum(edges, 1e-3)[:, None]) * 2.0, 0.0, 1.0)
    phase = np.exp(2j * np.pi * rng.random((6, 1)) - 2j * np.pi * f * rng.random((6, 1)) * 1e-4)
    level = np.array([2.0, 2.0, 1.0, 1.0, 0.5, 0.7])[:, None] / (1.0 + (f / tops[:, None]) ** 4)
    ahead = (np.maximum(slope, 1e-3) * level * phase).T
    groups: handover.Fronts = [(0, 1), (2, 3), (4,), (5,)]
    wanted = np.exp(-2j * np.pi * f * 1e-3)
    w = handover.alone(ahead, wanted, f, BeamDesign(), groups, (slope, tops))
    np.testing.assert_allclose(np.einsum("fd,fd->f", ahead, w), wanted, rtol=1e-9)
    driven = np.abs(w * level.T * slope.T)
    assert driven.max() < 1.01, "none is driven against its protection filter"
    parts = [((150.0, 2500.0), (2, 3)), ((4500.0, 6000.0), (0, 1)), ((9500.0, 20000.0), (5,)), ((1.0, 70.0), (4,))]
    for (low, high), playing in parts:
        rows = (f > low) & (f < high)
        idle = [d for d in range(6) if d not in playing]
        assert driven[rows][:, idle].max() < 1e-9
        assert driven[rows][:, list(playing)].min() > 0.4


def test_without_other_bands_the_front_drivers_play_at_all_frequencies() -> None:
    around = ring(5.0)
    h, regions = drivers(FIVE, around), beamform.ring(drivers(FIVE, around), around, WIDE)
    wanted, groups = loudest(h, 36), [(2,), (1, 3)]
    same = (np.repeat(np.clip(F / 300.0, 0.0, 1.0)[None], 5, axis=0), np.full(5, 2e4))
    np.testing.assert_array_equal(
        handover.alone(regions.ahead, wanted, F, WIDE, groups, same),
        handover.alone(regions.ahead, wanted, F, WIDE, groups),
    )
