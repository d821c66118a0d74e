"""jconvolver and fconvolver: one text file and a WAV per filter."""

from __future__ import annotations

from sweetspot.processor.export.bundles import Bundle, notes, outputs, pairs, wave
from sweetspot.processor.export.options import Options
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput

CONF, LIVE = "matrix.conf", "matrix-jack.conf"
BLOCK = 256
LARGEST = 64
"""Inputs or outputs that it can have."""


def bundle(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """A configuration for :data:`BLOCK` samples per period, or those chosen.

    The density is 1: by default jconvolver plans for a matrix that is mostly empty.

    Raises
    ------
    BadInput
        A driver on a channel beyond those that it can have.
    """
    block = (options and options.block) or BLOCK
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
    live, connections = CONF, _connections(filterset, options or Options())
    if connections:  # fconvolver, which plays files, does not know them
        live = LIVE
        files[LIVE] = ("\n".join([*lines, *connections]) + "\n").encode()
    return Bundle(files, notes(filterset), f"jconvolver {live}   (files: fconvolver {CONF} IN.wav OUT.wav)")


def _connections(filterset: FilterSet, options: Options) -> list[str]:
    """Lines that connect it on the JACK server: each driver's output to the port of its channel."""
    ins, outs = (1, 2) if options.capture else (), filterset.channels if options.playback else ()
    lines = [f"/input/connect {i} {options.capture}:capture_{i}" for i in ins]
    return lines + [f"/output/connect {c} {options.playback}:playback_{c}" for c in outs]
