/* Transform of a real frame at the odd frequencies, without reordering: columns, twiddles, rows.
 *
 * A frame of 2 size real samples is folded into size complex ones, (first + j second) exp(j pi n / 2 size): its values
 * at the odd multiples of half a cycle per frame, so that no bin at zero or Nyquist needs care. The transform of rows x
 * columns goes down the columns, turns, transposes, and goes down what were the rows; every inner loop runs over
 * neighbours in memory. The order that this leaves is undone by the inverse.
 */
#include "internal.h"
#include <math.h>

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

/* Neighbours that one turn of an inner loop takes: a constant, so that a compiler makes vectors of it. */
#define FEWEST 4u
#define WIDEST 8u

typedef float four_rows[4][WIDEST];

static inline void gathered(const float *re, const float *im, size_t quarter, const uint32_t width, four_rows pr,
                            four_rows pi)
{
    for (uint32_t row = 0; row < 4u; row++) {
        for (uint32_t c = 0; c < width; c++) {
            pr[row][c] = re[row * quarter + c];
            pi[row][c] = im[row * quarter + c];
        }
    }
}

static inline void scattered(float *re, float *im, size_t quarter, const uint32_t width, const float (*qr)[WIDEST],
                             const float (*qi)[WIDEST])
{
    for (uint32_t row = 0; row < 4u; row++) {
        for (uint32_t c = 0; c < width; c++) {
            re[row * quarter + c] = qr[row][c];
            im[row * quarter + c] = qi[row][c];
        }
    }
}

/* One step of radix 4 on a quarter of each row set: two fused steps of radix 2, decimation in frequency.
 * Everything is read before anything is written, which lets a compiler use vectors. */
static inline void split4(float *re, float *im, size_t quarter, const float *w, const uint32_t width)
{
    four_rows pr, pi, qr, qi;
    gathered(re, im, quarter, width, pr, pi);
    for (uint32_t c = 0; c < width; c++) {
        const float ar = pr[0][c] + pr[2][c], ai = pi[0][c] + pi[2][c];
        const float cr = pr[0][c] - pr[2][c], ci = pi[0][c] - pi[2][c];
        const float br = pr[1][c] + pr[3][c], bi = pi[1][c] + pi[3][c];
        const float dr = pi[3][c] - pi[1][c], di = pr[1][c] - pr[3][c];
        const float xr = ar - br, xi = ai - bi, yr = cr + dr, yi = ci + di, zr = cr - dr, zi = ci - di;
        qr[0][c] = ar + br;
        qi[0][c] = ai + bi;
        qr[1][c] = xr * w[2] - xi * w[3];
        qi[1][c] = xr * w[3] + xi * w[2];
        qr[2][c] = yr * w[0] - yi * w[1];
        qi[2][c] = yr * w[1] + yi * w[0];
        qr[3][c] = zr * w[4] - zi * w[5];
        qi[3][c] = zr * w[5] + zi * w[4];
    }
    scattered(re, im, quarter, width, (const float(*)[WIDEST]) qr, (const float(*)[WIDEST]) qi);
}

/* Its inverse, decimation in time with the conjugate turns. */
static inline void join4(float *re, float *im, size_t quarter, const float *w, const uint32_t width)
{
    four_rows pr, pi, qr, qi;
    gathered(re, im, quarter, width, pr, pi);
    for (uint32_t c = 0; c < width; c++) {
        const float xr = pr[1][c] * w[2] + pi[1][c] * w[3], xi = pi[1][c] * w[2] - pr[1][c] * w[3];
        const float yr = pr[2][c] * w[0] + pi[2][c] * w[1], yi = pi[2][c] * w[0] - pr[2][c] * w[1];
        const float zr = pr[3][c] * w[4] + pi[3][c] * w[5], zi = pi[3][c] * w[4] - pr[3][c] * w[5];
        const float ar = pr[0][c] + xr, ai = pi[0][c] + xi, br = pr[0][c] - xr, bi = pi[0][c] - xi;
        const float cr = yr + zr, ci = yi + zi, dr = yi - zi, di = zr - yr;
        qr[0][c] = ar + cr;
        qi[0][c] = ai + ci;
        qr[1][c] = br + dr;
        qi[1][c] = bi + di;
        qr[2][c] = ar - cr;
        qi[2][c] = ai - ci;
        qr[3][c] = br - dr;
        qi[3][c] = bi - di;
    }
    scattered(re, im, quarter, width, (const float(*)[WIDEST]) qr, (const float(*)[WIDEST]) qi);
}

/* A step over a whole row, in pieces of a constant width. */
static inline void step4(float *re, float *im, uint32_t quarter, const float *w, uint32_t width, const int inverse)
{
    if (width % WIDEST == 0u) {
        for (uint32_t c = 0; c < width; c += WIDEST) {
            if (inverse) {
                join4(re + c, im + c, quarter, w, WIDEST);
            } else {
                split4(re + c, im + c, quarter, w, WIDEST);
            }
        }
        return;
    }
    for (uint32_t c = 0; c < width; c += FEWEST) {
        if (inverse) {
            join4(re + c, im + c, quarter, w, FEWEST);
        } else {
            split4(re + c, im + c, quarter, w, FEWEST);
        }
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
static inline void fours(float *re, float *im, uint32_t rows, uint32_t width, const float *table, uint32_t span,
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
    for (uint32_t c = 0; c < columns; c++) {
        for (uint32_t r = 0; r < rows; r++) {
            const uint32_t to = c * rows + r, from = r * columns + c;
            re[to] = sr[from] * between[to] - si[from] * between[size + to];
            im[to] = sr[from] * between[size + to] + si[from] * between[to];
        }
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
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t c = 0; c < columns; c++) {
            const uint32_t from = c * rows + r, to = r * columns + c;
            sr[to] = re[from] * between[from] + im[from] * between[size + from];
            si[to] = im[from] * between[from] - re[from] * between[size + from];
        }
    }
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
