"""Engine and rendering of arrays: latency, alignment, linear paths, faults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from sweetspot.processor.engine import Engine, with_method
from sweetspot.processor.filterset import FilterSet, UpmixSettings
from sweetspot.processor.render import render
from sweetspot.rigs.errors import BadInput
from tests.filter_sets import filter_set

Real = NDArray[Any]
FS = 47872


def crooked(taps: int = 90, drivers: int = 5, seed: int = 0, **kw: Any) -> FilterSet:
    rng = np.random.default_rng(seed)
    h = rng.standard_normal((3, drivers, taps)) * np.exp(-np.arange(taps) / 20.0)
    h /= np.abs(h).sum(axis=(0, 2)).max() * 1.001
    h -= h.mean(axis=2, keepdims=True)
    more = {"drivers": tuple(f"d{i}" for i in range(drivers)), "channels": tuple(range(1, drivers + 1))}
    more |= {"ceiling": 1.0, "delay_samples": 20, "headroom_db": 3.0}
    return filter_set(h, "soft-projection", **(more | kw))


def sweep(n: int = FS) -> Real:
    rate = np.log(1000.0)
    return np.asarray(0.5 * np.cos(2 * np.pi * 20.0 * FS / FS / rate * (np.exp(rate * np.arange(n) / n) - 1.0)))


@pytest.mark.parametrize(("sides", "program"), [((1.0, 0.0), 0), ((0.0, 1.0), 1), ((1.0, 1.0), 2)])
def test_a_sweep_on_one_side_or_both_runs_through_one_program_only(sides: tuple[float, float], program: int) -> None:
    filters, s = crooked(), sweep()
    y = render(filters, np.outer(sides, s), FS, tail=True)
    wanted = oaconvolve(filters.taps[program], s[None], axes=1)
    assert y.shape == wanted.shape
    assert np.max(np.abs(y - wanted)) < 1e-6 * np.max(np.abs(wanted))


def test_render_keeps_the_length_and_the_filters_own_delay() -> None:
    h = np.zeros((3, 5, 40))
    h[:, :, 13] = np.arange(1, 16).reshape(3, 5) / 20.0
    filters = replace(crooked(), taps=h)
    x = np.zeros((2, 500))
    x[1, 100] = 0.7
    y = render(filters, x, FS)
    assert y.shape == (5, 500)
    assert np.allclose(y[:, 113], 0.7 * h[1, :, 13], atol=1e-12)
    assert np.max(np.abs(np.delete(y, 113, axis=1))) < 1e-12


def test_left_plus_right_is_kept_whatever_the_upmix_does_when_all_programs_share_their_filters() -> None:
    h = np.repeat(crooked().taps[:1], 3, axis=0) / 3
    x = np.random.default_rng(3).standard_normal((2, 9000)) * 0.1
    off = render(replace(crooked(), taps=h), x, FS, settings=UpmixSettings(method="off"))
    half = replace(crooked(), taps=h * np.array([1.0, 1.0, 2.0])[:, None, None])
    assert np.max(np.abs(render(half, x, FS) - off)) < 1e-12


@pytest.mark.parametrize("method", ["projection", "off"])
def test_a_stream_in_ragged_pieces_equals_the_rendering(method: str) -> None:
    filters = crooked(upmix=UpmixSettings(method=method))
    x = np.random.default_rng(1).standard_normal((2, 7000)) * 0.1
    engine, pieces, done, rng = Engine(filters, 64), [], 0, np.random.default_rng(2)
    while done < x.shape[1]:
        n = int(rng.integers(0, 400))
        pieces.append(engine.process(x[:, done : done + n]))
        done += n
    y = np.concatenate([*pieces, engine.flush()], axis=1)[:, engine.latency :]
    assert np.max(np.abs(y - render(filters, x, FS, tail=True))) < 1e-9


def test_latency_is_what_an_impulse_shows() -> None:
    h = np.zeros((3, 5, 8))
    h[:, :, 0] = 0.3
    engine = Engine(replace(crooked(), taps=h))
    x = np.zeros((2, 4000))
    x[0, 5] = 0.8
    y = engine.process(x)
    assert [int(np.argmax(np.abs(row))) for row in y] == [5 + engine.latency] * 5


def test_output_never_passes_the_ceiling_and_the_limiter_says_so() -> None:
    filters = replace(crooked(), ceiling=0.05)
    engine = Engine(filters)
    square = np.where(np.arange(20000) // 100 % 2, 1.0, -1.0)
    y = engine.process(np.stack([square, -square]))
    assert np.max(np.abs(y)) <= 0.05
    assert engine.guard.least_gain < 0.9
    assert engine.guard.limited > 0


def test_a_bad_sample_silences_the_stream_until_reset() -> None:
    engine, x = Engine(crooked()), np.full((2, 3000), 0.1)
    engine.process(x * np.where(np.arange(3000) % 2, 1, -1))
    bad = x.copy()
    bad[0, 9] = np.nan
    assert not engine.process(bad).any()
    assert "input was not finite" in engine.stopped
    assert not engine.process(x).any()
    engine.reset()
    y = engine.process(x * np.where(np.arange(3000) % 2, 1, -1))
    assert y.any()
    assert np.isfinite(y).all()


def test_silence_gives_exact_silence() -> None:
    assert not render(crooked(), np.zeros((2, 5000)), FS).any()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_samples(n: int) -> None:
    assert render(crooked(), np.full((2, n), 0.1), FS).shape == (5, n)


def test_another_rate_is_resampled() -> None:
    t = np.arange(44100) / 44100
    tone = 0.3 * np.sin(2 * np.pi * 1000 * t) * np.hanning(t.size)
    filters = crooked()
    y = render(filters, np.stack([tone, np.zeros_like(tone)]), 44100)
    there = np.arange(y.shape[1]) / FS
    wanted = 0.3 * np.sin(2 * np.pi * 1000 * there) * np.interp(there, t, np.hanning(t.size))
    direct = oaconvolve(filters.taps[0], wanted[None], axes=1)[:, : y.shape[1]]
    assert y.shape[1] == FS
    assert np.max(np.abs(y - direct)) < 1e-4 * np.max(np.abs(direct))


def test_what_cannot_be_rendered_is_refused() -> None:
    with pytest.raises(BadInput, match=r"shape \(3, 10\)"):
        render(crooked(), np.zeros((3, 10)), FS)
    with pytest.raises(BadInput, match="nan at index"):
        render(crooked(), np.array([[0.0, np.nan], [0.0, 0.0]]), FS)
    with pytest.raises(BadInput, match="left, right, centre"):
        Engine(replace(crooked(), programs=("left", "right", "rear")))
    with pytest.raises(ValueError, match=r"\(2, n\)"):
        Engine(crooked()).process(np.zeros((1, 4)))


def test_method_and_amount_can_be_replaced() -> None:
    own = UpmixSettings(window=512, hop=128)
    assert with_method(own, None, None) == own
    assert with_method(own, "off", 0.5) == replace(own, method="off", amount=0.5)


@pytest.mark.parametrize("method", ["projection", "low-latency", "off"])
def test_the_engine_without_a_compiler_plays_the_same(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite", reason="llvmlite is absent: only the numpy engine runs here")
    filters = crooked(upmix=UpmixSettings(method=method))
    x = np.random.default_rng(8).standard_normal((2, 9000)).astype(np.float32) * np.float32(0.1)
    fast = Engine(filters, 64, dtype=np.float32).process(x)
    monkeypatch.setattr("sweetspot.processor.convolver.find_spec", lambda name: None)
    plain = Engine(filters, 64, dtype=np.float32)
    assert "Compiled" not in repr(vars(plain)) + repr(vars(plain._matrix))
    y = plain.process(x)
    assert np.sqrt(np.mean((fast - y) ** 2) / np.mean(y**2)) < 1e-6
