/* The guard in fixed point: guard_rule.h as in guard.c, with samples in one unit throughout and reductions in Q31. */
#include "fixed_internal.h"
#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;
static const double RELEASE = 0.03, SLOW = 0.15, LOW = 1500.0, OFFSET_TIME = 0.5;
static const int64_t FORGOTTEN = (int64_t) 461168601842; /* 1e-7 in Q62 */
static const int64_t MOST_LOW = 644245094; /* 0.3 in Q31 */

/* 1 - exp(-x), Q31, for x from 0 to about 1. */
static int64_t risen(int64_t x)
{
    int64_t sum = 0;
    for (int64_t k = 16; k > 0; k--) {
        sum = sf_long_times(SF_ONE - sum, x) / k;
    }
    return sum;
}

/* Stop on a driver signal whose mean over about half a second is an offset. */
static void judge(sf_guard *g, int32_t *const *y, uint32_t n, int64_t *mean)
{
    for (uint32_t first = 0; first < n; first += SS_STRETCH) {
        const uint32_t count = n - first < SS_STRETCH ? n - first : SS_STRETCH;
        const int64_t part = risen((count * g->offset_share) >> 16);
        for (uint32_t d = 0; d < g->drivers && g->stopped == SWEETSPOT_RUNNING; d++) {
            int64_t total = 0, size;
            for (uint32_t k = 0; k < count; k++) {
                total += y[d][first + k];
            }
            mean[d] += sf_long_times(total * 65536 / (int64_t) count - mean[d], part);
            size = mean[d] < 0 ? -mean[d] : mean[d];
            if (size > (int64_t) g->ceilings[d] * 32768) {
                g->stopped = SWEETSPOT_OFFSET;
                g->stopper = d;
            }
        }
    }
}

static void low_pass(sf_guard *g, int32_t *const *y, uint32_t first, uint32_t n)
{
    for (uint32_t d = 0; d < g->drivers; d++) {
        int32_t *p = g->band[0].share + (size_t) d * g->reach + g->look, z = g->low[d];
        const int32_t *x = y[d] + first;
        for (uint32_t k = 0; k < n; k++) {
            z += (int32_t) sf_shifted(((int64_t) x[k] - z) * g->pole, 31u);
            p[k] = z;
        }
        g->low[d] = z;
    }
}

static void need(int32_t *taken, const int32_t *voice, const int32_t *share, int32_t c, int64_t most, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        const int64_t size = voice[k] < 0 ? -(int64_t) voice[k] : voice[k];
        const int64_t part = share[k] < 0 ? -(int64_t) share[k] : share[k];
        if (size > c && part > 0 && (voice[k] < 0) == (share[k] < 0)) {
            const int64_t whole = size - c < part ? (size - c) * SF_ONE / part : SF_ONE;
            const int64_t twice = 2 * part < size ? 2 * part * SF_ONE / size : SF_ONE;
            const int64_t bound = (most * twice) >> 31, asked = whole < bound ? whole : bound;
            taken[k] = asked > taken[k] ? sf_saturated(asked) : taken[k];
        }
    }
}

/* Update both reductions by one sample with the need `largest`; returns whether any reduction remains. */
static int followed(const sf_guard *g, sf_band *m, int32_t largest)
{
    const int64_t peak = (int64_t) largest * SF_ONE;
    m->fast = sf_long_times(m->fast, g->release);
    m->fast = peak > m->fast ? peak : m->fast;
    m->slow += sf_long_times((int64_t) m->steady * SF_ONE - m->slow, g->rate);
    m->fast = m->fast > FORGOTTEN ? m->fast : 0;
    m->slow = m->slow > FORGOTTEN ? m->slow : 0;
    return m->fast > 0 || m->slow > 0;
}

static int32_t reduced(const sf_band *m)
{
    return (int32_t) ((m->fast > m->slow ? m->fast : m->slow) >> 31);
}

static void apply(int32_t *row, const int32_t *taken, const int32_t *share, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        row[k] = sf_saturated((int64_t) row[k] - sf_times(share[k], taken[k]));
    }
}

/* Averaged reduction of each sample of the piece. */
static void averaged(const sf_guard *g, sf_band *m, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        int64_t sum = 0;
        for (uint32_t j = 0; j <= g->look; j++) {
            sum += (int64_t) g->average[j] * m->line[j + k];
        }
        m->taken[k] = sf_saturated(sf_shifted(sum, 31u));
    }
}

static void clip(sf_guard *g, int32_t *const *y, uint32_t first, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        int64_t least = SF_ONE;
        for (uint32_t b = 0; b < SS_BANDS; b++) {
            least = (least * (SF_ONE - g->band[b].taken[k])) >> 31;
        }
        g->least_gain = least < g->least_gain ? (int32_t) least : g->least_gain;
        g->limited += least < SF_ONE - (FORGOTTEN >> 31) ? 1u : 0u;
    }
    for (uint32_t d = 0; d < g->drivers; d++) {
        for (uint32_t k = 0; k < n; k++) {
            y[d][first + k] = sf_clamped(y[d][first + k], g->ceilings[d]);
        }
    }
}

#define GUARD sf_guard
#define BAND sf_band
#define SAMPLE int32_t
#define MEAN int64_t
#define UNITY INT32_MAX
#define MOST SF_ONE
#define NAME(x) sf_##x
#define TAKE sf_take
#define TAKE_MEAN sf_take_long
#define LOUD(x, c) ((x) > (c) || (x) < -(c))
#include "guard_rule.h"

void sf_guard_tables(sf_guard *g, const sweetspot_info *info, uint32_t headroom)
{
    double sum = 0.0;
    g->release = sf_q31(exp(-1.0 / (RELEASE * info->rate)));
    g->rate = sf_q31(1.0 - exp(-1.0 / (SLOW * info->rate)));
    g->pole = sf_q31(1.0 - exp(-2.0 * PI * LOW / info->rate));
    g->offset_share = (int64_t) rint(140737488355328.0 / (OFFSET_TIME * info->rate));
    for (uint32_t d = 0; d < g->drivers; d++) {
        g->ceilings[d] = (int32_t) floor((double) info->ceilings[d] * 2147483647.0) >> headroom;
    }
    for (uint32_t n = 0; n <= g->look; n++) {
        sum += 0.5 - 0.5 * cos(2.0 * PI * (n + 1u) / (g->look + 2u));
    }
    for (uint32_t n = 0; n <= g->look; n++) {
        g->average[n] = sf_q31((0.5 - 0.5 * cos(2.0 * PI * (n + 1u) / (g->look + 2u))) / sum);
    }
    sf_guard_reset(g);
}
