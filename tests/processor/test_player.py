"""Live playing without a device: ring, controls and meters against the engine by itself."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from multiprocessing import get_context
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sweetspot.processor.engine import Engine, matching
from sweetspot.processor.filterset import FilterSet, UpmixSettings
from sweetspot.processor.live import console, memory
from sweetspot.processor.live import player as player_process
from sweetspot.processor.live.block import CompiledBlock
from sweetspot.processor.live.memory import PlayerMemory, Shared
from sweetspot.processor.live.player import PlayedProgram, prepared
from sweetspot.processor.live.stream import LivePlayer
from sweetspot.processor.plain import bypass, on_pair
from sweetspot.processor.playing import limiters
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.live_stream import Wanted, Watch
from sweetspot.rigs.units import db
from tests.filter_sets import FS, filter_set

BLOCK = 64
RNG = np.random.default_rng(9)


def filters(seed: int, method: str = "off") -> FilterSet:
    rng = np.random.default_rng(seed)
    return filter_set(0.02 * rng.standard_normal((3, 3, 200)), method)


class Fed:
    """The live path, whose controls are followed before each block."""

    def __init__(self, made: CompiledBlock) -> None:
        self.made, self.latency = made, made.latency

    def step(self, *block: Any) -> None:
        self.made.apply_controls()
        self.made.step(*block)
        self.made.apply_controls()


def player(first: FilterSet, second: FilterSet | None = None, channels: Any = None) -> tuple[Fed, PlayerMemory]:
    shared = Shared.make(get_context("spawn"), 1.0, FS, 3)
    at = PlayerMemory(shared)
    at.controls[memory.AMOUNT] = first.upmix.amount
    wanted = Wanted("x", None, None, 6, 4 if channels else 0, FS, BLOCK)
    forms = (first, second or first, bypass(first, on_pair((2, 0), 3)))
    program = PlayedProgram(forms, wanted, channels)
    return Fed(prepared(program, at)), at


def run(it: Fed, at: PlayerMemory, x: np.ndarray, heard: np.ndarray | None = None) -> np.ndarray:
    """All six channels for ``x (2, samples)`` through the ring, or for ``heard (samples, inputs)``."""
    out = []
    for i in range(0, x.shape[1], BLOCK):
        played = np.full((BLOCK, 6), 7.0, dtype=np.float32)
        if heard is None:
            at.write(x[:, i : i + BLOCK])
        it.step(None if heard is None else heard[i : i + BLOCK], played, BLOCK, False)
        out.append(played.T)
    return np.concatenate(out, axis=1)


def alone(f: FilterSet, x: np.ndarray) -> np.ndarray:
    engine = Engine(f, BLOCK, dtype=np.float32)
    return np.concatenate([engine.process(x[:, i : i + BLOCK]) for i in range(0, x.shape[1], BLOCK)], axis=1)


@pytest.fixture
def x() -> np.ndarray:
    return (0.1 * RNG.standard_normal((2, 150 * BLOCK))).astype(np.float32)


def test_what_comes_out_is_the_engine_on_the_units_channels(x: np.ndarray) -> None:
    f = filters(1, "projection")
    it, at = player(f)
    y, wanted = run(it, at, x), alone(f, x)
    settled = slice(3000, None)  # behind the soft start
    assert y[4, settled] == pytest.approx(wanted[0, settled], abs=1e-6)
    assert y[[0, 1]][:, settled] == pytest.approx(wanted[[1, 2]][:, settled], abs=1e-6)
    assert np.all(y[[2, 3, 5]] == 0.0)
    assert at.meters[memory.BLOCKS] == 150
    assert at.meters[memory.PEAKS :] == pytest.approx(np.abs(y[[4, 0, 1]]).max(axis=1), rel=1e-6)


@pytest.mark.parametrize("method", ["soft-projection", "projection", "low-latency", "similarity", "pca", "off"])
def test_every_upmix_with_long_filters_and_a_limiter_at_work(method: str) -> None:
    """Filters long enough for a second level of partitions, and bursts far above the ceiling."""
    rng = np.random.default_rng(6)
    taps = 0.02 * rng.standard_normal((3, 3, 9000)) * np.exp(-np.arange(9000) / 2000.0)
    f = replace(filters(1, method), taps=taps)
    x = (0.02 * rng.standard_normal((2, 400 * BLOCK))).astype(np.float32)
    x[:, 15000:15400] *= 40.0
    it, at = player(f)
    y, wanted = run(it, at, x), alone(f, x)
    assert np.abs(wanted).max() == pytest.approx(0.5, rel=1e-3)
    assert np.abs(y).max() <= 0.5
    settled = slice(3000, None)
    assert y[[4, 0, 1]][:, settled] == pytest.approx(wanted[:, settled], abs=2e-5)
    assert at.meters[memory.GAIN] < 0.7


def test_what_guard_and_spl_limiter_took_is_stated_at_the_end() -> None:
    """How often, how much at most, and the driver that passed its ceiling most: the second, made 12 dB louder."""
    f = replace(filters(1), taps=filters(1).taps * np.array([1.0, 4.0, 1.0])[:, None])
    x = (0.01 * np.random.default_rng(7).standard_normal((2, 100 * BLOCK))).astype(np.float32)
    it, at = player(f)
    live = Shown(f, f)
    live.board = at
    assert live.meters().guard == (1.0, 0)
    run(it, at, x)
    assert limiters(live.meters(), f) == "guard: idle; SPL limiter: none"
    x[:, 5000:5400] *= 200.0
    run(it, at, x)
    ended = live.meters()
    assert ended.guard == it.made.limiter
    assert ended.guard[0] < 0.7
    text = f"guard: up to {-db(ended.guard[0]):.2f} dB, {100.0 * ended.guard[1] / (200 * BLOCK):.0f} % of the time"
    assert limiters(ended, f) == f"{text} (most over its ceiling: {f.drivers[1]}); SPL limiter: none"


def test_silence_after_music_costs_no_more_than_music(x: np.ndarray) -> None:
    """The whole path, with a tail that dies away through denormal numbers, and with music that is nothing else."""
    f = replace(filters(1, "projection"), taps=0.02 * RNG.standard_normal((3, 3, 4000)) * np.exp(-np.arange(4000) / 90))
    it, at = player(f)

    def cost(piece: np.ndarray) -> float:
        costs = []
        for i in range(0, piece.shape[1], BLOCK):
            at.write(piece[:, i : i + BLOCK])
            played = np.zeros((BLOCK, 6), dtype=np.float32)
            began = time.perf_counter()
            it.step(None, played, BLOCK, False)
            costs.append(time.perf_counter() - began)
        return float(np.median(costs))

    loud = cost(x)
    for quiet in (np.zeros_like(x), x * np.float32(1e-39), x * np.float32(1e-30)):
        assert cost(quiet) < 2 * loud + 30e-6


def test_start_and_mute_are_soft(x: np.ndarray) -> None:
    it, at = player(filters(1))
    begun = run(it, at, x)
    assert np.abs(begun[:, :60]).max() < 0.01 * np.abs(begun[:, 4000:]).max()
    at.controls[memory.MUTE] = 1.0
    muted = run(it, at, x)
    assert np.abs(muted[:, 200:]).max() > 0.0
    assert np.all(muted[:, 3000:] == 0.0)


def test_a_and_b_and_bypass_change_without_a_click(x: np.ndarray) -> None:
    """A constant tone: after each change the output is that of the other filters alone, and no step is larger."""
    a, b = filters(1), filters(2)
    it, at = player(a, b)
    tone = np.tile(0.1 * np.sin(2 * np.pi * 500.0 * np.arange(x.shape[1]) / FS), (2, 1)).astype(np.float32)
    run(it, at, tone)
    for control, value, form in (
        (memory.WHICH, 1.0, b),
        (memory.BYPASS, 1.0, bypass(a, on_pair((2, 0), 3))),
        (memory.BYPASS, 0.0, b),
    ):
        at.controls[control] = value
        y = run(it, at, tone)[[4, 0, 1]]
        whole = alone(form, np.concatenate([tone, tone], axis=1))[:, tone.shape[1] :]
        assert np.abs(y[:, -2000:]).max() == pytest.approx(np.abs(whole[:, -2000:]).max(), rel=0.02)
        slope = max(np.abs(np.diff(y[:, -2000:])).max(), np.abs(np.diff(y[:, :500])).max())
        assert np.abs(np.diff(y)).max() <= 1.3 * slope


def test_amount_of_the_upmix_follows_its_control() -> None:
    f = replace(filters(3, "projection"), taps=np.zeros((3, 3, 200)))
    f.taps.flags.writeable = True
    taps = np.zeros((3, 3, 200))
    taps[2, 1, 0] = 1.0  # only the centre is heard, by driver b
    it, at = player(replace(f, taps=taps))
    mono = np.tile(0.1 * RNG.standard_normal(200 * BLOCK), (2, 1)).astype(np.float32)
    full = run(it, at, mono)[0, 6000:]
    at.controls[memory.AMOUNT] = 0.25
    quarter = run(it, at, mono)[0, 6000:]
    assert np.sqrt(np.mean(quarter**2)) == pytest.approx(0.25 * np.sqrt(np.mean(full**2)), rel=0.03)


def test_volume_moves_softly_and_the_guard_follows_it(x: np.ndarray) -> None:
    f = filters(1)
    it, at = player(f)
    before = run(it, at, x)[[4, 0, 1]]
    at.controls[memory.VOLUME] = -12.0
    after = run(it, at, x)[[4, 0, 1]]
    same = alone(f, np.tile(x, 2))[:, x.shape[1] :]
    assert after[:, 4000:] == pytest.approx(10 ** (-12 / 20) * same[:, 4000:], abs=1e-6)
    assert np.abs(after[:, 100:200]).max() > 0.7 * np.abs(same[:, 100:200]).max()  # on its way, no jump
    at.controls[memory.VOLUME] = 24.0
    loud = run(it, at, np.tile(x, 3))
    assert 0.49 < np.abs(loud).max() <= f.ceiling
    assert at.meters[memory.GAIN] < 0.9
    assert np.abs(before).max() < f.ceiling


def test_end_of_the_file_plays_the_tail_and_then_reports() -> None:
    f = filters(1)
    it, at = player(f)
    x = (0.1 * RNG.standard_normal((2, 40 * BLOCK))).astype(np.float32)
    run(it, at, x)
    at.controls[memory.ENDED] = 1.0
    blocks = 0
    while not at.meters[memory.FINISHED]:
        played = np.zeros((BLOCK, 6), dtype=np.float32)
        it.step(None, played, BLOCK, False)
        blocks += 1
    assert blocks * BLOCK >= f.length + it.latency > (blocks - 1) * BLOCK
    assert at.meters[memory.STARVED] == 0


def test_an_empty_ring_is_silence_and_is_counted(x: np.ndarray) -> None:
    it, at = player(filters(1))
    run(it, at, x)
    run(it, at, x)
    run(it, at, x)
    played = np.zeros((BLOCK, 6), dtype=np.float32)
    it.step(None, played, BLOCK, True)
    assert at.meters[memory.STARVED] == BLOCK
    assert at.meters[memory.XRUNS] == 1


def test_inputs_are_taken_from_the_channels_that_were_named(x: np.ndarray) -> None:
    f = filters(1)
    it, at = player(f, channels=(4, 2))
    heard = RNG.standard_normal((x.shape[1], 4)).astype(np.float32)
    heard[:, 3], heard[:, 1] = x[0], x[1]
    y = run(it, at, x, heard)
    assert y[4, 3000:] == pytest.approx(alone(f, x)[0, 3000:], abs=1e-6)


def amplifier(gain: float) -> FilterSet:
    """Driver ``b`` gets the left side times ``gain``, the others next to nothing of the right."""
    taps = np.zeros((3, 3, 200))
    taps[0, 1, 40], taps[1, 0, 40], taps[1, 2, 40] = gain, 1e-3, 1e-3
    return replace(filters(1), taps=taps)


def test_device_inputs_over_full_scale_are_clipped_where_an_excursion_is_held() -> None:
    """As in a file: the bound on what moves a driver counts on it. Elsewhere the guard alone holds the outputs."""
    loud = np.zeros((40 * BLOCK, 4), dtype=np.float32)
    loud[::3, 0], loud[1::3, 3] = 2.5, -1.5
    for most_db, same in ((3.0, np.clip(loud, -1.0, 1.0)), (np.inf, loud)):
        one = replace(filters(1), most_db=most_db)
        held, free = player(one, channels=(1, 4)), player(filters(1), channels=(1, 4))
        nothing = np.zeros((2, len(loud)), dtype=np.float32)
        assert np.array_equal(run(*held, nothing, loud), run(*free, nothing, same))


def test_an_input_that_is_not_finite_stops_the_output() -> None:
    it, at = player(filters(1))
    x = np.full((2, 40 * BLOCK), 0.1, dtype=np.float32)
    x[1, 20 * BLOCK + 5] = np.nan
    y = run(it, at, x)
    assert np.isfinite(y).all()
    assert not y[:, 20 * BLOCK :].any()
    assert at.text == (2, "the guard stopped the output: the input was not finite (NaN or infinity)")
    assert not run(it, at, np.full((2, 40 * BLOCK), 0.1, dtype=np.float32)).any()


def test_a_driver_signal_that_is_not_finite_stops_the_output() -> None:
    """An input that is finite, and a filter that takes it beyond what a float holds."""
    it, at = player(amplifier(1e3))
    x = np.full((2, 40 * BLOCK), 1e-5, dtype=np.float32)
    x[0, 20 * BLOCK + 5] = 3e38
    y = run(it, at, x)
    assert y[:, : 20 * BLOCK].any()
    assert np.isfinite(y).all()
    assert not y[:, 20 * BLOCK :].any()
    assert at.text == (2, "the guard stopped the output: a driver signal was not finite (NaN or infinity)")
    assert not run(it, at, np.full((2, 40 * BLOCK), 0.1, dtype=np.float32)).any()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_constant_offset_stops_the_output(sign: float) -> None:
    """0.4 of full scale is under the ceiling (0.5), but more than half of it for as long as it takes to warm a coil."""
    it, at = player(amplifier(4.0))
    y = run(it, at, np.full((2, FS // BLOCK * BLOCK), sign * 0.1, dtype=np.float32))
    first = int(np.flatnonzero(np.abs(y[0]) > 0.39)[0])
    stopped = int(np.flatnonzero(y[0])[-1])
    mean = 0.5 * FS * np.log(0.4 / (0.4 - 0.25))  # 0.4 (1 - exp(-t / 0.5 s)) reaches 0.25
    assert stopped - first == pytest.approx(mean, rel=0.05)
    assert not y[:, stopped + 1 :].any()
    code, reason = at.text
    assert code == 2
    assert reason.startswith(f"the guard stopped the output: driver 2 had a constant offset of {sign * 0.25:+.2f}")
    assert "(limit 0.250 of full scale)" in reason


def test_loud_bass_and_an_offset_under_the_limit_do_not_stop_the_output() -> None:
    it, at = player(amplifier(4.0))
    t = np.arange(FS // BLOCK * BLOCK) / FS
    bass = (0.12 * np.sin(2 * np.pi * 12.0 * t)).astype(np.float32)
    assert np.abs(run(it, at, np.stack([bass, bass]))).max() > 0.45
    assert np.abs(run(it, at, np.full((2, t.size), 0.055, dtype=np.float32))[0, -10:]).max() > 0.21
    assert at.text == (0, "")


@pytest.mark.parametrize(("block", "window"), [(100, 1024), (8, 1024), (8192, 1024), (BLOCK, 1000)])
def test_sizes_that_the_kernels_do_not_do_are_refused(block: int, window: int) -> None:
    f = replace(filters(1), upmix=UpmixSettings(window=window, hop=window // 4))
    program = PlayedProgram((f, f, f), Wanted("x", None, None, 6, 0, FS, block), None)
    with pytest.raises(BadInput, match="power of two from"):
        prepared(program, PlayerMemory(Shared.make(get_context("spawn"), 1.0, FS, 3)))


def read(at: PlayerMemory, out: np.ndarray) -> int:
    """The reader's side of the ring, one sample after the other."""
    n = min(out.shape[1], at.filled)
    for i in range(n):
        out[:, i] = at.ring[:, (at.counters[1] + i) % at.ring.shape[1]]
    at.counters[1] += n
    return n


def test_ring_keeps_its_order_over_many_rounds() -> None:
    at = PlayerMemory(Shared.make(get_context("spawn"), 0.01, FS, 1))
    sent, got, written = [], [], 0
    for n in RNG.integers(1, 300, 400):
        if n <= at.free:
            block = np.arange(written, written + n, dtype=np.float32) % 4096
            at.write(np.stack([block, -block]))
            sent.append(block)
            written += int(n)
        out = np.zeros((2, int(RNG.integers(1, 200))), dtype=np.float32)
        count = read(at, out)
        got.append(out[:, :count])
        assert np.all(out[:, count:] == 0.0)
    heard = np.concatenate(got, axis=1)
    assert np.all(heard[0] == np.concatenate(sent)[: heard.shape[1]])
    assert np.all(heard[1] == -heard[0])


def test_load_is_a_percentile_of_what_was_timed() -> None:
    at = PlayerMemory(Shared.make(get_context("spawn"), 0.01, FS, 1))
    assert at.percentile(0.999) == 0.0
    for load in np.linspace(0.0, 0.5, 1001):
        at.loads[int(load / memory.STEP)] += 1
    assert at.percentile(0.999) == pytest.approx(0.4995, abs=2 * memory.STEP)


def test_a_watch_reports_when_nothing_moves() -> None:
    clock = [0.0]
    watch = Watch(lambda: clock[0])
    assert not watch.stalled(1)
    clock[0] = 2.0
    assert not watch.stalled(1)
    clock[0] = 3.5
    assert watch.stalled(1)
    assert not watch.stalled(2)


def test_filter_sets_that_cannot_take_over_are_refused() -> None:
    with pytest.raises(BadInput, match="number of drivers"):
        matching(filters(1), replace(filters(2), taps=np.zeros((3, 2, 9)), drivers=("a", "b"), channels=(1, 2)))


@pytest.mark.parametrize("text", ["1", "1,1", "0,2", "a,b", "1,2,3"])
def test_channels_that_are_no_pair_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="not a pair of channels"):
        console.pair_of(text)


class Shown(LivePlayer):
    """A program that plays, without its process."""

    def __init__(self, first: FilterSet, second: FilterSet) -> None:
        self.program = PlayedProgram(
            (first, second, bypass(first, on_pair((2, 0), 3))), Wanted("x", None, None, 6, 0, FS, BLOCK), None
        )
        self.board = PlayerMemory(Shared.make(get_context("spawn"), 1.0, FS, 3))


def test_the_screen_shows_what_is_heard_and_only_keys_that_do_something() -> None:
    one, other = filters(1, "projection"), filters(2, "projection")
    live = Shown(one, other)
    live.set(memory.AMOUNT, 1.0)
    for key in "ab-m9990":
        assert console.press(live, key)
    assert console.state(live) == "[bypass] [MUTED] volume -2 dB  upmix projection 0.9"
    console.press(live, "b")
    assert console.state(live) == "[B] [MUTED] volume -2 dB  upmix projection 0.9"
    assert not console.press(live, "q")
    assert "a A/B  + - upmix amount" in console.keys_for(live)
    plain = filters(1)
    assert console.keys_for(Shown(plain, plain)) == "9 0 volume  b bypass  m mute  q quit"
    assert console.state(Shown(plain, plain)) == "[A] volume +0 dB  upmix off"


def test_xruns_that_are_ours_stand_apart_from_the_others() -> None:
    live = Shown(filters(1), filters(2))
    live.board.meters[memory.PEAKS :] = 0.25
    for load in (0.011, 0.013, 1.4):
        live.board.loads[int(load / memory.STEP)] += 1
    live.board.meters[memory.WORST], live.board.meters[memory.BLOCKS] = 1.4, 3
    live.board.meters[memory.XRUNS], live.board.meters[memory.GAIN] = 3, 1.0
    lines = console.screen(live, live.meters(), "in.wav").split("\n")
    assert "load 140.0 %, at most 140.0 %; xruns: 3, own late blocks: 1" in lines[-2]
    assert lines[1].startswith("  a       ###")
    assert lines[1].endswith(" -12.0 dBFS")
    assert lines[4].endswith(" -6.0 dBFS")
    assert not live.meters().peaks.any()


def late_and_held(at: PlayerMemory) -> tuple[int, int]:
    return int(at.loads[int(1.0 / memory.STEP) :].sum()), int(at.meters[memory.HELD])


def test_a_block_that_is_long_by_itself_is_ours() -> None:
    it, at = player(filters(1))
    it.made._state.stream.period = 1e-8
    run(it, at, np.zeros((2, 20 * BLOCK), dtype=np.float32))
    late, held = late_and_held(at)
    assert held == 0
    assert late == 20


def test_a_block_during_which_the_machine_does_something_else_is_not_ours() -> None:
    it, at = player(filters(1, "projection"))
    play = np.zeros((BLOCK, 6), dtype=np.float32)
    child = os.fork()
    if child == 0:
        try:
            while not at.controls[memory.QUIT]:
                it.made.step(None, play, BLOCK, False)
        finally:
            os._exit(0)
    for _ in range(40):
        time.sleep(0.01)
        os.kill(child, signal.SIGSTOP)
        time.sleep(0.01)
        os.kill(child, signal.SIGCONT)
    at.controls[memory.QUIT] = 1.0
    os.waitpid(child, 0)
    late, held = late_and_held(at)
    assert late >= held > 0
    assert late - held <= 1


def test_meters_are_drawn_between_floor_and_ceiling() -> None:
    assert console.bar(0.5, 0.5).startswith("#" * console.WIDTH)
    assert console.bar(0.0, 0.5).startswith("." * console.WIDTH)
    assert "-6.0" in console.bar(0.501187, 1.0)


@pytest.mark.parametrize("which", [0.0, 1.0])
def test_the_stricter_of_two_filter_sets_limits_each_driver(which: float) -> None:
    """Beside A the rig file spares driver b, beside B driver c: both hold, whichever plays."""
    loud = [replace(filters(seed), taps=20.0 * filters(seed).taps) for seed in (1, 2)]
    a, b = (replace(f, caps=c) for f, c in zip(loud, ((1.0, 0.1, 1.0), (1.0, 1.0, 0.2)), strict=True))
    it, at = player(a, b)
    at.controls[memory.WHICH] = which
    peak = np.abs(run(it, at, np.clip(RNG.standard_normal((2, 200 * BLOCK)), -1, 1).astype(np.float32))).max(axis=1)
    share = peak[[4, 0, 1]] / (0.5, 0.1, 0.2)
    assert share.max() <= 1.0
    assert share[1] > 0.8


def test_the_memory_of_a_stream_that_was_given_up_is_never_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that recovers calls back again: until then the process must have ended, with the memory in place."""
    ended: list[int] = []

    class Dead:
        output, latency_s, active, gone = SimpleNamespace(name="card"), 0.0, False, ""

        def __init__(self, _wanted: object) -> None: ...

        def __enter__(self) -> Dead:
            return self

        def __exit__(self, *_: object) -> None: ...

        def start(self, _address: int, _user: int) -> None: ...

        def lost(self) -> None: ...

    made = SimpleNamespace(address=0, user=0, apply_controls=lambda: None)
    for name, value in (("LiveStream", Dead), ("prepared", lambda *_: made), ("_hurry", int), ("_hold", int)):
        monkeypatch.setattr(player_process, name, value)
    monkeypatch.setattr(player_process, "gc", SimpleNamespace(collect=int, freeze=int, disable=int))
    monkeypatch.setattr(player_process.signal, "signal", lambda *_: None)
    monkeypatch.setattr(player_process.os, "_exit", ended.append)
    shared = Shared.private(3)
    player_process.play(SimpleNamespace(wanted=None), shared)  # type: ignore[arg-type]
    assert PlayerMemory(shared).text[0] == 3
    assert ended == [3]
