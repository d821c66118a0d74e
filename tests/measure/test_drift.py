"""What changed between two captures of one source: level, polarity and closure, against signals made for it."""

from __future__ import annotations

import numpy as np
import pytest

from sweetspot.measure.judge import drift
from sweetspot.measure.judge.drift import Closure
from sweetspot.rigs.units import Float

FS, TAPS = 47872, 1024
NAMES = ("ear_left", "ear_right")


def signals(gain: float = 1.0, late: float = 0.0, seed: int = 1) -> Float:
    """Two microphones' responses, decaying noise from 100 Hz up, ``late`` samples later."""
    rng = np.random.default_rng(seed)
    x = np.fft.rfft(rng.standard_normal((2, TAPS)) * np.exp(-np.arange(TAPS) / 60.0))
    f = np.fft.rfftfreq(TAPS)
    return gain * np.fft.irfft(x * np.exp(-2j * np.pi * f * (late + 200.0)), TAPS)


def test_closure_by_hand() -> None:
    """The second microphone closes worst: 1 dB more and a quarter of a sample later than at the beginning."""
    first = signals()
    gain = 10.0 ** (1.0 / 20.0)
    again = np.stack([signals()[0] * 1.001, signals(gain, 0.25)[1]])
    found = drift.closure(first, again, FS, (500.0, 4000.0), NAMES)
    f = np.fft.rfftfreq(TAPS, 1.0 / FS)
    inside = (f >= 500.0) & (f <= 4000.0)
    power = np.abs(np.fft.rfft(first[1])[inside]) ** 2
    factor = gain * np.exp(-2j * np.pi * f[inside] / FS * 0.25)
    error = np.sum(power * np.abs(factor - 1.0) ** 2) / np.sum(power)
    assert found.mic == "ear_right"
    assert found.error_db == pytest.approx(10.0 * np.log10(error), abs=1e-6)
    assert found.level_db == pytest.approx(1.0, abs=1e-9)
    assert found.shift_samples == pytest.approx(0.25, abs=1e-9)
    same = drift.closure(first, first, FS, (500.0, 4000.0), NAMES)
    assert (same.mic, same.error_db) == ("ear_left", -300.0)
    assert (same.level_db, same.shift_samples) == pytest.approx((0.0, 0.0), abs=1e-12)


def test_the_shift_weighs_bins_by_what_they_hold() -> None:
    """A hum in one bin that turns by itself: the shift is that of the rest, by least squares over ``|cross|``."""
    first, f = signals(), np.fft.rfftfreq(TAPS, 1.0 / FS)
    spectrum = np.fft.rfft(first)
    spectrum[1, 30] *= 0.01 * np.exp(1j)
    again = np.fft.irfft(spectrum * np.exp(-2j * np.pi * f / FS * 0.4), TAPS)
    found = drift.closure(first, again, FS, (f[20], f[80]), NAMES)
    a, b = (np.fft.rfft(h)[1, 20:81] for h in (first, again))
    w, x, y = np.abs(b * a.conj()), 2.0 * np.pi * f[20:81] / FS, np.angle(b * a.conj())
    expected = -np.linalg.lstsq(np.sqrt(w)[:, None] * x[:, None], np.sqrt(w) * y, rcond=None)[0][0]
    assert found.mic == "ear_right"
    assert found.shift_samples == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("level", "shift", "moved"),
    [
        (0.5, 1.0, False),
        (-0.5, -1.0, False),
        (0.51, 0.0, True),
        (-0.51, 0.0, True),
        (0.0, 1.01, True),
        (0.0, -1.01, True),
    ],
)
def test_what_moved_is_reported_in_full(level: float, shift: float, moved: bool) -> None:
    one = Closure("ear_left", -31.4, level, shift)
    line = f"closure -31 dB at the reference position (level {level:+.2f} dB, {shift:+.2f} samples, ear_left)"
    assert one.moved is moved
    assert one.text() == line + (": something moved or drifted during the set" if moved else "")
    assert one.to_dict() == {
        "mic": "ear_left", "error_db": -31.4, "level_db": level, "shift_samples": shift, "moved": moved,
    }  # fmt: skip


@pytest.mark.parametrize("expected", [0.0, 6.0, -7.0])
@pytest.mark.parametrize(("step", "refused"), [(9.9, False), (-9.9, False), (10.1, True), (-10.1, True)])
def test_a_level_may_change_by_ten_decibels_more_than_distance_explains(
    expected: float, step: float, refused: bool
) -> None:
    before = signals(seed=4)
    now = before.copy()
    now[1] *= 10.0 ** ((expected + step) / 20.0)
    now[0] *= 10.0 ** (expected / 20.0)
    found = drift.changed(now, before, FS, 150.0, expected, NAMES)
    assert (found is not None) is refused
    if found:
        assert found.kind == "change"
        assert found.text == f"the level of ear_right changed by {step:+.0f} dB since the last position (limit 10 dB)"


def in_band(h: Float, low: float, high: float, inside: float, outside: float) -> Float:
    """Responses with one gain between two frequencies and another elsewhere."""
    f = np.fft.rfftfreq(2 * TAPS, 1.0 / FS)
    gain = np.where((f >= low) & (f <= high), inside, outside)
    return np.fft.irfft(np.fft.rfft(h, 2 * TAPS) * gain, 2 * TAPS)[:, :TAPS]


def test_only_a_drivers_lowest_two_octaves_count() -> None:
    """From 1.2 to 4.8 times its lower edge; above, a turn of the head may change much, below there is nothing."""
    before = signals(seed=4)
    assert drift.changed(in_band(before, 700.0, 6000.0, 1.0, 30.0), before, FS, 1000.0, 0.0, NAMES) is None
    louder = drift.changed(in_band(before, 1150.0, 5000.0, 30.0, 1.0), before, FS, 1000.0, 0.0, NAMES)
    assert louder is not None
    assert drift.changed(in_band(before, 1150.0, 5000.0, -1.0, 1.0), before, FS, 1000.0, 0.0, NAMES) is not None
    assert drift.changed(in_band(before, 700.0, 6000.0, 1.0, -1.0), before, FS, 1000.0, 0.0, NAMES) is None
    assert drift.changed(in_band(before, 5000.0, 24000.0, 30.0, 1.0), before, FS, 1000.0, 0.0, NAMES) is None
    assert drift.changed(in_band(before, 0.0, 1100.0, 30.0, 1.0), before, FS, 1000.0, 0.0, NAMES) is None


def test_quiet_responses_are_judged_as_loud_ones_are() -> None:
    before = 1e-6 * signals(seed=4)
    found = drift.changed(10.0 * before, before, FS, 150.0, 0.0, NAMES)
    assert found is not None
    assert "ear_left changed by +20 dB" in found.text


@pytest.mark.parametrize("seed", range(11, 17))
def test_the_correlation_is_the_naive_sum_over_the_band(seed: int) -> None:
    """Of 24 taps, over the bins of twice their number from 1.2 to 4.8 times the lower edge, lag by lag."""
    rng = np.random.default_rng(seed)
    before = rng.standard_normal(24)
    now = -before + 0.4 * rng.standard_normal(24)
    bins, n = np.arange(4, 13), np.arange(24)  # 3.12 and 12.48 bins are the edges
    kernel = np.exp(-2j * np.pi * np.outer(bins, n) / 48.0)
    a, b = kernel @ now, kernel @ before
    lags = [np.sum((a * b.conj() * np.exp(2j * np.pi * bins * lag / 48.0)).real) for lag in range(-23, 25)]
    expected = min(lags) / np.sqrt(np.sum(np.abs(a) ** 2) * np.sum(np.abs(b) ** 2))
    found = drift.changed(now[None], before[None], FS, 2.6 * FS / 48.0, 0.0, NAMES[:1])
    assert found is not None
    assert f"(correlation {expected:.2f})" in found.text


LATEST = int(drift.LAG_S * FS)


@pytest.mark.parametrize(
    ("late", "refused"),
    [(0, True), (100, True), (-100, True), (LATEST, True), (-LATEST, True), (160, False), (-160, False)],
)
def test_the_opposite_is_looked_for_within_three_milliseconds(late: int, refused: bool) -> None:
    rng = np.random.default_rng(7)
    before = np.zeros((2, TAPS))
    before[:, 400:500] = rng.standard_normal((2, 100))
    now = before.copy()
    now[1] = -2.0 * np.roll(before[1], late)
    found = drift.changed(now, before, FS, 900.0, 0.0, NAMES)
    assert (found is not None) is refused
    if found:
        assert found.kind == "change"
        assert found.text.startswith(
            "the polarity of ear_right is the opposite of that at the last position (correlation -1.00)"
        )
    assert drift.changed(2.0 * np.roll(before, late, axis=1), before, FS, 900.0, 0.0, NAMES) is None


@pytest.mark.parametrize(
    ("late", "refused"), [(LATEST, True), (-LATEST, True), (LATEST + 1, False), (-LATEST - 1, False)]
)
def test_three_milliseconds_to_the_sample(late: int, refused: bool) -> None:
    """A tweeter's band is so wide that its correlation a sample beside the peak is small."""
    before = np.zeros((2, TAPS))
    before[:, 400:500] = np.random.default_rng(7).standard_normal((2, 100))
    found = drift.changed(-np.roll(before, late, axis=1), before, FS, 4400.0, 0.0, NAMES)
    assert (found is not None) is refused


@pytest.mark.parametrize(("share", "refused"), [(0.2, True), (0.5, False)])
def test_a_weak_likeness_turned_is_no_opposite(share: float, refused: bool) -> None:
    """Correlation of ``-(1-s)`` of its power turned, the rest unlike: -0.89 and -0.71 around the limit of -0.75."""
    rng = np.random.default_rng(9)
    before = rng.standard_normal((2, TAPS)) * np.exp(-np.arange(TAPS) / 300.0)
    other = rng.standard_normal((2, TAPS)) * np.exp(-np.arange(TAPS) / 300.0)
    now = -np.sqrt(1.0 - share) * before + np.sqrt(share) * other
    assert (drift.changed(now, before, FS, 900.0, 0.0, NAMES) is not None) is refused


def test_a_tone_is_as_much_its_opposite_as_itself() -> None:
    """Half a period later a tone fits as well: no polarity is derived from it."""
    t = np.arange(TAPS)
    tone = np.stack([np.sin(2 * np.pi * 2000.0 / FS * t) * np.hanning(TAPS)] * 2)
    assert drift.changed(-tone, tone, FS, 900.0, 0.0, NAMES) is None


def test_silence_says_nothing_and_the_next_microphone_is_looked_at() -> None:
    before = signals(seed=4)
    before[0] = 0.0
    now = 10.0 * signals(seed=4)
    found = drift.changed(now, before, FS, 150.0, 0.0, NAMES)
    assert found is not None
    assert "ear_right" in found.text
    assert drift.changed(np.zeros((2, TAPS)), before, FS, 150.0, 0.0, NAMES) is None
