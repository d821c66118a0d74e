/* Steps of radix 4 on STEP_COUNT neighbours at once, as functions SPLIT and JOIN, and of radix 2, CROSS; fft.c includes it once for each count.
 *
 * A step is two fused steps of radix 2 on a quarter of each row set, `width` neighbours in four rows that lie `quarter`
 * apart. SPLIT decimates in frequency; JOIN is its inverse, with the conjugate turns w. Where all turns are 1 (`turns` 0)
 * there is nothing to multiply.
 */
#define AT(p, row) (*(STEP_LANES *) (void *) ((p) + (row) * quarter + c))

SS_INLINE void SPLIT(float *re, float *im, size_t quarter, const float *w, uint32_t width, const int turns)
{
    for (uint32_t c = 0; c < width; c += STEP_COUNT) {
        const STEP_LANES ar = AT(re, 0u) + AT(re, 2u), ai = AT(im, 0u) + AT(im, 2u);
        const STEP_LANES cr = AT(re, 0u) - AT(re, 2u), ci = AT(im, 0u) - AT(im, 2u);
        const STEP_LANES br = AT(re, 1u) + AT(re, 3u), bi = AT(im, 1u) + AT(im, 3u);
        const STEP_LANES dr = AT(im, 3u) - AT(im, 1u), di = AT(re, 1u) - AT(re, 3u);
        const STEP_LANES xr = ar - br, xi = ai - bi, yr = cr + dr, yi = ci + di, zr = cr - dr, zi = ci - di;
        AT(re, 0u) = ar + br;
        AT(im, 0u) = ai + bi;
        if (turns) {
            AT(re, 1u) = xr * w[2] - xi * w[3];
            AT(im, 1u) = xr * w[3] + xi * w[2];
            AT(re, 2u) = yr * w[0] - yi * w[1];
            AT(im, 2u) = yr * w[1] + yi * w[0];
            AT(re, 3u) = zr * w[4] - zi * w[5];
            AT(im, 3u) = zr * w[5] + zi * w[4];
        } else {
            AT(re, 1u) = xr;
            AT(im, 1u) = xi;
            AT(re, 2u) = yr;
            AT(im, 2u) = yi;
            AT(re, 3u) = zr;
            AT(im, 3u) = zi;
        }
    }
}

SS_INLINE void JOIN(float *re, float *im, size_t quarter, const float *w, uint32_t width, const int turns)
{
    for (uint32_t c = 0; c < width; c += STEP_COUNT) {
        const STEP_LANES pr = AT(re, 1u), pi = AT(im, 1u), qr = AT(re, 2u), qi = AT(im, 2u);
        const STEP_LANES sr = AT(re, 3u), si = AT(im, 3u);
        STEP_LANES xr = pr, xi = pi, yr = qr, yi = qi, zr = sr, zi = si;
        if (turns) {
            xr = pr * w[2] + pi * w[3];
            xi = pi * w[2] - pr * w[3];
            yr = qr * w[0] + qi * w[1];
            yi = qi * w[0] - qr * w[1];
            zr = sr * w[4] + si * w[5];
            zi = si * w[4] - sr * w[5];
        }
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

/* A step of radix 2 on two rows of `width` neighbours; it is its own inverse. */
SS_INLINE void CROSS(float *re, float *im, uint32_t width)
{
    const size_t quarter = width;
    for (uint32_t c = 0; c < width; c += STEP_COUNT) {
        const STEP_LANES ar = AT(re, 0u), ai = AT(im, 0u), br = AT(re, 1u), bi = AT(im, 1u);
        AT(re, 0u) = ar + br;
        AT(im, 0u) = ai + bi;
        AT(re, 1u) = ar - br;
        AT(im, 1u) = ai - bi;
    }
}

#undef AT
