"""CamillaDSP 4: one YAML file, in the part of YAML that is JSON, and a WAV per filter."""

from __future__ import annotations

import json
from typing import Any

from sweetspot.processor.export.bundles import Bundle, notes, outputs, pairs, wave
from sweetspot.processor.export.options import Options
from sweetspot.processor.filterset import FilterSet

CONF, CHUNK = "matrix.yml", 1024


def bundle(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """Mixer to a channel per filter, one convolution each, mixer to a channel per driver."""
    chunk = (options and options.block) or CHUNK
    found = pairs(filterset, "wav")
    files = {name: wave(h[None], filterset.fs) for _, _, name, h in found}
    files[CONF] = (json.dumps(_configuration(filterset, chunk), indent=2) + "\n").encode()
    told = (
        "The devices section reads in.wav and writes out.wav; name your own capture and playback there to play live.",
        "CamillaDSP does not look at the rate in the filters' WAV headers: a wrong samplerate plays wrong filters.",
    )
    return Bundle(files, (*notes(filterset), *told), f"camilladsp {CONF}")


def _configuration(filterset: FilterSet, chunk: int) -> dict[str, Any]:
    drivers, found = len(filterset.drivers), pairs(filterset, "wav")
    expand = [{"dest": k, "sources": [_source(i)]} for k, (i, _, _, _) in enumerate(found)]
    collapse = [
        {"dest": filterset.channels[o] - 1, "sources": [_source(k) for k, pair in enumerate(found) if pair[1] == o]}
        for o in range(drivers)
    ]
    steps = [{"type": "Filter", "channels": [k], "names": [_name(pair[2])]} for k, pair in enumerate(found)]
    return {
        "devices": {
            "samplerate": filterset.fs,
            "chunksize": chunk,
            "capture": {"type": "WavFile", "filename": "in.wav", "extra_samples": filterset.length},
            "playback": {
                "type": "File",
                "channels": outputs(filterset),
                "filename": "out.wav",
                "format": "F32_LE",
                "wav_header": True,
            },
        },
        "filters": {
            _name(name): {"type": "Conv", "parameters": {"type": "Wav", "filename": name, "channel": 0}}
            for _, _, name, _ in found
        },
        "mixers": {
            "expand": {"channels": {"in": 2, "out": 2 * drivers}, "mapping": expand},
            "collapse": {"channels": {"in": 2 * drivers, "out": outputs(filterset)}, "mapping": collapse},
        },
        "pipeline": [{"type": "Mixer", "name": "expand"}, *steps, {"type": "Mixer", "name": "collapse"}],
    }


def _source(channel: int) -> dict[str, Any]:
    return {"channel": channel, "gain": 0, "inverted": False}


def _name(file: str) -> str:
    return file.removesuffix(".wav")
