"""WAV filters: one file per program and driver, one with all of them, and a description."""

from __future__ import annotations

from sweetspot.processor.export.bundles import Bundle, description, notes, pair_name, wave
from sweetspot.processor.export.options import Options
from sweetspot.processor.export.unguarded import bare_note
from sweetspot.processor.filterset import FilterSet


def bundle(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """All filters as float32 WAV, the centre program included."""
    programs, drivers = len(filterset.programs), len(filterset.drivers)
    files = {
        pair_name(filterset, p, d, "wav"): wave(filterset.taps[p, d][None], filterset.fs)
        for p in range(programs)
        for d in range(drivers)
    }
    files["all.wav"] = wave(filterset.taps.reshape(programs * drivers, -1), filterset.fs)
    files["filterset.json"] = description(filterset)
    first = notes(filterset)[0]
    order = (
        f"all.wav holds {programs * drivers} channels: all of {filterset.programs[0]} first, then of the next program"
    )
    return Bundle(files, (first, bare_note(filterset), order), "load the WAV files in any convolver")
