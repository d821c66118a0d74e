"""The listener's assessment of a unit: metrics of all playback conditions side by side, predicted or measured."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from sweetspot.calibrate.auditory import arms as ways
from sweetspot.calibrate.auditory.arms import Arm
from sweetspot.calibrate.auditory.figures import DIRECT_S, EarModel, ImageFigures, figures_of, grid_of
from sweetspot.calibrate.auditory.levels import Loudness, UnitLevels, levels_of, loudness_of, response_at
from sweetspot.calibrate.auditory.reference import ANGLE_DEG, Pair, modelled, seen
from sweetspot.calibrate.auditory.templates import Templates, of_head
from sweetspot.calibrate.plant import gate, grid, head_of, transform
from sweetspot.calibrate.plant.places import Heads
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.layout import azimuth, seat, turned
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import Float, speed_of_sound

Source = Literal["rig", "model"]

DEEP_DB = 6.0
"""Loss of direct-to-reverberant ratio at the sides that is put into words."""


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """Figures of the four arms at the same ears.

    Parameters
    ----------
    arms
        Figures by the arm's name.
    reference_from
        Whether the pair was measured (``"rig"``) or computed from head and room (``"model"``).
    loudness
        Levels of all arms and of the unit.
    head
        Which head's templates were used.
    """

    arms: dict[str, ImageFigures]
    reference_from: Source
    loudness: Loudness
    head: str

    def to_dict(self) -> dict[str, Any]:
        """``image`` and ``loudness`` for JSON."""
        image = {"arms": {name: a.to_dict() for name, a in self.arms.items()}, "reference_from": self.reference_from}
        return {"image": image | {"head": self.head}, "loudness": self.loudness.to_dict()}

    def kept(self) -> str:
        """All of it as text for a file, every digit; see :meth:`of`."""
        return json.dumps(asdict(self), default=np.ndarray.tolist)

    @classmethod
    def of(cls, text: str) -> Assessment:
        """An assessment from :meth:`kept`."""
        kept = json.loads(text)
        arms = {name: ImageFigures(**{k: v for k, v in arm.items() if v != []}) for name, arm in kept["arms"].items()}
        return cls(arms, kept["reference_from"], Loudness(**kept["loudness"]), kept["head"])

    @property
    def text(self) -> str:
        """A table for people."""
        pair = "measured on the rig" if self.reference_from == "rig" else f"computed, head: {self.head}"
        title = f"Image (hard left / half / centre / half / hard right; DRR left / centre / right); pair {pair}"
        lines = [title, *(f"  {a.text}" for a in self.arms.values()), f"  {self.loudness.text}"]
        return "\n".join([*lines, f"  {self.depth_lost}"] if self.depth_lost else lines)

    @property
    def depth_lost(self) -> str:
        """Warning if the sides lose more than :data:`DEEP_DB` of direct-to-reverberant ratio."""
        each = self.arms["calibrated"].drr_loss_db(self.arms["plain"])
        lost = max(each["left"], each["right"])
        if lost <= DEEP_DB:
            return ""
        return (
            f"the sides reach the ears with {lost:.1f} dB less direct-to-reverberant ratio than plain stereo and sound "
            'farther away: image.prefer = "depth" in the design trades width for it; --pareto shows the choice'
        )


def templates_of(rig: Description) -> Templates:
    """Templates of the head that a rig measures with, for sources at the distance of its listener.

    ``ears.head`` of the rig file names it; without that it is the lab's head.
    """
    c, distance = speed_of_sound(rig.environment.temperature_c), rig.listening_m
    head, name = head_of(rig)
    return of_head(head, grid_of(rig.fs), distance, c, name)


def measured_templates(turned: ImpulseResponse, source: Float) -> Templates:
    """Templates from a head that was turned against one loudspeaker: the first 5 ms of every response.

    Parameters
    ----------
    turned
        Responses of one source at each yaw of the head, at the given positions.
    source
        Place of the loudspeaker ``(2,)``, m from the middle of the device.
    """
    heads = Heads.of(turned)
    azimuth = seen(source[None], heads.places, heads.yaw)[0][:, 0]
    end = gate.arrivals(turned)[0].min(axis=1) + DIRECT_S
    kept = gate.until(turned.h[:, :2, 0], turned.zero, turned.fs, end)
    f = grid_of(turned.fs)
    spectra = transform(kept, grid(turned.fs), turned.zero)[..., ::2][..., : len(f)]
    order = np.argsort(azimuth)
    return Templates(azimuth[order], spectra[order], f, "measured templates")


def pair_of(rig: Description) -> Pair:
    """Position of the reference pair: from ``[reference]``, else at +-30 degrees and the device's distance.

    It stands in front of the listener's seat; a real pair does not turn with the device, and is not moved.
    """
    distance, named = rig.listening_m, rig.reference
    heads = [p for p in rig.ears.positions if p.use != "anchor"] if rig.ears else []
    turns = np.radians([p.turn_deg for p in heads])
    if named is None:
        beside = azimuth(np.array([[distance + p.x, p.y] for p in heads]).reshape(-1, 2))
        return Pair(float(np.radians(ANGLE_DEG)), distance, distance, seat(beside - turns))
    return Pair(float(np.radians(named.angle_deg)), named.distance_m or distance, distance, seat(-turns))


@dataclass(frozen=True, slots=True, eq=False)
class Arms:
    """Figures of all arms without the levels of the unit, which another core may compute meanwhile.

    Parameters
    ----------
    figures
        By the arm's name, without loudness.
    reference_db
        Loudness of each programme on the reference pair, dB re 20 uPa.
    reference_from, head
        See :class:`Assessment`.
    """

    figures: dict[str, ImageFigures]
    reference_db: dict[str, dict[str, float]]
    reference_from: Source
    head: str

    def whole(self, unit: UnitLevels) -> Assessment:
        """The assessment."""
        levels = unit.beside(self.reference_db)
        found = {name: replace(f, loudness_db=levels.re_plain_db[name]) for name, f in self.figures.items()}
        return Assessment(found, self.reference_from, levels, self.head)


def predicted(
    rig: Description,
    ears: ImpulseResponse,
    filters: FilterSet,
    pair: ImpulseResponse | None,
    model: EarModel,
    *,
    facing: float = 1.0,
) -> Arms:
    """Figures of all arms from a session's driver-to-ear responses and the filters.

    Parameters
    ----------
    ears
        At the positions that are looked at, usually those for scoring.
    pair
        Responses of a real pair of loudspeakers at the same positions, left and right in the place of drivers.
    facing
        See :func:`others_of`.
    """
    others, unit = others_of(rig, ears, filters, pair, model, facing=facing), ways.calibrated(ears, filters)
    position, reference = nominal(Heads.of(ears)), others[-1]
    loud = loudness_of((reference,), position, response_at(reference, position).shape[-1])
    return Arms(_figures(rig, model, others, unit, ears), loud, _source(pair), model.templates.name)


def levels(rig: Description, ears: ImpulseResponse, filters: FilterSet) -> UnitLevels:
    """Levels of the arms on the unit as :func:`predicted`."""
    plain, matrix = ways.on_unit(ears, rig, filters)
    found = levels_of((plain, matrix, ways.calibrated(ears, filters)), filters, nominal(Heads.of(ears)))
    return found if ears.unit == "Pa/FS" else replace(found, max_spl_db=None)


def of_verification(
    rig: Description,
    ears: ImpulseResponse,
    filters: FilterSet,
    *,
    pair: ImpulseResponse | None,
    model: EarModel,
    verified: ImpulseResponse,
    share: float,
    facing: float = 1.0,
) -> Assessment:
    """The same, with the calibrated unit as measured in a verification.

    Parameters
    ----------
    verified
        Responses to the stimuli left, right and both at the same positions.
    share
        Part of what both sides have in common that the centre program plays.
    """
    others = others_of(rig, ears, filters, pair, model, facing=facing)
    unit = ways.measured_arm(verified, ears, filters, share)
    loud = levels_of((*others, unit), filters, nominal(Heads.of(ears)))
    return Arms(_figures(rig, model, others, unit, ears), {}, _source(pair), model.templates.name).whole(loud)


def others_of(
    rig: Description,
    ears: ImpulseResponse,
    filters: FilterSet,
    pair: ImpulseResponse | None,
    model: EarModel,
    *,
    facing: float = 1.0,
) -> tuple[Arm, Arm, Arm]:
    """The other arms: plain stereo and matrix mixing on the unit, and the reference pair.

    Parameters
    ----------
    facing
        How much louder the unit's own drivers would be if they faced the listener, for a pair that is computed.
    """
    plain, matrix = ways.on_unit(ears, rig, filters)
    if pair is not None:
        return plain, matrix, ways.measured_pair(pair, filters.ceiling)
    heads, c = Heads.of(ears), speed_of_sound(rig.environment.temperature_c)
    where = heads.places, heads.yaw
    return plain, matrix, modelled(pair_of(rig), model.templates, where, c, plain, facing=facing)


def _figures(
    rig: Description, model: EarModel, others: tuple[Arm, Arm, Arm], unit: Arm, ears: ImpulseResponse
) -> dict[str, ImageFigures]:
    """Figures of the other arms and the unit."""
    distance, facing = rig.ears.distance_m if rig.ears else 2.0, Heads.of(ears).facing
    plain, matrix, reference = others
    return {a.name: figures_of(a, model, facing, distance, reference) for a in (plain, matrix, unit, reference)}


def _source(pair: ImpulseResponse | None) -> Source:
    return "model" if pair is None else "rig"


def nominal(heads: Heads) -> int:
    """The position nearest to straight ahead of the device, or of its seat, and unturned; by a quantile, as the
    median's module loads in 20 ms."""
    away, across = turned(np.pad(heads.places, ((0, 0), (0, 1))), -seat(azimuth(heads.places)))[:, :2].T
    aside: Float = np.abs(across) * 10.0 + np.abs(heads.yaw - seat(heads.yaw))
    return int(np.argmin(aside + np.abs(away - np.quantile(away, 0.5)) * 10.0))
