"""The live callback as it is written, in Python, on slow clocks: its stops, meters, fades and filters, block by block.

The compiled one is tested in ``test_player.py``; this form lets mutation tests change it line by line.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sweetspot.processor import crossfade, upmix
from sweetspot.processor.bank import FilterBank
from sweetspot.processor.dynamics import guard, spl_limiter
from sweetspot.processor.engine import Engine
from sweetspot.processor.filterset import NO_DETECTORS, FilterSet, UpmixSettings
from sweetspot.processor.live import block, callback, layout, memory
from sweetspot.processor.live.block import CompiledBlock
from sweetspot.processor.live.memory import PlayerMemory, Shared
from tests.filter_sets import filter_set

FS, BLOCK = 2003, 16
SETTLE_BLOCKS, SOFT = 5, 20
CHANNELS = 6


@dataclass(frozen=True)
class Pointer:
    """An address with the kind of what lies there."""

    address: int
    kind: np.dtype[Any]


def carray(at: Any, shape: Any) -> Any:
    """The array at an address: of records whose fields are attributes, where it holds records."""
    assert at is not None
    address, kind = (at.address, at.kind) if isinstance(at, Pointer) else (_address(at), np.dtype(np.float32))
    size = int(np.prod(shape))
    found = np.frombuffer((ctypes.c_char * (size * kind.itemsize)).from_address(address), dtype=kind)
    return (found.view(np.recarray) if kind.names else found).reshape(shape)


def _address(at: Any) -> int:
    return ctypes.cast(at, ctypes.c_void_p).value or 0


def pointer(kind: Any) -> Callable[[Any], Pointer]:
    return lambda address: Pointer(int(address), np.dtype(kind))


@dataclass
class Machine:
    """Clocks that the test moves, whether denormal numbers count as zero, and where each array in memory ends."""

    monotonic: list[float] = field(default_factory=list)
    thread: list[float] = field(default_factory=list)
    flushing: list[int] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)

    def ask(self, clock: int, which: int, time: int) -> None:
        assert clock == layout.clock()
        times = {layout.CLOCK_MONOTONIC: self.monotonic, layout.CLOCK_THREAD: self.thread}[which]
        now = times.pop(0) if times else 0.0
        carray(Pointer(int(time), np.dtype(np.int64)), 2)[:] = int(now), round(1e9 * (now - int(now)))

    def flush(self, mode: int) -> int:
        self.flushing.append(int(mode))
        return 77

    def carray(self, at: Any, shape: Any) -> Any:
        """The array at an address, which must not be longer than what lies there: machine code would not notice."""
        found = carray(at, shape)
        if isinstance(at, Pointer):
            assert at.address + found.nbytes <= self.ends.get(at.address, at.address + found.nbytes)
        return found


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """The callback's functions as Python, with stand-ins for what only machine code can do."""
    made = Machine()
    for name, value in list(vars(callback).items()):
        if hasattr(value, "py_func"):
            monkeypatch.setattr(callback, name, value.py_func)
    rules = {"_judge_input": guard.judge_input, "_judge": guard.judge, "_hold": guard.hold}
    rules |= {"_limit_spl": spl_limiter.limit_spl}
    rules |= {"_ramp": crossfade.ramp, "_scale": crossfade.scale, "_mix": crossfade.mix}
    rules |= {"_advance": upmix.advance, "_frame": upmix.frame, "_weigh": upmix.weigh, "_overlap": upmix.overlap}
    kinds = {"f32": np.float32, "f64": np.float64, "i64": np.int64, "matrix": layout.MATRIX}
    stand_ins: dict[str, Any] = {name: pointer(kind) for name, kind in kinds.items()}
    stand_ins |= {"carray": made.carray, "ask": made.ask, "flush": made.flush}
    stand_ins["call"] = lambda function, given: ctypes.CFUNCTYPE(None, ctypes.c_int64)(int(function))(int(given))
    for name, value in {**rules, **stand_ins}.items():
        monkeypatch.setattr(callback, name, value)

    def run(heard: Any, play: Any, frames: int, time: Any, flags: int, user: int) -> int:
        made.ends[user] = user + layout.STATE.itemsize
        return int(callback._callback(heard, play, frames, time, flags, Pointer(user, layout.STATE)))

    put = CompiledBlock._put

    def noted(self: CompiledBlock, stage: Any, **values: Any) -> None:
        made.ends |= {v.ctypes.data: v.ctypes.data + v.nbytes for v in values.values() if isinstance(v, np.ndarray)}
        put(self, stage, **values)

    monkeypatch.setattr(CompiledBlock, "_put", noted)
    monkeypatch.setattr(block, "block_path", lambda: SimpleNamespace(address=0, ctypes=run))
    with np.errstate(invalid="ignore", over="ignore"):
        yield made


def filters(seed: int, taps: int = 40, method: str = "off", level: float = 0.1) -> FilterSet:
    rng = np.random.default_rng(seed)
    made = filter_set(level * rng.standard_normal((3, 3, taps)), method)
    return replace(made, fs=FS, upmix=UpmixSettings(method=method, window=64, hop=16))


class Live:
    """The path and its memory, fed by hand."""

    def __init__(
        self,
        first: FilterSet,
        second: FilterSet | None = None,
        heard: tuple[int, int, int] | None = None,
        bank: FilterBank | None = None,
        ring: int = 300,
        third: FilterSet | None = None,
    ) -> None:
        shared = replace(Shared.private(3), ring=(ctypes.c_float * (2 * ring))())
        self.at = PlayerMemory(shared)
        self.at.controls[memory.AMOUNT] = first.upmix.amount
        forms = (first, second or first, third or first)
        self.made = CompiledBlock(
            forms, BLOCK, CHANNELS, heard, self.at, fade_s=SOFT / FS, settle_s=SETTLE_BLOCKS * BLOCK / FS, bank=bank
        )

    def one(self, x: np.ndarray | None = None, heard: np.ndarray | None = None, flagged: bool = False) -> np.ndarray:
        """All channels ``(channel, block)`` of one block."""
        played = np.full((BLOCK, CHANNELS), 7.0, dtype=np.float32)
        if x is not None:
            self.at.write(x)
        self.made.apply_controls()
        self.made.step(heard, played, BLOCK, flagged)
        self.made.apply_controls()
        return played.T

    def play(self, x: np.ndarray) -> np.ndarray:
        """Drivers ``(3, n)`` for ``x (2, n)`` through the ring."""
        each = [self.one(x[:, i : i + BLOCK]) for i in range(0, x.shape[1], BLOCK)]
        return np.concatenate(each, axis=1)[[4, 0, 1]]


def alone(f: FilterSet, x: np.ndarray) -> np.ndarray:
    engine = Engine(f, BLOCK, dtype=np.float32)
    return np.concatenate([engine.process(x[:, i : i + BLOCK]) for i in range(0, x.shape[1], BLOCK)], axis=1)


def noise(blocks: int, level: float = 0.05, seed: int = 4) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal((2, blocks * BLOCK))).astype(np.float32)


def loud_start(it: Live) -> None:
    """Without the soft start."""
    it.made._hush(1.0)


@pytest.mark.parametrize(("method", "taps"), [("off", 40), ("projection", 40), ("off", 300)])
def test_a_block_is_the_engines(machine: Machine, method: str, taps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upmix, filters of one and of two levels, guard at work, on the unit's channels."""
    monkeypatch.setattr(block, "ratio_for", lambda *_, **__: 2)
    f, x = filters(1, taps, method), noise(40)
    x[:, 300:330] *= 30.0
    it = Live(f)
    loud_start(it)
    each = [it.one(x[:, i : i + BLOCK]) for i in range(0, x.shape[1], BLOCK)]
    y, wanted = np.concatenate(each, axis=1), alone(f, x)
    assert np.abs(wanted).max() == pytest.approx(0.5, rel=1e-3)
    assert y[[4, 0, 1]] == pytest.approx(wanted, abs=3e-6)
    assert not y[[2, 3, 5]].any()
    assert it.at.meters[memory.BLOCKS] == 40
    assert it.at.meters[memory.PEAKS :] == pytest.approx(np.abs(y[[4, 0, 1]]).max(axis=1), rel=1e-6)
    engine = Engine(f, BLOCK, dtype=np.float32)
    for i in range(0, x.shape[1], BLOCK):
        engine.process(x[:, i : i + BLOCK])
    assert it.at.meters[memory.GAIN] == pytest.approx(it.made.limiter[0])
    assert it.made.limiter[0] == pytest.approx(engine.guard.least_gain, rel=1e-4)
    assert machine.flushing == [-1, 77] * 40
    it.at.meters[memory.PEAKS + 1] = 9.0
    it.one(noise(1))
    assert it.at.meters[memory.PEAKS + 1] == 9.0


def test_each_form_is_held_by_its_own_detectors_behind_the_volume(machine: Machine) -> None:
    """A of 8 taps, B of 16, the bypass eight times as loud; +6 dB of volume, and what comes out is the engine's."""
    own, other = (np.zeros((2, 3, taps)) for taps in (8, 16))
    own[0, :, 0], other[0, :, 0], own[1, :, 0] = 8.0, 16.0, 64.0
    first = replace(filters(1), detectors=own)
    second, plain = replace(first, detectors=other), replace(first, detectors=own[[1, 1]])
    it = Live(first, second, third=plain)
    loud_start(it)
    x = noise(400, 0.4)
    x[1] = 0.0

    def level(which: int, bypass: int, volume_db: float) -> float:
        it.at.controls[memory.WHICH], it.at.controls[memory.BYPASS] = which, bypass
        it.at.controls[memory.VOLUME] = volume_db
        return float(np.std(it.play(x)[:, -100 * BLOCK :]))

    free = float(np.std(alone(replace(first, detectors=NO_DETECTORS), x)[:, -100 * BLOCK :]))
    held = [level(0, 0, 0.0), level(1, 0, 0.0), level(0, 1, 0.0), level(0, 0, 6.0)]
    assert held[0] < 0.5 * free
    assert held[1] / held[0] == pytest.approx(0.5, rel=0.02)
    assert held[2] / held[0] == pytest.approx(0.125, rel=0.02)
    assert held[3] / held[0] == pytest.approx(1.0, rel=0.02)
    assert it.at.meters[memory.GAIN] == pytest.approx(it.made.limiter[0] * it.made.spl_limiter[0])
    assert it.made.spl_limiter[0] < 0.1


@pytest.mark.parametrize("ratio", [2, 4])
def test_the_work_of_far_partitions_is_spread(machine: Machine, ratio: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a round of blocks the first transforms the inputs, the last the outputs; each tile is worked on once."""
    monkeypatch.setattr(block, "ratio_for", lambda *_, **__: ratio)
    it, far, call, given = Live(filters(1, 500)), callback._far, callback.call, []
    tiles = 0

    def work(m: Any, head: Any, y: Any) -> None:
        nonlocal tiles
        tiles = int(m.far_tiles)

        def noted(function: Any, at: Any) -> None:
            row = carray(Pointer(int(at), np.dtype(np.int64)), layout.ARGUMENTS)
            given.append(row[[layout.INPUTS, layout.OUTPUTS, layout.TILE, layout.TILES]].tolist())
            call(function, at)

        with monkeypatch.context() as patch:
            patch.setattr(callback, "call", noted)
            far(m, head, y)

    monkeypatch.setattr(callback, "_far", work)
    it.play(noise(2 * ratio))
    inputs, outputs, first, count = np.array(given).T
    assert list(inputs) == [3, *[0] * (ratio - 1)] * 2
    assert list(outputs) == [*[0] * (ratio - 1), 3] * 2
    assert tiles >= 1
    assert [t for a, n in zip(first, count, strict=True) for t in range(a, a + n)] == [*range(tiles)] * 2


def test_the_amount_of_the_centre_is_a_control(machine: Machine) -> None:
    taps = np.zeros((3, 3, 40))
    taps[2, 1, 0] = 1.0  # the centre alone, to driver b
    f = replace(filters(3, method="projection"), taps=taps)
    mono = np.tile(noise(1), (1, 20))
    mono[1] = mono[0]
    full, half = Live(f), Live(f)
    half.at.controls[memory.AMOUNT] = 0.25
    for it in (full, half):
        loud_start(it)
    a, b = full.play(mono)[1], half.play(mono)[1]
    assert np.abs(a).max() > 0.01
    assert b == pytest.approx(0.25 * a, abs=1e-5)


def test_silence_decays_nothing_in_the_averages(machine: Machine) -> None:
    """Frames of silence leave the averages of the upmix as they were: the next sound is weighed as before."""
    f = filters(1, method="projection")
    x = noise(30)
    x[:, 160:320] = 0.0
    it = Live(f)
    loud_start(it)
    assert it.play(x) == pytest.approx(alone(f, x), abs=3e-6)


def test_the_ring_is_read_in_order_and_what_is_missing_is_silence(machine: Machine) -> None:
    f, x = filters(1), noise(60)
    it = Live(f, ring=37)  # no multiple of the block: it wraps within blocks
    loud_start(it)
    y = it.play(x[:, : 50 * BLOCK])
    assert y == pytest.approx(alone(f, x[:, : 50 * BLOCK]), abs=1e-6)
    it.at.write(x[:, 800:805])
    heard = np.concatenate([x[:, :805], np.zeros((2, 43), np.float32)], axis=1)
    more = np.concatenate([it.one() for _ in range(3)], axis=1)[[4, 0, 1]]
    assert more == pytest.approx(alone(f, heard)[:, 800:], abs=1e-6)
    assert it.at.meters[memory.STARVED] == 43
    assert it.at.counters.tolist() == [805, 805]
    assert not it.at.meters[memory.FINISHED]


@pytest.mark.parametrize("over", [0, 1, 9])
def test_after_the_end_the_tail_is_played(machine: Machine, over: int) -> None:
    """To its last sample, also where whole blocks leave none or one of it."""
    f = filters(1)
    it = Live(f)
    it.play(noise(4))
    tail = it.made.latency + f.length
    rest = (over - tail) % BLOCK
    it.at.write(noise(1)[:, :rest])
    it.at.controls[memory.ENDED] = 1.0
    left, blocks = tail - (BLOCK - rest), 1
    assert left % BLOCK == over
    it.one()
    while not it.at.meters[memory.FINISHED]:
        left -= BLOCK
        blocks += 1
        assert left > -BLOCK
        it.one()
    assert left <= 0 < left + BLOCK
    assert it.at.meters[memory.FINISHED] == 1.0
    assert it.at.meters[memory.STARVED] == 0
    assert blocks >= 3


def test_inputs_of_the_device(machine: Machine) -> None:
    f, x = filters(1), noise(20, 0.4)
    heard = np.random.default_rng(5).standard_normal((x.shape[1], 4)).astype(np.float32)
    heard[:, 3], heard[:, 1] = 4.0 * x[0], 4.0 * x[1]
    for most_db, limit in ((np.inf, np.inf), (3.0, 1.0)):
        one = replace(f, most_db=most_db)
        it = Live(one, heard=(4, 4, 2))
        loud_start(it)
        each = [it.one(heard=heard[i : i + BLOCK]) for i in range(0, len(heard), BLOCK)]
        wanted = alone(f, np.clip(4.0 * x, -limit, limit).astype(np.float32))
        assert np.concatenate(each, axis=1)[[4, 0, 1]] == pytest.approx(wanted, abs=1e-6)


def test_the_only_input_of_a_device_is_held_to_full_scale_too(machine: Machine) -> None:
    """It feeds both sides; filters that move a driver far take no more."""
    it, x = Live(replace(filters(1), most_db=3.0), heard=(1, 1, 1)), 4.0 * noise(20, 0.4)[:1]
    assert np.abs(x).max() > 2.0
    loud_start(it)
    each = [it.one(heard=x[:, i : i + BLOCK].T) for i in range(0, x.shape[1], BLOCK)]
    wanted = alone(filters(1), np.clip(x[[0, 0]], -1.0, 1.0))
    assert np.concatenate(each, axis=1)[[4, 0, 1]] == pytest.approx(wanted, abs=1e-6)


def test_what_comes_from_the_ring_is_not_clipped_again(machine: Machine) -> None:
    f, x = replace(filters(1), most_db=3.0), noise(20, 1.0)
    assert np.abs(x).max() > 2.0
    it = Live(f)
    loud_start(it)
    assert it.play(x) == pytest.approx(alone(f, x), abs=3e-6)


def amplifier(gain: float) -> FilterSet:
    """Driver ``b`` gets the left side times ``gain``, the others next to nothing of the right."""
    taps = np.zeros((3, 3, 40))
    taps[0, 1, 3], taps[1, 0, 3], taps[1, 2, 3] = gain, 1e-3, 1e-3
    return replace(filters(1), taps=taps)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_constant_offset_stops_the_output(machine: Machine, sign: float) -> None:
    """0.4 under a ceiling of 0.5: ``0.4 (1 - exp(-t / 0.5 s))`` passes half of the ceiling after 0.49 s."""
    it = Live(amplifier(4.0))
    loud_start(it)
    y = it.play(np.full((2, FS // BLOCK * BLOCK), sign * 0.1, dtype=np.float32))
    began, ended = np.flatnonzero(np.abs(y[1]) > 0.39)[[0, -1]]
    assert ended - began == pytest.approx(0.5 * FS * np.log(0.4 / 0.15), abs=2 * BLOCK + it.made.latency)
    assert not y[:, ended + 1 :].any()
    assert it.made.stopped
    assert it.at.text[1].startswith(
        f"the guard stopped the output: driver 2 had a constant offset of {sign * 0.25:+.2f}"
    )
    assert not it.play(noise(6)).any()


def pulses(n: int) -> np.ndarray:
    """``(n,)`` of 20 dB above a ceiling of 0.5, on a floor that balances them: without them the floor is an offset."""
    y = np.where(np.arange(n) % 300 < 27, 5.0, -0.5)
    return np.asarray(y - y.mean())


def test_an_offset_that_the_limiter_makes_stops_the_output(machine: Machine) -> None:
    it, x = Live(amplifier(1.0)), np.zeros((2, 3 * FS // BLOCK * BLOCK), dtype=np.float32)
    x[0] = pulses(x.shape[1])
    loud_start(it)
    y = it.play(x)
    assert it.at.text[1].startswith("the guard stopped the output: driver 2 had a constant offset of -0.2")
    ended = int(np.flatnonzero(y[1])[-1])
    assert y[1, :ended].mean() == pytest.approx(-0.25, abs=0.1)
    assert (ended + 1) % BLOCK == 0


def test_the_offset_is_judged_against_each_drivers_own_limit(machine: Machine) -> None:
    """Driver b may have 0.3: an offset of 0.2 is more than half of it, but not of the ceiling."""
    x = np.full((2, FS // BLOCK * BLOCK), 0.05, dtype=np.float32)
    free, held = Live(amplifier(4.0)), Live(replace(amplifier(4.0), caps=(1.0, 0.3, 1.0)))
    for it in (free, held):
        loud_start(it)
        it.play(x)
    assert not free.made.stopped
    assert held.made.stopped
    assert "driver 2" in held.made.why


def test_a_driver_is_held_to_its_own_limit(machine: Machine) -> None:
    it = Live(replace(filters(1, level=2.0), caps=(1.0, 0.1, 0.3)))
    loud_start(it)
    peaks = np.abs(it.play(noise(30, 0.3))).max(axis=1)
    assert np.all(peaks <= np.array([0.5, 0.1, 0.3]))
    assert peaks[1] > 0.09


@pytest.mark.parametrize(("channel", "bad"), [(0, np.nan), (1, np.inf)])
@pytest.mark.parametrize("device", [False, True])
def test_an_input_that_is_not_finite_stops_the_output(machine: Machine, channel: int, bad: float, device: bool) -> None:
    """Also where device inputs are clipped, which would make full scale of an infinity."""
    x = np.full((2, 30 * BLOCK), 0.1, dtype=np.float32)
    x[channel, 20 * BLOCK + 5] = bad
    it = Live(replace(filters(1), most_db=3.0), heard=(2, 1, 2) if device else None)
    loud_start(it)
    y = []
    for i in range(0, x.shape[1], BLOCK):
        piece = x[:, i : i + BLOCK]
        y.append(it.one(heard=piece.T) if device else it.one(piece))
    out = np.concatenate(y, axis=1)
    assert out[:, : 20 * BLOCK].any()
    assert not out[:, 20 * BLOCK :].any()
    assert it.at.text == (2, "the guard stopped the output: the input was not finite (NaN or infinity)")


def test_a_driver_signal_that_is_not_finite_stops_the_output(machine: Machine) -> None:
    it = Live(amplifier(1e3))
    loud_start(it)
    x = np.full((2, 30 * BLOCK), 1e-5, dtype=np.float32)
    x[0, 20 * BLOCK + 5] = 3e38
    y = it.play(x)
    assert y[:, : 20 * BLOCK].any()
    assert np.isfinite(y).all()
    assert not y[:, 20 * BLOCK :].any()
    assert it.at.text == (2, "the guard stopped the output: a driver signal was not finite (NaN or infinity)")
    assert not it.play(noise(4)).any()


def cosine(n: int, length: int) -> np.ndarray:
    """The ramp over its first ``n`` samples."""
    done = np.minimum(np.arange(1, n + 1), length)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * done / length))


def test_start_volume_and_mute_are_ramps(machine: Machine) -> None:
    f, x = filters(1), noise(40)
    it, whole = Live(f), alone(f, x)
    delay = it.made.latency - Engine(f, BLOCK).upmix_latency  # the ramp is ahead of the guard
    gains = cosine(10 * BLOCK, SOFT)
    y = [it.play(x[:, : 10 * BLOCK])]
    it.at.controls[memory.VOLUME] = -6.0
    y.append(it.play(x[:, 10 * BLOCK : 20 * BLOCK]))
    low = 10.0 ** (-6.0 / 20.0)
    gains = np.r_[gains, 1.0 + (low - 1.0) * cosine(10 * BLOCK, SOFT)]
    it.at.controls[memory.MUTE] = 1.0
    y.append(it.play(x[:, 20 * BLOCK : 21 * BLOCK]))
    at = low * (1.0 - cosine(BLOCK, SOFT))
    it.at.controls[memory.MUTE] = 0.0  # before it is silent
    y.append(it.play(x[:, 21 * BLOCK : 30 * BLOCK]))
    gains = np.r_[gains, at, at[-1] + (low - at[-1]) * cosine(9 * BLOCK, SOFT)]
    it.at.controls[memory.QUIT] = 1.0
    y.append(it.play(x[:, 30 * BLOCK :]))
    gains = np.r_[gains, low * (1.0 - cosine(10 * BLOCK, SOFT))]
    late = np.r_[np.zeros(delay), gains[: len(gains) - delay]]
    out = np.concatenate(y, axis=1)
    assert out == pytest.approx(whole * late, abs=1e-6)
    assert not out[:, 30 * BLOCK + SOFT + delay :].any()


def test_a_gain_of_two_stays_where_it_is_reached(machine: Machine) -> None:
    it, f, x = Live(filters(1)), filters(1), noise(10)
    loud_start(it)
    it.at.controls[memory.VOLUME] = 6.020599913279623
    assert 10.0 ** (0.05 * it.at.controls[memory.VOLUME]) == 2.0
    late = SOFT + it.made.latency
    assert it.play(x)[:, late:] == pytest.approx(2.0 * alone(f, x)[:, late:], abs=2e-6)


def test_a_change_of_filters_is_a_crossfade(machine: Machine) -> None:
    """The new filters first hear as much as they are long; the lower ceiling holds for both."""
    a, b = filters(1), replace(filters(2), ceiling=0.3)
    x = noise(40)
    it = Live(a, b)
    loud_start(it)
    y = [it.play(x[:, : 8 * BLOCK])]
    it.at.controls[memory.WHICH] = 1.0
    y.append(it.play(x[:, 8 * BLOCK :]))
    out, fade = np.concatenate(y, axis=1), round(block.CHANGE_S * FS)
    later = np.where(np.arange(x.shape[1]) < 8 * BLOCK, 0.0, 1.0) * x
    new = alone(b, later.astype(np.float32))
    weights = np.r_[np.zeros(8 * BLOCK + b.length), cosine(x.shape[1] - 8 * BLOCK - b.length, fade)]
    late = np.r_[np.zeros(it.made.latency), weights[: x.shape[1] - it.made.latency]]
    assert out == pytest.approx((1.0 - late) * alone(a, x) + late * new, abs=2e-6)
    it.at.controls[memory.WHICH] = 0.0
    loud = it.play(noise(2, 30.0))
    assert np.abs(loud).max() <= 0.3


PLACES = np.array([[2.0, 0.1 * i, 0.0] for i in range(3)])


def bank_of(each: list[FilterSet]) -> FilterBank:
    return FilterBank(each[0], PLACES, np.stack([f.taps for f in each]).astype(np.float32), 0, 0.4)


@pytest.mark.parametrize("moves", [{6: 2}, {6: 1, 7: 2}, {6: 2, 14: 0, 15: 1}])
def test_a_walk_between_places(machine: Machine, moves: dict[int, int]) -> None:
    """One crossfade at a time: a place that is requested meanwhile comes after it."""
    each = [filters(seed) for seed in (1, 2, 3)]
    bank = bank_of(each)
    x = noise(30)
    it = Live(each[0], bank=bank)
    loud_start(it)
    y = []
    for i in range(30):
        it.at.controls[memory.PLACE] = moves.get(i, it.at.controls[memory.PLACE])
        y.append(it.play(x[:, i * BLOCK : (i + 1) * BLOCK]))
    fade = round(crossfade.WALK_S * FS)
    whole = [alone(f, x) for f in each]
    out, n, at = np.zeros_like(whole[0]), x.shape[1], 6 * BLOCK
    gains, now = [np.r_[np.ones(n)], np.zeros(n), np.zeros(n)], 0
    for asked, place in moves.items():
        at = max(at, asked * BLOCK)
        going = np.r_[np.zeros(at), cosine(n - at, fade)]
        gains[now], gains[place], now = gains[now] * (1.0 - going), gains[place] + going, place
        at += -(-fade // BLOCK) * BLOCK
    for gain, one in zip(gains, whole, strict=True):
        out += np.r_[np.zeros(it.made.latency), gain[: n - it.made.latency]] * one
    assert np.concatenate(y, axis=1) == pytest.approx(out, abs=2e-6)


def test_a_walk_behind_other_filters_is_immediate(machine: Machine) -> None:
    each = [filters(seed) for seed in (1, 2, 3)]
    bank = bank_of(each)
    x = noise(50)
    it = Live(each[0], filters(9), bank=bank)
    loud_start(it)
    it.at.controls[memory.WHICH] = 1.0
    it.play(x[:, : 15 * BLOCK])
    it.at.controls[memory.PLACE] = 2.0
    it.play(x[:, 15 * BLOCK : 16 * BLOCK])
    assert (it.made._state.filters.place, it.made._state.filters.going) == (2, -1)
    it.at.controls[memory.WHICH] = 0.0
    y = it.play(x[:, 16 * BLOCK :])
    assert y[:, -10 * BLOCK :] == pytest.approx(alone(each[2], x)[:, -10 * BLOCK :], abs=2e-6)


@pytest.mark.parametrize("last", [0, 2])
def test_a_walk_while_the_other_filters_fade_in_or_out(machine: Machine, last: int) -> None:
    each = [filters(seed) for seed in (1, 2, 3)]
    bank = bank_of(each)
    x = noise(60)
    it = Live(each[0], filters(9), bank=bank)
    loud_start(it)
    it.play(x[:, : 4 * BLOCK])
    it.at.controls[memory.WHICH], it.at.controls[memory.PLACE] = 1.0, 1.0
    it.play(x[:, 4 * BLOCK : 24 * BLOCK])
    it.at.controls[memory.WHICH] = 0.0
    y = [it.play(x[:, 24 * BLOCK : 25 * BLOCK])]
    it.at.controls[memory.PLACE] = last
    y.append(it.play(x[:, 25 * BLOCK :]))
    n, length = x.shape[1], each[0].length
    later = (np.where(np.arange(n) < 24 * BLOCK, 0.0, 1.0) * x).astype(np.float32)  # all that the bank has heard
    walk = np.r_[np.zeros(25 * BLOCK), cosine(n - 25 * BLOCK, round(crossfade.WALK_S * FS))]
    back = np.r_[np.zeros(24 * BLOCK + length), cosine(n - 24 * BLOCK - length, round(block.CHANGE_S * FS))]
    walk, back = (np.r_[np.zeros(it.made.latency), gain[: n - it.made.latency]] for gain in (walk, back))
    there = (1.0 - walk) * alone(each[1], later) + walk * alone(each[last], later)
    wanted = (1.0 - back) * alone(filters(9), x) + back * there
    assert np.concatenate(y, axis=1) == pytest.approx(wanted[:, 24 * BLOCK :], abs=2e-6)


def file_path(f: FilterSet) -> CompiledBlock:
    """The path of a stereo file; its halves share nothing but filters."""
    board = PlayerMemory(Shared.private(3))
    board.controls[memory.AMOUNT] = f.upmix.amount
    return CompiledBlock((f,), BLOCK, CHANNELS, (2, 1, 2), board, fade_s=0.0, settle_s=0.0, alone=True)


@pytest.mark.parametrize("method", ["off", "projection"])
def test_both_halves_of_the_path_are_the_engines(machine: Machine, method: str) -> None:
    """Of a file, some blocks at a time, each half with a state of its own; the guard at work."""
    f, x = filters(1, 300, method), noise(24)
    x[:, 150:180] *= 30.0
    path = file_path(f)
    front, back = path.halves()
    y, done = np.full((x.shape[1], CHANNELS), 7.0, dtype=np.float32), 0
    for blocks in (5, 1, 7, 11):
        frames = slice(done, done + blocks * BLOCK)
        given, programs = np.ascontiguousarray(x[:, frames].T), np.full((blocks, 3, BLOCK), 7.0, dtype=np.float32)
        front.run(given, programs, len(given))
        back.run(programs, y[frames], len(given))
        done += len(given)
    wanted = alone(f, x)
    assert done == len(y)
    assert np.abs(wanted).max() == pytest.approx(0.5, rel=1e-3)
    assert np.abs(y[:, [4, 0, 1]].T - wanted).max() < 3e-6
    assert (y[:, [2, 3, 5]] == 7.0).all()
    assert machine.flushing == [-1, 77] * 8
    assert (front.why, back.why) == ("", "")
    assert path.limiter[0] < 1.0


def test_a_file_that_is_not_finite_is_silent_from_that_block_on(machine: Machine) -> None:
    front, back = file_path(filters(1)).halves()
    x = np.ascontiguousarray(noise(6).T)
    x[3 * BLOCK + 2, 1] = np.nan
    programs, y = np.full((6, 3, BLOCK), 7.0, dtype=np.float32), np.full((6 * BLOCK, CHANNELS), 7.0, dtype=np.float32)
    front.run(x, programs, len(x))
    assert programs[2].any()
    assert not programs[3:].any()
    assert front.why == "the input was not finite (NaN or infinity)"
    back.run(programs, y, len(x))
    assert np.isfinite(y).all()
    assert back.why == ""
    programs[1, 0, 3] = np.inf
    back.run(programs, y, len(x))
    assert y[:BLOCK, [4, 0, 1]].any()
    assert not y[BLOCK:, [4, 0, 1]].any()
    assert back.why == "a driver signal was not finite (NaN or infinity)"


def test_xruns_count_once_the_stream_has_settled(machine: Machine) -> None:
    it = Live(filters(1))
    for i in range(SETTLE_BLOCKS + 1):
        it.one(noise(1), flagged=True)
        assert it.at.meters[memory.XRUNS] == 0, i
    it.one(noise(1), flagged=True)
    it.one(noise(1))
    it.one(noise(1), flagged=True)
    assert it.at.meters[memory.XRUNS] == 2


def test_another_number_of_frames_is_silence(machine: Machine) -> None:
    it = Live(filters(1))
    loud_start(it)
    it.play(noise(10, 0.3))
    played = np.full((BLOCK - 1, CHANNELS), 7.0, dtype=np.float32)
    filled = it.at.filled
    it.at.write(noise(1))
    it.made.step(None, played, BLOCK - 1, False)
    assert not played.any()
    assert it.at.filled == filled + BLOCK
    assert it.at.meters[memory.BLOCKS] == 11


@pytest.mark.parametrize(
    ("took", "ran", "held"),
    [(0.4, 0.4, 0), (1.3, 0.9, 1), (1.3, 0.99, 1), (1.3, 1.3, 0), (9.0, 0.2, 1), (0.99, 0.5, 0)],
)
def test_blocks_are_timed(machine: Machine, took: float, ran: float, held: int) -> None:
    """As shares of the block's duration: how long it took, and how long it ran; one that was held up is not ours."""
    it, whole = Live(filters(1)), BLOCK / FS
    machine.monotonic[:] = 5.25, 5.25 + took * whole
    machine.thread[:] = 3.5, 3.5 + ran * whole
    it.one(noise(1))
    meters, loads = it.at.meters, it.at.loads
    assert meters[memory.WORST] == pytest.approx(took, abs=1e-6)
    assert meters[memory.HELD] == held
    assert meters[memory.BLOCKS] == 1
    where = int(np.flatnonzero(loads)[0])
    assert loads.sum() == 1
    assert where == min(int(meters[memory.WORST] / memory.STEP), memory.CLASSES - 1)
    machine.monotonic[:] = 6.0, 6.0 + 0.1 * whole
    it.one(noise(1))
    assert meters[memory.WORST] == pytest.approx(took, abs=1e-6)
    assert meters[memory.HELD] == held
    assert (loads.sum(), meters[memory.BLOCKS]) == (2, 2)
    low = int(np.flatnonzero(loads)[0])
    machine.monotonic[:] = 7.0, 7.0 + 0.1 * whole
    it.one(noise(1))
    assert (loads[low], loads.sum()) == (2, 3)
    machine.monotonic[:], machine.thread[:] = [8.0, 8.0 + took * whole], [4.0, 4.0 + ran * whole]
    it.one(noise(1))
    assert meters[memory.HELD] == 2 * held


def test_it_always_continues(machine: Machine) -> None:
    it = Live(filters(1))
    front, _ = file_path(filters(1)).halves()
    given, played = (np.zeros((BLOCK, CHANNELS), dtype=np.float32) for _ in range(2))
    ins, outs = (x.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for x in (given, played))
    for user in (it.made.user, int(front.state.ctypes.data)):
        assert block.block_path().ctypes(ins, outs, BLOCK, None, 0, user) == 0
