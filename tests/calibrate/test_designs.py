"""Ours and the classical designs: closed forms, dense normal equations, and the simulated benchmark's figures."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from sweetspot.calibrate.design import CrosstalkDesign, Design, FilterDesign, target_power
from sweetspot.calibrate.filters import leastsquares
from sweetspot.calibrate.filters.fir import held_outside
from sweetspot.calibrate.filters.sides import pair
from sweetspot.calibrate.plant import metrics
from sweetspot.calibrate.plant.responses import Plant
from sweetspot.calibrate.study import classical
from sweetspot.measure.smooth import THIRD_OCTAVES, band_edges
from sweetspot.processor.filterset import UpmixSettings
from sweetspot.rigs.acoustics.sphere import field
from sweetspot.rigs.units import db, power_db


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The benchmark of cancellation on a rigid sphere."""
    path = Path(__file__).parents[1] / "bench" / "cancellation.py"
    spec = importlib.util.spec_from_file_location("bench_cancellation", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def complex_noise(seed: int, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def test_four_drivers_reach_the_figures_asked_for_at_heads_never_seen(bench: ModuleType) -> None:
    """0.25 dB of error per path, 512 taps, 24 heads: mean, 10th percentile and nominal in five bands."""
    ours, *others = bench.run(4, 0.25, range(1))
    assert bench.missed(ours) == []
    assert bench.missed(bench.run(4, 0.25, range(1), shipped=True)[0], bench.SHIPPED) == []
    assert ours.colour_nominal <= 0.5
    assert ours.colour_scored <= 1.0
    assert ours.ringing < -50.0
    assert (ours.effort < 12.0).all()
    by = {r.name: r for r in others}
    assert np.abs(by["one driver"].mean).max() < 2.0
    assert by["one driver"].loudness == pytest.approx(0.0, abs=0.1)
    assert by["exact inverse"].loudness < ours.loudness < 0.0
    assert (ours.drifted < ours.mean).all()
    assert by["exact inverse"].mean[0] < ours.mean[0] - 3.0


def test_twice_the_error_is_borne_better_than_by_the_exact_inverse(bench: ModuleType) -> None:
    ours, *others = bench.run(4, 0.5, range(1))
    inverse = next(r for r in others if r.name == "exact inverse")
    assert ours.mean[1] >= 15.0
    assert ours.mean[1] - inverse.mean[1] > 2.5


@pytest.mark.parametrize("form", ["distortionless", "ratio"])
@pytest.mark.parametrize("azimuths", [(-93.0, 88.0), (-92.0, -31.0, 27.0, 90.0), (-120.0, -65.0, -5.0, 44.0, 101.0)])
def test_no_target_is_passed_by_the_design_itself(bench: ModuleType, azimuths: tuple[float, ...], form: str) -> None:
    """Truncated filters, two measurements: with errors counted, no active third octave is 0.5 dB over its target."""
    f, filters, active = np.fft.rfftfreq(4096, 1 / 48000), FilterDesign(), 0
    cost, n = np.ones((len(f), len(azimuths))), 2 * (len(f) - 1)
    later = np.exp(2j * np.pi * np.arange(len(f)) * filters.delay / n)[:, None]
    low, high = band_edges(THIRD_OCTAVES)
    points = ((150.0, 0.0), (400.0, 14.0), (18000.0, 14.0))
    wish, target = CrosstalkDesign(tolerance_db=0.1, target_db=points, form=form), power_db(target_power(points, f))
    for seed in (0, 1):
        plant = Plant(bench.mistaken(_heads(azimuths, f), f, 0.15, np.random.default_rng(seed)), f, 166.0, NOISELESS)
        both = pair.steer(plant, 0, cost, wish)
        for i, p in enumerate(both.problems):
            taps = leastsquares.side(both, i, held_outside(both.w[i], f, *filters.band_hz), f, cost, filters)
            over = p.expected_db(np.fft.rfft(taps, n, axis=-1).T * later) - target
            for a, b in zip(low, high, strict=True):
                bins = (f >= a) & (f < b) & (both.limit[i] == "target")
                if bins.sum() > 0.5 * ((f >= a) & (f < b)).sum():
                    assert -power_db(np.mean(10 ** (-over[bins] / 10))) < 0.5
                    active += 1
    assert active >= 12


NOISELESS = np.zeros((1, 1, 1, 1))


def _heads(azimuths: tuple[float, ...], f: np.ndarray) -> np.ndarray:
    """Two ears at five places 1.5 m from drivers on a rigid sphere, ``(position, ear, driver, frequency)``."""
    places = np.array([0.0, 0.02, -0.025, 0.01, -0.015])
    ears = np.arctan2(places[:, None] + np.array([-0.13, 0.12]), 1.5)
    k = 2.0 * np.pi * np.maximum(f, 20.0) / 343.0
    return field(np.cos(ears[:, :, None] - np.radians(azimuths)), k, 0.0875, 1.5)


def test_no_scoring_head_is_a_design_head(bench: ModuleType) -> None:
    design, scoring = (
        np.array([[p.x, p.y, p.yaw] for p in heads]) for heads in (bench.design_heads(), bench.scoring_heads())
    )
    assert (len(design), len(scoring)) == (19, 24)
    away = np.abs(design[:, None] - scoring[None]) / (0.01, 0.01, np.radians(2.0))
    assert away.max(axis=2).min() > 1.0
    assert (np.abs(scoring) <= (0.05, 0.05, np.radians(10.0))).all()


def test_choueiri_keeps_its_largest_singular_value_at_gamma() -> None:
    """Two points in free field: beta is Choueiri's closed form, and where it is not 0 the gain is Gamma exactly."""
    f, g, t, gamma = np.linspace(100.0, 8000.0, 60), 0.985, 90e-6, 10 ** (7.0 / 20)
    e = g * np.exp(-2j * np.pi * f * t)
    C = np.stack([np.stack([np.ones_like(e), e], 1), np.stack([e, np.ones_like(e)], 1)], 1)
    beta = classical.choueiri_beta(C, np.ones(60), 7.0)
    c = 2 * g * np.cos(2 * np.pi * f * t)
    branches = [-(g**2) + s * c - 1 + np.sqrt(g**2 - s * c + 1) / gamma for s in (1, -1)]
    assert beta == pytest.approx(np.maximum(0.0, np.max(branches, axis=0)), abs=1e-12)
    W = classical.inverse(C, np.ones((2, 60), complex), beta)
    largest = np.linalg.svd(np.moveaxis(W, 0, 2), compute_uv=False)[:, 0]
    assert db(largest[beta > 0]) == pytest.approx(7.0, abs=1e-6)
    assert (db(largest[beta == 0]) <= 7.0).all()
    assert 5 < np.sum(beta > 0) < 55


def test_exact_inverse_gives_each_ear_its_own_program_only() -> None:
    C, d = complex_noise(1, 7, 2, 3), complex_noise(2, 2, 7)
    W = classical.inverse(C, d, np.zeros(7))
    heard = np.einsum("fed,sfd->fes", C, W)
    assert heard[:, 0, 0] == pytest.approx(d[0])
    assert heard[:, 1, 1] == pytest.approx(d[1])
    assert np.abs(heard[:, [0, 1], [1, 0]]).max() < 1e-12


def test_contrast_is_the_largest_that_any_weights_reach() -> None:
    near, far, d = complex_noise(3, 4, 3, 5), complex_noise(4, 4, 3, 5), complex_noise(5, 5)
    w = classical.contrast(near, far, d, loading=0.0)
    assert np.einsum("df,fd->f", near[0], w) == pytest.approx(d)

    def ratio(x: np.ndarray) -> np.ndarray:
        on, off = (np.sum(np.abs(np.einsum("pdf,...fd->...pf", h, x)) ** 2, axis=-2) for h in (near, far))
        return on / off

    assert (ratio(complex_noise(6, 500, 5, 3)) <= ratio(w) * (1 + 1e-9)).all()


def test_short_filters_solve_the_dense_normal_equations() -> None:
    bins, drivers, taps, delay = 65, 3, 12, 4
    n = 2 * (bins - 1)
    W, X = complex_noise(7, bins, drivers), complex_noise(8, bins, drivers, drivers)
    W[[0, -1]] = W[[0, -1]].real
    A = X @ X.conj().swapaxes(1, 2) + np.eye(drivers)
    A[[0, -1]] = A[[0, -1]].real
    rows, wanted = [], []
    for f in range(bins):
        root = np.linalg.cholesky(A[f]).conj().T * (1.0 if f in (0, bins - 1) else np.sqrt(2.0))
        shift = np.exp(-2j * np.pi * f * np.arange(taps) / n)
        rows.append(root @ np.kron(np.eye(drivers), shift))
        wanted.append(root @ W[f] * np.exp(-2j * np.pi * f * delay / n))
    M, b = np.concatenate(rows), np.concatenate(wanted)
    q = np.linalg.lstsq(np.concatenate([M.real, M.imag]), np.concatenate([b.real, b.imag]), rcond=None)[0]
    assert leastsquares.fitted(W, A, taps, delay) == pytest.approx(q.reshape(drivers, taps), abs=1e-5)


def test_effort_and_ringing_by_hand() -> None:
    """Two equal drivers against each other at a quarter of the level: 2 / (1/16) = 15.05 dB."""
    near = np.array([[1.0, 0.75]], dtype=complex)
    assert metrics.effort_db(np.array([[1.0, -1.0]]), near, near[:, 0]) == pytest.approx(15.0515, abs=1e-3)
    taps = np.zeros((2, 400))
    taps[:, 300], taps[0, 40], taps[1, 299] = 1.0, 0.01, 0.9
    assert metrics.ringing_db(taps, 48000) == pytest.approx(-40.0)


def test_short_filters_of_several_programs_are_those_of_each_by_itself() -> None:
    bins, drivers, taps, delay = 129, 3, 24, 7
    X = complex_noise(9, 2, bins, drivers, drivers)
    A = X @ X.conj().swapaxes(2, 3) + np.array([3.0, 0.01])[:, None, None, None] * np.eye(drivers)
    W = complex_noise(10, 2, bins, drivers)
    each = [leastsquares.fitted(w, a, taps, delay) for w, a in zip(W, A, strict=True)]
    assert leastsquares.fitted(W, A, taps, delay) == pytest.approx(np.stack(each), abs=1e-9)


@pytest.mark.parametrize(
    ("fs", "window"), [(8000, 1024), (44100, 1024), (48000, 1024), (88200, 2048), (192000, 4096), (768000, 8192)]
)
def test_frames_of_the_upmix_are_as_long_in_time_at_high_rates(fs: int, window: int) -> None:
    usual = UpmixSettings.at_rate(fs)
    assert (usual.window, usual.hop) == (window, window // 4)
    assert replace(usual, window=1024, hop=256) == UpmixSettings()


@pytest.mark.parametrize(
    ("fs", "length"), [(16000, (1024, 160)), (47872, (1024, 160)), (88200, (2048, 320)), (192000, (4096, 640)),
                       (384000, (4096, 640))]
)  # fmt: skip
def test_default_filters_are_as_long_in_time_at_high_rates(fs: int, length: tuple[int, int]) -> None:
    """Whoever gave a length gets it."""
    found = Design().at_rate(fs).filter
    assert (found.taps, found.delay) == length
    given = Design.model_validate({"filter": {"taps": 512}}).at_rate(fs).filter
    assert (given.taps, given.delay) == (512, 160)
    late = Design.model_validate({"filter": {"delay": 700}}).at_rate(fs).filter
    assert (late.taps, late.delay) == (length[0], 700)
