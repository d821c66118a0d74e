"""Live playing in real time on a JACK server: load of the blocks and xruns, with the other core and a thread saturated.

    python tests/bench/live.py [--seconds 60] [--taps 4096] [--drivers 8] [--block 128]

The player runs as ``sweetspot play`` does, in a process of its own; this program stands for the one that shows, and
one of its Python threads spins without a pause, as does another process. Exit code 1 when the 99.9th percentile of the
blocks passes 5 % of their duration, or the device told an xrun.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
FS, NAME, LIMIT = 48000, "sweetspot-bench-live", 0.05


def spin(ended: threading.Event | None = None) -> None:
    """Use all of a core that one can get."""
    count = 0
    while ended is None or not ended.is_set():
        count += 1


def played(args: argparse.Namespace, folder: Path) -> int:
    """Play noise through random filters for so long; print what the meters say."""
    import numpy as np
    import soundfile

    from processor import files
    from processor.filterset import FilterSet, UpmixSettings
    from processor.player import Program
    from processor.stream import playing
    from rigs.live import Wanted

    rng = np.random.default_rng(1)
    taps = rng.standard_normal((3, args.drivers, args.taps)) / args.taps
    names = tuple(f"d{i}" for i in range(args.drivers))
    channels = tuple(range(1, args.drivers + 1))
    filters = FilterSet(taps, FS, names, 0.5, 40, 20.0, channels, "0" * 64, "BENCH", UpmixSettings(method=args.upmix))
    soundfile.write(folder / "noise.wav", 0.1 * rng.standard_normal((20 * FS, 2)), FS)
    program = Program((filters, filters, filters), Wanted("system", None, None, args.drivers, 0, FS, args.block), None)
    ended, busy = threading.Event(), multiprocessing.get_context("spawn").Process(target=spin, daemon=True)
    thread = threading.Thread(target=spin, args=(ended,), daemon=True)
    with files.Source(folder / "noise.wav") as source, playing(program, source, loop=True) as live:
        busy.start()
        thread.start()
        until = time.monotonic() + args.seconds
        while time.monotonic() < until:
            live.feed()
            live.check()
            time.sleep(0.05)
        found, median = live.meters(), live.board.percentile(0.5)
    ended.set()
    busy.kill()
    print(
        f"{found.seconds:.0f} s, block {args.block}, {args.drivers} outputs, {args.taps} taps, upmix {args.upmix}: "
        f"median {100 * median:.1f} %, 99.9th percentile {100 * found.load:.1f} % (at most {100 * LIMIT:.0f}), "
        f"worst {100 * found.worst:.1f} % of a block; {found.xruns} xruns, {found.starved} samples late"
    )
    return 1 if found.load > LIMIT or found.xruns else 0


def main() -> int:
    """Start a server of its own, play, and end the server."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=60.0)
    arguments.add_argument("--taps", type=int, default=4096)
    arguments.add_argument("--drivers", type=int, default=8)
    arguments.add_argument("--block", type=int, default=128)
    arguments.add_argument("--upmix", default="projection")
    args = arguments.parse_args()
    os.environ |= {"JACK_DEFAULT_SERVER": NAME, "JACK_NO_AUDIO_RESERVATION": "1"}
    dummy = ["-d", "dummy", "-r", str(FS), "-p", str(args.block), "-C", "2", "-P", str(args.drivers)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(["jackd", "-n", NAME, *("-R", "-P", "40"), "-S", "-p", "256", *dummy], **quiet)
    try:
        subprocess.run(["jack_wait", "-w", "-t", "15"], check=True, **quiet)
        with tempfile.TemporaryDirectory() as folder:
            return played(args, Path(folder))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
