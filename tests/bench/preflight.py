"""Faults of a set-up that `rig check` finds, and good set-ups that it calls wrong, on every ready-made rig of the lab.

Each driver and each pair of drivers, each microphone and the two ears are swapped, turned over and cut, one fault at a
time, on units with tolerances, in free field and in living rooms. A fault counts as found when the check fails and
names exactly the things that are wrong; as reported when it reports that it cannot distinguish a pair, or names the
fault as the other explanation. Usage: ``python tests/bench/preflight.py [--full]``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sweetspot.measure.preflight import run
from sweetspot.measure.preflight.finding import Finding
from sweetspot.rigs.lab.interface import LabInterface, LabStage
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.load import READY_MADE
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file.description import EARS, Description, read
from tests.patchbay import PatchBay

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
FOUND, FALSE = 0.99, 0.01
"""Shares of the faults that must be found or reported, and of good set-ups that may be refused."""


Fault = tuple[str, dict[int, tuple[int, float]], dict[int, tuple[int, float]], set[tuple[str, str]]]
"""Kind, plugs, jacks, and the (check, subject) that must fail."""


def faults(rig: Description) -> Iterator[Fault]:
    """Every single fault of a rig."""
    for a, b in combinations(rig.driver, 2):
        plugs = {a.channel: (b.channel, 1.0), b.channel: (a.channel, 1.0)}
        yield "drivers swapped", plugs, {}, {("patch", a.name), ("patch", b.name)}
    for d in rig.driver:
        yield "driver turned over", {d.channel: (d.channel, -1.0)}, {}, {("polarity", d.name)}
        yield "driver silent", {d.channel: (d.channel, 0.0)}, {}, {("amplifier", d.name)}
    for m in rig.mic:
        yield "microphone turned over", {}, {m.channel: (m.channel, -1.0)}, {("polarity", m.name)}
        yield "microphone dead", {}, {m.channel: (m.channel, 0.0)}, {("microphone", m.name)}
    left, right = (next(m.channel for m in rig.mic if m.name == e) for e in EARS)
    yield "ears swapped", {}, {left: (right, 1.0), right: (left, 1.0)}, {("patch", e) for e in EARS}
    yield "amplifier off", {d.channel: (d.channel, 0.0) for d in rig.driver}, {}, {("amplifier", "all")}


def judged(findings: list[Finding], wanted: set[tuple[str, str]]) -> str:
    """Whether what was found is what was wrong."""
    failed = {(f.check, f.subject) for f in findings if f.outcome == "fail"}
    if failed == wanted:
        return "found"
    undecided = {f.subject for f in findings if f.outcome == "untold"}
    pair = {subject for _, subject in wanted}
    if not failed and any(pair <= set(u.split(", ")) for u in undecided):
        return "said"
    also = " ".join(f.text.partition("or else")[2] for f in findings if f.outcome == "fail")
    if also and all(f"'{subject}'" in also for subject in pair):
        return "said"
    return "misnamed" if failed else "missed"


def trials(rig: Description, units: int, move: bool, tick: Callable[[], None]) -> Iterator[tuple[str, str]]:
    """Kinds of faults and how each was judged."""
    for unit in range(units):
        world = World(rig, f"U-{unit}")
        bay = PatchBay(LabInterface(world, lambda: NOON))
        opened = Rig(rig, bay, LabStage(world))
        for kind, plugs, jacks, wanted in [("nothing wrong", {}, {}, set()), *faults(rig)]:
            bay.plugs, bay.jacks = plugs, jacks
            findings, _ = run.check(opened, rig, runs=Path(), move=move)
            yield kind, judged(findings, wanted)
            tick()


def main() -> int:
    """Print a table for a stage that turns and one that does not; 1 if a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="ten units of each rig instead of one")
    parser.add_argument("--only", help="a rig's name")
    options = parser.parse_args()
    files = [p for p in sorted(READY_MADE.glob("*.toml")) if "jack" not in p.stem and options.only in (None, p.stem)]
    short = False
    for move in (True, False):
        counts: Counter[tuple[str, str]] = Counter()
        began = time.monotonic()
        for file in files:
            rig = read(file)
            for kind, verdict in trials(rig, 10 if options.full else 1, move, lambda: None):
                counts[kind, verdict] += 1
                if verdict in ("misnamed", "missed"):
                    print(f"    {rig.name}: {kind}: {verdict}", flush=True)
        short |= done(counts, move, time.monotonic() - began)
    return int(short)


def done(counts: Counter[tuple[str, str]], move: bool, seconds: float) -> bool:
    """Print one table; whether a figure is missed."""
    kinds = sorted({kind for kind, _ in counts})
    print(f"\nA stage that {'turns' if move else 'stands still'}: {sum(counts.values())} checks in {seconds:.0f} s")
    print(f"{'':24}{'found':>8}{'said':>8}{'misnamed':>10}{'missed':>8}")
    for kind in kinds:
        row = [counts[kind, v] for v in ("found", "said", "misnamed", "missed")]
        print(f"{kind:24}{row[0]:8}{row[1]:8}{row[2]:10}{row[3]:8}")
    wrong = {k: sum(counts[k, v] for v in ("misnamed", "missed")) for k in kinds}
    every = {k: sum(n for (kind, _), n in counts.items() if kind == k) for k in kinds}
    good = wrong.pop("nothing wrong"), every.pop("nothing wrong")
    found = 1.0 - sum(wrong.values()) / max(sum(every.values()), 1)
    print(
        f"found or said {100 * found:.1f} % (at least {100 * FOUND:g}), good ones called wrong {good[0]} of {good[1]}"
    )
    return found < FOUND or good[0] / good[1] > FALSE


if __name__ == "__main__":
    sys.exit(main())
