"""The gate: where the room begins, what is kept of the direct sound, how much noise passes, what is heard behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sweetspot.calibrate.auditory.unit import _Drawn
from sweetspot.calibrate.design import FilterDesign
from sweetspot.calibrate.plant import errors, gate, prediction, responses
from sweetspot.calibrate.plant.errors import MeasurementError
from sweetspot.calibrate.plant.gate import Gate
from sweetspot.calibrate.plant.matched_ears import corrected
from sweetspot.calibrate.plant.measured_set import MeasuredSet
from sweetspot.calibrate.plant.spectrum import frequencies
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.smooth import THIRD_OCTAVES
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput

FS, ZERO, TAPS = 47872, 300, 2400
ARRIVALS = np.array([[41, 55, 60], [47, 44, 66], [38, 70, 52], [58, 49, 45], [44, 61, 57]])


def pulse(at: float, gain: float) -> np.ndarray:
    """A band-limited pulse with a short decay of its own, ``at`` samples after time zero."""
    t = np.arange(TAPS) - ZERO - at
    shape = np.sinc(t) * np.exp(-((t / 60.0) ** 2)) - 0.5 * np.sinc(t - 9) * np.exp(-(((t - 9) / 60.0) ** 2))
    return np.asarray(gain * shape)


def measured(reflection: tuple[float, float] | None = None, noise: np.ndarray | None = None) -> ImpulseResponse:
    """Five places, two ears, three drivers; ``reflection`` is how much later (ms) and how loud (dB)."""
    h = np.zeros((5, 2, 3, TAPS))
    for (p, m, d), row in np.ndenumerate(np.zeros((5, 2, 3))):
        del row
        at, gain = ARRIVALS[p, d] + (3.3, -2.4)[m], (1.0 + 0.1 * d) * (0.8, 1.1)[m]
        h[p, m, d] = pulse(at, gain)
        if reflection is not None:
            late = (reflection[0] + 0.1 * d) * 1e-3 * FS
            h[p, m, d] += pulse(at + late, gain * 10 ** (reflection[1] / 20))
    rows = np.zeros(5, dtype=POSITION)
    rows["use"] = [b"design", b"score", b"design", b"score", b"design"]
    names = ("ear_left", "ear_right"), ("a", "b", "c")
    return ImpulseResponse(
        h if noise is None else h + noise, FS, rows, *names, ZERO, "Pa/FS", np.full((5, 2, 3), 60.0), (50.0, 20000.0)
    )


@pytest.mark.parametrize(("late_ms", "level_db"), [(1.3, -6.0), (3.1, -8.0), (4.6, -14.0)])
def test_the_first_reflection_is_found(late_ms: float, level_db: float) -> None:
    """The gate ends before it, but no more than 0.5 ms before."""
    found = gate.chosen(measured((late_ms, level_db)), FilterDesign())
    assert found.reflection_s is not None
    assert late_ms - 0.5 < 1000.0 * found.seconds < late_ms
    assert found.lowest == pytest.approx(1.0 / found.seconds)
    assert "first reflection" in found.text
    assert Gate.of(found.to_dict()) == found


@pytest.mark.parametrize("reflection", [None, (3.1, -30.0), (7.5, -6.0)])
def test_what_is_weak_or_late_is_no_reflection(reflection: tuple[float, float] | None) -> None:
    found = gate.chosen(measured(reflection), FilterDesign(gate_ms=5.0))
    assert found == Gate(0.005, 10.0)
    assert gate.chosen(measured((3.0, -6.0)), FilterDesign(gate_to="fixed")).seconds == 0.006
    assert Gate.of(found.to_dict()) == found


def test_a_slow_decay_is_no_reflection() -> None:
    """A driver that rings at 2 kHz: -20 dB only after 3.5 ms, but it never rises again."""
    t = np.arange(TAPS) - ZERO - 50
    ring = np.where(t >= 0, np.exp(-t / (0.0015 * FS)) * np.cos(2 * np.pi * 2000.0 / FS * t), 0.0)
    ir = measured()
    h = np.broadcast_to(ring, ir.h.shape) + 0.0
    slow = ImpulseResponse(h, FS, ir.positions, ir.mics, ir.drivers, ZERO, "Pa/FS", ir.snr_db, ir.band)
    assert gate.first_reflection(slow, 0.006) is None


def test_the_room_is_left_out_and_nothing_between_drivers_changes() -> None:
    """With and without a reflection behind the gate: the same spectra; their ratios are those of the direct sound."""
    whole = measured((3.1, -6.0))
    how = gate.chosen(whole, FilterDesign())
    f = frequencies(FS)
    kept, alone = gate.spectra(whole, how), gate.spectra(measured(), how)
    assert np.abs(kept - alone).max() < 1e-3 * np.abs(alone).max()
    inside = (f > how.lowest) & (f < 18000.0)
    for p, (one, other) in ((0, (0, 1)), (2, (2, 1))):
        lag = (ARRIVALS[p, other] - ARRIVALS[p, one]) / FS
        wanted = (1.0 + 0.1 * other) / (1.0 + 0.1 * one) * np.exp(-2j * np.pi * f * lag)
        ratio = kept[p, 0, other] / kept[p, 0, one]
        assert np.abs(ratio - wanted)[inside].max() < 0.02
    assert np.abs(prediction.spectra(whole)[0] - alone).max() > 0.2 * np.abs(alone).max()


@pytest.mark.parametrize("reflection", [None, (3.1, -6.0)])
def test_some_drivers_have_the_windows_of_the_whole_set(reflection: tuple[float, float] | None) -> None:
    ir = measured(reflection)
    how = gate.chosen(ir, FilterDesign())
    assert (how.reflection_s is None) == (reflection is None)
    assert np.array_equal(gate.spectra(ir, how, (2, 1)), gate.spectra(ir, how)[:, :, [2, 1]])


def test_windows_are_periods_long() -> None:
    """At 5 kHz ten periods are 2 ms: the spectrum is the naive sum under a window of that length."""
    ir, how, f = measured((1.7, -3.0)), Gate(0.008, 10.0), frequencies(FS)
    n = int(np.argmin(np.abs(f - 5000.0)))
    T, share = gate.shares(how, f)
    assert np.allclose(share.sum(axis=0), 1.0)
    assert float(T @ share[:, n]) == pytest.approx(0.002, rel=0.06)
    t = (np.arange(TAPS) - ZERO) / FS
    p = int(np.argmax(gate.arrivals(ir)[1].max(axis=1)))
    first, last = gate.arrivals(ir)[0][p].min(), gate.arrivals(ir)[1][p].max()
    total = 0.0
    for seconds, part in zip(T, share[:, n], strict=True):
        w = np.where(t < last + seconds / 2, 1.0, np.cos(np.pi * (t - last - seconds / 2) / seconds) ** 2)
        w = np.where(t > last + seconds, 0.0, w) * np.sin(np.pi / 2 * np.clip((t - first + 0.002) / 0.001, 0, 1)) ** 2
        total += part * np.sum(ir.h[p, 1, 2] * w * np.exp(-2j * np.pi * f[n] * t))
    assert gate.spectra(ir, how)[p, 1, 2, n] == pytest.approx(total, rel=2e-3)


def test_draws_of_a_set_scatter_as_its_errors_and_its_drift() -> None:
    """Against the sum written out, from the same random numbers; and by their standard deviations."""
    ir, shape = measured(), (5, 2, 3, TAPS // 2 + 1)
    stderr = np.random.default_rng(1).uniform(0.01, 0.1, shape)
    for drift in (0.04, np.broadcast_to(0.04 * np.arange(3)[:, None], shape)):
        drawn = _Drawn.of(MeasuredSet(ir, MeasurementError(stderr, drift)))
        rng, again = np.random.default_rng(2), np.random.default_rng(2)
        h = np.array([drawn(rng).h for _ in range(2)])
        for one in h:
            real, imaginary = again.standard_normal(shape), again.standard_normal(shape)
            path = again.standard_normal((*shape[:3], 1)) + 1j * again.standard_normal((*shape[:3], 1))
            wide = np.sqrt(np.broadcast_to(drift, shape)[..., :1] / 2)
            spectra = np.fft.rfft(ir.h) + stderr * (real + 1j * imaginary) / np.sqrt(2)
            assert np.allclose(one, np.fft.irfft(spectra * (1 + wide * path), TAPS), rtol=0, atol=1e-14)
    still = _Drawn.of(MeasuredSet(ir, MeasurementError(stderr, 0.0)))
    scatter = np.std([np.fft.rfft(still(rng).h)[0, 1, 2, 1:-1] for _ in range(60)], axis=0)
    assert np.mean((scatter / stderr[0, 1, 2, 1:-1]) ** 2) == pytest.approx(59 / 60, abs=0.05)


def test_as_much_noise_passes_as_stated() -> None:
    """White noise of known standard error: the scatter of gated spectra over many draws."""
    ir, how = measured(), Gate(0.004, 8.0)
    sigma = 0.01
    doubt = MeasurementError(np.full((5, 2, 3, TAPS // 2 + 1), sigma * np.sqrt(TAPS)), 0.0)
    stated = doubt.gated(ir, how)
    rng = np.random.default_rng(11)
    clean = gate.spectra(ir, how)
    draws = [gate.spectra(measured(noise=sigma * rng.standard_normal(ir.h.shape)), how) - clean for _ in range(12)]
    found = np.mean(np.abs(draws) ** 2, axis=(0, 1, 2, 3))
    wanted = stated.mean(axis=(0, 1, 2))
    for low, high in ((300.0, 1500.0), (1500.0, 5000.0), (5000.0, 18000.0)):
        inside = (frequencies(FS) > low) & (frequencies(FS) < high)
        assert found[inside].mean() == pytest.approx(wanted[inside].mean(), rel=0.1)
    assert wanted[-1] < 0.6 * wanted[1]


def filters() -> FilterSet:
    rng = np.random.default_rng(4)
    taps = rng.standard_normal((3, 3, 200)) * np.exp(-(((np.arange(200) - 60) / 25.0) ** 2)) * 0.02
    return FilterSet(
        taps, FS, ("a", "b", "c"), ceiling=0.5, delay_samples=60, headroom_db=0.0, channels=(3, 1, 4),
        source="0" * 64, unit_serial="G-1",
    )  # fmt: skip


def through(ir: ImpulseResponse, q: FilterSet, gains: np.ndarray) -> ImpulseResponse:
    """What is heard: each driver with a gain of its own, by the naive sum over taps."""
    score = ir.used_for("score")
    h = np.zeros((2, 2, 3, TAPS))
    for c in range(3):
        for d in range(3):
            for k, tap in enumerate(q.taps[c, d]):
                h[:, :, c, k:] += gains[d] * tap * score.h[:, :, d, : TAPS - k]
    return ImpulseResponse(h, FS, score.positions, ir.mics, ("left", "right", "both"), ZERO, "Pa/FS",
                           np.full((2, 2, 3), 60.0), ir.band)  # fmt: skip


def test_direct_sound_is_heard_through_filters() -> None:
    """A unit that does as predicted has exactly the direct sound; 1 dB more from all drivers is 1 dB more of it."""
    ir, q = measured((2.6, -5.0)), filters()
    how, score = gate.chosen(ir, FilterDesign()), measured((2.6, -5.0)).used_for("score")
    end = prediction.until(prediction.last_arrivals(score), how, q)
    sound, early = prediction.programs(score, q, how), prediction.windowed(score, q, end)
    expected = prediction.direct(through(ir, q, np.ones(3)), sound, early, end)
    assert np.abs(expected - sound).max() < 1e-6 * np.abs(sound).max()
    louder = prediction.direct(through(ir, q, np.full(3, 10 ** (1 / 20))), sound, early, end)
    assert np.abs(louder - 10 ** (1 / 20) * sound).max() < 1e-6 * np.abs(sound).max()
    ears = through(ir, q, np.ones(3))
    uneven = prediction.direct(replace(ears, h=ears.h * np.array([-0.9, 0.5])[:, None, None]), sound, early, end)
    wanted = sound * np.array([-0.9, 0.5])[:, None, None]
    assert np.abs(uneven - wanted).max() < 1e-6 * np.abs(sound).max(), "each microphone has its own"
    f = frequencies(FS)
    inside = (f > 1000.0) & (f < 10000.0)
    uneven = prediction.direct(through(ir, q, np.array([1.0, 10 ** (1 / 20), 1.0])), sound, early, end)
    level = 10 * np.log10((np.abs(uneven[..., inside]) ** 2).sum() / (np.abs(sound[..., inside]) ** 2).sum())
    assert 0.1 < level < 1.0


def test_loading_reports_its_sources() -> None:
    """Noise 20 dB under each path, drift 30, 0.1 dB of tolerance 35.8: noise sets the regularisation."""
    ir, how = measured(), Gate(0.004, np.inf)
    h = gate.spectra(ir, how)
    share = gate.energy(ir, how).mean() / TAPS
    power = np.sqrt((np.abs(h) ** 2).mean(axis=(0, 1, 2)))
    nearest = np.clip(
        np.round(np.arange(TAPS // 2 + 1) * FS / TAPS / frequencies(FS)[1]).astype(int), 0, len(power) - 1
    )
    doubt = MeasurementError(np.broadcast_to(0.1 * power[nearest] / np.sqrt(share), (5, 2, 3, TAPS // 2 + 1)), 1e-3)
    made = responses.gated(ir, how, doubt)
    found = errors.bands(made.h, made.f, made.noise, 1e-3, 0.1)
    assert {b.largest for b in found} == {"noise"}
    assert made.noise - responses.gated(ir, how, MeasurementError(doubt.stderr, 0.0)).noise == pytest.approx(1e-3)
    middle = found[8]
    assert middle.noise_db == pytest.approx(-20.0, abs=0.5)
    assert middle.drift_db == pytest.approx(-30.0)
    assert middle.tolerance_db == pytest.approx(-35.8, abs=0.1)
    assert middle.total_db == pytest.approx(-19.5, abs=0.5)
    assert "regularisation set by measurement noise in all bands" in errors.text(found)
    assert len(errors.table(found).splitlines()) == 19
    with pytest.raises(ValueError, match="standard errors"):
        MeasurementError(np.zeros((2, 3)), 0.0)


@pytest.mark.parametrize(
    ("closure_db", "snr_db", "drift"), [(-40.0, 80.0, 1e-4), (-59.7, 62.7, 0.0), (-75.0, 60.0, 0.0)]
)
def test_noise_is_no_drift(closure_db: float, snr_db: float, drift: float) -> None:
    assert errors.drift_of(closure_db, snr_db) == pytest.approx(drift, abs=3e-8)


def test_ears_are_multiplied_by_name() -> None:
    ir = measured()
    swapped = ImpulseResponse(ir.h, FS, ir.positions, ("ear_right", "ear_left"), ir.drivers, ZERO, "Pa/FS",
                              ir.snr_db, ir.band)  # fmt: skip
    gains = np.array([2.0, 0.5])
    assert np.allclose(corrected(ir, gains).h[:, 0], 2.0 * ir.h[:, 0])
    assert np.allclose(corrected(swapped, gains).h[:, 0], 0.5 * ir.h[:, 0])


def naive_energy(ir: ImpulseResponse) -> np.ndarray:
    """The band that is looked at, by its formula, and its running energy over 0.2 ms."""
    taps = ir.h.shape[-1]
    f = np.fft.rfftfreq(taps, 1.0 / FS)
    band = np.zeros(len(f))
    band[1:] = 1.0 / (1.0 + (700.0 / f[1:]) ** 4) / (1.0 + (f[1:] / 9000.0) ** 4)
    spectrum = np.array([np.fft.rfft(row) for row in ir.h.reshape(-1, taps)])
    spectrum[:, 0] = 0.0
    power = np.array([np.fft.irfft(row * band, taps) ** 2 for row in spectrum])
    width = round(0.0002 * FS)
    found = np.array([[row[i + 1 : i + 1 + width].sum() for i in range(taps - width)] for row in power])
    return found.reshape(*ir.h.shape[:3], -1)


def test_the_energy_that_is_looked_at_by_its_formula() -> None:
    ir, within_s = measured((2.0, -3.0)), 0.006
    level, step = gate._energy(ir, within_s)
    expected = naive_energy(ir)
    assert step == 1.0 / FS
    reached = int(np.abs(ir.h).argmax(axis=-1).max()) + round(within_s * FS) + 1
    assert reached < level.shape[-1] < expected.shape[-1] - 500  # no more than is looked at, and what settles
    assert level[..., :reached] == pytest.approx(expected[..., :reached], abs=1e-6 * expected.max())


@pytest.mark.parametrize("taps", [998, 999])
def test_the_energy_of_a_response_that_ends_before_the_reach(taps: int) -> None:
    """Of an even and of an odd number of samples."""
    ir = with_h(measured((2.0, -3.0)).h[..., :taps])
    level, _ = gate._energy(ir, 0.02)
    expected = naive_energy(ir)
    assert level.shape == expected.shape
    assert level == pytest.approx(expected, abs=1e-6 * expected.max())


def test_a_response_that_is_cut_off_within_its_tail_is_looked_at_all_the_same() -> None:
    """The cut makes no reflection within the reach, and hides none."""
    noise = np.random.default_rng(5).normal(0.0, 1e-3, (5, 2, 3, TAPS))
    noise[..., 1000:] *= 100.0  # the room goes on, louder than it may be within the reach
    ir = measured((3.1, -8.0), noise)
    level, _ = gate._energy(ir, 0.006)
    reached = int(np.abs(ir.h).argmax(axis=-1).max()) + round(0.006 * FS) + 1
    expected = naive_energy(ir)[..., ZERO:reached]
    assert level[..., ZERO:reached] == pytest.approx(expected, abs=1e-6 * expected.max())


def with_h(h: np.ndarray) -> ImpulseResponse:
    ir = measured()
    return ImpulseResponse(h, FS, ir.positions, ir.mics, ir.drivers, ZERO, "Pa/FS", ir.snr_db, ir.band)


@pytest.mark.parametrize(("weaker_db", "counts"), [(9.0, True), (11.0, False)])
def test_shadowed_paths_are_not_looked_at(weaker_db: float, counts: bool) -> None:
    """Reflections in paths that are 9 dB weaker than their microphone's loudest count, in those 11 dB weaker not.

    The other microphone is far more sensitive, which is irrelevant to this one's paths.
    """
    still, echo = measured(), measured((2.0, -6.0))
    h = still.h.copy()
    h[:, :, 1:] = echo.h[:, :, 1:]
    h[:, :, 0] *= 10 ** (weaker_db / 20) * (1.1 if counts else 1.2)
    h[:, 1] *= 30.0
    assert (gate.first_reflection(with_h(h), 0.006) is not None) is counts


@pytest.mark.parametrize(("many", "counts"), [(14, False), (15, True)])
def test_half_of_the_paths_make_a_reflection(many: int, counts: bool) -> None:
    still, echo = measured(), measured((2.0, -6.0))
    h = still.h.reshape(-1, TAPS).copy()
    h[:many] = echo.h.reshape(-1, TAPS)[:many]
    assert (gate.first_reflection(with_h(h.reshape(still.h.shape)), 0.006) is not None) is counts


@pytest.mark.parametrize(
    ("rest", "when"),
    [
        ([1.0, 0.05, 0.05, 0.05, 0.2, 0.4], None),  # too soon
        ([1.0] + [0.001] * 45 + [0.0099], None),  # -20.04 dB: too weak
        ([1.0] + [0.001] * 45 + [0.0101], 46),
        ([1.0] + [0.1] * 45 + [0.1 * 10**0.79], None),  # 7.9 dB up again: not enough
        ([1.0] + [0.1] * 45 + [0.1 * 10**0.81], 46),
        ([1.0] + [0.01] * 37 + [0.5, 0.5], 38),
        ([1.0] + [0.01] * 36 + [0.5, 0.01, 0.01], None),
    ],
)
def test_a_rise_by_hand(rest: list[float], when: int | None) -> None:
    """0.8 ms are 38.3 samples: sample 38 is the first that may be one."""
    found = gate._rise(np.array(rest), 1.0 / FS)
    assert found == (None if when is None else pytest.approx(when / FS))


def test_a_reflection_at_the_end_of_the_reach_is_seen_and_none_behind_it() -> None:
    ir = measured((3.0, -6.0))
    level, step = gate._energy(ir, 0.006)
    rows = level.reshape(-1, level.shape[-1])
    whole = sorted(gate._rise(row[int(np.argmax(row)) :] / row.max(), step) for row in rows)
    last = whole[len(whole) // 2 - 1]
    assert gate.first_reflection(ir, last) is not None
    assert gate.first_reflection(ir, whole[len(whole) // 2 - 3] - 1.0 / FS) is None


def test_a_gate_is_no_shorter_than_what_is_the_devices_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, seconds in ((0.0003, 0.0008), (0.003, 0.003), (0.0079, 0.006)):
        monkeypatch.setattr(gate, "first_reflection", lambda ir, within, found=found: found)
        assert gate.chosen(measured(), FilterDesign()) == Gate(seconds, 10.0, found)


def test_a_gate_lasts_more_than_nothing_and_not_for_ever() -> None:
    for seconds in (-0.001, 0.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"a gate of .* s: more than 0 s are needed"):
            Gate(seconds, 10.0)
    assert Gate(2.0, 10.0).lowest == 0.5


def test_a_gate_in_words() -> None:
    assert Gate(0.01234, 10.0).text == (
        "gate 12.34 ms (no reflection before its end), 10 periods at most; valid from 81 Hz"
    )
    assert Gate(0.01234, 8.5, 0.01356).text == (
        "gate 12.34 ms (the first reflection comes 13.56 ms after the direct sound), 8.5 periods at most; valid from "
        "81 Hz"
    )
    early = Gate(0.0008, 10.0, 38.0 / 48000.0).text
    assert early.startswith("gate 0.80 ms (the shortest: within 0.8 ms comes a reflection, or a shadowed driver")
    assert "first reflection" not in early, "a round device's shadowed drivers rise again by themselves"


def test_a_silent_driver_is_named() -> None:
    h = measured().h.copy()
    h[3, 1, 2] = 0.0
    with pytest.raises(BadInput) as refused:
        gate.arrivals(with_h(h))
    assert str(refused.value) == "driver 'c' is silent at 'ear_right', position 4: measure it again"


def test_arrivals_are_where_a_tenth_of_each_peak_is_passed() -> None:
    h = np.zeros((5, 2, 3, TAPS))
    h[..., ZERO + 50] = 0.2
    h[..., ZERO + 60] = -2.0
    h[2, 1, 0] = 0.0
    h[2, 1, 0, ZERO + 44], h[2, 1, 0, ZERO + 70] = 1e-4, -9e-4
    h[1, 0, 1, ZERO + 40] = 0.19
    first, last = gate.arrivals(with_h(h))
    expected = np.full((5, 3), 50)
    assert first * FS == pytest.approx(np.where(np.arange(15).reshape(5, 3) == 6, 44, expected))
    assert last * FS == pytest.approx(expected)


@pytest.mark.parametrize(("cycles", "count"), [(1e9, 1), (96.0, 1), (95.9, 2), (48.0, 2), (47.9, 3), (1.0, 4)])
def test_lengths_are_halves_down_to_the_shortest(cycles: float, count: int) -> None:
    """From 6 ms; at 16 kHz 96 periods are 6 ms, and no window is shorter than 0.8 ms."""
    found = gate.lengths(Gate(0.006, cycles), 16000.0)
    assert found == pytest.approx([0.006 / 2**i for i in range(count)])


def test_shares_of_windows_by_hand() -> None:
    """6, 3 and 1.5 ms: where 10 periods last 4.24 ms (halfway on a log scale) two windows have half each."""
    f = np.array([0.0, 1e-6, 0.5, 100.0, 10 / 0.006, 10 / (0.006 / np.sqrt(2.0)), 10 / 0.003, 10 / 0.0015])
    T, share = gate.shares(Gate(0.006, 10.0), f)
    assert pytest.approx([0.006, 0.003, 0.0015]) == T
    expected = np.zeros((3, 8))
    expected[0, :5] = 1.0
    expected[:2, 5] = 0.5
    expected[1, 6] = expected[2, 7] = 1.0
    assert share == pytest.approx(expected, abs=1e-9)


def test_no_window_is_shorter_than_the_shortest() -> None:
    """One period of 16 kHz lasts 0.06 ms; the last of four windows is 0.75 ms long."""
    T, share = gate.shares(Gate(0.006, 1.0), np.array([50.0, 16000.0]))
    assert pytest.approx([0.006, 0.003, 0.0015, 0.00075]) == T
    assert share == pytest.approx(np.eye(4)[:, [0, 3]])


def test_a_window_sample_by_sample() -> None:
    t = np.arange(-0.004, 0.012, 0.0001)
    first, last, seconds = np.array([[0.001, 0.0015]]), np.array([[0.002, 0.0015]]), 0.004
    found = gate.window(t, first, last, seconds)
    assert found.shape == (1, 2, len(t))
    for d in range(2):
        for i, at in enumerate(t):
            up = min(max((at - (first[0, d] - 0.002)) / 0.001, 0.0), 1.0)
            down = min(max((last[0, d] + seconds - at) / 0.002, 0.0), 1.0)
            assert found[0, d, i] == pytest.approx(
                np.sin(np.pi / 2 * up) ** 2 * np.sin(np.pi / 2 * down) ** 2, abs=1e-12
            )


def test_responses_fall_to_nothing_within_a_millisecond_of_their_end() -> None:
    h, end = np.ones((2, 1, 3, 500)), np.array([0.002, 0.0045])
    found = gate.until(h, 40, FS, end)
    for place in range(2):
        for i in range(500):
            left = min(max((end[place] + 0.001 - (i - 40) / FS) / 0.001, 0.0), 1.0)
            assert found[place, 0, :, i] == pytest.approx(np.full(3, np.sin(np.pi / 2 * left) ** 2), abs=1e-12)
    heard = int(np.flatnonzero(found.any(axis=(0, 1, 2)))[-1]) + 1
    assert heard <= gate.last_tap(40, FS, end) <= heard + 1


def test_third_octaves_are_resolved_from_their_lower_edge_on() -> None:
    """That of 1 kHz begins at 891.25 Hz; a thousandth is rounding."""
    for lowest, first in ((891.0, 1000.0), (892.0, 1000.0), (892.5, 1250.0)):
        assert THIRD_OCTAVES[gate.resolved(lowest)][0] == first
