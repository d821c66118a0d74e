"""jconvolver and fconvolver: one text file and a WAV per filter."""

from __future__ import annotations

from sweetspot.processor.export.bundles import Bundle, notes, outputs, pairs, wave
from sweetspot.processor.export.options import Options, power_of_two
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput

CONF, LIVE = "matrix.conf", "matrix-jack.conf"
BLOCK = 256
LONGEST = 4096
"""Samples per block: live it refuses more, "Fragment size is too large"."""
LARGEST = 64
"""Inputs or outputs that it can have."""


def bundle(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """A configuration for :data:`BLOCK` samples per period, or those chosen.

    The density is 1: by default jconvolver plans for a matrix that is mostly empty.

    Raises
    ------
    BadInput
        A driver on a channel beyond those that it can have, or a block that it can't have.
    """
    block = power_of_two(options, BLOCK, "jconvolver", LONGEST)
    count = outputs(filterset)
    if count > LARGEST:
        raise BadInput(f"jconvolver has at most {LARGEST} outputs; the highest channel of the rig is {count}")
    lines = [
        f"# sweetspot, unit {filterset.unit_serial}, {filterset.fs} Hz",
        "#               in  out  partition  maxsize  density",
        f"/convolver/new  2   {count}   {block}   {max(filterset.length, block)}   1.0",
        "/cd .",
        *(f"/input/name {i + 1} {side}" for i, side in enumerate(("left", "right"))),
        *(f"/output/name {c} channel_{c}" for c in range(1, count + 1)),
        "#            in  out  gain  delay  offset  length  channel  file",
    ]
    files = {}
    for i, o, name, h in pairs(filterset, "wav"):
        files[name] = wave(h[None], filterset.fs)
        lines.append(f"/impulse/read {i + 1} {filterset.channels[o]} 1.0 0 0 0 1 {name}")
    files[CONF] = ("\n".join(lines) + "\n").encode()
    live = CONF
    if options and (options.capture or options.playback):
        live = LIVE
        files[LIVE] = ("\n".join(_connected(line, filterset, options) for line in lines) + "\n").encode()
    return Bundle(files, notes(filterset), f"jconvolver {live}   (files: fconvolver {CONF} IN.wav OUT.wav)")


def _connected(line: str, filterset: FilterSet, options: Options) -> str:
    """A line that names a port, with the port on the JACK server that it is connected to: that of its channel."""
    command, _, rest = line.partition(" ")
    number = int(rest.split()[0]) if command in ("/input/name", "/output/name") else 0
    if command == "/input/name" and options.capture:
        return f"{line} {options.capture}:capture_{number}"
    if command == "/output/name" and options.playback and number in filterset.channels:
        return f"{line} {options.playback}:playback_{number}"
    return line
