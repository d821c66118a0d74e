"""Change between two captures of one source: level, polarity, and closure of a session."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from sweetspot.measure.shot import Reason
from sweetspot.rigs.units import Float, power_db

LEVEL_DB = 10.0
"""A neighbour's level in a driver's lowest two octaves may differ by so much more than distance explains."""

OPPOSITE = 0.75
"""Correlation, with its sign turned, from which on two responses are each other's opposite."""

LAG_S = 0.003
NEAR_RAD, NEAR_M = 0.36, 0.35
"""Positions are compared if they lie no farther apart."""

MOVED_DB, MOVED_SAMPLES = 0.5, 1.0


@dataclass(frozen=True, slots=True)
class Closure:
    """The reference position at the end of a set against the same at its beginning.

    Parameters
    ----------
    mic
        The microphone that closes worst.
    error_db
        Energy of the difference over that of the first response, within the band.
    level_db
        Level at the end over that at the beginning.
    shift_samples
        How much later it arrived at the end.
    """

    mic: str
    error_db: float
    level_db: float
    shift_samples: float

    @property
    def moved(self) -> bool:
        """Whether something moved, or a level drifted, while the set was measured."""
        return abs(self.level_db) > MOVED_DB or abs(self.shift_samples) > MOVED_SAMPLES

    def text(self) -> str:
        """One line for a person."""
        line = (
            f"closure {self.error_db:.0f} dB at the reference position (level {self.level_db:+z.2f} dB, "
            f"{self.shift_samples:+z.2f} samples, {self.mic})"
        )
        return f"{line}: something moved or drifted during the set" if self.moved else line

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "moved": self.moved}


def closure(first: Float, again: Float, fs: int, band: tuple[float, float], mics: tuple[str, ...]) -> Closure:
    """Compare responses ``(mic, tap)`` of one source at one position, measured first and last."""
    f = np.fft.rfftfreq(first.shape[-1], 1.0 / fs)
    inside = (f >= band[0]) & (f <= band[1])
    a, b = (np.fft.rfft(h, axis=-1)[..., inside] for h in (first, again))
    energy = np.sum(np.abs(a) ** 2, axis=-1)
    error = np.sum(np.abs(b - a) ** 2, axis=-1) / energy
    worst = int(np.argmax(error))
    cross = b[worst] * np.conj(a[worst])
    omega = 2.0 * np.pi * f[inside] / fs
    weight = np.abs(cross)
    shift = -float(np.sum(weight * omega * np.angle(cross)) / np.sum(weight * omega**2))
    level = float(power_db(np.sum(np.abs(b[worst]) ** 2) / energy[worst]))
    return Closure(mics[worst], float(power_db(max(float(error[worst]), 1e-30))), level, shift)


def changed(
    now: Float, before: Float, fs: int, lowest: float, expected_db: float, names: tuple[str, ...]
) -> Reason | None:
    """Whether a level or a polarity is another than at a position nearby, in a driver's lowest two octaves.

    Parameters
    ----------
    now, before
        Responses ``(mic, tap)`` of one source at the two positions.
    fs
        Sampling rate, Hz.
    lowest
        Lower edge of what the source radiates, Hz.
    expected_db
        Change of level that the distances explain.
    """
    size = 2 * now.shape[-1]
    f = np.fft.rfftfreq(size, 1.0 / fs)
    inside = (f >= 1.2 * lowest) & (f <= 4.8 * lowest)
    for one, other, name in zip(now, before, names, strict=True):
        a, b = (np.where(inside, np.fft.rfft(h, size), 0.0) for h in (one, other))
        energy = float(np.sum(np.abs(a) ** 2)), float(np.sum(np.abs(b) ** 2))
        if min(energy) <= 0.0:
            continue
        step = float(power_db(energy[0] / energy[1])) - expected_db
        if abs(step) > LEVEL_DB:
            moved = f"changed by {step:+.0f} dB since the last position (limit {LEVEL_DB:.0f} dB)"
            return Reason("change", f"the level of {name} {moved}")
        reach = int(LAG_S * fs)
        # the transform of a real signal counts each bin but the first and last twice
        curve = np.fft.irfft(a * np.conj(b), size) * size / 2.0 / np.sqrt(energy[0] * energy[1])
        near = np.concatenate([curve[: reach + 1], curve[-reach:]])
        if near.min() < -OPPOSITE and -near.min() > 1.1 * near.max():
            moved = f"the opposite of that at the last position (correlation {near.min():.2f})"
            return Reason("change", f"the polarity of {name} is {moved}")
    return None
