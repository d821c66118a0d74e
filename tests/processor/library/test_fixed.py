"""The library in fixed point is the same processor to its noise floor, and its guard decides alike."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest

from sweetspot.processor.engine import Engine
from sweetspot.processor.export import Options, Places
from sweetspot.processor.export.c_library import blob_of
from sweetspot.processor.plain import bypass
from tests.processor.library.cases import CASES, Case
from tests.processor.library.loaded import FIXED, FLOAT, Library, Real, crooked, error_db, music, ragged, two_ways

FLOOR_DB = -120.0
"""Of the error re the signal: the noise of 32 bits through upmix, filters and guard."""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_plays_what_our_engine_plays(shared: ctypes.CDLL, case: Case) -> None:
    """The first half second: direct convolution takes its time."""
    filters, x = case.filters(), case.sound()[:, : case.fs // 2]
    ours = Engine(filters, case.block)
    wanted = ours.process(x.astype(np.float64))
    whole, cut = (Library(shared, blob_of(filters), case.block, FIXED) for _ in range(2))
    found = whole.process(x)
    assert whole.latency() == ours.latency
    assert error_db(found, wanted) < FLOOR_DB
    assert error_db(cut.process(x, ragged(x.shape[1])), wanted) < FLOOR_DB
    assert whole.least_gain() / 2.0**31 == pytest.approx(ours.guard.least_gain, abs=1e-5)
    assert whole.least_spl_gain() / 2.0**31 == pytest.approx(ours.spl.limiter[0], rel=1e-4)
    assert abs(whole.limited() - ours.guard.limited) <= 1e-3 * ours.guard.limited
    assert (np.abs(found).max(axis=1) <= np.minimum(filters.ceiling, filters.caps or 1.0)).all()


@pytest.mark.parametrize("case", [c for c in CASES if c.loud > 1.0 and c.taps <= 1024], ids=str)
def test_the_guard_decides_as_ours_block_by_block(shared: ctypes.CDLL, case: Case) -> None:
    """How much is taken in each block, and which driver stops it when."""
    filters, b = replace(case.filters(), taps=case.filters().taps[..., :100]), case.block
    x = case.sound()[:, : case.fs // b * b]
    x[:, -case.fs // 2 :] = 1.0
    ours, one = Engine(filters, b), Library(shared, blob_of(filters), b, FIXED)
    least = []
    for at in range(0, x.shape[1], b):
        ours.guard._seen[0] = 1.0
        ours.process(x[:, at : at + b].astype(np.float64))
        one.process(x[:, at : at + b])
        least.append((ours.guard.least_gain, one.least_gain() / 2.0**31))
        assert bool(ours.stopped) == (one.stopped() > 0), at
    taken = np.array(least)
    assert np.abs(taken[:, 0] - taken[:, 1]).max() < 1e-4
    assert (taken[:, 0] < 1.0).any()
    assert one.stopped() == 3
    assert f"driver {one.stopper() + 1} " in ours.stopped
    one.reset()
    assert one.stopped() == 0
    assert one.process(x[:, :5000]).any()


def test_an_offset_that_the_limiter_makes_stops_all_at_the_same_block(shared: ctypes.CDLL) -> None:
    """Pulses of 20 dB above the ceiling on a floor that balances them."""
    filters = replace(crooked(2, 1, 8000, method="off"), taps=np.tile([[[0.0], [20.0]]], (3, 1, 1)))
    x = np.where(np.arange(16000) % 1200 < 109, 0.125, -0.0125)
    x, data = np.tile(x - x.mean(), (2, 1)), blob_of(filters)
    ours, forms = Engine(filters, 64), [Library(shared, data, 64, prefix) for prefix in (FLOAT, FIXED)]
    for at in range(0, 16000, 64):
        y = ours.process(x[:, at : at + 64])
        for one in forms:
            assert one.process(x[:, at : at + 64]) == pytest.approx(y, abs=1e-5)
            assert bool(ours.stopped) == (one.stopped() == 3), at
    assert ours.stopped.startswith("driver 2 had a constant offset of -0.2")
    assert [one.stopper() for one in forms] == [1, 1]


def test_filters_that_are_chosen_during_a_stop_play_from_the_reset_on(shared: ctypes.CDLL) -> None:
    """From its first sample, in both forms of the library and in our engine."""
    filters, x = crooked(method="off", loud=5.0), music(6000)
    other = replace(filters, taps=0.2 * filters.taps[::-1])
    data = blob_of(filters, Options(places=Places(np.zeros((2, 3)), np.stack([filters.taps, other.taps]))))
    ours, forms = Engine(filters, 64), [Library(shared, data, 64, prefix) for prefix in (FLOAT, FIXED)]
    offset, wanted = np.full((2, filters.fs), 1.0), Engine(other, 64).process(x.astype(np.float64))
    ours.process(offset)
    ours.exchange(other)
    assert not ours.process(x).any()
    ours.reset()
    assert np.array_equal(ours.process(x.astype(np.float64)), wanted)
    for one, fade in zip(forms, (0.05, 2000), strict=True):
        one.process(offset)
        one.select(1, fade)
        assert one.stopped() == 3
        assert not one.process(x).any()
        one.reset()
        assert one.stopped() == one.changing() == 0
        assert error_db(one.process(x), wanted) < FLOOR_DB


def test_controls_do_what_ours_do(shared: ctypes.CDLL) -> None:
    """Another set, the bypass, the gain and the amount: where the fades are over, exactly the other signal."""
    filters, x = crooked(method="low-latency"), music(16000)
    other = replace(filters, taps=filters.taps[::-1, ::-1])
    places = Places(np.zeros((2, 3)), np.stack([filters.taps, other.taps]))
    data = blob_of(filters, Options(plain=two_ways(), places=places))

    def played(*control: object) -> Real:
        one = Library(shared, data, 64, FIXED)
        one.process(x[:, :3000])
        getattr(one, str(control[0]))(*control[1:])
        return one.process(x[:, 3000:], ragged(13000))[:, 4000:]

    def wanted(made: Engine) -> Real:
        return made.process(x.astype(np.float64))[:, 7000:]

    def amount(value: float) -> Engine:
        made = Engine(filters, 64)
        made.amount = value
        return made

    assert error_db(played("select", 1, 2000), wanted(Engine(other, 64))) < FLOOR_DB
    assert error_db(played("set_bypass", 1, 1500), wanted(Engine(bypass(filters, two_ways()), 64))) < FLOOR_DB
    assert error_db(played("set_gain", 2**29, 1500), 0.25 * wanted(Engine(filters, 64))) < FLOOR_DB
    assert error_db(played("set_amount", 2**30), wanted(amount(0.5))) < FLOOR_DB


def test_a_fade_is_a_raised_cosine(shared: ctypes.CDLL) -> None:
    filters = crooked(2, 1, method="off")
    one = Library(shared, blob_of(filters), 64, FIXED)
    x = np.full((2, 3000), 0.1)
    x[:, ::2] *= -1.0
    steady = one.process(x)[:, 2000:]
    one.set_gain(2**30, 1000)
    late = one.latency()
    found = one.process(x)[:, late : late + 1500] / np.tile(steady[:, :2], 750)
    share = np.minimum(np.arange(1, 1501) / 1000.0, 1.0)
    assert found[0] == pytest.approx(1.0 - 0.5 * (0.5 - 0.5 * np.cos(np.pi * share)), abs=1e-5)


def test_silence_is_silence_and_the_smallest_sample_passes(shared: ctypes.CDLL) -> None:
    """Nothing idles: no rounding keeps a tail alive."""
    one = Library(shared, blob_of(crooked(2, 60, method="soft-projection")), 64, FIXED)
    one.process(music(9000))
    one.process(np.zeros((2, 4000)))
    assert not one.process(np.zeros((2, 2000))).any()
    least = np.zeros((2, 4000))
    least[:, ::2] = 2.0**-24
    assert one.process(least).any()
