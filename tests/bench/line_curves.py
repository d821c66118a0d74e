"""What one capture a unit is worth over monitors, learned units and tolerances: cancellation, beam, width, coverage.

    python tests/bench/line_curves.py FLEET [--units 200] [--fewer 60] [--least 24] [--fresh X] [--times 1] [--only T]

Virtual units of the ready-made rig ``line`` (``virtual_fleet.py``); FLEET keeps them. Tables, one after the other:
``main``: four monitors and 20 learned units at 60 dB of SNR, ``--units`` unseen ones; ``noise``: the same at 40 dB, and
with one learned; ``learned``: 1, 5 and 50; both with ``--fewer`` units; ``mics``: 1 to 3 monitors, each with 1, 5, 20
and 50 learned, with ``--least`` units; ``golden``: full sessions against golden filters alone, all tolerances of the
lab ``--times`` as large. Columns as in ``quick.py``; width is the calibrated arm's by the ear model, degrees, mean of
heads; a difference is of the median unit.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import quick as bench
import virtual_fleet

from sweetspot.calibrate.auditory import arms
from sweetspot.calibrate.auditory import run as ear_model
from sweetspot.calibrate.auditory.figures import EarModel, direct_spectra
from sweetspot.calibrate.plant import Fitted, metrics
from sweetspot.calibrate.plant.places import Heads
from sweetspot.calibrate.quick import GoldenModel, MeasuredUnit, learn
from sweetspot.rigs.load import find
from sweetspot.rigs.rig_file import Description, read

TABLES = ("main", "noise", "learned", "mics", "golden")
HEAD = (
    "| filters | SNR | units | cancellation, mean / p10, dB | beam, dB | width | over golden, mean / p10 | "
    "behind full: mean / p10, beam, width | cells in 90 % | refused |\n|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What filters come to on units: ``(unit, 4)`` of mean, 10th percentile, beam, width."""

    figures: np.ndarray

    def text(self) -> str:
        """Mean over units."""
        mean, p10, beam, width = self.figures.mean(axis=0)
        return f"{mean:.1f} / {p10:.1f} | {beam:.1f} | {width:.1f}"


def scaled(rig: Description, times: float) -> Description:
    """The rig with all tolerances of its lab so many times as large."""
    lab, spread = rig.lab, rig.lab.spread
    assert spread is not None
    sizes = ("tilt_deg", "mount_mm", "pattern", "breakup_percent", "leak", "resonance_percent", "seat_mm", "seat_deg")
    more = {name: times * getattr(spread, name) for name in sizes}
    if spread.edge_db is not None:
        more["edge_db"] = spread.edge_db + 20.0 * float(np.log10(times))
    own = {"tolerance_db": times * lab.tolerance_db, "tolerance_percent": times * lab.tolerance_percent}
    return virtual_fleet.with_spread(rig.model_copy(update={"lab": lab.model_copy(update=own)}), **more)


class Bench:
    """Units of one rig, and what filters come to on them."""

    def __init__(self, rig: Description, place: Path, fresh: str) -> None:
        self.rig, self.place, self.fresh = rig, place, fresh
        self.ear: EarModel = ear_model.model_of(rig)
        self.models: dict[tuple[int, float], GoldenModel] = {}

    def units(self, prefix: str, count: int, snr_db: float) -> list[MeasuredUnit]:
        return bench.virtual(self.place, self.rig, prefix, count, snr_db)

    def heard(self, filters: Fitted, truth: MeasuredUnit) -> np.ndarray:
        """Mean, 10th percentile, beam and width on one unit."""
        cells = metrics.scored(bench.heard(filters, truth.sets["ears"]))
        ears = truth.sets["ears"].used_for("score")
        image = self.ear.image(direct_spectra(arms.calibrated(ears, filters.filters)))
        azimuth = np.degrees(image.azimuth - Heads.of(ears).facing[:, None])
        width = float(np.mean(azimuth[:, 0] - azimuth[:, -1]))
        return np.array([cells.mean, cells.p10, bench.contrast(filters, truth.sets["polar"]), width])

    def full(self, units: list[MeasuredUnit]) -> list[Fitted]:
        return [bench.fitted(bench.own(u, "ears"), bench.own(u, "polar"), self.rig) for u in units]

    def reference(self, count: int, snr_db: float) -> tuple[Heard, Heard]:
        """Golden filters and each unit's own full session."""
        units, truth = self.units(self.fresh, count, snr_db), self.units(self.fresh, count, bench.QUIET_DB)
        golden = self.full(self.units("L", 1, snr_db))[0]
        own = self.full(units)
        found = (
            Heard(np.stack([self.heard(golden, t) for t in truth])),
            Heard(np.stack([self.heard(f, t) for f, t in zip(own, truth, strict=True)])),
        )
        gain = np.median(found[1].figures - found[0].figures, axis=0)
        print(f"| golden | {snr_db:.0f} | {count} | {found[0].text()} | | | | |")
        over = f"{gain[0]:+.1f} / {gain[1]:+.1f}"
        print(f"| full session | {snr_db:.0f} | {count} | {found[1].text()} | {over} | | | |", flush=True)
        return found

    def quick(self, n: int, mics: int, count: int, snr_db: float, known: tuple[Heard, Heard]) -> None:
        """Print a row of quick filters."""
        if (n, snr_db) not in self.models:
            self.models[n, snr_db] = learn(self.units("L", n, snr_db), self.rig)
        model = self.models[n, snr_db]
        names = tuple(m.name for m in self.rig.monitor_mics)[:mics]
        units, truth = self.units(self.fresh, count, snr_db), self.units(self.fresh, count, bench.QUIET_DB)
        rows, shares, kept = [], [], []
        for i, (u, t) in enumerate(zip(units, truth, strict=True)):
            if (sets := bench.estimated(model, u, names)) is None:
                continue
            made = bench.fitted(sets["ears"], sets["polar"], self.rig)
            rows.append(self.heard(made, t))
            shares.append(bench.covered(made, sets["ears"], bench.heard(made, t.sets["ears"])))
            kept.append(i)
        found = Heard(np.stack(rows))
        golden, full = (k.figures[kept] for k in known)
        over = np.median(found.figures - golden, axis=0)
        behind = np.median(full - found.figures, axis=0)
        low, high = np.percentile(shares, (10, 90))
        print(
            f"| {n} learned, {mics} mics | {snr_db:.0f} | {count} | {found.text()} | {over[0]:+.1f} / {over[1]:+.1f} | "
            f"{behind[0]:+.1f} / {behind[1]:+.1f}, {behind[2]:+.1f}, {behind[3]:+.1f} | "
            f"{100 * np.mean(shares):.0f} % ({100 * low:.0f} to {100 * high:.0f}) | {count - len(kept)} |",
            flush=True,
        )


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("fleet", type=Path)
    ask.add_argument("--units", type=int, default=200)
    ask.add_argument("--fewer", type=int, default=60)
    ask.add_argument("--least", type=int, default=24)
    ask.add_argument("--fresh", default="X")
    ask.add_argument("--times", type=float, default=1.0)
    ask.add_argument("--only", default=",".join(TABLES[:-1]))
    given = ask.parse_args()
    rig = read(find("line"))
    place = given.fleet if given.times == 1.0 else given.fleet / f"times-{given.times:g}"
    made = Bench(rig if given.times == 1.0 else scaled(rig, given.times), place, given.fresh)
    wanted = given.only.split(",")
    print(HEAD)
    if "golden" in wanted:
        made.reference(given.least, 60.0)
    if "main" in wanted:
        made.quick(20, 4, given.units, 60.0, made.reference(given.units, 60.0))
    if "noise" in wanted:
        known = made.reference(given.fewer, 40.0)
        for n in (20, 1):
            made.quick(n, 4, given.fewer, 40.0, known)
    if "learned" in wanted:
        known = made.reference(given.fewer, 60.0)
        for n in (1, 5, 50):
            made.quick(n, 4, given.fewer, 60.0, known)
    if "mics" in wanted:
        known = made.reference(given.least, 60.0)
        for n in (1, 5, 20, 50):
            for mics in (1, 2, 3):
                made.quick(n, mics, given.least, 60.0, known)


if __name__ == "__main__":
    main()
