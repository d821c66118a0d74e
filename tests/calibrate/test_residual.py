"""What causes are fitted to: heard against predicted on naive sums, until paths end, and filters that clip."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.plant import MeasurementError, gate, grid
from sweetspot.calibrate.verify.diagnose import causes as diagnosis
from sweetspot.calibrate.verify.diagnose import clipping, residual
from sweetspot.calibrate.verify.diagnose.residual import BAND, THIN, Residual
from sweetspot.measure.deconvolve import inverse
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.sweep import stimulus, synchronised
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import power_db

FS, TAPS, ZERO = 47872, 1500, 120
SHARE = 0.8
ODD = 3**10
"""Samples of a longer sweep, whose transforms have an odd length."""
STIMULI = ("left", "right", "both")


def response(h: np.ndarray, drivers: tuple[str, ...]) -> ImpulseResponse:
    rows = np.array([(0.0, 1.7, 0.02 * i, 0.0, 0.0, b"score") for i in range(len(h))], POSITION)
    snr = np.full(h.shape[:3], 60.0)
    return ImpulseResponse(h, FS, rows, ("ear_left", "ear_right"), drivers, ZERO, "Pa/FS", snr, (80.0, 18000.0))


def unit(seed: int = 2) -> tuple[ImpulseResponse, FilterSet]:
    """Two places, three drivers, filters of 40 taps."""
    rng = np.random.default_rng(seed)
    h = np.zeros((2, 2, 3, TAPS))
    h[..., ZERO + 9 : ZERO + 209] = rng.standard_normal((2, 2, 3, 200)) * np.exp(-np.arange(200) / 25.0)
    taps = rng.standard_normal((3, 3, 40)) * np.exp(-np.arange(40) / 6.0)
    filters = FilterSet(taps, FS, ("woofer", "left", "right"), 0.5, 0, 0.0, (1, 2, 3), "0" * 64, "R-1")
    return response(h, filters.drivers), filters


def heard(ears: ImpulseResponse, filters: FilterSet, more: np.ndarray | None = None) -> ImpulseResponse:
    """The sum over drivers of every path convolved with every stimulus's filters, tap by tap."""
    left, right, centre = filters.taps
    each = np.stack([left, right, SHARE * centre + (1.0 - SHARE) * (left + right)])
    h = np.zeros((len(ears.h), 2, 3, TAPS))
    for p, e, s, d in np.ndindex(len(ears.h), 2, 3, 3):
        h[p, e, s] += np.convolve(ears.h[p, e, d], each[s, d])[:TAPS]
    return response(h if more is None else h + more, STIMULI)


def at(h: np.ndarray, f: np.ndarray) -> np.ndarray:
    """A spectrum by its definition, time zero at :data:`ZERO`."""
    return h @ np.exp(-2j * np.pi * np.outer(np.arange(h.shape[-1]) - ZERO, f) / FS)


def test_paths_filters_and_what_was_heard_are_as_a_naive_sum_has_them() -> None:
    ears, filters = unit()
    s = residual.of(ears, heard(ears, filters), filters, SHARE)
    assert BAND[0] <= s.f[0] < s.f[-1] <= BAND[1]
    assert s.f[1] - s.f[0] == pytest.approx(THIN * FS / grid(FS))
    np.testing.assert_allclose(s.h, at(ears.h, s.f), atol=1e-3 * np.abs(s.h).max())
    left, right, centre = filters.response(s.f)
    np.testing.assert_allclose(s.w[2], SHARE * centre + (1.0 - SHARE) * (left + right), atol=1e-9)
    np.testing.assert_allclose(s.w[:2], [left, right], atol=1e-9)
    assert residual.disagreement_db(s) < -80.0
    np.testing.assert_allclose(s.heard, at(heard(ears, filters).h, s.f), atol=2e-3 * np.abs(s.heard).max())
    assert (s.fs, s.share, s.timed, s.early, s.clipped) == (FS, SHARE, True, None, None)
    assert s.at is not None
    np.testing.assert_allclose(s.at(np.array([1234.5]))[0], filters.response(np.array([1234.5]))[0], atol=1e-9)


def test_a_difference_counts_until_paths_end_and_apart_until_the_direct_sound_has_passed() -> None:
    """A late echo beyond the window that was kept is no difference; one within it is, and is no early one."""
    ears, filters = unit()
    echo = np.zeros((2, 2, 3, TAPS))
    echo[..., ZERO + 700] = 1.0
    late = np.zeros((2, 2, 3, TAPS))
    late[..., TAPS - 30] = 1.0
    end = np.full(2, 400 / FS)
    s = residual.of(ears, heard(ears, filters, echo), filters, SHARE, timed=False, end=end)
    assert not s.timed
    np.testing.assert_allclose(s.heard - s.predicted(), at(echo, s.f), atol=2e-3)
    assert s.early is not None
    assert np.abs(s.early).max() < 1e-6
    soon = np.roll(echo, -500, axis=-1)
    s = residual.of(ears, heard(ears, filters, soon), filters, SHARE, end=end)
    assert s.early is not None
    np.testing.assert_allclose(s.early, at(soon, s.f), atol=2e-3)
    s = residual.of(ears, heard(ears, filters, late), filters, SHARE)
    assert np.abs(s.heard - s.predicted()).max() < 1e-6


@pytest.mark.parametrize("later", [-70, 300])
def test_time_zero_may_be_another_tap_of_the_session_than_of_the_verification(later: int) -> None:
    """As of a session that was imported, or measured by an earlier version."""
    ears, filters = unit()
    got = heard(ears, filters)
    moved = replace(got, h=np.roll(got.h, later, axis=-1), zero=ZERO + later)
    s = residual.of(ears, moved, filters, SHARE)
    assert residual.disagreement_db(s) < -80.0
    np.testing.assert_allclose(s.heard, at(got.h, s.f), atol=2e-3 * np.abs(s.heard).max())


def test_the_window_of_kept_paths_ends_before_they_fall() -> None:
    ears, _ = unit()
    known = residual._known_s(ears)
    assert known == pytest.approx((0.9 * TAPS - ZERO) / FS - gate.FADE_S)


def test_bins_weigh_by_the_near_ear_and_all_third_octaves_alike() -> None:
    f = np.geomspace(200.0, 5000.0, 9)
    near = np.array([4.0, 1.0, 1.0, 1.0, 0.25, 1.0, 1e-9, 1.0, 1.0])
    weight = residual.weight_of(near, f)
    np.testing.assert_allclose((weight * near * f)[near > 0.1], 1.0)
    assert weight[6] == pytest.approx(1.0 / (residual.SILENT * 1.0) / f[6])
    ears, filters = unit()
    asked = []
    s = residual.of(ears, heard(ears, filters), filters, SHARE, clipped=lambda level, f: asked.append((level, f)))
    assert s.clipped is not None
    s.clipped(0.3)
    assert asked[0][0] == 0.3
    assert asked[0][1] is s.f
    paths, each = at(ears.h, s.f), filters.response(s.f)
    both = [np.mean(np.abs(np.einsum("pdf,df->pf", paths[:, e], each[e])) ** 2, axis=0) for e in (0, 1)]
    np.testing.assert_allclose(s.weight, residual.weight_of(np.mean(both, axis=0), s.f), rtol=0.02)


def test_a_common_delay_is_none_of_the_difference_only_where_latency_is_unknown() -> None:
    ears, filters = unit()
    one = heard(ears, filters)
    shifted = response(np.roll(one.h, 3, axis=-1), STIMULI)
    assert residual.disagreement_db(residual.of(ears, shifted, filters, SHARE)) > -20.0
    assert residual.disagreement_db(residual.of(ears, shifted, filters, SHARE, timed=False)) < -60.0


def noisy(size: float, gain: float = 1.0, again: float = 0.0) -> Residual:
    """The unit in noise of its session and of its verification, with the woofer at a gain; the direct sound is brief.

    ``size`` and ``again`` are standard deviations of a sample.
    """
    rng = np.random.default_rng(7)
    ears, filters = unit()
    w = filters.taps.copy()
    w[:, 0] *= gain
    got = heard(ears, replace(filters, taps=w))
    ears = replace(ears, h=ears.h + size * rng.standard_normal(ears.h.shape))
    got = replace(got, h=got.h + again * rng.standard_normal(got.h.shape))
    errors = [
        MeasurementError(np.full((*x.h.shape[:3], TAPS // 2 + 1), s * np.sqrt(TAPS)), 0.0)
        for x, s in ((ears, size), (got, again))
    ]
    end = np.full(len(ears.h), 0.006)
    return residual.of(ears, got, filters, SHARE, end=end, errors=(errors[0], errors[1]))


@pytest.mark.parametrize(("size", "again"), [(0.05, 0.0), (0.0, 0.2), (0.05, 0.1)])
def test_noise_has_the_power_that_is_expected_of_it(size: float, again: float) -> None:
    s = noisy(size, again=again)
    assert s.early is not None
    assert s.power(s.heard - s.predicted()) == pytest.approx(s.variance(s.noise), rel=0.15)
    assert s.power(s.early) == pytest.approx(s.variance(s.early_noise), rel=0.25)
    assert noisy(0.0).variance(noisy(0.0).noise) == 0.0


@pytest.mark.parametrize("again", [0.05, 0.2, 0.5, 1.0])
def test_noise_is_no_difference_of_a_good_unit_and_hides_none_of_a_bad_one(again: float) -> None:
    """The true difference lies within two standard uncertainties of the one without the noise."""
    true = residual.disagreement_db(noisy(0.0, 0.7))
    for limit in (true - 3.0, true + 3.0):
        s = noisy(0.0, 0.7, again)
        guard = 2.0 * residual.uncertainty_db(s, 2.0, limit)
        assert abs(residual.disagreement_db(s) - true) < guard
    limits = Limits()
    good = noisy(0.0, again=again)
    found = residual.disagreement_db(good)
    raw = power_db(good.power(good.heard - good.predicted()) / good.power(good.predicted()))
    assert found < raw - 5.0
    sure = 2.0 * residual.uncertainty_db(good, limits.coverage, limits.difference)
    assert found - sure < limits.difference


def test_a_recording_that_is_the_prediction_itself_has_no_uncertain_difference() -> None:
    s = noisy(0.0, again=0.1)
    same = replace(s, heard=s.predicted())
    assert residual.disagreement_db(same) == -300.0
    assert residual.uncertainty_db(same, 2.0, -22.0) == 0.0
    almost = replace(same, heard=same.heard * (1.0 + 1e-15))
    assert 0.0 < residual.uncertainty_db(almost, 2.0, -22.0) < 150.0
    assert residual.uncertainty_db(noisy(0.0), 2.0, -22.0) == 0.0


def test_noise_after_the_direct_sound_is_no_other_room() -> None:
    """In noise stronger than what the fault changes, in the direct sound alone."""
    s, at_m = noisy(0.0, 0.5, 0.06), np.array([[0.0, 0.1, 0.0], [0.1, 0.1, 0.0], [0.1, -0.1, 0.0]])
    assert s.variance(s.noise) > s.power(s.heard - s.predicted()) / 2.0
    first = diagnosis.ranked(diagnosis.causes(s, ("woofer", "left", "right"), at_m, 1.7))[0]
    assert (first.name, "woofer" in first.text) == ("driver level", True)
    assert 0.7 < first.explained <= 1.0


@pytest.mark.parametrize("level", [1.0, 0.5])
def test_clipped_filters_are_what_a_sweep_through_them_gives(level: float) -> None:
    """Uncut they are the filters themselves; cut off, as a spectral division windowed around time zero has them."""
    sweep = synchronised((80.0, 18000.0), 0.35, FS)
    played = stimulus(sweep, 0.5, 4000)
    rng = np.random.default_rng(6)
    taps = rng.standard_normal((2, 3, 30)) * np.exp(-np.arange(30) / 5.0)
    levels = (1.0, 0.7)
    drivers = np.array(
        [[gain * np.convolve(played, taps[s, d])[: len(played)] for d in range(3)] for s, gain in enumerate(levels)]
    )

    plan = SimpleNamespace(sweep=sweep, played=played)
    made = clipping.filters_of(plan, drivers, levels, 30)  # type: ignore[arg-type]
    f = np.array([300.0, 1000.0, 4000.0])
    found = made(level, f)
    longer = np.pad(drivers, ((0, 0), (0, 0), (0, ODD - drivers.shape[-1])))
    assert inverse(sweep, played, ODD).size == ODD
    odd = clipping.filters_of(plan, longer, levels, 30)(level, f)  # type: ignore[arg-type]
    np.testing.assert_allclose(odd, found, atol=0.01 * np.abs(found).max())
    wanted = taps @ np.exp(-2j * np.pi * np.outer(np.arange(30), f) / FS)
    if level == 1.0:
        np.testing.assert_allclose(found, wanted, atol=0.04 * np.abs(wanted).max())
        return
    top = np.abs(drivers).max()
    cut = np.clip(drivers, -level * top, level * top)
    assert np.abs(found).sum() < 0.99 * np.abs(wanted).sum()
    n = 1 << 16
    ratio = np.fft.rfft(cut, n) / np.fft.rfft(played, n) / np.array(levels)[:, None, None]
    inside = (np.fft.rfftfreq(n, 1.0 / FS) > 85.0) & (np.fft.rfftfreq(n, 1.0 / FS) < 17500.0)
    h = np.roll(np.fft.irfft(np.where(inside, ratio, 0.0), n), clipping.AHEAD, axis=-1)[..., : 30 + 2 * clipping.AHEAD]
    naive = h @ np.exp(-2j * np.pi * np.outer(np.arange(h.shape[-1]) - clipping.AHEAD, f) / FS)
    np.testing.assert_allclose(found, naive, atol=0.03 * np.abs(naive).max())


def test_responses_through_filters_do_not_wrap() -> None:
    """Of 2040 and 40 taps, which are together longer than 2048 samples."""
    rng = np.random.default_rng(3)
    h, taps = rng.standard_normal((1, 2, 3, 2040)), rng.standard_normal((3, 3, 40))
    through = np.zeros((1, 2, 3, 2040))
    for e, s, d in np.ndindex(2, 3, 3):
        through[0, e, s] += np.convolve(h[0, e, d], taps[s, d])[:2040]
    apart = residual._apart(response(h, ("a", "b", "c")), response(through, STIMULI), taps)
    assert np.abs(apart).max() < 1e-9


def test_the_lag_is_that_of_the_bins() -> None:
    f = np.arange(220.0, 4900.0, 30.0)
    one = [np.ones((*shape, len(f)), complex) for shape in ((1, 2, 1), (3, 1), (1, 2, 3))]
    s = Residual(one[0], one[1], heard=one[2], f=f, weight=np.ones(len(f)), fs=FS)
    for late in (-0.0041, 0.0, 0.0123):
        assert s.lag(np.exp(-2j * np.pi * f * late)) == pytest.approx(late, abs=1e-9)
