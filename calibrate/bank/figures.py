"""Predicted metrics of a bank for each place: cancellation and width for held-out heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.auditory import EarModel
from sweetspot.calibrate.bank.carried import Arriving, CarriedPlaces, Cloud, joined
from sweetspot.calibrate.plant import metrics
from sweetspot.measure.smooth import band_means
from sweetspot.processor.bank import FilterBank
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Complex, Float, from_db, power_db

SPREAD_M, SPREAD_DEG = 0.05, 10.0
"""Heads around each place that figures are predicted for: within 5 cm and 10 degrees."""

ERROR_DB = 5.0
"""How well errors of carrying are known: the true ones lay within that of the expected ones at all 21 places of three
units and a head that the model does not know (``tests/bench/bank.py``). Errors larger and smaller by that give the
interval of the mean."""

SCATTER = np.array([0.255, 0.549, 0.843, 1.231, 2.122]).reshape(-1, 1, 1, 1)
"""Errors in single cells over the expected ones, equally likely: means of the fifths of a gamma distribution of order
2, that of two independent errors in a third octave. The 10th percentile is that of all such cells."""

AT_ONCE = 16


@dataclass(frozen=True, slots=True, eq=False)
class BankFigures:
    """Predicted figures, one row a place.

    Parameters
    ----------
    mean_db, p10_db
        Cancellation of the direct sound from 800 Hz to 6.3 kHz over heads, sides and third octaves ``(place,)``, dB;
        the errors of carrying are counted as power at the far ear.
    low_db, high_db
        That mean with errors of carrying that are :data:`ERROR_DB` larger and smaller than expected ``(place,)``, dB.
    static_mean_db, static_p10_db
        The same of the filters for the default place.
    width_deg, static_width_deg
        Between the images of hard left and hard right ``(place,)``, degrees.
    error_db
        Expected squared relative error of the carried responses in that band ``(place,)``, dB.
    distance_m
        From the nearest measured position ``(place,)``.
    """

    mean_db: Float
    p10_db: Float
    low_db: Float
    high_db: Float
    static_mean_db: Float
    static_p10_db: Float
    width_deg: Float
    static_width_deg: Float
    error_db: Float
    distance_m: Float

    def __post_init__(self) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, frozen(name, getattr(self, name), ndim=1))

    def to_dict(self) -> dict[str, list[float]]:
        """For JSON."""
        return {n: np.round(getattr(self, n), 3).tolist() for n in self.__slots__}

    def tree(self) -> dict[str, Float]:
        """For a file."""
        return {name: getattr(self, name).astype(np.float32) for name in self.__slots__}

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> BankFigures:
        """From a file."""
        return cls(**{name: np.asarray(tree[name], dtype=np.float64) for name in cls.__slots__})


def predicted(
    bank: FilterBank, known: tuple[CarriedPlaces, Arriving, Float], far: Complex, ear: EarModel, fs: int
) -> BankFigures:
    """Figures of all places from the carried responses, the fields at the places, and a second listener's place.

    With a second listener (``(1, 3)``, else ``(0, 3)``) figures are those of both listeners' heads together.
    """
    carried, fields, second = known
    f = carried.field.f
    low = f <= ear.templates.f[-1] + 1e-6
    cloud = Cloud.even(SPREAD_M, float(np.radians(SPREAD_DEG)))
    static = _response(bank.home.taps[None], f, fs)[0]
    rows = []
    for start in range(0, len(bank.places), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        both = carried.at(bank.places[some], cloud, fields.some(some)), carried.error(bank.places[some])
        h, error = joined(carried, both, second, cloud)
        h, error = h[..., low], error[..., low]
        own = _response(bank.taps[some], f[low], fs)
        both_arms = np.stack([own, np.broadcast_to(static[..., low], own.shape)], axis=1)
        at_ears = np.einsum("pqedf,pacdf->paqecf", h, both_arms, optimize=True)
        images = ear.azimuth(np.swapaxes(at_ears[..., :2, :], -3, -2))  # (place, arm, head, side)
        width = np.degrees(np.mean(images[..., 0] - images[..., 1], axis=-1))
        for i in range(len(h)):
            each = [_of_place(at_ears[i, a], h[i], error[i], both_arms[i, a], far[low], f[low]) for a in (0, 1)]
            rows.append(np.ravel([(mean, p10, w, *ends) for (mean, p10, *ends), w in zip(each, width[i], strict=True)]))
    found = np.array(rows)
    band = (f >= metrics.SCORED[0]) & (f <= metrics.SCORED[1])
    error = carried.error(bank.places)[..., band].mean(axis=(1, 2))
    names = ("mean_db", "p10_db", "width_deg", "low_db", "high_db")
    columns = {n: found[:, i] for i, n in enumerate(names)}
    columns |= {f"static_{n}": found[:, len(names) + i] for i, n in enumerate(names[:3])}
    return BankFigures(
        **columns, error_db=10.0 * np.log10(np.maximum(error, 1e-12)), distance_m=carried.distances(bank.places)
    )


def cancelled(at_ears: Complex, extra: Float, far: Complex, f: Float) -> tuple[metrics.SideSpread, float, float]:
    """Cancellation of programs at heads ``(head, ear, program, frequency)``, with power beside them at far ears.

    Parameters
    ----------
    extra
        ``(head, side, frequency)``, of the bare sides.

    Returns
    -------
    spread
        With that power; its 10th percentile with power that scatters by :data:`SCATTER`.
    low, high
        Its mean with :data:`ERROR_DB` more and less of it, dB.
    """
    near, leak = metrics.near_and_far(metrics.unvirtualized(at_ears, far))
    loud = np.maximum(np.abs(near) ** 2, 1e-30)
    quiet, more = (band_means(power / loud, f) for power in (np.abs(leak) ** 2, extra))
    factor = float(from_db(ERROR_DB)) ** 2
    each = [metrics.scored(-power_db(quiet + share * more)) for share in (1.0, factor, 1.0 / factor)]
    scattered = metrics.scored(-power_db(quiet + SCATTER * more))
    return replace(each[0], p10=scattered.p10), each[1].mean, each[2].mean


def _of_place(
    at_ears: Complex, h: Complex, error: Float, w: Complex, far: Complex, f: Float
) -> tuple[float, float, float, float]:
    """Mean and 10th percentile of cancellation, and the mean's interval, dB; ``at_ears (head, ear, program, f)``."""
    divided = metrics.unvirtualized(np.swapaxes(w[None, :2], 1, 2), far)[0]  # bare weights (driver, side, frequency)
    extra = np.einsum("df,qedf,dsf->qesf", error, np.abs(h) ** 2, np.abs(divided) ** 2)
    spread, low, high = cancelled(at_ears, np.stack([extra[:, 1, 0], extra[:, 0, 1]], axis=1), far, f)
    return spread.mean, spread.p10, low, high


def _response(taps: NDArray[np.floating[Any]], f: Float, fs: int) -> Complex:
    """``(..., frequency)`` at the first of an even grid from 0."""
    n = round(fs / f[1])
    return np.asarray(np.fft.rfft(taps, n, axis=-1)[..., : len(f)], dtype=np.complex128)


def to_dict(bank: FilterBank, figures: BankFigures) -> dict[str, Any]:
    """A bank for JSON."""
    places = {"x": bank.places[:, 0], "y": bank.places[:, 1], "yaw_deg": np.degrees(bank.places[:, 2])}
    return {
        "places": {name: np.round(v, 4).tolist() for name, v in places.items()},
        "home": np.round(bank.places[bank.default, :2], 4).tolist(),
        "headroom_db": bank.home.headroom_db,
        "size_mb": round(bank.taps.nbytes / 1e6, 3),
        "predicted": figures.to_dict(),
    }


def text(bank: FilterBank, figures: BankFigures) -> str:
    """A few lines for people."""
    p, n, least = bank.places, figures, int(np.argmin(figures.mean_db))
    x, y = (f"{p[:, i].min():g} to {p[:, i].max():g} m" for i in (0, 1))
    return "\n".join(
        [
            f"Bank: {len(p)} places, x {x}, y {y}, {bank.taps.nbytes / 1e6:.1f} MB; {bank.home.insertion_text}",
            f"  predicted within {100 * SPREAD_M:g} cm and {SPREAD_DEG:g} degrees of each place, direct sound, 800 Hz "
            f"to 6.3 kHz: mean {n.mean_db.mean():.1f} dB, 10th percentile {n.p10_db.mean():.1f} dB (filters of the "
            f"default place there: {n.static_mean_db.mean():.1f} / {n.static_p10_db.mean():.1f} dB)",
            f"  mean {n.low_db.mean():.1f} to {n.high_db.mean():.1f} dB if errors of the extrapolation are "
            f"{ERROR_DB:g} dB larger or smaller; least at x {p[least, 0]:g} m, y {p[least, 1]:+g} m: "
            f"{n.mean_db[least]:.1f} "
            f"({n.low_db[least]:.1f} to {n.high_db[least]:.1f}) / {n.p10_db[least]:.1f} dB",
            f"  width {n.width_deg.min():.0f} to {n.width_deg.max():.0f} degrees (filters of the default place: "
            f"{n.static_width_deg.min():.0f} to {n.static_width_deg.max():.0f}); error of the extrapolation "
            f"{n.error_db.max():.0f} dB at most, up to {n.distance_m.max():.2f} m from a measured position",
        ]
    )
