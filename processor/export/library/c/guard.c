/* A look-ahead gain per band under the drivers' ceilings, and a stop for faults: sweetspot/processor/dynamics/guard.py.
 *
 * The same rule, function by function: change both together. The low band is taken from
 * first, then the whole. All drivers share the gain: differences between drivers are kept. Where no driver passes
 * its ceiling the guard is a pure delay, bit for bit.
 */
#include "internal.h"
#include <math.h>
#include <string.h>

SS_FAST

static const double PI = 3.14159265358979323846;
static const double RELEASE = 0.03, SLOW = 0.15, LOW = 1500.0, OFFSET_TIME = 0.5;
static const float MOST_LOW = 0.3f, OFFSET_SHARE = 0.5f;
static const double FORGOTTEN = 1e-7;

/* Sum in eight independent parts; not finite if a sample is not. */
static float sum_of(const float *x, uint32_t n)
{
    float part[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f}, rest = 0.0f;
    uint32_t k = 0u;
    for (; k + 8u <= n; k += 8u) {
        for (uint32_t j = 0; j < 8u; j++) {
            part[j] += x[k + j];
        }
    }
    for (; k < n; k++) {
        rest += x[k];
    }
    for (uint32_t j = 0; j < 8u; j++) {
        rest += part[j];
    }
    return rest;
}

int ss_finite(const float *x, uint32_t n)
{
    float worst = 0.0f;
    for (uint32_t k = 0; k < n; k++) {
        worst += x[k] * 0.0f;
    }
    return worst == 0.0f;
}

/* 1 - exp(-x) for x from 0 to about 1. */
static double risen(double x)
{
    double sum = 0.0;
    for (uint32_t k = 16u; k > 0u; k--) {
        sum = (1.0 - sum) * x / k;
    }
    return sum;
}

/* Stop on a driver signal that is not finite, or whose mean over about half a second is an offset. */
static void judge(ss_guard *g, float *const *y, uint32_t n, float *mean)
{
    for (uint32_t first = 0; first < n; first += SS_STRETCH) {
        const uint32_t count = n - first < SS_STRETCH ? n - first : SS_STRETCH;
        const float part = (float) risen(count * g->offset_share);
        for (uint32_t d = 0; d < g->drivers && g->stopped == SWEETSPOT_RUNNING; d++) {
            const float total = sum_of(y[d] + first, count);
            if (!(total * 0.0f == 0.0f)) {
                g->stopped = SWEETSPOT_NOT_FINITE_OUT;
                g->stopper = d;
                return;
            }
            mean[d] += part * (total / (float) count - mean[d]);
            if (fabsf(mean[d]) > OFFSET_SHARE * g->ceilings[d]) {
                g->stopped = SWEETSPOT_OFFSET;
                g->stopper = d;
            }
        }
    }
}

/* The drivers' parts in the low band; four at once, since each sample depends on the one before it. */
static void low_pass(ss_guard *g, float *const *y, uint32_t first, uint32_t n)
{
    const uint32_t end = g->drivers - 1u, look = g->look;
    for (uint32_t d = 0; d < g->drivers; d += 4u) {
        uint32_t row[4];
        const float *x[4];
        float *p[4], z[4];
        for (uint32_t j = 0; j < 4u; j++) {
            row[j] = d + j < end ? d + j : end;
            x[j] = y[row[j]] + first;
            p[j] = g->band[0].share + (size_t) row[j] * g->reach + look;
            z[j] = g->low[row[j]];
        }
        for (uint32_t k = 0; k < n; k++) {
            z[0] += g->pole * (x[0][k] - z[0]);
            z[1] += g->pole * (x[1][k] - z[1]);
            z[2] += g->pole * (x[2][k] - z[2]);
            z[3] += g->pole * (x[3][k] - z[3]);
            p[0][k] = z[0];
            p[1][k] = z[1];
            p[2][k] = z[2];
            p[3][k] = z[3];
        }
        for (uint32_t j = 0; j < 4u; j++) {
            g->low[row[j]] = z[j];
        }
    }
}

/* Reduction of the band that a driver with ceiling `c` needs, where it is the largest so far. */
static void need(float *taken, const float *voice, const float *share, float c, float most, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        const float v = voice[k], p = share[k], size = fabsf(v), part = fabsf(p);
        if (size > c && v * p > 0.0f) {
            const float whole = (size - c) / part, twice = 2.0f * part / size;
            const float bound = most * (twice < 1.0f ? twice : 1.0f), asked = whole < bound ? whole : bound;
            taken[k] = asked > taken[k] ? asked : taken[k];
        }
    }
}

/* Update both reductions by one sample with the need `peak`; returns whether any reduction remains. */
static int followed(const ss_guard *g, ss_band *m, float peak)
{
    m->fast *= g->release;
    m->fast = (double) peak > m->fast ? (double) peak : m->fast;
    m->slow += g->rate * ((double) m->steady - m->slow);
    m->fast = m->fast > FORGOTTEN ? m->fast : 0.0;
    m->slow = m->slow > FORGOTTEN ? m->slow : 0.0;
    return m->fast + m->slow > 0.0;
}

static float reduced(const ss_band *m)
{
    return (float) (m->fast > m->slow ? m->fast : m->slow);
}

/* Averaged reduction of each sample of the piece. */
static void averaged(const ss_guard *g, ss_band *m, uint32_t n)
{
    memset(m->taken, 0, n * sizeof(float));
    for (uint32_t j = 0; j <= g->look; j++) {
        const float a = g->average[j];
        for (uint32_t k = 0; k < n; k++) {
            m->taken[k] += a * m->line[j + k];
        }
    }
}

static void apply(float *row, const float *taken, const float *share, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        row[k] -= taken[k] * share[k];
    }
}

/* Clip rounding errors above the ceilings, and count limited samples of a piece. */
static void clip(ss_guard *g, float *const *y, uint32_t first, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        float least = 1.0f;
        for (uint32_t b = 0; b < SS_BANDS; b++) {
            least *= 1.0f - g->band[b].taken[k];
        }
        g->least_gain = least < g->least_gain ? least : g->least_gain;
        g->limited += least < 1.0f - (float) FORGOTTEN ? 1u : 0u;
    }
    for (uint32_t d = 0; d < g->drivers; d++) {
        const float c = g->ceilings[d];
        float *row = y[d] + first;
        for (uint32_t k = 0; k < n; k++) {
            row[k] = row[k] > c ? c : (row[k] < -c ? -c : row[k]);
        }
    }
}

#define GUARD ss_guard
#define BAND ss_band
#define SAMPLE float
#define MEAN float
#define UNITY 1.0f
#define MOST 1.0f
#define NAME(x) ss_##x
#define TAKE ss_take
#define TAKE_MEAN ss_take
#define LOUD(x, c) (fabsf(x) > (c))
#include "guard_rule.h"

void ss_guard_tables(ss_guard *g, const sweetspot_info *info)
{
    double sum = 0.0;
    g->release = exp(-1.0 / (RELEASE * info->rate));
    g->rate = 1.0 - exp(-1.0 / (SLOW * info->rate));
    g->pole = (float) (1.0 - exp(-2.0 * PI * LOW / info->rate));
    g->offset_share = 1.0 / (OFFSET_TIME * info->rate);
    memcpy(g->ceilings, info->ceilings, g->drivers * sizeof(float));
    for (uint32_t n = 0; n <= g->look; n++) {
        sum += 0.5 - 0.5 * cos(2.0 * PI * (n + 1u) / (g->look + 2u));
    }
    for (uint32_t n = 0; n <= g->look; n++) {
        g->average[n] = (float) ((0.5 - 0.5 * cos(2.0 * PI * (n + 1u) / (g->look + 2u))) / sum);
    }
    ss_guard_reset(g);
}
