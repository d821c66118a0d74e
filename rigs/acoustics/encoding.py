"""A rigid sphere's directional response, encoded once in spherical harmonics and evaluated for many directions.

The response of a source on the sphere, or by reciprocity of an ear on it, depends on the angle from its own axis alone,
so the harmonics are Legendre polynomials. What is left of the spectrum once the travel time from the sphere's centre
is taken out is smooth: its impulse response ends a few times ``radius / c`` after it began, so a few hundred
frequencies describe it fully. Over the distance it is interpolated in ``1 / r`` between a few exact distances.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.acoustics.sphere import cap_weights, coefficients, legendre
from sweetspot.rigs.units import Float

Single = NDArray[np.complex64]

FAR_M = 1e4
"""Distance used as infinity, m."""

BEND = 0.1
"""Largest phase by which the wave's curvature may differ between neighbouring distances, rad: -58 dB at the middle."""


PARTS = 6
"""Number of bands of the bins, each summed to the order of its upper end."""


def order_needed(ka: float, nearness: float) -> int:
    """Highest order summed: the terms beyond it lie below -70 dB of the sum; ``nearness`` is radius over distance."""
    return int(np.ceil(ka + max(3.2 * np.cbrt(ka) + 4.0, np.log(2e-4) / np.log(min(nearness, 0.9)))))


class Encoding:
    """Response of a point or cap on a rigid sphere, over that of the same source in free field.

    Parameters
    ----------
    radius
        Of the sphere, m.
    k
        Wavenumbers, rad/m, all above zero, rising.
    nearest
        Smallest distance from the sphere's centre that will be used, m.
    cap
        Half-angle of the source, rad; 0 is a point.
    """

    def __init__(self, radius: float, k: Float, nearest: float, cap: float = 0.0) -> None:
        top = order_needed(float(k[-1]) * radius, radius / nearest)
        bend = float(k[-1]) * radius**2 / (2.0 * nearest)
        nodes = 2 + int(bend / BEND)
        self.bins = len(k)
        self.step = 1.0 / (nearest * (nodes - 1))
        weights = cap_weights(cap, top)[:, None]
        tables = []
        for node in range(nodes):
            r = 1.0 / (self.step * node) if node else FAR_M
            tables.append(coefficients(k, radius, r, top) * weights * r * np.exp(1j * k * r))
        self.tables = np.stack(tables).astype(np.complex64).view(np.float32)  # (node, order, 2 bin)
        self.top = top
        edges = np.linspace(0, len(k), PARTS + 1).astype(int)
        self.parts = [
            (slice(2 * a, 2 * b), order_needed(float(k[b - 1]) * radius, radius / nearest) + 1)
            for a, b in pairwise(edges)
        ]

    def toward(self, cos_gamma: Float, r: Float) -> Single:
        """Response ``(direction, bin)`` at each direction's angle and distance ``(direction,)``.

        Travel time and spreading from the sphere's centre are not in it. Fastest where ``r`` is sorted.
        """
        polynomials = legendre(cos_gamma, self.top).T.astype(np.float32)
        out = np.empty((len(cos_gamma), 2 * self.bins), dtype=np.float32)
        place = np.minimum(1.0 / (r * self.step), len(self.tables) - 1.000001)
        place[r >= FAR_M] = 0.0
        node = place.astype(int)
        upper = (place - node).astype(np.float32)[:, None]
        for at in np.unique(node):
            rows = np.flatnonzero(node == at)
            p, w = polynomials[rows], upper[rows]
            curved = bool(w.any())
            for part, count in self.parts:
                lower = self.tables[at, :count, part]
                near = p[:, :count] @ lower
                if curved:
                    near += w * (p[:, :count] @ (self.tables[at + 1, :count, part] - lower))
                out[rows, part] = near
        return out.view(np.complex64)
