"""The whole processor as a C99 library: its sources, the unit's blob, and the blob as a header."""

from __future__ import annotations

from sweetspot.processor.engine import Engine
from sweetspot.processor.export.bundles import Bundle, description, notes
from sweetspot.processor.export.library import source_files, unit_blob
from sweetspot.processor.export.options import Options
from sweetspot.processor.filterset import FilterSet

LIBRARY = (
    *(
        "sweetspot.h",
        "fixed.h",
        "internal.h",
        "blob.c",
        "fft_step.h",
        "fft.c",
        "matrix.c",
        "upmix.c",
        "spl.c",
        "guard.c",
        "guard_rule.h",
        "spl_rule.h",
        "upmix_rule.h",
        "processor.c",
    ),
    *("fixed_internal.h", "fixed_upmix.c", "fixed_spl.c", "fixed_guard.c", "fixed.c", "Makefile"),
)
HOSTS = ("example.c", "jack.c")
BLOB, HEADER = "unit.blob", "unit_blob.h"


def bundle(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """Sources, blob, example and JACK client; ``make`` builds them.

    Raises
    ------
    BadInput
        The filter set is larger than the library takes, or has an upmix that it does not have.
    """
    options = options or Options()
    data = blob_of(filterset, options)
    made = source_files(*LIBRARY, *(f"hosts/{name}" for name in HOSTS))
    made |= {BLOB: data, HEADER: header(data), "filterset.json": description(filterset)}
    engine = Engine(filterset)
    lines = (
        notes(filterset)[0],
        "The whole processor: upmix, SPL limiter, filter matrix, guard, gain, bypass and crossfade, as `sweetspot "
        f"process` and `sweetspot play` have them. Latency {engine.latency} samples, and {filterset.delay_samples} of "
        "the filters.",
        f"The unit's data are in {BLOB} ({len(data)} bytes): flash it and hand it to sweetspot_check, which verifies "
        f"checksum, sizes and rate; {HEADER} holds the same bytes as a C array.",
    )
    return Bundle(
        made,
        lines,
        f"make && ./example {BLOB} IN.wav OUT.f32   (IN.wav: stereo, 32-bit float, {filterset.fs} Hz; JACK: make jack "
        f"&& ./sweetspot-jack {BLOB})",
    )


def blob_of(filterset: FilterSet, options: Options | None = None) -> bytes:
    """The unit's blob with the options' bypass, bands and places."""
    options = options or Options()
    return unit_blob(filterset, options.plain, options.limits, options.places)


def header(data: bytes) -> bytes:
    """The blob as a C array."""
    rows = (", ".join(map(str, data[i : i + 24])) for i in range(0, len(data), 24))
    lines = [
        "/* The unit's blob, for programs that have no file to read: sweetspot_check(sweetspot_unit, ...). */",
        "#ifndef SWEETSPOT_UNIT_BLOB_H",
        "#define SWEETSPOT_UNIT_BLOB_H",
        f"#define SWEETSPOT_UNIT_BYTES {len(data)}u",
        f"static const unsigned char sweetspot_unit[{len(data)}] = {{",
        ",\n".join(rows),
        "};",
        "#endif",
        "",
    ]
    return "\n".join(lines).encode()
