"""CamillaDSP 2 to 4: one YAML file, in the part of YAML that is JSON, and a WAV per filter."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from sweetspot.processor.export.bundles import Bundle, notes, outputs, pairs, wave
from sweetspot.processor.export.options import Options
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput

CONF, CHUNK, PATIENCE_S = "matrix.yml", 1024, 20.0
VERSIONS = (2, 3, 4)
BACKENDS = {"alsa": "Alsa", "jack": "Jack", "pulse": "Pulse", "coreaudio": "CoreAudio", "wasapi": "Wasapi"}
NAMELESS = ("jack",)
"""Sound systems without a choice of sample format."""
SOURCE = "Debian has no package of it; its releases are at github.com/HEnquist/camilladsp"
WAV_HEADER = 44
"""Bytes before the samples of a WAV file, which version 2 skips itself."""


def bundle(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """Mixer to a channel per filter, one convolution each, mixer to a channel per driver."""
    options = options or Options()
    version, chunk = options.version or VERSIONS[-1], options.block or CHUNK
    if version not in VERSIONS:
        raise BadInput(f"CamillaDSP version {version} is not known; choose one of: {', '.join(map(str, VERSIONS))}")
    found = pairs(filterset, "wav")
    files = {name: wave(h[None], filterset.fs) for _, _, name, h in found}
    configuration = _configuration(filterset, version) | {"devices": _devices(filterset, options, version, chunk)}
    files[CONF] = (json.dumps(configuration, indent=2) + "\n").encode()
    live = options.capture or options.playback
    more = (
        f"For CamillaDSP {version}. "
        + (
            f"It captures from {options.capture or 'in.wav'!r} and plays on {options.playback or 'out.wav'!r}."
            if live
            else "The devices section reads in.wav and writes out.wav; for live devices export with --capture, "
            "--playback and --backend."
        ),
        "CamillaDSP does not look at the rate in the filters' WAV headers: a wrong samplerate plays wrong filters.",
    )
    return Bundle(files, (*notes(filterset), *more), f"camilladsp {CONF}")


def installed() -> int:
    """Major version of the installed program; 0 if unknown."""
    done = subprocess.run(["camilladsp", "--version"], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    found = re.search(r"(\d+)\.\d", done.stdout)
    return int(found[1]) if found and int(found[1]) in VERSIONS else 0


def _devices(filterset: FilterSet, options: Options, version: int, chunk: int) -> dict[str, Any]:
    """The section ``devices``: files, or live devices if given."""
    single = "F32_LE" if version >= 4 else "FLOAT32LE"
    capture: dict[str, Any] = {"type": "WavFile", "filename": "in.wav", "extra_samples": filterset.length}
    if version == 2:
        capture |= {"type": "File", "channels": 2, "format": single, "skip_bytes": WAV_HEADER}
    playback: dict[str, Any] = {"type": "File", "channels": outputs(filterset), "filename": "out.wav", "format": single}
    if version > 2:
        playback["wav_header"] = True
    if options.capture:
        capture = _device(options.capture, 2, options.backend, version)
    if options.playback:
        playback = _device(options.playback, outputs(filterset), options.backend, version)
    return {"samplerate": filterset.fs, "chunksize": chunk, "capture": capture, "playback": playback}


def _device(name: str, channels: int, backend: str, version: int) -> dict[str, Any]:
    if (backend or "alsa") not in BACKENDS:
        raise BadInput(f"CamillaDSP has no backend {backend!r}; choose one of: {', '.join(BACKENDS)}")
    device = {"type": BACKENDS[backend or "alsa"], "channels": channels, "device": name}
    if backend not in NAMELESS:
        device["format"] = "S32_LE" if version >= 4 else "S32LE"
    return device


def _configuration(filterset: FilterSet, version: int) -> dict[str, Any]:
    drivers, found = len(filterset.drivers), pairs(filterset, "wav")
    expand = [{"dest": k, "sources": [_source(i)]} for k, (i, _, _, _) in enumerate(found)]
    collapse = [
        {"dest": filterset.channels[o] - 1, "sources": [_source(k) for k, pair in enumerate(found) if pair[1] == o]}
        for o in range(drivers)
    ]
    which: list[dict[str, Any]] = [{"channels": [k]} if version > 2 else {"channel": k} for k in range(len(found))]
    steps = [{"type": "Filter", **which[k], "names": [_name(pair[2])]} for k, pair in enumerate(found)]
    return {
        "devices": {},
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
