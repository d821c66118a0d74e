"""Loops over samples that numba compiles when they are first needed; without numba they run as they are written."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np


@cache
def jitted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled form of a function of numbers and arrays, kept on disk; numba is imported by the first call."""
    if find_spec("numba") is None:
        return function
    import numba

    compiled: Callable[..., Any] = numba.njit(cache=True, error_model="numpy")(function)
    return compiled


def record(kind: np.dtype[Any]) -> Any:
    """A record of zeros, whose fields are attributes here and in compiled code: what a rule remembers."""
    return np.zeros(1, dtype=kind).view(np.recarray)[0]
