"""Positions of a set: the one nearest to straight ahead, the one held out for scoring, heads that face aside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.arrays import median
from sweetspot.rigs.layout import seat

ASIDE_DEG = 5.0
"""Angle between the heads' front and the device from which it is noted, degrees."""


def nearest_ahead(ears: ImpulseResponse) -> int:
    """The position nearest to straight ahead and unturned; for a seat off the axis, to the middle of its positions."""
    p = ears.positions
    aside, turned = (np.abs(p[name] - seat(p[name])) for name in ("azimuth_deg", "yaw_deg"))
    return int(np.argmin(aside + turned + 50.0 * np.abs(p["x"] - median(p["x"]))))


def scoring(ears: ImpulseResponse) -> ImpulseResponse:
    """A set with a scoring position: unchanged if there is one, else with one taken from the design.

    The one that the others stand for best, so that the design loses least: nearest to the mean place of all, in
    centimetres and degrees, the nominal one left alone. One alone cannot be held out.
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


def held_out_text(ears: ImpulseResponse) -> str:
    """Text on the position that :func:`scoring` takes from the design; else empty."""
    taken = np.flatnonzero(scoring(ears).positions["use"] != ears.positions["use"])
    if not len(taken):
        return ""
    p = ears.positions[taken[0]]
    return (
        f"No scoring position: position {taken[0] + 1} (x {p['x']:+.3f} m, y {p['y']:+.3f} m, yaw "
        f"{p['yaw_deg']:+g} degrees) was held out of the design and is scored"
    )


def faced_aside(ears: ImpulseResponse) -> str:
    """Text on heads that all face to one side of the device by more than :data:`ASIDE_DEG`; else empty.

    Their sides stand to both sides of the head's front, the centre in the direction of the device.
    """
    p = ears.positions
    aside = seat(np.degrees(np.arctan2(p["y"], p["x"])) - p["yaw_deg"])
    if abs(aside) < ASIDE_DEG:
        return ""
    return (
        f"The heads face {abs(aside):.0f} degrees beside the device: the sides are made re the head's front, the "
        f"centre is heard from the device, and images are judged re the device. For a listener who faces it, add "
        f"{aside:+.0f} to yaw_deg of ears.positions and measure again"
    )
