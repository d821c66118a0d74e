"""The SPL limiter: tones that begin, several programs, rest and release, and the detectors it hears with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sweetspot.processor.dynamics import SplLimiter, covering, largest_level, together
from sweetspot.processor.dynamics.spl_limiter import FAR, NEAR, RELEASE_S
from sweetspot.processor.engine import Engine
from sweetspot.processor.filterset import NO_DETECTORS, louder
from sweetspot.processor.live.offline import FileBlocks
from sweetspot.processor.plain import bypass, on_pair
from sweetspot.processor.render import measured, render
from tests.filter_sets import FS, filter_set
from tests.processor.streams import ragged

ONSET_DB = 2.5


def flat(gain: float = 1.0, taps: int = 8) -> np.ndarray:
    """Detectors of all programs: the sound pressure over the limit is the signal times ``gain``."""
    made = np.zeros((3, taps))
    made[:, 0] = gain
    return made


def tone(hz: float, level: float, seconds: float = 1.5, rows: tuple[float, ...] = (1.0, 0.0, 0.0)) -> np.ndarray:
    """A tone of this power in each row, behind a fifth of a second of silence."""
    t = np.arange(round(seconds * FS)) / FS
    return (np.outer(rows, 2.0**0.5 * level * np.sin(2 * np.pi * hz * t) * (t > 0.2))).astype(np.float32)


def loudest_db(x: np.ndarray) -> float:
    """Largest level over 125 ms, re the limit, dB."""
    size = FS // 8
    power = np.cumsum(np.pad(x.astype(float) ** 2, (size, 0)))
    return float(10.0 * np.log10(np.max(power[size:] - power[:-size]) / size))


@pytest.mark.parametrize("hz", [80.0, 1000.0, 9000.0])
@pytest.mark.parametrize("over_db", [1.0, 4.0, 7.0, 12.0])
def test_a_tone_is_held_to_the_limit(hz: float, over_db: float) -> None:
    y = SplLimiter(flat(), FS).process(tone(hz, 10 ** (over_db / 20)))[0]
    assert loudest_db(y) < ONSET_DB + 0.1
    assert loudest_db(y[-FS // 2 :]) == pytest.approx(0.0, abs=0.5 if hz < 100.0 else 0.1)


def test_nothing_is_touched_below_the_limit_whether_detectors_run_or_not() -> None:
    for level, runs in ((0.85 * FAR, 0), (0.5 * (NEAR + 1.0), 1)):
        limiter, x = SplLimiter(flat(), FS), tone(500.0, level)
        assert np.array_equal(limiter.process(x), x)
        assert limiter.memory.runs == runs
        assert limiter.limiter == (1.0, 0)
    loud = tone(500.0, 100.0)
    assert np.array_equal(SplLimiter(NO_DETECTORS[0], FS).process(loud), loud), "no levels are known"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_that_no_sound_has_are_turned_down_and_forgotten(dtype: type) -> None:
    """Their squares are infinite in single precision, and a filter's output may be no number."""
    limiter, x = SplLimiter(flat(), FS), tone(500.0, 0.3, 6.0).astype(dtype)
    x[0, 20000:20200] = 3e25
    y = limiter.process(x)
    assert np.isfinite(y).all()
    assert limiter.limiter[0] < 1e-6
    assert y[0, -FS // 4 :] == pytest.approx(x[0, -FS // 4 :], rel=1e-6)


def test_programs_add_up_in_the_worst_case() -> None:
    """Half of the limit from each of three programs, all at one place in phase; each alone is far below."""
    y = SplLimiter(flat(), FS).process(tone(700.0, 0.5, rows=(1.0, -1.0, 1.0)))
    assert loudest_db(np.abs(y[:, -FS // 2 :]).sum(axis=0)) == pytest.approx(0.0, abs=0.1)
    assert np.ptp(y[0] + y[1]) == 0.0, "all are turned down alike"


def test_what_follows_with_a_gain_counts() -> None:
    x = tone(700.0, 0.5)
    y = np.concatenate([SplLimiter(flat(), FS).process(x, gain)[0] * gain for gain in (1.0, 2.2, 8.0)])
    assert [loudest_db(part[-FS // 2 :]) for part in np.split(y, 3)] == pytest.approx([-6.0, 0.0, 0.0], abs=0.1)


def test_only_what_the_place_hears_counts() -> None:
    """A detector of a narrow peak: the tone there is held, a tone beside it 20 dB above the limit passes."""
    f = np.linspace(0.0, FS / 2, 4097)
    peak = 1.0 / np.sqrt(1.0 + ((f - 3000.0) / 100.0) ** 2) + 0.01
    detectors = covering(np.stack([peak] * 3), 512)
    there, beside = (SplLimiter(detectors, FS).process(tone(hz, 5.0))[0] for hz in (3000.0, 9000.0))
    assert loudest_db(there[-FS // 2 :]) < 0.1
    assert np.array_equal(beside, tone(9000.0, 5.0)[0])


def test_after_the_end_it_is_transparent_again() -> None:
    limiter = SplLimiter(flat(), FS)
    limiter.process(tone(1000.0, 10.0, 1.0))
    quiet = tone(1000.0, 0.3, 4.0)
    y = limiter.process(quiet)
    back = int((0.2 + 20.0 * RELEASE_S) * FS)
    assert np.array_equal(y[:, back:], quiet[:, back:])
    limiter.reset()
    assert np.array_equal(limiter.process(quiet), quiet)
    assert limiter.limiter == (1.0, 0)


def test_where_a_stream_is_cut_does_not_matter() -> None:
    x = np.random.default_rng(3).standard_normal((3, 30000)).astype(np.float32) * np.linspace(0.0, 3.0, 30000)
    x = x.astype(np.float32)
    detectors = covering(1.0 + np.random.default_rng(4).random((3, 513)), 64)
    whole = SplLimiter(detectors, FS).process(x)
    assert np.abs(whole).max() < 0.5 * np.abs(x).max()
    assert np.array_equal(ragged(SplLimiter(detectors, FS), x, (1, 700, 31, 33)), whole)


def test_the_largest_level_is_that_which_is_held() -> None:
    detectors, x = (
        covering(0.2 + np.random.default_rng(4).random((3, 513)), 64),
        tone(2000.0, 3.0, rows=(1.0, 0.3, 0.0)),
    )
    limiter = SplLimiter(detectors, FS)
    limiter.process(x)
    assert largest_level(detectors, x, FS) == pytest.approx(1.0 / limiter.limiter[0], rel=1e-6)
    assert largest_level(detectors, 1e-3 * x, FS) == pytest.approx(1e-3 / limiter.limiter[0], rel=1e-5)


def test_detectors_are_at_least_as_loud_as_wanted_and_hardly_more() -> None:
    f = np.linspace(0.0, FS / 2, 8193)
    smooth = np.exp(np.cos(2 * np.pi * np.outer([1.0, 2.0, 3.0], f) / 8000.0))
    rough = smooth * (0.5 + np.random.default_rng(5).random(smooth.shape))
    for wanted, more_db in ((smooth, 0.7), (rough, 6.0)):
        made = np.abs(np.fft.rfft(covering(wanted, 512), 4 * 8192))[:, ::2]
        over = 20.0 * np.log10(made / wanted)
        assert over.min() > -0.01
        assert over.mean() < more_db


def test_detectors_of_two_sets_cover_both() -> None:
    one, two = (covering(0.1 + np.random.default_rng(s).random((3, 513)), n) for s, n in ((1, 64), (2, 128)))
    both = together(one, NO_DETECTORS[0], two)
    assert together(one, NO_DETECTORS[0]) is one
    assert together(one, one.copy()) is one
    assert not together(NO_DETECTORS[0], NO_DETECTORS[0]).size
    magnitudes = [np.abs(np.fft.rfft(d, 4096)) for d in (both, one, two)]
    assert (magnitudes[0] > 0.98 * np.maximum(*magnitudes[1:])).all()


def test_files_and_streams_are_held_alike() -> None:
    """The block path for files, the engine in single and in double precision: the same, but for rounding."""
    h = np.zeros((3, 2, 40))
    h[[0, 1, 2, 2], [0, 1, 0, 1], 20] = 0.02
    held = filter_set(h, detectors=np.stack([flat(20.0), flat(30.0)]))
    x = np.random.default_rng(6).standard_normal((2, 40000)) * np.linspace(0.0, 0.2, 40000)
    blocks = FileBlocks(held)
    made = np.concatenate([y.copy() for y in blocks.process([x.T.astype(np.float32)])]).T
    single, double = (render(held, x, FS, tail=True, dtype=dtype) for dtype in (np.float32, np.float64))
    assert blocks.spl_limiter[0] < 0.5
    assert 0 < blocks.spl_limiter[1] < 41000
    assert made == pytest.approx(double, abs=2e-7)
    assert single == pytest.approx(double, abs=2e-7)
    free = render(replace(held, detectors=NO_DETECTORS), x, FS, tail=True)
    assert np.abs(double[:, -9000:-1000]).max() < 0.6 * np.abs(free[:, -9000:-1000]).max()
    quiet = 1e-3 * x
    assert np.array_equal(render(held, quiet, FS), render(replace(held, detectors=NO_DETECTORS), quiet, FS))


def test_a_gain_and_a_fade_do_not_get_around_it() -> None:
    """The volume of the command is in the filters, that of a running engine behind them."""
    h = np.zeros((3, 2, 8))
    h[0, 0, 0] = h[1, 1, 0] = 1.0
    held = filter_set(0.01 * h, detectors=np.stack([flat(), flat()]))
    x = np.pad(tone(1000.0, 0.7)[:1], ((0, 1), (0, 0)))
    for gain_db in (0.0, 6.0, 12.0):
        engine = Engine(held, dtype=np.float32)
        engine.fade(10 ** (gain_db / 20), 0.0)
        for y in (engine.process(x), render(louder(held, gain_db), x, FS)):
            wanted = min(20 * np.log10(0.7) + gain_db, 0.0)
            assert loudest_db(100.0 * y[0, -FS // 2 :]) == pytest.approx(wanted, abs=0.1)


def test_the_bypass_has_detectors_of_its_own_and_measured_responses_are_those_of_the_filters() -> None:
    h = np.random.default_rng(1).standard_normal((3, 2, 40)) * 0.1
    held = filter_set(h, "soft-projection", detectors=np.stack([flat(3.0), flat(5.0)]))
    assert np.array_equal(bypass(held, on_pair((0, 1), 2)).detectors, np.stack([flat(5.0), flat(5.0)]))
    assert held.scaled(2.0).detectors == pytest.approx(2.0 * held.detectors)
    loud = replace(held, detectors=1e4 * held.detectors)
    assert measured(loud).taps == pytest.approx(measured(replace(held, detectors=NO_DETECTORS)).taps, abs=1e-6)


@pytest.mark.parametrize(
    ("detectors", "text"),
    [
        (np.zeros((3, 8)), "detectors has shape"),
        (np.zeros((2, 2, 8)), r"detectors has shape \(2, 2, 8\)"),
        (np.zeros((2, 3, 65537)), "at most 65536"),
        (np.full((2, 3, 8), 1e10), "detectors holds a value above 1e"),
        (np.full((2, 3, 8), np.nan), "detectors"),
    ],
)
def test_other_detectors_are_refused(detectors: np.ndarray, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        filter_set(np.ones((3, 2, 8)), detectors=detectors)
