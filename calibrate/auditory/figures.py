"""Width, depth and tone of one arm: azimuths of five pans, direct over reverberant sound, clarity, colour."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.calibrate.auditory.arms import PANS, Arm
from sweetspot.calibrate.auditory.bands import Bands, erb_bands
from sweetspot.calibrate.auditory.cues import interaural_cues
from sweetspot.calibrate.auditory.localise import Image, azimuth_of, localise
from sweetspot.calibrate.auditory.templates import TemplateCues, Templates, cues_of
from sweetspot.calibrate.plant import frequencies, gate, grid, transform
from sweetspot.rigs.arrays import frozen
from sweetspot.rigs.units import Complex, Float, power_db

DIRECT_S = 0.005
"""Sound within this time after the first arrival forms the image (precedence) and counts as direct."""

CLARITY_S, EARLY_S = 0.05, 0.08
"""Borders of clarity C50 and of the early interaural coherence (ISO 3382-1)."""

DEPTH_HZ = (400.0, 6400.0)
"""Band of direct over reverberant sound and of clarity."""

COHERENCE_HZ = (500.0, 1000.0, 2000.0)
"""Octaves of the interaural coherence."""

HIGHEST_HZ = 10500.0
"""The grid of the ear model ends here: the uppermost band's filter has died away."""

HEARD_DRR_DB = 10.0
"""DRR above which distances are not distinguished (Larsen et al. 2008): losses above it do not count, dB."""

DRY_DB = 60.0
"""Largest stated ratio, dB: above it the reverberant part is the measurement's noise floor."""

SOURCES = ("left", "right", "centre")
"""Hard left, hard right and centre: the rows of :attr:`Arm.sources`."""


@dataclass(frozen=True, slots=True, eq=False)
class EarModel:
    """A head's templates made ready on the grid of a sampling rate.

    Parameters
    ----------
    templates
        Of the head that listens.
    bands
        On the templates' grid.
    known
        Cues of the templates in front.
    """

    templates: Templates
    bands: Bands
    known: TemplateCues

    @classmethod
    def of(cls, templates: Templates) -> EarModel:
        """The model of one head."""
        return cls(templates, erb_bands(templates.f), cues_of(templates))

    def image(self, ears: Complex) -> Image:
        """Where binaural spectra ``(..., 2, frequency)`` on the templates' grid seem to come from, re the head."""
        return localise(interaural_cues(ears, self.bands, 1600.0), self.known, self.bands)

    def azimuth(self, ears: Complex) -> Float:
        """Azimuths ``(...,)`` of :meth:`image` alone, rad."""
        return azimuth_of(interaural_cues(ears, self.bands, 1600.0), self.known, self.bands)


def grid_of(fs: int) -> Float:
    """Frequencies of the ear model at a sampling rate, Hz: every second bin of the designs' grid up to 10.5 kHz."""
    f = frequencies(fs)[::2]
    return np.asarray(f[f <= min(HIGHEST_HZ, 0.47 * fs)])


@dataclass(frozen=True, slots=True, eq=False)
class ImageFigures:
    """Metrics of one arm at the listener.

    Parameters
    ----------
    azimuth
        Of the image at each position and pan ``(position, pan)``, rad, to the listener's left, re the direction of the
        device.
    focus
        Scatter of the single bands ``(position, pan)``, rad.
    drr_db, c50_db, iacc
        Direct over reverberant sound, clarity, early interaural coherence ``(position, source)``; sources left, right,
        centre; at the near ear, for the centre at both.
    tone_db
        Colour of each pan ``(pan, band)`` beside the reference, position mean, dB: what its near ear has over the
        reference's, the unit's own colour (that of both sides) and the level taken out.
    distance_m
        From the middle of the device to the head, m, mean over positions.
    loudness_db
        Loudness over plain stereo of each programme, dB; empty where it was not looked at.
    tone_heads_db
        Colour of each pan at each position ``(position, pan)``, rms over bands, dB; empty where it was not looked at.
    """

    name: str
    azimuth: Float
    focus: Float
    drr_db: Float
    c50_db: Float
    iacc: Float
    tone_db: Float
    distance_m: float
    loudness_db: dict[str, float] = field(default_factory=dict)
    tone_heads_db: Float = field(default_factory=lambda: np.zeros((0, len(PANS))))

    def __post_init__(self) -> None:
        for name in ("azimuth", "focus", "drr_db", "c50_db", "iacc", "tone_db", "tone_heads_db"):
            object.__setattr__(self, name, frozen(name, getattr(self, name), ndim=2))

    @property
    def azimuth_deg(self) -> Float:
        """Mean azimuth of each pan over positions ``(pan,)``, degrees."""
        return np.asarray(np.degrees(self.azimuth.mean(axis=0)))

    @property
    def width_deg(self) -> float:
        """Azimuth of hard left minus that of hard right, degrees."""
        return float(self.azimuth_deg[0] - self.azimuth_deg[-1])

    @property
    def balance_deg(self) -> float:
        """Azimuth of hard left plus that of hard right, degrees; 0 for a symmetric image."""
        return float(self.azimuth_deg[0] + self.azimuth_deg[-1])

    @property
    def focus_deg(self) -> float:
        """Scatter of the bands' azimuths, mean over positions and pans, degrees."""
        return float(np.degrees(self.focus.mean()))

    @property
    def tone_rms_db(self) -> float:
        """Colour of the worst pan, rms over bands, dB."""
        return float(np.sqrt(np.mean(self.tone_db**2, axis=1)).max())

    @property
    def critical_distance_m(self) -> dict[str, float]:
        """Where direct and reverberant sound would be equal, ``r 10^(DRR / 20)``, m, for each source."""
        drr = self.drr_db.mean(axis=0)
        return {s: float(self.distance_m * 10.0 ** (drr[i] / 20.0)) for i, s in enumerate(SOURCES)}

    def drr_loss_db(self, plain: ImageFigures) -> dict[str, float]:
        """Audible loss of direct-to-reverberant ratio of each source re plain stereo, dB."""
        own, other = (np.minimum(x.drr_db.mean(axis=0), HEARD_DRR_DB) for x in (self, plain))
        return {s: float(other[i] - own[i]) for i, s in enumerate(SOURCES)}

    def to_dict(self) -> dict[str, Any]:
        """The figures for JSON."""
        named = {
            key: {s: round(float(v), 3) for s, v in zip(SOURCES, getattr(self, key).mean(axis=0), strict=True)}
            for key in ("drr_db", "c50_db", "iacc")
        }
        return {
            "azimuth_deg": [round(float(a), 2) for a in self.azimuth_deg],
            "width_deg": round(self.width_deg, 2),
            "balance_deg": round(self.balance_deg, 2),
            "focus_deg": round(self.focus_deg, 2),
            **named,
            "critical_distance_m": {s: round(v, 3) for s, v in self.critical_distance_m.items()},
            "tone_rms_db": round(self.tone_rms_db, 2),
            "loudness_re_plain_db": {k: round(v, 2) for k, v in self.loudness_db.items()},
            "positions_azimuth_deg": np.round(np.degrees(self.azimuth), 2).tolist(),
        }

    @property
    def text(self) -> str:
        """One line for people."""
        az, drr = np.round(self.azimuth_deg) + 0.0, self.drr_db.mean(axis=0)
        level = self.loudness_db.get("music")
        louder = "" if level is None else f", loudness {level:+z.1f} dB re plain"
        return (
            f"{self.name:<10} {az[0]:+4.0f} /{az[1]:+4.0f} /{az[2]:+4.0f} /{az[3]:+4.0f} /{az[4]:+4.0f} deg, width "
            f"{self.width_deg:z3.0f}, focus {self.focus_deg:2.0f} deg, "
            f"DRR {drr[0]:z.1f} / {drr[2]:z.1f} / {drr[1]:z.1f} dB, tone {self.tone_rms_db:z.1f} dB{louder}"
        )


def figures_of(arm: Arm, model: EarModel, facing: Float, distance_m: float, reference: Arm) -> ImageFigures:
    """All figures of one arm but its loudness.

    Parameters
    ----------
    facing
        Azimuth of the device seen from the head's front at each position ``(position,)``, rad; the zero of images.
    distance_m
        From the device to the nominal head, m.
    reference
        The arm that colouration is relative to.
    """
    sources = arm.sources
    own, other = (_near_powers(a, model) for a in (arm, reference))
    each = tone(power_db(own), power_db(other))
    return replace(
        judged_of(arm, model, facing, distance_m, reference),
        c50_db=_early_db(arm, sources, CLARITY_S),
        iacc=_coherence(arm, sources),
        tone_heads_db=np.sqrt(np.mean(each**2, axis=-1)),
    )


def judged_of(arm: Arm, model: EarModel, facing: Float, distance_m: float, reference: Arm) -> ImageFigures:
    """Those of :func:`figures_of` that limits judge, image, depth and tone; the others are empty."""
    image = model.image(direct_spectra(arm))
    own, other = (_near_powers(a, model) for a in (arm, reference))
    return replace(
        depth_of(arm, distance_m),
        azimuth=image.azimuth - facing[:, None],
        focus=image.focus,
        tone_db=tone(power_db(own.mean(axis=0)), power_db(other.mean(axis=0))),
    )


def depth_of(arm: Arm, distance_m: float) -> ImageFigures:
    """The direct over reverberant sound alone of :func:`figures_of`; the other figures are empty."""
    pans, sources = np.zeros((0, len(PANS))), np.zeros((0, len(SOURCES)))
    return ImageFigures(
        arm.name,
        azimuth=pans,
        focus=pans,
        drr_db=_early_db(arm, arm.sources, DIRECT_S),
        c50_db=sources,
        iacc=sources,
        tone_db=pans,
        distance_m=distance_m,
    )


@lru_cache(maxsize=4)
def direct_spectra(arm: Arm) -> Complex:
    """Spectra ``(position, pan, ear, frequency)`` of the first 5 ms of every pan, on the ear model's grid.

    Those of the last arms are kept.
    """
    end = arm.arrival + DIRECT_S
    first = arm.h[..., : gate.last_tap(arm.zero, arm.fs, end)]
    programs = transform(gate.until(first, arm.zero, arm.fs, end), grid(arm.fs), arm.zero)[..., ::2]
    spectra = np.einsum("pecf,nc->pnef", programs[..., : len(grid_of(arm.fs))], arm.shares, optimize=True)
    return frozen("spectra", spectra, ndim=4, dtype=np.complex128)


def depth_weight(f: NDArray[np.floating]) -> Float:
    """Weight of powers ``(frequency,)`` for depth: pink over :data:`DEPTH_HZ`, so that every octave counts the same."""
    return np.where((f >= DEPTH_HZ[0]) & (f <= DEPTH_HZ[1]), 1.0 / np.maximum(f, 1.0), 0.0)


def _early_db(arm: Arm, h: Float, border: float) -> Float:
    """Energy until ``border`` s after the arrival over that from then on, at the near ears ``(position, source)``, dB.

    At most :data:`DRY_DB`. ``h`` are responses to the sources ``(position, ear, source, tap)``.
    """
    weight = depth_weight(np.fft.rfftfreq(h.shape[-1], 1.0 / arm.fs))
    h = h[:, [0, 1, 0, 1], [0, 1, 2, 2]]  # near ears of the sides, both of the centre
    early = gate.until(h, arm.zero, arm.fs, arm.arrival + border)
    near, later = (_near_energy(x, weight) for x in (early, h - early))
    return power_db(near / np.maximum(later, near * 10.0 ** (-DRY_DB / 10.0)))


def _near_energy(h: Float, weight: Float) -> Float:
    """Weighted energies ``(position, source)`` of left, right, and twice the centre, of which the mean counts."""
    spectra = np.fft.rfft(h, axis=-1)
    energy = (spectra.real**2 + spectra.imag**2) @ weight
    return np.concatenate([energy[:, :2], energy[:, 2:].mean(axis=1, keepdims=True)], axis=1)


def _coherence(arm: Arm, h: Float) -> Float:
    """Early interaural coherence ``(position, source)``: mean over octaves of the largest correlation within 1 ms.

    ``h`` are responses to the sources ``(position, ear, source, tap)``.
    """
    n, end = 1 << (h.shape[-1] - 1).bit_length(), arm.arrival + EARLY_S
    H = np.fft.rfft(gate.until(h[..., : gate.last_tap(arm.zero, arm.fs, end)], arm.zero, arm.fs, end), n, axis=-1)
    f = np.fft.rfftfreq(n, 1.0 / arm.fs)
    lags = round(1e-3 * arm.fs)
    out = []
    for middle in COHERENCE_HZ:
        inside = (f >= middle / np.sqrt(2.0)) & (f < middle * np.sqrt(2.0))
        left, right = H[:, 0] * inside, H[:, 1] * inside
        c = np.fft.irfft(left * right.conj(), n, axis=-1)
        near = np.concatenate([c[..., -lags:], c[..., : lags + 1]], axis=-1).max(axis=-1)
        power = [np.sum(np.abs(x) ** 2, axis=-1) * 2.0 / n for x in (left, right)]
        out.append(near / np.sqrt(np.maximum(power[0] * power[1], 1e-300)))
    return np.asarray(np.mean(out, axis=0))


@lru_cache(maxsize=4)
def _near_powers(arm: Arm, model: EarModel) -> Float:
    """Powers ``(position, pan, band)`` of the first 5 ms at the near ear; of both ears for the centre.

    Those of the last arms are kept: the reference is compared with many.
    """
    power = (np.abs(direct_spectra(arm)) ** 2) @ model.bands.power.T  # (position, pan, ear, band)
    sides = {-1.0: [0], 0.0: [0, 1], 1.0: [1]}
    near = [power[:, i, sides[float(np.sign(p))]].mean(axis=1) for i, p in enumerate(PANS)]
    return frozen("powers", np.maximum(np.stack(near, axis=1), 1e-300), ndim=3)


def tone(levels: Float, reference: Float) -> Float:
    """Colour ``(..., pan, band)``, dB, of levels ``(..., pan, band)`` beside those of the reference.

    What is left of their difference once the unit's own colour, that of both hard-panned sides, and each pan's mean
    over bands are taken out: how the sound changes its colour when a source is panned, beyond what it does on a pair.
    """
    over = levels - reference
    over = over - over[..., [0, -1], :].mean(axis=-2, keepdims=True)
    return np.asarray(over - over.mean(axis=-1, keepdims=True))
