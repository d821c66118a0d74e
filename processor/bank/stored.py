"""A bank in filterset.h5: the group ``/bank``, checked whole when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sweetspot.processor.bank.filterbank import MOST_PLACES, FilterBank
from sweetspot.processor.filterset import DEEPEST_DB, LONGEST, NO_DETECTORS, FilterSet
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import Group


@dataclass(frozen=True, slots=True, eq=False)
class StoredBank:
    """Stored part of a bank.

    Parameters
    ----------
    prediction
        Arrays with one row a place.
    design_text
        The bank.toml that led to it, verbatim.
    """

    bank: FilterBank
    prediction: Mapping[str, Any]
    design_text: str = ""


def write_group(group: Group, kept: StoredBank) -> None:
    """Fill a new group with a bank."""
    bank = kept.bank
    group.attrs.update(
        default=bank.default,
        nearest_m=float(bank.nearest_m),
        headroom_db=float(bank.home.headroom_db),
        delay_samples=int(bank.home.delay_samples),
        session_sha256=bank.home.source,
    )
    group.create_data("taps", bank.taps).attrs.update(axes="place program driver tap", fs=int(bank.home.fs))
    if bank.home.detectors.size:
        group.create_data("detectors", bank.home.detectors).attrs["axes"] = "form program tap"
    group.create_data("places", bank.places).attrs.update(axes="place (x, y, yaw)")
    group.create_data("design", kept.design_text)
    prediction = group.create_group("prediction")
    for name, values in kept.prediction.items():
        prediction.create_data(name, values)


def read_group(group: Group, filters: FilterSet) -> StoredBank:
    """The bank of a file whose filter set is ``filters``.

    Raises
    ------
    BadInput
        A part is missing, or holds what no bank has.
    """
    taps, places = group.data("taps"), group.data("places")
    wanted = ("place", *filters.taps.shape)
    if len(taps.shape) != 4 or taps.shape[1:3] != filters.taps.shape[:2] or not 1 <= taps.shape[0] <= MOST_PLACES:
        raise BadInput(f"{group.path}: /bank/taps has shape {taps.shape}; {wanted} is needed. Calibrate again")
    source = group.attrs.text("session_sha256", longest=128)
    if source != filters.source:
        raise BadInput(f"{group.path}: /bank and /taps were made from different sessions: calibrate again with --bank")
    default = group.attrs.integer("default", 0, taps.shape[0] - 1)
    values = taps[:]
    try:
        home = replace(
            filters,
            taps=values[default].astype(np.float64),
            headroom_db=group.attrs.number("headroom_db", -DEEPEST_DB, DEEPEST_DB),
            delay_samples=group.attrs.integer("delay_samples", 0, LONGEST),
            detectors=group.data("detectors")[:] if "detectors" in group else NO_DETECTORS,
        )
        bank = FilterBank(home, places[:], values, default, group.attrs.number("nearest_m", 0.0, 100.0))
        figures = group.group("prediction")
        prediction = {name: figures.data(name)[:] for name in figures}
    except (ValueError, TypeError) as fault:
        raise BadInput(f"{group.path}: /bank: {fault}. The file is damaged or was edited: calibrate again") from fault
    for name, column in prediction.items():
        if column.shape != (len(bank.places),) or not np.isfinite(column).all():
            raise BadInput(
                f"{group.path}: /bank/prediction/{name}: one finite value a place is needed; calibrate again"
            )
    return StoredBank(bank, prediction, "".join(group.data("design").texts()))
