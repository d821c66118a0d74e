"""The tables and key figures of a report."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.plant import CONTRAST_BAND, NULLS, errors, metrics, one_direction
from sweetspot.calibrate.report import evidence, standing
from sweetspot.calibrate.report.evidence import Evidence
from sweetspot.calibrate.study import overview
from sweetspot.calibrate.verify import KINDS
from sweetspot.calibrate.verify import figures as judged


def rows(e: Evidence) -> list[dict[str, Any]]:
    """Lines of the verdict table; without a verdict, predictions and the limits to be applied."""
    if e.verdict is not None:
        return [
            {"key": m.key, "name": m.name, "explanation": m.explanation, "predicted": m.predicted, "heard": m.heard,
             "limit": m.limit, "sense": m.sense, "margin": m.margin, "verdict": m.verdict,
             "guard": m.guard if m.uncertainty is not None else None, "unit": m.unit, "over_heads": m.over_heads}
            for m in e.verdict.metrics
        ]  # fmt: skip
    f, limits = figures(e), Limits()
    message = "Predicted only; judged when measured."
    planned = [("cancellation_mean", f["mean"]["predicted"]), ("cancellation_p10", f["p10"]["predicted"])]
    if "contrast" in f:
        planned.append(("contrast", f["contrast"]["predicted"]))
    return [
        {"key": key, "name": KINDS[key].name, "explanation": message, "predicted": p, "heard": None,
         "limit": getattr(limits, KINDS[key].limit), "sense": KINDS[key].sense,
         "margin": None, "verdict": None, "guard": None, "unit": KINDS[key].unit, "over_heads": ""}
        for key, p in planned
    ]  # fmt: skip


GROUPS: Mapping[str, tuple[str, ...]] = {
    "Image, depth, tone and loudness": (
        "left_azimuth",
        "right_azimuth",
        "centre_azimuth",
        "half_azimuth",
        "width",
        "focus",
        "asymmetry",
        "sides_drr_loss",
        "centre_drr_loss",
        "tone",
        "loudness",
    ),
    "Cancellation": ("cancellation_mean", "cancellation_p10", "target_shortfall"),
    "Centre": ("contrast", "colouration"),
    "Measured against predicted": (
        "cancellation_agreement",
        "near_level",
        "interaural_level",
        "interaural_delay",
        "difference",
        "beam_shape",
        "polarity",
    ),
}
"""Keys of metrics by group."""
REST = "Chain"


def groups(e: Evidence) -> list[dict[str, Any]]:
    """The rows of the verdict table by groups, each with its number of passes and whether it is shown open."""
    every, found = rows(e), []
    of = {key: title for title, keys in GROUPS.items() for key in keys}
    for title in (*GROUPS, REST):
        mine = [r for r in every if of.get(r["key"], REST) == title]
        if not mine:
            continue
        states = [r["verdict"] for r in mine]
        worst = next((s for s in ("fail", "grey", "warn", None) if s in states), "pass")
        passed = sum(s == "pass" for s in states)
        found.append({"title": title, "rows": mine, "passed": passed, "worst": worst, "open": worst != "pass"})
    return found


def figures(e: Evidence) -> dict[str, Any]:
    """The key figures: predicted and measured."""
    p = e.fitted.prediction
    cells = metrics.cancellation_db(metrics.unvirtualized(evidence.programs(e), p.far_ear), p.f)
    cells = cells[..., judged.band(metrics.SCORED, p.lowest)[0]]
    if not one_direction.has_directions(e.polar) or not metrics.at_nulls(p.azimuths, NULLS, 0.0).any():
        return _compared({"mean": float(np.mean(cells)), "p10": float(np.percentile(cells, 10))}, e)
    contrast = metrics.contrast_db(p.polar, p.azimuths, p.f, NULLS, 0.0)
    least = float(contrast[judged.band(CONTRAST_BAND, p.polar_lowest)[0]].min())
    predicted = {"mean": float(np.mean(cells)), "p10": float(np.percentile(cells, 10)), "contrast": least}
    return _compared(predicted, e)


def _compared(predicted: dict[str, float], e: Evidence) -> dict[str, Any]:
    """Predicted metrics with their measured values."""
    heard: dict[str, float] = {}
    if e.verdict is not None:
        by = {m.key: m.heard for m in e.verdict.metrics}
        keys = {"mean": "cancellation_mean", "p10": "cancellation_p10", "contrast": "contrast"}
        heard = {k: by[key] for k, key in keys.items() if k in predicted}
    return {k: {"predicted": v, "heard": heard.get(k)} for k, v in predicted.items()}


def versions(e: Evidence) -> dict[str, str]:
    measured = str(e.session["sweetspot_version"])
    libraries = {n: standing.version(n) for n in ("numpy", "scipy", "h5py", "matplotlib")}
    return {"sweetspot": standing.version("sweetspot"), "measured with sweetspot": measured, **libraries,
            "Python": platform.python_version()}  # fmt: skip


def conditions(e: Evidence) -> list[str]:
    """Conditions of the prediction: gates, ears, loading, and agreement of the measurement within uncertainty."""
    f = e.fitted
    found = [f"Ears: {f.prediction.whole.gate.text}.", f"Polar set: {f.prediction.whole.polar_gate.text}."]
    if not one_direction.has_directions(e.polar):
        found[-1] = f"{one_direction.TEXT[0].upper()}{one_direction.TEXT[1:]}."
    found.append(f"Cancellation of the direct sound is judged over {judged.over(f.prediction.lowest)}.")
    if f.ears is not None:
        found.append(f"{f.ears.text[0].upper()}{f.ears.text[1:]}.")
    if f.loading:
        found.append(f"{errors.text(f.loading)}.")
    if e.verdict is not None and e.verdict.agreement is not None:
        message = e.verdict.agreement.text
        found.append(f"{message[0].upper()}{message[1:]}.")
    if e.verdict is not None and e.verdict.room:
        found.append("With the room, not judged: " + "; ".join(r.text for r in e.verdict.room) + ".")
    return found


def field_rows(e: Evidence) -> list[dict[str, Any]]:
    """Performance metrics as text."""
    return [
        {"name": r.name, "unit": r.unit, "meaning": r.meaning, "bands": [overview.text(v) for v in r.bands],
         "value": overview.text(r.value)}
        for r in overview.rows(e.fitted, e.ears, e.polar)
    ]  # fmt: skip
