"""Filter matrix against zita-convolver: CPU time per block on one core, peers in the same run, medians.

Run it as ``python tests/bench/convolvers.py [--grid] [--repeats 5]``; needs g++ and libzita-convolver-dev. Beside the
times stands how far each is from what the machine could do (:mod:`machine`), and what one call from Python costs on
top. Exit code 1 when a case is slower than zita's best, the median of the ratios passes 0.6, or an anchor passes 0.5.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import bandwidth, limit_us, peak, work

from sweetspot.processor.compiled.matrix import CompiledMatrix
from sweetspot.processor.partition import PartitionedMatrix

HERE = Path(__file__).parent
ANCHORS = [(2, 8, 4096, 256), (3, 8, 4096, 256), (3, 8, 4096, 64), (3, 8, 4096, 128), (3, 8, 4096, 1024)]
Case = tuple[int, int, int, int]
"""Inputs, outputs, taps, block."""


def grid() -> Iterator[Case]:
    """Every cell of the issue's grid, three inputs."""
    for outputs in (2, 4, 8, 16):
        for taps in (1024, 4096, 8192):
            for block in (64, 128, 256, 1024):
                yield 3, outputs, taps, block


def zita(folder: Path) -> Path:
    """Build the driver of zita-convolver."""
    binary = folder / "zita"
    if shutil.which("g++") is None:
        sys.exit("g++ is not installed: apt-get install g++ libzita-convolver-dev")
    build = ["g++", "-O2", "-o", str(binary), str(HERE / "zita.cc"), "-lzita-convolver", "-lfftw3f", "-lpthread"]
    if subprocess.run(build, check=False).returncode:
        sys.exit("zita.cc does not build: apt-get install libzita-convolver-dev")
    return binary


def zita_us(binary: Path, case: Case, blocks: int) -> float:
    """Microseconds per block of its best configuration: one level, or up to four times or any larger partitions."""
    block = case[3]
    largest = sorted({block, min(4 * block, 8192), 8192})
    runs = [[str(binary), *map(str, case), str(m), str(blocks)] for m in largest]
    return min(float(subprocess.run(r, capture_output=True, text=True, check=True).stdout) for r in runs)


def ours_us(matrix: Any, x: Any, pieces: int) -> float:
    """Microseconds of CPU per block."""
    blocks = x.shape[1] // matrix.block
    for _ in range(max(pieces // 4, 1)):
        matrix.process(x)
    begin = time.process_time()
    for _ in range(pieces):
        matrix.process(x)
    return 1e6 * (time.process_time() - begin) / (pieces * blocks)


def measured(case: Case, binary: Path, repeats: int, lanes: int | None) -> dict[str, float]:
    """Medians over interleaved repeats, in microseconds per block."""
    inputs, outputs, taps, block = case
    rng = np.random.default_rng(0)
    h = rng.standard_normal((inputs, outputs, taps)) / taps
    x = rng.standard_normal((inputs, 64 * block)).astype(np.float32)
    fast, plain = CompiledMatrix(h, block, lanes=lanes), PartitionedMatrix(h, block, dtype=np.float32)
    pieces = max(3, 400_000 // (64 * block))
    rows: dict[str, list[float]] = {}
    for _ in range(repeats):
        rows.setdefault("zita", []).append(zita_us(binary, case, 64 * pieces))
        rows.setdefault("kernel", []).append(ours_us(fast, x, pieces))
        rows.setdefault("call", []).append(ours_us(fast, x[:, :block], 64 * pieces))
        rows.setdefault("numpy", []).append(ours_us(plain, x[:, : 16 * block], max(pieces // 2, 2)))
    medians = {name: statistics.median(v) for name, v in rows.items()}
    ratios = {
        f"{name}ratio": statistics.median(k / z for k, z in zip(rows[name], rows["zita"], strict=True))
        for name in ("kernel", "call")
    }
    limit = limit_us(*case, fast.ratio)
    near, far, turned = work(*case, fast.ratio)
    counts = {"kB": 1e-3 * (near + far), "kflop": 1e-3 * (near + far + turned)}
    return medians | ratios | counts | {"level": float(fast.ratio), "limit": limit}


def main() -> int:
    """Print one row per case."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--grid", action="store_true", help="the whole grid")
    options.add_argument("--lanes", type=int, help="floats per vector: 8 is what AVX2 has")
    options.add_argument("--repeats", type=int, default=5)
    chosen = options.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(
        f"this core does {peak() / 1e9:.0f} GFLOP/s and reads {bandwidth(1 << 20) / 1e9:.0f} GB/s from its second "
        f"cache, {bandwidth(1 << 24) / 1e9:.0f} GB/s from the third\n"
        "us of CPU per block; kernel: in a compiled loop, call: one Python call per block; k/z and c/z: to zita;\n"
        "limit: filters as fast as they can be read and transforms at half the peak; share: limit/kernel;\n"
        "kB, kflop: filters read and operations done per block, products (one per byte) and transforms"
    )
    heads = ("zita", "kernel", "call", "numpy", "limit")
    print(f"{'in x out x taps @ block':>26} {' '.join(f'{h:>8}' for h in heads)}   k/z   c/z  share", end="")
    print("      kB   kflop  second level")
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        binary = zita(Path(folder))
        for case in grid() if chosen.grid else ANCHORS:
            m = measured(case, binary, chosen.repeats, chosen.lanes)
            ratios.append(m["kernelratio"])
            name = "{} x {} x {} @ {}".format(*case)
            level = f"x{m['level']:.0f}" if m["level"] > 1 else "none"
            cells = " ".join(f"{m[k]:8.1f}" for k in heads)
            share = 100 * m["limit"] / m["kernel"]
            ours = f"{m['kernelratio']:5.2f} {m['callratio']:5.2f} {share:4.0f} % {m['kB']:7.0f} {m['kflop']:7.0f}"
            print(f"{name:>26} {cells} {ours}  {level}", flush=True)
    print(f"kernel/zita: median {statistics.median(ratios):.2f}, worst {max(ratios):.2f}")
    wanted = (0.6, 1.0) if chosen.grid else (0.5, 0.5)
    return 0 if statistics.median(ratios) <= wanted[0] and max(ratios) <= wanted[1] else 1


if __name__ == "__main__":
    sys.exit(main())
