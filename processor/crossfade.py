"""Changes without clicks: new filters that take over from the old ones, and a gain that moves softly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.convolver import Convolver

Real = NDArray[Any]


class Crossfaded:
    """A matrix of filters whose filters can be exchanged while it runs.

    The new one first hears as much as its filters are long, unheard itself; then the two are crossfaded (they are
    alike, so that amplitudes add: raised cosine). From then on the output is that of the new filters alone, exact.
    """

    def __init__(self, convolver: Convolver) -> None:
        self._now = convolver
        self._next: tuple[Convolver, int, int] | None = None
        self._heard = 0

    @property
    def latency(self) -> int:
        """Delay added to the filters' own, samples."""
        return self._now.latency

    @property
    def changing(self) -> bool:
        """Whether a change is under way."""
        return self._next is not None

    def exchange(self, convolver: Convolver, warm: int, fade: int) -> None:
        """Begin to change to another matrix of the same shape: ``warm`` samples unheard, then ``fade`` samples."""
        self._heard, self._next = 0, (convolver, warm, max(fade, 1))

    def reset(self) -> None:
        """Forget everything heard; a change under way is finished at once."""
        if self._next:
            self._now, self._next = self._next[0], None
        self._now.reset()

    def process(self, x: Real) -> Real:
        """``(inputs, n)`` in, ``(outputs, n)`` out."""
        y = self._now.process(x)
        if self._next is None:
            return y
        convolver, warm, fade = self._next
        new, n = convolver.process(x), x.shape[1]
        share = np.clip((np.arange(self._heard + 1, self._heard + n + 1) - warm) / fade, 0.0, 1.0)
        self._heard += n
        if self._heard >= warm + fade:
            self._now, self._next = convolver, None
        weight = (0.5 - 0.5 * np.cos(np.pi * share)).astype(y.dtype)
        return np.asarray(y + weight * (new - y))


class Fader:
    """A gain that moves to where it is told along a raised cosine; at 1 and at rest it changes no bit."""

    def __init__(self, gain: float = 1.0) -> None:
        self._from = self._to = gain
        self._length, self._done = 1, 1

    @property
    def gain(self) -> float:
        """The gain now, linear."""
        return float(self._at(np.array([self._done]))[0])

    def move(self, gain: float, samples: int) -> None:
        """Move to ``gain`` (linear) within so many samples."""
        self._from, self._to = float(self.gain), gain
        self._length, self._done = max(samples, 1), 0

    def process(self, y: Real) -> Real:
        """``(channels, n)`` in and out."""
        n = y.shape[1]
        if self._done >= self._length and self._to == 1.0:
            return y
        gains = self._at(np.arange(self._done + 1, self._done + n + 1))
        self._done = min(self._done + n, self._length)
        return np.asarray(y * gains.astype(y.dtype))

    def _at(self, sample: NDArray[np.int64]) -> Any:
        share = np.clip(sample / self._length, 0.0, 1.0)
        return self._from + (self._to - self._from) * (0.5 - 0.5 * np.cos(np.pi * share))
