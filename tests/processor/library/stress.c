/* Plays noise, square waves, silence, offsets and values that are no numbers for so many seconds of sound, in ragged
 * pieces, while every control moves; ends with 1 if a sample passes its driver's ceiling or is no number. Every fourth
 * piece goes through the fixed-point form too. */
#include "fixed.h"
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

static unsigned char *rooms[2];

static void *room_for(size_t bytes, int which)
{
    unsigned char *memory = rooms[which] = (unsigned char *) malloc(bytes + 64u);
    return memory == NULL ? NULL : memory + (64u - (uintptr_t) memory % 64u) % 64u;
}

static uint32_t fixed_stops = 0u;

/* The same piece in Q31; 1 if a sample passes. */
static int fixed_piece(sweetspot_fixed *s, const sweetspot_info *info, float (*x)[MOST], uint32_t n)
{
    static int32_t q[2][MOST], y[SWEETSPOT_MAX_DRIVERS][MOST];
    const int32_t *const in[2] = {q[0], q[1]};
    int32_t *out[SWEETSPOT_MAX_DRIVERS];
    for (uint32_t d = 0; d < SWEETSPOT_MAX_DRIVERS; d++) {
        out[d] = y[d];
    }
    for (uint32_t k = 0; k < 2u * n; k++) {
        const float v = x[k % 2u][k / 2u];
        q[k % 2u][k / 2u] = v >= 1.0f ? INT32_MAX : (v > -1.0f ? (int32_t) (v * 2147483648.0f) : INT32_MIN);
    }
    if (chance(5u) == 0u) {
        sweetspot_fixed_set_amount(s, (int32_t) chance(1u << 20) << 11);
        sweetspot_fixed_set_gain(s, chance(2u) == 0u ? INT32_MAX : (int32_t) chance(1u << 20) << 11, 900u);
        sweetspot_fixed_set_bypass(s, (int) chance(2u), 1400u);
        sweetspot_fixed_select(s, chance(info->sets), 2000u);
    }
    sweetspot_fixed_process(s, in, out, n);
    for (uint32_t k = 0; k < n * info->drivers; k++) {
        const uint32_t d = k % info->drivers;
        if (fabs((double) y[d][k / info->drivers]) > (double) info->ceilings[d] * 2147483648.0) {
            (void) printf("driver %u plays %d in Q31\n", (unsigned) d, (int) y[d][k / info->drivers]);
            return 1;
        }
    }
    if (sweetspot_fixed_stopped(s) != SWEETSPOT_RUNNING) {
        fixed_stops++;
        sweetspot_fixed_reset(s);
    }
    return 0;
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
    const size_t bytes = sweetspot_memory(&info, 64u), fixed_bytes = sweetspot_fixed_memory(&info, 128u);
    sweetspot *s = sweetspot_init(room_for(bytes, 0), bytes, &info, 64u, &code);
    sweetspot_fixed *f31 = sweetspot_fixed_init(room_for(fixed_bytes, 1), fixed_bytes, &info, 128u, &code);
    if (s == NULL || f31 == NULL) {
        return 3;
    }
    const double wanted = atof(argv[2]) * info.rate;
    uint32_t stops = 0u, kind = 0u, n;
    for (uint32_t d = 0; d < SWEETSPOT_MAX_DRIVERS; d++) {
        out[d] = y[d];
    }
    for (double done = 0.0; done < wanted; done += n) {
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
        if (chance(4u) == 0u && fixed_piece(f31, &info, x, n)) {
            return 1;
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
    (void) printf("%u stops, %u in Q31\n", (unsigned) stops, (unsigned) fixed_stops);
    free(rooms[0]);
    free(rooms[1]);
    return 0;
}
