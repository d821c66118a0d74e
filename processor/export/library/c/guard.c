/* A look-ahead gain per band for all drivers under the ceiling, and a stop for faults: sweetspot/processor/guard.py.
 *
 * The low band is taken from first, then the whole. For each band and sample, the need of the loudest driver is
 * held over the look-ahead, released fast after single peaks and slowly under what recurs, and averaged, so that no sample passes the ceiling and the
 * gain has no steps. All drivers share it: what reaches the ears keeps its differences. Where nothing passes the ceiling
 * the guard is a pure delay, bit for bit.
 */
#include "internal.h"
#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;
static const double LOOK_AHEAD = 1e-3, RELEASE = 0.03, WINDOW = 0.12, SLOW = 0.15, LOW = 1500.0, OFFSET_TIME = 0.5;
static const float MOST_LOW = 0.5f, OFFSET_SHARE = 0.5f;
static const double FORGOTTEN = 1e-7;

static uint32_t steps(double seconds, uint32_t rate)
{
    const double n = rint(seconds * rate);
    return n > 1.0 ? (uint32_t) n : 1u;
}

void ss_guard_layout(ss_guard *g, ss_arena *arena, const sweetspot_info *info)
{
    g->drivers = info->drivers;
    g->look = steps(LOOK_AHEAD, info->rate);
    g->window = steps(WINDOW, info->rate) / g->look;
    g->ceiling = info->ceiling;
    g->average = ss_take(arena, g->look + 1u);
    g->mean = ss_take(arena, g->drivers);
    g->low = ss_take(arena, g->drivers);
    for (uint32_t b = 0; b < SS_BANDS; b++) {
        const size_t ring = (size_t) g->drivers * (g->look + 1u);
        g->band[b].line = ss_take(arena, g->look + 1u);
        g->band[b].voice = ss_take(arena, ring);
        g->band[b].share = b == 0u ? ss_take(arena, ring) : g->band[b].voice;
    }
}

void ss_guard_tables(ss_guard *g, const sweetspot_info *info)
{
    double sum = 0.0;
    g->release = exp(-1.0 / (RELEASE * info->rate));
    g->rate = 1.0 - exp(-1.0 / (SLOW * info->rate));
    g->pole = (float) (1.0 - exp(-2.0 * PI * LOW / info->rate));
    g->offset_step = (float) (1.0 / (OFFSET_TIME * info->rate));
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
    const size_t ring = (size_t) g->drivers * (g->look + 1u);
    memset(g->mean, 0, g->drivers * sizeof(float));
    memset(g->low, 0, g->drivers * sizeof(float));
    for (uint32_t b = 0; b < SS_BANDS; b++) {
        ss_band *band = &g->band[b];
        memset(band->line, 0, (g->look + 1u) * sizeof(float));
        memset(band->needs, 0, sizeof band->needs);
        memset(band->voice, 0, ring * sizeof(float));
        memset(band->share, 0, ring * sizeof(float));
        band->now = band->last = band->longest = band->steady = 0.0f;
        band->fast = band->slow = 0.0;
        band->quiet = g->look + 1u;
    }
    g->at = g->count = g->passed = g->slot = 0u;
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

/* Whether nothing is held or released any more. */
static int settled(const ss_guard *g)
{
    int still = 1;
    for (uint32_t b = 0; b < SS_BANDS; b++) {
        const ss_band *band = &g->band[b];
        still = still && !(band->now > 0.0f || band->last > 0.0f || band->longest > 0.0f || band->steady > 0.0f)
             && band->quiet > g->look;
    }
    return still;
}

/* Largest part of band `b` that a driver needs taken from it: v is its sample, p what the band holds of it. */
static float need_of(const ss_guard *g, uint32_t b, float v, float p)
{
    const float size = fabsf(v), part = fabsf(p);
    float need, most;
    if (!(size > g->ceiling) || !(v * p > 0.0f)) {
        return 0.0f;
    }
    need = (size - g->ceiling) / part;
    most = b == 0u ? MOST_LOW : 1.0f;
    most *= 2.0f * part < size ? 2.0f * part / size : 1.0f;
    return need < most ? need : most;
}

/* A part of `look` samples is full, and with it maybe a window. */
static void part_ended(const ss_guard *g, ss_band *band)
{
    band->longest = band->now > band->longest ? band->now : band->longest;
    band->last = band->now;
    band->now = 0.0f;
    if (g->passed + 1u >= g->window) {
        band->needs[g->slot] = band->longest;
        band->longest = 0.0f;
        band->steady = band->needs[0];
        for (uint32_t k = 1u; k < SS_WINDOWS; k++) {
            band->steady = band->needs[k] < band->steady ? band->needs[k] : band->steady;
        }
    }
}

/* Fast after single peaks, slow under what recurs, averaged; what is taken from the sample that leaves now. */
static float reduction(ss_guard *g, ss_band *band, float need, uint32_t oldest)
{
    const uint32_t span = g->look + 1u;
    double peak, taken;
    float r = 0.0f;
    band->now = need > band->now ? need : band->now;
    peak = band->last > band->now ? (double) band->last : (double) band->now;
    band->fast *= g->release;
    band->fast = peak > band->fast ? peak : band->fast;
    band->slow += g->rate * ((double) band->steady - band->slow);
    band->fast = band->fast > FORGOTTEN ? band->fast : 0.0;
    band->slow = band->slow > FORGOTTEN ? band->slow : 0.0;
    taken = band->fast > band->slow ? band->fast : band->slow;
    band->line[g->at] = (float) taken;
    band->quiet = taken > 0.0 ? 0u : (band->quiet <= g->look ? band->quiet + 1u : band->quiet);
    if (g->count + 1u == g->look) {
        part_ended(g, band);
    }
    for (uint32_t k = 0; band->quiet <= g->look && k < span; k++) {
        r += g->average[k] * band->line[oldest + k < span ? oldest + k : oldest + k - span];
    }
    return r;
}

/* One sample of every driver through both bands, while the guard works. */
static void limited(ss_guard *g, float *const *y, uint32_t k, uint32_t oldest)
{
    const size_t in = (size_t) g->at * g->drivers, from = (size_t) oldest * g->drivers;
    float least = 1.0f;
    for (uint32_t b = 0; b < SS_BANDS; b++) {
        ss_band *band = &g->band[b];
        float need = 0.0f, r;
        for (uint32_t d = 0; d < g->drivers; d++) {
            const float v = y[d][k];
            float p = v, wanted;
            if (b == 0u) {
                g->low[d] += g->pole * (v - g->low[d]);
                p = g->low[d];
                band->share[in + d] = p;
            }
            band->voice[in + d] = v;
            wanted = need_of(g, b, v, p);
            need = wanted > need ? wanted : need;
        }
        r = reduction(g, band, need, oldest);
        least *= 1.0f - r;
        for (uint32_t d = 0; d < g->drivers; d++) {
            y[d][k] = band->voice[from + d] - (r > 0.0f ? r * band->share[from + d] : 0.0f);
        }
    }
    if (least < 1.0f) {
        g->least_gain = least < g->least_gain ? least : g->least_gain;
        for (uint32_t d = 0; d < g->drivers; d++) {
            const float v = y[d][k];
            y[d][k] = v > g->ceiling ? g->ceiling : (v < -g->ceiling ? -g->ceiling : v);
        }
    }
}

/* The same where nothing is to be done: a delay, and what the rule has to know of the past. */
static void passed(ss_guard *g, float *const *y, uint32_t k, uint32_t oldest)
{
    const size_t in = (size_t) g->at * g->drivers, from = (size_t) oldest * g->drivers;
    float *restrict first = g->band[0].voice, *restrict share = g->band[0].share, *restrict second = g->band[1].voice;
    for (uint32_t d = 0; d < g->drivers; d++) {
        const float v = y[d][k];
        g->low[d] += g->pole * (v - g->low[d]);
        share[in + d] = g->low[d];
        first[in + d] = v;
        second[in + d] = first[from + d];
        y[d][k] = second[from + d];
    }
    if (g->count + 1u == g->look) {
        part_ended(g, &g->band[0]);
        part_ended(g, &g->band[1]);
    }
    g->band[0].line[g->at] = 0.0f;
    g->band[1].line[g->at] = 0.0f;
}

/* Stop on a driver signal that is not finite, or whose mean over about half a second is an offset; its largest size. */
static float judged(ss_guard *g, float *const *y, uint32_t n)
{
    float loudest = 0.0f, offset = 0.0f;
    for (uint32_t d = 0; d < g->drivers; d++) {
        if (!ss_finite(y[d], n)) {
            g->stopped = SWEETSPOT_NOT_FINITE_OUT;
        }
    }
    for (uint32_t k = 0; k < n && g->stopped == SWEETSPOT_RUNNING; k++) {
        for (uint32_t d = 0; d < g->drivers; d++) {
            const float size = fabsf(y[d][k]);
            g->mean[d] += g->offset_step * (y[d][k] - g->mean[d]);
            loudest = size > loudest ? size : loudest;
        }
    }
    for (uint32_t d = 0; d < g->drivers; d++) {
        offset = fabsf(g->mean[d]) > offset ? fabsf(g->mean[d]) : offset;
    }
    if (g->stopped == SWEETSPOT_RUNNING && offset > OFFSET_SHARE * g->ceiling) {
        g->stopped = SWEETSPOT_OFFSET;
    }
    return loudest;
}

void ss_guard_process(ss_guard *g, float *const *y, uint32_t n)
{
    const float loudest = g->stopped == SWEETSPOT_RUNNING ? judged(g, y, n) : 0.0f;
    const int working = loudest > g->ceiling || !settled(g);
    if (g->stopped != SWEETSPOT_RUNNING) {
        for (uint32_t d = 0; d < g->drivers; d++) {
            memset(y[d], 0, n * sizeof(float));
        }
        return;
    }
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t oldest = g->at < g->look ? g->at + 1u : 0u;
        if (working) {
            limited(g, y, k, oldest);
        } else {
            passed(g, y, k, oldest);
        }
        g->at = oldest;
        g->count++;
        if (g->count == g->look) {
            g->count = 0u;
            g->passed++;
        }
        if (g->passed >= g->window) {
            g->passed = 0u;
            g->slot = g->slot + 1u < SS_WINDOWS ? g->slot + 1u : 0u;
        }
    }
}
