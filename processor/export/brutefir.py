"""BruteFIR: a configuration for files and one for JACK, with raw float filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweetspot.processor.export.bundles import SIDES, Bundle, notes, outputs, pairs
from sweetspot.processor.export.options import Options, power_of_two
from sweetspot.processor.filterset import FilterSet

Pairs = list[tuple[int, int, str, Any]]

BLOCK = 256
LARGEST = 8192
"""Samples per block: no audio server has more."""
FILES, LIVE, BANK = "matrix-files.conf", "matrix-jack.conf", "bank-jack.conf"
PORT = 3333
"""Of the command line interface, at which a bank's places are changed."""


def bundle(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """Two configurations with every field present, for ``brutefir -nodefault``."""
    block = power_of_two(options, BLOCK, "BruteFIR", LARGEST)
    parts = -(-filterset.length // block)
    found = pairs(filterset, "f32")
    files = {name: h.astype("<f4").tobytes() for _, _, name, h in found}
    drivers = range(len(filterset.drivers))
    for name, inside, outside, channels in (
        (FILES, 'device: "file" { path: "in.raw"; }', 'device: "file" { path: "out.raw"; }', _on_rig(filterset)),
        (LIVE, *_devices(filterset, options or Options()), f"{len(drivers)}/{','.join(map(str, drivers))}"),
    ):
        files[name] = _configuration(
            filterset, block, parts, found=found, inside=inside, outside=outside, channels=channels
        ).encode()
    use = f"brutefir -nodefault {LIVE}   (files: brutefir -nodefault {FILES}, in.raw to out.raw, float32, interleaved)"
    ports = ", ".join(f"output-{o} to channel {c}" for o, c in enumerate(filterset.channels))
    return Bundle(files, (*notes(filterset), f"On JACK, connect brutefir:{ports}."), use)


def bank(sets: Sequence[FilterSet], folders: Sequence[str], default: int, options: Options) -> dict[str, bytes]:
    """One configuration for JACK that holds the filters of all places, and for each the commands that change to it.

    Parameters
    ----------
    folders
        Where :func:`bundle` of each was written.
    default
        The place that plays first.
    """
    first = sets[default]
    found = pairs(first, "f32")
    block = power_of_two(options, BLOCK, "BruteFIR", LARGEST)
    inside, outside = _devices(first, options)
    channels = f"{len(first.drivers)}/{','.join(map(str, range(len(first.drivers))))}"
    text = _configuration(
        first,
        block,
        -(-first.length // block),
        found=[(i, o, f"{folders[default]}/{name}", h) for i, o, name, h in found],
        inside=inside,
        outside=outside,
        channels=channels,
    )
    others = "".join(
        _coefficients(f"{folder}/{name}") + "\n"
        for row, folder in enumerate(folders)
        if row != default
        for _, _, name, _ in found
    )
    logic = f'logic: "cli" {{ port: {PORT}; }};\n'
    files = {BANK: (logic + others + text.replace("crossfade: false", "crossfade: true")).encode()}
    for folder in folders:
        each = "; ".join(f'cfc "{SIDES[i]}_{o + 1}" "{folder}/{name}"' for i, o, name, _ in found)
        files[f"{folder}.cli"] = f"{each}; quit;\n".encode()
    return files


def _coefficients(name: str) -> str:
    return (
        f'coeff "{name}" {{ filename: "{name}"; format: "FLOAT_LE"; attenuation: 0.0; blocks: -1; skip: 0; '
        "shared_mem: false; };"
    )


def _devices(filterset: FilterSet, options: Options) -> tuple[str, str]:
    """Input and output on JACK, connected to the ports of the named clients, if any."""
    ins = ", ".join(f'"{options.capture}:capture_{i + 1}"' for i in range(2)) if options.capture else ""
    outs = ", ".join(f'"{options.playback}:playback_{c}"' for c in filterset.channels) if options.playback else ""
    inside, outside = (f'device: "jack" {{ {f"ports: {p};" if p else ""} }}' for p in (ins, outs))
    return inside, outside


def _on_rig(filterset: FilterSet) -> str:
    """Channels of a file: as many as the rig's highest, each driver on its own, those between silent."""
    return f"{outputs(filterset)}/{','.join(str(c - 1) for c in filterset.channels)}"


def _configuration(
    filterset: FilterSet, block: int, parts: int, *, found: Pairs, inside: str, outside: str, channels: str
) -> str:
    drivers = [f"channel{c}" for c in filterset.channels]
    zeros = ",".join("0" for _ in drivers)
    lines = [
        "float_bits: 32;",
        f"sampling_rate: {filterset.fs};",
        f"filter_length: {block},{parts};",
        "overflow_warnings: true;",
        "show_progress: false;",
        "max_dither_table_size: 0;",
        "allow_poll_mode: false;",
        'modules_path: "/usr/lib/brutefir";',
        "monitor_rate: false;",
        "powersave: false;",
        "lock_memory: false;",
        "sdf_length: -1;",
        'convolver_config: "wisdom";',
        *(_coefficients(name) for _, _, name, _ in found),
        f'input {_quoted(SIDES)} {{ {inside}; sample: "FLOAT_LE"; channels: 2/0,1; delay: 0,0; maxdelay: -1; '
        "mute: false,false; };",
        f'output {_quoted(drivers)} {{ {outside}; sample: "FLOAT_LE"; '
        f"channels: {channels}; delay: {zeros}; maxdelay: -1; "
        f"mute: {','.join('false' for _ in drivers)}; dither: false; merge: false; }};",
        *(
            f'filter "{SIDES[i]}_{o + 1}" {{ from_inputs: "{SIDES[i]}"/0.0; to_outputs: "{drivers[o]}"/0.0; '
            f'coeff: "{name}"; process: -1; delay: 0; crossfade: false; }};'
            for i, o, name, _ in found
        ),
    ]
    return "\n".join(lines) + "\n"


def _quoted(names: tuple[str, ...] | list[str]) -> str:
    return ",".join(f'"{n}"' for n in names)
