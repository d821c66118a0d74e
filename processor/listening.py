"""Signals at the dummy head's ears, before and after: binaural files for headphones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweetspot.processor import files, store
from sweetspot.processor.convolver import convolver
from sweetspot.processor.engine import Engine
from sweetspot.processor.files import resampled
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.plain import bypass
from sweetspot.processor.render import aligned
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import as_stored, check_apart
from sweetspot.rigs.units import Float, Real, db, from_db

PEAK_DBFS = -1.0
"""Level of the loudest sample of both files."""

BLOCK = 1024


@dataclass(frozen=True, slots=True, eq=False)
class DummyHead:
    """Responses of the drivers at the dummy head in its nominal place.

    Parameters
    ----------
    h
        ``(ear, driver, tap)``, left ear first, from the moment the sound leaves the interface, Pa for full scale.
    plain
        Plain stereo ``(side, driver, odd number of taps)``, before any processing; see :func:`store.plain_of`.
    """

    h: Float
    plain: Float

    def __post_init__(self) -> None:
        object.__setattr__(self, "h", frozen("responses at the ears", self.h, ndim=3))
        object.__setattr__(self, "plain", frozen("plain stereo", self.plain, ndim=3))


@dataclass(frozen=True, slots=True, eq=False)
class BinauralPair:
    """The written files.

    Parameters
    ----------
    fs
        Hz.
    samples
        Per channel.
    gain_db
        By which both were raised from pascal to full scale, the same for both.
    """

    before: Path
    after: Path
    fs: int
    samples: int
    gain_db: float


def dummy_head(path: Path) -> DummyHead:
    """The dummy head that a calibration kept with its filters.

    Raises
    ------
    BadInput
        The file holds none: it was written by hand or by an older version.
    """
    kept = store.read_prediction(path)
    if "at_ears" not in kept:
        raise BadInput(f"{path}: has no responses at the ears; fit it again: sweetspot calibrate RUN")
    plain = store.plain_of(path, store.read(path))
    with as_stored(f"{path}: /prediction", "Fit it again: sweetspot calibrate RUN"):
        return DummyHead(np.asarray(kept["at_ears"], dtype=float), plain)


def unprocessed(filters: FilterSet, head: DummyHead) -> FilterSet:
    """Plain stereo, as loud at the near ears as the filters play it."""
    return bypass(filters, head.plain).without_upmix()


def before_beside(out: Path) -> Path:
    """Name of the file with the unprocessed signal beside ``out``: ``OUT-before.wav``."""
    return out.with_name(f"{out.stem}-before{out.suffix}")


def render_at_ears(
    filters: FilterSet,
    head: DummyHead,
    source: Callable[[], files.SoundSource],
    out: Path,
    *,
    subtype: str = "PCM_24",
    step: Callable[[str], None] = lambda note: None,
) -> BinauralPair:
    """Write the signals at the ears with the filters to ``out``, and without them beside it, with a common gain.

    The signal is gone through twice: once for the level, once to write. ``step`` is called four times for each
    :data:`sweetspot.processor.files.PIECE` of it.

    Parameters
    ----------
    source
        Opens the signal; called once per rendering.
    out
        Stereo, left ear first.

    Raises
    ------
    BadInput
        See :mod:`sweetspot.processor.files`; the signal is silent.
    """
    forms = {out: filters, before_beside(out): unprocessed(filters, head)}
    peak, samples = 0.0, 0
    for form in forms.values():
        with source() as heard:
            check_apart(heard.path, *forms)
            samples = 0
            for y in _ear_signals(form, head, files.counted(heard.pieces(), step), heard.fs):
                peak, samples = max(peak, float(np.max(np.abs(y), initial=0.0))), samples + y.shape[1]
    if peak == 0.0:
        raise BadInput("the signal is silent")
    gain = float(from_db(PEAK_DBFS)) / peak
    for path, form in forms.items():
        with ExitStack() as stack:
            heard = stack.enter_context(source())
            sink = stack.enter_context(files.sink(path, filters.fs, 2, subtype, samples))
            for y in _ear_signals(form, head, files.counted(heard.pieces(), step), heard.fs):
                sink.write(gain * y)
    return BinauralPair(before_beside(out), out, filters.fs, samples, float(db(gain)))


def at_ears(filters: FilterSet, head: DummyHead, x: Real) -> Float:
    """The ears' signals ``(2, samples)`` in pascal of a short stereo signal ``x (2, samples)`` at the filters' rate."""
    return np.concatenate(list(_ear_signals(filters, head, [x], filters.fs)), axis=1)


def _ear_signals(filters: FilterSet, head: DummyHead, pieces: Iterable[Real], fs: int) -> Iterator[Real]:
    """The ears' signals of a stream, pascal; the delay of filters and flight stays, the tail is kept."""
    engine = Engine.offline(filters, dtype=np.float32)
    room = convolver(np.moveaxis(head.h, 0, 1), BLOCK)
    skip = room.latency
    for y in aligned(engine, resampled(pieces, fs, filters.fs)):
        out = room.process(np.asarray(y, dtype=np.float32))
        yield out[:, skip:]
        skip = max(skip - out.shape[1], 0)
    yield room.process(np.zeros((head.h.shape[1], head.h.shape[2] - 1 + room.latency), dtype=np.float32))[:, skip:]
