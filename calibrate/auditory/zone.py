"""The listening zone: places in front of the device with correct image azimuths, and the map's error.

Every place is that of a head which faces the device. An image's error is its azimuth, seen from there re the direction
of the device, minus the wanted one: the reference's angle on its side for a hard-panned source, 0 for the centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Float

SIDE_DEG, CENTRE_DEG = 7.0, 5.0
"""Errors taken as none: hard-panned sources and the centre (Satongar 2016)."""

SOURCES = ("left", "right", "centre")

LARGEST_DEG = 6.0
"""Largest expected error of a place that is trusted, degrees."""

POLAR_LEFT_DB = -10.0
"""Largest error of directions of the polar set predicted by their neighbours, dB re the response."""


@dataclass(frozen=True, slots=True, eq=False)
class OwnError:
    """Error of the map at left-out measured positions.

    Parameters
    ----------
    left_out_deg
        Root mean square over positions, sides and centre, each carried from the other positions, degrees.
    model_deg
        The same without any measured position: the polar set and the head alone, degrees.
    cancellation_db
        Root mean square of the cancellation's error with the position left out, dB.
    polar_db
        Error of directions of the polar set predicted by their neighbours, median over drivers, dB re the response; of
        maps before it was kept None.
    """

    left_out_deg: float
    model_deg: float
    cancellation_db: float
    polar_db: float | None = None

    @property
    def polar_holds(self) -> bool:
        """Whether the polar set is dense and clean enough to extrapolate from."""
        return self.polar_db is None or self.polar_db <= POLAR_LEFT_DB


@dataclass(frozen=True, slots=True, eq=False)
class ZoneMap:
    """The map.

    Parameters
    ----------
    x, y
        Places, m from the middle of the device: ahead ``(x,)``, to its left ``(y,)``.
    wanted_deg
        Azimuth at which a hard-panned source should stand, degrees.
    azimuth_deg
        Images of every arm ``(x, y, source)``, sources left, right, centre, re the device; positive to the listener's
        left.
    drr_db
        Direct over reverberant sound of every arm ``(x, y, source)``, dB.
    cancellation_db
        Of the calibrated unit's direct sound, mean over sides and third octaves from 800 Hz to 6.3 kHz ``(x, y)``, dB.
    uncertainty_deg
        Expected error of the map itself ``(x, y)``, one standard deviation, degrees.
    margin_db
        Direct sound of the weaker side and of the centre over the early reflections that may join it there
        ``(x, y, 2)``, dB; with little of it the room decides where the image stands.
    trusted, trusted_centre
        Whether the map is to be trusted for the sides and for the centre ``(x, y)``.
    own
        Error of the map at measured positions.
    """

    x: Float
    y: Float
    wanted_deg: float
    azimuth_deg: dict[str, Float]
    drr_db: dict[str, Float]
    cancellation_db: Float
    uncertainty_deg: Float
    margin_db: Float
    trusted: NDArray[np.bool_]
    trusted_centre: NDArray[np.bool_]
    own: OwnError

    def __post_init__(self) -> None:
        for name, ndim in (("x", 1), ("y", 1), ("cancellation_db", 2), ("uncertainty_deg", 2), ("margin_db", 3)):
            object.__setattr__(self, name, frozen(name, getattr(self, name), ndim=ndim))

    def error_deg(self, arm: str) -> Float:
        """Azimuth minus the wanted one ``(x, y, source)``, degrees."""
        return np.asarray(self.azimuth_deg[arm] - np.array([self.wanted_deg, -self.wanted_deg, 0.0]))

    def good(self, arm: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Trusted places ``(x, y)`` with the sides within 7 degrees and the centre within 5."""
        error = np.abs(self.error_deg(arm))
        return (error[..., :2].max(axis=-1) <= SIDE_DEG) & self.trusted, (
            error[..., 2] <= CENTRE_DEG
        ) & self.trusted_centre

    def area_m2(self, where: NDArray[np.bool_]) -> float:
        """Area of places ``(x, y)``, m2; those at the edges of the map stand for half a cell."""
        return float(np.sum(where * np.outer(_widths(self.x), _widths(self.y))))

    @property
    def areas(self) -> dict[str, dict[str, float]]:
        """Good area of every arm for sides and centre, m2."""
        return {
            arm: {name: self.area_m2(where) for name, where in zip(("sides", "centre"), self.good(arm), strict=True)}
            for arm in self.azimuth_deg
        }

    def to_dict(self) -> dict[str, Any]:
        """For JSON; every map is ``[x][y]``."""
        return {
            "area_m2": {arm: {k: round(v, 3) for k, v in each.items()} for arm, each in self.areas.items()},
            "trusted_area_m2": {
                "sides": round(self.area_m2(self.trusted), 3),
                "centre": round(self.area_m2(self.trusted_centre), 3),
            },
            "x": np.round(self.x, 4).tolist(),
            "y": np.round(self.y, 4).tolist(),
            "wanted_deg": self.wanted_deg,
            "error_deg": {arm: _by_source(self.error_deg(arm), 2) for arm in self.azimuth_deg},
            "drr_db": {arm: _by_source(drr, 1) for arm, drr in self.drr_db.items()},
            "cancellation_db": np.round(self.cancellation_db, 2).tolist(),
            "uncertainty_deg": np.round(self.uncertainty_deg, 2).tolist(),
            "margin_db": {n: np.round(self.margin_db[..., i], 1).tolist() for i, n in enumerate(("sides", "centre"))},
            "trusted": self.trusted.tolist(),
            "trusted_centre": self.trusted_centre.tolist(),
            "own_error": {
                "left_out_deg": round(self.own.left_out_deg, 3),
                "model_deg": round(self.own.model_deg, 3),
                "cancellation_db": round(self.own.cancellation_db, 3),
                "polar_db": None if self.own.polar_db is None else round(self.own.polar_db, 1),
            },
        }

    @classmethod
    def of_dict(cls, kept: dict[str, Any]) -> ZoneMap:
        """A map from :meth:`to_dict`."""
        wanted = float(kept["wanted_deg"])
        offset = np.array([wanted, -wanted, 0.0])
        margin = [np.array(kept["margin_db"][n]) for n in ("sides", "centre")]
        return cls(
            x=np.array(kept["x"]),
            y=np.array(kept["y"]),
            wanted_deg=wanted,
            azimuth_deg={arm: _stacked(e) + offset for arm, e in kept["error_deg"].items()},
            drr_db={arm: _stacked(e) for arm, e in kept["drr_db"].items()},
            cancellation_db=np.array(kept["cancellation_db"]),
            uncertainty_deg=np.array(kept["uncertainty_deg"]),
            margin_db=np.stack(margin, axis=-1),
            trusted=np.array(kept["trusted"], dtype=bool),
            trusted_centre=np.array(kept["trusted_centre"], dtype=bool),
            own=OwnError(**kept["own_error"]),
        )

    @property
    def doubt(self) -> str:
        """Why no place is trusted for the sides, and what to do; empty if some are."""
        if self.trusted.any():
            return ""
        if not self.own.polar_holds:
            return (
                f"directions of the polar set, predicted by their neighbours, are off by {self.own.polar_db:.1f} dB re "
                f"the response (at most {POLAR_LEFT_DB:g} dB): measure it with a smaller polar.step_deg, or with less "
                "noise"
            )
        if self.uncertainty_deg.min() > LARGEST_DEG:
            return (
                f"its expected error is {self.uncertainty_deg.min():.1f} degrees or more (at most {LARGEST_DEG:g}): "
                "measure more head positions"
            )
        return "early reflections may outweigh the direct sound everywhere: measure with the reflecting surfaces damped"

    @property
    def text(self) -> str:
        """A few lines for people."""
        whole = self.area_m2(np.ones(self.trusted.shape, dtype=bool))
        sides, centre = (self.area_m2(where) for where in (self.trusted, self.trusted_centre))
        each = ", ".join(
            f"{arm} {_known(a['sides'], sides)} / {_known(a['centre'], centre)}" for arm, a in self.areas.items()
        )
        return (
            f"Listening zone, {self.x[0]:g} to {self.x[-1]:g} m by {self.y[0]:+g} to {self.y[-1]:+g} m ({whole:.1f} "
            f"m2; trusted for the sides {sides:.1f} m2, for the centre {centre:.1f} m2)\n"
            f"  area with the sides within {SIDE_DEG:g} / the centre within {CENTRE_DEG:g} degrees, m2: {each}\n"
            f"  error of the map at positions left out of it: {self.own.left_out_deg:.1f} degrees, "
            f"{self.own.cancellation_db:.1f} dB of cancellation (polar set and head alone: "
            f"{self.own.model_deg:.1f} degrees)" + (f"\n  not trusted: {self.doubt}" if self.doubt else "")
        )


def _known(area: float, trusted: float) -> str:
    """A good area as text: unknown if no place is trusted."""
    return f"{area:.2f}" if trusted > 0.0 else "unknown"


def _widths(at: Float) -> Float:
    """Length that each of even or uneven places stands for, m."""
    if len(at) < 2:
        return np.ones(len(at))
    middles = 0.5 * (at[1:] + at[:-1])
    return np.diff(np.concatenate([at[:1], middles, at[-1:]]))


def _by_source(values: Float, places: int) -> dict[str, list[list[float]]]:
    return {s: np.round(values[..., i], places).tolist() for i, s in enumerate(SOURCES)}


def _stacked(kept: dict[str, list[list[float]]]) -> Float:
    return np.stack([np.array(kept[s]) for s in SOURCES], axis=-1)
