"""Positions of a set with a role: the one nearest to straight ahead, and the one spared for scoring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.layout import seat


def nearest_ahead(ears: ImpulseResponse) -> int:
    """The position nearest to straight ahead and unturned; for a seat off the axis, to the middle of its positions."""
    p = ears.positions
    aside, turned = (np.abs(p[name] - seat(p[name])) for name in ("azimuth_deg", "yaw_deg"))
    return int(np.argmin(aside + turned + 50.0 * np.abs(p["x"] - np.median(p["x"]))))


def scoring(ears: ImpulseResponse) -> ImpulseResponse:
    """A set with a scoring position: unchanged if there is one, else with one taken from the design.

    The one that the others stand for best, so that the design loses least: nearest to the mean place of all, in
    centimetres and degrees, the nominal one left alone. One alone cannot be spared.
    """
    p = ears.positions
    if (p["use"] == b"score").any() or len(p) < 3:
        return ears
    spread = np.stack([100.0 * p["x"], 100.0 * p["y"], p["yaw_deg"]], axis=1)
    away = np.linalg.norm(spread - spread.mean(axis=0), axis=1)
    away[nearest_ahead(ears)] = np.inf
    positions = p.copy()
    positions["use"][int(np.argmin(away))] = b"score"
    return replace(ears, positions=positions)


def spared(ears: ImpulseResponse) -> str:
    """Text on the position that :func:`scoring` takes from the design; else empty."""
    taken = np.flatnonzero(scoring(ears).positions["use"] != ears.positions["use"])
    if not len(taken):
        return ""
    p = ears.positions[taken[0]]
    return (
        f"No scoring position: position {taken[0] + 1} (x {p['x']:+.3f} m, y {p['y']:+.3f} m, yaw "
        f"{p['yaw_deg']:+g} degrees) was held out of the design and is scored"
    )
