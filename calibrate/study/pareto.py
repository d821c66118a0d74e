"""The Pareto front of width and depth: designs at several points of ``image.prefer``, evaluated by the ear model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sweetspot.calibrate.auditory import Assessment

POINTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Points of the front: 0 is depth, 0.5 balanced, 1 width."""


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One design.

    Parameters
    ----------
    prefer
        Of the design's ``image``, 0 to 1.
    width_deg, balance_deg, focus_deg
        Of the image, see the ear model.
    drr_re_plain_db
        Direct-to-reverberant ratio of the sides over that of plain stereo, mean of both, dB.
    music_re_plain_db
        Loudness on music over plain stereo, dB.
    """

    prefer: float
    width_deg: float
    balance_deg: float
    focus_deg: float
    drr_re_plain_db: float
    music_re_plain_db: float


def point(prefer: float, found: Assessment) -> FrontPoint:
    """The figures of one design."""
    own = found.arms["calibrated"]
    lost = own.drr_loss_db(found.arms["plain"])
    music = found.loudness.re_plain_db["calibrated"]["music"]
    drr = -0.5 * (lost["left"] + lost["right"])
    return FrontPoint(prefer, own.width_deg, own.balance_deg, own.focus_deg, drr, music)


def nearest(front: Sequence[FrontPoint], share: float) -> FrontPoint:
    """The point of the front nearest to a design's preference, 0 to 1."""
    return min(front, key=lambda p: abs(p.prefer - share))


def table(front: Sequence[FrontPoint], share: float) -> str:
    """The front as text, the design's own point marked."""
    own = nearest(front, share)
    title = "Pareto front of width and depth (image.prefer: 0 depth, 0.5 balanced, 1 width)"
    head = f"{'prefer':>8} {'width':>8} {'balance':>8} {'focus':>7} {'DRR re plain':>13} {'music re plain':>15}"
    rows = [
        f"{p.prefer:8.2f} {p.width_deg:6.1f} ° {p.balance_deg:z6.1f} ° {p.focus_deg:5.1f} ° "
        f"{p.drr_re_plain_db:z10.1f} dB {p.music_re_plain_db:z12.1f} dB{'  <- this design' if p is own else ''}"
        for p in front
    ]
    return "\n".join([title, head, *rows])


def to_dict(front: Iterable[FrontPoint]) -> list[dict[str, Any]]:
    """The front for JSON."""
    return [{k: round(v, 2) for k, v in asdict(p).items()} for p in front]
