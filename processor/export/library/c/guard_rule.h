/* The guard's rule for one kind of sample: guard.c includes it for floats, fixed_guard.c for fixed point.
 *
 * A file defines GUARD, BAND, SAMPLE, MEAN, UNITY (a gain of 1), MOST (all of a band is taken), MOST_LOW (what is taken of the low band at
 * most), NAME(x), TAKE(arena, n), TAKE_MEAN(arena, n), LOUD(x, c), and what numbers are to it: `judge`, `low_pass`,
 * `need`, `followed`, `reduced`, `averaged`, `apply` and `clip`.
 */
#define SS_LOOK_AHEAD 1e-3
#define SS_WINDOW 0.12

static uint32_t steps(double seconds, uint32_t rate)
{
    const double n = rint(seconds * rate);
    return n > 1.0 ? (uint32_t) n : 1u;
}

void NAME(guard_layout)(GUARD *g, ss_arena *arena, const sweetspot_info *info)
{
    g->drivers = info->drivers;
    g->look = steps(SS_LOOK_AHEAD, info->rate);
    g->reach = g->look + SS_PIECE;
    g->window = steps(SS_WINDOW, info->rate) / g->look;
    g->average = TAKE(arena, g->look + 1u);
    g->ceilings = TAKE(arena, g->drivers);
    g->low = TAKE(arena, g->drivers);
    g->mean = TAKE_MEAN(arena, 2u * (size_t) g->drivers);
    for (uint32_t b = 0; b < SS_BANDS; b++) {
        g->band[b].line = TAKE(arena, g->reach);
        g->band[b].taken = TAKE(arena, SS_PIECE);
        g->band[b].voice = TAKE(arena, (size_t) g->drivers * g->reach);
        g->band[b].share = b == 0u ? TAKE(arena, (size_t) g->drivers * g->reach) : g->band[b].voice;
    }
}

void NAME(guard_reset)(GUARD *g)
{
    const size_t held = (size_t) g->drivers * g->reach * sizeof(SAMPLE);
    memset(g->mean, 0, 2u * (size_t) g->drivers * sizeof(MEAN));
    memset(g->low, 0, g->drivers * sizeof(SAMPLE));
    for (uint32_t b = 0; b < SS_BANDS; b++) {
        BAND *m = &g->band[b];
        memset(m->line, 0, g->reach * sizeof(SAMPLE));
        memset(m->taken, 0, SS_PIECE * sizeof(SAMPLE));
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
    g->least_gain = UNITY;
    g->limited = 0u;
}

/* A window of whole parts is full: its largest need takes the place of the oldest. */
static void window_ended(BAND *m, SAMPLE largest)
{
    m->needs[m->slot] = largest;
    m->passed = 0u;
    m->slot = m->slot + 1u < SS_WINDOWS ? m->slot + 1u : 0u;
}

/* Update a band by one sample with the need `wanted`; returns the larger of its two reductions. */
static SAMPLE reduction(const GUARD *g, BAND *m, SAMPLE wanted)
{
    m->now = wanted > m->now ? wanted : m->now;
    if (followed(g, m, m->last > m->now ? m->last : m->now)) {
        m->quiet = 0u;
    } else if (m->quiet <= g->look) {
        m->quiet++;
    }
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
    return reduced(m);
}

/* The same as n calls of `reduction` without a need and without a remaining reduction. */
static void pass_time(const GUARD *g, BAND *m, uint32_t n)
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

/* One band of at most SS_PIECE samples; whether it may have changed any. */
static int limit_band(GUARD *g, uint32_t b, SAMPLE *const *y, uint32_t first, uint32_t n)
{
    BAND *m = &g->band[b];
    const uint32_t look = g->look, reach = g->reach;
    uint32_t loud = 0u;
    int works;
    for (uint32_t d = 0; d < g->drivers; d++) {
        const SAMPLE *row = y[d] + first, c = g->ceilings[d];
        memcpy(m->voice + (size_t) d * reach + look, row, n * sizeof *row);
        for (uint32_t k = 0; k < n; k++) {
            loud += LOUD(row[k], c) ? 1u : 0u;
        }
    }
    if (b == 0u) {
        low_pass(g, y, first, n);
    }
    works = loud > 0u || m->quiet <= look || m->now > 0 || m->last > 0 || m->longest > 0 || m->steady > 0;
    memset(m->taken, 0, n * sizeof(SAMPLE));
    if (works) {
        for (uint32_t d = 0; loud > 0u && d < g->drivers; d++) {
            const size_t at = (size_t) d * reach + look;
            need(m->taken, m->voice + at, m->share + at, g->ceilings[d], b == 0u ? MOST_LOW : MOST, n);
        }
        for (uint32_t k = 0; k < n; k++) {
            m->line[look + k] = reduction(g, m, m->taken[k]);
        }
        averaged(g, m, n);
    } else {
        pass_time(g, m, n);
        memset(m->line + look, 0, n * sizeof(SAMPLE));
    }
    for (uint32_t d = 0; d < g->drivers; d++) {
        SAMPLE *row = y[d] + first, *voice = m->voice + (size_t) d * reach, *share = m->share + (size_t) d * reach;
        memcpy(row, voice, n * sizeof *row);
        if (works) {
            apply(row, m->taken, share, n);
        }
        memmove(voice, voice + n, look * sizeof *voice);
        if (b == 0u) {
            memmove(share, share + n, look * sizeof *share);
        }
    }
    memmove(m->line, m->line + n, look * sizeof(SAMPLE));
    return works;
}

void NAME(guard_process)(GUARD *g, SAMPLE *const *y, uint32_t n)
{
    if (g->stopped == SWEETSPOT_RUNNING) {
        judge(g, y, n, g->mean);
    }
    for (uint32_t first = 0; g->stopped == SWEETSPOT_RUNNING && first < n; first += SS_PIECE) {
        const uint32_t count = n - first < SS_PIECE ? n - first : SS_PIECE;
        int worked = 0;
        for (uint32_t b = 0; b < SS_BANDS; b++) {
            worked |= limit_band(g, b, y, first, count);
        }
        if (worked) {
            clip(g, y, first, count);
        }
    }
    if (g->stopped == SWEETSPOT_RUNNING) {
        judge(g, y, n, g->mean + g->drivers);
    }
    for (uint32_t d = 0; g->stopped != SWEETSPOT_RUNNING && d < g->drivers; d++) {
        memset(y[d], 0, n * sizeof(SAMPLE));
    }
}
