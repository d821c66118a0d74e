"""Endurance: `play` on a JACK server and verifications in one process; memory must stay at its level.

    python tests/faults/soak.py [--minutes 30] [--verifications 500]

``play`` runs in real time on a private server with the lab as its sound card, a file on repeat. The verifications are
the command itself (``sweetspot verify``), one after the other in one process, on the smallest rig of the virtual lab.
Their memory is what is resident once the allocator has given back what it holds free (``malloc_trim``): how much that
is depends on where the last small object lies, and moves by some 20 MB without any growth. The level is the median over
the second tenth; exit code 1 when that of any later tenth is more than 5 % above it, when ``play`` lost samples or
ended early, or when a verification ended otherwise than the first.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402 (the fixtures beside are found first)
import soundfile  # noqa: E402
from server import lab, server  # noqa: E402

from sweetspot.roof import roof  # noqa: E402

FS, PERIOD, LIMIT = 48000, 512, 1.05
PRIORITY = -10
TENTHS = 10
PAGE = os.sysconf("SC_PAGESIZE")


def resident(pid: int) -> float:
    """Resident memory of a process, MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


def in_use() -> float:
    """Resident memory of this process without what its allocator holds free, MB."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return resident(os.getpid())


def typed(*words: str | Path) -> tuple[int, str]:
    """Exit code and stdout of a command in this process."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = roof()([str(w) for w in words], standalone_mode=False, prog_name="sweetspot") or 0
    return int(code), out.getvalue()


def steady(name: str, levels: Sequence[float]) -> bool:
    """Print what the memory did, and whether it stayed at its level."""
    tenths = [float(np.median(part)) for part in np.array_split(np.asarray(levels), TENTHS)]
    growth = max(tenths[2:]) / tenths[1]
    shown = " ".join(f"{t:.1f}" for t in tenths)
    print(f"{name}: resident memory by tenths, MB: {shown}; largest later tenth x {growth:.3f} (limit {LIMIT})")
    return growth <= LIMIT


def made_run(rig: Path, text: str) -> Path:
    """A calibrated run of a rig, whose file is written."""
    rig.write_text(text, encoding="utf-8")
    runs = rig.with_suffix("")
    typed("measure", "ears", rig, "--unit", "S-1", "--runs", runs)
    run = next((runs / "S-1").iterdir())
    if "[polar]" in text:
        typed("measure", "polar", rig, "--unit", "S-1", "--run", run)
    typed("calibrate", run)
    return run


def verifications(run: Path, count: int) -> bool:
    """The command ``verify``, again and again in this process."""
    levels, codes, began = [], set(), time.monotonic()
    for number in range(count):
        codes.add(typed("verify", run, "--json")[0])
        levels.append(in_use())
        for old in run.glob("verify-*.h5"):
            old.unlink()
        if number % max(count // TENTHS, 1) == 0:
            print(f"  {number + 1} of {count}: {levels[-1]:.1f} MB, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{count} verifications in {time.monotonic() - began:.0f} s, exit codes {sorted(codes)}")
    return steady("verifications", levels) and len(codes) == 1


def playing(place: Path, rig: Path, run: Path, minutes: float) -> bool:
    """``play`` on a server with the lab as its sound card, at its filters' rate."""
    music = place / "in.wav"
    rng = np.random.default_rng(2)
    soundfile.write(music, 0.1 * rng.standard_normal((20 * FS, 2)), FS)
    seconds = 60.0 * minutes
    words = ["play", run, music, "--loop", "--device", "small", "--seconds", f"{seconds:.0f}", "--json"]
    with _first(), server(FS, PERIOD) as jack, lab(jack, rig):
        program = "from sweetspot.command_line import main; main()"
        command = [sys.executable, "-c", program, *map(str, words)]
        with subprocess.Popen(command, env=jack.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as player:
            levels = _watched(player, seconds)
            out, err = player.communicate(timeout=60)
    if player.returncode:
        print(f"play: exit code {player.returncode}: {err.decode()[-400:]}")
        return False
    done = json.loads(out)
    lost = {key: done[key] for key in ("starved_samples", "xruns")}
    print(f"play: {done['seconds']:.0f} s of {seconds:.0f} s, {lost}, load p999 {done['load_p999']:.2f}")
    return steady("play", levels) and done["seconds"] > 0.98 * seconds - 2.0


@contextlib.contextmanager
def _first() -> Iterator[None]:
    """Programs that are started meanwhile come before others, as sound servers do, where the system permits it."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


def _watched(player: subprocess.Popen[bytes], seconds: float) -> list[float]:
    """Memory of a process while it lives, four hundred times or once a second."""
    levels, end = [], time.monotonic() + seconds + 60.0
    while player.poll() is None:
        if time.monotonic() > end:
            player.send_signal(signal.SIGKILL)
            break
        with contextlib.suppress(OSError, IndexError):
            levels.append(resident(player.pid))
        time.sleep(min(1.0, seconds / 400.0))
    return levels


def main() -> int:
    """Both parts; 1 if a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="of play; 0 leaves it out")
    parser.add_argument("--verifications", type=int, default=500, help="0 leaves them out")
    asked = parser.parse_args()
    if 0 < asked.verifications < 2 * TENTHS:
        parser.error(f"--verifications: at least {2 * TENTHS}")
    held = []
    with tempfile.TemporaryDirectory(prefix="sweetspot-soak-") as folder:
        place = Path(folder)
        if asked.minutes:
            rig = place / "small.toml"
            run = made_run(rig, (HERE / "small.toml").read_text(encoding="utf-8").replace("fs = 47872", f"fs = {FS}"))
            held.append(playing(place, rig, run, asked.minutes))
        if asked.verifications:
            run = made_run(place / "smaller.toml", (HERE / "smaller.toml").read_text(encoding="utf-8"))
            held.append(verifications(run, asked.verifications))
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
