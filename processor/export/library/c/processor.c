/* The processor: lays its parts out in the caller's memory and runs them block by block. */
#include "internal.h"
#include <math.h>
#include <string.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

static const double PI = 3.14159265358979323846;

/* A value that moves along a raised cosine. */
typedef struct {
    float from, to;
    uint32_t length, done;
} fade;

struct sweetspot {
    sweetspot_info info;
    uint32_t block;
    ss_upmix upmix;
    ss_spl spl;
    ss_matrix matrix, plain;
    ss_guard guard;
    fade gain, bypass, change;
    uint32_t set, next, wanted;      /* current, next and requested set */
    uint32_t wanted_length;
    float *programs[SWEETSPOT_PROGRAMS];
    float *other[SWEETSPOT_MAX_DRIVERS];
    float *dry[SWEETSPOT_MAX_PLAIN]; /* the bypass, a filter each */
};

static size_t layout(sweetspot *s, ss_arena *arena, const sweetspot_info *info, uint32_t block)
{
    ss_upmix_layout(&s->upmix, arena, info);
    ss_spl_layout(&s->spl, arena, info);
    ss_matrix_layout(&s->matrix, arena, info, block);
    ss_plain_layout(&s->plain, &s->matrix, arena, info->plains);
    ss_guard_layout(&s->guard, arena, info);
    for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
        s->programs[p] = ss_take(arena, block);
    }
    for (uint32_t d = 0; d < info->drivers; d++) {
        s->other[d] = ss_take(arena, block);
    }
    for (uint32_t row = 0; row < info->plains; row++) {
        s->dry[row] = ss_take(arena, block);
    }
    return arena->used;
}

static size_t own_size(void)
{
    return (sizeof(sweetspot) + 63u) & ~(size_t) 63u;
}

static int block_fits(uint32_t block)
{
    return block >= 16u && block <= 4096u && (block & (block - 1u)) == 0u;
}

size_t sweetspot_memory(const sweetspot_info *info, uint32_t block)
{
    sweetspot counted;
    ss_arena arena = {NULL, 0u};
    return block_fits(block) ? own_size() + layout(&counted, &arena, info, block) : 0u;
}

sweetspot *sweetspot_init(void *memory, size_t bytes, const sweetspot_info *info, uint32_t block, int *code)
{
    sweetspot *s = (sweetspot *) memory;
    ss_arena arena = {(unsigned char *) memory, own_size()};
    *code = !block_fits(block) ? SWEETSPOT_BAD_BLOCK : SWEETSPOT_OK;
    if (*code == SWEETSPOT_OK
        && (memory == NULL || ((uintptr_t) memory & 63u) != 0u || bytes < sweetspot_memory(info, block))) {
        *code = SWEETSPOT_NO_MEMORY;
    }
    if (*code != SWEETSPOT_OK) {
        return NULL;
    }
    memset(s, 0, sizeof *s);
    s->info = *info;
    s->info.taps_at = s->info.plain_at = s->info.detectors_at = NULL;
    s->set = s->next = s->wanted = info->home;
    s->block = block;
    (void) layout(s, &arena, info, block);
    ss_upmix_tables(&s->upmix);
    ss_spl_tables(&s->spl, info);
    ss_fft_tables(&s->matrix.fft);
    ss_plain_load(&s->plain, info);
    ss_matrix_load(&s->matrix, info->taps_at);
    ss_guard_tables(&s->guard, info);
    s->gain.from = s->gain.to = 1.0f;
    sweetspot_reset(s);
    return s;
}

static int moving(const fade *f)
{
    return f->done < f->length;
}

static float value_at(const fade *f, uint32_t done)
{
    if (done >= f->length) {
        return f->to;
    }
    return f->from + (f->to - f->from) * (0.5f - 0.5f * cosf((float) PI * (float) done / (float) f->length));
}

static void move_to(fade *f, float to, uint32_t length)
{
    f->from = value_at(f, f->done);
    f->to = to;
    f->length = length > 0u ? length : 1u;
    f->done = 0u;
}

static uint32_t samples(const sweetspot *s, float seconds)
{
    return seconds > 0.0f && seconds < 3600.0f ? (uint32_t) (seconds * (float) s->info.rate + 0.5f) : 0u;
}

void sweetspot_reset(sweetspot *s)
{
    ss_upmix_reset(&s->upmix);
    ss_spl_reset(&s->spl);
    ss_matrix_reset(&s->matrix);
    ss_guard_reset(&s->guard);
    s->gain.done = s->gain.length;
    s->bypass.done = s->bypass.length;
    s->change.done = s->change.length;
    s->set = s->next = s->wanted;
}

/* Plain stereo at the level and with the delay of the filters and within the drivers' bands, mixed in by the bypass. */
static void plain(sweetspot *s, float *const *out, uint32_t n)
{
    if (!moving(&s->bypass) && !(s->bypass.to > 0.0f)) {
        return;
    }
    ss_plain_answer(&s->plain, &s->matrix, s->dry, n);
    for (uint32_t k = 0; k < n; k++) {
        const float share = value_at(&s->bypass, s->bypass.done + k + 1u);
        for (uint32_t d = 0; d < s->info.drivers; d++) {
            out[d][k] -= share * out[d][k];
        }
        for (uint32_t row = 0; row < s->info.plains; row++) {
            out[s->info.plain[row][1]][k] += share * s->dry[row][k];
        }
    }
    s->bypass.done = s->bypass.done + n < s->bypass.length ? s->bypass.done + n : s->bypass.length;
}

static void begin_change(sweetspot *s)
{
    s->next = s->wanted;
    s->change.from = 0.0f;
    s->change.to = 1.0f;
    s->change.length = s->wanted_length > 0u ? s->wanted_length : 1u;
    s->change.done = 0u;
}

/* Output of the filters; during a change of sets both are computed and crossfaded. */
static void filtered(sweetspot *s, float *const *out, uint32_t n)
{
    const float *const programs[SWEETSPOT_PROGRAMS] = {s->programs[0], s->programs[1], s->programs[2]};
    if (s->set == s->next && s->wanted != s->set) {
        begin_change(s);
    }
    ss_matrix_feed(&s->matrix, programs, n);
    ss_matrix_answer(&s->matrix, s->set, 0, out, n);
    if (s->next != s->set) {
        ss_matrix_answer(&s->matrix, s->next, 1, s->other, n);
        for (uint32_t k = 0; k < n; k++) {
            const float share = value_at(&s->change, s->change.done + k + 1u);
            for (uint32_t d = 0; d < s->info.drivers; d++) {
                out[d][k] += share * (s->other[d][k] - out[d][k]);
            }
        }
        s->change.done = s->change.done + n < s->change.length ? s->change.done + n : s->change.length;
        if (!moving(&s->change)) {
            s->set = s->next;
        }
    }
}

static void scaled(sweetspot *s, float *const *out, uint32_t n)
{
    if (!moving(&s->gain) && s->gain.to == 1.0f) {
        return;
    }
    for (uint32_t k = 0; k < n; k++) {
        const float gain = value_at(&s->gain, s->gain.done + k + 1u);
        for (uint32_t d = 0; d < s->info.drivers; d++) {
            out[d][k] *= gain;
        }
    }
    s->gain.done = s->gain.done + n < s->gain.length ? s->gain.done + n : s->gain.length;
}

/* The larger of the gain now and the gain that it moves to. */
static float largest(const fade *f)
{
    const float now = value_at(f, f->done);
    return now > f->to ? now : f->to;
}

static void piece(sweetspot *s, const float *const *in, float *const *out, uint32_t n)
{
    if (s->guard.stopped == SWEETSPOT_RUNNING && (!ss_finite(in[0], n) || !ss_finite(in[1], n))) {
        s->guard.stopped = SWEETSPOT_NOT_FINITE_IN;
    }
    if (s->guard.stopped == SWEETSPOT_RUNNING) {
        ss_upmix_process(&s->upmix, in, s->programs, n);
        ss_spl_process(&s->spl, s->programs, n, s->bypass.to > 0.0f ? 1u : 0u, largest(&s->gain));
        filtered(s, out, n);
        plain(s, out, n);
        ss_matrix_advance(&s->matrix, n);
        scaled(s, out, n);
    }
    ss_guard_process(&s->guard, out, n);
}

void sweetspot_process(sweetspot *s, const float *const *in, float *const *out, uint32_t n)
{
#if defined(__SSE__)
    const unsigned int held = _mm_getcsr();
    _mm_setcsr(held | 0x8040u); /* denormal numbers count as zero, so that a decaying tail costs no extra time */
#endif
    for (uint32_t done = 0; done < n;) {
        const uint32_t rest = s->block - s->matrix.filled, count = n - done < rest ? n - done : rest;
        const float *const from[2] = {in[0] + done, in[1] + done};
        float *to[SWEETSPOT_MAX_DRIVERS];
        for (uint32_t d = 0; d < s->info.drivers; d++) {
            to[d] = out[d] + done;
        }
        piece(s, from, to, count);
        done += count;
    }
#if defined(__SSE__)
    _mm_setcsr(held);
#endif
}

uint32_t sweetspot_latency(const sweetspot *s)
{
    return s->upmix.span + SS_BANDS * s->guard.look;
}

int sweetspot_stopped(const sweetspot *s)
{
    return s->guard.stopped;
}

uint32_t sweetspot_stopper(const sweetspot *s)
{
    return s->guard.stopper;
}

uint32_t sweetspot_limited(const sweetspot *s)
{
    return s->guard.limited;
}

float sweetspot_least_gain(sweetspot *s)
{
    const float gain = s->guard.least_gain;
    s->guard.least_gain = 1.0f;
    return gain;
}

float sweetspot_least_spl_gain(sweetspot *s)
{
    const float gain = s->spl.least;
    s->spl.least = 1.0f;
    return gain;
}

void sweetspot_set_amount(sweetspot *s, float amount)
{
    s->upmix.amount = amount >= 0.0f && amount <= 1.0f ? amount : s->upmix.amount;
}

void sweetspot_set_gain(sweetspot *s, float gain, float seconds)
{
    if (gain >= 0.0f && gain <= 16.0f && gain != s->gain.to) {
        move_to(&s->gain, gain, samples(s, seconds));
    }
}

void sweetspot_set_bypass(sweetspot *s, int on, float seconds)
{
    const float to = on ? 1.0f : 0.0f;
    if (to < s->bypass.to || to > s->bypass.to) {
        move_to(&s->bypass, to, samples(s, seconds));
    }
}

void sweetspot_select(sweetspot *s, uint32_t set, float seconds)
{
    if (set < s->info.sets) {
        s->wanted = set;
        s->wanted_length = samples(s, seconds);
    }
}

int sweetspot_changing(const sweetspot *s)
{
    return s->set != s->next || s->wanted != s->set;
}

int sweetspot_set_listener(sweetspot *s, float x, float y, float yaw, float seconds)
{
    if (!sweetspot_reachable(&s->info, x, y, yaw)) {
        return 0;
    }
    sweetspot_select(s, sweetspot_nearest(&s->info, x, y, yaw, s->wanted), seconds);
    return 1;
}

uint32_t sweetspot_set(const sweetspot *s)
{
    return s->wanted;
}
