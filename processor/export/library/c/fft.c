/* Transform of a real frame at the odd frequencies, without reordering: columns, twiddles, rows.
 *
 * A frame of 2 size real samples is folded into size complex ones, (first + j second) exp(j pi n / 2 size): its values
 * at the odd multiples of half a cycle per frame, so that there is no special bin at zero or Nyquist. The transform of rows x
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
#define FOUR(p, at) (*(four_lanes *) (void *) ((p) + (at)))
#if defined(__clang__)
#define SS_MIXED(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t four_places __attribute__((vector_size(16)));
#define SS_MIXED(a, b, i, j, k, l) __builtin_shuffle(a, b, (four_places){i, j, k, l})
#endif
#else
#define STEP_LANES float
#define STEP_COUNT 1u
#endif
#define SPLIT split_four
#define JOIN join_four
#define CROSS cross_four
#include "fft_step.h"

#if SS_VECTORS && defined(__AVX__)
typedef float eight_lanes __attribute__((vector_size(32), may_alias));
#undef STEP_LANES
#undef STEP_COUNT
#undef SPLIT
#undef JOIN
#undef CROSS
#define STEP_LANES eight_lanes
#define STEP_COUNT 8u
#define SPLIT split_eight
#define JOIN join_eight
#define CROSS cross_eight
#include "fft_step.h"
#endif

/* A step over a whole row, or back. */
SS_INLINE void step4(float *re, float *im, uint32_t quarter, const float *w, uint32_t width, const int inverse,
                     const int turns)
{
#if SS_VECTORS && defined(__AVX__)
    if (width % 8u == 0u) {
        if (inverse) {
            join_eight(re, im, quarter, w, width, turns);
        } else {
            split_eight(re, im, quarter, w, width, turns);
        }
        return;
    }
#endif
    if (inverse) {
        join_four(re, im, quarter, w, width, turns);
    } else {
        split_four(re, im, quarter, w, width, turns);
    }
}

/* Steps of two over neighbouring rows. */
static void twos(float *re, float *im, uint32_t rows, uint32_t width)
{
    for (uint32_t start = 0; start < rows; start += 2u) {
        const size_t at = (size_t) start * width;
#if SS_VECTORS && defined(__AVX__)
        if (width % 8u == 0u) {
            cross_eight(re + at, im + at, width);
            continue;
        }
#endif
        cross_four(re + at, im + at, width);
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
            if (j == 0u) {
                step4(re + at, im + at, q * width, w, width, inverse, 0);
            } else {
                step4(re + at, im + at, q * width, w, width, inverse, 1);
            }
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

#if SS_VECTORS
/* Four rows of four become four columns. */
SS_INLINE void square(four_lanes *restrict a)
{
    const four_lanes p = SS_MIXED(a[0], a[1], 0, 4, 1, 5), q = SS_MIXED(a[0], a[1], 2, 6, 3, 7);
    const four_lanes r = SS_MIXED(a[2], a[3], 0, 4, 1, 5), s = SS_MIXED(a[2], a[3], 2, 6, 3, 7);
    a[0] = SS_MIXED(p, r, 0, 1, 4, 5);
    a[1] = SS_MIXED(p, r, 2, 3, 6, 7);
    a[2] = SS_MIXED(q, s, 0, 1, 4, 5);
    a[3] = SS_MIXED(q, s, 2, 3, 6, 7);
}
#endif

/* Spectra (rows, columns) to (columns, rows), turned by w in the order in which they are written. */
static void across(const float *re, const float *im, float *restrict tr, float *restrict ti, uint32_t rows,
                   uint32_t columns, const float *restrict w)
{
    const size_t size = (size_t) rows * columns;
#if SS_VECTORS
    for (uint32_t r = 0; r < rows; r += FEWEST) {
        for (uint32_t c = 0; c < columns; c += FEWEST) {
            four_lanes x[FEWEST], y[FEWEST];
            for (uint32_t k = 0; k < FEWEST; k++) {
                x[k] = FOUR(re, (size_t) (r + k) * columns + c);
                y[k] = FOUR(im, (size_t) (r + k) * columns + c);
            }
            square(x);
            square(y);
            for (uint32_t k = 0; k < FEWEST; k++) {
                const size_t at = (size_t) (c + k) * rows + r;
                const four_lanes wr = FOUR(w, at), wi = FOUR(w, size + at);
                FOUR(tr, at) = x[k] * wr - y[k] * wi;
                FOUR(ti, at) = x[k] * wi + y[k] * wr;
            }
        }
    }
#else
    for (uint32_t c = 0; c < columns; c++) {
        for (uint32_t r = 0; r < rows; r++) {
            const size_t from = (size_t) r * columns + c, at = (size_t) c * rows + r;
            tr[at] = re[from] * w[at] - im[from] * w[size + at];
            ti[at] = re[from] * w[size + at] + im[from] * w[at];
        }
    }
#endif
}

/* Back: turned by the conjugate of w in the order in which they are read. */
static void back(const float *re, const float *im, float *restrict tr, float *restrict ti, uint32_t rows,
                 uint32_t columns, const float *restrict w)
{
    const size_t size = (size_t) rows * columns;
#if SS_VECTORS
    for (uint32_t r = 0; r < rows; r += FEWEST) {
        for (uint32_t c = 0; c < columns; c += FEWEST) {
            four_lanes x[FEWEST], y[FEWEST];
            for (uint32_t k = 0; k < FEWEST; k++) {
                const size_t from = (size_t) (r + k) * columns + c;
                const four_lanes a = FOUR(re, from), b = FOUR(im, from), wr = FOUR(w, from), wi = FOUR(w, size + from);
                x[k] = a * wr + b * wi;
                y[k] = b * wr - a * wi;
            }
            square(x);
            square(y);
            for (uint32_t k = 0; k < FEWEST; k++) {
                FOUR(tr, (size_t) (c + k) * rows + r) = x[k];
                FOUR(ti, (size_t) (c + k) * rows + r) = y[k];
            }
        }
    }
#else
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t c = 0; c < columns; c++) {
            const size_t from = (size_t) r * columns + c, at = (size_t) c * rows + r;
            tr[at] = re[from] * w[from] + im[from] * w[size + from];
            ti[at] = im[from] * w[from] - re[from] * w[size + from];
        }
    }
#endif
}

/* Spectrum of a frame whose halves are `first` and `second`, size samples each. */
void ss_forward(const ss_fft *fft, const float *restrict first, const float *restrict second, float *restrict re,
                float *restrict im)
{
    const uint32_t size = fft->size, rows = fft->rows, columns = fft->columns;
    const float *restrict turn = fft->turn;
    float *restrict sr = fft->scratch, *restrict si = fft->scratch + size;
    for (uint32_t n = 0; n < size; n++) {
        sr[n] = first[n] * turn[n] - second[n] * turn[size + n];
        si[n] = first[n] * turn[size + n] + second[n] * turn[n];
    }
    down(sr, si, rows, columns, fft->by_rows);
    across(sr, si, re, im, rows, columns, fft->between);
    down(re, im, columns, rows, fft->by_columns);
}

/* The halves of a frame times `size` from its spectrum, which is overwritten; first may be NULL. */
void ss_inverse(const ss_fft *fft, float *restrict re, float *restrict im, float *restrict first,
                float *restrict second)
{
    const uint32_t size = fft->size, rows = fft->rows, columns = fft->columns;
    const float *restrict turn = fft->turn;
    float *restrict sr = fft->scratch, *restrict si = fft->scratch + size;
    up(re, im, columns, rows, fft->by_columns);
    back(re, im, sr, si, columns, rows, fft->between);
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
