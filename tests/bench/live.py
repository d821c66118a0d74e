"""Live playing in real time on a JACK server: load of the blocks and xruns, with the other core and a thread saturated.

    python tests/bench/live.py [--seconds 60] [--taps 4096] [--drivers 8] [--block 128] [--upmix projection]

The player runs as ``sweetspot play`` does, in a process of its own; this program stands for the one that shows, and
one of its Python threads spins without a pause, as does another process. After it, in the same way, a callback that
only waits as long as ours takes in the median shows the load of the machine itself: its floor. Exit code 1 when the
99.9th percentile of the blocks passes 5 % of their duration, or a block of ours was late: it took longer than it lasts,
and not because the processor was with others (a block that was held up took less time of the processor than it lasts).
Xruns that the device reports without such a block are its own, and no more than chance makes of the floor's.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from sweetspot.processor import files  # noqa: E402 (the path is set above)
from sweetspot.processor.filterset import FilterSet, UpmixSettings  # noqa: E402
from sweetspot.processor.live import callback as native  # noqa: E402
from sweetspot.processor.live import layout, memory, player  # noqa: E402
from sweetspot.processor.live import state as nativestate  # noqa: E402
from sweetspot.processor.live.memory import PlayerMemory, Shared  # noqa: E402
from sweetspot.processor.live.player import PlayedProgram  # noqa: E402
from sweetspot.processor.live.stream import playing  # noqa: E402
from sweetspot.rigs.live_stream import LiveStream, Wanted  # noqa: E402

FS, NAME, LIMIT = 48000, "sweetspot-bench-live", 0.05
LONGEST_FLOOR_S = 60.0
BUSY_NICE = 5
"""The busy processes give way to all others, but not to idle ones."""


def spin(ended: Any = None) -> None:
    """Use all of a core that one can get."""
    if ended is None:
        os.nice(BUSY_NICE)
    count = 0
    while ended is None or not ended.is_set():
        count += 1


@contextmanager
def busy() -> Iterator[None]:
    """A Python thread and another process that spin."""
    ended, other = threading.Event(), multiprocessing.get_context("spawn").Process(target=spin, daemon=True)
    thread = threading.Thread(target=spin, args=(ended,), daemon=True)
    other.start()
    thread.start()
    try:
        yield
    finally:
        ended.set()
        other.kill()
        thread.join()


def wanted(args: argparse.Namespace) -> Wanted:
    """The server's own device."""
    return Wanted("system", None, None, args.drivers, 0, FS, args.block)


def played(args: argparse.Namespace, folder: Path) -> PlayerMemory:
    """Play noise through random filters for so long."""
    import soundfile

    rng = np.random.default_rng(1)
    taps = rng.standard_normal((3, args.drivers, args.taps)) / args.taps
    names = tuple(f"d{i}" for i in range(args.drivers))
    channels = tuple(range(1, args.drivers + 1))
    filters = FilterSet(taps, FS, names, 0.5, 40, 20.0, channels, "0" * 64, "BENCH", UpmixSettings(method=args.upmix))
    soundfile.write(folder / "noise.wav", 0.1 * rng.standard_normal((20 * FS, 2)), FS)
    program = PlayedProgram((filters, filters, filters), wanted(args), None)
    with files.SoundSource(folder / "noise.wav") as source, playing(program, source, loop=True) as live, busy():
        until = time.monotonic() + args.seconds
        while time.monotonic() < until:
            live.feed()
            live.check()
            time.sleep(0.05)
    return live.board


def _waiting(heard: Any, play: Any, frames: Any, when: Any, flags: Any, user: Any) -> Any:
    """A callback that waits ``mute.gain`` seconds, and measures how long that took."""
    s = nativestate.carray(user, 1)[0]
    stream = s.stream
    began = native._seconds(stream, layout.CLOCK_MONOTONIC)
    ran = native._seconds(stream, layout.CLOCK_THREAD)
    meters = nativestate.carray(nativestate.f64(s.shared.meters), memory.PEAKS)
    if flags != 0 and meters[memory.BLOCKS] > stream.settled:
        meters[memory.XRUNS] += 1.0
    now = began
    while now - began < s.mute.gain:
        now = native._seconds(stream, layout.CLOCK_MONOTONIC)
    whole = frames * stream.period
    native._timed(s.shared, (now - began) / whole, (native._seconds(stream, layout.CLOCK_THREAD) - ran) / whole)
    return np.int32(0)


def floor_process(shared: Shared, want: Wanted, waits: float) -> None:
    """The process that plays nothing, otherwise like ours."""
    at, state, clock = PlayerMemory(shared), np.zeros(1, dtype=layout.STATE), np.zeros(2, dtype=np.int64)
    s = state.view(np.recarray)[0]
    s.shared.meters, s.shared.loads, s.stream.time = at.meters.ctypes.data, at.loads.ctypes.data, clock.ctypes.data
    s.stream.clock, s.stream.period, s.mute.gain = layout.clock(), 1.0 / want.fs, waits
    s.stream.settled = player.SETTLE_S * want.fs / want.block
    callback = nativestate.numba.cfunc(native._SIGNATURE, nopython=True)(_waiting)
    player._hurry()
    with LiveStream(want) as stream:
        player._hold()
        stream.start(callback.address, state.ctypes.data)
        at.meters[memory.STARTED] = 1.0
        while not at.controls[memory.QUIT]:
            time.sleep(0.02)


def floor(args: argparse.Namespace, waits: float) -> PlayerMemory:
    """What a callback that only waits meets on this machine."""
    context = multiprocessing.get_context("spawn")
    shared = Shared.make(context, 0.1, FS, args.drivers)
    at, process = (
        PlayerMemory(shared),
        context.Process(target=floor_process, args=(shared, wanted(args), waits), daemon=True),
    )
    process.start()
    while not at.meters[memory.STARTED]:
        if not process.is_alive():
            raise RuntimeError("the process of the floor died")
        time.sleep(0.05)
    with busy():
        time.sleep(min(args.seconds, LONGEST_FLOOR_S))
    at.controls[memory.QUIT] = 1.0
    process.join(5.0)
    return at


def rate(at: PlayerMemory, of: PlayerMemory) -> float:
    """Xruns of ``at`` in as many blocks as ``of`` has had."""
    return float(at.meters[memory.XRUNS] * of.meters[memory.BLOCKS] / max(at.meters[memory.BLOCKS], 1.0))


def done(name: str, at: PlayerMemory) -> tuple[float, int]:
    """Print a line of figures: 99.9th percentile of the load, blocks of ours that were late."""
    load, xruns, held = at.percentile(0.999), int(at.meters[memory.XRUNS]), int(at.meters[memory.HELD])
    late = int(at.loads[int(1.0 / memory.STEP) :].sum()) - held
    print(
        f"  {name:<10} {int(at.meters[memory.BLOCKS])} blocks: median {100 * at.percentile(0.5):.2f} %, "
        f"99.9th percentile {100 * load:.2f} %, worst {100 * at.meters[memory.WORST]:.1f} % of a block; "
        f"{late} late, {held} held up by others; {xruns} xruns told, {int(at.meters[memory.STARVED])} samples late",
        flush=True,
    )
    return load, late


def measured(args: argparse.Namespace, folder: Path) -> int:
    """Ours, then the floor."""
    print(f"{args.seconds:g} s at block {args.block}, {args.drivers} x {args.taps} taps, upmix {args.upmix}, busy:")
    ours = played(args, folder)
    load, late = done("ours", ours)
    machine = floor(args, ours.percentile(0.5) * args.block / FS)
    done("the floor", machine)
    xruns, usual = float(ours.meters[memory.XRUNS]), rate(machine, ours)
    spread = 3.0 * np.sqrt(usual * (1.0 + ours.meters[memory.BLOCKS] / machine.meters[memory.BLOCKS]) + 1.0)
    print(f"99.9th percentile at most {100 * LIMIT:g} %: {'reached' if load <= LIMIT else 'MISSED'}")
    print(f"xruns caused by us: {late}; told {xruns:.0f}, and {usual:.0f} with a callback that only waits")
    return 1 if load > LIMIT or late or xruns > usual + spread else 0


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
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(["jackd", "-n", NAME, *("-R", "-P", "40"), "-S", "-p", "256", *dummy], **quiet)
    try:
        subprocess.run(["jack_wait", "-w", "-t", "15"], check=True, **quiet)
        with tempfile.TemporaryDirectory() as folder:
            return measured(args, Path(folder))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
