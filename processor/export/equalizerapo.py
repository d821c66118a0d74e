"""Equalizer APO (Windows): config.txt and a WAV per filter."""

from __future__ import annotations

from sweetspot.processor.export.bundles import Bundle, notes, pairs, wave
from sweetspot.processor.export.options import Options
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput

CONF = "config.txt"
QUAD = ("L", "R", "RL", "RR")
SURROUND = ("L", "R", "C", "SUB", "RL", "RR", "SL", "SR")
"""Names of the channels of a device with up to four, and up to eight, in the order of its jacks."""


def bundle(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """Two virtual channels per driver, a convolution on each, and their sum on the driver's channel.

    Raises
    ------
    BadInput
        A driver sits on a channel beyond the eighth: Equalizer APO has no name for it.
    """
    highest = max(filterset.channels)
    if highest > len(SURROUND):
        raise BadInput(
            f"Equalizer APO names 8 channels, driver {filterset.drivers[filterset.channels.index(highest)]!r} is on "
            f"channel {highest}; rewire the unit to channels 1 to 8 or use another engine"
        )
    named = QUAD if highest <= len(QUAD) else SURROUND
    outputs = [named[c - 1] for c in filterset.channels]
    found = pairs(filterset, "wav")
    files = {name: wave(h[None], filterset.fs) for _, _, name, h in found}
    virtual = [f"V{o + 1}{'AB'[i]}" for i, o, _, _ in found]
    lines = ["Copy: " + " ".join(f"{v}={'LR'[pair[0]]}" for v, pair in zip(virtual, found, strict=True))]
    for v, (_, _, name, _) in zip(virtual, found, strict=True):
        lines += [f"Channel: {v}", f"Convolution: {name}"]
    silent = [f"{c}=0" for c in named if c not in outputs]
    sums = [f"{c}=V{o + 1}A+V{o + 1}B" for o, c in enumerate(outputs)]
    lines += ["Channel: all", "Copy: " + " ".join(sums + silent)]
    files[CONF] = ("\r\n".join(lines) + "\r\n").encode()
    hints = (
        "Channels used: " + ", ".join(f"{d} on {c}" for d, c in zip(filterset.drivers, outputs, strict=True)) + ".",
        f"Set the Windows device to {filterset.fs} Hz and to as many channels: Equalizer APO silently skips filters of "
        f"another rate. Written by its parser's rules; not tested here.",
    )
    use = r"copy these files into C:\Program Files\EqualizerAPO\config; config.txt replaces the one there"
    return Bundle(files, (*notes(filterset), *hints), use)
