"""Gain for engines without guard and SPL limiter, so that full-scale stereo stays below both; and its cost."""

from __future__ import annotations

import numpy as np

from sweetspot.processor.export.options import Options, linear
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import Float, db

UNGUARDED = ("camilladsp", "brutefir", "jconvolver", "equalizerapo", "ffmpeg", "firmware", "convolver.conf")
"""Engines without a guard behind the filters; the last is PipeWire with its own convolvers."""

POINTS = 8192
"""Of the transform that looks for the loudest frequency, at least; four times the filters' length."""


def sines_gain(filterset: FilterSet, options: Options | None = None) -> float:
    """Gain, at most 1, at which full-scale sines of any phase keep every driver's limit and the rig's for SPL.

    From the largest ``|H_left| + |H_right|`` of each driver in the form that the engine runs, and ``|H_centre|`` where
    there is a centre program; and from the same of the detectors of sound pressure.
    """
    share = options.share if options and options.form == "linear" else 0.0
    if options and options.form == "linear":
        filterset = linear(filterset, options.share)
    magnitude = np.abs(np.fft.rfft(filterset.taps, max(POINTS, 4 * filterset.length), axis=-1))
    left, right = (magnitude[filterset.programs.index(side)] for side in ("left", "right"))
    loudest = (left + right).max(axis=1)
    if "centre" in filterset.programs:
        loudest = np.maximum(loudest, magnitude[filterset.programs.index("centre")].max(axis=1))
    left, right, centre = _heard(filterset)
    spl = max(float((left + right + 2.0 * share * centre).max()), float(centre.max())) / 2.0**0.5
    room = float(np.min(np.array(filterset.limits) / np.maximum(loudest, 1e-12)))
    return float(min(1.0, room, 1.0 / max(spl, 1e-12)))


def _heard(filterset: FilterSet) -> Float:
    """Magnitudes ``(program, frequency)`` of the filters' detectors."""
    return np.asarray(np.abs(np.fft.rfft(filterset.detectors[0], max(POINTS, 4 * filterset.detectors.shape[2]))))


def without_guard(filterset: FilterSet, engine: str, options: Options | None = None) -> tuple[FilterSet, float, str]:
    """Filters for an engine, their reduction in dB, and a note on it; unchanged with a guard.

    Filters are staged for programme: their peaks pass the ceiling, and the guard of ``sweetspot process`` and ``play``,
    of the C library and of the plug-in holds them. An engine without one gets :func:`sines_gain`.
    """
    if engine not in UNGUARDED or not {"left", "right"} <= set(filterset.programs):
        return filterset, 0.0, ""
    gain = sines_gain(filterset, options)
    if gain > 1.0 - 1e-9:
        return filterset, 0.0, ""
    cost = -float(db(gain))
    note = (
        f"For {engine}, without a guard, the filters' gain is lowered by {cost:.1f} dB: full-scale stereo keeps to "
        f"{_kept(filterset)}. It plays {cost:.1f} dB lower than sweetspot process, minus what guard and SPL limiter "
        f"take there from loud programme; the c, lv2 and pipewire exports have both and keep the level."
    )
    return filterset.scaled(gain), cost, note


def bare_note(filterset: FilterSet) -> str:
    """What filters at their own level need of whatever runs them: see :func:`sines_gain`."""
    over = round(-float(db(sines_gain(filterset))), 1) + 0.0
    passes = f"passes {_kept(filterset)} by up to {over:.1f} dB: lower the input by as much, or add both"
    return (
        f"These are the filters alone, as loud as sweetspot process plays them, without its upmix "
        f"({filterset.upmix.method}), SPL limiter and guard: full-scale programme "
        f"{passes if over > 0.0 else f'keeps to {_kept(filterset)} without them'}."
    )


def _kept(filterset: FilterSet) -> str:
    """The limits that are known, in words."""
    ceiling = f"the ceiling of {float(db(filterset.ceiling)):.1f} dBFS"
    return ceiling if filterset.unheld_text else f"{ceiling} and the rig's SPL limit"
