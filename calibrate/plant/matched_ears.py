"""Matching of the two ears in the plant: a sensitivity difference of the microphones would bias the level at the far
ear. At low frequencies the ears differ little, so half a decibel between their microphones prevents cancellation there.
If the head positions and the device's drivers are mirror-symmetric, the difference of the microphones follows from the
session itself (:mod:`measure.ear_matching`); half of it is taken from each ear. ``filter.match_ears`` of the design
says whether: ``auto`` does it where the difference is more than three times its own standard error, ``on`` always,
``off`` never.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from sweetspot.measure import ear_matching
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import many
from sweetspot.rigs.rig_file import EARS, Description
from sweetspot.rigs.units import Float

Wish = Literal["auto", "on", "off"]

SURE = 3.0
"""Number of standard errors above which a difference is significant."""

LARGEST_DB = 3.0
"""More than this is no tolerance of a microphone but a mistake."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Result of the matching of the ears.

    Parameters
    ----------
    left_db, right_db
        Added to the responses at each ear.
    text
        What was done, and why.
    """

    left_db: float
    right_db: float
    text: str

    @property
    def gains(self) -> Float:
        """Of left and right ear ``(2,)``."""
        return np.asarray(10.0 ** (np.array([self.left_db, self.right_db]) / 20.0))


def matched(ears: ImpulseResponse, rig: Description, wish: Wish) -> Matched:
    """Correction of each ear.

    Raises
    ------
    BadInput
        The ears differ by more than 3 dB (``auto``: and by more than three standard errors, or with a single pair of
        paths three times the scatter of its bands); nothing mirrors and ``on`` was requested.
    """
    if wish == "off":
        return Matched(0.0, 0.0, "ears not matched: switched off (filter.match_ears)")
    try:
        found = ear_matching.match(ears, rig)
    except BadInput as why:
        if wish == "on":
            raise
        return Matched(0.0, 0.0, f"ears not matched: {why}")
    known = not np.isnan(found.overall_error_db)
    error = found.overall_error_db if known else found.ragged_db
    louder = f"{found.overall_db:+.2f} {f'± {error:.2f} ' if known else ''}dB".replace("-0.00", "+0.00")
    line = f"left ear {louder} re the right one ({many(found.pairs, 'mirrored path')})"
    if abs(found.overall_db) > LARGEST_DB and (wish == "on" or abs(found.overall_db) > SURE * error):
        raise BadInput(
            f"the {line}: more than {LARGEST_DB:g} dB apart; check sensitivity_mv_per_pa of {' and '.join(EARS)} "
            '(sweetspot rig calibrate), or set filter.match_ears = "off" in the design'
        )
    if wish == "auto" and not known:
        return Matched(0.0, 0.0, f"ears not matched: {line}: the error of a single one is not known")
    if wish == "auto" and not abs(found.overall_db) > SURE * error > 0.0:
        return Matched(0.0, 0.0, f"ears not matched: {line} is within {SURE:g} standard errors")
    half = 0.5 * found.overall_db
    return Matched(-half, half, f"ears matched: {line}; half corrected at each")


def corrected(ears: ImpulseResponse, gains: Float) -> ImpulseResponse:
    """Responses with the ears multiplied by ``gains (2,)``, left and right."""
    return _corrected(ears, tuple(float(gain) for gain in gains))


@lru_cache(maxsize=2)
def _corrected(ears: ImpulseResponse, gains: tuple[float, ...]) -> ImpulseResponse:
    each = np.ones(len(ears.mics))
    for ear, gain in zip(EARS, gains, strict=True):
        if ear in ears.mics:
            each[ears.mics.index(ear)] = gain
    if np.all(each == 1.0):
        return ears
    h = ears.h * each[None, :, None, None]
    h.setflags(write=False)  # not to be copied again
    return replace(ears, h=h)
