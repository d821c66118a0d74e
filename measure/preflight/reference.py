"""Reference responses of an earlier check or session: a better expectation than geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sweetspot.measure.folder import session_file
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.preflight.calibration import deviates
from sweetspot.measure.preflight.paths import OCTAVES, Expected, PathResponses, from_geometry, multitone, path_responses
from sweetspot.measure.session import Session
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.rig_file import EARS, Description
from sweetspot.rigs.storage import json_value
from sweetspot.rigs.units import Complex, Float, power_db

ARRIVAL_SIGMA, APART_SIGMA, LEVEL_SIGMA_DB = 15e-6, 5e-6, 1.0
"""How well drivers keep apart from each other when a head is put back within some centimetres and a degree."""

NEAR_M, NEAR_DEG = 0.02, 2.0
"""Largest distance from straight ahead of a session's position used as a reference."""


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceCheck:
    """Responses of all drivers straight ahead.

    Parameters
    ----------
    mics, drivers
        Names in the order of the axes.
    arrival
        ``(mic, driver)`` s.
    apart
        ``(driver,)`` s by which the left ear was later; empty without two ears.
    level_db
        ``(mic, driver, octave)`` dB re full scale, -300 where nothing played.
    sign
        ``(mic, driver)`` -1 to 1.
    """

    mics: tuple[str, ...]
    drivers: tuple[str, ...]
    arrival: Float
    apart: Float
    level_db: Float
    sign: Float

    def __post_init__(self) -> None:
        shape = (len(self.mics), len(self.drivers))
        object.__setattr__(self, "arrival", frozen("arrival", self.arrival, ndim=2, finite=False))
        object.__setattr__(self, "level_db", frozen("level_db", self.level_db, ndim=3, finite=False))
        if self.arrival.shape != shape or self.level_db.shape != (*shape, len(OCTAVES)):
            raise ValueError(f"a reference of {shape} microphones and drivers has arrivals {self.arrival.shape}")

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``; :func:`read` takes it back."""
        return {
            "mics": list(self.mics),
            "drivers": list(self.drivers),
            "octaves_hz": list(OCTAVES),
            "arrival_s": _listed(self.arrival),
            "apart_s": _listed(self.apart),
            "level_db": _listed(self.level_db),
            "sign": _listed(self.sign),
        }


def _listed(array: Float) -> Any:
    """Nested lists with ``None`` for NaN, which JSON lacks."""
    known = array.astype(object)
    known[~np.isfinite(array)] = None
    return known.tolist()


def of_check(rig: Description, one: PathResponses) -> ReferenceCheck:
    """Responses of a check straight ahead."""
    rows = [m.channel - 1 for m in rig.mic]
    names = [m.name for m in rig.mic]
    apart = np.zeros(0)
    if set(EARS) <= set(names):
        left, right = (rows[names.index(e)] for e in EARS)
        apart = np.array(
            [path_responses.apart(g[left], g[right], f) for g, f in zip(one.gated, one.frequencies, strict=True)]
        )
    level = np.where(one.snr_db[rows] > 3.0, one.level_db[rows], -300.0)
    return ReferenceCheck(tuple(names), rig.driver_names, one.arrival[rows], apart, level, one.sign[rows])


def read(path: Path, rig: Description) -> ReferenceCheck:
    """A reference from the JSON of an earlier check, or from a run folder.

    Raises
    ------
    BadInput
        It is neither, or was made with other drivers or microphones.
    """
    found = _of_run(path, rig) if path.is_dir() else _of_json(path)
    for what, needed, has in (
        ("driver", rig.driver_names, found.drivers),
        ("microphone", tuple(m.name for m in rig.mic), found.mics),
    ):
        if missing := [n for n in needed if n not in has]:
            raise BadInput(
                f"--reference {path}: has no {what} {missing[0]!r}, only {', '.join(has)}; make one with this rig: "
                "sweetspot rig check RIG --json > good.json"
            )
    return found


def _of_json(path: Path) -> ReferenceCheck:
    try:
        table = json_value(path.read_text(encoding="utf-8"))["heard"]
        arrays = {k: np.array(table[k], dtype=float) for k in ("arrival_s", "apart_s", "level_db", "sign")}
        names = [tuple(map(str, table[k])) for k in ("mics", "drivers")]
        return ReferenceCheck(names[0], names[1], *arrays.values())
    except OSError as fault:
        raise BadInput(f"--reference {path}: cannot be read: {fault.strerror}") from fault
    except (ValueError, KeyError, TypeError) as fault:
        why = f"{fault} is missing" if isinstance(fault, KeyError) else str(fault)
        raise BadInput(f"--reference {path}: is not what `sweetspot rig check RIG --json` prints ({why})") from fault


def _of_run(run: Path, rig: Description) -> ReferenceCheck:
    """Straight ahead in a session: responses at the combs' frequencies, as in a check."""
    with Session.read(session_file(run)) as session:
        was = session.rig()
        sets = [_ahead(session.responses(name), run) for name in session.sets]
    if was.fs != rig.fs:
        raise BadInput(f"--reference {run}: was measured at fs = {was.fs} Hz, the rig has {rig.fs} Hz")
    by_mic = {mic: (one, i) for one in sets for i, mic in enumerate(one.mics)}
    mics = tuple(m.name for m in rig.mic if m.name in by_mic)
    drivers = tuple(d for d in rig.driver_names if all(d in one.drivers for one in sets))
    rows = {d.name: d.band_hz for d in rig.driver}
    signal = multitone.combs([*(rows[d] for d in drivers), (20.0, 0.45 * rig.fs)], rig.fs, 0.1)
    shape = (len(mics), len(drivers))
    arrival, sign = np.zeros(shape), np.zeros(shape)
    level, apart = np.full((*shape, len(OCTAVES)), -300.0), np.zeros(len(drivers) if set(EARS) <= set(mics) else 0)
    for o, driver in enumerate(drivers):
        f = signal.frequencies(o)
        g = np.stack([_at(*by_mic[m], driver, signal, o, was) for m in mics])
        gated = np.zeros_like(g)
        for i in range(len(mics)):
            arrival[i, o] = path_responses.first_arrival(g[i], f, signal.window_s)
            gated[i] = path_responses.gate(g[i], f, float(arrival[i, o]), signal.window_s)
            sign[i, o] = path_responses.sign(gated[i], f, float(arrival[i, o]))
        for k, centre in enumerate(OCTAVES):
            inside = (f >= centre / np.sqrt(2.0)) & (f < centre * np.sqrt(2.0))
            if inside.any():
                level[:, o, k] = power_db(np.mean(np.abs(g[:, inside]) ** 2, axis=1))
        if len(apart):
            apart[o] = path_responses.apart(gated[mics.index(EARS[0])], gated[mics.index(EARS[1])], f)
    return ReferenceCheck(mics, drivers, arrival, apart, level, sign)


def _ahead(found: ImpulseResponse, run: Path) -> ImpulseResponse:
    """The position of a set that is nearest to straight ahead."""
    p = found.positions
    away = np.hypot(p["y"], 0.0) / NEAR_M + np.abs(p["yaw_deg"]) / NEAR_DEG + np.abs(p["azimuth_deg"]) / 5.0
    away = away + np.abs(p["x"] - np.median(p["x"])) / NEAR_M if found.mics and found.mics[0] in EARS else away
    best = int(np.argmin(away))
    if abs(p["y"][best]) > NEAR_M or abs(p["yaw_deg"][best]) > NEAR_DEG or abs(p["azimuth_deg"][best]) > 3.0:
        raise BadInput(
            f"--reference {run}: no position of its session is straight ahead (within {100 * NEAR_M:g} cm and "
            f"{NEAR_DEG:g} degrees); give the JSON of an earlier check"
        )
    return found.at(np.array([best]))


def _at(
    found: ImpulseResponse, mic: int, driver: str, signal: multitone.Comb, output: int, rig: Description
) -> Complex:
    """A response at an output's tones, full scale over full scale: its taps wrapped to one period of the combs."""
    h = found.h[0, mic, found.drivers.index(driver)]
    wrapped = np.zeros(signal.period)
    np.add.at(wrapped, (np.arange(len(h)) - found.zero) % signal.period, h)
    table = next(m for m in rig.mic if m.name == found.mics[mic])
    own = deviates(rig, table, signal.frequencies(output))[0]
    return np.asarray(np.fft.rfft(wrapped)[signal.tones[output]] * table.per_pascal(rig.interface) * own)


def expected(rig: Description, poses: Sequence[Pose], found: ReferenceCheck) -> Expected:
    """The reference straight ahead; elsewhere, the reference changed by the geometry of the move."""
    geometry = from_geometry(rig, list(poses))
    rows = np.ix_([found.mics.index(m.name) for m in rig.mic], [found.drivers.index(n) for n in rig.driver_names])
    arrival = found.arrival[rows] + geometry.arrival - geometry.arrival[:1]
    apart, sigma = geometry.apart, geometry.apart_sigma
    if len(found.apart) and len(apart):
        apart = found.apart[rows[1][0]] + geometry.apart - geometry.apart[:1]
        sigma = np.concatenate([np.full_like(sigma[:1], APART_SIGMA), sigma[1:]])
    return Expected(
        arrival=np.where(np.isfinite(arrival), arrival, geometry.arrival),
        apart=apart,
        level_db=found.level_db[rows],
        arrival_sigma=np.array([ARRIVAL_SIGMA, *geometry.arrival_sigma[1:]]),
        apart_sigma=sigma,
        level_sigma=np.full(len(OCTAVES), LEVEL_SIGMA_DB),
        sign=np.where(found.sign[rows] < 0, -1.0, 1.0),
    )
