"""The SPL limit ``limits.loudest_db_spl``: stimuli are first played at a low level, and every capture is checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.errors import BadInput, TooLoud
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file import EARS, Description, Mic
from sweetspot.rigs.units import P_REF, Float, db, from_db, power_db

SOFT_DB = (-40.0, -30.0, -20.0, -10.0)
"""Levels of the trials re the plan, dB: the first one above the noise decides."""

FAST_S = 0.125
"""Levels are root mean squares over this time (F, IEC 61672-1)."""

OVER_DB = 0.5
"""A capture that is so much louder than the limit stops the session."""

SPARE_DB = 0.5
"""Added to the advice by how much to lower a level, since other drivers and positions may be a little louder, dB."""

STANDS_OUT_DB = 6.0
MARGIN_DB = 3.0
MOST_DB = 12.0
"""A change of the place may raise a level by the first for each step of turn or way, and by the second at most."""
STEP_RAD, STEP_M = float(np.radians(10.0)), 0.1


def uncalibrated(rig: Description, mics: tuple[Mic, ...]) -> list[str]:
    """Keys that are missing for levels in pascals: sensitivities of microphones, and the inputs' voltage."""
    missing = [f"sensitivity_mv_per_pa of {m.name!r}" for m in mics if not m.is_calibrated]
    return missing + ([] if rig.interface.inputs_are_calibrated else ["interface.full_scale_v"])


def levels_unknown(rig: Description, mics: tuple[Mic, ...]) -> str:
    """Note if levels in pascal are unknown, in one line; else empty.

    Raises
    ------
    BadInput
        See :func:`limit`: a limit that the rig file asks for is refused at once, not after a note that none holds.
    """
    missing = uncalibrated(rig, mics)
    if not missing or limit(rig, mics) is not None:
        return ""
    return (
        f"levels in dB SPL are unknown and no SPL limit is enforced: missing {', '.join(missing)} "
        "(sweetspot rig calibrate RIG --mic NAME --write)"
    )


def limit(rig: Description, mics: tuple[Mic, ...]) -> float | None:
    """The level that holds for captures with these microphones, dB SPL; ``None`` where levels are not known.

    Raises
    ------
    BadInput
        The rig file sets a limit, and microphones are not calibrated.
    """
    missing = uncalibrated(rig, mics)
    if not missing:
        return rig.limits.loudest_db_spl
    if "loudest_db_spl" in rig.limits.model_fields_set:
        raise BadInput(
            f"limits.loudest_db_spl = {rig.limits.loudest_db_spl:g} cannot be enforced: missing {', '.join(missing)}. "
            f"Measure sensitivities with: sweetspot rig calibrate RIG --mic NAME --write; full_scale_v is the peak "
            "voltage of a full-scale sample at the inputs. Or remove the limit from the rig file"
        )
    return None


def pascals(rig: Description, mics: tuple[Mic, ...]) -> Float:
    """Pressure of a full-scale sample at each microphone ``(mic,)``, Pa."""
    return np.array([1.0 / m.per_pascal(rig.interface) for m in mics])


def fast_levels(x: NDArray[np.floating], fs: int) -> Float:
    """Mean squares ``(mic, time)`` of recordings ``(mic, samples)`` over :data:`FAST_S`, in eighths of it."""
    step = max(round(FAST_S * fs / 8.0), 1)
    count = x.shape[-1] // step
    squares = np.square(x, dtype=np.float64)
    if count < 8:
        return np.asarray(squares.sum(axis=-1, keepdims=True) / (8 * step))
    eighths = squares[:, : count * step].reshape(len(x), count, step).sum(axis=-1)  # a quarter of a long sum's time
    return np.asarray(sum(eighths[:, i : count - 7 + i] for i in range(8)) / (8 * step))


def loudest_db(x: NDArray[np.floating], pa: Float, fs: int) -> tuple[float, int]:
    """Highest level (dB SPL) in recordings ``(mic, samples)``, and at which microphone."""
    peaks = power_db(fast_levels(x, fs).max(axis=-1)) + db(pa / P_REF)
    return float(np.max(peaks)), int(np.argmax(peaks))


def swept_power(power: Float, f: Float, rate: float) -> float:
    """Highest mean square over :data:`FAST_S` of an exponential sweep behind a response, re that of the sweep.

    Parameters
    ----------
    power
        Squared magnitude of the response ``(frequency,)``.
    f
        Its frequencies, ascending, Hz.
    rate
        Seconds in which the sweep's frequency grows by the factor e.
    """
    at = rate * np.log(f)
    energy = np.concatenate([[0.0], np.cumsum(0.5 * (power[1:] + power[:-1]) * np.diff(at))])
    begins = at - 0.5 * FAST_S
    return float(np.max(np.interp(begins + FAST_S, at, energy) - np.interp(begins, at, energy)) / FAST_S)


CANAL = (
    ". At the ears of a dummy head with ear canals the level from 2 to 4 kHz is up to 20 dB above that in the room: "
    "the limit applies at the microphone, so such a head needs a lower sweep level or a limit for its ear drums"
)
"""Note on levels at ears with canals."""

CANAL_DB = 6.0
"""An excess that an ear without a canal seldom has, dB."""


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Signal of a capture.

    Parameters
    ----------
    source, name
        Its number in the plan (``None``: all drivers), and its name.
    signal
        ``(outputs, samples)``, the loopback included.
    """

    source: int | None
    name: str
    signal: NDArray[np.float32]
    pose: Pose


@dataclass(slots=True)
class LoudnessCheck:
    """Lets stimuli through that stay within the limit.

    Parameters
    ----------
    limit_db
        dB SPL; ``None`` lets everything through.
    """

    rig: Rig
    mics: tuple[Mic, ...]
    limit_db: float | None
    _known: dict[int | None, tuple[float, Pose]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, rig: Rig, mics: tuple[Mic, ...], levels: Mapping[int | None, float] | None = None, pose: Pose | None = None
    ) -> LoudnessCheck:
        """For captures of some microphones; see :func:`limit` for its error.

        Parameters
        ----------
        levels
            dB SPL that sources are known to reach at ``pose``, by their numbers: these are not tried softly first.
        """
        known = {source: (level, pose or Pose()) for source, level in (levels or {}).items()}
        return cls(rig, mics, limit(rig.description, mics), known)

    def permit(self, sound: Sound) -> None:
        """Try a stimulus softly, unless it is known to stay within the limit here.

        Raises
        ------
        TooLoud
            At its planned level it would pass the limit.
        """
        if self.limit_db is None:
            return
        if sound.source in self._known:
            level, there = self._known[sound.source]
            if level + _may_rise(sound.pose, there) <= self.limit_db:
                return
        self._known[sound.source] = (self._predicted(sound, played=False), sound.pose)

    def judge(self, sound: Sound, x: NDArray[np.floating]) -> None:
        """Look at a capture ``x (input, samples)``; one over the limit is tried softly, and stops the session if so.

        Raises
        ------
        TooLoud
            The stimulus is too loud, not a noise from outside.
        """
        if self.limit_db is None:
            return
        x = x[[m.channel - 1 for m in self.mics]]
        level, _ = loudest_db(x, pascals(self.rig.description, self.mics), self.rig.description.fs)
        self._known.pop(sound.source, None)
        if level <= self.limit_db + OVER_DB:
            self._known[sound.source] = (level, sound.pose)
        else:
            self._known[sound.source] = (self._predicted(sound, played=True), sound.pose)

    def _predicted(self, sound: Sound, *, played: bool) -> float:
        """Level (dB SPL) of a stimulus at its planned level, from the lowest-level trial above the noise."""
        assert self.limit_db is not None
        again = False
        soft = list(SOFT_DB)
        while soft:
            down = soft[0]
            level, noise, mic = self._tried(sound.signal, down)
            if level - down <= self.limit_db:
                return level - down
            if level > noise + STANDS_OUT_DB:
                if again:
                    over = level - down - self.limit_db
                    raise TooLoud(
                        f"{sound.name} would reach {level - down:.1f} dB SPL at {self.mics[mic].name} "
                        f"(limits.loudest_db_spl = {self.limit_db:g}; tried {-down:g} dB lower)",
                        over,
                        played=played,
                        remedy=f"Lower by {math.ceil(over + SPARE_DB):g} dB: sweep.level_dbfs, the driver's "
                        "level_dbfs, or the amplifier; or raise the limit"
                        + (CANAL if self.mics[mic].name in EARS and over > CANAL_DB else ""),
                    )
                again = True  # a noise from outside does not come twice
                continue
            soft.pop(0)
            if level + 10.0 > self.limit_db:
                break
        raise TooLoud(
            f"{sound.name}: {level:.0f} dB SPL of noise at {self.mics[mic].name} mask its level, and the limit is "
            f"{self.limit_db:g} dB SPL (limits.loudest_db_spl). Wait until it is quiet, or raise it",
            played=played,
        )

    def _tried(self, signal: NDArray[np.float32], down_db: float) -> tuple[float, float, int]:
        """Level and noise (dB SPL) of a stimulus at a low level, without the loopback; and the loudest microphone."""
        rig = self.rig.description
        y = signal * np.float32(from_db(down_db))
        y[rig.interface.loopback.out - 1] = 0.0
        x = self.rig.interface.capture(y).x[[m.channel - 1 for m in self.mics]]
        pa = pascals(rig, self.mics)
        level, mic = loudest_db(x, pa, rig.fs)
        quiet = np.quantile(fast_levels(x[mic : mic + 1], rig.fs), 0.1)
        return level, float(power_db(quiet) + db(pa[mic] / P_REF)), mic


def _may_rise(here: Pose, there: Pose) -> float:
    """Largest rise of level from one position to another, dB."""
    turned = abs(here.turn - there.turn) + abs(here.yaw - there.yaw) + abs(here.elevation - there.elevation)
    moved = float(np.hypot(here.x - there.x, here.y - there.y))
    return min(MARGIN_DB * (turned / STEP_RAD + moved / STEP_M), MOST_DB)
