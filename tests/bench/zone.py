"""The map of the listening zone against what the virtual lab gives at places that no session measured.

``python tests/bench/zone.py`` measures three units (minutes each): a round one in free field, a round one and a bar in
living rooms. The round ones are rings of pistons in baffles of their own here, a body that no model of the map knows.
``python tests/bench/zone.py --runs DIR`` takes the runs below DIR that are there already.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.auditory import arms as ways
from sweetspot.calibrate.auditory import assessment, mapping
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.auditory.figures import direct_spectra
from sweetspot.calibrate.design import Design
from sweetspot.calibrate.plant import corrected, grid, transform
from sweetspot.measure import folder, plan
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.lab import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.rig_file import Description, parse
from sweetspot.rigs.units import Float, speed_of_sound

RIGS = ("desk", "round-living-room", "soundbar-living-room")
UNIT = "ZONE-7"
RING = 'shape = "ring"\nbaffle_m = 0.11\ndriver_diameter_m = 0.05\n'
ACROSS, ALONG = 5, 4
"""Places: so many y by so many x, drawn for each seed."""

SOURCES = ("left", "right", "centre")


class Places(mapping.Extent):
    """Places of one's own in the place of even steps."""

    own: tuple[Float, Float]

    @property
    def axes(self) -> tuple[Float, Float]:
        """See :class:`mapping.Extent`."""
        return self.own


def of_another_body(text: str) -> str:
    """A rig file whose round body is a ring of pistons."""
    if 'shape = "line"' in text:
        return text
    if 'shape = "sphere"' in text:
        head, tail = text.split('[lab.body]\nshape = "sphere"\n', 1)
        return f"{head}[lab.body]\n{RING}{tail.split(chr(10), 1)[1]}"
    return f"{text}\n[lab.body]\n{RING}"


def measured(name: str, runs: Path) -> Path:
    """A session of one unit."""
    source = find(name)
    description = parse(of_another_body(source.read_text(encoding="utf-8")), folder=source.parent)
    here = folder.new(runs, UNIT, description, datetime.now(UTC))
    with open_rig(description, serial=UNIT) as lab, Session.resume(here / "session.h5") as session:
        for which in plan.SETS:
            measure(lab, session, plan.make(lab.description, which), ask=lambda move: None, step=lambda note: None)
    steps.calibrate(here, Design(), "")
    return here


def drawn(seed: int) -> tuple[Float, Float]:
    """Coordinates x and y of places within the default map, from a seed."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(1.0, 4.0, ALONG)), np.sort(rng.uniform(-1.0, 1.0, ACROSS))


def responses(rig: Description, serial: str, places: Float, *, room: bool) -> ImpulseResponse:
    """What the lab gives at places, the head facing the device: with its room, or the direct sound alone."""
    away = rig.listening_m
    if not room:
        rig = rig.model_copy(update={"lab": rig.lab.model_copy(update={"room": None})})
    world = World(rig, serial)
    h = [np.fft.irfft(world.at_ears(Pose(x=x - away, y=y, yaw=float(np.arctan2(y, x)))), world.taps) for x, y in places]
    table = np.zeros(len(places), dtype=[("use", "S8")])
    snr = np.full((len(places), 2, len(rig.driver)), 60.0)
    return ImpulseResponse(
        np.stack(h), rig.fs, table, ("ear_left", "ear_right"), rig.driver_names, 0, "Pa/FS", snr, (60, 9000)
    )


def compared(run: Path, seed: int) -> dict[str, Float]:
    """Errors of the map at drawn places, and where it is trusted."""
    fitted = steps.fitted_of(run)
    with Session.read(run / "session.h5") as session:
        rig, serial = session.rig(), session.serial
        ears, polar = session.responses("ears"), session.responses("polar")
    assert fitted.prediction.whole is not None
    assert rig.polar is not None
    ears = corrected(ears, fitted.ears.gains) if fitted.ears else ears
    c, at = speed_of_sound(rig.environment.temperature_c), np.array([d.at for d in rig.driver])
    gates = fitted.prediction.whole.gate, fitted.prediction.whole.polar_gate
    m = mapping.measured(ears, polar, gates, at, rig.polar.distance_m, c)
    extent, ear = Places(), auditory.model_of(rig)
    object.__setattr__(extent, "own", drawn(seed))
    x, y = drawn(seed)
    places = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    zone = mapping.zone_map(
        mapping.ground_of(m, ear, extent, assessment.pair_of(rig)),
        fitted.filters,
        far_ear=fitted.prediction.far_ear,
        figures=steps.image(run, fitted).arms,
        drivers=rig.driver,
    )
    true = responses(rig, serial, places, room=True)
    azimuth = np.degrees(ear.image(direct_spectra(ways.calibrated(true, fitted.filters))).azimuth)[:, mapping.ROWS]
    bare = responses(rig, serial, places, room=False)
    spectra = transform(bare.h, grid(rig.fs), 0)[..., mapping.grid_bins(rig.fs, 0.45 * rig.fs)]
    way = mapping.playing(ears, rig.driver, fitted.filters)["calibrated"]
    db = mapping._cancellation(way, spectra, replace(m, direct=spectra), fitted.prediction.far_ear)
    return {
        "azimuth": zone.azimuth_deg["calibrated"].reshape(-1, 3) - azimuth,
        "cancellation": zone.cancellation_db.reshape(-1) - db,
        "level": db,
        "trusted": np.stack([zone.trusted, zone.trusted, zone.trusted_centre], axis=-1).reshape(-1, 3),
        "own": np.array([zone.own.left_out_deg]),
    }


def row(name: str, seeds: list[int], each: list[dict[str, Float]]) -> str:
    """A line of the table."""
    off = np.concatenate([np.abs(e["azimuth"]) for e in each])
    sure = np.concatenate([e["trusted"] for e in each])
    db = np.concatenate([np.abs(e["cancellation"]) for e in each])
    cells = []
    for part in (slice(0, 2), slice(2, 3)):
        kept, rest = off[:, part][sure[:, part]], off[:, part][~sure[:, part]]
        cells.append(f"{np.median(kept):.1f} / {np.percentile(kept, 90):.1f}" if len(kept) else "-")
        cells.append(f"{len(kept)} of {len(kept) + len(rest)}")
        cells.append(f"{np.median(rest):.1f} / {np.percentile(rest, 90):.1f}" if len(rest) else "-")
    cells.append(f"{np.median(db):.1f} / {np.percentile(db, 90):.1f}")
    return f"| {name} | {seeds[0]} to {seeds[-1]} | {' | '.join(cells)} |"


def main() -> None:
    """Print a line for each rig."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--seed", type=int, default=100, help="the first of them")
    parser.add_argument("--seeds", type=int, default=2, help=f"how many; each draws {ACROSS * ALONG} places")
    parser.add_argument("--rigs", default=",".join(RIGS))
    args = parser.parse_args()
    seeds = list(range(args.seed, args.seed + args.seeds))
    print("| rig | seeds | sides, error median / p90, ° | trusted | elsewhere | centre | trusted | elsewhere | "
          "cancellation, error median / p90, dB |\n|---|---|---|---|---|---|---|---|---|", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.rigs.split(","):
            found = sorted(args.runs.glob(f"**/*Z-{name}/session.h5")) if args.runs else []
            run = found[-1].parent if found else measured(name, Path(scratch))
            print(row(name, seeds, [compared(run, seed) for seed in seeds]), flush=True)


if __name__ == "__main__":
    main()
