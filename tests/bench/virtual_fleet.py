"""Virtual units for benchmarks of the line: what the lab's world has at every microphone, and noise at a stated SNR.

A full measurement of a unit in the lab takes half a minute of computing, its world's own responses two seconds; sweeps
add to these only the noise that is added here too (``python tests/bench/quick.py --measured`` checks that).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sweetspot.calibrate.plant import MeasurementError
from sweetspot.calibrate.quick import MeasuredUnit
from sweetspot.measure import plan
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.measure.monitor import FIXED, plan_at_once
from sweetspot.rigs.lab.world import World
from sweetspot.rigs.rig_file import Description

Change = Callable[[Description], Description]
SNR_AT_HZ = (200.0, 16000.0)
"""Band in which the level of a response is compared with that of its noise."""


SETS = (*plan.SETS, *FIXED)


def exact(rig: Description, serial: str, sets: tuple[str, ...] = SETS) -> dict[str, np.ndarray]:
    """Responses without noise ``(position, mic, driver, tap)`` by set."""
    world, found = World(rig, serial), {}
    for name in sets:
        if name in FIXED:
            wanted = plan_at_once(rig, name)
            spectra = [np.stack([world.at_fixed(m, 0.0) for m in wanted.mics])]
        else:
            wanted = plan.make(rig, name)
            poses = [pose for pose, _ in plan.places(rig, name)]
            spectra = [world.at_ears(p) if name == "ears" else world.at_microphone(p.turn)[None] for p in poses]
        h = np.fft.irfft(np.stack(spectra), axis=-1)
        found[name] = np.roll(h, wanted.before, axis=-1)[..., : wanted.before + wanted.after].astype(np.float32)
    return found


def unit(rig: Description, serial: str, h: dict[str, np.ndarray], snr_db: float, seed: int) -> MeasuredUnit:
    """A unit as it is measured with white noise, so many dB under each response from 200 Hz to 16 kHz."""
    rng = np.random.default_rng(seed)
    sets, errors = {}, {}
    for name, clean in h.items():
        sets[name], errors[name] = _noisy(rig, name, clean.astype(np.float64), snr_db, rng)
    return MeasuredUnit(serial, sets, errors)


def _noisy(
    rig: Description, name: str, clean: np.ndarray, snr_db: float, rng: np.random.Generator
) -> tuple[ImpulseResponse, MeasurementError]:
    wanted = plan_at_once(rig, name) if name in FIXED else plan.make(rig, name)  # type: ignore[arg-type]
    taps, fs = clean.shape[-1], rig.fs
    f = np.fft.rfftfreq(taps, 1.0 / fs)
    inside = (f >= SNR_AT_HZ[0]) & (f <= SNR_AT_HZ[1])
    level = np.sqrt(np.mean(np.abs(np.fft.rfft(clean)[..., inside]) ** 2, axis=-1))  # of a bin
    loudest = level.max(axis=(0, 2), keepdims=True)  # a microphone's noise is the same for all drivers and places
    rms = np.broadcast_to(loudest * 10.0 ** (-snr_db / 20.0), level.shape)
    noise = rms[..., None] / np.sqrt(taps) * rng.standard_normal(clean.shape)
    stderr = np.repeat(rms[..., None], taps // 2 + 1, axis=-1)
    rows = np.array([r for _, r in plan.places(rig, name)], dtype=POSITION) if name not in FIXED else wanted.positions
    ir = ImpulseResponse(
        clean + noise,
        fs=fs,
        positions=rows,
        mics=tuple(m.name for m in wanted.mics),
        drivers=rig.driver_names,
        zero=wanted.before,
        unit="Pa/FS",
        snr_db=20.0 * np.log10(level / rms),
        band=wanted.sweep.band,
    )
    return ir, MeasurementError(stderr, 0.0)


def kept(place: Path, rig: Description, serial: str, sets: tuple[str, ...] = SETS) -> dict[str, np.ndarray]:
    """:func:`exact` of a unit, from a file where it was computed before for the same rig."""
    few = "" if sets == SETS else "-" + "-".join(sets)
    file = place / f"{rig.sha256[:12]}-{serial}{few}.npz"
    if not file.is_file():
        place.mkdir(parents=True, exist_ok=True)
        made = file.with_suffix(".part.npz")
        np.savez(made, **exact(rig, serial, sets))  # type: ignore[arg-type]
        made.replace(file)
    with np.load(file) as found:
        return {name: found[name] for name in found.files}


def with_spread(rig: Description, **sizes: float) -> Description:
    """The rig with other sizes of its lab's spread, or another age."""
    assert rig.lab.spread is not None
    lab = rig.lab.model_copy(update={"spread": rig.lab.spread.model_copy(update=sizes)})
    return rig.model_copy(update={"lab": lab})
