/* Steps of radix 4 on STEP_COUNT neighbours at once, as functions SPLIT and JOIN; fft.c includes it once for each count.
 *
 * A step is two fused steps of radix 2 on a quarter of each row set, `width` neighbours in four rows that lie `quarter`
 * apart. SPLIT decimates in frequency; JOIN is its inverse, with the conjugate turns w.
 */
#define AT(p, row) (*(STEP_LANES *) (void *) ((p) + (row) * quarter + c))

static inline void SPLIT(float *re, float *im, size_t quarter, const float *w, uint32_t width)
{
    for (uint32_t c = 0; c < width; c += STEP_COUNT) {
        const STEP_LANES ar = AT(re, 0u) + AT(re, 2u), ai = AT(im, 0u) + AT(im, 2u);
        const STEP_LANES cr = AT(re, 0u) - AT(re, 2u), ci = AT(im, 0u) - AT(im, 2u);
        const STEP_LANES br = AT(re, 1u) + AT(re, 3u), bi = AT(im, 1u) + AT(im, 3u);
        const STEP_LANES dr = AT(im, 3u) - AT(im, 1u), di = AT(re, 1u) - AT(re, 3u);
        const STEP_LANES xr = ar - br, xi = ai - bi, yr = cr + dr, yi = ci + di, zr = cr - dr, zi = ci - di;
        AT(re, 0u) = ar + br;
        AT(im, 0u) = ai + bi;
        AT(re, 1u) = xr * w[2] - xi * w[3];
        AT(im, 1u) = xr * w[3] + xi * w[2];
        AT(re, 2u) = yr * w[0] - yi * w[1];
        AT(im, 2u) = yr * w[1] + yi * w[0];
        AT(re, 3u) = zr * w[4] - zi * w[5];
        AT(im, 3u) = zr * w[5] + zi * w[4];
    }
}

static inline void JOIN(float *re, float *im, size_t quarter, const float *w, uint32_t width)
{
    for (uint32_t c = 0; c < width; c += STEP_COUNT) {
        const STEP_LANES xr = AT(re, 1u) * w[2] + AT(im, 1u) * w[3], xi = AT(im, 1u) * w[2] - AT(re, 1u) * w[3];
        const STEP_LANES yr = AT(re, 2u) * w[0] + AT(im, 2u) * w[1], yi = AT(im, 2u) * w[0] - AT(re, 2u) * w[1];
        const STEP_LANES zr = AT(re, 3u) * w[4] + AT(im, 3u) * w[5], zi = AT(im, 3u) * w[4] - AT(re, 3u) * w[5];
        const STEP_LANES ar = AT(re, 0u) + xr, ai = AT(im, 0u) + xi, br = AT(re, 0u) - xr, bi = AT(im, 0u) - xi;
        const STEP_LANES cr = yr + zr, ci = yi + zi, dr = yi - zi, di = zr - yr;
        AT(re, 0u) = ar + cr;
        AT(im, 0u) = ai + ci;
        AT(re, 1u) = br + dr;
        AT(im, 1u) = bi + di;
        AT(re, 2u) = ar - cr;
        AT(im, 2u) = ai - ci;
        AT(re, 3u) = br - dr;
        AT(im, 3u) = bi - di;
    }
}

#undef AT
