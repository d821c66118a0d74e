/* Stereo to left, right and centre in the short-time Fourier domain; the rules are those of sweetspot/processor/upmix.py.
 *
 * With mid and side in each bin and recursive averages <.> over frames, the centre is C = a M + b S. Left and right keep
 * the rest, made in time from the delayed input, so that left + centre and right + centre rebuild it exactly.
 */
#include "internal.h"

SS_FAST

#define UPMIX ss_upmix
#define SAMPLE float
#define AVERAGE float
#define NAME(x) ss_##x
#include "upmix_rule.h"

static const float MONO = 1e-8f, STEREO = 1e-6f, FLOOR = 1e-30f;
static const float NEAR_MIDDLE = 2.5f, LEAST_SIDE = 1e-12f, NOISE = 5.0f, NOISE_QUICK = 24.0f, TRACE = 1.0f / 1048576.0f;

void ss_upmix_layout(ss_upmix *u, ss_arena *arena, const sweetspot_info *info)
{
    u->method = info->method;
    u->window = info->window;
    u->hop = info->hop;
    u->span = info->span;
    u->amount = info->amount;
    u->decay = info->decay;
    if (!framed(u)) {
        u->span = 0u;
        return;
    }
    ss_fft_layout(&u->fft, arena, u->window / 2u);
    u->shape = ss_take(arena, u->window);
    u->synthesis = ss_take(arena, u->span);
    u->heard = ss_take(arena, 2u * (size_t) u->window);
    u->frame = ss_take(arena, 2u * (size_t) u->window);
    u->spectra = ss_take(arena, 2u * (size_t) u->window);
    u->averages = ss_take(arena, 5u * ((size_t) u->window / 2u));
    u->open = ss_take(arena, u->span);
    u->ready = ss_take(arena, 3u * (size_t) u->hop);
}

void ss_upmix_tables(ss_upmix *u)
{
    if (!framed(u)) {
        return;
    }
    const uint32_t late = u->window - u->span;
    const double scale = 2.0 * ((double) u->hop / u->span) / u->window;
    ss_fft_tables(&u->fft);
    for (uint32_t n = 0; n < u->window; n++) {
        const double at = shape(u, n);
        u->shape[n] = (float) at;
        if (n >= late) {
            u->synthesis[n - late] = at > 0.0 ? (float) (hann(u, n) / at * scale) : 0.0f;
        }
    }
    ss_upmix_reset(u);
}

/* Position between the two thresholds, 0 to 1. */
static float trust(float ss, float mm)
{
    const float span = mm * (STEREO - MONO), t = (ss - MONO * mm) / (span > FLOOR ? span : FLOOR);
    return t < 0.0f ? 0.0f : (t > 1.0f ? 1.0f : t);
}

static float alike(float ss, float mm)
{
    const float sum = mm + ss, share = (mm - ss) / (sum > FLOOR ? sum : FLOOR);
    return share > 0.0f ? share : 0.0f;
}

/* The projection with a reduced weight near the middle, lower with a larger residual beside a source there. */
static void soft(const float *avg, float *a, float *br, float *bi)
{
    const float least = avg[3] * LEAST_SIDE, ss = avg[2] > least ? avg[2] : least, below = ss > FLOOR ? ss : FLOOR;
    const float real = avg[0] / below, imag = avg[1] / below, square = real * real + imag * imag, size = sqrtf(square);
    const float u = (size > 1.0f ? size - 1.0f : 0.0f) / NEAR_MIDDLE;
    const float source = avg[3] > avg[2] ? avg[3] - avg[2] : 0.0f;
    const float all = source + avg[2] * (NOISE * (square < 1.0f ? 1.0f - square : 0.0f) + TRACE);
    const float whole = source / (all > FLOOR ? all : FLOOR), gain = whole / (1.0f + (u * u) * (u * u));
    *a = whole;
    *br = -gain * real;
    *bi = -gain * imag;
}

/* The same for short averages: the residual beside the source is averaged (kept) before it is cut off at 0, and side is
 * taken more than once only where it is coherent with mid. */
static void quick(const float *avg, float decay, float *kept, float *a, float *br, float *bi)
{
    const float least = avg[3] * LEAST_SIDE, ss = avg[2] > least ? avg[2] : least, below = ss > FLOOR ? ss : FLOOR;
    const float real = avg[0] / below, imag = avg[1] / below, square = real * real + imag * imag, root = sqrtf(square);
    const float size = root > 1.0f ? root : 1.0f, u = (size - 1.0f) / NEAR_MIDDLE;
    const float share = square * below / (avg[3] > FLOOR ? avg[3] : FLOOR), psi = share < 1.0f ? share : 1.0f;
    const float source = avg[3] > avg[2] ? avg[3] - avg[2] : 0.0f;
    const float now = *kept + (1.0f - decay) * (avg[2] * (1.0f - square) - *kept);
    const float rest = now > 0.0f ? (now < avg[2] ? now : avg[2]) : 0.0f;
    const float all = source + NOISE_QUICK * rest + TRACE * avg[2], whole = source / (all > FLOOR ? all : FLOOR);
    const float gain = whole * (psi / (1.0f + (u * u) * (u * u)) + (1.0f - psi) / size);
    *kept = now;
    *a = whole;
    *br = -gain * real;
    *bi = -gain * imag;
}

/* a (real) and b (complex) of C = a M + b S from <M S*>, <S S*>, <M M*>. */
static void weights(uint32_t method, const float *avg, float decay, float *kept, float *a, float *br, float *bi)
{
    const float msr = avg[0], msi = avg[1], ss = avg[2], mm = avg[3];
    const float share = trust(ss, mm) / (ss > 0.0f ? ss : 1.0f), psi = alike(ss, mm);
    const float spread = sqrtf((mm - ss) * (mm - ss) + 4.0f * msr * msr), below = spread > FLOOR ? spread : FLOOR;
    const float cosine = (mm - ss) / below, sine = 2.0f * msr / below, ahead = cosine > 0.0f ? cosine : 0.0f;
    const float gain = 0.5f * ahead * ahead * spread / (mm + ss > FLOOR ? mm + ss : FLOOR);
    switch (method) {
    case SWEETSPOT_SIMILARITY:
        *a = psi * psi * psi * psi;
        *br = *bi = 0.0f;
        break;
    case SWEETSPOT_PCA:
        *a = gain * (1.0f + cosine);
        *br = gain * sine;
        *bi = 0.0f;
        break;
    case SWEETSPOT_LOW_LATENCY:
        quick(avg, decay, kept, a, br, bi);
        break;
    case SWEETSPOT_SOFT_PROJECTION:
        soft(avg, a, br, bi);
        break;
    default:
        *a = 1.0f;
        *br = -msr * share;
        *bi = -msi * share;
        break;
    }
}

/* Update the averages with the frame; the centre's spectrum replaces mid's. */
static void centred(ss_upmix *u, float decay)
{
    const uint32_t bins = u->window / 2u;
    float *mr = u->spectra, *mi = mr + bins, *sr = mi + bins, *si = sr + bins, *avg = u->averages;
    for (uint32_t k = 0; k < bins; k++) {
        float a, br, bi, now[4];
        now[0] = avg[k] * decay + (mr[k] * sr[k] + mi[k] * si[k]);
        now[1] = avg[bins + k] * decay + (mi[k] * sr[k] - mr[k] * si[k]);
        now[2] = avg[2u * bins + k] * decay + (sr[k] * sr[k] + si[k] * si[k]);
        now[3] = avg[3u * bins + k] * decay + (mr[k] * mr[k] + mi[k] * mi[k]);
        for (uint32_t j = 0; j < 4u; j++) {
            avg[j * bins + k] = now[j];
        }
        weights(u->method, now, decay, &avg[4u * bins + k], &a, &br, &bi);
        mr[k] = a * mr[k] + (br * sr[k] - bi * si[k]);
        mi[k] = a * mi[k] + (br * si[k] + bi * sr[k]);
    }
}

static void next_hop(ss_upmix *u)
{
    const uint32_t w = u->window, half = w / 2u, late = w - u->span;
    float *mid = u->frame, *side = mid + w, *left = u->heard, *right = left + w;
    float *mr = u->spectra, *mi = mr + half, *sr = mi + half, *si = sr + half;
    int sounding = 0;
    for (uint32_t n = 0; n < w; n++) {
        const uint32_t at = u->at + n < w ? u->at + n : u->at + n - w;
        const float l = left[at], r = right[at];
        sounding |= (l + r != 0.0f) || (l - r != 0.0f);
        mid[n] = (l + r) * u->shape[n];
        side[n] = (l - r) * u->shape[n];
    }
    ss_forward(&u->fft, mid, mid + half, mr, mi);
    ss_forward(&u->fft, side, side + half, sr, si);
    centred(u, sounding ? u->decay : 0.0f);
    ss_inverse(&u->fft, mr, mi, mid, mid + half);
    for (uint32_t n = 0; n < u->span; n++) {
        u->open[n] += mid[late + n] * (u->synthesis[n] * u->amount);
    }
    for (uint32_t n = 0; n < u->hop; n++) {
        const uint32_t from = u->at + late + n, at = from < w ? from : from - w;
        u->ready[n] = left[at] - u->open[n];
        u->ready[u->hop + n] = right[at] - u->open[n];
        u->ready[2u * u->hop + n] = u->open[n];
    }
    moved_up(u);
}

static void straight(const ss_upmix *u, const float *const *in, float *const *out, uint32_t n)
{
    const float a = u->method == (uint32_t) SWEETSPOT_LINEAR ? 0.5f * u->amount : 0.0f;
    for (uint32_t k = 0; k < n; k++) {
        const float centre = a * (in[0][k] + in[1][k]);
        out[0][k] = in[0][k] - centre;
        out[1][k] = in[1][k] - centre;
        out[2][k] = centre;
    }
}
