"""Systems of many frequencies in compiled loops, beside one solution after the other."""

from __future__ import annotations

import numpy as np
import pytest

from sweetspot.calibrate.filters.systems import Pencil, descended, on_diagonal, packed
from sweetspot.rigs.units import Complex


def positive(rng: np.random.Generator, count: int, drivers: int) -> Complex:
    """Hermitian positive matrices ``(frequency, driver, driver)``."""
    X = rng.standard_normal((count, drivers, drivers)) + 1j * rng.standard_normal((count, drivers, drivers))
    return np.asarray(X @ X.conj().swapaxes(1, 2) + 0.1 * np.eye(drivers))


@pytest.mark.parametrize("drivers", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [1, 64, 151])
def test_a_pencil_is_solved_at_each_frequency(drivers: int, count: int) -> None:
    rng = np.random.default_rng(12)
    B, S, other = (positive(rng, count, drivers) for _ in range(3))
    r = rng.standard_normal((count, drivers)) + 1j * rng.standard_normal((count, drivers))
    m = 10.0 ** rng.uniform(-3.0, 3.0, count)
    line = Pencil.of(packed(B), packed(S), r.T, packed(other))
    wanted = np.linalg.solve(B + m[:, None, None] * S, r[..., None])[..., 0]
    w, powers = line.solved(m)
    assert pytest.approx(wanted, rel=1e-9) == w.T
    for found, R in zip(powers, (other, S), strict=True):
        assert found == pytest.approx(np.einsum("fm,fmn,fn->f", wanted.conj(), R, wanted).real, rel=1e-9)


def test_some_frequencies_of_a_pencil_with_a_diagonal() -> None:
    rng = np.random.default_rng(2)
    B, own = positive(rng, 9, 3), rng.uniform(0.1, 2.0, (3, 9))
    r = rng.standard_normal((3, 9)) + 1j * rng.standard_normal((3, 9))
    rows, m = np.array([7, 0, 4]), np.full(3, 0.3)
    line = Pencil.of(packed(B), on_diagonal(own), r, packed(B)).at(rows)
    wanted = np.linalg.solve(B + 0.3 * own.T[:, :, None] * np.eye(3), r.T[..., None])[rows, :, 0]
    w, powers = line.solved(m)
    assert pytest.approx(wanted, rel=1e-9) == w.T
    assert powers[1] == pytest.approx(np.sum(own.T[rows] * np.abs(wanted) ** 2, axis=1), rel=1e-9)


def test_conjugate_gradients_end_at_the_solution_of_the_whole_matrix() -> None:
    """Two block-Toeplitz systems of three drivers and 12 taps, written out; one begins at its solution and stays."""
    rng, programs, drivers, taps, size = np.random.default_rng(8), 2, 3, 12, 32
    g = rng.standard_normal((programs, drivers, drivers, 5))
    G = np.fft.rfft(g, size)
    operator = np.einsum("pkmf,pknf->pmnf", G.conj(), G) + 0.5 * np.eye(drivers)[:, :, None]
    lags = np.fft.irfft(operator, size)
    k = np.arange(taps)
    whole = lags[..., (k[:, None] - k) % size].transpose(0, 1, 3, 2, 4).reshape(programs, drivers * taps, -1)
    wanted = rng.standard_normal((programs, drivers, taps))
    solution = np.linalg.solve(whole, wanted.reshape(programs, -1, 1)).reshape(wanted.shape)
    start = np.stack([np.zeros((drivers, taps)), solution[1]])
    found = descended(operator, wanted, start, 400, 1e-12)
    assert found == pytest.approx(solution, rel=1e-7, abs=1e-9)
    assert not np.allclose(descended(operator, wanted, start, 3, 1e-12)[0], solution[0], rtol=1e-3)
