"""The rules of the processor against numpy forms of their formulas, on a slow clock, so that a second is short.

They run as they are written too (``NUMBA_DISABLE_JIT=1``): mutation tests change them line by line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from sweetspot.processor.compiled import jitted, record
from sweetspot.processor.crossfade import RAMP, mix, ramp, scale
from sweetspot.processor.dynamics import Guard, guard
from sweetspot.processor.upmix import FRAME, advance, frame, overlap

Real = NDArray[Any]
FS = 2003


def reductions_of(needs: Real, look: int, speed: Real) -> Real:
    """Reduction for each need over the samples around it: ``d`` of :func:`guard.limit`, sample by sample."""
    out, fast, slow, steady, windows, passed = np.zeros(needs.size), 0.0, 0.0, 0.0, [0.0] * guard.WINDOWS, 0
    parts = [needs[i : i + look] for i in range(0, needs.size, look)]
    for n in range(needs.size):
        part = n // look
        recent = max(parts[part][: n % look + 1].max(), parts[part - 1].max() if part else 0.0)
        fast = max(recent, speed[0] * fast)
        slow += speed[1] * (steady - slow)
        fast, slow = (v if v > guard.FORGOTTEN else 0.0 for v in (fast, slow))
        out[n] = max(fast, slow)
        if n % look == look - 1:
            passed += 1
            if passed % int(speed[2]) == 0:
                long = needs[n + 1 - look * int(speed[2]) : n + 1].max()
                windows = [*windows[1:], long]
                steady = min(windows)
    return out


def limited(y: Real, ceiling: float, fs: int = FS) -> tuple[Real, Real]:
    """The two bands, one after the other, on whole signals; and the gain of each sample."""
    average, bands, speed = guard.rule_at(fs)
    look, v, gain = average.size - 1, y.astype(float), np.ones(y.shape[1])
    for pole, most in bands:
        p = lfilter([pole], [1.0, pole - 1.0], v) if pole > 0.0 else v
        size, part = np.abs(v), np.maximum(np.abs(p), 1e-300)
        asked = np.minimum((size - ceiling) / part, most * np.minimum(1.0, 2.0 * part / np.maximum(size, 1e-300)))
        needs = np.where((size > ceiling) & (v * p > 0.0), asked, 0.0).max(axis=0)
        r = np.convolve(reductions_of(needs, look, speed), average[::-1])[: y.shape[1]]
        late_v, late_p = (np.pad(x, ((0, 0), (look, 0)))[:, : y.shape[1]] for x in (v, p))
        v, gain = late_v - r * late_p, np.pad(gain, (look, 0), constant_values=1.0)[: y.shape[1]] * (1.0 - r)
    return np.clip(v, -ceiling, ceiling), gain


def music(seed: int = 3, seconds: float = 1.4) -> Real:
    """Three drivers: bass that passes the ceiling for a while, bursts, silence."""
    rng = np.random.default_rng(seed)
    n = round(seconds * FS)
    t = np.arange(n) / FS
    y = 0.15 * rng.standard_normal((3, n)) + 0.5 * np.sin(2 * np.pi * 41.0 * t) * (t < 0.9)
    y[1] *= -0.7
    y[2, 200:203], y[0, 900], y[1, 2000:2020] = 1.5, -2.2, 0.9
    y[:, 2100:2700] = 0.0
    return y


def pieces(n: int, seed: int = 5) -> list[slice]:
    cuts = np.cumsum(np.random.default_rng(seed).integers(1, 90, n))
    ends = [int(c) for c in cuts if c < n] + [n]
    return [slice(a, b) for a, b in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_limiter_is_its_formula(dtype: Any) -> None:
    y = music().astype(dtype)
    it = Guard(3, 0.43, FS)
    out = np.concatenate([it.process(y[:, p]) for p in pieces(y.shape[1])], axis=1)
    wanted, gain = limited(y, float(guard.not_above(0.43, dtype)), FS)
    assert out.dtype == dtype
    assert np.max(np.abs(out - wanted)) < (1e-12 if dtype == np.float64 else 1e-6)
    assert np.max(np.abs(out)) <= 0.43
    worked = gain < 1.0 - guard.FORGOTTEN
    # a sample's gains of both bands apply at one moment of the rule, a look-ahead apart in the signal
    assert it.least_gain == pytest.approx(gain.min(), abs=0.05)
    assert it.limited == pytest.approx(np.count_nonzero(worked), rel=0.05)
    assert not it.stopped


def test_one_sample_over_the_ceiling_is_cured_by_hand() -> None:
    """A sample of 0.8 on nothing, ceiling 0.4: the low band holds ``pole`` of it, and the whole is halved."""
    y = np.zeros((2, 60))
    y[1, 10] = 0.8
    it = Guard(2, 0.4, FS)
    out = it.process(y)
    pole, look = it.rule.bands[0, 0], it._look
    low = min(0.4 / (pole * 0.8), 0.5 * min(1.0, 2.0 * pole))
    after = 0.8 * (1.0 - low * pole)
    assert out[1, 10 + 2 * look] == pytest.approx(0.8 * (1 - low * pole) * (0.4 / after), rel=1e-9)
    assert not out[0].any()
    assert it.latency == 2 * look
    it.reset()
    assert it.limited == 0
    assert it.least_gain == 1.0


def test_means_are_judged_as_time_goes_by() -> None:
    """0.3 on the second driver, ceiling 0.5: ``0.3 (1 - exp(-t / 0.5 s))`` reaches 0.25 after 0.896 s."""
    means, stop, c = np.zeros(3), record(guard.STOP), np.array([0.9, 0.5, 0.9])
    y, share = np.zeros((3, 50)), 1.0 / (guard.DC_TIME_S * FS)
    y[0], y[1], y[2] = 0.44, -0.3, 0.1
    blocks = 0
    while not stop.reason:
        jitted(guard.judge)(y, means, share, c, stop)
        blocks += 1
        assert means[1] == pytest.approx(-0.3 * (1.0 - np.exp(-blocks * 50 * share)), rel=1e-9)
    assert blocks == int(np.ceil(guard.DC_TIME_S * np.log(6.0) * FS / 50))
    assert (int(stop.reason), int(stop.driver)) == (guard.OFFSET, 1)
    assert stop.offset == means[1]
    assert stop.limit == 0.25
    assert guard.reason(stop).startswith("driver 2 had a constant offset of -0.25")
    y[0] = np.nan
    jitted(guard.judge)(y, means, share, c, stop)
    assert (int(stop.reason), int(stop.driver)) == (guard.OFFSET, 1)  # the first reason stays


@pytest.mark.parametrize("fs", [FS, 8000, 24000])
def test_an_offset_stops_after_the_same_time_at_every_rate(fs: int) -> None:
    """0.4 under a ceiling of 0.5: ``0.4 (1 - exp(-t / 0.5 s))`` reaches 0.25 after 0.49 s."""
    it, n = Guard(1, 0.5, fs), fs // 100
    blocks = 0
    while not it.stopped:
        it.process(np.full((1, n), 0.4))
        blocks += 1
    assert blocks * n / fs == pytest.approx(guard.DC_TIME_S * np.log(0.4 / 0.15), abs=0.011)


def test_an_offset_that_the_limiter_makes_of_pulses_stops_the_output() -> None:
    """Pulses of 20 dB above the ceiling on a floor that balances them: without the pulses the floor is an offset."""
    y, means, stop = np.zeros((2, 3 * FS)), np.zeros(2), record(guard.STOP)
    y[1] = np.where(np.arange(3 * FS) % 300 < 27, 5.0, -0.5)
    y[1] -= y[1].mean()
    it, c = Guard(2, 0.5, FS), np.full(2, 0.5)
    out, judged = [], slice(0)
    while not it.stopped:
        judged = slice(judged.stop, judged.stop + 50)
        jitted(guard.judge)(y[:, judged], means, it.dc_share, c, stop)
        out.append(it.process(y[:, judged]))
    assert not stop.reason
    assert not out[-1].any()
    assert guard.reason(it._stop).startswith("driver 2 had a constant offset of -0.2")
    played = np.concatenate(out[:-1], axis=1)[1]
    assert lfilter([it.dc_share], [1.0, it.dc_share - 1.0], played)[-1] == pytest.approx(-0.25, abs=0.02)
    it.reset()
    assert it.process(0.1 * y[:, :50]).any()


def test_a_long_piece_is_judged_in_stretches() -> None:
    """An offset for a second in a piece of a minute, which its mean over the piece would hide."""
    y = np.zeros((2, 60 * 200))
    y[1, 3000:6000] = 0.4
    it = Guard(2, 0.5, FS)
    assert not it.process(y).any()
    assert "driver 2" in it.stopped


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 300, 600, 900, 1029])
def test_one_sample_that_is_not_finite_stops_at_once(bad: float, at: int) -> None:
    y = np.zeros((3, 1030))
    y[2, at] = bad
    it = Guard(3, 0.5, FS)
    assert not it.process(y).any()
    assert (int(it._stop.reason), int(it._stop.driver)) == (guard.OUTPUT_BAD, 2)
    it.reset()
    assert it.stopped == ""
    it.judge_input(y)
    assert "input was not finite" in it.stopped
    it.judge_input(np.zeros((2, 5)))
    assert "input was not finite" in it.stopped
    other = Guard(3, 0.5, FS)
    other.judge_input(np.full((2, 9), 1e30))
    assert other.stopped == ""


def test_the_short_way_through_quiet_pieces_leaves_no_other_trace_than_the_long_one() -> None:
    """Sample by sample there is a short way whenever nothing is left; in whole pieces one loud sample forbids it."""
    y = 0.05 * music(9, 3.0)
    y[:, 150:170] *= 40.0
    short, long = Guard(3, 0.5, FS), Guard(3, 0.5, FS)
    out = long.process(y)
    each = np.concatenate([short.process(y[:, i : i + 1]) for i in range(y.shape[1])], axis=1)
    assert np.array_equal(out, each)
    assert short.limited == long.limited > 0
    assert short.least_gain == long.least_gain
    assert np.array_equal(traces(short._memory, 3, short._look), traces(long._memory, 3, long._look))


def rows_of(memory: Real, drivers: int, look: int) -> Real:
    """The last samples ``(band, 2, driver, look)`` of the drivers, and of their parts in the band."""
    reach = look + guard.PIECE
    rows = memory[:, guard.HEADER + drivers + reach + guard.PIECE + guard.WINDOWS :]
    return rows.reshape(2, 2, drivers, reach)[..., :look]


def traces(memory: Real, drivers: int, look: int) -> Real:
    """All that the guard may look back at, in one row: heads, low-passes, reductions, windows, samples and parts."""
    at = guard.HEADER + drivers
    ring = memory[:, at + look + 2 * guard.PIECE :][:, : guard.WINDOWS]
    rows = rows_of(memory, drivers, look)
    return np.concatenate([a.ravel() for a in (memory[:, : at + look], ring, rows[:, 0], rows[0, 1])])


def a_quiet_past(drivers: int, fs: int) -> tuple[Real, guard.Rule, Real, Real]:
    """Memory of noise under ceilings of the drivers' own; the rule; these ceilings; more of the noise."""
    rng, rule = np.random.default_rng(11), guard.rule_at(fs)
    look, ceilings = rule.average.size - 1, 0.3 + 0.4 * rng.random(drivers)
    memory = guard.memory_for(drivers, look)
    past = rng.uniform(-1.0, 1.0, (drivers, 300)) * ceilings[:, None]
    jitted(guard.limit)(past, memory, rule, ceilings, np.array([1.0, 0.0]))
    return memory, rule, ceilings, rng.uniform(-1.0, 1.0, (drivers, 700)) * ceilings[:, None]


@pytest.mark.parametrize("drivers", [1, 3, 8, 9])
@pytest.mark.parametrize(("fs", "n"), [(FS, 4), (FS, 7), (FS, 300), (16000, 33), (16000, 144), (16000, 145)])
def test_a_quiet_piece_is_delayed_to_the_bits_that_the_limiter_leaves(drivers: int, fs: int, n: int) -> None:
    """In what goes out, and in what the bands look back at; one piece after another, each of its own length."""
    memory, rule, ceilings, y = a_quiet_past(drivers, fs)
    other, out, seen = memory.copy(), y.copy(), np.array([1.0, 0.0])
    for first, last in ((0, n), (n, 2 * n + 1)):
        jitted(guard.delay)(out[:, first:last], memory, rule)
        jitted(guard.limit)(y[:, first:last], other, rule, ceilings, seen)
        look = rule.average.size - 1
        assert np.array_equal(out[:, :last], y[:, :last])
        assert np.array_equal(traces(memory, drivers, look), traces(other, drivers, look))
    assert seen.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_guard_rests_only_where_no_sample_and_no_memory_of_one_passes_its_drivers_ceiling(sign: float) -> None:
    """What meets a ceiling exactly does not pass it."""
    drivers, fs = 3, 5000
    memory, rule, ceilings, y = a_quiet_past(drivers, fs)
    look, rests = rule.average.size - 1, jitted(guard.at_rest)
    y = y[:, :20].copy()
    assert rests(y, memory, look, ceilings) == 1
    for rows in (*rows_of(memory, drivers, look)[:, 0], y):
        for o, k in np.ndindex(rows.shape):
            before = rows[o, k]
            rows[o, k] = sign * ceilings[o]
            assert rests(y, memory, look, ceilings) == 1
            rows[o, k] = sign * (ceilings[o] + 1e-9)
            assert rests(y, memory, look, ceilings) == 0
            rows[o, k] = before


@pytest.mark.parametrize("band", [0, 1])
def test_the_guard_rests_only_once_needs_and_reductions_are_forgotten(band: int) -> None:
    memory, rule, ceilings, y = a_quiet_past(2, 5000)
    look, rests = rule.average.size - 1, jitted(guard.at_rest)
    for of in (guard.NOW, guard.LAST, guard.LONG, guard.STEADY):
        memory[band, of] = 1e-9
        assert rests(y, memory, look, ceilings) == 0
        memory[band, of] = 0.0
        assert rests(y, memory, look, ceilings) == 1
    memory[band, guard.QUIET] = look + 1
    assert rests(y, memory, look, ceilings) == 1
    memory[band, guard.QUIET] = look
    assert rests(y, memory, look, ceilings) == 0


@pytest.mark.parametrize(
    ("look", "n", "way"),
    [
        (2, 4, "delay"),
        (2, 3, "limit"),
        (guard.PIECE, 2 * guard.PIECE, "delay"),
        (guard.PIECE + 1, 2 * guard.PIECE + 2, "limit"),
    ],
)
def test_pieces_at_rest_go_the_short_way_unless_the_delay_is_longer(
    look: int, n: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look-ahead longer than a piece goes the long way too."""
    rule, memory, ways = guard.rule_at(1000 * look), guard.memory_for(2, look), []
    for name in ("delay", "limit"):
        monkeypatch.setattr(guard, name, lambda *_, name=name: ways.append(name))
    seen, ceilings = np.array([1.0, 0.0]), np.full(2, 0.5)
    guard.hold(np.full((2, n), 0.5), memory, rule, ceilings, seen)
    assert ways == [way]
    guard.hold(np.full((2, n), 0.51), memory, rule, ceilings, seen)
    assert ways == [way, "limit"]


@pytest.mark.parametrize("drivers", [1, 2, 7, 8, 9, 19])
def test_each_driver_has_its_own_low_pass(drivers: int) -> None:
    rng, pole, reach = np.random.default_rng(drivers), 0.3, 40
    y, held, out = rng.standard_normal((drivers, 50)), rng.standard_normal(drivers), np.zeros(drivers * reach + 5)
    wanted = lfilter([pole], [1.0, pole - 1.0], y[:, 10:44], zi=(1.0 - pole) * held[:, None])[0]
    jitted(guard.low_pass)(y, (10, 44), held, pole, out, reach)
    rows = out[: drivers * reach].reshape(drivers, reach)
    assert np.allclose(rows[:, :34], wanted, atol=1e-14)
    assert np.allclose(held, wanted[:, -1], atol=1e-14)
    assert not rows[:, 34:].any()
    assert not out[drivers * reach :].any()


def test_only_samples_over_the_ceiling_and_with_their_part_in_the_band_need_a_reduction() -> None:
    """A part of the other sign would be raised to no use; what another driver needs stays, where it is more."""
    rng, c, most = np.random.default_rng(6), 0.4, 0.3
    v, p, before = rng.uniform(-1.0, 1.0, (3, 500)) * np.array([[1.0], [0.7], [0.2]])
    taken = np.abs(before)
    size, part = np.abs(v), np.abs(p)
    asked = np.minimum((size - c) / part, most * np.minimum(1.0, 2.0 * part / size))
    wanted = np.maximum(taken, np.where((size > c) & (v * p > 0.0), asked, 0.0))
    assert np.count_nonzero((size > c) & (v * p < 0.0) & (asked > taken)) > 50
    jitted(guard.need)(taken, v, p, c, most)
    assert np.allclose(taken, wanted, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("cap", [0.1, 0.3, 0.7])
def test_a_drivers_own_limit_holds_in_the_samples_type(cap: float) -> None:
    """Single precision has none of these numbers: the nearest below holds."""
    out = Guard(2, 1.0, FS, (1.0, cap)).process(4.0 * music()[1:].astype(np.float32))
    assert cap * (1.0 - 1e-6) < float(np.abs(out[1]).max()) <= cap
    whole = Guard(1, cap, FS).process(4.0 * music()[1:2].astype(np.float32))
    assert cap * (1.0 - 1e-6) < float(np.abs(whole).max()) <= cap


def test_a_ramp_waits_moves_and_ends_exactly() -> None:
    memory, values = record(RAMP), np.zeros(30)
    memory.start, memory.target, memory.length, memory.done = 0.25, 0.75, 16, -5
    jitted(ramp)(memory, values)
    n = np.arange(-4, 26)
    wanted = 0.25 + 0.5 * np.sin(0.5 * np.pi * np.clip(n, 0, 16) / 16) ** 2
    assert np.max(np.abs(values - wanted)) < 1e-15
    assert (values[20:] == 0.75).all()
    assert values[19] != 0.75
    assert memory.done == memory.length == 16


def test_gains_and_weights_are_those_of_their_samples() -> None:
    rng = np.random.default_rng(4)
    y, new, gains = rng.standard_normal((3, 7)), rng.standard_normal((3, 7)), rng.random(7)
    scaled, mixed = y.copy(), y.copy()
    jitted(scale)(scaled, gains)
    jitted(mix)(mixed, new, gains)
    assert np.allclose(scaled, y * gains, rtol=1e-15)
    assert np.allclose(mixed, y + gains * (new - y), rtol=1e-14)


@pytest.mark.parametrize(("window", "span", "hop"), [(24, 24, 6), (32, 8, 4), (12, 12, 3)])
def test_frames_leave_and_their_centres_come_back_where_they_belong(window: int, span: int, hop: int) -> None:
    """Each frame of mid and side is cut from the input; made centres are added with the synthesis window."""
    rng = np.random.default_rng(window)
    x, shape, synthesis = rng.standard_normal((2, 200)), rng.random(window), rng.random(span)
    memory = record(FRAME)
    memory.window, memory.span, memory.hop = window, span, hop
    heard, sums, programs = np.zeros((2, window)), np.zeros(span), np.zeros((3, 200))
    padded, centre = np.pad(x, ((0, 0), (window, 0))), np.zeros(200 + span)
    count = 0
    for p in pieces(200, 3):
        done, piece, y = 0, x[:, p], programs[:, p]
        while done < piece.shape[1]:
            before, done = done, jitted(advance)(memory, piece, done, y, heard, sums)
            assert done > before
            if memory.waiting == hop:
                frames, end = np.zeros((2, window)), (count + 1) * hop
                assert jitted(frame)(memory, heard, shape, frames)
                ours = padded[:, end : end + window]
                assert np.allclose(frames, np.stack([ours[0] + ours[1], ours[0] - ours[1]]) * shape, atol=1e-14)
                made = rng.standard_normal(window)
                jitted(overlap)(memory, made, synthesis, 0.7, sums)
                centre[end : end + span] += 0.7 * synthesis * made[window - span :]
                count += 1
    assert count == 200 // hop
    assert np.allclose(programs[2], centre[:200], atol=1e-14)
    late = np.pad(x, ((0, 0), (span, 0)))[:, :200]
    assert np.allclose(programs[:2], late - centre[:200], atol=1e-14)


def test_a_frame_sounds_when_any_of_it_does() -> None:
    memory = record(FRAME)
    memory.window, memory.span, memory.hop, memory.at = 12, 12, 3, 5
    heard, frames = np.zeros((2, 12)), np.ones((2, 12))
    assert not jitted(frame)(memory, heard, np.ones(12), frames)
    assert not frames.any()
    for at in (0, 4, 5, 11):
        for sample in ((0.5, 0.5), (0.5, -0.5), (0.0, 0.2)):
            heard[:] = 0.0
            heard[:, at] = sample
            assert jitted(frame)(memory, heard, np.ones(12), frames)


def test_times_and_bands_of_the_rule_at_a_usual_rate() -> None:
    average, bands, speed = guard.rule_at(48000)
    n = np.arange(1, 50)
    window = np.sin(np.pi * n / 50) ** 2
    assert np.allclose(average, window / window.sum(), rtol=1e-12)
    assert np.allclose(
        bands, [[1.0 - np.exp(-2.0 * np.pi * guard.LOW_HZ / 48000), guard.MOST_LOW], [0.0, 1.0]], rtol=1e-12
    )
    assert np.allclose(
        speed, [np.exp(-1 / (guard.RELEASE_S * 48000)), 1 - np.exp(-1 / (guard.SLOW_S * 48000)), 120], rtol=1e-12
    )
    assert guard.rule_at(100).average.size == 2  # at least one sample of look-ahead
    assert guard.rule_at(44100).speed[2] == 120  # whole parts of a millisecond: 120.27 would make 121 of them
    memory = guard.memory_for(3, 48)
    reach = 48 + guard.PIECE
    assert memory.shape == (2, guard.HEADER + 3 + reach + guard.PIECE + guard.WINDOWS + 2 * 3 * reach)
    assert (memory[:, guard.QUIET] == 49).all()
    assert np.count_nonzero(memory) == 2


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("at", [0, 8, 130])
def test_what_passes_the_ceiling_by_a_bit_is_limited_and_what_meets_it_is_not(sign: float, at: int) -> None:
    """On any driver and at any place of a piece; afterwards the way is short again, once all is forgotten."""
    for o in range(2):
        y = np.zeros((2, 200))
        y[o, at] = sign * 0.5
        it = Guard(2, 0.5, FS)
        out = it.process(y)
        assert it.limited == 0
        assert np.array_equal(out[:, it.latency :], y[:, : -it.latency])
        y[o, at] = sign * 0.5001
        it = Guard(2, 0.5, FS)
        it.process(y)
        assert it.least_gain < 1.0
        assert (it._memory[:, guard.QUIET] < 200).any()
        it.process(np.zeros((2, FS)))
        assert (it._memory[:, guard.QUIET] > it._look).all()


def test_the_low_band_gives_what_it_can_at_a_rate_at_which_it_is_one() -> None:
    """At 2 kHz nearly all is low band; here it is a part, and samples rise against it or with it."""
    rng = np.random.default_rng(8)
    n, fs = 3000, 16000
    y = 0.6 * rng.standard_normal((2, n)) * (np.arange(n) // 300 % 2) + 0.3 * np.sin(0.04 * np.arange(n))
    y[1] *= 0.5
    it = Guard(2, 0.7, fs)
    out = np.concatenate([it.process(y[:, p]) for p in pieces(n)], axis=1)
    wanted, gain = limited(y, float(guard.not_above(0.7, np.float64)), fs)
    assert np.max(np.abs(out - wanted)) < 1e-12
    assert gain.min() < 0.7


def a_band(look: int) -> tuple[Real, Real]:
    """The head and the ring of a band's memory that has heard nothing."""
    m = np.zeros(guard.HEADER)
    m[guard.QUIET] = look + 1
    return m, np.zeros(guard.WINDOWS)


@pytest.mark.parametrize("seed", range(4))
def test_reductions_follow_needs_of_windows_of_any_order(seed: int) -> None:
    rng, look, speed = np.random.default_rng(seed), 5, np.array([0.9, 0.05, 3.0])
    needs = rng.random(1200) * np.repeat(rng.random(80), 15)  # windows of 15 samples, each of its own level
    m, ring = a_band(look)
    found = [jitted(guard.reduction)(m, one, look, ring, speed) for one in needs]
    assert np.allclose(found, reductions_of(needs, look, speed), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 4, 5, 14, 15, 29, 47, 200])
def test_time_that_passes_without_needs_leaves_what_no_needs_leave(n: int) -> None:
    """From any part of a window and any slot of the ring, whose least is nothing."""
    look, speed = 5, np.array([0.9, 0.05, 3.0])
    for slot in range(guard.WINDOWS):
        for count, passed in ((0.0, 0.0), (4.0, 2.0), (1.0, 1.0)):
            m, ring = a_band(look)
            m[guard.SLOT], m[guard.COUNT], m[guard.PASSED] = slot, count, passed
            ring[:] = [0.4, 0.3, 0.2, 0.1]
            ring[slot - 1] = 0.0
            other, others_ring = m.copy(), ring.copy()
            jitted(guard.pass_time)(m, n, look, ring, speed)
            for _ in range(n):
                jitted(guard.reduction)(other, 0.0, look, others_ring, speed)
            assert np.array_equal(m, other)
            assert np.array_equal(ring, others_ring)


@pytest.mark.parametrize("band", [0, 1])
@pytest.mark.parametrize("of", [guard.NOW, guard.LAST, guard.LONG, guard.STEADY])
def test_a_need_of_next_to_nothing_is_remembered_through_quiet_pieces(band: int, of: int) -> None:
    """It reduces nothing by itself, but counts in its part and in its window."""
    memory, rule, ceilings, y = a_quiet_past(2, FS)
    look = rule.average.size - 1
    memory[band, of], memory[band, guard.PASSED] = 1e-9, 0.0
    head, at = memory[band, : guard.HEADER].copy(), guard.HEADER + 2 + look + 2 * guard.PIECE
    ring = memory[band, at : at + guard.WINDOWS].copy()
    n = look * (int(rule.speed[2]) + 3)
    for _ in range(n):
        jitted(guard.reduction)(head, 0.0, look, ring, rule.speed)
    jitted(guard.limit)(y[:, :n], memory, rule, ceilings, np.array([1.0, 0.0]))
    assert np.array_equal(memory[band, : guard.HEADER], head)
    assert np.array_equal(memory[band, at : at + guard.WINDOWS], ring)


def test_a_whole_signal_is_limited_in_its_own_time_and_what_has_no_ceiling_follows() -> None:
    y = music()[:2, :1500].astype(np.float32)
    follows = np.concatenate([y, 0.5 * y[:1]])
    it = Guard(2, 1.0, FS, (0.43, 0.6))
    alone = it.process(np.concatenate([y, np.zeros((2, it.latency), dtype=np.float32)], axis=1))[:, it.latency :]
    out = guard.limited(follows, np.array([*it.caps, np.inf]), FS)
    assert out.dtype == np.float32
    assert out.shape == (3, 1500)
    assert np.array_equal(out[:2], alone)
    assert np.max(np.abs(out[2] - 0.5 * out[0])) < 0.01 + np.max(np.abs(np.abs(y[0]) - np.abs(out[0]))) * 0.01
    quiet = 0.1 * follows / np.max(np.abs(follows))
    assert np.array_equal(guard.limited(quiet, np.array([0.2, 0.2, np.inf]), FS), quiet)


def test_reasons_in_full() -> None:
    stop = record(guard.STOP)
    texts = []
    for stop.reason in range(4):
        stop.driver, stop.offset, stop.limit = 1, -0.3, 0.25
        texts.append(guard.reason(stop))
    assert texts == [
        "",
        "the input was not finite (NaN or infinity)",
        "a driver signal was not finite (NaN or infinity)",
        "driver 2 had a constant offset of -0.300 (limit 0.250 of full scale)",
    ]


@pytest.mark.parametrize("ceiling", [0.0, -0.1, 1.01])
def test_a_ceiling_lies_above_zero_and_not_above_full_scale(ceiling: float) -> None:
    with pytest.raises(ValueError, match="must lie above 0 and not above full scale"):
        Guard(2, ceiling, FS)


def test_a_limit_is_rounded_down_to_a_number_of_the_samples_type() -> None:
    for limit in (0.1, 0.3, 0.7):
        rounded = float(guard.not_above(limit, np.float32))
        assert limit - 1e-7 < rounded <= limit
        assert float(np.float32(rounded)) == rounded
