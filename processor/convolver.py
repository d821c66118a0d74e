"""The filter matrix on a stream: its interface, and the choice of its implementation."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from sweetspot.rigs.units import Real

SMALLEST, LARGEST = 16, 4096
"""Block sizes that the compiled kernel does: powers of two in this range."""

OFFLINE_BLOCK = 1024
"""Samples per block of offline rendering."""


class Convolver(Protocol):
    """A matrix of filters on a stream: ``(inputs, n)`` in, ``(outputs, n)`` out, any ``n``, without delay."""

    @property
    def latency(self) -> int:
        """Delay added to the filters' own, samples."""
        ...

    def process(self, x: Real) -> Real:
        """Filter the next samples."""
        ...

    def reset(self) -> None:
        """Clear all past input."""
        ...


def convolver(taps: ArrayLike, block: int, frame: int | None = None, dtype: DTypeLike = np.float32) -> Convolver:
    """The compiled matrix if it supports the arguments and llvmlite is installed, else the one in numpy.

    Each is imported when it is needed: the one brings llvmlite.
    """
    if frame is None and compilable(block, np.dtype(dtype)):
        from sweetspot.processor.compiled import CompiledMatrix

        return CompiledMatrix(taps, block)
    from sweetspot.processor.partition import PartitionedMatrix

    return PartitionedMatrix(taps, block, frame=frame, dtype=dtype)


def compilable(block: int, dtype: Any) -> bool:
    """Whether the compiled kernel does this block in this precision, and llvmlite is installed."""
    fits = SMALLEST <= block <= LARGEST and block & (block - 1) == 0
    return fits and dtype == np.float32 and find_spec("llvmlite") is not None
