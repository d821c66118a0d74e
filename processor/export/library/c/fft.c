/* Transform of a real frame at the odd frequencies, without reordering: columns, twiddles, rows.
 *
 * A frame of 2 size real samples is folded into size complex ones, (first + j second) exp(j pi n / 2 size): its values
 * at the odd multiples of half a cycle per frame, so that no bin at zero or Nyquist needs care. The transform of rows x
 * columns goes down the columns, turns, transposes, and goes down what were the rows; every inner loop runs over
 * neighbours in memory. The order that this leaves is undone by the inverse.
 */
#include "internal.h"
#include <math.h>

SS_FAST

static const double PI = 3.14159265358979323846;

float *ss_take(ss_arena *arena, size_t floats)
{
    float *piece = arena->base != NULL ? (float *) (void *) (arena->base + arena->used) : NULL;
    arena->used += (floats * sizeof(float) + 63u) & ~(size_t) 63u;
    return piece;
}

void ss_fft_layout(ss_fft *fft, ss_arena *arena, uint32_t size)
{
    fft->size = size;
    fft->rows = 1u;
    while (fft->rows * fft->rows < size) {
        fft->rows *= 2u;
    }
    fft->columns = size / fft->rows;
    fft->turn = ss_take(arena, 2u * (size_t) size);
    fft->between = ss_take(arena, 2u * (size_t) size);
    fft->by_rows = ss_take(arena, 2u * (size_t) fft->rows);
    fft->by_columns = ss_take(arena, 2u * (size_t) fft->columns);
    fft->scratch = ss_take(arena, 2u * (size_t) size);
}

static uint32_t reversed(uint32_t k, uint32_t size)
{
    uint32_t r = 0u;
    for (; size > 1u; size /= 2u, k /= 2u) {
        r = 2u * r + (k & 1u);
    }
    return r;
}

static void turns(float *table, uint32_t count, double angle)
{
    for (uint32_t k = 0; k < count; k++) {
        table[k] = (float) cos(angle * k);
        table[count + k] = (float) sin(angle * k);
    }
}

void ss_fft_tables(ss_fft *fft)
{
    turns(fft->turn, fft->size, PI / (2.0 * fft->size));
    turns(fft->by_rows, fft->rows, 2.0 * PI / fft->rows);
    turns(fft->by_columns, fft->columns, 2.0 * PI / fft->columns);
    for (uint32_t c = 0; c < fft->columns; c++) {
        for (uint32_t r = 0; r < fft->rows; r++) {
            const double angle = 2.0 * PI * ((double) reversed(r, fft->rows) * c) / fft->size;
            fft->between[c * fft->rows + r] = (float) cos(angle);
            fft->between[fft->size + c * fft->rows + r] = (float) sin(angle);
        }
    }
}

static void turned(const float *table, uint32_t count, uint32_t k, float *w)
{
    w[0] = table[k];
    w[1] = table[count + k];
}

/* Steps of radix 4 on four neighbours at once, and on eight where the processor has them. */
#define FEWEST 4u
#if SS_VECTORS
typedef float four_lanes __attribute__((vector_size(16), may_alias));
#define STEP_LANES four_lanes
#define STEP_COUNT 4u
#else
#define STEP_LANES float
#define STEP_COUNT 1u
#endif
#define SPLIT split_four
#define JOIN join_four
#include "fft_step.h"

#if SS_VECTORS && defined(__AVX__)
typedef float eight_lanes __attribute__((vector_size(32), may_alias));
#undef STEP_LANES
#undef STEP_COUNT
#undef SPLIT
#undef JOIN
#define STEP_LANES eight_lanes
#define STEP_COUNT 8u
#define SPLIT split_eight
#define JOIN join_eight
#include "fft_step.h"
#endif

/* A step over a whole row, or back. */
SS_INLINE void step4(float *re, float *im, uint32_t quarter, const float *w, uint32_t width, const int inverse)
{
#if SS_VECTORS && defined(__AVX__)
    if (width % 8u == 0u) {
        if (inverse) {
            join_eight(re, im, quarter, w, width);
        } else {
            split_eight(re, im, quarter, w, width);
        }
        return;
    }
#endif
    if (inverse) {
        join_four(re, im, quarter, w, width);
    } else {
        split_four(re, im, quarter, w, width);
    }
}

static void cross2(float *restrict re, float *restrict im, uint32_t half)
{
    for (uint32_t c = 0; c < half; c++) {
        const float ar = re[c], ai = im[c], br = re[half + c], bi = im[half + c];
        re[c] = ar + br;
        im[c] = ai + bi;
        re[half + c] = ar - br;
        im[half + c] = ai - bi;
    }
}

/* Steps of two over neighbouring rows. */
static void twos(float *re, float *im, uint32_t rows, uint32_t width)
{
    for (uint32_t start = 0; start < rows; start += 2u) {
        cross2(re + (size_t) start * width, im + (size_t) start * width, width);
    }
}

/* All steps of four of one span: rows of `width` neighbours. */
SS_INLINE void fours(float *re, float *im, uint32_t rows, uint32_t width, const float *table, uint32_t span,
                         const int inverse)
{
    const uint32_t q = span / 4u, step = rows / span;
    for (uint32_t j = 0; j < q; j++) {
        float w[6];
        turned(table, rows, j * step, w);
        turned(table, rows, 2u * j * step, w + 2);
        turned(table, rows, 3u * j * step, w + 4);
        for (uint32_t start = j; start < rows; start += span) {
            const size_t at = (size_t) start * width;
            step4(re + at, im + at, q * width, w, width, inverse);
        }
    }
}

/* Down the rows of a (rows, width) array, rows out in reversed order; sign +. */
static void down(float *re, float *im, uint32_t rows, uint32_t width, const float *table)
{
    uint32_t span = rows;
    for (; span >= 4u; span /= 4u) {
        fours(re, im, rows, width, table, span, 0);
    }
    if (span == 2u) {
        twos(re, im, rows, width);
    }
}

/* Back up: rows in reversed order in, in order out; sign -, not scaled. */
static void up(float *re, float *im, uint32_t rows, uint32_t width, const float *table)
{
    uint32_t span = rows;
    while (span >= 4u) {
        span /= 4u;
    }
    if (span == 2u) {
        twos(re, im, rows, width);
    }
    for (span *= 4u; span <= rows; span *= 4u) {
        fours(re, im, rows, width, table, span, 1);
    }
}

/* (rows, columns) to (columns, rows): four rows at once, so that what is written lies side by side. */
static void transposed(const float *restrict from, float *restrict to, uint32_t rows, uint32_t columns)
{
    for (uint32_t r = 0; r < rows; r += FEWEST) {
        const float *a = from + (size_t) r * columns, *b = a + columns, *c = b + columns, *d = c + columns;
        float *at = to + r;
        for (uint32_t k = 0; k < columns; k++, at += rows) {
            at[0] = a[k];
            at[1] = b[k];
            at[2] = c[k];
            at[3] = d[k];
        }
    }
}

/* Spectrum of a frame whose halves are `first` and `second`, size samples each. */
void ss_forward(const ss_fft *fft, const float *restrict first, const float *restrict second, float *restrict re,
                float *restrict im)
{
    const uint32_t size = fft->size, rows = fft->rows, columns = fft->columns;
    const float *restrict turn = fft->turn, *restrict between = fft->between;
    float *restrict sr = fft->scratch, *restrict si = fft->scratch + size;
    for (uint32_t n = 0; n < size; n++) {
        sr[n] = first[n] * turn[n] - second[n] * turn[size + n];
        si[n] = first[n] * turn[size + n] + second[n] * turn[n];
    }
    down(sr, si, rows, columns, fft->by_rows);
    transposed(sr, re, rows, columns);
    transposed(si, im, rows, columns);
    for (uint32_t n = 0; n < size; n++) {
        const float r = re[n], i = im[n];
        re[n] = r * between[n] - i * between[size + n];
        im[n] = r * between[size + n] + i * between[n];
    }
    down(re, im, columns, rows, fft->by_columns);
}

/* The halves of a frame times `size` from its spectrum, which is overwritten; first may be NULL. */
void ss_inverse(const ss_fft *fft, float *restrict re, float *restrict im, float *restrict first,
                float *restrict second)
{
    const uint32_t size = fft->size, rows = fft->rows, columns = fft->columns;
    const float *restrict turn = fft->turn, *restrict between = fft->between;
    float *restrict sr = fft->scratch, *restrict si = fft->scratch + size;
    up(re, im, columns, rows, fft->by_columns);
    for (uint32_t n = 0; n < size; n++) {
        const float r = re[n], i = im[n];
        re[n] = r * between[n] + i * between[size + n];
        im[n] = i * between[n] - r * between[size + n];
    }
    transposed(re, sr, columns, rows);
    transposed(im, si, columns, rows);
    up(sr, si, rows, columns, fft->by_rows);
    for (uint32_t n = 0; n < size; n++) {
        second[n] = si[n] * turn[n] - sr[n] * turn[size + n];
    }
    if (first != NULL) {
        for (uint32_t n = 0; n < size; n++) {
            first[n] = sr[n] * turn[n] + si[n] * turn[size + n];
        }
    }
}
