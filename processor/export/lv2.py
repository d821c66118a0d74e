"""The whole processor as an LV2 plug-in: the C library, its blob, and the plug-in's description in Turtle."""

from __future__ import annotations

import hashlib
import re

import numpy as np

from sweetspot.processor.export.bundles import Bundle, description, notes
from sweetspot.processor.export.c_library import BLOB, LIBRARY, blob_of
from sweetspot.processor.export.library import source_files
from sweetspot.processor.export.options import Options
from sweetspot.processor.filterset import FilterSet
from sweetspot.rigs.errors import BadInput

OUTSIDE_M = 0.3
"""Largest distance of a listener outside the places of a bank that the library accepts, m."""

PLUGIN, UNIT, MANIFEST, TURTLE = "sweetspot.so", "unit.h", "manifest.ttl", "sweetspot.ttl"

PREFIXES = """@prefix bufsz: <http://lv2plug.in/ns/ext/buf-size#> .
@prefix doap: <http://usefulinc.com/ns/doap#> .
@prefix lv2: <http://lv2plug.in/ns/lv2core#> .
@prefix opts: <http://lv2plug.in/ns/ext/options#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix state: <http://lv2plug.in/ns/ext/state#> .
@prefix units: <http://lv2plug.in/ns/extensions/units#> .
@prefix urid: <http://lv2plug.in/ns/ext/urid#> .
"""


def bundle(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """Sources, blob and Turtle; ``make lv2`` builds the plug-in beside them.

    Raises
    ------
    BadInput
        See :func:`sweetspot.processor.export.c_library.blob_of`.
    """
    options = options or Options()
    data = blob_of(filterset, options)
    uri, drivers = address(filterset), len(filterset.drivers)
    made = source_files(*LIBRARY, "hosts/lv2.c")
    x, y = _home(options)
    unit = f'#define SWEETSPOT_URI "{uri}"\n#define SWEETSPOT_BLOB "{BLOB}"\n#define SWEETSPOT_DRIVERS {drivers}u\n'
    unit += f"#define SWEETSPOT_X {x:.4f}f\n#define SWEETSPOT_Y {y:.4f}f\n"
    made |= {BLOB: data, UNIT: unit.encode(), MANIFEST: _manifest(uri).encode()}
    made |= {TURTLE: _turtle(filterset, uri, options).encode(), "filterset.json": description(filterset)}
    lines = (
        notes(filterset)[0],
        f"LV2 plug-in {uri}: the whole processor with upmix, SPL limiter and guard; controls: gain, centre amount, "
        "bypass, choice of the set (A/B), listener x and y. Hosts keep the controls with a project; the plug-in adds "
        "the identity of its filters, and reports a project that was made with those of another unit or session.",
        "Build it here (a C compiler and the package lv2-dev), then put the folder as sweetspot.lv2 where hosts look: "
        "~/.lv2, or any folder named in LV2_PATH.",
    )
    return Bundle(made, lines, f"make lv2 && LV2_PATH=$(dirname $PWD) jalv {uri}")


def address(filterset: FilterSet) -> str:
    """The plug-in's URI: one for each unit and number of drivers."""
    serial = re.sub(r"[^A-Za-z0-9.-]", "-", filterset.unit_serial) or "unit"
    mark = hashlib.sha256(f"{filterset.unit_serial} {filterset.drivers}".encode()).hexdigest()[:8]
    return f"urn:sweetspot:{serial}:{mark}"


def _home(options: Options) -> tuple[float, float]:
    """Position of the default place."""
    if options.places is None:
        return 0.0, 0.0
    x, y, _ = options.places.at[options.places.default]
    return float(x), float(y)


def _listener(options: Options) -> list[str]:
    """Controls of a listener's place: the range of the bank's places."""
    at, home = (np.zeros((1, 3)), (0.0, 0.0)) if options.places is None else (options.places.at, _home(options))
    ports = []
    for axis, usual in enumerate(home):
        low, high = at[:, axis].min() - OUTSIDE_M, at[:, axis].max() + OUTSIDE_M
        name = "xy"[axis]
        ports.append(_control(f"listener_{name}", f"Listener {name}", usual, low, high, "units:unit units:m"))
    turned = "Head turned from the device"
    return [*ports, _control("listener_turned", turned, 0.0, -180.0, 180.0, "units:unit units:degree")]


def _manifest(uri: str) -> str:
    return f"{PREFIXES}\n<{uri}> a lv2:Plugin ; lv2:binary <{PLUGIN}> ; rdfs:seeAlso <{TURTLE}> .\n"


def _turtle(filterset: FilterSet, uri: str, options: Options) -> str:
    sets = 1 if options.places is None else len(options.places.at)
    if any('"' in d or "\\" in d or "\n" in d for d in filterset.drivers):
        raise BadInput(f"driver names {filterset.drivers} hold a quote or backslash, which no plug-in port may have")
    ports = [
        *(_audio("Input", side, side.capitalize()) for side in ("left", "right")),
        *(
            _audio("Output", f"channel_{c}", f"{d} (channel {c})")
            for c, d in zip(filterset.channels, filterset.drivers, strict=True)
        ),
        _control("gain", "Gain", 0.0, -60.0, 6.0, "units:unit units:db"),
        _control("amount", "Centre amount", filterset.upmix.amount, 0.0, 1.0),
        _control("enabled", "Enabled", 1, 0, 1, "lv2:portProperty lv2:toggled ; lv2:designation lv2:enabled"),
        _control("set", "Filter set (0: nearest to the listener)", 0, 0, sets, "lv2:portProperty lv2:integer"),
        *_listener(options),
        _report("latency", "Latency", "lv2:designation lv2:latency ; lv2:portProperty lv2:reportsLatency, lv2:integer"),
        _report("guard", "Guard gain", "units:unit units:db"),
        _report("stopped", "Stopped by the guard (0: no)", "lv2:portProperty lv2:integer"),
        _report("spl_limiter", "SPL limiter gain", "units:unit units:db"),
    ]
    serial = re.sub(r'["\\]', "", filterset.unit_serial)
    body = " ,\n    ".join(f"[ lv2:index {i} ; {port} ]" for i, port in enumerate(ports))
    return f"""{PREFIXES}
<{uri}> a lv2:Plugin, lv2:SpatialPlugin, doap:Project ;
  doap:name "sweetspot {serial}" ;
  doap:license <http://opensource.org/licenses/MIT> ;
  doap:maintainer [ a <http://xmlns.com/foaf/0.1/Person> ; <http://xmlns.com/foaf/0.1/name> "sweetspot" ] ;
  lv2:minorVersion 4 ; lv2:microVersion 0 ;
  lv2:extensionData state:interface ;
  lv2:optionalFeature lv2:hardRTCapable, opts:options, urid:map ;
  opts:supportedOption bufsz:nominalBlockLength ;
  lv2:port {body} .
"""


def _audio(way: str, symbol: str, name: str) -> str:
    return f'a lv2:AudioPort, lv2:{way}Port ; lv2:symbol "{symbol}" ; lv2:name "{name}"'


def _control(symbol: str, name: str, usual: float, low: float, high: float, more: str = "") -> str:
    values = f"lv2:default {usual:g} ; lv2:minimum {low:g} ; lv2:maximum {high:g}"
    end = f" ; {more}" if more else ""
    return f'a lv2:ControlPort, lv2:InputPort ; lv2:symbol "{symbol}" ; lv2:name "{name}" ; {values}{end}'


def _report(symbol: str, name: str, more: str) -> str:
    return f'a lv2:ControlPort, lv2:OutputPort ; lv2:symbol "{symbol}" ; lv2:name "{name}" ; {more}'
