"""Filters for two heads at once: a bright and a dark ear for each."""

from __future__ import annotations

import numpy as np
import pytest

from sweetspot.calibrate.bank.batch import Asked, sides
from sweetspot.calibrate.design import BankDesign, Design
from sweetspot.calibrate.filters.sides.crosstalk import MultiplierSweep, SeveralListeners

F = np.linspace(0.0, 8000.0, 129)
DRIVERS = np.array([[0.0, 0.21], [0.0, 0.08], [0.0, -0.06], [0.0, -0.19]])
PLACES = ((2.0, 0.35), (1.9, -0.42))
C = 340.0


def ears(x: float, y: float, yaw: float) -> np.ndarray:
    """Responses ``(ear, driver, frequency)`` of two open ears 0.17 m apart: spherical waves, nothing else."""
    across = 0.085 * np.array([-np.sin(yaw), np.cos(yaw)])
    middle = np.array([x, y])
    at = np.stack([middle + across, middle - across])
    away = np.linalg.norm(at[:, None] - DRIVERS[None], axis=-1)[..., None]
    return np.asarray(np.exp(-2j * np.pi * F * away / C) / away)


def cloud() -> np.ndarray:
    """``(head, ear, driver, frequency)``: three heads around each place, the first one at it."""
    turned = [np.arctan2(y, x) for x, y in PLACES]
    return np.array([ears(x, y + d, t) for (x, y), t in zip(PLACES, turned, strict=True) for d in (0.0, 0.01, -0.01)])


def asked(listeners: int) -> Asked:
    design = Design.model_validate({"crosstalk": {"effort_db": 12.0, "target_db": [[100, 20], [8000, 20]]}})
    ones = np.ones((4, len(F)))
    effort, tops = np.full(len(F), 12.0), np.full(4, 20000.0)
    return Asked(
        F,
        100.0,
        ones.T,
        design.crosstalk,
        effort,
        (0, 3),
        slopes=ones,
        tops=tops,
        design=design,
        listeners=listeners,
    )


def test_constraints_hold_and_no_other_weights_do_better() -> None:
    """Reference: the conditions of Lagrange, solved densely bin by bin; one listener is the single design."""
    rng = np.random.default_rng(3)
    G, X = (rng.standard_normal((n, 5, 4)) + 1j * rng.standard_normal((n, 5, 4)) for n in (2, 7))
    d = rng.standard_normal((2, 5)) + 1j * rng.standard_normal((2, 5))
    R = np.einsum("nfi,nfj->fij", X.conj(), X)
    Q = rng.uniform(0.5, 2.0, (5, 4))
    line = SeveralListeners.of(G, R, Q, d)
    mu = np.array([0.0, 0.1, 1.0, 10.0, 100.0])
    w = line.weights(mu)
    for i in range(5):
        A = np.diag(Q[i]) + mu[i] / line.scale[i] * R[i]
        kkt = np.block([[A, G[:, i].conj().T], [G[:, i], np.zeros((2, 2))]])
        wanted = np.linalg.solve(kkt, np.concatenate([np.zeros(4), d[:, i]]))[:4]
        assert w[i] == pytest.approx(wanted, rel=0.03, abs=0.03)
    leak, effort = line.leak_and_effort(mu)
    power = np.mean(np.abs(d) ** 2, axis=0)
    assert leak * power == pytest.approx(np.einsum("fi,fij,fj->f", w.conj(), R, w).real)
    assert 2.0 * effort * power == pytest.approx(np.sum(Q * np.abs(w) ** 2, axis=1))
    single = MultiplierSweep.of(G[0], R, Q, d[0])
    assert SeveralListeners.of(G[:1], R, Q, d[:1]).weights(mu) == pytest.approx(single.weights(mu), rel=0.01)


def test_both_listeners_have_a_bright_and_a_dark_ear() -> None:
    h = cloud()
    error = np.full((1, 4, len(F)), 1e-4)
    band = (F > 1000.0) & (F < 6000.0)

    def heard(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Near over far, and near over the reference driver's, ``(listener,)``, dB: left programme, mean of bins."""
        at = np.einsum("ledf,fd->lef", h[::3], w)
        near, far = (np.mean(np.abs(at[:, e][:, band]) ** 2, axis=-1) for e in (0, 1))
        reference = np.mean(np.abs(h[::3, 0, 0][:, band]) ** 2, axis=-1)
        return 10.0 * np.log10(near / far), 10.0 * np.log10(near / reference)

    apart, level = heard(sides(h[None], error, asked(2)).w[0, 0])
    alone, _ = heard(sides(h[None, :3], error, asked(1)).w[0, 0])
    assert np.all(apart > 8.0)
    assert np.abs(level).max() < 2.0
    assert alone[0] > apart[0], "one listener alone is served better"
    assert alone[1] < 3.0, "and the other not at all"


def test_a_second_listener_faces_the_device() -> None:
    found = BankDesign.model_validate({"second": [1.5, -1.5]}).second_place
    assert found == pytest.approx(np.array([[1.5, -1.5, -np.pi / 4]]))
    assert BankDesign().second_place.shape == (0, 3)
