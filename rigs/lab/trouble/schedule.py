"""Active faults of a block of samples, and their effect on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, cast
from weakref import proxy

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.lab.sound import Rub
from sweetspot.rigs.lab.trouble.noises import burst
from sweetspot.rigs.rig_file import STAGE, Description, Fault, parse_fault
from sweetspot.rigs.units import from_db, pressure

FAR = 1 << 60


@dataclass(frozen=True, slots=True)
class Span:
    """A block of samples in time.

    Parameters
    ----------
    capture
        The capture that it belongs to, from 1; 0 before the first.
    at
        Place of its first sample, counted from the capture's first sample that plays.
    session
        Place of its first sample in the session.
    """

    capture: int
    at: int
    session: int
    samples: int


SOFT = 0.02
"""Peak, re full scale, below which a signal without loopback is a trial and not a capture."""

AT_OUTPUTS = ("swap", "dead", "invert", "level", "rub", "amp-off")
"""Faults between interface and drivers."""


def counts(y: NDArray[np.float32], rig: Description) -> NDArray[np.bool_]:
    """Samples ``(samples,)`` of what the outputs play ``(outputs, samples)`` that belong to a capture."""
    return np.asarray((np.abs(y).max(axis=0, initial=0.0) > SOFT) | (y[rig.interface.loopback.out - 1] != 0.0))


def window(fault: Fault, span: Span, fs: int) -> tuple[int, int] | None:
    """Indices into a block between which a state holds; ``None`` when it does not."""
    began, ended = _bounds(fault, span, fs)
    low, high = max(began, 0), min(ended, span.samples)
    return (low, high) if low < high else None


def onset(fault: Fault, span: Span, fs: int) -> int | None:
    """Index into a block at which an event begins, below 0 if it began before; ``None`` when it is not due."""
    began, _ = _bounds(fault, span, fs)
    return began if -FAR < began < span.samples else None


def _bounds(fault: Fault, span: Span, fs: int) -> tuple[int, int]:
    if fault.t is not None:
        began = round(fault.t * fs) - span.session
    elif fault.captures is None:
        began = -FAR
    elif not fault.holds(span.capture):
        return FAR, FAR
    elif fault.s is None and not fault.event:
        began = -FAR
    else:
        began = round((fault.s or 0.0) * fs) - span.at
    if fault.lasts is None:
        return began, FAR
    since = -span.session if began == -FAR and fault.captures is None else -span.at if began == -FAR else began
    return began, since + round(fault.lasts * fs)


class Schedule:
    """All faults of a rig.

    Parameters
    ----------
    rig
        Its ``[lab.faults]``, with what was added to it.
    """

    def __init__(self, rig: Description) -> None:
        self.rig, self.fs = rig, rig.fs
        self.faults = tuple(parse_fault(text) for text in rig.lab.faults.schedule)
        self._drivers = {d.name: d.channel - 1 for d in rig.driver}
        self._mics = {m.name: m.channel - 1 for m in rig.mic}
        self._floor = {m.name: _converter_share(rig, m) for m in rig.mic}
        self._fired: set[Fault | int] = set()
        self._rubs: dict[Fault, Rub] = {}
        self._wave = lru_cache(maxsize=64)(partial(Schedule._made, cast("Schedule", proxy(self))))

    @property
    def temperatures(self) -> tuple[float, ...]:
        """Temperature step of each fault, K."""
        return tuple(float(f.values["by"]) for f in self._of("temperature"))

    def outputs(self, y: NDArray[np.float32], span: Span) -> NDArray[np.float32]:
        """Amplifier outputs ``(output, samples)``."""
        due = list(self._due(span, *AT_OUTPUTS))
        if not due:
            return y
        out = y.copy()
        for fault, (a, b) in due:
            value = fault.values
            if fault.kind == "amp-off":
                out[list(self._drivers.values()), a:b] = 0.0
            elif fault.kind == "rub":
                rubs = self._rubs.setdefault(fault, Rub(from_db(value["db"]), from_db(value["over"]), self.fs))
                channel = self._drivers[value["driver"]]
                out[channel, a:b] = rubs.process(out[channel, a:b])
            elif value.get("drivers"):
                one, other = (self._drivers[n] for n in value["drivers"])
                out[[one, other], a:b] = out[[other, one], a:b]
            elif value.get("driver"):
                gain = {"dead": 0.0, "invert": -1.0}.get(fault.kind)
                out[self._drivers[value["driver"]], a:b] *= from_db(value["db"]) if gain is None else gain
        return out

    def sound(self, x: NDArray[np.float32], span: Span) -> NDArray[np.float32]:
        """Microphone signals ``(input, samples)`` with disturbing sounds."""
        for fault in self._of("slam", "speech"):
            start = onset(fault, span, self.fs)
            if start is None:
                continue
            wave = self._wave(fault, span.capture if fault.captures else 0)
            low, high = max(start, 0), min(start + wave.shape[1], span.samples)
            if low < high:
                x = x.copy()
                x[list(self._mics.values()), low:high] += wave[:, low - start : high - start]
        return x

    def cables(
        self, sound: NDArray[np.float32], noise: NDArray[np.float32], span: Span
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Sound and noise ``(input, samples)`` at the preamplifiers: dead, unplugged, reversed, swapped."""
        due = list(self._due(span, "dead", "unplug", "invert", "swap"))
        if not due:
            return sound, noise
        sound, noise = sound.copy(), noise.copy()
        for fault, (a, b) in due:
            value = fault.values
            if value.get("mics"):
                one, other = (self._mics[n] for n in value["mics"])
                for x in (sound, noise):
                    x[[one, other], a:b] = x[[other, one], a:b]
            elif value.get("mic"):
                channel = self._mics[value["mic"]]
                sound[channel, a:b] *= -1.0 if fault.kind == "invert" else 0.0
                noise[channel, a:b] *= self._floor[value["mic"]] if fault.kind == "unplug" else 1.0
        return sound, noise

    def preamplifiers(self, x: NDArray[np.float32], span: Span) -> NDArray[np.float32]:
        """Preamplifier outputs ``(input, samples)``: those with too much gain clip."""
        for fault, (a, b) in self._due(span, "preamp"):
            x = x.copy()
            channel = self._mics[fault.values["mic"]]
            x[channel, a:b] = np.clip(x[channel, a:b] * from_db(fault.values["gain"]), -1.0, 1.0)
        return x

    def jumps(self, span: Span) -> tuple[list[tuple[int, int]], int]:
        """Positions of lost (below 0: repeated) samples in a block, and the number flagged as xruns."""
        found, flagged = [], 0
        for fault in self._of("drop", "repeat"):
            start = onset(fault, span, self.fs)
            if start is not None and start >= 0:
                lost = int(fault.values["samples"])
                found.append((start, lost if fault.kind == "drop" else -lost))
                flagged += bool(fault.values["flag"])
        return sorted(found), flagged

    def kelvin(self, span: Span) -> float:
        """Temperature of the room re the rig file, K."""
        return float(sum(f.values["by"] for f, _ in self._due(span, "temperature")))

    def moment(self, kind: str, span: Span) -> int | None:
        """Index into a block at which an event of a kind begins, returned once; ``None`` if none does."""
        for fault in self._of(kind):
            start = onset(fault, span, self.fs)
            if start is not None and fault not in self._fired:
                self._fired.add(fault)
                return start
        return None

    def on_move(self, done: int, session: int) -> list[Fault]:
        """Faults of a stage's move after ``done`` captures and this many samples of the session.

        A fault applies to the move ahead of its capture; if none is ahead of it, the next one.
        """
        found = []
        for fault in self._of(*STAGE):
            if fault.t is not None:
                due = session >= fault.t * self.fs
            else:
                due = any(first <= done + 1 for first, _ in fault.captures or ())
            again = fault.holds(done + 1) and any(a != b for a, b in fault.captures or ())
            if due and (again or fault not in self._fired):
                self._fired.add(fault)
                found.append(fault)
        return found

    def _of(self, *kinds: str) -> Iterator[Fault]:
        return (f for f in self.faults if f.kind in kinds)

    def _due(self, span: Span, *kinds: str) -> Iterator[tuple[Fault, tuple[int, int]]]:
        for fault in self._of(*kinds):
            held = window(fault, span, self.fs)
            if held is not None:
                yield fault, held

    def _made(self, fault: Fault, capture: int) -> NDArray[np.float32]:
        return burst(fault, len(self._mics), self.fs, self.rig.lab.seed, fault.text, capture)


def _converter_share(rig: Description, mic: Any) -> float:
    """Converter noise re an input's total noise, amplitude ratio."""
    own = float(from_db(rig.lab.converter_noise_dbfs))
    gain = mic.per_pascal(rig.interface)
    return float(own / np.hypot(own, gain * pressure(rig.lab.mic_noise_db_spl)))
