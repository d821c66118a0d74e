"""Offline: a minute through 3 x 8 x 4096, start-up included, against scipy, BruteFIR and fconvolver; and block times.

Run it as ``python tests/bench/offline.py [--short] [--seconds 600] [--cores 2]``; peers that are not installed are left
out. Every contender is a process of its own, on one core by default, and its wall time counts from the start of the
process; ours, BruteFIR and fconvolver go from file to file, scipy from a file to memory. Code that was compiled once is
kept on disk; the first line states what the very first start takes. Exit code 1 when ours is not 4 times as fast as
scipy and 2 times as fast as BruteFIR, or when silence after music costs more than music.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor import store
from sweetspot.processor.engine import Engine, with_method
from sweetspot.processor.export import Options, brutefir, jconvolver
from sweetspot.processor.export.bundles import wave
from sweetspot.processor.files import write_all
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.live.block import CompiledBlock
from sweetspot.processor.live.memory import AMOUNT, PlayerMemory, Shared
from sweetspot.processor.live.player import PlayedProgram, prepared
from sweetspot.rigs.live_stream import Wanted

FS, REPEATS = 48000, 5
SILENCE = 1.5
"""No more than music, but for what else the machine does; denormal numbers would cost a hundred times as much."""
WANTED = {"scipy oaconvolve float32, 3 inputs": 4.0, "BruteFIR, blocks of 4096, 2 inputs": 2.0}
PROCESS = """
import sys
from sweetspot.command_line import start
sys.argv = ["sweetspot", "process", "filterset.h5", "in.wav", "out.wav", "--subtype", "FLOAT", "--upmix", "METHOD"]
start()
"""
OURS = """
import numpy as np
from sweetspot.processor.convolver import convolver
x, h = np.load("x.npy", mmap_mode="r"), np.load("h.npy")
matrix = convolver(h, 1024)
with open("ours.raw", "wb") as out:
    for i in range(0, x.shape[1], 16384):
        out.write(np.ascontiguousarray(matrix.process(x[:, i : i + 16384]).T))
"""
SCIPY = """
import numpy as np
from scipy.signal import oaconvolve
x, h = np.load("x.npy"), np.load("h.npy").astype(np.float32)
y = np.stack([sum(oaconvolve(x[i], h[i, o]) for i in range(len(x))) for o in range(h.shape[1])])
"""


def filters(drivers: int = 8, taps: int = 4096) -> FilterSet:
    """Noise that dies away."""
    h = np.random.default_rng(0).standard_normal((3, drivers, taps)) * np.exp(-np.arange(taps) / 400.0)
    return FilterSet(
        taps=h / np.abs(h).sum(axis=(0, 2)).max(),
        fs=FS,
        drivers=tuple(f"d{i}" for i in range(drivers)),
        ceiling=1.0,
        delay_samples=0,
        headroom_db=0.0,
        channels=tuple(range(1, drivers + 1)),
        source="0" * 64,
        unit_serial="bench",
    )


def seconds(folder: Path, words: list[str]) -> float:
    """Wall time of a process."""
    begin = time.perf_counter()
    subprocess.run(words, cwd=folder, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": os.getcwd()})
    return time.perf_counter() - begin


def first_start(folder: Path) -> float:
    """Wall time of ours where nothing was compiled before: the kept code is out of sight."""
    nowhere = (
        "from sweetspot.rigs.storage import Kept\nKept.read, Kept.write = lambda self: None, lambda self, code: code\n"
    )
    return seconds(folder, [sys.executable, "-c", nowhere + OURS])


def offline(folder: Path, length: float) -> bool:
    """Ours and scipy with three inputs; the engines, which have no upmix, with two; medians of interleaved runs."""
    h, n = filters(), round(FS * length)
    x = np.random.default_rng(1).uniform(-0.3, 0.3, (3, n)).astype(np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "h.npy", h.taps)
    write_all(folder, {"in.raw": np.ascontiguousarray(x[:2].T).tobytes(), "in.wav": wave(x[:2], FS)})
    store.write(folder / "filterset.h5", h)
    write_all(folder, brutefir.bundle(h, Options(block=4096)).files | jconvolver.bundle(h, Options(block=1024)).files)
    runs = {
        "ours, 3 inputs": [sys.executable, "-c", OURS],
        "scipy oaconvolve float32, 3 inputs": [sys.executable, "-c", SCIPY],
        "BruteFIR, blocks of 4096, 2 inputs": ["brutefir", "-nodefault", brutefir.FILES],
        "fconvolver -V, 2 inputs": ["fconvolver", "-V", jconvolver.CONF, "in.wav", "out.wav"],
        "sweetspot process, file to file, off": [sys.executable, "-c", PROCESS.replace("METHOD", "off")],
        "sweetspot process, projection": [sys.executable, "-c", PROCESS.replace("METHOD", "projection")],
    }
    print(f"  ours where nothing was compiled before: {first_start(folder):.2f} s")
    found = {name: words for name, words in runs.items() if shutil.which(words[0])}
    times = [{name: seconds(folder, words) for name, words in found.items()} for _ in range(REPEATS)]
    reached = True
    for name in found:
        ratio = statistics.median(t[name] / t["ours, 3 inputs"] for t in times)
        value = statistics.median(t[name] for t in times)
        print(f"  {name:<38} {value:6.2f} s   {ratio:5.1f} times ours")
        reached &= ratio >= WANTED.get(name, 0.0)
    return reached


def block_times(block: int, method: str, busy: bool) -> tuple[float, float]:
    """Median and 99.9th percentile of one call of the whole engine, as shares of the block's duration."""
    h = filters()
    engine = Engine(h, block, dtype=np.float32, settings=with_method(h.upmix, method, None))
    x, stop, times = np.random.default_rng(2).uniform(-0.3, 0.3, (2, block)).astype(np.float32), threading.Event(), []

    def spin() -> None:
        while not stop.is_set():
            sum(range(1000))

    other = threading.Thread(target=spin)
    if busy:
        other.start()
    for _ in range(3000 if busy else 10000):
        begin = time.perf_counter()
        engine.process(x)
        times.append(time.perf_counter() - begin)
    stop.set()
    if busy:
        other.join()
    share = np.array(times[500:]) * FS / block
    return float(np.median(share)), float(np.quantile(share, 0.999))


def compiled_path(block: int, method: str) -> tuple[CompiledBlock, PlayerMemory, NDArray[np.float32]]:
    """What plays live, its board, and room for a block of its output."""
    shared = Shared.make(get_context("spawn"), 1.0, FS, 8)
    at, h = PlayerMemory(shared), filters()
    at.controls[AMOUNT] = 1.0
    form = replace(h, upmix=with_method(h.upmix, method, None))
    program = PlayedProgram((form, form, form), Wanted(None, None, None, 8, 0, FS, block), None)
    return prepared(program, at), at, np.zeros((block, 8), dtype=np.float32)


def fused_times(block: int, method: str) -> tuple[float, float]:
    """The same for the compiled block path that plays live, called from Python: ring, engine, meters."""
    path, at, play = compiled_path(block, method)
    x, times = np.random.default_rng(2).uniform(-0.3, 0.3, (2, block)).astype(np.float32), []
    for _ in range(10000):
        at.write(x)
        begin = time.perf_counter()
        path.step(None, play, block, False)
        times.append(time.perf_counter() - begin)
    share = np.array(times[500:]) * FS / block
    return float(np.median(share)), float(np.quantile(share, 0.999))


def silence_costs(block: int) -> float:
    """Dearest fifty blocks of silence after music, as a share of the music's, in the compiled block path; medians."""
    path, at, play = compiled_path(block, "projection")
    rng = np.random.default_rng(3)
    music = rng.uniform(-0.3, 0.3, (2, block)).astype(np.float32)

    def seconds(x: NDArray[np.float32], blocks: int) -> NDArray[np.float64]:
        times = []
        for _ in range(blocks):
            at.write(x)
            begin = time.perf_counter()
            path.step(None, play, block, False)
            times.append(time.perf_counter() - begin)
        return np.array(times)

    usual = np.median(seconds(music, 2000))
    dying = seconds(0.0 * music, 4000)  # through all that decays: filters, averages of the upmix, the guard
    return float(np.max(np.median(dying.reshape(-1, 50), axis=1)) / usual)


def main() -> int:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--short", action="store_true", help="files only, without the block times")
    options.add_argument("--seconds", type=float, default=60.0, help="length of the music")
    options.add_argument("--cores", type=int, default=1, help="how many each contender may use")
    asked = options.parse_args()
    short, free = asked.short, os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(free)[-asked.cores :])
    print(f"{asked.seconds:g} s through 8 x 4096, wall time from start to end of the process, cores: {asked.cores}")
    with tempfile.TemporaryDirectory() as folder:
        reached = offline(Path(folder), asked.seconds)
    os.sched_setaffinity(0, {max(free)})
    dearest = silence_costs(128)
    print(f"silence after music at block 128: at most {dearest:.2f} times the time of music")
    reached &= dearest < SILENCE
    if short:
        return 0 if reached else 1
    print("whole engine (upmix, 3 x 8 x 4096, guard), one Python call per block, share of the block's duration:")
    for block in (64, 128, 256, 1024):
        for method in ("projection", "off"):
            for busy in (False, True):
                median, worst = block_times(block, method, busy)
                other = "with a busy Python thread" if busy else "alone"
                print(f"  {block:>5} {method:<11} {other:<30} median {median:6.1%}   99.9 % {worst:7.1%}")
            median, worst = fused_times(block, method)
            what = "compiled whole, as it plays"
            print(f"  {block:>5} {method:<11} {what:<30} median {median:6.1%}   99.9 % {worst:7.1%}")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
