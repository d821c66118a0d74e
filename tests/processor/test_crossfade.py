"""Changing filters and gain while sound runs: no click, and exact afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sweetspot.processor.crossfade import Crossfaded, Fader, Walked
from sweetspot.processor.engine import Engine
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.render import render
from sweetspot.rigs.errors import BadInput
from tests.filter_sets import filter_set

Real = NDArray[Any]
FS = 47872


def filters(sign: float, ceiling: float = 0.9) -> FilterSet:
    h = np.zeros((3, 5, 400))
    h[:, :, 150] = np.arange(1, 16).reshape(3, 5) / 40.0
    h[:, :, 399] = sign * 0.05
    return filter_set(h, channels=(1, 2, 3, 4, 5), ceiling=ceiling, delay_samples=150, headroom_db=0.0)


def tone(n: int) -> Real:
    t = np.arange(n) / FS
    return np.stack([0.5 * np.sin(2 * np.pi * 100 * t), 0.3 * np.cos(2 * np.pi * 130 * t)])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_new_filters_take_over_without_a_click_and_are_exact_afterwards(dtype: Any) -> None:
    old, new = filters(1.0), replace(filters(-1.0), taps=filters(-1.0).taps * 0.5)
    x = tone(24000)
    engine = Engine(old, 64, dtype=dtype)
    pieces = []
    for i, start in enumerate(range(0, 24000, 100)):
        if i == 80:
            engine.exchange(new)
        pieces.append(engine.process(x[:, start : start + 100]))
    y = np.concatenate(pieces, axis=1)[:, engine.latency :]
    before, after = render(old, x, FS)[:, : y.shape[1]], render(new, x, FS)[:, : y.shape[1]]
    assert np.max(np.abs(y - before)[:, :7900]) < 1e-6
    done = 8000 + 400 + round(0.05 * FS)
    assert np.max(np.abs(y - after)[:, done:]) < 1e-6
    steps = np.abs(np.diff(y, axis=1))
    assert np.max(steps[:, 600:]) < 1.3 * max(np.max(np.abs(np.diff(v, axis=1))[:, 600:]) for v in (before, after))


def test_the_lower_ceiling_holds_during_the_change() -> None:
    engine = Engine(filters(1.0, 0.9), 64)
    engine.exchange(filters(1.0, 0.1))
    square = np.where(np.arange(6000) // 50 % 2, 1.0, -1.0)
    assert np.max(np.abs(engine.process(np.stack([square, square])))) <= 0.1


def test_filters_of_another_unit_are_refused() -> None:
    engine = Engine(filters(1.0))
    with pytest.raises(BadInput, match="sampling rate is 48000"):
        engine.exchange(replace(filters(1.0), fs=48000))
    four = replace(filters(1.0), taps=np.ones((3, 4, 9)), drivers=tuple("abcd"), channels=(1, 2, 3, 4))
    with pytest.raises(BadInput, match="number of drivers is 4"):
        engine.exchange(four)


def raised_cosine(start: float, end: float, length: int, samples: int) -> Real:
    """The gain after 1, 2, 3 ... samples."""
    share = np.minimum(np.arange(1, samples + 1) / length, 1.0)
    return np.asarray(start + (end - start) * np.sin(0.5 * np.pi * share) ** 2)


def test_a_fader_moves_softly_and_is_transparent_at_rest() -> None:
    fader, ones = Fader(), np.ones((2, 100))
    assert np.array_equal(fader.process(ones.copy()), ones)
    fader.move(0.0, 1000)
    down = np.concatenate([fader.process(ones.copy()) for _ in range(12)], axis=1)
    assert np.max(np.abs(down - raised_cosine(1.0, 0.0, 1000, 1200))) < 1e-12
    assert np.max(np.abs(np.diff(down))) < 0.002
    assert not down[:, 1000:].any()
    fader.move(1.0, 500)
    up = np.concatenate([fader.process(ones.copy()) for _ in range(6)], axis=1)
    assert np.max(np.abs(up - raised_cosine(0.0, 1.0, 500, 600))) < 1e-12
    assert np.array_equal(fader.process(ones.copy()), ones)
    fader.move(0.5, 100)
    fader.process(ones[:, :40].copy())
    half_way = fader.gain
    fader.move(1.0, 10)
    assert fader.process(ones[:, :1].copy())[0, 0] == pytest.approx(half_way, abs=0.02)


def test_an_engine_starts_and_stops_softly() -> None:
    engine, x = Engine(filters(1.0), 64), tone(4000)
    engine.process(x)
    engine.fade(0.0, 0.02)
    y = engine.process(x)
    assert not y[:, round(0.02 * FS) + engine.latency :].any()


def test_a_change_to_the_same_filters_is_not_heard_at_all() -> None:
    """The new filters know the past before they are heard."""
    x, engine = tone(9000), Engine(filters(1.0), 64)
    first = engine.process(x[:, :4000])
    engine.exchange(filters(1.0), seconds=0.01)
    y = np.concatenate([first, engine.process(x[:, 4000:])], axis=1)
    assert np.max(np.abs(y - Engine(filters(1.0), 64).process(x))) < 1e-12


class Sum:
    """A matrix of one input and output with these taps, sample by sample."""

    latency = 7

    def __init__(self, *taps: float) -> None:
        self.taps, self.past = np.array(taps), np.zeros(len(taps) - 1)

    def reset(self) -> None:
        self.past[:] = 0.0

    def process(self, x: Real) -> Real:
        whole = np.concatenate([self.past, x[0]])
        self.past = whole[x.shape[1] :]
        return np.convolve(whole, self.taps)[None, len(self.taps) - 1 : len(whole)]


def test_filters_that_walk_know_the_past_and_fade_in_at_once() -> None:
    x = np.random.default_rng(3).standard_normal((1, 400))
    it = Walked(Sum(1.0, 0.5, 0.25), 1, 3)  # type: ignore[arg-type]
    assert it.latency == 7
    out = [it.process(x[:, :1]), it.process(x[:, 1:150])]
    it.walk(Sum(-1.0, 0.0, 2.0), 40)  # type: ignore[arg-type]
    assert it.changing
    out += [it.process(x[:, 150:189]), it.process(x[:, 189:189])]
    assert it.changing
    out.append(it.process(x[:, 189:190]))
    assert not it.changing
    out.append(it.process(x[:, 190:]))
    before, after = (np.convolve(x[0], taps)[:400] for taps in ([1.0, 0.5, 0.25], [-1.0, 0.0, 2.0]))
    weight = np.sin(0.5 * np.pi * np.clip(np.arange(400) - 149, 0, 40) / 40) ** 2
    assert np.max(np.abs(np.concatenate(out, axis=1)[0] - (before + weight * (after - before)))) < 1e-12
    it.reset()
    it.walk(Sum(0.0, 1.0, 0.0), 1)  # type: ignore[arg-type]
    assert it.process(np.ones((1, 3))).tolist() == [[0.0, 1.0, 1.0]]  # nothing is left of what was before


@pytest.mark.parametrize("fade", [0, 1])
def test_a_change_without_length_is_whole_at_the_next_sample(fade: int) -> None:
    it = Crossfaded(Sum(1.0, 1.0))  # type: ignore[arg-type]
    assert not it.changing
    it.exchange(Sum(3.0, 0.0), 2, fade)  # type: ignore[arg-type]
    assert it.process(np.ones((1, 4))).tolist() == [[1.0, 2.0, 3.0, 3.0]]
    assert not it.changing


def test_a_reset_ends_a_change_and_forgets() -> None:
    it = Crossfaded(Sum(1.0, 1.0))  # type: ignore[arg-type]
    it.process(np.ones((1, 4)))
    it.exchange(Sum(0.0, 2.0), 100, 50)  # type: ignore[arg-type]
    it.process(np.ones((1, 4)))
    it.reset()
    assert not it.changing
    assert it.process(np.ones((1, 2))).tolist() == [[0.0, 2.0]]


def test_a_fader_that_moves_takes_pieces_of_no_and_of_one_sample() -> None:
    fader = Fader(0.5)
    fader.move(1.0, 1)
    assert fader.process(np.ones((2, 0))).shape == (2, 0)
    assert fader.gain == 0.5
    assert fader.process(np.ones((2, 1))).tolist() == [[1.0], [1.0]]
    assert fader.gain == 1.0
