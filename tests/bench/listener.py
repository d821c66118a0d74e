"""The ready-made rigs side by side: width, depth, zone and loudness of four arms, as a table for the README.

``python tests/bench/listener.py`` measures and calibrates one unit of each rig in the virtual lab (minutes);
``python tests/bench/listener.py DIR`` takes the runs below DIR that are there already.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.design import Design
from sweetspot.measure import folder, plan
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.rig_file import read

RIGS = ("desk", "round", "round-living-room", "soundbar", "soundbar-living-room", "puck", "puck-living-room", "crooked")
NAMES = {"plain": "plain stereo", "matrix": "matrix mixing", "calibrated": "calibrated", "reference": "±30° pair"}
UNIT = "ARMS-1"


def measured(name: str, runs: Path) -> Path:
    """A session of one unit of a ready-made rig."""
    description = read(find(name))
    here = folder.new(runs, UNIT, description, datetime.now(UTC))
    with open_rig(description, serial=UNIT) as lab, Session.resume(here / "session.h5") as session:
        for which in plan.sets_of(lab.description):
            wanted = plan.make(lab.description, which)
            measure(lab, session, wanted, ask=lambda move: None, step=lambda note: None)
    return here


def rows(run: Path, name: str) -> list[str]:
    """Lines of the table: one an arm."""
    fitted = steps.calibrate(run, Design(), "", with_zone=True)
    image, zone = steps.image(run, fitted), steps.zone(run)
    lines = []
    for i, (arm, figures) in enumerate(image.arms.items()):
        drr = figures.drr_db.mean(axis=0)
        area = zone.areas[arm] if zone else None
        placed = f"{area['sides']:.1f} / {area['centre']:.1f}" if area else "-"
        lines.append(
            f"| {name if i == 0 else ''} | {NAMES[arm]} | {figures.width_deg:.0f} | {min(drr[:2]):.1f} / {drr[2]:.1f} "
            f"| {placed} | {figures.loudness_db['music']:+.1f} |"
        )
    return lines


def main() -> None:
    """Print the table as it grows."""
    there = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    print("| rig | arm | width, ° | DRR sides / centre, dB | zone sides / centre, m² | loudness re plain, dB |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in RIGS:
            found = sorted(there.glob(f"**/*Z-{name}/session.h5")) if there else []
            run = found[-1].parent if found else measured(name, Path(scratch))
            print("\n".join(rows(run, name)), flush=True)


if __name__ == "__main__":
    main()
