"""Cancellation at heads never seen, ours beside the classical designs, on points on a rigid sphere.

Run it as ``python tests/bench/cancellation.py [--seeds 2] [--head FILE.sofa] [--json]``. Body 17.5 cm, head (a sphere,
or a measured one) at 2 m, 19 design heads, 24 disjoint scoring heads within 5 cm and 10 degrees, effort at most +12 dB
re one driver of mean power, filters of 512 taps. Each path between a driver and an ear is off by ``error`` dB in level
and as much in phase, drawn for every third octave.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.stats import qmc

from sweetspot.calibrate.design import CrosstalkDesign, FilterDesign
from sweetspot.calibrate.filters.sides import pair
from sweetspot.calibrate.filters.sides.effort import driver_cost
from sweetspot.calibrate.plant import NEPER_DB
from sweetspot.calibrate.plant.responses import Plant
from sweetspot.calibrate.study import compare
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.rig_file.description import Description, parse

WANTED = {"mean": (17, 17, 17, 16, 14), "p10": (13, 11, 11, 10, 8), "nominal": (20, 22, 25, 25, 15)}
"""Targets at 0.25 dB of error, dB in the bands of ``metrics.OCTAVES``."""

SHIPPED = {"mean": (19, 15, 18, 18, 15), "p10": (15, 11, 12.5, 11.5, 8), "nominal": (22, 15, 22, 30, 28)}
"""The same for the default effort limit, which loudness sets: about 1 dB under what it reached when it was chosen."""

UNITS = {2: (90.0, -90.0), 4: (30.0, -30.0, 90.0, -90.0)}
"""Azimuths of the drivers, degrees."""

RIG = """
schema = 1
name = "sphere"
fs = 48000
[interface]
driver = "lab"
loopback = {{ out = 9, in = 4 }}
[stage]
driver = "lab"
{drivers}
[[mic]]
name = "ear_left"
channel = 1
[[mic]]
name = "ear_right"
channel = 2
[ears]
distance_m = 2.0
positions = [{{ x = 0.0 }}]
[lab]
seed = {seed}
head = "{head}"
"""


def rig(azimuths: tuple[float, ...], seed: int = 1, head: str = "sphere") -> Description:
    """A round body of 17.5 cm with drivers at these azimuths, degrees."""
    drivers = "".join(
        f'[[driver]]\nname = "d{i}"\nchannel = {i + 1}\n'
        f"at = [{0.0875 * np.cos(np.radians(a)):.5f}, {0.0875 * np.sin(np.radians(a)):.5f}, 0.0]\n"
        "band_hz = [60, 22000]\n"
        for i, a in enumerate(azimuths)
    )
    return parse(RIG.format(drivers=drivers, seed=seed, head=head), folder=Path())


def design_heads() -> list[Pose]:
    """19 of them: the nominal one, then 4 cm ahead and behind, 4 cm to the sides, turned by 8 degrees and not."""
    places = [(x, y, t) for x in (0.04, -0.04) for y in (0.0, 0.04, -0.04) for t in (0.0, 8.0, -8.0)]
    return [Pose(), *(Pose(x=x, y=y, yaw=float(np.radians(t))) for x, y, t in places)]


def scoring_heads(seed: int = 7, count: int = 24) -> list[Pose]:
    """Spread evenly within 5 cm and 10 degrees, each 1 cm or 2 degrees away from every design head.

    A scrambled Halton sequence, so that the 10th percentile does not hang on a lucky draw.
    """
    points = qmc.Halton(3, scramble=True, rng=np.random.default_rng(seed)).random(2 * count)
    drawn = (2.0 * points - 1.0) * (0.05, 0.05, np.radians(10.0))
    design = np.array([[p.x, p.y, p.yaw] for p in design_heads()])
    away = np.max(np.abs(drawn[:, None] - design) / (0.01, 0.01, np.radians(2.0)), axis=2).min(axis=1) > 1.0
    return [Pose(x=x, y=y, yaw=t) for x, y, t in drawn[away][:count]]


def responses(world: World, heads: list[Pose]) -> np.ndarray:
    """True responses ``(position, ear, driver, frequency)`` on the world's grid; its ends, which are silent, filled."""
    h = np.stack([world.at_ears(p) for p in heads])
    h[..., 0], h[..., -60:] = h[..., 1], h[..., -61:-60]
    return h


def mistaken(h: np.ndarray, f: np.ndarray, error_db: float, rng: np.random.Generator) -> np.ndarray:
    """Responses with every path off by ``error_db`` (one sigma) in level and in phase, drawn for each third octave."""
    nodes = np.linspace(0.0, 10.0, 31)  # octaves above 23.4 Hz
    drawn = rng.standard_normal((2, *h.shape[:3], len(nodes)))
    at = np.clip(np.log2(np.maximum(f, 1.0) / 23.4), 0.0, 9.999) * 3.0
    low, share = at.astype(int), at - at.astype(int)
    norm = np.hypot(1.0 - share, share)
    level, phase = (drawn[..., low] * (1.0 - share) + drawn[..., low + 1] * share) / norm * error_db / NEPER_DB
    return h * np.exp(level + 1j * phase)


def scene(h: np.ndarray, scored: np.ndarray, world: World, error_db: float, seed: int) -> compare.TestPlaces:
    """A measurement of ``h`` with errors, to be scored on the truth."""
    wrong = mistaken(h, world.f, error_db, np.random.default_rng(seed))
    plant = Plant(wrong, world.f, 100.0, np.zeros(h.shape[:3]))
    return compare.TestPlaces(plant, 0, h[:1], scored, world.description.fs)


@lru_cache
def unit(drivers: int, head: str = "sphere") -> tuple[World, np.ndarray, np.ndarray]:
    """A unit, and its true responses at the design and at the scoring heads."""
    world = World(rig(UNITS[drivers], head=head), "bench")
    return world, responses(world, design_heads()), responses(world, scoring_heads())


def run(
    drivers: int, error_db: float, seeds: range, head: str = "sphere", shipped: bool = False
) -> tuple[compare.DesignRow, ...]:
    """Figures of all designs for one unit, the mean over measurements with different errors.

    ``shipped`` takes the default design with the effort limit that loudness sets; else loudness is no matter.
    """
    world, h, scored = unit(drivers, head)
    limit = CrosstalkDesign().effort_db if shipped else 18.0
    wish = CrosstalkDesign(effort_db=limit, tolerance_db=error_db)  # the error is known
    cost = driver_cost(world.description.driver, world.f)
    found = []
    for seed in seeds:
        here = scene(h, scored, world, error_db, seed)
        both = pair.steer(here.plant, 0, cost, wish)
        found.append(compare.rows(here, both, cost, FilterDesign()))
    return tuple(compare.averaged(same) for same in zip(*found, strict=True))


def missed(ours: compare.DesignRow, asked: Mapping[str, tuple[float, ...]] = WANTED) -> list[str]:
    """Targets at 0.25 dB that are not reached."""
    out = []
    for name, wanted in asked.items():
        got = getattr(ours, name)
        out += [
            f"{name}, band {i + 1}: {g:.1f} < {w}" for i, (g, w) in enumerate(zip(got, wanted, strict=True)) if g < w
        ]
    return out


def main() -> None:
    """Print the tables and whether the targets are reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--head", default="sphere", help="a SOFA file with a measured dummy head, instead of a sphere")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    data, short = {}, []
    for drivers in UNITS:
        for error in (0.25, 0.5):
            found = run(drivers, error, range(args.seeds), args.head)
            key = f"{drivers} drivers, {error:g} dB error"
            data[key] = [r.to_dict() for r in found]
            if not args.json:
                print(compare.table(found, f"\n{key}: mean/10th percentile/nominal, effort; dB"))
            if error == 0.25:
                short += [f"{key}: {m}" for m in missed(found[0], WANTED)]
                default = run(drivers, error, range(args.seeds), args.head, shipped=True)
                data[f"{key}, default effort"] = [default[0].to_dict()]
                if not args.json:
                    print(compare.table(default[:1], f"\n{key}, default effort"))
                short += [f"{key}, default effort: {m}" for m in missed(default[0], SHIPPED)]
            elif found[0].mean[1] < 15.0:
                short.append(f"{key}: 800-1600 Hz {found[0].mean[1]:.1f} < 15")
    print(
        json.dumps(data, indent=1) if args.json else "\n" + ("\n".join(short) or "Every figure asked for is reached.")
    )


if __name__ == "__main__":
    main()
