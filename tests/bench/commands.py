"""Where the time of every command goes: processor seconds by stage, and as a ratio to another version in the same run.

    python tests/bench/commands.py [--run RUN] [--beside SWEETSPOT RUN] [--repeats 5] [COMMAND ...]

``--run`` names a finished run folder; without it one is made on the virtual lab first. ``--beside`` names the program
of another version and a run folder that it made. ``report`` makes its page anew, ``report again`` leaves it;
``verify --recorded`` is a verification without acoustics and the lab's physics, from files that were recorded in it
with this version's filters (the other version needs a run with the same filters). Seconds are user and system time of
the process and its children, so that what else the machine does counts little, and wall seconds beside them; medians of
interleaved runs. Stages are shares of a profile on one core: the start of Python, imports, reading and writing of
files, the virtual lab, pictures, and mathematics for the rest. What is spent in a library counts for those who called
it: a transform of the lab's is the lab's.
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
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a user has the compiled modules
os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

RIG = "puck"
WORDS = {
    "--help": ["--help"],
    "rig devices": ["rig", "devices"],
    "measure show": ["measure", "show", "RUN"],
    "calibrate": ["calibrate", "RUN"],
    "verify": ["verify", "RUN"],
    "verify --recorded": ["verify", "RUN", "--recorded", "RECORDED"],
    "report": ["report", "RUN"],
    "report again": ["report", "RUN"],
    "process": ["process", "RUN", "MUSIC", "OUT"],
}
MADE_ANEW = {"report": "report.html"}
"""What a command would leave as it is: removed from the run folder before each of its runs."""

START = "start"
REST = "mathematics"
ROOMS = ("rigs", "measure", "processor", "calibrate", "sweetspot")
STAGES = {
    "imports": ("importlib", "<module>", "marshal", "__build_class__", "_docscrape", "builtins.compile", "faces.py"),
    "files": ("h5py", "rigs/storage", "hashlib", "soundfile", "posix.", "seal.py"),
    "lab": ("rigs/lab",),
    "pictures": ("matplotlib", "report/svg", "PIL", "fonttools", "xml/"),
}


def seconds(words: list[str], run: str = "", command: str = "") -> tuple[float, float]:
    """Processor and wall seconds of a process and its children, without what the command made in the run folder."""
    remove(run, command)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(words)}: exit code {done.returncode}: {done.stderr[-500:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def remove(run: str, command: str) -> None:
    """Remove what a command would leave as it is."""
    if command in MADE_ANEW:
        (Path(run) / MADE_ANEW[command]).unlink(missing_ok=True)


Function = tuple[str, int, str]
Row = tuple[int, int, float, float, dict[Function, tuple[int, int, float, float]]]


def shares(words: list[str], folder: Path, cpu: float) -> dict[str, float]:
    """Share of each stage in a command of ``cpu`` seconds, from a profile in a process of its own."""
    kept = folder / "profile"
    subprocess.run([sys.executable, __file__, "--profile", str(kept), *words], capture_output=True)
    stats: dict[Function, Row] = pstats.Stats(str(kept)).stats  # type: ignore[attr-defined]
    found = dict.fromkeys((*STAGES, REST), 0.0)
    blame: dict[Function, dict[str, float]] = {}
    for function, (_, _, own, _, _) in stats.items():
        for stage, part in stages_of(function, stats, blame).items():
            found[stage] += own * part
    total = sum(found.values())
    start = min(seconds([sys.executable, "-c", "pass"])[0] / cpu, 1.0)
    return {START: start} | {stage: (1.0 - start) * own / total for stage, own in found.items()}


def stages_of(
    function: Function, stats: dict[Function, Row], blame: dict[Function, dict[str, float]]
) -> dict[str, float]:
    """Shares of the stages in a function's own time: its own stage, or else those of its callers."""
    if function not in blame:
        file, _, name = function
        stage = next((s for s, marks in STAGES.items() if any(m in f"{file} {name}" for m in marks)), None)
        if stage is None and any(f"/{room}/" in file for room in ROOMS):
            stage = REST
        blame[function] = {stage or REST: 1.0}  # what calls itself, and what nobody calls
        callers = {} if stage else {c: times[2] for c, times in stats[function][4].items()}
        if sum(callers.values()) > 0.0:
            mixed: dict[str, float] = dict.fromkeys((*STAGES, REST), 0.0)
            for caller, own in callers.items():
                for found, part in stages_of(caller, stats, blame).items():
                    mixed[found] += part * own / sum(callers.values())
            blame[function] = mixed
    return blame[function]


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


def recorded(folder: Path, program: str, run: Path) -> Path:
    """Recordings of a run's verification, as another recorder makes them."""
    import recorder

    from sweetspot.measure.session import Session
    from sweetspot.rigs.lab.interface import LabInterface, LabStage
    from sweetspot.rigs.lab.world import World
    from sweetspot.rigs.protocol import Rig

    sweeps, made = folder / "sweeps", folder / "recorded"
    made.mkdir()
    subprocess.run([program, "verify", str(run), "--stimuli", str(sweeps)], capture_output=True, check=True)
    with Session.read(run / "session.h5") as session:
        rig, serial = session.rig(), session.serial
    world = World(rig, serial)
    recorder.record(Rig(rig, LabInterface(world, lambda: datetime.now(UTC)), LabStage(world)), sweeps, made)
    return made


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
        if "verify --recorded" in asked.commands:
            files["RECORDED"] = str(recorded(folder, ours, run))
        print(f"| command | CPU, s | wall, s | {' | '.join((START, *STAGES, REST))} | CPU, wall re the other |")
        print("|---" * (len(STAGES) + 6) + "|")
        for command in asked.commands:
            mine = [(files | {"RUN": str(run)}).get(w, w) for w in WORDS[command]]
            times, other = [], []
            for _ in range(asked.repeats):
                times.append(seconds([ours, *mine], str(run), command))
                if asked.beside:
                    theirs = [(files | {"RUN": asked.beside[1]}).get(w, w) for w in WORDS[command]]
                    other.append(seconds([asked.beside[0], *theirs], asked.beside[1], command))
            cpu, wall = (statistics.median(t[i] for t in times) for i in (0, 1))
            pairs = [(t[0] / o[0], t[1] / o[1]) for t, o in zip(times, other, strict=False)]
            ratio = ", ".join(f"{statistics.median(each):.2f}" for each in zip(*pairs, strict=True))
            remove(str(run), command)
            parts = " | ".join(f"{cpu * share:.2f}" for share in shares(mine, folder, cpu).values())
            print(f"| `{command}` | {cpu:.2f} | {wall:.2f} | {parts} | {ratio} |", flush=True)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--profile"]:
        profiled(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main())
