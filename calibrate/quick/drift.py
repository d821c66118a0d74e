"""Drift over life: a unit's session updated by the device's own microphones, then and now.

``H_now(f) = H_then(s f) r(f)``, ``r(f) = M_now(f) / M_then(s f)``, ``s = c_then / c_now``. Geometry (paths, body, head)
scales with wavelength, so warmer air shortens every response by ``s`` about time zero; the remaining ratio at the
device's own microphones is the change of each driver by ageing and temperature, equal in all directions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from sweetspot.calibrate.quick import learning
from sweetspot.calibrate.quick.model import NEPER_DB, GoldenModel
from sweetspot.calibrate.quick.run import Estimate, errors_of, estimate, keep
from sweetspot.calibrate.quick.unit import MeasuredUnit
from sweetspot.measure.folder import session_file
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.plan import SetName
from sweetspot.measure.session import Session
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import alone, file_sha256
from sweetspot.rigs.units import speed_of_sound

DRIFTED_DB = 2.0
"""Drift of a driver common to all directions (one sigma, at any frequency)."""
LOCAL_DB, LOCAL_LEAST_DB, LOCAL_HZ = 0.3, 0.05, 8000.0
"""Drift of a single direction, in proportion to frequency: an assumption, tested by a full session."""

SETS: tuple[SetName, ...] = ("ears", "polar", "device")


def model_of(unit: MeasuredUnit, rig: Description, then_c: float) -> GoldenModel:
    """The unit's earlier responses at today's temperature: the mean unit of a model of itself, with drift only.

    Parameters
    ----------
    unit
        Its session: ears, device and, where there is one, polar set.
    rig
        Today's.
    then_c
        Temperature of the air then, degrees Celsius.

    Raises
    ------
    BadInput
        It has no set of the device's microphones.
    """
    s = speed_of_sound(then_c) / speed_of_sound(rig.environment.temperature_c)
    sets: dict[str, ImpulseResponse] = {n: stretched(ir, s) for n, ir in unit.sets.items() if n in SETS}
    known = learning.learn([replace(unit, sets=sets)], rig, "device")
    local = np.clip(LOCAL_DB * known.f / LOCAL_HZ, LOCAL_LEAST_DB, LOCAL_DB) / NEPER_DB
    floor = (LOCAL_LEAST_DB / NEPER_DB) ** 2
    return replace(
        known,
        common=np.full_like(known.f, (DRIFTED_DB / NEPER_DB) ** 2),
        local=local**2,
        missed={name: np.full((len(one.directions), len(known.f)), floor) for name, one in known.sets.items()},
    )


def stretched(ir: ImpulseResponse, s: float) -> ImpulseResponse:
    """Responses whose spectra are those at ``s`` times the frequency, about the set's time zero.

    In air in which sound is ``1/s`` times as fast everything arrives ``s`` times as late; the pressure that a driver
    makes at a place, and its height, stay.
    """
    from scipy.signal import CZT  # slow to import

    if s == 1.0:
        return ir
    n = ir.h.shape[-1]
    size = 2 * n
    k = np.arange(size // 2 + 1)
    transform = CZT(n, len(k), w=np.exp(-2j * np.pi * s / size))
    spectra = transform(ir.h) * np.exp(2j * np.pi * k * (s - 1.0) * ir.zero / size)
    nyquist = k * s > size // 2  # what was not measured
    spectra[..., nyquist] = 0.0
    return replace(ir, h=np.fft.irfft(spectra, size, axis=-1)[..., :n])


def corrected(run: Path, since: Path) -> Estimate:
    """Estimate a run's ears and polar set from its device capture and an earlier run of the same unit; keep them.

    Raises
    ------
    BadInput
        Another unit, drivers or microphones than the earlier run's; no finished capture of the device's microphones.
    """
    with alone(run), Session.resume(session_file(run)) as session, Session.read(session_file(since)) as then:
        rig = session.rig()
        _check_same(session, then, since)
        names = [n for n in SETS if then.has(n)]
        unit = MeasuredUnit(then.serial, {n: then.responses(n) for n in names}, {n: errors_of(then, n) for n in names})
        known = model_of(unit, rig, then.rig().environment.temperature_c)
        sha256 = file_sha256(session_file(since))
        found = estimate(known, sha256, session.responses("device"), errors_of(session, "device"))
        origin = f"the device's microphones and the session {since.name} of unit {then.serial}, SHA-256 {sha256[:12]}"
        keep(session, found, origin, {n: then.estimate_error(n) for n in names})
    return found


def check_since(since: Path, rig: Description, serial: str) -> None:
    """Refuse an unsuitable earlier run, before anything plays.

    Raises
    ------
    BadInput
        Says what it lacks, or what differs.
    """
    with Session.read(session_file(since)) as then:
        if then.serial != serial:
            raise BadInput(f"{since}: is a run of unit {then.serial}, not {serial}; drift is tracked per unit")
        _check_rig(then.rig(), rig, since)
        for name in SETS[0], SETS[2]:
            if not then.has(name):
                raise BadInput(
                    f"{since}: has no finished {name} set; drift is tracked from a full session (sweetspot measure "
                    f'ears RIG --unit {serial}) on a rig with [[mic]] use = "device"'
                )


def _check_same(session: Session, then: Session, since: Path) -> None:
    if session.serial != then.serial:
        raise BadInput(f"{since}: is a run of unit {then.serial}, not {session.serial}")
    _check_rig(then.rig(), session.rig(), since)


def _check_rig(had: Description, has: Description, since: Path) -> None:
    pairs = (
        ("drivers", [(d.name, d.at) for d in had.driver], [(d.name, d.at) for d in has.driver]),
        (
            "microphones in the device",
            [(m.name, m.at) for m in had.device_mics],
            [(m.name, m.at) for m in has.device_mics],
        ),
        ("rate", had.fs, has.fs),
    )
    for what, then, now in pairs:
        if then != now:
            raise BadInput(f"{since}: its {what} are {then}, those of rig {has.name!r} {now}; they must be the same")
    if not has.device_mics:
        raise BadInput(f'rig {has.name!r} has no [[mic]] with use = "device": only those measure drift')
