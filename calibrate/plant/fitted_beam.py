"""A unit's filters from its polar set alone: a beam in the centre, plain stereo at the sides, and their figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweetspot.calibrate.plant import metrics
from sweetspot.calibrate.plant.gate import Gate
from sweetspot.calibrate.plant.metrics import CONTRAST_BAND, NULLS
from sweetspot.calibrate.plant.prediction import check_shapes
from sweetspot.measure.smooth import THIRD_OCTAVES, band_means, third_octaves
from sweetspot.processor.filterset import FilterSet
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

    def __post_init__(self) -> None:
        check_shapes(self, polar=(*self.azimuths.shape, *self.f.shape))

    @property
    def has_nulls(self) -> bool:
        """Whether a direction for the contrast was measured, at or near ±90 degrees."""
        return bool(metrics.at_nulls(self.azimuths, NULLS, NULL_RAD).any())

    def contrast_db(self) -> tuple[Float, Float]:
        """Third octaves of the contrast band that the gate resolves, Hz, and on axis over ±90 degrees in them, dB.

        No contrasts where no direction at ±90 degrees was measured.
        """
        inside = third_octaves(*CONTRAST_BAND) & (self.gate.lowest <= THIRD_OCTAVES)
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
            "held_db": self.filters.held_db,
            "held_by": list(self.filters.held_by),
            "delay_samples": self.filters.delay_samples,
            "taps": self.filters.length,
            "gate": {"polar": self.gate.to_dict()},
        }

    def kept(self) -> dict[str, Any]:
        """Data stored in ``filterset.h5`` beside the filters."""
        return {
            "f": self.f,
            "polar": self.polar.astype(np.complex64),
            "azimuths": self.azimuths,
            "reference": np.array(self.pair),
            "without": "ears",
            "gate": self.gate.to_dict(),
        }

    @classmethod
    def of(cls, filters: FilterSet, kept: Mapping[str, Any], pair: tuple[int, int]) -> BeamFit:
        """From a file: the filters, the data of :meth:`kept`, and the pair among them."""
        return cls(filters, kept["f"], kept["polar"], kept["azimuths"], pair, Gate.of(kept["gate"]))
