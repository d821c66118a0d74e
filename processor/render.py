"""Offline rendering: arrays or pieces of any length through the engine, delay removed, tail kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from sweetspot.processor import files
from sweetspot.processor.compiled import loop
from sweetspot.processor.convolver import OFFLINE_BLOCK, compilable
from sweetspot.processor.engine import Engine
from sweetspot.processor.filterset import PROGRAMS, FilterSet, UpmixSettings, within_full_scale
from sweetspot.processor.upmix import chosen, is_compiled
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import check_apart
from sweetspot.rigs.units import Real, db


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """Result of a rendering.

    Parameters
    ----------
    fs
        Sampling rate of the output, Hz.
    samples
        Samples per driver written.
    peak, rms
        Per driver, linear, full scale = 1.
    ceiling
        Linear.
    least_gain
        Smallest gain of the limiter; 1 when it had nothing to do.
    limited
        Samples on which it worked.
    spl_gain, spl_limited
        The same of the SPL limiter.
    latency
        Delay of the engine, samples; taken out of the output.
    resampled_from
        Rate of the input, Hz, where it was another; else 0.
    """

    fs: int
    samples: int
    peak: Real
    rms: Real
    ceiling: float
    least_gain: float
    limited: int
    spl_gain: float
    spl_limited: int
    latency: int
    resampled_from: int

    @property
    def headroom_db(self) -> float:
        """From the loudest sample to the ceiling, dB."""
        return float(db(self.ceiling) - db(self.peak.max()))

    @property
    def limiter_db(self) -> float:
        """Largest gain reduction, dB; 0 without limiting."""
        return float(-db(self.least_gain)) if self.least_gain < 1.0 else 0.0

    @property
    def spl_limiter_db(self) -> float:
        """Largest reduction by the SPL limiter, dB; 0 without."""
        return float(-db(self.spl_gain)) if self.spl_gain < 1.0 else 0.0


def render(
    filterset: FilterSet,
    x: ArrayLike,
    fs: int,
    *,
    settings: UpmixSettings | None = None,
    tail: bool = False,
    dtype: DTypeLike = np.float64,
) -> Real:
    """Driver signals of a stereo signal, aligned with it.

    Parameters
    ----------
    x
        ``(2, samples)``, full scale = 1.
    fs
        Its sampling rate, Hz; resampled to the filter set's where it differs.
    settings
        Upmix settings in place of the filter set's own.
    tail
        Keep the filters' tail: ``taps - 1`` more samples.
    dtype
        ``float32`` (-130 dB) or ``float64``.

    Returns
    -------
    ``(drivers, samples)`` at ``filterset.fs``. The delay of upmix and guard is taken out; that of the filters
    (``filterset.delay_samples``) is part of them and stays.

    Raises
    ------
    BadInput
        A value that is not finite, another number of channels, or a constant offset that stopped the guard.
    """
    try:
        signal = frozen("x", x, ndim=2)
    except ValueError as fault:
        raise BadInput(f"the signal to render cannot be used: {fault}") from fault
    if signal.shape[0] != 2:
        raise BadInput(f"the signal to render has shape {signal.shape}; (2, samples) is needed, left and right")
    engine = Engine.offline(filterset, settings=settings, dtype=dtype)
    cut = (signal[:, i : i + files.PIECE] for i in range(0, signal.shape[1], files.PIECE))
    pieces = list(aligned(engine, files.resampled(cut, fs, filterset.fs)))
    y = np.concatenate(pieces, axis=1) if pieces else np.zeros((len(filterset.drivers), 0))
    return y if tail else y[:, : max(y.shape[1] - filterset.length + 1, 0)]


def upmixed(settings: UpmixSettings, fs: int, x: Real) -> Real:
    """Left, right and centre ``(3, samples)`` that the upmix makes of ``x (2, samples)``, aligned with it; float32.

    Through filters that let each program pass to a driver of its own, at a quarter of the level, so that the guard has
    nothing to do: the block path does in one call what takes Python a call for each frame.
    """
    alone = FilterSet(
        np.eye(3)[..., None],
        fs=fs,
        programs=PROGRAMS,
        drivers=PROGRAMS,
        ceiling=1.0,
        delay_samples=0,
        headroom_db=0.0,
        channels=(1, 2, 3),
        source="0" * 64,
        unit_serial="upmix",
        upmix=settings,
    )
    largest = 4.0 * max(float(np.max(np.abs(x), initial=0.0)), 1e-30)
    pieces = _runner(alone).process([np.ascontiguousarray(x.T / largest, dtype=np.float32)])
    made = np.concatenate([y.copy() for y in pieces])
    return np.asarray(made.T * np.float32(largest))


def measured(filterset: FilterSet, settings: UpmixSettings | None = None) -> FilterSet:
    """The processor's transfer functions on files, for comparison with a deployed one.

    Returns
    -------
    A filter set whose programs ``left`` and ``right`` are the responses to one side alone, and ``centre`` the response
    to both sides at once; the delay of upmix and guard is taken out. One sample passes the SPL limiter before it
    can be turned down.
    """
    engine = Engine.offline(filterset, settings=settings, dtype=np.float32)
    level = 0.25 * filterset.ceiling / max(float(np.abs(filterset.taps).sum(axis=0).max()), 0.25 * filterset.ceiling)
    taps = []
    for sides in ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0)):
        engine.reset()
        made = np.concatenate(list(aligned(engine, [level * np.array(sides)[:, None]])), axis=1)
        taps.append(made[:, : filterset.length] / level)
    return replace(filterset, taps=np.stack(taps), programs=PROGRAMS)


def aligned(engine: Engine, pieces: Iterable[Real]) -> Iterator[Real]:
    """Driver signals of a stream of ``(2, n)`` pieces, without the engine's delay and with the filters' tail.

    Raises
    ------
    BadInput
        The guard stopped the output; the message has the reason.
    """
    skip, made = engine.latency, 0
    for x in pieces:
        made += x.shape[1]
        y = _running(engine, engine.process(x))
        yield y[:, skip:]
        skip = max(skip - y.shape[1], 0)
    if made:
        yield _running(engine, engine.flush())[:, skip:]


def ready() -> None:
    """Load what files need whatever they hold, while it is not known yet what is asked for."""
    if _is_compiled():
        from sweetspot.processor.live import FileBlocks

        FileBlocks.ready()


def render_file(
    filterset: FilterSet,
    source: files.SoundSource,
    path: Path,
    *,
    settings: UpmixSettings | None = None,
    subtype: str = "PCM_24",
    split: bool = False,
    step: Callable[[str], None] = lambda note: None,
    engine: Engine | None = None,
) -> Rendered:
    """Render a file to another, in pieces; needs no more memory for a longer file.

    The output has one channel per driver, in the order of ``filterset.drivers``, or with ``split`` one file per driver
    (:func:`files.parts`), and lasts as long as the input and the filters' tail. ``step`` is called once for
    each :data:`sweetspot.processor.files.PIECE` of the input. ``engine`` takes the place of a new one for the filters.

    Raises
    ------
    BadInput
        See :mod:`sweetspot.processor.files` and :func:`aligned`.
    """
    check_apart(source.path, *(files.parts(path, filterset.drivers) if split else [path]))
    expected = -(-source.samples * filterset.fs // source.fs) + filterset.length - 1
    wanted = filterset if settings is None else replace(filterset, upmix=settings)
    runner = _EngineRunner(engine) if engine else _runner(wanted)
    levels, count = _Levels(len(filterset.drivers)), 0
    with ExitStack() as stack:
        out: files.Split | files.Sink | files.WaveSink
        if split:
            out = stack.enter_context(files.split(path, filterset.fs, filterset.drivers, subtype, expected))
        else:
            out = stack.enter_context(files.sink(path, filterset.fs, len(filterset.drivers), subtype, expected))
        for y in runner.process(_frames(source, filterset, step)):
            refused(runner.stopped)
            out.write(y.T)
            levels.add(y)
            count += len(y)
    (least_gain, limited), (spl_gain, spl_limited) = runner.limiter, runner.spl_limiter
    return Rendered(
        fs=filterset.fs,
        samples=count,
        peak=levels.peak,
        rms=np.sqrt(levels.power / max(count, 1)),
        ceiling=filterset.ceiling,
        least_gain=least_gain,
        limited=limited,
        spl_gain=spl_gain,
        spl_limited=spl_limited,
        latency=runner.latency,
        resampled_from=source.fs if source.fs != filterset.fs else 0,
    )


def add_levels(y: Any, tops: Any, squares: Any) -> None:
    """Add samples to largest magnitudes and sums of squares, of which each takes every ``tops.size``-th in turn."""
    for first in range(0, y.size, tops.size):
        row = y[first : first + tops.size]
        for k in range(row.size):
            tops[k] = max(tops[k], abs(row[k]))
            squares[k] += float(row[k]) * float(row[k])


class _Levels:
    """Largest magnitude and sum of squares of each driver, over signals ``(n, driver)`` that come in pieces."""

    def __init__(self, drivers: int) -> None:
        self._tops, self._squares = (
            np.zeros(files.TOGETHER * drivers, dtype=np.float32),
            np.zeros(files.TOGETHER * drivers),
        )

    def add(self, y: Real) -> None:
        """The next piece."""
        loop(add_levels)(np.ascontiguousarray(y, dtype=np.float32).reshape(-1), self._tops, self._squares)

    @property
    def peak(self) -> Real:
        """``(driver,)``, linear."""
        return np.asarray(self._tops.reshape(files.TOGETHER, -1).max(axis=0), dtype=np.float64)

    @property
    def power(self) -> Real:
        """``(driver,)``: sums of squares."""
        return np.asarray(self._squares.reshape(files.TOGETHER, -1).sum(axis=0))


class Runner(Protocol):
    """Protocol of renderers of files: interleaved samples in and out."""

    @property
    def latency(self) -> int:
        """Compensated delay, samples."""
        ...

    @property
    def stopped(self) -> str:
        """Why the guard stopped the output; empty while it runs."""
        ...

    @property
    def limiter(self) -> tuple[float, int]:
        """Lowest gain of the limiter so far, and the number of limited samples."""
        ...

    @property
    def spl_limiter(self) -> tuple[float, int]:
        """The same of the SPL limiter."""
        ...

    def process(self, pieces: Iterable[Real]) -> Iterator[Real]:
        """Driver signals ``(n, driver)`` of a stream of ``(n, 2)``, without the delay and with the filters' tail.

        Each is valid until the next.
        """
        ...


class _EngineRunner:
    """Renderer by an engine: for a bank, or if the compiled block path does not support the arguments."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.latency = engine, engine.latency

    @property
    def stopped(self) -> str:
        return self._engine.stopped

    @property
    def limiter(self) -> tuple[float, int]:
        return self._engine.guard.least_gain, self._engine.guard.limited

    @property
    def spl_limiter(self) -> tuple[float, int]:
        return self._engine.spl.limiter

    def process(self, pieces: Iterable[Real]) -> Iterator[Real]:
        return (y.T for y in aligned(self._engine, (x.T for x in pieces)))


def _runner(filterset: FilterSet) -> Runner:
    """The live block path, if numba is installed and it supports the upmix."""
    upmix = chosen(filterset.upmix, filterset.fs, np.float32)
    if _is_compiled() and is_compiled(upmix):
        from sweetspot.processor.live import FileBlocks

        return FileBlocks(filterset)
    return _EngineRunner(Engine.offline(filterset, dtype=np.float32))


def _is_compiled() -> bool:
    """Whether numba and llvmlite are installed."""
    return find_spec("numba") is not None and compilable(OFFLINE_BLOCK, np.dtype(np.float32))


def _frames(source: files.SoundSource, filterset: FilterSet, step: Callable[[str], None]) -> Iterator[Real]:
    """The input as ``(n, 2)`` at the filters' sampling rate; ``step`` is called after each piece that was read."""
    if source.fs == filterset.fs:
        return files.counted(within_full_scale(filterset, source.frames()), step)
    pieces = files.counted(within_full_scale(filterset, source.pieces()), step)
    return (y.T for y in files.resampled(pieces, source.fs, filterset.fs))


def _running(engine: Engine, y: Real) -> Real:
    refused(engine.stopped)
    return y


def refused(stopped: str) -> None:
    """Raise the guard's message if it stopped the output.

    Raises
    ------
    BadInput
        It did.
    """
    if stopped:
        raise BadInput(f"the guard stopped the output: {stopped}. Nothing above its limits is played or written")
