"""Assignment of files to responses: by a CSV manifest, or by a pattern for the file names of a folder."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from sweetspot.measure.plan import SETS, SetName
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import many

MANIFEST = "manifest.csv"
"""Default name of a folder's manifest."""

NUMBERS = (
    *(
        "position",
        "azimuth_deg",
        "elevation_deg",
        "x",
        "y",
        "z",
        "yaw_deg",
        "channel",
        "driver_x",
        "driver_y",
        "driver_z",
    ),
)
WORDS = ("file", "set", "mic", "driver", "use")
FIELDS = (*WORDS, *NUMBERS)
"""Names of a manifest's columns and a pattern's fields; positions in m, angles in degrees, counts from 1."""

DEFAULT_PATTERNS = (
    "{set}_p{position}_{mic}_{driver}",
    "polar_{mic}_{driver}_elevation_{elevation_deg}_hor_{azimuth_deg}",
    "polar_{mic}_{driver}_hor_{azimuth_deg}",
    "{set}_p{position}_{driver}",
    "polar_{driver}_hor_{azimuth_deg}",
    "{driver}_hor_{azimuth_deg}",
    "{driver}_hor {azimuth_deg}",
)
"""Tried in this order where none is given; the first three are those of `sweetspot measure export`."""

KINDS = {
    "position": r"\d+",
    "azimuth_deg": r"[-+]?\d+(?:\.\d+)?",
    "elevation_deg": r"[-+]?\d+(?:\.\d+)?",
    "x": r"[-+]?\d+(?:\.\d+)?",
    "y": r"[-+]?\d+(?:\.\d+)?",
    "z": r"[-+]?\d+(?:\.\d+)?",
    "yaw_deg": r"[-+]?\d+(?:\.\d+)?",
    "channel": r"\d+",
    "set": r"ears|polar",
    "use": r"design|score|anchor|polar",
}


KNOWN_MICS = r"ear_left|ear_right|left|right"
"""Known microphone names, matched first when a file name is split."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One response, or the channels of one file.

    Parameters
    ----------
    mic, driver
        Names; ``mic`` is empty where the channels of the file are the microphones.
    position
        As the files count; ``None`` where places distinguish the positions.
    channel
        Of the file, from 0; ``None`` for all.
    place
        What is stated of ``azimuth_deg``, ``x``, ``y``, ``z`` and ``yaw_deg``.
    use
        ``"design"``, ``"score"``, ``"anchor"`` or empty.
    stated
        Whether its set is stated, in a manifest or a file name, and not concluded.
    """

    path: Path
    kind: SetName
    mic: str
    driver: str
    position: int | None
    channel: int | None
    place: dict[str, float]
    use: str
    stated: bool = False


def entries(folder: Path, endings: tuple[str, ...], pattern: str | None, manifest: Path | None) -> list[Entry]:
    """All responses of a folder, or of one file, which by default belongs to the driver of its name.

    Parameters
    ----------
    endings
        Of the files that count, without a dot, in small letters.
    pattern
        Such as ``"{driver}_{azimuth_deg}deg"``, without the ending; ``None`` tries :data:`DEFAULT_PATTERNS`.
    manifest
        A CSV file; ``None`` looks for ``manifest.csv`` in the folder unless a pattern is given.

    Raises
    ------
    BadInput
        Nothing that fits, a file that is missing, a column that is not known, a value that is no number.
    """
    if manifest is None and pattern is None and (folder / MANIFEST).is_file():
        manifest = folder / MANIFEST
    if manifest is not None:
        return _listed(manifest)
    alone = folder.is_file()
    files = sorted(_of_folder(folder, endings)) if not alone else [folder] if _counts(folder, endings) else []
    if not files:
        raise BadInput(
            f"{folder}: no file ends in {', '.join(endings)}; a folder of responses or a SOFA file is needed"
        )
    for one in (pattern,) if pattern else (*DEFAULT_PATTERNS, *(("{driver}",) if alone else ())):
        known, any_mic = _compiled(one, KNOWN_MICS), _compiled(one)
        matched = [(p, known.fullmatch(p.stem) or any_mic.fullmatch(p.stem)) for p in files]
        if fitting := [(p, m) for p, m in matched if m]:
            return [_entry(p, m.groupdict(), f"{p.name}") for p, m in fitting]
    wanted = pattern or DEFAULT_PATTERNS[0]
    fields = ", ".join("{" + f + "}" for f in FIELDS if f != "file")
    raise BadInput(
        f"{folder}: no name of {many(len(files), 'file')} (such as {files[0].name!r}) fits {wanted!r}; give --pattern, "
        "such as '{driver}' for files with both ears that are named after their drivers; its fields are "
        f"{fields}; or give a --manifest with these columns and file"
    )


def _compiled(pattern: str, mic: str = ".+?") -> re.Pattern[str]:
    parts = re.split(r"\{(\w*)\}", pattern)
    text, seen = "", set()
    for i, part in enumerate(parts):
        if i % 2 == 0:
            text += re.escape(part)
        elif part not in FIELDS or part == "file":
            raise BadInput(
                f"--pattern: {{{part}}} is no field; there are {', '.join('{' + f + '}' for f in FIELDS[1:])}"
            )
        elif part in seen:
            raise BadInput(f"--pattern: {{{part}}} occurs twice")
        else:
            text += f"(?P<{part}>{mic if part == 'mic' else KINDS.get(part, '.+?')})"
            seen.add(part)
    if "driver" not in seen:
        raise BadInput(f"--pattern: {pattern!r} has no {{driver}}: files cannot be assigned to drivers")
    return re.compile(text, re.IGNORECASE)


def left_out(folder: Path, endings: tuple[str, ...], listed: list[Entry]) -> str:
    """A note on files of a folder that no pattern fitted; empty where there is none, or a single file was given."""
    gone = sorted(_of_folder(folder, endings) - {e.path for e in listed}) if folder.is_dir() else []
    names = "; ".join([*(p.name for p in gone[:3]), *(["..."] if len(gone) > 3 else [])])
    return f"{many(len(gone), 'file')} left out, as no pattern fits: {names}" if gone else ""


def _of_folder(folder: Path, endings: tuple[str, ...]) -> set[Path]:
    return {p for p in folder.iterdir() if p.is_file() and _counts(p, endings)}


def _counts(path: Path, endings: tuple[str, ...]) -> bool:
    """Whether a file may be a response; hidden ones are of the system, such as those that macOS puts beside others."""
    return path.suffix.lower().lstrip(".") in endings and not path.name.startswith(".")


def _listed(manifest: Path) -> list[Entry]:
    try:
        raw = manifest.read_bytes()
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except OSError as fault:
        raise BadInput(f"{manifest}: the manifest cannot be read: {fault.strerror}") from fault
    except UnicodeError as fault:
        raise BadInput(f"{manifest}: the manifest is no text in UTF-8 ({fault}): save it as CSV in UTF-8") from fault
    lines = io.StringIO(text, newline=None)
    head = lines.readline()
    lines.seek(0)
    table = csv.DictReader(lines, delimiter=max(",;\t", key=head.count))
    columns = [c.strip().lower() for c in table.fieldnames or ()]
    if strange := [c for c in columns if c and c not in FIELDS and not c.startswith(("noise_", "unit", "snr_"))]:
        raise BadInput(f"{manifest}: column {strange[0]!r} is not known; there are {', '.join(FIELDS)}")
    if missing := [c for c in ("file", "driver") if c not in columns]:
        raise BadInput(f"{manifest}: no column {missing[0]!r} (there: {', '.join(columns)})")
    found = []
    for row in table:
        line = f"{manifest.name}, line {table.line_num}"
        values = {k.strip().lower(): (v or "").strip() for k, v in row.items() if k and isinstance(v, str)}
        if not any(values.values()):
            continue
        name = values.get("file", "")
        path = manifest.parent / name
        path = path if path.is_file() else manifest.parent / PureWindowsPath(name).as_posix()
        if not path.is_file():
            raise BadInput(f"{line}: '{name}': no such file in {manifest.parent}")
        found.append(_entry(path, values, line))
    if not found:
        raise BadInput(f"{manifest}: lists no files")
    return found


def _entry(path: Path, values: dict[str, str], where: str) -> Entry:
    numbers = {k: _number(values[k], f"{where}: {k}") for k in NUMBERS if values.get(k)}
    kind = values.get("set", "").lower() or _kind(values)
    if kind not in SETS:
        raise BadInput(f"{where}: set {kind!r} is none of {', '.join(SETS)}")
    if not values.get("driver"):
        raise BadInput(f"{where}: names no driver")
    if (use := values.get("use", "").lower()) not in ("", "design", "score", "anchor", "polar"):
        raise BadInput(f"{where}: use {use!r} is none of design, score, anchor")
    position, channel = numbers.pop("position", None), numbers.pop("channel", None)
    if channel is not None and channel < 1:
        raise BadInput(f"{where}: channel {channel:g}: channels count from 1")
    return Entry(
        path,
        "ears" if kind == "ears" else "polar",
        mic=values.get("mic", ""),
        driver=values["driver"],
        position=None if position is None else int(position),
        channel=None if channel is None else int(channel) - 1,
        place=numbers,
        use="" if use == "polar" else use,
        stated=bool(values.get("set")),
    )


def _kind(values: dict[str, str]) -> str:
    """Ears if a microphone is an ear or the head turns; else polar."""
    mic = values.get("mic", "").lower()
    ears = mic.startswith("ear") or mic in ("left", "right", "l", "r") or bool(values.get("yaw_deg"))
    return "ears" if ears or (not mic and not values.get("azimuth_deg")) else "polar"


def _number(text: str, where: str) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError as fault:
        raise BadInput(f"{where}: {text!r} is no number") from fault
    if not -1e6 < value < 1e6:
        raise BadInput(f"{where}: {text!r} is out of range")
    return value
