"""The excursion limit ``excursion_mm``: if the rig file does not give it, it is measured at a low level."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sweetspot.measure.judge.loudness import SOFT_DB, STANDS_OUT_DB, Sound, pascals, uncalibrated
from sweetspot.rigs.acoustics import Excursion, fft
from sweetspot.rigs.errors import BadInput, TooLoud
from sweetspot.rigs.protection import protections
from sweetspot.rigs.protocol import Rig
from sweetspot.rigs.rig_file import EARS, Description, Mic
from sweetspot.rigs.units import Float, db, from_db

OCTAVES = 1.0
"""Octaves above the lower band edge over which a driver's level is read, where its excursion is largest."""

HALF_OCTAVES = 2
"""Parts of an octave in each of which it is read; the loudest counts."""


@dataclass(slots=True)
class ExcursionCheck:
    """Lets stimuli of single drivers through that move no cone too far.

    What a driver moves follows from the pressure that it makes at a known distance (:class:`Excursion`); reflections
    and noise only make that more. Drivers with data-sheet values are limited at the interface's door instead.

    Parameters
    ----------
    drivers
        Which of the rig's drivers are looked at, from 0.
    """

    rig: Rig
    mics: tuple[Mic, ...]
    drivers: tuple[int, ...]
    _known: dict[int, Excursion] = field(default_factory=dict)

    @classmethod
    def of(cls, rig: Rig, mics: tuple[Mic, ...]) -> ExcursionCheck:
        """For captures with some microphones.

        Raises
        ------
        BadInput
            A driver's ``excursion_mm`` cannot be enforced: data-sheet values and calibrated microphones are both
            missing.
        """
        described = rig.description
        open_ones = tuple(
            i
            for i, (d, p) in enumerate(zip(described.driver, protections(described), strict=True))
            if d.excursion_m is not None and p.excursion is None
        )
        if open_ones and (missing := uncalibrated(described, mics)):
            names = ", ".join(repr(described.driver[i].name) for i in open_ones)
            raise BadInput(
                f"excursion_mm of {names} cannot be enforced: give sensitivity_db_spl (data sheet, 2.83 V at 1 m) and "
                f"v_per_fs of each; or calibrate the microphones, to measure it (missing: "
                f"{', '.join(missing)}). Or remove excursion_mm from the rig file"
            )
        return cls(rig, mics, open_ones)

    def permit(self, sound: Sound) -> None:
        """Measure the excursion of each driver of a sound at a low level, unless known; refuse an excess.

        Raises
        ------
        TooLoud
            A driver would move farther than it may, or noise hides how far.
        """
        described = self.rig.description
        for number in self.drivers:
            driver = described.driver[number]
            x = sound.signal[driver.channel - 1]
            if not np.any(x):
                continue
            if number not in self._known:
                alone = np.zeros_like(sound.signal)
                alone[driver.channel - 1] = x
                self._known[number] = self._learned(number, alone)
            moves = self._known[number]
            if (moved := moves.peak(x, described.fs)) > moves.limit:
                raise TooLoud(
                    f"{sound.name}: {driver.name!r} would move by {1e3 * moved:.2f} mm, and its excursion_mm = "
                    f"{1e3 * moves.limit:g}: lower its level_dbfs or sweep.level_dbfs by "
                    f"{float(db(moved / moves.limit)):.1f} dB"
                )

    def _learned(self, number: int, signal: NDArray[np.float32]) -> Excursion:
        """Excursion of a driver, from the lowest-level trial above the noise."""
        driver = self.rig.description.driver[number]
        limit, area = driver.excursion_m or (np.inf, 1.0)
        x, low = signal[driver.channel - 1], driver.band_hz[0]
        quiet = self._bands(np.zeros_like(signal), low)
        for down in SOFT_DB:
            soft = signal * np.float32(from_db(down))
            heard, played = self._bands(soft, low), _energies(soft[driver.channel - 1], self.rig.description.fs, low)
            level = np.sqrt(np.max(heard / np.maximum(played, 1e-30))) * float(np.max(self._distances()))
            moves = Excursion.of_level(limit, area, low, float(level))
            clear = np.max(heard / np.maximum(quiet, 1e-30)) > float(from_db(STANDS_OUT_DB)) ** 2
            moved = moves.peak(x, self.rig.description.fs)
            if moved <= limit or clear or moved * from_db(down + 10.0) > limit:
                break
        if moved > limit and not clear:
            raise TooLoud(
                f"noise masks the excursion of {driver.name!r} (excursion_mm = {1e3 * limit:g}): wait until it is "
                f"quiet, "
                "or give sensitivity_db_spl and v_per_fs of the driver"
            )
        return moves

    def _bands(self, y: NDArray[np.float32], low: float) -> Float:
        """Energies ``(mic, band)`` of a recorded signal, Pa^2."""
        described = self.rig.description
        quiet = y.copy()
        quiet[described.interface.loopback.out - 1] = 0.0
        x = self.rig.interface.capture(quiet).x[[m.channel - 1 for m in self.mics]]
        return _energies(x * pascals(described, self.mics)[:, None], described.fs, low)

    def _distances(self) -> Float:
        """From the device to each microphone, m."""
        return np.array([_distance(self.rig.description, m) for m in self.mics])


def _distance(rig: Description, mic: Mic) -> float:
    if mic.at is not None:
        return float(np.linalg.norm(mic.at))
    if mic.name in EARS:
        return rig.listening_m
    return rig.polar.distance_m if rig.polar else 2.0


def _energies(x: NDArray[np.floating], fs: int, low: float) -> Float:
    """Energies ``(..., band)`` of signals in the parts of the lowest octave of a band."""
    size = int(fft.next_fast_len(x.shape[-1], real=True))
    power = np.abs(fft.rfft(np.asarray(x, dtype=np.float64), size, axis=-1)) ** 2
    edges = low * 2.0 ** (np.arange(round(OCTAVES * HALF_OCTAVES) + 1) / HALF_OCTAVES)
    bins = np.clip(np.round(edges * size / fs).astype(int), 1, power.shape[-1] - 1)
    return np.stack([power[..., a : max(b, a + 1)].sum(axis=-1) for a, b in pairwise(bins.tolist())], axis=-1)
