"""The engine: stereo in, one signal per driver out, through upmix, SPL limiter, filter matrix and guard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import DTypeLike

from sweetspot.processor import upmix
from sweetspot.processor.convolver import OFFLINE_BLOCK, Convolver, compilable, convolver
from sweetspot.processor.crossfade import WALK_S, Crossfaded, Fader, Walked
from sweetspot.processor.dynamics import Guard, SplLimiter, together
from sweetspot.processor.filterset import PROGRAMS, FilterSet, UpmixSettings
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.units import Real

SHORTEST_FRAME, LONGEST_FRAME = 1 << 15, 1 << 17


class Engine:
    """Runs a filter set on a stream of stereo.

    Parameters
    ----------
    block
        Samples per partition; best when pieces of this size are processed.
    frame
        Samples per transform where one partition shall hold all taps; see :class:`partition.Matrix`.
    settings
        Upmix settings in place of the filter set's own.
    dtype
        ``float32``, on the compiled kernel where the block allows it, or ``float64``.
    walks
        Whether :meth:`walk` may be called: past input is kept for the filters of other places.

    Raises
    ------
    BadInput
        The filter set has programs that no upmix makes, or settings out of range.
    """

    def __init__(
        self,
        filterset: FilterSet,
        block: int = 256,
        *,
        frame: int | None = None,
        settings: UpmixSettings | None = None,
        dtype: DTypeLike = np.float64,
        walks: bool = False,
    ) -> None:
        self.filterset, self.block = filterset, block
        self.settings = settings or filterset.upmix
        self._rows = program_rows(filterset)
        self._dtype = np.dtype(dtype)
        self._upmix = upmix.chosen(self.settings, filterset.fs, dtype)
        self._frame = frame
        first = convolver(filterset.taps, block, frame, self._dtype)
        self._matrix = Walked(first, len(self._rows), filterset.length) if walks else Crossfaded(first)
        self.spl = SplLimiter(filterset.detectors[0], filterset.fs)
        self.fader = Fader()
        self.guard = Guard(len(filterset.drivers), filterset.ceiling, filterset.fs, filterset.caps)

    @classmethod
    def offline(
        cls, filterset: FilterSet, *, settings: UpmixSettings | None = None, dtype: DTypeLike = np.float64
    ) -> Engine:
        """An engine for long pieces: the compiled kernel, or one large transform that holds all taps."""
        if compilable(OFFLINE_BLOCK, np.dtype(dtype)):
            return cls(filterset, OFFLINE_BLOCK, settings=settings, dtype=dtype)
        span = 2 << (filterset.length - 1).bit_length()
        frame = max(min(max(SHORTEST_FRAME, 4 * span), LONGEST_FRAME), span)
        return cls(filterset, frame - filterset.length + 1, frame=frame, settings=settings, dtype=dtype)

    @property
    def latency(self) -> int:
        """Constant delay of upmix, matrix and guard together, samples; the filters' own delay comes on top."""
        return self._upmix.latency + self._matrix.latency + self.guard.latency

    @property
    def stopped(self) -> str:
        """Why the output was stopped; empty while it runs."""
        return self.guard.stopped

    def reset(self) -> None:
        """Clear all past input, and a stop."""
        self._upmix.reset()
        self.spl.reset()
        self._matrix.reset()
        self.guard.reset()

    def process(self, x: Real) -> Real:
        """The next samples.

        Parameters
        ----------
        x
            ``(2, n)`` left and right, full scale = 1, any ``n``.

        Returns
        -------
        ``(drivers, n)``, :attr:`latency` samples late, never above the ceiling. Silence after a stop.

        Raises
        ------
        ValueError
            Not two channels.
        """
        if x.ndim != 2 or x.shape[0] != 2:
            raise ValueError(f"the piece has shape {x.shape}: (2, n) is needed, left and right")
        self.guard.judge_input(x)
        if self.stopped:
            return np.zeros((len(self.filterset.drivers), x.shape[1]), dtype=self._dtype)
        if not self._matrix.changing:
            self.guard.ceiling = self.filterset.ceiling
        programs = self._upmix.process(x.astype(self._dtype, copy=False))
        programs = self.spl.process(programs, self.fader.largest)
        return self.guard.process(self.fader.process(self._matrix.process(programs[self._rows])))

    def exchange(self, filterset: FilterSet, seconds: float = 0.05) -> None:
        """Change to other filters of the same unit while running: a crossfade, no click, no gap.

        The filters are transformed here, which takes time: call it from another thread than the one that processes.
        The upmix stays as it is; until the change is done the lower ceiling of the two holds.

        Raises
        ------
        BadInput
            Another rate, other programs or another number of drivers.
        """
        matching(self.filterset, filterset)
        self.change(filterset, convolver(filterset.taps, self.block, self._frame, self._dtype), seconds)

    @property
    def changing(self) -> bool:
        """Whether a change of filters is under way."""
        return self._matrix.changing

    def change(self, filterset: FilterSet, matrix: Convolver, seconds: float = 0.05) -> None:
        """:meth:`exchange` with a matrix that was transformed before, for use where filters are changed to and fro."""
        self.guard.ceiling = min(self.guard.ceiling, filterset.ceiling)
        self.spl.exchange(together(self.filterset.detectors[0], filterset.detectors[0]))
        self._matrix.exchange(matrix, filterset.length, round(seconds * filterset.fs))
        self.filterset = filterset

    def walk(self, filterset: FilterSet, matrix: Convolver) -> None:
        """Change at once to the filters of another place with a short crossfade.

        Raises
        ------
        ValueError
            The engine was not made to walk.
        """
        if not isinstance(self._matrix, Walked):
            raise ValueError("this engine keeps no past input for other filters: use Engine(walks=True)")
        self._matrix.walk(matrix, round(WALK_S * filterset.fs))
        self.filterset = filterset

    @property
    def upmix_latency(self) -> int:
        """Delay of the upmix alone, samples."""
        return self._upmix.latency

    @property
    def amount(self) -> float:
        """Centre extraction amount, 0 to 1; applied from the next frame of the upmix."""
        return self.settings.amount

    @amount.setter
    def amount(self, value: float) -> None:
        self.settings = replace(self.settings, amount=value)
        self._upmix.amount = value

    def fade(self, gain: float, seconds: float) -> None:
        """Move the output's gain softly: 0 to mute or before a stop, 1 to play."""
        self.fader.move(gain, round(seconds * self.filterset.fs))

    def flush(self) -> Real:
        """The remaining output: ``(drivers, latency + taps - 1)``, as silence pushes it out."""
        return self.process(np.zeros((2, self.latency + self.filterset.length - 1), dtype=self._dtype))


def matching(old: FilterSet, new: FilterSet) -> FilterSet:
    """``new``, if it can take over from ``old`` while it runs.

    Raises
    ------
    BadInput
        Another rate, other programs or another number of drivers.
    """
    for what, now, then in (
        ("sampling rate", old.fs, new.fs),
        ("programs", old.programs, new.programs),
        ("number of drivers", len(old.drivers), len(new.drivers)),
    ):
        if now != then:
            raise BadInput(f"the new filter set's {what} is {then}, the running one's {now}: they must be the same")
    return new


def with_method(settings: UpmixSettings, method: str | None, amount: float | None) -> UpmixSettings:
    """Settings with another method or amount, where given."""
    return replace(
        settings,
        method=settings.method if method is None else method,
        amount=settings.amount if amount is None else amount,
    )


def program_rows(filterset: FilterSet) -> list[int]:
    """Which program of the upmix feeds each input of the matrix."""
    unknown = [p for p in filterset.programs if p not in PROGRAMS]
    if unknown:
        raise BadInput(
            f"the filter set of unit {filterset.unit_serial} has a program {unknown[0]!r}; "
            f"the upmix makes {', '.join(PROGRAMS)}"
        )
    return [PROGRAMS.index(p) for p in filterset.programs]
