"""The C library beside our engine: time per block, memory, latency; and ten minutes under the sanitizers.

Usage: python tests/bench/library.py [--peers] [--spl] [--count] [--stress SECONDS]. Times: medians of interleaved runs,
CPU of one thread; both our live block path and the library are the whole processor, driven without Python in between.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import functools
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import convolvers
import numpy as np

from sweetspot.processor import files
from sweetspot.processor.export import Options, Places, brutefir, c_library
from sweetspot.processor.export.c_library import blob_of
from sweetspot.processor.filterset import FilterSet, UpmixSettings
from sweetspot.processor.live.block import CompiledBlock
from sweetspot.processor.live.memory import AMOUNT, PlayerMemory, Shared

CELLS = [(2, 1024, 64), (4, 2048, 128), (8, 1024, 64), (8, 4096, 256), (16, 4096, 256)]
"""Drivers, taps, block."""
BUILDS = {"O3 native": ["-O3", "-march=native", "-ffp-contract=fast"], "O2": ["-O2"], "O2 clang": ["-O2"]}
STRESS = Path(__file__).parents[1] / "processor" / "library" / "stress.c"
REPEATS, SAMPLES = 7, 24000


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
    subprocess.run(
        ["clang" if "clang" in name else "gcc", *BUILDS[name], "-shared", "-fPIC", "-o", out, *sources, "-lm"],
        cwd=folder,
        check=True,
    )
    return ctypes.CDLL(str(folder / out))


class Library:
    """One processor of one build, with buffers for a block."""

    def __init__(self, library: ctypes.CDLL, made: FilterSet, block: int, x: Any, prefix: str = "sweetspot_") -> None:
        self._block, data, info = block, blob_of(made), ctypes.create_string_buffer(4096)
        assert library.sweetspot_check(data, ctypes.c_size_t(len(data)), 0, info) == 0
        call = functools.partial(getattr, library)
        call(f"{prefix}memory").restype, call(f"{prefix}init").restype = ctypes.c_size_t, ctypes.c_void_p
        self.bytes, code = call(f"{prefix}memory")(info, block), ctypes.c_int()
        self._room = ctypes.create_string_buffer(self.bytes + 64)
        at = ctypes.c_void_p((ctypes.addressof(self._room) + 63) & ~63)
        self._state = ctypes.c_void_p(
            call(f"{prefix}init")(at, ctypes.c_size_t(self.bytes), info, block, ctypes.byref(code))
        )
        assert code.value == 0
        self._x = (x * 2.0**31).astype(np.int32) if "fixed" in prefix else x
        self._y = np.zeros((len(made.drivers), block), dtype=self._x.dtype)
        self._in = (ctypes.c_void_p * 2)(*(row.ctypes.data for row in self._x))
        self._out = (ctypes.c_void_p * len(self._y))(*(row.ctypes.data for row in self._y))
        self._process = ctypes.cast(call(f"{prefix}process"), ctypes.c_void_p)
        self.latency = call(f"{prefix}latency")(self._state)

    def __call__(self, timer: ctypes.CDLL, times: int) -> float:
        """Microseconds of CPU per block."""
        return 1e-3 * float(
            timer.repeat_library(self._process, self._state, self._in, self._out, self._block, ctypes.c_uint32(times))
        )


class Live:
    """Our engine's block path, as the audio callback runs it: one compiled call a block."""

    def __init__(self, made: FilterSet, block: int, x: Any) -> None:
        drivers = len(made.drivers)
        board = PlayerMemory(Shared.private(drivers))
        board.controls[AMOUNT] = made.upmix.amount
        self._path = CompiledBlock((made,), block, drivers, (2, 1, 2), board, fade_s=0.0, settle_s=0.0, alone=True)
        self._x, self._y = np.ascontiguousarray(x.T), np.zeros((block, drivers), dtype=np.float32)
        self._block = block

    def __call__(self, timer: ctypes.CDLL, times: int) -> float:
        """Microseconds of CPU per block."""
        buffers = (ctypes.c_void_p(self._x.ctypes.data), ctypes.c_void_p(self._y.ctypes.data))
        given = (*buffers, ctypes.c_ulong(self._block), ctypes.c_void_p(self._path.user), ctypes.c_uint32(times))
        return 1e-3 * float(timer.repeat_engine(ctypes.c_void_p(self._path.address), *given))


def timer_in(folder: Path) -> ctypes.CDLL:
    line = ["gcc", "-O2", "-shared", "-fPIC", "-o", "repeat.so", str(Path(__file__).with_name("repeat.c"))]
    subprocess.run(line, cwd=folder, check=True)
    timer = ctypes.CDLL(str(folder / "repeat.so"))
    timer.repeat_library.restype = timer.repeat_engine.restype = ctypes.c_double
    return timer


def microseconds(timer: ctypes.CDLL, runs: dict[str, Any], block: int) -> dict[str, float]:
    """Medians over interleaved repetitions."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    times = max(8, SAMPLES // block)
    for _ in range(REPEATS):
        for name, run in runs.items():
            found[name].append(run(timer, times))
    return {name: float(np.median(values)) for name, values in found.items()}


def table(folder: Path) -> None:
    """The whole processor, ours as the audio callback has it and the library's; ratios to ours."""
    libraries, timer = {name: built(folder, name) for name in BUILDS}, timer_in(folder)
    print(
        "upmix            drivers taps block | us per block: our engine, " + ", ".join(f"{b} (re ours)" for b in BUILDS)
    )
    for method in ("off", "soft-projection"):
        for drivers, taps, block in CELLS:
            made = filters(drivers, taps, method)
            x = np.random.default_rng(0).uniform(-0.1, 0.1, (2, block)).astype(np.float32)
            ours = {n: Library(library, made, block, x) for n, library in libraries.items()}
            times = microseconds(timer, {"engine": Live(made, block, x), **ours}, block)
            engine, one = times.pop("engine"), ours["O3 native"]
            share = times["O3 native"] / (block / 48000 * 1e6)
            print(
                f"{method:16s} {drivers:4d} {taps:7d} {block:4d} | {engine:6.1f}, "
                + ", ".join(f"{t:6.1f} ({t / engine:4.2f})" for t in times.values())
                + f" | {100 * share:.1f} % of a block, {one.bytes / 1024:.0f} KiB, latency {one.latency}",
                flush=True,
            )


def detecting(folder: Path) -> None:
    """The SPL limiter: without detectors, with 512 taps of them that rest, and that run; Q31 in the last row."""
    timer, (drivers, taps, block) = timer_in(folder), CELLS[0]
    made, x = filters(drivers, taps, "off"), np.random.default_rng(0).uniform(-0.1, 0.1, (2, block)).astype(np.float32)
    h = np.random.default_rng(1).standard_normal((2, 3, 512))
    forms = {"none": made, "rest": replace(made, detectors=1e-3 * h), "run": replace(made, detectors=h)}
    print("detectors of 512 taps | us per block: " + ", ".join(forms) + "; KiB without and with")
    for name, prefix in (*((build, "sweetspot_") for build in BUILDS), ("O3 native", "sweetspot_fixed_")):
        runs = {n: Library(built(folder, name), f, block, x, prefix) for n, f in forms.items()}
        times = ", ".join(f"{t:6.2f}" for t in microseconds(timer, runs, block).values())
        print(f"{name:10s} {times} | {runs['none'].bytes / 1024:.0f}, {runs['run'].bytes / 1024:.0f}", flush=True)


def brutefir_us(folder: Path, made: FilterSet, block: int) -> float:
    """Microseconds of CPU per block of BruteFIR on files, left and right alone: of all processes it splits into."""
    files.write_all(folder, brutefir.bundle(made, Options(block=block)).everything())
    found = []
    for seconds in (5, 25):
        (folder / "in.raw").write_bytes(np.zeros((2 * 48000 * seconds,), dtype="<f4").tobytes())
        run = subprocess.Popen(["brutefir", "-nodefault", brutefir.FILES], cwd=folder, start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        ticks: dict[str, int] = {}
        while run.poll() is None:
            for stat in Path("/proc").glob("[0-9]*/stat"):
                with contextlib.suppress(OSError):
                    fields = stat.read_text().rpartition(")")[2].split()
                    if int(fields[3]) == run.pid:
                        ticks[stat.parent.name] = int(fields[11]) + int(fields[12])
            time.sleep(0.01)
        found.append(sum(ticks.values()) / os.sysconf("SC_CLK_TCK"))
    return 1e6 * (found[1] - found[0]) / (20 * 48000 / block)


def peers(folder: Path) -> None:
    """The filter matrix alone: the library without an upmix beside zita-convolver and BruteFIR."""
    library, timer, binary = built(folder, "O3 native"), timer_in(folder), convolvers.zita(folder)
    print("drivers taps block | us per block: C whole, 3 inputs; zita-convolver, 3 inputs; BruteFIR, 2 inputs; Q31")
    for drivers, taps, block in CELLS:
        made = filters(drivers, taps, "off")
        x = np.random.default_rng(0).uniform(-0.1, 0.1, (2, block)).astype(np.float32)
        runs: dict[str, Any] = {"c": Library(library, made, block, x)}
        runs |= {"zita": lambda timer, times, case=(3, drivers, taps, block): convolvers.zita_us(binary, case, times)}
        times = microseconds(timer, runs, block)
        fixed = Library(library, made, block, x, "sweetspot_fixed_")(timer, 8)
        other = brutefir_us(folder, made, block)
        text = f"{drivers:4d} {taps:5d} {block:4d} | {times['c']:6.1f}  {times['zita']:6.1f}  {other:6.1f}"
        print(f"{text}  {fixed:8.1f}", flush=True)


def estimate(drivers: int, taps: int, block: int) -> tuple[float, float]:
    """Multiply-accumulates and bytes of filters a sample: the matrix, its transforms and the guard, without an upmix.

    A complex product is 4 multiply-accumulates; a transform of a block takes ``5/2 block log2(block)`` of them and its
    folding and twiddles 8 a sample; the guard about 12 a driver.
    """
    parts = -(-taps // block)
    matrix = 3 * drivers * parts * 4.0
    transforms = (3 + drivers) * (2.5 * np.log2(block) + 8.0)
    return matrix + transforms + 12.0 * drivers, 3 * drivers * parts * 8.0


SCALAR = ["-O2", "-DSWEETSPOT_SCALAR", "-fno-tree-vectorize", "-fno-tree-slp-vectorize"]


def counted(folder: Path) -> None:
    """Instructions a sample as an emulator counts them (callgrind), beside the estimate: four lanes, and none."""
    sources = [str(Path(__file__).with_name("count.c")), *(s for s in c_library.LIBRARY if s.endswith(".c")), "-lm"]
    for name, flags in (("count", ["-O2"]), ("scalar", SCALAR)):
        subprocess.run(["gcc", "-std=gnu11", *flags, "-I.", "-o", name, *sources], cwd=folder, check=True)
    print(
        "drivers taps block | multiply-accumulates, bytes of filters a sample; instructions with SSE2, scalar; ratios"
    )
    for drivers, taps, block in CELLS:
        (folder / "unit.blob").write_bytes(blob_of(filters(drivers, taps, "off")))
        found = [instructions(folder, name, block) for name in ("count", "scalar")]
        macs, size = estimate(drivers, taps, block)
        text = f"{drivers:4d} {taps:5d} {block:4d} | {macs:7.0f} {size:7.0f} {found[0]:7.0f} {found[1]:7.0f}"
        print(f"{text}  {found[0] / macs:4.2f} {found[1] / macs:4.2f}")


def instructions(folder: Path, program: str, block: int) -> float:
    """Of a sample: the difference of two lengths."""
    found = []
    for blocks in (4, 12):
        words = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"./{program}", "unit.blob"]
        done = subprocess.run([*words, str(block), str(blocks)], cwd=folder, capture_output=True, text=True, check=True)
        found.append(int(done.stderr.rpartition("Collected : ")[2].split()[0]))
    return (found[1] - found[0]) / (8 * block)


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
    parser.add_argument("--peers", action="store_true", help="zita-convolver and BruteFIR too")
    parser.add_argument("--spl", action="store_true", help="the SPL limiter's detectors")
    parser.add_argument("--count", action="store_true", help="instructions by callgrind beside the estimate")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        files.write_all(folder, c_library.bundle(filters(2, 16, "off")).everything())
        if not given.no_table:
            table(folder)
        if given.peers:
            peers(folder)
        if given.spl:
            detecting(folder)
        if given.count:
            counted(folder)
        return 0 if given.stress <= 0.0 or stressed(folder, given.stress) else 1


if __name__ == "__main__":
    sys.exit(main())
