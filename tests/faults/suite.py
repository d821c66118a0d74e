"""Fault injection: kills, flipped bytes, files that are valid enough to be run, full disks, two at once; a table of it.

Run ``make faults`` for the long form, or ``python tests/faults/suite.py --short``. Every count but the first two should
be 0; the exit code is 1 where one is not.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sweetspot.calibrate import design as designs
from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import Limits
from sweetspot.measure import folder, plan
from sweetspot.measure.run import measure
from sweetspot.measure.session import KINDS, SCHEMA, VERIFICATION
from sweetspot.processor import store
from sweetspot.processor.files import sink, write_all
from sweetspot.rigs.acoustics import load_head
from sweetspot.rigs.errors import SweetspotError
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.rig_file import read as read_rig
from sweetspot.rigs.storage import File, append

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
HUNG_CPU_S, HUNG_S, MEMORY = 60, 600.0, 6 << 30
"""A case hangs that has computed or waited for so long, s; the wait is long, as a busy machine lets each one wait."""

COLUMNS = ("cases", "refused", "lost", "tracebacks", "hangs", "crashes", "wrongly accepted")
PASSED, REFUSED, BROKEN, WRONG, LOST = 0, 2, 70, 71, 72
NAMES = {REFUSED: "refused", BROKEN: "tracebacks", WRONG: "wrongly accepted", LOST: "lost"}


def child(
    work: Callable[[], int], seconds: float = HUNG_S, kill_after: float | None = None, cpu_seconds: int = HUNG_CPU_S
) -> int | str:
    """Exit code of ``work`` in a process of its own, or how that ended; ``kill_after`` kills it on purpose."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))  # a fork's clock begins at 0
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            if "SHOW" not in os.environ:
                os.dup2(nowhere.fileno(), 2)
        try:
            code = work()
        except SweetspotError:
            code = REFUSED
        except BaseException:
            traceback.print_exc()
            code = BROKEN
        os._exit(code)
    end = time.monotonic() + (kill_after if kill_after is not None else seconds)
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else _ended(os.WTERMSIG(status))
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hangs" if kill_after is None else "killed"


def _ended(number: int) -> str:
    """How a process that a signal ended counts."""
    return "hangs" if number == signal.SIGXCPU else "crashes"


def counted(found: Counter[str], outcome: int | str) -> None:
    """Add one case to a row of the table."""
    found["cases"] += 1
    found[outcome if isinstance(outcome, str) else NAMES.get(outcome, "passed")] += 1


def made_run(place: Path, rig_file: Path) -> Path:
    """A run with all its files, on the virtual lab."""
    rig = read_rig(rig_file)
    run = folder.new(place / "runs", "F-1", rig, NOON)
    with open_rig(rig, serial="F-1", now=lambda: NOON) as lab:
        for name in plan.SETS:
            with folder.Session.resume(run / "session.h5") as session:
                measure(lab, session, plan.make(rig, name), ask=nobody, step=quiet)
        steps.calibrate(run, designs.Design(), "")
        verify(run, lab)
    return run


def verify(run: Path, lab: object) -> None:
    fitted = steps.fitted_of(run)
    steps.measure_verification(run, lab, fitted, NOON, ask=nobody, track=lambda title, total: nullcontext(quiet))  # type: ignore[arg-type]
    steps.judge(run, fitted, Limits())


def nobody(move: str) -> None:
    """Nobody moves anything."""


def quiet(note: str = "") -> None:
    """Nobody watches."""


def whole(run: Path) -> bool:
    """Whether every file of a run is as it was written."""
    for name, kind in (("session.h5", KINDS[SCHEMA]), ("verify.h5", KINDS[VERIFICATION]), (store.NAME, store.KIND)):
        with File.read(run / name, kind) as file:
            if file.seal.state != "sealed":
                return False
    return True


def flips(place: Path, run: Path, head: Path | None, count: int) -> dict[str, Counter[str]]:
    """Flipped bytes in files of every kind; a file of ours with one is never accepted."""
    readers: dict[str, tuple[Path, Callable[[Path], object], bool]] = {
        "flips: session.h5": (run / "session.h5", lambda p: read_all(p, SCHEMA), True),
        "flips: verify.h5": (run / "verify.h5", lambda p: read_all(p, VERIFICATION), True),
        "flips: filterset.h5": (run / store.NAME, store.read, True),
    }
    if head is not None:
        readers["flips: SOFA"] = (head, load_head, False)
    table = {}
    for name, (path, read, ours) in readers.items():
        data, found = path.read_bytes(), Counter[str]()
        for seed in range(count):
            rng, damaged = random.Random(f"{name} {seed}"), bytearray(data)
            for _ in range(rng.choice([1, 1, 2, 20, 200])):
                damaged[rng.randrange(len(damaged))] ^= rng.randrange(1, 256)
            target = place / f"flipped{path.suffix}"
            target.write_bytes(damaged)
            shutil.copy(run / "rig.toml", place / "rig.toml")

            def work(target: Path = target, read: Callable[[Path], object] = read, ours: bool = ours) -> int:
                read(target)
                return WRONG if ours else PASSED

            counted(found, child(work))
        table[name] = found
    return table


def read_all(path: Path, schema: str) -> None:
    with folder.Session.read(path, schema) as session:
        for name in session.sets:
            session.responses(name)


def kills(run: Path, rig_file: Path, place: Path, count: int, *, short: bool) -> dict[str, Counter[str]]:
    """Commands killed at seeded moments: what was there stands, and the command works when it is given again."""
    rig = read_rig(rig_file)

    def measured() -> int:
        here = next((place / "killed").glob("*/*"), None) or folder.new(place / "killed", "K-1", rig, NOON)
        with (
            open_rig(rig, serial="K-1", now=lambda: NOON) as lab,
            folder.Session.resume(here / "session.h5") as session,
        ):
            measure(lab, session, plan.make(rig, "ears"), ask=nobody, step=quiet)
        return PASSED

    def calibrated() -> int:
        steps.calibrate(run, designs.Design(), "")
        return PASSED

    def verified() -> int:
        with open_rig(rig, serial="F-1", now=lambda: NOON) as lab:
            verify(run, lab)
        return PASSED

    def processed() -> int:
        with sink(place / "out.wav", 48000, 4, "FLOAT", 200_000) as out:
            for _ in range(50):
                out.write(np.zeros((4, 4000)))
        return PASSED

    def recorded() -> int:
        for n in range(200):
            append(place / "lines.jsonl", f'{{"n": {n}}}')
        return PASSED

    jobs = {"measure": measured, "calibrate": calibrated, "verify": verified, "process": processed, "records": recorded}
    if short:
        del jobs["verify"]  # nine seconds of computing a case
    table = {}
    for name, work in jobs.items():
        began, found = time.monotonic(), Counter[str]()
        child(work)
        lasts = time.monotonic() - began
        for seed in range(count):
            if name == "measure":
                shutil.rmtree(place / "killed", ignore_errors=True)
            child(work, kill_after=random.Random(f"{name} {seed}").uniform(0.0, lasts))
            counted(found, child(lambda work=work: PASSED if work() == PASSED and whole(run) else LOST))  # type: ignore[misc]
        if name == "records" and not all(re.fullmatch(r'\{"n": \d+\}', s) for s in lines(place / "lines.jsonl")):
            found["lost"] += 1
        table[f"kills: {name}"] = found
    return table


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def texts(rig_text: str, place: Path, count: int) -> dict[str, Counter[str]]:
    """Rig and design files whose numbers are other ones: refused in one line, or run."""
    design_text = "[filter]\ntaps = 512\ndelay = 160\ngate_ms = 6.0\nband_hz = [100, 18000]\n[beam]\nlevel_db = 3.0\n"
    values = ("0", "-1", "1e-9", "1e9", "1e300", "-1e300", "nan", "inf", '"a"', "[]", "true", "65536", "0.3", "12345.6")
    table = {}
    for name, text in (("rig files", rig_text), ("design files", design_text)):
        spots, found = [m.span() for m in re.finditer(r"(?<![\w.])-?\d+(\.\d+)?(?![\w.])", text)], Counter[str]()
        for seed in range(count if name == "rig files" else count // 3):
            rng, changed = random.Random(f"{name} {seed}"), text
            for start, end in sorted(rng.sample(spots, rng.choice([1, 1, 2])), reverse=True):
                changed = changed[:start] + rng.choice(values) + changed[end:]
            target = place / "changed.toml"
            target.write_text(changed)

            def work(target: Path = target, rig: bool = name == "rig files") -> int:
                if not rig:
                    designs.read(target)
                    return PASSED
                described = read_rig(target)
                wanted = plan.make(described, "ears")
                with open_rig(described, serial="1", now=lambda: NOON) as lab:
                    if wanted.capture_bytes < 1 << 26:
                        lab.interface.capture(wanted.signal_of(wanted.captures[0]))
                return PASSED

            counted(found, child(work))
        table[name] = found
    return table


def full_disks(run: Path, place: Path, most: int, step: int = 1) -> dict[str, Counter[str]]:
    """A limit on the size of files at each kB: the old file stands, and the message is one."""
    jobs: dict[str, tuple[str, Callable[[], object]]] = {
        "filterset": ("filterset.h5", lambda: store.write(place / "filterset.h5", store.read(run))),
        "sound file": ("full.wav", lambda: _sound(place / "full.wav")),
        "export": ("full.txt", lambda: write_all(place, {"full.txt": b"x" * 150_000})),
        "records": ("full.jsonl", lambda: append(place / "full.jsonl", "y" * 150_000)),
    }
    table = {}
    for name, (file, work) in jobs.items():
        found = Counter[str]()
        for kilobytes in range(0, most + 1, step):
            (place / file).write_bytes(b"old\n")

            def limited(work: Callable[[], object] = work, limit: int = 1000 * kilobytes) -> int:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                work()
                return PASSED

            outcome = child(limited)
            kept = (place / file).read_bytes()
            counted(found, LOST if outcome != PASSED and kept != b"old\n" else outcome)
            found["lost"] += sum(1 for p in place.iterdir() if ".part" in p.name and not p.name.endswith(".partial"))
        table[f"full disk: {name}"] = found
    return table


def _sound(path: Path) -> None:
    with sink(path, 48000, 1, "PCM_24", 40_000) as out:
        out.write(np.zeros((1, 40_000)))


def two_at_once(run: Path, count: int) -> dict[str, Counter[str]]:
    """Two calibrations of one run: one of them is refused or both succeed one after the other; the file is whole."""
    found: Counter[str] = Counter()

    def both() -> int:
        pids = []
        for _ in range(2):
            if not (pid := os.fork()):
                try:
                    steps.calibrate(run, designs.Design(), "")
                    os._exit(PASSED)
                except SweetspotError:
                    os._exit(REFUSED)
                except BaseException:
                    os._exit(BROKEN)
            pids.append(pid)
        codes = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)
        return PASSED if codes in ([0, 0], [0, REFUSED]) and whole(run) else LOST

    for _ in range(count):
        counted(found, child(both))
    return {"two at once: calibrate": found}


def main() -> int:
    """Run everything and print the table."""
    asked = argparse.ArgumentParser(description="Fault injection")
    asked.add_argument("--short", action="store_true", help="a few of each kind")
    asked.add_argument("--rig", type=Path, default=Path(__file__).with_name("small.toml"))
    asked.add_argument("--head", type=Path, help="a SOFA file of a head, for its reader")
    asked.add_argument("--share", type=float, default=1.0, help="of the long form, of every kind")
    given = asked.parse_args()
    short = given.short

    def many(long: int, few: int) -> int:
        return few if short else max(round(given.share * long), few)

    with tempfile.TemporaryDirectory(prefix="sweetspot-faults-") as folder_:
        place = Path(folder_)
        run = made_run(place, given.rig)
        table = flips(place, run, given.head, many(500, 5))
        table |= full_disks(run, place, 2 if short else 200, step=max(round(1.0 / given.share), 1))
        table |= texts(given.rig.read_text(), place, many(3000, 12))
        table |= two_at_once(run, many(10, 1))
        table |= kills(run, given.rig, place, many(30, 1), short=short)
    sys.stdout.write(f"{'':<26}" + "".join(f"{c:>18}" for c in COLUMNS) + "\n")
    for name, row in table.items():
        sys.stdout.write(f"{name:<26}" + "".join(f"{row[c]:>18}" for c in COLUMNS) + "\n")
    return int(any(row[c] for row in table.values() for c in COLUMNS[2:]))


if __name__ == "__main__":
    sys.exit(main())
