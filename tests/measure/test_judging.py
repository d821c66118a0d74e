"""Judging of captures by hand: every check at its limit, and bursts against loops written out from their definition.

No lab plays here: signals are computed, so that a mutation of a rule is tried in a second.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, special, stats
from scipy.optimize import curve_fit

from sweetspot.measure import delays
from sweetspot.measure.deconvolve import Inverse, inverse, loopback_delay
from sweetspot.measure.judge import burst, clocks, disturbance, noise_power, quality
from sweetspot.measure.judge.clocks import ClockDrift
from sweetspot.measure.judge.kernel import around_zero
from sweetspot.measure.sweep import Sweep, stimulus, synchronised

Array = NDArray[Any]
FS = 8009
DELAY = 37.3 / FS


@cache
def world() -> tuple[Sweep, NDArray[np.float32], Inverse]:
    sweep = synchronised((90.0, 3100.0), 0.5, FS)
    played = stimulus(sweep, 0.5, round(0.4 * FS))
    return sweep, played, inverse(sweep, played, len(played))


def late(seconds: float, gain: float = 1.0) -> Array:
    """Transfer function of a delay."""
    return np.asarray(gain * np.exp(-2j * np.pi * world()[2].f * seconds))


def through(h: Array) -> NDArray[np.float32]:
    """What was played, through a transfer function."""
    _, played, inv = world()
    return np.fft.irfft(np.fft.rfft(played.astype(float), inv.size) * h, inv.size)[: len(played)].astype(np.float32)


def text(reason: quality.Reason | None) -> tuple[str, str]:
    assert reason is not None
    return reason.kind, reason.text


# one capture


@pytest.mark.parametrize("size", [2000, 2025])
def test_the_peak_of_a_response_is_its_largest_sample(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more than half of the energy without a transform; two arrivals, noise and narrow bands with one."""
    rng, made = np.random.default_rng(5), list[int]()
    whole = delays.fft.irfft
    monkeypatch.setattr(delays.fft, "irfft", lambda *args, **how: (made.append(1), whole(*args, **how))[1])
    f = np.arange(size // 2 + 1)
    for at in (0, 1, 700, size // 2, size - 3):
        for others, alone in ((0.0, True), (1e-3, True), (0.05, False)):
            h = others * rng.standard_normal(size)
            h[at] -= 1.0
            made.clear()
            assert delays.peak_s(np.fft.rfft(h), size, 100) == at / 100
            assert (not made) == alone
    for weaker in (0.9, -0.9):
        two = np.exp(-2j * np.pi * f * 300 / size) + weaker * np.exp(-2j * np.pi * f * 900 / size)
        assert delays.peak_s(two, size, 100) == 3.0
    narrow = np.where(f < size // 20, np.exp(-2j * np.pi * f * 300.2 / size), 0.0)
    assert delays.peak_s(narrow, size, 100) == 3.0


@pytest.mark.parametrize(("size", "reach"), [(59049, 48), (60000, 48), (10240, 8), (2025, 12), (1009, 8)])
def test_a_short_part_of_a_response_has_the_spectrum_of_whole_transforms(size: int, reach: int) -> None:
    rng = np.random.default_rng(size)
    apart = np.minimum(np.arange(size), size - np.arange(size))
    h = rng.standard_normal(size) * np.exp(-apart / 300)
    wanted = np.fft.rfft(np.where(apart <= reach, h, 0.0))
    found = around_zero(np.fft.rfft(h), size, reach)
    assert np.abs(found - wanted).max() < 1e-12 * np.abs(wanted).max()


def test_a_phase_is_unwrapped_by_its_largest_step() -> None:
    steady, turning, back = np.arange(5) * 1.5, np.array([0.0, 3.0, -3.0, -0.5]), np.array([0.0, -3.0, 3.0])
    assert delays.unwrapped(steady) is steady
    assert delays.unwrapped(turning) == pytest.approx([0.0, 3.0, -3.0 + 2 * np.pi, -0.5 + 2 * np.pi])
    assert delays.unwrapped(back) == pytest.approx([0.0, -3.0, 3.0 - 2 * np.pi])


def test_a_recording_of_another_length() -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    assert quality.short(x, 6) is None
    assert text(quality.short(x, 5)) == ("length", "the recording has 6 of 5 samples")
    assert quality.padded(x, 6) is x
    assert np.array_equal(quality.padded(x, 4), x[:, :4])
    assert np.array_equal(quality.padded(x, 8), np.concatenate([x, np.zeros((2, 2))], axis=1))
    assert quality.padded(x, 8).dtype == np.float32


def test_full_scale_in_any_channel() -> None:
    x = np.zeros((3, 50), np.float32)
    x[1, 7] = 0.99989
    names = ("a", "b", "c")
    assert quality.clipped(x, names) is None
    x[2, 5], x[2, 9] = -1.0, 0.9999
    todo = "lower sweep.level_dbfs or the preamplifier's gain"
    assert text(quality.clipped(x, names)) == ("clipped", f"c clipped: 2 samples at full scale; {todo}")
    with pytest.raises(ValueError, match="zip"):
        quality.clipped(x, ("a", "b"))


def loopback(recorded: NDArray[np.float32], gain: float) -> quality.Reason | None:
    inv = world()[2]
    loop = inv.spectrum(recorded)
    delay, _ = loopback_delay(inv, loop)
    return quality.loopback(inv, recorded, loop, delay, gain)


def test_a_loopback_is_a_short_filter() -> None:
    assert loopback(through(late(DELAY, 0.8)), 0.8) is None
    reflected = through(late(DELAY, 0.8) + late(DELAY + 0.0008, 0.002))
    assert loopback(reflected, 0.8) is None
    too_late = loopback(through(late(DELAY, 0.8) + late(DELAY + 0.0025, 0.02)), 0.8)
    assert text(too_late)[1].startswith("samples lost or disturbed near ")


def test_a_silent_loopback() -> None:
    level = float(np.sqrt(np.mean(through(late(DELAY)).astype(float) ** 2)))
    assert loopback(through(late(DELAY, 1.02e-3 / level)), 1.02e-3 / level) is None
    quiet = loopback(through(late(DELAY, 0.5e-3 / level)), 0.5e-3 / level)
    assert text(quiet) == (
        "loopback",
        "the loopback is silent (-66 dBFS, at least -60 is needed): check the cable of interface.loopback",
    )


@pytest.mark.parametrize(("excess", "found"), [(1.1, True), (0.94, False)])
def test_a_disturbed_loopback_at_its_limit(excess: float, found: bool) -> None:
    """A tone within the band over one stretch of 5 ms, its rms -50 dB re the loopback's."""
    x = through(late(DELAY, 0.8)).astype(float)
    size = int(0.005 * FS)
    assert size == 40
    level, at = float(np.sqrt(np.mean(x**2))), 61 * size
    tone = np.sin(2.0 * np.pi * 4 / size * np.arange(size)) * np.hanning(size)
    tone *= excess * 10.0**-2.5 * level / np.sqrt(np.mean(tone**2))
    x[at : at + size] += tone
    reason = loopback(x.astype(np.float32), 0.8)
    assert (reason is not None) == found
    if found:
        assert text(reason) == (
            "loopback",
            f"samples lost or disturbed near {61 * 0.005:.2f} s: the loopback differs from what was played by "
            "-49 dB (limit -50)",
        )


@pytest.mark.parametrize("size", [None, 10125])
def test_the_residual_of_a_loopback_is_in_its_band(size: int | None) -> None:
    """Through transforms of an even and of an odd length."""
    sweep, played, inv = world()
    inv = inv if size is None else inverse(sweep, played, size)
    x = through(late(DELAY, 0.8)).astype(float)
    delayed = 0.8 * np.exp(-2j * np.pi * inv.f * DELAY)
    kernel = quality._completed(inv, delayed, DELAY, 0.8)
    assert np.max(np.abs(kernel - delayed)) < 1e-9
    t = np.arange(len(x)) / FS
    for f, inside in ((45.0, False), (3700.0, False), (95.0, True), (3000.0, True)):
        hum = 0.01 * np.sin(2.0 * np.pi * f * t) * np.hanning(len(t))
        worst, at = quality._worst_residual(inv, inv.spectrum(x + hum), kernel, len(x))
        stretches = hum[: len(hum) // 40 * 40].reshape(-1, 40)
        rms = np.sqrt(np.mean(stretches**2, axis=1))
        if inside:
            assert worst == pytest.approx(rms.max(), rel=0.02)
            assert rms[round(at / 0.005)] == pytest.approx(rms.max(), rel=0.02)
        else:
            assert worst < 1e-4
    if size is not None:
        return
    edge = 10
    for f in (inv.f[np.searchsorted(inv.f, 90.0) + edge], inv.f[np.searchsorted(inv.f, 3100.0) - edge]):
        two = np.where(np.arange(len(inv.f)) == np.searchsorted(inv.f, f), 1.5, 1.0) * late(DELAY)
        assert np.abs(quality._completed(inv, two, DELAY, 1.0) - late(DELAY)).max() > 1e-3
    for f in (60.0, 3300.0):
        two = np.where(np.arange(len(inv.f)) == np.searchsorted(inv.f, f), 9.0, 1.0) * late(DELAY)
        assert np.abs(quality._completed(inv, two, DELAY, 1.0) - late(DELAY)).max() < 1e-9


@pytest.mark.parametrize("size", [None, 10125])
def test_a_kernel_ends_a_millisecond_from_its_arrival(size: int | None) -> None:
    """Of an even and of an odd number of samples."""
    sweep, played, inv = world()
    inv = inv if size is None else inverse(sweep, played, size)
    assert inv.size % 2 == (size is not None)
    flat, arrival = np.ones(len(inv.f)), np.exp(-2j * np.pi * inv.f * DELAY)
    for samples, kept in ((0, True), (8, True), (-8, True), (9, False), (-9, False), (-30, False)):
        band = (inv.f >= inv.band[0]) & (inv.f <= inv.band[1])
        loop = arrival * (1.0 + 0.3 * np.exp(-2j * np.pi * inv.f * samples / FS))
        h = np.fft.irfft(quality._completed(inv, loop, DELAY, 1.0) / arrival, inv.size)
        wanted = np.fft.irfft(np.where(band, flat + 0.3 * np.exp(-2j * np.pi * inv.f * samples / FS), 1.0), inv.size)
        reach = int(0.001 * FS)
        assert reach == 8
        inside = np.r_[np.arange(reach + 1), np.arange(inv.size - reach, inv.size)]
        assert np.max(np.abs(h[inside] - wanted[inside])) < 1e-12
        outside = np.setdiff1d(np.arange(inv.size), inside)
        assert np.max(np.abs(h[outside])) < 1e-12
        assert (abs(h[samples]) > 0.1) == kept


def test_a_microphone_without_signal() -> None:
    names = ("ear", "other")
    assert quality.silent(np.array([10.0, 40.0]), names) is None
    assert text(quality.silent(np.array([30.0, 9.6]), names)) == (
        "silent",
        "no signal at other: 10 dB above its noise (at least 10 are needed); check the microphone, the amplifier and "
        "the patch",
    )
    with pytest.raises(ValueError, match="zip"):
        quality.silent(np.array([30.0, 30.0]), ("ear",))


def test_a_driver_that_is_silent_beside_others_is_left_to_the_judge_of_the_unit() -> None:
    """Drivers that play together: only a microphone that gets none of them is a fault of the capture."""
    names, snr = ("front", "aside"), np.array([[40.0, 30.0], [-300.0, -300.0], [9.0, 25.0]])
    assert quality.silent_to_all(snr, names) is None
    assert text(quality.silent_to_all(snr - [[0.0, 25.0]], names))[1].startswith(
        "no signal of any driver at aside; check this mic"
    )
    assert "at any microphone; check the amplifier" in text(quality.silent_to_all(snr - 40.0, names))[1]
    two = quality.silent_to_all(np.array([[9.9, 10.0, -3.0], [0.0, 5.0, 9.0]]), ("left", "ear", "far"))
    assert text(two) == (
        "silent",
        "no signal of any driver at left and far; check this microphone, its preamplifier and its cable",
    )


def test_equal_captures_hold_no_noise() -> None:
    rng = np.random.default_rng(8)
    x = rng.standard_normal((2, 4000)).astype(np.float32)
    other = rng.standard_normal(4000)
    assert quality.repeats(x, x.copy())
    assert not quality.repeats(x, x[:, :-1])
    assert quality.repeats(np.zeros_like(x), np.zeros_like(x))
    for share, equal in ((0.97e-2, True), (1.03e-2, False)):
        y = x.copy()
        size = share * np.linalg.norm(x[1].astype(float)) / np.linalg.norm(other)
        y[1] = (x[1] + size * other).astype(np.float32)
        assert quality.repeats(y, x) is equal
        assert quality.repeats(1e-5 * y, 1e-5 * x) is equal  # at any level


def test_a_frequency_in_words() -> None:
    assert [quality._hertz(f) for f in (63.4, 999.0, 1000.0, 12_351.0)] == ["63 Hz", "999 Hz", "1.0 kHz", "12.4 kHz"]


def disturbed(row: Array, **more: Any) -> quality.Reason | None:
    sweep, _, inv = world()
    rows = np.stack([through(late(DELAY)), row.astype(np.float32)])
    rows[0] += (1e-4 * np.random.default_rng(1).standard_normal(rows.shape[1])).astype(np.float32)
    transfer = inv.transfer(inv.recorded(rows.copy()))
    where = burst.lags(sweep, inv.size)
    return quality.disturbed(rows, transfer, ("near", "far"), sweep, where, DELAY, **more)


def noisy(seed: int = 2) -> Array:
    x = through(late(DELAY, 0.7)).astype(float)
    return np.asarray(x + 1e-4 * np.random.default_rng(seed).standard_normal(len(x)))


def test_reasons_of_one_channel() -> None:
    assert disturbed(noisy()) is None
    x = noisy()
    level = np.sort(np.abs(x))[-9]
    first = int(np.argmax(np.abs(x) >= level))
    assert text(disturbed(np.clip(x, -level, level))) == (
        "stuck",
        f"far clipped before the converter: equal samples at {first / FS:.2f} s; turn it down",
    )
    x = noisy()
    x[2001:2012] = x[2000]
    assert text(disturbed(x)) == ("lost", f"far lost samples: constant for 12 samples at {2000 / FS:.2f} s")
    x = noisy()
    t = np.arange(len(x)) / FS
    x += 0.02 * np.sin(2.0 * np.pi * 100.0 * t)
    level = 10.0 * np.log10(0.02**2 / 2 / np.mean(x**2))
    assert text(disturbed(x)) == (
        "hum",
        f"far hums: 50 Hz and multiples at {level:.0f} dB re the capture (limit -50); check its grounding and its "
        "cable",
    )
    assert "hum" not in str(disturbed(x, last_start=0.6))  # less than a quarter of a second is left to judge
    x = noisy()
    at, n = round(0.62 * FS), round(0.06 * FS)
    x[at : at + n] += 0.03 * np.sin(2.0 * np.pi * 1000.0 * np.arange(n) / FS) * np.hanning(n)
    kind, words = text(disturbed(x))
    sweep, _, inv = world()
    where = burst.lags(sweep, inv.size)
    rows = x.astype(np.float32)[None]
    found = burst.burst(inv.transfer(inv.recorded(rows))[0], where, DELAY)
    assert found is not None
    assert 0.6 < found[0] < 0.7
    assert kind == "burst"
    assert words == f"burst at {found[0]:.1f} s, {quality._hertz(found[1])} in far, {found[2]:.0f} dB above the limit"
    assert disturbed(x, spliced=True) is None
    clean = noisy().astype(np.float32)[None]
    with pytest.raises(ValueError, match="zip"):
        quality.disturbed(clean, inv.transfer(inv.recorded(clean)), ("near", "far"), sweep, where, DELAY)


# one channel of raw samples


def test_equal_extremes() -> None:
    x = np.linspace(-0.9, 0.8, 900).astype(np.float32)
    assert disturbance.stuck(x) is None
    x[[5, 700]] = 1.0
    assert disturbance.stuck(x) is None
    x[300] = -1.0
    assert disturbance.stuck(x) == 5
    x[5] = 0.0
    x[100] = 1.0
    assert disturbance.stuck(x) == 100
    few = np.full(3, 0.5, np.float32)
    assert disturbance.stuck(few) == 0
    assert disturbance.stuck(np.zeros(9, np.float32)) is None
    assert disturbance.stuck(np.zeros(0, np.float32)) is None


@pytest.mark.parametrize(("pairs", "at", "found"), [(1, 10, True), (2, 10, False), (2, 57, False), (2, 61, True)])
def test_few_bits_make_equal_values(pairs: int, at: int, found: bool) -> None:
    """Equal neighbours among the 60 values next to the extremes: two of them, and equals are chance."""
    values = np.concatenate([np.full(3, 2.0), 1.0 - 0.001 * np.arange(500)])
    for i in range(pairs):
        values[3 + at + 2 * i - (3 if at == 57 else 0)] = values[3 + at + 2 * i + 1 - (3 if at == 57 else 0)]
    x = np.random.default_rng(3).permutation(values).astype(np.float32)
    assert (disturbance.stuck(x) is not None) == found


def test_runs_of_equal_samples() -> None:
    x = np.sin(np.arange(400.0)).astype(np.float32)
    assert disturbance.held(x) is None
    x[50:57] = x[49]
    assert disturbance.held(x) == (49, 8)
    x[50] = 0.3
    assert disturbance.held(x) is None  # seven
    x[200:230] = 0.0
    assert disturbance.held(x) == (200, 30)
    quiet = np.zeros(400, np.float32)
    quiet[[100, 101]] = 1.0, -1.0
    assert disturbance.held(quiet) is None  # silence around is no gap
    assert disturbance.held(np.zeros(0, dtype=np.float32)) is None
    quiet[100] = 0.0011
    quiet[120] = 0.5
    assert disturbance.held(quiet) == (102, 18)
    quiet[120] = 0.0009
    assert disturbance.held(quiet) is None
    two = np.zeros(30, np.float32)
    two[[5, 25]] = 1.0
    assert disturbance.held(two) == (6, 19)
    assert disturbance.held(np.zeros(30, np.float32)) is None
    one = np.zeros(30, np.float32)
    one[4] = 1.0
    assert disturbance.held(one) is None


def hummed(tones: list[tuple[float, float]], noise: float = 1e-5, decay: float = 0.1, latency: float = 0.0) -> Any:
    sweep, played, _ = world()
    n = 2 * FS
    x = noise * np.random.default_rng(4).standard_normal(n)
    x[: len(played)] += played
    t = np.arange(n) / FS
    for f, a in tones:
        x += a * np.sin(2.0 * np.pi * f * t + 0.3)
    return disturbance.hum(x.astype(np.float32), sweep, latency, decay), float(np.mean(x**2))


@pytest.mark.parametrize("mains", [50.0, 60.0])
def test_hum_adds_five_lines(mains: float) -> None:
    tones = [(mains * k, 2e-3 * k**-0.5) for k in range(1, 6)]
    found, total = hummed([*tones, (350.0 if mains == 50.0 else 360.0, 0.02)])  # of neither's first five
    wanted = 10.0 * np.log10(sum(a**2 / 2 for _, a in tones) / total)
    assert found is not None
    assert found[0] == mains
    assert found[1] == pytest.approx(wanted, abs=0.15)


@pytest.mark.parametrize(("over_db", "found"), [(0.3, True), (-0.3, False)])
def test_hum_at_its_limit(over_db: float, found: bool) -> None:
    _, total = hummed([])
    size = np.sqrt(2.0 * total) * 10.0 ** ((-50.0 + over_db) / 20.0)
    assert (hummed([(150.0, size)])[0] is not None) == found


def test_a_constant_offset_is_no_hum() -> None:
    sweep, played, _ = world()
    x = 0.05 + 1e-5 * np.random.default_rng(4).standard_normal(2 * FS)
    x[: len(played)] += played
    assert disturbance.hum(x.astype(np.float32), sweep, 0.0, 0.1) is None


def test_the_edge_of_a_band_at_a_multiple_of_the_mains_is_no_hum() -> None:
    """Equal tones from 300 Hz on, the highest line that is looked at: half of its neighbours are as loud as it."""
    t = np.arange(2 * FS) / FS
    band = sum(0.01 * np.sin(2.0 * np.pi * f * t + f) for f in 300.0 + 0.65 * np.arange(40))
    assert disturbance.hum(band.astype(np.float32), world()[0], 0.0, 0.1) is None
    one = 0.01 * np.sin(2.0 * np.pi * 300.0 * t)
    assert disturbance.hum(one.astype(np.float32), world()[0], 0.0, 0.1) == (60.0, pytest.approx(0.0, abs=0.1))


def test_hum_is_not_judged_over_less_than_a_quarter_of_a_second() -> None:
    sweep = world()[0]
    leaves = sweep.rate * np.log(400.0 / sweep.swept[0])
    for rest, found in ((0.26, True), (0.25 + 1024 / FS, True), (0.24, False)):
        samples = round((rest if found else 0.24) * FS) // 1024 * 1024
        judged = hummed([(100.0, 0.01)], decay=2.0 - leaves - (samples + 100) / FS - 0.05, latency=0.05)[0]
        assert (judged is not None) == (samples >= 0.25 * FS), rest


def test_a_quarter_of_a_second_is_enough_for_hum() -> None:
    """2048 samples at 8192 Hz."""
    sweep = synchronised((90.0, 3100.0), 0.5, 8192)
    begin = round((0.1 + sweep.rate * np.log(400.0 / sweep.swept[0])) * 8192)
    x = 0.01 * np.sin(2.0 * np.pi * 100.0 * np.arange(begin + 2048) / 8192)
    found = disturbance.hum(x.astype(np.float32), sweep, 0.0, 0.1)
    assert found == (50.0, pytest.approx(0.0, abs=0.1))
    assert disturbance.hum(x[:-1].astype(np.float32), sweep, 0.0, 0.1) is None


def test_hum_is_read_after_the_lowest_octaves() -> None:
    """A tone that ends before the stretch begins is not heard; one that begins with it is."""
    sweep, played, _ = world()
    n = 2 * FS
    begin = round((0.02 + 0.1 + sweep.rate * np.log(400.0 / sweep.swept[0])) * FS)
    x = 1e-5 * np.random.default_rng(4).standard_normal(n)
    x[: len(played)] += played
    tone = 0.01 * np.sin(2.0 * np.pi * 100.0 * np.arange(n) / FS)
    before, after = x.copy(), x.copy()
    before[:begin] += tone[:begin]
    after[begin:] += tone[begin:]
    assert disturbance.hum(before.astype(np.float32), sweep, 0.02, 0.1) is None
    found = disturbance.hum(after.astype(np.float32), sweep, 0.02, 0.1)
    assert found is not None
    assert found[1] == pytest.approx(10 * np.log10(0.5e-4 / np.mean(after**2)), abs=0.2)
    high = synchronised((300.0, 3100.0), 0.5, FS)
    begin = round((0.02 + 0.1 + high.rate * np.log(600.0 / high.swept[0])) * FS)
    after = x.copy()
    after[begin:] += tone[begin:]
    assert disturbance.hum(after[: begin + 2048].astype(np.float32), high, 0.02, 0.1) is not None
    assert disturbance.hum(after[: begin + 2047].astype(np.float32), high, 0.02, 0.1) is None
    before = x.copy()
    before[:begin] += tone[:begin]
    assert disturbance.hum(before.astype(np.float32), high, 0.02, 0.1) is None
    found = disturbance.hum(after.astype(np.float32), high, 0.02, 0.1)
    assert found is not None
    assert found[1] == pytest.approx(10 * np.log10(0.5e-4 / np.mean(after**2)), abs=0.1)


def test_the_last_of_overlapped_sweeps_leaves_the_lowest_octaves_last(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(disturbance, "hum", lambda *given: asked.append(given[2:]))
    disturbed(noisy(), last_start=0.3)
    assert asked == [(pytest.approx(DELAY + 0.3), 0.15)] * 2


def test_a_line_stands_out_of_its_neighbours() -> None:
    assert disturbance._line([5.0] * 4, 1.0) == 0.0  # without neighbours
    power = 1.0 + 0.1 * np.cos(np.arange(80.0))
    power[38:43] = [2.0, 9.0, 40.0, 9.0, 2.0]
    assert disturbance._line(power.tolist(), 40.3) == pytest.approx(power[36:45].sum())
    power[40] = 30.0
    around = np.concatenate([power[26:35], power[46:55]])
    assert np.median(around) * 10**1.5 > 30.0
    assert disturbance._line(power.tolist(), 40.3) == 0.0
    for at, low, high in ((3.0, 0, 8), (8.2, 4, 13)):
        near = np.ones(60)
        near[round(at)] = 100.0
        near[low:high] += 0.5
        assert disturbance._line(near.tolist(), at) == pytest.approx(near[low:high].sum())
    few = np.r_[np.arange(4.0), np.zeros(20)]  # an odd number of neighbours next to the low end: 0 to 12
    few[15:24] = np.arange(4.0, 13.0)
    for over, found in ((0.95, False), (1.05, True)):
        few[9] = over * 6.0 * 10**1.5
        assert disturbance._line(few.tolist(), 9.0) == (few[5:14].sum() if found else 0.0)
    low = np.r_[np.full(9, 10.0), np.zeros(9)]  # next to the lowest bin are neighbours above alone: most of them 0
    low[9:13], low[3] = 10.0, 100.0
    assert disturbance._line(low.tolist(), 3.0) == low[:8].sum()
    beside = np.ones(60)
    beside[26:31], beside[30] = 100.0, 200.0  # beyond the five bins on either side, among the neighbours
    assert disturbance._line(beside.tolist(), 35.0) == 0.0
    for wrong in (25, 34, 46, 55):
        skewed = np.ones(80)
        skewed[40] = 40.0
        skewed[wrong] = 1e6
        assert disturbance._line(skewed.tolist(), 40.0) == pytest.approx(8.0 + 40.0)
    for side in (slice(26, 35), slice(46, 55)):  # one side at 3: the median of all lies between
        wide = np.ones(80)
        wide[side], wide[40] = 3.0, 50.0
        assert disturbance._line(wide.tolist(), 40.0) == 0.0
        wide[40] = 70.0
        assert disturbance._line(wide.tolist(), 40.0) == pytest.approx(78.0)


# bursts, by loops


def ringing(where: burst.LagBands, b: int) -> float:
    width = where.f[b] * (2**0.2 - 2**-0.2)
    return float(max(0.03, 5.0 / width))


def reference_powers(transfer: Array, where: burst.LagBands, delay: float) -> Array:
    """Mean over each lag of the squared envelope of each band: an inverse DFT written out."""
    out = np.zeros((len(where.f), where.steps))
    f = np.arange(len(transfer)) * where.sweep.fs / where.size
    for b, centre in enumerate(where.f):
        low, high = centre / 2**0.2, centre * 2**0.2
        inside = np.flatnonzero((f >= low) & (f <= high))
        window = np.sin(np.pi * (f[inside] - low) / (high - low)) ** 4
        part = transfer[inside] * window * np.exp(2j * np.pi * f[inside] * delay)
        finer = int(np.ceil(len(inside) / where.steps))
        n = finer * where.steps
        times = np.arange(n) - finer // 2
        envelope = np.exp(2j * np.pi * np.outer(times, np.arange(len(inside))) / n) @ part / n
        out[b] = (np.abs(envelope) ** 2).reshape(where.steps, finer).mean(axis=1)
    return out


def circular_mean(row: Array, first: int, count: int) -> Array:
    """At each lag ``n`` the mean from ``n + first`` on."""
    return np.array(
        [np.take(row, np.arange(n + first, n + first + count), mode="wrap").mean() for n in range(len(row))]
    )


def around(x: Array, reach: int) -> Array:
    """Median over bands, mirrored at the ends."""
    rows = np.pad(x, ((reach, reach), (0, 0)), mode="symmetric")
    return np.array([np.median(rows[b : b + 2 * reach + 1], axis=0) for b in range(len(x))])


def begins(mean: Array, where: burst.LagBands, beside: Array) -> Array:
    """Lag of each band at which the source begins that it is judged by: a first one under -30 dB says nothing."""
    steps = [round(at / where.step) for at in (0.0, *where.arrivals)]
    at = np.zeros(len(mean), dtype=int)
    for b, row in enumerate(mean):
        peaks = [np.roll(row, -step)[beside[b]].max() for step in steps]
        if peaks[0] < 1e-3 * max(peaks):
            at[b] = steps[int(np.argmax(peaks))]
    return at


def rolled(rows: Array, steps: Array) -> Array:
    return np.stack([np.roll(row, step) for row, step in zip(rows, steps, strict=True)])


def reference_worst(power: Array, where: burst.LagBands, seconds: float) -> tuple[Array, Array]:
    """Mean power, and what is allowed, from the definition in the docstring of :func:`burst.burst`."""
    bands, steps = power.shape
    step, total, sweep = where.step, where.steps * where.step, where.sweep
    ring = np.array([ringing(where, b) for b in range(bands)])
    width = np.array([max(round(max(seconds, 0.5 * r) / step), 1) for r in ring])
    width += 1 - width % 2
    mean = np.stack([circular_mean(power[b], -(width[b] // 2), width[b]) for b in range(bands)])
    band_hz = where.f * (2**0.2 - 2**-0.2)
    cells = np.maximum(0.381 * band_hz * width * step, 1.0)
    rounded = 2.0 * np.round(cells, 1)
    quantile = stats.chi2.isf(1e-10, rounded) / rounded
    percentile = stats.chi2.ppf(0.4, rounded) / rounded
    reach = np.minimum(np.ceil((ring + 0.5 * width * step) / step).astype(int), steps // 2 - 1)
    near = np.minimum(np.arange(steps), steps - np.arange(steps))
    starts_at = begins(mean, where, near <= reach[:, None])
    mean = rolled(mean, -starts_at)
    direct = np.array([mean[b][near <= reach[b]].max() for b in range(bands)])
    floor = np.zeros(bands)
    for b in range(bands):
        free = [
            mean[b, n]
            for n in range(steps)
            if near[n] > reach[b] and all((n * step + sweep.rate * np.log(k)) % total > 0.15 for k in (1, 2, 3))
        ]
        free = sorted(free if len(free) > 20 else mean[b])
        floor[b] = free[int(0.4 * len(free))] / percentile[b]
    noise = (floor + 3e-8 * direct + 3e-8**1.2 * direct.max())[:, None]
    excess = np.maximum(mean - noise, 0.0)
    octaves = 0.1 / sweep.rate / np.log(2.0) + 0.4
    side = min(max(6, round(7.2 * octaves)), bands // 2)
    like = around(excess / direct[:, None], side) * direct[:, None]
    first, last = round(0.09 / step), round(0.13 / step)
    decay = np.zeros_like(mean)
    for b in range(bands):
        gap = last + 1 + reach[b]
        if gap >= steps:
            decay[b] = direct[b]
            continue
        earlier = circular_mean(excess[b], 0, last - first + 1)
        for n in range(gap, steps):
            decay[b, n] = min(earlier[reach[b] : n - last])
        for n in range(gap + 1):
            decay[b, n] = max(decay[b, gap], min(direct[b], 8.0 * like[b, n]))
        decay[b, near <= reach[b]] = direct[b]
    decay = decay + 2.0 * like if where.arrivals else np.maximum(decay, 2.0 * like)
    expected, mean = rolled(noise + decay, starts_at), rolled(mean, starts_at)
    above = np.maximum(mean - 3.0 * noise, 0.0)
    starts = [at - sweep.rate * np.log(k) for at in (0.0, *where.arrivals) for k in range(2, 10)]
    for lag in (0.0, *where.arrivals, *starts):
        at = round(lag / step)
        peak = np.array(
            [np.take(above[b], np.arange(at - reach[b], at + reach[b] + 1), mode="wrap").max() for b in range(bands)]
        )
        level = np.minimum(peak, 10**1.2 * around(peak[:, None], side)[:, 0]) / direct
        level = np.where(starts_at == 0, 0.0, level) if lag == 0.0 else level  # of most, this is the source itself
        expected = expected + level[:, None] * np.roll(decay, at, axis=1)
    return mean, 1.6 * quantile[:, None] * expected


def heard_power(where: burst.LagBands, seed: int, rings_s: float = 0.03) -> Array:
    """Power of a decaying response with harmonics and noise."""
    rng = np.random.default_rng(seed)
    lag = np.arange(where.steps) * where.step
    total = where.steps * where.step
    power = 1e-5 * rng.gamma(3.0, 1.0, (len(where.f), where.steps)) + np.exp(-lag / rings_s)[None, :]
    power *= np.linspace(0.4, 2.0, len(where.f))[:, None]
    for k in (2, 3):
        power += 2e-3 * k * np.exp(-((lag + where.sweep.rate * np.log(k)) % total) / 0.02)
    power *= rng.uniform(0.6, 1.4, power.shape)
    power[2, where.steps // 2] = 1e3  # far from the direct sound
    return np.asarray(power)


def are_the_definition(power: Array, where: burst.LagBands, seconds: float) -> float:
    """Compares all cells where one passes what is allowed; where none does, the limit may be lower. The worst ratio."""
    mean, allowed = reference_worst(power, where, seconds)
    ratio = mean / allowed
    b, n = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    time, f, worst = burst._worst(power, where, seconds)
    ours = burst._allowed(mean, where, burst._averages(where, seconds))
    if ratio.max() <= 1.0:  # not worth the harmonics, which only allow more
        assert ratio.max() * (1.0 - 1e-9) <= worst <= 1.0
        assert np.all(ours <= allowed * (1.0 + 1e-8))
        assert np.all(mean <= ours * (1.0 + 1e-9))
        return float(ratio.max())
    assert worst == pytest.approx(float(ratio.max()), rel=1e-9)
    assert f == where.f[b]
    total, sweep = where.size / FS, where.sweep
    passed = sweep.rate * np.log(f / sweep.swept[0])
    assert time == pytest.approx((n * where.step + passed - where.head) % total, abs=1e-9)
    assert np.allclose(ours, allowed, rtol=1e-9, atol=0.0)
    return float(ratio.max())


@pytest.mark.parametrize("arrivals", [(), (0.31,)])
@pytest.mark.parametrize("seconds", burst.WINDOWS_S)
@pytest.mark.parametrize("size", [9600, 1900])
def test_allowed_power_is_its_definition(arrivals: tuple[float, ...], seconds: float, size: int) -> None:
    where = burst.lags(world()[0], size, arrivals)
    worst = are_the_definition(heard_power(where, 11), where, seconds)
    assert (worst > 1.0) == (size == 9600)


@pytest.mark.parametrize("starts", [-700, -1, 0, 1, 3000, 5000, 5001, 9000])
def test_a_sweep_is_found_wherever_it_starts(starts: int) -> None:
    """Within a recording of 5000 samples more, cut at its beginning, or cut at its end; and it is missed in noise."""
    played = world()[1].astype(np.float32)
    x = np.zeros((2, len(played) + 5000), dtype=np.float32)
    first, last = max(starts, 0), min(starts + len(played), x.shape[1])
    x[:, first:last] = 0.3 * played[first - starts : last - starts]
    x += np.random.default_rng(3).normal(0.0, 1e-3, x.shape).astype(np.float32)
    lag, clear = delays.whitened_lag(x, played[None], 8.0)
    assert lag == starts
    assert clear > 20.0
    assert delays.whitened_lag(np.random.default_rng(4).normal(size=x.shape), played[None], 8.0)[1] < 8.0


def test_noise_that_stays_below_its_limit_needs_no_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A response that ends early, over stationary noise; with one late cell above it, all that decays is looked at."""
    where = burst.lags(world()[0], 9600)
    how = burst._averages(where, 0.04)
    rng, asked, own = np.random.default_rng(5), list[int](), burst._median_around
    monkeypatch.setattr(burst, "_median_around", lambda x, around: asked.append(1) or own(x, around))
    power = 1e-5 * rng.gamma(3.0, 1.0, (len(where.f), where.steps))
    power[:, :2] += 1.0
    assert burst._worst(power, where, 0.04)[2] <= 1.0
    assert not asked
    power[3, where.steps // 2] += 1.0
    mean, allowed = reference_worst(power, where, 0.04)
    assert np.allclose(burst._allowed(how.of(power), where, how), allowed, rtol=1e-9, atol=0.0)
    assert np.any(mean > allowed)
    assert asked


@pytest.mark.parametrize(
    ("lags", "width", "origin"), [(125, 5, 0), (125, 16, -8), (60, 1, 0), (61, 5, -2), (8, 25, 0), (40, 9, 3)]
)
def test_running_means_are_scipys_to_the_last_bit(lags: int, width: int, origin: int) -> None:
    rows = np.random.default_rng(lags).exponential(size=(7, lags))
    wanted = ndimage.uniform_filter1d(rows, width, axis=-1, origin=origin, mode="wrap")
    assert np.array_equal(burst._running_mean(rows, width, origin), wanted)


def test_quantiles_of_noise_are_those_of_a_gamma_variate() -> None:
    cells = np.concatenate([np.arange(1.0, 20.0, 0.7), np.geomspace(20.0, 5000.0, 40)]).reshape(4, -1)
    low, high = noise_power.lower_quantile(cells, 0.4), noise_power.upper_quantile(cells, 1e-10)
    assert low == pytest.approx(special.gammaincinv(cells, 0.4) / cells, rel=1e-12)
    assert high == pytest.approx(special.gammainccinv(cells, 1e-10) / cells, rel=1e-12)


@pytest.mark.parametrize("arrivals", [(), (0.31,), (1.15,)])
def test_a_long_decay_is_allowed_by_its_definition(arrivals: tuple[float, ...]) -> None:
    """It has lost less by the end of the gap than a band soon after the direct sound may have over its neighbours."""
    where = burst.lags(world()[0], 9600, arrivals, head=0.05)
    assert are_the_definition(heard_power(where, 12, rings_s=0.25), where, burst.WINDOWS_S[0]) > 1.0


@pytest.mark.parametrize(("band", "share", "head"), [(0, 0.5, 0.7), (-2, 0.75, 0.0)])
def test_the_time_of_a_burst_lies_within_the_capture(band: int, share: float, head: float) -> None:
    """Lag and the sweep's way to its band are together longer than the transform; or less than is left out ahead."""
    where = burst.lags(world()[0], 9600, head=head)
    power = heard_power(where, 14)
    power[2, where.steps // 2] = power[3, where.steps // 2]
    power[band, round(share * where.steps)] = 1e5
    assert are_the_definition(power, where, burst.WINDOWS_S[0]) > 1.0
    passed = where.sweep.rate * np.log(where.f[band] / where.sweep.swept[0])
    assert not 0.0 < share * 9600 / FS + passed - head < 9600 / FS
    assert 0.0 <= burst._worst(power, where, burst.WINDOWS_S[0])[0] < 9600 / FS


@pytest.mark.parametrize("arrivals", [(), (0.6,)])
def test_what_decays_like_its_neighbours_is_allowed_wherever_its_source_starts(arrivals: tuple[float, ...]) -> None:
    """All bands alike, and without a burst: nothing else need be looked at."""
    where = burst.lags(world()[0], 9600, arrivals)
    power = heard_power(where, 15)
    power[2, where.steps // 2] = power[3, where.steps // 2]
    if arrivals:
        power = np.roll(power, round(arrivals[0] / where.step), axis=1)
    assert are_the_definition(power, where, burst.WINDOWS_S[0]) <= 1.0


@pytest.mark.parametrize(("ratio", "level"), [(1.01, 0.043), (1.5, 1.761), (1.0, None)])
def test_all_over_the_limit_is_a_burst(ratio: float, level: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burst, "_worst", lambda *_: (0.1, 500.0, ratio))
    inv = world()[2]
    found = burst.burst(np.ones(len(inv.f), complex), burst.lags(world()[0], inv.size), DELAY)
    assert found == (None if level is None else (pytest.approx(0.1 + DELAY), 500.0, pytest.approx(level, abs=1e-3)))


@pytest.mark.parametrize("seed", range(5))
def test_a_source_counts_from_its_loudest_lag_near_its_start(seed: int) -> None:
    """Also where that is earlier: means over lags smear."""
    where = burst.lags(world()[0], 9600, (0.2, 0.45, 0.7))
    how = burst._averages(where, burst.WINDOWS_S[0])
    mean = 10.0 ** np.random.default_rng(seed).uniform(-7.0, 0.0, (len(where.f), where.steps))
    mean[1::3] = np.where(how.beside, 1e-4, 1.0)[1::3] * mean[1::3]
    mean[2::3] = np.where(how.beside, 1e-3, 1.0)[2::3] * mean[2::3]
    found = burst._references(mean, where, how)
    assert np.array_equal(found, begins(mean, where, how.beside))
    assert not found[::3].any()
    assert set(found) == {0, 20, 45, 70}


@pytest.mark.parametrize("seconds", burst.WINDOWS_S)
@pytest.mark.parametrize("is_burst", [True, False])
def test_bands_in_which_the_first_source_is_silent_are_judged_by_the_loudest(seconds: float, is_burst: bool) -> None:
    """Sources start at 0, 0.2 and 0.45 s: the first plays high bands alone, of low bands each later one is loudest."""
    where = burst.lags(world()[0], 9600, (0.2, 0.45))
    power = heard_power(where, 13)
    power[2, where.steps // 2] = power[3, where.steps // 2]
    low, second, third = len(where.f) // 2, round(0.2 / where.step), round(0.45 / where.step)
    power[:low] = np.roll(power[:low], second, axis=1) + 0.1 * np.roll(power[:low], third, axis=1)
    power[low // 2 : low] = 0.1 * power[low // 2 : low] + np.roll(power[low : low + low - low // 2], third, axis=1)
    power[:low] += 5e-4 * np.roll(power[:low], -second, axis=1)
    at = begins(power, where, np.arange(where.steps)[None, :] < np.full((len(where.f), 1), 3))
    assert set(at[:low]) == {second, third}
    assert not at[low:].any()
    if is_burst:
        power[1, where.steps // 2] = power[-3, where.steps // 2] = 10.0
    assert (are_the_definition(power, where, seconds) > 1.0) == is_burst


def test_bands_and_lags() -> None:
    sweep = world()[0]
    where = burst.lags(sweep, 9600)
    low, high = sweep.band[0] * 2**0.2, sweep.band[1] / 2**0.2
    assert where.f[0] == pytest.approx(low)
    assert np.allclose(np.diff(np.log2(where.f)), 1.0 / 6.0)
    assert where.f[-1] <= high < where.f[-1] * 2 ** (1 / 6)
    assert where.steps == round(9600 / FS / 0.01)
    assert where.step == pytest.approx(9600 / FS / where.steps)
    assert (where.arrivals, where.head) == ((), 0.0)
    further = burst.lags(sweep, 9600, (0.2,), head=0.7)
    assert (further.arrivals, further.head) == ((0.2,), 0.7)
    assert burst.lags(sweep, 200).steps == 8
    assert burst.lags(sweep, round(1.21 * FS)).steps == 125  # a fast length of real transforms: 121 is none
    narrow = burst.lags(synchronised((1000.0, 2300.0), 0.5, FS), 9600)
    assert (len(narrow.f), narrow.around) == (5, 2)
    assert all(w.dtype == np.float32 for _, w in where.bins)


@pytest.mark.parametrize("size", [4000, 1900])
def test_powers_of_bands_over_lags(size: int) -> None:
    where = burst.lags(world()[0], size)
    rng = np.random.default_rng(6)
    transfer = rng.standard_normal(size // 2 + 1) + 1j * rng.standard_normal(size // 2 + 1)
    ours, wanted = burst._powers(transfer, where, DELAY), reference_powers(transfer, where, DELAY)
    assert np.max(np.abs(ours - wanted)) < 1e-5 * wanted.max()


def test_the_worst_of_both_windows_is_the_burst() -> None:
    sweep, _, inv = world()
    where = burst.lags(sweep, inv.size)
    for n in (round(0.03 * FS), round(0.3 * FS)):
        x = noisy()
        at = round(0.6 * FS) - n // 2
        x[at : at + n] += 0.02 * np.sin(2.0 * np.pi * 1100.0 * np.arange(n) / FS) * np.hanning(n)
        transfer = inv.transfer(inv.recorded(x.astype(np.float32)[None]))[0]
        each = [reference_worst(burst._powers(transfer, where, DELAY), where, s) for s in burst.WINDOWS_S]
        ratios = [mean / allowed for mean, allowed in each]
        worst = max(ratios, key=np.max)
        found = burst.burst(transfer, where, DELAY)
        assert found is not None
        b, lag = np.unravel_index(int(np.argmax(worst)), worst.shape)
        total = inv.size / FS
        passed = sweep.rate * np.log(where.f[b] / sweep.swept[0])
        assert found[0] == pytest.approx((lag * where.step + passed) % total + DELAY, abs=1e-6)
        assert found[1] == where.f[b]
        assert found[2] == pytest.approx(10.0 * np.log10(worst.max()), abs=1e-3)
    clean = inv.transfer(inv.recorded(noisy().astype(np.float32)[None]))[0]
    assert burst.burst(clean, where, DELAY) is None


# two clocks


def test_a_drift_is_certain_or_none() -> None:
    there = [
        ClockDrift(0.21, 0.04, 0.149).is_there,
        ClockDrift(-0.21, 0.04, 0.149).is_there,
        ClockDrift(1.0, 0.19, 0.0).is_there,
    ]
    absent = [
        ClockDrift(0.2, 0.0, 0.0).is_there,
        ClockDrift(1.0, 0.21, 0.0).is_there,
        ClockDrift(9.0, 0.0, 0.15).is_there,
    ]
    assert all(there)
    assert not any(absent)


@pytest.mark.filterwarnings("error")
def test_drifts_that_cannot_be_corrected() -> None:
    assert ClockDrift(1000.0, 0.1, 0.0).refused() is None
    assert ClockDrift(2000.0, 0.1, 0.2).refused() is None  # no drift at all
    assert text(ClockDrift(-1000.4, 0.1, 0.0).refused()) == (
        "clocks",
        "the inputs' clock runs -1000 ppm off the outputs' (limit 1000): the sampling rates differ; set both devices "
        "to the same one",
    )
    drift = ClockDrift(12.0, 0.1, 0.0)
    assert drift.refused([7.0, 6.0, 30.0]) is None
    assert text(drift.refused([6.9, 6.0, 30.0])) == (
        "clocks",
        "the inputs' clock runs +12.0 ppm off the outputs', +6.9 ppm before (limit 5 apart): it drifts; use one device "
        "for both, or a common word clock",
    )
    assert drift.refused([17.1]) is not None


@pytest.mark.parametrize("ppm", [-40.0, 3.0])
@pytest.mark.parametrize(
    ("many", "latency"), [(False, 0.25), (False, 0.5), (False, 0.75), (False, 0.998), (True, 6e-4), (True, 1 / 3)]
)
def test_a_drift_is_the_bend_of_the_phase(ppm: float, many: bool, latency: float) -> None:
    """Against SciPy's weighted fit of the same phase, errors included; at latencies up to the whole transform."""
    fs = FS if not many else 48000
    sweep = synchronised((90.0, 2300.0) if not many else (60.0, 20000.0), 0.5, fs)
    played = stimulus(sweep, 0.5, round(0.4 * fs))
    inv = inverse(sweep, played, len(played) if not many else 1 << 16)
    f = np.maximum(inv.f, 1e-3)
    rng = np.random.default_rng(9)
    size = 0.7 * (1.0 + 0.3 * np.cos(f / 700.0))
    late_s = latency * inv.size / fs + 1e-6 * ppm * sweep.rate * np.log(f / sweep.swept[0])
    loop = size * np.exp(-2j * np.pi * f * late_s + 0.2j) * np.exp(1e-4j * rng.standard_normal(len(f)))
    found = clocks.of_loopback(inv, sweep, loop)
    lowest = max(inv.band[0], min(300.0, inv.band[1] / 8.0))
    inside = np.flatnonzero((inv.f >= lowest) & (inv.f <= inv.band[1]))
    inside = inside[:: max(1, len(inside) // 8192)]
    assert many == (np.count_nonzero(np.diff(inside) > 1) > 0)
    x = inv.f[inside]
    coarse = int(np.argmax(np.abs(np.fft.irfft(loop, inv.size)))) / fs
    phase = np.unwrap(np.angle(loop[inside] * np.exp(2j * np.pi * x * coarse)))
    sigma = 1.0 / np.abs(loop[inside])

    def bent(f: Array, a: float, b: float, d: float) -> Array:
        return np.asarray(a - 2.0 * np.pi * f * (1e-6 * b + 1e-6 * d * sweep.rate * np.log(f / sweep.swept[0])))

    fit, cov = curve_fit(bent, x, phase, p0=(0.0, 0.0, 0.0), sigma=sigma)
    straight, _ = curve_fit(lambda f, a, b: bent(f, a, b, 0.0), x, phase, p0=(0.0, 0.0), sigma=sigma)
    left, bend = (np.sum(((phase - bent(x, *p)) / sigma) ** 2) for p in ((*fit,), (*straight, 0.0)))
    assert found.ppm == pytest.approx(ppm, abs=0.1)
    assert found.ppm == pytest.approx(fit[2], rel=1e-5)
    assert found.error_ppm == pytest.approx(np.sqrt(cov[2, 2]), rel=1e-4)
    assert found.unexplained == pytest.approx(np.sqrt(left / bend), rel=1e-4)


def test_a_latency_that_is_known_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, _, inv = world()
    found = clocks.of_loopback(inv, sweep, late(DELAY))
    monkeypatch.setattr(delays, "peak_s", None)
    assert clocks.of_loopback(inv, sweep, late(DELAY), DELAY).ppm == pytest.approx(found.ppm, abs=1e-6)


def test_a_silent_loopback_has_no_drift() -> None:
    sweep, _, inv = world()
    assert clocks.of_loopback(inv, sweep, np.zeros(len(inv.f), complex)) == ClockDrift(0.0, 0.0, 1.0)


def test_stretched_is_the_signal_between_its_samples() -> None:
    n = np.arange(4000.0)
    x = np.sin(0.31 * n)
    y = clocks.stretched(x.astype(np.float32), 300.0)
    wanted = np.sin(0.31 * n / (1.0 + 300e-6))
    assert len(y) == len(x)
    assert np.max(np.abs(y - wanted)[200:-200]) < 2e-6
    assert clocks.stretched(x, 0.0) == pytest.approx(x, abs=1e-12)
    whole = clocks._read(x, np.array([-500.0, -70.0, 4100.0]))
    assert np.array_equal(whole, np.zeros(3))
    impulse = np.zeros(300)
    impulse[[0, 299]] = 1.0, 2.0
    assert not clocks._read(impulse, np.array([-64.5, 64.5, 234.5, 363.5])).any()  # beyond either half of the sinc
    t = np.array([-63.5, -0.25, 0.5, 63.75, 299.5, 362.5])
    near = np.where(t < 150, t, t - 299.0)
    kernel = np.sinc(near) * np.i0(10.0 * np.sqrt(1.0 - (near / 64.0) ** 2)) / np.i0(10.0)
    assert clocks._read(impulse, t) == pytest.approx(np.where(t < 150, 1.0, 2.0) * kernel, abs=2e-15)  # rounding


def test_steps_of_stretched_stimuli() -> None:
    assert clocks.stepped(0.031) == pytest.approx(0.04)
    assert clocks.stepped(-7.129) == pytest.approx(-7.12)
    assert clocks.stepped(0.009) == 0.0


def test_what_is_left_of_a_drift_is_taken_out_of_the_phase() -> None:
    sweep, _, inv = world()
    f = np.clip(np.maximum(inv.f, 1e-3), *sweep.swept)
    bend = np.exp(-2j * np.pi * np.maximum(inv.f, 1e-3) * 4e-6 * sweep.rate * np.log(f / sweep.swept[0]))
    for kind, error in ((np.complex128, 1e-12), (np.complex64, 1e-6)):
        given = np.stack([bend, 2.0 * bend]).astype(kind)
        out = clocks.unbent(given, inv, sweep, 4.0)
        assert out.dtype == kind
        assert np.max(np.abs(out - np.array([[1.0], [2.0]]))) < error


def test_responses_on_one_clock() -> None:
    """A circular response of inputs that run 200 ppm faster: sample ``n (1 + d)`` belongs at ``n`` from time zero."""
    size, before, samples, d = 4096, 50, 900, 200e-6
    n = np.arange(size)
    ends = n - size
    pulse = np.exp(-(((n - 870.0) / 9.0) ** 2)) * np.cos(0.4 * (n - 870.0)) + 0.5 * np.exp(
        -(((np.where(n < size // 2, n, ends) + 20.0) / 9.0) ** 2)
    )
    whole = np.stack([pulse, -2.0 * pulse])[None].astype(np.float32)
    out = clocks.at_one_rate(whole, before, samples, 1e6 * d)
    at = (np.arange(samples) - before) * (1.0 + d) + before
    wanted = np.exp(-(((at - 870.0) / 9.0) ** 2)) * np.cos(0.4 * (at - 870.0)) + 0.5 * np.exp(
        -(((at + 20.0) / 9.0) ** 2)
    )
    assert out.shape == (1, 2, samples)
    assert out.dtype == np.float32
    assert np.max(np.abs(out[0] - np.array([[1.0], [-2.0]]) * wanted)) < 2e-6
    exact = clocks.at_one_rate(whole.astype(np.float64), before, samples, 1e6 * d)
    assert np.max(np.abs(exact[0] - np.array([[1.0], [-2.0]]) * wanted)) < 2e-6
