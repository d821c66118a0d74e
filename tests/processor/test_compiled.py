"""The compiled filter matrix against the naive sum and against double-precision convolution of a peer."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from sweetspot.processor.convolver import convolver
from sweetspot.processor.partition import PartitionedMatrix

pytest.importorskip("llvmlite", reason="llvmlite is absent: only the numpy matrix runs here")

from sweetspot.processor.compiled import loop
from sweetspot.processor.compiled.fft import TransformPlan
from sweetspot.processor.compiled.matrix import CompiledMatrix, ratio_for
from sweetspot.processor.compiled.matrix_kernel import SOURCES, compiled
from sweetspot.processor.compiled.vectors import lanes_of_host
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.storage import Kept
from tests.processor.streams import ragged

Real = NDArray[Any]


def direct(h: Real, x: Real) -> Real:
    """scipy's overlap-add in double precision, summed over the inputs."""
    return np.asarray(oaconvolve(h, x[:, None, :].astype(float), axes=2).sum(axis=0)[:, : x.shape[1]])


def error_db(y: Real, wanted: Real) -> float:
    return float(10 * np.log10(np.sum((y - wanted) ** 2) / np.sum(wanted**2)))


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**31),
    inputs=st.integers(1, 3),
    outputs=st.integers(1, 17),
    taps=st.integers(1, 900),
    block=st.sampled_from([16, 32, 64]),
    ratio=st.sampled_from([1, 2, 4, 8]),
    cuts=st.lists(st.integers(0, 300), min_size=1, max_size=5).filter(any),
)
def test_ragged_pieces_through_one_or_two_levels(
    seed: int, inputs: int, outputs: int, taps: int, block: int, ratio: int, cuts: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    h = rng.standard_normal((inputs, outputs, taps))
    x = rng.standard_normal((inputs, 1500)).astype(np.float32)
    assert error_db(ragged(CompiledMatrix(h, block, ratio=ratio), x, cuts), direct(h, x)) < -120


@pytest.mark.parametrize(
    ("outputs", "taps", "block"),
    [(2, 64, 64), (3, 16384, 64), (5, 1024, 128), (8, 4096, 256), (16, 8192, 512), (7, 5000, 1024), (2, 9000, 4096)],
)
def test_the_sizes_of_real_units(outputs: int, taps: int, block: int) -> None:
    rng = np.random.default_rng(outputs)
    h, x = rng.standard_normal((3, outputs, taps)), rng.standard_normal((3, 2 * taps + 5000)).astype(np.float32)
    matrix, wanted = CompiledMatrix(h, block), direct(h, x)
    assert error_db(matrix.process(x), wanted) < -120
    matrix.reset()
    assert error_db(ragged(matrix, x, [block]), wanted) < -120


def test_an_impulse_finds_each_tap_of_each_pair() -> None:
    h = np.arange(1.0, 3 * 5 * 200 + 1).reshape(3, 5, 200)
    for i in range(3):
        x = np.zeros((3, 300), dtype=np.float32)
        x[i, 7] = 1.0
        y = CompiledMatrix(h, 16, ratio=2).process(x)
        assert np.allclose(y[:, 7:207], h[i], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_bins_are_where_the_order_says(lanes: int) -> None:
    plan = TransformPlan(1024, lanes)
    assert sorted(plan.order()) == list(range(1024))
    kernel = compiled(256, 3, lanes)
    h = np.random.default_rng(0).standard_normal(256)
    roots = np.exp(1j * np.pi * (0.5 + 2 * kernel.order) / 256)
    wanted = np.array([np.sum(h * z ** np.arange(256)) for z in roots]) / 256
    tiles = kernel.spectrum(h)
    assert np.allclose(tiles[:, 0].reshape(-1) + 1j * tiles[:, 1].reshape(-1), wanted, atol=1e-6)


def test_agrees_with_the_numpy_matrix_and_is_chosen_where_it_fits() -> None:
    rng = np.random.default_rng(3)
    h, x = rng.standard_normal((3, 5, 700)), rng.standard_normal((3, 4000)).astype(np.float32)
    fast, plain = convolver(h, 64), PartitionedMatrix(h, 64, dtype=np.float32)
    assert isinstance(fast, CompiledMatrix)
    assert error_db(fast.process(x), plain.process(x)) < -120
    assert isinstance(convolver(h, 100), PartitionedMatrix)
    assert isinstance(convolver(h, 64, dtype=np.float64), PartitionedMatrix)


def test_filters_are_transformed_one_by_one() -> None:
    """In memory that one of them takes, as fresh memory for all costs page faults."""
    h = frozen("h", np.random.default_rng(5).standard_normal((3, 13, 4096)), ndim=3)
    CompiledMatrix(h, 4096, ratio=1)  # what is kept of the kernel
    tracemalloc.start()
    try:
        matrix = CompiledMatrix(h, 4096, ratio=1)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert matrix.outputs == 13
    assert peak - held < h.nbytes / 4


@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_whole_blocks_one_by_one_among_ragged_ones(ratio: int) -> None:
    rng = np.random.default_rng(12)
    h = rng.standard_normal((2, 5, 700))
    matrix, plain = CompiledMatrix(h, 32, ratio=ratio), PartitionedMatrix(h, 32, dtype=np.float64)
    x = rng.standard_normal((2, 32 * 60))
    sizes = [32] * 9 + [5, 27] + [32] * 4 + [64] + [32] * 5 + [96, 31, 1] + [32] * 30
    assert error_db(ragged(matrix, x, sizes), plain.process(x)) < -120


def test_code_that_was_kept_is_taken_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = Kept("a kernel that nobody asks for", SOURCES)
    kept._paths = kept._paths[1:]
    assert kept.read() is None
    assert kept.write(b"code") == b"code"
    assert kept.read() == b"code"
    path = next((tmp_path / "sweetspot").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert kept.read() is None
    path.unlink()
    (tmp_path / "sweetspot").rmdir()
    (tmp_path / "sweetspot").touch()  # a file where the folder should be: nothing is kept, and nothing fails
    assert kept.write(b"code") == b"code"
    assert kept.read() is None


def test_loops_that_allocate_memory_are_refused() -> None:
    """The live block path is made of such loops; what they called of numba's memory would be a trap."""

    def growing(x: Real) -> float:
        y = np.zeros(x.size)
        for i in range(x.size):
            y[i] = y[i - 1] + x[i]
        return float(y.sum())

    with pytest.raises(RuntimeError, match=r"growing.*allocates memory"):
        loop(growing)(np.ones(8))


def test_silence_after_music_costs_no_more_than_music() -> None:
    """Denormal numbers make a block some hundred times slower where they are not taken as zero."""
    rng = np.random.default_rng(4)
    h = rng.standard_normal((3, 8, 4096)) * np.exp(-np.arange(4096) / 300.0)
    matrix, x = CompiledMatrix(h, 256), rng.standard_normal((3, 256)).astype(np.float32)

    def cost(piece: Real) -> float:
        costs = []
        for _ in range(60):
            begin = time.perf_counter()
            matrix.process(piece)
            costs.append(time.perf_counter() - begin)
        return float(np.median(costs))

    loud = cost(x)
    assert cost(x * np.float32(1e-39)) < 3 * loud + 50e-6
    assert cost(np.zeros_like(x)) < 3 * loud + 50e-6


def test_memory_does_not_grow() -> None:
    matrix, x = CompiledMatrix(np.ones((3, 8, 3000)), 64), np.ones((3, 64), dtype=np.float32)
    for _ in range(200):
        matrix.process(x)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(2000):
        matrix.process(x)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000


def test_a_second_level_is_used_where_filters_outgrow_the_cache() -> None:
    assert ratio_for(3, 16, 8192, 64) > 1
    assert ratio_for(3, 8, 1024, 256) == 1


def test_a_core_that_is_shared_reads_less_per_block() -> None:
    """What fits the cache when block follows block has to be read from further away between blocks of live sound."""
    assert ratio_for(3, 8, 4096, 128) == 1
    assert ratio_for(3, 8, 4096, 128, alone=False) > 1
    assert ratio_for(3, 8, 256, 128, alone=False) == 1


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="power of two from 16 to 4096"):
        CompiledMatrix(np.ones((2, 3, 4)), 100)
    with pytest.raises(ValueError, match=r"shape \(3, 9\)"):
        CompiledMatrix(np.ones((2, 3, 4)), 16).process(np.zeros((3, 9)))
    assert lanes_of_host(64) <= 8


@pytest.mark.parametrize("ratio", [1, 4])
def test_reset_forgets_the_past(ratio: int) -> None:
    rng = np.random.default_rng(5)
    matrix = CompiledMatrix(rng.standard_normal((2, 3, 900)), 16, ratio=ratio)
    x = rng.standard_normal((2, 1111)).astype(np.float32)
    first = ragged(matrix, x, [7, 16, 150])
    matrix.reset()
    assert np.array_equal(ragged(matrix, x, [7, 16, 150]), first)


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("ratio", [1, 2])
def test_machines_with_shorter_vectors(lanes: int, ratio: int) -> None:
    """What a machine without AVX-512 runs; wider vectors than it has are cut up by the compiler."""
    rng = np.random.default_rng(lanes)
    h, x = rng.standard_normal((3, 7, 1500)), rng.standard_normal((3, 5000)).astype(np.float32)
    matrix = CompiledMatrix(h, 256, ratio=ratio, lanes=lanes)
    assert error_db(ragged(matrix, x, [256, 100, 700]), direct(h, x)) < -120
