"""AES69 (SOFA) files of a session, for other tools: this room's only door to ``sofar``."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.plan import SetName
from sweetspot.measure.share.standard_errors import BEFORE, ERRORS, StandardErrors
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.storage import replacing, sofa_library

if TYPE_CHECKING:
    from sweetspot.rigs.units import Float

EAR_M = 0.0875
"""Distance of the ears from the middle of the head that the files state, m: half of the usual 17.5 cm."""

PASCAL, TIME_ZERO = "Pascal for a full-scale sample", "Time zero is when the sound left the interface."
KELVIN = 273.15
LONGEST_TEXT = 60000
"""An attribute of HDF5 holds no more than 64 kB."""


def files(
    rig: Description,
    sets: Mapping[SetName, ImpulseResponse],
    attributes: Mapping[str, Any],
    errors: Mapping[SetName, StandardErrors],
) -> dict[str, Callable[[], Any]]:
    """The files of a session by name, each with its builder.

    Parameters
    ----------
    rig
        Where the drivers stand.
    sets
        The sets that were measured to their end.
    attributes
        Root attributes of the session.
    errors
        What the session knows of the sets' errors.

    Raises
    ------
    BadInput
        Nothing was measured.
    """
    if not sets:
        raise BadInput("nothing was measured yet; run: sweetspot measure ears ...")
    at = np.array([d.at for d in rig.driver])
    serial = str(attributes["unit_serial"])

    def message(title: str, set_: ImpulseResponse) -> dict[str, str]:
        made, version = str(attributes["created_utc"]), str(attributes["sweetspot_version"])
        scale = PASCAL if set_.unit == "Pa/FS" else "Relative: the level is not known in pascal"
        return about(serial, rig.name, made, version, title) | {
            "GLOBAL_Comment": f"{scale}; measured with rig {rig.name!r}. {TIME_ZERO}"
        }

    found: dict[str, Callable[[], Any]] = {}
    if "ears" in sets:
        temperature = float(attributes["temperature_c"])
        found["ears.sofa"] = lambda: _kept(
            ears(sets["ears"], at, message("Drivers to dummy head", sets["ears"]), temperature),
            sets,
            attributes,
            "ears",
            rig.text,
            errors,
        )
    if "polar" in sets:
        found["polar.sofa"] = lambda: _kept(
            polar(sets["polar"], at, message("Polar responses of the drivers", sets["polar"])),
            sets,
            attributes,
            "polar",
            rig.text,
            errors,
        )
        for i, mic in enumerate(sets["polar"].mics):
            name = "directivity.sofa" if len(sets["polar"].mics) == 1 else f"directivity_{mic}.sofa"
            title = message(f"Directivity of the drivers at microphone {mic}", sets["polar"])
            found[name] = partial(directivity, sets["polar"], i, at, serial, title)
    return found


def ears(set_: ImpulseResponse, drivers_at: Float, about: dict[str, str], temperature_c: float) -> Any:
    """Drivers to ears as ``SingleRoomMIMOSRIR``: one measurement a head position, one emitter a driver.

    The device stands in the origin and looks along x; the listener faces it.

    Parameters
    ----------
    set_
        The ears of a session; time zero is where its sound left the interface, what came before is left out.
    drivers_at
        Places of the drivers, ``(driver, 3)`` m from the middle of the device.
    about
        Global attributes of the file (``GLOBAL_Title`` and so on).
    temperature_c
        Of the room, degrees Celsius.

    Returns
    -------
    sofar.Sofa
        Verified against AES69-2022.
    """
    sofa = _new("SingleRoomMIMOSRIR", about)
    yaw = np.radians(set_.positions["yaw_deg"])
    up = [[0.0, 0.0, 1.0]]
    sofa.GLOBAL_RoomType = "shoebox"
    sofa.RoomTemperature = temperature_c + KELVIN
    sofa.SourcePosition, sofa.SourceView, sofa.SourceUp = np.zeros((len(yaw), 3)), [[1.0, 0.0, 0.0]], up
    sofa.ListenerPosition = _places(set_)
    sofa.ListenerView = np.stack([-np.cos(yaw), -np.sin(yaw), np.zeros_like(yaw)], axis=1)
    sofa.ListenerUp = np.repeat(up, len(yaw), axis=0)
    sofa.ReceiverPosition_Type = sofa.EmitterPosition_Type = "cartesian"
    sofa.ReceiverPosition_Units = sofa.EmitterPosition_Units = "metre"
    sofa.ReceiverPosition = np.array([[0.0, EAR_M, 0.0], [0.0, -EAR_M, 0.0]])
    sofa.EmitterPosition = drivers_at
    sofa.ReceiverDescriptions = [[m] for m in set_.mics]
    sofa.EmitterDescriptions = [[d] for d in set_.drivers]
    for part, count in (("Receiver", len(set_.mics)), ("Emitter", len(set_.drivers))):
        setattr(sofa, f"{part}View", np.tile([[[1.0], [0.0], [0.0]]], (count, 1, 1)))
        setattr(sofa, f"{part}Up", np.tile([[[0.0], [0.0], [1.0]]], (count, 1, 1)))
    sofa.MeasurementDate = np.zeros(len(yaw))
    return _filled(sofa, set_)


def polar(set_: ImpulseResponse, drivers_at: Float, about: dict[str, str]) -> Any:
    """Drivers to the microphones around the device as ``GeneralFIR-E``: one measurement a direction.

    The microphone moves around a device fixed in the origin, equivalent to a turntable.
    """
    sofa = _new("GeneralFIR-E", about)
    sofa.SourcePosition_Type, sofa.SourcePosition_Units = "cartesian", "metre"
    sofa.SourcePosition = np.zeros((1, 3))
    sofa.ListenerPosition = _places(set_)
    sofa.ReceiverPosition = np.zeros((len(set_.mics), 3))
    sofa.EmitterPosition = drivers_at
    return _filled(sofa, set_)


def directivity(set_: ImpulseResponse, mic: int, drivers_at: Float, unit: str, about: dict[str, str]) -> Any:
    """Directivity of every driver at one microphone as ``FreeFieldDirectivityTF``, over the judged band.

    Parameters
    ----------
    drivers_at
        ``(driver, 3)``, m.
    """
    sofa = _new("FreeFieldDirectivityTF", about)
    sofa.GLOBAL_SourceType = "loudspeaker"
    sofa.GLOBAL_SourceManufacturer = ""
    sofa.GLOBAL_EmitterDescription = f"drivers of unit {unit}, one a measurement"
    h = set_.h[:, mic, :, set_.zero :]
    f = np.fft.rfftfreq(h.shape[-1], 1.0 / set_.fs)
    inside = (f >= set_.band[0]) & (f <= set_.band[1])
    spectrum = np.fft.rfft(h, axis=-1)[..., inside].transpose(1, 0, 2)
    x, y, z = _places(set_).T
    around = np.mod(np.degrees(np.arctan2(y, x)), 360.0)
    r = np.sqrt(x**2 + y**2 + z**2)
    sofa.ReceiverPosition = np.stack([around, np.degrees(np.arcsin(z / r)), r], axis=1)
    sofa.SourcePosition_Reference = "the middle of the device"
    sofa.SourceView_Reference = "the device faces azimuth 0"
    sofa.SourceUp_Reference = "upwards"
    sofa.EmitterPosition = drivers_at
    sofa.EmitterDescriptions = [[d] for d in set_.drivers]
    sofa.Description = [[d] for d in set_.drivers]
    sofa.SourceTuningFrequency = np.zeros(len(set_.drivers))
    sofa.MIDINote = np.zeros(len(set_.drivers))
    sofa.N = f[inside]
    sofa.Data_Real, sofa.Data_Imag = spectrum.real, spectrum.imag
    sofa.add_attribute("GLOBAL_SweetspotSamplingRate", str(set_.fs))
    return _verified(sofa)


def about(serial: str, rig: str, created_utc: str, version: str, title: str) -> dict[str, str]:
    """Global attributes of a file's origin."""
    when = created_utc.replace("T", " ").removesuffix("Z")
    return {
        "GLOBAL_Title": f"{title}, unit {serial}",
        "GLOBAL_DateCreated": when,
        "GLOBAL_DateModified": when,
        "GLOBAL_ApplicationName": "sweetspot",
        "GLOBAL_ApplicationVersion": version,
        "GLOBAL_Comment": f"{PASCAL}; measured with rig {rig!r}. {TIME_ZERO}",
        "GLOBAL_History": "exponential sweeps, deconvolved against a loopback in every capture",
        "GLOBAL_License": "Not stated: the measurements belong to their maker",
    }


def write(sofa: Any, path: Path) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    BadInput
        The folder cannot be written.
    """
    sofar = sofa_library()

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise BadInput(f"{path.parent}: cannot be made: {fault.strerror}; choose another folder with --out") from fault
    with replacing(path, ".sofa") as part:
        try:
            sofar.write_sofa(str(part), sofa)
        except RuntimeError as fault:  # the C library's name for a full disk, among others
            raise BadInput(f"{path}: cannot be written: {fault}; free some space, or give another --out") from fault


def _new(convention: str, about: dict[str, str]) -> Any:
    sofar = sofa_library()

    sofa = sofar.Sofa(convention)
    for name, value in about.items():
        setattr(sofa, name, value)
    return sofa


def _kept(
    sofa: Any,
    sets: Mapping[SetName, ImpulseResponse],
    attributes: Mapping[str, Any],
    name: SetName,
    rig_text: str,
    errors: Mapping[SetName, StandardErrors],
) -> Any:
    """Metadata without a variable in the convention, for `sweetspot measure import`."""
    set_ = sets[name]
    known = {
        "Use": " ".join(u.decode() for u in set_.positions["use"]),
        "Drivers": json.dumps(list(set_.drivers)),
        "Mics": json.dumps(list(set_.mics)),
        "Band": f"{set_.band[0]:g} {set_.band[1]:g}",
        "Rig": rig_text,
        "Closure": str(attributes.get(f"closure_{name}", "")),
    }
    for key, text in known.items():
        if text and len(text) < LONGEST_TEXT:
            sofa.add_attribute(f"GLOBAL_Sweetspot{key}", text)
    if known_errors := errors.get(name):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Added custom dimension")  # B, the bins: it is ours on purpose
            sofa.add_variable(ERRORS, np.asarray(known_errors.stderr, dtype=float), "double", "MREB")
        sofa.add_variable(BEFORE, float(known_errors.before), "double", "I")
    return sofa


def _places(set_: ImpulseResponse) -> Float:
    """``(position, 3)`` m."""
    return np.stack([set_.positions[axis] for axis in "xyz"], axis=1)


def _filled(sofa: Any, set_: ImpulseResponse) -> Any:
    """The responses from time zero on, ``(position, mic, tap, driver)``."""
    sofa.Data_IR = np.asarray(set_.h[..., set_.zero :].transpose(0, 1, 3, 2), dtype=float)
    sofa.Data_SamplingRate = float(set_.fs)
    sofa.Data_Delay = np.zeros((len(set_.positions), len(set_.mics), len(set_.drivers)))
    return _verified(sofa)


def _verified(sofa: Any) -> Any:
    sofa.verify(issue_handling="raise")
    return sofa
