/* The SPL limiter in fixed point: the rule of spl.c, with detectors scaled so that no sum of theirs can pass 32 bits.
 *
 * A root of power is in steps of 2^-30 of a program, as programs and detectors' outputs are; `unit` and `bits` make a level over
 * the limit of it.
 */
#include "fixed_internal.h"
#include <math.h>
#include <string.h>

#define LEVEL_BITS 24
#define MOST_BITS 27
#define DETECTED SWEETSPOT_FORMS

static const double FAST = 0.005, SLOW = 0.04, RELEASE = 0.1;
static const int64_t ROOM = 1518500250;                    /* half the root of 2 in Q31: 3 dB for the fast level */
static const int64_t LIMIT = (int64_t) 1 << LEVEL_BITS;
static const int64_t NEAR_LIMIT = 15099494, FAR_LIMIT = 8388608; /* 0.9 and 0.5 of it */
static const int64_t NONE = (int64_t) 461168601842;        /* 1e-7 in Q62 */
static const int64_t WHOLE = (int64_t) 1 << 62;

static double tap_at(const sweetspot_info *info, uint32_t form, uint32_t p, uint32_t k)
{
    const size_t row = (size_t) form * SWEETSPOT_PROGRAMS + p;
    return (double) ss_float_at(info->detectors_at + 4u * (row * info->detector_taps + k));
}

/* Bits that a program's detectors amplify by at most, in any form: then a change of form changes no scale. */
static int amplified(const sweetspot_info *info, uint32_t p)
{
    double most = 0.0;
    int bits;
    for (uint32_t form = 0; form < SWEETSPOT_FORMS; form++) {
        double sum = 0.0;
        for (uint32_t k = 0; k < info->detector_taps; k++) {
            sum += fabs(tap_at(info, form, p, k));
        }
        most = sum > most ? sum : most;
    }
    (void) frexp(most, &bits);
    return bits;
}

/* Keep a factor as a number below 1 and a power of two. */
static void keep(sf_spl *s, uint32_t which, uint32_t p, double factor)
{
    int bits;
    s->unit[which][p] = sf_q31(frexp(factor, &bits));
    s->bits[which][p] = bits + LEVEL_BITS - 30;
}

void sf_spl_tables(sf_spl *s, const sweetspot_info *info)
{
    const double part = (double) s->part / info->rate;
    double mean;
    s->fast = sf_q31(1.0 - exp(-part / FAST));
    s->slow = sf_q31(1.0 - exp(-part / SLOW));
    s->left = sf_q31(exp(-part / RELEASE));
    for (s->spare = 1u; (1u << s->spare) < s->part;) {
        s->spare++;
    }
    mean = sqrt((double) (1u << s->spare) / s->part);
    for (uint32_t p = 0; s->taps > 0u && p < SWEETSPOT_PROGRAMS; p++) {
        const int bits = amplified(info, p);
        for (uint32_t form = 0; form < SWEETSPOT_FORMS; form++) {
            for (uint32_t k = 0; k < s->taps; k++) {
                s->detectors[form][p][s->taps - 1u - k] = sf_q31(ldexp(tap_at(info, form, p, k), -bits));
            }
            keep(s, form, p, mean * (double) info->largest[form][p]);
        }
        keep(s, DETECTED, p, ldexp(mean, bits));
    }
}

/* Sum of the squares of a part over 2^spare, at most 2^62. */
static int64_t squares(const sf_spl *s, const int32_t *x)
{
    int64_t sum = 0;
    for (uint32_t k = 0; k < s->part; k++) {
        sum += sf_shifted((int64_t) x[k] * x[k], s->spare);
    }
    return sum;
}

static void detected(const sf_spl *s, const int32_t *voice, const int32_t *taps)
{
    for (uint32_t i = 0; i < s->part; i++) {
        int64_t sum = 0;
        for (uint32_t k = 0; k < s->taps; k++) {
            sum += (int64_t) taps[k] * voice[i + k];
        }
        s->made[i] = sf_saturated(sf_shifted(sum, 31u));
    }
}

/* Level of a power, Q24, at most 2^58; the root is taken of a number that fills its bits. */
static int64_t level_of(const sf_spl *s, uint32_t which, uint32_t p, int64_t power)
{
    int32_t bits = s->bits[which][p];
    int64_t found;
    if (power <= 0) {
        return 0;
    }
    for (; power < WHOLE / 4; power *= 4) {
        bits--;
    }
    found = (sf_root(power) * s->unit[which][p]) >> 31;
    if (bits < 0) {
        return bits > -31 ? found >> -bits : 0;
    }
    return found << (bits < MOST_BITS ? bits : MOST_BITS);
}

static int64_t level(int64_t fast, int64_t slow, int64_t gain)
{
    const int64_t most = sf_long_times(fast, ROOM);
    return sf_long_times(slow > most ? slow : most, gain);
}

/* Follow the power of a program, or of what its detector makes, and add its levels in units of row `which`. */
static void follow(sf_spl *s, uint32_t which, uint32_t p, const int32_t *x, int64_t *fast, int64_t *slow)
{
    const uint32_t row = which == DETECTED ? 2u : 0u;
    const int64_t power = squares(s, x);
    s->powers[row][p] += sf_long_times(power - s->powers[row][p], s->fast);
    s->powers[row + 1u][p] += sf_long_times(power - s->powers[row + 1u][p], s->slow);
    *fast += level_of(s, which, p, s->powers[row][p]);
    *slow += level_of(s, which, p, s->powers[row + 1u][p]);
}

static void followed(sf_spl *s, uint32_t form, int64_t gain)
{
    int64_t fast = 0, slow = 0, bound, found, falling;
    for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
        follow(s, form, p, s->past[p] + s->taps - 1u + s->at, &fast, &slow);
    }
    bound = level(fast, slow, gain);
    s->runs = bound > NEAR_LIMIT || (bound > FAR_LIMIT && s->runs);
    fast = slow = 0;
    for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
        if (s->runs) {
            detected(s, s->past[p] + s->at, s->detectors[form][p]);
            follow(s, DETECTED, p, s->made, &fast, &slow);
        } else {
            s->powers[2][p] = s->powers[3][p] = 0;
        }
    }
    found = level(fast, slow, gain);
    found = found > LIMIT ? WHOLE - (WHOLE / found) * LIMIT : 0;
    falling = sf_long_times(s->held, s->left);
    s->reduction = s->held;
    s->held = found > falling ? found : falling;
    s->held = s->held > NONE ? s->held : 0;
    s->step = (s->held - s->reduction) / (int64_t) s->part;
}

static void turn_down(sf_spl *s, int32_t *const *x, uint32_t first, uint32_t n)
{
    int64_t least;
    for (uint32_t i = 0; i < n; i++) {
        const int64_t gain = (WHOLE - (s->reduction + s->step * (int64_t) (i + 1u))) >> 31;
        for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
            x[p][first + i] = sf_saturated(sf_shifted(x[p][first + i] * gain, 31u));
        }
    }
    s->reduction += s->step * (int64_t) n;
    least = (WHOLE - s->reduction) >> 31;
    s->least = least < s->least ? (int32_t) least : s->least;
}

#define SPL sf_spl
#define SAMPLE int32_t
#define GAIN int64_t
#define UNITY INT32_MAX
#define NAME(x) sf_##x
#define TAKE sf_take
#include "spl_rule.h"
