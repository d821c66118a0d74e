"""Loops over samples that numba compiles when they are first needed; without numba they run as they are written."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any


@cache
def jitted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled form of a function of numbers and arrays, kept on disk; numba is imported by the first call."""
    if find_spec("numba") is None:
        return function
    import numba

    compiled: Callable[..., Any] = numba.njit(cache=True, error_model="numpy")(function)
    return compiled
