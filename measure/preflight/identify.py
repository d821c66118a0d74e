"""Identification of drivers by ear: each plays alone at a low level, and the operator confirms its name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sweetspot.measure import plan
from sweetspot.measure.preflight.finding import Finding
from sweetspot.rigs.protection import check_outputs, protections
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.units import from_db

SOFTER_DB = -20.0
"""Level of the sound, re the driver's sweep in a session."""


def identify(rig: Rig, ask: Callable[[str], bool]) -> list[Finding]:
    """Play every driver by itself, within its own limits and softly, and have the operator confirm it.

    Parameters
    ----------
    ask
        Puts a question to a person; whether the answer was yes.
    """
    described = rig.description
    _, played = plan.excitation(described, tail=0)
    found = []
    for driver, limits in zip(described.driver, protections(described), strict=True):
        y = np.zeros((described.outputs, len(played)), dtype=np.float32)
        shaped = limits.shaped(played)
        level = min(1.0, limits.sine / max(float(np.max(np.abs(shaped))), 1e-9)) * from_db(SOFTER_DB)
        y[driver.channel - 1] = level * shaped
        check_outputs(y, described, "identify")
        rig.interface.capture(y)
        low, high = driver.band_hz
        right = ask(f"Output {driver.channel} played: was that {driver.name!r} ({low:g} to {high:g} Hz)?")
        where = f"output {driver.channel}"
        text = f"heard on {where}" if right else f"another driver plays on {where}: see its wires"
        found.append(Finding("identify", driver.name, "pass" if right else "fail", text))
    return found
