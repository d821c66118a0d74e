"""Held-out metrics of a measured unit: designs compared on its scoring positions, and cross-validation over
positions."""

from __future__ import annotations

import numpy as np

from sweetspot.calibrate.auditory import matrix_taps
from sweetspot.calibrate.design import Design
from sweetspot.calibrate.filters import room, virtualize
from sweetspot.calibrate.filters.sides import Around, costs, sharing
from sweetspot.calibrate.plant import gate, gated, nearest_ahead
from sweetspot.calibrate.study import compare
from sweetspot.calibrate.study.compare import DesignRow, TestPlaces
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.layout import side_pairs
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import speed_of_sound

FOLDS = 6
"""Number of folds of the positions; fewer positions are left out one by one."""


def comparison(
    ears: ImpulseResponse, rig: Description, design: Design, polar: ImpulseResponse | None = None
) -> tuple[DesignRow, ...]:
    """Our design and the classical ones, fitted on the design positions and scored on the others.

    Raises
    ------
    BadInput
        No position is used for scoring, or none for design.
    """
    fitted, kept = ears.used_for("design"), ears.used_for("score")
    if not len(fitted.positions) or not len(kept.positions):
        raise BadInput(
            f"{len(fitted.positions)} design and {len(kept.positions)} scoring positions: designs are compared on "
            'held-out positions; give some entries of ears.positions use = "score"'
        )
    return split(fitted, kept, rig, design, polar, at_their_effort=True)


def cross_validated(
    ears: ImpulseResponse, rig: Description, design: Design, polar: ImpulseResponse | None = None
) -> tuple[DesignRow, ...]:
    """The same by cross-validation over all positions: the mean over the folds.

    The nominal position stays in every design, since its near-ear response is what is kept.

    Raises
    ------
    BadInput
        Fewer than three positions.
    """
    count = len(ears.positions)
    if count < 3:
        raise BadInput(f"{count} positions were measured: cross-validation needs at least 3")
    nominal = nearest_ahead(ears)
    others = np.array([i for i in range(count) if i != nominal])
    found = []
    for k in range(min(FOLDS, len(others))):
        out = others[k :: min(FOLDS, len(others))]
        rest = np.array([i for i in range(count) if i not in out])
        found.append(split(ears.at(rest), ears.at(out), rig, design, polar))
    return tuple(compare.averaged(same) for same in zip(*found, strict=True))


def split(
    fitted: ImpulseResponse,
    kept: ImpulseResponse,
    rig: Description,
    design: Design,
    polar: ImpulseResponse | None = None,
    *,
    at_their_effort: bool = False,
) -> tuple[DesignRow, ...]:
    """Fit on some positions, score the direct sound on others; ``polar`` is looked at where its power is the cost.

    ``at_their_effort`` sets ours beside each classical design with a higher mean once more, with that one's effort.
    """
    how = gate.chosen(fitted, design.filter)
    plant = gated(fitted, how)
    nominal = nearest_ahead(fitted)
    around = Around.of(gated(polar, gate.chosen(polar, design.filter)), polar) if polar else None
    own, cost = costs(rig, plant, design.crosstalk, around)
    in_room = room.spent(fitted, plant.f, design, own, cost)
    cost, allowed = in_room.cost, in_room.allowed
    at = np.array([d.at for d in rig.driver])
    pairs = side_pairs(at)
    wish, worst_first = room.asked(design, allowed)
    far = virtualize.reference(design.stereo, speed_of_sound(rig.environment.temperature_c)).response(plant.f)
    both = sharing.steer(plant, nominal, cost, wish, far, pairs=pairs, effort_db=allowed, worst_first=worst_first)
    truth = gate.spectra(fitted.at(np.array([nominal])), how)
    mixed = np.repeat(matrix_taps(at, both.reference, 1.0, 0)[:2].swapaxes(1, 2), len(plant.f), axis=1)
    others = {"matrix mixing": mixed.astype(np.complex128)}
    scene = TestPlaces(plant, nominal, truth, gate.spectra(kept, how), fitted.fs, others)
    return compare.rows(scene, both, cost, design.filter, matched=(wish, own) if at_their_effort else None)
