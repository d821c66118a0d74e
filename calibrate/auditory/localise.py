"""Perceived azimuth of a sound: the template azimuth whose interaural cues are nearest to those at the ears."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sweetspot.calibrate.auditory.bands import Bands
from sweetspot.calibrate.auditory.cues import Cues
from sweetspot.calibrate.auditory.templates import TemplateCues
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Float

DELAY_S, LEVEL_DB = 60e-6, 2.5
"""Equally weighted differences in delay and level between ear signals and template."""

LARGEST = 9.0
"""No band's misfit counts more than this, so that one wild band can't decide."""

NEARNESS = 0.1
"""Cost of a radian away from the image, in units of :data:`DELAY_S`, if a delay fits several azimuths."""

LEVEL_SHARE = 0.5
"""Weight of all level differences beside all delays."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """Where images stand.

    Parameters
    ----------
    azimuth
        ``(...,)``, rad, counter-clockwise (to the left) from the head's front.
    focus
        Weighted standard deviation of the single bands' azimuths ``(...,)``, rad: a wide image whose bands disagree
        is none.
    """

    azimuth: Float
    focus: Float

    def __post_init__(self) -> None:
        for name in ("azimuth", "focus"):
            object.__setattr__(self, name, frozen(name, getattr(self, name), ndim=np.ndim(getattr(self, name))))


def localise(heard: Cues, templates: TemplateCues, bands: Bands) -> Image:
    """Azimuths of images by least cost over the templates.

    The cost of a template is ``sum w min(((ITD - ITD_t) / 60 us)^2, 9)`` over the bands below 1.6 kHz, with the weights
    of the dominance region, plus half of the same with level differences over 2.5 dB; each sum is divided by its
    weights. Delays differ by what is left without whole periods of their band, which listeners do not distinguish.
    Between templates the minimum is found by a parabola.

    Parameters
    ----------
    heard
        Cues ``(..., band)``.
    """
    azimuth = azimuth_of(heard, templates, bands)
    return Image(azimuth, _focus(heard, templates, bands, azimuth))


def azimuth_of(heard: Cues, templates: TemplateCues, bands: Bands) -> Float:
    """The azimuths ``(...,)`` of :func:`localise` alone, rad."""
    delay, level = bands.delay_weight, LEVEL_SHARE * bands.level_weight
    known = templates.cues
    total = np.zeros((*heard.itd_s.shape[:-1], len(templates.azimuths)))
    for b in range(len(bands.centre)):
        if delay[b] > 0.0:
            total += _misfit(_late(heard.itd_s[..., b], known, bands, b), DELAY_S, delay[b])
        total += _misfit(heard.ild_db[..., b, None] - known.ild_db[:, b], LEVEL_DB, level[b])
    return _least(total, templates.azimuths)


def _late(itd_s: Float, known: Cues, bands: Bands, b: int) -> Float:
    """Delays ``(...,)`` in a band minus that of each template ``(..., azimuth)``, s, modulo the band's period."""
    off = itd_s[..., None] - known.itd_s[:, b]
    off *= bands.centre[b]
    off -= np.rint(off)
    off /= bands.centre[b]
    return off


def _misfit(off: Float, scale: float, weight: float) -> Float:
    """Weighted cost ``(..., azimuth)`` of deviations, in their place: new arrays take longer than the sums."""
    off /= scale
    off *= off
    np.minimum(off, LARGEST, out=off)
    off *= weight
    return off


def _least(cost: Float, azimuths: Float) -> Float:
    """Azimuth of the least cost ``(..., azimuth)``, between templates by a parabola."""
    at = np.clip(np.argmin(cost, axis=-1), 1, len(azimuths) - 2)
    edge = np.argmin(cost, axis=-1)
    below, here, above = (np.take_along_axis(cost, (at + d)[..., None], axis=-1)[..., 0] for d in (-1, 0, 1))
    bend = below - 2.0 * here + above
    shift = np.where(bend > 0.0, 0.5 * (below - above) / np.where(bend > 0.0, bend, 1.0), 0.0)
    step = azimuths[1] - azimuths[0]
    found = azimuths[at] + step * np.clip(shift, -0.5, 0.5)
    return np.asarray(np.where(edge == at, found, azimuths[edge]))


def _focus(heard: Cues, templates: TemplateCues, bands: Bands, azimuth: Float) -> Float:
    """Scatter of the azimuths that each band's delay gives by itself, rad.

    A delay is known up to the period of its band; of the azimuths that fit, the one next to the image counts.
    """
    weight = bands.delay_weight
    rows = np.flatnonzero(weight > 0.0)
    apart = np.abs(templates.azimuths - azimuth[..., None])
    each = np.empty((*azimuth.shape, len(rows)))
    for i, b in enumerate(rows):
        off = np.abs(_late(heard.itd_s[..., b], templates.cues, bands, int(b))) / DELAY_S
        each[..., i] = templates.azimuths[np.argmin(off + NEARNESS * apart, axis=-1)]
    share = weight[rows] / weight[rows].sum()
    mean = each @ share
    return np.asarray(np.sqrt(((each - mean[..., None]) ** 2) @ share))
