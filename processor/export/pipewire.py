"""PipeWire: filter-chain configurations, one of convolvers for any PipeWire and one that hosts the LV2 plug-in."""

from __future__ import annotations

import json
from typing import Any

from sweetspot.processor.export import lv2
from sweetspot.processor.export.bundles import SIDES, Bundle, notes, pairs, wave
from sweetspot.processor.export.options import Options, linear
from sweetspot.processor.export.unguarded import without_guard
from sweetspot.processor.filterset import FilterSet

CONVOLVER, PLUGIN, SINK, OUTPUT = "convolver.conf", "plugin.conf", "sweetspot", "sweetspot.output"


def bundle(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """Two configurations, the filters as WAV files for the one, the plug-in's sources for the other.

    Both make a sink of two channels and play on as many as there are drivers, each at the position ``AUX`` of its
    output channel, as devices of the profile "pro audio" have them.
    """
    options = options or Options()
    plugin = lv2.bundle(filterset, options)
    lowered, _, cost = without_guard(filterset, CONVOLVER, options)
    found = pairs(linear(lowered, options.share) if options.form == "linear" else lowered, "wav")
    files = plugin.files | {name: wave(h[None], filterset.fs) for _, _, name, h in found}
    files[CONVOLVER] = _configuration(filterset, _convolvers(filterset, found), options).encode()
    files[PLUGIN] = _configuration(filterset, _plugin(filterset), options).encode()
    lines = (
        f"{CONVOLVER} makes a sink {SINK!r} of the {options.form} form. {notes(filterset)[1]} {cost}".strip(),
        f"{PLUGIN} makes the same sink with the whole processor: build the plug-in here with `make lv2` first.",
        f"The graph must run at {filterset.fs} Hz: set default.clock.rate = {filterset.fs} in pipewire.conf.",
    )
    use = f"LV2_PATH=$(dirname $PWD) pipewire -c $PWD/{PLUGIN}   (stereo form: pipewire -c $PWD/{CONVOLVER})"
    return Bundle(files, (notes(filterset)[0], *lines), use)


def ports(filterset: FilterSet) -> tuple[tuple[str, str], tuple[str, ...]]:
    """Names of its ports as JACK programs see them, ``client:port``: left, right, and of each driver."""
    client = _title(filterset)
    return (f"{client}:playback_FL", f"{client}:playback_FR"), tuple(
        f"{client}:output_AUX{c - 1}" for c in filterset.channels
    )


def _title(filterset: FilterSet) -> str:
    """Title on a desktop and client name in JACK, which must not have a colon."""
    return f"sweetspot {filterset.unit_serial}".replace(":", "-").strip()


def _convolvers(filterset: FilterSet, found: list[tuple[int, int, str, Any]]) -> dict[str, Any]:
    drivers = range(len(filterset.drivers))
    nodes: list[dict[str, Any]] = [{"type": "builtin", "name": side, "label": "copy"} for side in SIDES]
    links = []
    for i, o, file, _ in found:
        name = f"{SIDES[i]}_{filterset.channels[o]}"
        nodes.append({"type": "builtin", "name": name, "label": "convolver", "config": {"filename": file, "gain": 1.0}})
        links.append({"output": f"{SIDES[i]}:Out", "input": f"{name}:In"})
        links.append({"output": f"{name}:Out", "input": f"channel_{filterset.channels[o]}:In {i + 1}"})
    nodes += [{"type": "builtin", "name": f"channel_{filterset.channels[o]}", "label": "mixer"} for o in drivers]
    return {
        "nodes": nodes,
        "links": links,
        "inputs": [f"{side}:In" for side in SIDES],
        "outputs": [f"channel_{c}:Out" for c in filterset.channels],
    }


def _plugin(filterset: FilterSet) -> dict[str, Any]:
    return {
        "nodes": [{"type": "lv2", "name": "sweetspot", "plugin": lv2.address(filterset)}],
        "inputs": [f"sweetspot:{side}" for side in SIDES],
        "outputs": [f"sweetspot:channel_{c}" for c in filterset.channels],
    }


def _configuration(filterset: FilterSet, graph: dict[str, Any], options: Options) -> str:
    """A configuration in the part of PipeWire's format that is JSON, but for its top level."""
    positions = [f"AUX{c - 1}" for c in filterset.channels]
    capture: dict[str, Any] = {"node.name": SINK, "media.class": "Audio/Sink", "audio.rate": filterset.fs}
    capture |= {"audio.channels": 2, "audio.position": ["FL", "FR"]}
    playback: dict[str, Any] = {"node.name": OUTPUT, "node.passive": True, "audio.rate": filterset.fs}
    playback |= {"audio.channels": len(positions), "audio.position": positions, "stream.dont-remix": True}
    if options.playback:
        playback["target.object"] = options.playback
    chain = {
        "node.description": _title(filterset),
        "media.name": _title(filterset),
        "filter.graph": graph,
        "capture.props": capture,
        "playback.props": playback,
    }
    modules = [
        {"name": "libpipewire-module-rt", "args": {}, "flags": ["ifexists", "nofail"]},
        *({"name": f"libpipewire-module-{name}"} for name in ("protocol-native", "client-node", "adapter")),
        {"name": "libpipewire-module-filter-chain", "args": chain},
    ]
    libraries = {"audio.convert.*": "audioconvert/libspa-audioconvert", "support.*": "support/libspa-support"}
    sections = {"context.properties": {}, "context.spa-libs": libraries, "context.modules": modules}
    return "".join(f"{name} = {json.dumps(part, indent=2)}\n" for name, part in sections.items())
