"""Gain for engines without a guard, so that full-scale stereo stays below the ceiling; and its cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sweetspot.processor.export.options import Options, linear
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.units import db

UNGUARDED = ("camilladsp", "brutefir", "jconvolver", "equalizerapo", "ffmpeg", "firmware", "convolver.conf")
"""Engines without a guard behind the filters; the last is PipeWire with its own convolvers."""

POINTS = 8192
"""Of the transform that looks for the loudest frequency, at least; four times the filters' length."""


def sines_gain(filterset: FilterSet, options: Options | None = None) -> float:
    """Gain, at most 1, at which full-scale sines on both sides, of any frequency and phase, keep every driver's limit.

    From the largest ``|H_left| + |H_right|`` of each driver in the form that the engine runs, and ``|H_centre|`` where
    there is a centre program.
    """
    if options and options.form == "linear":
        filterset = linear(filterset, options.share)
    magnitude = np.abs(np.fft.rfft(filterset.taps, max(POINTS, 4 * filterset.length), axis=-1))
    left, right = (magnitude[filterset.programs.index(side)] for side in ("left", "right"))
    loudest = (left + right).max(axis=1)
    if "centre" in filterset.programs:
        loudest = np.maximum(loudest, magnitude[filterset.programs.index("centre")].max(axis=1))
    return min(1.0, float(np.min(np.array(filterset.limits) / np.maximum(loudest, 1e-12))))


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
        f"For {engine}, without a guard, the filters' gain is lowered by {cost:.1f} dB: full-scale stereo keeps to the "
        f"ceiling. It plays {cost:.1f} dB lower than sweetspot process, minus the guard's reduction on loud programme; "
        f"the c, lv2 and pipewire exports have the guard and keep the level."
    )
    return replace(filterset, taps=filterset.taps * gain, headroom_db=filterset.headroom_db + cost), cost, note
