"""The upmix: what goes where, exact rebuilding, ragged streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import fft

from sweetspot.processor.compiled import jitted
from sweetspot.processor.filterset import UpmixSettings
from sweetspot.processor.upmix import RULES, chosen, weigh
from sweetspot.rigs.errors import BadInput
from tests.processor.streams import ragged

Real = NDArray[Any]
FS = 47872


def sweep(seconds: float = 1.0, fs: int = FS) -> Real:
    """Exponential sweep from 20 Hz to 20 kHz that begins at full amplitude."""
    t = np.arange(round(seconds * fs)) / fs
    rate = np.log(1000.0) / seconds
    return np.asarray(0.5 * np.cos(2.0 * np.pi * 20.0 / rate * (np.exp(rate * t) - 1.0)))


def run(
    x: Real, method: str = "projection", cuts: tuple[int, ...] = (10**9,), dtype: Any = np.float64, **kw: Any
) -> Real:
    """Left, right and centre with the delay taken out."""
    up = chosen(UpmixSettings(method=method, **kw), FS, dtype)
    x = np.concatenate([x, np.zeros((2, up.latency))], axis=1)
    return ragged(up, x, cuts)[:, up.latency :]


def scene(seed: int = 5, n: int = 30000) -> Real:
    """A voice in the middle, something at 3/4 left, independent noise."""
    rng = np.random.default_rng(seed)
    a, b, c, d = rng.standard_normal((4, n)) * np.array([[0.2], [0.1], [0.05], [0.07]])
    return np.stack([a + 0.9 * b + c, a + 0.2 * b + d])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("signal", ["sweep", "noise"])
def test_mono_goes_wholly_to_the_centre_from_the_first_sample(signal: str, dtype: Any) -> None:
    m = sweep() if signal == "sweep" else np.random.default_rng(0).standard_normal(FS) * 0.1
    left, right, centre = run(np.stack([m, m]), dtype=dtype)
    assert max(np.max(np.abs(left)), np.max(np.abs(right)), np.max(np.abs(centre - m))) < 1e-6 * np.max(np.abs(m))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("side", [0, 1])
def test_hard_panned_stays_wholly_at_its_side_from_the_first_sample(side: int, dtype: Any) -> None:
    x = np.zeros((2, FS))
    x[side] = sweep()
    y = run(x, dtype=dtype)
    assert np.max(np.abs(y[2])) < 1e-6 * 0.5
    assert np.max(np.abs(y[1 - side])) < 1e-6 * 0.5
    assert np.max(np.abs(y[side] - x[side])) < 1e-6 * 0.5


def test_a_quiet_sweep_is_distinguished_as_well_as_a_loud_one() -> None:
    x = np.zeros((2, FS))
    x[0] = 1e-4 * sweep()
    assert np.max(np.abs(run(x)[2])) < 1e-10


@pytest.mark.parametrize("amount", [1.0, 0.37])
def test_left_and_centre_rebuild_the_input(amount: float) -> None:
    x = scene()
    left, right, centre = run(x, amount=amount)
    assert np.max(np.abs(left + centre - x[0])) < 1e-12
    assert np.max(np.abs(right + centre - x[1])) < 1e-12


def test_amount_zero_leaves_the_centre_empty() -> None:
    assert not run(scene(), amount=0.0)[2].any()


def test_the_centre_is_not_correlated_with_left_minus_right() -> None:
    x = scene(n=200000)
    centre, side = run(x)[2][40000:], (x[0] - x[1])[40000:]
    passive = (x[0] + x[1])[40000:]

    def correlation(a: Real, b: Real) -> float:
        return float(abs(a @ b) / np.sqrt((a @ a) * (b @ b)))

    assert correlation(centre, side) < 0.01
    assert correlation(passive, side) > 0.05


def test_ragged_pieces_equal_one() -> None:
    x = scene(n=9000)
    assert np.max(np.abs(run(x, cuts=(1, 300, 0, 77, 2048, 256)) - run(x))) < 1e-13


def test_silence_stays_silence_and_clears_the_memory() -> None:
    x = np.zeros((2, 60000))
    x[0, :10000] = np.random.default_rng(1).standard_normal(10000)
    x[1, 40000:50000] = np.random.default_rng(2).standard_normal(10000)
    y = run(x)
    assert not y[:, 12000:38000].any()
    assert np.max(np.abs(y[2])) < 1e-10


def test_off_passes_stereo_through_without_delay() -> None:
    x = scene(n=500)
    up = chosen(UpmixSettings(method="off"), FS)
    y = up.process(x)
    assert up.latency == 0
    assert np.array_equal(y[:2], x)
    assert not y[2].any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (UpmixSettings(method="magic"), "soft-projection, low-latency, projection, similarity, pca, off"),
        (UpmixSettings(amount=1.5), "from 0"),
        (UpmixSettings(window=1000, hop=256), "hops long"),
        (UpmixSettings(tau_s=0.0), "above 0 s"),
    ],
)
def test_settings_out_of_range_are_refused(settings: UpmixSettings, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        chosen(settings, FS)


def test_a_source_that_reaches_right_later_leaves_nothing_common_with_left_minus_right() -> None:
    """A delay makes mid and side correlate in quadrature: only a complex projection takes that away."""
    a = np.random.default_rng(6).standard_normal(200000) * 0.1
    x = np.stack([a, np.roll(a, 9)])
    left, right, centre = (fft.rfft(v[40000:]) for v in (*x, run(x)[2]))
    turned = np.abs(np.sum(centre * np.conj(left - right) * 1j))
    assert turned < 0.03 * np.linalg.norm(centre) * np.linalg.norm(left - right)


@pytest.mark.parametrize("method", ["soft-projection", "projection", "similarity", "pca", "low-latency"])
@pytest.mark.parametrize(("window", "hop"), [(1024, 256), (512, 128), (256, 128)])
def test_compiled_and_numpy_forms_agree(window: int, hop: int, method: str) -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is absent: only the numpy form runs here")
    x = scene(n=20000)
    fast = run(x, dtype=np.float32, method=method, window=window, hop=hop, cuts=(500, 7, 4096))
    plain = run(x, method=method, window=window, hop=hop)
    assert np.sqrt(np.mean((fast - plain) ** 2)) < 3e-6 * np.sqrt(np.mean(plain**2))


def weighed(method: str, m: complex, s: complex, averages: Any = (0.0,) * 5, decay: float = 0.0) -> complex:
    """The centre of one bin."""
    mid, side = (np.array([[[v.real], [v.imag]]]) for v in (complex(m), complex(s)))
    jitted(weigh)(RULES[method], mid, side, np.reshape(np.array(averages, dtype=float), (1, 5, 1)), decay)
    return complex(mid[0, 0, 0], mid[0, 1, 0])


def test_the_soft_projection_is_its_formula() -> None:
    """Bins by hand: ``rho = 3j``, ``u = 0.8``, ``k = 1/1.4096``, ``g = 8/(8 + 2^-20)``; then ``rho = 1/3``."""
    trace, method = 2.0**-20, "soft-projection"
    alone = 8.0 / (8.0 + trace) * (3.0j - 3.0j / 1.4096)
    assert weighed(method, 3.0j, 1.0) == pytest.approx(alone, rel=1e-12)
    half = weighed(method, 3.0j, 1.0, (0.0, 6.0, 2.0, 18.0, 0.0), 0.5)  # the same averages, twice as large
    assert half == pytest.approx(alone, rel=1e-12)
    turned = weighed(method, 2.0, 0.5 - 1.0j)  # |rho| = 1.7889
    rho = 2.0 * (0.5 + 1.0j) / 1.25
    k = 1.0 / (1.0 + ((abs(rho) - 1.0) / 2.5) ** 4)
    assert turned == pytest.approx(2.75 / (2.75 + 1.25 * trace) * (2.0 - k * rho * (0.5 - 1.0j)), rel=1e-12)
    gain = 3.0 / (3.0 + 5.0 * 4.0 / 3.0 + 1.5 * trace)  # <MS> = 1/2, <SS> = 3/2, <MM> = 9/2
    averages = (-3.0, 0.0, 1.0, 1.0, 0.0)
    assert weighed(method, 2.0, 1.0, averages, 0.5) == pytest.approx(gain * (2.0 - 1.0 / 3.0), rel=1e-12)


def test_the_low_latency_form_is_its_formula() -> None:
    """Bins by hand: a single source is coherent, and treated as the soft projection does; others only in part."""
    trace, method = 2.0**-20, "low-latency"
    alone = 8.0 / (8.0 + trace) * (3.0j - 3.0j / 1.4096)
    assert weighed(method, 3.0j, 1.0) == pytest.approx(alone, rel=1e-12)
    averages = (4.0, 0.0, 1.0, 32.0, 0.5)  # then <MS> = 4, <SS> = 3/2, <MM> = 20: rho = 8/3, c = 8/15
    rest = 0.5 * 0.5 + 0.5 * (1.5 - 4.0 * 8.0 / 3.0)
    assert rest < 0.0  # nothing counts against the source
    u = (8.0 / 3.0 - 1.0) / 2.5
    k = 8.0 / 15.0 / (1.0 + u**4) + 7.0 / 15.0 * 3.0 / 8.0
    expected = 18.5 / (18.5 + 1.5 * trace) * (2.0 - k * 8.0 / 3.0)
    assert weighed(method, 2.0, 1.0, averages, 0.5) == pytest.approx(expected, rel=1e-12)
    averages = (-3.0, 0.0, 1.0, 1.0, 1.0)  # then <MS> = 1/2, <SS> = 3/2, <MM> = 9/2: 4/3 is left beside the source
    rest = 0.5 * 1.0 + 0.5 * 4.0 / 3.0
    gain = 3.0 / (3.0 + 24.0 * rest + 1.5 * trace)
    assert weighed(method, 2.0, 1.0, averages, 0.5) == pytest.approx(gain * (2.0 - 1.0 / 3.0), rel=1e-12)


def test_projection_and_similarity_are_their_formulas() -> None:
    """Averages that remember another frame, so that the projection leaves something."""
    averages, m, s = (0.3, -0.2, 0.5, 2.0, 0.0), 1.0 - 0.5j, 0.2 + 0.4j
    cross, ss, mm = 0.5 * (0.3 - 0.2j) + m * s.conjugate(), 0.25 + abs(s) ** 2, 1.0 + abs(m) ** 2
    assert weighed("projection", m, s, averages, 0.5) == pytest.approx(m - cross / ss * s, rel=1e-12)
    assert weighed("similarity", m, s, averages, 0.5) == pytest.approx(((mm - ss) / (mm + ss)) ** 4 * m, rel=1e-12)
    assert weighed("similarity", s, m) == 0.0
    faint = 1e-4 * np.sqrt(0.5)  # side 83 dB under mid: no side at all
    assert weighed("projection", 1.0, faint) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("angle", [-40.0, -15.0, 0.0, 10.0, 30.0, 45.0])
def test_the_principal_component_of_one_source_is_the_source(angle: float) -> None:
    """One source at an angle from the middle: the rule gives it with the window's gain times the cosine."""
    phi, a = np.radians(angle), 0.3 - 0.4j
    wanted = np.cos(2 * phi) ** 2 * np.cos(phi) * a
    assert weighed("pca", np.cos(phi) * a, np.sin(phi) * a) == pytest.approx(wanted, abs=1e-12)
