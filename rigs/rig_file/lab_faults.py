"""Notation of lab faults: ``"slam at=3 s=1.2 db=-10"`` -> :class:`Fault`, or an error message.

A fault is a kind and ``key=value`` pairs. When it happens: ``at`` counts captures that play something, from 1 since the
rig was opened (``3``, ``3-5``, ``3-``, ``2,6``), ``s`` is seconds into that capture from the first sample that plays,
``t`` is seconds of the session instead, ``for`` is how long it lasts. A state without any of them lasts for ever, one
with ``at`` alone for those captures. Seconds of the session are those in which the interface runs: in process the
captures' own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Range = tuple[int, int | None]
"""First and last capture; no last one: all that follow."""

JUMP_MAX = 8192
"""Most samples that a stream can lose or repeat at a stroke."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault: description, whether it is an event or a state, and its keys with defaults.

    A key whose default is ``None`` is required. A key's name determines its type (:data:`_READERS`).
    """

    what: str
    event: bool
    keys: Mapping[str, Any]
    either: tuple[str, ...] = ()


_SLAM = {"db": -20.0, "band": (20.0, 400.0), "for": 0.4}
_SPEECH = {"db": -30.0, "band": (120.0, 6000.0), "for": 1.5}
_JUMP = {"samples": 64, "flag": False}
_ONE = {"driver": "", "mic": ""}
_TWO: dict[str, Any] = {"drivers": (), "mics": ()}
KINDS: dict[str, FaultKind] = {
    "slam": FaultKind("a door slams: peak at the microphones in dBFS, band in Hz", True, _SLAM),
    "speech": FaultKind("somebody speaks: peak at the microphones in dBFS, band in Hz", True, _SPEECH),
    "drop": FaultKind("samples of the recording are lost; flag=yes counts an xrun", True, _JUMP),
    "repeat": FaultKind("samples of the recording are repeated; flag=yes counts an xrun", True, _JUMP),
    "preamp": FaultKind("a preamplifier's gain is gain dB too high, and it clips", False, {"mic": None, "gain": 30.0}),
    "dead": FaultKind("a driver or a microphone is dead", False, _ONE, tuple(_ONE)),
    "unplug": FaultKind("the cable of an ear or microphone is unplugged", False, {"mic": None}),
    "invert": FaultKind("the polarity of a driver or microphone is reversed", False, _ONE, tuple(_ONE)),
    "swap": FaultKind("two drivers or two microphones are swapped", False, _TWO, tuple(_TWO)),
    "level": FaultKind("a driver's level is off by db", False, {"driver": None, "db": None}),
    "rub": FaultKind(
        "a driver's voice coil rubs: clicks of db (dBFS at the driver) where its excursion passes that of a low tone "
        "of over dBFS",
        False,
        {"driver": None, "db": -40.0, "over": -25.0},
    ),
    "amp-off": FaultKind("the amplifier is off: no driver plays", False, {}),
    "temperature": FaultKind("the room is warmer by this many kelvin (below 0: colder)", False, {"by": None}),
    "slip": FaultKind("the turntable slips by deg on its way to that capture, undetected", True, {"deg": 3.0}),
    "stall": FaultKind("the turntable stalls on its way to that capture", True, {}),
    "late": FaultKind("the turntable's reply before that capture is late by seconds", True, {"by": 1.0}),
    "disk-full": FaultKind("the disk is full from that capture on", True, {}),
    "crash": FaultKind("the program is killed in that capture", True, {}),
}
"""Every fault that there is."""

WHEN = ("at", "s", "t", "for")
STAGE = ("slip", "stall", "late")
"""Faults of the stage."""


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """One fault.

    Parameters
    ----------
    kind
        A key of :data:`KINDS`.
    text
        As it was written.
    captures
        In which captures; ``None`` for a time of the session, or for ever.
    s, t, lasts
        Seconds into the capture, seconds of the session, duration in s; ``None`` where not given.
    values
        Its own keys, all of them.
    """

    kind: str
    text: str
    captures: tuple[Range, ...] | None
    s: float | None
    t: float | None
    lasts: float | None
    values: Mapping[str, Any]

    def holds(self, capture: int) -> bool:
        """Whether a capture is one of those named."""
        return any(a <= capture and (b is None or capture <= b) for a, b in self.captures or ())

    @property
    def event(self) -> bool:
        """Whether it happens at a moment, rather than being so for a while."""
        return KINDS[self.kind].event


def parse_fault(text: str) -> Fault:
    """Read one fault.

    Raises
    ------
    ValueError
        In words, with the candidates.
    """
    name, *pairs = text.split() or [""]
    if name not in KINDS:
        raise ValueError(f"fault {text!r}: {_unknown('fault', name, list(KINDS))}")
    kind = KINDS[name]
    given = _pairs(text, name, kind, pairs)
    when = {k: _read(text, k, given[k]) for k in WHEN if k in given}
    values = {k: _read(text, k, given[k]) if k in given else v for k, v in kind.keys.items()}
    _complete(text, name, kind, given, values)
    if "t" in when and ("at" in when or "s" in when):
        raise ValueError(f"fault {text!r}: t= counts from the start of the session: it goes with neither at= nor s=")
    if "s" in when and "at" not in when:
        raise ValueError(f"fault {text!r}: s= counts from the start of a capture: say which, at=CAPTURE")
    if kind.event and not {"at", "t"} & set(when):
        raise ValueError(f"fault {text!r}: say when: at=CAPTURE (and s=SECONDS into it), or t=SECONDS of the session")
    lasts = values.get("for", when.get("for"))
    return Fault(name, text, captures=when.get("at"), s=when.get("s"), t=when.get("t"), lasts=lasts, values=values)


def misfits(fault: Fault, drivers: Sequence[Any], mics: Sequence[Any], latency: Any) -> Iterator[str]:
    """Names in a fault that a rig does not have, with the candidates; ``latency`` is in samples."""
    for what, there in (("driver", drivers), ("mic", mics)):
        one, two = fault.values.get(what), fault.values.get(f"{what}s", ())
        for name in (one, *two) if one else two:
            if name not in there:
                listed = ", ".join(map(str, there))
                yield f"fault {fault.text!r}: the rig has no {what} named {name!r}; there are: {listed}"
    lost = fault.values.get("samples", 0)
    if fault.kind == "drop" and isinstance(latency, int) and lost > latency:
        yield (
            f"fault {fault.text!r}: samples={lost} are more than the {latency} of lab.latency_samples that a buffer "
            "can lose: raise that, or lose fewer"
        )


def listing() -> tuple[dict[str, Any], str]:
    """All kinds with their keys, as data and as lines."""
    data = {"kinds": [{"name": name, "text": kind.what, "keys": list(kind.keys)} for name, kind in KINDS.items()]}
    lines = [f"{name:12s} {kind.what} ({', '.join(kind.keys) or 'no keys'})" for name, kind in KINDS.items()]
    return data | {"when": list(WHEN)}, "\n".join([f"Faults, each with its keys besides {', '.join(WHEN)}:", *lines])


def _pairs(text: str, name: str, kind: FaultKind, pairs: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    known = list(dict.fromkeys((*kind.keys, *WHEN)))
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not value:
            raise ValueError(f"fault {text!r}: {pair!r} is not key=value; {name} takes {', '.join(known)}")
        if key not in known:
            raise ValueError(f"fault {text!r}: {_unknown('key', key, known)}")
        if key in given:
            raise ValueError(f"fault {text!r}: {key}= is given twice")
        given[key] = value
    return given


def _complete(text: str, name: str, kind: FaultKind, given: Mapping[str, str], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if value is None:
            raise ValueError(f"fault {text!r}: {name} needs {key}=")
    if kind.either and sum(key in given for key in kind.either) != 1:
        raise ValueError(f"fault {text!r}: {name} needs one of {'= and '.join(kind.either)}=")


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"there is no {what} {name!r}; {hint}there are: {', '.join(known)}"


def _captures(value: str) -> tuple[Range, ...]:
    out: list[Range] = []
    for part in value.split(","):
        first, dash, last = part.partition("-")
        low, high = int(first), (int(last) if last else None) if dash else int(first)
        if low < 1 or (high is not None and high < low):
            raise ValueError
        out.append((low, high))
    return tuple(out)


def _number(low: float, high: float) -> Any:
    def read(value: str) -> float:
        number = float(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return read


def _whole(value: str) -> int:
    if not 1 <= int(value) <= JUMP_MAX:
        raise ValueError
    return int(value)


def _band(value: str) -> tuple[float, float]:
    low, high = map(float, value.split("-"))
    if not 0.0 < low < high <= 1e6:
        raise ValueError
    return low, high


def _two(value: str) -> tuple[str, str]:
    one, other = value.split(",")
    if not one or not other or one == other:
        raise ValueError
    return one, other


_READERS: dict[str, tuple[Any, str]] = {
    "at": (_captures, "captures from 1, such as 3, 3-5, 3- or 2,6"),
    "s": (_number(-10.0, 3600.0), "seconds from -10 to 3600"),
    "t": (_number(0.0, 1e6), "seconds from 0"),
    "for": (_number(0.001, 1e6), "seconds from 0.001"),
    "by": (_number(-60.0, 600.0), "a number from -60 to 600"),
    "db": (_number(-120.0, 40.0), "dB from -120 to 40"),
    "over": (_number(-120.0, 0.0), "dBFS from -120 to 0"),
    "gain": (_number(-60.0, 80.0), "dB from -60 to 80"),
    "deg": (_number(-180.0, 180.0), "degrees from -180 to 180"),
    "samples": (_whole, f"a whole number from 1 to {JUMP_MAX}"),
    "flag": ({"yes": True, "no": False}.__getitem__, "yes or no"),
    "band": (_band, "two frequencies in Hz, such as 20-400"),
    "drivers": (_two, "two names with a comma, such as left,right"),
    "mics": (_two, "two names with a comma, such as ear_left,ear_right"),
    "driver": (str, "a driver's name"),
    "mic": (str, "a microphone's name"),
}


def _read(text: str, key: str, value: str) -> Any:
    reader, wanted = _READERS[key]
    try:
        return reader(value)
    except (ValueError, KeyError):
        raise ValueError(f"fault {text!r}: {key}={value} is not {wanted}") from None
