"""Loops over samples that numba compiles when they are first needed; without numba they run as they are written."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__)


@cache
def jitted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled form of a function of numbers and arrays, for code that numba compiles itself."""
    if find_spec("numba") is None:
        return function
    import numba

    compiled: Callable[..., Any] = numba.njit(cache=True, error_model="numpy")(function)
    return compiled


@cache
def loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled form for callers in Python; it is kept on disk, and only the first use of all imports numba.

    The function takes numbers, arrays in C order and records, and returns a number, as a float, or nothing. There is
    one form for each combination of their types. With ``NUMBA_DISABLE_JIT=1`` it runs as it is written.
    """
    if find_spec("numba") is None or os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return function
    forms: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def run(*values: Any) -> Any:
        kinds = tuple(map(_kind, values))
        if kinds not in forms:
            forms[kinds] = _form(function, kinds)
        return forms[kinds][0](*(word for value in values for word in _words(value)))

    return run


def _kind(value: Any) -> Any:
    """What decides the compiled form: types of arrays and records, whether a number is whole."""
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise ValueError("compiled loops take arrays in C order")
        return value.dtype, value.ndim
    if isinstance(value, np.void):
        return value.dtype, 0
    return int if isinstance(value, int | np.integer | np.bool_) else float


def _words(value: Any) -> tuple[Any, ...]:
    """The arguments that stand for a value: the address and shape of an array, a number itself."""
    if isinstance(value, np.ndarray):
        return value.ctypes.data, *value.shape
    if isinstance(value, np.void):
        return (value.__array_interface__["data"][0],)
    return (int(value),) if isinstance(value, int | np.integer | np.bool_) else (float(value),)


def _form(function: Callable[..., Any], kinds: tuple[Any, ...]) -> tuple[Any, Any]:
    """The function for such values, to be called with their words; and what keeps it in memory."""
    from sweetspot.processor.compiled.machine_code import loops_code

    words: list[Any] = []
    for kind in kinds:
        plain = ctypes.c_double if kind is float else ctypes.c_int64
        words += [plain] if kind in (int, float) else [ctypes.c_void_p] + [ctypes.c_int64] * kind[1]
    name = f"{function.__module__}.{function.__qualname__} {kinds}"
    sources = (HERE, Path(function.__code__.co_filename))
    held, address = loops_code(name, lambda: _text(function, kinds), "cfunc.", sources)
    return ctypes.CFUNCTYPE(ctypes.c_double, *words)(address), held


def _text(function: Callable[..., Any], kinds: tuple[Any, ...]) -> str:
    """LLVM's text of a function that takes the words and calls the compiled loop."""
    numba: Any = import_module("numba")
    signature, names, given = [], [], []
    for i, kind in enumerate(kinds):
        if kind in (int, float):
            signature.append(numba.types.int64 if kind is int else numba.types.float64)
            names.append(f"a{i}")
            given.append(f"a{i}")
            continue
        dtype, rank = kind
        signature += [numba.types.CPointer(numba.from_dtype(dtype)), *[numba.types.int64] * rank]
        shape = [f"n{i}_{k}" for k in range(rank)]
        names += [f"a{i}", *shape]
        given.append(f"carray(a{i}, ({', '.join(shape)},))" if rank else f"carray(a{i}, 1)[0]")
    known = {"inner": jitted(function), "carray": numba.carray}
    lines = f"def entry({', '.join(names)}):\n    made = inner({', '.join(given)})\n    return {{}}\n"
    for answer in ("made + 0.0", "0.0"):  # a number, or nothing
        scope = dict(known)
        exec(lines.format(answer), scope)
        try:
            made = numba.cfunc(numba.types.float64(*signature), nopython=True, error_model="numpy")(scope["entry"])
        except numba.core.errors.TypingError:
            if answer == "0.0":
                raise
            continue
        return str(made.inspect_llvm())
    raise AssertionError("one of the two is compiled")


def record(kind: np.dtype[Any]) -> Any:
    """A record of zeros, whose fields are attributes here and in compiled code: what a rule remembers."""
    return np.zeros(1, dtype=kind).view(np.recarray)[0]
