"""A small fleet with a crooked rig, for tests of what one capture a unit is worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sweetspot.measure import folder, plan
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.monitor import FIXED, plan_at_once
from sweetspot.measure.plan import SetName
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.rig_file.description import Description, parse
from tests.conftest import CROOKED, NOON

MONITORS = """
[[mic]]
name = "front"
channel = 7
sensitivity_mv_per_pa = 10.0
use = "monitor"
at = [0.9, 0.05, 0.0]
[[mic]]
name = "aside"
channel = 8
sensitivity_mv_per_pa = 12.0
use = "monitor"
at = [0.6, -0.6, 0.1]
[[mic]]
name = "built_in"
channel = 9
sensitivity_mv_per_pa = 12.0
use = "device"
at = [0.0, 0.0, 0.1]
"""

LEARNED = ("G-1", "G-2", "G-3")
UNSEEN = "U-7"
GONE = (
    '    { x = -0.02, y = 0.04, yaw_deg = 7, use = "design" },\n',
    '    { x = -0.03, y = -0.03, yaw_deg = 4, use = "score" },\n',
)
"""Head positions that are left out: the lab takes its time for each."""


def text() -> str:
    """The rig file."""
    few = CROOKED.replace("step_deg = 15.0", "step_deg = 60.0").replace("[ears]", f"{MONITORS}[ears]")
    for gone in GONE:
        few = few.replace(gone, "")
    for high in ("20000", "19000", "18000", "15000"):
        few = few.replace(high, "10500")
    few = few.replace("fs = 47872", "fs = 23936")
    return few + "[lab.spread]\nmount_mm = 0.6\n"


def rig(place: Path) -> Description:
    """The rig, described."""
    return parse(text(), folder=place)


def measured(place: Path, description: Description, serial: str, *, quick: bool = False) -> Path:
    """A run of a unit: everything, or its monitors alone.

    The capture at the monitors is made; ears and polar set are what the lab's world has there, with noise 70 dB below.
    """
    run = folder.new(place, serial, description, NOON)
    with open_rig(description, serial=serial, now=lambda: NOON) as lab, Session.resume(run / "session.h5") as session:
        for name in ("monitor",) if quick else FIXED:
            measure(lab, session, plan_at_once(description, name), ask=lambda move: None, step=lambda note: None)
        if not quick:
            for known in plan.SETS:
                session.put(known, *known_set(World(description, serial), known), "the lab's world")
    return run


def known_set(world: World, name: SetName) -> tuple[ImpulseResponse, np.ndarray]:
    """A set as the world has it, with a little noise, and its standard errors."""
    wanted = plan.make(world.description, name)
    taps = wanted.before + wanted.after
    found = []
    for pose, _ in plan.places(world.description, name):
        spectrum = world.at_ears(pose) if name == "ears" else world.at_microphone(pose.turn)[None]
        h = np.fft.irfft(spectrum, axis=-1)
        found.append(np.roll(h, wanted.before, axis=-1)[..., :taps])
    exact = np.stack(found)
    rng = np.random.default_rng(7)
    rms = 10.0 ** (-70.0 / 20.0) * np.sqrt(np.sum(exact**2) / exact.size)
    h = exact + rms * rng.standard_normal(exact.shape)
    stderr = np.full((*h.shape[:3], taps // 2 + 1), rms * np.sqrt(taps))
    snr = np.full(h.shape[:3], 60.0)
    mics = tuple(m.name for m in wanted.mics)
    names, fs, band = world.description.driver_names, world.description.fs, wanted.sweep.band
    ir = ImpulseResponse(
        h,
        fs=fs,
        positions=wanted.positions,
        mics=mics,
        drivers=names,
        zero=wanted.before,
        unit="Pa/FS",
        snr_db=snr,
        band=band,
    )
    return ir, stderr
