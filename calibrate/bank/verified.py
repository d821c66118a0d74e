"""Verification of a bank at places far from all measured ones: choice of places, playback, and metrics of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sweetspot.calibrate.auditory import EarModel
from sweetspot.calibrate.bank.carried import Cloud
from sweetspot.calibrate.bank.figures import BankFigures
from sweetspot.calibrate.plant import Gate, frequencies, gate, grid, metrics, transform
from sweetspot.measure.impulse import ImpulseResponse
from sweetspot.processor.bank import FilterBank
from sweetspot.rigs.layout import Pose
from sweetspot.rigs.units import ROOM_SPEED, Complex, Float, power_db

NAMES = ("bank_left", "bank_right", "static_left", "static_right")
"""Stimuli at each place: both sides through the filters of the place, and through those of the default place."""

CLOUD = Cloud(np.array([0.0, 0.03, -0.04]), np.array([0.0, 0.04, -0.03]), np.radians([0.0, 7.0, -6.0]))
"""Heads around each place."""

SHORT_DB = 3.0
"""Allowed shortfall of cancellation re the prediction, mean over heads, sides and bands, dB."""

WIDTH_DEG = 6.0
"""Width may differ from the predicted one by so much."""

EVERY = 2


@dataclass(frozen=True, slots=True)
class SideFigures:
    """Metrics of one set of filters at a place.

    Parameters
    ----------
    mean_db, p10_db
        Cancellation from 800 Hz to 6.3 kHz, dB.
    width_deg
        Between the images of hard left and hard right, degrees.
    drr_db
        Direct over reverberant sound at the near ears, dB; nan without a room's tail.
    """

    mean_db: float
    p10_db: float
    width_deg: float
    drr_db: float = float("nan")

    def to_dict(self) -> dict[str, float | None]:
        """For JSON."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: round(v, 2) if np.isfinite(v) else None for name, v in values.items()}


@dataclass(frozen=True, slots=True)
class VerifiedPlace:
    """A place with its predicted and measured metrics.

    Parameters
    ----------
    x, y
        m.
    distance_m
        From the nearest measured position.
    predicted, bank, static
        Of the bank's filters, predicted and measured, and of the default place's filters, measured.
    interval
        Of the predicted mean, dB.
    listeners
        Each listener's own, measured, where the bank has two: ``predicted``, ``bank`` and ``static`` are those of both
        listeners' heads together.
    """

    x: float
    y: float
    distance_m: float
    predicted: SideFigures
    bank: SideFigures
    static: SideFigures
    interval: tuple[float, float]
    listeners: tuple[SideFigures, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the measurement agrees with the prediction."""
        off = abs(self.bank.width_deg - self.predicted.width_deg)
        return self.bank.mean_db >= self.predicted.mean_db - SHORT_DB and off <= WIDTH_DEG

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        each: dict[str, Any] = {name: getattr(self, name).to_dict() for name in ("predicted", "bank", "static")}
        low, high = (round(v, 2) for v in self.interval)
        each["predicted"] |= {"low_db": low, "high_db": high}
        if self.listeners:
            each["listeners"] = [one.to_dict() for one in self.listeners]
        return {"x": self.x, "y": self.y, "distance_m": round(self.distance_m, 3), **each, "passed": self.holds}

    @property
    def text(self) -> str:
        """One line for people."""
        ends = [
            f"{name} {v.mean_db:5.1f} / {v.p10_db:5.1f} dB {v.width_deg:3.0f} deg"
            for name, v in (("measured", self.bank), ("predicted", self.predicted), ("default filters", self.static))
        ]
        ends[1] += f" (mean {self.interval[0]:.1f} to {self.interval[1]:.1f} dB)"
        if self.listeners:
            own = (f"{v.mean_db:.1f} / {v.p10_db:.1f} dB {v.width_deg:.0f} deg" for v in self.listeners)
            ends.append("listeners alone " + " and ".join(own))
        drr = f"; DRR {self.bank.drr_db:z.1f} dB, default filters {self.static.drr_db:z.1f} dB"
        where = f"  x {self.x:4.2f} m, y {self.y:+5.2f} m, {self.distance_m:4.2f} m from the nearest measured one: "
        return where + ", ".join(ends) + drr + ("" if self.holds else "  FAIL")


@dataclass(frozen=True, slots=True)
class VerifiedBank:
    """All places at which a bank was verified."""

    places: tuple[VerifiedPlace, ...]

    @property
    def passed(self) -> bool:
        """Whether all agree with the prediction."""
        return all(p.holds for p in self.places)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"places": [p.to_dict() for p in self.places], "passed": self.passed}

    @property
    def text(self) -> str:
        """All places for people."""
        bad, count = sum(not p.holds for p in self.places), len(self.places)
        whose = "each listener's" if any(p.listeners for p in self.places) else "each place's"
        head = (
            f"Bank measured at {count} places, direct sound, 800 Hz to 6.3 kHz (mean / 10th percentile over "
            f"{whose} {len(CLOUD.yaw)} heads); limits: {SHORT_DB:g} dB below the predicted mean, "
            f"width {WIDTH_DEG:g} degrees"
        )
        verdict = "PASS" if self.passed else f"FAIL: {bad} of {count} places do not match the prediction"
        return "\n".join([head, *(p.text for p in self.places), verdict])


def chosen(bank: FilterBank, figures: BankFigures, count: int) -> list[int]:
    """A number of places, each the farthest from all measured positions and from those chosen before."""
    away = figures.distance_m.copy()
    rows: list[int] = []
    for _ in range(min(count, len(bank.places))):
        best = int(np.argmax(away))
        rows.append(best)
        apart = np.hypot(*(bank.places[:, :2] - bank.places[best, :2]).T)
        away = np.minimum(away, apart)
        away[rows] = -1.0
    return rows


def poses_around(place: Float, distance_m: float) -> list[tuple[Pose, tuple[object, ...]]]:
    """Poses of the heads around a place, with their rows of the position table."""
    at, yaw = (x[0] for x in CLOUD.around(place[None]))
    return [
        (
            Pose(x=float(x - distance_m), y=float(y), yaw=float(turn)),
            (float(np.degrees(np.arctan2(y, x))), float(x), float(y), 0.0, float(np.degrees(turn)), "score"),
        )
        for (x, y), turn in zip(at, yaw, strict=True)
    ]


def figures_of(measured: ImpulseResponse, how: Gate, far: Complex, ear: EarModel, delay_s: float) -> list[SideFigures]:
    """Of the bank and of the static filters, from responses to :data:`NAMES` at the heads of one place.

    Parameters
    ----------
    how
        The session's gate: what is counted as direct sound ends so long after the last driver's arrival.
    far
        Virtual far ear over near ear on every second bin of the designs' grid.
    delay_s
        The filters' own delay.
    """
    f = frequencies(measured.fs)[::EVERY]
    low = f <= ear.templates.f[-1] + 1e-6
    p = measured.positions
    end = np.hypot(p["x"], p["y"]) / ROOM_SPEED + delay_s + how.seconds
    kept = gate.until(measured.h[:, :2], measured.zero, measured.fs, end)
    direct, whole = (
        transform(h, grid(measured.fs), measured.zero)[..., ::EVERY][..., low] for h in (kept, measured.h[:, :2])
    )
    f, far = f[low], far[low]
    band = (f >= 400.0) & (f <= 6400.0)
    found = []
    for first in (0, 2):
        sides = direct[:, :, first : first + 2]
        spread = metrics.scored(metrics.cancellation_db(metrics.unvirtualized(sides, far), f))
        image = ear.azimuth(np.moveaxis(sides, 2, 1))
        near, room = (np.stack([h[:, 0, first], h[:, 1, first + 1]]) for h in (direct, whole))
        rest = np.sum(np.abs((room - near)[..., band]) ** 2 / f[band])
        drr = float(power_db(np.sum(np.abs(near[..., band]) ** 2 / f[band]) / max(float(rest), 1e-30)))
        width = float(np.degrees(np.mean(image[:, 0] - image[:, 1])))
        found.append(SideFigures(spread.mean, spread.p10, width, drr))
    return found
