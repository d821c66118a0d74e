/* What the upmix does to any kind of sample: upmix.c includes it for floats, fixed_upmix.c for fixed point.
 *
 * A file defines UPMIX, SAMPLE, AVERAGE (type of an average), NAME(x), and what numbers are to it: `next_hop` (process
 * the newest frame: its centre is overlap-added, and the completed hop becomes ready) and `straight` (without frames: the
 * centre is silent, or the fixed share amount / 2 of the sum).
 */
#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

static void next_hop(UPMIX *u);
static void straight(const UPMIX *u, const SAMPLE *const *in, SAMPLE *const *out, uint32_t n);

static int framed(const UPMIX *u)
{
    return u->method != (uint32_t) SWEETSPOT_OFF && u->method != (uint32_t) SWEETSPOT_LINEAR;
}

/* Product of both windows at sample n of a frame: a Hann window of `span` samples at its end. */
static double hann(const UPMIX *u, uint32_t n)
{
    const uint32_t late = u->window - u->span;
    return n < late ? 0.0 : 0.5 - 0.5 * cos(2.0 * PI * (n - late) / u->span);
}

/* The analysis window; that of a short span rises slowly and falls fast. */
static double shape(const UPMIX *u, uint32_t n)
{
    const uint32_t rise = u->window - u->span / 2u;
    return n < rise ? sqrt(0.5 - 0.5 * cos(PI * n / rise)) : sqrt(hann(u, n));
}

void NAME(upmix_reset)(UPMIX *u)
{
    u->waiting = 0u;
    u->at = 0u;
    if (framed(u)) {
        memset(u->heard, 0, 2u * (size_t) u->window * sizeof(SAMPLE));
        memset(u->averages, 0, 5u * ((size_t) u->window / 2u) * sizeof(AVERAGE));
        memset(u->open, 0, u->span * sizeof(SAMPLE));
        memset(u->ready, 0, 3u * (size_t) u->hop * sizeof(SAMPLE));
    }
}

/* The completed hop has left: what is open of the centre moves up. */
static void moved_up(UPMIX *u)
{
    memmove(u->open, u->open + u->hop, (u->span - u->hop) * sizeof(SAMPLE));
    memset(u->open + u->span - u->hop, 0, u->hop * sizeof(SAMPLE));
}

void NAME(upmix_process)(UPMIX *u, const SAMPLE *const *in, SAMPLE *const *out, uint32_t n)
{
    if (!framed(u)) {
        straight(u, in, out, n);
        return;
    }
    for (uint32_t done = 0; done < n;) {
        const uint32_t rest = u->hop - u->waiting, piece = n - done < rest ? n - done : rest;
        for (uint32_t c = 0; c < 3u; c++) {
            memcpy(out[c] + done, u->ready + c * u->hop + u->waiting, piece * sizeof(SAMPLE));
        }
        for (uint32_t c = 0; c < 2u; c++) {
            memcpy(u->heard + c * u->window + u->at + u->waiting, in[c] + done, piece * sizeof(SAMPLE));
        }
        u->waiting += piece;
        done += piece;
        if (u->waiting == u->hop) {
            u->at = u->at + u->hop < u->window ? u->at + u->hop : 0u;
            u->waiting = 0u;
            next_hop(u);
        }
    }
}
