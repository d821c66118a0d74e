/* Filter matrix and linear upmix in Q31; see fixed.h. */
#include "fixed.h"
#include <math.h>
#include <string.h>

#define MOST_SHIFT 24u

struct sweetspot_fixed {
    uint32_t drivers, taps, shift, at;
    int32_t share, ceiling; /* a in Q31, ceiling in Q31 */
    int32_t *filters;       /* [driver][program][tap] */
    int32_t *heard;         /* [program][2 taps], each sample twice, so that no index wraps */
};

static float tap_at(const unsigned char *p)
{
    const uint32_t bits =
        (uint32_t) p[0] | ((uint32_t) p[1] << 8) | ((uint32_t) p[2] << 16) | ((uint32_t) p[3] << 24);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float tap_of(const sweetspot_info *info, uint32_t set, uint32_t program, uint32_t driver, uint32_t tap)
{
    const size_t row = ((size_t) set * SWEETSPOT_PROGRAMS + program) * info->drivers + driver;
    return tap_at(info->taps_at + 4u * (row * info->taps + tap));
}

static int32_t to_q31(double value)
{
    const double scaled = rint(value * 2147483648.0);
    return scaled >= 2147483647.0 ? INT32_MAX : (scaled <= -2147483648.0 ? INT32_MIN : (int32_t) scaled);
}

static size_t rounded(size_t bytes)
{
    return (bytes + 63u) & ~(size_t) 63u;
}

size_t sweetspot_fixed_memory(const sweetspot_info *info)
{
    const size_t filters = (size_t) SWEETSPOT_PROGRAMS * info->drivers * info->taps * sizeof(int32_t);
    return rounded(sizeof(sweetspot_fixed)) + rounded(filters)
         + rounded(2u * SWEETSPOT_PROGRAMS * (size_t) info->taps * sizeof(int32_t));
}

/* Largest sum of magnitudes of a driver's filters: what a full-scale input can make of it. */
static double largest(const sweetspot_info *info, uint32_t set)
{
    double most = 0.0;
    for (uint32_t d = 0; d < info->drivers; d++) {
        double sum = 0.0;
        for (uint32_t k = 0; k < SWEETSPOT_PROGRAMS * info->taps; k++) {
            sum += fabs((double) tap_of(info, set, k / info->taps, d, k % info->taps));
        }
        most = sum > most ? sum : most;
    }
    return most;
}

sweetspot_fixed *sweetspot_fixed_init(void *memory, size_t bytes, const sweetspot_info *info, uint32_t set, int *code)
{
    sweetspot_fixed *s = (sweetspot_fixed *) memory;
    unsigned char *room = (unsigned char *) memory;
    const int linear = info->method != (uint32_t) SWEETSPOT_OFF;
    double scale = 1.0, most;
    *code = SWEETSPOT_OK;
    if (memory == NULL || ((uintptr_t) memory & 63u) != 0u || bytes < sweetspot_fixed_memory(info)) {
        *code = SWEETSPOT_NO_MEMORY;
    } else if (set >= info->sets) {
        *code = SWEETSPOT_BAD_SIZE;
    }
    if (*code != SWEETSPOT_OK) {
        return NULL;
    }
    memset(s, 0, sizeof *s);
    most = largest(info, set);
    while (most * scale >= 0.999999 && s->shift < MOST_SHIFT) {
        scale *= 0.5;
        s->shift++;
    }
    if (!(most * scale < 1.0)) {
        *code = SWEETSPOT_BAD_SIZE;
        return NULL;
    }
    s->drivers = info->drivers;
    s->taps = info->taps;
    s->share = linear ? to_q31(0.5 * (double) info->amount) : 0;
    s->ceiling = to_q31((double) info->ceiling);
    s->filters = (int32_t *) (void *) (room + rounded(sizeof *s));
    s->heard = s->filters + rounded((size_t) SWEETSPOT_PROGRAMS * s->drivers * s->taps * sizeof(int32_t)) / 4u;
    for (uint32_t d = 0; d < s->drivers; d++) {
        for (uint32_t k = 0; k < SWEETSPOT_PROGRAMS * s->taps; k++) {
            s->filters[(size_t) d * SWEETSPOT_PROGRAMS * s->taps + k] =
                to_q31(scale * (double) tap_of(info, set, k / s->taps, d, k % s->taps));
        }
    }
    sweetspot_fixed_reset(s);
    return s;
}

void sweetspot_fixed_reset(sweetspot_fixed *s)
{
    memset(s->heard, 0, 2u * SWEETSPOT_PROGRAMS * (size_t) s->taps * sizeof(int32_t));
    s->at = 0u;
}

uint32_t sweetspot_fixed_shift(const sweetspot_fixed *s)
{
    return s->shift;
}

/* Division by a power of two, rounded to nearest; the right shift of a negative number is left to no compiler. */
static int64_t halved(int64_t value, uint32_t times)
{
    const int64_t divisor = (int64_t) 1 << times, half = times > 0u ? divisor / 2 : 0;
    return value >= 0 ? (value + half) / divisor : -((-value + half) / divisor);
}

static int32_t within(int64_t value, int32_t limit)
{
    return value > limit ? limit : (value < -(int64_t) limit ? -limit : (int32_t) value);
}

/* The newest sample of each program, newest first: C = a (L + R), L - C, R - C. */
static void take(sweetspot_fixed *s, int32_t left, int32_t right)
{
    const int64_t sum = (int64_t) left + right;
    const int64_t centre = halved(sum * s->share, 31u);
    const int32_t programs[SWEETSPOT_PROGRAMS] = {within(left - centre, INT32_MAX), within(right - centre, INT32_MAX),
                                                  within(centre, INT32_MAX)};
    s->at = s->at == 0u ? s->taps - 1u : s->at - 1u;
    for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
        int32_t *ring = s->heard + 2u * (size_t) p * s->taps + s->at;
        ring[0] = programs[p];
        ring[s->taps] = programs[p];
    }
}

void sweetspot_fixed_process(sweetspot_fixed *s, const int32_t *const *in, int32_t *const *out, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        take(s, in[0][k], in[1][k]);
        for (uint32_t d = 0; d < s->drivers; d++) {
            const int32_t *h = s->filters + (size_t) d * SWEETSPOT_PROGRAMS * s->taps;
            int64_t sum = 0;
            for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++, h += s->taps) {
                const int32_t *x = s->heard + 2u * (size_t) p * s->taps + s->at;
                for (uint32_t t = 0; t < s->taps; t++) {
                    sum += (int64_t) h[t] * x[t];
                }
            }
            out[d][k] = within(halved(sum, 31u - s->shift), s->ceiling);
        }
    }
}
