"""Changes without clicks: crossfades between filters, and smoothed gain.

One rule, :func:`ramp`, is behind both, for files and live sound alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sweetspot.processor.compiled import loop, record
from sweetspot.processor.convolver import Convolver
from sweetspot.rigs.units import Real

WALK_S = 0.03
"""Of the crossfade from the filters of one place to those of another."""

RAMP = np.dtype([("start", np.float64), ("target", np.float64), ("length", np.int64), ("done", np.int64)])
"""A value on its way from ``start`` to ``target`` in ``length`` samples, ``done`` of them past; below 0 it waits."""


def ramp(memory: Any, values: Any) -> None:
    """The next ``values (n,)`` along a raised cosine; at the end, exactly the target."""
    for i in range(values.size):
        memory.done = min(memory.done + 1, memory.length)
        if memory.done == memory.length:
            values[i] = memory.target
        else:
            share = 0.5 - 0.5 * np.cos(np.pi * max(memory.done, 0) / memory.length)
            values[i] = memory.start + share * (memory.target - memory.start)


def scale(y: Any, gains: Any) -> None:
    """``y (channel, n)`` times ``gains (n,)``, in place."""
    for channel in range(y.shape[0]):
        for i in range(y.shape[1]):
            y[channel, i] *= gains[i]


def mix(y: Any, new: Any, weights: Any) -> None:
    """``y (channel, n)`` towards ``new``, in place; amplitudes add, since both are alike."""
    for channel in range(y.shape[0]):
        for i in range(y.shape[1]):
            y[channel, i] += weights[i] * (new[channel, i] - y[channel, i])


class Crossfaded:
    """A matrix of filters whose filters can be exchanged while it runs.

    The new one first runs muted for the length of its filters; then the two are crossfaded. From then on
    the output is that of the new filters alone, exact.
    """

    def __init__(self, convolver: Convolver) -> None:
        self._now = convolver
        self._next: tuple[Convolver, Any] | None = None

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
        change = record(RAMP)
        change.target, change.length, change.done = 1.0, max(fade, 1), -warm
        self._next = (convolver, change)

    def reset(self) -> None:
        """Clear all past input; a crossfade in progress is finished at once."""
        if self._next:
            self._now, self._next = self._next[0], None
        self._now.reset()

    def process(self, x: Real) -> Real:
        """``(inputs, n)`` in, ``(outputs, n)`` out."""
        y = self._now.process(x)
        if self._next is None:
            return y
        convolver, change = self._next
        weights = np.empty(x.shape[1])
        loop(ramp)(change, weights)
        loop(mix)(y, convolver.process(x), weights)
        if change.done >= change.length:
            self._now, self._next = convolver, None
        return y


class Walked(Crossfaded):
    """The same for filters that follow a listener: the new ones share the past input, and fade in at once.

    Parameters
    ----------
    length
        Taps of the filters: so much of the past is kept.
    inputs
        Of the matrix.
    """

    def __init__(self, convolver: Convolver, inputs: int, length: int) -> None:
        super().__init__(convolver)
        self._past: Real = np.zeros((inputs, length - 1), dtype=np.float32)

    def walk(self, convolver: Convolver, fade: int) -> None:
        """Begin to change to another matrix of the same shape, without a pause."""
        convolver.process(self._past)
        self.exchange(convolver, 0, fade)

    def reset(self) -> None:
        """Clear all past input."""
        super().reset()
        self._past[:] = 0.0

    def process(self, x: Real) -> Real:
        """``(inputs, n)`` in, ``(outputs, n)`` out."""
        y = super().process(x)
        self._past = np.concatenate([self._past, x], axis=1)[:, x.shape[1] :]
        return y


class Fader:
    """A gain that moves to its target along a raised cosine; at rest at 1 it is bit-exact."""

    def __init__(self, gain: float = 1.0) -> None:
        self.memory = record(RAMP)
        self.memory.start = self.memory.target = self.gain = gain
        self.memory.length = self.memory.done = 1

    @property
    def largest(self) -> float:
        """The larger of the gain now and the gain that it moves to."""
        return max(self.gain, float(self.memory.target))

    def move(self, gain: float, samples: int) -> None:
        """Move to ``gain`` (linear) within a number of samples."""
        self.memory.start, self.memory.target = self.gain, gain
        self.memory.length, self.memory.done = max(samples, 1), 0

    def process(self, y: Real) -> Real:
        """``(channels, n)`` in and out, in place."""
        m = self.memory
        if y.shape[1] and not (m.done >= m.length and m.target == 1.0):
            gains = np.empty(y.shape[1])
            loop(ramp)(m, gains)
            loop(scale)(y, gains)
            self.gain = float(gains[-1])
        return y
