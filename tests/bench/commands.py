"""Where the time of every command goes: processor seconds by stage, and as a ratio to another version in the same run.

    python tests/bench/commands.py [--run RUN] [--beside SWEETSPOT RUN] [--repeats 5] [COMMAND ...]

``--run`` names a finished run folder; without it one is made on the virtual lab first. ``--beside`` names the program
of another version and a run folder that it made. Seconds are user and system time of the process and its children, so
that what else the machine does counts little; medians of interleaved runs. Stages are shares of a profile of their own:
imports, reading and writing of files, the virtual lab, pictures, and mathematics for the rest.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a user has the compiled modules
os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

RIG = "puck"
WORDS = {
    "--help": ["--help"],
    "rig devices": ["rig", "devices"],
    "measure show": ["measure", "show", "RUN"],
    "calibrate": ["calibrate", "RUN"],
    "verify": ["verify", "RUN"],
    "report": ["report", "RUN"],
    "process": ["process", "RUN", "MUSIC", "OUT"],
}
STAGES = {
    "imports": ("importlib", "<module>", "marshal", "__build_class__", "_docscrape", "builtins.compile", "faces.py"),
    "files": ("h5py", "rigs/storage", "hashlib", "soundfile", "posix.", "seal.py"),
    "lab": ("rigs/lab",),
    "pictures": ("matplotlib", "report/svg", "PIL", "fonttools", "xml/"),
}


def seconds(words: list[str]) -> tuple[float, float]:
    """Processor and wall seconds of a process and its children."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(words)}: exit code {done.returncode}: {done.stderr[-500:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def shares(words: list[str], folder: Path) -> dict[str, float]:
    """Share of each stage of a command's processor time, from a profile in a process of its own."""
    kept = folder / "profile"
    subprocess.run([sys.executable, __file__, "--profile", str(kept), *words], capture_output=True)
    found = dict.fromkeys((*STAGES, "mathematics"), 0.0)
    stats: dict[tuple[str, int, str], tuple[int, int, float, float, object]] = pstats.Stats(str(kept)).stats  # type: ignore[attr-defined]
    for (file, _, name), (_, _, own, _, _) in stats.items():
        where = f"{file} {name}"
        found[next((s for s, marks in STAGES.items() if any(m in where for m in marks)), "mathematics")] += own
    total = sum(found.values())
    return {stage: own / total for stage, own in found.items()}


def profiled(kept: str, words: list[str]) -> None:
    """Run one command in this process under the profiler; on one core, so that nothing is drawn elsewhere."""
    from sweetspot.command_line import main as command

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sys.argv = ["sweetspot", *words]
    profile = cProfile.Profile()
    try:
        profile.runcall(command)
    except SystemExit:
        profile.dump_stats(kept)


def made(folder: Path, program: str) -> Path:
    """A finished run on the virtual lab."""
    runs = folder / "runs"
    done = subprocess.run([program, "demo", "--rig", RIG, "--runs", str(runs)], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"demo: {done.stderr[-500:]}")
    return next(p.parent for p in runs.rglob("session.h5"))


def music(folder: Path) -> Path:
    """A minute of noise."""
    import numpy as np
    import soundfile

    path = folder / "music.wav"
    soundfile.write(path, np.random.default_rng(1).uniform(-0.3, 0.3, (60 * 48000, 2)), 48000)
    return path


def main() -> int:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--run", type=Path)
    options.add_argument("--beside", nargs=2, metavar=("SWEETSPOT", "RUN"))
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("commands", nargs="*", default=list(WORDS))
    asked = options.parse_args()
    ours = str(Path(sys.executable).with_name("sweetspot"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "run"
        shutil.copytree(asked.run or made(folder, ours), run)
        files = {"MUSIC": str(music(folder)), "OUT": str(folder / "out.wav")}
        print("| command | CPU, s | wall, s | imports | files | lab | pictures | mathematics | CPU re the other |")
        print("|---|---|---|---|---|---|---|---|---|")
        for command in asked.commands:
            mine = [(files | {"RUN": str(run)}).get(w, w) for w in WORDS[command]]
            times, other = [], []
            for _ in range(asked.repeats):
                times.append(seconds([ours, *mine]))
                if asked.beside:
                    theirs = [(files | {"RUN": asked.beside[1]}).get(w, w) for w in WORDS[command]]
                    other.append(seconds([asked.beside[0], *theirs])[0])
            cpu, wall = (statistics.median(t[i] for t in times) for i in (0, 1))
            ratio = f"{statistics.median(t[0] / o for t, o in zip(times, other, strict=True)):.2f}" if other else ""
            parts = " | ".join(f"{cpu * share:.2f}" for share in shares(mine, folder).values())
            print(f"| `{command}` | {cpu:.2f} | {wall:.2f} | {parts} | {ratio} |", flush=True)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--profile"]:
        profiled(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main())
