"""Firmware: C headers with float32 and Q31 filters, a reference vector, and a C program with a self-test."""

from __future__ import annotations

from typing import Any

import numpy as np

from sweetspot.processor.export.bundles import Bundle, description, notes
from sweetspot.processor.export.options import Options
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.partition import PartitionedMatrix
from sweetspot.rigs.units import Real

HEADER, REFERENCE, PROGRAM = "sweetspot_filters.h", "sweetspot_reference.h", "check.c"
SAMPLES = 256
"""Samples of the reference that follow the filters' length."""


def bundle(filterset: FilterSet, options: Options | None = None) -> Bundle:
    """All programs, the centre included, since firmware can have its own upmix.

    Coefficients lie in the order of CMSIS-DSP, last tap first. Q31 ones are scaled by a power of two, so
    that no sum of products passes full scale; outputs are to be shifted back by ``SWEETSPOT_SHIFT``.
    """
    files = {
        HEADER: _header(filterset).encode(),
        REFERENCE: _reference(filterset).encode(),
        PROGRAM: CHECK.encode(),
        "filterset.json": description(filterset),
    }
    u = filterset.upmix
    lines = (
        notes(filterset)[0],
        f"Programs: {', '.join(filterset.programs)}. The upmix ({u.method}, window {u.window}, hop {u.hop}) is not "
        "part of the bundle: without one, feed left and right and leave the centre silent.",
        "Guard and SPL limiter are not part of it: hold each driver under its sweetspot_limits (full scale = 1).",
        "Taps are stored last first ({b[N-1] ... b[0]}), as CMSIS-DSP's arm_fir_f32 and arm_fir_q31 expect them.",
    )
    return Bundle(files, lines, f"cc -O2 -o check {PROGRAM} -lm && ./check")


def shift(filterset: FilterSet) -> int:
    """Power of two that brings the sum of magnitudes over programs and taps of every driver under 1."""
    largest = float(np.abs(filterset.taps).sum(axis=(0, 2)).max())
    return max(int(np.ceil(np.log2(max(largest, 1e-9) * (1.0 + 1e-9)))), 0)


def _header(filterset: FilterSet) -> str:
    reverse = filterset.taps[:, :, ::-1]
    scaled = np.clip(np.rint(reverse * 2.0 ** (31 - shift(filterset))), -(2**31), 2**31 - 1).astype(np.int64)
    programs, drivers, taps = filterset.taps.shape
    size = "[SWEETSPOT_PROGRAMS][SWEETSPOT_DRIVERS][SWEETSPOT_TAPS]"
    return "\n".join(
        [
            "/* Filters, last tap first. */",
            "#ifndef SWEETSPOT_FILTERS_H",
            "#define SWEETSPOT_FILTERS_H",
            "#include <stdint.h>",
            f"#define SWEETSPOT_FS {filterset.fs}",
            f"#define SWEETSPOT_PROGRAMS {programs} /* {', '.join(filterset.programs)} */",
            f"#define SWEETSPOT_DRIVERS {drivers}",
            f"#define SWEETSPOT_TAPS {taps}",
            f"#define SWEETSPOT_DELAY {filterset.delay_samples} /* samples, inside the filters */",
            f"static const int sweetspot_channels[SWEETSPOT_DRIVERS] = {{{', '.join(map(str, filterset.channels))}}};",
            f"#define SWEETSPOT_CEILING {filterset.ceiling!r}f",
            "/* largest sample of each driver, for the limiter behind the filters */",
            f"static const float sweetspot_limits[SWEETSPOT_DRIVERS] = {_braced(np.array(filterset.limits), _float)};",
            f"#define SWEETSPOT_SHIFT {shift(filterset)} /* left shift of Q31 outputs */",
            f"static const float sweetspot_f32{size} = {_braced(reverse, _float)};",
            f"static const int32_t sweetspot_q31{size} = {_braced(scaled, _integer)};",
            "#endif",
            "",
        ]
    )


def _reference(filterset: FilterSet) -> str:
    """Seeded noise and an impulse on each program, and the expected output of every driver."""
    samples = filterset.length + SAMPLES
    rng = np.random.default_rng(1)
    x = rng.uniform(-0.25, 0.25, (len(filterset.programs), samples))
    x[np.arange(len(x)), np.arange(len(x))] = 0.9
    x = np.rint(x * 2**20) / 2**20
    y = PartitionedMatrix(filterset.taps, 1024).process(x)
    return "\n".join(
        [
            "/* What the filters must answer. */",
            f"#define SWEETSPOT_SAMPLES {samples}",
            f"static const float sweetspot_in[SWEETSPOT_PROGRAMS][SWEETSPOT_SAMPLES] = {_braced(x, _float)};",
            f"static const double sweetspot_out[SWEETSPOT_DRIVERS][SWEETSPOT_SAMPLES] = {_braced(y, _double)};",
            "",
        ]
    )


def _braced(values: Real, written: Any) -> str:
    if values.ndim > 1:
        return "{\n" + ",\n".join(_braced(v, written) for v in values) + "}"
    rows = [", ".join(written(v) for v in values[i : i + 8]) for i in range(0, len(values), 8)]
    return "{" + ",\n".join(rows) + "}"


def _float(v: float) -> str:
    return f"{np.float32(v):.9e}f"


def _double(v: float) -> str:
    return f"{v:.17e}"


def _integer(v: int) -> str:
    return "INT32_MIN" if v == -(2**31) else str(v)


CHECK = r"""/* Runs the filters on the reference and prints the error; it must stay below -120 dB, in Q31 -125 dB. */
#include "sweetspot_filters.h"
#include "sweetspot_reference.h"
#include <math.h>
#include <stdio.h>

#define LANES 8

/* One driver, one sample, float: several sums, as a vector unit does it, so that rounding stays small. */
static float fir_f32 (int driver, int n)
{
    float sum[LANES] = {0}, total = 0.0f;
    for (int p = 0; p < SWEETSPOT_PROGRAMS; p++)
        for (int k = 0; k < SWEETSPOT_TAPS && k <= n; k++)
            sum[k % LANES] += sweetspot_f32[p][driver][SWEETSPOT_TAPS - 1 - k] * sweetspot_in[p][n - k];
    for (int i = 0; i < LANES; i++) total += sum[i];
    return total;
}

/* The same in Q31, 64-bit sum. */
static double fir_q31 (int driver, int n)
{
    int64_t sum = 0;
    for (int p = 0; p < SWEETSPOT_PROGRAMS; p++)
        for (int k = 0; k < SWEETSPOT_TAPS && k <= n; k++)
            sum += (int64_t) sweetspot_q31[p][driver][SWEETSPOT_TAPS - 1 - k]
                 * (int32_t) lrint (sweetspot_in[p][n - k] * 2147483648.0);
    return ldexp ((double) (sum >> 31), SWEETSPOT_SHIFT - 31);
}

int main (void)
{
    double f32 = 0.0, q31 = 0.0, wanted = 0.0;
    for (int d = 0; d < SWEETSPOT_DRIVERS; d++)
        for (int n = 0; n < SWEETSPOT_SAMPLES; n++)
        {
            const double y = sweetspot_out[d][n];
            f32 += pow (fir_f32 (d, n) - y, 2);
            q31 += pow (fir_q31 (d, n) - y, 2);
            wanted += y * y;
        }
    f32 = 10.0 * log10 (f32 / wanted + 1e-30);
    q31 = 10.0 * log10 (q31 / wanted + 1e-30);
    printf ("float32 %.1f dB\nq31 %.1f dB\n", f32, q31);
    return f32 < -120.0 && q31 < -125.0 ? 0 : 1;
}
"""
