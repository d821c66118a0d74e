"""Default limits relaxed to the prediction if there is no limits file: the defaults are those of one kind of unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.metric_kinds import KINDS

ALLOWED = {
    "cancellation_mean": 2.0,
    "cancellation_p10": 3.0,
    "target_shortfall": 2.0,
    "contrast": 3.0,
    "colouration": 1.5,
    "balance": 0.5,
}
"""Limits that depend on the kind of unit, with the allowed deterioration re the prediction, dB."""


NOTHING: Mapping[str, float] = {}


def follows(limits: Limits, name: str) -> bool:
    """Whether a limit follows the design: it depends on the kind of unit, and was not given."""
    return name in ALLOWED and name not in limits.given


def followed(
    metrics: Sequence[Metric], limits: Limits, reachable: Mapping[str, float] = NOTHING
) -> tuple[tuple[Metric, ...], tuple[str, ...]]:
    """Metrics with limits relaxed to the prediction, and the names of those relaxed.

    A default limit stays where the prediction keeps it by more than :data:`ALLOWED`; else the unit must be no worse
    than its own prediction by more than that.

    Parameters
    ----------
    reachable
        What the same unit reaches with the default effort, by name of the limit, where its design spends less: a
        design is not excused by what it did not try.
    """
    found, names = [], []
    for metric in metrics:
        made = _relaxed(metric, limits, reachable)
        if made is not metric:
            names.append(metric.name)
        found.append(made)
    return tuple(found), tuple(names)


def _relaxed(metric: Metric, limits: Limits, reachable: Mapping[str, float]) -> Metric:
    name = KINDS[metric.key].limit if metric.key else ""
    if metric.predicted is None or not name or not follows(limits, name):
        return metric
    worse = ALLOWED[name] if metric.sense == "at most" else -ALLOWED[name]
    limit = reachable.get(name, metric.predicted) + worse
    wider = limit < metric.limit if metric.sense == "at least" else limit > metric.limit
    if not wider:
        return metric
    text = f"{metric.explanation} No limit given: at most {abs(worse):g} {metric.unit} worse than predicted."
    return replace(metric, limit=limit, explanation=text)
