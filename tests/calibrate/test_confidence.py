"""Uncertainty by closed form against draws of the errors themselves; grey zones; figures of the field by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sweetspot.calibrate.design import Limits, read_limits
from sweetspot.calibrate.plant import metrics, uncertainty
from sweetspot.calibrate.plant.uncertainty import BandLevels, UncertainResponse
from sweetspot.calibrate.verify import figures
from sweetspot.calibrate.verify.comparison import Compared
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.metric_kinds import KINDS, limit_of
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Float, power_db
from tests.calibrate import predictions

FS, N = 47872, 2048
F = np.fft.rfftfreq(N, 1.0 / FS)
RNG = np.random.default_rng(8)
DRIVERS, PLACES = 3, 4


def world() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paths ``(position, ear, driver, f)``, filters ``(program, driver, f)`` and the paths' noise: nothing alike."""
    rng = np.random.default_rng(21)
    late = rng.uniform(0.0, 0.001, (PLACES, 2, DRIVERS))
    h = rng.uniform(0.5, 1.5, (PLACES, 2, DRIVERS))[..., None] * np.exp(-2j * np.pi * F * late[..., None])
    w = rng.uniform(0.2, 1.0, (2, DRIVERS))[..., None] * np.exp(-2j * np.pi * F * rng.uniform(0, 5e-4, (2, DRIVERS, 1)))
    noise = rng.uniform(0.5, 2.0, (PLACES, 2, DRIVERS))[..., None] * 4e-4 * (1.0 + F / 5000.0)
    return h, w, noise


def drawn(noise: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Errors of spectra behind a rectangular window of ``seconds``: neighbouring bins alike, as gated noise is."""
    taps = round(seconds * FS)
    x = np.fft.rfft(rng.standard_normal((*noise.shape[:-1], taps)), N, axis=-1)
    return np.asarray(x * np.sqrt(noise / taps))


def test_levels_and_cancellation_scatter_as_stated() -> None:
    """300 draws of gated noise: up to a fifth less than stated, never much more; 90 % of draws in the interval."""
    h, w, noise = world()
    seconds = 0.006
    own, shared = uncertainty.through(w, h, noise, 0.0)
    assert not shared.any()
    known = UncertainResponse(np.einsum("cdf,pedf->pecf", w, h), own, shared)
    message = uncertainty.levels(known, F, seconds), uncertainty.cancellation(known, F, seconds)
    rng = np.random.default_rng(5)
    found: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for _ in range(300):
        x = np.einsum("cdf,pedf->pecf", w, h + drawn(noise, seconds, rng))
        found[0].append(10 * np.log10(band_means(np.abs(x) ** 2, F)))
        found[1].append(metrics.cancellation_db(x, F))
    for cells, draws in zip(message, found, strict=True):
        scatter = np.std(draws, axis=0)
        assert 0.8 < np.median(scatter / cells.u) < 1.05
        assert np.percentile(scatter / cells.u, 95) < 1.3
        low, high = uncertainty.interval(cells.db, cells.u)
        inside = np.mean((np.array(draws) > low) & (np.array(draws) < high))
        assert 0.84 < inside < 0.97


def test_a_strong_error_keeps_the_second_term() -> None:
    """Where noise is as strong as the response, ``s^4`` is no small part of ``2 |p|^2 s^2 + s^4``."""
    p, s2 = 0.8 + 0.3j, 0.9
    rng = np.random.default_rng(2)
    e = np.sqrt(s2 / 2) * (rng.standard_normal(200000) + 1j * rng.standard_normal(200000))
    assert np.var(np.abs(p + e) ** 2) == pytest.approx(2 * abs(p) ** 2 * s2 + s2**2, rel=0.02)
    one = UncertainResponse(np.full((1, len(F)), p), np.zeros((1, len(F))), np.full((1, len(F)), s2))
    wanted = 10 / np.log(10) * np.sqrt(2 * abs(p) ** 2 * s2 + s2**2) / abs(p) ** 2
    assert uncertainty.levels(one, F, 0.01).shared == pytest.approx(np.full((1, 17), wanted))


@pytest.mark.parametrize("error", [0.01, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_interval_holds_what_it_states_however_large_the_error(error: float, sign: float) -> None:
    """Levels of 1 + e, and ratios with it below: 90 % of draws within, and hardly more on one side than the other."""
    rng = np.random.default_rng(11)
    e = np.sqrt(error / 2) * (rng.standard_normal(100000) + 1j * rng.standard_normal(100000))
    db = sign * 20 * np.log10(np.abs(1 + e))
    u = 10 / np.log(10) * np.sqrt(2 * error + error**2)
    low, high = uncertainty.interval(np.zeros(1), np.full(1, u))
    assert 0.88 < np.mean((db > low) & (db < high)) < 0.94
    assert max(np.mean(db < low), np.mean(db > high)) < 0.08


def test_errors_that_a_band_shares_do_not_average_out() -> None:
    """A gain and a phase per path, drawn once for all frequencies."""
    h, w, noise = world()
    relative = 2.0 * (0.2 / 8.686) ** 2
    own, shared = uncertainty.through(w, h, 0 * noise, relative)
    cells = uncertainty.levels(UncertainResponse(np.einsum("cdf,pedf->pecf", w, h), own, shared), F, 0.006)
    rng = np.random.default_rng(6)
    draws = []
    for _ in range(400):
        e = np.sqrt(relative / 2) * (rng.standard_normal(h.shape[:3]) + 1j * rng.standard_normal(h.shape[:3]))
        x = np.einsum("cdf,pedf->pecf", w, h * (1.0 + e[..., None]))
        draws.append(10 * np.log10(band_means(np.abs(x) ** 2, F)))
    ratio = np.std(draws, axis=0) / cells.u
    assert np.median(ratio[..., :6]) == pytest.approx(1.0, abs=0.15)
    assert ratio.max() < 1.3


def test_noise_explains_no_more_of_a_difference_than_there_is() -> None:
    """A tail that is taken for noise as strong as the leak adds nothing to a difference of 0.01 dB."""
    cell = np.zeros((1, 1, 1))
    predicted = uncertainty.BandLevels(cell + 40.0, 0.1 + cell, cell)
    for heard, pushed, left in ((39.99, -10.0, -0.01), (39.0, -0.4, -0.4), (41.0, -10.0, 0.0)):
        gap = uncertainty.BandLevels(cell + heard, 0.1 + cell, cell, cell + pushed) - predicted
        assert gap.pushed == pytest.approx(cell + left)


def test_noise_takes_from_a_cancellation_no_more_than_stated() -> None:
    """At an ear 26 dB down noise of -37 dB adds 8 % of power: a mean of many cells scatters less than it is pushed."""
    rng = np.random.default_rng(26)
    x = np.exp(2j * np.pi * rng.random((4, 2, 2, 1))) * np.ones(len(F))
    x[:, [0, 1], [1, 0]] *= 0.05
    noise = np.full(x.shape, 2e-4)

    def mean(db: Float) -> Float:
        return np.asarray(db.mean(axis=(-3, -2, -1)))

    within = []
    for _ in range(40):
        cells = uncertainty.cancellation(UncertainResponse(x + drawn(noise, 0.006, rng), noise, 0.0 * noise), F, 0.006)
        off = float(mean(cells.db)) - 20.0 * np.log10(1.0 / 0.05)
        within.append(abs(off) <= 2.0 * uncertainty.spread(mean, cells))
        assert -0.6 < off < 0.0
    assert np.mean(within) > 0.9


def test_one_drivers_error_is_not_understated() -> None:
    """The same gain and phase error at every place and frequency: the mean scatters no more than stated."""
    h, w, noise = world()
    relative = 2.0 * (0.05 / 8.686) ** 2
    own, shared = uncertainty.through(w, h, 0 * noise, relative)
    cells = uncertainty.cancellation(UncertainResponse(np.einsum("cdf,pedf->pecf", w, h), own, shared), F, 0.006)
    message = uncertainty.spread(lambda db: db.mean(axis=(-3, -2, -1)), cells)
    rng = np.random.default_rng(16)
    found = []
    for _ in range(200):
        e = np.sqrt(relative / 2) * (rng.standard_normal(DRIVERS) + 1j * rng.standard_normal(DRIVERS))
        found.append(metrics.cancellation_db(np.einsum("cdf,pedf->pecf", w, h * (1 + e[:, None])), F))
    assert np.std(np.mean(found, axis=(1, 2, 3))) < message


def test_bare_cancellation_of_two_heard_programs() -> None:
    """The virtual far ear is taken out of responses and of their variances: against draws."""
    rng = np.random.default_rng(9)
    far = 0.5 * np.exp(-2j * np.pi * F * 2.6e-4)
    x = rng.standard_normal((2, 2, 3, 1)) + 1j * rng.standard_normal((2, 2, 3, 1)) + np.zeros(len(F))
    v = rng.uniform(0.001, 0.003, (2, 2, 3, 1)) + np.zeros(len(F))
    message = uncertainty.bare(UncertainResponse(x, v, 2 * v), far)
    e = [np.sqrt(v / 2) * (rng.standard_normal(v.shape) + 1j * rng.standard_normal(v.shape)) for _ in range(300)]
    found = np.var([metrics.unvirtualized(x + d, far) for d in e], axis=0)
    assert np.median(found / message.noise) == pytest.approx(1.0, abs=0.05)
    assert np.allclose(message.shared, 2 * message.noise)


def test_contrast_scatters_as_stated() -> None:
    rng = np.random.default_rng(14)
    azimuths = np.radians([0.0, 90.0, -91.0, 150.0])
    x = np.array([1.0, 0.2j, 0.1, 0.5])[:, None] * np.exp(-2j * np.pi * F * 0.0004)
    noise = np.array([1e-3, 2e-3, 1e-3, 1e-3])[:, None] * np.ones(len(F))
    message = uncertainty.contrast(
        UncertainResponse(x, noise, 0 * noise), azimuths, F, np.radians([90.0, -90.0]), 0.05, 0.004
    )
    draws = [
        metrics.contrast_db(x + drawn(noise, 0.004, rng), azimuths, F, np.radians([90.0, -90.0]), 0.05)
        for _ in range(400)
    ]
    assert message.db == pytest.approx(metrics.contrast_db(x, azimuths, F, np.radians([90.0, -90.0]), 0.05))
    assert np.median(np.std(draws, axis=0) / message.u) == pytest.approx(1.0, abs=0.2)


def test_a_null_between_directions_is_read_on_either_side_of_it() -> None:
    """A polar step of 20 degrees has none at 90; one of 60 has nothing that could stand for it."""
    nulls = np.radians([90.0, -90.0])
    steps = np.arange(-180.0, 180.0, 20.0)
    found = metrics.at_nulls(np.radians(steps), nulls, 0.0)
    assert steps[found].tolist() == [-100.0, -80.0, 80.0, 100.0]
    x = np.where(found, 0.1, 1.0)[:, None] * np.ones(len(F))
    assert metrics.contrast_db(x, np.radians(steps), F, nulls, 0.0) == pytest.approx(20.0, abs=1e-6)
    around = UncertainResponse(x.astype(complex), 0.0 * x, 0.0 * x)
    assert uncertainty.contrast(around, np.radians(steps), F, nulls, 0.0, 0.004).db == pytest.approx(20.0, abs=1e-6)
    assert not metrics.at_nulls(np.radians(np.arange(-180.0, 180.0, 60.0)), nulls, 0.0).any()
    exact = np.radians([0.0, 80.0, 90.0, -95.0])
    assert np.flatnonzero(metrics.at_nulls(exact, nulls, 0.0)).tolist() == [2, 3]


def test_near_ear_levels_are_judged_where_something_plays() -> None:
    """The centre of drivers that begin at 290 Hz has nothing at 200 Hz: what rings there is no fault; a hum is one."""
    level = np.full((2, 2, 3, 17), -15.0)
    level[:, :, 2, THIRD_OCTAVES <= 200.0] = -66.0

    def judged(where: int, db: float) -> Metric:
        measured = level.copy()
        measured[1, 1, 2, where] = db
        known = (BandLevels(x, np.zeros_like(x), np.zeros_like(x)) for x in (level, measured))
        c = SimpleNamespace(ears=Compared(*known))
        near, _ = figures.levels(c, SimpleNamespace(lowest=100.0, resolved=100.0), Limits())  # type: ignore[arg-type]
        return near

    at_200, at_1000 = (int(np.argmin(np.abs(THIRD_OCTAVES - f))) for f in (200.0, 1000.0))
    assert THIRD_OCTAVES[at_200] < 201.0
    assert judged(at_200, -60.0).heard == pytest.approx(0.0, abs=1e-9)
    assert judged(at_200, -90.0).heard == pytest.approx(0.0, abs=1e-9)
    hum = judged(at_200, -30.0)
    assert hum.heard == pytest.approx(15.0)
    assert "200 Hz, position 2" in hum.explanation
    assert judged(at_1000, -60.0).heard == pytest.approx(30.0)
    assert judged(at_1000, -17.0).heard == pytest.approx(2.0)


def test_below_the_band_of_a_unit_only_what_should_not_play_is_judged() -> None:
    """A phone that plays from 500 Hz: the slope of its protection filter at 400 Hz is uncertain and not judged."""
    f = np.linspace(0.0, 24000.0, 4801)
    score = np.full((2, 2, 3, len(f)), 0.1, dtype=complex)
    score[..., f < 447.0] *= 10.0 ** (-20.0 / 20.0)
    score[..., f < 355.0] *= 1e-3
    nothing = np.zeros((0, len(f)))
    prediction = predictions.dry(f, score, nothing, np.zeros(0), np.zeros(len(f)), np.zeros(len(f)))
    assert prediction.lowest == prediction.played == prediction.polar_lowest == pytest.approx(446.7, abs=0.1)
    assert prediction.resolved == 1.0
    level = np.asarray(power_db(band_means(np.abs(score) ** 2, f)))

    def judged(db: float, u: float) -> Metric:
        measured, own = level.copy(), np.where(THIRD_OCTAVES < 450.0, u, 0.0) * np.ones(level.shape)
        measured[..., THIRD_OCTAVES < 450.0] += db
        known = BandLevels(level, own, own), BandLevels(measured, own, own)
        c = SimpleNamespace(ears=Compared(*known))
        near, balance = figures.levels(c, prediction, Limits())  # type: ignore[arg-type]
        assert balance.heard == pytest.approx(0.0, abs=1e-9)
        assert "500 Hz to 8 kHz" in balance.explanation
        return near

    quiet = judged(1.0, 10.0)
    assert (quiet.verdict, quiet.heard, quiet.uncertainty) == ("pass", pytest.approx(0.0, abs=1e-9), 0.0)
    assert judged(10.0, 0.0).heard == pytest.approx(8.0, abs=0.1), "above the floor it is a fault"


def test_all_draws_at_once_are_those_of_one_after_the_other() -> None:
    """The same random numbers, each draw's own before its shared ones."""
    shape = (3, 2, 5)
    given = np.random.default_rng(4)
    cells = BandLevels(given.normal(size=shape), given.uniform(0.1, 1.0, shape), given.uniform(0.1, 1.0, shape))
    rng = np.random.default_rng(uncertainty.SEED)
    found = []
    for _ in range(uncertainty.DRAWS):
        own = cells.own * rng.standard_normal(shape)
        found.append(np.percentile(cells.db + own + cells.shared * rng.standard_normal((3, 2, 1)), 10))
    expected = np.hypot(np.std(found), np.mean(found) - np.percentile(cells.db, 10))
    u = uncertainty.spread(lambda db: np.percentile(db, 10, axis=(-3, -2, -1)), cells)
    assert u == pytest.approx(expected, rel=1e-12)


def test_a_mean_of_cells_is_surer_than_a_cell() -> None:
    """Own errors of 4 x 2 x 17 cells average out, shared ones only over positions and sides."""
    cells = BandLevels(np.zeros((4, 2, 17)), np.full((4, 2, 17), 0.6), np.full((4, 2, 17), 0.3))
    u = uncertainty.spread(lambda db: db.mean(axis=(-3, -2, -1)), cells)
    assert u == pytest.approx(np.hypot(0.6 / np.sqrt(136), 0.3 / np.sqrt(8)), rel=0.12)
    assert u == uncertainty.spread(lambda db: db.mean(axis=(-3, -2, -1)), cells)
    near = BandLevels(cells.db + 1.2, cells.own, cells.shared)
    assert uncertainty.within(cells, near, 2.0).all()
    assert not uncertainty.within(cells, near, 1.2).any()


@pytest.mark.parametrize(
    ("heard", "u", "sense", "verdict"),
    [
        (13.0, 0.4, "at least", "pass"),
        (12.5, 0.4, "at least", "grey"),
        (11.5, 0.4, "at least", "grey"),
        (11.0, 0.4, "at least", "fail"),
        (11.0, 0.4, "at most", "pass"),
        (12.1, 0.4, "at most", "grey"),
        (12.0, None, "at least", "pass"),
        (11.99, None, "at least", "fail"),
        (40.0, np.inf, "at least", "grey"),
        (np.nan, 0.1, "at least", "fail"),
        (13.0, np.nan, "at least", "fail"),
    ],
)
def test_near_its_limit_a_figure_is_grey(heard: float, u: float | None, sense: str, verdict: str) -> None:
    """Coverage 2: within 0.8 dB of 12 dB nothing passes, and neither does noise."""
    found = Metric("x", "y", None, heard, 12.0, sense, u)
    assert found.verdict == verdict
    assert found.passed == (verdict == "pass")
    assert ("re-measure" in found.text) == (verdict == "grey")


@pytest.mark.parametrize(
    ("heard", "u", "verdict"),
    [(0.3, 1.2, "pass"), (0.3, 1.6, "grey"), (1.4, 0.5, "grey"), (1.4, 0.1, "fail"), (0.3, None, "pass"),
     (np.nan, 0.1, "fail"), (0.3, np.inf, "grey"), (0.3, np.nan, "grey")],
)  # fmt: skip
def test_agreement_passes_unless_it_is_measured_too_coarsely(heard: float, u: float | None, verdict: str) -> None:
    """Limit 1 dB, coarsest 3 dB: a rig that repeats to 2.4 dB can pass units, one that agrees with anything can not."""
    found = Metric("x", "y", None, heard, 1.0, "at most", u, coarsest=3.0)
    assert found.verdict == verdict
    assert ("re-measure" in found.text) == (verdict == "grey")


def test_the_policy_is_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text("coverage = 3\nrepeats = 2\nrepeatability = 0.05\nsnr = 25\n")
    assert read_limits(path) == Limits(coverage=3.0, repeats=2, repeatability=0.05, snr=25.0)
    for text, message in (
        ("coverage = 9", "coverage: 9 is not valid: input should be less than or equal to 5"),
        ("repeats = 1.5", "repeats: 1.5 is not valid: input should be a valid integer"),
        ("repeatability = -1", "repeatability: -1 is not valid: input should be greater than or equal to 0"),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match=message):
            read_limits(path)


def test_only_bands_above_the_gate_are_judged() -> None:
    inside, message = figures.band(metrics.SCORED, 1231.0)
    assert THIRD_OCTAVES[inside][0] == 1600.0
    assert message == "1.6 kHz to 6.3 kHz"
    assert figures.over(0.0) == "800 Hz to 6.3 kHz"


def test_figures_of_the_field_by_hand() -> None:
    near = np.array([[1.0, 2.0j, -1.0]])
    matched = near.conj()
    assert metrics.white_noise_gain_db(matched, near) == pytest.approx(10 * np.log10(3.0))
    assert metrics.white_noise_gain_db(np.array([[1.0, 0.0, 0.0]]), near) == pytest.approx(-10 * np.log10(2.0))
    assert metrics.condition_db(np.array([[[3.0, 0.0, 0.0], [0.0, 0.0, 0.3j]]])) == pytest.approx(20.0)
    turn = np.radians(np.r_[-170:10:10, 10:180:20])  # not evenly spaced
    assert metrics.directivity_index_db(np.ones((len(turn), 1)), turn) == pytest.approx(0.0, abs=1e-9)
    fine = np.radians(np.arange(-178, 182, 2.0))
    cardioid = 0.5 * (1 + np.cos(fine))[:, None]
    assert metrics.directivity_index_db(cardioid, fine) == pytest.approx(10 * np.log10(8 / 3), abs=0.01)
    half = np.radians([-180.0, 0, 5, 10, 15, 20, 30, 40, 50, 60, 75, 90, 105, 120, 135, 150, 165])  # an imported set
    cardioid = 0.5 + 0.5 * np.cos(half)[:, None] + 0j
    assert metrics.directivity_index_db(cardioid, half) == pytest.approx(10 * np.log10(8 / 3), abs=0.05)
    assert metrics.room_limit_db(60.0, -10.0) == pytest.approx(0.4, abs=0.02)
    assert metrics.room_limit_db(20.0, 60.0) == pytest.approx(20.0, abs=0.01)
    taps = np.zeros((1, 2, 400))
    taps[0, 0, 200], taps[0, 0, 100], taps[0, 1, 10], taps[0, 1, 300] = 1.0, 0.1, 1e-6, 1e-5
    assert metrics.pre_ringing_db(taps, 48000) == pytest.approx(-20.04, abs=0.01)  # the weak filter does not count
    direct, whole = np.ones((1, 4), dtype=complex), np.full((1, 4), 1.5 + 0j)
    assert metrics.direct_to_reverberant_db(direct, whole, np.ones(4, dtype=bool)) == pytest.approx(6.02, abs=0.01)


def test_the_sweet_spot_is_where_cancellation_falls_under_12_db() -> None:
    rng = np.random.default_rng(3)
    moved = np.column_stack([rng.uniform(-0.05, 0.05, 12), rng.uniform(-0.05, 0.05, 12), rng.uniform(-0.2, 0.2, 12)])
    leak = 0.004 + 2.0 * moved[:, 0] ** 2 + 40.0 * moved[:, 1] ** 2 + 0.1 * moved[:, 2] ** 2
    assert metrics.sweet_spot_m(leak, moved) == pytest.approx(np.sqrt((10**-1.2 - 0.004) / 40.0), rel=1e-3)
    assert metrics.sweet_spot_m(leak + 0.1, moved) == 0.0
    assert metrics.sweet_spot_m(0 * leak + 0.01, moved) == pytest.approx(2 * np.abs(moved[:, 1]).max())


def test_every_metric_has_one_name_and_every_limit_judges_a_metric() -> None:
    assert len({kind.name for kind in KINDS.values()}) == len(KINDS)
    policy = {"coarsest", "coverage", "repeats", "repeatability"}
    assert {kind.limit for kind in KINDS.values()} == set(Limits.model_fields) - policy
    assert limit_of("image, hard right, azimuth error") == "side_azimuth"
    assert limit_of("balance of payments") is None, "a name is looked up whole"
