"""Error of the virtual loudspeakers: far over near ear at the measured heads, against the target."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sweetspot.calibrate.plant import Fitted
from sweetspot.measure.smooth import THIRD_OCTAVES, band_edges, band_means, third_octaves
from sweetspot.rigs.units import Complex, Float, power_db

LEVEL_HZ, DELAY_HZ = (200.0, 8000.0), (300.0, 1500.0)
"""Nominal centres of the third octaves in which levels and delays count, Hz."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Error of one virtual loudspeaker, rms over third octaves and heads.

    Parameters
    ----------
    side
        ``"left"`` or ``"right"``.
    heads
        ``"nominal"`` or ``"scoring"``.
    level_db, delay_us
        Far over near ear against the wanted ratio.
    """

    side: str
    heads: str
    count: int
    level_db: float
    delay_us: float


def missed(fitted: Fitted, nominal: int) -> tuple[Missed, ...]:
    """Both sides at the nominal head (the design position of this index), and at the scoring heads."""
    p, out = fitted.prediction, []
    for heads, found in (("nominal", p.design[nominal : nominal + 1]), ("scoring", p.score)):
        for side, near in (("left", 0), ("right", 1)):
            if len(found):
                level, delay = errors(found[:, near, near], found[:, 1 - near, near], p.far_ear, p.f)
                out.append(Missed(side, heads, len(found), level, delay))
    return tuple(out)


def errors(near: Complex, far: Complex, wanted: Complex, f: Float) -> tuple[float, float]:
    """Level (dB) and delay (us) of far over near ear against a wanted ratio ``(frequency,)``, rms.

    Levels are those of third octaves, ``10 lg sum |far|^2 / sum |v near|^2``; delays come of the phase of
    ``sum far (v near)*`` in each.

    Parameters
    ----------
    near, far
        Responses ``(head, frequency)``.
    """
    aim = wanted * near
    bands = power_db(band_means(np.abs(far) ** 2, f) / np.maximum(band_means(np.abs(aim) ** 2, f), 1e-300))
    inside = third_octaves(*LEVEL_HZ)
    low, high = band_edges(THIRD_OCTAVES)
    late = []
    for a, b, centre in zip(low, high, THIRD_OCTAVES, strict=True):
        if DELAY_HZ[0] < centre < DELAY_HZ[1]:
            cross = np.sum((far * aim.conj())[:, (f >= a) & (f < b)], axis=-1)
            late.append(-np.angle(cross) / (2.0 * np.pi * centre))
    return float(np.sqrt(np.mean(bands[:, inside] ** 2))), float(1e6 * np.sqrt(np.mean(np.square(late))))


def text(fitted: Fitted, found: tuple[Missed, ...], head: str, angle_deg: float) -> str:
    """The errors as text; ``head`` is what the far ear was fitted to."""
    far = fitted.far_ear
    lines = [
        f"Virtual loudspeakers at ±{angle_deg:g}°: far over near ear fitted to {head} within {far.error_db:.1f} dB "
        f"(shelf {far.shelf:.2f} from {far.corner_hz:.0f} Hz, {1e6 * far.delay_s:.0f} µs). Error, rms of third "
        f"octaves: levels {LEVEL_HZ[0]:g} Hz to {LEVEL_HZ[1] / 1000:g} kHz, delays {DELAY_HZ[0]:g} Hz to "
        f"{DELAY_HZ[1] / 1000:g} kHz:"
    ]
    lines += [
        f"  {m.side:>5} at {'the nominal head' if m.heads == 'nominal' else f'{m.count} scoring heads'}: "
        f"{m.level_db:.1f} dB, {m.delay_us:.0f} µs"
        for m in found
    ]
    return "\n".join(lines)


def to_dict(found: tuple[Missed, ...]) -> list[dict[str, Any]]:
    """The errors for JSON."""
    return [{k: round(v, 2) if isinstance(v, float) else v for k, v in asdict(m).items()} for m in found]
