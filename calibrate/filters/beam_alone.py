"""Filters of a session without an ears set: the centre is the beam, left and right are plain stereo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.design import Design
from sweetspot.calibrate.filters import align, beam_of, held_outside, leastsquares, protection, staged_filters
from sweetspot.calibrate.filters.sides import Around, costs
from sweetspot.calibrate.plant import CONTRAST_BAND, NULLS, Gate, MeasuredSet, Plant, ahead, metrics
from sweetspot.calibrate.plant import prediction as predict
from sweetspot.measure.delays import group_delay_s
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import side_pairs, wrapped
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Complex, Float

NULL_RAD = float(np.radians(0.5))
"""Largest deviation of a measured direction that counts as ±90 degrees."""


@dataclass(frozen=True, slots=True, eq=False)
class BeamFit:
    """Filters from a polar set only, and the directivity of their centre.

    Parameters
    ----------
    filters
        Left and right: one driver each; centre: the beam.
    f
        Frequencies, Hz.
    polar
        Expected direct sound of the centre program ``(direction, frequency)``, Pa for a full-scale program.
    azimuths
        Of the directions, rad.
    pair
        Drivers that play left and right.
    gate
        Of the polar set.
    """

    filters: FilterSet
    f: Float
    polar: Complex
    azimuths: Float
    pair: tuple[int, int]
    gate: Gate

    @property
    def has_nulls(self) -> bool:
        """Whether a direction for the contrast was measured, at or near ±90 degrees."""
        return bool(metrics.at_nulls(self.azimuths, NULLS, NULL_RAD).any())

    def contrast_db(self) -> tuple[Float, Float]:
        """Third octaves of the contrast band that the gate resolves, Hz, and on axis over ±90 degrees in them, dB.

        No contrasts where no direction at ±90 degrees was measured.
        """
        low, high = CONTRAST_BAND
        inside = (0.99 * low <= THIRD_OCTAVES) & (1.01 * high >= THIRD_OCTAVES) & (self.gate.lowest <= THIRD_OCTAVES)
        if not self.has_nulls:
            return THIRD_OCTAVES[inside], np.zeros(0)
        return THIRD_OCTAVES[inside], metrics.contrast_db(self.polar, self.azimuths, self.f, NULLS, NULL_RAD)[inside]

    def directivity_db(self) -> Float:
        """Directivity index on the ring in the same third octaves, dB."""
        index = band_means(metrics.directivity_index_db(self.polar, self.azimuths), self.f)
        return np.asarray(index[np.isin(THIRD_OCTAVES, self.contrast_db()[0])])

    @property
    def text(self) -> str:
        """Lines for a reader."""
        bands, contrast = self.contrast_db()
        if not len(bands):
            figures = f"Centre beam: the gate resolves nothing below {CONTRAST_BAND[1]:g} Hz, so no contrast is stated"
        else:
            index = f"directivity index on the ring {float(self.directivity_db().mean()):.1f} dB"
            figures = f"Centre beam predicted, {bands[0]:g} to {bands[-1]:g} Hz: " + (
                f"on axis over ±90 degrees {contrast.min():.1f} dB at least, {contrast.mean():.1f} dB on average; "
                f"{index}"
                if len(contrast)
                else f"{index}; no direction at ±90 degrees was measured, so no contrast is stated"
            )
        left, right = (self.filters.drivers[i] for i in self.pair)
        played = f"plain stereo on {left!r} and {right!r}" if left != right else f"both played by {left!r}"
        sides = (
            f"No ears set: left and right are {played}; no cancellation is designed or judged. For the sides: "
            "sweetspot measure ears"
        )
        return "\n".join([figures, sides, f"Polar: {self.gate.text}"])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        bands, contrast = self.contrast_db()
        return {
            "ears": None,
            "sides": "plain stereo",
            "pair": [self.filters.drivers[i] for i in self.pair],
            "beam": {
                "f_hz": bands.tolist(),
                "contrast_db": contrast.tolist(),
                "directivity_index_db": self.directivity_db().tolist(),
            },
            "headroom_db": self.filters.headroom_db,
            "delay_samples": self.filters.delay_samples,
            "taps": self.filters.length,
            "gate": {"polar": self.gate.plain()},
        }

    def kept(self) -> dict[str, Any]:
        """Data stored in ``filterset.h5`` beside the filters."""
        return {
            "f": self.f,
            "polar": self.polar.astype(np.complex64),
            "azimuths": self.azimuths,
            "reference": np.array(self.pair),
            "without": "ears",
            "gate": self.gate.plain(),
        }

    @classmethod
    def of(cls, filters: FilterSet, kept: Mapping[str, Any]) -> BeamFit:
        """From a file: the filters, and the data of :meth:`kept`."""
        left, right = (int(i) for i in kept["reference"])
        return cls(filters, kept["f"], kept["polar"], kept["azimuths"], (left, right), Gate.of(kept["gate"]))


def fit_beam(around: MeasuredSet, rig: Description, design: Design, *, serial: str, source: str) -> BeamFit:
    """Fit the centre's beam of one unit; left and right are plain stereo, brought to the listener with the centre.

    Raises
    ------
    BadInput
        Too few directions for a beam, or a driver is silent in one.
    """
    polar = around.ir
    if not ahead.has_directions(polar):
        raise BadInput(
            f"the polar set has {len(polar.positions)} directions and there is no ears set: a beam needs at least "
            f"{ahead.FEWEST}; measure the ears, or a whole ring"
        )
    around = around.gated(design.filter)
    ring = around.plant()
    f = ring.f
    own, _ = costs(rig, ring, design.crosstalk, Around.of(ring, polar))
    slopes = protection.slopes(rig, f, design.filter.taps)
    led = protection.protected(ring, slopes)
    at = np.array([d.at for d in rig.driver])
    pair = _loudest_pair(at, ring)
    beam = beam_of(led, polar, protection.costed(own, slopes), design, pair, rig)
    W = np.stack([_one(pair[0], f, len(at)), _one(pair[1], f, len(at)), beam.w])
    W = np.stack([held_outside(w, f, *design.filter.band_hz) for w in W]) * slopes.T
    delays = _delays(ring, polar, W, pair)
    W = W * np.exp(-2j * np.pi * f[None, :, None] * delays[:, None, None] / polar.fs)
    even = np.tile(np.eye(len(at), dtype=complex), (len(f), 1, 1))
    each = [
        leastsquares.beam(w, a, f, design.filter, slopes) for w, a in zip(W, (even, even, beam.weighing), strict=True)
    ]
    late = int(delays.max())
    filters = staged_filters(np.stack(each), polar, rig, design, late=late, serial=serial, source=source)
    heard = predict.programs(polar, filters, around.gate)[:, 0, 2]
    return BeamFit(filters, f, heard, np.radians(polar.positions["azimuth_deg"]), pair, around.chosen_gate)


def _loudest_pair(at: Float, ring: Plant) -> tuple[int, int]:
    """The mirror pair that is loudest around the unit, the driver on the listener's left first."""
    pairs = side_pairs(at)
    if not pairs:
        return 0, 0
    level = np.mean(np.abs(ring.h[:, 0]) ** 2, axis=(0, 2))
    return max(pairs, key=lambda p: float(level[p[0]] + level[p[1]]))


def _one(driver: int, f: Float, drivers: int) -> Complex:
    """Weights ``(frequency, driver)`` of one driver by itself."""
    w = np.zeros((len(f), drivers), dtype=complex)
    w[:, driver] = 1.0
    return w


def _delays(ring: Plant, polar: ImpulseResponse, W: Complex, pair: tuple[int, int]) -> NDArray[np.intp]:
    """Samples by which each program is delayed so that all reach a listener ahead together."""
    row = int(np.argmin(np.abs(wrapped(np.radians(polar.positions["azimuth_deg"])))))
    heard = np.einsum("df,cfd->cf", ring.h[row, 0], W)
    sides = 0.5 * (group_delay_s(heard[0], ring.f) + group_delay_s(heard[1], ring.f))
    return align.later_by(np.array([sides, sides, group_delay_s(heard[2], ring.f)]), polar.fs)
