/* The guard in fixed point: guard.c, function by function, with samples in one unit throughout and reductions in Q31. */
#include "fixed_internal.h"
#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;
static const double LOOK_AHEAD = 1e-3, RELEASE = 0.03, WINDOW = 0.12, SLOW = 0.15, LOW = 1500.0, OFFSET_TIME = 0.5;
static const int64_t FORGOTTEN = (int64_t) 461168601842; /* 1e-7 in Q62 */
static const int64_t MOST_LOW = 644245094; /* 0.3 in Q31 */

static uint32_t steps(double seconds, uint32_t rate)
{
    const double n = rint(seconds * rate);
    return n > 1.0 ? (uint32_t) n : 1u;
}

void sf_guard_layout(sf_guard *g, ss_arena *arena, const sweetspot_info *info)
{
    g->drivers = info->drivers;
    g->look = steps(LOOK_AHEAD, info->rate);
    g->reach = g->look + SS_PIECE;
    g->window = steps(WINDOW, info->rate) / g->look;
    g->average = sf_take(arena, g->look + 1u);
    g->ceilings = sf_take(arena, g->drivers);
    g->low = sf_take(arena, g->drivers);
    g->mean = sf_take_long(arena, g->drivers);
    for (uint32_t b = 0; b < SS_BANDS; b++) {
        g->band[b].line = sf_take(arena, g->reach);
        g->band[b].taken = sf_take(arena, SS_PIECE);
        g->band[b].voice = sf_take(arena, (size_t) g->drivers * g->reach);
        g->band[b].share = b == 0u ? sf_take(arena, (size_t) g->drivers * g->reach) : g->band[b].voice;
    }
}

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

void sf_guard_reset(sf_guard *g)
{
    const size_t held = (size_t) g->drivers * g->reach * sizeof(int32_t);
    memset(g->mean, 0, g->drivers * sizeof(int64_t));
    memset(g->low, 0, g->drivers * sizeof(int32_t));
    for (uint32_t b = 0; b < SS_BANDS; b++) {
        sf_band *m = &g->band[b];
        memset(m->line, 0, g->reach * sizeof(int32_t));
        memset(m->taken, 0, SS_PIECE * sizeof(int32_t));
        memset(m->voice, 0, held);
        memset(m->share, 0, held);
        memset(m->needs, 0, sizeof m->needs);
        m->now = m->last = m->longest = m->steady = 0;
        m->fast = m->slow = 0;
        m->quiet = g->look + 1u;
        m->count = m->passed = m->slot = 0u;
    }
    g->stopped = SWEETSPOT_RUNNING;
    g->stopper = 0u;
    g->least_gain = INT32_MAX;
    g->limited = 0u;
}

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
static void judge(sf_guard *g, int32_t *const *y, uint32_t n)
{
    for (uint32_t first = 0; first < n; first += SS_STRETCH) {
        const uint32_t count = n - first < SS_STRETCH ? n - first : SS_STRETCH;
        const int64_t part = risen((count * g->offset_share) >> 16);
        for (uint32_t d = 0; d < g->drivers && g->stopped == SWEETSPOT_RUNNING; d++) {
            int64_t total = 0, size;
            for (uint32_t k = 0; k < count; k++) {
                total += y[d][first + k];
            }
            g->mean[d] += sf_long_times(total * 65536 / (int64_t) count - g->mean[d], part);
            size = g->mean[d] < 0 ? -g->mean[d] : g->mean[d];
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

static void window_ended(sf_band *m, int32_t largest)
{
    m->needs[m->slot] = largest;
    m->passed = 0u;
    m->slot = m->slot + 1u < SS_WINDOWS ? m->slot + 1u : 0u;
}

static int32_t reduction(const sf_guard *g, sf_band *m, int32_t wanted)
{
    int64_t peak;
    m->now = wanted > m->now ? wanted : m->now;
    peak = (int64_t) (m->last > m->now ? m->last : m->now) * SF_ONE;
    m->fast = sf_long_times(m->fast, g->release);
    m->fast = peak > m->fast ? peak : m->fast;
    m->slow += sf_long_times((int64_t) m->steady * SF_ONE - m->slow, g->rate);
    m->fast = m->fast > FORGOTTEN ? m->fast : 0;
    m->slow = m->slow > FORGOTTEN ? m->slow : 0;
    m->quiet = m->fast > 0 || m->slow > 0 ? 0u : (m->quiet <= g->look ? m->quiet + 1u : m->quiet);
    m->count++;
    if (m->count >= g->look) {
        m->longest = m->now > m->longest ? m->now : m->longest;
        m->last = m->now;
        m->count = 0u;
        m->now = 0;
        m->passed++;
    }
    if (m->passed >= g->window) {
        window_ended(m, m->longest);
        m->longest = 0;
        m->steady = m->needs[0];
        for (uint32_t k = 1u; k < SS_WINDOWS; k++) {
            m->steady = m->needs[k] < m->steady ? m->needs[k] : m->steady;
        }
    }
    return (int32_t) ((m->fast > m->slow ? m->fast : m->slow) >> 31);
}

static void pass_time(const sf_guard *g, sf_band *m, uint32_t n)
{
    m->quiet = m->quiet <= g->look ? m->quiet + n : m->quiet;
    m->count += n;
    while (m->count >= g->look) {
        m->count -= g->look;
        m->passed++;
        if (m->passed >= g->window) {
            window_ended(m, 0);
        }
    }
}

/* What the averaged reductions take of each sample of the piece. */
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

static int limit_band(sf_guard *g, uint32_t b, int32_t *const *y, uint32_t first, uint32_t n)
{
    sf_band *m = &g->band[b];
    const uint32_t look = g->look, reach = g->reach;
    uint32_t loud = 0u;
    int works;
    for (uint32_t d = 0; d < g->drivers; d++) {
        const int32_t *row = y[d] + first, c = g->ceilings[d];
        memcpy(m->voice + (size_t) d * reach + look, row, n * sizeof *row);
        for (uint32_t k = 0; k < n; k++) {
            loud += row[k] > c || row[k] < -c ? 1u : 0u;
        }
    }
    if (b == 0u) {
        low_pass(g, y, first, n);
    }
    works = loud > 0u || m->quiet <= look || m->now > 0 || m->last > 0 || m->longest > 0 || m->steady > 0;
    memset(m->taken, 0, n * sizeof(int32_t));
    if (works) {
        for (uint32_t d = 0; loud > 0u && d < g->drivers; d++) {
            const size_t at = (size_t) d * reach + look;
            need(m->taken, m->voice + at, m->share + at, g->ceilings[d], b == 0u ? MOST_LOW : SF_ONE, n);
        }
        for (uint32_t k = 0; k < n; k++) {
            m->line[look + k] = reduction(g, m, m->taken[k]);
        }
        averaged(g, m, n);
    } else {
        pass_time(g, m, n);
        memset(m->line + look, 0, n * sizeof(int32_t));
    }
    for (uint32_t d = 0; d < g->drivers; d++) {
        int32_t *row = y[d] + first, *voice = m->voice + (size_t) d * reach, *share = m->share + (size_t) d * reach;
        memcpy(row, voice, n * sizeof *row);
        for (uint32_t k = 0; works && k < n; k++) {
            row[k] = sf_saturated((int64_t) row[k] - sf_times(share[k], m->taken[k]));
        }
        memmove(voice, voice + n, look * sizeof *voice);
        if (b == 0u) {
            memmove(share, share + n, look * sizeof *share);
        }
    }
    memmove(m->line, m->line + n, look * sizeof(int32_t));
    return works;
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

void sf_guard_process(sf_guard *g, int32_t *const *y, uint32_t n)
{
    if (g->stopped == SWEETSPOT_RUNNING) {
        judge(g, y, n);
    }
    if (g->stopped != SWEETSPOT_RUNNING) {
        for (uint32_t d = 0; d < g->drivers; d++) {
            memset(y[d], 0, n * sizeof(int32_t));
        }
        return;
    }
    for (uint32_t first = 0; first < n; first += SS_PIECE) {
        const uint32_t count = n - first < SS_PIECE ? n - first : SS_PIECE;
        int worked = 0;
        for (uint32_t b = 0; b < SS_BANDS; b++) {
            worked |= limit_band(g, b, y, first, count);
        }
        if (worked) {
            clip(g, y, first, count);
        }
    }
}
