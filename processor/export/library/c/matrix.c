/* Matrix of FIR filters, uniform partitions: one transform per input, one inverse per output, sums in frequency.
 *
 * A piece that ends within a block is computed at once from the partly filled frame; the sum of older partitions is
 * computed once per block and kept. All sets share the inputs' spectra, so that a set can take over at any sample.
 */
#include "internal.h"
#include <string.h>

SS_FAST

#define GROUP 4u
#define PAIR (2u * SS_LANES)
#define LINE (SS_TRIPLE * SS_LANES) /* of a tile of an input's spectrum */

static uint32_t groups(const ss_matrix *m)
{
    return (m->outputs + GROUP - 1u) / GROUP;
}

static size_t set_floats(const ss_matrix *m)
{
    return (size_t) m->tiles * m->outputs * m->parts * m->inputs * PAIR;
}

void ss_matrix_layout(ss_matrix *m, ss_arena *arena, const sweetspot_info *info, uint32_t block)
{
    m->block = block;
    m->inputs = SWEETSPOT_PROGRAMS;
    m->outputs = info->drivers;
    m->taps = info->taps;
    m->sets = info->sets;
    m->parts = (info->taps + block - 1u) / block;
    m->tiles = block / SS_LANES;
    ss_fft_layout(&m->fft, arena, block);
    m->spectra = ss_take(arena, m->sets * set_floats(m));
    m->line = ss_take(arena, (size_t) m->tiles * m->parts * m->inputs * LINE);
    m->frame = ss_take(arena, 2u * (size_t) m->inputs * block);
    m->tail[0] = ss_take(arena, SS_TRIPLE * (size_t) m->outputs * block);
    m->tail[1] = ss_take(arena, SS_TRIPLE * (size_t) m->outputs * block);
    m->sum = ss_take(arena, SS_TRIPLE * (size_t) m->outputs * block);
    m->work = ss_take(arena, 4u * (size_t) block);
}

/* Where the filter of an output begins in a tile: groups of four outputs, the last one maybe smaller. */
static float *filter_at(const ss_matrix *m, uint32_t set, uint32_t tile, uint32_t output, uint32_t part, uint32_t input)
{
    const uint32_t group = output / GROUP, rest = m->outputs - group * GROUP, width = rest < GROUP ? rest : GROUP;
    const size_t order = (size_t) m->parts * m->inputs;
    float *p = m->spectra + (size_t) set * set_floats(m);
    p += ((size_t) tile * m->outputs + (size_t) group * GROUP) * order * PAIR;
    return p + (((size_t) part * m->inputs + input) * width + output % GROUP) * PAIR;
}

/* Spectra of one filter; scaled by 1 / block, which the inverse does not apply. */
static void load_row(ss_matrix *m, uint32_t set, uint32_t input, uint32_t output, const unsigned char *taps)
{
    const uint32_t b = m->block;
    float *first = m->frame, *second = m->frame + b, *re = m->work, *im = m->work + b;
    memset(second, 0, b * sizeof *second);
    for (uint32_t part = 0; part < m->parts; part++) {
        for (uint32_t n = 0; n < b; n++) {
            const uint32_t k = part * b + n;
            first[n] = k < m->taps ? ss_float_at(taps + 4u * (size_t) k) / (float) b : 0.0f;
        }
        ss_forward(&m->fft, first, second, re, im);
        for (uint32_t tile = 0; tile < m->tiles; tile++) {
            float *to = filter_at(m, set, tile, output, part, input);
            memcpy(to, re + (size_t) tile * SS_LANES, SS_LANES * sizeof *to);
            memcpy(to + SS_LANES, im + (size_t) tile * SS_LANES, SS_LANES * sizeof *to);
        }
    }
}

/* Spectra of all filters, [set][program][driver][tap]. */
void ss_matrix_load(ss_matrix *m, const unsigned char *taps)
{
    for (uint32_t row = 0; row < m->sets * m->inputs * m->outputs; row++) {
        const uint32_t input = row / m->outputs % m->inputs;
        load_row(m, row / (m->inputs * m->outputs), input, row % m->outputs, taps + 4u * (size_t) row * m->taps);
    }
    ss_matrix_reset(m);
}

/* The bypass: more outputs of the same inputs, each of one side with the centre. */
void ss_plain_layout(ss_matrix *plain, const ss_matrix *m, ss_arena *arena, uint32_t outputs)
{
    *plain = *m;
    plain->outputs = outputs;
    plain->sets = 1u;
    plain->spectra = ss_take(arena, set_floats(plain));
    plain->tail[0] = ss_take(arena, SS_TRIPLE * (size_t) outputs * m->block);
    plain->tail[1] = plain->tail[0];
    plain->sum = ss_take(arena, SS_TRIPLE * (size_t) outputs * m->block);
}

/* Its filters, [plain][tap]. */
void ss_plain_load(ss_matrix *plain, const sweetspot_info *info)
{
    memset(plain->spectra, 0, set_floats(plain) * sizeof(float));
    for (uint32_t row = 0; row < info->plains; row++) {
        const unsigned char *taps = info->plain_at + 4u * (size_t) row * plain->taps;
        load_row(plain, 0u, info->plain[row][0], row, taps);
        load_row(plain, 0u, 2u, row, taps);
    }
}

/* Output of the bypass for the last samples given to `m`. */
void ss_plain_answer(ss_matrix *plain, const ss_matrix *m, float *const *out, uint32_t n)
{
    plain->slot = m->slot;
    plain->filled = m->filled;
    plain->tail_of[0] = -1;
    ss_matrix_answer(plain, 0u, 0, out, n);
}

void ss_matrix_reset(ss_matrix *m)
{
    memset(m->line, 0, (size_t) m->tiles * m->parts * m->inputs * LINE * sizeof(float));
    memset(m->frame, 0, 2u * (size_t) m->inputs * m->block * sizeof(float));
    m->slot = 0u;
    m->filled = 0u;
    m->tail_of[0] = m->tail_of[1] = -1;
}

/* Take the next samples of every program into the frame; at most up to the end of the block. */
void ss_matrix_feed(ss_matrix *m, const float *const *in, uint32_t n)
{
    const uint32_t b = m->block;
    const size_t stride = (size_t) m->parts * m->inputs * LINE;
    float *re = m->work, *im = m->work + b;
    for (uint32_t i = 0; i < m->inputs; i++) {
        float *frame = m->frame + 2u * (size_t) i * b;
        memcpy(frame + b + m->filled, in[i], n * sizeof *frame);
        ss_forward(&m->fft, frame, frame + b, re, im);
        for (uint32_t tile = 0; tile < m->tiles; tile++) {
            float *to = m->line + tile * stride + ((size_t) m->slot * m->inputs + i) * LINE;
            const float *r = re + (size_t) tile * SS_LANES, *j = im + (size_t) tile * SS_LANES;
            for (uint32_t k = 0; k < SS_LANES; k++) {
                to[k] = r[k];
#if SS_FUSED
                to[SS_LANES + k] = j[k];
#else
                to[SS_LANES + k] = r[k] + j[k];
                to[2u * SS_LANES + k] = j[k] - r[k];
#endif
            }
        }
    }
}

/* Inputs' spectra of one tile, newest first: `count[0]` from at[0] on, then `count[1]` from at[1] on; they lie in a ring. */
typedef struct {
    const float *at[2];
    uint32_t count[2];
} past;

/* `width` outputs of one tile: sums of products over the past, added to what is in `sum` if `more`.
 *
 * Without fused multiply-adds a complex product g x takes three: with x' = re x + im x and x" = im x - re x it is
 * (re x (re g + im g) - x' im g) + j (re x (re g + im g) + x" re g). Each product has a sum of its own; see combined.
 */
SS_INLINE void products(const float *h, const past *inputs, float *sum, uint32_t block, const uint32_t width, int more)
{
    const ss_lanes none = {0.0f};
    ss_lanes re[GROUP], im[GROUP], both[GROUP];
    for (uint32_t o = 0; o < width; o++) {
        const float *from = sum + (size_t) o * SS_TRIPLE * block;
        re[o] = more ? *(const ss_lanes *) (const void *) from : none;
        im[o] = more ? *(const ss_lanes *) (const void *) (from + block) : none;
        both[o] = more && !SS_FUSED ? *(const ss_lanes *) (const void *) (from + 2u * (size_t) block) : none;
    }
    for (uint32_t piece = 0; piece < 2u; piece++) {
        const float *x = inputs->at[piece];
        for (uint32_t c = 0; c < inputs->count[piece]; c++, x += LINE, h += (size_t) width * PAIR) {
            const ss_lanes *v = (const ss_lanes *) (const void *) x;
            for (uint32_t o = 0; o < width; o++) {
                const ss_lanes *g = (const ss_lanes *) (const void *) (h + (size_t) o * PAIR);
#if SS_FUSED
                re[o] += g[0] * v[0];
                im[o] += g[0] * v[1];
                re[o] -= g[1] * v[1];
                im[o] += g[1] * v[0];
#else
                both[o] += (g[0] + g[1]) * v[0];
                re[o] += g[1] * v[1];
                im[o] += g[0] * v[2];
#endif
            }
        }
    }
    for (uint32_t o = 0; o < width; o++) {
        float *to = sum + (size_t) o * SS_TRIPLE * block;
        *(ss_lanes *) (void *) to = re[o];
        *(ss_lanes *) (void *) (to + block) = im[o];
#if SS_FUSED
        (void) both[o];
#else
        *(ss_lanes *) (void *) (to + 2u * (size_t) block) = both[o];
#endif
    }
}

/* The spectrum (re, im) from its three sums. */
static void combined(float *sum, uint32_t block)
{
#if SS_FUSED
    (void) sum;
    (void) block;
#else
    float *restrict re = sum, *restrict im = sum + block;
    const float *restrict both = sum + 2u * (size_t) block;
    for (uint32_t k = 0; k < block; k++) {
        re[k] = both[k] - re[k];
        im[k] = both[k] + im[k];
    }
#endif
}

/* Partitions from `first` to `last` of a set into sum (output, re im, block), added to it if `more`. */
static void summed(const ss_matrix *m, uint32_t set, uint32_t first, uint32_t last, float *sum, int more)
{
    const uint32_t inputs = m->inputs, b = m->block, begin = m->slot + first, end = m->slot + last;
    const uint32_t ends = end < m->parts ? end : m->parts, again = begin > m->parts ? begin - m->parts : 0u;
    past x;
    x.count[0] = begin < ends ? (ends - begin) * inputs : 0u;
    x.count[1] = end > m->parts ? (end - m->parts - again) * inputs : 0u;
    for (uint32_t tile = 0; tile < m->tiles; tile++) {
        const float *line = m->line + (size_t) tile * m->parts * inputs * LINE;
        x.at[0] = line + (size_t) (begin < m->parts ? begin : 0u) * inputs * LINE;
        x.at[1] = line + (size_t) again * inputs * LINE;
        for (uint32_t g = 0; g < groups(m); g++) {
            const uint32_t rest = m->outputs - g * GROUP;
            const float *h = filter_at(m, set, tile, g * GROUP, first, 0u);
            float *to = sum + SS_TRIPLE * (size_t) g * GROUP * b + (size_t) tile * SS_LANES;
            switch (rest) {
            case 1u:
                products(h, &x, to, b, 1u, more);
                break;
            case 2u:
                products(h, &x, to, b, 2u, more);
                break;
            case 3u:
                products(h, &x, to, b, 3u, more);
                break;
            default:
                products(h, &x, to, b, GROUP, more);
                break;
            }
        }
    }
}

/* Output of a set for the last samples; `which` (0 or 1) keeps two sets' sums apart. */
void ss_matrix_answer(ss_matrix *m, uint32_t set, int which, float *const *out, uint32_t n)
{
    const uint32_t b = m->block;
    float *second = m->work + 2u * b;
    if (m->filled == 0u && n == b) {
        summed(m, set, 0u, m->parts, m->sum, 0);
    } else {
        if (m->tail_of[which] != (int) set) {
            summed(m, set, 1u, m->parts, m->tail[which], 0);
            m->tail_of[which] = (int) set;
        }
        memcpy(m->sum, m->tail[which], SS_TRIPLE * (size_t) m->outputs * b * sizeof(float));
        summed(m, set, 0u, 1u, m->sum, 1);
    }
    for (uint32_t o = 0; o < m->outputs; o++) {
        float *re = m->sum + SS_TRIPLE * (size_t) o * b;
        combined(re, b);
        ss_inverse(&m->fft, re, re + b, NULL, second);
        memcpy(out[o], second + m->filled, n * sizeof *second);
    }
}

/* Advance by the last samples: the block continues, or ends. */
void ss_matrix_advance(ss_matrix *m, uint32_t n)
{
    const uint32_t b = m->block;
    m->filled += n;
    if (m->filled < b) {
        return;
    }
    for (uint32_t i = 0; i < m->inputs; i++) {
        float *frame = m->frame + 2u * (size_t) i * b;
        memcpy(frame, frame + b, b * sizeof *frame);
        memset(frame + b, 0, b * sizeof *frame);
    }
    m->slot = m->slot == 0u ? m->parts - 1u : m->slot - 1u;
    m->filled = 0u;
    m->tail_of[0] = m->tail_of[1] = -1;
}
