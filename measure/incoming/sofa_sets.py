"""SOFA conventions as sets of a session: drivers in rooms, directivities, HRTF sets as pairs of loudspeakers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweetspot.measure.impulse import POSITION
from sweetspot.measure.incoming.imported_set import ImportedSet
from sweetspot.measure.incoming.sofa_file import SofaFile
from sweetspot.measure.plan import SetName
from sweetspot.measure.share import standard_errors
from sweetspot.rigs.acoustics import fft
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import wrapped_deg
from sweetspot.rigs.rig_file import EARS
from sweetspot.rigs.storage import json_value
from sweetspot.rigs.units import Float

APART_M = 0.05
"""Two receivers this far apart are a head's ears, not one microphone twice."""

TURN_DEG = 15.0
"""Turns of the head that a set of directions is used for, at most; every second one is kept for scoring."""

SAME_DEG = 0.6
"""Largest angle between a measured and a requested direction, degrees."""

MOST_BEFORE = 1 << 20
"""Largest plausible number of taps before time zero."""

MOST_FS = 768_000
"""Highest sampling rate, Hz."""

LEAD_DB = 1.0
"""Level difference in favour of the ear on a source's side that confirms a file's orientation, dB."""


@dataclass(frozen=True, slots=True)
class HeadWish:
    """How directions around a head become a unit with speakers.

    Parameters
    ----------
    speakers_deg
        Azimuths of the speakers as the head sees them, degrees, positive to its left.
    clockwise
        The file counts azimuth clockwise.
    swapped
        The file's first receiver is the right ear.
    """

    speakers_deg: tuple[float, ...] = ()
    clockwise: bool = False
    swapped: bool = False


def of(file: SofaFile, kind: SetName | None, wish: HeadWish) -> ImportedSet:
    """The set that a file holds.

    Parameters
    ----------
    kind
        Kind of set; ``None`` to derive it from convention and receivers.
    wish
        For conventions that have one source at a time around a head.

    Raises
    ------
    BadInput
        A convention or a shape that is not understood, or one that contradicts itself.
    """
    if "Data.Real" in file.values:
        return _directivity(file)
    ir = file.need("Data.IR")
    if ir.ndim == 4:
        return _several(file, ir, kind)
    if ir.ndim == 3 and ir.shape[1] == 2 and kind != "polar":
        return _head(file, ir, wish)
    if ir.ndim == 3:
        return _several(file, ir[..., None], kind)
    raise BadInput(f"{file.path}: Data.IR has {ir.ndim} axes; (M, R, N) or (M, R, N, E) is needed")


def _several(file: SofaFile, ir: Float, kind: SetName | None) -> ImportedSet:
    """Several emitters at once: ``(M, R, N, E)``, or ``(M, R, E, N)`` of MultiSpeakerBRIR."""
    emitters = len(np.atleast_2d(file.values["EmitterPosition"])) if "EmitterPosition" in file.values else 1
    if ir.shape[3] != emitters and ir.shape[2] == emitters:
        ir = np.swapaxes(ir, 2, 3)
    m, r, _, e = ir.shape
    ears = r == 2 and (file.convention == "SingleRoomMIMOSRIR" or _are_ears(file))
    kind = kind or ("ears" if ears else "polar")
    h = _delayed(np.moveaxis(ir, 3, 2), file.delays((m, r, e)))
    errors, before = _errors(file, h)
    source, forward = file.cartesian("SourcePosition", m), file.view("SourceView", m)
    listener = file.cartesian("ListenerPosition", m)
    at = file.cartesian("EmitterPosition", e) if "EmitterPosition" in file.values else np.zeros((e, 3))
    drivers = _names(file, ("EmitterDescriptions", "EmitterDescription"), e, "driver")
    seen = np.stack([_into(v, listener[i] - source[i]) for i, v in enumerate(forward)])
    if kind == "ears":
        if r != 2:
            raise BadInput(f"{file.path}: {r} receivers; a head has 2 ears. Is it a polar set (--as polar)?")
        order = _ear_order(file)
        looks = np.stack([_into(v, w) for v, w in zip(forward, file.view("ListenerView", m), strict=True)])
        table, notes = _head_rows(seen, _yaw(looks), _kept(file, "Use").split())
        return ImportedSet(
            "ears",
            h[:, order],
            fs=file.fs,
            zero=0,
            positions=table,
            mics=EARS,
            drivers=drivers,
            at=at,
            distance_m=_away(seen),
            unit=_unit(file),
            errors=None if errors is None else errors[:, order],
            before=before,
            closure=_kept(file, "Closure"),
            rig_text=_kept(file, "Rig"),
            band=_band(file),
            notes=notes,
        )
    if m == 1 and r > 1:  # an array of receivers around a device that is measured once
        seen = seen[0] + file.cartesian("ReceiverPosition", r)
        h, r, errors = np.swapaxes(h, 0, 1), 1, None
    mics = _names(file, ("ReceiverDescriptions",), r, "mic")
    table, distance = _ring(seen, file)
    return ImportedSet(
        "polar",
        h,
        fs=file.fs,
        zero=0,
        positions=table,
        mics=mics,
        drivers=drivers,
        at=at,
        distance_m=distance,
        unit=_unit(file),
        errors=errors,
        before=before if errors is not None else None,
        closure=_kept(file, "Closure"),
        rig_text=_kept(file, "Rig"),
        band=_band(file),
    )


def _errors(file: SofaFile, h: Float) -> tuple[Float | None, int | None]:
    """Standard errors of the responses ``h (M, R, E, N)`` as one of our files keeps them, and taps before time zero."""
    kept, before = (file.values.get(name) for name in (standard_errors.ERRORS, standard_errors.BEFORE))
    if kept is None or before is None or before.size != 1 or not 0 <= before.flat[0] <= MOST_BEFORE:
        return None, None
    taps = h.shape[-1] + int(before.flat[0])
    if kept.shape != (*h.shape[:2], h.shape[2], taps // 2 + 1) or not (np.isfinite(kept).all() and (kept >= 0).all()):
        return None, None
    return kept, int(before.flat[0])


def _directivity(file: SofaFile) -> ImportedSet:
    """Drivers (measurements) at receivers around them, as transfer functions ``(M, R, N)``."""
    spectrum = file.need("Data.Real") + 1j * file.need("Data.Imag")
    f = file.need("N").reshape(-1)
    if spectrum.ndim != 3 or spectrum.shape[2] != len(f):
        raise BadInput(f"{file.path}: Data.Real has shape {spectrum.shape}; (M, R, {len(f)} frequencies) is needed")
    h, fs = _from_spectrum(spectrum, f, file)
    m, r = h.shape[:2]
    drivers = _names(file, ("Description", "EmitterDescriptions"), m, "driver")
    given = file.values.get("EmitterPosition")
    at = file.cartesian("EmitterPosition", m) if given is not None and len(given) in (1, m) else np.zeros((m, 3))
    table, distance = _ring(file.cartesian("ReceiverPosition", r), file)
    return ImportedSet(
        "polar",
        np.swapaxes(h, 0, 1)[:, None],
        fs=fs,
        zero=0,
        positions=table,
        mics=("mic",),
        drivers=drivers,
        at=at,
        distance_m=distance,
        unit=_unit(file),
        band=(float(max(f[f > 0].min(), 20.0)), float(f.max())),
    )


def _from_spectrum(spectrum: np.ndarray, f: Float, file: SofaFile) -> tuple[Float, int]:
    """Impulse responses from spectra at evenly spaced frequencies, taken as zero outside."""
    step = float(np.median(np.diff(f))) if len(f) > 1 else 0.0
    if step <= 0.0 or np.abs(f / step - np.round(f / step)).max() > 1e-3 or np.ptp(np.diff(f)) > 1e-3 * step:
        raise BadInput(
            f"{file.path}: frequencies N are not evenly spaced from a multiple of their step: they cannot be "
            f"transformed to an impulse response"
        )
    fs = next((r for r in (44100, 48000, 88200, 96000, 192000) if r >= 2.0 * f[-1]), round(2.0 * f[-1]))
    stated = _kept(file, "SamplingRate") or file.attributes.get(("", "SamplingRate"), "")
    fs = int(stated) if stated.isdigit() and 2.0 * f[-1] <= int(stated) <= MOST_FS else fs
    n = round(fs / step)
    whole = np.zeros((*spectrum.shape[:2], n // 2 + 1), dtype=complex)
    at = np.round(f / step).astype(int)
    whole[..., at[at <= n // 2]] = spectrum[..., at <= n // 2]
    return np.asarray(np.fft.irfft(whole, n, axis=-1)), fs


def _head(file: SofaFile, ir: Float, wish: HeadWish) -> ImportedSet:
    """One source at a time around a head: some directions become the speakers of a unit, others turns of the head."""
    m = len(ir)
    h = _delayed(ir[:, :, None], file.delays((m, 2))[..., None])[:, :, 0]
    order = _ear_order(file)[:: -1 if wish.swapped else 1]
    h = h[:, order]
    source = file.cartesian("SourcePosition", m) - file.cartesian("ListenerPosition", m)
    seen = np.stack([_into(v, s) for v, s in zip(file.view("ListenerView", m), source, strict=True)])
    azimuth = np.degrees(np.arctan2(seen[:, 1], seen[:, 0])) * (-1.0 if wish.clockwise else 1.0)
    level = np.abs(np.degrees(np.arctan2(seen[:, 2], np.hypot(seen[:, 0], seen[:, 1])))) < SAME_DEG
    _believe(file, h[level], azimuth[level])
    if len(wish.speakers_deg) < 2:
        held = ", ".join(f"{a:g}" for a in np.unique(np.round(azimuth[level], 1))[:: max(level.sum() // 12, 1)])
        raise BadInput(
            f"{file.path}: {file.convention} with two receivers: an HRTF set? Give the directions of the unit's "
            f"loudspeakers with --speakers 30,-30 (degrees, positive to the left; there: {held} ...); or --as polar"
        )
    rows = _turns(file, azimuth, level, wish.speakers_deg)
    turns = sorted(rows, key=lambda t: (abs(t), t))
    r = float(np.median(np.linalg.norm(seen[level], axis=1)))
    angles = np.radians(wish.speakers_deg)
    away = float(np.mean(r * np.cos(angles)))
    at = np.stack([away - r * np.cos(angles), -r * np.sin(angles), np.zeros(len(angles))], axis=1)
    chosen = [t for t in turns if abs(t) <= TURN_DEG]
    step = min((abs(t) for t in chosen if t), default=1.0)
    table = np.array(
        [(0.0, away, 0.0, 0.0, t, "score" if round(t / step) % 2 else "design") for t in chosen], dtype=POSITION
    )
    responses = np.stack([np.moveaxis(h[list(rows[t])], 0, 1) for t in chosen])
    names = tuple(
        f"speaker_{'left' if a > 0 else 'right' if a < 0 else 'centre'}_{abs(a):g}deg" for a in wish.speakers_deg
    )
    angles_deg = ", ".join(f"{t:g}" for t in chosen)
    note = f"turns of the head: yaw {angles_deg} degrees are directions of one set, as if the head had been turned"
    return ImportedSet(
        "ears",
        responses,
        fs=file.fs,
        zero=None,
        positions=table,
        mics=EARS,
        drivers=names,
        at=at,
        distance_m=away,
        unit=_unit(file),
        notes=(note,),
    )


def _turns(
    file: SofaFile, azimuth: Float, level: np.ndarray, speakers: tuple[float, ...]
) -> dict[float, tuple[int, ...]]:
    """Turns of the head, degrees, for which every speaker has a measured direction, with their rows."""
    flat = np.flatnonzero(level)
    found: dict[float, tuple[int, ...]] = {}
    for turn in np.round(speakers[0] - azimuth[flat], 3):
        turn = float(wrapped_deg(turn))
        apart = np.abs(wrapped_deg(azimuth[flat][:, None] - (np.array(speakers) - turn)[None]))
        if abs(turn) <= TURN_DEG and (apart.min(axis=0) <= SAME_DEG).all():
            found[round(turn, 3) + 0.0] = tuple(int(flat[i]) for i in apart.argmin(axis=0))
    if not any(abs(t) < SAME_DEG for t in found) or len(found) < 2:
        raise BadInput(
            f"{file.path}: no measured directions at {', '.join(f'{s:g}' for s in speakers)} degrees for the "
            "head straight ahead and turned; choose others with --speakers"
        )
    return found


def _believe(file: SofaFile, h: Float, azimuth: Float) -> None:
    """Refuse a file whose sources at a side are louder at the other ear: clockwise, or the ears swapped."""
    energy = 10.0 * np.log10(np.maximum(np.sum(h**2, axis=-1), 1e-30))
    if not h.any():
        raise BadInput(f"{file.path}: Data.IR is silent: it holds {'only zeros' if h.size else 'no samples'}")
    aside = np.abs(np.sin(np.radians(azimuth))) > 0.5
    if not aside.any():
        return
    lead = float(np.mean((energy[aside, 0] - energy[aside, 1]) * np.sign(np.sin(np.radians(azimuth[aside])))))
    if lead < LEAD_DB:
        raise BadInput(
            f"{file.path}: sources at positive azimuth are {-lead:.1f} dB louder at the right ear: the file counts "
            "azimuth clockwise, or its ears are swapped, and does not state which. Give --clockwise or --swap-ears"
        )


def _ear_order(file: SofaFile) -> list[int]:
    """Receivers in the order left, right: by names, else by positions, else in file order."""
    names = [t.lower() for t in file.texts.get("ReceiverDescriptions", ())]
    if len(names) == 2 and ("left" in names[0]) != ("left" in names[1]):
        return [0, 1] if "left" in names[0] else [1, 0]
    if "ReceiverPosition" not in file.values:
        return [0, 1]
    y = file.cartesian("ReceiverPosition", 2)[:, 1]
    return [0, 1] if y[0] >= y[1] else [1, 0]


def _are_ears(file: SofaFile) -> bool:
    if "ReceiverPosition" not in file.values:
        return False
    places = file.cartesian("ReceiverPosition", 2)
    return bool(np.linalg.norm(places[0] - places[1]) > APART_M)


def _delayed(h: Float, delays: Float) -> Float:
    """Responses ``(M, R, E, N)`` delayed by ``delays (M, R, E)`` samples, fractions included."""
    if not np.any(delays):
        return h
    if delays.min() < 0.0 or delays.max() > 1e6:
        raise BadInput(f"Data.Delay from {delays.min():g} to {delays.max():g} samples; the range is 0 to 1e6")
    n = h.shape[-1] + int(np.ceil(delays.max())) + 1
    return fft.delayed(h, delays, 1 << n.bit_length())[..., :n]


def _into(forward: Float, vector: Float) -> Float:
    """A vector in the frame of something that looks along ``forward`` in the horizontal plane."""
    a = np.arctan2(forward[1], forward[0])
    c, s = np.cos(a), np.sin(a)
    return np.array([c * vector[0] + s * vector[1], -s * vector[0] + c * vector[1], vector[2]])


def _yaw(looks: Float) -> Float:
    """Yaw in degrees of heads that look along ``looks (M, 3)`` seen from the device: 0 faces it."""
    return np.asarray(np.degrees(np.arctan2(-looks[:, 1], -looks[:, 0])))


def _away(seen: Float) -> float:
    return float(np.median(seen[:, 0]))


def _head_rows(seen: Float, yaw: Float, uses: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Head positions; if the file does not state scoring positions, every third one, but not the nominal one."""
    away, bearing = _away(seen), np.degrees(np.arctan2(seen[:, 1], seen[:, 0]))
    nominal = int(np.argmin(np.abs(bearing) + np.abs(yaw) + 50.0 * np.abs(seen[:, 0] - away)))
    others = [i for i in range(len(seen)) if i != nominal]
    scored = set(others[1::3]) if len(seen) > 2 else set()
    stated = len(uses) == len(seen)
    use = uses if stated else ["score" if i in scored else "design" for i in range(len(seen))]
    rows = [
        (round(float(bearing[i]), 9), *map(float, seen[i]), round(float(yaw[i]), 9), use[i]) for i in range(len(seen))
    ]
    note = f"scoring positions are not in the file: {len(scored)} of {len(seen)} were chosen"
    return np.array(rows, dtype=POSITION), () if stated else (note,)


def _ring(seen: Float, file: SofaFile) -> tuple[np.ndarray, float]:
    """Directions around the device."""
    r = np.linalg.norm(seen, axis=1)
    if r.min() <= 0.0:
        raise BadInput(f"{file.path}: a receiver is in the middle of the device; directions are undefined")
    azimuth = wrapped_deg(np.degrees(np.arctan2(seen[:, 1], seen[:, 0])))
    rows = [(round(float(a), 9), *map(float, s), 0.0, "polar") for a, s in zip(azimuth, seen, strict=True)]
    return np.array(rows, dtype=POSITION), float(np.median(r))


def _names(file: SofaFile, variables: tuple[str, ...], count: int, else_: str) -> tuple[str, ...]:
    kept = _kept(file, "Drivers" if else_ == "driver" else "Mics")
    if len(stated := _listed(kept)) == count:
        return stated
    for variable in variables:
        names = file.texts.get(variable, ())
        if len(names) == count and all(names) and len(set(names)) == count:
            return names
    return tuple(f"{else_}_{i + 1}" for i in range(count))


def _listed(text: str) -> tuple[str, ...]:
    """Names stored as JSON, or none."""
    try:
        found = json_value(text) if text else []
    except ValueError:
        return ()
    return tuple(found) if isinstance(found, list) and all(isinstance(n, str) for n in found) else ()


def _unit(file: SofaFile) -> str:
    return "Pa/FS" if file.attributes.get(("", "Comment"), "").startswith("Pascal for a full-scale") else "relative"


def _kept(file: SofaFile, name: str) -> str:
    return file.attributes.get(("", f"Sweetspot{name}"), "")


def _band(file: SofaFile) -> tuple[float, float] | None:
    words = _kept(file, "Band").split()
    try:
        low, high = (float(w) for w in words)
    except ValueError:
        return None
    return (low, high) if 0.0 < low < high < file.fs / 2 else None
