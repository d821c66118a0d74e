"""A whole polar session of eight drivers: what a capture costs beside how long it lasts, and where the time goes.

    python tests/bench/session.py [--angles 12] [--full]

The ready-made soundbar on the virtual lab in process, in free field and in its living room, a capture of each driver
at each angle with its rig's sweeps; ``--full`` takes all 72 angles. CPU time and wall time of the whole session, raw
captures written and flushed, over the captures' own duration; the lab's part is stated separately, since on hardware
the air does that work. Exit code 1 where what the program itself does passes 5 % of the captures' duration in CPU time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure import folder, plan
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.protocol import Interface, Recording
from sweetspot.rigs.rig_file.description import Description, parse

SHARE = 0.05
ANGLES = 72


class Timed:
    """Stands before an interface's captures and counts their CPU and wall time."""

    def __init__(self, inner: Interface) -> None:
        self._capture = inner.capture
        self._fs = inner.fs
        self.cpu = self.wall = self.seconds = 0.0
        self.captures = 0

    def capture(self, y: NDArray[np.float32]) -> Recording:
        """As the interface does."""
        cpu, wall = time.process_time(), time.perf_counter()
        heard = self._capture(y)
        self.cpu += time.process_time() - cpu
        self.wall += time.perf_counter() - wall
        self.seconds += y.shape[1] / self._fs
        self.captures += 1
        return heard


def session(rig: Description, runs: Path) -> tuple[Timed, float, float]:
    """A polar session from an empty folder to its last response; its CPU and wall time in s."""
    run = folder.new(runs, "S-1", rig, datetime(2026, 1, 1, tzinfo=UTC))
    with open_rig(rig, serial="S-1") as made, Session.resume(run / "session.h5") as kept:
        timed = Timed(made.interface)
        made.interface.capture = timed.capture  # type: ignore[method-assign]
        wanted = plan.make(rig, "polar")
        cpu, wall = time.process_time(), time.perf_counter()
        measure(made, kept, wanted, ask=lambda move: None, step=lambda note: None)
        return timed, time.process_time() - cpu, time.perf_counter() - wall


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--angles", type=int, default=12)
    parser.add_argument("--full", action="store_true")
    asked = parser.parse_args()
    angles = ANGLES if asked.full else asked.angles
    missed = False
    print("rig                    captures  each s  ours, CPU  wall  the lab, CPU  wall  whole session, CPU  wall")
    for name in ("soundbar", "soundbar-living-room"):
        text = find(name).read_text(encoding="utf-8")
        step = text.split("step_deg = ")[1].split("\n")[0]
        rig = parse(text.replace(f"step_deg = {step}", f"step_deg = {360.0 / angles:g}"), folder=Path("."))
        with tempfile.TemporaryDirectory() as place:
            timed, cpu, wall = session(rig, Path(place))
        own, own_wall = (cpu - timed.cpu) / timed.seconds, (wall - timed.wall) / timed.seconds
        missed |= own > SHARE
        print(
            f"{name:22} {timed.captures:8d} {timed.seconds / timed.captures:7.2f} {own:10.1%} {own_wall:5.1%} "
            f"{timed.cpu / timed.seconds:13.1%} {timed.wall / timed.seconds:5.1%} {cpu / timed.seconds:19.1%} "
            f"{wall / timed.seconds:5.1%}"
        )
    print(f"asked: ours at most {SHARE:.0%} of the captures' duration: {'missed' if missed else 'reached'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
