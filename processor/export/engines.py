"""The engines that filters can be exported to, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sweetspot.processor.export import (
    brutefir,
    c_library,
    camilladsp,
    equalizerapo,
    exchange,
    ffmpeg,
    firmware,
    jconvolver,
    lv2,
    pipewire,
    wav,
)
from sweetspot.processor.export.bundles import LINEAR, NO_UPMIX, Bundle
from sweetspot.processor.export.options import Options, linear
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput

ENGINES: dict[str, Callable[[FilterSet, Options], Bundle]] = {
    "camilladsp": camilladsp.bundle,
    "brutefir": brutefir.bundle,
    "jconvolver": jconvolver.bundle,
    "equalizerapo": equalizerapo.bundle,
    "ffmpeg": ffmpeg.bundle,
    "firmware": firmware.bundle,
    "wav": wav.bundle,
    "c": c_library.bundle,
    "lv2": lv2.bundle,
    "pipewire": pipewire.bundle,
    "rew": exchange.rew,
    "mat": exchange.mat,
    "sofa": exchange.sofa,
}

STEREO = ("camilladsp", "brutefir", "jconvolver", "equalizerapo", "ffmpeg", "pipewire")
"""Exports with left and right only, or the linear form (PipeWire: with convolvers)."""

WHOLE = ("c", "lv2", "firmware", "wav", "rew", "mat", "sofa")
"""Exports that hold all three programs."""


def bundle(filterset: FilterSet, engine: str, options: Options | None = None) -> Bundle:
    """The files of one engine.

    Raises
    ------
    BadInput
        An unknown engine, a filter set without left and right, or one that the engine cannot hold.
    """
    if engine not in ENGINES:
        raise BadInput(f"engine {engine!r} is not known; choose one of: {', '.join(ENGINES)}")
    if missing := [side for side in ("left", "right") if side not in filterset.programs]:
        raise BadInput(
            f"the filter set of unit {filterset.unit_serial} has no program {missing[0]!r} "
            f"(it has {', '.join(filterset.programs)}); an export needs left and right"
        )
    options = options or Options()
    if options.form == "linear":
        if engine in WHOLE:
            raise BadInput(f"{engine} holds all three programs; the linear form is for engines of left and right")
        if engine != "pipewire":
            filterset = linear(filterset, options.share)
        made = ENGINES[engine](filterset, options)
        upmix_note = LINEAR.format(a=options.share)
        return replace(made, notes=tuple(note.replace(NO_UPMIX, upmix_note) for note in made.notes))
    return ENGINES[engine](filterset, options)
