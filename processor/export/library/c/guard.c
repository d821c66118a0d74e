/* A look-ahead gain per band under the drivers' ceilings, and a stop for faults: sweetspot/processor/guard.py.
 *
 * The same rule, function by function: what changes here changes there. The low band is taken from first, then the
 * whole. All drivers share the gain: what reaches the ears keeps its differences. Where no driver passes its ceiling the
 * guard is a pure delay, bit for bit.
 */
#include "internal.h"
#include <math.h>
#include <string.h>

SS_FAST

static const double PI = 3.14159265358979323846;
static const double LOOK_AHEAD = 1e-3, RELEASE = 0.03, WINDOW = 0.12, SLOW = 0.15, LOW = 1500.0, OFFSET_TIME = 0.5;
static const float MOST_LOW = 0.3f, OFFSET_SHARE = 0.5f;
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
    g->reach = g->look + SS_PIECE;
    g->window = steps(WINDOW, info->rate) / g->look;
    g->average = ss_take(arena, g->look + 1u);
    g->ceilings = ss_take(arena, g->drivers);
    g->mean = ss_take(arena, g->drivers);
    g->low = ss_take(arena, g->drivers);
    for (uint32_t b = 0; b < SS_BANDS; b++) {
        g->band[b].line = ss_take(arena, g->reach);
        g->band[b].taken = ss_take(arena, SS_PIECE);
        g->band[b].voice = ss_take(arena, (size_t) g->drivers * g->reach);
        g->band[b].share = b == 0u ? ss_take(arena, (size_t) g->drivers * g->reach) : g->band[b].voice;
    }
}

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

void ss_guard_reset(ss_guard *g)
{
    const size_t held = (size_t) g->drivers * g->reach * sizeof(float);
    memset(g->mean, 0, g->drivers * sizeof(float));
    memset(g->low, 0, g->drivers * sizeof(float));
    for (uint32_t b = 0; b < SS_BANDS; b++) {
        ss_band *m = &g->band[b];
        memset(m->line, 0, g->reach * sizeof(float));
        memset(m->taken, 0, SS_PIECE * sizeof(float));
        memset(m->voice, 0, held);
        memset(m->share, 0, held);
        memset(m->needs, 0, sizeof m->needs);
        m->now = m->last = m->longest = m->steady = 0.0f;
        m->fast = m->slow = 0.0;
        m->quiet = g->look + 1u;
        m->count = m->passed = m->slot = 0u;
    }
    g->stopped = SWEETSPOT_RUNNING;
    g->stopper = 0u;
    g->least_gain = 1.0f;
    g->limited = 0u;
}

/* Sum in eight parts, of which none waits for another; not finite where a sample is not. */
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
static void judge(ss_guard *g, float *const *y, uint32_t n)
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
            g->mean[d] += part * (total / (float) count - g->mean[d]);
            if (fabsf(g->mean[d]) > OFFSET_SHARE * g->ceilings[d]) {
                g->stopped = SWEETSPOT_OFFSET;
                g->stopper = d;
            }
        }
    }
}

/* The drivers' parts in the low band; four at once, since each waits for its own last. */
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

/* What the samples of a driver with ceiling `c` ask to be taken from the band, where that is more than others ask. */
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

/* A window of whole parts is full: its largest need takes the place of the oldest. */
static void window_ended(ss_band *m, float largest)
{
    m->needs[m->slot] = largest;
    m->passed = 0u;
    m->slot = m->slot + 1u < SS_WINDOWS ? m->slot + 1u : 0u;
}

/* The larger of a band's two reductions after one more sample, which asks for `wanted`. */
static float reduction(const ss_guard *g, ss_band *m, float wanted)
{
    float peak;
    m->now = wanted > m->now ? wanted : m->now;
    peak = m->last > m->now ? m->last : m->now;
    m->fast *= g->release;
    m->fast = (double) peak > m->fast ? (double) peak : m->fast;
    m->slow += g->rate * ((double) m->steady - m->slow);
    m->fast = m->fast > FORGOTTEN ? m->fast : 0.0;
    m->slow = m->slow > FORGOTTEN ? m->slow : 0.0;
    m->quiet = m->fast + m->slow > 0.0 ? 0u : (m->quiet <= g->look ? m->quiet + 1u : m->quiet);
    m->count++;
    if (m->count >= g->look) {
        m->longest = m->now > m->longest ? m->now : m->longest;
        m->last = m->now;
        m->count = 0u;
        m->now = 0.0f;
        m->passed++;
    }
    if (m->passed >= g->window) {
        window_ended(m, m->longest);
        m->longest = 0.0f;
        m->steady = m->needs[0];
        for (uint32_t k = 1u; k < SS_WINDOWS; k++) {
            m->steady = m->needs[k] < m->steady ? m->needs[k] : m->steady;
        }
    }
    return (float) (m->fast > m->slow ? m->fast : m->slow);
}

/* What `reduction` does in n samples when nothing is asked and nothing is left. */
static void pass_time(const ss_guard *g, ss_band *m, uint32_t n)
{
    m->quiet = m->quiet <= g->look ? m->quiet + n : m->quiet;
    m->count += n;
    while (m->count >= g->look) {
        m->count -= g->look;
        m->passed++;
        if (m->passed >= g->window) {
            window_ended(m, 0.0f);
        }
    }
}

/* One band of at most SS_PIECE samples; whether it may have changed any. */
static int limit_band(ss_guard *g, uint32_t b, float *const *y, uint32_t first, uint32_t n)
{
    ss_band *m = &g->band[b];
    const uint32_t look = g->look, reach = g->reach;
    uint32_t loud = 0u;
    int works;
    for (uint32_t d = 0; d < g->drivers; d++) {
        const float *row = y[d] + first, c = g->ceilings[d];
        memcpy(m->voice + (size_t) d * reach + look, row, n * sizeof *row);
        for (uint32_t k = 0; k < n; k++) {
            loud += fabsf(row[k]) > c ? 1u : 0u;
        }
    }
    if (b == 0u) {
        low_pass(g, y, first, n);
    }
    works = loud > 0u || m->quiet <= look || m->now + m->last + m->longest + m->steady > 0.0f;
    memset(m->taken, 0, n * sizeof(float));
    if (works) {
        for (uint32_t d = 0; loud > 0u && d < g->drivers; d++) {
            const size_t at = (size_t) d * reach + look;
            need(m->taken, m->voice + at, m->share + at, g->ceilings[d], b == 0u ? MOST_LOW : 1.0f, n);
        }
        for (uint32_t k = 0; k < n; k++) {
            m->line[look + k] = reduction(g, m, m->taken[k]);
        }
        memset(m->taken, 0, n * sizeof(float));
        for (uint32_t j = 0; j <= look; j++) {
            const float a = g->average[j];
            for (uint32_t k = 0; k < n; k++) {
                m->taken[k] += a * m->line[j + k];
            }
        }
    } else {
        pass_time(g, m, n);
        memset(m->line + look, 0, n * sizeof(float));
    }
    for (uint32_t d = 0; d < g->drivers; d++) {
        float *row = y[d] + first, *voice = m->voice + (size_t) d * reach, *share = m->share + (size_t) d * reach;
        memcpy(row, voice, n * sizeof *row);
        for (uint32_t k = 0; works && k < n; k++) {
            row[k] -= m->taken[k] * share[k];
        }
        memmove(voice, voice + n, look * sizeof *voice);
        if (b == 0u) {
            memmove(share, share + n, look * sizeof *share);
        }
    }
    memmove(m->line, m->line + n, look * sizeof(float));
    return works;
}

/* Take rounding above the ceilings away, and count what the bands took of a piece. */
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

void ss_guard_process(ss_guard *g, float *const *y, uint32_t n)
{
    if (g->stopped == SWEETSPOT_RUNNING) {
        judge(g, y, n);
    }
    if (g->stopped != SWEETSPOT_RUNNING) {
        for (uint32_t d = 0; d < g->drivers; d++) {
            memset(y[d], 0, n * sizeof(float));
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
