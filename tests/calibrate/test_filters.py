"""Filter design against closed forms, a general solver, and hand calculations."""

from __future__ import annotations

import cvxpy
import numpy as np
import pytest

from sweetspot.calibrate.design import BeamDesign, Design, StereoDesign, read, target_power
from sweetspot.calibrate.filters import align, fir, virtualize
from sweetspot.calibrate.filters.sides import crosstalk, multiplier
from sweetspot.calibrate.filters.sides import pair as sides
from sweetspot.calibrate.filters.sides.effort import driver_cost
from sweetspot.calibrate.plant import metrics
from sweetspot.measure import smooth
from sweetspot.measure.delays import group_delay_s
from sweetspot.rigs.acoustics.sphere import field
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file.description import Description
from sweetspot.rigs.units import db
from tests.reference.beam_bound import steered


def random_bins(bins: int, drivers: int, heads: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    g = rng.standard_normal((bins, drivers)) + 1j * rng.standard_normal((bins, drivers))
    far = rng.standard_normal((drivers, bins)) + 1j * rng.standard_normal((drivers, bins))
    spread = rng.standard_normal((heads, drivers, bins)) + 1j * rng.standard_normal((heads, drivers, bins))
    return g, far + 0.5 * g.T + 0.1 * spread


def leak_and_effort(w: np.ndarray, R: np.ndarray, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.einsum("fm,fmn,fn->f", w.conj(), R, w).real, np.sum(cost * np.abs(w) ** 2, axis=1)


@pytest.mark.parametrize(
    ("drivers", "target_db", "effort_db", "wanted"),
    [(2, 9.0, 60.0, "target"), (4, 45.0, 80.0, "spread"), (5, 12.0, 60.0, "target"), (5, 30.0, -3.0, "effort")],
)
def test_steering_is_the_optimum_of_a_convex_solver(
    drivers: int, target_db: float, effort_db: float, wanted: str
) -> None:
    """Least effort for the leakage that was reached; the target or the effort limit is met with equality."""
    bins = 6
    g, h = random_bins(bins, drivers, 4, drivers)
    R = crosstalk.far_covariance(h, np.full((4, drivers), 0.01))
    cost = 1.0 + np.arange(drivers)[None, :] * np.ones((bins, 1))
    d = np.exp(1j * np.arange(bins))
    target, effort = np.full(bins, 10 ** (target_db / 10)), np.full(bins, 10 ** (effort_db / 10))
    found = multiplier.steer(crosstalk.MultiplierSweep.of(g, R, cost, d), target, effort)
    assert np.einsum("fm,fm->f", g, found.w) == pytest.approx(d)
    leak, spent = leak_and_effort(found.w, R, cost)
    for i in range(bins):
        if found.limit[i] == "target":
            assert leak[i] * target[i] == pytest.approx(1.0, rel=1e-4)
        if found.limit[i] == "effort":
            assert spent[i] == pytest.approx(effort[i], rel=1e-4)
        if found.limit[i] == "spread":
            continue
        w = cvxpy.Variable(drivers, complex=True)
        root = np.linalg.cholesky(R[i]).conj().T
        problem = cvxpy.Problem(
            cvxpy.Minimize(cvxpy.sum_squares(cvxpy.multiply(np.sqrt(cost[i]), w))),
            [g[i] @ w == d[i], cvxpy.norm(root @ w) <= np.sqrt(leak[i] * (1 + 1e-9))],
        )
        problem.solve()
        assert spent[i] <= problem.value * 1.001
    assert wanted in found.limit


def test_steering_in_closed_form_for_one_far_ear() -> None:
    """Single far-ear point and equal costs: 1 + mu l = |b| (sqrt(l T) - |b|) / P."""
    g, h = random_bins(8, 3, 1, 9)
    far = h[0].T
    T = 10**1.4
    found = multiplier.steer(
        crosstalk.MultiplierSweep.of(
            g, crosstalk.far_covariance(h, np.zeros((1, 3))), np.ones((8, 3)), np.ones(8, complex)
        ),
        np.full(8, T),
        np.full(8, 1e9),
    )
    for i in range(8):
        near, h_c = g[i], far[i]
        power = np.linalg.norm(h_c) ** 2
        u = h_c.conj() / np.sqrt(power)
        b = u.conj() @ near.conj()
        P = np.linalg.norm(near) ** 2 - abs(b) ** 2
        grown = max(abs(b) * (np.sqrt(power * T) - abs(b)) / P, 1.0)
        v = near.conj() - u * b * (1 - 1 / grown)
        assert found.w[i] == pytest.approx(v / (near @ v), rel=1e-6)


def test_natural_shadow_needs_no_cancellation() -> None:
    g, h = random_bins(5, 3, 2, 4)
    R = crosstalk.far_covariance(1e-3 * h, np.zeros((2, 3)))
    found = multiplier.steer(
        crosstalk.MultiplierSweep.of(g, R, np.ones((5, 3)), np.ones(5, complex)), np.full(5, 10.0), np.full(5, 100.0)
    )
    assert set(found.limit) == {"shadow"}
    least = g.conj() / np.sum(np.abs(g) ** 2, axis=1)[:, None]
    assert found.w == pytest.approx(least, rel=1e-5)


def test_error_loading_is_power_on_the_diagonal() -> None:
    _, h = random_bins(3, 4, 2, 1)
    error = np.array([[0.1, 0.0, 0.2, 0.3], [0.0, 0.0, 0.4, 0.1]])
    loaded = crosstalk.far_covariance(h, error) - crosstalk.far_covariance(h, 0 * error)
    naive = np.zeros((3, 4, 4), complex)
    for f in range(3):
        for m in range(4):
            naive[f, m, m] = np.mean([error[p, m] * abs(h[p, m, f]) ** 2 for p in range(2)])
    assert loaded == pytest.approx(naive)


def test_causal_filter_of_a_delay_and_an_echo() -> None:
    n = 4096
    f = np.fft.rfftfreq(n)
    W = 0.5 + 0.25 * np.exp(-2j * np.pi * f * 40) + 0.1 * np.exp(2j * np.pi * f * 30)
    h = fir.causal(W, 300, 80)
    wanted = np.zeros(300)
    wanted[[80, 120, 50]] = 0.5, 0.25, 0.1
    assert h == pytest.approx(wanted, abs=1e-12)


def test_filters_are_harmless_where_nothing_was_measured() -> None:
    f = np.fft.rfftfreq(4096, 1 / 48000)
    w = np.exp(-2j * np.pi * f * 1e-4)[:, None] * np.array([[1.0, -0.5]])
    w[(f < 100) | (f > 18000)] = 1e6
    held = fir.held_outside(w, f, 100.0, 18000.0)
    assert np.abs(held).max() < 1.01
    assert held[0].imag == pytest.approx(0.0, abs=1e-9)
    assert np.abs(held[-1]).max() < 1e-9
    inside = (f > 101) & (f < 17900)
    assert held[inside] == pytest.approx(w[inside])


def test_bare_cancellation_is_found_again_behind_the_virtual_stereo() -> None:
    rng = np.random.default_rng(0)
    f = np.linspace(0, 24000, 513)
    bare = rng.standard_normal((3, 2, 2, 513)) + 1j * rng.standard_normal((3, 2, 2, 513))
    v = virtualize.FarEar(620.0, 0.38, 260e-6, 0.0).response(f)
    heard = np.stack([bare[:, :, 0] + v * bare[:, :, 1], bare[:, :, 1] + v * bare[:, :, 0]], axis=2)
    assert metrics.unvirtualized(heard, v)[..., 1:] == pytest.approx(bare[..., 1:])


def test_cancellation_by_hand() -> None:
    """Left side 20 dB, right side 6.02 dB in power terms; the mean is over normalised bins."""
    f = np.linspace(0, 24000, 4801)
    pair = np.zeros((1, 2, 2, 4801), complex)
    pair[0, 0, 0], pair[0, 1, 0] = 3.0, 0.3
    pair[0, 1, 1], pair[0, 0, 1] = 1.0, 0.5j
    c = metrics.cancellation_db(pair, f)
    assert c[0, 0] == pytest.approx(20.0)
    assert c[0, 1] == pytest.approx(6.0206, abs=1e-3)
    spread = metrics.scored(c)
    assert spread.mean == pytest.approx(13.01, abs=0.01)
    assert spread.p10 == pytest.approx(6.0206, abs=1e-3)


def test_contrast_by_hand() -> None:
    f = np.linspace(0, 24000, 4801)
    around = np.radians(np.arange(-180, 180, 10.0))
    cardioid = (0.5 + 0.5 * np.cos(around))[:, None] * np.ones(len(f))
    assert metrics.contrast_db(cardioid, around, f, np.radians([-90, 90]), 0.0) == pytest.approx(6.0206, abs=1e-3)


def test_virtual_far_ear_is_a_delayed_low_shelf() -> None:
    """Published fit of a rigid sphere at 30 degrees: 597 Hz, -8.3 dB, 259 us, 0.9 dB rms (ours may be better)."""
    far = virtualize.reference(StereoDesign(), 343.0)
    assert far.corner_hz == pytest.approx(600.0, rel=0.1)
    assert float(db(far.shelf)) == pytest.approx(-8.3, abs=0.6)
    assert far.delay_s == pytest.approx(265e-6, abs=15e-6)
    assert far.error_db < 1.0


def test_virtual_far_ear_fit_recovers_known_parameters() -> None:
    f = np.geomspace(200, 8000, 90)
    known = virtualize.FarEar(900.0, 0.5, 120e-6, 0.0)
    found = virtualize.fit(known.response(f), f)
    assert (found.corner_hz, found.shelf) == pytest.approx((900.0, 0.5), rel=1e-3)
    assert found.delay_s == pytest.approx(120e-6, rel=1e-3)


def test_arrival_is_the_delay() -> None:
    f = np.fft.rfftfreq(4096, 1 / 48000)
    heard = (1 + 0.2 * np.exp(-2j * np.pi * f * 1e-5)) * np.exp(-2j * np.pi * f * 0.0061)
    assert group_delay_s(heard, f) == pytest.approx(0.0061, abs=5e-6)
    assert align.later_by(np.array([0.001, 0.003, 0.002]), 48000).tolist() == [96, 0, 48]


def test_beam_on_a_sphere_reaches_its_target_where_drivers_can() -> None:
    """Five drivers on a rigid sphere: 18 dB from axis to +-90 degrees, 500 Hz to 3 kHz, at the requested effort."""
    f = np.fft.rfftfreq(1024, 1 / 48000)[8:260]
    around = np.radians(np.arange(-180.0, 180.0, 5.0))
    drivers = np.radians([-92.0, -44.0, 3.0, 47.0, 90.0])
    h = field(np.cos(around[None, :] - drivers[:, None]), 2 * np.pi * f / 343.0, 0.0875, 2.0)
    design = BeamDesign(target_db=((150.0, 0.0), (400.0, 20.0), (6000.0, 20.0)), nulls_deg=(-90.0, 90.0))
    cost = np.ones((len(f), 5))
    beam = steered(h, around, f, cost, design, h[2, 36])
    radiated = np.einsum("dif,fd->if", h, beam.w)
    level = db(radiated)
    middle = (f > 500) & (f < 3000)
    assert (level[36] - np.maximum(level[18], level[54]))[middle].min() > 15.0
    assert np.mean((level[36] - np.maximum(level[18], level[54]))[middle]) > 18.0
    effort = db(np.sqrt(np.sum(np.abs(beam.w) ** 2, axis=1)))
    assert effort.max() < design.effort_db + 3.0


def test_smoothing_and_bands_keep_a_constant_and_average_a_ramp() -> None:
    f = np.linspace(0, 24000, 2049)
    assert smooth.smoothed(np.full((2, 2049), 3.0), f) == pytest.approx(3.0)
    means = smooth.band_means(f, f, np.array([1000.0, 4000.0]))
    low, high = smooth.band_edges(np.array([1000.0, 4000.0]))
    assert means == pytest.approx(0.5 * (low + high), rel=0.02)
    assert high[0] / low[0] == pytest.approx(10**0.1)


def test_cost_rises_outside_a_drivers_band(crooked: Description) -> None:
    cost = driver_cost(crooked.driver, np.array([0.0, 1000.0, 23000.0]))
    assert cost[1] == pytest.approx(1.0, abs=0.01)
    assert (cost[0] > 1e3).all()
    assert cost[2, 0] > 1.9


def test_design_file_is_checked(tmp_path) -> None:
    assert read(None)[0] == Design()
    file = tmp_path / "design.toml"
    file.write_text("[crosstalk]\ntarget_db = [[100, 0], [1000, 12]]\n[filter]\ntaps = 256\ndelay = 90\n")
    design, text = read(file)
    assert design.filter.taps == 256
    assert text == file.read_text()
    assert target_power(design.crosstalk.target_db, np.array([1000.0, 20000.0])) == pytest.approx(10**1.2)
    for wrong, message in (
        ("[crosstalk]\nefort_db = 3\n", "crosstalk.efort_db: unknown key; did you mean 'effort_db'?"),
        ("[crosstalk]\ntarget_db = [[1000, 0], [100, 12]]\n", "rising frequencies"),
        ("[filter]\ntaps = 100\ndelay = 100\n", "filter.delay = 100 must be below filter.taps = 100"),
        ("[filter\n", "not valid TOML"),
    ):
        file.write_text(wrong)
        with pytest.raises(BadInput) as done:
            read(file)
        assert message in str(done.value)
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "none.toml")


def test_beam_hands_over_without_a_dip_on_axis() -> None:
    """On axis the response is the wanted one everywhere; above the steered band the front driver plays alone."""
    f = np.fft.rfftfreq(1024, 1 / 48000)[2:400]
    around = np.radians(np.arange(-180.0, 180.0, 10.0))
    drivers = np.radians([-85.0, -35.0, 20.0, 95.0])
    h = field(np.cos(around[None, :] - drivers[:, None]), 2 * np.pi * f / 343.0, 0.0875, 2.0)
    wanted = 1.3 * h[2, 18] * np.exp(0.4j)
    beam = steered(h, around, f, np.ones((len(f), 4)), BeamDesign(), wanted)
    assert np.einsum("df,fd->f", h[:, 18], beam.w) == pytest.approx(wanted)
    above = f > 2900
    assert np.abs(beam.w[above][:, [0, 1, 3]]).max() < 1e-9
    below = f < 140
    assert (np.abs(beam.w[below]) > 0.1).all()


def test_sides_never_share_a_reference_driver() -> None:
    """One driver is loudest at both ears: it serves the side where the other one misses more."""
    f = np.linspace(0, 24000, 513)
    levels = np.array([[1.0, 1.3, 0.6], [0.9, 1.25, 0.5]])
    assert sides.loudest(levels[:, :, None] * np.ones(513, complex), f) == (0, 1)
    assert sides.loudest(levels[::-1, :, None] * np.ones(513, complex), f) == (1, 0)
