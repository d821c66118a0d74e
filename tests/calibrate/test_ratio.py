"""The constant-ratio design against a general solver, hand calculations and its own optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from sweetspot.calibrate.design import CrosstalkDesign
from sweetspot.calibrate.filters import leastsquares
from sweetspot.calibrate.filters.sides import crosstalk, multiplier, pair, ratio
from sweetspot.calibrate.plant.responses import Plant
from sweetspot.rigs.acoustics.sphere import field
from sweetspot.rigs.units import from_db, power_db


def noise(seed: int, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def zones(bins: int, drivers: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Covariances of 4 bright and 3 dark places that have much in common."""
    shared = noise(seed, 1, drivers, bins)
    bright, dark = shared + 0.5 * noise(seed + 1, 4, drivers, bins), shared + 0.5 * noise(seed + 2, 3, drivers, bins)
    return ratio.covariance(bright), ratio.covariance(dark) + 0.05 * np.eye(drivers)


def form(w: np.ndarray, R: np.ndarray) -> np.ndarray:
    return np.einsum("fm,fmn,fn->f", w.conj(), R, w).real


@pytest.mark.parametrize("drivers", [2, 3, 5])
def test_no_solver_finds_more_efficient_weights_at_the_ratio(drivers: int) -> None:
    """SLSQP, from several starts, maximises bright power at unit cost and the same ratio: it never gets more."""
    bins = 4
    bright, dark = zones(bins, drivers, drivers)
    cost = 1.0 + 0.5 * np.arange(drivers)[None, :] * np.ones((bins, 1))
    reach, _ = ratio.largest(bright, dark)
    least = ratio.steer(bright, dark, cost, np.full(bins, 1e-9), np.full(bins, 1e9))
    assert set(least.limit) == {"shadow"}
    target = np.sqrt(0.7 * reach * (form(least.w, bright) / form(least.w, dark)))
    found = ratio.steer(bright, dark, cost, target, np.full(bins, 1e9))
    assert set(found.limit) == {"target"}
    assert form(found.w, bright) / form(found.w, dark) == pytest.approx(target, rel=1e-4)
    assert np.sum(cost * np.abs(found.w) ** 2, axis=1) == pytest.approx(1.0)
    rng = np.random.default_rng(3)
    for i in range(bins):
        best = _solved(bright[i], dark[i], cost[i], float(target[i]), rng)
        assert form(found.w, bright)[i] == pytest.approx(best, rel=2e-4)


def _solved(bright: np.ndarray, dark: np.ndarray, cost: np.ndarray, target: float, rng: np.random.Generator) -> float:
    """Largest bright power at unit cost and given ratio by SLSQP over real and imaginary parts."""

    def power(x: np.ndarray, R: np.ndarray) -> float:
        w = x[: len(cost)] + 1j * x[len(cost) :]
        return float((w.conj() @ R @ w).real)

    limits = [
        {"type": "eq", "fun": lambda x: power(x, np.diag(cost)) - 1.0},
        {"type": "eq", "fun": lambda x: power(x, bright) - target * power(x, dark)},
    ]
    found = []
    for _ in range(8):
        x = minimize(lambda x: -power(x, bright), rng.normal(size=2 * len(cost)), method="SLSQP", constraints=limits)
        if x.success:
            found.append(-x.fun)
    return max(found)


def test_with_one_bright_place_it_is_the_distortionless_design() -> None:
    """One place to keep and one target: both designs are least effort for a leakage, and agree."""
    bins, drivers = 6, 4
    near = noise(1, 1, drivers, bins)
    dark = ratio.covariance(0.6 * near + noise(2, 3, drivers, bins)) + 0.1 * np.eye(drivers)
    cost, target = np.ones((bins, drivers)), np.full(bins, from_db(7.0) ** 2)
    g, d = near[0].T, np.exp(1j * np.arange(bins))
    by_mu = multiplier.steer(crosstalk.MultiplierSweep.of(g, dark, cost, d), target, np.full(bins, 1e9))
    bright = ratio.covariance(near)
    found = ratio.steer(bright, dark, cost, target, np.full(bins, 1e9))
    held = found.limit == "target"
    assert held.sum() >= 3
    assert ratio.anchored(found.w, g, bright, d)[held] == pytest.approx(by_mu.w[held], rel=1e-3, abs=1e-4)


def test_effort_is_a_limit_and_what_is_out_of_reach_is_not_chased() -> None:
    bins = 5
    bright, dark = zones(bins, 4, 11)
    ones = np.ones((bins, 4))
    free = ratio.steer(bright, dark, ones, np.full(bins, 1e9), np.full(bins, 1e9))
    reach, _ = ratio.largest(bright, dark)
    assert set(free.limit) == {"spread"}
    assert form(free.w, bright) / form(free.w, dark) == pytest.approx(ratio.SHARE * reach, rel=1e-4)
    rest = ratio.steer(bright, dark, ones, np.full(bins, 1e-9), np.full(bins, 1e9))
    allowed = 0.5 * (1.0 / form(rest.w, bright) + 1.0 / form(free.w, bright))
    held = ratio.steer(bright, dark, ones, np.full(bins, 1e9), allowed)
    assert set(held.limit) == {"effort"}
    assert 1.0 / form(held.w, bright) == pytest.approx(allowed, rel=1e-4)


def test_exact_ratio_is_held_from_above_too() -> None:
    """Constant directivity: the ratio is the target where the least effort would exceed it."""
    bins = 4
    bright, dark = zones(bins, 3, 21)
    ones = np.ones((bins, 3))
    rest = ratio.steer(bright, dark, ones, np.full(bins, 1e-9), np.full(bins, 1e9))
    natural = form(rest.w, bright) / form(rest.w, dark)
    found = ratio.steer(bright, dark, ones, 0.6 * natural, np.full(bins, 1e9), exact=True)
    assert form(found.w, bright) / form(found.w, dark) == pytest.approx(0.6 * natural, rel=1e-5)
    assert (found.multiplier < 0).all()


def test_two_zones_of_listeners_are_distinguished() -> None:
    """Six drivers on a sphere, zones 60 degrees apart: 15 dB from 500 Hz to 3 kHz at places between those designed for.

    Bright level and dark level are checked at places of their own, and effort stays within its limit.
    """
    f = np.fft.rfftfreq(512, 1 / 48000)[4:40]
    k, drivers = 2 * np.pi * f / 343.0, np.radians([-150.0, -91.0, -32.0, 29.0, 90.0, 155.0])

    def heard(degrees: np.ndarray) -> np.ndarray:
        h = field(np.cos(np.radians(degrees)[None, :] - drivers[:, None]), k, 0.0875, 1.5)
        return np.moveaxis(h, 1, 0)

    bright, dark = heard(np.array([20.0, 30.0, 40.0])), heard(np.array([-43.0, -30.0, -19.0]))
    loaded = ratio.covariance(dark)
    loaded[:, np.arange(6), np.arange(6)] += 1e-3 * np.mean(np.abs(dark) ** 2, axis=0).T
    effort = 16.0 / np.max(np.mean(np.abs(bright) ** 2, axis=0), axis=0)
    target = np.full(len(f), 10**1.8)
    found = ratio.steer(ratio.covariance(bright), loaded, np.ones((len(f), 6)), target, effort)
    between = [np.mean(np.abs(np.einsum("pdf,fd->pf", heard(np.array(a)), found.w)) ** 2, axis=0)
               for a in ([25.0, 36.0], [-25.0, -36.0])]  # fmt: skip
    inside = (f > 500) & (f < 3000)
    assert power_db(between[0] / between[1])[inside].min() > 15.0
    assert (1.0 / form(found.w, ratio.covariance(bright)) <= effort * 1.001).all()


def test_sides_between_zones_hold_the_ratio_over_all_positions_at_less_effort() -> None:
    """Four drivers, five heads: the mean ratio of both zones meets the target where it is active, for less effort.

    "distortionless" meets the same far-ear power with one near ear kept; what it may not use is the rest of the zone.
    """
    f = np.fft.rfftfreq(1024, 1 / 47872)
    k, drivers = 2 * np.pi * np.maximum(f, 20.0) / 343.0, np.radians([-93.0, -31.0, 28.0, 90.0])
    places = np.array([0.0, 0.035, -0.03, 0.015, -0.04])
    ears = np.arctan2(places[:, None] + np.array([-0.13, 0.125]), 1.6)
    h = field(np.cos(ears[:, :, None] - drivers), k, 0.0875, 1.6)
    plant, cost = Plant(h, f, 166.0, np.zeros((5, 2, 4))), np.ones((len(f), 4))
    wish = {"target_db": ((150.0, 0.0), (400.0, 12.0), (18000.0, 12.0)), "effort_db": 20.0}
    kept, zoned = (
        pair.steer(plant, 0, cost, CrosstalkDesign(form=form, **wish)) for form in ("distortionless", "ratio")
    )
    inside = (f > 600) & (f < 6000)
    for ear in (0, 1):
        p = zoned.problems[ear]
        on, off = form(zoned.w[ear], ratio.covariance(h[:, ear])), form(zoned.w[ear], p.covariance)
        active = inside & (zoned.limit[ear] == "target")
        assert active.sum() > 40
        assert np.abs(power_db(on / off)[active] - 12.0).max() < 0.5
        spent = [np.sum(np.abs(both.w[ear]) ** 2, axis=1) / form(both.w[ear], ratio.covariance(h[:, ear]))
                 for both in (kept, zoned)]  # fmt: skip
        assert np.median(power_db(spent[1] / spent[0])[active]) < 0.1


def test_short_filters_weigh_leakage_alike_in_any_unit() -> None:
    """A plant in pascal and one in millipascal give the same filters: the weighting does not change."""
    f = np.fft.rfftfreq(256, 1 / 48000)
    h = noise(5, 3, 2, 4, len(f))
    weightings = []
    for unit in (1.0, 1e-3):
        both = pair.steer(Plant(unit * h, f, 166.0, np.zeros((3, 2, 4))), 0, np.ones((len(f), 4)), CrosstalkDesign())
        weightings.append(leastsquares.hessian(both.problems[0], np.ones((len(f), 4)), both.mu[0], both.w[0], f))
    assert weightings[1] == pytest.approx(weightings[0], rel=1e-6)
