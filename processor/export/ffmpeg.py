"""ffmpeg: a shell script that runs one ``afir`` per driver."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweetspot.processor.export.bundles import Bundle, notes, outputs, pair_name, stereo, wave
from sweetspot.processor.export.options import Options
from sweetspot.processor.filterset import FilterSet

SCRIPT = "render.sh"


def bundle(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """A script ``render.sh IN OUT.wav``; each driver has a WAV with its left and right filter.

    One ``afir`` per driver, since ``pan`` refuses layouts of more than 24 channels. Builds before the option
    ``irnorm`` (5.1 is the one tried) have a gain of exactly 2 regardless of it, and get ``irgain=0.5``.
    """
    taps, files = stereo(filterset), {}
    names = [pair_name(filterset, 0, o, "wav").partition("_")[2] for o in range(len(filterset.drivers))]
    for o, name in enumerate(names):
        files[name] = wave(_not_short(taps[:, o]), filterset.fs)
    files[SCRIPT] = _script(filterset, names).encode()
    return Bundle(files, notes(filterset), f"sh {SCRIPT} IN.wav OUT.wav")


def _not_short(h: NDArray[Any]) -> NDArray[Any]:
    """At least 32 taps: ffmpeg 5.1 breaks on a single one."""
    return np.pad(h, ((0, 0), (0, max(32 - h.shape[1], 0))))


def _script(filterset: FilterSet, names: list[str]) -> str:
    count = outputs(filterset)
    driver = {channel - 1: o for o, channel in enumerate(filterset.channels)}
    split = f"[0:a]aresample={filterset.fs},aformat=sample_fmts=fltp:channel_layouts=stereo,"
    split += f"apad=pad_len={filterset.length - 1},asplit={count}" + "".join(f"[a{c}]" for c in range(count))
    rows = [
        f"[a{c}][{driver[c] + 1}:a]afir=$gain:irfmt=input:maxir=60:minp=1024:maxp=8192,pan=mono|c0=c0+c1[m{c}]"
        if c in driver
        else f"[a{c}]pan=mono|c0=0*c0[m{c}]"
        for c in range(count)
    ]
    merge = "".join(f"[m{c}]" for c in range(count)) + (f"amerge=inputs={count}" if count > 1 else "anull") + "[out]"
    inputs = " ".join(f'-i "$here/{n}"' for n in names)
    return "\n".join(
        [
            "#!/bin/sh",
            f"# sweetspot, unit {filterset.unit_serial}: stereo IN, {count} channels OUT, {filterset.fs} Hz",
            '[ $# = 2 ] || { echo "use: sh render.sh IN OUT.wav" >&2; exit 2; }',
            'here=$(dirname -- "$0")',
            "if ffmpeg -hide_banner -h filter=afir | grep -q irnorm",
            "then gain=irnorm=-1",
            "else gain=gtype=none:irgain=0.5",
            "fi",
            f'ffmpeg -nostdin -hide_banner -loglevel error -y -i "$1" {inputs} -filter_complex \\',
            '"' + ";".join([split, *rows, merge]) + '" \\',
            f'-map "[out]" -c:a pcm_f32le -ar {filterset.fs} "file:$2"',  # a name may begin with a dash
            "",
        ]
    )
