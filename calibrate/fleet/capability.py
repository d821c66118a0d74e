"""Statistics of many units: capability, trend, outliers, and the gauge's share of the spread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.verify import limit_of
from sweetspot.rigs.units import Float

OUTLYING = 3.5
"""Modified z-score from which a unit is called an outlier (Iglewicz and Hoaglin 1993)."""

FEWEST = 5
"""Least number of units with an outlier among them: the median deviation of fewer is not meaningful."""


FLOORS = {"dB": 0.25, "µs": 10.0, "ms": 1.0, "°": 1.0, "m²": 0.1, "cm": 1.0, "": 0.05}
"""Smallest distance of a derived limit from the mean of good units, in each metric's unit: differences that are never a
defect."""

RESOLVED = {"dB": 0.02, "µs": 0.5, "ms": 0.01, "°": 0.1, "m²": 0.01, "cm": 0.1, "": 1e-4}
"""Least spread that a measurement resolves, unless its own uncertainty is larger."""

WORST = 5
"""How many units are named as the worst of a figure."""

POOR_CPK = 1.33
"""Capability below which a process is watched (AIAG PPAP)."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """How well a figure repeats, from units that were measured several times (AIAG MSA, one-way ANOVA).

    Parameters
    ----------
    repeats
        Measurements that had a second one of the same unit.
    repeatability
        Standard deviation of one unit on one rig.
    reproducibility
        Standard deviation between rigs that measured the same units; 0 with a single rig.
    units
        Standard deviation between units, the gauge taken out.
    """

    repeats: int
    repeatability: float
    reproducibility: float
    units: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the gauge as a whole."""
        return float(np.hypot(self.repeatability, self.reproducibility))

    @property
    def percent(self) -> float:
        """Gauge R&R in per cent of the whole spread; under 10 is good, over 30 is not (AIAG)."""
        whole = float(np.hypot(self.sigma, self.units))
        return 100.0 * self.sigma / whole if whole > 0 else 0.0

    @property
    def categories(self) -> int:
        """Number of distinct categories, ``1.41 units / gauge``; 5 or more are wanted. A column of the page."""
        return int(min(1.41 * self.units / self.sigma, 999)) if self.sigma > 0 else 999


@dataclass(frozen=True, slots=True)
class Statistics:
    """One figure over all units.

    Parameters
    ----------
    count
        Of values; the last one of each run.
    mean, spread, low, high, p10
        Mean, standard deviation, least, greatest, 10th percentile.
    limit, sense
        Of the verdict, where there is one; no limit where runs were judged by different ones.
    cpk
        ``|mean - limit| / 3 spread`` on the limit's side, negative when the mean fails; None without a limit, and where
        the spread is below the resolution of the measurement.
    failed
        Runs beyond their limit.
    trend, trend_p
        Theil-Sen slope over the order of the runs, a hundred of them, and the probability of a Kendall tau as large
        without any trend.
    outliers
        Units (with their run) that are outliers, see :func:`outlying`.
    worst
        Units nearest to or farthest beyond the limit, worst first.
    gauge
        From repeats; None if no unit was measured twice.
    resolution
        Resolution of the measurement.
    limits
        Least and greatest limit that runs were judged by: each has its own where default limits are relaxed to its
        prediction.
    """

    step: str
    metric: str
    count: int
    mean: float
    spread: float
    low: float
    high: float
    p10: float
    limit: float | None
    sense: Literal["at least", "at most"] | None
    cpk: float | None
    failed: int
    trend: float
    trend_p: float
    outliers: tuple[str, ...]
    worst: tuple[str, ...]
    gauge: Gauge | None
    unit: str = "dB"
    resolution: float = 0.0
    limits: tuple[float, float] | None = None

    @property
    def resolved(self) -> bool:
        """Whether the spread is more than the measurement's own."""
        return self.spread > self.resolution

    @property
    def why_no_cpk(self) -> str:
        """Why there is no capability; empty where there is one, or no limit."""
        if self.cpk is not None or self.limits is None:
            return ""
        if self.limit is None:
            return "runs were judged by different limits (own: relaxed to each prediction); give all one limits.toml"
        if self.count < 2:
            return "one run"
        return f"spread below the resolution of the measurement, {self.resolution:.2g} {self.unit}".replace("  ", " ")


def of_figures(rows: Sequence[Mapping[str, Any]]) -> list[Statistics]:
    """Statistics of every figure of a fleet's table, in the order in which they first appear.

    Parameters
    ----------
    rows
        As :meth:`sweetspot.calibrate.fleet.ledger.Ledger.figures` gives them.
    """
    away = repaired(rows)
    return [_statistics(group, away) for group in grouped(rows).values()]


def repaired(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Failed runs of units that also have one without a failure: between them the unit was repaired, or seated anew."""
    bad = {row["run"]: str(row["unit"]) for row in rows if row["passed"] is not None and not row["passed"]}
    good = {str(row["unit"]) for row in rows if row["passed"] and row["run"] not in bad} if bad else set()
    return {run for run, unit in bad.items() if unit in good}


def grouped(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Rows by step and metric, in the order in which these first appear."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["step"], row["metric"]].append(row)
    return found


def _statistics(rows: Sequence[Mapping[str, Any]], repaired: set[str]) -> Statistics:
    x = np.array([r["value"] for r in rows], dtype=float)
    last = rows[-1]
    own = np.array([r["limit_value"] for r in rows], dtype=float)  # NaN for none
    known, sense = own[np.isfinite(own)], last["sense"]
    limits = (float(known.min()), float(known.max())) if len(known) else None
    limit = limits[0] if limits and limits[0] == limits[1] else None
    spread = float(x.std(ddof=1)) if len(x) > 1 else 0.0
    unit = _unit(last)
    resolution = _resolution(rows, unit)
    slope, p = _trend(x)
    margin = _margin(x, own, sense)
    named = [str(r["unit"]) for r in rows]
    nearest = np.argsort(margin, kind="stable")[:WORST] if margin is not None else np.array([], dtype=int)
    return Statistics(
        step=str(last["step"]),
        metric=str(last["metric"]),
        count=len(x),
        mean=float(x.mean()),
        spread=spread,
        low=float(x.min()),
        high=float(x.max()),
        p10=float(np.percentile(x, 10)),
        limit=limit,
        sense=sense,
        cpk=_cpk(margin, spread) if margin is not None and limit is not None and spread > resolution else None,
        failed=sum(1 for r in rows if r["passed"] is not None and not r["passed"]),
        trend=100.0 * slope,
        trend_p=p,
        outliers=tuple(named[i] for i in np.flatnonzero(outlying(x, unit))),
        worst=tuple(named[i] for i in nearest),
        gauge=gauge([row for row in rows if row["run"] not in repaired] if repaired else rows),
        unit=unit,
        resolution=resolution,
        limits=limits,
    )


def _unit(row: Mapping[str, Any]) -> str:
    known = "measured_in" in row.keys() and row["measured_in"] is not None  # noqa: SIM118 - no "in" for rows of SQLite
    return str(row["measured_in"]) if known else "dB"


def _resolution(rows: Sequence[Mapping[str, Any]], unit: str) -> float:
    """The larger of the best resolution in this unit and the median measurement uncertainty."""
    if "uncertainty" not in rows[-1].keys():  # noqa: SIM118 - rows of SQLite do not support "in"
        return RESOLVED.get(unit, 0.0)
    known = [float(r["uncertainty"]) for r in rows if r["uncertainty"] is not None]
    own = float(np.median(known)) if known else 0.0
    return max(own if np.isfinite(own) else 0.0, RESOLVED.get(unit, 0.0))


def _margin(x: Float, limits: Float, sense: str | None) -> Float | None:
    """How far each value is within the limit that it was judged by; NaN where it was by none."""
    if not np.isfinite(limits).any():
        return None
    return x - limits if sense == "at least" else limits - x


def _cpk(margin: Float, spread: float) -> float:
    return float(np.nanmean(margin)) / (3.0 * spread)


def _trend(x: Float) -> tuple[float, float]:
    """Theil-Sen slope a run, and the two-sided probability of Kendall's tau."""
    if len(x) < 4 or np.ptp(x) == 0:
        return 0.0, 1.0
    from scipy import stats  # slow to import

    order = np.arange(len(x))
    slope = stats.theilslopes(x, order)[0] if len(x) <= 2000 else np.polyfit(order, x, 1)[0]
    return float(slope), float(stats.kendalltau(order, x)[1])


def modified_z(x: Float) -> Float:
    """``0.6745 (x - median) / MAD``; where half of the values are equal, the mean deviation stands in for the MAD."""
    away = x - np.median(x)
    mad = float(np.median(np.abs(away)))
    if mad > 0:
        return np.asarray(0.6745 * away / mad)
    mean = float(np.mean(np.abs(away)))
    return np.asarray(away / (1.2533 * mean)) if mean > 0 else np.zeros_like(x)


def outlying(x: Float, unit: str) -> NDArray[np.bool_]:
    """Whether each value is an outlier: by its modified z-score, and farther from the median than :data:`FLOORS`."""
    if len(x) < FEWEST:
        return np.zeros(len(x), dtype=bool)
    return np.asarray((np.abs(modified_z(x)) > OUTLYING) & (np.abs(x - np.median(x)) > FLOORS.get(unit, 0.0)))


def gauge(rows: Sequence[Mapping[str, Any]]) -> Gauge | None:
    """Repeatability, reproducibility and the spread of units, from the units that were measured more than once."""
    if len({str(row["unit"]) for row in rows}) == len(rows):
        return None
    cells: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        cells[str(row["unit"])][str(row["rig"])].append(float(row["value"]))
    repeated = [values for rigs in cells.values() for values in rigs.values() if len(values) > 1]
    freedom = sum(len(v) - 1 for v in repeated)
    if freedom == 0:
        return None
    within = sum(float(np.sum((np.array(v) - np.mean(v)) ** 2)) for v in repeated) / freedom
    means = np.array([np.mean([np.mean(v) for v in rigs.values()]) for rigs in cells.values()])
    counts = np.array([sum(len(v) for v in rigs.values()) for rigs in cells.values()])
    between = float(means.var(ddof=1)) if len(means) > 1 else 0.0
    units = max(between - within * float(np.mean(1.0 / counts)), 0.0)
    return Gauge(sum(map(len, repeated)), within**0.5, _between_rigs(cells, within), units**0.5)


def _between_rigs(cells: Mapping[str, Mapping[str, list[float]]], within: float) -> float:
    """Standard deviation of the rigs' means over the units that all of them measured."""
    rigs = sorted({rig for by_rig in cells.values() for rig in by_rig})
    shared = [by_rig for by_rig in cells.values() if len(by_rig) == len(rigs)]
    if len(rigs) < 2 or not shared:
        return 0.0
    means = np.array([np.mean([np.mean(by_rig[r]) for by_rig in shared]) for r in rigs])
    count = np.mean([len(v) for by_rig in shared for v in by_rig.values()]) * len(shared)
    return float(max(means.var(ddof=1) - within / float(count), 0.0) ** 0.5)


def good(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows of the runs that keep every limit and are no outlier in any judged figure."""
    bad = {r["run"] for r in rows if r["passed"] is not None and not r["passed"]}
    by_metric: dict[Hashable, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["passed"] is not None and row["run"] not in bad:
            by_metric[row["metric"]].append(row)
    for group in by_metric.values():
        away = outlying(np.array([r["value"] for r in group], dtype=float), _unit(group[-1]))
        bad |= {r["run"] for r, out in zip(group, away, strict=True) if out}
    return [r for r in rows if r["run"] not in bad]


@dataclass(frozen=True, slots=True)
class Derived:
    """A limit that good units lead to.

    Parameters
    ----------
    metric, sense
        Which figure, and on which side it must stay.
    edge
        ``sigmas`` standard deviations of the units away from their mean.
    guard
        By how much the limit is tighter, for the gauge's own spread.
    """

    metric: str
    sense: Literal["at least", "at most"]
    edge: float
    guard: float
    unit: str = "dB"

    @property
    def limit(self) -> float:
        """The limit of the verdict."""
        return self.edge + self.guard if self.sense == "at least" else self.edge - self.guard


def limits(found: Iterable[Statistics], sigmas: float, guard: float) -> list[Derived]:
    """Limits for every judged figure: ``sigmas`` of the units' spread from the mean, tightened by the gauge's.

    Parameters
    ----------
    sigmas
        How many standard deviations a good unit may be away from the mean.
    guard
        Guard band in standard deviations of the gauge (ISO 14253-1: a unit passes only when it does so with the
        uncertainty taken off); without repeats there is none.
    """
    out = []
    for s in found:
        if s.sense is None:
            continue
        spread = s.gauge.units if s.gauge is not None else s.spread
        away = max(sigmas * spread, FLOORS.get(s.unit, 0.0))
        edge = s.mean - away if s.sense == "at least" else s.mean + away
        out.append(Derived(s.metric, s.sense, edge, guard * s.gauge.sigma if s.gauge else 0.0, s.unit))
    return out


ONE_RUN = (
    "one good run: the spread of units is unknown, and each limit lies the smallest distance from its value; verify "
    "more units before these limits judge any"
)
NO_GAUGE = "no gauge study: no unit was measured twice, so the rig's repeatability is unknown"


def studied(found: Iterable[Statistics]) -> str:
    """Note on the gauge; empty if a unit was measured more than once."""
    return "" if any(s.gauge is not None for s in found) else NO_GAUGE


def by_limit(derived: Iterable[Derived]) -> dict[str, float]:
    """Values for a limits.toml: the widest, where one limit judges several figures."""
    out: dict[str, float] = {}
    for d in derived:
        if name := limit_of(d.metric):
            wider = min if d.sense == "at least" else max
            out[name] = wider(out.get(name, d.limit), d.limit)
    return out
