"""Processor time of one unit's design on one core, beside its cancellation as a loop over bins with a convex solver.

Run it as ``OMP_NUM_THREADS=1 python tests/bench/design_time.py``: 2 to 8 drivers, 5 and 19 heads, 72 angles, 2049
bins, 512 taps; the convex solver (cvxpy with CLARABEL) does both sides of 12 bins, scaled up to all of them. Exit code
1 where eight drivers take longer than 1.5 s, or the loop less than 20 times the time of the same design.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress

import cvxpy
import numpy as np

from sweetspot.calibrate.design import BeamDesign, CrosstalkDesign, FilterDesign
from sweetspot.calibrate.filters import leastsquares
from sweetspot.calibrate.filters.beam import beamform
from sweetspot.calibrate.filters.sides import pair
from sweetspot.calibrate.plant.responses import Plant
from sweetspot.rigs.acoustics.sphere import field

BINS = 2049
LONGEST_S, LEAST_RATIO = 1.5, 20.0


def unit(drivers: int, heads: int) -> tuple[Plant, np.ndarray, np.ndarray]:
    """Drivers on a ring around a rigid sphere; ears as points 15 cm apart at 2 m; the polar set at 72 angles."""
    f = np.fft.rfftfreq(2 * (BINS - 1), 1.0 / 48000.0)
    k = 2.0 * np.pi * np.maximum(f, 20.0) / 343.0
    ring = 2.0 * np.pi * (np.arange(drivers) + 0.5) / drivers
    around = np.radians(np.arange(-180.0, 180.0, 5.0))
    polar = field(np.cos(around[None] - ring[:, None]), k, 0.0875, 2.0)
    places = np.random.default_rng(1).uniform(-0.04, 0.04, heads)
    places[0] = 0.0
    ears = np.arctan2(places[:, None] + np.array([-0.13, 0.13]), 2.0)
    h = field(np.cos(ears[:, :, None] - ring), k, 0.0875, 2.0)
    return Plant(h, f, 166.0, np.zeros((heads, 2, drivers))), polar, around


def timed(work: Callable[[], object], repeats: int = 3) -> float:
    """Least of several times on one core, s."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def convex(plant: Plant, cost: np.ndarray, bins: np.ndarray) -> float:
    """Time a bin of the convex solver, both sides, s: least effort under target and distortionless response."""
    asked, _ = pair.problems(plant, 0, CrosstalkDesign())
    start = time.process_time()
    for p in asked:
        for i in bins:
            w = cvxpy.Variable(plant.h.shape[2], complex=True)
            root = np.linalg.cholesky(p.covariance[i]).conj().T
            leak = np.abs(p.wanted[i]) / np.sqrt(p.target[i])
            weighted = cvxpy.multiply(np.sqrt(cost[i]), w)
            problem = cvxpy.Problem(
                cvxpy.Minimize(cvxpy.sum_squares(weighted)),
                [p.near[i] @ w == p.wanted[i], cvxpy.norm(root @ w) <= leak],
            )
            with suppress(cvxpy.SolverError):  # a bin that it gives up costs its time all the same
                problem.solve(solver=cvxpy.CLARABEL)
    return (time.process_time() - start) / len(bins)


def main() -> int:
    """Print the table; the exit code."""
    short = []
    print(f"{BINS} bins, 72 angles, 512 taps; seconds")
    print(f"{'drivers':>8}{'heads':>6}{'sides':>8}{'beam':>8}{'FIRs':>8}{'all':>8}{'convex solver':>15}{'ratio':>8}")
    for drivers, heads in ((2, 5), (4, 5), (4, 19), (8, 19)):
        plant, polar, around = unit(drivers, heads)
        cost, wish = np.ones((BINS, drivers)), FilterDesign()
        both = pair.steer(plant, 0, cost, CrosstalkDesign())
        t_sides = timed(lambda p=plant, c=cost: pair.steer(p, 0, c, CrosstalkDesign()))
        t_beam = timed(
            lambda p=plant, h=polar, a=around, c=cost: beamform.solve(
                beamform.ring(h, a, BeamDesign()), p.f, c, BeamDesign(), h[0, 36]
            ),
            1,
        )
        t_fir = timed(
            lambda b=both, p=plant, c=cost, x=wish: [leastsquares.side(b, i, b.w[i], p.f, c, x) for i in (0, 1)]
        )
        slow = convex(plant, cost, np.linspace(60, 700, 12).astype(int)) * BINS
        print(
            f"{drivers:8d}{heads:6d}{t_sides:8.3f}{t_beam:8.3f}{t_fir:8.3f}{t_sides + t_beam + t_fir:8.3f}"
            f"{slow:15.1f}{slow / t_sides:8.0f}"
        )
        whole = t_sides + t_beam + t_fir
        short += [f"{drivers} drivers take {whole:.2f} s, {LONGEST_S} allowed"] if whole > LONGEST_S else []
        short += [f"the loop takes {slow / t_sides:.0f} times as long"] if slow / t_sides < LEAST_RATIO else []
    zones = CrosstalkDesign(form="ratio")
    print(f"8 drivers from zone to zone: {timed(lambda: pair.steer(plant, 0, cost, zones), 1):.3f} s instead")
    print("\n".join(short) or "Every figure asked for is reached.")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
