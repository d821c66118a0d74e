"""The active limit of each band, the shortfall re the target, and its reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.plant import Fitted, gate, metrics
from sweetspot.measure.smooth import THIRD_OCTAVES, band_edges, band_means
from sweetspot.rigs.rig_file import Description
from sweetspot.rigs.units import ROOM_SPEED, Float, from_db, power_db

SHORT_DB = 0.5
"""Shortfall re the target above which a design falls short of it, dB."""

WHY = {
    "shadow": "the head's shadow is enough",
    "target": "the target is active: more would overfit these positions",
    "effort": "the effort limit is active: raise crosstalk.effort_db, lower the target there, or",
    "spread": "no weights do better at all positions within the errors: measure closer positions or repeat with less "
    "noise",
    "band": "too few drivers play there (band_hz of the rig): cancellation needs two",
}
"""Meaning of each limit, and its remedy; that of effort ends with :data:`WIDER` or :data:`CLOSER`."""

WIDER, CLOSER = "space drivers wider", "add drivers between those that play there"
"""Remedies of a limited effort, below and above half a wavelength of difference between the outer drivers' paths."""

EARS_M = 0.2
"""Acoustic distance between the ears, m."""

LOW_HZ = 1000.0
"""Frequency below which filters of the usual lengths resolve little, Hz."""


@dataclass(frozen=True, slots=True)
class ExplainedBand:
    """One side and third octave.

    Parameters
    ----------
    side
        ``"left"`` or ``"right"``.
    f
        Nominal centre, Hz.
    limit
        What decided most of its bins: "shadow", "target", "effort", "spread", or "band" (drivers' bands).
    share
        Of the bins that it decided.
    target_db, expected_db, design_db, score_db
        Wanted cancellation; what the target was compared with, errors counted (no design passes its target in that by
        more than half a decibel of its own doing); predicted mean at design and at scoring positions, dB.
    reason
        The reason; if the target is not reached, the remedy.
    """

    side: str
    f: float
    limit: str
    share: float
    target_db: float
    expected_db: float
    design_db: float
    score_db: float
    reason: str


def bands(fitted: Fitted, rig: Description) -> tuple[ExplainedBand, ...]:
    """Every third octave of both sides."""
    p = fitted.prediction
    design, score = (
        metrics.cancellation_db(metrics.unvirtualized(x, p.far_ear), p.f).mean(axis=0) for x in (p.design, p.score)
    )
    wanted = band_means(p.target_db, p.f)
    playing, resolved, apart = _playing(rig, THIRD_OCTAVES), gate.resolved(p.lowest), _apart(rig, THIRD_OCTAVES)
    low, high = band_edges(THIRD_OCTAVES)
    out = []
    for i, side in enumerate(("left", "right")):
        for b, f in enumerate(THIRD_OCTAVES):
            names = Counter(fitted.limits[i][(p.f >= low[b]) & (p.f < high[b])].tolist())
            limit, count = names.most_common(1)[0]
            limit = limit if playing[b] > 1 else "band"
            levels = (float(wanted[b]), float(design[i, b]), float(score[i, b]))
            rows = (p.f >= low[b]) & (p.f < high[b])
            counted = levels[0] + _excess_db(fitted, i, rows & (fitted.limits[i] == limit), rows)
            reason = _reason(limit, counted, *levels, f=float(f), apart=float(apart[b]))
            if not resolved[b]:
                why = "the gate resolves" if p.lowest == p.resolved else "the unit plays"
                reason = f"not judged, {why} {p.lowest:.0f} Hz and above; {reason}"
            out.append(
                ExplainedBand(
                    side,
                    float(f),
                    limit,
                    share=count / names.total(),
                    target_db=levels[0],
                    expected_db=counted,
                    design_db=levels[1],
                    score_db=levels[2],
                    reason=reason,
                )
            )
    return tuple(out)


def _excess_db(fitted: Fitted, side: int, decided: NDArray[np.bool_], rows: NDArray[np.bool_]) -> float:
    """Excess of the filters over their target, with errors, dB: over the bins that decided a band, else over all.

    Not a number for filters that were read from a file, which does not keep it.
    """
    if fitted.expected_db is None:
        return float("nan")
    over = (fitted.expected_db[side] - fitted.prediction.target_db)[decided if decided.any() else rows]
    return -float(power_db(np.mean(from_db(-over) ** 2)))


def _playing(rig: Description, f: Float) -> Float:
    """Number of drivers with each frequency within their band."""
    edges = np.array([d.band_hz for d in rig.driver])
    return np.asarray(np.sum((edges[:, :1] <= f) & (f <= edges[:, 1:]), axis=0))


def _apart(rig: Description, f: Float) -> Float:
    """Difference between the ways from the outer drivers that play at ``f`` to the two ears, wavelengths."""
    edges, y = np.array([d.band_hz for d in rig.driver]), np.array([d.at[1] for d in rig.driver])
    there = (edges[:, :1] <= f) & (f <= edges[:, 1:])
    span = np.max(np.where(there, y[:, None], -np.inf), axis=0) - np.min(np.where(there, y[:, None], np.inf), axis=0)
    return np.asarray(np.maximum(span, 0.0) * EARS_M / rig.listening_m * f / ROOM_SPEED)


def _reason(
    limit: str, counted: float, target: float, design: float, score: float, *, f: float = 0.0, apart: float = 0.0
) -> str:
    text = WHY[limit]
    if limit == "effort":
        text = f"{text} {WIDER if apart < 0.5 else CLOSER}"
    if limit == "target" and counted > target + SHORT_DB:
        return f"exceeds its target by {counted - target:.1f} dB: filters are too short for it; raise filter.taps"
    if limit == "target" and counted < target - SHORT_DB:
        low = " and resolve little at low frequencies" if f < LOW_HZ else ""
        why = f"filters this short smooth the design{low}; raise filter.taps"
        return f"{target - counted:.1f} dB short of an active target: {why}"
    if limit in ("target", "shadow") and score < target - SHORT_DB <= design:
        return f"{text}; scoring positions miss it by {target - score:.1f} dB"
    if design < target - SHORT_DB:
        return f"{target - design:.1f} dB short: {text}"
    if counted < target - SHORT_DB:
        return f"{target - counted:.1f} dB short with errors counted: {text}"
    return text


def table(found: tuple[ExplainedBand, ...]) -> str:
    """The bands as text."""
    head = f"{'':>6} {'Hz':>6}  {'limit':<7}{'share':>6} {'target':>7} {'counted':>8} {'design':>7} {'score':>6}"
    rows = [
        f"{b.side:>6} {b.f:6g}  {b.limit:<7}{b.share:6.0%} {b.target_db:z7.1f} {b.expected_db:z8.1f} "
        f"{b.design_db:z7.1f} {b.score_db:z6.1f}  {b.reason}"
        for b in found
    ]
    title = "Cancellation in third octaves, dB, and its active limit. Counted: with the errors assumed by the design"
    return "\n".join([title, head, *rows])


def to_dict(found: tuple[ExplainedBand, ...]) -> list[dict[str, Any]]:
    """The bands as plain data."""
    return [asdict(b) | {"expected_db": None if np.isnan(b.expected_db) else b.expected_db} for b in found]
