"""The live block path as compiled code: from ring or device to drivers and meters in one callback, without Python.

It works on the memory that :class:`block.CompiledBlock` lays out and whose address is passed to it. Samples are
processed by the rules of :mod:`processor.upmix`, :mod:`processor.dynamics` and :mod:`processor.crossfade`, the same as
for files, and the kernels of :mod:`processor.compiled`. The audio library calls it by its address: no Python code runs,
no lock is taken, nothing is allocated. Compiled code is kept on disk, so that only the first start waits for the
compiler.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sweetspot.processor.compiled import jitted, kept
from sweetspot.processor.crossfade import mix, ramp, scale
from sweetspot.processor.dynamics import PROGRAMS, hold, judge, judge_input, limit_spl
from sweetspot.processor.live.layout import (
    ARGUMENTS,
    CLOCK_MONOTONIC,
    CLOCK_THREAD,
    COUNT,
    INPUTS,
    OUTPUTS,
    SLOT,
    SPECTRA,
    STATE,
    TILE,
    TILES,
    UPMIX_HALF,
    WHOLE,
)
from sweetspot.processor.live.memory import (
    AMOUNT,
    BLOCKS,
    CLASSES,
    DRIVER,
    ENDED,
    FINISHED,
    GAIN,
    GUARD,
    GUARDED,
    HELD,
    MUTE,
    OVER,
    PEAKS,
    PLACE,
    QUIT,
    SPL,
    SPL_LIMITED,
    STARVED,
    STEP,
    VOLUME,
    WORST,
    XRUNS,
)
from sweetspot.processor.live.state import (
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
from sweetspot.processor.upmix import advance, frame, overlap, weigh

_judge_input, _judge, _hold = jitted(judge_input), jitted(judge), jitted(hold)
_limit_spl = jitted(limit_spl)
_ramp, _scale, _mix = jitted(ramp), jitted(scale), jitted(mix)
_advance, _frame, _weigh, _overlap = jitted(advance), jitted(frame), jitted(weigh), jitted(overlap)


@kept
def _seconds(stream: Any, which: Any) -> Any:
    ask(stream.clock, which, stream.time)
    time = carray(i64(stream.time), 2)
    return time[0] + 1e-9 * time[1]


@kept
def _silence(y: Any) -> None:
    for o in range(y.shape[0]):
        for i in range(y.shape[1]):
            y[o, i] = np.float32(0.0)


@kept
def _from_ring(shared: Any, x: Any) -> None:
    """Fill ``x (2, block)`` from the ring; zeros, counted, where it is empty."""
    counters, size, n = carray(i64(shared.counters), 2), shared.ring_size, x.shape[1]
    ring, meters = carray(f32(shared.ring), (2, size)), carray(f64(shared.meters), PEAKS)
    got = min(n, counters[0] - counters[1])
    at = counters[1] % size
    for i in range(got):
        x[0, i], x[1, i] = ring[0, at], ring[1, at]
        at = at + 1 if at + 1 < size else 0
    for i in range(got, n):
        x[0, i] = x[1, i] = np.float32(0.0)
    counters[1] += got
    if got < n:
        if carray(f64(shared.controls), 16)[ENDED] != 0.0:
            shared.tail -= n - got
            if shared.tail <= 0:
                meters[FINISHED] = 1.0
        else:
            meters[STARVED] += n - got


@kept
def _upmixed(u: Any, amount: Any, x: Any, programs: Any) -> None:
    """Left, right and centre ``(3, block)`` of ``x (2, block)``; see :class:`sweetspot.processor.upmix.StftUpmix`."""
    memory = u.frame
    if memory.window == 0:
        for i in range(x.shape[1]):
            programs[0, i], programs[1, i], programs[2, i] = x[0, i], x[1, i], np.float32(0.0)
        return
    heard, sums = carray(f32(u.heard), (2, memory.window)), carray(f32(u.sums), memory.span)
    shape, frames = carray(f32(u.analysis), memory.window), carray(f32(u.frames), (2, memory.window))
    synthesis, made = carray(f32(u.synthesis), memory.span), carray(f32(u.made), memory.window)
    spectra, averages = carray(f32(u.spectra), (2, u.rows, 2, u.lanes)), carray(f64(u.averages), (u.rows, 5, u.lanes))
    done = 0
    while done < x.shape[1]:
        done = _advance(memory, x, done, programs, heard, sums)
        if memory.waiting == memory.hop:
            sounding = _frame(memory, heard, shape, frames)
            call(u.run, u.forward)
            _weigh(u.rule, spectra[0], spectra[1], averages, u.decay if sounding else 0.0)
            call(u.run, u.inverse)
            _overlap(memory, made, synthesis, amount, sums)


@kept
def _far(m: Any, head: Any, y: Any) -> None:
    """Add the output of the far partitions, and do this block's share of their work."""
    inputs, outputs, block = head.shape[0], y.shape[0], y.shape[1]
    large, turn = m.ratio * block, m.turn
    gathered, answer = carray(f32(m.gathered), (inputs, large)), carray(f32(m.answer), (outputs, large))
    for o in range(outputs):
        for i in range(block):
            y[o, i] += answer[o, turn * block + i]
    for i in range(inputs):
        for n in range(block):
            gathered[i, turn * block + n] = head[i, block + n]
    arguments, last = carray(i64(m.far_arguments), ARGUMENTS), turn + 1 == m.ratio
    arguments[COUNT], arguments[SLOT] = 1, (m.far_slot - inputs) % m.far_order
    arguments[INPUTS], arguments[OUTPUTS] = inputs if turn == 0 else 0, outputs if last else 0
    arguments[TILE] = m.far_tiles * turn // m.ratio
    arguments[TILES] = m.far_tiles * (turn + 1) // m.ratio - arguments[TILE]
    call(m.far_run, m.far_arguments)
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


@kept
def _walked(f: Any, m: Any, y: Any, gains: Any) -> None:
    """Fade from the filters of one place to those of another, in place; both share the past input."""
    arguments, twin = carray(i64(m.arguments), ARGUMENTS), carray(i64(f.twin), ARGUMENTS)
    twin[COUNT], twin[SLOT], twin[INPUTS] = 1, m.slot, 0
    call(m.run, f.twin)
    walking, out = f.walking, carray(f32(f.twin_out), y.shape)
    _ramp(walking, gains)
    _mix(y, out, gains)
    if walking.done >= walking.length:
        arguments[SPECTRA], f.place, f.going = twin[SPECTRA], f.going, -1


@kept
def _followed(f: Any, m: Any, wanted: Any, plays: Any) -> None:
    """Start the change to the requested place; immediate if the bank is not playing."""
    if f.going >= 0 and plays:
        return
    address = f.spectra + wanted * f.stride
    if not plays:
        carray(i64(m.arguments), ARGUMENTS)[SPECTRA] = address
        f.place, f.going = wanted, -1
    elif wanted != f.place:
        carray(i64(f.twin), ARGUMENTS)[SPECTRA] = address
        walking = f.walking
        walking.start, walking.target, walking.length, walking.done = 0.0, 1.0, f.walk, 0
        f.going = wanted


@kept
def _filter(m: Any, x: Any, rows: Any, y: Any) -> None:
    """``y (drivers, block)`` of the programs; see :class:`sweetspot.processor.compiled.matrix.CompiledMatrix`."""
    inputs, outputs, block = rows.size, y.shape[0], y.shape[1]
    head, arguments = carray(f32(m.x), (inputs, m.x_skip)), carray(i64(m.arguments), ARGUMENTS)
    for i in range(inputs):
        for n in range(block):
            head[i, block + n] = x[rows[i], n]
    m.slot = (m.slot - inputs) % m.order
    arguments[COUNT], arguments[SLOT] = 1, m.slot
    call(m.run, m.arguments)
    out = carray(f32(m.out), (outputs, m.out_skip))
    for o in range(outputs):
        for n in range(block):
            y[o, n] = out[o, n]
    if m.ratio > 0:
        _far(m, head, y)
    for i in range(inputs):
        for n in range(block):
            head[i, n] = head[i, block + n]


@kept
def _filtered(f: Any, stream: Any, place: Any, x: Any, y: Any, gains: Any) -> Any:
    """``y (drivers, block)``, from the old filters to the new ones during a change; returns the ceiling."""
    matrices, rows = carray(matrix(f.matrices), 3), carray(i64(stream.rows), stream.inputs)
    now, change = matrices[f.playing], f.change
    if f.spectra != 0:
        _followed(f, matrices[0], place, f.playing == 0 or f.next == 0)
    if f.next < 0 and f.wanted != f.playing:
        f.next = f.wanted
        change.start, change.target, change.length, change.done = 0.0, 1.0, f.fade, -matrices[f.next].warm
    _filter(now, x, rows, y)
    if f.going >= 0 and f.playing == 0:
        _walked(f, now, y, gains)
    if f.next < 0:
        return now.ceiling
    new, other = matrices[f.next], carray(f32(stream.other), y.shape)
    _filter(new, x, rows, other)
    if f.going >= 0 and f.next == 0:
        _walked(f, new, other, gains)
    _ramp(change, gains)
    _mix(y, other, gains)
    ceiling = min(now.ceiling, new.ceiling)
    if change.done >= change.length:
        f.playing, f.next = f.next, -1
    return ceiling


@kept
def _volume(controls: Any) -> Any:
    """The gain that is wanted, linear."""
    if controls[MUTE] != 0.0 or controls[QUIT] != 0.0:
        return 0.0
    return 10.0 ** (0.05 * controls[VOLUME])


@kept
def _held(s: Any, form: Any, gain: Any, programs: Any) -> None:
    """Programs ``(3, block)`` in place, held to the SPL limit through a form and a gain; see
    :mod:`processor.dynamics.spl_limiter`."""
    if s.length == 0:
        return
    part = carray(f64(s.rule), 4)
    room = (
        carray(f32(s.past), (PROGRAMS, s.width)),
        carray(f64(s.powers), (4, PROGRAMS)),
        carray(f32(s.made), int(part[0])),
    )
    taps, most = s.taps + form * 4 * PROGRAMS * s.length, s.most + form * 8 * PROGRAMS
    detectors = carray(f32(taps), (PROGRAMS, s.length)), carray(f64(most), PROGRAMS)
    _limit_spl(programs, s.memory, room, detectors, part, gain)


@kept
def _faded(m: Any, controls: Any, y: Any, gains: Any) -> None:
    """Volume, mute, start and stop softly, in place; see :class:`sweetspot.processor.crossfade.Fader`."""
    memory, wanted = m.ramp, _volume(controls)
    if wanted != memory.target:
        memory.start, memory.target, memory.length, memory.done = m.gain, wanted, m.soft, 0
    if memory.done >= memory.length and memory.target == 1.0:
        return
    _ramp(memory, gains)
    _scale(y, gains)
    m.gain = gains[gains.size - 1]


@kept
def _guarded(g: Any, y: Any, ceiling: Any) -> None:
    """``y`` in place, later and never above the ceiling; see :class:`sweetspot.processor.dynamics.guard.Guard`."""
    drivers = y.shape[0]
    ceilings, means, stop = carray(f64(g.ceilings), drivers), carray(f64(g.means), (2, drivers)), g.stop
    caps = carray(f64(g.caps), drivers)
    for o in range(drivers):
        ceilings[o] = min(ceiling, caps[o])
    _judge(y, means[0], g.share, ceilings, stop)
    if stop.reason != 0:
        _silence(y)
        return
    memory, average = carray(f64(g.memory), (2, g.width)), carray(f64(g.average), g.look + 1)
    bands, speed = carray(f64(g.bands), (2, 2)), carray(f64(g.speed), 3)
    _hold(y, memory, (average, bands, speed), ceilings, carray(f64(g.seen), 2))
    _judge(y, means[1], g.share, ceilings, stop)
    if stop.reason != 0:
        _silence(y)


@kept
def _demanded(shared: Any, caps: Any, y: Any, ceiling: Any) -> None:
    """Keep which of ``y (drivers, block)``, ahead of the guard, passed its ceiling most, and by which factor."""
    meters, each = carray(f64(shared.meters), PEAKS), carray(f64(caps), y.shape[0])
    for o in range(y.shape[0]):
        peak = np.float32(0.0)
        for i in range(y.shape[1]):
            peak = max(peak, abs(y[o, i]))
        over = peak / min(ceiling, each[o])
        if over > max(meters[OVER], 1.0):
            meters[OVER], meters[DRIVER] = over, o


@kept
def _interleaved(stream: Any, y: Any, played: Any) -> None:
    """Copy ``y (drivers, block)`` to the device's channels."""
    channels, outs = stream.channels, carray(i64(stream.outs), y.shape[0])
    for o in range(y.shape[0]):
        out = outs[o]
        for i in range(y.shape[1]):
            played[i * channels + out] = y[o, i]


@kept
def _metered(shared: Any, y: Any) -> None:
    """Peaks of ``y (drivers, block)``; each driver's grows until it is read."""
    meters = carray(f64(shared.meters), PEAKS + y.shape[0])
    for o in range(y.shape[0]):
        peak = meters[PEAKS + o]
        for i in range(y.shape[1]):
            peak = max(peak, abs(y[o, i]))
        meters[PEAKS + o] = peak


@kept
def _taken(s: Any, heard: Any, x: Any) -> Any:
    """Take the next block ``x (2, block)`` of the input; whether the guard lets the sound go on."""
    stream, stop = s.stream, s.guard.stop
    if stream.heard_channels > 0:
        for i in range(stream.block):
            x[0, i] = heard[i * stream.heard_channels + stream.left]
            x[1, i] = heard[i * stream.heard_channels + stream.right]
    else:
        _from_ring(s.shared, x)
    _judge_input(x, stop)
    if stop.reason == 0 and stream.heard_channels > 0:
        for i in range(stream.block):
            x[0, i] = min(max(x[0, i], -stream.largest), stream.largest)
            x[1, i] = min(max(x[1, i], -stream.largest), stream.largest)
    return stop.reason == 0


@kept
def _driven(s: Any, programs: Any, y: Any) -> None:
    """The drivers' signals ``y`` of the programs ``(3, block)``: SPL limiter, filters, volume, guard."""
    stream, controls = s.stream, carray(f64(s.shared.controls), 16)
    gains = carray(f64(stream.gains), stream.block)
    form = s.filters.next if s.filters.next >= 0 else s.filters.playing
    _held(s.spl, form, max(s.mute.gain, _volume(controls)), programs)
    ceiling = _filtered(s.filters, stream, np.int64(controls[PLACE]), programs, y, gains)
    _faded(s.mute, controls, y, gains)
    if stream.half == WHOLE:
        _demanded(s.shared, s.guard.caps, y, ceiling)
    _guarded(s.guard, y, ceiling)


@kept
def _made(s: Any, heard: Any, y: Any) -> None:
    """The drivers' signals ``y`` of the next block."""
    stream, controls = s.stream, carray(f64(s.shared.controls), 16)
    x, programs = carray(f32(stream.x), (2, stream.block)), carray(f32(stream.programs), (3, stream.block))
    if not _taken(s, heard, x):
        _silence(y)
        return
    _upmixed(s.upmix, controls[AMOUNT], x, programs)
    _driven(s, programs, y)


@kept
def _half(s: Any, given: Any, made: Any, frames: Any) -> None:
    """Many blocks of a file through one half of the path, so that each core can do a half.

    :data:`UPMIX_HALF` makes programs ``(block, 3, samples)`` of interleaved stereo, the other half makes interleaved
    channels of these.
    """
    stream, controls = s.stream, carray(f64(s.shared.controls), 16)
    n = stream.block
    count = frames // n
    if stream.half == UPMIX_HALF:
        x, heard, programs = carray(f32(stream.x), (2, n)), carray(given, frames * 2), carray(made, (count, 3, n))
        for k in range(count):
            if not _taken(s, heard[2 * k * n :], x):
                _silence(programs[k])
                continue
            _upmixed(s.upmix, controls[AMOUNT], x, programs[k])
    else:
        programs, played = carray(given, (count, 3, n)), carray(made, frames * stream.channels)
        y = carray(f32(stream.y), (stream.drivers, n))
        for k in range(count):
            _driven(s, programs[k], y)
            _interleaved(stream, y, played[k * n * stream.channels :])


@kept
def _timed(shared: Any, load: Any, ran: Any) -> None:
    """Count a block by how long it took, and whether it ran that long itself, as shares of its duration."""
    meters, loads = carray(f64(shared.meters), PEAKS), carray(i64(shared.loads), CLASSES)
    if load > 1.0 and ran <= 1.0:
        meters[HELD] += 1.0
    loads[min(int(load / STEP), CLASSES - 1)] += 1
    meters[WORST] = max(meters[WORST], load)
    meters[BLOCKS] += 1.0


def _callback(heard: Any, play: Any, frames: Any, time: Any, flags: Any, user: Any) -> Any:
    """One block for PortAudio, or some of a file for half of the path; always continues."""
    s = carray(user, 1)[0]
    if s.stream.half != WHOLE:
        mode = flush(-1)
        _half(s, heard, play, frames)
        flush(mode)
        return np.int32(0)
    stream, meters = s.stream, carray(f64(s.shared.meters), PEAKS)
    began, ran, mode = _seconds(stream, CLOCK_MONOTONIC), _seconds(stream, CLOCK_THREAD), flush(-1)
    if flags != 0 and meters[BLOCKS] > stream.settled:
        meters[XRUNS] += 1.0
    played = carray(play, frames * stream.channels)
    for i in range(played.size):
        played[i] = np.float32(0.0)
    if frames == stream.block:
        y = carray(f32(stream.y), (stream.drivers, stream.block))
        _made(s, heard, y)
        _interleaved(stream, y, played)
        _metered(s.shared, y)
    seen, spl = carray(f64(s.guard.seen), 2), s.spl.memory
    meters[GUARD], meters[GUARDED], meters[SPL], meters[SPL_LIMITED] = seen[0], seen[1], spl.least, spl.limited
    meters[GAIN] = seen[0] * spl.least
    flush(mode)
    whole = frames * stream.period
    load = (_seconds(stream, CLOCK_MONOTONIC) - began) / whole
    _timed(s.shared, load, (_seconds(stream, CLOCK_THREAD) - ran) / whole if load > 1.0 else 0.0)
    return np.int32(0)


_SIGNATURE = types.int32(
    types.CPointer(types.float32),
    types.CPointer(types.float32),
    types.uint64,
    types.voidptr,
    types.uint64,
    types.CPointer(numba.from_dtype(STATE)),
)


def callback() -> Any:
    """The compiled callback: its ``address``, and ``ctypes`` to call it from Python; kept alive by who holds it.

    Compiled each time: code from numba's own cache has no text, of which :mod:`sweetspot.processor.live.kept`
    makes what later starts load.
    """
    return numba.cfunc(_SIGNATURE, nopython=True, error_model="numpy")(_callback)
