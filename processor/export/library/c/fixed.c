/* The processor in Q31: upmix, SPL limiter, filters, bypass, gain and guard; see fixed.h. */
#include "fixed_internal.h"
#include <math.h>
#include <string.h>

#define MOST_HEADROOM 24u
#define CURVE 1024u

/* A value in Q31 that moves along a raised cosine. */
typedef struct {
    int64_t from, to;
    uint32_t length, done;
} fade;

struct sweetspot_fixed {
    uint32_t drivers, taps, sets, block, headroom, at, set, next, wanted, wanted_length, plains;
    unsigned char plain[SWEETSPOT_MAX_PLAIN][2]; /* side and driver */
    fade gain, bypass, change;
    sf_upmix upmix;
    sf_spl spl;
    sf_guard guard;
    int32_t *filters;       /* [set][driver][program][tap], scaled down by the headroom */
    int32_t *dry;           /* [plain][tap] */
    int32_t *heard;         /* [program][2 taps], each sample twice, so that no index wraps */
    int32_t *curve;         /* [CURVE + 1] raised cosine, Q31 */
    int32_t *programs[SWEETSPOT_PROGRAMS];
};

int32_t *sf_take(ss_arena *arena, size_t words)
{
    return (int32_t *) (void *) ss_take(arena, words);
}

int64_t *sf_take_long(ss_arena *arena, size_t words)
{
    return (int64_t *) (void *) ss_take(arena, 2u * words);
}

int32_t sf_q31(double value)
{
    const double scaled = rint(value * 2147483648.0);
    return scaled >= 2147483647.0 ? INT32_MAX : (scaled <= -2147483647.0 ? -INT32_MAX : (int32_t) scaled);
}

/* Of program `p` to driver `d` in set `set`. */
static float tap_of(const sweetspot_info *info, uint32_t set, uint32_t p, uint32_t d, uint32_t tap)
{
    const size_t row = ((size_t) set * SWEETSPOT_PROGRAMS + p) * info->drivers + d;
    return ss_float_at(info->taps_at + 4u * (row * info->taps + tap));
}

/* Largest sum of magnitudes of a driver's filters, or of the bypass: the largest output for full-scale programs. */
static double largest(const sweetspot_info *info)
{
    double most = 0.0;
    for (uint32_t row = 0; row < info->sets * info->drivers; row++) {
        double sum = 0.0;
        for (uint32_t k = 0; k < SWEETSPOT_PROGRAMS * info->taps; k++) {
            sum += fabs((double) tap_of(info, row / info->drivers, k / info->taps, row % info->drivers, k % info->taps));
        }
        most = sum > most ? sum : most;
    }
    for (uint32_t d = 0; d < info->drivers; d++) {
        double sum = 0.0;
        for (uint32_t k = 0; k < info->plains * info->taps; k++) {
            sum += info->plain[k / info->taps][1] == d ? 2.0 * fabs((double) ss_float_at(info->plain_at + 4u * (size_t) k)) : 0.0;
        }
        most = sum > most ? sum : most;
    }
    return most;
}

static size_t layout(sweetspot_fixed *s, ss_arena *arena, const sweetspot_info *info, uint32_t block)
{
    const size_t rows = (size_t) info->sets * info->drivers * SWEETSPOT_PROGRAMS;
    s->filters = sf_take(arena, rows * info->taps);
    s->dry = sf_take(arena, (size_t) info->plains * info->taps);
    s->heard = sf_take(arena, 2u * SWEETSPOT_PROGRAMS * (size_t) info->taps);
    s->curve = sf_take(arena, CURVE + 1u);
    for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
        s->programs[p] = sf_take(arena, block);
    }
    sf_upmix_layout(&s->upmix, arena, info);
    sf_spl_layout(&s->spl, arena, info);
    sf_guard_layout(&s->guard, arena, info);
    return arena->used;
}

static size_t own_size(void)
{
    return (sizeof(sweetspot_fixed) + 63u) & ~(size_t) 63u;
}

static int block_fits(uint32_t block)
{
    return block >= 16u && block <= 4096u && (block & (block - 1u)) == 0u;
}

size_t sweetspot_fixed_memory(const sweetspot_info *info, uint32_t block)
{
    sweetspot_fixed counted;
    ss_arena arena = {NULL, 0u};
    return block_fits(block) ? own_size() + layout(&counted, &arena, info, block) : 0u;
}

/* Bits by which sums are scaled down: one for programs above full scale, and as many as the filters can amplify. */
static uint32_t headroom_of(const sweetspot_info *info)
{
    uint32_t bits = 1u;
    for (double most = largest(info); most >= 0.999999 && bits <= MOST_HEADROOM; most *= 0.5) {
        bits++;
    }
    return bits;
}

static void tables(sweetspot_fixed *s, const sweetspot_info *info)
{
    const double scale = ldexp(1.0, 1 - (int) s->headroom);
    const size_t row = SWEETSPOT_PROGRAMS * (size_t) s->taps;
    for (uint32_t d = 0; d < s->sets * s->drivers; d++) {
        for (uint32_t k = 0; k < row; k++) {
            s->filters[d * row + k] =
                sf_q31(scale * (double) tap_of(info, d / s->drivers, k / s->taps, d % s->drivers, k % s->taps));
        }
    }
    for (uint32_t k = 0; k < s->plains * s->taps; k++) {
        s->dry[k] = sf_q31(scale * (double) ss_float_at(info->plain_at + 4u * (size_t) k));
    }
    for (uint32_t k = 0; k <= CURVE; k++) {
        s->curve[k] = sf_q31(0.5 - 0.5 * cos(3.14159265358979323846 * k / CURVE));
    }
}

sweetspot_fixed *sweetspot_fixed_init(void *memory, size_t bytes, const sweetspot_info *info, uint32_t block, int *code)
{
    sweetspot_fixed *s = (sweetspot_fixed *) memory;
    ss_arena arena = {(unsigned char *) memory, own_size()};
    *code = !block_fits(block) ? SWEETSPOT_BAD_BLOCK : SWEETSPOT_OK;
    if (*code == SWEETSPOT_OK
        && (memory == NULL || ((uintptr_t) memory & 63u) != 0u || bytes < sweetspot_fixed_memory(info, block))) {
        *code = SWEETSPOT_NO_MEMORY;
    }
    if (*code == SWEETSPOT_OK && headroom_of(info) > MOST_HEADROOM) {
        *code = SWEETSPOT_BAD_SIZE;
    }
    if (*code != SWEETSPOT_OK) {
        return NULL;
    }
    memset(s, 0, sizeof *s);
    (void) layout(s, &arena, info, block);
    s->drivers = info->drivers;
    s->taps = info->taps;
    s->sets = info->sets;
    s->block = block;
    s->plains = info->plains;
    memcpy(s->plain, info->plain, sizeof s->plain);
    s->headroom = headroom_of(info);
    s->gain.from = s->gain.to = SF_ONE;
    s->set = s->next = s->wanted = info->home;
    tables(s, info);
    sf_upmix_tables(&s->upmix, info);
    sf_spl_tables(&s->spl, info);
    sf_guard_tables(&s->guard, info, s->headroom);
    sweetspot_fixed_reset(s);
    return s;
}

void sweetspot_fixed_reset(sweetspot_fixed *s)
{
    memset(s->heard, 0, 2u * SWEETSPOT_PROGRAMS * (size_t) s->taps * sizeof(int32_t));
    sf_upmix_reset(&s->upmix);
    sf_spl_reset(&s->spl);
    sf_guard_reset(&s->guard);
    s->at = 0u;
    s->gain.done = s->gain.length;
    s->bypass.done = s->bypass.length;
    s->change.done = s->change.length;
    s->set = s->next = s->wanted;
}

static int moving(const fade *f)
{
    return f->done < f->length;
}

static int64_t value_at(const sweetspot_fixed *s, const fade *f, uint32_t done)
{
    const uint64_t place = (uint64_t) done * CURVE * 65536u / (f->length > 0u ? f->length : 1u);
    const uint32_t k = (uint32_t) (place >> 16);
    if (done >= f->length) {
        return f->to;
    }
    return f->from
         + sf_long_times(f->to - f->from,
                         s->curve[k] + (((int64_t) s->curve[k + 1u] - s->curve[k]) * (int64_t) (place & 65535u) >> 16));
}

static void move_to(const sweetspot_fixed *s, fade *f, int64_t to, uint32_t length)
{
    f->from = value_at(s, f, f->done);
    f->to = to;
    f->length = length > 0u ? length : 1u;
    f->done = 0u;
}

static void passed(fade *f)
{
    f->done += f->done < f->length ? 1u : 0u;
}

/* Sum of products of a filter and a program's last samples, newest first. */
static int64_t products(const sweetspot_fixed *s, const int32_t *h, uint32_t program)
{
    const int32_t *x = s->heard + 2u * (size_t) program * s->taps + s->at;
    int64_t sum = 0;
    for (uint32_t t = 0; t < s->taps; t++) {
        sum += (int64_t) h[t] * x[t];
    }
    return sum;
}

/* Output of a set on a driver, with the headroom that the guard expects. */
static int64_t answer(const sweetspot_fixed *s, uint32_t set, uint32_t driver)
{
    const int32_t *h = s->filters + ((size_t) set * s->drivers + driver) * SWEETSPOT_PROGRAMS * s->taps;
    int64_t sum = 0;
    for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
        sum += products(s, h + (size_t) p * s->taps, p);
    }
    return sf_shifted(sum, 31u);
}

static int64_t dry_of(const sweetspot_fixed *s, uint32_t driver)
{
    int64_t sum = 0;
    for (uint32_t row = 0; row < s->plains; row++) {
        const int32_t *h = s->dry + (size_t) row * s->taps;
        sum += s->plain[row][1] == driver ? products(s, h, s->plain[row][0]) + products(s, h, 2u) : 0;
    }
    return sf_shifted(sum, 31u);
}

/* One sample of every driver, before the guard. */
static void sample(sweetspot_fixed *s, uint32_t k, int32_t *const *out)
{
    const int64_t gain = value_at(s, &s->gain, s->gain.done + 1u), change = value_at(s, &s->change, s->change.done + 1u);
    const int64_t bypass = value_at(s, &s->bypass, s->bypass.done + 1u);
    s->at = s->at == 0u ? s->taps - 1u : s->at - 1u;
    for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
        int32_t *ring = s->heard + 2u * (size_t) p * s->taps + s->at;
        ring[0] = ring[s->taps] = s->programs[p][k];
    }
    for (uint32_t d = 0; d < s->drivers; d++) {
        int64_t v = answer(s, s->set, d);
        v += s->next != s->set ? sf_long_times(answer(s, s->next, d) - v, change) : 0;
        v += bypass > 0 ? sf_long_times(dry_of(s, d) - v, bypass) : 0;
        out[d][k] = sf_saturated(gain < SF_ONE ? sf_long_times(v, gain) : v);
    }
    passed(&s->gain);
    passed(&s->bypass);
    passed(&s->change);
    s->set = s->next != s->set && !moving(&s->change) ? s->next : s->set;
}

static void begin_change(sweetspot_fixed *s)
{
    s->next = s->wanted;
    s->change.from = 0;
    s->change.to = SF_ONE;
    s->change.length = s->wanted_length > 0u ? s->wanted_length : 1u;
    s->change.done = 0u;
}

/* The larger of the gain now and the gain that it moves to. */
static int64_t largest_gain(const sweetspot_fixed *s)
{
    const int64_t now = value_at(s, &s->gain, s->gain.done);
    return now > s->gain.to ? now : s->gain.to;
}

static void piece(sweetspot_fixed *s, const int32_t *const *in, int32_t *const *out, uint32_t n)
{
    if (s->set == s->next && s->wanted != s->set) {
        begin_change(s);
    }
    if (s->guard.stopped == SWEETSPOT_RUNNING) {
        sf_upmix_process(&s->upmix, in, s->programs, n);
        sf_spl_process(&s->spl, s->programs, n, s->bypass.to > 0 ? 1u : 0u, largest_gain(s));
        for (uint32_t k = 0; k < n; k++) {
            sample(s, k, out);
        }
    }
    sf_guard_process(&s->guard, out, n);
    for (uint32_t d = 0; d < s->drivers; d++) {
        for (uint32_t k = 0; k < n; k++) {
            out[d][k] = sf_saturated((int64_t) out[d][k] * ((int64_t) 1 << s->headroom));
        }
    }
}

void sweetspot_fixed_process(sweetspot_fixed *s, const int32_t *const *in, int32_t *const *out, uint32_t n)
{
    for (uint32_t done = 0; done < n;) {
        const uint32_t count = n - done < s->block ? n - done : s->block;
        const int32_t *const from[2] = {in[0] + done, in[1] + done};
        int32_t *to[SWEETSPOT_MAX_DRIVERS];
        for (uint32_t d = 0; d < s->drivers; d++) {
            to[d] = out[d] + done;
        }
        piece(s, from, to, count);
        done += count;
    }
}

uint32_t sweetspot_fixed_headroom(const sweetspot_fixed *s)
{
    return s->headroom;
}

uint32_t sweetspot_fixed_latency(const sweetspot_fixed *s)
{
    return s->upmix.span + SS_BANDS * s->guard.look;
}

int sweetspot_fixed_stopped(const sweetspot_fixed *s)
{
    return s->guard.stopped;
}

uint32_t sweetspot_fixed_stopper(const sweetspot_fixed *s)
{
    return s->guard.stopper;
}

uint32_t sweetspot_fixed_limited(const sweetspot_fixed *s)
{
    return s->guard.limited;
}

int32_t sweetspot_fixed_least_gain(sweetspot_fixed *s)
{
    const int32_t gain = s->guard.least_gain;
    s->guard.least_gain = INT32_MAX;
    return gain;
}

int32_t sweetspot_fixed_least_spl_gain(sweetspot_fixed *s)
{
    const int32_t gain = s->spl.least;
    s->spl.least = INT32_MAX;
    return gain;
}

void sweetspot_fixed_set_amount(sweetspot_fixed *s, int32_t amount)
{
    s->upmix.amount = amount >= 0 ? amount : s->upmix.amount;
}

void sweetspot_fixed_set_gain(sweetspot_fixed *s, int32_t gain, uint32_t samples)
{
    const int64_t to = gain == INT32_MAX ? SF_ONE : gain;
    if (gain >= 0 && to != s->gain.to) {
        move_to(s, &s->gain, to, samples);
    }
}

void sweetspot_fixed_set_bypass(sweetspot_fixed *s, int on, uint32_t samples)
{
    const int64_t to = on ? SF_ONE : 0;
    if (to != s->bypass.to) {
        move_to(s, &s->bypass, to, samples);
    }
}

void sweetspot_fixed_select(sweetspot_fixed *s, uint32_t set, uint32_t samples)
{
    if (set < s->sets) {
        s->wanted = set;
        s->wanted_length = samples;
    }
}

int sweetspot_fixed_changing(const sweetspot_fixed *s)
{
    return s->set != s->next || s->wanted != s->set;
}
