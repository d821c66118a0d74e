"""Machine code from LLVM text: compiled for this machine, and cached on disk so that only the first start compiles; and
the memory of such code.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.progress import say
from sweetspot.rigs.storage import Kept

LIBRARY = frozenset(("cos", "sin", "exp", "log", "sqrt", "pow", "memset", "memcpy", "memmove"))
"""Functions of the C library that compiled loops may call."""


def _one_byte() -> int:
    """A pipe to read from, which gives one byte to the first that asks, this process or a copy of it."""
    there, here = os.pipe()
    os.write(here, b"1")
    os.close(here)
    return there


_UNANNOUNCED = _one_byte()
"""Holds something until the user knows that loops are compiled."""


def machine_code(name: str, written: Callable[[], str], lanes: int, sources: tuple[Path, ...]) -> tuple[Any, int]:
    """Code for this machine: as kept on disk, or else written and compiled now.

    Parameters
    ----------
    name
        What is wanted, with everything that it depends on besides the machine.
    written
        Gives the module's text, whose function is called ``run``.
    lanes
        Floats per vector; whole 512-bit vectors are used for 16.
    sources
        The files that write it: another text of one of them is other code.

    Returns
    -------
    What keeps the code alive, and its address.
    """
    return _loaded(f"{name} {lanes}", lambda machine: _compiled(written(), lanes, machine), sources)


def loops_code(name: str, written: Callable[[], str], entry: str, sources: tuple[Path, ...]) -> tuple[Any, int]:
    """The same for the text of a module that numba made and optimised, so that a later start needs no numba.

    What such code calls of Python and numba only when an exception passes, which its loops cannot raise, becomes a
    trap: the code then stands by itself. Loops allocate no memory, as the live block path may not.

    Parameters
    ----------
    entry
        How the name of the function begins.

    Raises
    ------
    RuntimeError
        The text has no body, or allocates memory.
    """

    def compiled(machine: Any) -> bytes:
        if os.read(_UNANNOUNCED, 1):  # all loops of a first `calibrate` take 37 s
            say("Compiling loops for this machine, once for each version of the program: up to a minute")
        text = written()
        if not re.search(rf"^define [^\n]*@{re.escape(entry)}", text, flags=re.M):
            raise RuntimeError(f"{name}: the compiler gave no text of what it made; code without a body is not kept")
        if allocates := re.search(r"^declare [^\n]*@(\w*alloc\w*)\(", text, flags=re.M | re.I):
            raise RuntimeError(f"{name}: allocates memory ({allocates[1]}); pass its arrays in")
        text = re.sub(rf"@{re.escape(entry)}[^(\s]*\(", "@run(", _standing_alone(text))
        return bytes(machine.emit_object(llvm.parse_assembly(text)))

    return _loaded(name, compiled, sources)


def _standing_alone(text: str) -> str:
    """A module's text with traps for functions that neither LLVM nor the C library has."""

    def trap(found: re.Match[str]) -> str:
        kind, name, values = found.groups()
        if name.startswith("llvm.") or name in LIBRARY:
            return found[0]
        return f"define internal {kind} @{name}({values}) {{\n  call void @llvm.trap()\n  unreachable\n}}"

    text = re.sub(r"^declare (\S+) @([\w.$]+)\(([^)\n]*)\).*$", trap, text, flags=re.M)
    text = re.sub(r"^(@\S+) = external global (\S+)$", r"\1 = internal global \2 zeroinitializer", text, flags=re.M)
    return text if "declare void @llvm.trap()" in text else f"{text}\ndeclare void @llvm.trap()\n"


def _loaded(name: str, compiled: Callable[[Any], bytes], sources: tuple[Path, ...]) -> tuple[Any, int]:
    """Object code with a function ``run``, cached or compiled now, in memory: its owner, and its address."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=3)
    keeper = Kept(f"{name} {cpu} {features} {llvm.llvm_version_info}", (*sources, Path(__file__)))
    code = keeper.read() or keeper.write(compiled(machine))
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, int(engine.get_function_address("run"))


def _compiled(text: str, lanes: int, machine: Any) -> bytes:
    """Object code of a module."""
    width = max(32 * lanes, 128)
    text = re.sub(r"^(define [^{]*?)\n\{", r"\1 #0\n{", text, flags=re.M)
    text += f'\nattributes #0 = {{ nounwind "min-legal-vector-width"="{width}" "prefer-vector-width"="{width}" }}\n'
    module = llvm.parse_assembly(text)
    module.verify()
    return bytes(machine.emit_object(module))


def address_of(function: Any) -> int:
    """Of a function that ctypes calls."""
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros on a cache line's boundary."""
    size = int(np.prod(shape))
    room = np.zeros(size + 16, dtype=np.float32)
    skip = (-room.ctypes.data // 4) % 16
    return room[skip : skip + size].reshape(shape)


def copied(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same on a cache line's boundary."""
    room = aligned(values.shape)
    room[:] = values
    return room
