"""The live block path as compiled code: ring, upmix, filters, guard and meters in one callback, without Python.

It does for one block what :class:`sweetspot.processor.live.player.Player` does in Python, on the memory that
:class:`block.Fused` lays out and whose address it is handed; the transforms and products inside it are those
of :mod:`compiled.matrix_kernel`. The audio library calls it by its address: no Python code runs, no lock is taken,
nothing is allocated. Compiled code is kept on disk, so that only the first start waits for the compiler.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sweetspot.processor.guard import DC_SHARE, limit
from sweetspot.processor.live.memory import (
    AMOUNT,
    BLOCKS,
    CLASSES,
    ENDED,
    FINISHED,
    GAIN,
    HELD,
    MUTE,
    PEAKS,
    QUIT,
    STARVED,
    STEP,
    WORST,
    XRUNS,
)
from sweetspot.processor.live.state import (
    CLOCK_MONOTONIC,
    CLOCK_THREAD,
    COUNT,
    INPUT_BAD,
    INPUTS,
    OFFSET,
    OUTPUT_BAD,
    OUTPUTS,
    SLOT,
    STATE,
    TILE,
    TILES,
    TOLD,
    ask,
    call,
    carray,
    f32,
    f64,
    flush,
    i64,
    matrix,
    numba,
    types,
)

_jit = numba.njit(cache=True, error_model="numpy")
_limit: Any = _jit(limit)


def _seconds(s: Any, which: Any) -> Any:
    ask(s.clock, which, s.time)
    time = carray(i64(s.time), 2)
    return time[0] + 1e-9 * time[1]


def _silence(y: Any) -> None:
    for o in range(y.shape[0]):
        for i in range(y.shape[1]):
            y[o, i] = np.float32(0.0)


def _from_ring(s: Any, x: Any) -> None:
    """Fill ``x (2, block)`` from the ring; zeros, counted, where it is empty."""
    counters, size, n = carray(i64(s.counters), 2), s.ring_size, x.shape[1]
    ring, meters = carray(f32(s.ring), (2, size)), carray(f64(s.meters), PEAKS)
    got = min(n, counters[0] - counters[1])
    at = counters[1] % size
    for i in range(got):
        x[0, i], x[1, i] = ring[0, at], ring[1, at]
        at = at + 1 if at + 1 < size else 0
    for i in range(got, n):
        x[0, i] = x[1, i] = np.float32(0.0)
    counters[1] += got
    if got < n:
        if carray(f64(s.controls), 16)[ENDED] != 0.0:
            s.tail -= n - got
            if s.tail <= 0:
                meters[FINISHED] = 1.0
        else:
            meters[STARVED] += n - got


def _frame(s: Any, amount: Any) -> None:
    """The centre of the last ``window`` samples, added to what is to be played."""
    window, span = s.window, s.span
    heard, frames = carray(f32(s.heard), (2, window)), carray(f32(s.frames), (2, window))
    shape, synthesis = carray(f32(s.shape), window), carray(f32(s.synthesis), span)
    first = window - s.at
    sounding = False
    for half in range(2):
        start, stop, shift = (0, first, s.at) if half == 0 else (first, window, -first)
        for i in range(start, stop):
            mid = heard[0, i + shift] + heard[1, i + shift]
            side = heard[0, i + shift] - heard[1, i + shift]
            frames[0, i], frames[1, i] = mid * shape[i], side * shape[i]
            sounding |= (mid != 0.0) | (side != 0.0)
    carray(f32(s.decays), 1)[0] = np.float32(s.decay if sounding else 0.0)
    call(s.centre_run, s.centre_told)
    made, open_ = carray(f32(s.centre), window), carray(f32(s.open), span)
    gain, skip, first = np.float32(amount), window - span, span - s.phase
    for i in range(first):
        open_[s.phase + i] += gain * synthesis[i] * made[skip + i]
    for i in range(first, span):
        open_[i - first] += gain * synthesis[i] * made[skip + i]


def _upmix(s: Any, x: Any, programs: Any) -> None:
    """Left, right and centre ``(3, block)`` of ``x (2, block)``; see :class:`sweetspot.processor.upmix.Framed`."""
    if s.window == 0:
        for i in range(x.shape[1]):
            programs[0, i], programs[1, i], programs[2, i] = x[0, i], x[1, i], np.float32(0.0)
        return
    amount = carray(f64(s.controls), 16)[AMOUNT]
    heard, open_ = carray(f32(s.heard), (2, s.window)), carray(f32(s.open), s.span)
    done, n = 0, x.shape[1]
    while done < n:
        here = min(n - done, s.hop - s.waiting, s.window - s.at, s.span - s.phase)
        back = s.at - s.span if s.at >= s.span else s.at - s.span + s.window
        for i in range(here):
            old = back + i if back + i < s.window else back + i - s.window
            centre = open_[s.phase + i]
            programs[0, done + i], programs[1, done + i] = heard[0, old] - centre, heard[1, old] - centre
            programs[2, done + i] = centre
            open_[s.phase + i] = np.float32(0.0)
            heard[0, s.at + i], heard[1, s.at + i] = x[0, done + i], x[1, done + i]
        done += here
        s.at = (s.at + here) % s.window
        s.phase = (s.phase + here) % s.span
        s.waiting += here
        if s.waiting == s.hop:
            s.waiting = 0
            _frame(s, amount)


def _filter(m: Any, x: Any, rows: Any, y: Any) -> None:
    """``y (drivers, block)`` of the programs; see :class:`sweetspot.processor.compiled.matrix.CompiledMatrix`."""
    inputs, outputs, block = rows.size, y.shape[0], y.shape[1]
    head, told = carray(f32(m.x), (inputs, m.x_skip)), carray(i64(m.told), TOLD)
    for i in range(inputs):
        for n in range(block):
            head[i, block + n] = x[rows[i], n]
    m.slot = (m.slot - inputs) % m.order
    told[COUNT], told[SLOT] = 1, m.slot
    call(m.run, m.told)
    out = carray(f32(m.out), (outputs, m.out_skip))
    for o in range(outputs):
        for n in range(block):
            y[o, n] = out[o, n]
    if m.ratio > 0:
        _far(m, head, y)
    for i in range(inputs):
        for n in range(block):
            head[i, n] = head[i, block + n]


def _far(m: Any, head: Any, y: Any) -> None:
    """Add what the far partitions answer, and do this block's share of their work."""
    inputs, outputs, block = head.shape[0], y.shape[0], y.shape[1]
    large, turn = m.ratio * block, m.turn
    gathered, answer = carray(f32(m.gathered), (inputs, large)), carray(f32(m.answer), (outputs, large))
    for o in range(outputs):
        for i in range(block):
            y[o, i] += answer[o, turn * block + i]
    for i in range(inputs):
        for n in range(block):
            gathered[i, turn * block + n] = head[i, block + n]
    told, last = carray(i64(m.far_told), TOLD), turn + 1 == m.ratio
    told[COUNT], told[SLOT] = 1, (m.far_slot - inputs) % m.far_order
    told[INPUTS], told[OUTPUTS] = inputs if turn == 0 else 0, outputs if last else 0
    told[TILE] = m.far_tiles * turn // m.ratio
    told[TILES] = m.far_tiles * (turn + 1) // m.ratio - told[TILE]
    call(m.far_run, m.far_told)
    m.turn = 0 if last else turn + 1
    if last:
        m.far_slot = (m.far_slot - inputs) % m.far_order
        out, x = carray(f32(m.far_out), (outputs, m.far_out_skip)), carray(f32(m.far_x), (inputs, m.far_x_skip))
        for o in range(outputs):
            for n in range(large):
                answer[o, n] = out[o, n]
        for i in range(inputs):
            for n in range(large):
                x[i, n], x[i, large + n] = x[i, large + n], gathered[i, n]


def _crossfaded(s: Any, x: Any, y: Any) -> Any:
    """``y (drivers, block)``, while filters are changed from the old ones to the new; the ceiling and its float32."""
    matrices, rows = carray(matrix(s.matrices), 3), carray(i64(s.rows), s.inputs)
    if s.next < 0 and s.wanted != s.playing:
        s.next, s.passed = s.wanted, 0
    now = matrices[s.playing]
    _filter(now, x, rows, y)
    if s.next < 0:
        return now.ceiling, now.limit
    new, other = matrices[s.next], carray(f32(s.other), y.shape)
    _filter(new, x, rows, other)
    for i in range(y.shape[1]):
        share = min(max((s.passed + i + 1 - new.warm) / s.fade, 0.0), 1.0)
        weight = np.float32(0.5 - 0.5 * np.cos(np.pi * share))
        for o in range(y.shape[0]):
            y[o, i] += weight * (other[o, i] - y[o, i])
    s.passed += y.shape[1]
    if s.passed >= new.warm + s.fade:
        s.playing, s.next = s.next, -1
    return min(now.ceiling, new.ceiling), min(now.limit, new.limit)


def _faded(s: Any, y: Any) -> None:
    """Mute, start and stop softly, in place; see :class:`sweetspot.processor.crossfade.Fader`."""
    controls = carray(f64(s.controls), 16)
    muted = 1 if controls[MUTE] != 0.0 or controls[QUIT] != 0.0 else 0
    if muted != s.muted:
        share = min(s.gain_done / s.gain_length, 1.0)
        s.gain_from += (s.gain_to - s.gain_from) * (0.5 - 0.5 * np.cos(np.pi * share))
        s.gain_to, s.gain_length, s.gain_done, s.muted = 1.0 - muted, int(s.soft), 0, muted
    if s.gain_done >= s.gain_length and s.gain_to == 1.0:
        return
    for i in range(y.shape[1]):
        share = min((s.gain_done + i + 1) / s.gain_length, 1.0)
        gain = np.float32(s.gain_from + (s.gain_to - s.gain_from) * (0.5 - 0.5 * np.cos(np.pi * share)))
        for o in range(y.shape[0]):
            y[o, i] *= gain
    s.gain_done = min(s.gain_done + y.shape[1], s.gain_length)


def _judged(s: Any, y: Any, ceiling: Any) -> Any:
    """Stop on a driver signal that is not finite or has an offset."""
    mean, n = carray(f64(s.mean), y.shape[0]), y.shape[1]
    for o in range(y.shape[0]):
        total = 0.0
        for i in range(n):
            total += y[o, i]
        if not np.isfinite(total):
            s.stopped, s.stopped_driver = OUTPUT_BAD, o
            return
        mean[o] -= np.expm1(-n * s.dc_share) * (total / n - mean[o])
        if abs(mean[o]) > DC_SHARE * ceiling:
            s.stopped, s.stopped_driver, s.stopped_mean = OFFSET, o, mean[o]


def _guarded(s: Any, y: Any, ceiling: Any, most: Any) -> None:
    """``y`` in place, later and never above the ceiling; see :func:`sweetspot.processor.guard.limit`."""
    _judged(s, y, ceiling)
    if s.stopped:
        _silence(y)
        return
    limits = carray(f64(s.limits), y.shape[0])
    for o in range(y.shape[0]):
        limits[o] = most
    memory, average = carray(f64(s.guard), (2, s.width)), carray(f64(s.average), s.look + 1)
    bands, speed, seen = carray(f64(s.bands), (2, 2)), carray(f64(s.speed), 3), carray(f64(s.seen), 2)
    _limit(y, memory, average, bands, limits, speed, seen)


def _made(s: Any, heard: Any, y: Any) -> None:
    """The drivers' signals ``y`` of the next block."""
    x, programs = carray(f32(s.x), (2, s.block)), carray(f32(s.programs), (3, s.block))
    if s.heard_channels > 0:
        for i in range(s.block):
            x[0, i], x[1, i] = heard[i * s.heard_channels + s.left], heard[i * s.heard_channels + s.right]
    else:
        _from_ring(s, x)
    total = np.float32(0.0)
    for i in range(s.block):
        total += np.float32(0.0) * (x[0, i] + x[1, i])  # not a number if one of them is not finite
    if total != 0.0:
        s.stopped = INPUT_BAD if s.stopped == 0 else s.stopped
    if s.stopped:
        _silence(y)
        return
    _upmix(s, x, programs)
    ceiling, limit = _crossfaded(s, programs, y)
    _faded(s, y)
    _guarded(s, y, ceiling, limit)


def _callback(heard: Any, play: Any, frames: Any, time: Any, flags: Any, user: Any) -> Any:
    """One block, as PortAudio asks for it; always goes on."""
    s = carray(user, 1)[0]
    began, ran, mode = _seconds(s, CLOCK_MONOTONIC), _seconds(s, CLOCK_THREAD), flush(-1)
    meters, outs = carray(f64(s.meters), PEAKS + s.drivers), carray(i64(s.outs), s.drivers)
    if flags != 0 and meters[BLOCKS] > s.settled:
        meters[XRUNS] += 1.0
    played = carray(play, frames * s.channels)
    for i in range(played.size):
        played[i] = np.float32(0.0)
    if frames == s.block:
        y = carray(f32(s.y), (s.drivers, s.block))
        _made(s, heard, y)
        for o in range(s.drivers):
            peak, out = meters[PEAKS + o], outs[o]
            for i in range(s.block):
                played[i * s.channels + out] = y[o, i]
                peak = max(peak, abs(y[o, i]))
            meters[PEAKS + o] = peak
    meters[GAIN] = carray(f64(s.seen), 2)[0]
    flush(mode)
    load = (_seconds(s, CLOCK_MONOTONIC) - began) / (frames * s.period)
    if load > 1.0 and _seconds(s, CLOCK_THREAD) - ran <= frames * s.period:
        meters[HELD] += 1.0
    carray(i64(s.loads), CLASSES)[min(int(load / STEP), CLASSES - 1)] += 1
    meters[WORST] = max(meters[WORST], load)
    meters[BLOCKS] += 1.0
    return np.int32(0)


_PARTS = (
    _seconds,
    _silence,
    _from_ring,
    _frame,
    _upmix,
    _far,
    _filter,
    _crossfaded,
    _faded,
    _judged,
    _guarded,
    _made,
)
globals().update({part.__name__: _jit(part) for part in _PARTS})

_SIGNATURE = types.int32(
    types.CPointer(types.float32),
    types.CPointer(types.float32),
    types.uint64,
    types.voidptr,
    types.uint64,
    types.CPointer(numba.from_dtype(STATE)),
)


def callback() -> Any:
    """The compiled callback: its ``address``, and ``ctypes`` to call it from Python; kept alive by who holds it."""
    return numba.cfunc(_SIGNATURE, nopython=True, cache=True, error_model="numpy")(_callback)
