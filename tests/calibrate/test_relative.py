"""The anchored design against a convex solver and its formula; ratios by hand; how short they are."""

from __future__ import annotations

import cvxpy
import numpy as np
import pytest

from sweetspot.calibrate.design import BeamDesign, CrosstalkDesign
from sweetspot.calibrate.filters.beam import beamform, handover
from sweetspot.calibrate.filters.fir import causal
from sweetspot.calibrate.filters.sides import anchored, multiplier, pair, ratio
from sweetspot.calibrate.plant.responses import Plant
from sweetspot.rigs.acoustics.sphere import field
from sweetspot.rigs.layout import nearest
from sweetspot.rigs.units import Complex, power_db

LEAST = 0.1
"""A ratio is taken over no less than this part of the weights' root mean square: beneath, the reference is silent."""


def ratios(w: Complex, reference: int) -> Complex:
    """Every driver over the reference one ``(frequency, driver)``; 1 for the reference itself.

    Parameters
    ----------
    w
        Weights ``(frequency, driver)``.
    """
    floor = LEAST * np.sqrt(np.mean(np.abs(w) ** 2, axis=1))
    level = np.maximum(np.abs(w[:, reference]), floor)
    out = w * (np.conj(w[:, reference]) / np.maximum(np.abs(w[:, reference]) * level, 1e-300))[:, None]
    out[:, reference] = 1.0
    return np.asarray(out)


def noise(seed: int, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


@pytest.mark.parametrize("matrix", [False, True])
def test_anchored_weights_are_the_nearest_to_the_reference_driver_that_meet_the_target(matrix: bool) -> None:
    bins, drivers, reference = 5, 4, 2
    g, far = noise(1, bins, drivers), noise(2, 3, drivers, bins)
    R = ratio.covariance(far + 0.7 * g.T) + 0.05 * np.eye(drivers)
    own = 1.0 + np.arange(drivers) * np.ones((bins, 1))
    X = noise(3, bins, drivers, drivers)
    cost = X @ X.conj().swapaxes(1, 2) + np.eye(drivers) if matrix else own
    Q = cost if matrix else own[:, :, None] * np.eye(drivers)
    d = 0.8 * g[:, reference] * np.exp(0.3j)
    target = np.full(bins, 10**0.9)
    line = anchored.Anchored.of(g, R, cost, d, np.eye(drivers)[[reference] * bins])
    found = multiplier.steer(line, target, np.full(bins, 1e9))
    assert np.einsum("fm,fm->f", g, found.w) == pytest.approx(d)
    w0 = np.zeros((bins, drivers), complex)
    w0[:, reference] = d / g[:, reference]
    assert line.weights(np.zeros(bins)) == pytest.approx(w0)
    held = 0
    for f in range(bins):
        if found.limit[f] == "shadow":
            continue
        held += 1
        w, root = cvxpy.Variable(drivers, complex=True), np.linalg.cholesky(R[f]).conj().T
        problem = cvxpy.Problem(
            cvxpy.Minimize(cvxpy.sum_squares(np.linalg.cholesky(Q[f]).conj().T @ (w - w0[f]))),
            [g[f] @ w == d[f], cvxpy.norm(root @ w) <= abs(d[f]) / np.sqrt(target[f])],
        )
        problem.solve()
        away = found.w[f] - w0[f]
        assert (away.conj() @ Q[f] @ away).real == pytest.approx(problem.value, rel=1e-3)
    assert held >= 3


def test_two_drivers_null_one_place_by_the_ratio_of_its_paths() -> None:
    """W_1 / W_0 = -h_0 / h_1 at the far ear, whatever the near ear is; the reference plays a pure delay."""
    g, far = noise(4, 6, 2), noise(5, 1, 2, 6)
    R = ratio.covariance(far) + 1e-9 * np.eye(2)
    line = anchored.Anchored.of(g, R, np.ones((6, 2)), g[:, 0], np.eye(2)[[0] * 6])
    found = multiplier.steer(line, np.full(6, 1e6), np.full(6, 1e12))
    assert ratios(found.w, 0)[:, 1] == pytest.approx(-far[0, 0] / far[0, 1], rel=2e-2)
    assert ratios(found.w, 0)[:, 0] == pytest.approx(np.ones(6))


def plant() -> Plant:
    f = np.fft.rfftfreq(4096, 1 / 48000)
    places, azimuths = np.array([0.0, 0.03, -0.035, 0.02]), np.radians([-94.0, 87.0])
    ears = np.arctan2(places[:, None] + np.array([-0.13, 0.125]), 2.0)
    k = 2 * np.pi * np.maximum(f, 20.0) / 343.0
    return Plant(field(np.cos(ears[:, :, None] - azimuths), k, 0.0875, 2.0), f, 166.0, np.zeros((4, 2, 2)))


def test_anchored_ratios_stay_short_and_cost_nothing_where_it_cancels() -> None:
    """Six decibels of effort: what 64 taps cut off, and what they still cancel, beside the least-effort design."""
    p, cost = plant(), np.ones((2049, 2))
    lost, level = [], []
    for form in ("distortionless", "anchored"):
        both = pair.steer(p, 0, cost, CrosstalkDesign(form=form, effort_db=6.0))
        assert set(both.limit[0]) <= {"shadow", "target", "effort", "spread"}
        whole = ratios(both.w[0], both.reference[0])
        h = np.fft.irfft(whole[:, 1 - both.reference[0]])
        lost.append(np.sum(h[48:-16] ** 2) / np.sum(h**2))
        taps = causal(whole.T, 64, 24)
        W = np.fft.rfft(taps, 4096, axis=-1).T
        near, far = (np.abs(np.einsum("fd,df->f", W, p.h[0, e])) ** 2 for e in (0, 1))
        inside = (p.f > 1000) & (p.f < 4000)
        level.append(float(power_db(1.0 / np.mean(far[inside] / near[inside]))))
    assert lost[1] < 0.5 * lost[0]
    assert level[1] > level[0] + 0.5


def test_an_anchored_design_never_spends_more_than_allowed() -> None:
    p = plant()
    both = pair.steer(p, 0, np.ones((2049, 2)), CrosstalkDesign(form="anchored", effort_db=3.0))
    asked = both.problems[0]
    line = anchored.Anchored.of(asked.near, asked.covariance, np.ones((2049, 2)), asked.wanted, asked.lead.T)
    found = multiplier.steer(line, asked.target, asked.effort)
    spent = np.sum(np.abs(found.w) ** 2, axis=1) / np.abs(asked.wanted) ** 2
    limited = found.limit == "effort"
    assert limited.sum() > 20
    assert spent[limited] == pytest.approx(asked.effort[limited], rel=1e-4)
    assert multiplier.MU_RANGE[0] < found.mu[limited].min()


AROUND = np.radians(np.arange(-180.0, 180.0, 5.0))
STEERED = BeamDesign(target_db=((150.0, 0.0), (350.0, 18.0), (1500.0, 18.0), (2400.0, 0.0)))


def unit_on_a_sphere(f: np.ndarray) -> np.ndarray:
    """Four drivers ``(driver, direction, frequency)``, two of them in front."""
    at = np.radians([90.0, 30.0, -30.0, -90.0])
    return field(np.cos(AROUND[None] - at[:, None]), 2.0 * np.pi * np.maximum(f, 20.0) / 343.0, 0.0875, 2.0)


def test_a_beam_in_relative_form_keeps_its_axis_and_has_its_nulls() -> None:
    f = np.linspace(0.0, 8000.0, 161)
    h = unit_on_a_sphere(f)
    ahead = h[:, nearest(AROUND)]
    wanted = np.abs(ahead).max(axis=0) * np.exp(1j * np.angle(ahead.sum(axis=0)))
    regions = beamform.ring(h, AROUND, STEERED)
    given = (regions, f, np.ones((len(f), 4)), STEERED, wanted, [(1, 2)])
    found, ring = anchored.beam(*given), beamform.solve(*given)
    assert np.einsum("df,fd->f", ahead, found.w) == pytest.approx(wanted)
    quiet = [np.einsum("fm,fmn,fn->f", made.w.conj(), regions.off, made.w).real for made in (found, ring)]
    level, reached = (power_db(np.abs(wanted) ** 2 / q) for q in quiet)
    steered = (f >= 450.0) & (f <= 1450.0)
    assert np.all(level[steered] > np.minimum(reached[steered], 18.0) - 0.5), "as quiet as weights bound to nothing"
    assert level[steered].max() < 18.0 + multiplier.OVER_DB
    sides = [np.sum(np.abs(made.w[steered][:, [0, 3]]) ** 2) for made in (found, ring)]
    assert sides[0] < sides[1], "the others play no more than that takes"
    above = (f > 3000.0) & (f < 7000.0)
    assert np.abs(found.w[above][:, [0, 3]]).max() < 1e-9 * np.abs(found.w[above]).max(), "the drivers in front alone"


def test_where_nothing_is_quieted_the_relative_beam_is_the_drivers_in_front() -> None:
    f = np.linspace(0.0, 8000.0, 161)
    h, lax = unit_on_a_sphere(f), STEERED.model_copy(update={"target_db": ((150.0, -60.0), (12000.0, -60.0))})
    ahead = h[:, nearest(AROUND)]
    wanted = ahead[1] + ahead[2]
    regions = beamform.ring(h, AROUND, lax)
    w0 = handover.alone(regions.ahead, wanted, f, lax, [(1, 2)])
    line = anchored.Anchored.around(regions.ahead, regions.off, np.ones((len(f), 4)), wanted, w0)
    assert line.weights(np.zeros(len(f))) == pytest.approx(w0, abs=1e-9)
    assert w0[:, 1] == pytest.approx(1.0)
    assert w0[:, [0, 3]] == pytest.approx(0.0)
