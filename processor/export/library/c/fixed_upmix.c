/* The upmix in fixed point: upmix.c with spectra in Q31 (scaled by 1 / size), averages in 64 bits, ratios in Q30.
 *
 * Mid and side are a quarter of L + R and L - R, so that no transform passes Q31; the forward one halves in each step.
 */
#include "fixed_internal.h"

#define UPMIX sf_upmix
#define SAMPLE int32_t
#define AVERAGE int64_t
#define NAME(x) sf_##x
#include "upmix_rule.h"

#define ONE30 ((int64_t) 1 << 30)

void sf_upmix_layout(sf_upmix *u, ss_arena *arena, const sweetspot_info *info)
{
    u->method = info->method;
    u->window = info->window;
    u->hop = info->hop;
    u->span = info->span;
    if (!framed(u)) {
        u->span = 0u;
        return;
    }
    u->shape = sf_take(arena, u->window);
    u->synthesis = sf_take(arena, u->span);
    u->fold = sf_take(arena, u->window);
    u->turn = sf_take(arena, u->window / 2u);
    u->heard = sf_take(arena, 2u * (size_t) u->window);
    u->spectra = sf_take(arena, 2u * (size_t) u->window);
    u->averages = sf_take_long(arena, 5u * ((size_t) u->window / 2u));
    u->open = sf_take(arena, u->span);
    u->ready = sf_take(arena, 3u * (size_t) u->hop);
}

void sf_upmix_tables(sf_upmix *u, const sweetspot_info *info)
{
    u->amount = sf_q31((double) info->amount);
    u->decay = sf_q31((double) info->decay);
    if (!framed(u)) {
        return;
    }
    const uint32_t late = u->window - u->span, half = u->window / 2u;
    const double room = 1.0 / (1.0 - (double) info->decay);
    u->spare = 1u + (uint32_t) ceil(log2(room < 1e9 ? room : 1e9));
    for (uint32_t n = 0; n < u->window; n++) {
        const double at = shape(u, n);
        u->shape[n] = sf_q31(at);
        if (n >= late) {
            u->synthesis[n - late] = at > 0.0 ? sf_q31(hann(u, n) / at * 0.5 * u->hop / u->span) : 0;
        }
    }
    for (uint32_t n = 0; n < half; n++) {
        u->fold[n] = sf_q31(cos(PI * n / u->window));
        u->fold[half + n] = sf_q31(sin(PI * n / u->window));
    }
    for (uint32_t n = 0; n < half / 2u; n++) {
        u->turn[n] = sf_q31(cos(2.0 * PI * n / half));
        u->turn[half / 2u + n] = sf_q31(sin(2.0 * PI * n / half));
    }
    sf_upmix_reset(u);
}

/* (re, im) times (c, s), divided by 2^bits. */
static void rotated(int64_t re, int64_t im, int32_t c, int32_t s, uint32_t bits, int32_t *to_re, int32_t *to_im)
{
    *to_re = sf_saturated(sf_shifted(re * c - im * s, bits));
    *to_im = sf_saturated(sf_shifted(re * s + im * c, bits));
}

/* exp(+j), halved in each step, bins in reversed order. */
static void forward(const sf_upmix *u, int32_t *re, int32_t *im)
{
    const uint32_t size = u->window / 2u;
    for (uint32_t span = size; span >= 2u; span /= 2u) {
        const uint32_t half = span / 2u, step = size / span;
        for (uint32_t start = 0; start < size; start += span) {
            for (uint32_t j = 0; j < half; j++) {
                const uint32_t a = start + j, b = a + half;
                const int64_t ar = re[a], ai = im[a], br = re[b], bi = im[b];
                re[a] = (int32_t) sf_shifted(ar + br, 1u);
                im[a] = (int32_t) sf_shifted(ai + bi, 1u);
                rotated(ar - br, ai - bi, u->turn[j * step], u->turn[size / 2u + j * step], 32u, &re[b], &im[b]);
            }
        }
    }
}

/* exp(-j), not scaled, from bins in reversed order. */
static void inverse(const sf_upmix *u, int32_t *re, int32_t *im)
{
    const uint32_t size = u->window / 2u;
    for (uint32_t span = 2u; span <= size; span *= 2u) {
        const uint32_t half = span / 2u, step = size / span;
        for (uint32_t start = 0; start < size; start += span) {
            for (uint32_t j = 0; j < half; j++) {
                const uint32_t a = start + j, b = a + half;
                const int32_t ar = re[a], ai = im[a];
                int32_t br, bi;
                rotated(re[b], im[b], u->turn[j * step], -u->turn[size / 2u + j * step], 31u, &br, &bi);
                re[a] = sf_saturated((int64_t) ar + br);
                im[a] = sf_saturated((int64_t) ai + bi);
                re[b] = sf_saturated((int64_t) ar - br);
                im[b] = sf_saturated((int64_t) ai - bi);
            }
        }
    }
}

/* a / b in Q30, for b > 0 and |a| up to 2^30 b; both lose bits that only a larger b has. */
static int64_t ratio(int64_t a, int64_t b)
{
    const int64_t size = a < 0 ? -a : a;
    int64_t top = size, below = b;
    while (below >= ((int64_t) 1 << 32)) {
        below >>= 1;
        top >>= 1;
    }
    top = (top / below) * ONE30 + ((top % below) * ONE30) / below;
    return a < 0 ? -top : top;
}

static int64_t times30(int64_t a, int64_t b)
{
    return sf_shifted(a * b, 30u);
}

/* Weights of mid (a) and of side (b, complex) in a bin, Q30. */
typedef struct {
    int64_t a, br, bi;
} weights;

static int64_t alike(int64_t ss, int64_t mm)
{
    return mm > ss ? ratio(mm - ss, mm + ss) : 0;
}

/* `whole` / (1 + u^4) in Q(62 - scale), where u^2 is left with `scale` / 2 bits: scale = 30 up to u = 23, else 20. */
static int64_t let_go(int64_t size, uint32_t bits, int64_t whole)
{
    const int64_t one = (int64_t) 1 << bits, u = size > one ? (size - one) * 2 / 5 : 0;
    const uint32_t kept = bits == 24u ? 22u : 10u, scale = bits == 24u ? 30u : 20u;
    const int64_t square = sf_shifted(u * u, 2u * bits - kept);
    const int64_t fourth = (square * square + ((int64_t) 1 << (2u * kept))) >> (2u * kept - scale);
    return whole * ((int64_t) 1 << 32) / fourth;
}

static int within(const int64_t *avg, int64_t most)
{
    return avg[0] < most && avg[0] > -most && avg[1] < most && avg[1] > -most;
}

/* The source in the middle over itself, `noise` times the power `rest`, and a trace of the side's; Q30. */
static int64_t clear_of(int64_t ss, int64_t mm, int64_t noise, int64_t rest)
{
    const uint32_t down = mm >= ((int64_t) 1 << 56) || ss >= ((int64_t) 1 << 56) ? 6u : 0u;
    const int64_t source = mm > ss ? (mm - ss) >> down : 0, all = source + noise * (rest >> down) + (ss >> (down + 20u));
    return ratio(source, all > 0 ? all : 1);
}

/* rho, up to 40 in Q24 and up to 1024 in Q14; beyond it nothing counts (bits is 0). */
typedef struct {
    int64_t re, im, size;
    uint32_t bits;
} slope;

static slope slope_of(const int64_t *avg)
{
    const int64_t least = avg[3] >> 40, ss = avg[2] > least ? avg[2] : least, below = ss > 0 ? ss : 1;
    slope rho = {0, 0, 0, within(avg, below < ((int64_t) 1 << 56) ? below * 40 : INT64_MAX) ? 24u : 14u};
    if (!within(avg, below < ((int64_t) 1 << 52) ? below * 1024 : INT64_MAX)) {
        rho.bits = 0u;
        return rho;
    }
    rho.re = ratio(avg[0], below) >> (30u - rho.bits);
    rho.im = ratio(avg[1], below) >> (30u - rho.bits);
    rho.size = sf_root(rho.re * rho.re + rho.im * rho.im);
    return rho;
}

/* The projection with a reduced weight near the middle. */
static weights soft(const int64_t *avg)
{
    const slope rho = slope_of(avg);
    const int64_t left = rho.bits == 24u ? ONE30 - ((rho.re * rho.re + rho.im * rho.im) >> 18) : 0;
    weights w = {clear_of(avg[2], avg[3], 5, left > 0 ? sf_long_scaled(avg[2], left, 30u) : 0), 0, 0};
    if (rho.bits > 0u) {
        const int64_t gain = let_go(rho.size, rho.bits, w.a);
        w.br = -sf_long_scaled(gain, rho.re, 26u);
        w.bi = -sf_long_scaled(gain, rho.im, 26u);
    }
    return w;
}

/* The same for short averages: the residual beside the source is averaged (kept) before it is cut off at 0, and side is
 * taken more than once only where it is coherent with mid. */
static weights quick(const int64_t *avg, int32_t decay, int64_t *kept)
{
    const slope rho = slope_of(avg);
    const int64_t ss = avg[2], mm = avg[3] > 0 ? avg[3] : 1, one = (int64_t) 1 << rho.bits;
    const int64_t square = rho.re * rho.re + rho.im * rho.im;
    int64_t psi = ONE30, now = ss - mm, rest;
    if (rho.bits > 0u && rho.size > one) {
        const int64_t seen = rho.bits == 24u ? sf_shifted(square, 18u) : square;
        psi = ss < mm ? sf_long_scaled(seen, ratio(ss, mm), rho.bits == 24u ? 30u : 28u) : ONE30;
        psi = psi < ONE30 ? psi : ONE30;
        now = ss - sf_long_scaled(mm, psi, 30u);
    } else if (rho.bits > 0u) {
        const int64_t seen = rho.bits == 24u ? sf_shifted(square, 18u) : square, full = rho.bits == 24u ? ONE30 : ONE30 >> 2;
        now = sf_long_scaled(ss, (full - seen) * (ONE30 / full), 30u);
    }
    now = *kept + sf_long_times(now - *kept, ((int64_t) 1 << 31) - decay);
    rest = now > 0 ? (now < ss ? now : ss) : 0;
    *kept = now;
    weights w = {clear_of(ss, mm, 24, rest), 0, 0};
    if (rho.bits > 0u) {
        const int64_t free = rho.size > one ? ratio(one, rho.size) : ONE30;
        const int64_t once = times30(w.a, times30(ONE30 - psi, free));
        const int64_t gain = let_go(rho.size, rho.bits, times30(w.a, psi)) + (rho.bits == 24u ? once * 4 : once * 4096);
        w.br = -sf_long_scaled(gain, rho.re, 26u);
        w.bi = -sf_long_scaled(gain, rho.im, 26u);
    }
    return w;
}

static weights projection(const int64_t *avg)
{
    weights w = {ONE30, 0, 0};
    const int64_t ss = avg[2], mm = avg[3], mono = mm / 100000000, span = mm / 1000000 - mono;
    int64_t trust = ss > mono ? ONE30 : 0;
    if (ss - mono < span) {
        trust = ss > mono ? ratio(ss - mono, span) : 0;
    }
    if (trust > 0 && ss > 0) {
        w.br = -sf_long_times(ratio(avg[0], ss), 2 * trust);
        w.bi = -sf_long_times(ratio(avg[1], ss), 2 * trust);
    }
    return w;
}

static weights principal(const int64_t *avg)
{
    weights w = {0, 0, 0};
    int64_t real = avg[0], apart = avg[3] - avg[2], sum = avg[3] + avg[2], spread, cosine, gain;
    while (sum >= ((int64_t) 1 << 29)) {
        real >>= 1;
        apart >>= 1;
        sum >>= 1;
    }
    spread = sf_root(apart * apart + 4 * real * real);
    if (apart <= 0 || spread == 0) {
        return w;
    }
    cosine = ratio(apart, spread);
    gain = times30(times30(cosine, cosine), ratio(spread, sum)) / 2;
    w.a = times30(gain, ONE30 + cosine);
    w.br = times30(gain, ratio(2 * real, spread));
    return w;
}

static weights weigh(uint32_t method, const int64_t *avg, int32_t decay, int64_t *kept)
{
    weights w = {0, 0, 0};
    int64_t square;
    switch (method) {
    case SWEETSPOT_SIMILARITY:
        square = times30(alike(avg[2], avg[3]), alike(avg[2], avg[3]));
        w.a = times30(square, square);
        return w;
    case SWEETSPOT_PCA:
        return principal(avg);
    case SWEETSPOT_LOW_LATENCY:
        return quick(avg, decay, kept);
    case SWEETSPOT_SOFT_PROJECTION:
        return soft(avg);
    default:
        return projection(avg);
    }
}

static int64_t part_of(int64_t weight, int64_t v)
{
    return sf_long_scaled(weight, v, 30u);
}

/* Update the averages with the frame; the centre's spectrum replaces mid's. */
static void centred(sf_upmix *u, int32_t decay)
{
    const uint32_t bins = u->window / 2u;
    int32_t *mr = u->spectra, *mi = mr + bins, *sr = mi + bins, *si = sr + bins;
    for (uint32_t k = 0; k < bins; k++) {
        const int64_t a = mr[k], b = mi[k], c = sr[k], d = si[k];
        const int64_t now[4] = {a * c + b * d, b * c - a * d, c * c + d * d, a * a + b * b};
        int64_t avg[4];
        weights w;
        for (uint32_t j = 0; j < 4u; j++) {
            int64_t *kept = u->averages + j * bins + k;
            *kept = sf_long_times(*kept, decay) + sf_shifted(now[j], u->spare);
            avg[j] = *kept;
        }
        w = weigh(u->method, avg, decay, u->averages + 4u * bins + k);
        mr[k] = sf_saturated(part_of(w.a, a) + part_of(w.br, c) - part_of(w.bi, d));
        mi[k] = sf_saturated(part_of(w.a, b) + part_of(w.br, d) + part_of(w.bi, c));
    }
}

/* Two frames of halves to one complex value a bin: windowed, a quarter, folded. */
static int framed_sound(const sf_upmix *u)
{
    const uint32_t w = u->window, half = w / 2u;
    const int32_t *left = u->heard, *right = left + w;
    int32_t *mr = u->spectra, *mi = mr + half, *sr = mi + half, *si = sr + half, sounding = 0;
    for (uint32_t n = 0; n < half; n++) {
        int64_t mid[2], side[2];
        for (uint32_t h = 0; h < 2u; h++) {
            const uint32_t k = n + h * half, at = u->at + k < w ? u->at + k : u->at + k - w;
            const int64_t l = left[at], r = right[at];
            sounding |= (int32_t) (left[at] != 0 || right[at] != 0);
            mid[h] = sf_shifted((l + r) * (u->shape[k] / 2), 32u);
            side[h] = sf_shifted((l - r) * (u->shape[k] / 2), 32u);
        }
        rotated(mid[0], mid[1], u->fold[n], u->fold[half + n], 31u, &mr[n], &mi[n]);
        rotated(side[0], side[1], u->fold[n], u->fold[half + n], 31u, &sr[n], &si[n]);
    }
    return sounding;
}

static void next_hop(sf_upmix *u)
{
    const uint32_t w = u->window, half = w / 2u, late = w - u->span;
    int32_t *mr = u->spectra, *mi = mr + half, *sr = mi + half, *si = sr + half;
    const int sounding = framed_sound(u);
    forward(u, mr, mi);
    forward(u, sr, si);
    centred(u, sounding ? u->decay : 0);
    inverse(u, mr, mi);
    for (uint32_t n = 0; n < half; n++) {
        rotated(mr[n], mi[n], u->fold[n], -u->fold[half + n], 31u, &mr[n], &mi[n]);
    }
    for (uint32_t n = 0; n < u->span; n++) {
        const uint32_t k = late + n;
        const int32_t c = k < half ? mr[k] : mi[k - half];
        const int64_t made = sf_shifted((int64_t) c * sf_times(u->synthesis[n], u->amount), 28u);
        u->open[n] = sf_saturated(u->open[n] + made);
    }
    for (uint32_t n = 0; n < u->hop; n++) {
        const uint32_t from = u->at + late + n, at = from < w ? from : from - w;
        u->ready[n] = sf_saturated(sf_shifted((int64_t) u->heard[at] - u->open[n], 1u));
        u->ready[u->hop + n] = sf_saturated(sf_shifted((int64_t) u->heard[w + at] - u->open[n], 1u));
        u->ready[2u * u->hop + n] = (int32_t) sf_shifted(u->open[n], 1u);
    }
    moved_up(u);
}

static void straight(const sf_upmix *u, const int32_t *const *in, int32_t *const *out, uint32_t n)
{
    const int64_t a = u->method == (uint32_t) SWEETSPOT_LINEAR ? u->amount / 2 : 0;
    for (uint32_t k = 0; k < n; k++) {
        const int64_t left = in[0][k], right = in[1][k], centre = sf_shifted((left + right) * a, 31u);
        out[0][k] = sf_saturated(sf_shifted(left - centre, 1u));
        out[1][k] = sf_saturated(sf_shifted(right - centre, 1u));
        out[2][k] = sf_saturated(sf_shifted(centre, 1u));
    }
}
