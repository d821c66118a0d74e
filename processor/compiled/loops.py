"""Loops over samples, compiled by numba at first use; without numba they run as Python."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dis import get_instructions
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

HERE = Path(__file__)
TOGETHER = "together"
"""Marks the kinds of a tuple."""


@cache
def jitted(function: Any) -> Any:
    """The compiled form of a function of numbers and arrays, for code that numba compiles itself.

    Functions of its own module that it calls are compiled with it.
    """
    if find_spec("numba") is None:
        return function
    known = function.__globals__
    if not _numba().config.DISABLE_JIT:
        names = {i.argval for i in get_instructions(function) if i.opname == "LOAD_GLOBAL"}
        calls = {n: jitted(known[n]) for n in names if isinstance(known.get(n), FunctionType)}
        if calls:
            function = FunctionType(function.__code__, {**known, **calls}, function.__name__)
    return kept(function)


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled form, kept on disk where there is a place for it."""
    numba = _numba()
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder of the user's is writable
        compiled = numba.njit(error_model="numpy")(function)
    return compiled


@cache
def _numba() -> Any:
    """The compiler; a disk that has no room for what it keeps costs the next command time, and this one nothing."""

    class Forgiving(import_module("numba.core.caching").FunctionCache):  # type: ignore[misc]
        def save_overload(self, sig: Any, data: Any) -> None:
            """Keep a compiled function if that can be."""
            with suppress(OSError):
                super().save_overload(sig, data)

    import_module("numba.core.dispatcher").__dict__["FunctionCache"] = Forgiving
    return import_module("numba")


@cache
def loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled form for callers in Python; it is kept on disk, and only the first use of all imports numba.

    The function takes numbers, arrays in C order, records and tuples of these, and returns a number, as a float, or
    nothing. There is one form for each combination of their types. With ``NUMBA_DISABLE_JIT=1`` it runs as it is
    written.
    """
    if find_spec("numba") is None or os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return function
    forms: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def run(*values: Any) -> Any:
        given = [_kind_and_words(value) for value in values]
        kinds = tuple([kind for kind, _ in given])
        if kinds not in forms:
            forms[kinds] = _form(function, kinds)
        return forms[kinds][0](*[word for _, words in given for word in words])

    return run


def ahead() -> None:
    """Load what kept loops need: before a process is copied, since each copy would take 20 ms for it."""
    if find_spec("numba") is not None:
        import_module("sweetspot.processor.compiled.machine_code")


def _kind_and_words(value: Any) -> tuple[Any, tuple[Any, ...]]:
    """Key of the compiled form, and the arguments for a value.

    They are type and rank, address and shape of an array in C order; whether a number is whole, and the number.
    """
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise ValueError("compiled loops take arrays in C order")
        shape = value.shape
        return (value.dtype, len(shape)), (_address(value), *shape)
    if isinstance(value, np.void):
        return _of_record(value)
    if isinstance(value, tuple):
        kinds, words = zip(*map(_kind_and_words, value), strict=True)
        return (TOGETHER, *kinds), tuple(word for one in words for word in one)
    if isinstance(value, int | np.integer | np.bool_):
        return int, (int(value),)
    return float, (float(value),)


def _address(array: Any) -> int:
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (TypeError, ValueError, BufferError):  # read-only, or empty
        return int(array.__array_interface__["data"][0])


_records: dict[int, tuple[Any, tuple[Any, tuple[Any, ...]]]] = {}
"""Cached arguments of recent records, by identity, since numpy is slow to compute them."""

FEW = 256


def _of_record(value: Any) -> tuple[Any, tuple[Any, ...]]:
    held = _records.get(id(value))
    if held is not None and held[0] is value:
        return held[1]
    if len(_records) >= FEW:
        _records.clear()
    found = (value.dtype, 0), (int(value.__array_interface__["data"][0]),)
    _records[id(value)] = value, found
    return found


def _form(function: Callable[..., Any], kinds: tuple[Any, ...]) -> tuple[Any, Any]:
    """The function for these values, called with their words; and the owner of its memory."""
    from sweetspot.processor.compiled.machine_code import loops_code

    words: list[Any] = []
    for kind in _flat(kinds):
        plain = ctypes.c_double if kind is float else ctypes.c_int64
        words += [plain] if kind in (int, float) else [ctypes.c_void_p] + [ctypes.c_int64] * kind[1]
    name = f"{function.__module__}.{function.__qualname__} {kinds}"
    sources = (HERE, Path(function.__code__.co_filename))
    held, address = loops_code(name, lambda: _text(function, kinds), "cfunc.", sources)
    return ctypes.CFUNCTYPE(ctypes.c_double, *words)(address), held


def _flat(kinds: tuple[Any, ...]) -> Iterator[Any]:
    """Kinds with those of tuples in their place."""
    for kind in kinds:
        if isinstance(kind, tuple) and kind[0] == TOGETHER:
            yield from _flat(kind[1:])
        else:
            yield kind


def _grouped(kinds: tuple[Any, ...], names: Iterator[str]) -> str:
    """Arguments of the inner loop, of which each takes its name or its tuple of names."""
    each = (
        f"({_grouped(kind[1:], names)},)" if isinstance(kind, tuple) and kind[0] == TOGETHER else next(names)
        for kind in kinds
    )
    return ", ".join(each)


def _text(function: Callable[..., Any], kinds: tuple[Any, ...]) -> str:
    """LLVM's text of a function that takes the words and calls the compiled loop."""
    numba: Any = import_module("numba")
    signature, names, given = [], [], []
    for i, kind in enumerate(_flat(kinds)):
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
    lines = f"def entry({', '.join(names)}):\n    made = inner({_grouped(kinds, iter(given))})\n    return {{}}\n"
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
    """A record of zeros with fields as attributes here and in compiled code: the state of a rule."""
    return np.zeros(1, dtype=kind).view(np.recarray)[0]
