/* One look-ahead gain for all drivers under the ceiling, and a stop for faults; as in sweetspot/processor/guard.py.
 *
 * The gain that a sample needs is min(1, ceiling / max |y|). Its largest reduction over the look-ahead is held,
 * released exponentially and averaged over the same window, so that no sample passes the ceiling and the gain has no
 * steps. Where nothing passes the ceiling the guard is a pure delay, bit for bit.
 */
#include "internal.h"
#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;
static const double LOOK_AHEAD = 1.5e-3, RELEASE = 0.08, OFFSET_TIME = 0.5;
static const float OFFSET_SHARE = 0.5f;
static const double FORGOTTEN = 1e-7;

void ss_guard_layout(ss_guard *g, ss_arena *arena, const sweetspot_info *info)
{
    const double look = floor(LOOK_AHEAD * info->rate + 0.5);
    g->drivers = info->drivers;
    g->look = look > 1.0 ? (uint32_t) look : 1u;
    g->ceiling = info->ceiling;
    g->held = ss_take(arena, (size_t) g->drivers * g->look);
    g->needs = ss_take(arena, g->look + 1u);
    g->falling = ss_take(arena, g->look + 1u);
    g->average = ss_take(arena, g->look + 1u);
    g->mean = ss_take(arena, g->drivers);
}

void ss_guard_tables(ss_guard *g, const sweetspot_info *info)
{
    double sum = 0.0;
    g->release = exp(-log(1.0 / (RELEASE * info->rate) + 1.0));
    g->dc_share = 1.0 / (OFFSET_TIME * info->rate);
    for (uint32_t n = 0; n <= g->look; n++) {
        sum += 0.5 - 0.5 * cos(2.0 * PI * (n + 1u) / (g->look + 2u));
    }
    for (uint32_t n = 0; n <= g->look; n++) {
        g->average[n] = (float) ((0.5 - 0.5 * cos(2.0 * PI * (n + 1u) / (g->look + 2u))) / sum);
    }
    ss_guard_reset(g);
}

void ss_guard_reset(ss_guard *g)
{
    memset(g->held, 0, (size_t) g->drivers * g->look * sizeof(float));
    memset(g->needs, 0, (g->look + 1u) * sizeof(float));
    memset(g->falling, 0, (g->look + 1u) * sizeof(float));
    memset(g->mean, 0, g->drivers * sizeof(float));
    g->at = 0u;
    g->last = 0.0;
    g->working = 0;
    g->stopped = SWEETSPOT_RUNNING;
    g->least_gain = 1.0f;
}

int ss_finite(const float *x, uint32_t n)
{
    float worst = 0.0f;
    for (uint32_t k = 0; k < n; k++) {
        worst += x[k] * 0.0f;
    }
    return worst == 0.0f;
}

/* Stop on a driver signal that is not finite, or whose mean over about half a second is an offset. */
static void judge(ss_guard *g, float *const *y, uint32_t n)
{
    const float share = (float) g->dc_share;
    for (uint32_t d = 0; d < g->drivers; d++) {
        float mean = g->mean[d];
        if (!ss_finite(y[d], n)) {
            g->stopped = SWEETSPOT_NOT_FINITE_OUT;
            return;
        }
        for (uint32_t k = 0; k < n; k++) {
            mean += share * (y[d][k] - mean);
        }
        g->mean[d] = mean;
        if (fabsf(mean) > OFFSET_SHARE * g->ceiling) {
            g->stopped = SWEETSPOT_OFFSET;
            return;
        }
    }
}

static float peak_of(const ss_guard *g, float *const *y, uint32_t k)
{
    float peak = 0.0f;
    for (uint32_t d = 0; d < g->drivers; d++) {
        const float size = fabsf(y[d][k]);
        peak = size > peak ? size : peak;
    }
    return peak;
}

/* One minus the gain for the sample that leaves now; `at` counts through the rings of look + 1. */
static float reduction_after(ss_guard *g, float peak, uint32_t at)
{
    const uint32_t size = g->look + 1u;
    float held = 0.0f, sum = 0.0f;
    g->needs[at] = peak > g->ceiling ? 1.0f - g->ceiling / peak : 0.0f;
    for (uint32_t k = 0; k < size; k++) {
        held = g->needs[k] > held ? g->needs[k] : held;
    }
    g->last *= g->release;
    g->last = (double) held > g->last ? (double) held : g->last;
    g->last = g->last > FORGOTTEN ? g->last : 0.0;
    g->falling[at] = (float) g->last;
    for (uint32_t k = 0; k < size; k++) {
        sum += g->average[k] * g->falling[at + k + 1u < size ? at + k + 1u : at + k + 1u - size];
    }
    return sum;
}

static int at_rest(const ss_guard *g)
{
    for (uint32_t k = 0; k <= g->look; k++) {
        if (g->needs[k] > 0.0f || g->falling[k] > 0.0f) {
            return 0;
        }
    }
    return 1;
}

void ss_guard_process(ss_guard *g, float *const *y, uint32_t n)
{
    float loudest = 0.0f;
    if (g->stopped == SWEETSPOT_RUNNING) {
        judge(g, y, n);
    }
    if (g->stopped != SWEETSPOT_RUNNING) {
        for (uint32_t d = 0; d < g->drivers; d++) {
            memset(y[d], 0, n * sizeof(float));
        }
        return;
    }
    for (uint32_t d = 0; d < g->drivers; d++) {
        for (uint32_t k = 0; k < n; k++) {
            const float size = fabsf(y[d][k]);
            loudest = size > loudest ? size : loudest;
        }
    }
    g->working = g->working || loudest > g->ceiling;
    for (uint32_t k = 0; k < n; k++) {
        /* the ring of held samples is `look` long, that of the gains one longer: it has a place of its own */
        const uint32_t ring = g->at % g->look;
        const float gain = g->working ? 1.0f - reduction_after(g, peak_of(g, y, k), g->at % (g->look + 1u)) : 1.0f;
        for (uint32_t d = 0; d < g->drivers; d++) {
            float *held = g->held + (size_t) d * g->look + ring, out = *held;
            *held = y[d][k];
            if (g->working) {
                out *= gain;
                out = out > g->ceiling ? g->ceiling : (out < -g->ceiling ? -g->ceiling : out);
            }
            y[d][k] = out;
        }
        g->least_gain = gain < g->least_gain ? gain : g->least_gain;
        g->at = g->at + 1u < g->look * (g->look + 1u) ? g->at + 1u : 0u;
    }
    if (g->working && at_rest(g)) {
        g->working = 0;
    }
}
