/* Internal header of the fixed-point form. */
#ifndef SWEETSPOT_FIXED_INTERNAL_H
#define SWEETSPOT_FIXED_INTERNAL_H

#include "fixed.h"
#include "internal.h"

/* All shifts of negative numbers to the right must keep the sign, as every compiler in use does. */
typedef char sf_arithmetic_shift_is_needed[((-1) >> 1) == -1 ? 1 : -1];

#define SF_ONE ((int64_t) 1 << 31)

int32_t *sf_take(ss_arena *arena, size_t words);
int64_t *sf_take_long(ss_arena *arena, size_t words);
int32_t sf_q31(double value);

static inline int32_t sf_clamped(int64_t value, int64_t limit)
{
    return (int32_t) (value > limit ? limit : (value < -limit ? -limit : value));
}

static inline int32_t sf_saturated(int64_t value)
{
    return sf_clamped(value, INT32_MAX);
}

/* v / 2^bits, rounded to nearest; bits from 1 on. */
static inline int64_t sf_shifted(int64_t v, uint32_t bits)
{
    return (v + ((int64_t) 1 << (bits - 1u))) >> bits;
}

/* A sample times a number in Q31. */
static inline int32_t sf_times(int32_t v, int32_t q)
{
    return (int32_t) sf_shifted((int64_t) v * q, 31u);
}

/* A long number times a 32-bit one, over 2^bits (30 or 31) and rounded, without leaving 64 bits. */
static inline int64_t sf_long_scaled(int64_t v, int64_t q, uint32_t bits)
{
    const int64_t rest = v & (((int64_t) 1 << bits) - 1);
    return (v >> bits) * q + sf_shifted(rest * q, bits);
}

/* The same with one in Q31, not above 1. */
static inline int64_t sf_long_times(int64_t v, int64_t q)
{
    return sf_long_scaled(v, q, 31u);
}

/* Largest whole number whose square is not above v. */
static inline int64_t sf_root(int64_t v)
{
    int64_t rest = v, found = 0, bit = (int64_t) 1 << 62;
    while (bit > rest) {
        bit >>= 2;
    }
    for (; bit != 0; bit >>= 2) {
        if (rest >= found + bit) {
            rest -= found + bit;
            found = (found >> 1) + bit;
        } else {
            found >>= 1;
        }
    }
    return found;
}

/* Stereo to left, right, centre (Q30); see fixed_upmix.c. */
typedef struct {
    uint32_t method, window, hop, span, waiting, at, spare;  /* spare: bits that averages are scaled down by */
    int32_t amount, decay;
    int32_t *shape;      /* [window] Q31 */
    int32_t *synthesis;  /* [span] Q28 */
    int32_t *fold;       /* [2][window / 2] exp(j pi n / window), Q31 */
    int32_t *turn;       /* [2][window / 4] exp(j 4 pi n / window), Q31 */
    int32_t *heard;      /* [2][window], a ring of hops */
    int32_t *spectra;    /* [mid re, mid im, side re, side im][window / 2] */
    int64_t *averages;   /* [5][window / 2] */
    int32_t *open;       /* [span] */
    int32_t *ready;      /* [3][hop] */
} sf_upmix;

void sf_upmix_layout(sf_upmix *u, ss_arena *arena, const sweetspot_info *info);
void sf_upmix_tables(sf_upmix *u, const sweetspot_info *info);
void sf_upmix_reset(sf_upmix *u);
void sf_upmix_process(sf_upmix *u, const int32_t *const *in, int32_t *const *out, uint32_t n);

/* Turns the programs down, as ss_spl does; levels over the limit are Q24, gains Q31, reductions Q62. */
typedef struct {
    uint32_t taps, part, at, count, spare;  /* spare: bits that squares are scaled down by */
    int runs;
    int32_t fast, slow, left, least;
    int64_t reduction, step, held;
    int64_t powers[4][SWEETSPOT_PROGRAMS];
    int32_t unit[SWEETSPOT_FORMS + 1u][SWEETSPOT_PROGRAMS]; /* level of a root of power 1: programs' by form, detectors', Q31 */
    int32_t bits[SWEETSPOT_FORMS + 1u][SWEETSPOT_PROGRAMS]; /* times two to so many */
    int32_t *past[SWEETSPOT_PROGRAMS], *detectors[SWEETSPOT_FORMS][SWEETSPOT_PROGRAMS], *made;
} sf_spl;

void sf_spl_layout(sf_spl *s, ss_arena *arena, const sweetspot_info *info);
void sf_spl_tables(sf_spl *s, const sweetspot_info *info);
void sf_spl_reset(sf_spl *s);
void sf_spl_process(sf_spl *s, int32_t *const *x, uint32_t n, uint32_t form, int64_t gain);

/* One band of the guard; the names are those of ss_band, reductions in Q31 and Q62. */
typedef struct {
    uint32_t quiet, count, passed, slot;
    int32_t now, last, longest, steady, needs[SS_WINDOWS];
    int64_t fast, slow;
    int32_t *line, *taken, *voice, *share;
} sf_band;

typedef struct {
    uint32_t drivers, look, reach, window, stopper, limited;
    int32_t pole, release, rate, least_gain;
    int64_t offset_share;   /* of a sample, Q47 */
    int stopped;
    int32_t *average, *ceilings, *low;
    int64_t *mean;          /* [2][driver] samples times 2^16, ahead of the limiter and behind it */
    sf_band band[SS_BANDS];
} sf_guard;

void sf_guard_layout(sf_guard *g, ss_arena *arena, const sweetspot_info *info);
void sf_guard_tables(sf_guard *g, const sweetspot_info *info, uint32_t headroom);
void sf_guard_reset(sf_guard *g);
void sf_guard_process(sf_guard *g, int32_t *const *y, uint32_t n);

#endif
