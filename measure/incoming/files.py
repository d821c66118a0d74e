"""Opens imported SOFA files, folders of responses and of recorded sweeps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from sweetspot.measure.impulse import POSITION
from sweetspot.measure.incoming import listing, sofa_file, sofa_sets, sweeps, text_file
from sweetspot.measure.incoming.imported_set import MOST_BYTES, RELATIVE, ImportedSet
from sweetspot.measure.incoming.listing import Entry
from sweetspot.measure.incoming.sofa_sets import HeadWish
from sweetspot.measure.plan import SetName
from sweetspot.measure.share import standard_errors
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import wrapped_deg
from sweetspot.rigs.names import many
from sweetspot.rigs.rig_file import EARS
from sweetspot.rigs.storage import broken_off, mended_wave
from sweetspot.rigs.units import Float

SOUND = ("wav", "flac", "aif", "aiff")
TEXT = ("txt", "frd")
TAPS_S = 0.2
"""Length of the response that a transfer function becomes, s."""

INTEGER_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}

SHORT = 10
"""A file this many times shorter than the longest of its set was cut short."""

EAR_NAMES = {"left": EARS[0], "l": EARS[0], "right": EARS[1], "r": EARS[1], "ear_l": EARS[0], "ear_r": EARS[1]}


@dataclass(frozen=True, slots=True)
class Wish:
    """Options of the command line for an import.

    Parameters
    ----------
    kind
        The set, if the file does not determine it.
    pattern, manifest
        See :func:`listing.entries`.
    stimulus
        What was played, where the files are recordings of it.
    loopback
        Channel of the recordings that carries it, from 1.
    after_ms
        Kept of recorded sweeps.
    distance_m
        To the head or the microphone.
    head
        See :class:`HeadWish`.
    fs
        Sampling rate of the responses that transfer functions become, Hz.
    """

    kind: SetName | None = None
    pattern: str | None = None
    manifest: Path | None = None
    stimulus: Path | None = None
    loopback: int | None = None
    after_ms: float = 150.0
    distance_m: float = 2.0
    head: HeadWish = field(default_factory=HeadWish)
    fs: int = 48000


def sets(path: Path, wish: Wish) -> list[ImportedSet]:
    """Every set that a file or a folder holds.

    Raises
    ------
    BadInput
        Nothing there that is understood, or it contradicts itself.
    """
    if not path.exists():
        raise BadInput(f"{path}: no such file or folder")
    if path.is_file():
        return [_file(path, wish)]
    found = sorted(p for p in path.glob("*.sofa") if not p.name.startswith("directivity"))
    found = found or sorted(path.glob("*.sofa"))
    if found and not (wish.pattern or wish.manifest or wish.stimulus):
        files = [sofa_file.read(p) for p in found]
        read = [sofa_sets.of(file, None, wish.head) for file in files]
        if wish.kind:
            own = [s for s in read if s.kind == wish.kind]
            read = own or [sofa_sets.of(file, wish.kind, wish.head) for file in files]
        if len({s.kind for s in read}) != len(read):
            raise BadInput(f"{path}: {len(read)} SOFA files of the same set; give one of them")
        return read
    return _folder(path, wish)


def _file(path: Path, wish: Wish) -> ImportedSet:
    if path.suffix.lower() == ".sofa":
        return sofa_sets.of(sofa_file.read(path), wish.kind, wish.head)
    if path.suffix.lower().lstrip(".") in TEXT:
        return _angles(path, wish)
    if path.suffix.lower().lstrip(".") in SOUND:
        return _folder(path, wish)[0]
    raise BadInput(f"{path}: a SOFA file, a text table of responses, sound, or a folder of responses is needed")


def _angles(path: Path, wish: Wish) -> ImportedSet:
    """A table of responses of one driver over angles, such as HOLM Acoustics writes: a polar set."""
    found = text_file.read(path, wish.fs, round(TAPS_S * wish.fs))
    angles = [_angle(name) for name in found.names]
    if len(angles) < 2 or any(a is None for a in angles):
        raise BadInput(
            f"{path}: one response, or columns whose names contain no angle ({', '.join(found.names[:6])}); "
            "give the folder, with --pattern or --manifest"
        )
    degrees = np.array([float(a or 0.0) for a in angles])
    notes = (f"{path.name}: one driver, level not known",)
    return ImportedSet(
        "polar",
        found.h[:, None, None],
        fs=found.fs,
        zero=None,
        positions=_ring(degrees, wish.distance_m),
        mics=("mic",),
        drivers=("driver_1",),
        at=np.zeros((1, 3)),
        distance_m=wish.distance_m,
        unit=found.unit,
        notes=notes,
    )


def _angle(name: str) -> float | None:
    digits = name.strip().lstrip("Hh").replace("_", "")
    try:
        return float(digits)
    except ValueError:
        return None


def _ring(degrees: Float, r: float, up: Float | float = 0.0) -> NDArray[np.void]:
    """Directions at azimuths and elevations ``up``, degrees, ``r`` m away."""
    around = wrapped_deg(degrees)
    a, e = np.radians(around), np.radians(np.broadcast_to(up, around.shape))
    at = r * np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=1)
    return np.array([(d, *place, 0.0, "polar") for d, place in zip(around, at, strict=True)], dtype=POSITION)


def _folder(path: Path, wish: Wish) -> list[ImportedSet]:
    listed = listing.entries(path, (*SOUND, *TEXT), wish.pattern, wish.manifest)
    by_name = wish.manifest is None and not (wish.pattern is None and (path / listing.MANIFEST).is_file())
    gone = listing.left_out(path, SOUND, listed) if by_name and not wish.stimulus else ""
    if wish.kind:
        others = [e for e in listed if e.stated and e.kind != wish.kind]
        if len(others) == len(listed):
            raise BadInput(f"{path}: its files are stated to be of the {others[0].kind} set, not --as {wish.kind}")
        listed = [replace(e, kind=wish.kind) for e in listed if e not in others]
        if others:
            left = f"{many(len(others), 'file')} of the {others[0].kind} set left out"
            gone = f"{gone}; {left}" if gone else left
    if wish.stimulus:
        stimulus = wish.stimulus.resolve()
        listed = [e for e in listed if e.path.resolve() != stimulus]
    kinds: list[SetName] = [k for k in ("ears", "polar") if any(e.kind == k for e in listed)]
    found = [_set(kind, [e for e in listed if e.kind == kind], wish) for kind in kinds]
    found[0] = replace(found[0], notes=(gone, *found[0].notes)) if gone else found[0]
    beside = path / "rig.toml"
    if wish.manifest is None and (path / listing.MANIFEST).is_file() and beside.is_file():
        known = standard_errors.read(path / standard_errors.FILE)
        text = beside.read_text(encoding="utf-8", errors="replace")
        return [_with_errors(replace(s, rig_text=text), known.get(s.kind)) for s in found]
    return found


def _with_errors(found: ImportedSet, known: standard_errors.StandardErrors | None) -> ImportedSet:
    """A set with the errors that were exported with it, if they are of its responses."""
    if known is None or known.stderr.shape != (*found.h.shape[:3], (found.h.shape[3] + known.before) // 2 + 1):
        return found
    return replace(found, errors=known.stderr, before=known.before)


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """Responses of one entry: ``h (mic, tap)``, names of the microphones, step of the samples (0: floats)."""

    entry: Entry
    h: Float
    fs: int
    zero: int | None
    mics: tuple[str, ...]
    unit: str
    errors: Float | None = None
    band: tuple[float, float] | None = None
    step: float = 0.0


def _set(kind: SetName, listed: list[Entry], wish: Wish) -> ImportedSet:
    read = _recorded(listed, wish) if wish.stimulus else [_response(e, wish.fs) for e in listed]
    if len(rates := {r.fs for r in read}) > 1:
        raise BadInput(
            f"{listed[0].path.parent}: sampling rates {', '.join(f'{r} Hz' for r in sorted(rates))}; one is "
            "needed: resample the files"
        )
    zeros = {r.zero for r in read}
    taps = max(r.h.shape[1] for r in read)
    shortest = min(read, key=lambda r: r.h.shape[1])
    if shortest.h.shape[1] * SHORT < taps:
        raise BadInput(
            f"{shortest.entry.path.name}: {shortest.h.shape[1]} samples, where others of the set have {taps}: the file "
            "was cut short; write it again, or leave it out"
        )
    mics = _ordered(kind, read)
    drivers = tuple(dict.fromkeys(r.entry.driver for r in read))
    keys = [_where(kind, r.entry) for r in read]
    order = sorted(dict.fromkeys(keys)) if kind == "polar" else list(dict.fromkeys(keys))
    if len(order) * len(mics) * len(drivers) * taps * 8 > MOST_BYTES:
        raise BadInput(f"{listed[0].path.parent}: responses of {taps} samples at {len(order)} positions do not fit")
    h = np.full((len(order), len(mics), len(drivers), taps), np.nan)
    errors = np.full((*h.shape[:3], taps // 2 + 1), np.nan)
    given = dict[tuple[int, int, int], Path]()
    for r, key in zip(read, keys, strict=True):
        for row, mic in zip(r.h, r.mics, strict=True):
            at = order.index(key), mics.index(mic), drivers.index(r.entry.driver)
            if at in given:
                where = f"azimuth {key[-1]:g} degrees" if kind == "polar" else f"position {at[0] + 1}"
                raise BadInput(
                    f"{r.entry.path.name}: the response of {drivers[at[2]]!r} at {mic!r}, {where}, is also in "
                    f"{given[at].name}; leave one of them out"
                )
            h[at], given[at] = np.pad(row, (0, taps - len(row))), r.entry.path
        if r.errors is not None:
            for row, mic in zip(r.errors, r.mics, strict=True):
                errors[order.index(key), mics.index(mic), drivers.index(r.entry.driver)] = row
    _complete(h, order, mics, drivers, listed[0].path.parent)
    table, away, notes, chosen = _places(
        kind, [next(r.entry for r, k in zip(read, keys, strict=True) if k == o) for o in order], wish
    )
    unit = read[0].unit if len({r.unit for r in read}) == 1 else RELATIVE
    zero = zeros.pop() if len(zeros) == 1 else None
    known = errors if np.isfinite(errors).all() else None
    stands = _stands(read, drivers)
    return ImportedSet(
        kind,
        h,
        fs=read[0].fs,
        zero=zero,
        positions=table,
        mics=mics,
        drivers=drivers,
        at=stands,
        distance_m=away,
        unit=unit,
        band=_band(read),
        errors=known,
        step=max(r.step for r in read),
        notes=notes,
        chosen=chosen,
    )


def _band(read: list[_Read]) -> tuple[float, float] | None:
    """The band of the responses, Hz, up to the lowest of their ends; ``None`` where none states one.

    Raises
    ------
    BadInput
        One that ends an octave or more below another: its file was cut short.
    """
    ends = [(r.band[1], r.entry.path.name) for r in read if r.band]
    if not ends:
        return None
    (least, name), (most, _) = min(ends), max(ends)
    if 2.0 * least < most:
        raise BadInput(
            f"{name}: ends at {least:.0f} Hz, where others of the set end at {most:.0f} Hz: the file was cut short; "
            "write it again, or leave it out"
        )
    return max(min(r.band[0] for r in read if r.band), 20.0), min(least, 20000.0)


def _stands(read: list[_Read], drivers: tuple[str, ...]) -> Float | None:
    """Positions of the drivers, if a manifest states them."""
    known = {r.entry.driver: [r.entry.place.get(f"driver_{k}") for k in "xyz"] for r in read}
    at = [[np.nan if v is None else v for v in known[d]] for d in drivers]
    return np.array(at) if np.isfinite(at).all() else None


def _where(kind: SetName, entry: Entry) -> tuple[float, ...]:
    """Key that identifies a position."""
    if kind == "polar" and "azimuth_deg" in entry.place:
        up = round(_elevation(entry), 6)
        return abs(up), up, float(wrapped_deg(entry.place["azimuth_deg"]))
    if entry.position is not None:
        return (float(entry.position),)
    return tuple(entry.place.get(k, 0.0) for k in ("x", "y", "z", "yaw_deg", "azimuth_deg"))


def _elevation(entry: Entry) -> float:
    """Elevation of a polar response, degrees: as stated, or by its place; else in the device's plane."""
    if "elevation_deg" in entry.place:
        return entry.place["elevation_deg"]
    x, y, z = (entry.place.get(k, 0.0) for k in "xyz")
    return float(np.degrees(np.arctan2(z, np.hypot(x, y)))) if x or y or z else 0.0


def _ordered(kind: SetName, read: list[_Read]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(m for r in read for m in r.mics))
    if kind == "polar":
        return names
    if set(names) != set(EARS):
        raise BadInput(f"ears: microphones {', '.join(names)}; ear_left and ear_right are needed (or left and right)")
    return EARS


def _complete(
    h: Float, order: list[tuple[float, ...]], mics: tuple[str, ...], drivers: tuple[str, ...], folder: Path
) -> None:
    gone = np.argwhere(~np.isfinite(h[..., 0]))
    if len(gone):
        p, m, d = (int(i) for i in gone[0])
        raise BadInput(
            f"{folder}: {len(gone)} of {len(order) * len(mics) * len(drivers)} responses are missing, the "
            f"first: driver {drivers[d]!r} at {mics[m]!r}, position {p + 1}"
        )


def _places(kind: SetName, firsts: list[Entry], wish: Wish) -> tuple[NDArray[np.void], float, tuple[str, ...], str]:
    """The table of positions, the distance, the assumptions made for them, and for their use."""
    if kind == "polar":
        if any("azimuth_deg" not in e.place for e in firsts):
            raise BadInput(
                f"{firsts[0].path.name}: a polar response without its angle: {{azimuth_deg}} in --pattern, or "
                "in a manifest"
            )
        places = [[e.place["x"], e.place["y"], e.place.get("z", 0.0)] for e in firsts if {"x", "y"} <= set(e.place)]
        known = np.linalg.norm(places, axis=1) if places else []
        away = float(np.median(known)) if len(known) == len(firsts) else wish.distance_m
        up = np.array([_elevation(e) for e in firsts])
        return _ring(np.array([e.place["azimuth_deg"] for e in firsts]), away, up), away, (), ""
    notes = []
    if not any({"x", "y", "yaw_deg"} & set(e.place) for e in firsts) and len(firsts) > 1:
        notes.append("head positions are unknown: all are set to the nominal one")
    xs = [e.place["x"] for e in firsts if "x" in e.place]
    away = float(np.median(xs)) if len(xs) == len(firsts) and min(xs, default=0.0) > 0.2 else wish.distance_m
    moved = away if len(xs) == len(firsts) and min(xs, default=0.0) > 0.2 else 0.0
    uses, chosen = [e.use for e in firsts], ""
    if not all(uses):
        unstated = [i for i, use in enumerate(uses) if not use]
        for n, i in enumerate(unstated):
            uses[i] = "score" if n % 3 == 2 else "design"
        scored = sum(uses[i] == "score" for i in unstated)
        chosen = (
            f"scoring positions were not stated: {scored} of {len(unstated)} were chosen"
            if "score" in uses
            else "too few positions to hold one out for scoring"
        )
        notes.append(chosen)
    rows = []
    for e, use in zip(firsts, uses, strict=True):
        x = away + e.place.get("x", 0.0) - moved
        y = e.place.get("y", 0.0)
        rows.append(
            (float(np.degrees(np.arctan2(y, x))), x, y, e.place.get("z", 0.0), e.place.get("yaw_deg", 0.0), use)
        )
    return np.array(rows, dtype=POSITION), away, tuple(notes), chosen


def _response(entry: Entry, fs: int) -> _Read:
    """The responses of one file, or of one of its channels."""
    if entry.path.suffix.lower().lstrip(".") in TEXT:
        found = text_file.read(entry.path, fs, round(TAPS_S * fs))
        h, fs, zero, unit, step, band = found.h, found.fs, found.zero, found.unit, 0.0, found.band
    else:
        h, fs, comment, step = _sound(entry.path)
        zero, unit, band = 0, "Pa/FS" if comment.startswith("sweetspot, unit ") else RELATIVE, None
    return _Read(entry, _channel(entry, h), fs, zero, _mics(entry, h), unit, band=band, step=step)


def _channel(entry: Entry, h: Float) -> Float:
    if entry.channel is None:
        return h if not entry.mic else h[:1]
    if entry.channel >= len(h):
        raise BadInput(f"{entry.path.name}: has {len(h)} channels, not {entry.channel + 1}")
    return h[entry.channel : entry.channel + 1]


def _mics(entry: Entry, h: Float) -> tuple[str, ...]:
    if entry.mic:
        if entry.channel is None and len(h) > 1:
            raise BadInput(f"{entry.path.name}: {len(h)} channels for one microphone; give channel in a manifest")
        return (EAR_NAMES.get(entry.mic.lower(), entry.mic),)
    if entry.kind == "ears":
        if entry.channel is not None or len(h) != 2:
            raise BadInput(
                f"{entry.path.name}: {many(len(h), 'channel')}; left and right ear are needed, or {{mic}} in "
                "--pattern, or --as polar"
            )
        return EARS
    count = 1 if entry.channel is not None else len(h)
    return tuple(f"mic_{i + 1}" if count > 1 else "mic" for i in range(count))


def _recorded(listed: list[Entry], wish: Wish) -> list[_Read]:
    """Recordings of one stimulus, deconvolved together."""
    assert wish.stimulus is not None
    played, fs, *_ = _sound(wish.stimulus)
    if len(played) > 1 and np.any(played[1:] != played[:1]):
        raise BadInput(f"{wish.stimulus}: {len(played)} channels that differ; one channel is needed")
    sounds: dict[Path, NDArray[np.float32]] = {}
    for e in listed:
        x, rate, *_ = _sound(e.path)
        if rate != fs:
            raise BadInput(f"{e.path.name}: {rate} Hz, the stimulus {fs} Hz: one rate is needed")
        sounds[e.path] = x.astype(np.float32)
    loopback = None if wish.loopback is None else wish.loopback - 1
    paths = list(sounds)
    try:
        after = round(wish.after_ms * fs / 1000.0)
        done = sweeps.deconvolved(played[0], fs, list(sounds.values()), loopback, after, names=[p.name for p in paths])
    except BadInput as fault:
        raise BadInput(f"recorded sweeps of {wish.stimulus.name}: {fault}") from fault
    read = []
    for e in listed:
        i = paths.index(e.path)
        h, errors, entry = done.h[i], done.errors[i], e
        if e.channel is not None and loopback is not None and e.channel > loopback:
            entry = replace(e, channel=e.channel - 1)
        mics = _mics(entry, h)
        rows = slice(0, len(mics)) if entry.channel is None else slice(entry.channel, entry.channel + 1)
        read.append(
            _Read(e, h[rows], fs=fs, zero=done.zero, mics=mics, unit=RELATIVE, errors=errors[rows], band=done.band)
        )
    return read


def _sound(path: Path) -> tuple[Float, int, str, float]:
    """Samples ``(channel, samples)``, rate and comment of a file, and the step of its samples, 0 for floats."""
    try:
        with soundfile.SoundFile(mended_wave(path) or str(path)) as file:
            if file.frames * file.channels * 8 > MOST_BYTES:
                raise BadInput(f"{path}: {file.frames * file.channels * 8 / 1e9:.1f} GB in memory; shorten it")
            if cut := broken_off(str(file.extra_info)):
                raise BadInput(f"{path}: is truncated: its header states {cut}; copy or export it again")
            step = 2.0 ** (1 - INTEGER_BITS[file.subtype]) if file.subtype in INTEGER_BITS else 0.0
            x, fs, comment = file.read(dtype="float64", always_2d=True).T, int(file.samplerate), str(file.comment)
    except (OSError, RuntimeError, soundfile.LibsndfileError) as fault:
        raise BadInput(f"{path}: cannot be read as audio: {getattr(fault, 'strerror', None) or fault}") from fault
    if not np.isfinite(x).all():
        channel, sample = (int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise BadInput(f"{path}: sample {sample} of channel {channel + 1} is not a number: export it again")
    return x, fs, comment, step
