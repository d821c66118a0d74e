"""The tables and key figures of a report."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from calibrate import evidence, metrics
from calibrate.evidence import Evidence
from calibrate.limits import Limits
from calibrate.verify import CONTRAST_BAND, NULLS
from measure.smooth import THIRD_OCTAVES


def rows(e: Evidence) -> list[dict[str, Any]]:
    """Lines of the verdict table; without a verdict, what is predicted against what will be judged."""
    if e.verdict is not None:
        return [
            {"name": m.name, "explanation": m.explanation, "predicted": m.predicted, "heard": m.heard,
             "limit": m.limit, "sense": m.sense, "margin": m.margin, "passed": m.passed}
            for m in e.verdict.metrics
        ]  # fmt: skip
    f, limits = figures(e), Limits()
    said = "Predicted only; judged once it is heard."
    planned = (
        ("cancellation, mean", f["mean"]["predicted"], limits.cancellation_mean),
        ("cancellation, 10th percentile", f["p10"]["predicted"], limits.cancellation_p10),
        ("centre beam, on axis over +-90 degrees", f["contrast"]["predicted"], limits.contrast),
    )
    return [
        {"name": n, "explanation": said, "predicted": p, "heard": None, "limit": x, "sense": "at least",
         "margin": None, "passed": None}
        for n, p, x in planned
    ]  # fmt: skip


def figures(e: Evidence) -> dict[str, Any]:
    """The key figures: predicted and heard."""
    p = e.fitted.prediction
    spread = metrics.scored(metrics.cancellation_db(metrics.unvirtualized(evidence.programs(e), p.far_ear), p.f))
    contrast = metrics.contrast_db(p.polar, p.azimuths, p.f, NULLS, 0.0)
    inside = (0.99 * CONTRAST_BAND[0] <= THIRD_OCTAVES) & (1.01 * CONTRAST_BAND[1] >= THIRD_OCTAVES)
    predicted = {"mean": spread.mean, "p10": spread.p10, "contrast": float(contrast[inside].min())}
    heard: dict[str, float] = {}
    if e.verdict is not None:
        by = {m.name: m.heard for m in e.verdict.metrics}
        starts = {"mean": "cancellation, mean", "p10": "cancellation, 10th", "contrast": "centre beam"}
        heard = {k: next(v for n, v in by.items() if n.startswith(s)) for k, s in starts.items()}
    return {k: {"predicted": v, "heard": heard.get(k)} for k, v in predicted.items()}


def versions(e: Evidence) -> dict[str, str]:
    measured = str(e.session["sweetspot_version"])
    libraries = {n: version(n) for n in ("numpy", "scipy", "h5py", "matplotlib")}
    return {"sweetspot": version("sweetspot"), "measured with sweetspot": measured, **libraries,
            "Python": platform.python_version()}  # fmt: skip
