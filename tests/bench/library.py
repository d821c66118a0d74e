"""The C library beside our engine: time per block, memory, latency; and ten minutes under the sanitizers.

Usage: python tests/bench/library.py [--stress SECONDS]. Times are medians of interleaved repetitions on one core; the
compiled matrix is the filter matrix alone of our engine, called from Python, the library is the whole processor.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sweetspot.processor import files
from sweetspot.processor.engine import Engine
from sweetspot.processor.export import Options, Places, c_library
from sweetspot.processor.export.c_library import blob_of
from sweetspot.processor.filterset import FilterSet, UpmixSettings

CELLS = [(2, 1024, 64), (4, 2048, 128), (8, 1024, 64), (8, 4096, 256), (16, 4096, 256)]
"""Drivers, taps, block."""
BUILDS = {"O3 native": ["-O3", "-march=native", "-ffp-contract=fast"], "O2": ["-O2"]}
STRESS = Path(__file__).parents[1] / "processor" / "library" / "stress.c"
REPEATS, BLOCKS = 7, 60


def filters(drivers: int, taps: int, method: str) -> FilterSet:
    rng = np.random.default_rng(drivers)
    h = rng.standard_normal((3, drivers, taps)) * np.exp(-np.arange(taps) / (taps / 5))
    h /= np.abs(h).sum(axis=(0, 2)).max()
    names = tuple(f"d{i}" for i in range(drivers))
    channels = tuple(range(1, drivers + 1))
    return FilterSet(h, 48000, names, 0.5, 0, 0.0, channels, "0" * 64, "B-1", UpmixSettings(method=method))


def built(folder: Path, name: str) -> ctypes.CDLL:
    sources = [s for s in c_library.LIBRARY if s.endswith(".c")]
    out = f"lib{name.replace(' ', '')}.so"
    subprocess.run(["gcc", *BUILDS[name], "-shared", "-fPIC", "-o", out, *sources, "-lm"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / out))
    library.sweetspot_memory.restype, library.sweetspot_init.restype = ctypes.c_size_t, ctypes.c_void_p
    return library


class Library:
    """One processor of one build, with buffers for a block."""

    def __init__(self, library: ctypes.CDLL, made: FilterSet, block: int, x: Any) -> None:
        self._library, self._block, data, info = library, block, blob_of(made), ctypes.create_string_buffer(4096)
        assert library.sweetspot_check(data, ctypes.c_size_t(len(data)), 0, info) == 0
        self.bytes, code = library.sweetspot_memory(info, block), ctypes.c_int()
        self._room = ctypes.create_string_buffer(self.bytes + 64)
        at = ctypes.c_void_p((ctypes.addressof(self._room) + 63) & ~63)
        made_at = library.sweetspot_init(at, ctypes.c_size_t(self.bytes), info, block, ctypes.byref(code))
        assert code.value == 0
        self._state, self._x = ctypes.c_void_p(made_at), x
        self._y = np.zeros((len(made.drivers), block), dtype=np.float32)
        self._in = (ctypes.c_void_p * 2)(*(row.ctypes.data for row in self._x))
        self._out = (ctypes.c_void_p * len(self._y))(*(row.ctypes.data for row in self._y))
        self.latency = library.sweetspot_latency(self._state)

    def __call__(self) -> None:
        self._library.sweetspot_process(self._state, self._in, self._out, self._block)


def microseconds(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            began = time.perf_counter()
            for _ in range(BLOCKS):
                run()
            found[name].append((time.perf_counter() - began) / BLOCKS * 1e6)
    return {name: float(np.median(values)) for name, values in found.items()}


def table(folder: Path) -> None:
    libraries = {name: built(folder, name) for name in BUILDS}
    print(
        "upmix            drivers taps block | us per block: " + ", ".join([*BUILDS, "our engine", "our matrix alone"])
    )
    for method in ("off", "soft-projection"):
        for drivers, taps, block in CELLS:
            made = filters(drivers, taps, method)
            x = np.random.default_rng(0).uniform(-0.1, 0.1, (2, block)).astype(np.float32)
            three = np.concatenate([x, x[:1]])
            engine = Engine(made, block, dtype=np.float32)
            ours = {n: Library(library, made, block, x) for n, library in libraries.items()}
            runs: dict[str, Callable[[], Any]] = dict(ours)
            runs |= {"engine": lambda e=engine, x=x: e.process(x)}
            runs |= {"matrix": lambda e=engine, x=three: e._matrix.process(x)}
            times = microseconds(runs)
            one = ours["O3 native"]
            operations = 3 * drivers * -(-taps // block) * 4 + (3 + drivers) * 5 * np.log2(block)
            share = times["O3 native"] / (block / 48000 * 1e6)
            print(
                f"{method:16s} {drivers:4d} {taps:7d} {block:4d} | "
                + ", ".join(f"{t:7.1f}" for t in times.values())
                + f" | {100 * share:.1f} % of a block, {one.bytes / 1024:.0f} KiB, latency {one.latency} samples, "
                f"{operations:.0f} multiply-accumulates a sample"
            )


def stressed(folder: Path, seconds: float) -> bool:
    made = filters(3, 200, "low-latency")
    at = np.array([[1.8, 0.2, 0.1], [2.0, -0.1, 0.0]])
    places = Places(at, np.stack([made.taps, -made.taps]), 1, 0.1)
    (folder / "unit.blob").write_bytes(blob_of(replace(made, caps=(0.5, 0.2, 0.5)), Options(places=places)))
    sources = [s for s in c_library.LIBRARY if s.endswith(".c")]
    flags = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-I."]
    subprocess.run(["gcc", *flags, "-o", "stress", str(STRESS), *sources, "-lm"], cwd=folder, check=True)
    line = ["./stress", "unit.blob", str(seconds)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    print(
        f"sanitizers, {seconds:g} s of sound: exit code {done.returncode}, {done.stdout.strip()} {done.stderr[-400:]}"
    )
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stress", type=float, default=600.0)
    parser.add_argument("--no-table", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        files.write_all(folder, c_library.bundle(filters(2, 16, "off")).everything())
        if not given.no_table:
            table(folder)
        return 0 if stressed(folder, given.stress) else 1


if __name__ == "__main__":
    sys.exit(main())
