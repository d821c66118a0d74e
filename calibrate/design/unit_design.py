"""design.toml -> Design: goals and limits of a unit's filters, checked whole; every key has a default."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from sweetspot.processor.filterset import USUAL_HZ
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import Table, parse_as, read_text
from sweetspot.rigs.units import Float, from_db

Level = Annotated[float, Field(ge=-200, le=200)]
Shape = tuple[tuple[Annotated[float, Field(ge=0, le=180)], Level], ...]
Curve = tuple[tuple[Annotated[float, Field(gt=0, le=1e6)], Level], ...]
Staging = Literal["programme", "sines"]


MORE_EFFORT_DB, TIGHTER, HIGHER_DB, HIGHER_HZ = 15.0, 0.42, 15.0, 1600.0
"""Effects of ``image.prefer = "width"``: added effort (dB), factor on ``tolerance_db``, added target (dB) above a
frequency (Hz)."""

LONGEST = 4096
"""Most taps of a filter."""

MOST_PLACES = 4000
"""Largest number of places in the map of the listening zone."""


class CrosstalkDesign(Table):
    """Null steering: ``target_db`` is cancellation over frequency as points (Hz, dB), straight lines over log f.

    ``effort_db`` limits array effort: the drivers' squared weights, summed according to ``cost``, re those of one
    driver alone at the same near-ear level. ``effort_re`` is that driver: the loudest one at that ear, or one of mean
    power (to compare units with different numbers of drivers). ``form`` is the constraint: the near-ear response of the
    nominal head with least effort ("distortionless"); the same with the reference driver unchanged as far as the target
    allows ("anchored", for short filters and ratios); or only the power ratio between the zones of the near and the far
    ear over all positions ("ratio", for units without a nominal position). ``cost`` is the measure of effort: drive of
    the drivers ("drivers"); radiated power in all directions ("radiated", from the polar set; 8 dB is a good limit in a
    room); or "auto": the measured late energy of the room, limited by ``image.prefer``, and drive where the room
    returns nothing.

    ``effort_db`` is one number, or points (Hz, dB). By default it falls with frequency: the ears are farther apart in
    wavelengths, and more effort than needed costs loudness. ``tolerance_db`` is the expected change of the unit after
    measurement; ``image.prefer = "width"`` changes both, see there.
    """

    form: Literal["distortionless", "anchored", "ratio"] = "distortionless"
    cost: Literal["auto", "drivers", "radiated"] = "auto"
    target_db: Curve = ((150.0, 0.0), (300.0, 20.0), (800.0, 20.0), (1600.0, 25.0), (12000.0, 25.0), (18000.0, 0.0))
    effort_db: Annotated[float, Field(ge=0, le=40)] | Curve = (
        (200.0, 12.0),
        (280.0, 15.0),
        (400.0, 15.0),
        (630.0, 13.5),
        (1000.0, 11.0),
        (2000.0, 6.0),
        (4000.0, 3.0),
    )
    effort_re: Literal["loudest", "mean"] = "mean"
    tolerance_db: float = Field(default=0.25, ge=0, le=6)

    @field_validator("target_db", "effort_db")
    @classmethod
    def _rising(cls, points: float | Curve) -> float | Curve:
        return points if isinstance(points, float) else _checked_curve(points)


class BeamDesign(Table):
    """The centre's beam: on-axis re off-axis power as points (Hz, dB), direction, nulls and main lobe.

    ``level_db`` is the centre's level: that of the phantom centre that it replaces, in each third octave, or in dB re
    the reference drivers' mean. ``nulls_deg`` are directions seen from the device. Instead of them, ``shape_db`` gives
    the target level over the angle from the beam's direction, as points (degrees, dB re on-axis) outside the lobe.
    ``form`` is the basis of the design: the measured ring; drivers encoded in spherical harmonics, which is better for
    a sparse or noisy ring; or "relative": from the ring, with the front drivers unchanged as far as the nulls allow,
    and every other driver fed through one short ratio to them (relative transfer functions).
    """

    target_db: Curve = ((150.0, 0.0), (350.0, 20.0), (1800.0, 20.0), (2800.0, 0.0))
    effort_db: float = Field(default=6.0, ge=-20, le=40)
    nulls_deg: tuple[float, ...] = (-90.0, 90.0)
    null_width_deg: float = Field(default=10.0, ge=0, le=60)
    lobe_deg: float = Field(default=45.0, gt=0, lt=90)
    level_db: Literal["phantom"] | Annotated[float, Field(ge=-20, le=20)] = "phantom"
    angle_deg: float = Field(default=0.0, ge=-180, le=180)
    shape_db: Shape | None = None
    form: Literal["ring", "harmonics", "relative"] = "ring"

    @field_validator("shape_db")
    @classmethod
    def _outwards(cls, points: Shape | None) -> Shape | None:
        if points is not None and (len(points) < 2 or any(b[0] <= a[0] for a, b in pairwise(points))):
            raise ValueError(f"needs at least two points [degrees, dB] with rising angles, has {points}")
        return points

    @field_validator("target_db")
    @classmethod
    def _rising(cls, points: Curve) -> Curve:
        return _checked_curve(points)


class StereoDesign(Table):
    """The virtual loudspeakers.

    ``head`` is the model for the response at their far ear: a rigid sphere of ``head_diameter_m``, or the dummy head
    (``ears.templates`` or ``ears.head`` of the rig file, in the virtual lab the lab's). ``sweetspot calibrate RUN
    --explain`` states the error of either at the head positions.
    """

    head: Literal["sphere", "measured"] = "sphere"

    angle_deg: float = Field(default=30.0, gt=0, le=90)
    distance_m: float = Field(default=2.0, gt=0.2, le=100)
    head_diameter_m: float = Field(default=0.175, gt=0.1, lt=0.3)
    ears_deg: float = Field(default=100.0, gt=60, lt=120)


class FilterDesign(Table):
    """Length and delay of the filters, their gain, and how the measurements are gated and the ears matched.

    The gate is ``gate_ms`` long, but ends before the first reflection (``gate_to = "reflection"``) unless it is
    ``"fixed"``; at high frequencies it is ``gate_cycles`` periods long. ``match_ears`` is described in
    :mod:`calibrate.plant.matched_ears`. Unless ``taps`` is given, filters at higher rates than 48 kHz have the length
    and delay in time that they have there, up to 4096 taps (:meth:`Design.at_rate`). ``staging`` is the signal that
    sets the filters' gain: ``"programme"`` behind the guard (:mod:`calibrate.filters.staging`), or full-scale
    ``"sines"`` without it.
    """

    taps: int = Field(default=1024, ge=64, le=LONGEST)
    delay: int = Field(default=160, ge=8, le=LONGEST)
    gate_ms: float = Field(default=6.0, ge=1, le=50)
    gate_cycles: float = Field(default=10.0, ge=3, le=100)
    gate_to: Literal["reflection", "fixed"] = "reflection"
    match_ears: Literal["auto", "on", "off"] = "auto"
    band_hz: tuple[Annotated[float, Field(ge=1, le=384_000)], Annotated[float, Field(ge=1, le=384_000)]] = (
        100.0,
        18000.0,
    )
    staging: Staging = "programme"

    @field_validator("band_hz")
    @classmethod
    def _upwards(cls, band: tuple[float, float]) -> tuple[float, float]:
        if not band[0] < band[1]:
            raise ValueError("is reversed: the lower edge comes first")
        return band


class ZoneDesign(Table):
    """Grid of the listening zone's map, m from the middle of the device: ahead, to its left, and the steps."""

    x_m: tuple[Annotated[float, Field(ge=0.3, le=20)], Annotated[float, Field(ge=0.3, le=20)]] = (1.0, 4.0)
    y_m: tuple[Annotated[float, Field(ge=-10, le=10)], Annotated[float, Field(ge=-10, le=10)]] = (-1.0, 1.0)
    step_m: tuple[Annotated[float, Field(ge=0.02, le=2)], Annotated[float, Field(ge=0.02, le=2)]] = (0.25, 0.1)

    @field_validator("x_m", "y_m")
    @classmethod
    def _opening(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not ends[0] < ends[1]:
            raise ValueError(f"needs two places [from, to] with the first below the second, has {list(ends)}")
        return ends

    @model_validator(mode="after")
    def _few_enough(self) -> ZoneDesign:
        places = [(high - low) / step + 1 for (low, high), step in zip((self.x_m, self.y_m), self.step_m, strict=True)]
        if places[0] * places[1] > MOST_PLACES:
            raise ValueError(f"has {places[0] * places[1]:.0f} places; at most {MOST_PLACES}: make step_m larger")
        return self


class ImageDesign(Table):
    """The trade-off of the sides in a live room: effort adds width and takes depth.

    ``prefer`` is a point on that Pareto front: "width", "balanced" or "depth", or a number from 0 (depth) to 1 (width);
    ``sweetspot calibrate RUN --pareto`` shows the front of a unit in its room. Beyond "balanced" it also trades
    loudness and tolerance for cancellation (:func:`towards_width`); in free field that is its only effect.
    """

    prefer: Literal["width", "balanced", "depth"] | Annotated[float, Field(ge=0, le=1)] = "balanced"

    @property
    def share(self) -> float:
        """The preference as a number from 0 (depth) to 1 (width)."""
        return (
            {"depth": 0.0, "balanced": 0.5, "width": 1.0}[self.prefer] if isinstance(self.prefer, str) else self.prefer
        )

    @property
    def beyond(self) -> float:
        """From 0 at "balanced" and below to 1 at "width"."""
        return max(2.0 * self.share - 1.0, 0.0)


class Design(Table):
    """The whole file."""

    image: ImageDesign = Field(default_factory=ImageDesign)
    crosstalk: CrosstalkDesign = Field(default_factory=CrosstalkDesign)
    beam: BeamDesign = Field(default_factory=BeamDesign)
    stereo: StereoDesign = Field(default_factory=StereoDesign)
    filter: FilterDesign = Field(default_factory=FilterDesign)
    zone: ZoneDesign = Field(default_factory=ZoneDesign)

    def at_rate(self, fs: int) -> Design:
        """The design of filters at ``fs`` Hz: as long in time as at 48 kHz, where no length was given.

        Shorter ones cancel less (a puck at 192 kHz: 17.2 dB with 1024 taps, 18.9 with 4096).
        """
        wish, times = self.filter, min(max(round(fs / USUAL_HZ), 1), LONGEST // self.filter.taps)
        if times == 1 or "taps" in wish.model_fields_set:
            return self
        delay = wish.delay if "delay" in wish.model_fields_set else times * wish.delay
        return self.model_copy(update={"filter": wish.model_copy(update={"taps": times * wish.taps, "delay": delay})})


def _checked_curve(points: Curve) -> Curve:
    """At least two points with rising frequencies."""
    f = [p[0] for p in points]
    if len(points) < 2 or any(b <= a for a, b in pairwise(f)):
        raise ValueError(f"needs at least two points [Hz, dB] with rising frequencies, has {f}")
    return points


def level_at(points: float | Curve, f: Float) -> Float:
    """A number or a curve in dB at frequencies ``f`` Hz: linear over log frequency, constant beyond the ends."""
    if not isinstance(points, tuple):
        return np.full(len(f), points)
    table = np.array(points)
    return np.asarray(np.interp(np.log(np.maximum(f, 1.0)), np.log(table[:, 0]), table[:, 1]))


def towards_width(design: Design) -> CrosstalkDesign:
    """Goals of the sides, with ``image.prefer`` included: beyond "balanced" more effort and less tolerance.

    ``prefer = "width"`` allows :data:`MORE_EFFORT_DB` more effort, assumes :data:`TIGHTER` times ``tolerance_db``, and
    raises the target by :data:`HIGHER_DB` above :data:`HIGHER_HZ`.
    """
    wish, beyond = design.crosstalk, design.image.beyond
    if beyond == 0.0:
        return wish
    more = MORE_EFFORT_DB * beyond
    effort = wish.effort_db
    effort = tuple((f, level + more) for f, level in effort) if isinstance(effort, tuple) else effort + more
    higher = HIGHER_DB * beyond
    target = tuple((f, level + (higher if f >= HIGHER_HZ and level > 0.0 else 0.0)) for f, level in wish.target_db)
    tolerance = wish.tolerance_db * TIGHTER**beyond
    return wish.model_copy(update={"effort_db": effort, "tolerance_db": tolerance, "target_db": target})


def target_power(points: Curve, f: Float) -> Float:
    """Power ratio of a curve at frequencies ``f`` Hz: linear in dB over log frequency, constant beyond the ends."""
    return np.asarray(from_db(level_at(points, f)) ** 2)


def read(path: Path | None) -> tuple[Design, str]:
    """A design file and its text; ``None`` gives the defaults.

    Raises
    ------
    BadInput
        The file is missing, no TOML, or holds faults: one line each.
    """
    if path is None:
        return Design(), ""
    text = read_text(path, "design file")
    return parse(text, str(path)), text


def parse(text: str, where: str) -> Design:
    """The design that a text describes; an empty one gives the defaults.

    Raises
    ------
    BadInput
        No TOML, or faults: one line each.
    """
    design = parse_as(Design, text, where)
    if design.filter.delay >= design.filter.taps:
        raise BadInput(
            f"{where}: filter.delay = {design.filter.delay} must be below filter.taps = {design.filter.taps}"
        )
    return design
