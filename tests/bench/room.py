"""The lab's room beside pyroomacoustics on the same room, order, sources and receivers, and what its cost grows with.

Run it as ``python tests/bench/room.py [--full]``, with OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1 for one core; it
ends with 1 if the lab is slower. Both compute the images each time; processor time, the best of several rounds.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pyroomacoustics as pra
    from pyroomacoustics.directivities import CardioidFamily, DirectionVector

from sweetspot.rigs.acoustics.encoding import Encoding, Single
from sweetspot.rigs.acoustics.head import SphereHead
from sweetspot.rigs.lab.sound.room import Point, Room
from sweetspot.rigs.lab.sound.surroundings import Drivers, LabEars
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.load import find
from sweetspot.rigs.rig_file.description import read
from sweetspot.rigs.units import Float

FS, C = 48000, 343.0
SIZE = np.array([5.2, 4.1, 2.5])
BANDS = np.array([125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0])
BANDED = np.array([0.12, 0.15, 0.2, 0.24, 0.28, 0.3, 0.33])
SOURCES = np.array([[1.1, 1.9, 0.9], [1.25, 2.0, 0.9], [1.1, 2.15, 0.95], [1.0, 1.8, 0.85]])
PLACES = np.array([[3.3, 2.1, 1.1], [3.35, 2.27, 1.1], [3.1, 1.2, 1.3], [4.0, 3.1, 1.0]])


def best(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Shortest processor time of several rounds of each work, in turns, ms; other programs' work is not in it."""
    took: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for n, work in enumerate(works):
            began = time.process_time()
            work()
            took[n].append(time.process_time() - began)
    return [1000.0 * min(t) for t in took]


class Cardioid:
    """The directivity that pyroomacoustics offers, for ours: 0.5 + 0.5 cos."""

    offsets: Float | None = None

    def __init__(self, axis: Sequence[float]) -> None:
        self.axis = np.array(axis)

    def toward(self, directions: Float, r: Float) -> Sequence[Single | None]:
        del r
        return [(0.5 + 0.5 * directions @ self.axis).astype(np.complex64)]


def peer(order: int, count: int, *, banded: bool, directed: bool) -> Callable[[], object]:
    """pyroomacoustics on ``count`` sources and receivers."""
    coefficients = {"description": "", "coeffs": BANDED.tolist(), "center_freqs": BANDS.tolist()}
    material = pra.Material(coefficients) if banded else pra.Material(0.25)

    def work() -> object:
        room = pra.ShoeBox(SIZE, fs=FS, materials=material, max_order=order)
        pattern = (
            CardioidFamily(DirectionVector(azimuth=0.0, colatitude=90.0, degrees=True), p=0.5) if directed else None
        )
        for source in SOURCES[:count]:
            room.add_source(source, directivity=pattern)
        for place in PLACES[:count]:
            room.add_microphone(place, directivity=pattern)
        room.compute_rir()
        return room.rir

    return work


def ours(order: int, count: int, seconds: float, *, banded: bool, directed: bool) -> Callable[[], object]:
    """The lab on the same."""
    absorption = np.tile(BANDED, (6, 1)) if banded else np.full((6, 7), 0.25)

    def work() -> object:
        room = Room(SIZE, BANDS, absorption, C, FS, order, seconds=seconds)
        end = Cardioid([1.0, 0.0, 0.0]) if directed else Point()
        return [
            room.impulse_responses(end, source, end, place) for source in SOURCES[:count] for place in PLACES[:count]
        ]

    return work


def beside(orders: Sequence[int], counts: Sequence[int], rounds: int) -> bool:
    """Print both; whether the lab is at least as fast everywhere."""
    print("sources x receivers, order   walls    ends             lab ms   pyroomacoustics ms   quotient")
    quick = True
    for banded, directed in ((False, False), (True, False), (False, True), (True, True)):
        for order in orders:
            for count in counts:
                work = peer(order, count, banded=banded, directed=directed)
                seconds = len(work()[0][0]) / FS  # type: ignore[index]
                mine, theirs = best(rounds, ours(order, count, seconds, banded=banded, directed=directed), work)
                quick &= mine <= theirs
                walls, ends = "7 bands" if banded else "flat", "cardioids" if directed else "omnidirectional"
                print(f"{count} x {count}, order {order:<14} {walls:<8} {ends:<16}", end="")
                print(f" {mine:>7.1f} {theirs:>20.1f} {theirs / mine:>10.1f}")
    return quick


def growth(rounds: int) -> None:
    """Print what the lab's own cost grows with: drivers on a sphere, ears on a head, order."""
    print("\nsphere with drivers, head with ears, walls of 7 bands, tail to 0.5 s: ms")
    print("drivers:          " + "".join(f"{n:>9}" for n in (1, 2, 4, 8)))
    angles = np.linspace(0.0, 2.0 * np.pi, 8, endpoint=False)
    axes = np.stack([np.cos(angles), np.sin(angles), 0.0 * angles], axis=1)
    for order in (3, 6, 9, 12, 18):
        room = Room(SIZE, BANDS, np.tile(BANDED, (6, 1)), C, FS, order, seconds=0.5, rng=np.random.default_rng(1))
        body = Encoding(0.0875, room.k, 1.0, 0.3)
        ears = LabEars(SphereHead(0.175, 1.75).encoded(room.k, 1.0, C), 3.1)
        for name, receiver in (("1 microphone", Point()), ("2 ears", ears)):
            row = []
            for count in (1, 2, 4, 8):
                drivers = Drivers(body, axes[:count])
                row.append(
                    best(
                        rounds, lambda d=drivers, e=receiver, r=room: r.impulse_responses(d, SOURCES[0], e, PLACES[0])
                    )[0]
                )
            print(f"{f'{name}, order {order}':<24}" + "".join(f"{t:>9.0f}" for t in row))


def session(rigs: Sequence[str]) -> bool:
    """Print how many times faster than real time the lab computes a new pose's responses; whether all are."""
    print("\na new pose of ready-made rigs: s to compute, s of sound that a measurement plays there, quotient")
    quick = True
    for name in rigs:
        rig = read(find(name))
        world = World(rig, "BENCH-1")
        world.paths(Pose())
        step = iter(range(1, 100))
        took = best(2, lambda w=world, s=step: w.paths(Pose(turn=0.1 * next(s), y=0.01)))[0] / 1000.0
        played = len(rig.driver) * (rig.sweep.seconds + (rig.sweep.before_ms + rig.sweep.after_ms) / 1000.0)
        quick &= took < played
        print(f"{name:<24} {took:>7.2f} {played:>7.2f} {played / took:>7.1f}")
    return quick


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="orders 12 and 20 too, more sources, more rounds")
    full = parser.parse_args().full
    quick = beside((6, 9, 12, 20) if full else (6, 9), (1, 2, 4) if full else (1, 2), 9)
    growth(3 if full else 1)
    live = session(["round-living-room", "puck-living-room", "soundbar-living-room", "crooked"])
    print(f"\nat least as fast as pyroomacoustics: {'yes' if quick else 'NO'}")
    print(f"faster than real time: {'yes' if live else 'NO'}")
    sys.exit(0 if quick and live else 1)


if __name__ == "__main__":
    main()
