"""Predicted responses at the ears: measured responses times filters, at design and at held-out positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sweetspot.calibrate.plant import gate as gates
from sweetspot.calibrate.plant.gate import Gate
from sweetspot.calibrate.plant.metrics import near_and_far, sides_alone
from sweetspot.calibrate.plant.spectrum import frequencies, grid, transform
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.smooth import THIRD_OCTAVES, band_edges, band_means
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.arrays import frozen, median
from sweetspot.rigs.units import Complex, Float, power_db

PLAYED_DB = 18.0
"""Third octaves this far below those that play, at the bottom of a unit's band, are not played: protection filters and
the drivers' own slopes leave so little there that neither the gate nor noise lets it be judged."""


def check_shapes(record: Any, **wanted: tuple[int, ...]) -> None:
    """Refuse a record whose arrays do not have these shapes.

    Raises
    ------
    ValueError
        Names the first one that has not.
    """
    for name, shape in wanted.items():
        if (found := np.shape(getattr(record, name))) != shape:
            raise ValueError(f"{name} has shape {found}; {shape} is needed beside the others")


@dataclass(frozen=True, slots=True, eq=False)
class RoomPrediction:
    """The same programs with the room, from whole responses, and the gates that separated the direct sound.

    Parameters
    ----------
    gate, polar_gate
        Of the ears and of the polar set.
    score
        ``(position, ear, program, frequency)`` at the scoring positions.
    polar
        ``(direction, frequency)`` of the centre program.
    early, polar_early
        Parts of them until ``end``, see :func:`windowed`.
    end, polar_end
        End of the gate at each scoring position and in each direction, s.
    polar_noise, polar_power
        Variance of ``polar`` from the measurement's noise, and ``sum |w_d h_d|^2``, both behind the gate
        ``(direction, frequency)``.
    ear_gains
        By what left and right ear were multiplied so that they agree ``(2,)``.
    """

    gate: Gate
    polar_gate: Gate
    score: Complex
    polar: Complex
    early: Complex
    polar_early: Complex
    end: Float
    polar_end: Float
    polar_noise: Float
    polar_power: Float
    ear_gains: Float

    def __post_init__(self) -> None:
        for name, ndim in (("score", 4), ("polar", 2), ("early", 4), ("polar_early", 2)):
            object.__setattr__(self, name, frozen(name, getattr(self, name), ndim=ndim, dtype=np.complex128))
        for name, ndim in (("end", 1), ("polar_end", 1), ("polar_noise", 2), ("polar_power", 2), ("ear_gains", 1)):
            object.__setattr__(self, name, frozen(name, getattr(self, name), ndim=ndim, dtype=None))
        ears, polar = self.score.shape, self.polar.shape
        check_shapes(self, early=ears, end=ears[:1], ear_gains=(2,))
        check_shapes(self, polar_early=polar, polar_end=polar[:1], polar_noise=polar, polar_power=polar)

    def to_dict(self) -> dict[str, Any]:
        """For a file, in single precision."""
        out = {n: getattr(self, n).astype(np.complex64) for n in ("score", "polar", "early", "polar_early")}
        out |= {n: np.asarray(getattr(self, n)) for n in ("end", "polar_end", "ear_gains")}
        out |= {n: getattr(self, n).astype(np.float32) for n in ("polar_noise", "polar_power")}
        return out | {"gate": self.gate.to_dict(), "polar_gate": self.polar_gate.to_dict()}

    @classmethod
    def of_dict(cls, kept: Mapping[str, Any]) -> RoomPrediction:
        """From a file."""
        return cls(**{**kept, **{name: Gate.of(kept[name]) for name in ("gate", "polar_gate")}})


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Expected direct sound of the programs, Pa for a full-scale program, gated.

    Parameters
    ----------
    f
        Frequencies, Hz.
    score, design
        At the scoring and at the design positions: ``(position, ear, program, frequency)``.
    polar
        ``(direction, frequency)`` of the centre program; no rows without a polar set.
    azimuths
        Of the directions, rad.
    far_ear
        Virtual far ear over near ear ``(frequency,)``.
    target_db
        Wanted cancellation ``(frequency,)``, dB.
    whole
        The same with the room.
    """

    f: Float
    score: Complex
    design: Complex
    polar: Complex
    azimuths: Float
    far_ear: Complex
    target_db: Float
    whole: RoomPrediction

    def __post_init__(self) -> None:
        for name, ndim in (("score", 4), ("design", 4), ("polar", 2), ("far_ear", 1)):
            object.__setattr__(self, name, frozen(name, getattr(self, name), ndim=ndim, dtype=np.complex128))
        for name in ("f", "azimuths", "target_db"):
            object.__setattr__(self, name, frozen(name, getattr(self, name), ndim=1))
        bins, ears = self.far_ear.shape, (2, self.score.shape[2])
        check_shapes(self, f=bins, target_db=bins, azimuths=self.polar.shape[:1])
        check_shapes(self, score=(len(self.score), *ears, *bins), design=(len(self.design), *ears, *bins))
        check_shapes(self, polar=(len(self.polar), *bins))
        check_shapes(self.whole, score=self.score.shape, polar=self.polar.shape)

    def to_dict(self) -> dict[str, Any]:
        """For a file, in single precision."""
        spectra = {name: getattr(self, name).astype(np.complex64) for name in ("score", "design", "polar")}
        numbers = {name: getattr(self, name) for name in ("f", "azimuths", "far_ear", "target_db")}
        return spectra | numbers | {"whole": self.whole.to_dict()}

    @classmethod
    def of_dict(cls, kept: Mapping[str, Any]) -> Prediction:
        """From a file, which may have more."""
        names = ("f", "score", "design", "polar", "azimuths", "far_ear", "target_db")
        return cls(**{name: kept[name] for name in names}, whole=RoomPrediction.of_dict(kept["whole"]))

    @property
    def lowest(self) -> float:
        """Lowest frequency that the ears' gate resolves and that the unit plays, Hz: direct sound is judged above."""
        return max(self.resolved, self.played)

    @property
    def resolved(self) -> float:
        """Lowest frequency that the ears' gate resolves, Hz."""
        return self.whole.gate.lowest

    @property
    def polar_lowest(self) -> float:
        """:attr:`lowest` of the polar set."""
        return max(self.whole.polar_gate.lowest, self.played)

    @property
    def played(self) -> float:
        """Lower edge of the lowest third octave in which left and right play, Hz; 0 if that is the lowest of all."""
        near, _ = near_and_far(self.score)
        level = power_db(np.maximum(band_means(np.mean(np.abs(near) ** 2, axis=(0, 1)), self.f), 1e-300))
        usual = median(level[level > level.max() - PLAYED_DB])
        first = int(np.argmax(level > usual - PLAYED_DB))
        return float(band_edges(THIRD_OCTAVES)[0][first]) if first else 0.0


def bare(filters: FilterSet, f: Float, far: Complex) -> Complex:
    """Responses ``(side, driver, frequency)`` of the cancellation alone, without the virtual stereo's far ear.

    Parameters
    ----------
    far
        The far ear over the near one ``(frequency,)``: the filters are ``w_L + v w_R`` and ``w_R + v w_L``.
    """
    left, right = filters.response(f)[:2]
    return np.asarray(sides_alone(left, right, far, axis=0))


def spectra(ir: ImpulseResponse) -> tuple[Complex, Float]:
    """Whole measured responses ``(position, mic, driver, frequency)``, not gated, and their frequencies, Hz."""
    return transform(ir.h, grid(ir.fs), ir.zero), frequencies(ir.fs)


ALL = slice(None)


def programs(ir: ImpulseResponse, filters: FilterSet, gate: Gate | None = None, *, some: slice = ALL) -> Complex:
    """Expected response of every program ``(position, mic, program, frequency)`` from a measured set.

    Parameters
    ----------
    gate
        Of the measured responses; the filters follow it whole. ``None`` takes whole responses.
    """
    h = spectra(ir)[0] if gate is None else gates.spectra(ir, gate)
    return np.asarray(np.einsum("pmdf,cdf->pmcf", h, response(filters, ir.fs)[some]))


@lru_cache(maxsize=1)
def response(filters: FilterSet, fs: int) -> Complex:
    """Responses ``(program, driver, frequency)`` of filters on a set's grid; those of the last filters are kept."""
    return frozen("response", filters.response(frequencies(fs)), ndim=3, dtype=np.complex128)


def last_arrivals(ir: ImpulseResponse) -> Float:
    """Last arrival of any driver at each position ``(position,)``, s after the sound left the interface."""
    return np.asarray(gates.arrivals(ir)[1].max(axis=1))


def until(last: Float, gate: Gate, filters: FilterSet) -> Float:
    """End of the window on responses through filters ``(position,)``, s: the gate after the last arrival."""
    return np.asarray(last + gate.seconds + filters.delay_samples / filters.fs)


def windowed(ir: ImpulseResponse, filters: FilterSet, end: Float, *, some: slice = ALL) -> Complex:
    """Expected response of ``some`` programs from whole responses, but only until ``end (position,)``, s.

    ``(position, mic, program, frequency)``. Time is not folded on the way: the room's tail stays out of it.
    """
    taps = min(gates.last_tap(ir.zero, ir.fs, end), ir.h.shape[-1])
    n = 1 << (taps + filters.length - 1).bit_length()
    H, W = np.fft.rfft(ir.h[..., :taps], n, axis=-1), np.fft.rfft(filters.taps[some], n, axis=-1)
    played = np.fft.irfft(np.einsum("pmdf,cdf->pmcf", H, W), n, axis=-1)[..., :taps]
    return transform(gates.until(played, ir.zero, ir.fs, end), grid(ir.fs), ir.zero)


def direct(heard: ImpulseResponse, sound: Complex, early: Complex, end: Float) -> Complex:
    """The direct sound through filters ``(position, mic, stimulus, frequency)``.

    Filters spread every arrival over their own length, so that a short window would cut the direct sound and keep some
    of the room. Therefore only the difference between measured and predicted whole responses is windowed, and added to
    the predicted direct sound: ``g sound + window (heard - g whole)``. A unit that meets its prediction has exactly the
    predicted direct sound; of any other, the change is gated. ``g`` is the real gain of each microphone that leaves the
    least difference: without it, a level 1 dB low kept a tenth of the room's sound, and ratios between ears and between
    directions were those of that sound.

    Parameters
    ----------
    heard
        One "driver" a stimulus.
    sound
        Predicted behind the gate ``(position, mic, stimulus, frequency)``.
    early
        Predicted with the room until ``end``, see :func:`windowed`.
    end
        ``(position,)``, s, see :func:`until`.
    """
    kept = transform(gates.until(heard.h, heard.zero, heard.fs, end), grid(heard.fs), heard.zero)
    axes = (0, 2, 3)
    power = np.sum(np.abs(early) ** 2, axis=axes, keepdims=True)
    gain = np.sum((kept * np.conj(early)).real, axis=axes, keepdims=True) / np.maximum(power, 1e-300)
    return np.asarray(gain * (sound - early) + kept)


def expected(predicted: Complex, filters: FilterSet) -> Complex:
    """Responses to the stimuli from responses of the programs, along axis -2: left, right, centre to left, right, both.

    A hard-panned side stays on its program; what both sides share goes to the centre by the upmix's amount.
    """
    left, right, centre = (predicted[..., i, :] for i in range(3))
    share = share_of(filters)
    return np.stack([left, right, share * centre + (1.0 - share) * (left + right)], axis=-2)


def share_of(filters: FilterSet) -> float:
    """Share of the common signal that the upmix gives to the centre."""
    return filters.upmix.amount if filters.upmix.method != "off" else 0.0
