"""One calibration of one microphone: measurement, checks, comparison with the history, result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sweetspot.measure import microphone
from sweetspot.measure.correction import load
from sweetspot.measure.preflight import calibrator
from sweetspot.measure.preflight.calibrator import CHANGE_DB, SECONDS, SKIP_S, Reading
from sweetspot.measure.preflight.files import KEY, last
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.protocol import Interface
from sweetspot.rigs.rig_file import Description, Mic
from sweetspot.rigs.units import Float, db

RIG_DB = 3.0
"""Difference of a first calibration from the rig file above which it is noted, dB."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Result of a calibration.

    Parameters
    ----------
    level_db_spl, frequency_hz
        Of the calibrator, nominal.
    reasons
        Why it is refused; empty if it is accepted.
    change_db
        Against the last accepted one; ``None`` for the first.
    """

    mic: Mic
    level_db_spl: float
    frequency_hz: float
    reading: Reading
    mv_per_pa: float
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    change_db: float | None

    @property
    def accepted(self) -> bool:
        """Whether it counts."""
        return not self.reasons

    def entry(self, rig: Description, when: str) -> dict[str, Any]:
        """One line of the history."""
        return {
            "when": when,
            "rig": rig.name,
            "mic": self.mic.name,
            "channel": self.mic.channel,
            KEY: self.mv_per_pa,
            "accepted": self.accepted,
            "reasons": list(self.reasons),
            "level_db_spl": self.level_db_spl,
            "frequency_hz": self.frequency_hz,
            "measured_hz": self.reading.frequency_hz,
            "level_dbfs": float(db(self.reading.rms)),
            "drift_db": self.reading.drift_db,
            "distortion_percent": self.reading.distortion_percent,
            "snr_db": self.reading.snr_db,
            "change_db": self.change_db,
            "full_scale_v": rig.interface.full_scale_v,
            "fs": rig.fs,
        }

    def text(self) -> str:
        """The same for a reader."""
        r = self.reading
        heard = (
            f"{self.mic.name}, input {self.mic.channel}: {r.frequency_hz:.2f} Hz at {float(db(r.rms)):.2f} dBFS rms, "
            f"level drift {r.drift_db:.3f} dB, {r.distortion_percent:.2f} % distortion, {r.snr_db:.0f} dB SNR"
        )
        if not self.accepted:
            return "\n".join([heard, *(f"REFUSED: {reason}" for reason in self.reasons)])
        before = "" if self.change_db is None else f" ({self.change_db:+.2f} dB against the last one)"
        line = f"{KEY} = {self.mv_per_pa:.4g}"
        return "\n".join(
            [heard, *(f"note: {n}" for n in self.notes), f"{self.mv_per_pa:.4g} mV/Pa{before}", f"    {line}"]
        )


def chosen(rig: Description, name: str) -> Mic:
    """A microphone by its name.

    Raises
    ------
    BadInput
        There is none of that name; lists them.
    """
    for mic in rig.mic:
        if mic.name == name:
            return mic
    raise BadInput(f"--mic: rig {rig.name!r} has no microphone {name!r}; it has: {', '.join(m.name for m in rig.mic)}")


def deviates(rig: Description, mic: Mic, f: ArrayLike) -> tuple[Float, microphone.Correction | None]:
    """A microphone's own magnitude at frequencies (Hz) by its correction file (1 without one), and the file.

    Raises
    ------
    BadInput
        The file cannot be read.
    """
    if mic.calibration is None:
        return np.ones_like(np.asarray(f, dtype=float)), None
    correction = load(rig.path(mic.calibration))
    return microphone.magnitude(correction.points, np.asarray(f, dtype=float)), correction


def calibrate(
    rig: Description,
    interface: Interface,
    mic: Mic,
    history: Sequence[Mapping[str, Any]],
    *,
    level_db_spl: float,
    frequency_hz: float,
    hpa: float | None = None,
    accept: bool = False,
) -> Calibration:
    """Record a calibrator on ``mic`` for some seconds, without playback.

    Parameters
    ----------
    rig, interface
        The rig and its open interface.
    mic
        On which the calibrator sits.
    history
        Earlier calibrations, oldest first.
    level_db_spl, frequency_hz
        Nominal, of the calibrator.
    hpa
        Static pressure, for a pistonphone.
    accept
        Whether a change from earlier calibrations is accepted.
    """
    silence = np.zeros((interface.outputs, round((SKIP_S + SECONDS) * rig.fs)), dtype=np.float32)
    x = interface.capture(silence).x
    reading = calibrator.read(x[mic.channel - 1], rig.fs, frequency_hz)
    own, correction = deviates(rig, mic, frequency_hz)
    value = calibrator.sensitivity(reading, level_db_spl, rig.interface.full_scale_v, float(own), hpa)
    reasons = calibrator.refused(reading, frequency_hz)
    reasons += _elsewhere(rig, mic, x, reading) if reasons else []
    before = last(list(map(dict, history)), mic.name)
    change = calibrator.changed_db(value, before[KEY]) if before else None
    notes = _against_rig(rig, mic, value, correction) if before is None else []
    if change is not None and before is not None and abs(change) > CHANGE_DB[0]:
        jump = f"{change:+.2f} dB against {before[KEY]:.4g} mV/Pa of {before.get('when', 'before')}"
        if abs(change) > CHANGE_DB[1] and not accept:
            reasons.append(
                f"{jump} (limit {CHANGE_DB[1]:g} dB): has the preamplifier's gain been changed, or is --level wrong? "
                f"Use --accept if the change is intended"
            )
        else:
            notes.append(jump)
    return Calibration(
        mic,
        level_db_spl,
        frequency_hz=frequency_hz,
        reading=reading,
        mv_per_pa=value,
        reasons=tuple(reasons),
        notes=tuple(notes),
        change_db=change,
    )


def _elsewhere(rig: Description, mic: Mic, x: NDArray[np.float32], here: Reading) -> list[str]:
    """Whether another microphone has the tone instead."""
    for other in rig.mic:
        if other.name != mic.name:
            there = calibrator.read(x[other.channel - 1], rig.fs, here.frequency_hz)
            if there.snr_db > calibrator.SNR_DB and there.rms > 3.0 * here.rms:
                return [
                    f"{other.name} (input {other.channel}) has a tone of {there.frequency_hz:.0f} Hz: is the "
                    f"calibrator on that one?"
                ]
    return []


def _against_rig(rig: Description, mic: Mic, value: float, correction: microphone.Correction | None) -> list[str]:
    """Notes of a first calibration: differences from the rig file and from the maker's figure."""
    notes = []
    off = calibrator.changed_db(value, mic.sensitivity_mv_per_pa)
    if abs(off) > RIG_DB:
        notes.append(f"{off:+.1f} dB against {KEY} = {mic.sensitivity_mv_per_pa:g} of the rig file")
    if correction is not None and correction.sensitivity is not None:
        full = rig.interface.full_scale_v
        maker = calibrator.changed_db(value, correction.sensitivity.with_converter(full))
        notes.append(f"{maker:+.1f} dB re the maker's file ({correction.sensitivity.text(full)})")
    return notes
