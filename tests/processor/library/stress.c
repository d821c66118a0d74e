/* Plays noise, square waves, silence, offsets and values that are no numbers for so many seconds of sound, in ragged
 * pieces, while every control moves; ends with 1 if a sample passes the ceiling or is no number. */
#include "sweetspot.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 700u

static uint32_t seed = 1u;

static uint32_t chance(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static float sample(uint32_t kind, uint32_t n)
{
    switch (kind) {
    case 0u:
        return (float) chance(20001u) / 10000.0f - 1.0f;
    case 1u:
        return n / 50u % 2u == 0u ? 1.0f : -1.0f;
    case 2u:
        return 0.0f;
    case 3u:
        return 1e-39f;
    case 4u:
        return 0.9f;
    default:
        return n == 100u ? (chance(2u) == 0u ? NAN : INFINITY) : 0.1f;
    }
}

int main(int argc, char **argv)
{
    FILE *f = argc == 3 ? fopen(argv[1], "rb") : NULL;
    static unsigned char blob[1u << 22];
    static float x[2][MOST], y[SWEETSPOT_MAX_DRIVERS][MOST];
    float *out[SWEETSPOT_MAX_DRIVERS];
    const float *const in[2] = {x[0], x[1]};
    sweetspot_info info;
    int code = f == NULL ? -1 : sweetspot_check(blob, fread(blob, 1, sizeof blob, f), 0u, &info);
    if (code != SWEETSPOT_OK || f == NULL) {
        return 2;
    }
    (void) fclose(f);
    const size_t bytes = sweetspot_memory(&info, 64u);
    unsigned char *memory = (unsigned char *) malloc(bytes + 64u);
    sweetspot *s = sweetspot_init(memory + (64u - (uintptr_t) memory % 64u) % 64u, bytes, &info, 64u, &code);
    const double wanted = atof(argv[2]) * info.rate;
    uint32_t stops = 0u, kind = 0u, n;
    for (uint32_t d = 0; d < SWEETSPOT_MAX_DRIVERS; d++) {
        out[d] = y[d];
    }
    for (double done = 0.0; s != NULL && done < wanted; done += n) {
        n = chance(MOST + 1u);
        kind = chance(40u) == 0u ? chance(6u) : kind;
        for (uint32_t k = 0; k < n; k++) {
            x[0][k] = sample(kind, k);
            x[1][k] = kind == 0u ? sample(kind, k) : x[0][k];
        }
        if (chance(20u) == 0u) {
            sweetspot_set_amount(s, (float) chance(101u) / 100.0f);
            sweetspot_set_gain(s, (float) chance(200u) / 100.0f, 0.02f);
            sweetspot_set_bypass(s, (int) chance(2u), 0.03f);
            sweetspot_select(s, chance(info.sets), 0.05f);
            (void) sweetspot_set_listener(s, (float) chance(400u) / 100.0f, (float) chance(200u) / 100.0f - 1.0f,
                                          chance(3u) == 0u ? NAN : (float) chance(720u) - 360.0f, 0.03f);
        }
        sweetspot_process(s, in, out, n);
        for (uint32_t k = 0; k < n * info.drivers; k++) {
            if (!(fabsf(y[k % info.drivers][k / info.drivers]) <= info.ceilings[k % info.drivers])) {
                (void) printf("driver %u plays %g\n", (unsigned) (k % info.drivers),
                              (double) y[k % info.drivers][k / info.drivers]);
                return 1;
            }
        }
        if (sweetspot_stopped(s) != SWEETSPOT_RUNNING) {
            stops++;
            kind = 0u;
            sweetspot_reset(s);
        }
    }
    (void) printf("%u stops\n", (unsigned) stops);
    free(memory);
    return s == NULL ? 3 : 0;
}
