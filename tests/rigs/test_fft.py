"""Transforms are those of SciPy, in double precision byte by byte, without its half second of imports."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.fft

from sweetspot.rigs.acoustics import SignalBlocks, fft
from sweetspot.rigs.arrays import frozen


@pytest.mark.parametrize("real", [True, False])
def test_lengths_are_the_least_with_small_factors(real: bool) -> None:
    rng = np.random.default_rng(5)
    for target in [*range(1, 600), *rng.integers(600, 10**7, 60).tolist(), 2**20, 5**9, 7**6, 11**5]:
        assert fft.next_fast_len(target, real=real) == scipy.fft.next_fast_len(target, real=real)


def test_a_transform_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample, not 0"):
        fft.next_fast_len(0, real=True)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_values_and_precision_are_those_of_scipy(kind: type) -> None:
    x = np.random.default_rng(7).standard_normal((3, 5, 1201)).astype(kind)
    ours, theirs = fft.rfft(x, 2500), scipy.fft.rfft(x, 2500)
    assert ours.dtype == theirs.dtype
    error = 0.0 if kind is np.float64 else 1e-6
    assert np.abs(ours - theirs).max() <= error * np.abs(theirs).max()
    again, beside = fft.irfft(ours, 2500), scipy.fft.irfft(ours, 2500)
    assert again.dtype == beside.dtype
    assert np.abs(again - beside).max() <= error * np.abs(beside).max()


def test_commands_start_without_what_only_some_of_them_compute_with() -> None:
    asked = "import sys; import sweetspot.calibrate.cli, sweetspot.measure.cli, sweetspot.processor.cli; "
    slow = "{'scipy', 'numba', 'matplotlib', 'llvmlite', 'sweetspot.rigs.lab'}"
    asked += f"print(sorted({slow} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_signals_filtered_in_blocks_are_those_of_the_naive_sum() -> None:
    """Ragged lengths, two channels to three outputs, two sets of responses of which one is shorter than announced."""
    rng = np.random.default_rng(11)
    for samples, taps in ((1, 1), (700, 37), (5000, 129), (4097, 2048)):
        x = rng.standard_normal((2, samples))
        blocks = SignalBlocks(x, taps)
        for length in {taps, (taps + 1) // 2}:
            h = rng.standard_normal((3, 2, length))
            exact = [sum(np.convolve(h[o, c], x[c]) for c in range(2)) for o in range(3)]
            assert np.allclose(blocks.filtered(h), exact, rtol=0.0, atol=1e-10)
            half = SignalBlocks(x.astype(np.float32), taps).filtered(h)
            assert half.dtype == np.float32
            assert np.allclose(half, exact, rtol=0.0, atol=1e-5 * np.abs(exact).max())
    with pytest.raises(ValueError, match="longer than 37"):
        SignalBlocks(np.zeros((1, 9)), 37).filtered(np.zeros((1, 1, 38)))


def test_a_constant_array_is_not_copied_and_one_that_can_change_is() -> None:
    own = np.arange(6.0)
    own.setflags(write=False)
    assert frozen("x", own, ndim=1) is own
    assert frozen("x", own[1:], ndim=1).base is own
    behind = np.arange(6.0)
    view = behind[:]
    view.setflags(write=False)
    kept = frozen("x", view, ndim=1)
    behind[0] = 7.0
    assert kept[0] == 0.0
