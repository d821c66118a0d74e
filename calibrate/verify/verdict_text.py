"""The verdict as text for a terminal: one line per metric, other findings, the verdict."""

from __future__ import annotations

from sweetspot.calibrate.verify.diagnose import UNCLEAR, Cause
from sweetspot.calibrate.verify.metric import Metric
from sweetspot.calibrate.verify.verification import Verification

MOST_REASONS = 2
"""Most reasons that are repeated beneath the table that shows them."""

STATES = {"pass": "ok  ", "warn": "warn", "grey": "??  ", "fail": "FAIL"}
VERDICTS = {"pass": "PASS", "grey": "INCONCLUSIVE", "fail": "FAIL"}


def lines(verdict: Verification) -> str:
    """All of it."""
    rows = [_metric(m) for m in verdict.metrics]
    if any(m.uncertainty is not None for m in verdict.metrics):
        rows.append("  ± beside a value: measurement noise and repeatability, not the spread over heads")
    rows += [f"  cancellation, {c.text}" for c in verdict.cancellation]
    rows += [f"  {m.text}" for m in (verdict.through, verdict.agreement) if m]
    rows += [f"  the filters are {verdict.held}"] if verdict.held else []
    rows += [f"  {verdict.basis}"] if verdict.basis else []
    if verdict.room:
        rows.append("  in the room, not judged: " + "; ".join(r.text for r in verdict.room))
    rows += [part.text for part in (verdict.image, verdict.zone) if part]
    rows += [f"WARNING: {w}" for w in verdict.warnings]
    head = VERDICTS[verdict.verdict] + ("" if verdict.passed else f": {_why(verdict)}")
    causes = [_cause(i, c) for i, c in enumerate(verdict.causes)]
    ruled_out = [f"Ruled out: {', '.join(verdict.ruled_out)}"] if verdict.ruled_out else []
    return "\n".join([*rows, head, *causes, *ruled_out])


def number(value: float) -> str:
    """A value for people, never ``-0.00``."""
    return f"{value:z.2f}"


def _metric(m: Metric) -> str:
    guard = f" ±{number(m.guard):>5}" if m.uncertainty is not None else "       "
    name = m.name.replace("+-", "±")
    text = f"  {STATES[m.verdict]}  {name:<42} {number(m.heard):>7}{guard} {m.unit:2}  ({m.sense} {m.limit:.3g})"
    if m.predicted is not None:
        text += f"  predicted {number(m.predicted)}"
    return f"{text}  {m.over_heads}" if m.spread is not None else text


def _why(verdict: Verification) -> str:
    """The reasons; if there are many, only the names of the metrics."""
    if len(verdict.reasons) <= MOST_REASONS:
        return "; ".join(verdict.reasons)
    names = "; ".join(m.name for m in verdict.metrics if not m.passed)
    return f"{len(verdict.reasons)} of {len(verdict.metrics)} metrics, see above: {names}"


def _cause(rank: int, cause: Cause) -> str:
    if cause.name == UNCLEAR:
        return f"{'Cause':>11}: {cause.text}"
    return f"{'Most likely' if rank == 0 else 'or':>11}: {cause.text} ({cause.evidence})"
