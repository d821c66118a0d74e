"""Held-out figures of a measured unit: designs compared on its scoring positions, and positions left out in turn."""

from __future__ import annotations

import numpy as np

from calibrate import compare, gate, sides
from calibrate.compare import Row, Scene
from calibrate.design import Design
from calibrate.effort import Around, costs
from calibrate.fit import nearest_ahead
from calibrate.plant import gated
from measure.impulse import ImpulseResponse
from rigs.describe import Description
from rigs.errors import BadInput

FOLDS = 6
"""Into how many parts the positions are split; fewer positions are left out one by one."""


def comparison(
    ears: ImpulseResponse, rig: Description, design: Design, polar: ImpulseResponse | None = None
) -> tuple[Row, ...]:
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
            'positions that they never saw; give some entries of ears.positions use = "score"'
        )
    return split(fitted, kept, rig, design, polar)


def cross_validated(
    ears: ImpulseResponse, rig: Description, design: Design, polar: ImpulseResponse | None = None
) -> tuple[Row, ...]:
    """The same with positions left out in turn, whatever they are used for: the mean over the parts.

    The nominal position stays in every design, since its near-ear response is what is kept.

    Raises
    ------
    BadInput
        Fewer than three positions.
    """
    count = len(ears.positions)
    if count < 3:
        raise BadInput(f"{count} positions were measured: leaving some out in turn needs at least 3")
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
) -> tuple[Row, ...]:
    """Fit on some positions, score the direct sound on others; ``polar`` is looked at where its power is the cost."""
    how = gate.chosen(fitted, design.filter)
    plant = gated(fitted, how)
    nominal = nearest_ahead(fitted)
    around = Around.of(gated(polar, gate.chosen(polar, design.filter)), polar) if polar else None
    _, cost = costs(rig, plant, design.crosstalk, around)
    both = sides.steer(plant, nominal, cost, design.crosstalk)
    truth = gate.spectra(fitted.at(np.array([nominal])), how)
    scene = Scene(plant, nominal, truth, gate.spectra(kept, how), fitted.fs)
    return compare.rows(scene, both, cost, design.filter)
